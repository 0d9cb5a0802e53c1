// moraine inspect vectors: the .vec files. Bytes: format-spec/vector.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

extension Command {
    static let inspectVectors = inspector(
        "vectors",
        "show the vector files",
        takesID: true,
        options: Option.look,
        notes: [
            """
            Without SEGMENT a row for each file, with it all about its file. --row shows the vector
            of a row; --key, --from and --to those of documents, found in the .doc file beside.
            """
        ],
        examples: [
            ("moraine inspect vectors notes.moraine", "all vector files"),
            ("moraine inspect vectors notes.moraine 7 --json", "the spaces of one as JSON"),
            ("moraine inspect vectors notes.moraine 7 --row 0", "a vector and its norm"),
            ("moraine inspect vectors notes.moraine --key notes/some-id", "that of a document"),
        ],
        run: { store, call throws(Failure) in
            let segment = try call.segmentID()
            let look = try call.look { store.collectionIDs() }
            let files = try store.sealedFiles(segment: segment) { name in
                if case .vector(let segment) = name { segment } else { nil }
            }
            try call.expectFiles(files, segment: segment)
            if let look {
                try call.printParts(look, of: files, store)
            } else {
                call.printSealed(files, store, isWhole: segment != nil) { walk in
                    describeSections(&walk, store)
                }
            }
        }
    )
}

/// Adds the table of spaces.
func describeSpaces(_ walk: inout SealedWalk) throws(StoreError) {
    let spaces = try walk.section(SectionType.spaces) { bytes throws(FormatError) in
        var reader = ByteReader(bytes)
        var spaces: [Description] = []
        while !reader.isAtEnd {
            let space = try VectorSpaceEntry(decoding: &reader)
            spaces.append(
                .object([
                    ("collectionID", .number(space.collectionID)), ("field", .number(0)),
                    ("dimensions", .number(space.dimensions)),
                    ("strideByteCount", .number(space.strideByteCount)),
                    ("vectorCount", .number(space.vectorCount)),
                    ("metric", .text(space.metric.name)),
                ])
            )
        }
        return spaces
    }
    if let spaces { walk.append("spaces", .list(spaces)) }
}
