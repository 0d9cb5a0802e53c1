// The head of a log file or manifest. Bytes: format-spec/log.md, "Log header".

package import MoraineBytes

/// What a log file says about itself and the file before it.
package struct LogHeader: Sendable, Equatable {
    /// Records start here.
    package static let byteCount = 4096

    package let kind: FileKind
    package let storeID: StoreID
    /// The sequence of a log file, the id of a manifest.
    package let fileID: UInt64
    package let createdLSN: UInt64
    package let epoch: UInt64
    package let incarnation: UInt64
    /// The sequence of the log file before; 0 when none.
    package let predecessor: UInt64
    /// Where the predecessor's records end.
    package let predecessorEnd: UInt64
    /// The number that the first commit or edit in this file has.
    package let firstNumber: UInt64
    /// End of the records carried over from older files; 4,096 when none.
    package let carriedEnd: UInt64

    package init(
        kind: FileKind,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        epoch: UInt64,
        incarnation: UInt64,
        predecessor: UInt64 = 0,
        predecessorEnd: UInt64 = 0,
        firstNumber: UInt64,
        carriedEnd: UInt64 = UInt64(LogHeader.byteCount)
    ) {
        self.kind = kind
        self.storeID = storeID
        self.fileID = fileID
        self.createdLSN = createdLSN
        self.epoch = epoch
        self.incarnation = incarnation
        self.predecessor = predecessor
        self.predecessorEnd = predecessorEnd
        self.firstNumber = firstNumber
        self.carriedEnd = carriedEnd
    }

    /// The fixed fields behind the common header, in the order of the page's table.
    package static let layout: [ByteField] = [
        ByteField("epoch", offset: 64, size: 8, type: "u64"),
        ByteField("incarnation", offset: 72, size: 8, type: "u64"),
        ByteField("predecessor", offset: 80, size: 8, type: "u64"),
        ByteField("predecessorEnd", offset: 88, size: 8, type: "u64"),
        ByteField("firstNumber", offset: 96, size: 8, type: "u64"),
        ByteField("carriedEnd", offset: 104, size: 8, type: "u64"),
        ByteField("reserved", offset: 112, size: 8, type: "u64"),
        ByteField("reserved2", offset: 120, size: 4, type: "u32"),
        ByteField("logHeaderChecksum", offset: 124, size: 4, type: "u32"),
    ]

    /// What the checksums of the file's records are bound to, but for the offset.
    package var recordSeed: ChecksumSeed {
        storeID.seed.mixed(incarnation).mixed(fileID)
    }

    /// The 4,096 bytes.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        let header = FileHeader(
            kind: kind,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        header.encode(into: &writer)
        for value in [
            epoch, incarnation, predecessor, predecessorEnd, firstNumber, carriedEnd, 0,
        ] {
            writer.writeUInt64(value)
        }
        writer.writeUInt32(0)
        let seed = storeID.seed.mixed(fileID)
        let checksum = writer.withBytes { bytes in
            seed.checksum(UnsafeRawBufferPointer(rebasing: bytes[64..<124]))
        }
        writer.writeUInt32(checksum)
        writer.writeZeros(Self.byteCount - writer.count)
        return writer.finish()
    }

    /// Reads and checks the head of a file.
    ///
    /// Bytes 128 to 4,095 are not looked at.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer,
        kind: FileKind,
        storeID: StoreID,
        fileID: UInt64
    ) throws(FormatError) -> LogHeader {
        var reader = ByteReader(bytes)
        let common = try FileHeader.decode(
            &reader,
            kind: kind,
            storeID: storeID,
            fileID: fileID
        )
        var values: [UInt64] = []
        for field in [
            "epoch", "incarnation", "predecessor", "predecessorEnd", "firstNumber",
            "carriedEnd", "reserved",
        ] as [StaticString] {
            values.append(try reader.readUInt64(field))
        }
        let reserved = try reader.readUInt32("reserved2")
        let stored = try reader.readUInt32("logHeaderChecksum")
        let seed = storeID.seed.mixed(fileID)
        try expectChecksum(
            seed.checksum(UnsafeRawBufferPointer(rebasing: bytes[64..<124])),
            stored.littleEndian,
            at: 124,
            "logHeaderChecksum"
        )
        guard values[6] == 0, reserved == 0, values[5] >= UInt64(byteCount) else {
            throw FormatError(
                .newer,
                at: 104,
                field: "carriedEnd and reserved",
                expected: "at least 4096, then 0",
                found: "\(values[5]), \(values[6]), \(reserved)"
            )
        }
        for (index, field) in layout[..<6].enumerated() where index != 1 {
            try expectNumber(values[index], at: UInt64(field.offset), field.name)
        }
        return LogHeader(
            kind: kind,
            storeID: storeID,
            fileID: fileID,
            createdLSN: common.createdLSN,
            epoch: values[0],
            incarnation: values[1],
            predecessor: values[2],
            predecessorEnd: values[3],
            firstNumber: values[4],
            carriedEnd: values[5]
        )
    }
}
