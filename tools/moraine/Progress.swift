// A line on standard error that counts, for commands that take long.

import MoraineFiles
import Synchronization

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

/// A progress line that several threads show in turn, while nobody else writes to its output.
///
/// `@unchecked Sendable`: `progress` is only used under `lock`.
final class SharedProgress: @unchecked Sendable {
    private let lock = Mutex(())
    private let progress: Progress

    init(_ output: Output) { progress = Progress(output) }

    func show(_ text: @autoclosure () -> String) { lock.withLock { _ in progress.show(text()) } }

    func clear() { lock.withLock { _ in progress.clear() } }
}
