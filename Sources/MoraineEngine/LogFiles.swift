// Opens, makes and recycles log files. Rules: format-spec/log.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineLog
package import MoraineStorage

extension LogEntry {
    /// For errors.
    fileprivate var description: String {
        "epoch \(epoch), incarnation \(hexadecimal(incarnation, count: 16)), first LSN \(firstLSN)"
    }
}

package enum LogFiles {
    /// The smallest log file that is ever made.
    package static let minimumByteCount: UInt64 = 65_536

    /// Reads the head of an open log file or manifest.
    package static func link(
        _ file: any File,
        kind: FileKind,
        storeID: StoreID,
        fileID: UInt64
    ) throws(StoreError) -> LogChain.Link {
        let byteCount: UInt64
        let head: [UInt8]
        do throws(FileError) {
            byteCount = try file.byteCount()
            head = try file.readBytes(at: 0, count: LogHeader.byteCount)
        } catch {
            throw StoreError(error, doing: "read the head of a log file")
        }
        guard head.count == LogHeader.byteCount else {
            throw StoreError(
                .corrupted,
                "a log file is too short for its head",
                path: file.path,
                offset: UInt64(head.count),
                expected: "\(LogHeader.byteCount) bytes",
                found: "\(head.count) bytes"
            )
        }
        do throws(FormatError) {
            let header = try head.withUnsafeBufferPointer { buffer throws(FormatError) in
                try LogHeader.decode(
                    UnsafeRawBufferPointer(buffer),
                    kind: kind,
                    storeID: storeID,
                    fileID: fileID
                )
            }
            return LogChain.Link(file: file, header: header, byteCount: byteCount)
        } catch {
            throw StoreError(error, path: file.path)
        }
    }

    /// Opens the live log files that the manifest names.
    package static func chain(
        _ fileSystem: any FileSystem,
        folder: String,
        root: Root,
        state: StoreState
    ) throws(StoreError) -> LogChain {
        var links: [LogChain.Link] = []
        for entry in state.logs {
            let path = FileNames.path(
                folder,
                FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
            )
            let file = try openListed(fileSystem, path)
            let link = try link(
                file,
                kind: .log,
                storeID: root.storeID,
                fileID: entry.sequence
            )
            let found = LogEntry(link.header)
            guard found == entry else {
                throw StoreError(
                    .corrupted,
                    "a log file is not the one that the manifest names",
                    path: path,
                    offset: 64,
                    expected: entry.description,
                    found: found.description
                )
            }
            links.append(link)
        }
        var exactEnd: UInt64?
        if root.state == .closed {
            guard root.logSequence == state.logs.last?.sequence ?? 0 else {
                throw StoreError(
                    .corrupted,
                    "ROOT and the manifest name different last log files",
                    path: FileNames.path(folder, FileNames.root),
                    offset: 136,
                    expected: "\(state.logs.last?.sequence ?? 0)",
                    found: "\(root.logSequence)"
                )
            }
            exactEnd = links.isEmpty ? nil : root.logEnd
        }
        return LogChain(
            links: links,
            kind: .commit,
            floor: state.floor,
            promise: root.durableLSN,
            exactEnd: exactEnd
        )
    }

    /// Refuses when a log file that the manifest does not name has taken commits: then ROOT or
    /// the manifest is older than the log.
    package static func checkUnlisted(
        _ fileSystem: any FileSystem,
        folder: String,
        root: Root,
        state: StoreState
    ) throws(StoreError) {
        for (name, epoch, sequence) in try names(fileSystem, folder: folder)
        where sequence >= state.nextFileID {
            let path = FileNames.path(folder, name)
            guard
                try hasCommits(
                    fileSystem,
                    path: path,
                    storeID: root.storeID,
                    sequence: sequence
                )
            else { continue }
            throw StoreError(
                .corrupted,
                "a log file holds commits but the manifest does not name it: ROOT or the manifest "
                    + "is older than the log",
                path: path,
                offset: UInt64(LogHeader.byteCount),
                expected: "epoch \(root.epoch) or older",
                found: "epoch \(epoch)"
            )
        }
    }

    private static func hasCommits(
        _ fileSystem: any FileSystem,
        path: String,
        storeID: StoreID,
        sequence: UInt64
    ) throws(StoreError) -> Bool {
        let file: any File
        do throws(FileError) {
            file = try fileSystem.open(path, .read)
        } catch {
            if error.isNotFound { return false }
            throw StoreError(error, doing: "open a log file")
        }
        defer { file.close() }
        let link: LogChain.Link
        do throws(StoreError) {
            link = try self.link(file, kind: .log, storeID: storeID, fileID: sequence)
        } catch {
            // A head that was never finished: nothing can have been acknowledged in the file.
            if error.code == .corrupted || error.code == .newerFormat { return false }
            throw error
        }
        guard link.header.carriedEnd < link.byteCount else { return false }
        var reader = LogReader(
            file: file,
            header: link.header,
            from: link.header.carriedEnd,
            to: link.byteCount
        )
        guard case .record = try reader.next() else { return false }
        return true
    }

    /// The files in `wal/` that carry a log file's name.
    package static func names(_ fileSystem: any FileSystem, folder: String) throws(StoreError)
        -> [(name: String, epoch: UInt64, sequence: UInt64)]
    {
        do throws(FileError) {
            var found: [(name: String, epoch: UInt64, sequence: UInt64)] = []
            let entries = try fileSystem.list(FileNames.path(folder, FileNames.logFolder))
            for entry in entries where !entry.isDirectory {
                let name = FileNames.logFolder + "/" + entry.name
                if case .log(let epoch, let sequence)? = FileNames.parse(name) {
                    found.append((name, epoch, sequence))
                }
            }
            return found
        } catch {
            throw StoreError(error, doing: "list the log")
        }
    }

    /// Writes zeros over a new file, so that later syncs need not write metadata.
    package static func fill(_ file: any File, byteCount: UInt64) throws(FileError) {
        let piece = [UInt8](repeating: 0, count: 1 << 18)
        var offset: UInt64 = 0
        while offset < byteCount {
            let count = Int(min(UInt64(piece.count), byteCount - offset))
            try piece.withUnsafeBufferPointer { buffer throws(FileError) in
                try file.writeAll(
                    UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<count])),
                    at: offset
                )
            }
            offset += UInt64(count)
        }
    }

    /// Writes a log file's head.
    package static func writeHeader(_ header: LogHeader, to file: any File) throws(FileError) {
        let head = header.encode()
        try head.withUnsafeBufferPointer { buffer throws(FileError) in
            try file.writeAll(UnsafeRawBufferPointer(buffer), at: 0)
        }
    }
}
