// A share of the seeded damages that a salvage is tried with.

import MoraineSimulation
import Testing

struct SalvageTests {
    @Test func whatIsWholeComesBackAndNothingWrongDoes() {
        let report = SalvageTrial.run(seeds: 60..<100, failureLimit: 5)
        for failure in report.failures { Issue.record("\(failure)") }
        #expect(report.trialCount == 40)
        #expect(
            report.kinds.keys.sorted() == ["bit", "cut", "hostile", "missing", "swapped", "zeros"]
        )
        #expect(report.completeCount > 0)
        #expect(report.recovered > 2000)
    }
}
