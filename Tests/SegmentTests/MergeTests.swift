// Which documents a merge lets through.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

@Suite struct MergeTests {
    /// Rows that fill some blocks, in order of their keys; `lsn` is that of one in the middle.
    private func rows(_ count: Int, lsn: UInt64) -> [Row] {
        var random = SplitMix(seed: 3)
        return sortedByKey(
            (0..<count).map { number in
                Row(
                    "id-\(1_000 + number)",
                    lsn: number == count / 2 ? lsn : 5,
                    text: noise(600, &random)
                )
            }
        )
    }

    @discardableResult
    private func merge(_ reader: SegmentReader, dead: [UInt32] = []) throws(StoreError)
        -> [DocumentRun]
    {
        let dead = DeadRows(rowCount: reader.rowCount).with(dead: dead)
        let plan = try MergePlan([MergeInput(segment: reader, dead: dead)], expiredAt: 0) {}
        let merge = DocumentMerge(plan, codec: .lz4)
        var runs: [DocumentRun] = []
        for rows in merge.runs(byteCount: 1 << 20) { runs.append(try merge.make(rows)) }
        return runs
    }

    /// A segment whose documents are those of one store and whose keys those of another.
    private func mixedSegment(_ documentLSN: UInt64, _ keyLSN: UInt64) throws -> SegmentReader {
        let fixture = try Fixture()
        let other = try Fixture()
        let segment = try fixture.write(rows(300, lsn: documentLSN))
        let otherSegment = try other.write(rows(300, lsn: keyLSN))
        let keys = try #require(other.files.contents(of: other.keyPath))
        fixture.files.replace(path: fixture.keyPath, bytes: keys)
        return try SegmentReader(
            fileSystem: fixture.files,
            root: fixture.root,
            segmentID: fixture.segmentID,
            storeID: fixture.storeID,
            document: segment.document,
            key: otherSegment.key,
            cache: nil
        )
    }

    @Test func wholeBlocksAreCopiedAndOthersPutTogetherAnew() throws {
        let fixture = try Fixture()
        let reader = try fixture.open(try fixture.write(rows(300, lsn: 9)))
        let blockCount = reader.documents.blockCount
        func records(_ runs: [DocumentRun]) -> Int {
            runs.flatMap(\.blocks).reduce(0) { $0 + Int($1.header.recordCount) }
        }
        let whole = try merge(reader)
        #expect(records(whole) == 300)
        // The last block may be a small one.
        let copiedCount = whole.map(\.copiedBlockCount).reduce(0, +)
        #expect(copiedCount >= blockCount - 1)
        let first = reader.documents.index[0]
        let cut = try merge(reader, dead: [first.recordCount / 2])
        #expect(records(cut) == 299)
        #expect(cut.first?.blocks.first?.header.recordCount == first.recordCount - 1)
        #expect(cut.map(\.copiedBlockCount).reduce(0, +) == copiedCount - 1)
    }

    @Test func noRunEndsInsideABlockThatCanBeCopied() throws {
        let fixture = try Fixture()
        let reader = try fixture.open(try fixture.write(rows(600, lsn: 9)))
        let dead = DeadRows(rowCount: reader.rowCount)
        let plan = try MergePlan([MergeInput(segment: reader, dead: dead)], expiredAt: 0) {}
        let runs = DocumentMerge(plan, codec: .lz4).runs(byteCount: 50_000)
        #expect(runs.count > 4)
        #expect(runs.first?.lowerBound == 0 && runs.last?.upperBound == 600)
        for (one, next) in zip(runs, runs.dropFirst()) {
            #expect(one.upperBound == next.lowerBound)
        }
        let starts = Set(reader.documents.index.map { Int($0.firstRow) })
        #expect(runs.allSatisfy { starts.contains($0.lowerBound) })
    }

    @Test func documentsThatAreNotThoseOfTheKeysAreNotMoved() throws {
        // The first row is dead, so that its block and the one with the odd row are taken apart.
        let reader = try mixedSegment(9, 8)
        let block = reader.documents.index[reader.documents.blockNumber(of: 150)]
        #expect(throws: StoreError.self) {
            try merge(reader, dead: [block.firstRow == 150 ? 151 : block.firstRow])
        }
        #expect(throws: Never.self) {
            let right = try mixedSegment(9, 9)
            try merge(right, dead: [block.firstRow])
        }
    }

    @Test func blocksThatAreNotThoseOfTheKeysAreNotCopied() throws {
        do {
            _ = try merge(try mixedSegment(9, 8))
            Issue.record("a block with an LSN that no key has was copied")
        } catch let error as StoreError {
            #expect(error.code == .corrupted)
            #expect(error.message.contains("not those of its keys"))
        }
    }

    @Test func aDamagedBlockIsNotCopied() throws {
        let fixture = try Fixture()
        let reader = try fixture.open(try fixture.write(rows(300, lsn: 9)))
        let entry = reader.documents.index[1]
        let place = Int(entry.offset) + DocumentBlockHeader.byteCount + 100
        #expect(fixture.files.corrupt(path: fixture.documentPath, offset: place, xor: 4))
        #expect(throws: StoreError.self) { try merge(reader) }
    }
}
