// The root of a store. Bytes: format-spec/root.md.

package import MoraineBytes

/// One copy of ROOT.
package struct Root: Sendable, Equatable {
    package static let copyByteCount = 4096
    package static let byteCount = 2 * copyByteCount

    /// On disk: never renumber.
    package enum State: UInt32, Sendable {
        case inUse = 1
        case closed = 2
    }

    package var storeID: StoreID
    package var sequence: UInt64
    package var incarnation: UInt64
    package var parentIncarnation: UInt64
    package var epoch: UInt64
    package var manifestID: UInt64
    package var manifestEnd: UInt64
    package var manifestEdit: UInt64
    package var durableLSN: UInt64
    package var state: State
    package var logSequence: UInt64
    package var logEnd: UInt64
    package var createdTime: UInt64

    package init(
        storeID: StoreID,
        sequence: UInt64,
        incarnation: UInt64,
        parentIncarnation: UInt64,
        epoch: UInt64,
        manifestID: UInt64,
        manifestEnd: UInt64,
        manifestEdit: UInt64,
        durableLSN: UInt64,
        state: State,
        logSequence: UInt64,
        logEnd: UInt64,
        createdTime: UInt64
    ) {
        self.storeID = storeID
        self.sequence = sequence
        self.incarnation = incarnation
        self.parentIncarnation = parentIncarnation
        self.epoch = epoch
        self.manifestID = manifestID
        self.manifestEnd = manifestEnd
        self.manifestEdit = manifestEdit
        self.durableLSN = durableLSN
        self.state = state
        self.logSequence = logSequence
        self.logEnd = logEnd
        self.createdTime = createdTime
    }

    package static let layout: [ByteField] = [
        ByteField("header", offset: 0, size: 64, type: "–"),
        ByteField("sequence", offset: 64, size: 8, type: "u64"),
        ByteField("incarnation", offset: 72, size: 8, type: "u64"),
        ByteField("parentIncarnation", offset: 80, size: 8, type: "u64"),
        ByteField("epoch", offset: 88, size: 8, type: "u64"),
        ByteField("manifestID", offset: 96, size: 8, type: "u64"),
        ByteField("manifestEnd", offset: 104, size: 8, type: "u64"),
        ByteField("manifestEdit", offset: 112, size: 8, type: "u64"),
        ByteField("durableLSN", offset: 120, size: 8, type: "u64"),
        ByteField("state", offset: 128, size: 4, type: "u32"),
        ByteField("reserved", offset: 132, size: 4, type: "u32"),
        ByteField("logSequence", offset: 136, size: 8, type: "u64"),
        ByteField("logEnd", offset: 144, size: 8, type: "u64"),
        ByteField("createdTime", offset: 152, size: 8, type: "u64"),
        ByteField("zeros", offset: 160, size: 3932, type: "–"),
        ByteField("checksum", offset: 4092, size: 4, type: "u32"),
    ]

    /// The 4,096 bytes of the copy that stands at `offset`.
    package func encodeCopy(at offset: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.copyByteCount)
        let header = FileHeader(kind: .root, storeID: storeID, fileID: 0, createdLSN: 0)
        header.encode(into: &writer)
        for value in [
            sequence, incarnation, parentIncarnation, epoch, manifestID, manifestEnd,
            manifestEdit, durableLSN,
        ] {
            writer.writeUInt64(value)
        }
        writer.writeUInt32(state.rawValue)
        writer.writeUInt32(0)
        for value in [logSequence, logEnd, createdTime] { writer.writeUInt64(value) }
        writer.writeZeros(Self.copyByteCount - 4 - writer.count)
        let checksum = writer.withBytes { bytes in
            Self.checksum(bytes, at: offset, storeID: storeID)
        }
        writer.writeUInt32(checksum)
        return writer.finish()
    }

    private static func checksum(
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        storeID: StoreID
    ) -> UInt32 {
        storeID.seed.mixed(offset).checksum(bytes)
    }

    /// Reads and checks the 4,096 bytes of one copy.
    ///
    /// Offsets in errors count from its start.
    package static func decodeCopy(_ bytes: UnsafeRawBufferPointer, at offset: UInt64)
        throws(FormatError) -> Root
    {
        guard bytes.count == copyByteCount else {
            throw FormatError(
                .truncated,
                at: UInt64(bytes.count),
                field: "ROOT copy",
                expected: "\(copyByteCount) bytes",
                found: "\(bytes.count)"
            )
        }
        var reader = ByteReader(bytes)
        let header = try FileHeader.decode(&reader, kind: .root, storeID: nil, fileID: 0)
        var values: [UInt64] = []
        for field in [
            "sequence", "incarnation", "parentIncarnation", "epoch", "manifestID",
            "manifestEnd", "manifestEdit", "durableLSN",
        ] as [StaticString] {
            values.append(try reader.readUInt64(field))
        }
        let stateTag = try reader.readUInt32("state")
        let reserved = try reader.readUInt32("reserved")
        let logSequence = try reader.readUInt64("logSequence")
        let logEnd = try reader.readUInt64("logEnd")
        let createdTime = try reader.readUInt64("createdTime")
        let zerosAt = reader.position
        let zeros = try reader.readBytes(copyByteCount - 4 - zerosAt, "zeros")
        let stored = try reader.readUInt32("checksum")
        let computed = checksum(
            UnsafeRawBufferPointer(rebasing: bytes[..<(copyByteCount - 4)]),
            at: offset,
            storeID: header.storeID
        )
        try expectChecksum(
            computed,
            stored.littleEndian,
            at: UInt64(copyByteCount - 4),
            "ROOT checksum"
        )
        guard let state = State(rawValue: stateTag), reserved == 0,
            zeros.allSatisfy({ $0 == 0 })
        else {
            throw FormatError(
                .newer,
                at: 128,
                field: "state",
                expected: "1 or 2, then zeros",
                found: "\(stateTag)"
            )
        }
        for (index, field) in layout[1...8].enumerated() where !field.name.hasSuffix("ncarnation") {
            try expectNumber(values[index], at: UInt64(field.offset), field.name)
        }
        try expectNumber(logSequence, at: 136, "logSequence")
        return Root(
            storeID: header.storeID,
            sequence: values[0],
            incarnation: values[1],
            parentIncarnation: values[2],
            epoch: values[3],
            manifestID: values[4],
            manifestEnd: values[5],
            manifestEdit: values[6],
            durableLSN: values[7],
            state: state,
            logSequence: logSequence,
            logEnd: logEnd,
            createdTime: createdTime
        )
    }
}
