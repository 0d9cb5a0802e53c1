// open --idle: what a store costs that was used and is now left alone.

import Foundation
import Moraine
import MoraineFiles

/// What a process has of the system.
private struct Holdings {
    let anonymous: Double
    let descriptors = Double(Self.entries("/proc/self/fd"))
    let threads = Double(Self.entries("/proc/self/task"))

    init() {
        var memory = ResidentMemory()
        anonymous = Double(memory.byteCounts().anonymous)
    }

    private static func entries(_ path: String) -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0
    }
}

/// Opens so many stores, uses each, waits until they are idle, and measures what they hold: as
/// their writers, then as readers of the same folders beside them.
func runIdle(_ count: Int, _ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("open", arguments, machine: try Machine.description(of: folder.path))
        // The library's own beginnings are not a store's.
        let first = folder.path("first")
        try fill(try Store.open(at: first)).close()
        try read(try openReader(first)).close()
        let writers = try measure("writer", count, report) { number in
            // A check of all files begins a minute after the opening; here it would be seen.
            var configuration = Store.Configuration()
            configuration.scrubBytesPerSecond = 0
            return try fill(
                try Store.open(at: folder.path("store-\(number)"), configuration: configuration)
            )
        }
        let readers = try measure("reader", count, report) { number in
            try read(try openReader(folder.path("store-\(number)")))
        }
        for store in readers + writers { try store.close() }
        try collections(folder, report)
        try report.finish()
    }
}

/// What so many stores hold when they were just used, and when they are idle.
private func measure(
    _ role: String,
    _ count: Int,
    _ report: Report,
    _ open: (Int) throws -> Store
) throws -> [Store] {
    let before = Holdings()
    let stores = try (0..<count).map(open)
    let busy = Holdings()
    // Threads end after ten seconds, segment files are closed after ten to twenty.
    Thread.sleep(forTimeInterval: 30)
    let idle = Holdings()
    let stored = Double(count)
    let memory = (idle.anonymous - before.anonymous) / stored
    let descriptors = (idle.descriptors - before.descriptors) / stored
    func figure(_ name: String, _ unit: String, _ value: Double) {
        report.figure(name, unit, [value])
    }
    figure(
        "descriptors for a \(role) just used",
        "",
        (busy.descriptors - before.descriptors) / stored
    )
    figure("threads for a \(role) just used", "", (busy.threads - before.threads) / stored)
    figure("anonymous bytes for an idle \(role)", "B", memory)
    figure("descriptors for an idle \(role)", "", descriptors)
    figure("threads of \(count) idle \(role)s", "", idle.threads - before.threads)
    report.ratio("anonymous bytes / 0.5 MB, \(role)", [memory / 5e5], target: .atMost(1))
    report.ratio("descriptors / 3, \(role)", [descriptors / 3], target: .atMost(1))
    return stores
}

private func openReader(_ path: String) throws -> Store {
    var configuration = Store.Configuration()
    configuration.isReadOnly = true
    return try Store.open(at: path, configuration: configuration)
}

/// Three segments, a memtable, and reads.
private func fill(_ store: Store) throws -> Store {
    let notes = try store.collection("notes", dimensions: 8)
    for round in 0..<4 {
        try notes.put(
            (0..<20).map { number in
                Document(
                    id: "\(round)-\(number)",
                    text: "text",
                    embedding: [1, 2, 3, 4, 5, 6, 7, 8]
                )
            }
        )
        if round < 3 { try store.checkpoint() }
    }
    return try read(store)
}

/// A get, a scan and a search.
private func read(_ store: Store) throws -> Store {
    let notes = try store.existingCollection("notes")
    _ = try notes.get("0-0")
    _ = try notes.count()
    _ = try notes.search(near: [8, 7, 6, 5, 4, 3, 2, 1], limit: 3)
    return store
}

/// Many collections in one store.
private func collections(_ folder: WorkFolder, _ report: Report) throws {
    let count = 5_000
    let before = Holdings()
    let store = try Store.open(at: folder.path("collections"))
    let made = try seconds {
        for start in stride(from: 0, to: count, by: 500) {
            var batch = WriteBatch()
            for number in start..<(start + 500) { batch.createCollection("c\(number)") }
            try store.write(batch)
        }
    }
    let put = try seconds {
        for number in 0..<500 {
            try store.existingCollection("c\(number * 10)").put(Document(id: "a"))
        }
    }
    let bytes = Holdings().anonymous - before.anonymous
    report.figure("make a collection beside 5,000", "us", [made / Double(count) * 1e6])
    report.figure("put into one of 5,000 collections", "us", [put / 500 * 1e6])
    report.figure("anonymous bytes for a collection", "B", [bytes / Double(count)])
    try store.close()
    let opened = try seconds { try Store.open(at: folder.path("collections")).close() }
    report.figure("open and close a store of 5,000 collections", "ms", [opened * 1e3])
}
