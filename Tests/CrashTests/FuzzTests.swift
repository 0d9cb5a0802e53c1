// A few damaged stores that are worked with; `moraine-bench fuzz` does many.

import MoraineSimulation
import Testing

struct FuzzTests {
    @Test func workOnADamagedStoreIsRightOrAnError() throws {
        let report = try StoreFuzz.run(seeds: 1..<61)
        for failure in report.failures { Issue.record("\(failure)") }
        #expect(report.runCount == 60)
        let files = ["ROOT", "mman", "mwal", "doc", "key", "vec", "del", "q8", "gr", "col"]
        #expect(report.files.keys.sorted() == files.sorted())
        for name in ["open", "open to read", "get", "scan", "search", "commit", "verify"] {
            #expect(report.operations[name, default: 0] > 0, "\(name)")
        }
    }
}
