// A symbolic link to a store is the store, for every command.

import Foundation
import Testing
import moraine_cli

@Suite struct LinkTests {
    private let place = Place()
    private var link: String { place.path + "/link" }

    private func makeLink(_ name: String = "link", to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: place.path + "/" + name,
            withDestinationPath: target
        )
    }

    @Test func everyCommandFollowsALinkToAStore() throws {
        try makeLink(to: "s.moraine")
        try FileManager.default.createDirectory(
            atPath: place.store,
            withIntermediateDirectories: false
        )
        let line = #"{"op":"put","collection":"c","id":"a","text":"one","embedding":[1,2]}"#
        let create = #"{"op":"create","collection":"c","dimensions":2}"#
        #expect(place.run("apply", link, input: create + "\n" + line + "\n").code == 0)
        #expect(place.names("ROOT") == ["ROOT"])
        let commands: [[String]] = [
            ["scan", "@", "c", "--json"], ["verify", "@", "--json"], ["stats", "@"],
            ["hash", "@"], ["dump", "@"], ["collections", "@"], ["map", "@"],
            ["inspect", "root", "@"], ["inspect", "manifest", "@"], ["inspect", "wal", "@"],
            ["inspect", "segment", "@"], ["inspect", "vectors", "@"],
            ["search", "@", "c", "--embedding", "[1,1]", "--json"],
        ]
        for command in commands {
            let direct = place.run(command)
            let linked = place.run(command.map { $0 == "@" ? link : $0 })
            #expect(linked.code == 0, "\(command): \(linked.error)")
            #expect(linked.code == direct.code, "\(command)")
            #expect(linked.output == direct.output, "\(command)")
        }
        #expect(place.run("compact", link, "--all").code == 0)
        #expect(place.run("index", link).code == 0)
        #expect(place.run("inspect", link + "/ROOT").code == 0)
        #expect(place.run("hex", link + "/ROOT").code == 0)
    }

    @Test func aSalvageFollowsLinksOnBothSides() throws {
        let create = #"{"op":"create","collection":"c"}"#
        #expect(
            place.apply(create, #"{"op":"put","collection":"c","id":"a","text":"one"}"#).code == 0
        )
        try makeLink(to: "s.moraine")
        let new = place.path + "/new"
        try FileManager.default.createDirectory(atPath: new, withIntermediateDirectories: false)
        try makeLink("to", to: "new")
        let outcome = place.run("salvage", link, "--into", place.path + "/to")
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(place.run("scan", new, "c").output == place.run("scan", "@", "c").output)
    }
}
