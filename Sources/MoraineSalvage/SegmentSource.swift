// A segment put together from whatever files of it are left.

import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage

/// The files of a segment, each as far as it can be read.
final class SegmentSource {
    let id: UInt64
    /// `nil` when the file is missing.
    let document: DocumentSource?
    /// What the manifest says of it.
    let entry: SegmentEntry?
    private(set) var keys: KeyFile?
    private(set) var vectors: [VectorSource] = []
    private(set) var dead: DeadRows?
    /// True when the rows that are not in `dead` are those that live at the manifest's floor.
    private(set) var isLivenessKnown = false
    private(set) var findings: [Finding] = []
    /// A compaction has made another segment of it, which is damaged: it may only fill gaps.
    var isStale = false

    init(
        id: UInt64,
        document found: FoundFile?,
        entry: SegmentEntry?,
        in inventory: Inventory
    ) throws(StoreError) {
        self.id = id
        self.entry = entry
        document = found.flatMap { DocumentSource($0, in: inventory) }
        if document == nil {
            findings.append(
                Finding(
                    .missing,
                    file: FileNames.document(id),
                    offset: 0,
                    expected: "the documents of a segment",
                    found: "no readable file"
                )
            )
        }
        if let entry, let rows = UInt32(exactly: entry.rowCount) {
            document?.learn(rowCount: rows, lsns: entry.minLSN...entry.maxLSN)
        }
        openKeys(inventory)
        if let keys { document?.learn(rowCount: keys.rowCount, lsns: keyLSNs ?? 0...0) }
        try document?.findBlocks(tombstoneCount: entry?.tombstoneCount)
        openVectors(inventory)
    }

    // MARK: What it says

    var rowCount: UInt32? { document?.rowCount ?? entryRowCount ?? keys?.rowCount }

    private var entryRowCount: UInt32? { entry.flatMap { UInt32(exactly: $0.rowCount) } }

    private var keyLSNs: ClosedRange<UInt64>? {
        guard let footer = keys?.footer, footer.minLSN <= footer.maxLSN else { return nil }
        return footer.minLSN...footer.maxLSN
    }

    /// No record is newer than this; the largest number when nobody knows.
    var maxLSN: UInt64 {
        document?.lsns?.upperBound ?? entry?.maxLSN ?? keyLSNs?.upperBound
            ?? document?.createdLSN ?? .max
    }

    /// Every commit up to here was in segments when this one was written.
    var floor: UInt64 {
        guard let document else { return 0 }
        let last = document.lsns?.upperBound ?? 0
        // Only a flush ends at the newest commit that there was.
        guard document.isFramed, document.inputs.isEmpty else { return last }
        return max(last, document.createdLSN ?? 0)
    }

    /// True when a record of it may be missing.
    var hasGaps: Bool { document?.hasGaps ?? true }

    var documentParts: [StreamPart] {
        document?.documents ?? [.gap(rows: rowCount.map { 0..<$0 })]
    }

    var tombstoneParts: [StreamPart] {
        if let document { return document.tombstones }
        return entry?.tombstoneCount == 0 ? [] : [.gap(rows: nil)]
    }

    var schema: [SegmentCollection] { document?.schema ?? [] }

    /// False when it may take documents away without our knowing.
    var hasAllRemovals: Bool { document?.hasAllRemovals ?? false }

    /// All findings about its files.
    var allFindings: [Finding] {
        findings + (document?.findings ?? []) + vectors.flatMap(\.findings)
    }

    // MARK: Its other files

    private func openKeys(_ inventory: Inventory) {
        let candidates =
            entry.map { entry in inventory.files(.key).filter { $0.fileID == entry.key.fileID } }
            ?? inventory.files(.key, ofSegment: id)
        for file in candidates.sorted(by: { $0.fileID > $1.fileID }) {
            guard let reference = inventory.reference(file) else { continue }
            do throws(StoreError) {
                let open = try KeyFile(
                    fileSystem: inventory.fileSystem,
                    root: inventory.folder,
                    segmentID: id,
                    storeID: inventory.storeID,
                    reference: reference
                )
                if let rows = rowCount, rows != open.rowCount { continue }
                if let lsns = document?.lsns, lsns.upperBound < open.footer.maxLSN { continue }
                keys = open
                return
            } catch {
                findings.append(Finding(error, .structure, file: file.name))
            }
        }
        guard entry != nil, candidates.isEmpty else { return }
        findings.append(
            Finding(
                .missing,
                file: FileNames.key(id, fileID: entry?.key.fileID ?? 0),
                offset: 0,
                expected: "the keys of a segment",
                found: "no file"
            )
        )
    }

    /// Opens the vector file that is the segment's by id, name or footer; the likeliest first.
    private func openVectors(_ inventory: Inventory) {
        if let entry, entry.vector == nil { return }
        let all = inventory.files(.vector)
        var candidates = all.filter { entry != nil && $0.fileID == entry?.vector?.fileID }
        if candidates.isEmpty { candidates = all.filter { $0.place == .vector(segment: id) } }
        if let rows = rowCount {
            // Names may have been swapped; every vector is proven by its document.
            candidates += all.filter { file in
                !candidates.contains { $0.name == file.name }
                    && inventory.footer(file)?.rowCount == UInt64(rows)
            }
        }
        vectors = candidates.prefix(4).compactMap {
            VectorSource($0, in: inventory, shapes: schema.map(\.shape))
        }
        let needs = entry?.vector != nil
        guard needs, candidates.isEmpty else { return }
        findings.append(
            Finding(
                .missing,
                file: FileNames.vector(id),
                offset: 0,
                expected: "the vectors of a segment",
                found: "no file"
            )
        )
    }

    /// Reads which rows are dead.
    ///
    /// - Parameter named: what a trusted manifest says; `nil` for no file.
    func readDeletions(named: DeletionsEntry?, isGuided: Bool, in inventory: Inventory) {
        guard let rowCount else { return }
        if isGuided, named == nil {
            isLivenessKnown = true
            return
        }
        var candidates = inventory.files(.deletions, ofSegment: id)
        // What a crash kept from being named may know of commits above the floor.
        let namedID = named?.file.fileID
        candidates.sort { a, b in
            (a.fileID == namedID ? 1 : 0, a.fileID) > (b.fileID == namedID ? 1 : 0, b.fileID)
        }
        for file in candidates {
            guard let reference = inventory.reference(file) else { continue }
            do throws(StoreError) {
                let read = try DeletionFile.read(
                    fileSystem: inventory.fileSystem,
                    root: inventory.folder,
                    segmentID: id,
                    storeID: inventory.storeID,
                    reference: reference,
                    rowCount: rowCount
                )
                dead = read.rows
                isLivenessKnown = isGuided && reference == named?.file
                return
            } catch {
                findings.append(Finding(error, .structure, file: file.name))
            }
        }
        guard let named else { return }
        findings.append(
            Finding(
                .missing,
                file: FileNames.deletions(id, fileID: named.file.fileID),
                offset: 0,
                expected: "the dead rows of a segment",
                found: "no readable file"
            )
        )
    }

    /// The vector of a row, proven by its checksum.
    func vector(
        of row: UInt32,
        collectionID: UInt32,
        checksum: UInt32,
        ordinals: ClosedRange<Int>
    ) -> [UInt8]? {
        for source in vectors {
            let found = source.vector(
                of: row,
                collectionID: collectionID,
                checksum: checksum,
                ordinals: ordinals
            )
            if let found { return found }
        }
        return nil
    }
}
