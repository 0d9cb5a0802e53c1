// salvage on real files: what is printed, the exit codes, and that the damaged store stays as it
// is.

import Foundation
import Moraine
import Testing
import moraine_cli

@Suite struct SalvageTests {
    private let place = Place()
    private var new: String { place.path + "/new.moraine" }

    /// Three documents, the last one in the log only.
    private func fill() {
        let outcome = place.apply(
            #"{"op":"create","collection":"c","dimensions":2,"metric":"l2"}"#,
            #"{"op":"put","collection":"c","id":"a","text":"one","embedding":[1,2]}"#,
            #"{"op":"put","collection":"c","id":"b","text":"two"}"#,
            #"{"op":"put","collection":"c","id":"gone","text":"three"}"#,
            #"{"op":"delete","collection":"c","id":"gone"}"#
        )
        #expect(outcome.code == 0, "\(outcome.output)")
    }

    /// Every file of the store: its bytes and when it was last written.
    private func state() -> [String: [AnyHashable]] {
        var state: [String: [AnyHashable]] = [:]
        let files = FileManager.default
        for name in files.enumerator(atPath: place.store)?.compactMap({ $0 as? String }) ?? [] {
            let path = place.store + "/" + name
            let attributes = try? files.attributesOfItem(atPath: path)
            state[name] = [
                files.contents(atPath: path) ?? Data(),
                attributes?[.modificationDate] as? Date ?? .distantPast,
                attributes?[.posixPermissions] as? Int ?? 0,
            ]
        }
        return state
    }

    @Test func aWholeStoreComesBackCompleteAndStaysAsItWas() throws {
        fill()
        let before = state()
        let outcome = place.run("salvage", "@", "--into", new, "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(state() == before)
        let sum = outcome.jsonLines.last ?? [:]
        #expect(sum["complete"] as? Bool == true)
        #expect(sum["guide"] as? String == "root")
        #expect(outcome.jsonLines.dropLast().map { $0["id"] as? String } == ["a", "b"])
        #expect(outcome.jsonLines.dropLast().allSatisfy { $0["outcome"] as? String == "recovered" })
        let scans = [place.store, new].map { place.run("scan", $0, "c", "--json", "--vectors") }
        #expect(scans[0].output == scans[1].output)
        let versions = [place.store, new].map { place.run("get", $0, "c", "a", "--json").output }
        #expect(versions[0] == versions[1])
    }

    @Test func withoutRootAndManifestItIsPartial() throws {
        fill()
        try FileManager.default.removeItem(atPath: place.store + "/ROOT")
        try FileManager.default.removeItem(atPath: place.store + "/manifest")
        let before = state()
        let list = place.path + "/list.jsonl"
        let outcome = place.run("salvage", "@", "--into", new, "--list", list)
        #expect(outcome.code == 4, "\(outcome.error)")
        #expect(state() == before)
        #expect(outcome.lines.last?.hasPrefix("partial: 2 documents in") ?? false)
        let lines = try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n")
        #expect(lines.map { object(String($0))["id"] as? String } == ["a", "b"])
        #expect(place.run("verify", new).code == 0)
    }

    @Test func nothingToRecoverIsOne() throws {
        try FileManager.default.createDirectory(
            atPath: place.store + "/seg",
            withIntermediateDirectories: true
        )
        let path = place.store + "/seg/0000000000000005.doc"
        #expect(
            FileManager.default.createFile(atPath: path, contents: Data(repeating: 7, count: 999))
        )
        let outcome = place.run("salvage", "@", "--into", new)
        #expect(outcome.code == 1)
        #expect(outcome.error.contains("nothing can be recovered"))
        #expect(!FileManager.default.fileExists(atPath: new))
    }

    @Test func refusesWhatIsNotEmptyAndWhatLiesInside() {
        fill()
        let full = place.path + "/full"
        try? FileManager.default.createDirectory(
            atPath: full + "/x",
            withIntermediateDirectories: true
        )
        #expect(place.run("salvage", "@", "--into", full).code == 16)
        #expect(place.run("salvage", "@", "--into", place.store + "/new").code == 16)
        #expect(place.run("salvage", "@").code == 16)
        #expect(place.run("salvage", full, "--into", new).code == 8)
    }

    @Test func aSignalOrTheEndOfTheTimeLeavesNoStore() {
        fill()
        struct Signalled: Cancellation {
            var isRequested: Bool { true }
            func hold() {}
        }
        let bySignal = MemorySink(nil)
        let code = Tool().run(
            arguments: ["salvage", place.store, "--into", new],
            environment: [:],
            input: MemorySource([]),
            output: MemorySink(nil),
            error: bySignal,
            cancellation: Signalled(),
            openInput: open
        )
        #expect(code == 32, "\(bySignal.text)")
        let late = place.run("salvage", "@", "--into", new + "2", "--timeout", "0ms")
        #expect(late.code == 32, "\(late.error)")
        for left in [new, new + "2"] {
            #expect(place.run("count", left, "c").code == 8)
            #expect(place.run("verify", left).code == 8)
        }
    }

    @Test func whatASalvageLeftSaysSo() throws {
        fill()
        #expect(place.run("salvage", "@", "--into", new).code == 0)
        try FileManager.default.moveItem(atPath: new + "/ROOT", toPath: new + "/ROOT.unfinished")
        for arguments in [
            ["count", new, "c"], ["verify", new], ["apply", new], ["stats", new], ["dump", new],
        ] {
            let outcome = place.run(arguments)
            #expect(outcome.code == 8, "\(arguments)")
            #expect(outcome.error.contains("did not come to its end"), "\(outcome.error)")
        }
        let again = place.run("salvage", "@", "--into", new)
        #expect(again.code == 16)
        #expect(again.error.contains("a salvage without an end"))
    }

    @Test func refusesAStoreInUseAndNamesTheWriter() throws {
        fill()
        let store = try Store.open(at: place.store)
        let outcome = place.run("salvage", "@", "--into", new)
        #expect(outcome.code == 8)
        #expect(outcome.error.contains("\(ProcessInfo.processInfo.processIdentifier)"))
        try store.close()
    }
}
