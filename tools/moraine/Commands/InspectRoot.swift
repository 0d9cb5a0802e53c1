// moraine inspect root: both copies of ROOT. Bytes: format-spec/root.md.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Command {
    static let inspectRoot = inspector(
        "root",
        "show both copies of ROOT",
        examples: [
            ("moraine inspect root notes.moraine", "which manifest and history count"),
            ("moraine inspect root notes.moraine --json | jq .copies", "both copies as JSON"),
        ],
        run: { store, call throws(Failure) in
            guard try store.names(in: "").contains(FileNames.root) else {
                throw Failure(
                    .damage,
                    "\(FileNames.path(store.folder, FileNames.root)): ROOT is missing"
                )
            }
            try call.printRoot(try InspectedFile(store, FileNames.root), store)
        }
    )
}

extension Call {
    /// Prints both copies of a ROOT.
    func printRoot(_ file: InspectedFile, _ store: InspectedStore) throws(Failure) {
        let read = try engineCall { () throws(StoreError) in
            try RootFile.read(store.fileSystem, folder: store.folder, name: file.name)
        }
        var copies: [Description] = []
        for (index, copy) in read.copies.enumerated() {
            let offset = index * Root.copyByteCount
            switch copy {
            case .success(let root):
                copies.append(
                    .object([("offset", .number(offset)), ("valid", .bool(true))] + root.fields)
                )
            case .failure(let error):
                copies.append(
                    .object([
                        ("offset", .number(offset)), ("valid", .bool(false)),
                        ("error", store.damage(error)),
                    ])
                )
            }
        }
        var chosen = Description.null
        do throws(StoreError) {
            chosen = .number(try read.chosen().sequence)
        } catch {
            chosen = .object([("error", store.damage(error))])
        }
        let head: Description.Fields = [
            ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
        ]
        if isJSON {
            print(.object(head + [("copies", .list(copies)), ("chosenSequence", chosen)]))
            return
        }
        print(.object(head + [("chosenSequence", chosen)]))
        for (index, copy) in copies.enumerated() {
            output.write("\n")
            print(copy, title: "copy \(index + 1)")
        }
    }
}

extension Root {
    fileprivate var fields: Description.Fields {
        [
            ("storeID", .text(storeID.text)), ("sequence", .number(sequence)),
            ("incarnation", .pattern(incarnation)),
            ("parentIncarnation", .pattern(parentIncarnation)), ("epoch", .number(epoch)),
            ("manifestID", .number(manifestID)), ("manifestEnd", .number(manifestEnd)),
            ("manifestEdit", .number(manifestEdit)), ("durableLSN", .number(durableLSN)),
            ("state", .text(state == .closed ? "closed" : "in use")),
            ("logSequence", .number(logSequence)), ("logEnd", .number(logEnd)),
            ("createdTime", .time(createdTime)),
        ]
    }
}
