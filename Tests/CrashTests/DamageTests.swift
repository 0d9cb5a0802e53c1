// A share of the seeded damages to stores with files of every kind.

import MoraineSimulation
import Testing

struct DamageTests {
    @Test func everyDamageIsFoundAndNoneIsBelieved() throws {
        let report = try DamageTrial.run(seeds: 1..<80, failureLimit: 5)
        for failure in report.failures { Issue.record("\(failure)") }
        #expect(report.count == 79)
        let files = ["ROOT", "mman", "mwal", "doc", "key", "vec", "del", "q8", "gr", "col"]
        #expect(report.files.keys.sorted() == files.sorted())
        for kind in [
            "single bit", "swap in a file", "swap between files", "block of another store",
            "misdirected block",
        ] {
            let counts = try #require(report.kinds[kind])
            #expect(counts.count > 3 && counts.reportedCount == counts.count, "\(kind)")
        }
    }

    @Test func noFileCanBeMissingEmptyOrCutUnnoticed() throws {
        let report = try DamageTrial.runOnEveryFile()
        for failure in report.failures.prefix(5) { Issue.record("\(failure)") }
        let counts = try #require(report.kinds["cut"])
        #expect(counts.count > 300 && counts.reportedCount == counts.count)
        #expect(report.kinds["missing"]?.count == report.kinds["missing"]?.reportedCount)
    }

    /// As from a backup that somebody went on with: same ids, same layout, sound in themselves.
    @Test func nothingOfADivergedCopyIsBelieved() throws {
        let report = try DamageTrial.runOnDivergedCopies()
        for failure in report.failures.prefix(5) { Issue.record("\(failure)") }
        let files = ["ROOT", "mman", "mwal", "doc", "key", "vec", "del", "q8", "gr", "col"]
        #expect(report.files.keys.sorted() == files.sorted())
        for kind in ["file of another store", "block of another store"] {
            let counts = try #require(report.kinds[kind])
            #expect(counts.count > 12 && counts.reportedCount == counts.count, "\(kind)")
        }
    }
}
