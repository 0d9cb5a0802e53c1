// Every flipped byte and every truncation of small files is found.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

@Suite struct DamageTests {
    private struct Sample {
        let fixture: Fixture
        let segment: SegmentFiles
    }

    private func sample() throws -> Sample {
        let fixture = try Fixture()
        var random = SplitMix(seed: 2)
        let rows = sortedByKey(
            (0..<12).map { Row("id\($0)", lsn: UInt64($0 + 1), text: noise(30, &random)) }
        )
        let segment = try fixture.write(rows, tombstones: [Row("zz", lsn: 40)])
        return Sample(fixture: fixture, segment: segment)
    }

    private func findings(
        _ sample: Sample,
        document: Bool
    ) -> [Finding] {
        var findings: [Finding] = []
        let fixture = sample.fixture
        do throws(StoreError) {
            if document {
                try DocumentFile(
                    fileSystem: fixture.files,
                    root: fixture.root,
                    segmentID: 7,
                    storeID: fixture.storeID,
                    reference: sample.segment.document,
                    cache: nil
                ).verify { findings.append($0) }
            } else {
                try KeyFile(
                    fileSystem: fixture.files,
                    root: fixture.root,
                    segmentID: 7,
                    storeID: fixture.storeID,
                    reference: sample.segment.key
                ).verify { findings.append($0) }
            }
        } catch {
            findings.append(Finding(error, .structure, file: error.path ?? ""))
        }
        return findings
    }

    @Test(arguments: [true, false]) func everyFlippedByteIsFound(document: Bool) throws {
        let sample = try sample()
        let path = document ? sample.fixture.documentPath : sample.fixture.keyPath
        let image = try #require(sample.fixture.files.contents(of: path))
        #expect(findings(sample, document: document) == [])
        var random = SplitMix(seed: 3)
        for offset in image.indices {
            let bits = UInt8(1 + random.below(255))
            #expect(sample.fixture.files.corrupt(path: path, offset: offset, xor: bits))
            #expect(!findings(sample, document: document).isEmpty, "byte \(offset) ^ \(bits)")
            #expect(sample.fixture.files.corrupt(path: path, offset: offset, xor: bits))
        }
        #expect(findings(sample, document: document) == [])
    }

    @Test(arguments: [true, false]) func everyTruncationIsFound(document: Bool) throws {
        let sample = try sample()
        let path = document ? sample.fixture.documentPath : sample.fixture.keyPath
        let image = try #require(sample.fixture.files.contents(of: path))
        for count in image.indices {
            sample.fixture.files.replace(path: path, bytes: Array(image[..<count]))
            #expect(!findings(sample, document: document).isEmpty, "cut to \(count)")
        }
        sample.fixture.files.replace(path: path, bytes: image + [0])
        #expect(!findings(sample, document: document).isEmpty)
    }

    @Test func everyFlippedByteOfADeletionFileIsFound() throws {
        let fixture = try Fixture()
        let rows = DeadRows(rowCount: 70_000).with(dead: [3, 5, 69_999])
        let reference = try DeletionFile.write(
            rows,
            lsn: 4,
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: 7,
            fileID: 9,
            storeID: fixture.storeID,
            createdLSN: 4
        )
        let path = FileNames.path(fixture.root, FileNames.deletions(7, fileID: 9))
        func count() -> Int {
            var count = 0
            DeletionFile.verify(
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                storeID: fixture.storeID,
                reference: reference,
                rowCount: 70_000
            ) { _ in count += 1 }
            return count
        }
        #expect(count() == 0)
        let image = try #require(fixture.files.contents(of: path))
        for offset in image.indices {
            for bits: UInt8 in [1, 0x80, 0xFF] {
                #expect(fixture.files.corrupt(path: path, offset: offset, xor: bits))
                #expect(count() > 0, "byte \(offset) ^ \(bits)")
                #expect(fixture.files.corrupt(path: path, offset: offset, xor: bits))
            }
        }
        for length in image.indices {
            fixture.files.replace(path: path, bytes: Array(image[..<length]))
            #expect(count() > 0, "cut to \(length)")
        }
    }

    @Test func aFindingNamesFileAndPlaceAndCheckingGoesOn() throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: 8)
        let rows = (10..<60).map { Row("\($0)", lsn: UInt64($0), text: noise(3_000, &random)) }
        let segment = try fixture.write(rows)
        let index = try fixture.open(segment).documents.index
        #expect(index.count > 4)
        for block in [1, 3] {
            let offset = Int(index[block].offset) + DocumentBlockHeader.byteCount + 100
            #expect(
                fixture.files.corrupt(path: fixture.documentPath, offset: offset, xor: 1)
            )
        }
        let findings = fixture.findings(segment)
        #expect(findings.map(\.kind) == [.block, .block])
        #expect(findings.map(\.offset) == [index[1].offset + 48, index[3].offset + 48])
        #expect(findings.allSatisfy { $0.file == FileNames.document(7) })

        var read = 0
        let documents = try fixture.open(segment).documents
        #expect(throws: StoreError.self) {
            try documents.forEachRecord(in: 0..<50) { _, _ throws(StoreError) in
                read += 1
                return true
            }
        }
        #expect(read == Int(index[0].recordCount))
    }

    /// Both files are whole, but belong to different documents.
    @Test func filesThatDisagreeAreFound() throws {
        let fixture = try Fixture()
        let rows = (10..<40).map { Row("\($0)", lsn: UInt64($0)) }
        let first = try fixture.write(rows)
        let keys = try #require(fixture.files.contents(of: fixture.keyPath))
        try fixture.files.remove(fixture.documentPath)
        try fixture.files.remove(fixture.keyPath)
        var changed = rows
        changed[7].lsn = 99
        changed[9].created += 1
        changed[11].expiry = 5
        changed[13].id = Array("23x".utf8)
        let second = try fixture.write(changed)
        fixture.files.replace(path: fixture.keyPath, bytes: keys)
        let mixed = SegmentFiles(
            segmentID: 7,
            document: second.document,
            key: first.key,
            rowCount: 30,
            tombstoneCount: 0,
            minLSN: 0,
            maxLSN: 0
        )
        let findings = fixture.findings(mixed)
        #expect(findings.map(\.kind) == [.mismatch, .mismatch, .mismatch, .mismatch])
    }
}
