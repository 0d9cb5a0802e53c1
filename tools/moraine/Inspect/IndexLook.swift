// Tables of index files, for the inspectors. Bytes: format-spec/codes.md, graph.md, columns.md.

import MoraineBytes
import MoraineFilters
import MoraineFormat
import MoraineStorage

/// Adds the table of coded spaces.
func describeCodes(_ walk: inout SealedWalk) throws(StoreError) {
    let spaces = try walk.section(SectionType.codeSpaces) { bytes throws(FormatError) in
        var reader = ByteReader(bytes)
        var spaces: [Description] = []
        while !reader.isAtEnd {
            let space = try CodeSpaceEntry(decoding: &reader)
            spaces.append(
                .object([
                    ("collectionID", .number(space.collectionID)), ("field", .number(0)),
                    ("dimensions", .number(space.dimensions)),
                    ("strideByteCount", .number(space.strideByteCount)),
                    ("vectorCount", .number(space.vectorCount)),
                    ("metric", .text(space.metric.name)),
                    ("scale", .json(jsonText(space.scale))),
                    ("leastNorm", .json(jsonText(space.leastNorm))),
                    ("largestNorm", .json(jsonText(space.largestNorm))),
                ])
            )
        }
        return spaces
    }
    if let spaces { walk.append("codeSpaces", .list(spaces)) }
}

/// Adds the table of graphs.
func describeGraphs(_ walk: inout SealedWalk) throws(StoreError) {
    let graphs = try walk.section(SectionType.graphSpaces) { bytes throws(FormatError) in
        var reader = ByteReader(bytes)
        var graphs: [Description] = []
        while !reader.isAtEnd {
            let graph = try GraphSpaceEntry(decoding: &reader)
            graphs.append(
                .object(
                    [
                        ("collectionID", .number(graph.collectionID)), ("field", .number(0)),
                        ("vectorCount", .number(graph.vectorCount)),
                        ("nodeCount", .number(graph.nodeCount)),
                        ("entryCount", .number(graph.entryCount)),
                        ("joinCount", .number(graph.joinCount)), ("width", .number(graph.width)),
                        ("factor", .json(jsonText(graph.factor))),
                    ] + graph.trialFields
                )
            )
        }
        return graphs
    }
    if let graphs { walk.append("graphSpaces", .list(graphs)) }
}

extension GraphSpaceEntry {
    /// The mean degree and how well the graph finds, by width of search.
    var trialFields: Description.Fields {
        [
            ("meanDegree", .json(jsonText(meanDegree))), ("sampleCount", .number(sampleCount)),
            ("walk", .text(walk == .coarse ? "coarse" : "whole")),
        ]
            + zip(Self.recallWidths, recalls).map {
                ("recall\($0)", .json(decimal(Double($1), digits: 4)))
            }
    }
}

/// Adds the collections, fields and columns.
func describeColumns(_ walk: inout SealedWalk) throws(StoreError) {
    let collections = try walk.section(SectionType.columnCollections) {
        bytes throws(FormatError) in
        try entries(bytes) { reader throws(FormatError) in
            try ColumnCollection(decoding: &reader)
        }
    }
    let columns = try walk.section(SectionType.columns) { bytes throws(FormatError) in
        try entries(bytes) { reader throws(FormatError) in try ColumnEntry(decoding: &reader) }
    }
    let paths = try walk.section(SectionType.columnPaths) { bytes throws(FormatError) in
        Array(bytes)
    }
    let fields = try walk.section(SectionType.columnFields) { bytes throws(FormatError) in
        try entries(bytes) { reader throws(FormatError) in
            let field = try ColumnField(decoding: &reader)
            return (path: try text(of: field, in: paths ?? []), columns: field.columns)
        }
    }
    guard let collections, let columns, let fields else { return }
    walk.append(
        "columnCollections",
        .list(
            collections.map { collection in
                .object([
                    ("collectionID", .number(collection.collectionID)),
                    ("firstRow", .number(collection.rows.lowerBound)),
                    ("rowCount", .number(collection.rows.count)),
                    ("fieldCount", .number(collection.fields.count)),
                    ("hasOtherFields", .bool(collection.hasOtherFields)),
                ])
            }
        )
    )
    // Both ascend: to look through all collections for each field would take hours of a forged file.
    var owners = collections[...]
    walk.append(
        "columnFields",
        .list(
            fields.enumerated().map { index, field in
                while let first = owners.first, first.fields.upperBound <= index {
                    owners.removeFirst()
                }
                let owner = owners.first.flatMap { $0.fields.contains(index) ? $0 : nil }
                let own = columns[field.columns.clamped(to: 0..<columns.count)]
                return .object([
                    ("collectionID", owner.map { .number($0.collectionID) } ?? .null),
                    ("path", .text(field.path)), ("isIndexed", .bool(!field.columns.isEmpty)),
                    ("byteCount", .number(own.reduce(0) { $0 &+ $1.byteCount })),
                    ("columns", .list(own.map { .text($0.text) })),
                ])
            }
        )
    )
}

extension ColumnEntry {
    /// "integers 12", "strings of elements 3".
    fileprivate var text: String {
        "\(kind)\(domain == .elements ? " of elements" : "") \(valueCount)"
    }
}

private func entries<T>(
    _ bytes: UnsafeRawBufferPointer,
    _ decode: (inout ByteReader) throws(FormatError) -> T
) throws(FormatError) -> [T] {
    var reader = ByteReader(bytes)
    var entries: [T] = []
    while !reader.isAtEnd { entries.append(try decode(&reader)) }
    return entries
}

/// A path as a filter names it.
private func text(of field: ColumnField, in paths: [UInt8]) throws(FormatError) -> String {
    guard field.path.upperBound <= paths.count, !field.path.isEmpty else {
        throw FormatError(
            .range,
            at: 0,
            field: "pathOffset",
            expected: "up to byte \(paths.count)",
            found: "\(field.path)"
        )
    }
    return try paths[field.path].withUnsafeBufferPointer { bytes throws(FormatError) in
        var reader = ByteReader(UnsafeRawBufferPointer(bytes))
        var names: [[UInt8]] = []
        while !reader.isAtEnd { names.append(Array(try reader.readPrefixed("name"))) }
        return FieldPath(names: names).text
    }
}
