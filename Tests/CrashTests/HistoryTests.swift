// Random histories with crashes, and the seeds that once found something.

import MoraineSimulation
import Testing

struct HistoryTests {
    @Test func keepsWhatWasAcknowledged() {
        let report = HistorySimulator.run(seeds: 0..<150, failureLimit: 3)
        for failure in report.failures { Issue.record("\(failure)") }
        #expect(report.crashCount > 300)
        #expect(report.recoveryCrashCount > 20)
        #expect(report.verifyCount >= 150)
        #expect(report.syncSites.keys.contains("sync wal/W-#-#.mwal"))
    }

    @Test(arguments: [3, 17, 99] as [UInt64])
    func oneSeedIsOneHistory(seed: UInt64) throws {
        let first = try HistorySimulator.runOne(seed: seed)
        let second = try HistorySimulator.runOne(seed: seed)
        #expect(first == second)
    }
}
