// tenants: thousands of small collections in one store, beside one that holds the same documents.

import Foundation
import Moraine
import MoraineFiles

extension Command {
    static let tenants = Command(
        "tenants",
        "thousands of small collections in one store, beside one with the same documents",
        about: """
            Makes collections one by one, loads each with a few documents and vectors in commits of
            some hundred documents, merges and indexes the store, and reads, searches, drops, opens
            and verifies it. Then the same documents in one collection: that is what a row costs
            when nothing is said about tenants, and the limit of each ratio.
            """,
        options: [
            Option("--tenants", "N", "collections; 10,000 by default"),
            Option("--documents", "N", "documents in each; 20 by default"),
            Option("--dimensions", "D", "numbers in a vector; 128 by default"),
        ],
        takesData: false,
        examples: [("tenants", "all of it"), ("tenants --quick", "shows that it runs")],
        run: runTenants
    )
}

/// What is put where.
private struct Rows {
    let tenantCount: Int
    let documentCount: Int
    let dimensions: Int
    let seed: UInt64
    /// False: all documents go to one collection.
    let isDivided: Bool

    var collectionCount: Int { isDivided ? tenantCount : 1 }

    func collection(of tenant: Int) -> String { isDivided ? "tenant-\(tenant)" : "all" }

    func id(_ tenant: Int, _ number: Int) -> String {
        isDivided ? "document-\(number)" : "document-\(tenant)-\(number)"
    }

    func vector(_ dice: inout Dice) -> [Float] {
        (0..<dimensions).map { _ in Float(dice.below(2001) - 1000) / 1000 }
    }

    func document(_ tenant: Int, _ number: Int, _ dice: inout Dice) -> Document {
        Document(
            id: id(tenant, number),
            text: "A short note of a tenant, number \(number).",
            metadata: ["number": .int(Int64(number))],
            embedding: vector(&dice)
        )
    }
}

/// The figures of one of the two stores, by name.
private typealias Figures = [String: Double]

private func runTenants(_ arguments: Arguments) throws {
    let tenants =
        try arguments.number("--tenants", in: 10...1_000_000) ?? (arguments.isQuick ? 500 : 10_000)
    let documents = try arguments.number("--documents", in: 1...10_000) ?? 20
    let dimensions = try arguments.number("--dimensions", in: 1...16_384) ?? 128
    let seed = try arguments.seed()
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("tenants", arguments, machine: try Machine.description(of: folder.path))
        report.setting("documents", "\(tenants) x \(documents), \(dimensions) dimensions")
        let measured = try [true, false].map { isDivided in
            let rows = Rows(
                tenantCount: tenants,
                documentCount: documents,
                dimensions: dimensions,
                seed: seed,
                isDivided: isDivided
            )
            return try TenantRun(rows, folder, report).measure()
        }
        for (name, value) in measured[0].sorted(by: { $0.key < $1.key }) {
            guard let single = measured[1][name], single > 0 else { continue }
            report.ratio("\(name), \(tenants) collections / 1", [value / single])
        }
        try report.finish()
    }
}

/// One store, from its making to its verification.
private final class TenantRun {
    private static let sampleCount = 1_000

    private let rows: Rows
    private let folder: WorkFolder
    private let report: Report
    private let label: String
    private var dice: Dice
    private var figures: Figures = [:]

    init(_ rows: Rows, _ folder: WorkFolder, _ report: Report) {
        self.rows = rows
        self.folder = folder
        self.report = report
        label = rows.isDivided ? "\(rows.tenantCount) collections: " : "1 collection: "
        dice = Dice(rows.seed)
    }

    private var path: String { folder.path(rows.isDivided ? "divided" : "single") }

    func measure() throws -> Figures {
        var configuration = Store.Configuration()
        // The disk's syncs are the same for both, and not what is asked about.
        configuration.durability = .bulk
        try make(configuration)
        let before = anonymousByteCount()
        var opened: Store?
        try note(
            "open",
            "ms",
            1e3
                * seconds {
                    opened = try Store.open(at: path, configuration: configuration)
                }
        )
        guard let store = opened else { throw Failure.failed("the store did not open") }
        note("anonymous memory of the open store", "MB", (anonymousByteCount() - before) / 1e6)
        try note("first search", "ms", 1e3 * seconds { try search(store) })
        try read(store)
        try change(store)
        try look(store)
        try store.close()
        let verification = try seconds {
            let outcome = try Store.verify(at: path)
            guard outcome.isOK else { throw Failure.failed("\(outcome.findings)") }
        }
        note("verify", "s", verification)
        return figures
    }

    /// Makes the store and closes it.
    private func make(_ configuration: Store.Configuration) throws {
        let store = try Store.open(at: path, configuration: configuration)
        try fill(store)
        try shape(store)
        note("segment files", "", Double(folder.files(store.path.lastFolder + "/seg").count))
        try note("close", "ms", 1e3 * seconds { try store.close() })
    }

    private func note(_ name: String, _ unit: String, _ value: Double) {
        figures[name] = value
        report.figure(label + name, unit, [value])
    }

    private func anonymousByteCount() -> Double {
        // What was freed goes back first, or the store that is opened would live on it unseen.
        if let symbol = dlsym(nil, "malloc_trim") {
            typealias Trim = @convention(c) (Int) -> Int32
            _ = unsafeBitCast(symbol, to: Trim.self)(0)
        }
        var memory = ResidentMemory()
        return Double(memory.byteCounts().anonymous)
    }

    // MARK: Filling

    private func fill(_ store: Store) throws {
        let count = rows.collectionCount
        let made = try seconds {
            for tenant in 0..<count {
                try store.collection(rows.collection(of: tenant), dimensions: rows.dimensions)
            }
        }
        note("create", "us", made / Double(count) * 1e6)
        let perCommit = max(1, 500 / rows.documentCount)
        let filled = try seconds {
            for first in stride(from: 0, to: rows.tenantCount, by: perCommit) {
                var batch = WriteBatch()
                for tenant in first..<min(rows.tenantCount, first + perCommit) {
                    let collection = rows.collection(of: tenant)
                    for number in 0..<rows.documentCount {
                        batch.put(rows.document(tenant, number, &dice), in: collection)
                    }
                }
                try store.write(batch)
            }
            try store.checkpoint()
        }
        let documents = Double(rows.tenantCount * rows.documentCount)
        note("import", "us a document", filled / documents * 1e6)
    }

    private func shape(_ store: Store) throws {
        try note("compact all", "s", seconds { try store.compact(all: true) })
        try note("build indexes", "s", seconds { try store.buildIndexes() })
    }

    // MARK: Using

    private func search(_ store: Store) throws {
        let tenant = dice.below(rows.tenantCount)
        let hits = try store.existingCollection(rows.collection(of: tenant))
            .search(near: rows.vector(&dice), limit: 10)
        guard hits.count == min(10, rows.isDivided ? rows.documentCount : 10) else {
            throw Failure.failed("a search of a collection found \(hits.count) documents")
        }
    }

    /// Microseconds of one call, the median and the 99th percentile.
    private func time(_ name: String, _ body: () throws -> Void) throws {
        var times: [Double] = []
        for _ in 0..<Self.sampleCount { times.append(try seconds(body) * 1e6) }
        times.sort()
        note(name, "us", times[times.count / 2])
        note(name + ", p99", "us", times[times.count * 99 / 100])
    }

    private func read(_ store: Store) throws {
        // Once, so that every chunk has been checked and what fits is in the cache.
        for _ in 0..<rows.tenantCount { try search(store) }
        try time("search") { try search(store) }
        try time("get") {
            let tenant = dice.below(rows.tenantCount)
            let id = rows.id(tenant, dice.below(rows.documentCount))
            let found = try store.existingCollection(rows.collection(of: tenant)).get(id)
            guard found != nil else { throw Failure.failed("\(id) is not there") }
        }
        guard rows.isDivided else { return }
        try time("count") {
            let tenant = dice.below(rows.tenantCount)
            let count = try store.existingCollection(rows.collection(of: tenant)).count()
            guard count == rows.documentCount else { throw Failure.failed("\(count) documents") }
        }
        try time("scan") {
            let tenant = dice.below(rows.tenantCount)
            var count = 0
            try store.existingCollection(rows.collection(of: tenant)).scan { _ in
                count += 1
                return true
            }
            guard count == rows.documentCount else { throw Failure.failed("\(count) documents") }
        }
    }

    private func change(_ store: Store) throws {
        try time("put") {
            let tenant = dice.below(rows.tenantCount)
            try store.existingCollection(rows.collection(of: tenant))
                .put(rows.document(tenant, dice.below(rows.documentCount), &dice))
        }
        try note("checkpoint after puts", "ms", 1e3 * seconds { try store.checkpoint() })
        guard rows.isDivided else { return }
        var next = 0
        try time("create beside all") {
            try store.collection("another-\(next)")
            next += 1
        }
        next = 0
        try time("drop") {
            try store.dropCollection("another-\(next)")
            next += 1
        }
        next = 0
        let dropped = min(Self.sampleCount, rows.tenantCount / 4)
        let took = try seconds {
            for tenant in 0..<dropped { try store.dropCollection(rows.collection(of: tenant)) }
        }
        note("drop with documents", "us", took / Double(dropped) * 1e6)
        try note("checkpoint after drops", "ms", 1e3 * seconds { try store.checkpoint() })
        try note("compact after drops", "s", seconds { try store.compact(all: true) })
    }

    private func look(_ store: Store) throws {
        try note("statistics", "ms", 1e3 * seconds { _ = try store.statistics() })
        try note("list of collections", "ms", 1e3 * seconds { _ = try store.collections() })
    }
}

extension String {
    /// The last name of a path.
    fileprivate var lastFolder: String { String(split(separator: "/").last ?? "") }
}
