// Looking at a store changes no byte, no time and no name in it, and writes nothing beside it.

import Foundation
import Testing
import moraine_cli

@Suite struct UntouchedTests {
    private let place = Place()

    /// Every command that looks; `@` is the store.
    private static let looking: [[String]] = [
        ["stats", "@"], ["verify", "@"], ["collections", "@"], ["diff", "@", "@"], ["hash", "@"],
        ["dump", "@"], ["dump", "@", "--arrays"], ["map", "@"], ["inspect", "root", "@"],
        ["inspect", "manifest", "@"], ["inspect", "manifest", "@", "--record", "1"],
        ["inspect", "wal", "@"], ["inspect", "wal", "@", "--record", "1"],
        ["inspect", "segment", "@"], ["inspect", "segment", "@", "--row", "0"],
        ["inspect", "segment", "@", "--from", "1/"], ["inspect", "vectors", "@"],
        ["inspect", "vectors", "@", "--row", "0"],
    ]

    /// The same for each file.
    private func looks(at name: String) -> [[String]] {
        let file = place.store + "/" + name
        return [["inspect", file], ["hex", file], ["hex", file, "--length", "10"]]
    }

    private func unpack(_ name: String) throws {
        let stores = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("format-spec/golden/v1/stores")
        let tar = stores.appendingPathComponent(name + ".tar").path
        #expect(try runProgram(["tar", "-xf", tar, "-C", place.path])?.code == 0)
        let unpacked = place.path + "/" + name + ".moraine"
        try FileManager.default.moveItem(atPath: unpacked, toPath: place.store)
    }

    private func beside() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: place.path).sorted()
    }

    @Test(arguments: ["empty", "closed", "in-use"])
    func aGoldenStoreStaysAsItIs(name: String) throws {
        try unpack(name)
        let before = place.contents
        let files = before.filter { $0.value.data?.isEmpty == false }.keys.sorted()
        let neighbours = try beside()
        for arguments in Self.looking + files.flatMap(looks) {
            for json in [[], ["--json"]]
            where json.isEmpty || !["dump", "map"].contains(arguments[0]) {
                let outcome = place.run(arguments + json)
                // Nothing there is an answer too; damage and failures are not.
                #expect([0, 1].contains(outcome.code), "\(arguments): \(outcome.error)")
                #expect(place.contents == before, "\(arguments)")
            }
        }
        #expect(try beside() == neighbours)
    }

    @Test func aTornLogStaysAsItIs() throws {
        try unpack("in-use")
        let name = try #require(place.names(".mwal").first { !$0.contains("free") })
        let path = place.store + "/" + name
        var data = try #require(FileManager.default.contents(atPath: path))
        // A commit that never came to its end.
        let end = place.run("inspect", "wal", "@", "--json").jsonLines.compactMap {
            $0["end"] as? Int
        }
        let offset = try #require(end.last)
        data.replaceSubrange(offset..<(offset + 24), with: Data("MWRC".utf8) + Data(count: 20))
        try data.write(to: URL(fileURLWithPath: path))
        let before = place.contents
        for arguments in Self.looking + looks(at: name) {
            let outcome = place.run(arguments)
            #expect([0, 1].contains(outcome.code), "\(arguments): \(outcome.error)")
            #expect(place.contents == before, "\(arguments)")
        }
        #expect(place.run("inspect", "wal", "@").output.contains("never acknowledged"))
    }
}
