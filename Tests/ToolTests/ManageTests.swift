// Collections and documents as people manage them: rename, drop, delete by prefix, patch.

import Foundation
import Moraine
import Testing

struct ManageTests {
    private let place = Place()

    private func prepare() {
        let outcome = place.apply(
            #"{"op":"create","collection":"notes","dimensions":2,"metric":"l2"}"#,
            #"{"op":"create","collection":"tags"}"#,
            #"{"op":"put","collection":"notes","id":"a/1","text":"one","metadata":{"k":1,"x":[null]},"embedding":[1,2]}"#,
            #"{"op":"put","collection":"notes","id":"a/2","text":"two"}"#,
            #"{"op":"put","collection":"notes","id":"b","text":"three"}"#
        )
        #expect(outcome.code == 0)
    }

    private var ids: [String] {
        place.run("scan", "@", "notes", "--json").jsonLines.compactMap { $0["id"] as? String }
    }

    @Test func applyDoesThemAll() {
        prepare()
        let outcome = place.apply(
            #"{"op":"delete_prefix","collection":"notes","prefix":"a/"}"#,
            #"{"prefix":"zz","collection":"notes","op":"delete_prefix"}"#,
            #"{"op":"patch","collection":"notes","id":"b","set":{"n":null},"remove":["k"]}"#,
            #"{"op":"rename","collection":"notes","to":"texts"}"#,
            #"{"op":"drop","collection":"tags"}"#,
            #"{"op":"batch","ops":[{"op":"put","collection":"texts","id":"c"},{"op":"delete_prefix","collection":"texts","prefix":"c"},{"op":"drop","collection":"texts"},{"op":"create","collection":"texts"}]}"#
        )
        #expect(
            outcome.lines == [
                #"{"ok":true,"lsn":6,"deleted":2}"#, #"{"ok":true,"lsn":7,"deleted":0}"#,
                #"{"ok":true,"lsn":8}"#, #"{"ok":true,"lsn":9}"#, #"{"ok":true,"lsn":10}"#,
                #"{"ok":true,"lsn":11,"deleted":1}"#,
            ]
        )
        #expect(outcome.code == 0)
        let all = place.run("collections", "@", "--json").output
        #expect(
            all == #"{"collection":"texts","dimensions":null,"metric":"cosine","documents":0}"#
                + "\n"
        )
        #expect(place.run("verify", "@").code == 0)
    }

    @Test(arguments: [
        (#"{"op":"rename","collection":"none","to":"x"}"#, "unknown-collection"),
        (#"{"op":"rename","collection":"notes","to":"tags"}"#, "collection-exists"),
        (#"{"op":"rename","collection":"notes","to":""}"#, "invalid-name"),
        (#"{"op":"rename","collection":"notes"}"#, "invalid-json"),
        (#"{"op":"drop","collection":"none"}"#, "unknown-collection"),
        (#"{"op":"drop","collection":"notes","id":"a"}"#, "invalid-json"),
        (#"{"op":"delete_prefix","collection":"notes","prefix":""}"#, "invalid-id"),
        (#"{"op":"delete_prefix","collection":"none","prefix":"a"}"#, "unknown-collection"),
        (#"{"op":"patch","collection":"notes","id":"none","set":{}}"#, "not-found"),
        (
            #"{"op":"patch","collection":"notes","id":"b","set":{"k":1},"remove":["k"]}"#,
            "invalid-argument"
        ),
        (#"{"op":"patch","collection":"notes","id":"b","set":[]}"#, "invalid-json"),
        (#"{"op":"patch","collection":"notes","id":"b","remove":[1]}"#, "invalid-json"),
        (#"{"op":"patch","collection":"notes","id":"b","metadata":{}}"#, "invalid-json"),
        (#"{"op":"patch","collection":"notes","id":"b","set":{"a":1e999}}"#, "invalid-metadata"),
        (
            #"{"op":"patch","collection":"notes","id":"b","expected_version":99}"#,
            "version-conflict"
        ),
        (#"{"op":"put","collection":"notes","id":"b","set":{}}"#, "invalid-json"),
    ])
    func whatCannotBeDoneIsRefused(line: String, code: String) {
        prepare()
        let before = place.run("scan", "@", "notes", "--json", "--vectors").output
        let outcome = place.apply(line)
        #expect(outcome.code == 1)
        let error = outcome.json["error"] as? [String: Any]
        #expect(error?["code"] as? String == code, "\(outcome.output)")
        #expect(place.run("scan", "@", "notes", "--json", "--vectors").output == before)
    }

    @Test func theCommandsSayWhatTheyDid() {
        prepare()
        #expect(place.run("delete", "@", "notes", "--prefix", "a/1").output == "1\n")
        let deleted = place.run("delete", "@", "notes", "--prefix", "a/", "--json")
        #expect(deleted.output == #"{"prefix":"a/","deleted":1,"lsn":7}"# + "\n")
        #expect(ids == ["b"])
        #expect(place.run("delete", "@", "notes", "--prefix", "").code == 16)
        #expect(place.run("delete", "@", "notes").code == 16)
        #expect(place.run("delete", "@", "notes", "b", "--prefix", "a").code == 16)
        #expect(place.run("delete", "@", "none", "--prefix", "a").code == 1)
        #expect(ids == ["b"])

        #expect(place.run("rename", "@", "notes", "tags").code == 16)
        #expect(place.run("rename", "@", "none", "x").code == 1)
        let renamed = place.run("rename", "@", "notes", "texts", "--json")
        #expect(renamed.output == #"{"collection":"texts","lsn":8}"# + "\n")
        #expect(place.run("get", "@", "texts", "b").code == 0)
        #expect(place.run("drop", "@", "texts").output == "dropped texts\n")
        #expect(place.run("drop", "@", "texts").code == 1)
        #expect(place.run("scan", "@", "texts").code == 1)
        #expect(place.run("verify", "@").code == 0)
    }

    @Test func patchChangesMetadataAndNothingElse() {
        prepare()
        func document() -> String {
            place.run("scan", "@", "notes", "--prefix", "a/1", "--json", "--vectors").output
        }
        let before = document()
        let outcome = place.run(
            "patch",
            "@",
            "notes",
            "a/1",
            "--set",
            #"{"k":1.0,"n":null}"#,
            "--remove",
            "x",
            "--remove",
            "none",
            "--json"
        )
        #expect(outcome.output == #"{"id":"a/1","lsn":6}"# + "\n")
        #expect(
            document()
                == before.replacing(
                    #""metadata":{"k":1,"x":[null]}"#,
                    with: #""metadata":{"k":1.0,"n":null}"#
                )
        )
        #expect(place.run("patch", "@", "notes", "none", "--remove", "x").code == 1)
        #expect(place.run("patch", "@", "notes", "a/1").code == 16)
        #expect(place.run("patch", "@", "notes", "a/1", "--set", "[1]").code == 16)
        #expect(place.run("patch", "@", "notes", "a/1", "--set", "{} x").code == 16)
        let conflict = place.run(
            "patch",
            "@",
            "notes",
            "a/1",
            "--remove",
            "k",
            "--expected-version",
            "3"
        )
        #expect(conflict.code == 1)
        #expect(place.run("verify", "@").code == 0)
    }

    @Test func salvageWithoutManifestRevivesNothing() throws {
        let store = try Store.open(at: place.store)
        let a = try store.collection("a")
        try a.put((0..<30).map { Document(id: "d\($0)", text: "t\($0)") })
        try store.collection("b").put((0..<30).map { Document(id: "e\($0)") })
        try store.checkpoint()
        try a.delete(prefix: "d1")
        try a.put(Document(id: "d11", text: "again"))
        try store.dropCollection("b")
        try store.renameCollection("a", to: "z")
        try store.collection("b").put(Document(id: "new"))
        try store.checkpoint()
        try store.close()
        let expected = place.run("scan", "@", "z", "--json").output
        #expect(expected.split(separator: "\n").count == 20)
        // What is left are segments and nothing that says which rows are dead.
        for name in place.contents.keys
        where name == "ROOT" || name.hasSuffix(".del") || name.hasSuffix(".mman") {
            try FileManager.default.removeItem(atPath: place.store + "/" + name)
        }
        let new = place.path + "/new.moraine"
        #expect([0, 4].contains(place.run("salvage", "@", "--into", new).code))
        #expect(place.run("scan", new, "z", "--json").output == expected)
        let names = place.run("collections", new, "--json").jsonLines
        #expect(names.map { $0["collection"] as? String } == ["b", "z"])
        #expect(place.run("scan", new, "b", "--json").lines.count == 1)
    }
}
