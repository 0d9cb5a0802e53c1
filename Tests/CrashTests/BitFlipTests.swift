// A sample of all single-bit flips of a store.

import MoraineSimulation
import Testing

struct BitFlipTests {
    @Test func everyFlipIsReportedAndNoneIsBelieved() throws {
        let report = try BitFlips.run(step: 1009)
        for failure in report.failures.prefix(5) { Issue.record("\(failure)") }
        #expect(
            report.kinds.keys.sorted() == ["ROOT", "del", "doc", "key", "mman", "mwal", "vec"]
        )
        for (kind, counts) in report.kinds {
            #expect(counts.reportedCount == counts.flipCount, "\(kind)")
        }
    }
}
