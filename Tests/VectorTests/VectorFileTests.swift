// Vector files: what is written is read, and what is damaged is found.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

struct VectorFileTests {
    private func sample() -> [FixtureSpace] {
        var random = SplitMix(seed: 21)
        return [
            FixtureSpace(
                &random,
                collectionID: 2,
                dimensions: 3,
                metric: .cosine,
                rows: [0, 1, 2, 5, 6, 9]
            ),
            FixtureSpace(
                &random,
                collectionID: 3,
                dimensions: 16,
                metric: .dot,
                rows: [10, 11, 12]
            ),
            FixtureSpace(
                &random,
                collectionID: 9,
                dimensions: 17,
                metric: .l2,
                rows: [13, 14, 20]
            ),
        ]
    }

    @Test func vectorsComeBackBitForBit() throws {
        let fixture = try VectorFixture()
        var spaces = sample()
        spaces[1].vectors[0][0] = -0.0
        spaces[1].vectors[0][1] = .leastNonzeroMagnitude
        let file = try fixture.open(try fixture.write(spaces, rowCount: 21))
        #expect(findings(file).isEmpty)
        #expect(file.spaces.map(\.entry) == spaces.map(\.entry))
        #expect(file.rowCount == 21)
        for space in spaces {
            let read = try #require(file.space(ofCollection: space.collectionID))
            for (ordinal, row) in space.rows.enumerated() {
                #expect(try read.row(ordinal) == row)
                #expect(try read.ordinal(ofRow: row) == ordinal)
                let vector = UnsafeBufferPointer(
                    start: try read.vector(ordinal),
                    count: space.dimensions
                )
                #expect(vector.map(\.bitPattern) == space.vectors[ordinal].map(\.bitPattern))
                #expect(try read.norm(ordinal) == norm(space.vectors[ordinal]))
            }
            for row in UInt32(0)..<40 where !space.rows.contains(row) {
                #expect(try read.ordinal(ofRow: row) == nil)
            }
            #expect(try read.ordinal(ofRow: .max) == nil)
        }
        for id: UInt32 in [0, 1, 4, 8, 10, .max] { #expect(file.space(ofCollection: id) == nil) }
    }

    @Test func rowsBecomeOrdinalsInOneGo() throws {
        var random = SplitMix(seed: 23)
        for step in [1, 2, 40] {
            // Every row from 5 on, or some of them.
            let own = (UInt32(5)..<2000).filter { _ in random.below(step) == 0 }
            let space = FixtureSpace(&random, dimensions: 2, metric: .dot, rows: own)
            let fixture = try VectorFixture()
            let read = try #require(
                fixture.open(fixture.write([space], rowCount: 2100)).spaces.first
            )
            for share in [1, 3, 300] {
                let rows = (UInt32(0)..<2100).filter { _ in random.below(share) == 0 }
                let wanted = try rows.compactMap { try read.ordinal(ofRow: $0) }
                let found = try read.ordinals { visit throws(StoreError) in
                    for row in rows { try visit(row) }
                }
                #expect(found == wanted.map { UInt32($0) }, "\(step) \(share)")
            }
        }
    }

    @Test func theLayoutIsThatOfThePage() throws {
        let fixture = try VectorFixture()
        let reference = try fixture.write(sample(), rowCount: 21)
        let bytes = try #require(fixture.files.contents(of: fixture.path(7)))
        #expect(UInt64(bytes.count) == reference.byteCount)
        let first: [UInt8] = [
            2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 64, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0,
        ]
        #expect(Array(bytes[4096..<4120]) == first)
        let file = try fixture.open(reference)
        #expect(
            file.file.layout.entries.map { [$0.type, $0.ordinal] } == [
                [31, 0], [32, 0], [33, 0], [34, 0], [32, 1], [33, 1], [34, 1], [32, 2], [33, 2],
                [34, 2], [255, 0],
            ]
        )
    }

    @Test func everyFlippedByteIsDetected() throws {
        let fixture = try VectorFixture()
        let reference = try fixture.write(sample(), rowCount: 21)
        let path = fixture.path(7)
        for offset in 0..<Int(reference.byteCount) {
            // One in sixteen of the header's padding, which is 4,032 times the same.
            if (64..<4096).contains(offset), offset % 16 != 0 { continue }
            let mask = UInt8(1 << (offset % 8))
            #expect(fixture.files.corrupt(path: path, offset: offset, xor: mask))
            do throws(StoreError) {
                let file = try fixture.open(reference)
                #expect(!findings(file).isEmpty, "byte \(offset)")
            } catch {
                #expect([.corrupted, .newerFormat].contains(error.code), "byte \(offset)")
                #expect(error.path == path)
            }
            #expect(fixture.files.corrupt(path: path, offset: offset, xor: mask))
        }
        #expect(findings(try fixture.open(reference)).isEmpty)
    }

    @Test func everyTruncationIsRefused() throws {
        let fixture = try VectorFixture()
        let reference = try fixture.write(sample(), rowCount: 21)
        let bytes = try #require(fixture.files.contents(of: fixture.path(7)))
        for count in 0..<bytes.count {
            fixture.files.replace(path: fixture.path(7), bytes: Array(bytes[..<count]))
            #expect(code { _ = try fixture.open(reference) } == .corrupted)
        }
        fixture.files.replace(path: fixture.path(7), bytes: bytes + [0])
        #expect(code { _ = try fixture.open(reference) } == .corrupted)
        _ = fixture.files.removeForTest(fixture.path(7))
        #expect(code { _ = try fixture.open(reference) } == .corrupted)
    }

    @Test func aDamagedChunkIsRefusedAtItsFirstTouchAndTheRestIsRead() throws {
        var random = SplitMix(seed: 22)
        let fixture = try VectorFixture()
        // 1,024 vectors of 64 bytes fill a chunk.
        let space = FixtureSpace(
            &random,
            dimensions: 16,
            metric: .cosine,
            rows: Array(0..<3000)
        )
        let reference = try fixture.write([space], rowCount: 3000)
        let offset = Int(
            try #require(fixture.open(reference).spaces.first).vectorSection.entry.offset
        )
        #expect(fixture.files.corrupt(path: fixture.path(7), offset: offset + 70_000, xor: 4))
        let file = try fixture.open(reference)
        let read = try #require(file.spaces.first)
        #expect(try read.vector(1023).pointee == space.vectors[1023][0])
        #expect(code { _ = try read.vector(1024) } == .corrupted)
        #expect(code { _ = try read.vectors(1000..<1030) } == .corrupted)
        #expect(try read.vector(2048).pointee == space.vectors[2048][0])
        let found = findings(file)
        #expect(found.map(\.kind) == [.checksum])
        #expect(found.first?.offset == UInt64(offset + 65_536))
    }

    @Test func swappedFilesAreRefused() throws {
        let fixture = try VectorFixture()
        let one = try fixture.write(sample(), segment: 1, fileID: 10, rowCount: 21)
        let two = try fixture.write(sample(), segment: 2, fileID: 20, rowCount: 21)
        #expect(one.byteCount == two.byteCount)
        _ = try fixture.open(one, segment: 1)
        #expect(code { _ = try fixture.open(one, segment: 2) } == .corrupted)
        #expect(code { _ = try fixture.open(two, segment: 1) } == .corrupted)
        let other = StoreID(low: 1, high: 2)
        #expect(code { _ = try fixture.open(one, segment: 1, storeID: other) } == .corrupted)
    }

    @Test func aFailedWriteThrowsAndLeavesNoFile() throws {
        let fixture = try VectorFixture()
        fixture.files.setQuota(byteCount: 5000)
        #expect(code { _ = try fixture.write(sample(), rowCount: 21) } == .noSpace)
        #expect(fixture.files.contents(of: fixture.path(7)) == nil)
    }
}

/// The code of the error that `body` throws.
func code(_ body: () throws -> Void) -> StoreError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? StoreError)?.code
    }
}
