// A document file of which anything may be damaged: which blocks can be found, and what lies
// between them. Bytes: format-spec/document.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage

/// A block of records as its header or the index describes it.
struct BlockPlace {
    let offset: UInt64
    let firstRow: UInt32
    let recordCount: UInt32
    let number: UInt32
    let isTombstones: Bool
}

/// A run of a stream of records: a block, or a place where one or more are missing.
enum StreamPart {
    case block(BlockPlace)
    /// Rows that cannot be read; `nil` where nobody knows which.
    case gap(rows: Range<UInt32>?)
}

/// A document file, read as far as it can be.
final class DocumentSource {
    let segmentID: UInt64
    /// Relative to the store's folder.
    let name: String
    let file: any File
    private let byteCount: UInt64
    private let seed: ChecksumSeed
    /// `nil` when neither footer nor index say.
    private(set) var rowCount: UInt32?
    private(set) var lsns: ClosedRange<UInt64>?
    /// The newest commit when the file was made.
    let createdLSN: UInt64?
    private(set) var schema: [SegmentCollection] = []
    /// The segments that this one was compacted from.
    private(set) var inputs: [UInt64] = []
    /// What commits took away at once.
    private(set) var removals: [Removal] = []
    /// False when there may be removals that cannot be read.
    private(set) var hasAllRemovals = false
    /// True when frame and the small sections verify: nothing beside blocks is missing.
    private(set) var isFramed = false
    /// The checksum of each block's header by the block's place; `nil` when no index says.
    private var headerChecksums: [UInt64: UInt32]?
    /// The documents in the order of their rows, and the tombstones in the order of their keys.
    private(set) var documents: [StreamPart] = []
    private(set) var tombstones: [StreamPart] = []
    private(set) var findings: [Finding] = []

    init?(_ found: FoundFile, in inventory: Inventory) {
        guard let open = try? inventory.open(found) else { return nil }
        segmentID = found.fileID
        name = found.name
        file = open
        byteCount = found.byteCount
        createdLSN = found.header?.createdLSN
        seed = inventory.storeID.seed.mixed(found.fileID)
        let footer = inventory.footer(found)
        if let footer, let rows = UInt32(exactly: footer.rowCount),
            UInt64(rows) <= FormatLimits.segmentRowCount
        {
            rowCount = rows
            if footer.minLSN <= footer.maxLSN { lsns = footer.minLSN...footer.maxLSN }
        }
        readFrame(found, inventory)
    }

    deinit { file.close() }

    /// What the manifest knows, where the file does not say.
    func learn(rowCount: UInt32, lsns: ClosedRange<UInt64>) {
        if self.rowCount == nil { self.rowCount = rowCount }
        if self.lsns == nil { self.lsns = lsns }
    }

    func note(_ finding: Finding) { findings.append(finding) }

    // MARK: The frame

    private func readFrame(_ found: FoundFile, _ inventory: Inventory) {
        do throws(StoreError) {
            guard let reference = inventory.reference(found) else {
                throw StoreError(.corrupted, "the file has no footer", path: found.name)
            }
            let sealed = try SealedFile(
                fileSystem: inventory.fileSystem,
                root: inventory.folder,
                name: FileNames.document(segmentID),
                kind: .document,
                storeID: inventory.storeID,
                reference: reference,
                access: .read
            )
            isFramed = true
            readSections(sealed)
        } catch {
            note(Finding(error, .structure, file: name))
        }
    }

    /// Reads schema, inputs and index, each for itself.
    private func readSections(_ sealed: SealedFile) {
        let rows = UInt64(rowCount ?? 0)
        if let blocks = sealed.section(SectionType.documentBlocks)?.entry {
            blocksEnd = blocks.offset + blocks.byteCount
        }
        attempt { () throws(StoreError) in
            let section = try sealed.requiredSection(SectionType.schema)
            schema = try decode(section) { bytes throws(FormatError) in
                try SegmentCollection.decode(bytes, rowCount: rows)
            }
        }
        attempt { () throws(StoreError) in
            guard let section = sealed.section(SectionType.inputs) else { return }
            inputs = try decode(section, DocumentFile.readInputs)
        }
        attempt { () throws(StoreError) in
            if let section = sealed.section(SectionType.removals) {
                removals = try decode(section, Removal.decode)
            }
            hasAllRemovals = true
        }
        do throws(StoreError) {
            let section = try sealed.requiredSection(SectionType.blockIndex)
            headerChecksums = try decode(section, Self.readIndex)
        } catch {
            // What is in the blocks is not less for that.
            note(Finding(error, .structure, file: name))
        }
    }

    private static func readIndex(_ bytes: UnsafeRawBufferPointer) throws(FormatError)
        -> [UInt64: UInt32]
    {
        var reader = ByteReader(bytes)
        var checksums: [UInt64: UInt32] = [:]
        while !reader.isAtEnd {
            let entry = try BlockIndexEntry(decoding: &reader)
            checksums[entry.offset] = entry.headerChecksum
        }
        return checksums
    }

    private func attempt(_ body: () throws(StoreError) -> Void) {
        do throws(StoreError) {
            try body()
        } catch {
            isFramed = false
            note(Finding(error, .structure, file: name))
        }
    }

    private func decode<T>(
        _ section: Section,
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> T
    ) throws(StoreError) -> T {
        let bytes = try section.load()
        do throws(FormatError) {
            return try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                try body(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw StoreError(error, path: name, base: section.entry.offset)
        }
    }

    // MARK: The blocks

    /// Finds the blocks; call once, after `learn`.
    ///
    /// The index is not needed: a block's header says what it is, and is bound to its place. Where
    /// there is one, it says which of the blocks are this file's.
    ///
    /// - Parameter tombstoneCount: how many there must be, when the manifest says.
    func findBlocks(tombstoneCount: UInt64?) throws(StoreError) {
        var places = try scan()
        places.sort { ($0.isTombstones ? 1 : 0, $0.number) < ($1.isTombstones ? 1 : 0, $1.number) }
        var nextRow: UInt32 = 0
        var count: UInt32 = 0
        for place in places where !place.isTombstones {
            // Rows that an earlier block has: bytes of no writer of ours.
            guard place.firstRow >= nextRow, place.recordCount <= .max - 1 - place.firstRow else {
                note(blockFinding(place.offset, "row \(nextRow)", "row \(place.firstRow)"))
                continue
            }
            if place.firstRow > nextRow { documents.append(.gap(rows: nextRow..<place.firstRow)) }
            documents.append(.block(place))
            nextRow = place.firstRow + place.recordCount
            count = place.number &+ 1
        }
        var expected: UInt32?
        if let rowCount, nextRow >= rowCount {
            expected = count
        } else {
            documents.append(.gap(rows: rowCount.map { nextRow..<$0 }))
        }
        var found: UInt64 = 0
        for place in places where place.isTombstones {
            // With documents missing in front, any number above the last one's is a guess.
            if place.number != expected ?? count { tombstones.append(.gap(rows: nil)) }
            tombstones.append(.block(place))
            found += UInt64(place.recordCount)
            expected = place.number &+ 1
        }
        let isComplete = tombstoneCount.map { found >= $0 } ?? isTiled(places)
        if isComplete {
            tombstones.removeAll { if case .gap = $0 { true } else { false } }
        } else {
            tombstones.append(.gap(rows: nil))
        }
    }

    /// True when the blocks lie side by side up to the end of their section.
    private func isTiled(_ places: [BlockPlace]) -> Bool {
        var end = UInt64(FileHeader.byteCount)
        for place in places.sorted(by: { $0.offset < $1.offset }) {
            guard place.offset == (end + 7) & ~7 else { return false }
            end = ends[place.offset] ?? 0
        }
        return blocksEnd.map { end + 7 >= $0 } ?? false
    }

    /// Where each block that was found ends.
    private var ends: [UInt64: UInt64] = [:]
    /// Where the section of blocks ends, when the directory says.
    private var blocksEnd: UInt64?

    /// Looks for block headers at every multiple of 8.
    private func scan() throws(StoreError) -> [BlockPlace] {
        var places: [BlockPlace] = []
        var window = [UInt8](repeating: 0, count: 1 << 18)
        var offset = UInt64(FileHeader.byteCount)
        var start: UInt64 = 0
        var count = 0
        let magic = UInt32(littleEndian: 0x4B4C_424D)  // "MBLK"
        while byteCount >= 64, offset <= byteCount - 64 {
            if offset < start || offset + 64 > start + UInt64(count) {
                start = offset
                count = readTolerantly(&window, at: start)
                // A sector that cannot be read: look behind it.
                guard count >= 64 else {
                    offset = (offset + 4096) & ~4095
                    continue
                }
            }
            let at = Int(offset - start)
            let found = window.withUnsafeBytes {
                bytes -> (BlockPlace, DocumentBlockHeader, UInt64)? in
                guard bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self) == magic else {
                    return nil
                }
                return place(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + 56)]), at: offset)
            }
            guard let (place, header, end) = found else {
                offset += 8
                continue
            }
            if verifies(header, at: offset) {
                places.append(place)
                ends[offset] = end
            }
            offset = (end + 7) & ~7
        }
        return places
    }

    private func place(_ bytes: UnsafeRawBufferPointer, at offset: UInt64)
        -> (BlockPlace, DocumentBlockHeader, UInt64)?
    {
        guard
            let header = try? DocumentBlockHeader(
                decoding: bytes,
                at: offset,
                seed: seed,
                named: nil
            ), isNamed(bytes, at: offset), header.segmentID == segmentID, header.recordCount > 0,
            header.rawByteCount <= UInt32(FormatLimits.rawBlockByteCount),
            header.recordCount <= header.rawByteCount / 5,
            UInt64(header.storedByteCount) <= byteCount - offset - 56
        else { return nil }
        let place = BlockPlace(
            offset: offset,
            firstRow: header.firstRow,
            recordCount: header.recordCount,
            number: header.blockNumber,
            isTombstones: header.kind == .tombstones
        )
        return (place, header, offset + 56 + UInt64(header.storedByteCount))
    }

    /// False for a header that is sound and not the one that the index names: of a copy of the
    /// store that went on by itself, or bytes of a document.
    private func isNamed(_ header: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
        guard let headerChecksums else { return true }
        let found = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let named = headerChecksums[offset]
        if found == named { return true }
        note(
            Finding(
                .mismatch,
                file: name,
                offset: offset + 4,
                expected: named.map { "headerChecksum \(hex($0))" } ?? "no block",
                found: hex(found)
            )
        )
        return false
    }

    /// True when the payload behind a header matches its checksum: what is missing must be known
    /// before the first record is believed.
    private func verifies(_ header: DocumentBlockHeader, at offset: UInt64) -> Bool {
        let start = offset + UInt64(DocumentBlockHeader.byteCount)
        // In range: held against the file's length.
        let count = Int(header.storedByteCount)
        let found: String
        do throws(FileError) {
            let payload = try file.readBytes(at: start, count: count)
            let checksum = payload.withUnsafeBytes { CRC32C.value($0) }
            if payload.count == count, checksum == header.payloadChecksum { return true }
            found = hex(checksum)
        } catch {
            found = error.reason
        }
        note(
            Finding(
                .checksum,
                file: name,
                offset: start,
                expected: hex(header.payloadChecksum),
                found: found
            )
        )
        return false
    }

    /// True when a record may be missing.
    var hasGaps: Bool {
        !isFramed
            || (documents + tombstones).contains { if case .gap = $0 { true } else { false } }
    }

    private func readTolerantly(_ buffer: inout [UInt8], at offset: UInt64) -> Int {
        let all = buffer.withUnsafeMutableBytes { try? file.readUpTo($0, at: offset) }
        if let all { return all }
        // Less at a time, so that what stands before a bad sector is still seen.
        let little = buffer.withUnsafeMutableBytes { bytes in
            try? file.readUpTo(UnsafeMutableRawBufferPointer(rebasing: bytes[..<4096]), at: offset)
        }
        return little ?? 0
    }

    /// Reads a block; `nil`, and a finding, when it does not verify.
    func read(_ place: BlockPlace) -> DecodedBlock? {
        do throws(StoreError) {
            let stored = (ends[place.offset] ?? place.offset) - place.offset
            let bytes = try fileCall("read a block") { () throws(FileError) in
                // In range: held against the file's length when the block was found.
                try file.readBytes(at: place.offset, count: Int(stored))
            }
            guard bytes.count == Int(stored), bytes.count >= DocumentBlockHeader.byteCount else {
                throw StoreError(.corrupted, "a block is cut", path: name, offset: place.offset)
            }
            do throws(FormatError) {
                return try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                    try decodeBlock(UnsafeRawBufferPointer(buffer), place)
                }
            } catch {
                throw StoreError(error, path: name, base: place.offset)
            }
        } catch {
            note(Finding(error, .block, file: name))
            return nil
        }
    }

    private func decodeBlock(_ bytes: UnsafeRawBufferPointer, _ place: BlockPlace)
        throws(FormatError) -> DecodedBlock
    {
        let count = DocumentBlockHeader.byteCount
        let header = try DocumentBlockHeader(
            decoding: UnsafeRawBufferPointer(rebasing: bytes[..<count]),
            at: place.offset,
            seed: seed,
            named: nil
        )
        let payload = UnsafeRawBufferPointer(rebasing: bytes[count...])
        try expectChecksum(
            CRC32C.value(payload),
            header.payloadChecksum.littleEndian,
            at: 48,
            "payloadChecksum"
        )
        return try DecodedBlock(
            header: header,
            offset: place.offset,
            payload: payload,
            path: name
        )
    }

    private func blockFinding(_ offset: UInt64, _ expected: String, _ found: String) -> Finding {
        Finding(.block, file: name, offset: offset, expected: expected, found: found)
    }
}
