// The next log file is made before it is needed, so that no commit waits for its zeros.

import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

extension Writer {
    /// The size of the log file after the current one, unless one commit needs more.
    var nextLogByteCount: UInt64 {
        let limit = UInt64(max(options.logFileByteCount, Int(LogFiles.minimumByteCount)))
        return min(limit, max(logCapacity * 2, min(limit, Self.firstLogByteCount)))
    }

    /// True once in the life of a log file: when half of it is used.
    func takesLogPreparation() -> Bool {
        guard options.runsInBackground, let log, !isLogPrepared,
            log.position > logCapacity / 2
        else { return false }
        isLogPrepared = true
        return true
    }

    /// Where to make a file for later use, and its size; `nil` when there is one already.
    func logToPrepare() -> (path: String, byteCount: UInt64)? {
        guard poison == nil, manifest != nil else { return nil }
        let byteCount = nextLogByteCount
        do throws(FileError) {
            if try takeSpare(byteCount: byteCount) != nil { return nil }
        } catch {
            return nil
        }
        return (
            FileNames.path(folder, FileNames.spareLog(ids.allocateFile())), byteCount
        )
    }
}

extension Engine {
    /// Makes the next log file among the recycled ones, where the writer looks for it.
    ///
    /// Failing is harmless: the writer then makes the file when it needs it.
    func prepareLog() {
        guard let (path, byteCount) = withWriter({ $0.logToPrepare() }) else { return }
        do throws(FileError) {
            let file = try options.fileSystem.open(path, .createNew)
            defer { file.close() }
            try LogFiles.fill(file, byteCount: byteCount)
            try file.sync()
        } catch {
            try? options.fileSystem.remove(path)
        }
    }
}
