// moraine inspect segment: the .doc, .key and .del files and those of indexes. Bytes:
// format-spec/document.md, key.md, deletion.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

extension Command {
    static let inspectSegment = inspector(
        "segment",
        "show the document, key, deletion and index files",
        takesID: true,
        options: [.block] + Option.look,
        notes: [
            """
            Without SEGMENT a row for each file, with it all about its files. --block, --row, --key,
            --from and --to show records of the .doc files instead, those of SEGMENT or of all:
            replaced and deleted ones too, as long as no compaction took them. "dead" says whether
            the manifest's deletion file counts a row out.
            """
        ],
        examples: [
            ("moraine inspect segment notes.moraine", "all files in seg/"),
            ("moraine inspect segment notes.moraine 7", "sections, blocks and schema of one"),
            ("moraine inspect segment notes.moraine 7 --block 0", "the records of a block"),
            (
                "moraine inspect segment notes.moraine --key notes/some-id",
                "what segments hold of a document, dead rows too"
            ),
            (
                "moraine inspect segment notes.moraine --from notes/a --to notes/b --json",
                "a range of ids"
            ),
        ],
        run: { store, call throws(Failure) in
            let segment = try call.segmentID()
            let look = try call.look { store.collectionIDs() }
            let files = try store.sealedFiles(segment: segment) { name in
                switch name {
                case .document(let segment): segment
                case .key(let segment, _), .deletions(let segment, _),
                    .derived(_, let segment, _):
                    look == nil ? segment : nil
                default: nil
                }
            }
            try call.expectFiles(files, segment: segment)
            if let look {
                try call.printParts(look, of: files, store)
            } else {
                call.printSealed(files, store, isWhole: segment != nil) { walk in
                    describeSections(&walk, store)
                }
            }
        }
    )
}

/// Adds what the sections of a sealed file hold.
func describeSections(_ walk: inout SealedWalk, _ store: InspectedStore) {
    do throws(StoreError) {
        switch walk.header.kind {
        case .document: try describeDocuments(&walk, store)
        case .key: try describeKeys(&walk)
        case .deletions: try describeDeletions(&walk)
        case .vector: try describeSpaces(&walk)
        case .codes: try describeCodes(&walk)
        case .graph: try describeGraphs(&walk)
        case .columns: try describeColumns(&walk)
        case .root, .log, .manifest: break
        }
    } catch {
        walk.append("error", store.damage(error))
    }
}

extension Call {
    /// Throws when a segment was asked for that has no file.
    func expectFiles(_ files: [InspectedFile], segment: UInt64?) throws(Failure) {
        guard segment == nil || !files.isEmpty else {
            throw Failure(.absent, "there is no file of segment \(self[1])")
        }
    }
}

/// Schema and blocks.
///
/// Blocks are walked one after the other, so that a damaged index hides none.
private func describeDocuments(_ walk: inout SealedWalk, _ store: InspectedStore)
    throws(StoreError)
{
    let rowCount = walk.footer?.rowCount ?? UInt64(UInt32.max)
    let schema = try walk.section(SectionType.schema) { bytes throws(FormatError) in
        try SegmentCollection.decode(bytes, rowCount: rowCount)
    }
    if let schema {
        walk.append(
            "schema",
            .list(
                schema.map { collection in
                    .object(
                        collection.shape.fields + [
                            ("firstRow", .number(collection.firstRow)),
                            ("rowCount", .number(collection.rowCount)),
                        ]
                    )
                }
            )
        )
    }
    try describeRemovals(&walk)
    if let schema { try describeExpiries(&walk, schema) }
    var blocks: [Description] = []
    let section = walk.sections.first { $0.type == SectionType.documentBlocks }
    let end = section.map { $0.offset &+ $0.byteCount } ?? walk.file.byteCount
    var offset = section?.offset ?? UInt64(FileHeader.byteCount)
    var fault: StoreError?
    let named = walk.blockChecksums()
    while fault == nil, offset < end {
        do throws(StoreError) {
            let header = try readBlock(walk, at: offset, named: named[offset])
            blocks.append(.object([("offset", .number(offset))] + header.fields))
            let count = UInt64(DocumentBlockHeader.byteCount) + UInt64(header.storedByteCount)
            offset += (count + 7) & ~7
        } catch {
            fault = error
        }
    }
    walk.append("blocks", .list(blocks))
    // Without a directory nothing tells where the blocks end.
    if let fault, section != nil { throw fault }
}

private func describeRemovals(_ walk: inout SealedWalk) throws(StoreError) {
    guard walk.sections.contains(where: { $0.type == SectionType.removals }) else { return }
    let removals = try walk.section(SectionType.removals) { bytes throws(FormatError) in
        try Removal.decode(bytes).map { removal in
            Description.object([
                ("collectionID", .number(removal.collectionID)), ("LSN", .number(removal.lsn)),
                (
                    "prefix",
                    removal.prefix.map { .text(String(decoding: $0, as: UTF8.self)) } ?? .null
                ),
            ])
        }
    }
    if let removals { walk.append("removals", .list(removals)) }
}

private func describeExpiries(_ walk: inout SealedWalk, _ schema: [SegmentCollection])
    throws(StoreError)
{
    guard walk.sections.contains(where: { $0.type == SectionType.expiries }) else { return }
    let expiries = try walk.section(SectionType.expiries) { bytes throws(FormatError) in
        try SegmentExpiry.decode(bytes, collections: schema).map { expiry in
            Description.object([
                ("collectionID", .number(expiry.collectionID)),
                ("rowCount", .number(expiry.rowCount)), ("earliest", .time(expiry.earliest)),
            ])
        }
    }
    if let expiries { walk.append("expiries", .list(expiries)) }
}

extension SealedWalk {
    /// The checksum of each block's header, by the block's place; empty where no index says.
    func blockChecksums() -> [UInt64: UInt32] {
        let index = try? section(SectionType.blockIndex) { bytes throws(FormatError) in
            var reader = ByteReader(bytes)
            var checksums: [UInt64: UInt32] = [:]
            while !reader.isAtEnd {
                let entry = try BlockIndexEntry(decoding: &reader)
                checksums[entry.offset] = entry.headerChecksum
            }
            return checksums
        }
        return index ?? [:]
    }
}

/// The header of a block whose header and payload match their checksums.
///
/// - Parameter named: the header's checksum as the index has it, where that says.
func readBlock(_ walk: SealedWalk, at offset: UInt64, named: UInt32?) throws(StoreError)
    -> DocumentBlockHeader
{
    let seed = walk.header.storeID.seed.mixed(walk.header.fileID)
    let count = DocumentBlockHeader.byteCount
    let header = try walk.file.decode(at: offset, count: count) { bytes throws(FormatError) in
        try DocumentBlockHeader(decoding: bytes, at: offset, seed: seed, named: named)
    }
    try walk.file.decode(
        at: offset + UInt64(count),
        count: Int(header.storedByteCount)
    ) { bytes throws(FormatError) in
        try expectChecksum(
            CRC32C.value(bytes),
            header.payloadChecksum.littleEndian,
            at: 0,
            "payloadChecksum"
        )
    }
    return header
}

extension DocumentBlockHeader {
    fileprivate var fields: Description.Fields {
        [
            ("segmentID", .number(segmentID)), ("blockNumber", .number(blockNumber)),
            ("firstRow", kind == .tombstones ? .null : .number(firstRow)),
            ("recordCount", .number(recordCount)), ("codec", .number(codec.rawValue)),
            ("kind", .text(kind == .documents ? "documents" : "tombstones")),
            ("rawByteCount", .number(rawByteCount)),
            ("storedByteCount", .number(storedByteCount)), ("maxLSN", .number(maxLSN)),
            ("payloadChecksum", .checksum(payloadChecksum)),
        ]
    }
}

private func describeKeys(_ walk: inout SealedWalk) throws(StoreError) {
    let filter = try walk.section(SectionType.filter) { bytes throws(FormatError) in
        var reader = ByteReader(bytes)
        return try KeyFilterHeader(
            decoding: try reader.readBytes(KeyFilterHeader.byteCount, "filter")
        )
    }
    if let filter {
        walk.append(
            "filter",
            .object([
                ("seed", .pattern(filter.seed)),
                ("segmentLength", .number(filter.segmentLength)),
                ("segmentCountLength", .number(filter.segmentCountLength)),
                ("arrayLength", .number(filter.arrayLength)),
                ("keyCount", .number(filter.keyCount)),
            ])
        )
    }
    let fences = try walk.section(SectionType.fences) { bytes throws(FormatError) in
        try readFences(bytes)
    }
    if let fences { walk.append("fences", .list(fences)) }
}

/// The first row and key of each block of keys.
private func readFences(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> [Description] {
    var reader = ByteReader(bytes)
    let blockCount = Int(try reader.readUInt32("blockCount"))
    guard blockCount <= reader.remaining / 8 else {
        throw FormatError(
            .range,
            at: 0,
            field: "blockCount",
            expected: "at most \(reader.remaining / 8)",
            found: "\(blockCount)"
        )
    }
    var rows: [UInt32] = []
    for _ in 0..<blockCount { rows.append(try reader.readUInt32("firstRow")) }
    _ = try reader.readUInt32("rowCount")
    var starts: [UInt32] = []
    for _ in 0...blockCount { starts.append(try reader.readUInt32("start")) }
    var fences: [Description] = []
    for index in 0..<blockCount {
        let at = UInt64(reader.position)
        guard starts[index] <= starts[index + 1] else {
            throw FormatError(
                .range,
                at: at,
                field: "start",
                expected: "at most \(starts[index + 1])",
                found: "\(starts[index])"
            )
        }
        let key = try reader.readBytes(Int(starts[index + 1] - starts[index]), "first key")
        fences.append(
            .object([
                ("firstRow", .number(rows[index])),
                ("collectionID", .number(KeyBytes.collection(of: key))),
                ("id", key.count < 4 ? .null : .bytes(KeyBytes.id(of: key))),
            ])
        )
    }
    return fences
}

private func describeDeletions(_ walk: inout SealedWalk) throws(StoreError) {
    let summary = try walk.section(SectionType.deletionSummary) { bytes throws(FormatError) in
        try DeletionSummary(decoding: bytes)
    }
    if let summary {
        walk.append(
            "summary",
            .object([
                ("segmentID", .number(summary.segmentID)), ("lsn", .number(summary.lsn)),
                ("rowCount", .number(summary.rowCount)),
                ("deadRowCount", .number(summary.deadRowCount)),
            ])
        )
    }
    let containers = try walk.section(SectionType.deadRowContainers) {
        bytes throws(FormatError) in
        var reader = ByteReader(bytes)
        var containers: [Description] = []
        while !reader.isAtEnd {
            let container = try DeadRowContainer(decoding: &reader)
            let isArray = container.kind == .array
            let count =
                isArray
                ? (container.cardinality * 2 + 7) & ~7 : DeadRowContainer.bitmapByteCount
            let body = try reader.readBytes(count, "container")
            containers.append(
                .object([
                    ("index", .number(container.index)),
                    ("kind", .text(isArray ? "array" : "bitmap")),
                    ("cardinality", .number(container.cardinality)),
                    ("rows", .list(rowRuns(container, body))),
                ])
            )
        }
        return containers
    }
    if let containers { walk.append("containers", .list(containers)) }
}

/// The dead rows of a container, as runs: "3", "7-12".
private func rowRuns(_ container: DeadRowContainer, _ body: UnsafeRawBufferPointer)
    -> [Description]
{
    var lows: [Int] = []
    if container.kind == .array {
        for index in 0..<container.cardinality {
            lows.append(Int(body[index * 2]) | Int(body[index * 2 + 1]) << 8)
        }
    } else {
        lows = (0..<DeadRowContainer.rowCount).filter { body[$0 / 8] >> UInt8($0 % 8) & 1 != 0 }
    }
    let base = Int(container.index) * DeadRowContainer.rowCount
    var runs: [(first: Int, last: Int)] = []
    for low in lows {
        if let last = runs.last?.last, last + 1 == base + low {
            runs[runs.count - 1].last += 1
        } else {
            runs.append((base + low, base + low))
        }
    }
    return runs.map { .text($0.first == $0.last ? "\($0.first)" : "\($0.first)-\($0.last)") }
}
