// The threads of large scans.

import Synchronization
import Testing

@testable import MoraineVectors

struct ScanPoolTests {
    /// Counts how often each job ran.
    private final class Tally: Sendable {
        let counts: Mutex<[Int]>
        init(_ jobs: Int) { counts = Mutex([Int](repeating: 0, count: jobs)) }
        func note(_ job: Int) { counts.withLock { $0[job] += 1 } }
        var everyJobRanOnce: Bool { counts.withLock { $0.allSatisfy { $0 == 1 } } }
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
            let results = Mutex([Int](repeating: 0, count: 16))
            let boxed = Box(results)
            pool.run(jobs: 16) { job in boxed.value.withLock { $0[job] = job + 1 } }
            #expect(boxed.value.withLock { $0 } == Array(1...16))
        }
    }

    private final class Box: Sendable {
        let value: Mutex<[Int]>
        init(_ value: consuming Mutex<[Int]>) { self.value = value }
    }
}
