// A sample of all single-bit flips of a store.

import MoraineSimulation
import Testing

struct BitFlipTests {
    @Test func everyFlipIsReportedAndNoneIsBelieved() throws {
        let report = try BitFlips.run(step: 1009)
        for failure in report.failures.prefix(5) { Issue.record("\(failure)") }
        let derived = ["q8", "gr", "col"]
        let others = ["ROOT", "del", "doc", "key", "mman", "mwal", "vec"]
        #expect(report.kinds.keys.sorted() == (derived + others).sorted())
        for (kind, counts) in report.kinds {
            #expect(counts.reportedCount == counts.flipCount, "\(kind)")
            // The store does without what can be made again.
            if derived.contains(kind) { #expect(counts.rightCount == counts.flipCount, "\(kind)") }
        }
    }
}
