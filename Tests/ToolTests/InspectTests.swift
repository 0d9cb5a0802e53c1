// verify and the inspectors: on sound stores, on damaged ones, and that nothing changes.

import Foundation
import Testing
import moraine_cli

@Suite struct InspectTests {
    private let place = Place()

    /// A store with a segment, a deletion, and commits in the log.
    private func fill() {
        let docs = (0..<600).map { "{\"id\":\"\($0)\",\"text\":\"text of \($0)\"}\n" }.joined()
        let rows = place.file("v.f32", vectors: (0..<600).map { [1, Float($0)] })
        let imported = place.run(
            "import",
            "@",
            "c",
            "--docs",
            place.file("d.jsonl", docs),
            "--vectors",
            rows,
            "--dimensions",
            "2"
        )
        #expect(imported.code == 0, "\(imported.error)")
        let more = place.file("e.jsonl", "{\"id\":\"5\",\"text\":\"new\"}\n")
        #expect(place.run("import", "@", "c", "--docs", more).code == 0)
        _ = place.apply(
            #"{"op":"put","collection":"c","id":"x","embedding":[1,2]}"#,
            #"{"op":"delete","collection":"c","id":"7"}"#
        )
    }

    private static let reading: [[String]] = [
        ["scan", "@", "c", "--json", "--vectors"], ["get", "@", "c", "5"], ["count", "@", "c"],
        ["search", "@", "c", "--like", "9"], ["collections", "@"], ["stats", "@"],
        ["verify", "@"], ["hash", "@"], ["dump", "@"], ["diff", "@", "@"],
        ["inspect", "root", "@"], ["inspect", "manifest", "@"],
        ["inspect", "wal", "@"], ["inspect", "segment", "@"], ["inspect", "vectors", "@"],
    ]

    @Test func readingChangesNoByteAndNoTime() {
        fill()
        let before = place.contents
        #expect(before.count > 5)
        for arguments in Self.reading {
            for json in [[], ["--json"]]
            where json.isEmpty || !(arguments.contains("--json") || arguments[0] == "dump") {
                let outcome = place.run(arguments + json)
                #expect(outcome.code == 0, "\(arguments): \(outcome.error)")
                #expect(outcome.output != "" || arguments[0] == "diff")
                #expect(place.contents == before, "\(arguments)")
            }
        }
    }

    @Test func verifyPrintsItsContract() {
        fill()
        let outcome = place.run("verify", "@", "--json")
        #expect(outcome.code == 0)
        #expect(outcome.lines.count == 1)
        #expect(outcome.output.hasPrefix(#"{"ok":true,"files":"#))
        #expect(Set(outcome.json.keys) == ["ok", "files", "bytes", "findings", "unchecked"])
        #expect((outcome.json["findings"] as? [Any])?.isEmpty == true)
        #expect((outcome.json["files"] as? Int ?? 0) >= 5)
        #expect(place.run("verify", "@").output.contains("ok"))
    }

    @Test func oneBadByteIsFoundAndNeverCalledOk() throws {
        fill()
        for suffix in [".doc", ".vec", ".key", ".mman", ".mwal", "ROOT"] {
            let name = try #require(place.names(suffix).last { !$0.contains("free") })
            let offset = ["ROOT", ".doc"].contains(suffix) ? 100 : 4_130
            place.damage(name, at: offset)
            let outcome = place.run("verify", "@", "--json")
            #expect(outcome.code == 4, "\(name)")
            #expect(outcome.json["ok"] as? Bool == false)
            let findings = outcome.json["findings"] as? [[String: Any]] ?? []
            #expect(findings.contains { $0["file"] as? String == name }, "\(findings)")
            #expect(
                findings.allSatisfy {
                    Set($0.keys) == ["file", "offset", "kind", "expected", "found"]
                }
            )
            let text = place.run("verify", "@")
            #expect(text.code == 4)
            #expect(!text.output.contains("ok:"))
            place.damage(name, at: offset)
            #expect(place.run("verify", "@").code == 0)
        }
    }

    @Test func damageInASegmentEndsAScanAfterTheRowsBefore() throws {
        let docs = (0..<5_000).map {
            String(format: "{\"id\":\"%05d\",\"text\":\"%d\"}\n", $0, $0 * 7)
        }
        let file = place.file("d.jsonl", docs.joined())
        #expect(place.run("import", "@", "c", "--docs", file).code == 0)
        let name = try #require(place.names(".doc").first)
        let size = try #require(place.contents[name]?.data?.count)
        place.damage(name, at: size / 2)
        let outcome = place.run("scan", "@", "c", "--json")
        #expect(outcome.code == 4)
        #expect(outcome.lines.count > 100 && outcome.lines.count < 5_000)
        #expect(outcome.jsonLines.map { $0["id"] as? String ?? "" }.last?.isEmpty == false)
        #expect(outcome.error.contains(name))
        #expect(outcome.error.contains("byte "))
    }

    @Test func damageInAnAcknowledgedCommitMeansNoRows() throws {
        _ = place.apply(
            #"{"op":"create","collection":"c"}"#,
            #"{"op":"put","collection":"c","id":"a"}"#,
            #"{"op":"put","collection":"c","id":"b"}"#
        )
        let name = try #require(place.names(".mwal").first { !$0.contains("free") })
        place.damage(name, at: 4_096 + 60)
        let outcome = place.run("scan", "@", "c", "--json")
        #expect(outcome.code == 4)
        #expect(outcome.output == "")
        #expect(outcome.error.contains(name))
    }

    @Test func rootShowsBothCopies() {
        fill()
        let outcome = place.run("inspect", "root", "@", "--json")
        #expect(outcome.code == 0)
        let copies = outcome.json["copies"] as? [[String: Any]] ?? []
        #expect(copies.count == 2)
        #expect(copies.allSatisfy { $0["valid"] as? Bool == true })
        #expect(copies[0]["state"] as? String == "closed")
        #expect((copies[0]["manifestID"] as? Int ?? 0) > 0)
        place.damage("ROOT", at: 100)
        let damaged = place.run("inspect", "root", "@", "--json")
        #expect(damaged.code == 4)
        let left = damaged.json["copies"] as? [[String: Any]] ?? []
        #expect(left[0]["valid"] as? Bool == false)
        #expect(left[1]["valid"] as? Bool == true)
    }

    @Test func manifestShowsItsEditsAndWhereItStopped() throws {
        fill()
        let outcome = place.run("inspect", "manifest", "@", "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        let current = try #require(outcome.jsonLines.first { $0["current"] as? Bool == true })
        #expect(outcome.output.contains(#""edit":"segment""#))
        #expect(outcome.output.contains(#""edit":"collection","collectionID":1,"name":"c""#))
        #expect(place.run("inspect", "manifest", "@").output.contains("floor"))
        let name = try #require(current["file"] as? String)
        place.damage(name, at: 4_140)
        let damaged = place.run("inspect", "manifest", "@", "--json")
        #expect(damaged.code == 4)
        let left = damaged.jsonLines.first { $0["file"] as? String == name }
        let error = left?["error"] as? [String: Any]
        #expect(error?["offset"] as? Int == 4_096)
    }

    @Test func theLogShowsCommitsAndTheirOperations() throws {
        fill()
        let outcome = place.run("inspect", "wal", "@", "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        let commits = outcome.jsonLines.filter { $0["type"] as? String == "commit" }
        #expect(commits.count >= 2)
        #expect(
            outcome.output.contains(
                #""op":"put","collectionID":1,"id":"x","expiry":0,"dimensions":2"#
            )
        )
        #expect(outcome.output.contains(#""op":"delete","collectionID":1,"id":"7""#))
        #expect(place.run("inspect", "wal", "@").output.contains("commit"))
        let last = try #require(commits.last)
        let file = try #require(last["file"] as? String)
        place.damage(file, at: (last["offset"] as? Int ?? 0) + 45)
        let damaged = place.run("inspect", "wal", "@", "--json")
        #expect(damaged.code == 4)
        #expect(damaged.jsonLines.count >= 3)
        #expect(damaged.error.contains(file))
    }

    @Test func segmentsAndVectorsShowTheirParts() throws {
        fill()
        let list = place.run("inspect", "segment", "@", "--json")
        #expect(list.code == 0, "\(list.error)")
        let files = list.jsonLines.compactMap { $0["file"] as? String }
        #expect(files.contains { $0.hasSuffix(".doc") } && files.contains { $0.hasSuffix(".key") })
        #expect(files.contains { $0.hasSuffix(".del") })
        let id = try #require(files.first { $0.hasSuffix(".doc") }).dropFirst(4).prefix(16)
        let detail = place.run("inspect", "segment", "@", String(id), "--json")
        #expect(detail.code == 0)
        for word in [
            #""sections":[{"type":1,"#, #""blocks":[{"offset":64,"#,
            #""schema":[{"collectionID":1,"#,
            #""filter":{"#, #""fences":[{"#, #""deadRowCount":1"#,
        ] {
            #expect(detail.output.contains(word), "\(word)")
        }
        let decimal = String(UInt64(id, radix: 16) ?? 0)
        #expect(place.run("inspect", "segment", "@", decimal, "--json").output == detail.output)
        #expect(place.run("inspect", "segment", "@", "999999").code == 1)

        let vectors = place.run("inspect", "vectors", "@", String(id), "--json")
        #expect(vectors.code == 0)
        #expect(vectors.output.contains(#""dimensions":2,"strideByteCount":64,"vectorCount":600,"#))
        let name = try #require(place.names(".vec").first)
        place.damage(name, at: 5_000)
        let damaged = place.run("inspect", "vectors", "@")
        #expect(damaged.code == 4)
        #expect(damaged.error.contains(name))
    }

    @Test func aDamagedHeaderHidesOnlyItsOwnFile() throws {
        fill()
        let name = try #require(place.names(".doc").first)
        place.damage(name, at: 20)
        let outcome = place.run("inspect", "segment", "@", "--json")
        #expect(outcome.code == 4)
        #expect(outcome.jsonLines.contains { $0["file"] as? String == name && $0["error"] != nil })
        #expect(outcome.jsonLines.contains { $0["rowCount"] != nil })
    }
}
