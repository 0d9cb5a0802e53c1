// Segments written and read back, and held against plain arrays.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineSegments

@Suite struct SegmentTests {
    @Test(arguments: Codec.allCases) func aSegmentReadsBackWhatWasWritten(codec: Codec) throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: 1)
        var rows: [Row] = []
        for number in 0..<2_000 {
            var row = Row(
                "id-\(number)",
                collection: UInt32(1 + number % 3),
                lsn: UInt64(number + 5)
            )
            row.text = noise(random.below(300), &random)
            row.expiry = number % 7 == 0 ? 1_800_000_000_000 : 0
            row.vectorChecksum = number % 2 == 0 ? UInt32(number) : nil
            rows.append(row)
        }
        rows = sortedByKey(rows)
        let tombstones = sortedByKey((0..<900).map { Row("gone-\($0)", collection: 5, lsn: 77) })
        let segment = try fixture.write(rows, tombstones: tombstones, codec: codec)
        let reader = try fixture.open(segment, cache: BlockCache(byteBudget: 1 << 20))

        var read: [Row] = []
        try reader.documents.forEachRecord(in: 0..<2_000) { row, record throws(StoreError) in
            #expect(row == read.count)
            read.append(Row(record))
            return true
        }
        #expect(read == rows)
        for row in [0, 1, 700, 1_999] {
            let block = try reader.documents.block(ofRow: UInt32(row))
            #expect(Row(try block.record(ofRow: UInt32(row))) == rows[row])
            withExtendedLifetime(block) {}
        }
        var gone: [[UInt8]] = []
        try reader.documents.forEachTombstone { record throws(StoreError) in
            #expect(record.isTombstone && record.created == 1_700_000_000_000)
            gone.append(Array(record.id))
            return true
        }
        #expect(gone == tombstones.map(\.id))
        #expect(reader.documents.tombstoneCount == 900)
        #expect(segment.minLSN == 5 && segment.maxLSN == 2_004)
        #expect(reader.collections.map(\.shape) == [1, 2, 3, 5].map(Fixture.shape))
        #expect(reader.rows(of: 2) == 667..<1_334)
        #expect(reader.rows(of: 5) == 2_000..<2_000 && reader.rows(of: 4).isEmpty)
        #expect(fixture.findings(segment) == [])
    }

    @Test(arguments: [0, 1, 2, 3, 15, 16, 17, 200, 500])
    func smallSegmentsAreWhole(count: Int) throws {
        let fixture = try Fixture()
        let rows = sortedByKey((0..<count).map { Row("key \($0)", lsn: UInt64($0 + 1)) })
        let segment = try fixture.write(rows)
        let reader = try fixture.open(segment)
        #expect(reader.rowCount == count)
        for (index, row) in rows.enumerated() {
            let entry = try find(reader, row.key)
            #expect(entry?.row == UInt32(index) && entry?.lsn == row.lsn)
        }
        #expect(try find(reader, Row("absent").key) == nil)
        #expect(fixture.findings(segment) == [])
    }

    /// Texts around the size at which a block is closed, 65,536 and what zlib windows at.
    @Test(arguments: [16_383, 16_384, 16_385, 32_768, 65_535, 65_536, 65_537, 200_000])
    func textsAroundTheEdgesReadBack(size: Int) throws {
        var random = SplitMix(seed: UInt64(size))
        let text = noise(size + 4, &random)
        for extra in stride(from: -44, through: 4, by: 4) {
            let fixture = try Fixture()
            let rows = [
                Row("a", text: noise(10, &random)),
                Row("b", text: Array(text[..<(size + extra)])), Row("c", text: noise(3, &random)),
            ]
            let segment = try fixture.write(rows)
            var read: [Row] = []
            try fixture.open(segment).documents.forEachRecord(in: 0..<3) {
                _,
                record throws(StoreError) in
                read.append(Row(record))
                return true
            }
            #expect(read == rows)
            #expect(fixture.findings(segment) == [])
        }
    }

    @Test func aLargeDocumentHasItsOwnBlock() throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: 3)
        let segment = try fixture.write([
            Row("a"), Row("b", text: noise(20_000, &random)), Row("c"), Row("d"),
        ])
        let documents = try fixture.open(segment).documents
        #expect(documents.index.map(\.recordCount) == [1, 1, 2])
    }

    @Test func findAndLowerBoundAgreeWithASortedArray() throws {
        var random = SplitMix(seed: 5)
        for round in 0..<8 {
            let fixture = try Fixture()
            let keys = randomKeys(&random, count: 300 * (round + 1), longest: round * 60 + 4)
            let segment = try fixture.write(keys)
            let reader = try fixture.open(segment)
            let sorted = keys.map(\.key)
            for (index, row) in keys.enumerated() {
                #expect(try find(reader, row.key)?.row == UInt32(index))
                let entry = try reader.keys.entry(UInt32(index))
                #expect(entry.lsn == row.lsn && entry.row == UInt32(index))
            }
            let rows = (0..<500).map { _ in random.below(keys.count) }
            var ids: [UInt8] = []
            var ends: [Int] = []
            try reader.keys.appendIDs(ofRows: rows.map { UInt32($0) }, to: &ids, ends: &ends)
            #expect(ends.count == rows.count && ends.last == ids.count)
            for (row, (start, end)) in zip(rows, zip([0] + ends, ends)) {
                #expect(ids[start..<end] == sorted[row].dropFirst(4))
            }
            for _ in 0..<2_000 {
                var probe = sorted[random.below(sorted.count)]
                switch random.below(4) {
                case 0: probe.append(UInt8(random.below(256)))
                case 1: probe.removeLast()
                case 2: probe[random.below(probe.count)] = UInt8(random.below(256))
                default: probe = Array(probe.prefix(random.below(probe.count + 1)))
                }
                let place = lowerBound(sorted, probe)
                let isThere = place < sorted.count && sorted[place] == probe
                #expect(try find(reader, probe)?.row == (isThere ? UInt32(place) : nil))
                let bound = try probe.withUnsafeBufferPointer { key throws(StoreError) in
                    try reader.keys.lowerBound(UnsafeRawBufferPointer(key))
                }
                #expect(Int(bound) == place)
            }
        }
    }

    @Test func aCursorGivesAllKeysFromAnyRow() throws {
        let fixture = try Fixture()
        var random = SplitMix(seed: 9)
        let keys = randomKeys(&random, count: 1_000, longest: 80)
        let reader = try fixture.open(try fixture.write(keys))
        for start in stride(from: 0, through: 1_000, by: 37) {
            let cursor = reader.keys.cursor(from: UInt32(start))
            for index in start..<1_000 {
                guard try cursor.next() else {
                    Issue.record("the cursor ends at \(index)")
                    break
                }
                #expect(cursor.key.elementsEqual(keys[index].key))
                #expect(cursor.entry.row == UInt32(index) && cursor.entry.lsn == keys[index].lsn)
            }
            #expect(try cursor.next() == false)
        }
    }

    @Test func theLongestIdsFit() throws {
        let fixture = try Fixture()
        let rows = (0..<40).map { Row(String(repeating: "x", count: 1_022) + "\($0 + 10)") }
        let segment = try fixture.write(rows)
        let reader = try fixture.open(segment)
        for (index, row) in rows.enumerated() {
            #expect(try find(reader, row.key)?.row == UInt32(index))
        }
        #expect(fixture.findings(segment) == [])
    }

    @Test func aFailedWriteLeavesNoFile() throws {
        var random = SplitMix(seed: 11)
        let rows = (0..<40).map { Row("\($0 + 10)", text: noise(60_000, &random)) }
        for quota in [0, 100, 1 << 20, 2_390_000] {
            let fixture = try Fixture()
            fixture.files.setQuota(byteCount: quota)
            do {
                _ = try fixture.write(rows)
                Issue.record("writing past the quota of \(quota) succeeded")
            } catch let error as StoreError {
                #expect(error.code == .noSpace)
            }
            #expect(fixture.files.filePaths == [])
        }
    }

    private func randomKeys(_ random: inout SplitMix, count: Int, longest: Int) -> [Row] {
        var rows: [[UInt8]: Row] = [:]
        while rows.count < count {
            let length = 1 + random.below(longest)
            // Few letters, so that keys share long beginnings.
            let id = String(
                decoding: (0..<length).map { _ in UInt8(97 + random.below(3)) },
                as: UTF8.self
            )
            let number = random.below(1_000_000)
            let row = Row(
                id + (longest < 10 ? "\(number)" : ""),
                collection: UInt32(1 + random.below(2)),
                lsn: UInt64(number + 1)
            )
            rows[row.key] = row
        }
        return sortedByKey(Array(rows.values))
    }

    private func lowerBound(_ sorted: [[UInt8]], _ key: [UInt8]) -> Int {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle].lexicographicallyPrecedes(key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}

func find(_ reader: SegmentReader, _ key: [UInt8]) throws -> KeyEntry? {
    try key.withUnsafeBufferPointer { key throws(StoreError) in
        try reader.keys.find(UnsafeRawBufferPointer(key))
    }
}
