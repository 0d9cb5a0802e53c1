// Random histories with crashes, and the seeds that once found something.

import MoraineSimulation
import Testing

struct HistoryTests {
    @Test func keepsWhatWasAcknowledged() {
        let report = HistorySimulator.run(seeds: 20_000..<20_060, failureLimit: 3)
        for failure in report.failures { Issue.record("\(failure)") }
        #expect(report.crashCount > 150)
        #expect(report.recoveryCrashCount > 12)
        #expect(report.verifyCount >= 60)
        #expect(report.mergeCount > 30)
        #expect(report.indexCount > 100)
        #expect(report.syncSites.keys.contains("sync wal/W-#-#.mwal"))
        for kind in [
            "purge", "a follower", "a refresh", "salvage", "salvage without ROOT",
            "put for a time", "patch", "rename a collection", "drop a collection",
            "delete by prefix", "fault: a sync fails once, then \"succeeds\"",
        ] {
            #expect(report.kinds[kind, default: 0] > 0, "\(kind)")
        }
    }

    @Test(arguments: [3, 17, 99, 20_017] as [UInt64])
    func oneSeedIsOneHistory(seed: UInt64) throws {
        let first = try HistorySimulator.runOne(seed: seed)
        let second = try HistorySimulator.runOne(seed: seed)
        #expect(first == second)
    }

    @Test func theReportIsTheSameOnAnyNumberOfThreads() {
        let one = HistorySimulator.run(seeds: 20_100..<20_108, width: 1)
        let many = HistorySimulator.run(seeds: 20_100..<20_108, width: 3)
        #expect(one == many)
        #expect(one.historyCount == 8)
    }

    // 10: a marker without room undid a durable edit. 47: a manifest's marker was not synced at
    // the clean close. 60: close hid lost commits. 219: a log wholly below the floor was never
    // synced. 442 and 8473: both copies of ROOT at risk. 772: a checkpoint seen after a killed
    // process was lost by the next crash. 777: ROOT stayed with one sound copy. 20282: a salvage took
    // the time of creation from what had expired. 20388: a merge's output of which a crash kept the
    // end stayed for ever. 21358: a salvage believed deletions that no edit had named. 40639 and
    // 40744: a follower missed files that an edit without a promise had dropped. 40124: a salvage
    // took commits for void that an interrupted start had yet to carry over. 52156: a purge did not
    // wait for a reader of what had been merged before.
    @Test(
        arguments: [
            10, 47, 60, 219, 442, 772, 777, 8473, 20_282, 20_388, 21_358, 40_124, 40_639, 40_744,
            52_156,
        ] as [UInt64]
    )
    func whatOnceFailedHolds(seed: UInt64) throws {
        _ = try HistorySimulator.runOne(seed: seed)
    }
}
