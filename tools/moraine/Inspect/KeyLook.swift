// Entries of a .key file, for the inspectors. Bytes: format-spec/key.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

/// One entry of a key block.
struct FoundKey {
    let block: Int
    /// Of the entry in the file.
    let offset: UInt64
    let row: UInt32
    let key: [UInt8]
    let lsn: UInt64
    let created: UInt64
    let expiry: UInt64

    var fields: Description.Fields {
        key.withUnsafeBytes { key in
            [
                ("block", .number(block)), ("offset", .number(offset)), ("row", .number(row)),
                ("collectionID", .number(KeyBytes.collection(of: key))),
                ("id", key.count < KeyBytes.prefixByteCount ? .null : .bytes(KeyBytes.id(of: key))),
                ("lsn", .number(lsn)), ("created", .time(created)),
                ("expiry", expiry == 0 ? .null : .time(expiry)),
            ]
        }
    }
}

/// The blocks of a .key file.
struct KeyLook {
    private static let blockByteCount = 4_096

    private let walk: SealedWalk
    private let section: SectionEntry?
    /// The first row of each block, as the fences say.
    private let firstRows: [UInt32]

    init(_ walk: SealedWalk, _ store: InspectedStore) {
        self.walk = walk
        section = walk.sections.first { $0.type == SectionType.keyBlocks }
        var rows: [UInt32] = []
        do throws(StoreError) {
            rows =
                try walk.section(SectionType.fences) { bytes throws(FormatError) in
                    var reader = ByteReader(bytes)
                    let count = Int(try reader.readUInt32("blockCount"))
                    var rows: [UInt32] = []
                    for _ in 0..<min(count, reader.remaining / 4) {
                        rows.append(try reader.readUInt32("firstRow"))
                    }
                    return rows
                } ?? []
        } catch {
            _ = store.damage(error)
        }
        firstRows = rows
    }

    /// Calls `visit` with each entry that `look` asks for.
    func forEach(_ look: Look, _ store: InspectedStore, _ visit: (FoundKey) -> Void) {
        guard let section else { return }
        let count = Int(section.byteCount / UInt64(Self.blockByteCount))
        for number in 0..<count {
            if case .block(let wanted) = look, wanted != number { continue }
            if case .row(let row) = look, !mayHold(row, number) { continue }
            let offset = section.offset + UInt64(number * Self.blockByteCount)
            for fault in walk.faults(at: offset, count: Self.blockByteCount) {
                _ = store.damage(fault)
            }
            do throws(StoreError) {
                let entries = try walk.file.decode(at: offset, count: Self.blockByteCount) {
                    bytes throws(FormatError) -> [FoundKey] in
                    try self.entries(bytes, number, at: offset)
                }
                for entry in entries {
                    switch look {
                    case .block: visit(entry)
                    case .row(let row): if entry.row == row { visit(entry) }
                    case .keys(let range): if range.contains(entry.key) { visit(entry) }
                    }
                }
            } catch {
                _ = store.damage(error)
            }
        }
    }

    private func mayHold(_ row: UInt32, _ number: Int) -> Bool {
        guard number < firstRows.count else { return true }
        let isBehind = number + 1 < firstRows.count && firstRows[number + 1] <= row
        return firstRows[number] <= row && !isBehind
    }

    private func entries(_ bytes: UnsafeRawBufferPointer, _ number: Int, at offset: UInt64)
        throws(FormatError) -> [FoundKey]
    {
        var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - 4)...]))
        let restartCount = Int(try trailer.readUInt16("restartCount"))
        let entryCount = Int(try trailer.readUInt16("entryCount"))
        let end = bytes.count - 4 - restartCount * 2
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<max(0, end)]))
        var entries: [FoundKey] = []
        var key: [UInt8] = []
        let firstRow = number < firstRows.count ? firstRows[number] : 0
        for index in 0..<entryCount {
            let start = reader.position
            let shared = try reader.readVarint("shared")
            let rest = try reader.readPrefixed("rest")
            guard shared <= UInt64(key.count) else {
                throw FormatError(
                    .range,
                    at: UInt64(start),
                    field: "shared",
                    expected: "at most \(key.count)",
                    found: "\(shared)"
                )
            }
            key = Array(key.prefix(Int(shared))) + rest
            entries.append(
                FoundKey(
                    block: number,
                    offset: offset + UInt64(start),
                    row: firstRow &+ UInt32(index),
                    key: key,
                    lsn: try reader.readVarint("LSN"),
                    created: try reader.readVarint("created"),
                    expiry: try reader.readVarint("expiry")
                )
            )
        }
        return entries
    }
}
