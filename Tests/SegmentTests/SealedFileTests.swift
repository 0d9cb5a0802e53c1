// The frame that all sealed files share: sections, checksums, directory, footer.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

@Suite struct SealedFileTests {
    private static let chunk = SectionEntry.chunkByteCount
    private static let kind = SectionType.vectors

    /// A file of kind `.vector` with one section of each size.
    private func write(_ fixture: Fixture, _ sections: [[UInt8]]) throws -> SealedFileReference {
        let writer = try SealedFileWriter(
            fileSystem: fixture.files,
            root: fixture.root,
            name: FileNames.vector(7),
            kind: .vector,
            storeID: fixture.storeID,
            fileID: 70,
            createdLSN: 3
        )
        for (ordinal, bytes) in sections.enumerated() {
            try writer.beginSection(SealedFileTests.kind, ordinal: UInt32(ordinal))
            // In uneven parts, so that chunks do not end where a part does.
            for start in stride(from: 0, to: bytes.count, by: 50_001) {
                try writer.append(Array(bytes[start..<min(start + 50_001, bytes.count)]))
            }
            try writer.endSection()
        }
        return try writer.finish(rowCount: 5, minLSN: 2, maxLSN: 3)
    }

    private func open(
        _ fixture: Fixture,
        _ reference: SealedFileReference,
        _ access: SealedFile.Access = .mapped,
        kind: FileKind = .vector,
        storeID: StoreID? = nil
    ) throws -> SealedFile {
        try SealedFile(
            fileSystem: fixture.files,
            root: fixture.root,
            name: FileNames.vector(7),
            kind: kind,
            storeID: storeID ?? fixture.storeID,
            reference: reference,
            access: access
        )
    }

    private var path: String { "store/" + FileNames.vector(7) }

    private func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var random = SplitMix(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Truth that this code does not know is refused; what can be made again may hold more.
    @Test(arguments: FileKind.allCases.filter { ![.root, .manifest, .log].contains($0) })
    func anUnknownSectionIsNewerUnlessTheFileIsDerived(kind: FileKind) throws {
        let fixture = try Fixture()
        for type: UInt32 in [0, 7, 63, 200, .max] {
            let name = FileNames.vector(UInt64(type) + 7)
            let writer = try SealedFileWriter(
                fileSystem: fixture.files,
                root: fixture.root,
                name: name,
                kind: kind,
                storeID: fixture.storeID,
                fileID: 70,
                createdLSN: 3
            )
            try writer.beginSection(type)
            try writer.append([1, 2, 3])
            try writer.endSection()
            let reference = try writer.finish(rowCount: 5, minLSN: 2, maxLSN: 3)
            do throws(StoreError) {
                _ = try SealedFile(
                    fileSystem: fixture.files,
                    root: fixture.root,
                    name: name,
                    kind: kind,
                    storeID: fixture.storeID,
                    reference: reference,
                    access: .read
                )
                #expect(kind.isDerived, "section \(type)")
            } catch {
                #expect(!kind.isDerived && error.code == .newerFormat, "section \(type)")
            }
        }
    }

    @Test func sectionsOfAnySizeReadBack() throws {
        let chunk = SealedFileTests.chunk
        let sizes = [0, 1, 63, 64, 65, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7]
        let sections = sizes.enumerated().map { bytes($1, seed: UInt64($0)) }
        let fixture = try Fixture()
        let reference = try write(fixture, sections)
        let mapped = try open(fixture, reference)
        let read = try open(fixture, reference, .read)
        defer { withExtendedLifetime((mapped, read)) {} }
        for (ordinal, expected) in sections.enumerated() {
            let section = try mapped.requiredSection(
                SealedFileTests.kind,
                ordinal: UInt32(ordinal)
            )
            #expect(section.entry.offset % 64 == 0)
            #expect(try section.allBytes().elementsEqual(expected))
            let other = try read.requiredSection(SealedFileTests.kind, ordinal: UInt32(ordinal))
            #expect(try other.load() == expected)
        }
        #expect(mapped.footer.rowCount == 5 && mapped.footer.minLSN == 2)
        #expect(mapped.layout.entries[0].offset == 4096)
        var findings: [Finding] = []
        mapped.verifyAll { findings.append($0) }
        #expect(findings == [])
        #expect(mapped.section(99) == nil)
        #expect(throws: StoreError.self) { try mapped.requiredSection(99) }
    }

    /// Two checksums of the same bytes must not take each other's differences out of the one that
    /// stands above both: a section with so many chunks behind it would be in no footer.
    @Test func everySectionIsInTheFooter() throws {
        for (behind, chunkCount) in [(1, 16), (2, 12)] {
            let tail = bytes(SealedFileTests.chunk * chunkCount - 5)
            var checksums: Set<UInt32> = []
            for word in 0..<3 {
                let sections = [bytes(100, seed: UInt64(word))] + repeatElement(tail, count: behind)
                checksums.insert(try write(Fixture(), sections).footerChecksum)
            }
            #expect(checksums.count == 3, "\(behind) sections of \(chunkCount) chunks")
        }
    }

    /// All that differs is the store's id, under a checksum that is right.
    @Test func aHeadOfAnotherStoreIsRefused() throws {
        let fixture = try Fixture()
        let reference = try write(fixture, [bytes(100)])
        let whole = try #require(fixture.files.contents(of: path))
        var head = ByteWriter()
        FileHeader(
            kind: .vector,
            storeID: StoreID(low: 1, high: 2),
            fileID: 70,
            createdLSN: 3
        ).encode(into: &head)
        fixture.files.replace(path: path, bytes: head.finish() + whole.dropFirst(64))
        let error = #expect(throws: StoreError.self) { try open(fixture, reference) }
        #expect(error?.code == .corrupted && error?.offset == 24)
        #expect(error?.expected == fixture.storeID.text)
    }

    @Test func onlyTheDamagedChunkIsRefused() throws {
        let chunk = SealedFileTests.chunk
        let fixture = try Fixture()
        let content = bytes(3 * chunk + 100)
        let reference = try write(fixture, [content])
        let damaged = 4096 + chunk + 17
        #expect(fixture.files.corrupt(path: path, offset: damaged, xor: 4))
        let file = try open(fixture, reference)
        defer { withExtendedLifetime(file) {} }
        let section = try file.requiredSection(SealedFileTests.kind)
        for _ in 0..<2 {
            #expect(try section.bytes(0..<chunk).elementsEqual(content[..<chunk]))
            #expect(try section.bytes((2 * chunk)..<(3 * chunk + 100)).count == chunk + 100)
            for range in [chunk..<(chunk + 1), (chunk - 1)..<(chunk + 1), 0..<(2 * chunk + 1)] {
                do throws(StoreError) {
                    _ = try section.bytes(range)
                    Issue.record("damage was not seen")
                } catch {
                    #expect(error.code == .corrupted && error.path == path)
                    #expect(error.offset == UInt64(4096 + chunk))
                }
            }
        }
        #expect(throws: StoreError.self) {
            let file = try open(fixture, reference, .read)
            defer { withExtendedLifetime(file) {} }
            _ = try file.requiredSection(SealedFileTests.kind).load()
        }
    }

    @Test func placesOutsideASectionAreRefused() throws {
        let fixture = try Fixture()
        let file = try open(fixture, try write(fixture, [bytes(100)]))
        defer { withExtendedLifetime(file) {} }
        let section = try file.requiredSection(SealedFileTests.kind)
        let places = [(-1, 1), (0, 101), (101, 0), (100, 1), (Int.max, 1), (1, Int.max), (5, -1)]
        for (start, count) in places {
            #expect(throws: StoreError.self) { try section.bytes(at: start, count: count) }
        }
        #expect(try section.bytes(at: 100, count: 0).isEmpty)
    }

    @Test func aFileThatIsNotTheOneNamedIsRefused() throws {
        let fixture = try Fixture()
        let good = try write(fixture, [bytes(1000)])
        func reference(
            _ id: UInt64 = 70,
            _ more: Int = 0,
            _ checksum: UInt32? = nil
        ) -> SealedFileReference {
            SealedFileReference(
                fileID: id,
                byteCount: UInt64(Int(good.byteCount) + more),
                footerChecksum: checksum ?? good.footerChecksum
            )
        }
        _ = try open(fixture, reference())
        for bad in [
            reference(71), reference(70, 1), reference(70, -1), reference(70, 0, 5),
            SealedFileReference(fileID: 70, byteCount: .max, footerChecksum: 0),
        ] {
            #expect(throws: StoreError.self) { try open(fixture, bad) }
        }
        #expect(throws: StoreError.self) { try open(fixture, good, kind: .key) }
        #expect(throws: StoreError.self) {
            try open(fixture, good, storeID: StoreID(low: 1, high: 2))
        }
        try fixture.files.remove(path)
        do {
            _ = try open(fixture, good)
            Issue.record("a missing file was opened")
        } catch let error as StoreError {
            #expect(error.code == .corrupted && error.found == "no file")
        }
    }

    @Test func aWriterThatGoesOrIsGivenUpRemovesItsFile() throws {
        let fixture = try Fixture()
        for isAbandoned in [true, false] {
            let writer = try SealedFileWriter(
                fileSystem: fixture.files,
                root: fixture.root,
                name: FileNames.vector(7),
                kind: .vector,
                storeID: fixture.storeID,
                fileID: 70,
                createdLSN: 3
            )
            try writer.beginSection(SealedFileTests.kind)
            try writer.append(bytes(10))
            if isAbandoned {
                writer.abandon()
                #expect(throws: StoreError.self) { try writer.append(bytes(1)) }
            }
        }
        #expect(fixture.files.filePaths == [])
    }

    /// Directory and footer with any numbers in them and right checksums: refused or read, without
    /// a trap and without taking memory for what a length promises.
    @Test func hostileDirectoriesAreRefused() throws {
        let fixture = try Fixture()
        let good = try write(fixture, [bytes(200), bytes(SealedFileTests.chunk + 1)])
        let image = try #require(fixture.files.contents(of: path))
        let directory = image.count - 64 - 3 * 32
        var random = SplitMix(seed: 4)
        var refused = 0
        for round in 0..<3_000 {
            var bytes = image
            let isFooter = round % 3 == 0
            let start = isFooter ? image.count - 64 : directory
            let at = start + 4 * random.below(isFooter ? 14 : 24)
            let values: [UInt32] = [
                0, 1, 31, 32, 64, .max, .max - 63, 0x8000_0000, UInt32(image.count),
                UInt32(truncatingIfNeeded: random.next()),
            ]
            store(values[random.below(values.count)], &bytes, at)
            reseal(&bytes, directory, fixture.storeID)
            let checksum = load(bytes, bytes.count - 8)
            fixture.files.replace(path: path, bytes: bytes)
            let reference = SealedFileReference(
                fileID: 70,
                byteCount: good.byteCount,
                footerChecksum: checksum
            )
            do {
                let file = try open(fixture, reference)
                defer { withExtendedLifetime(file) {} }
                for entry in file.layout.entries {
                    let section = try file.requiredSection(entry.type, ordinal: entry.ordinal)
                    if section.entry.type != SectionType.checksumTable {
                        _ = try section.allBytes()
                    }
                }
            } catch let error as StoreError {
                // A section's type may be one of a later format.
                let isType = !isFooter && (at - directory) % 32 == 0
                #expect(error.code == .corrupted || isType && error.code == .newerFormat)
                #expect(error.path == path)
                refused += 1
            }
        }
        #expect(refused > 2_000)
    }

    private func store(_ value: UInt32, _ bytes: inout [UInt8], _ at: Int) {
        withUnsafeBytes(of: value.littleEndian) { source in
            for place in 0..<4 { bytes[at + place] = source[place] }
        }
    }

    private func load(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
    }

    private func reseal(_ bytes: inout [UInt8], _ directory: Int, _ storeID: StoreID) {
        let footer = bytes.count - 64
        let sum = bytes[directory..<footer].withUnsafeBytes {
            storeID.seed.mixed(70).checksum($0)
        }
        store(sum, &bytes, footer + 12)
        let whole = bytes[footer..<(footer + 56)].withUnsafeBytes { storeID.seed.checksum($0) }
        store(whole, &bytes, footer + 56)
    }
}
