// Many small collections in one store: each is a range of rows, whatever segments they share.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct TenantTests {
    private static let collectionCount = 300

    /// A store of many collections, in three segments and in memory.
    private func filled(_ disk: SimulatedFileSystem) throws -> Engine {
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.commit { batch throws(StoreError) in
            for number in 0..<Self.collectionCount {
                try batch.createCollection("t\(number)", dimensions: 2, metric: .l2)
            }
        }
        for round in 0..<4 {
            try engine.commit { batch throws(StoreError) in
                for number in 0..<Self.collectionCount where number % (round + 1) == 0 {
                    let vector = [Float(number), Float(round)]
                    try batch.put("t\(number)", "\(round)", text: "\(number)", vector: vector)
                }
            }
            if round < 3 { try engine.checkpoint() }
        }
        return engine
    }

    private func check(_ engine: Engine, gone: (Int) -> Bool = { _ in false }) throws {
        let version = try engine.version()
        let names = (0..<Self.collectionCount).filter { !gone($0) }.map { "t\($0)" }
        #expect(version.collections.map(\.name) == names.sorted())
        for number in 0..<Self.collectionCount {
            guard let shape = version.collection("t\(number)") else {
                #expect(gone(number))
                continue
            }
            let rounds = (0..<4).filter { number % ($0 + 1) == 0 }
            #expect(try version.count(shape) == rounds.count)
            let found = try engine.contents(shape.name)
            #expect(found == rounds.map { "\($0)=\(number)" })
            #expect(version.collection(id: shape.id) == shape)
        }
    }

    @Test func eachHasItsOwnRowsInEverySegment() throws {
        let disk = SimulatedFileSystem()
        let engine = try filled(disk)
        try check(engine)
        try engine.compact(all: true)
        try check(engine)
        try engine.close()
        let again = try Engine.open(at: "store", options: options(disk))
        try check(again)
        try again.close()
        #expect(try Engine.verify("store", options: options(disk)).findings.isEmpty)
    }

    @Test func thoseThatAreDroppedLeaveTheOthersAlone() throws {
        let disk = SimulatedFileSystem()
        let engine = try filled(disk)
        func isGone(_ number: Int) -> Bool { number % 3 == 1 }
        for number in 0..<Self.collectionCount where isGone(number) {
            try engine.commit { batch throws(StoreError) in
                try batch.dropCollection("t\(number)")
            }
        }
        try check(engine, gone: isGone)
        try engine.close()
        let again = try Engine.open(at: "store", options: options(disk))
        try check(again, gone: isGone)
        try again.checkpoint()
        try again.compact(all: true)
        try check(again, gone: isGone)
        try again.close()
        #expect(try Engine.verify("store", options: options(disk)).findings.isEmpty)
    }

    @Test func theManifestTakesNoNameTwice() throws {
        var state = StoreState()
        let first = CollectionShape(id: 1, name: "a", dimensions: 0, metric: .dot)
        let second = CollectionShape(id: 2, name: "a", dimensions: 0, metric: .dot)
        try state.apply(.collection(first, createdLSN: 1))
        #expect(throws: (any Error).self) {
            var copy = state
            try copy.apply(.collection(second, createdLSN: 2))
        }
        try state.apply(.collectionRenamed(id: 1, name: "b"))
        try state.apply(.collection(second, createdLSN: 2))
        #expect(throws: (any Error).self) {
            var copy = state
            try copy.apply(.collectionRenamed(id: 1, name: "a"))
        }
        try state.apply(.collectionDropped(id: 2))
        try state.apply(.collectionRenamed(id: 1, name: "a"))
        #expect(state.collections[1]?.shape.name == "a")
    }
}
