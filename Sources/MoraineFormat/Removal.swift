// What a segment says beside its rows: which documents are gone without a tombstone each, and which
// of its own have an end. Bytes: format-spec/document.md, "Removals" and "Expiries".

package import MoraineBytes

/// Many documents that one commit took away: a dropped collection, or all ids with a prefix.
///
/// Stands in the first segment written after that commit, so that a store can be rebuilt from its
/// segments alone without reviving anything.
package struct Removal: Sendable, Hashable {
    package let collectionID: UInt32
    /// The commit.
    package let lsn: UInt64
    /// How the ids began that were deleted; `nil` when the collection was dropped.
    package let prefix: [UInt8]?

    package init(collectionID: UInt32, lsn: UInt64, prefix: [UInt8]?) {
        self.collectionID = collectionID
        self.lsn = lsn
        self.prefix = prefix
    }

    /// True when a record of that version is gone by this.
    ///
    /// A dropped collection is gone whatever the version, since its id is never used again.
    package func removes(collectionID: UInt32, id: UnsafeRawBufferPointer, lsn: UInt64) -> Bool {
        guard collectionID == self.collectionID else { return false }
        guard let prefix else { return true }
        return lsn < self.lsn && id.starts(with: prefix)
    }

    /// True when `other` takes away nothing that this does not.
    private func covers(_ other: Removal) -> Bool {
        guard collectionID == other.collectionID else { return false }
        guard let prefix else { return true }
        guard let otherPrefix = other.prefix else { return false }
        return lsn >= other.lsn && otherPrefix.starts(with: prefix)
    }

    /// The removals of several segments in the order of their commits, without those that another
    /// one covers.
    package static func merged(_ removals: [Removal]) -> [Removal] {
        var kept: [Removal] = []
        // Newest first: nothing is covered by what was before it, but for drops, which come last
        // of all in a collection.
        for removal in Set(removals).sorted(by: { follows($0, $1) }) {
            if !kept.contains(where: { $0.covers(removal) }) { kept.append(removal) }
        }
        return kept.reversed()
    }

    private static func follows(_ a: Removal, _ b: Removal) -> Bool {
        if a.lsn != b.lsn { return a.lsn > b.lsn }
        if a.collectionID != b.collectionID { return a.collectionID > b.collectionID }
        guard let first = a.prefix else { return b.prefix != nil }
        guard let second = b.prefix else { return false }
        return first.lexicographicallyPrecedes(second)
    }

    private enum Kind: UInt8 {
        case drop = 1
        case prefix = 2
    }

    /// Appends a section of removals, whose LSNs do not descend.
    package static func encode(_ removals: [Removal], into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(removals.count))
        for removal in removals {
            writer.writeVarint(UInt64(removal.collectionID))
            writer.writeVarint(removal.lsn)
            if let prefix = removal.prefix {
                writer.writeUInt8(Kind.prefix.rawValue)
                prefix.withUnsafeBytes { writer.writePrefixed($0) }
            } else {
                writer.writeUInt8(Kind.drop.rawValue)
            }
        }
    }

    /// Reads a section of removals that takes all of `bytes`.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> [Removal] {
        var reader = ByteReader(bytes)
        var removals: [Removal] = []
        var lastLSN: UInt64 = 1
        for _ in 0..<(try reader.readCount("removalCount", unit: 3)) {
            let at = UInt64(reader.position)
            let collectionID = try reader.readCollectionID()
            let lsn = try reader.readVarint("lsn")
            let tag = try reader.readUInt8("kind")
            guard let kind = Kind(rawValue: tag) else {
                throw FormatError(
                    .newer,
                    at: at,
                    field: "removal",
                    expected: "kind 1 or 2",
                    found: "\(tag)"
                )
            }
            guard lsn >= lastLSN else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "removal",
                    expected: "an LSN of at least \(lastLSN)",
                    found: "\(lsn)"
                )
            }
            lastLSN = lsn
            let prefix = kind == .prefix ? Array(try reader.readID()) : nil
            removals.append(Removal(collectionID: collectionID, lsn: lsn, prefix: prefix))
        }
        try reader.expectEnd("removals")
        return removals
    }
}

/// How many documents of a collection in a segment expire, and when the first of them does.
package struct SegmentExpiry: Sendable, Hashable {
    package let collectionID: UInt32
    /// Rows with an expiry, at least one.
    package let rowCount: UInt32
    /// Milliseconds since 1970.
    package let earliest: UInt64

    package init(collectionID: UInt32, rowCount: UInt32, earliest: UInt64) {
        self.collectionID = collectionID
        self.rowCount = rowCount
        self.earliest = earliest
    }

    /// Counts a document whose expiry is not 0.
    package static func counting(
        _ expiry: UInt64,
        of collectionID: UInt32,
        into expiries: inout [UInt32: SegmentExpiry]
    ) {
        if expiry == 0 { return }
        let one = SegmentExpiry(collectionID: collectionID, rowCount: 1, earliest: expiry)
        expiries[collectionID] = expiries[collectionID]?.joined(one) ?? one
    }

    /// The documents of both.
    package func joined(_ other: SegmentExpiry) -> SegmentExpiry {
        SegmentExpiry(
            collectionID: collectionID,
            rowCount: rowCount + other.rowCount,
            earliest: min(earliest, other.earliest)
        )
    }

    /// Appends a section of expiries, ascending by collection.
    package static func encode(_ expiries: [SegmentExpiry], into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(expiries.count))
        for expiry in expiries {
            writer.writeVarint(UInt64(expiry.collectionID))
            writer.writeVarint(UInt64(expiry.rowCount))
            writer.writeVarint(expiry.earliest)
        }
    }

    /// Reads a section of expiries that takes all of `bytes` and fits the segment's collections.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        collections: [SegmentCollection]
    ) throws(FormatError) -> [SegmentExpiry] {
        var reader = ByteReader(bytes)
        var expiries: [SegmentExpiry] = []
        for _ in 0..<(try reader.readCount("expiryCount", unit: 3)) {
            let at = UInt64(reader.position)
            let collectionID = try reader.readCollectionID()
            let rowCount = try reader.readVarint("rowCount")
            let earliest = try reader.readVarint("earliest")
            let rows = collections.element(withKey: collectionID) { $0.shape.id }?.rowCount ?? 0
            guard rowCount >= 1, rowCount <= UInt64(rows), earliest >= 1,
                expiries.last.map({ $0.collectionID < collectionID }) ?? true
            else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "expiry",
                    expected: "ascending collections with 1 to their number of rows",
                    found: "collection \(collectionID), \(rowCount) rows from \(earliest)"
                )
            }
            expiries.append(
                SegmentExpiry(
                    collectionID: collectionID,
                    rowCount: UInt32(rowCount),
                    earliest: earliest
                )
            )
        }
        try reader.expectEnd("expiries")
        return expiries
    }
}
