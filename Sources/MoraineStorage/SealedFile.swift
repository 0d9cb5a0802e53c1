// A sealed file, open for reading. Bytes: format-spec/file-header.md.
// Mapped bytes are checked when they are first touched; the check of a checked chunk is one load.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
import Synchronization

/// A sealed file whose header, footer, directory and checksum table were checked at opening.
///
/// Any thread. The file may lose its name while it is open.
package final class SealedFile: Sendable {
    /// How the sections' bytes are reached.
    package enum Access: Sendable {
        /// Through a mapping; chunks are checked when first touched.
        case mapped
        /// By reads into memory of the caller.
        case read
    }

    /// The path relative to the store's folder.
    package let name: String
    package let layout: SealedLayout
    package let reference: SealedFileReference
    let file: any File
    private let mapping: Mapping?
    /// One bit for each checksum of the table: set once the chunk was found good.
    // Only atomic operations after init; freed in deinit.
    nonisolated(unsafe) private let checked: UnsafeMutablePointer<Atomic<UInt64>>
    private let checkedWordCount: Int
    /// Where the next section looked for probably is: a hint.
    private let nextPlace = Atomic(0)

    /// Opens the file that `reference` describes.
    ///
    /// - Throws: `corrupted`, with file, offset, expected and found, when it is missing or any of
    ///   its frame is not what it must be; `newerFormat`; errors of the operating system.
    package init(
        fileSystem: any FileSystem,
        root: String,
        name: String,
        kind: FileKind,
        storeID: StoreID,
        reference: SealedFileReference,
        access: Access
    ) throws(StoreError) {
        let path = FileNames.path(root, name)
        let file: any File
        do throws(FileError) {
            file = try fileSystem.open(path, .read)
        } catch {
            guard error.isNotFound else { throw StoreError(error, doing: "open a sealed file") }
            throw StoreError(
                .corrupted,
                "a file that the store needs is missing",
                path: path,
                offset: 0,
                expected: "\(reference.byteCount) bytes",
                found: "no file"
            )
        }
        do throws(StoreError) {
            layout = try SealedLayout(file, kind: kind, storeID: storeID, reference: reference)
            // Mapped only now: the length was compared with the manifest's.
            switch access {
            case .mapped:
                mapping = try fileCall("map a sealed file") { () throws(FileError) in
                    try file.map(byteCount: reference.byteCount)
                }
            case .read: mapping = nil
            }
        } catch {
            // A file system that keeps few files open knows this one until it is closed.
            file.close()
            throw error
        }
        self.name = name
        self.reference = reference
        self.file = file
        checkedWordCount = layout.checksums.count / 64 + 1
        checked = .allocate(capacity: checkedWordCount)
        for index in 0..<checkedWordCount { (checked + index).initialize(to: Atomic(0)) }
    }

    deinit {
        checked.deinitialize(count: checkedWordCount)
        checked.deallocate()
        file.close()
    }

    /// The path of the file, for errors.
    package var path: String { file.path }
    package var fileID: UInt64 { reference.fileID }
    package var footer: FileFooter { layout.footer }
    package var storeID: StoreID { layout.header.storeID }

    /// The place of a section in the directory.
    ///
    /// A file of thousands of spaces has thousands of sections, and they are asked for in the order
    /// in which they stand: looking starts behind the last one found.
    private func place(_ type: UInt32, _ ordinal: UInt32) -> Int? {
        let entries = layout.entries
        let start = nextPlace.load(ordering: .relaxed)
        for step in 0..<entries.count {
            let place = (start + step) % entries.count
            guard entries[place].type == type, entries[place].ordinal == ordinal else { continue }
            nextPlace.store(place + 1, ordering: .relaxed)
            return place
        }
        return nil
    }

    /// The section of that type and ordinal, when the file has it.
    ///
    /// It borrows the file, which must outlive it.
    package func section(_ type: UInt32, ordinal: UInt32 = 0) -> Section? {
        guard let place = place(type, ordinal) else { return nil }
        let entry = layout.entries[place]
        // In range: the directory's offsets and lengths lie within the file.
        guard let offset = Int(exactly: entry.offset), let byteCount = Int(exactly: entry.byteCount)
        else { return nil }
        return Section(
            entry: entry,
            byteCount: byteCount,
            base: mapping?.bytes.baseAddress.map { $0 + offset },
            checked: checked,
            firstChunk: Int(entry.firstChecksum),
            file: .passUnretained(self)
        )
    }

    /// The section of that type and ordinal, which the format demands.
    package func requiredSection(_ type: UInt32, ordinal: UInt32 = 0) throws(StoreError)
        -> Section
    {
        guard let section = section(type, ordinal: ordinal) else {
            throw StoreError(
                .corrupted,
                "a section is missing",
                path: path,
                offset: footer.directoryOffset,
                expected: "section \(type).\(ordinal)",
                found: "none"
            )
        }
        return section
    }

    /// A section that the format demands, of the length that a table in the file gives it.
    package func requiredSection(_ type: UInt32, ordinal: Int, byteCount: Int)
        throws(StoreError) -> Section
    {
        let section = try requiredSection(type, ordinal: UInt32(ordinal))
        guard section.byteCount == byteCount else {
            throw damage(
                "a section has another length than the table of its file says",
                at: section.entry.offset,
                expected: "\(byteCount) bytes",
                found: "\(section.byteCount)"
            )
        }
        return section
    }

    /// An error about bytes of this file.
    package func damage(
        _ message: String,
        at offset: UInt64,
        expected: String,
        found: String
    ) -> StoreError {
        StoreError(
            .corrupted,
            message,
            path: path,
            offset: offset,
            expected: expected,
            found: found
        )
    }

    /// Compares a chunk of `entry` with its checksum.
    func check(_ bytes: UnsafeRawBufferPointer, chunk: Int, of entry: SectionEntry)
        throws(StoreError)
    {
        let offset = entry.offset + UInt64(chunk) * UInt64(SectionEntry.chunkByteCount)
        let expected = layout.checksums[Int(entry.firstChecksum) + chunk]
        let found = layout.seed.mixed(offset).checksum(bytes)
        guard found == expected else {
            throw damage(
                "a chunk does not match its checksum",
                at: offset,
                expected: hex(expected),
                found: hex(found)
            )
        }
    }
}
