// Every command that looks at files, on stores of which a file says what cannot be under checksums
// that are right: an answer or an error, never the end of the process.

import Foundation
import MoraineSimulation
import Testing
import moraine_cli

@Suite struct HostileStoreTests {
    /// Commands that show the files themselves, and some that read documents.
    private static let commands: [[String]] = [
        ["inspect", "root", "@"], ["inspect", "manifest", "@", "--json"], ["inspect", "wal", "@"],
        ["inspect", "segment", "@", "--json"], ["inspect", "vectors", "@"],
        ["inspect", "segment", "@", "--row", "17"], ["inspect", "vectors", "@", "--row", "17"],
        ["inspect", "segment", "@", "--key", "notes/d0017"],
        ["inspect", "segment", "@", "--from", "wide/d0010", "--to", "wide/d0020", "--json"],
        ["inspect", "vectors", "@", "--key", "notes/d0017", "--json"],
        ["map", "@"], ["stats", "@"], ["hash", "@"],
        ["search", "@", "notes", "--like", "d0009", "-k", "5", "--filter", "n < 9"],
        ["recall", "@", "notes", "--sample", "5"],
    ]

    @Test func lookingAtWhatCannotBeIsAnAnswerOrAnError() throws {
        let stores = try HostileStore()
        let place = Place()
        for seed in 1...5 as ClosedRange<UInt64> {
            let (files, disturbed) = stores.files(seed: seed)
            for (name, bytes) in files {
                let url = URL(fileURLWithPath: place.store + "/" + name)
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(),
                    withIntermediateDirectories: true
                )
                try Data(bytes).write(to: url)
            }
            let path = place.store + "/" + disturbed
            let own = [
                ["inspect", path], ["inspect", path, "--json"], ["inspect", path, "--row", "3"],
                ["hex", path],
            ]
            for arguments in Self.commands + own {
                let outcome = place.run(arguments)
                #expect(outcome.code < 64, "seed \(seed), \(disturbed), \(arguments)")
            }
        }
    }

    @Test func anExtremeDirectoryIsShownAsFarAsItCanBe() throws {
        let place = Place()
        var count = 0
        for (name, bytes) in try HostileStore().extremeDirectories() {
            let path = place.file(String(name.split(separator: "/").last ?? ""), Data(bytes))
            defer { try? FileManager.default.removeItem(atPath: path) }
            let hex = ["hex", path, "--offset", "4090", "--length", "64"]
            for arguments in [["inspect", path], ["inspect", path, "--row", "3"], hex] {
                let outcome = place.run(arguments)
                #expect(outcome.code < 64, "\(name), \(arguments)")
            }
            count += 1
        }
        #expect(count > 100)
    }
}
