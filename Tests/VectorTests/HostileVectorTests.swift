// Files whose checksums are right and whose content is not: errors and findings, never a trap.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

/// The sections of a file, to be bent before they are written.
private struct Forgery {
    var table: [[UInt32]] = [[1, 0, 3, 64, 4, 1]]
    var vectors = [Float](repeating: 0, count: 16 * 4)
    var rows: [UInt32] = [0, 2, 3, 7]
    var norms: [Float] = [5, 5, 5, 5]
    var rowCount: UInt64 = 8
    var extra: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])] = []

    init() {
        for ordinal in 0..<4 {
            vectors[ordinal * 16 + 1] = 3
            vectors[ordinal * 16 + 2] = 4
        }
    }

    /// One change to entry, field.
    func with(_ field: Int, _ value: UInt32) -> Forgery {
        var copy = self
        copy.table[0][field] = value
        return copy
    }

    func write(_ fixture: VectorFixture) throws -> SealedFileReference {
        try fixture.forge(
            [
                (31, 0, words(table.flatMap { $0 })), (32, 0, words(vectors.map(\.bitPattern))),
                (33, 0, words(rows)), (34, 0, words(norms.map(\.bitPattern))),
            ] + extra,
            rowCount: rowCount
        )
    }

    private func words(_ values: [UInt32]) -> [UInt8] {
        var writer = ByteWriter()
        for value in values { writer.writeUInt32(value) }
        return writer.finish()
    }
}

struct HostileVectorTests {
    @Test func theUnbentForgeryIsAGoodFile() throws {
        let fixture = try VectorFixture()
        let file = try fixture.open(try Forgery().write(fixture))
        #expect(findings(file).isEmpty)
    }

    @Test func tablesThatDoNotFitAreRefused() throws {
        let fixture = try VectorFixture()
        let good = Forgery()
        var bent: [Forgery] = []
        let extremes: [UInt32] = [0, 1, 2, 5, 16, 63, 65, 128, 16_384, 65_536, 1 << 31, .max]
        for field in 1..<6 {
            for value in extremes where value != good.table[0][field] {
                // Other dimensions of the same stride, and other metrics, are as good a table.
                if field == 2, (1...16).contains(value) { continue }
                if field == 5, (1...3).contains(value) { continue }
                bent.append(good.with(field, value))
            }
        }
        bent += [good.with(0, 0), good.with(0, .max), good.with(5, 1 << 8 | 1)]
        for rowCount: UInt64 in [0, 3, 1 << 32 - 1, 1 << 32, .max] {
            var forgery = good
            forgery.rowCount = rowCount
            bent.append(forgery)
        }
        for rows: [UInt32] in [[], [1, 2, 3], [1, 2, 3, 4, 5]] {
            var forgery = good
            forgery.rows = rows
            bent.append(forgery)
            forgery = good
            forgery.norms = rows.map { Float($0) }
            bent.append(forgery)
        }
        for table: [[UInt32]] in [[], [[1]], [[1, 0, 3, 64, 4, 1, 0]], good.table + good.table] {
            var forgery = good
            forgery.table = table
            bent.append(forgery)
        }
        for section: (UInt32, UInt32) in [(32, 1), (35, 0), (31, 1), (2, 0)] {
            var forgery = good
            forgery.extra = [(section.0, section.1, [1, 2, 3, 4])]
            bent.append(forgery)
        }
        for (index, forgery) in bent.enumerated() {
            let reference = try forgery.write(fixture)
            let refusal = code { _ = try fixture.open(reference) }
            #expect(refusal == .corrupted || refusal == .newerFormat, "\(index): \(forgery)")
        }
    }

    @Test func sectionsThatAreMissingOrOutOfOrderAreRefused() throws {
        let fixture = try VectorFixture()
        let table: [UInt8] = [
            1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
        ]
        let parts: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])] = [
            (31, 0, table), (32, 0, [UInt8](repeating: 0, count: 64)), (33, 0, [0, 0, 0, 0]),
            (34, 0, [0, 0, 0, 0]),
        ]
        let good = try fixture.forge(parts, rowCount: 1)
        #expect(findings(try fixture.open(good)).isEmpty)
        for missing in parts.indices {
            var rest = parts
            rest.remove(at: missing)
            let reference = try fixture.forge(rest, rowCount: 1)
            #expect(code { _ = try fixture.open(reference) } == .corrupted)
        }
        for place in 1..<parts.count {
            var swapped = parts
            swapped.swapAt(place - 1, place)
            let reference = try fixture.forge(swapped, rowCount: 1)
            #expect(code { _ = try fixture.open(reference) } == .corrupted)
        }
        let empty = try fixture.forge([], rowCount: 1)
        #expect(code { _ = try fixture.open(empty) } == .corrupted)
    }

    @Test(arguments: [[0, 2, 3, 8], [3, 2, 1, 0], [5, 5, 5, 5], [0, 3, 2, 7], [7, 0, 0, 7]])
    func badRowMapsAreFoundAndReadingThemNeverTraps(rows: [UInt32]) throws {
        let fixture = try VectorFixture()
        var forgery = Forgery()
        forgery.rows = rows
        let file = try fixture.open(try forgery.write(fixture))
        #expect(findings(file).contains { $0.kind == .order })
        let space = try #require(file.spaces.first)
        for row in UInt32(0)..<10 { _ = code { _ = try space.ordinal(ofRow: row) } }
        let ready = try query([1, 2, 3], .cosine)
        for ordinal in 0..<4 {
            _ = code {
                let row = try space.row(ordinal)
                #expect(row < 8)
            }
        }
        _ = code {
            _ = try ExactScan.nearest(
                [ready],
                in: [
                    ScanSource(space: space, source: 0) {
                        #expect($0 < 8)
                        return false
                    }
                ],
                limit: 10,
                pool: ScanPool(width: 1)
            )
        }
    }

    @Test func wrongNormsPaddingAndNumbersAreFoundAtTheirPlace() throws {
        let fixture = try VectorFixture()
        var forgery = Forgery()
        forgery.norms[2] = Float(5).nextUp
        forgery.vectors[16 + 3] = -0.0
        forgery.vectors[48 + 1] = .nan
        let file = try fixture.open(try forgery.write(fixture))
        let space = try #require(file.spaces.first)
        let vectors = space.vectorSection.entry.offset
        let found = findings(file)
        #expect(
            found.contains {
                $0.kind == .mismatch && $0.offset == space.normSection.entry.offset + 8
            }
        )
        #expect(found.contains { $0.kind == .padding && $0.offset == vectors + 64 + 12 })
        #expect(found.contains { $0.kind == .record && $0.offset == vectors + 192 })
    }

    @Test func numbersThatAreNoneDoNotBreakTheOrder() throws {
        let fixture = try VectorFixture()
        var forgery = Forgery()
        forgery.vectors[0] = .nan
        forgery.vectors[16] = .infinity
        forgery.norms[2] = .nan
        forgery.norms[3] = 0
        let file = try fixture.open(try forgery.write(fixture))
        let space = try #require(file.spaces.first)
        let hits = try ExactScan.nearest(
            [try query([1, 2, 3], .cosine)],
            in: [ScanSource(space: space, source: 0) { _ in false }],
            limit: 10,
            pool: ScanPool(width: 1)
        )
        #expect(hits[0].count == 4)
        #expect(zip(hits[0], hits[0].dropFirst()).allSatisfy { $0.key >= $1.key })
    }
}
