// How a command ends when it cannot do what was asked.

import MoraineStorage

/// The tool's exit codes, as scripts rely on them.
package enum ExitCode: Int32, Sendable {
    case fine = 0
    /// The thing asked for is not there, there is a difference, or a line was refused.
    case absent = 1
    case damage = 4
    /// Input or output, permission, lock, space, no store, a newer format.
    case operational = 8
    /// Usage, bad settings, a bad input file.
    case usage = 16
    case cancelled = 32
}

/// A command's end before its time: the exit code, and a sentence for standard error.
struct Failure: Error {
    let exit: ExitCode
    let message: String
    /// A second line that says what to do.
    var hint: String?
    /// Lines of what was given, with a mark under the place that is wrong.
    var excerpt: [String] = []

    init(_ exit: ExitCode, _ message: String, hint: String? = nil) {
        self.exit = exit
        self.message = message
        self.hint = hint
    }

    /// What the engine said, with file, offset, expected and found.
    init(_ error: StoreError) {
        self.init(ExitCode(error.code), Failure.text(error))
        if exit == .damage {
            hint = "\"moraine verify\" lists all damage of a store"
        }
    }

    /// One line: place, sentence, expected and found.
    static func text(_ error: StoreError) -> String {
        var text = ""
        if let path = error.path { text += "\(path): " }
        if let offset = error.offset { text += "byte \(offset): " }
        text += error.message
        if let expected = error.expected, !error.message.contains(expected) {
            text += "; expected \(expected)"
            if let found = error.found { text += ", found \(found)" }
        }
        return text
    }
}

extension ExitCode {
    init(_ code: StoreError.Code) {
        switch code {
        case .corrupted: self = .damage
        case .notFound, .unknownCollection, .versionConflict: self = .absent
        case .notAStore, .newerFormat, .locked, .readOnly, .closed, .noSpace, .permissionDenied,
            .inputOutput, .poisoned, .tooManyFiles, .snapshotExpired, .poolTimeout, .pinned:
            self = .operational
        case .cancelled, .deadlineExceeded: self = .cancelled
        case .invalidArgument, .invalidID, .invalidName, .invalidText, .invalidMetadata,
            .invalidVector, .invalidFilter, .wrongDimension, .tooLarge, .collectionMismatch,
            .collectionExists:
            self = .usage
        }
    }
}

/// Calls the engine; its error ends the command.
func engineCall<R>(_ body: () throws(StoreError) -> R) throws(Failure) -> R {
    do throws(StoreError) {
        return try body()
    } catch {
        throw Failure(error)
    }
}
