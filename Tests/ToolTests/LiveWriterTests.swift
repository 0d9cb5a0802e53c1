// Looking at a store while its writer goes on: what vanishes meanwhile is no damage.

import Foundation
import Moraine
import Synchronization
import Testing

@Suite struct LiveWriterTests {
    private let place = Place()

    /// Every command that looks; `@` is the store.
    private static let looking: [[String]] = [
        ["verify", "@", "--json"], ["stats", "@"], ["hash", "@"], ["dump", "@"], ["map", "@"],
        ["collections", "@"], ["scan", "@", "notes", "--json", "--vectors"],
        ["count", "@", "notes"],
        ["search", "@", "notes", "--embedding", "[1,2,3,4]", "-k", "5", "--json"],
        ["inspect", "root", "@"], ["inspect", "manifest", "@"], ["inspect", "wal", "@"],
        ["inspect", "segment", "@"], ["inspect", "vectors", "@"],
    ]

    @Test func nothingIsCalledDamagedBesideAWriter() throws {
        var configuration = Store.Configuration()
        configuration.durability = .bulk
        configuration.memtableByteCount = 65_536
        configuration.logFileByteCount = 65_536
        let store = try Store.open(at: place.store, configuration: configuration)
        let notes = try store.collection("notes", dimensions: 4, metric: .l2)
        try store.checkpoint()
        let isOver = Atomic(false)
        let writer = Thread {
            var round = 0
            while !isOver.load(ordering: .acquiring) {
                round += 1
                usleep(10_000)
                // Rewritten over and over: segments come, are merged and go.
                let documents = (0..<120).map { number in
                    Document(
                        id: "d\(number * 7 % 500)",
                        text: String(repeating: "text \(round) ", count: 12),
                        embedding: [Float(number), Float(round), 1, 2]
                    )
                }
                do {
                    _ = try notes.put(documents)
                    if round % 3 == 0 { try store.checkpoint() }
                    if round % 7 == 0 { _ = try store.compact(all: true) }
                    if round % 11 == 0 {
                        _ = try notes.purge(ids: ["d\(round % 500)"], timeout: .zero)
                    }
                } catch {
                    Issue.record("the writer met \(error)")
                }
            }
            isOver.store(false, ordering: .releasing)
        }
        writer.start()
        for _ in 0..<3 {
            for arguments in Self.looking {
                let outcome = place.run(arguments)
                #expect(outcome.code == 0, "\(arguments): \(outcome.error) \(outcome.output)")
            }
        }
        isOver.store(true, ordering: .releasing)
        while isOver.load(ordering: .acquiring) { usleep(1000) }
        try store.close()
        #expect(place.run("verify", "@").code == 0)
    }
}
