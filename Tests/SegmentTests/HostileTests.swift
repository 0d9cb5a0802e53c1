// Files whose checksums are right and whose content is anything: errors, never a trap.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

/// A file's sections, to be changed and sealed again.
private struct OpenedFile {
    let fixture: Fixture
    let name: String
    let kind: FileKind
    let footer: FileFooter
    var sections: [(entry: SectionEntry, bytes: [UInt8])] = []

    init(
        _ fixture: Fixture,
        name: String,
        kind: FileKind,
        reference: SealedFileReference
    ) throws {
        self.fixture = fixture
        self.name = name
        self.kind = kind
        let file = try SealedFile(
            fileSystem: fixture.files,
            root: fixture.root,
            name: name,
            kind: kind,
            storeID: fixture.storeID,
            reference: reference,
            access: .read
        )
        footer = file.footer
        for entry in file.layout.entries.dropLast() {
            let section = try file.requiredSection(entry.type, ordinal: entry.ordinal)
            sections.append((entry, try section.load()))
        }
        withExtendedLifetime(file) {}
    }

    /// Writes the sections under the old name.
    func seal() throws -> SealedFileReference {
        try fixture.files.remove(FileNames.path(fixture.root, name))
        let writer = try SealedFileWriter(
            fileSystem: fixture.files,
            root: fixture.root,
            name: name,
            kind: kind,
            storeID: fixture.storeID,
            fileID: footer.fileID,
            createdLSN: 1
        )
        for (entry, bytes) in sections {
            try writer.beginSection(
                entry.type,
                ordinal: entry.ordinal,
                selfChecked: SectionType.isSelfChecked(entry.type)
            )
            try writer.append(bytes)
            try writer.endSection()
        }
        return try writer.finish(
            rowCount: footer.rowCount,
            minLSN: footer.minLSN,
            maxLSN: footer.maxLSN
        )
    }

    /// Changes a few bytes of a section, sometimes its length.
    mutating func disturb(_ type: UInt32, _ random: inout SplitMix) {
        guard let place = sections.firstIndex(where: { $0.entry.type == type }),
            !sections[place].bytes.isEmpty
        else { return }
        for _ in 0...random.below(4) {
            let at = random.below(sections[place].bytes.count)
            let values: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF, UInt8(random.below(256))]
            sections[place].bytes[at] = values[random.below(values.count)]
        }
        if random.below(8) == 0 {
            sections[place].bytes.removeLast(random.below(sections[place].bytes.count))
        }
    }
}

@Suite struct HostileTests {
    private func rows(_ random: inout SplitMix, _ count: Int) -> [Row] {
        sortedByKey(
            (0..<count).map {
                Row("id-\($0)", lsn: UInt64($0 + 1), text: noise(random.below(120), &random))
            }
        )
    }

    @Test(arguments: [SectionType.keyBlocks, SectionType.fences, SectionType.filter])
    func hostileKeyFiles(section: UInt32) throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: UInt64(section))
        let rows = rows(&random, 400)
        let segment = try fixture.write(rows)
        let good = try OpenedFile(
            fixture,
            name: FileNames.key(7, fileID: 8),
            kind: .key,
            reference: segment.key
        )
        for _ in 0..<300 {
            var file = good
            file.disturb(section, &random)
            let reference = try file.seal()
            do throws(StoreError) {
                let keys = try KeyFile(
                    fileSystem: fixture.files,
                    root: fixture.root,
                    segmentID: 7,
                    storeID: fixture.storeID,
                    reference: reference
                )
                for row in rows.prefix(40) + rows.suffix(40) { touch(keys, row.key) }
                for row in stride(from: 0, to: keys.rowCount, by: 7) {
                    _ = try? keys.entry(row)
                    var id: [UInt8] = []
                    var ends: [Int] = []
                    try? keys.appendIDs(ofRows: [row], to: &id, ends: &ends)
                    #expect(id.count <= FormatLimits.idByteCount)
                }
                let cursor = keys.cursor(from: UInt32(random.below(400)))
                while (try? cursor.next()) == true { #expect(cursor.key.count <= 1_028) }
                keys.verify { #expect($0.file == FileNames.key(7, fileID: 8)) }
            } catch {
                #expect(error.code == .corrupted && error.path == fixture.keyPath)
            }
        }
    }

    private func touch(_ keys: KeyFile, _ key: [UInt8]) {
        key.withUnsafeBytes { key in
            _ = try? keys.find(key)
            _ = try? keys.lowerBound(key)
        }
    }

    @Test(arguments: [SectionType.blockIndex, SectionType.schema])
    func hostileIndexAndSchema(section: UInt32) throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: UInt64(section))
        let segment = try fixture.write(rows(&random, 600), tombstones: [Row("zzz")])
        let good = try OpenedFile(
            fixture,
            name: FileNames.document(7),
            kind: .document,
            reference: segment.document
        )
        for _ in 0..<300 {
            var file = good
            file.disturb(section, &random)
            use(fixture, try file.seal())
        }
    }

    /// Blocks without compression whose headers or records say anything.
    @Test(arguments: [true, false]) func hostileBlocks(headers: Bool) throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: headers ? 1 : 2)
        let segment = try fixture.write(
            rows(&random, 600),
            tombstones: [Row("zzz")],
            codec: .none
        )
        let index = try fixture.open(segment).documents.index
        let good = try OpenedFile(
            fixture,
            name: FileNames.document(7),
            kind: .document,
            reference: segment.document
        )
        for _ in 0..<400 {
            var file = good
            let number = random.below(index.count)
            let entry = index[number]
            let start = Int(entry.offset) - 64
            let size = Int(entry.storedByteCount)
            for _ in 0...random.below(3) {
                // The last bytes of a block are the starts of its records.
                let inPayload =
                    random.below(2) == 0 ? random.below(size) : size - 1 - random.below(40)
                let at = headers ? start + 8 + random.below(48) : start + 56 + max(0, inPayload)
                file.sections[0].bytes[at] = UInt8(random.below(256))
            }
            reseal(&file, number, entry)
            use(fixture, try file.seal())
        }
    }

    /// Makes the checksums of a block right again, up to the index.
    private func reseal(_ file: inout OpenedFile, _ number: Int, _ entry: BlockIndexEntry) {
        func store(_ value: UInt32, _ section: Int, _ at: Int) {
            withUnsafeBytes(of: value.littleEndian) {
                file.sections[section].bytes.replaceSubrange(at..<(at + 4), with: $0)
            }
        }
        let start = Int(entry.offset) - FileHeader.byteCount
        let payload = (start + 56)..<(start + 56 + Int(entry.storedByteCount))
        store(file.sections[0].bytes[payload].withUnsafeBytes { CRC32C.value($0) }, 0, start + 48)
        let seed = file.fixture.storeID.seed.mixed(7).mixed(entry.offset)
        let checksum = file.sections[0].bytes[(start + 8)..<(start + 56)].withUnsafeBytes {
            seed.checksum($0)
        }
        store(checksum, 0, start + 4)
        store(checksum, 1, number * BlockIndexEntry.byteCount + 24)
    }

    /// Reads all that can be read.
    private func use(_ fixture: Fixture, _ reference: SealedFileReference) {
        do throws(StoreError) {
            let documents = try DocumentFile(
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                storeID: fixture.storeID,
                reference: reference,
                cache: BlockCache(byteBudget: 100_000)
            )
            for row in stride(from: 0, to: documents.rowCount, by: 9) {
                guard let block = try? documents.block(ofRow: row) else { continue }
                _ = try? block.record(ofRow: row)
            }
            documents.verify { #expect($0.file == FileNames.document(7)) }
            try documents.forEachTombstone { _ throws(StoreError) in true }
        } catch {
            #expect(error.code == .corrupted || error.code == .newerFormat)
            #expect(error.path == fixture.documentPath)
        }
    }

    @Test(arguments: [SectionType.deletionSummary, SectionType.deadRowContainers])
    func hostileDeletionFiles(section: UInt32) throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: UInt64(section))
        let dead = (0..<6_000).map { UInt32($0 * 3) } + [70_000, 150_000]
        let reference = try DeletionFile.write(
            DeadRows(rowCount: 200_000).with(dead: dead),
            lsn: 4,
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: 7,
            fileID: 9,
            storeID: fixture.storeID,
            createdLSN: 4
        )
        let good = try OpenedFile(
            fixture,
            name: FileNames.deletions(7, fileID: 9),
            kind: .deletions,
            reference: reference
        )
        for _ in 0..<300 {
            var file = good
            file.disturb(section, &random)
            let reference = try file.seal()
            do throws(StoreError) {
                let read = try DeletionFile.read(
                    fileSystem: fixture.files,
                    root: fixture.root,
                    segmentID: 7,
                    storeID: fixture.storeID,
                    reference: reference,
                    rowCount: 200_000
                )
                #expect(read.rows.count == 6_002)
            } catch {
                #expect(error.code == .corrupted)
            }
        }
    }

    /// More records than their starts leave room for.
    @Test(arguments: [10, 21, 1_000, UInt32.max]) func recordCountsThatCannotBe(count: UInt32)
        throws
    {
        let fixture = try Fixture()
        let segment = try fixture.write([], tombstones: [Row("a"), Row("b")], codec: .none)
        var file = try OpenedFile(
            fixture,
            name: FileNames.document(7),
            kind: .document,
            reference: segment.document
        )
        let entry = try fixture.open(segment).documents.index[0]
        #expect(entry.rawByteCount < 50)
        withUnsafeBytes(of: count.littleEndian) {
            file.sections[0].bytes.replaceSubrange(24..<28, with: $0)
            file.sections[1].bytes.replaceSubrange(20..<24, with: $0)
        }
        reseal(&file, 0, entry)
        let reference = try file.seal()
        #expect(throws: StoreError.self) {
            try DocumentFile(
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                storeID: fixture.storeID,
                reference: reference,
                cache: nil
            ).forEachTombstone { _ throws(StoreError) in true }
        }
    }

    /// Dead rows behind the last one, in its chunk and beyond it.
    @Test(arguments: [4_464, 32_768, 65_535] as [UInt16])
    func deadRowsBehindTheLastOne(low: UInt16) throws {
        let fixture = try Fixture()
        let reference = try DeletionFile.write(
            DeadRows(rowCount: 70_000).with(dead: [69_999]),
            lsn: 4,
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: 7,
            fileID: 9,
            storeID: fixture.storeID,
            createdLSN: 4
        )
        var file = try OpenedFile(
            fixture,
            name: FileNames.deletions(7, fileID: 9),
            kind: .deletions,
            reference: reference
        )
        withUnsafeBytes(of: low.littleEndian) {
            file.sections[1].bytes.replaceSubrange(8..<10, with: $0)
        }
        let changed = try file.seal()
        #expect(throws: StoreError.self) {
            try DeletionFile.read(
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                storeID: fixture.storeID,
                reference: changed,
                rowCount: 70_000
            )
        }
    }

    /// An entry that shares more than the key before it has, and a restart that lies.
    @Test(arguments: [true, false]) func keyBlocksThatContradictThemselves(shared: Bool) throws {
        let fixture = try Fixture()
        let rows = (10..<40).map { Row("\($0)") }
        let segment = try fixture.write(rows)
        var file = try OpenedFile(
            fixture,
            name: FileNames.key(7, fileID: 8),
            kind: .key,
            reference: segment.key
        )
        // The first entry is 0, 6, six bytes of key, and numbers of 1, 6 and 1 bytes; the second
        // follows it. The second restart stands before the two counts.
        #expect(file.sections[0].bytes[16] == 5)
        file.sections[0].bytes[shared ? 16 : 4_090] = shared ? 100 : 200
        let changed = try file.seal()
        let keys = try KeyFile(
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: 7,
            storeID: fixture.storeID,
            reference: changed
        )
        var findings: [Finding] = []
        keys.verify { findings.append($0) }
        #expect(findings.contains { $0.kind == .block })
        if shared {
            let cursor = keys.cursor(from: 0)
            #expect(try cursor.next())
            #expect(throws: StoreError.self) { try cursor.next() }
        }
    }

    @Test func aFilterThatHoldsBackAKeyIsFound() throws {
        let fixture = try Fixture()
        let segment = try fixture.write((10..<40).map { Row("\($0)") })
        var file = try OpenedFile(
            fixture,
            name: FileNames.key(7, fileID: 8),
            kind: .key,
            reference: segment.key
        )
        for place in 24..<file.sections[2].bytes.count { file.sections[2].bytes[place] ^= 1 }
        let keys = try KeyFile(
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: 7,
            storeID: fixture.storeID,
            reference: try file.seal()
        )
        var findings: [Finding] = []
        keys.verify { findings.append($0) }
        #expect(findings.count == 30 && findings.allSatisfy { $0.kind == .mismatch })
    }
}
