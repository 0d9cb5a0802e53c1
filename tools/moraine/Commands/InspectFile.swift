// moraine inspect FILE: any file of a store, in one or outside of any; its first bytes say what it
// is.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    /// The last of the inspectors: what is none of their names is a file.
    static let inspectFile = Command(
        "inspect",
        "show a file of a store, wherever it is",
        positionals: [
            Positional(
                "FILE",
                "ROOT, or a .mman, .mwal, .doc, .key, .vec, .del, .q8, .gr, .col file"
            )
        ],
        options: [.block] + Option.look + Option.records + [.json, .timeout],
        notes: [
            """
            Its header says what a file is, its name does not matter. A file that stands in a store
            is shown as the other inspectors do, with what ROOT and manifest know of it; one that
            lies elsewhere as far as it tells of itself. --block, --row, --key, --from and --to are
            for .doc, .key and .vec files; --record, --offset and --key for logs and manifests.
            """
        ],
        examples: [
            ("moraine inspect backup/ROOT", "both copies of a ROOT"),
            ("moraine inspect notes.moraine/seg/0000000000000007.doc --block 0", "records"),
            ("moraine inspect lost+found/1234.mwal --record 17", "a commit of a stray log"),
        ],
        run: { call throws(Failure) in
            try call.timed { limit throws(Failure) in
                let (store, name) = try InspectedStore.around(call[0], call, limit)
                guard (try? store.fileSystem.info(call[0]))??.isDirectory != true else {
                    throw Failure(
                        .usage,
                        "\(call[0]) is a folder",
                        hint: "for a store say inspect root, manifest, wal, segment or vectors"
                    )
                }
                let file = try open(name, store, call)
                let header: FileHeader
                do throws(StoreError) {
                    header = try file.header.get()
                } catch {
                    _ = store.damage(error)
                    throw Failure(error)
                }
                try call.checkLook(header.kind)
                try show(file, header, store, call)
                return store.exit
            }
        }
    )
}

private func open(_ name: String, _ store: InspectedStore, _ call: Call) throws(Failure)
    -> InspectedFile
{
    do throws(Failure) {
        return try InspectedFile(store, name)
    } catch {
        // A mistyped "inspect manifset" looks like a file.
        let kinds = ["root", "manifest", "wal", "segment", "vectors"]
        guard didYouMean(call[0], kinds) != nil else { throw error }
        let hint = didYouMean("inspect \(call[0])", kinds.map { "inspect \($0)" })
        throw Failure(.usage, error.message, hint: hint)
    }
}

extension Call {
    /// Throws for options that this kind of file has no use for.
    fileprivate func checkLook(_ kind: FileKind) throws(Failure) {
        let useful: [String] =
            switch kind {
            case .root, .deletions, .codes, .graph, .columns: []
            case .manifest: ["--record", "--offset"]
            case .log: ["--record", "--offset", "--key"]
            case .document, .key: ["--block", "--row", "--key", "--from", "--to"]
            case .vector: ["--row", "--key", "--from", "--to"]
            }
        let all = ["--block", "--row", "--key", "--from", "--to", "--record", "--offset"]
        for name in all where arguments.has(name) && !useful.contains(name) {
            throw command.misuse(
                "\(name) is not for a file of kind \(kind.rawValue)",
                hint: useful.isEmpty ? nil : "it takes \(useful.joined(separator: ", "))"
            )
        }
    }
}

private func show(
    _ file: InspectedFile,
    _ header: FileHeader,
    _ store: InspectedStore,
    _ call: Call
) throws(Failure) {
    switch header.kind {
    case .root: try call.printRoot(file, store)
    case .manifest: try call.printManifests([file], try call.recordLook { [:] }, store)
    case .log:
        let look = try call.recordLook {
            store.collectionIDs().merging(file.createdCollections) { _, new in new }
        }
        try call.printLogs([file], look, store)
    case .document, .key, .vector, .deletions, .codes, .graph, .columns:
        let look = try call.look {
            store.collectionIDs().merging(schema(of: file, store)) { _, new in new }
        }
        if let look {
            try call.printParts(look, of: [file], store)
        } else {
            call.printSealed([file], store, isWhole: true) { walk in
                describeSections(&walk, store)
            }
        }
    }
}

/// The collections that a .doc file knows by name.
private func schema(of file: InspectedFile, _ store: InspectedStore) -> [String: UInt32] {
    var ids: [String: UInt32] = [:]
    guard let walk = try? SealedWalk(file, store, verifies: false), let footer = walk.footer else {
        return ids
    }
    let schema = try? walk.section(SectionType.schema) { bytes throws(FormatError) in
        try SegmentCollection.decode(bytes, rowCount: footer.rowCount)
    }
    for collection in (schema ?? nil) ?? [] { ids[collection.shape.name] = collection.shape.id }
    return ids
}
