// The cache of blocks: what it keeps, what it counts, and that it stays inside its budget.

import MoraineBytes
import MoraineFormat
import Testing

@testable import MoraineSegments

@Suite struct BlockCacheTests {
    private func block(_ number: UInt32, byteCount: Int = 16_384) throws -> DecodedBlock {
        let header = DocumentBlockHeader(
            segmentID: 1,
            blockNumber: number,
            firstRow: number,
            recordCount: 1,
            codec: .none,
            kind: .documents,
            rawByteCount: UInt32(byteCount),
            storedByteCount: UInt32(byteCount),
            maxLSN: 1,
            payloadChecksum: 0
        )
        return try [UInt8](repeating: 0, count: byteCount).withUnsafeBufferPointer {
            bytes throws(FormatError) in
            try DecodedBlock(
                header: header,
                offset: 64,
                payload: UnsafeRawBufferPointer(bytes),
                path: "p"
            )
        }
    }

    @Test func aBlockIsFoundUnderItsOwnNameOnly() throws {
        let cache = BlockCache(byteBudget: 1 << 20)
        let kept = try block(3)
        cache.insert(kept, fileID: 5, number: 3)
        #expect(cache.block(fileID: 5, number: 3) === kept)
        #expect(cache.block(fileID: 3, number: 5) == nil)
        #expect(cache.block(fileID: 5, number: 4) == nil)
        let other = try block(3)
        cache.insert(other, fileID: 5, number: 3)
        #expect(cache.block(fileID: 5, number: 3) === kept, "the first one stays")
        let statistics = cache.statistics
        #expect(statistics.hitCount == 2 && statistics.missCount == 2)
        #expect(statistics.blockCount == 1 && statistics.byteCount == kept.memoryByteCount)
    }

    @Test(arguments: [0, 100_000, 1 << 20, 8 << 20])
    func theBudgetIsKeptAndWhatIsFoundIsRight(budget: Int) throws {
        let cache = BlockCache(byteBudget: budget)
        var random = SplitMix(seed: UInt64(budget))
        var hits = 0
        for _ in 0..<20_000 {
            let fileID = UInt64(random.below(3))
            let number = UInt32(random.below(random.below(2) == 0 ? 20 : 2_000))
            if let found = cache.block(fileID: fileID, number: number) {
                hits += 1
                #expect(found.header.blockNumber == number && found.header.maxLSN == 1)
            } else {
                cache.insert(
                    try block(number, byteCount: 16 + random.below(12_000)),
                    fileID: fileID,
                    number: number
                )
            }
            #expect(cache.statistics.byteCount <= budget)
        }
        #expect(budget == 0 ? hits == 0 : hits > 100)
        #expect(cache.statistics.hitCount == UInt64(hits))
    }

    @Test func aBlockInUseOutlivesAScan() throws {
        let cache = BlockCache(byteBudget: 1 << 20)
        cache.insert(try block(0), fileID: 1, number: 0)
        for number in 1..<500 {
            #expect(cache.block(fileID: 1, number: 0) != nil)
            cache.insert(try block(UInt32(number)), fileID: 1, number: UInt32(number))
        }
        #expect(cache.block(fileID: 1, number: 1) == nil)
    }

    @Test(arguments: [1 << 20, 4 << 20])
    func blocksOfFilesThatGoMakeRoomForOthers(budget: Int) throws {
        let cache = BlockCache(byteBudget: budget)
        let kept = try block(7)
        for number in 0..<UInt32(10) {
            cache.insert(try block(number), fileID: 1, number: number)
            cache.insert(try block(number), fileID: 2, number: number)
        }
        cache.insert(kept, fileID: 3, number: 7)
        let warm = try (0..<UInt32(20)).map { (number: $0, block: try block($0)) }
        let counted = cache.statistics
        #expect(cache.holds(fileID: 2, number: 9) && !cache.holds(fileID: 4, number: 9))
        cache.exchange([1, 2], for: warm, of: 4)
        #expect(cache.statistics.hitCount == counted.hitCount, "nothing of this is a read")
        #expect(cache.statistics.missCount == counted.missCount)
        #expect(cache.statistics.blockCount == 21)
        #expect(cache.block(fileID: 3, number: 7) === kept)
        for (number, block) in warm {
            #expect(cache.block(fileID: 4, number: number) === block)
            #expect(cache.block(fileID: 1, number: number) == nil)
            #expect(cache.block(fileID: 2, number: number) == nil)
        }
        cache.exchange([4], for: [], of: 0)
        #expect(cache.statistics.byteCount == kept.memoryByteCount)
    }

    @Test func aLargeBlockIsNotKept() throws {
        let cache = BlockCache(byteBudget: 1 << 20)
        cache.insert(try block(0, byteCount: 300_000), fileID: 1, number: 0)
        #expect(cache.statistics.blockCount == 0)
        cache.insert(try block(0, byteCount: 200_000), fileID: 1, number: 0)
        #expect(cache.statistics.blockCount == 1)
    }

    @Test func manyThreadsShareACache() async throws {
        let cache = BlockCache(byteBudget: 2 << 20)
        let blocks = try (0..<300).map { try block(UInt32($0)) }
        await withTaskGroup(of: Void.self) { group in
            for seed in 0..<4 {
                group.addTask {
                    var random = SplitMix(seed: UInt64(seed))
                    for _ in 0..<5_000 {
                        let number = UInt32(random.below(300))
                        if let found = cache.block(fileID: 1, number: number) {
                            #expect(found === blocks[Int(number)])
                        } else {
                            cache.insert(blocks[Int(number)], fileID: 1, number: number)
                        }
                    }
                }
            }
        }
        let statistics = cache.statistics
        #expect(statistics.hitCount + statistics.missCount == 20_000)
        #expect(statistics.byteCount <= 2 << 20)
    }
}
