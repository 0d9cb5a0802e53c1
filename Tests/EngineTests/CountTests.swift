// Counts: what a version counts is what it scans, however much was committed since.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct CountTests {
    private static let names = ["a", "b"]

    private func scanned(_ version: Version, _ shape: CollectionShape) throws -> Int {
        var count = 0
        try version.scan(shape, wantsVectors: false) { _ in
            count += 1
            return true
        }
        return count
    }

    private func check(_ versions: [Version]) throws {
        for version in versions {
            for shape in version.collections {
                let expected = try scanned(version, shape)
                #expect(try version.count(shape) == expected, "\(shape.name) at \(version.lsn)")
            }
        }
    }

    /// One operation of a commit.
    private func change(_ batch: inout BatchBuilder, _ random: SeededRandom) throws(StoreError) {
        let name = Self.names[Int(random.next() % 2)]
        let id = "\(random.next() % 40)"
        switch random.next() % 16 {
        case 0: try batch.delete(name, prefix: "\(random.next() % 5)")
        case 1:
            try batch.dropCollection(name)
            try batch.createCollection(name, dimensions: 0, metric: .l2)
        case 2...5:
            let shape = try batch.collection(name)
            try batch.delete(shape, id: id)
        default: try batch.put(name, id, text: "")
        }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func everyVersionCountsWhatItScans(seed: UInt64) throws {
        let random = SeededRandom(seed: seed)
        let engine = try Engine.open(at: "store", options: options(SimulatedFileSystem()))
        for name in Self.names { try engine.create(name) }
        var versions: [Version] = []
        for _ in 0..<120 {
            if random.next() % 30 == 0 { try engine.checkpoint() }
            let count = 1 + random.next() % 4
            try engine.commit { batch throws(StoreError) in
                for _ in 0..<count { try change(&batch, random) }
            }
            versions.append(try engine.version())
        }
        try check(versions)
        try engine.close()
    }

    @Test func rowsOfTwoMemtablesAreCountedOnce() throws {
        let tables = [MemTable(), MemTable()]
        func add(_ id: String, to table: MemTable, at lsn: UInt64) {
            table.add(
                collectionID: 1,
                isTombstone: false,
                id: Array(id.utf8).withUnsafeBytes { table.adopt($0) },
                body: UnsafeRawBufferPointer(start: nil, count: 0),
                vector: nil,
                lsn: lsn,
                created: 1,
                updated: 1,
                expiry: 0
            )
        }
        func counts(_ version: UInt64) -> [Int] {
            tables.map { $0.liveCount(collectionID: 1, at: version) }
        }
        add("a", to: tables[0], at: 3)
        add("b", to: tables[0], at: 4)
        // The first is sealed; a commit puts one of its documents again, a later one drops both.
        tables[0].kill(0, at: 5)
        add("a", to: tables[1], at: 5)
        tables[0].kill(1, at: 8)
        tables[1].kill(0, at: 8)
        let expected = [[0, 0], [1, 0], [2, 0], [1, 1], [1, 1], [1, 1], [0, 0], [0, 0]]
        #expect((2...9).map { counts($0) } == expected)
        #expect(tables[0].liveCount(collectionID: 2, at: 9) == 0)
    }
}
