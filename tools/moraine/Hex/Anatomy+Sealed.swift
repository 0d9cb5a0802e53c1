// The structures of sealed files. Bytes: format-spec/file-header.md, document.md, key.md,
// vector.md, codes.md, graph.md, columns.md, deletion.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

extension SectionType {
    /// What a section holds, for people.
    static func name(_ type: UInt32) -> String {
        switch type {
        case documentBlocks: "blocks"
        case blockIndex: "block index"
        case schema: "schema"
        case inputs: "inputs"
        case removals: "removals"
        case expiries: "expiries"
        case keyBlocks: "key blocks"
        case fences: "fences"
        case filter: "filter"
        case spaces: "spaces"
        case vectors: "vectors"
        case rowMap: "row map"
        case norms: "norms"
        case deletionSummary: "summary"
        case deadRowContainers: "containers"
        case source: "source"
        case codeSpaces: "coded spaces"
        case codeHighHalves: "high halves"
        case codeLowHalves: "low halves"
        case codeErrors: "errors"
        case codeSquareSums: "sums of squares"
        case coarseErrors: "coarse errors"
        case coarseSquareSums: "coarse sums of squares"
        case graphSpaces: "graphs"
        case links: "links"
        case graphEntries: "entries"
        case duplicates: "duplicates"
        case columnValues: "values"
        case columnPaths: "paths"
        case columns: "columns"
        case columnFields: "fields"
        case columnCollections: "collections"
        case checksumTable: "checksum table"
        default: "unknown"
        }
    }
}

extension Anatomy {
    /// Header, sections, directory, footer.
    func walkSealed() throws(StoreError) {
        try walkHeader()
        // A look at a part is not paid with reading the whole.
        let isWhole = window.lowerBound == 0 && window.upperBound >= file.byteCount
        let sealed = try SealedWalk(file, store, verifies: isWhole)
        var offset = UInt64(FileHeader.byteCount)
        // A file that was cut may have room for a part of a footer only.
        let frame = offset + UInt64(FileFooter.byteCount)
        guard file.byteCount >= frame else {
            return unnamed("bytes", from: offset, to: file.byteCount)
        }
        let footerStart = file.byteCount - UInt64(FileFooter.byteCount)
        for entry in sealed.sections where !isBehind(offset) {
            guard entry.offset >= offset, entry.offset <= footerStart,
                entry.byteCount <= footerStart - entry.offset
            else { continue }
            unnamed("zeros before a section", from: offset, to: entry.offset)
            do throws(StoreError) {
                try walk(entry, sealed)
            } catch {
                _ = store.damage(error)
                unnamed(
                    "section \(entry.type): \(SectionType.name(entry.type))",
                    from: entry.offset,
                    to: entry.offset + entry.byteCount
                )
            }
            offset = entry.offset + entry.byteCount
        }
        let directory = sealed.footer?.directoryOffset ?? footerStart
        unnamed("bytes before the directory", from: offset, to: min(directory, footerStart))
        if directory >= offset, directory < footerStart {
            try walkDirectory(from: directory, to: footerStart)
        }
        try add(at: footerStart, count: file.byteCount - footerStart) { bytes in
            Structure("footer", at: footerStart, bytes, layout: FileFooter.layout)
        }
    }

    private func walkDirectory(from start: UInt64, to end: UInt64) throws(StoreError) {
        try entries("directory entry", SectionEntry.layout, SectionEntry.byteCount, start, end) {
            bytes in
            let type = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            return SectionType.name(UInt32(littleEndian: type))
        }
    }

    /// Structures of one size, one after the other.
    private func entries(
        _ title: String,
        _ layout: [ByteField],
        _ size: Int,
        _ start: UInt64,
        _ end: UInt64,
        says: ([UInt8]) -> String = { _ in "" }
    ) throws(StoreError) {
        let size = UInt64(size)
        var index = window.lowerBound > start ? (window.lowerBound - start) / size : 0
        while !isBehind(start + index * size), start + (index + 1) * size <= end {
            let place = start + index * size
            try add(at: place, count: size) { bytes in
                let text = says(bytes)
                return Structure(
                    "\(title) \(index)" + (text.isEmpty ? "" : ": \(text)"),
                    at: place,
                    bytes,
                    layout: layout
                )
            }
            index += 1
        }
        unnamed("bytes left over", from: start + (end - start) / size * size, to: end)
    }

    private func walk(_ entry: SectionEntry, _ sealed: SealedWalk) throws(StoreError) {
        let start = entry.offset
        let end = entry.offset + entry.byteCount
        switch entry.type {
        case SectionType.documentBlocks: try walkBlocks(sealed, from: start, to: end)
        case SectionType.blockIndex:
            let size = BlockIndexEntry.byteCount
            try entries("block index entry", BlockIndexEntry.layout, size, start, end)
        case SectionType.schema:
            try add(at: start, count: entry.byteCount) {
                list("schema", FieldGrammar.schemaEntry, $0, start)
            }
        case SectionType.inputs: pieces("inputs", "segment id", "u64[]", from: start, to: end)
        case SectionType.removals:
            try add(at: start, count: entry.byteCount) {
                list("removals", FieldGrammar.removal, $0, start)
            }
        case SectionType.expiries:
            try add(at: start, count: entry.byteCount) {
                list("expiries", FieldGrammar.expiry, $0, start)
            }
        case SectionType.keyBlocks: try walkKeyBlocks(from: start, to: end)
        case SectionType.fences: try add(at: start, count: entry.byteCount) { fences($0, start) }
        case SectionType.filter:
            let head = UInt64(KeyFilterHeader.byteCount)
            try add(at: start, count: min(head, entry.byteCount)) { bytes in
                Structure("filter", at: start, bytes, layout: KeyFilterHeader.layout)
            }
            pieces("fingerprints", "fingerprints", "u8[]", from: start + head, to: end)
        case SectionType.spaces:
            let size = VectorSpaceEntry.byteCount
            try entries("space", VectorSpaceEntry.layout, size, start, end)
        case SectionType.vectors: try walkVectors(entry, sealed)
        case SectionType.rowMap:
            pieces("row map of space \(entry.ordinal)", "row", "u32[]", from: start, to: end)
        case SectionType.norms:
            pieces("norms of space \(entry.ordinal)", "norm", "f32[]", from: start, to: end)
        case SectionType.deletionSummary:
            try add(at: start, count: entry.byteCount) { bytes in
                Structure("summary", at: start, bytes, layout: DeletionSummary.layout)
            }
        case SectionType.deadRowContainers: try walkContainers(from: start, to: end)
        case SectionType.source:
            try entries("source", DerivedSource.layout, DerivedSource.byteCount, start, end)
        case SectionType.codeSpaces:
            let size = CodeSpaceEntry.byteCount
            try entries("coded space", CodeSpaceEntry.layout, size, start, end)
        case SectionType.codeHighHalves, SectionType.codeLowHalves:
            let title = "\(SectionType.name(entry.type)) of coded space \(entry.ordinal)"
            pieces(title, "half", "u8[]", from: start, to: end)
        case SectionType.codeErrors, SectionType.coarseErrors:
            let title = "\(SectionType.name(entry.type)) of coded space \(entry.ordinal)"
            pieces(title, "error", "f32[]", from: start, to: end)
        case SectionType.codeSquareSums, SectionType.coarseSquareSums:
            let title = "\(SectionType.name(entry.type)) of coded space \(entry.ordinal)"
            pieces(title, "sum of squares", "u32[]", from: start, to: end)
        case SectionType.graphSpaces:
            let size = GraphSpaceEntry.byteCount
            try entries("graph", GraphSpaceEntry.layout, size, start, end)
        case SectionType.links, SectionType.graphEntries, SectionType.duplicates:
            let title = "\(SectionType.name(entry.type)) of graph \(entry.ordinal)"
            pieces(title, "ordinal", "u32[]", from: start, to: end)
        case SectionType.columnValues: pieces("values", "value", "u8[]", from: start, to: end)
        case SectionType.columnPaths: pieces("paths", "path", "u8[]", from: start, to: end)
        case SectionType.columns:
            try entries("column", ColumnEntry.layout, ColumnEntry.byteCount, start, end)
        case SectionType.columnFields:
            try entries("field", ColumnField.layout, ColumnField.byteCount, start, end)
        case SectionType.columnCollections:
            let size = ColumnCollection.byteCount
            try entries("collection", ColumnCollection.layout, size, start, end)
        case SectionType.checksumTable:
            pieces("checksum table", "checksum", "x32[]", from: start, to: end)
        default:
            unnamed("section \(entry.type)", from: start, to: end)
        }
    }

    // MARK: Documents

    private func walkBlocks(_ sealed: SealedWalk, from start: UInt64, to end: UInt64)
        throws(StoreError)
    {
        var offset = start
        let head = UInt64(DocumentBlockHeader.byteCount)
        let named = sealed.blockChecksums()
        while offset < end, !isBehind(offset) {
            let header: DocumentBlockHeader
            do throws(StoreError) {
                header = try readBlock(sealed, at: offset, named: named[offset])
            } catch {
                _ = store.damage(error)
                let place = offset
                try add(at: place, count: min(head, end - place)) { bytes in
                    Structure(
                        "block header that does not verify",
                        at: place,
                        bytes,
                        layout: DocumentBlockHeader.layout
                    )
                }
                // The stored length may be right; the next block's header tells.
                let field = try? file.decode(at: offset + 36, count: 4) {
                    bytes throws(FormatError) in bytes.loadUnaligned(as: UInt32.self)
                }
                let count = head + UInt64(UInt32(littleEndian: field ?? 0))
                guard field != nil, count <= end - offset else {
                    return unnamed("bytes", from: offset + head, to: end)
                }
                offset += (count + 7) & ~7
                unnamed("payload", from: place + head, to: min(offset, end))
                continue
            }
            let count = head + UInt64(header.storedByteCount)
            let framed = min((count + 7) & ~7, end - offset)
            let place = offset
            try add(at: place, count: framed) { Self.block($0, at: place, header) }
            offset += (count + 7) & ~7
        }
    }

    private static func block(_ bytes: [UInt8], at offset: UInt64, _ header: DocumentBlockHeader)
        -> Structure
    {
        let kind = header.kind == .documents ? "documents" : "tombstones"
        var structure = Structure(
            "block \(header.blockNumber): \(header.recordCount) \(kind)",
            at: offset,
            bytes,
            layout: DocumentBlockHeader.layout
        )
        let start = DocumentBlockHeader.byteCount
        let end = start + Int(header.storedByteCount)
        let recordsEnd = end - Int(header.recordCount) * 4
        if header.codec == .none, recordsEnd > start {
            var position: Int? = start
            for _ in 0..<header.recordCount {
                guard let at = position, at < recordsEnd else { break }
                let isTombstone = bytes[at] & DocumentRecord.tombstoneFlag != 0
                let grammar = isTombstone ? FieldGrammar.tombstone : FieldGrammar.document
                position = grammar.name(&structure, from: at, to: recordsEnd)
            }
            structure.add("start", "u32[]", at: recordsEnd, count: end - recordsEnd)
        } else {
            let value = "\(header.codec), \(header.rawByteCount) bytes raw"
            structure.add("payload", "u8[]", at: start, count: end - start, value: value)
        }
        structure.add("padding", "u8[]", at: end, count: bytes.count - end)
        return structure
    }

    /// A count, and entries to the end.
    private func list(
        _ name: String,
        _ entry: FieldGrammar,
        _ bytes: [UInt8],
        _ start: UInt64
    ) -> Structure {
        var structure = Structure(name, at: start, bytes)
        var position = FieldGrammar("varint count").name(&structure, from: 0, to: bytes.count)
        while let at = position, at < bytes.count {
            position = entry.name(&structure, from: at, to: bytes.count)
        }
        return structure
    }

    // MARK: Keys

    private func walkKeyBlocks(from start: UInt64, to end: UInt64) throws(StoreError) {
        let size = UInt64(4_096)
        var index = window.lowerBound > start ? (window.lowerBound - start) / size : 0
        while start + index * size < end, !isBehind(start + index * size) {
            let place = start + index * size
            let title = "key block \(index)"
            try add(at: place, count: min(size, end - place)) { bytes in
                Self.keyBlock(bytes, at: place, title)
            }
            index += 1
        }
    }

    private static func keyBlock(_ bytes: [UInt8], at offset: UInt64, _ title: String)
        -> Structure
    {
        func short(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
        guard bytes.count == 4_096 else { return Structure(title, at: offset, bytes) }
        let restarts = short(bytes.count - 4)
        let entryCount = short(bytes.count - 2)
        var structure = Structure("\(title): \(entryCount) entries", at: offset, bytes)
        let end = bytes.count - 4 - restarts * 2
        var position = 0
        for _ in 0..<entryCount where end > 0 {
            let next = FieldGrammar.keyEntry.name(&structure, from: position, to: end)
            guard let next else { break }
            position = next
        }
        structure.add("zeros", "u8[]", at: position, count: end - position)
        structure.add("restart offset", "u16[]", at: max(end, 0), count: restarts * 2)
        structure.add("restartCount", "u16", at: bytes.count - 4, count: 2)
        structure.add("entryCount", "u16", at: bytes.count - 2, count: 2)
        return structure
    }

    private func fences(_ bytes: [UInt8], _ start: UInt64) -> Structure {
        var structure = Structure("fences", at: start, bytes)
        structure.add("blockCount", "u32", at: 0, count: 4)
        let count = bytes.withUnsafeBytes { bytes in
            bytes.count < 4 ? 0 : Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
        }
        guard count <= bytes.count / 8 else { return structure }
        structure.add("firstRow", "u32[]", at: 4, count: count * 4)
        structure.add("rowCount", "u32", at: 4 + count * 4, count: 4)
        let starts = 8 + count * 4
        structure.add("start", "u32[]", at: starts, count: (count + 1) * 4)
        let keys = starts + (count + 1) * 4
        structure.add("first key", "u8[]", at: keys, count: bytes.count - keys)
        return structure
    }

    // MARK: Vectors

    private func walkVectors(_ entry: SectionEntry, _ sealed: SealedWalk) throws(StoreError) {
        let spaces = try sealed.section(SectionType.spaces) { bytes throws(FormatError) in
            var reader = ByteReader(bytes)
            var spaces: [VectorSpaceEntry] = []
            while !reader.isAtEnd { spaces.append(try VectorSpaceEntry(decoding: &reader)) }
            return spaces
        }
        guard let spaces, Int(entry.ordinal) < spaces.count else {
            return unnamed("vectors", from: entry.offset, to: entry.offset + entry.byteCount)
        }
        let space = spaces[Int(entry.ordinal)]
        let stride = UInt64(space.strideByteCount)
        let count = Int(space.dimensions) * 4
        var index =
            window.lowerBound > entry.offset ? (window.lowerBound - entry.offset) / stride : 0
        while index * stride < entry.byteCount, !isBehind(entry.offset + index * stride) {
            let place = entry.offset + index * stride
            let title = "vector \(index) of space \(entry.ordinal)"
            try add(at: place, count: min(stride, entry.byteCount - index * stride)) { bytes in
                var structure = Structure(title, at: place, bytes)
                structure.add("vector", "f32[]", at: 0, count: min(count, bytes.count))
                structure.add("zeros", "u8[]", at: count, count: bytes.count - count)
                return structure
            }
            index += 1
        }
    }

    // MARK: Deletions

    private func walkContainers(from start: UInt64, to end: UInt64) throws(StoreError) {
        var offset = start
        while offset < end, !isBehind(offset) {
            let head = try file.decode(at: offset, count: DeadRowContainer.byteCount) {
                bytes throws(FormatError) in
                var reader = ByteReader(bytes)
                return try DeadRowContainer(decoding: &reader)
            }
            let isArray = head.kind == .array
            let used = isArray ? head.cardinality * 2 : DeadRowContainer.bitmapByteCount
            let count = UInt64(DeadRowContainer.byteCount + (used + 7) & ~7)
            let place = offset
            try add(at: place, count: min(count, end - place)) { bytes in
                let rows = "\(head.cardinality) dead rows"
                var structure = Structure(
                    "container \(head.index): \(rows)",
                    at: place,
                    bytes,
                    layout: DeadRowContainer.layout
                )
                let base = DeadRowContainer.byteCount
                structure.add(
                    isArray ? "row" : "bits",
                    isArray ? "u16[]" : "u8[]",
                    at: base,
                    count: used
                )
                structure.add("padding", "u8[]", at: base + used, count: bytes.count - base - used)
                return structure
            }
            offset += count
        }
    }
}
