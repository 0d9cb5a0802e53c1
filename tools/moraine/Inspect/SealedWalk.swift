// Frame and sections of a sealed file, for the inspectors. Bytes: format-spec/file-header.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// A sealed file, read as far as its bytes allow.
struct SealedWalk {
    let file: InspectedFile
    let header: FileHeader
    private(set) var footer: FileFooter?
    /// All of them lie in the file; none where one does not.
    private(set) var sections: [SectionEntry] = []
    /// Header, footer and directory, as far as they could be read.
    private(set) var fields: Description.Fields

    /// Nothing can be said of a file whose header cannot be read.
    ///
    /// - Parameter verifies: false does not compare every chunk with its checksum.
    init(_ file: InspectedFile, _ store: InspectedStore, verifies: Bool = true)
        throws(StoreError)
    {
        self.file = file
        header = try file.header.get()
        fields = [
            ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
            ("header", .object(header.fields)),
        ]
        do throws(StoreError) {
            try readFrame()
        } catch {
            fields.append(("error", store.damage(error)))
            return
        }
        let findings = verifies ? verify() : []
        if !findings.isEmpty {
            fields.append(("findings", .list(findings.map { store.damage($0) })))
        }
    }

    private mutating func readFrame() throws(StoreError) {
        let end = file.byteCount
        let count = FileFooter.byteCount
        let storeID = header.storeID
        let footer = try file.decode(at: end &- min(end, UInt64(count)), count: count) {
            bytes throws(FormatError) in try FileFooter(decoding: bytes, storeID: storeID)
        }
        self.footer = footer
        fields.append(("footer", .object(footer.fields)))
        let seed = storeID.seed.mixed(footer.fileID)
        let entries = try file.decode(
            at: footer.directoryOffset,
            count: Int(footer.directoryByteCount)
        ) { bytes throws(FormatError) in
            try expectChecksum(
                seed.checksum(bytes),
                footer.directoryChecksum.littleEndian,
                at: 0,
                "directoryChecksum"
            )
            var reader = ByteReader(bytes)
            var entries: [SectionEntry] = []
            while !reader.isAtEnd { entries.append(try SectionEntry(decoding: &reader)) }
            return entries
        }
        fields.append(("sections", .list(entries.map { .object($0.fields) })))
        for (index, entry) in entries.enumerated() {
            guard entry.offset <= end, entry.byteCount <= end - entry.offset else {
                throw StoreError(
                    .corrupted,
                    "a section does not lie in its file",
                    path: file.file.path,
                    offset: footer.directoryOffset + UInt64(index * SectionEntry.byteCount),
                    expected: "up to byte \(end)",
                    found: "\(entry.byteCount) bytes at \(entry.offset)"
                )
            }
        }
        sections = entries
    }

    /// Compares every byte of the frame and the sections with its checksum.
    private func verify() -> [Finding] {
        guard let footer else { return [] }
        var findings: [Finding] = []
        do throws(StoreError) {
            let checksum = footer.encode(storeID: header.storeID).checksum
            let sealed = try SealedFile(
                fileSystem: file.fileSystem,
                root: file.folder,
                name: file.name,
                kind: header.kind,
                storeID: header.storeID,
                reference: SealedFileReference(
                    fileID: header.fileID,
                    byteCount: file.byteCount,
                    footerChecksum: checksum
                ),
                access: .read
            )
            sealed.verifyAll { findings.append($0) }
        } catch {
            findings.append(Finding(error, .structure, file: file.name))
        }
        return findings
    }

    /// The bytes of a section, decoded; `nil` when the file has none of that type.
    func section<T>(
        _ type: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> T
    ) throws(StoreError) -> T? {
        guard let entry = sections.first(where: { $0.type == type }) else { return nil }
        return try file.decode(
            at: entry.offset,
            count: Int(exactly: entry.byteCount) ?? Int.max,
            body
        )
    }

    /// What is wrong with the chunks that hold these bytes of a section.
    func faults(at offset: UInt64, count: Int) -> [StoreError] {
        guard
            let entry = sections.first(where: {
                $0.offset <= offset && offset - $0.offset < $0.byteCount
            }), !SectionType.isSelfChecked(entry.type),
            let table = sections.first(where: { $0.type == SectionType.checksumTable })
        else { return [] }
        let size = UInt64(SectionEntry.chunkByteCount)
        let first = (offset - entry.offset) / size
        let last = (offset - entry.offset + UInt64(max(1, count)) - 1) / size
        var faults: [StoreError] = []
        for chunk in first...last where chunk < entry.chunkCount {
            let start = entry.offset + chunk * size
            let place = table.offset + 4 * (UInt64(entry.firstChecksum) + chunk)
            let seed = header.storeID.seed.mixed(header.fileID).mixed(start)
            do throws(StoreError) {
                let expected = try file.decode(at: place, count: 4) { bytes throws(FormatError) in
                    UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
                }
                let byteCount = min(size, entry.byteCount - chunk * size)
                try file.decode(at: start, count: Int(byteCount)) { bytes throws(FormatError) in
                    try expectChecksum(
                        seed.checksum(bytes),
                        expected.littleEndian,
                        at: 0,
                        "chunk"
                    )
                }
            } catch {
                faults.append(error)
            }
        }
        return faults
    }

    /// Adds to the description.
    mutating func append(_ name: String, _ value: Description) { fields.append((name, value)) }
}

extension FileFooter {
    fileprivate var fields: Description.Fields {
        [
            ("directoryOffset", .number(directoryOffset)),
            ("directoryByteCount", .number(directoryByteCount)),
            ("directoryChecksum", .checksum(directoryChecksum)),
            ("fileByteCount", .number(fileByteCount)), ("rowCount", .number(rowCount)),
            ("minLSN", .number(minLSN)), ("maxLSN", .number(maxLSN)),
            ("fileID", .number(fileID)),
        ]
    }
}

extension SectionEntry {
    fileprivate var fields: Description.Fields {
        [
            ("type", .number(type)), ("ordinal", .number(ordinal)), ("offset", .number(offset)),
            ("byteCount", .number(byteCount)), ("firstChecksum", .number(firstChecksum)),
            ("tableChecksum", .checksum(tableChecksum)),
        ]
    }
}

extension InspectedStore {
    /// A file of the store; `nil` when it has gone.
    func openIfThere(_ name: String) throws(Failure) -> InspectedFile? {
        do throws(Failure) {
            return try InspectedFile(self, name)
        } catch {
            let path = FileNames.path(folder, name)
            if let info = try? fileSystem.info(path), !info.isDirectory { throw error }
            return nil
        }
    }

    /// The sealed files in `seg/` of one segment, or of all, that `wants` says yes to.
    func sealedFiles(
        segment: UInt64?,
        _ wants: (FileNames.Parsed) -> UInt64?
    ) throws(Failure) -> [InspectedFile] {
        var files: [InspectedFile] = []
        for name in try names(in: FileNames.segmentFolder) {
            guard let parsed = FileNames.parse(name), let id = wants(parsed),
                segment == nil || segment == id
            else { continue }
            // Beside a writer a file may go between the list and the look.
            if let file = try openIfThere(name) { files.append(file) }
        }
        return files
    }
}

extension Call {
    /// The segment's id from the command line, `nil` when none is given.
    func segmentID() throws(Failure) -> UInt64? {
        guard let text = optional(1) else { return nil }
        if text.utf8.count == 16, let id = UInt64(text, radix: 16) { return id }
        return try wholeNumber(text, of: "SEGMENT", in: 1...UInt64.max)
    }

    /// Prints a row for each file, or everything about the files of one segment.
    func printSealed(
        _ files: [InspectedFile],
        _ store: InspectedStore,
        isWhole: Bool,
        _ detail: (inout SealedWalk) -> Void
    ) {
        var rows: [Description] = []
        for file in files {
            var walk: SealedWalk
            do throws(StoreError) {
                walk = try SealedWalk(file, store)
            } catch {
                let fields: Description.Fields = [
                    ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
                    ("error", store.damage(error)),
                ]
                rows.append(.object(fields))
                continue
            }
            if isWhole { detail(&walk) }
            rows.append(.object(isWhole ? walk.fields : walk.summary))
        }
        if isJSON {
            for row in rows { print(row) }
        } else if !isWhole {
            print(.list(rows))
        } else {
            for (index, row) in rows.enumerated() {
                if index > 0 { output.write("\n") }
                print(row)
            }
        }
    }
}

extension SealedWalk {
    /// One row of a list of files.
    fileprivate var summary: Description.Fields {
        [
            ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
            ("rowCount", footer.map { .number($0.rowCount) } ?? .null),
            ("minLSN", footer.map { .number($0.minLSN) } ?? .null),
            ("maxLSN", footer.map { .number($0.maxLSN) } ?? .null),
            ("createdLSN", .number(header.createdLSN)),
        ] + fields.filter { $0.name == "error" || $0.name == "findings" }
    }
}
