// Every command on damaged stores: right as on the sound one, or exit code 4; verify finds all.

import Foundation
import Testing
import moraine_cli

@Suite struct DamagedStoreTests {
    private let place = Place()

    /// Commands whose answer is the content, and what they print of it must be right.
    private static let answering: [[String]] = [
        ["scan", "@", "notes", "--json", "--vectors"], ["scan", "@", "plain", "--json"],
        ["get", "@", "notes", "d7", "--json", "--vectors"], ["count", "@", "notes"],
        ["count", "@", "notes", "--filter", "n >= 3"], ["collections", "@", "--json"],
        ["search", "@", "notes", "--like", "d9", "-k", "5", "--exact", "--json"],
        ["search", "@", "notes", "--like", "d9", "-k", "5", "--filter", "n == 4", "--json"],
        ["hash", "@"], ["dump", "@"],
    ]

    /// Commands that show the files themselves.
    private static let looking: [[String]] = [
        ["stats", "@"], ["map", "@"], ["inspect", "root", "@"], ["inspect", "manifest", "@"],
        ["inspect", "wal", "@"], ["inspect", "segment", "@"], ["inspect", "vectors", "@"],
    ]

    private func make() {
        var documents = ""
        var vectors: [[Float]] = []
        for number in 0..<1100 {
            let metadata = "{\"n\":\(number % 7)}"
            documents +=
                "{\"id\":\"d\(number)\",\"text\":\"t \(number)\",\"metadata\":\(metadata)}\n"
            var vector: [Float] = []
            for component in 0..<8 {
                vector.append(Float((number * 31 + component * 7) % 97) + 0.5)
            }
            vectors.append(vector)
        }
        let docs = place.file("docs.jsonl", documents)
        let base = place.file("base.f32", vectors: vectors)
        let imported = place.run(
            ["import", "@", "notes", "--docs", docs, "--vectors", base, "--dimensions", "8"]
        )
        #expect(imported.code == 0, "\(imported.error)")
        #expect(place.run("index", "@").code == 0)
        #expect(place.apply(#"{"op":"delete","collection":"notes","id":"d3"}"#).code == 0)
        // An import ends with a checkpoint.
        let plain = place.file("plain.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\"}\n")
        #expect(place.run("import", "@", "plain", "--docs", plain).code == 0)
        let put = #"{"op":"put","collection":"plain","id":"c","text":"in the log"}"#
        #expect(place.apply(put).code == 0)
    }

    /// A bit, or two blocks of a file in each other's place.
    private func damage(_ seed: UInt64, _ files: [(name: String, data: Data)]) -> (String, Data) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        func draw(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(max(1, bound)))
        }
        while true {
            let file = files[draw(files.count)]
            var data = file.data
            if draw(2) == 0 {
                data[draw(data.count)] ^= 1 << UInt8(draw(8))
            } else {
                let size = [64, 512, 4096][draw(3)]
                guard data.count >= 2 * size else { continue }
                let a = draw(data.count / size) * size
                let b = draw(data.count / size) * size
                let first = data.subdata(in: a..<(a + size))
                data.replaceSubrange(a..<(a + size), with: data.subdata(in: b..<(b + size)))
                data.replaceSubrange(b..<(b + size), with: first)
            }
            if data != file.data { return (file.name, data) }
        }
    }

    @Test func damageIsNeverCalledOkAndNoAnswerIsWrong() throws {
        make()
        let sound = Self.answering.map { place.run($0) }
        for (arguments, outcome) in zip(Self.answering, sound) {
            #expect(outcome.code == 0, "\(arguments): \(outcome.error)")
        }
        let files = place.contents.sorted { $0.key < $1.key }.compactMap { name, file in
            file.data.flatMap { $0.isEmpty ? nil : (name: name, data: $0) }
        }
        for ending in [".doc", ".key", ".vec", ".q8", ".col", ".del", ".mman", ".mwal", "ROOT"] {
            #expect(files.contains { $0.name.hasSuffix(ending) }, "\(ending)")
        }
        for seed in 1...15 as ClosedRange<UInt64> {
            let (name, data) = damage(seed, files)
            let path = URL(fileURLWithPath: place.store + "/" + name)
            try data.write(to: path)
            for arguments in [["verify", "@"], ["verify", "@", "--json"]] {
                let outcome = place.run(arguments)
                #expect(outcome.code == 4, "seed \(seed), \(name): \(outcome.output)")
                let isCalledOk =
                    outcome.output.contains("\"ok\":true") || outcome.output.hasPrefix("ok")
                #expect(!isCalledOk, "seed \(seed), \(name)")
            }
            for (arguments, right) in zip(Self.answering, sound) {
                let outcome = place.run(arguments)
                let isRight = outcome.code == 0 && outcome.output == right.output
                // What came before the damage was met is right all the same.
                let isRefused = outcome.code == 4 && right.output.hasPrefix(outcome.output)
                #expect(isRight || isRefused, "seed \(seed), \(name), \(arguments): \(outcome)")
            }
            for arguments in Self.looking + [["inspect", place.store + "/" + name]] {
                let outcome = place.run(arguments)
                #expect([0, 4].contains(outcome.code), "seed \(seed), \(name), \(arguments)")
            }
            let original = try #require(files.first { $0.name == name })
            try original.data.write(to: path)
        }
    }
}
