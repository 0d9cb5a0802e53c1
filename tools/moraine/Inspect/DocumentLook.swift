// Records of a .doc file, decoded, for the inspectors. Bytes: format-spec/document.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage

/// The blocks of a .doc file, each decoded when it is looked at.
struct DocumentLook {
    private let walk: SealedWalk
    /// Where the blocks stand, in the order of their rows, tombstones last.
    private let blocks: [Place]

    /// What is known of a block before it is read.
    private struct Place {
        let offset: UInt64
        let storedByteCount: UInt32
        let firstRow: UInt32
        let recordCount: UInt32
        /// As the index has it.
        let headerChecksum: UInt32?
    }

    /// Finds the blocks by the index, or one after the other when there is no sound one.
    init(_ walk: SealedWalk, _ store: InspectedStore) {
        self.walk = walk
        do throws(StoreError) {
            if let blocks = try Self.index(walk) {
                self.blocks = blocks
                return
            }
        } catch {
            _ = store.damage(error)
        }
        blocks = Self.blocksInOrder(walk, store)
    }

    private static func index(_ walk: SealedWalk) throws(StoreError) -> [Place]? {
        try walk.section(SectionType.blockIndex) { bytes throws(FormatError) in
            var reader = ByteReader(bytes)
            var places: [Place] = []
            while !reader.isAtEnd {
                let entry = try BlockIndexEntry(decoding: &reader)
                places.append(
                    Place(
                        offset: entry.offset,
                        storedByteCount: entry.storedByteCount,
                        firstRow: entry.firstRow,
                        recordCount: entry.recordCount,
                        headerChecksum: entry.headerChecksum
                    )
                )
            }
            return places
        }
    }

    private static func blocksInOrder(_ walk: SealedWalk, _ store: InspectedStore) -> [Place] {
        let section = walk.sections.first { $0.type == SectionType.documentBlocks }
        var offset = section?.offset ?? UInt64(FileHeader.byteCount)
        let end = section.map { $0.offset &+ $0.byteCount } ?? walk.file.byteCount
        var places: [Place] = []
        while offset < end {
            do throws(StoreError) {
                let header = try readBlock(walk, at: offset, named: nil)
                places.append(
                    Place(
                        offset: offset,
                        storedByteCount: header.storedByteCount,
                        firstRow: header.firstRow,
                        recordCount: header.recordCount,
                        headerChecksum: nil
                    )
                )
                let count = UInt64(DocumentBlockHeader.byteCount) + UInt64(header.storedByteCount)
                offset += (count + 7) & ~7
            } catch {
                // Without a directory nothing tells where the blocks end.
                if section != nil { _ = store.damage(error) }
                break
            }
        }
        return places
    }

    /// Calls `visit` with each record that `look` asks for, in the order of the file; damaged
    /// blocks are told and passed over.
    func forEach(
        _ look: Look,
        _ store: InspectedStore,
        _ visit: (FoundRecord) throws(FormatError) -> Bool
    ) {
        for index in candidates(look) {
            do throws(StoreError) {
                let block = try block(blocks[index])
                for place in 0..<block.recordCount {
                    let record = try block.record(place)
                    let isTombstone = block.header.kind == .tombstones
                    let found = FoundRecord(
                        record: record,
                        row: isTombstone ? nil : block.firstRow &+ UInt32(place),
                        block: index,
                        blockOffset: block.offset
                    )
                    guard matches(found, look) else { continue }
                    do throws(FormatError) {
                        guard try visit(found) else { return }
                    } catch {
                        let path = walk.file.file.path
                        throw StoreError(error, path: path, base: block.offset)
                    }
                }
                withExtendedLifetime(block) {}
            } catch {
                _ = store.damage(error)
            }
        }
    }

    var blockCount: Int { blocks.count }

    /// The blocks that may hold what is asked for.
    private func candidates(_ look: Look) -> [Int] {
        switch look {
        case .block(let number): return blocks.indices.contains(number) ? [number] : []
        case .row(let row):
            return blocks.indices.filter { index in
                let place = blocks[index]
                return place.firstRow != DocumentBlockHeader.noRow && place.firstRow <= row
                    && row - place.firstRow < place.recordCount
            }
        case .keys(let range):
            let rowBlocks = blocks.firstIndex { $0.firstRow == DocumentBlockHeader.noRow }
            let count = rowBlocks ?? blocks.count
            let tombstones = Array(count..<blocks.count)
            return bounds(of: range, among: count) + tombstones
        }
    }

    /// The blocks of rows that can hold keys of a range; all of them when one that is asked on the
    /// way is damaged.
    private func bounds(of range: KeyRange, among count: Int) -> [Int] {
        func firstKey(_ index: Int) -> [UInt8]? {
            guard let block = try? block(blocks[index]), let record = try? block.record(0) else {
                return nil
            }
            let key = KeyRange.key(record.collectionID, Array(record.id))
            withExtendedLifetime(block) {}
            return key
        }
        // The first block whose first key is not below `bound`.
        func partition(_ bound: [UInt8]) -> Int? {
            var low = 0
            var high = count
            while low < high {
                let middle = (low + high) / 2
                guard let key = firstKey(middle) else { return nil }
                if key.lexicographicallyPrecedes(bound) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        guard let first = partition(range.lower), let end = partition(range.upper) else {
            return Array(0..<count)
        }
        return Array(max(0, first - 1)..<max(end, max(0, first - 1)))
    }

    private func matches(_ found: FoundRecord, _ look: Look) -> Bool {
        switch look {
        case .block: true
        case .row(let row): found.row == row
        case .keys(let range):
            range.contains(collectionID: found.record.collectionID, id: found.record.id)
        }
    }

    private func block(_ place: Place) throws(StoreError) -> DecodedBlock {
        let header = try readBlock(walk, at: place.offset, named: place.headerChecksum)
        let start = place.offset + UInt64(DocumentBlockHeader.byteCount)
        let path = walk.file.file.path
        return try walk.file.decode(at: start, count: Int(header.storedByteCount)) {
            payload throws(FormatError) in
            try DecodedBlock(header: header, offset: place.offset, payload: payload, path: path)
        }
    }
}

/// A record and where it stands.
struct FoundRecord {
    let record: DocumentRecord
    /// `nil` for a tombstone.
    let row: UInt32?
    let block: Int
    let blockOffset: UInt64

    /// All of the record.
    ///
    /// - Parameter isDead: `nil` when nothing tells.
    func fields(isDead: Bool?) throws(FormatError) -> Description.Fields {
        var fields: Description.Fields = [
            ("block", .number(block)), ("blockOffset", .number(blockOffset)),
            ("row", row.map { .number($0) } ?? .null),
            ("collectionID", .number(record.collectionID)), ("id", .bytes(record.id)),
            ("lsn", .number(record.lsn)),
        ]
        if record.isTombstone {
            return fields + [("tombstone", .bool(true)), ("time", .time(record.created))]
        }
        try record.validate()
        fields += [
            ("created", .time(record.created)), ("updated", .time(record.updated)),
            ("expiry", record.expiry == 0 ? .null : .time(record.expiry)),
            ("vectorChecksum", record.vectorChecksum.map { .checksum($0) } ?? .null),
            ("dead", isDead.map { .bool($0) } ?? .null),
            ("metadata", .json(try jsonText(metadata: record.metadata))),
            ("text", .bytes(record.text)),
        ]
        return fields
    }
}
