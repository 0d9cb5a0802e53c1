// Each file of a store by itself: what the inspectors say of it and what the independent reader says
// must be the same, down to every record, key, fence and edit.

import Foundation
import Testing
import moraine_cli

@Suite struct ReaderAgreementTests {
    private let place = Place()

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
        let count = 4_200
        let docs = (0..<count).map {
            #"{"id":"\#(100_000 + $0)","text":"t","metadata":{"even":\#($0 % 2 == 0)}}"# + "\n"
        }
        let vectors = (0..<count).map { [Float($0 % 65), Float($0 / 65), 1] }
        let files = [
            "--docs", place.file("d.jsonl", docs.joined()), "--vectors",
            place.file("v.f32", vectors: vectors), "--dimensions", "3",
        ]
        #expect(place.run(["import", "@", "v", "--metric", "l2"] + files).code == 0)
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

    @Test func everyFileOfAFreshStoreReadsTheSame() throws {
        fill()
        let kinds = try expectAgreement(place.store)
        let all = [".doc", ".key", ".vec", ".del", ".q8", ".gr", ".col", ".mwal", ".mman", "ROOT"]
        #expect(kinds == Set(all) || kinds.isEmpty)
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
            compare(kind, path, object(read.output))
        }
        return kinds
    }

    private func lines(_ path: String, _ options: String...) -> [[String: Any]] {
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
        case ".col":
            let fields = whole["columnFields"] as? [[String: Any]] ?? []
            let names = list("columnFields").map { $0["names"] as? [String] ?? [] }
            #expect(fields.map { $0["path"] as? String } == names.map { $0.joined(separator: ".") })
        default: break
        }
        agree(whole, reader, path)
    }

    /// What is not the reader's to tell: the manifest says who is dead, the rest are sums.
    private static let own: Set = ["dead", "columns", "path", "file"]

    /// All that the tool says, the reader must say.
    private func agree(_ tool: Any?, _ reader: Any?, _ place: String) {
        switch (tool, reader) {
        case (let tool as [String: Any], let reader as [String: Any]):
            for (name, value) in tool where !Self.own.contains(name) {
                if name == "byteCount", tool["isIndexed"] != nil { continue }
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
