// Reads a manifest, starts a new one, and appends edits. Bytes: format-spec/manifest.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
import MoraineLog
package import MoraineStorage

/// A manifest as it was read.
package struct ManifestContents: Sendable {
    package let state: StoreState
    /// The number of the last edit.
    package let lastEdit: UInt64
    /// Where its records end.
    package let end: UInt64
    package let fileByteCount: UInt64
    /// An edit at the end that was never promised and does not verify.
    package let torn: StoreError?
}

package enum ManifestReader {
    /// Reads the manifest that `root` names.
    ///
    /// - Parameter promisedOnly: stop at the highest promise, as beside a live writer.
    package static func read(
        _ fileSystem: any FileSystem,
        folder: String,
        root: Root,
        promisedOnly: Bool
    ) throws(StoreError) -> ManifestContents {
        let path = FileNames.path(folder, FileNames.manifest(root.manifestID))
        let file = try openListed(fileSystem, path)
        defer { file.close() }
        let link = try LogFiles.link(
            file,
            kind: .manifest,
            storeID: root.storeID,
            fileID: root.manifestID
        )
        guard link.header.incarnation == root.incarnation else {
            throw StoreError(
                .corrupted,
                "the manifest belongs to another history than ROOT",
                path: path,
                offset: 72,
                expected: "incarnation \(root.incarnation)",
                found: "\(link.header.incarnation)"
            )
        }
        let chain = LogChain(
            links: [link],
            kind: .edit,
            floor: 0,
            promise: root.manifestEdit,
            exactEnd: root.state == .closed ? root.manifestEnd : nil
        )
        var limit = UInt64.max
        if promisedOnly { limit = try chain.read(upTo: 0) { _ in }.promise }
        var state = StoreState()
        var lastEdit: UInt64 = 0
        let outcome = try chain.read(upTo: limit) { entry throws(StoreError) in
            try apply(entry, to: &state)
            lastEdit = entry.number
        }
        guard outcome.end >= root.manifestEnd, lastEdit >= root.manifestEdit else {
            throw StoreError(
                .corrupted,
                "the manifest ends before the place that ROOT names",
                path: path,
                offset: outcome.end,
                expected: "\(root.manifestEnd)",
                found: "\(outcome.end)"
            )
        }
        return ManifestContents(
            state: state,
            lastEdit: lastEdit,
            end: outcome.end,
            fileByteCount: link.byteCount,
            torn: outcome.torn
        )
    }

    private static func apply(_ entry: LogChain.Entry, to state: inout StoreState)
        throws(StoreError)
    {
        do throws(FormatError) {
            var reader = ByteReader(entry.payload)
            for _ in 0..<entry.operationCount {
                try state.apply(try ManifestEdit.decode(&reader))
            }
            try reader.expectEnd("edits")
        } catch {
            throw StoreError(error, path: entry.path, base: entry.payloadOffset)
        }
    }
}

/// Opens a file that another file names: not finding it is damage.
package func openListed(_ fileSystem: any FileSystem, _ path: String) throws(StoreError)
    -> any File
{
    do throws(FileError) {
        return try fileSystem.open(path, .read)
    } catch {
        if error.isNotFound {
            throw StoreError(
                .corrupted,
                "a file that the store needs is missing",
                path: path,
                expected: "the file",
                found: "nothing",
                errorNumber: error.errorNumber
            )
        }
        throw StoreError(error, doing: "open a file of the store")
    }
}

/// The manifest that a writer appends to.
package final class ManifestWriter {
    private let log: LogWriter
    /// Where the first record, the whole state, ends.
    private let baseEnd: UInt64

    package let id: UInt64

    /// Writes a new manifest whose first edit is `state` and syncs it, but not its folder.
    package init(
        _ fileSystem: any FileSystem,
        folder: String,
        header: LogHeader,
        state: StoreState
    ) throws(StoreError) {
        id = header.fileID
        let path = FileNames.path(folder, FileNames.manifest(header.fileID))
        do throws(FileError) {
            let file = try fileSystem.open(path, .createNew)
            let head = header.encode()
            try head.withUnsafeBufferPointer { buffer throws(FileError) in
                try file.writeAll(UnsafeRawBufferPointer(buffer), at: 0)
            }
            log = LogWriter(file: file, header: header, lastNumber: 0, promised: 0)
        } catch {
            throw StoreError(error, doing: "make a manifest")
        }
        Self.append(state.wholeState(), to: log)
        try log.flush()
        try log.sync()
        baseEnd = log.position
    }

    /// The number of the last edit.
    package var lastEdit: UInt64 { log.lastNumber }
    /// Where the records end.
    package var end: UInt64 { log.position }
    package var syncCount: UInt64 { log.syncCount }

    /// True when a new manifest would be much smaller.
    package var wantsRotation: Bool {
        let tail = log.position - baseEnd
        return tail > 1 << 20 && tail > 4 * (baseEnd - UInt64(LogHeader.byteCount))
    }

    /// Appends edits as one record and syncs it.
    ///
    /// After `noSpace` nothing was added and the manifest goes on; after another error nothing
    /// may be written to it again.
    package func commit(_ edits: [ManifestEdit]) throws(StoreError) {
        let before = log.lastNumber
        Self.append(edits, to: log)
        do throws(StoreError) {
            try log.flush()
        } catch {
            log.discardBuffer(backTo: before)
            throw error
        }
        // DURABLE: the edit is the moment at which new files become part of the store and old
        // ones stop being needed; nothing that relies on it may happen before.
        try log.sync()
        do throws(StoreError) {
            try log.mark()
        } catch {
            // The edit stands; only its marker found no room, and the next record takes its place.
            guard error.code == .noSpace else { throw error }
            log.discardBuffer(backTo: log.lastNumber)
        }
    }

    /// Cuts the file behind its records and syncs it, the last marker included: ROOT may now say
    /// that the manifest ends at `end`.
    package func finish() throws(StoreError) {
        do throws(FileError) {
            try log.file.truncate(to: log.position)
        } catch {
            throw StoreError(error, doing: "cut the manifest to its records")
        }
        try log.sync()
    }

    package func close() { log.file.close() }

    private static func append(_ edits: [ManifestEdit], to log: LogWriter) {
        var writer = ByteWriter()
        for edit in edits { edit.encode(into: &writer) }
        writer.withBytes { bytes in
            log.append(
                .edit,
                number: log.lastNumber + 1,
                operationCount: UInt32(edits.count),
                payload: bytes
            )
        }
    }
}
