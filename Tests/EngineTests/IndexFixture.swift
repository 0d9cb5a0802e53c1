// A store with sample indexes on the simulated file system.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

extension SimulatedFileSystem {
    /// Leaves so many bytes free.
    func leave(_ byteCount: Int) {
        setQuota(byteCount: filePaths.reduce(byteCount) { $0 + (contents(of: $1)?.count ?? 0) })
    }
}

/// A disk, and the store on it.
struct IndexFixture {
    var disk = SimulatedFileSystem()

    var defaults: EngineOptions {
        var options = options(disk)
        options.codec = .none
        options.indexFormats = SampleIndex.formats()
        return options
    }

    func open(_ change: (inout EngineOptions) -> Void = { _ in }) throws -> Engine {
        var options = defaults
        change(&options)
        return try Engine.open(at: "store", options: options)
    }

    /// A store with segments of 10, 11, … rows; the last has no vectors.
    func make(segments: Int = 2, _ change: (inout EngineOptions) -> Void = { _ in }) throws
        -> Engine
    {
        let engine = try open(change)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for number in 0..<segments {
            try add(number, to: engine, hasVectors: number < segments - 1)
        }
        return engine
    }

    /// Adds a segment.
    func add(_ number: Int, to engine: Engine, hasVectors: Bool = true) throws {
        for row in 0..<(10 + number) {
            try engine.put(
                "notes",
                "n\(number)-\(row)",
                text: "text \(number) \(row)",
                vector: hasVectors ? [Float(row), 1] : nil
            )
        }
        try engine.checkpoint()
    }

    /// The names of derived files in the folder.
    func files(_ kinds: [DerivedKind] = DerivedKind.allCases) throws -> [String] {
        try disk.list("store/seg").map { "seg/" + $0.name }.filter { name in
            kinds.contains { name.hasSuffix($0.suffix) }
        }.sorted()
    }

    /// The kinds that each segment of the newest version has.
    func kinds(_ engine: Engine) throws -> [[DerivedKind]] {
        try engine.version().segments.map { view in view.indexes.all.compactMap(\.entry.kind) }
    }

    func verify() throws -> VerifyReport { try Engine.verify("store", options: defaults) }

    /// No file of a segment is there that nothing names.
    func expectNoOrphans(_ place: SourceLocation = #_sourceLocation) throws {
        let orphans = try verify().unchecked.filter { $0.contains("not in use") }
        #expect(orphans.filter { $0.hasPrefix("seg/") }.isEmpty, sourceLocation: place)
    }

    /// Nothing is damaged, and nothing is left over.
    func expectSound(_ place: SourceLocation = #_sourceLocation) throws {
        #expect(try verify().findings.isEmpty, sourceLocation: place)
        try expectNoOrphans(place)
    }

    func damage(_ name: String) throws {
        let path = "store/" + name
        let size = try #require(disk.contents(of: path)).count
        // In the one section, behind the page of the header.
        #expect(disk.corrupt(path: path, offset: min(4_096, size - 1), xor: 4))
    }
}
