// moraine diff: what two stores hold, side by side.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Command {
    static let diff = Command(
        "diff",
        "compare what two stores hold",
        positionals: [
            Positional("A", "the folder of a store"),
            Positional("B", "the folder of the other"),
            Positional("COLLECTION", "only this collection", count: .optional),
        ],
        options: [
            Option("--limit", "N", "stop after so many differences"), .json,
        ] + Option.reading,
        notes: [
            """
            Compares collections by name and documents by id: text, metadata and the bits of the
            vectors; versions and times do not count. Exit code 0: they hold the same; 1: there is
            a difference. With --json a line for each:
              {"collection":"notes","id":"x","in":"a"}            only in A ("b": only in B)
              {"collection":"notes","id":"x","in":"both","differs":["text","vector"]}
              {"collection":"notes","in":"both","differs":["dimensions"]}
            Without "id" it is about the collection itself.
            """
        ],
        examples: [
            ("moraine diff a.moraine b.moraine", "a table, and how many there are of each"),
            ("moraine diff a.moraine b.moraine notes --limit 1", "the first difference"),
            (
                "moraine diff a.moraine b.moraine --json | jq -r 'select(.in == \"a\").id'",
                "what B lacks"
            ),
        ],
        run: { call throws(Failure) in
            let limit = try call.arguments.number("--limit", in: 1...UInt64(Int64.max))
            return try call.withVersion(call[0]) { a throws(Failure) in
                try call.withVersion(call[1]) { b throws(Failure) in
                    var comparison = StoreComparison(a, b, limit: limit ?? .max, call)
                    return try comparison.run(collection: call.optional(2))
                }
            }
        }
    )
}

/// One comparison, as far as it got.
private struct StoreComparison {
    /// Where something is.
    private enum Place: String {
        case a, b, both

        var words: String {
            switch self {
            case .a: "only in A"
            case .b: "only in B"
            case .both: "different"
            }
        }
    }

    private let a: Version
    private let b: Version
    private let call: Call
    private let limit: UInt64
    private let progress: Progress
    private var table: Table
    private var counts: [Place: UInt64] = [:]
    private var sameCount: UInt64 = 0
    private var differenceCount: UInt64 = 0

    init(_ a: Version, _ b: Version, limit: UInt64, _ call: Call) {
        self.a = a
        self.b = b
        self.call = call
        self.limit = limit
        progress = Progress(call.console.error)
        table = Table(
            call.output,
            [("collection", .left), ("id", .left), ("", .left), ("differs", .left)]
        )
    }

    mutating func run(collection only: String?) throws(Failure) -> ExitCode {
        var names = Set(a.collections.map(\.name)).union(b.collections.map(\.name))
        if let only {
            guard names.contains(only) else { throw call.unknownCollection(only, a) }
            names = [only]
        }
        do throws(Failure) {
            for name in names.sorted(by: { Array($0.utf8).lexicographicallyPrecedes($1.utf8) }) {
                try compare(name)
                if isDone { break }
            }
        } catch {
            // What differed before the damage is shown too.
            progress.clear()
            table.finish()
            throw error
        }
        progress.clear()
        table.finish()
        if !call.isJSON { writeSummary() }
        return differenceCount == 0 ? .fine : .absent
    }

    private var isDone: Bool { differenceCount >= limit || call.output.isClosed }

    private mutating func compare(_ name: String) throws(Failure) {
        let first = a.collection(name)
        let second = b.collection(name)
        if let first, let second {
            var differs: [String] = []
            if first.dimensions != second.dimensions { differs.append("dimensions") }
            if first.metric != second.metric { differs.append("metric") }
            if !differs.isEmpty { report(name, id: nil, .both, differs) }
        } else {
            report(name, id: nil, first == nil ? .b : .a, [])
        }
        try engineCall { () throws(StoreError) in try compare(name, first, second) }
    }

    private mutating func compare(
        _ name: String,
        _ first: CollectionShape?,
        _ second: CollectionShape?
    ) throws(StoreError) {
        var left = DocumentCursor(a, first)
        var right = DocumentCursor(b, second)
        var one = try left.next()
        var other = try right.next()
        while !isDone, one != nil || other != nil {
            let seen = sameCount + differenceCount
            progress.show("\(name): compared \(grouped(seen)) documents")
            switch order(one, other) {
            case .a:
                report(name, id: one?.id, .a, [])
                one = try left.next()
            case .b:
                report(name, id: other?.id, .b, [])
                other = try right.next()
            case .both:
                if let one, let other { compare(name, one, other) }
                one = try left.next()
                other = try right.next()
            }
        }
    }

    /// Whose id comes first.
    private func order(_ one: HeldDocument?, _ other: HeldDocument?) -> Place {
        guard let one else { return .b }
        guard let other else { return .a }
        if one.id == other.id { return .both }
        return one.id.lexicographicallyPrecedes(other.id) ? .a : .b
    }

    private mutating func compare(_ name: String, _ one: HeldDocument, _ other: HeldDocument) {
        var differs: [String] = []
        if one.text != other.text { differs.append("text") }
        if one.metadata != other.metadata { differs.append("metadata") }
        if one.vector != other.vector { differs.append("vector") }
        if differs.isEmpty {
            sameCount += 1
        } else {
            report(name, id: one.id, .both, differs)
        }
    }

    /// - Parameter id: `nil` for the collection itself.
    private mutating func report(
        _ name: String,
        id: [UInt8]?,
        _ place: Place,
        _ differs: [String]
    ) {
        guard differenceCount < limit else { return }
        differenceCount += 1
        if id != nil { counts[place, default: 0] += 1 }
        let id = id.map { String(decoding: $0, as: UTF8.self) }
        guard call.isJSON else {
            let parts = differs.joined(separator: ", ")
            table.add([name, id ?? "(the collection)", place.words, parts])
            return
        }
        var fields: Description.Fields = [("collection", .text(name))]
        if let id { fields.append(("id", .text(id))) }
        fields.append(("in", .text(place.rawValue)))
        if place == .both { fields.append(("differs", .list(differs.map { .text($0) }))) }
        call.print(.object(fields))
    }

    private func writeSummary() {
        let same = "\(grouped(sameCount)) the same"
        guard differenceCount > 0 else {
            return call.output.writeLine("no difference: \(same)")
        }
        let parts = [Place.a, .b, .both].map { "\(grouped(counts[$0] ?? 0)) \($0.words)" }
        let end = differenceCount >= limit ? "; stopped at the limit" : ""
        call.output.writeLine((parts + [same]).joined(separator: ", ") + end)
    }
}
