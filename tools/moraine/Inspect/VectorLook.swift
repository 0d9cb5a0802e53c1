// Vectors of a .vec file, for the inspectors. Bytes: format-spec/vector.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

/// The spaces of a .vec file.
struct VectorLook {
    private let walk: SealedWalk
    private let spaces: [VectorSpaceEntry]

    init(_ walk: SealedWalk) throws(StoreError) {
        self.walk = walk
        spaces =
            try walk.section(SectionType.spaces) { bytes throws(FormatError) in
                var reader = ByteReader(bytes)
                var spaces: [VectorSpaceEntry] = []
                while !reader.isAtEnd { spaces.append(try VectorSpaceEntry(decoding: &reader)) }
                return spaces
            } ?? []
    }

    /// The vectors of a row: one for each space that has it.
    func vectors(ofRow row: UInt32, _ store: InspectedStore) throws(StoreError) -> [Description] {
        var found: [Description] = []
        for (index, space) in spaces.enumerated() {
            guard let rows = section(SectionType.rowMap, index),
                let ordinal = try ordinal(of: row, in: rows, space)
            else { continue }
            tellFaults(ordinal, index, space, store)
            found.append(
                .object([
                    ("file", .text(walk.file.name)), ("space", .number(index)),
                    ("collectionID", .number(space.collectionID)), ("row", .number(row)),
                    ("ordinal", .number(ordinal)), ("metric", .text(space.metric.name)),
                    ("dimensions", .number(space.dimensions)),
                    ("norm", .json(try norm(ordinal, index))),
                    ("vector", .json(try floats(ordinal, index, space))),
                ])
            )
        }
        return found
    }

    /// Tells what is wrong with the chunks that hold a vector's parts.
    private func tellFaults(
        _ ordinal: Int,
        _ index: Int,
        _ space: VectorSpaceEntry,
        _ store: InspectedStore
    ) {
        let sizes = [
            (SectionType.rowMap, 4), (SectionType.norms, 4),
            (SectionType.vectors, space.strideByteCount),
        ]
        for (type, size) in sizes {
            guard let section = section(type, index) else { continue }
            let place = section.offset + UInt64(ordinal) * UInt64(size)
            for fault in walk.faults(at: place, count: size) { _ = store.damage(fault) }
        }
    }

    private func section(_ type: UInt32, _ ordinal: Int) -> SectionEntry? {
        walk.sections.first { $0.type == type && $0.ordinal == UInt32(ordinal) }
    }

    private func ordinal(of row: UInt32, in rows: SectionEntry, _ space: VectorSpaceEntry)
        throws(StoreError) -> Int?
    {
        let count = min(space.vectorCount, Int(rows.byteCount / 4))
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if try number(rows, middle) < row { low = middle + 1 } else { high = middle }
        }
        guard low < count, try number(rows, low) == row else { return nil }
        return low
    }

    private func number(_ section: SectionEntry, _ index: Int) throws(StoreError) -> UInt32 {
        try walk.file.decode(at: section.offset + UInt64(index * 4), count: 4) {
            bytes throws(FormatError) in
            UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        }
    }

    private func norm(_ ordinal: Int, _ space: Int) throws(StoreError) -> String {
        guard let norms = section(SectionType.norms, space) else { return "null" }
        return jsonText(Float(bitPattern: try number(norms, ordinal)))
    }

    private func floats(_ ordinal: Int, _ index: Int, _ space: VectorSpaceEntry)
        throws(StoreError) -> String
    {
        guard let vectors = section(SectionType.vectors, index) else { return "null" }
        let start = vectors.offset + UInt64(ordinal) * UInt64(space.strideByteCount)
        let bytes = try walk.file.bytes(at: start, count: space.dimensions * 4)
        return bytes.withUnsafeBytes { jsonText(vector: $0) }
    }
}
