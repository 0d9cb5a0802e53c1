// What import and load share: what is committed beside the log becomes durable at the end, or at the
// first line that is refused.

import MoraineEngine
import MoraineFiles
import MoraineJSON
import MoraineStorage

/// A load beside the log, from its start on.
struct BulkLoad {
    /// What is done: "imported".
    let verb: String
    /// What is committed: "document".
    let noun: String
    private let start = SystemClock().steadyNanoseconds()

    init(verb: String, noun: String) {
        self.verb = verb
        self.noun = noun
    }

    /// Makes durable what was committed, and says how it went.
    ///
    /// - Parameters:
    ///   - failure: what ended it before its end; a refused line keeps what is before it.
    ///   - count: how many were committed.
    ///   - byteCount: of input.
    func finish(
        _ failure: Failure?,
        count: Int,
        byteCount: UInt64,
        _ engine: Engine,
        _ call: Call
    ) throws(Failure) -> ExitCode {
        if let failure, failure.exit == .operational || failure.exit == .damage { throw failure }
        // DURABLE: it went past the log; from here on it survives a crash.
        try engineCall { () throws(StoreError) in try engine.checkpoint() }
        if let failure {
            let are = count == 1 ? "\(noun) is" : "\(noun)s are"
            throw Failure(failure.exit, "\(failure.message); \(count) \(are) committed")
        }
        let seconds = Double(SystemClock().steadyNanoseconds() - start) / 1e9
        if call.isJSON {
            var json = JSONWriter()
            json.writeRaw("{")
            json.writeString(noun + "s")
            json.writeRaw(":")
            json.writeUInt(UInt64(count))
            json.writeRaw(",\"seconds\":")
            json.writeDouble((seconds * 1e6).rounded() / 1e6)
            json.writeRaw(",\"bytes\":")
            json.writeUInt(byteCount)
            json.writeRaw("}")
            call.output.writeLine(&json)
        } else {
            let rate = byteText(UInt64(Double(byteCount) / max(seconds, 1e-9)))
            call.output.writeLine(
                "\(verb) \(grouped(count)) \(noun)s, \(byteText(byteCount)) of input, in "
                    + "\(decimal(seconds, digits: 2)) s (\(rate)/s)"
            )
        }
        return .fine
    }
}
