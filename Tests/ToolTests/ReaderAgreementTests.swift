// Each file of a store by itself: what the inspectors say of it and what the independent reader says
// must be the same, down to every record, key, fence and edit.

import Foundation
import MoraineFormat
import Testing
import moraine_cli

@Suite struct ReaderAgreementTests {
    let place = Place()

    /// Keys in several blocks, dead rows, tombstones, removals, expiries, a renamed collection, all
    /// index files, and commits in the log.
    private func fill() {
        var random = SplitMix(seed: 12)
        var lines = [
            #"{"op":"create","collection":"c","dimensions":3,"metric":"dot"}"#,
            #"{"op":"create","collection":"old"}"#, #"{"op":"create","collection":"gone"}"#,
            #"{"op":"put","collection":"gone","id":"x","text":"x"}"#,
        ]
        for number in 0..<900 {
            let id = random.next(700)
            switch random.next(8) {
            case 0: lines.append(#"{"op":"delete","collection":"c","id":"d\#(id)"}"#)
            case 1:
                lines.append(
                    #"{"op":"put","collection":"old","id":"ö\#(id)","text":"\#(id)","#
                        + #""expires":4000000000000}"#
                )
            default:
                lines.append(
                    #"{"op":"put","collection":"c","id":"d\#(id)","text":"é\#(number)","#
                        + #""metadata":{"n":\#(number),"o":{"s":"x","f":0.5}},"#
                        + #""embedding":[0.1,\#(number),-1e-5]}"#
                )
            }
            if number == 600 {
                lines += [
                    #"{"op":"rename","collection":"old","to":"new"}"#,
                    #"{"op":"create","collection":"old"}"#,
                    #"{"op":"drop","collection":"gone"}"#,
                    #"{"op":"delete_prefix","collection":"c","prefix":"d10"}"#,
                ]
            }
        }
        let small = ["MORAINE_MEMTABLE_BYTES": "65536", "MORAINE_WAL_FILE_BYTES": "65536"]
        let input = lines.map { $0 + "\n" }.joined()
        let applied = place.run("apply", "@", input: input, environment: small)
        #expect(applied.code == 0, "\(applied.lines.last ?? "")")
        let load = place.run("load", "@", input: vectorsAndMetadata(&random))
        #expect(load.code == 0, "\(load.error)")
        #expect(place.run("index", "@").code == 0)
        let last = place.apply(
            #"{"op":"put","collection":"c","id":"é","metadata":{"a":[1,2.5]},"embedding":[1,2,3]}"#,
            #"{"op":"delete","collection":"c","id":"d1"}"#,
            #"{"op":"rename","collection":"old","to":"older"}"#,
            #"{"op":"delete_prefix","collection":"c","prefix":"d2"}"#,
            #"{"op":"drop","collection":"older"}"#
        )
        #expect(last.code == 0)
    }

    /// A collection with a graph, one whose codes have a part of their last byte, and metadata of
    /// all kinds: numbers in two leaves, values of several types, fields that are not indexed.
    private func vectorsAndMetadata(_ random: inout SplitMix) -> String {
        var lines = [
            #"{"op":"create","collection":"v","dimensions":3,"metric":"l2"}"#,
            #"{"op":"create","collection":"w","dimensions":70,"metric":"dot"}"#,
            #"{"op":"create","collection":"none","dimensions":2,"metric":"cosine"}"#,
            #"{"op":"create","collection":"m"}"#,
        ]
        let mixed = [
            "null", "true", "false", "0", "-0.0", "1", "1.0", "9223372036854775807",
            "-9223372036854775808", "-1e308", "5e-324", #""""#, #""é""#, #""a""#, "[]", "{}",
            #"[1,1,1.0,"a",null,true,false,[2],{"x":3}]"#, #"{"x":{"y":[]},"z":-7}"#,
        ]
        for number in 0..<4_200 {
            let value = mixed[Int(random.next(UInt64(mixed.count)))]
            var metadata = #""i":\#(4_200 - number),"f":\#(Double(random.next(90)) / 8),"#
            metadata += #""even":\#(number % 2 == 0),"s":"s\#(random.next(300))""#
            if number % 7 == 0 { metadata += #","mixed":\#(value)"# }
            if number == 2_000 {
                metadata += #","long":"\#(String(repeating: "l", count: 2_049))""#
            }
            let name = String(repeating: "p", count: 600)
            if number == 2_001 { metadata += #","\#(name)":{"\#(name)":1}"# }
            // Chains of two vectors with the same code, and one of many.
            let place = number < 20 ? 0 : number % 3_900
            lines.append(
                #"{"op":"put","collection":"v","id":"\#(100_000 + number)","#
                    + #""metadata":{\#(metadata)},"embedding":[\#(place % 65),\#(place / 65),1]}"#
            )
        }
        for number in 0..<1_100 {
            let size = pow(10, Float(random.next(7)) - 3)
            let vector = (0..<70).map { _ in "\((Float(random.next(2_000)) / 1_000 - 1) * size)" }
            lines.append(
                #"{"op":"put","collection":"w","id":"\#(number)","#
                    + #""embedding":[\#(vector.joined(separator: ","))]}"#
            )
        }
        for number in 0..<150 {
            let value = mixed[Int(random.next(UInt64(mixed.count)))]
            lines.append(
                #"{"op":"put","collection":"m","id":"\#(number)","#
                    + #""metadata":{"k\#(number % 9)":\#(value),"list":[\#(number % 5),"t",\#(value)]}}"#
            )
        }
        return lines.map { $0 + "\n" }.joined()
    }

    @Test func everyFileOfAFreshStoreReadsTheSame() throws {
        fill()
        let kinds = try expectAgreement(place.store)
        let all = [".doc", ".key", ".vec", ".del", ".q8", ".gr", ".col", ".mwal", ".mman", "ROOT"]
        #expect(kinds.isSuperset(of: all) || kinds.isEmpty)
        let columns = Self.columnKinds + Self.columnKinds.dropFirst(2).map { $0 + " of elements" }
        #expect(kinds.subtracting(all) == Set(columns + ["chains"]) || kinds.isEmpty)
        if let checked = try independentReader("--indexes", place.store) {
            #expect(checked.code == 0)
            for suffix in [".q8", ".gr", ".col"] { #expect(checked.output.contains(suffix)) }
        }
        for name in place.names(".gr") {
            let bytes = place.run("hex", place.store + "/" + name, "--offset", "4096").output
            for part in [
                "links of graph 0", "entries of graph 0", "duplicates of graph 0", "graph 0",
            ] {
                #expect(bytes.contains(part), "\(name): \(part)")
            }
        }
    }

    @Test(arguments: ["empty", "closed", "in-use"])
    func everyFileOfAGoldenStoreReadsTheSame(name: String) throws {
        let (store, _) = try goldenStore(name, in: place)
        _ = try expectAgreement(store)
    }

    /// Compares each file; the kinds of files that there were, none without python3.
    private func expectAgreement(_ store: String) throws -> Set<String> {
        let names = FileManager.default.enumerator(atPath: store)?.compactMap { $0 as? String }
        var kinds: Set<String> = []
        for name in (names ?? []).sorted() where name != "LOCK" && !name.hasPrefix("wal/free") {
            guard name.contains(".") || name == "ROOT" else { continue }
            let path = store + "/" + name
            // What a crash left that nothing names.
            if FileManager.default.contents(atPath: path)?.isEmpty != false { continue }
            guard let read = try independentReader("--file", path) else { return [] }
            #expect(read.code == 0, "\(name): \(read.output)")
            let kind = name.lastIndex(of: ".").map { String(name[$0...]) } ?? name
            kinds.insert(kind)
            let reader = object(read.output)
            kinds.formUnion(contents(reader))
            compare(kind, path, reader)
        }
        return kinds
    }

    private static let columnKinds = [
        "present", "composite", "null", "false", "true", "integers", "doubles", "strings",
    ]

    /// What an index file has of all that it may.
    private func contents(_ reader: [String: Any]) -> [String] {
        func list(_ name: String, of object: [String: Any]) -> [[String: Any]] {
            object[name] as? [[String: Any]] ?? []
        }
        let chains = list("graphs", of: reader).contains { graph in
            (graph["duplicates"] as? [[Int]])?.isEmpty == false
        }
        let columns = list("columnFields", of: reader).flatMap { list("columns", of: $0) }
        return columns.compactMap { column in
            ColumnFacts(column).map { $0.kind + ($0.isOfElements ? " of elements" : "") }
        } + (chains ? ["chains"] : [])
    }

    func lines(_ path: String, _ options: String...) -> [[String: Any]] {
        let outcome = place.run(["inspect", path, "--json"] + options)
        #expect(outcome.code == 0, "\(path) \(options): \(outcome.error)")
        return outcome.jsonLines
    }

    private func compare(_ kind: String, _ path: String, _ reader: [String: Any]) {
        func list(_ name: String) -> [[String: Any]] { reader[name] as? [[String: Any]] ?? [] }
        let said = lines(path)
        var whole = said.first ?? [:]
        for name in ["file", "byteCount", "current", "endMeaning", "chosenSequence"] {
            whole[name] = nil
        }
        switch kind {
        case ".mman":
            let edits = list("records").filter { $0["type"] as? String == "edit" }
            agree(whole.removeValue(forKey: "edits"), edits, path)
        case ".mwal":
            agree(said.dropFirst().dropLast().map { $0 }, list("records"), path)
            agree(said.last?["end"], reader["end"], path)
            for record in list("records") where record["type"] as? String == "commit" {
                agree(lines(path, "--record", "\(record["number"] ?? "")"), [record], path)
            }
        case ".doc", ".key":
            let parts = list(kind == ".doc" ? "records" : "keys")
            let blocks = list(kind == ".doc" ? "blocks" : "fences").indices
            agree(blocks.flatMap { lines(path, "--block", "\($0)") }, parts, path)
            #expect(kind != ".key" || parts.count > 8 || !path.hasPrefix(place.store))
        case ".vec":
            let vectors = list("vectors")
            for index in stride(from: 0, to: vectors.count, by: max(1, vectors.count / 8)) {
                let vector = vectors[index]
                agree(lines(path, "--row", "\(vector["row"] ?? "")"), [vector], path)
            }
        case ".del":
            let containers = whole.removeValue(forKey: "containers") as? [[String: Any]] ?? []
            let runs = containers.flatMap { $0["rows"] as? [String] ?? [] }
            let rows = runs.flatMap { run in
                let ends = run.split(separator: "-").compactMap { Int($0) }
                return Array((ends.first ?? 0)...(ends.last ?? 0))
            }
            #expect(rows == reader["deadRows"] as? [Int], "\(path)")
        case ".q8", ".gr", ".col":
            compareIndex(path, reader, whole.removeValue(forKey: "columnFields"))
        default: break
        }
        agree(whole, reader, path)
    }

    /// Holds what the engine's readers find in an index file against what the reader says.
    ///
    /// - Parameter fields: what the tool says of a file of columns.
    private func compareIndex(_ path: String, _ reader: [String: Any], _ fields: Any?) {
        func list(_ name: String) -> [[String: Any]] { reader[name] as? [[String: Any]] ?? [] }
        do {
            let folder = path.components(separatedBy: "/seg/")
            guard case .derived(let kind, let segment, _)? = FileNames.parse("seg/" + folder[1])
            else {
                Issue.record("\(path): no index file")
                return
            }
            let facts = IndexFacts(store: folder[0], segment: segment)
            switch kind {
            case .codes:
                let same = try facts.codes("seg/" + folder[1]) == list("codes").map(CodeFacts.init)
                #expect(same, "\(path): codes")
            case .graph:
                let prefix = String(folder[1].prefix(16))
                let codes = try #require(
                    try FileManager.default.contentsOfDirectory(atPath: folder[0] + "/seg")
                        .first { $0.hasPrefix(prefix) && $0.hasSuffix(".q8") }
                )
                let graphs = try facts.graphs("seg/" + folder[1], codes: "seg/" + codes)
                let same = graphs == list("graphs").map(GraphFacts.init)
                #expect(same, "\(path): graphs")
            case .columns:
                let footer = reader["footer"] as? [String: Any]
                let rowCount = try #require(footer?["rowCount"] as? Int)
                let columns = try facts.columns("seg/" + folder[1], rowCount: rowCount)
                let read = list("columnFields")
                #expect(columns.count == read.count, "\(path)")
                for (field, (engine, reader)) in zip(columns, read).enumerated() {
                    let said = reader["columns"] as? [[String: Any]] ?? []
                    let same = engine == said.map(ColumnFacts.init)
                    #expect(same, "\(path): columns of field \(field)")
                }
                agree(fields, read.map(fieldAsToolSays), path)
            }
        } catch {
            Issue.record("\(path): \(error)")
        }
    }

    private func fieldAsToolSays(_ field: [String: Any]) -> [String: Any] {
        var field = field
        let columns = field["columns"] as? [[String: Any]] ?? []
        field["path"] = (field["names"] as? [String] ?? []).joined(separator: ".")
        field["columns"] = columns.map { column in
            let domain = column["ofElements"] as? Bool == true ? " of elements" : ""
            return "\(column["kind"] ?? "")\(domain) \(column["valueCount"] ?? "")"
        }
        return field
    }

    /// What is not the reader's to tell: the manifest says who is dead.
    private static let own: Set = ["dead", "file"]

    /// All that the tool says, the reader must say.
    func agree(_ tool: Any?, _ reader: Any?, _ place: String) {
        switch (tool, reader) {
        case (let tool as [String: Any], let reader as [String: Any]):
            for (name, value) in tool where !Self.own.contains(name) {
                agree(value, reader[name], place + " " + name)
            }
        case (let tool as [Any], let reader as [Any]):
            #expect(tool.count == reader.count, "\(place)")
            for (index, pair) in zip(tool, reader).enumerated() {
                agree(pair.0, pair.1, "\(place)[\(index)]")
            }
        case (let tool as NSObject, let reader as NSObject):
            #expect(tool == reader, "\(place)")
        default:
            Issue.record("\(place): the reader says \(reader ?? "nothing") of \(tool ?? "nothing")")
        }
    }
}

/// Numbers that a seed decides.
private struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next(_ bound: UInt64) -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state >> 33) % bound
    }
}
