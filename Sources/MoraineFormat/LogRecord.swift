// The frame of a record in a log or manifest. Bytes: format-spec/log.md, "Record".

package import MoraineBytes

/// The fields of a record's frame.
package struct LogRecord: Sendable, Equatable {
    package static let headerByteCount = 40
    package static let magic: UInt32 = 0x4352_574D  // "MWRC"

    /// On disk: never renumber.
    package enum Kind: UInt16, Sendable {
        case commit = 1
        case part = 2
        case marker = 3
        case edit = 4
    }

    package let kind: Kind
    /// LSN of the commit, number of the edit; for a marker the last number before it.
    package let number: UInt64
    /// Everything up to this number was synced before the record was written.
    package let promised: UInt64
    package let operationCount: UInt32
    package let payloadByteCount: Int

    package init(
        kind: Kind,
        number: UInt64,
        promised: UInt64,
        operationCount: UInt32,
        payloadByteCount: Int
    ) {
        self.kind = kind
        self.number = number
        self.promised = promised
        self.operationCount = operationCount
        self.payloadByteCount = payloadByteCount
    }

    package static let layout: [ByteField] = [
        ByteField("magic", offset: 0, size: 4, type: "u8[4]"),
        ByteField("checksum", offset: 4, size: 4, type: "u32"),
        ByteField("number", offset: 8, size: 8, type: "u64"),
        ByteField("promised", offset: 16, size: 8, type: "u64"),
        ByteField("payloadByteCount", offset: 24, size: 4, type: "u32"),
        ByteField("reserved", offset: 28, size: 4, type: "u32"),
        ByteField("operationCount", offset: 32, size: 4, type: "u32"),
        ByteField("type", offset: 36, size: 2, type: "u16"),
        ByteField("flags", offset: 38, size: 2, type: "u16"),
        ByteField("payload", offset: 40, size: nil, type: "u8[]"),
    ]

    /// Bytes that a record with this payload takes, padding included.
    package static func frameByteCount(payload: Int) -> Int {
        headerByteCount + (payload + 7) & ~7
    }

    /// The whole record's length in the file.
    package var frameByteCount: Int { Self.frameByteCount(payload: payloadByteCount) }

    /// Writes the frame around a payload that already stands at `target[40...]`, padding and
    /// checksum included.
    ///
    /// `target` is exactly the record; `offset` its place in the file.
    package func seal(
        _ target: UnsafeMutableRawBufferPointer,
        at offset: UInt64,
        seed: ChecksumSeed
    ) {
        precondition(target.count == frameByteCount)
        target.storeBytes(of: Self.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
        target.storeBytes(of: number.littleEndian, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: promised.littleEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(
            of: UInt32(payloadByteCount).littleEndian,
            toByteOffset: 24,
            as: UInt32.self
        )
        target.storeBytes(of: 0, toByteOffset: 28, as: UInt32.self)
        target.storeBytes(of: operationCount.littleEndian, toByteOffset: 32, as: UInt32.self)
        target.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 36, as: UInt16.self)
        target.storeBytes(of: 0, toByteOffset: 38, as: UInt16.self)
        for index in (Self.headerByteCount + payloadByteCount)..<target.count { target[index] = 0 }
        let checksum = Self.checksum(UnsafeRawBufferPointer(target), at: offset, seed: seed)
        target.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
    }

    private static func checksum(
        _ record: UnsafeRawBufferPointer,
        at offset: UInt64,
        seed: ChecksumSeed
    ) -> UInt32 {
        seed.mixed(offset).checksum(UnsafeRawBufferPointer(rebasing: record[8...]))
    }

    /// The length that a record's header claims, if its fixed fields could be a record's.
    ///
    /// Says nothing about the checksum. `header` has at least 40 bytes.
    package static func claimedFrameByteCount(_ header: UnsafeRawBufferPointer) -> Int? {
        guard header.count >= headerByteCount,
            header.loadUnaligned(as: UInt32.self) == magic.littleEndian
        else { return nil }
        let payload = UInt32(
            littleEndian: header.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
        )
        guard payload <= UInt32(FormatLimits.recordPayloadByteCount) else { return nil }
        return frameByteCount(payload: Int(payload))
    }

    /// Reads and checks the record that starts `bytes`; more bytes may follow it.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        seed: ChecksumSeed
    ) throws(FormatError) -> LogRecord {
        guard let byteCount = claimedFrameByteCount(bytes) else {
            throw FormatError(
                .mismatch,
                at: offset,
                field: "record",
                expected: "a record",
                found: "other bytes"
            )
        }
        guard byteCount <= bytes.count else {
            throw FormatError(
                .truncated,
                at: offset,
                field: "record",
                expected: "\(byteCount) bytes",
                found: "\(bytes.count)"
            )
        }
        let record = UnsafeRawBufferPointer(rebasing: bytes[..<byteCount])
        var reader = ByteReader(record)
        _ = try reader.readUInt32("magic")
        let stored = try reader.readUInt32("checksum")
        try expectChecksum(
            checksum(record, at: offset, seed: seed),
            stored.littleEndian,
            at: offset,
            "record checksum"
        )
        let number = try reader.readUInt64("number")
        let promised = try reader.readUInt64("promised")
        let payloadByteCount = Int(try reader.readUInt32("payloadByteCount"))
        let reserved = try reader.readUInt32("reserved")
        let operationCount = try reader.readUInt32("operationCount")
        let tag = try reader.readUInt16("type")
        let flags = try reader.readUInt16("flags")
        guard let kind = Kind(rawValue: tag), flags == 0, reserved == 0 else {
            throw FormatError(
                .newer,
                at: offset &+ 36,
                field: "type",
                expected: "1 to 4 with flags 0",
                found: "\(tag) with flags \(flags)"
            )
        }
        return LogRecord(
            kind: kind,
            number: number,
            promised: promised,
            operationCount: operationCount,
            payloadByteCount: payloadByteCount
        )
    }
}
