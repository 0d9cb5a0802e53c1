// What a command prints, and what it does not print any more.

import MoraineFiles
import MoraineJSON
import MoraineStorage
import Synchronization
import Testing

@testable import moraine_cli

struct OutputTests {
    /// What was read once the time was over is not the whole.
    @Test func nothingIsPrintedOnceTheTimeIsOver() {
        let sink = MemorySink(nil)
        let output = Output(sink, allowsColor: false)
        let clock = ManualClock(wallMilliseconds: 1_000)
        let deadline = ReadLimit.deadline(after: .milliseconds(5), clock)
        output.limit = ReadLimit(deadline: deadline, clock: clock)
        func line(_ number: Int64) {
            output.writeLine("line \(number)")
            var json = JSONWriter()
            json.writeInt(number)
            output.writeLine(&json)
            #expect(json.count == 0)
        }
        line(1)
        #expect(!output.isClosed)
        clock.advance(milliseconds: 5)
        line(2)
        #expect(output.isClosed)
        output.flush()
        #expect(sink.text == "line 1\n1\n")
        output.limit = nil
        line(3)
        output.flush()
        #expect(sink.text == "line 1\n1\nline 3\n3\n")
    }
}
