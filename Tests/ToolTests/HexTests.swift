// hex: every byte of a file once, with the names of format-spec.

import Foundation
import Testing
import moraine_cli

@Suite struct HexTests {
    private let place = Place()

    private static let formatSpec = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("format-spec")

    /// A store whose files hold every kind of structure.
    private func fill() {
        let docs = (0..<900).map { "{\"id\":\"\($0)\",\"text\":\"text of \($0)\"}\n" }.joined()
        let rows = place.file("v.f32", vectors: (0..<900).map { [1, Float($0), 0.5] })
        let files = ["--docs", place.file("d.jsonl", docs), "--vectors", rows]
        #expect(place.run(["import", "@", "c", "--dimensions", "3"] + files).code == 0)
        let more = place.file("e.jsonl", "{\"id\":\"5\",\"text\":\"é\"}\n")
        #expect(place.run("import", "@", "c", "--docs", more).code == 0)
        let large = String(repeating: "long ", count: 4_000)
        _ = place.apply(
            #"{"op":"put","collection":"c","id":"x","metadata":{"a":[1]},"embedding":[1,2,3]}"#,
            #"{"op":"delete","collection":"c","id":"7"}"#,
            #"{"op":"create","collection":"d","metric":"dot"}"#,
            #"{"op":"put","collection":"d","id":"large","text":"\#(large)"}"#
        )
    }

    @Test func compactedFilesHaveNamesToo() throws {
        fill()
        #expect(place.run("compact", "@", "--all").code == 0)
        var names: Set<String> = []
        for name in place.contents.filter({ $0.value.data?.isEmpty == false }).keys {
            names.formUnion(try covered(place.store + "/" + name))
        }
        #expect(names.contains("segment id"))
    }

    /// Holds the fields of a file against its bytes; returns their names.
    private func covered(_ path: String, code: Int32 = 0) throws -> [String] {
        let data = try #require(FileManager.default.contents(atPath: path))
        let outcome = place.run("hex", path, "--json")
        #expect(outcome.code == code, "\(path): \(outcome.error)")
        var end = 0
        var names: [String] = []
        for field in outcome.jsonLines {
            try #require(field["offset"] as? Int == end, "\(path): \(field)")
            let count = field["byteCount"] as? Int ?? 0
            let hex = data[end..<min(data.count, end + count)].map { String(format: "%02x", $0) }
            #expect(field["hex"] as? String == hex.joined(), "\(path) at \(end)")
            end += count
            names.append(field["name"] as? String ?? "")
        }
        #expect(end == data.count, "\(path)")
        let text = place.run("hex", path)
        #expect(text.code == code)
        return names
    }

    @Test func everyByteOfEveryFileHasOneName() throws {
        fill()
        var names: Set<String> = []
        let files = place.contents.filter { $0.value.data?.isEmpty == false }.keys
        #expect(files.count >= 7)
        for name in files { names.formUnion(try covered(place.store + "/" + name)) }
        for name in [
            "manifestEnd", "predecessorEnd", "commitTime", "payloadChecksum", "collection id",
            "createdLSN", "footerChecksum", "restart offset", "fingerprints", "vector", "norm",
            "deadRowCount", "cardinality", "expiry", "dimensions", "checksum", "first key",
        ] {
            #expect(names.contains(name), "\(name)")
        }
    }

    @Test(arguments: ["empty", "closed", "in-use"])
    func everyByteOfTheGoldenStoresHasOneName(name: String) throws {
        let tar = Self.formatSpec.appendingPathComponent("golden/v1/stores/\(name).tar").path
        #expect(try runProgram(["tar", "-xf", tar, "-C", place.path])?.code == 0)
        let store = place.path + "/" + name + ".moraine"
        for case let file as String in FileManager.default.enumerator(atPath: store) ?? .init() {
            var isFolder: ObjCBool = false
            let path = store + "/" + file
            _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            let data = FileManager.default.contents(atPath: path)
            guard !isFolder.boolValue, data?.isEmpty == false, !file.hasSuffix("LOCK") else {
                continue
            }
            let names = try covered(path)
            #expect(!names.contains("payload") || file.hasSuffix(".doc"), "\(file)")
        }
    }

    @Test func theEditsAreThoseOfThePage() throws {
        let page = Self.formatSpec.appendingPathComponent("manifest.md")
        var tags: Set<UInt8> = []
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3, let tag = UInt8(cells[0]) else { continue }
            let edit = try #require(FieldGrammar.edits[tag], "tag \(tag) of manifest.md")
            #expect(edit.name == cells[1])
            #expect(edit.fields.text == cells[2])
            tags.insert(tag)
        }
        #expect(tags == Set(FieldGrammar.edits.keys))
    }

    @Test func aPersonReadsNamesAndValues() throws {
        fill()
        let root = place.run("hex", place.store + "/ROOT", "--length", "64")
        #expect(root.code == 0)
        #expect(root.lines[0] == "# copy 1  at 0, 4,096 bytes")
        #expect(
            root.lines[2]
                == "00000004  52 54                                            kind                 RT"
        )
        #expect(root.lines.count == 14)
        let log = try #require(place.names(".mwal").first { !$0.contains("free") })
        let record = place.run("hex", place.store + "/" + log, "--offset", "0x1000")
        #expect(record.output.contains("# record "))
        #expect(record.output.contains(#""x""#))
        #expect(record.output.contains(#"{"a":[1]}"#))
        let manifest = try #require(place.names(".mman").first)
        let edits = place.run("hex", place.store + "/" + manifest)
        #expect(edits.output.contains("\n*\n"))
        #expect(edits.output.contains("tag                  floor"))
    }

    @Test func damageIsDumpedToo() throws {
        fill()
        for (suffix, offset) in [
            ("ROOT", 100), ("ROOT", 0), (".mman", 4_140), (".mman", 70), (".mwal", 4_150),
            (".doc", 70),
            (".doc", 130), (".doc", 20), (".key", 4_100), (".vec", 4_100), (".del", 64),
        ] {
            let name = try #require(place.names(suffix).first { !$0.contains("free") })
            place.damage(name, at: offset)
            _ = try covered(place.store + "/" + name, code: 4)
            #expect(place.run("hex", place.store + "/" + name).error.contains(name))
            place.damage(name, at: offset)
        }
        // Cut and emptied files too.
        let name = try #require(place.names(".doc").first)
        let data = try #require(place.contents[name]?.data)
        for count in [0, 10, 64, 100, data.count - 1, data.count - 64] {
            _ = try covered(place.file("cut.doc", data.prefix(count)), code: 4)
        }
    }

    @Test func aFileOutsideAnyStoreIsRead() throws {
        fill()
        for suffix in [".doc", ".key", ".vec", ".del", ".mwal", ".mman", "ROOT"] {
            let name = try #require(place.names(suffix).first { !$0.contains("free") })
            let data = try #require(place.contents[name]?.data)
            _ = try covered(place.file("stray", data))
        }
        #expect(place.run("hex", place.file("text", "no file of a store, not at all")).code == 4)
        #expect(place.run("hex", place.path + "/missing").code == 8)
        #expect(place.run("hex", place.store + "/ROOT", "--offset", "9000").code == 16)
        #expect(place.run("hex", place.store + "/ROOT", "--offset", "x").code == 16)
        let one = place.run(
            "hex",
            place.store + "/ROOT",
            "--offset",
            "4160",
            "--length",
            "1",
            "--json"
        )
        #expect(one.jsonLines.map { $0["name"] as? String } == ["sequence"])
    }
}
