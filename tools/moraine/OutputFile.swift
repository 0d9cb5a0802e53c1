// A file that a command writes where `--out` says: whole or not at all.

import MoraineFiles
import MoraineStorage

/// Bytes that go to a file.
private final class FileSink: ByteSink {
    let columnCount: Int? = nil
    private let file: any File
    private var offset: UInt64 = 0

    init(_ file: any File) { self.file = file }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        do throws(FileError) {
            try file.writeAll(bytes, at: offset)
            offset += UInt64(bytes.count)
            return 0
        } catch {
            return error.errorNumber
        }
    }
}

extension Call {
    /// Calls `body` with the way out: the file of an option, or standard output.
    ///
    /// The file gets its name when all is written and synced; until then, and after a failure,
    /// what stood under the name stays.
    func withOutput<R>(
        _ option: String = "--out",
        _ body: (Output) throws(Failure) -> R
    ) throws(Failure) -> R {
        guard let path = arguments[option], path != "-" else { return try body(output) }
        let fileSystem = PosixFileSystem()
        let unfinished = path + ".unfinished"
        let file = try fileStep { () throws(FileError) in
            // Left by a command that was killed.
            do throws(FileError) { try fileSystem.remove(unfinished) } catch {
                if !error.isNotFound { throw error }
            }
            return try fileSystem.open(unfinished, .createNew)
        }
        do throws(Failure) {
            let output = Output(FileSink(file), allowsColor: false)
            let result = try body(output)
            output.flush()
            if let failure = output.failure {
                throw Failure(.operational, "cannot write \(path): \(failure.reason)")
            }
            try fileStep { () throws(FileError) in
                // DURABLE: a name must not stand for a file whose bytes a power cut can take.
                try file.sync()
                try fileSystem.rename(unfinished, to: path)
            }
            file.close()
            return result
        } catch {
            file.close()
            try? fileSystem.remove(unfinished)
            throw error
        }
    }

    private func fileStep<R>(_ body: () throws(FileError) -> R) throws(Failure) -> R {
        try engineCall { () throws(StoreError) in try fileCall("write the file", body) }
    }
}
