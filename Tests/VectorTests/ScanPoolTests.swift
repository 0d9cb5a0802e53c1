// The threads of large scans.

import Testing

@testable import MoraineVectors

struct ScanPoolTests {
    /// Counts how often each job ran, in plain memory: only the pool's own order makes it safe.
    private final class Tally: Sendable {
        private let jobs: Int
        // Each job has its own place, read after all have ended.
        private nonisolated(unsafe) let counts: UnsafeMutablePointer<Int>

        init(_ jobs: Int) {
            self.jobs = jobs
            counts = .allocate(capacity: max(1, jobs))
            counts.initialize(repeating: 0, count: jobs)
        }

        deinit { counts.deallocate() }

        func note(_ job: Int) { counts[job] += 1 }

        var everyJobRanOnce: Bool { (0..<jobs).allSatisfy { counts[$0] == 1 } }
    }

    @Test(arguments: [0, 1, 2, 3, 8]) func everyJobRunsOnce(width: Int) {
        let pool = ScanPool(width: width)
        for jobs in [0, 1, 2, 3, 100, 1000] {
            let tally = Tally(jobs)
            pool.run(jobs: jobs) { tally.note($0) }
            #expect(tally.everyJobRanOnce)
        }
        pool.run(jobs: -1) { _ in Issue.record("a job of none") }
    }

    @Test func jobsMayRunJobsAndCallersMayShareThePool() {
        let pool = ScanPool(width: 3)
        let callers = ScanPool(width: 4)
        let tally = Tally(4 * 10 * 10)
        callers.run(jobs: 4) { caller in
            pool.run(jobs: 10) { outer in
                pool.run(jobs: 10) { inner in tally.note((caller * 10 + outer) * 10 + inner) }
            }
        }
        #expect(tally.everyJobRanOnce)
    }

    @Test func afterCloseTheCallerDoesAllAndClosingAgainIsHarmless() {
        let pool = ScanPool(width: 4)
        pool.run(jobs: 10) { _ in }
        pool.close()
        pool.close()
        let tally = Tally(10)
        pool.run(jobs: 10) { tally.note($0) }
        #expect(tally.everyJobRanOnce)
    }

    @Test func poolsComeAndGoWhileOthersClose() {
        let outer = ScanPool(width: 4)
        outer.run(jobs: 200) { number in
            let pool = ScanPool(width: 2 + number % 3)
            let tally = Tally(5)
            pool.run(jobs: 5) { tally.note($0) }
            #expect(tally.everyJobRanOnce)
        }
    }

    @Test func whatJobsWroteIsThereWhenRunReturns() {
        let pool = ScanPool(width: 4)
        for _ in 0..<300 {
            let tally = Tally(16)
            pool.run(jobs: 16) { tally.note($0) }
            #expect(tally.everyJobRanOnce)
        }
    }
}
