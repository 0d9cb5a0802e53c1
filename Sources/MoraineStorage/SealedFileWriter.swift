// Writes a file once, front to back, and seals it. Bytes: format-spec/file-header.md.

package import MoraineBytes
package import MoraineFiles
package import MoraineFormat

/// Writes the sections of a new file; checksums are computed as the bytes pass.
///
/// Memory is bounded: a buffer (256 KiB, 2 MiB for a mapped file) and four bytes for each 64 KiB
/// written. After an error the file is gone and every later call throws the same error. One thread
/// at a time. A writer that goes before `finish` removes its file.
package final class SealedFileWriter {
    private enum State {
        case open(any File)
        case failed(StoreError)
        case done
    }

    private struct OpenSection {
        let type: UInt32
        let ordinal: UInt32
        let offset: UInt64
        let selfChecked: Bool
        let firstChecksum: Int
        /// The checksum of the chunk so far and how many bytes it has.
        var chunkChecksum: UInt32 = 0
        var chunkByteCount = 0
    }

    private static let bufferByteCount = 1 << 18
    /// Of a file that will be mapped: written in whole large pages at their multiples, its cached
    /// pages are large ones where the file system has them, and so are those of its mapping.
    private static let mappedBufferByteCount = AnonymousPages.largePageByteCount
    /// The disk is told to begin this often.
    private static let writebackByteCount: UInt64 = 1 << 20

    /// The path of the file.
    package let path: String
    private let fileSystem: any FileSystem
    private let header: FileHeader
    private let seed: ChecksumSeed
    private var state: State
    private let buffer: UnsafeMutableRawBufferPointer
    private var bufferedByteCount = 0
    private var writtenByteCount: UInt64 = 0
    private var entries: [SectionEntry] = []
    private var checksums: [UInt32] = []
    private var section: OpenSection?

    /// Makes the file and writes its header; an existing file is an error.
    ///
    /// - Parameters:
    ///   - root: the store's folder.
    ///   - name: the path relative to it, from ``FileNames``.
    package init(
        fileSystem: any FileSystem,
        root: String,
        name: String,
        kind: FileKind,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64
    ) throws(StoreError) {
        path = FileNames.path(root, name)
        self.fileSystem = fileSystem
        header = FileHeader(
            kind: kind,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        seed = storeID.seed.mixed(fileID)
        do throws(FileError) {
            state = .open(try fileSystem.open(path, .createNew))
        } catch {
            throw StoreError(error, doing: "make a file")
        }
        buffer = AnonymousPages.allocate(
            byteCount: kind.isMapped ? Self.mappedBufferByteCount : Self.bufferByteCount
        )
        var writer = ByteWriter()
        header.encode(into: &writer)
        if kind.isMapped { writer.pad(to: 4096) }
        try write(writer)
    }

    deinit {
        abandon()
        AnonymousPages.free(buffer)
    }

    /// Where the next byte will stand in the file.
    package var offset: UInt64 { writtenByteCount + UInt64(bufferedByteCount) }

    /// The id of the file.
    package var fileID: UInt64 { header.fileID }

    /// Starts a section at the next multiple of 64.
    ///
    /// Type and ordinal together are used once.
    ///
    /// - Parameter selfChecked: its content carries its own checksums; true for document blocks.
    package func beginSection(_ type: UInt32, ordinal: UInt32 = 0, selfChecked: Bool = false)
        throws(StoreError)
    {
        precondition(section == nil, "sections do not nest")
        precondition(selfChecked == SectionType.isSelfChecked(type))
        try pad()
        section = OpenSection(
            type: type,
            ordinal: ordinal,
            offset: offset,
            selfChecked: selfChecked,
            firstChecksum: checksums.count
        )
    }

    /// Appends bytes to the open section.
    package func append(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        precondition(section != nil, "bytes belong to a section")
        if section?.selfChecked == false { addToChunks(bytes) }
        try write(bytes)
    }

    /// Appends bytes to the open section.
    package func append(_ bytes: [UInt8]) throws(StoreError) {
        try bytes.withUnsafeBufferPointer { buffer throws(StoreError) in
            try append(UnsafeRawBufferPointer(buffer))
        }
    }

    /// Appends bytes to the open section.
    package func append(_ writer: ByteWriter) throws(StoreError) {
        try writer.withBytes { bytes throws(StoreError) in try append(bytes) }
    }

    /// Ends the open section.
    package func endSection() throws(StoreError) {
        guard var open = section else { preconditionFailure("no section is open") }
        if open.chunkByteCount > 0 { closeChunk(&open) }
        section = nil
        var part = ByteWriter()
        for checksum in checksums[open.firstChecksum...] { part.writeUInt32(checksum) }
        entries.append(
            SectionEntry(
                type: open.type,
                ordinal: open.ordinal,
                offset: open.offset,
                byteCount: offset - open.offset,
                firstChecksum: UInt32(open.firstChecksum),
                tableChecksum: part.withBytes { seed.mixed(open.offset).checksum($0) }
            )
        )
        if case .failed(let error) = state { throw error }
    }

    /// A section whose bytes are all there.
    package func addSection(_ type: UInt32, ordinal: UInt32 = 0, _ bytes: ByteWriter)
        throws(StoreError)
    {
        try beginSection(type, ordinal: ordinal)
        try append(bytes)
        try endSection()
    }

    /// Writes checksum table, directory and footer, syncs the file and closes it.
    ///
    /// The folder is the caller's to sync, before anything durable names the file.
    ///
    /// - Parameters:
    ///   - rowCount: rows of the segment; of deletions: dead rows.
    ///   - minLSN: lowest LSN of a record in the file, 0 when there is none.
    ///   - maxLSN: highest LSN of a record in the file, 0 when there is none.
    /// - Returns: what the manifest needs to know of the file.
    package func finish(rowCount: UInt64, minLSN: UInt64, maxLSN: UInt64) throws(StoreError)
        -> SealedFileReference
    {
        precondition(section == nil, "a section is open")
        try writeTable()
        try pad()
        var directory = ByteWriter(capacity: entries.count * SectionEntry.byteCount)
        for entry in entries { entry.encode(into: &directory) }
        let byteCount = offset + UInt64(directory.count + FileFooter.byteCount)
        let footer = FileFooter(
            directoryOffset: offset,
            directoryByteCount: UInt32(directory.count),
            directoryChecksum: directory.withBytes { seed.checksum($0) },
            fileByteCount: byteCount,
            rowCount: rowCount,
            minLSN: minLSN,
            maxLSN: maxLSN,
            fileID: fileID
        ).encode(storeID: header.storeID)
        try write(directory)
        try footer.bytes.withUnsafeBufferPointer { bytes throws(StoreError) in
            try write(UnsafeRawBufferPointer(bytes))
        }
        try flush()
        // DURABLE: before this sync a crash leaves a torn file that nothing names; after it, and
        // once the folder is synced too, a manifest edit may name the file.
        try perform("sync a new file") { file throws(FileError) in try file.sync() }
        if case .open(let file) = state { file.close() }
        state = .done
        return SealedFileReference(
            fileID: fileID,
            byteCount: byteCount,
            footerChecksum: footer.checksum
        )
    }

    /// Closes the file and removes it.
    ///
    /// Harmless after `finish` or an error.
    package func abandon() {
        guard case .open = state else { return }
        _ = close(with: StoreError(.cancelled, "the file was given up", path: path))
    }

    // MARK: Checksums

    private func addToChunks(_ bytes: UnsafeRawBufferPointer) {
        guard var open = section else { return }
        section = nil
        var rest = bytes
        var at = offset
        while !rest.isEmpty {
            if open.chunkByteCount == 0 { open.chunkChecksum = seed.mixed(at).value }
            let count = min(rest.count, SectionEntry.chunkByteCount - open.chunkByteCount)
            open.chunkChecksum = CRC32C.value(
                UnsafeRawBufferPointer(rebasing: rest[..<count]),
                continuing: open.chunkChecksum
            )
            open.chunkByteCount += count
            if open.chunkByteCount == SectionEntry.chunkByteCount { closeChunk(&open) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            at += UInt64(count)
        }
        section = open
    }

    private func closeChunk(_ open: inout OpenSection) {
        checksums.append(open.chunkChecksum)
        open.chunkByteCount = 0
    }

    private func writeTable() throws(StoreError) {
        try pad()
        var table = ByteWriter(capacity: checksums.count * 4)
        for checksum in checksums { table.writeUInt32(checksum) }
        entries.append(
            SectionEntry(
                type: SectionType.checksumTable,
                ordinal: 0,
                offset: offset,
                byteCount: UInt64(table.count),
                firstChecksum: 0,
                tableChecksum: seed.mixed(offset).value
            )
        )
        try write(table)
    }

    // MARK: Writing

    private func pad() throws(StoreError) {
        let over = Int(offset % SectionEntry.alignment)
        guard over != 0 else { return }
        var zeros = ByteWriter()
        zeros.writeZeros(Int(SectionEntry.alignment) - over)
        try write(zeros)
    }

    private func write(_ writer: ByteWriter) throws(StoreError) {
        try writer.withBytes { bytes throws(StoreError) in try write(bytes) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        if case .failed(let error) = state { throw error }
        var rest = bytes
        while !rest.isEmpty {
            if bufferedByteCount == buffer.count { try flush() }
            let count = min(rest.count, buffer.count - bufferedByteCount)
            UnsafeMutableRawBufferPointer(rebasing: buffer[bufferedByteCount...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            bufferedByteCount += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    private func flush() throws(StoreError) {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<bufferedByteCount])
        let at = writtenByteCount
        try perform("write a new file") { file throws(FileError) in
            try file.writeAll(bytes, at: at)
        }
        writtenByteCount += UInt64(bufferedByteCount)
        bufferedByteCount = 0
        if case .open(let file) = state, writtenByteCount % Self.writebackByteCount == 0 {
            // The disk works while the next bytes are made: else all of it waits for the sync.
            let count = max(Self.writebackByteCount, UInt64(bytes.count))
            file.startWriteback(at: writtenByteCount - count, count: Int(count))
        }
    }

    private func perform(_ what: String, _ body: (any File) throws(FileError) -> Void)
        throws(StoreError)
    {
        switch state {
        case .open(let file):
            do throws(FileError) {
                try body(file)
            } catch {
                throw close(with: StoreError(error, doing: what))
            }
        case .failed(let error): throw error
        case .done: preconditionFailure("the file is sealed")
        }
    }

    /// Gives the file up: what was written of it would only take space.
    private func close(with error: StoreError) -> StoreError {
        if case .open(let file) = state { file.close() }
        state = .failed(error)
        // Should removing fail too, the file is an orphan that the next writer removes.
        try? fileSystem.remove(path)
        return error
    }
}
