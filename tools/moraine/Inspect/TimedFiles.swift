// Files that give nothing more once the time of a command is over: inspectors walk over whatever
// they meet, and end there.

import MoraineFiles
import MoraineStorage

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension Call {
    /// Runs a command that reads files and has `--timeout`.
    ///
    /// From the end of the time on nothing is printed, as what is read then is not the whole.
    func timed(_ body: (ReadLimit?) throws(Failure) -> ExitCode) throws(Failure) -> ExitCode {
        let limit = try readLimit()
        output.limit = limit
        defer { output.limit = nil }
        let code: ExitCode
        do throws(Failure) {
            code = try body(limit)
        } catch {
            // The end of the time is what made it fail.
            try engineCall { () throws(StoreError) in try limit?.check() }
            throw error
        }
        try engineCall { () throws(StoreError) in try limit?.check() }
        return code
    }
}

extension WatchedFileSystem {
    /// The file system of the machine, to read from until a limit.
    init(until limit: ReadLimit) {
        self.init(
            PosixFileSystem(),
            before: { operation, path throws(FileError) in
                guard [.list, .read, .map].contains(operation), limit.isOver else { return }
                throw FileError(operation, path: path, errorNumber: ETIMEDOUT)
            }
        )
    }
}
