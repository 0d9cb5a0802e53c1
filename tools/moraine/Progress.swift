// A line on standard error that counts, for commands that take long.

import MoraineFiles

/// Shows how far a command is, when a person watches.
final class Progress {
    private let output: Output
    private let clock = SystemClock()
    private var lastNanoseconds: UInt64 = 0
    private var isShown = false

    init(_ output: Output) { self.output = output }

    /// Shows `text` in place of the text before, at most ten times a second.
    func show(_ text: @autoclosure () -> String) {
        guard let columns = output.columnCount else { return }
        let now = clock.steadyNanoseconds()
        guard now - lastNanoseconds > 100_000_000 else { return }
        lastNanoseconds = now
        isShown = true
        output.write("\r\u{1B}[K" + String(text().prefix(columns - 1)))
        output.flush()
    }

    /// Takes the line away.
    func clear() {
        guard isShown else { return }
        isShown = false
        output.write("\r\u{1B}[K")
        output.flush()
    }
}
