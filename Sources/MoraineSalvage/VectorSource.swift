// A vector file of which anything may be damaged: each vector is proven by the checksum in its
// document's record, so neither frame nor row map need be whole. Bytes: format-spec/vector.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// The vectors of a segment, read as far as they can be.
final class VectorSource {
    /// Where vectors stand, and whose they may be.
    private struct Space {
        let dimensions: Int
        let count: Int
        let offset: UInt64
        /// The row of each vector as it stands in the file, unchecked.
        let rows: [UInt32]

        var stride: UInt64 { UInt64(VectorSource.stride(dimensions)) }
    }

    private static let firstOffset: UInt64 = 4096
    /// Vectors that are tried at most for one row whose place is not known.
    private static let trialLimit = 1024

    private static func stride(_ dimensions: Int) -> Int { (4 * dimensions + 63) / 64 * 64 }

    let name: String
    private let file: any File
    private let byteCount: UInt64
    /// More than one for a collection only where the table of spaces is damaged.
    private var spaces: [UInt32: [Space]] = [:]
    /// The table of spaces, as far as it could be read.
    private(set) var entries: [VectorSpaceEntry] = []
    private(set) var findings: [Finding] = []

    /// - Parameter shapes: what collections the segment holds, for a damaged table of spaces.
    init?(_ found: FoundFile, in inventory: Inventory, shapes: [CollectionShape]) {
        guard let open = try? inventory.open(found) else { return nil }
        name = found.name
        file = open
        byteCount = found.byteCount
        do throws(StoreError) {
            guard let reference = inventory.reference(found) else {
                throw StoreError(.corrupted, "the file has no footer", path: found.name)
            }
            let sealed = try SealedFile(
                fileSystem: inventory.fileSystem.asNamed,
                root: inventory.folder,
                name: found.name,
                kind: .vector,
                storeID: inventory.storeID,
                reference: reference,
                access: .read
            )
            try readSpaces(sealed, shapes)
        } catch {
            findings.append(Finding(error, .structure, file: name))
            readSpacesWithoutFrame()
        }
    }

    deinit { file.close() }

    /// Takes the places from the directory.
    private func readSpaces(_ sealed: SealedFile, _ shapes: [CollectionShape]) throws(StoreError) {
        let table = try sealed.requiredSection(SectionType.spaces)
        do throws(StoreError) {
            entries = Self.entries(try table.load())
        } catch {
            findings.append(Finding(error, .checksum, file: name))
        }
        var ordinal: UInt32 = 0
        while let vectors = sealed.section(SectionType.vectors, ordinal: ordinal),
            let rows = sealed.section(SectionType.rowMap, ordinal: ordinal)
        {
            let count = rows.byteCount / 4
            let map = readRows(at: rows.entry.offset, count: count)
            func add(_ id: UInt32, _ dimensions: Int) {
                guard count > 0, vectors.byteCount == count * Self.stride(dimensions) else {
                    return
                }
                let space = Space(
                    dimensions: dimensions,
                    count: count,
                    offset: vectors.entry.offset,
                    rows: map
                )
                spaces[id, default: []].append(space)
            }
            if entries.isEmpty {
                // Any collection whose vectors have that length: checksums tell.
                for shape in shapes where shape.dimensions > 0 { add(shape.id, shape.dimensions) }
            } else if Int(ordinal) < entries.count {
                let entry = entries[Int(ordinal)]
                add(entry.collectionID, entry.dimensions)
            }
            ordinal += 1
        }
    }

    /// Reads the table of spaces and follows from it where everything stands.
    private func readSpacesWithoutFrame() {
        guard let table = try? file.readBytes(at: Self.firstOffset, count: 1 << 16) else { return }
        entries = Self.entries(table)
        var offset = Self.firstOffset + UInt64(entries.count * VectorSpaceEntry.byteCount)
        for entry in entries {
            let count = UInt64(entry.vectorCount)
            let vectors = aligned(offset)
            let rows = aligned(vectors + count * UInt64(entry.strideByteCount))
            let norms = aligned(rows + count * 4)
            offset = norms + count * 4
            guard vectors < byteCount else { return }
            let space = Space(
                dimensions: entry.dimensions,
                count: entry.vectorCount,
                offset: vectors,
                rows: readRows(at: rows, count: entry.vectorCount)
            )
            spaces[entry.collectionID] = [space]
        }
    }

    /// The entries at the start of `table`, up to the first bytes that are no further one.
    private static func entries(_ table: [UInt8]) -> [VectorSpaceEntry] {
        var entries: [VectorSpaceEntry] = []
        table.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            while let entry = try? VectorSpaceEntry(decoding: &reader) {
                guard entries.last.map({ $0.collectionID < entry.collectionID }) ?? true else {
                    return
                }
                entries.append(entry)
            }
        }
        return entries
    }

    private func aligned(_ offset: UInt64) -> UInt64 {
        (offset + SectionEntry.alignment - 1) / SectionEntry.alignment * SectionEntry.alignment
    }

    private func readRows(at offset: UInt64, count: Int) -> [UInt32] {
        guard offset < byteCount else { return [] }
        // Not more than the file holds.
        let count = min(count, Int((byteCount - offset) / 4))
        guard let bytes = try? file.readBytes(at: offset, count: count * 4) else { return [] }
        return bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
            }
        }
    }

    /// The vector of a row: the bytes that match `checksum`, if there are any.
    ///
    /// - Parameter ordinals: where the vector stands if the row map is damaged: as many vectors of
    ///   the collection are before it.
    func vector(
        of row: UInt32,
        collectionID: UInt32,
        checksum: UInt32,
        ordinals: ClosedRange<Int>
    ) -> [UInt8]? {
        for space in spaces[collectionID] ?? [] {
            if let ordinal = place(of: row, in: space.rows) {
                if let bytes = read(ordinal, space, checksum) { return bytes }
            }
            for ordinal in ordinals.prefix(Self.trialLimit) {
                if let bytes = read(ordinal, space, checksum) { return bytes }
            }
        }
        return nil
    }

    private func place(of row: UInt32, in rows: [UInt32]) -> Int? {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low < rows.count && rows[low] == row ? low : nil
    }

    private func read(_ ordinal: Int, _ space: Space, _ checksum: UInt32) -> [UInt8]? {
        guard ordinal < space.count else { return nil }
        let offset = space.offset + UInt64(ordinal) * space.stride
        let count = space.dimensions * 4
        guard offset < byteCount, let bytes = try? file.readBytes(at: offset, count: count),
            bytes.count == count, bytes.withUnsafeBytes({ CRC32C.value($0) }) == checksum
        else { return nil }
        return bytes
    }
}
