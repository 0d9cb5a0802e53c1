// What the index files of a segment hold, through the engine's own readers, and the same out of what
// the independent reader prints.

import CKernels
import Foundation
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineFilters
@testable import MoraineVectors

/// A column: its values, and for each the rows that have it; for kinds of one value only the rows.
struct ColumnFacts: Equatable {
    var kind = ""
    var isOfElements = false
    var integers: [Int] = []
    var doubles: [Double] = []
    var strings: [String] = []
    var rows: [[Int]] = []

    init?(_ column: [String: Any]) {
        guard let kind = column["kind"] as? String,
            let isOfElements = column["ofElements"] as? Bool
        else { return nil }
        self.kind = kind
        self.isOfElements = isOfElements
        integers = kind == "integers" ? column["values"] as? [Int] ?? [] : []
        doubles = kind == "doubles" ? column["values"] as? [Double] ?? [] : []
        strings = kind == "strings" ? column["values"] as? [String] ?? [] : []
        rows = column["rows"] as? [[Int]] ?? [column["rows"] as? [Int] ?? []]
    }

    init(_ file: ColumnFile, _ entry: ColumnEntry, of rows: Range<UInt32>) throws {
        kind = "\(entry.kind)"
        isOfElements = entry.domain == .elements
        func list(at offset: Int, count: Int) throws -> [Int] {
            let set = RowSet(rows)
            try file.insert(at: offset, count: count, of: rows, to: set)
            return rows.filter(set.contains).map(Int.init)
        }
        switch entry.kind {
        case .integers, .doubles:
            let column = NumberColumn(file, entry, rows)
            self.rows = [[]]
            for leaf in 0..<ColumnLeaves.leafCount(column.count) {
                for place in ColumnLeaves.entries(ofLeaf: leaf, of: column.count).indices {
                    let first = ColumnLeaves.entries(ofLeaf: leaf, of: column.count).lowerBound
                    switch try column.number(place - first, ofLeaf: leaf) {
                    case .integer(let value): integers.append(Int(value))
                    case .double(let value): doubles.append(value)
                    }
                }
                self.rows[0] += words(try column.rows(ofLeaf: leaf))
            }
        case .strings:
            let column = StringColumn(file, entry, rows)
            for index in 0..<column.count {
                strings.append(String(decoding: try column.string(index), as: UTF8.self))
                let place = try column.list(index)
                self.rows.append(try list(at: place.lowerBound, count: place.count))
            }
        case .present, .composite, .null, .false, .true:
            self.rows = [try list(at: Int(entry.offset), count: Int(entry.byteCount))]
        }
    }
}

/// A code and what is known of it.
struct CodeFacts: Equatable {
    var space = 0
    var values: [Int] = []
    var error: Float = 0
    var squareSum = 0
    var coarseError: Float = 0
    var coarseSquareSum = 0
}

extension CodeFacts {
    init?(_ code: [String: Any]) {
        guard let space = code["space"] as? Int, let values = code["code"] as? [Int],
            let error = code["error"] as? Double, let squareSum = code["squareSum"] as? Int,
            let coarseError = code["coarseError"] as? Double,
            let coarseSquareSum = code["coarseSquareSum"] as? Int
        else { return nil }
        self.init(
            space: space,
            values: values,
            error: Float(error),
            squareSum: squareSum,
            coarseError: Float(coarseError),
            coarseSquareSum: coarseSquareSum
        )
    }
}

/// A graph: where searches begin, the links of each vector, and which follows one of the same code.
struct GraphFacts: Equatable {
    var entries: [Int] = []
    var links: [[Int]] = []
    var duplicates: [[Int]] = []
}

extension GraphFacts {
    init?(_ graph: [String: Any]) {
        guard let entries = graph["entries"] as? [Int], let links = graph["links"] as? [[Int]],
            let duplicates = graph["duplicates"] as? [[Int]]
        else { return nil }
        self.init(entries: entries, links: links, duplicates: duplicates)
    }
}

/// Opens index files of a store as the engine does, whatever the manifest says.
struct IndexFacts {
    private let store: String
    private let segment: UInt64
    private let fileSystem = PosixFileSystem()

    init(store: String, segment: UInt64) {
        self.store = store
        self.segment = segment
    }

    /// Name, length and footer of a file, from itself.
    private func reference(_ name: String) throws -> (SealedFileReference, StoreID) {
        let data = try Data(contentsOf: URL(fileURLWithPath: store + "/" + name))
        func number<T: FixedWidthInteger>(at offset: Int, _ type: T.Type) -> T {
            data.withUnsafeBytes {
                T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self))
            }
        }
        let reference = SealedFileReference(
            fileID: number(at: 40, UInt64.self),
            byteCount: UInt64(data.count),
            footerChecksum: number(at: data.count - 8, UInt32.self)
        )
        let storeID = StoreID(low: number(at: 24, UInt64.self), high: number(at: 32, UInt64.self))
        return (reference, storeID)
    }

    /// The columns of each field, in the order of the file.
    func columns(_ name: String, rowCount: Int) throws -> [[ColumnFacts]] {
        let (reference, storeID) = try reference(name)
        let file = try ColumnFile(
            fileSystem: fileSystem,
            root: store,
            segment: segment,
            storeID: storeID,
            reference: reference,
            documents: try self.reference(FileNames.document(segment)).0,
            rowCount: UInt32(rowCount)
        )
        return try (0..<file.collectionCount).flatMap { index in
            let collection = try file.collection(at: index)
            return try collection.fields.map { place in
                try file.field(at: place).columns.map { column in
                    try ColumnFacts(file, try file.column(at: column), of: collection.rows)
                }
            }
        }
    }

    private func vectors() throws -> VectorFile {
        let (reference, storeID) = try reference(FileNames.vector(segment))
        return try VectorFile(
            fileSystem: fileSystem,
            root: store,
            segment: segment,
            storeID: storeID,
            reference: reference
        )
    }

    private func codeFile(_ name: String, of vectors: VectorFile) throws -> CodeFile {
        let (reference, storeID) = try reference(name)
        return try CodeFile(
            fileSystem: fileSystem,
            root: store,
            segment: segment,
            storeID: storeID,
            reference: reference,
            vectors: vectors
        )
    }

    /// The codes of all spaces, in the order of the file.
    func codes(_ name: String) throws -> [CodeFacts] {
        try codeFile(name, of: vectors()).spaces.enumerated().flatMap { index, space in
            let all = 0..<space.count
            let (high, low) = (try space.highHalves(all), try space.lowHalves(all))
            let (errors, squareSums) = (try space.errors(all), try space.squareSums(all))
            let coarse = (try space.coarseErrors(all), try space.coarseSquareSums(all))
            return all.map { ordinal in
                let place = ordinal * space.halfByteCount
                let code = [UInt8](unsafeUninitializedCapacity: space.byteCount) { code, count in
                    count = space.byteCount
                    guard let base = code.baseAddress else { return }
                    mk_join_code(high + place, low + place, space.byteCount, base)
                }
                return CodeFacts(
                    space: index,
                    values: code.prefix(space.dimensions).map { Int($0) - 128 },
                    error: errors[ordinal],
                    squareSum: Int(squareSums[ordinal]),
                    coarseError: coarse.0[ordinal],
                    coarseSquareSum: Int(coarse.1[ordinal])
                )
            }
        }
    }

    /// The graphs, in the order of the file.
    func graphs(_ name: String, codes: String) throws -> [GraphFacts] {
        let (reference, storeID) = try reference(name)
        let vectors = try vectors()
        let file = try GraphFile(
            fileSystem: fileSystem,
            root: store,
            segment: segment,
            storeID: storeID,
            reference: reference,
            vectors: vectors,
            codes: try codeFile(codes, of: vectors)
        )
        return try file.spaces.map { space in
            let links = UnsafeRawBufferPointer(
                start: try space.checkedLinks(),
                count: space.entry.vectorCount * GraphSpaceEntry.degree * 4
            )
            let all = words(links)
            return GraphFacts(
                entries: try space.withSearch { _, view, _ in view.entries.map(Int.init) },
                links: stride(from: 0, to: all.count, by: GraphSpaceEntry.degree).map { start in
                    all[start..<(start + GraphSpaceEntry.degree)].filter { $0 != UInt32.max }
                },
                duplicates: try space.chained().reversed().map { [Int($0.node), Int($0.next)] }
            )
        }
    }
}

/// Numbers of 32 bits.
private func words(_ bytes: UnsafeRawBufferPointer) -> [Int] {
    (0..<(bytes.count / 4)).map { index in
        Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
    }
}
