// A commit that stands in parts is the same commit. Only one above 64 MiB is written so; here a small
// one is cut by hand, into slices of any length, as the format allows.

import Foundation
import Moraine
import MoraineBytes
import MoraineFormat
import Testing
import moraine_cli

@Suite struct CommitPartsTests {
    private let agreement = ReaderAgreementTests()
    private var place: Place { agreement.place }

    /// A store in use: a commit, one of several operations, and another behind it.
    private func makeStore() throws -> String {
        let store = try Store.open(at: place.path + "/open.moraine")
        let notes = try store.collection("c", dimensions: 3, metric: .l2)
        try notes.put(Document(id: "x", text: "x", embedding: [1, 2, 3]))
        var batch = WriteBatch()
        batch.createCollection("other")
        for number in 0..<5 {
            batch.put(
                Document(
                    id: "d\(number)",
                    text: String(repeating: "é", count: number * 7),
                    metadata: ["n": .int(Int64(number)), "list": [1, 2.5, nil]],
                    embedding: number % 2 == 0 ? [Float(number), 0.1, -1e-5] : nil
                ),
                in: "c"
            )
        }
        batch.delete("x", in: "c")
        batch.put(Document(id: "q"), in: "other")
        try store.write(batch)
        try notes.put(Document(id: "behind"))
        try FileManager.default.copyItem(
            atPath: place.path + "/open.moraine",
            toPath: place.store
        )
        try store.close()
        return place.store
    }

    /// Puts each commit of several operations into `count` parts; the numbers of those commits.
    private func cut(_ path: String, into count: Int) throws -> [UInt64] {
        let url = URL(fileURLWithPath: path)
        let bytes = [UInt8](try Data(contentsOf: url))
        guard case .log(_, let sequence)? = FileNames.parse("wal/" + url.lastPathComponent) else {
            return []
        }
        return try bytes.withUnsafeBytes { all in
            var id = ByteReader(UnsafeRawBufferPointer(rebasing: all[24..<40]))
            let header = try LogHeader.decode(
                UnsafeRawBufferPointer(rebasing: all[..<LogHeader.byteCount]),
                kind: .log,
                storeID: try StoreID(decoding: &id),
                fileID: sequence
            )
            var records: [UInt8] = []
            var numbers: [UInt64] = []
            func append(_ record: LogRecord, _ kind: LogRecord.Kind, _ payload: [UInt8]) {
                let record = LogRecord(
                    kind: kind,
                    number: record.number,
                    promised: record.promised,
                    operationCount: record.operationCount,
                    payloadByteCount: payload.count
                )
                var frame = [UInt8](repeating: 0, count: record.frameByteCount)
                frame.replaceSubrange(40..<(40 + payload.count), with: payload)
                let offset = UInt64(LogHeader.byteCount + records.count)
                frame.withUnsafeMutableBytes {
                    record.seal($0, at: offset, seed: header.recordSeed)
                }
                records += frame
            }
            var at = LogHeader.byteCount
            while let record = try? LogRecord.decode(
                UnsafeRawBufferPointer(rebasing: all[at...]),
                at: UInt64(at),
                seed: header.recordSeed
            ) {
                let payload = Array(all[(at + 40)..<(at + 40 + record.payloadByteCount)])
                at += record.frameByteCount
                guard record.operationCount > 1 else {
                    append(record, record.kind, payload)
                    continue
                }
                numbers.append(record.number)
                for index in 0..<count {
                    let slice = payload.count * index / count..<payload.count * (index + 1) / count
                    let place = [UInt32(index), UInt32(count)].flatMap { number in
                        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
                    }
                    append(record, .part, place + payload[slice])
                }
            }
            let rest = bytes.count - LogHeader.byteCount - records.count
            let file = bytes[..<LogHeader.byteCount] + records + Array(repeating: 0, count: rest)
            try Data(file).write(to: url)
            return numbers
        }
    }

    @Test(arguments: [2, 5])
    func aCommitInPartsReadsAsTheSameInOneRecord(count: Int) throws {
        let store = try makeStore()
        let log = try #require(place.names(".mwal").first { !$0.contains("free") })
        let path = store + "/" + log
        func scan() -> Outcome { place.run("scan", "@", "c", "--json", "--vectors") }
        var whole: [UInt64: [String: Any]] = [:]
        for record in agreement.lines(path) where record["type"] as? String == "commit" {
            guard let number = record["number"] as? UInt64 else { continue }
            whole[number] = agreement.lines(path, "--record", "\(number)").first
        }
        let before = scan()
        #expect(before.lines.count == 6)

        let numbers = try cut(path, into: count)
        #expect(numbers.count == 1)
        #expect(scan().output == before.output)
        #expect(place.run("verify", "@").code == 0)
        let said = agreement.lines(path).dropFirst().dropLast()
        #expect(said.count { $0["type"] as? String == "part" } == count)
        guard let read = try independentReader("--file", path) else { return }
        let reader = object(read.output)
        agreement.agree(Array(said), reader["records"], path)
        let joined = reader["commitsInParts"] as? [[String: Any]] ?? []
        #expect(joined.count == 1)
        for (number, commit) in zip(numbers, joined) {
            var expected = try #require(whole[number])
            for name in ["type", "offset", "promised", "payloadByteCount", "operationCount"] {
                expected[name] = nil
            }
            agreement.agree(expected, commit, path)
        }
        let others = place.run("scan", "@", "other", "--json", "--vectors")
        #expect(try independentReader(store)?.output == before.output + others.output)
    }

    @Test func aPartAloneIsNoCommit() throws {
        let store = try makeStore()
        let log = try #require(place.names(".mwal").first { !$0.contains("free") })
        _ = try cut(store + "/" + log, into: 1)
        #expect(place.run("scan", "@", "c", "--json").code == 4)
        if let read = try independentReader(store) { #expect(read.code == 4) }
    }
}
