// The asynchronous forms: the same answers, many tasks, cancellation.

import Foundation
import Moraine
import Testing

@Suite struct AsyncTests {
    @Test func bothFormsOfEveryCallCanBeUsed() async throws {
        let folder = try TemporaryFolder()
        let store = try await Store.open(at: folder.store)
        let notes = try await store.collection("notes", dimensions: 4)
        let first = try await notes.put(Document(id: "a", text: "1"))
        try await notes.put(documents(0..<10))
        #expect(try await notes.get("a")?.version == first)
        #expect(try await notes.get(["a", "none"]).map { $0?.text } == ["1", nil])
        #expect(try await notes.count() == 11)
        #expect(try await notes.search(near: vector(3), limit: 1).first?.document.id == "d003")
        #expect(try await notes.search(like: "d003", limit: 1).count == 1)
        try await notes.delete("a", ifVersion: first)
        try await notes.load(documents(10..<20))
        var batch = WriteBatch()
        batch.createCollection("tags")
        try await store.write(batch)
        try await store.sync()
        try await store.checkpoint()
        try await store.refresh()
        let snapshot = try store.snapshot()
        #expect(try await snapshot.count(in: "notes") == 20)
        #expect(try await snapshot.get("d019", in: "notes")?.text == "text 19")
        #expect(try await snapshot.get(["d019"], in: "notes").count == 1)
        #expect(try await snapshot.search(near: vector(3), in: "notes").count == 10)
        #expect(try await snapshot.search(like: "d003", in: "notes").count == 10)
        try await store.close()
        try await store.close()
        #expect(
            await asyncCode { () async throws(MoraineError) in try await notes.count() } == .closed
        )
        #expect(
            await asyncCode { () async throws(MoraineError) in
                try await notes.put(Document(id: "x"))
            } == .closed
        )
        #expect(try await Store.verify(at: folder.store).isOK)
        // The blocking forms, from a synchronous closure.
        let count = try { () throws(MoraineError) -> Int in
            let again = try Store.open(at: folder.store)
            let notes = try again.existingCollection("notes")
            try notes.put(Document(id: "z"))
            return try notes.count()
        }()
        #expect(count == 21)
    }

    @Test func aScanInPortionsSeesOneState() async throws {
        let notes = try makeNotes()
        try await notes.put(documents(0..<500))
        try await notes.store.checkpoint()
        try await notes.put(documents(500..<1_000))
        var ids: [String] = []
        for try await document in try notes.scan(prefix: "d", from: "d010") {
            if ids.isEmpty {
                try await notes.delete("d700")
                try await notes.put(Document(id: "d9999"))
            }
            ids.append(document.id)
        }
        #expect(ids == documents(10..<1_000).map(\.id))
        let snapshot = try notes.store.snapshot()
        var count = 0
        for try await document in try snapshot.scan(in: "notes", to: "d100") {
            count += 1
            if document.id == "d049" { break }
        }
        #expect(count == 50)
        #expect(
            code { () throws(MoraineError) in _ = try snapshot.scan(in: "none") }
                == .unknownCollection
        )
    }

    @Test func largeDocumentsMakeSmallPortions() async throws {
        let notes = try makeNotes()
        let text = String(repeating: "x", count: 400 << 10)
        try await notes.put((0..<10).map { Document(id: "\($0)", text: text) })
        var ids: [String] = []
        for try await document in try notes.scan() { ids.append(document.id) }
        #expect(ids == (0..<10).map(String.init))
    }

    @Test func sixtyFourTasksPutAndRead() async throws {
        let store = try Store.inMemory()
        let notes = try await store.collection("notes", dimensions: 4)
        try await withThrowingTaskGroup(of: [LSN].self) { group in
            for task in 0..<64 {
                group.addTask {
                    var versions: [LSN] = []
                    for number in 0..<10 {
                        let id = "t\(task)-\(number)"
                        let document = Document(id: id, embedding: vector(task))
                        versions.append(try await notes.put(document, ifVersion: 0))
                        #expect(try await notes.get(id)?.version == versions.last)
                    }
                    return versions
                }
            }
            var all: Set<LSN> = []
            for try await versions in group {
                #expect(versions == versions.sorted())
                all.formUnion(versions)
            }
            #expect(all.count == 640)
        }
        #expect(try await notes.count() == 640)
    }

    @Test func onlyOneOfManyWritersWinsAVersion() async throws {
        let notes = try makeNotes()
        let wins = await withTaskGroup(of: Bool.self) { group in
            for task in 0..<32 {
                group.addTask {
                    await asyncCode { () async throws(MoraineError) in
                        try await notes.put(Document(id: "a", text: "\(task)"), ifVersion: 0)
                    } == nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
    }

    @Test func blockingAndWaitingWritersMix() async throws {
        let notes = try makeNotes()
        async let waiting: Void = {
            for number in 0..<200 { try await notes.put(Document(id: "w\(number)")) }
        }()
        try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        for number in 0..<200 { try notes.put(Document(id: "b\(number)")) }
                    }
                )
            }
        }
        try await waiting
        #expect(try await notes.count() == 400)
    }

    @Test func aTaskCancelledBeforeItsCallChangesNothing() async throws {
        let notes = try makeNotes()
        let codes = await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            let put = await asyncCode { () async throws(MoraineError) in
                try await notes.put(Document(id: "a"))
            }
            let get = await asyncCode { () async throws(MoraineError) in try await notes.get("a") }
            return [put, get]
        }.value
        #expect(codes == [.cancelled, .cancelled])
        #expect(try await notes.count() == 0)
    }

    @Test func checksAndSalvagesEndWithTheirTimeAndTheirTask() async throws {
        let folder = try TemporaryFolder()
        try await Store.open(at: folder.store).close()
        let late = await asyncCode { () async throws(MoraineError) in
            try await Store.verify(at: folder.store, timeout: .zero)
        }
        let lateSalvage = await asyncCode { () async throws(MoraineError) in
            try await Store.salvage(folder.store, into: folder.store + "2", timeout: .zero)
        }
        #expect([late, lateSalvage] == [.deadlineExceeded, .deadlineExceeded])
        let cancelled = await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await asyncCode { () async throws(MoraineError) in
                try await Store.verify(at: folder.store)
            }
        }.value
        #expect(cancelled == .cancelled)
    }

    @Test func aCancelledTaskClosesAllTheSame() async throws {
        let store = try Store.inMemory()
        let closed = await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await asyncCode { () async throws(MoraineError) in try await store.close() }
        }.value
        #expect(closed == nil)
        #expect(code { () throws(MoraineError) in try store.version() } == .closed)
    }
}
