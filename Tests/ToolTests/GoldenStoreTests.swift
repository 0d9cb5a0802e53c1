// The engine, the golden stores and the independent reader must say the same.

import Foundation
import Testing

struct GoldenStoreTests {
    private let place = Place()

    /// What `scan` prints of every collection, in byte order of their names.
    private func scanAll(_ store: String) -> String {
        let names = place.run("collections", store, "--json").jsonLines
            .compactMap { ($0["collection"] ?? $0["name"]) as? String }
        return names.map { place.run("scan", store, $0, "--json", "--vectors").output }.joined()
    }

    @Test(arguments: ["empty", "closed", "in-use"])
    func goldenStoresReadAsTheyWereWritten(name: String) throws {
        let (store, lines) = try goldenStore(name, in: place)
        #expect(scanAll(store) == lines)
        #expect(place.run("verify", store, "--json").code == 0)
        if let read = try independentReader(store) {
            #expect(read.code == 0)
            #expect(read.output == lines)
        }
    }

    @Test(arguments: ["empty", "closed", "in-use"])
    func goldenStoresCanBeWrittenTo(name: String) throws {
        let (store, lines) = try goldenStore(name, in: place)
        let added =
            #"{"op":"create","collection":"zz"}"# + "\n"
            + #"{"op":"put","collection":"zz","id":"new","text":"later"}"# + "\n"
        #expect(place.run("apply", store, input: added).code == 0)
        let more =
            #"{"op":"put","collection":"zz","id":"new","text":"later","metadata":{}}"# + "\n"
        #expect(scanAll(store) == lines + more)
        #expect(place.run("verify", store, "--json").code == 0)
        if let read = try independentReader(store) { #expect(read.output == lines + more) }
    }

    @Test func theReaderAgreesOnAFreshStore() throws {
        let small = ["MORAINE_MEMTABLE_BYTES": "65536", "MORAINE_WAL_FILE_BYTES": "65536"]
        var state: UInt64 = 20
        func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        var input = #"{"op":"create","collection":"c","dimensions":5,"metric":"dot"}"# + "\n"
        for _ in 0..<1200 {
            let id = "id\(next(150))"
            if next(5) == 0 {
                input += #"{"op":"delete","collection":"c","id":"\#(id)"}"# + "\n"
            } else {
                let vector = (0..<5).map { _ in "\(Float(next(2000)) / 1000 - 1)" }
                input +=
                    #"{"op":"put","collection":"c","id":"\#(id)","text":"\#(next(1 << 40))","#
                    + #""metadata":{"n":\#(next(1000))},"embedding":[\#(vector.joined(separator: ","))]}"#
                    + "\n"
            }
        }
        #expect(place.run("apply", "@", input: input, environment: small).code == 0)
        let lines = scanAll(place.store)
        #expect(lines.utf8.count > 10_000)
        if let read = try independentReader(place.store) {
            #expect(read.code == 0)
            #expect(read.output == lines)
        }
    }
}

private let formatSpec = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("format-spec")

/// Unpacks a golden store; its folder, and what `scan` prints of it.
func goldenStore(_ name: String, in place: Place) throws -> (store: String, lines: String) {
    let stores = formatSpec.appendingPathComponent("golden/v1/stores")
    let tar = stores.appendingPathComponent(name + ".tar").path
    let unpacked = try runProgram(["tar", "-xf", tar, "-C", place.path])
    #expect(unpacked?.code == 0)
    let lines = try String(
        contentsOf: stores.appendingPathComponent(name + ".jsonl"),
        encoding: .utf8
    )
    return (place.path + "/" + name + ".moraine", lines)
}

/// The independent reader's run; `nil` where there is no python3.
func independentReader(_ arguments: String...) throws -> (code: Int32, output: String)? {
    let script = formatSpec.appendingPathComponent("reader/moraine_read.py").path
    return try runProgram(["python3", script] + arguments)
}
