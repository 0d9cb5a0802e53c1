// Deadlines and cancellation of reads, through the library.

import MoraineFiles
import MoraineStorage
import Testing

@testable import Moraine

struct ReadTimeoutTests {
    private func makeNotes(_ clock: ManualClock) throws -> Store.Collection {
        let store = try Store.open(
            at: "store",
            configuration: Store.Configuration(),
            fileSystem: SimulatedFileSystem(),
            clock: clock
        )
        let notes = try store.collection("notes", dimensions: 4)
        try notes.put(documents(0..<500))
        return notes
    }

    @Test func blockingReadsEndAtTheirTimeout() throws {
        let notes = try makeNotes(ManualClock(wallMilliseconds: 1_000))
        var hurried = notes
        var snapshot = try notes.store.snapshot()
        for timeout in [Duration.seconds(1), .zero, nil] {
            hurried.readTimeout = timeout
            snapshot.readTimeout = timeout
            // The clock stands still: no time at all is the only one that is over.
            let expected: MoraineError.Code? = timeout == .zero ? .deadlineExceeded : nil
            #expect(code { () throws(MoraineError) in try hurried.get("d001") } == expected)
            #expect(code { () throws(MoraineError) in try hurried.get(["d001"]) } == expected)
            #expect(code { () throws(MoraineError) in try hurried.count() } == expected)
            #expect(
                code { () throws(MoraineError) in try hurried.scan { _ in true } } == expected
            )
            #expect(
                code { () throws(MoraineError) in try hurried.search(near: vector(1)) }
                    == expected
            )
            #expect(
                code { () throws(MoraineError) in
                    try snapshot.search(near: vector(1), in: "notes")
                } == expected
            )
            #expect(
                code { () throws(MoraineError) in try snapshot.count(in: "notes") } == expected
            )
        }
        hurried.readTimeout = .zero
        // Writes take no notice.
        try hurried.put(Document(id: "new"))
        try notes.store.close()
    }

    @Test func asynchronousReadsEndAtTheirTimeout() async throws {
        let clock = ManualClock(wallMilliseconds: 1_000)
        var notes = try makeNotes(clock)
        notes.readTimeout = .milliseconds(10)
        #expect(try await notes.count() == 500)
        var count = 0
        let code = await asyncCode { () async throws(MoraineError) in
            for try await _ in try notes.scan() {
                count += 1
                if count == 100 { clock.advance(milliseconds: 10) }
            }
        }
        #expect(code == .deadlineExceeded)
        // What was read by then is handed out.
        #expect(count >= 100 && count < 500)
        // The scan's snapshot went with it.
        #expect(try notes.store.statistics().snapshots.isEmpty)
        notes.readTimeout = .zero
        let near = notes
        #expect(
            await asyncCode { () async throws(MoraineError) in
                try await near.search(near: vector(1))
            } == .deadlineExceeded
        )
        try await notes.store.close()
    }

    @Test func aReadThatHasBegunEndsWithItsTask() async throws {
        let notes = try makeNotes(ManualClock(wallMilliseconds: 1_000))
        let store = notes.store
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            await asyncCode { () async throws(MoraineError) in
                try await store.read(within: nil) { limit throws(MoraineError) in
                    begin.finish()
                    while true { try face { () throws(StoreError) in try limit.check() } }
                }
            }
        }
        for await _ in begun {}
        task.cancel()
        #expect(await task.value == .cancelled)
        #expect(try await notes.count() == 500)
        try await store.close()
    }
}
