// Dead rows against a set, and through their file.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

@Suite struct DeadRowsTests {
    @Test(arguments: [1, 63, 64, 65, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 200_000])
    func deadRowsAgreeWithASet(rowCount: Int) {
        var random = SplitMix(seed: UInt64(rowCount))
        var model: Set<UInt32> = []
        var rows = DeadRows(rowCount: UInt32(rowCount))
        for round in 0..<6 {
            let more = (0..<(1 + random.below(rowCount / 4 + 1))).map { _ in
                UInt32(random.below(rowCount))
            }
            let before = rows
            let beforeCount = model.count
            rows = rows.with(dead: more + (round == 5 ? [UInt32(rowCount - 1), 0] : []))
            model.formUnion(more)
            if round == 5 { model.formUnion([UInt32(rowCount - 1), 0]) }
            #expect(before.count == beforeCount, "the older one is untouched")
            #expect(rows.count == model.count)
        }
        let all = (0..<UInt32(rowCount)).filter { rows.isDead($0) }
        #expect(all == model.sorted())
        var visited: [UInt32] = []
        rows.forEach { visited.append($0) }
        #expect(visited == all)
        for _ in 0..<20 {
            let a = UInt32(random.below(rowCount + 1))
            let b = UInt32(random.below(rowCount + 1))
            let range = min(a, b)..<max(a, b)
            #expect(rows.count(in: range) == all.lazy.filter { range.contains($0) }.count)
            let more = rows.with(deadRange: range)
            #expect(more.count == Set(all).union(range).count)
            #expect(more.count(in: range) == range.count)
            #expect(more.isDead(a == UInt32(rowCount) ? 0 : a) || !range.contains(a))
        }
        #expect(rows.count(in: 0..<UInt32(rowCount)) == all.count)
    }

    @Test func onlyTouchedChunksAreCopied() {
        let first = DeadRows(rowCount: 100_000).with(dead: [1, 40_000])
        let second = first.with(dead: [40_001])
        #expect(first.chunks[0] === second.chunks[0] && first.chunks[1] !== second.chunks[1])
        #expect(second.chunks[2] == nil)
        #expect(first.with(dead: []) === first)
        #expect(second.words(ofChunk: 0)?[0] == 2 && second.words(ofChunk: 2) == nil)
    }

    /// Around the size at which an array becomes a bitmap, and in all places of a container.
    @Test(arguments: [1, 2, 3, 4, 5, 4_095, 4_096, 4_097, 65_535, 65_536])
    func filesReadBack(count: Int) throws {
        for first: UInt32 in [0, 65_536, 100_000] {
            let fixture = try Fixture()
            let rowCount = first + UInt32(count)
            let rows = DeadRows(rowCount: rowCount).with(dead: first..<rowCount)
            let reference = try DeletionFile.write(
                rows,
                lsn: 12,
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                fileID: 9,
                storeID: fixture.storeID,
                createdLSN: 13
            )
            let read = try DeletionFile.read(
                fileSystem: fixture.files,
                root: fixture.root,
                segmentID: 7,
                storeID: fixture.storeID,
                reference: reference,
                rowCount: rowCount
            )
            #expect(read.lsn == 12 && read.rows.count == count)
            var all: [UInt32] = []
            read.rows.forEach { all.append($0) }
            #expect(all == Array(first..<rowCount))
            for other in [rowCount - 1, rowCount + 1] {
                #expect(throws: StoreError.self) {
                    try DeletionFile.read(
                        fileSystem: fixture.files,
                        root: fixture.root,
                        segmentID: 7,
                        storeID: fixture.storeID,
                        reference: reference,
                        rowCount: other
                    )
                }
            }
        }
    }
}
