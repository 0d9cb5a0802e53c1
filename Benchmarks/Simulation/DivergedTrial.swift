// Files and blocks of a copy of the store that went on by itself, in the places of the store's own:
// same ids, same layout, sound in themselves. The check must find each, and nobody may take what
// they say for the store's.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSalvage
import MoraineStorage

extension DamageTrial {
    private static let target = "/new"

    /// Puts each file, and each block of documents, of a diverged copy into the store.
    ///
    /// - Throws: `StoreError` when the stores cannot even be made.
    package static func runOnDivergedCopies() throws -> DamageReport {
        let texts = DamageContent(texts: 1, writer: 1)
        let all = DamageContent(texts: 1, vectors: 1, deletes: 20, milliseconds: 1, writer: 1)
        var report = DamageReport()
        for (codec, content) in [(Codec.none, texts), (.none, all), (.lz4, texts)] {
            let store = try DamageStore(codec: codec, seed: 1)
            let other = try DamageStore(codec: codec, content: content, seed: 1)
            for (number, path) in store.paths.enumerated() {
                let damages =
                    [.foreignFile(path: path)]
                    + blocks(path, store, other).map { FileDamage.foreignBlock($0) }
                for damage in damages {
                    guard let damaged = damage.applied(to: store, beside: other) else { continue }
                    check(damage, damaged, store.state, UInt64(number), &report)
                    // Files of indexes are made anew; what they are checked by is checked above.
                    if ["q8", "gr", "col"].contains(fileKind(path)) { continue }
                    do {
                        try expectNothingForeign(damaged, store)
                    } catch {
                        report.failures.append("\(damage) with \(content): \(error)")
                    }
                }
            }
        }
        return report
    }

    /// The first and last of the blocks of documents that begin and end at the same places in both
    /// stores' files.
    private static func blocks(_ path: String, _ store: DamageStore, _ other: DamageStore)
        -> [FileDamage.Block]
    {
        guard fileKind(path) == "doc", let own = store.fileSystem.contents(of: path),
            let foreign = other.fileSystem.contents(of: path)
        else { return [] }
        func count(_ bytes: [UInt8], _ start: Int) -> Int? {
            let end = start + DocumentBlockHeader.byteCount
            guard end <= bytes.count,
                bytes[start..<(start + 4)].elementsEqual(DocumentBlockHeader.magic)
            else { return nil }
            return bytes[(start + 36)..<(start + 40)].withUnsafeBytes {
                DocumentBlockHeader.byteCount
                    + Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self)))
            }
        }
        let all =
            stride(from: FileHeader.byteCount, to: own.count, by: 8).compactMap { start in
                guard let size = count(own, start), size == count(foreign, start) else {
                    return nil
                }
                return FileDamage.Block(path: path, offset: start, count: size)
            } as [FileDamage.Block]
        return all.count < 3 ? all : [all[0], all[all.count - 1]]
    }

    // MARK: What nobody may say

    /// Gets every document, merges, and salvages: right, or an error that says where and what.
    private static func expectNothingForeign(_ damaged: SimulatedFileSystem, _ store: DamageStore)
        throws
    {
        try expectOwn(damaged, store.state)
        let merged = damaged.copy()
        do throws(StoreError) {
            let engine = try Engine.open(
                at: DamageStore.folder,
                options: DamageStore.options(merged)
            )
            defer { try? engine.close() }
            try engine.compact(all: true)
        } catch {
            try expectPlace(error)
        }
        try expectOwn(merged, store.state)
        for lacksRoot in [false, true] {
            let copy = damaged.copy()
            if lacksRoot { copy.removeForTest(DamageStore.folder + "/ROOT") }
            try expectOwnAfterSalvage(copy, store)
        }
    }

    /// Every document that can be read is the store's own.
    private static func expectOwn(_ disk: SimulatedFileSystem, _ state: ModelState) throws {
        var options = DamageStore.options(disk)
        options.isReadOnly = true
        let engine: Engine
        do throws(StoreError) {
            engine = try Engine.open(at: DamageStore.folder, options: options)
        } catch {
            return try expectPlace(error)
        }
        defer { try? engine.close() }
        let version = try engine.version()
        for shape in version.collections {
            for (id, wanted) in state.collections[shape.name]?.documents ?? [:] {
                let found: ModelDocument?
                do throws(StoreError) {
                    found = try version.document(shape, id)
                } catch {
                    try expectPlace(error)
                    continue
                }
                if found == wanted { continue }
                let difference = found?.difference(from: wanted) ?? "nothing"
                throw SimulationFailure("get \(shape.name)/\(id) gives \(difference)")
            }
        }
    }

    private static func expectPlace(_ error: StoreError) throws {
        guard error.code == .corrupted, error.path != nil, error.offset != nil,
            error.expected != nil, error.found != nil
        else { throw SimulationFailure("an error that does not say where: \(error.full)") }
    }

    private static func expectOwnAfterSalvage(_ disk: SimulatedFileSystem, _ store: DamageStore)
        throws
    {
        var options = DamageStore.options(disk)
        let report = try Salvager.salvage(DamageStore.folder, into: target, options: options)
        options.isReadOnly = true
        let engine = try Engine.open(at: target, options: options)
        defer { try? engine.close() }
        let version = try engine.version()
        // Where a commit is lost an older state comes back, and is called doubtful.
        let states = report.doubtful > 0 ? store.history + [store.state] : [store.state]
        var found = 0
        for shape in version.collections {
            try version.scan(shape, wantsVectors: true) { view throws(StoreError) in
                let id = String(decoding: view.id, as: UTF8.self)
                let isOwn = states.contains { state in
                    guard var own = state.collections[shape.name]?.documents[id] else {
                        return false
                    }
                    // A vector that does not match its document is lost, not another.
                    if view.vector == nil, report.doubtful > 0 { own.vector = nil }
                    return own == ModelDocument(view)
                }
                if isOwn { found += 1 }
                return true
            }
        }
        let count = report.recovered + report.doubtful
        guard count == UInt64(found) else {
            throw SimulationFailure(
                "a salvage brings back \(count) documents, \(found) of them the store's own"
            )
        }
        let all = store.state.collections.values.reduce(0) { $0 + $1.documents.count }
        guard found == all || !report.isComplete else {
            throw SimulationFailure("a salvage of \(found) of \(all) documents is called complete")
        }
    }
}
