// Files of a later format: what this one may read it reads, what it may not it refuses, and it
// writes only where it knows everything. The independent reader does the same.

import Foundation
import MoraineBytes
import MoraineFormat
import Testing
import moraine_cli

@Suite struct FeatureFlagTests {
    /// A place in a file's header, and what is put there.
    struct Feature: CustomTestStringConvertible, Sendable {
        let name: String
        let offset: Int
        var testDescription: String { name }

        static let compat = Feature(name: "compatFlags", offset: 15)
        static let roCompat = Feature(name: "roCompatFlags", offset: 16)
        static let incompat = Feature(name: "incompatFlags", offset: 23)
        static let revision = Feature(name: "revision", offset: 8)
    }

    private let place = Place()

    /// A store with a file of each kind but a graph, and a commit in the log.
    private func makeStore() {
        let count = 1_100
        let docs = (0..<count).map { #"{"id":"\#($0)","metadata":{"n":\#($0)}}"# + "\n" }
        let files = [
            "--docs", place.file("d.jsonl", docs.joined()), "--vectors",
            place.file("v.f32", vectors: (0..<count).map { [Float($0), 1] }), "--dimensions", "2",
        ]
        #expect(place.run(["import", "@", "c"] + files).code == 0)
        #expect(place.run("delete", "@", "c", "5").code == 0)
        #expect(place.run("index", "@").code == 0)
        #expect(place.apply(#"{"op":"put","collection":"c","id":"x"}"#).code == 0)
    }

    /// Changes a bit of a header and puts the checksums right; in both copies of ROOT.
    private func set(_ feature: Feature, of name: String) throws {
        let url = URL(fileURLWithPath: place.store + "/" + name)
        var bytes = [UInt8](try Data(contentsOf: url))
        func put(_ checksum: UInt32, at offset: Int) {
            for index in 0..<4 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index)))
            }
        }
        for start in name == "ROOT" ? [0, 4096] : [0] {
            bytes[start + feature.offset] ^= 0x40
            put(bytes[start..<(start + 60)].withUnsafeBytes { CRC32C.value($0) }, at: start + 60)
            func number(_ offset: Int) -> UInt64 {
                bytes.withUnsafeBytes {
                    UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                }
            }
            let seed = StoreID(low: number(24), high: number(32)).seed
            if name == "ROOT" {
                let copy = bytes[start..<(start + 4092)]
                let checksum = copy.withUnsafeBytes { seed.mixed(UInt64(start)).checksum($0) }
                put(checksum, at: start + 4092)
            } else if feature.offset >= 64 {
                let checksum = bytes[64..<124].withUnsafeBytes {
                    seed.mixed(number(40)).checksum($0)
                }
                put(checksum, at: 124)
            }
        }
        try Data(bytes).write(to: url)
    }

    @Test(arguments: [Feature.compat, .roCompat, .incompat, .revision])
    func aFeatureThatIsNotKnownStopsWhatItMust(feature: Feature) throws {
        makeStore()
        let names = place.contents.keys.filter { $0.contains(".") || $0 == "ROOT" }
        let kinds = Set(names.map { $0.split(separator: ".").last.map(String.init) ?? "" })
        #expect(
            kinds == ["ROOT", "mman", "mwal", "doc", "key", "vec", "del", "q8", "col"],
            "\(names)"
        )
        let isRefused = feature.name == "incompatFlags" || feature.name == "revision"
        let whole = place.path + "/whole.moraine"
        try FileManager.default.copyItem(atPath: place.store, toPath: whole)
        for name in names.sorted() {
            try FileManager.default.removeItem(atPath: place.store)
            try FileManager.default.copyItem(atPath: whole, toPath: place.store)
            try set(feature, of: name)
            let isDerived = name.hasSuffix(".q8") || name.hasSuffix(".col")
            let read = place.run("count", "@", "c")
            #expect(read.code == (isRefused && !isDerived ? 8 : 0), "\(name): \(read.error)")
            let verify = place.run("verify", "@", "--json")
            #expect(verify.code == (isRefused ? 8 : 0), "\(name): \(verify.output)\(verify.error)")
            let before = place.contents
            let write = place.apply(#"{"op":"put","collection":"c","id":"y"}"#)
            let mayWrite = isDerived || feature.name == "compatFlags"
            #expect(write.code == (mayWrite ? 0 : 8), "\(name): \(write.error)")
            #expect(mayWrite || place.contents.mapValues(\.data) == before.mapValues(\.data))
            guard isRefused, !isDerived, let reader = try independentReader(place.store) else {
                continue
            }
            #expect(reader.code == 8, "\(name)")
        }
    }

    /// What is 0 in this revision, or one of few values, says so where it is not: `newer`, so that
    /// nobody takes it for torn, goes by the other copy or cuts it away.
    @Test(arguments: [
        ("ROOT", "state", 128), ("ROOT", "reserved", 132), ("ROOT", "zeros", 4_000),
        ("mwal", "reserved", 112), ("mwal", "reserved2", 120), ("mman", "reserved2", 123),
    ])
    func aReservedFieldInUseIsNewer(kind: String, field: String, offset: Int) throws {
        makeStore()
        let name = try #require(place.contents.keys.sorted().last { $0.hasSuffix(kind) })
        try set(Feature(name: field, offset: offset), of: name)
        let before = place.contents
        for command in [["count", "@", "c"], ["verify", "@"], ["apply", "@"]] {
            let answer = place.run(command)
            #expect(answer.code == 8, "\(command) \(name): \(answer.output)\(answer.error)")
        }
        #expect(place.contents.mapValues(\.data) == before.mapValues(\.data))
        if let reader = try independentReader(place.store) { #expect(reader.code == 8, "\(name)") }
    }

    @Test func damageBesideANewerFileIsTold() throws {
        makeStore()
        let names = place.contents.keys.sorted()
        try set(.incompat, of: try #require(names.first { $0.hasSuffix(".vec") }))
        #expect(place.run("verify", "@").code == 8)
        let document = try #require(names.first { $0.hasSuffix(".doc") })
        let url = URL(fileURLWithPath: place.store + "/" + document)
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: url)
        let verify = place.run("verify", "@")
        #expect(verify.code == 4, "\(verify.output)\(verify.error)")
    }
}
