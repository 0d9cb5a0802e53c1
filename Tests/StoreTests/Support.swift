// Short ways to say what the tests of the public library say often.

import Foundation
import Moraine
import Testing

/// A folder that is gone with the object.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("moraine-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var store: String { path + "/test.moraine" }
}

/// Runs `body` and gives the code that it throws, `nil` when it throws none.
func code<R>(_ body: () throws(MoraineError) -> R) -> MoraineError.Code? {
    do throws(MoraineError) {
        _ = try body()
        return nil
    } catch {
        return error.code
    }
}

/// The same for asynchronous calls.
func asyncCode<R>(_ body: () async throws(MoraineError) -> R) async -> MoraineError.Code? {
    do throws(MoraineError) {
        _ = try await body()
        return nil
    } catch {
        return error.code
    }
}

/// Unit vectors around a circle in four dimensions; neighbours in number are neighbours in angle.
func vector(_ number: Int) -> [Float] {
    let angle = Float(number) * 0.01
    return [cos(angle), sin(angle), 0, 0]
}

/// Documents "d000", "d001" and so on, with a text, metadata and a vector.
func documents(_ numbers: Range<Int>) -> [Document] {
    numbers.map { number in
        Document(
            id: "d" + String(repeating: "0", count: 3 - min(3, "\(number)".count)) + "\(number)",
            text: "text \(number)",
            metadata: ["number": .int(Int64(number))],
            embedding: vector(number)
        )
    }
}

/// An empty collection "notes" with four dimensions in a store in memory.
func makeNotes(metric: Metric = .cosine) throws -> Store.Collection {
    try Store.inMemory().collection("notes", dimensions: 4, metric: metric)
}

/// The ids that a blocking scan visits.
func scannedIDs(
    _ collection: Store.Collection,
    prefix: String = "",
    from: String? = nil,
    to: String? = nil
) throws -> [String] {
    var ids: [String] = []
    try collection.scan(prefix: prefix, from: from, to: to) { document in
        ids.append(document.id)
        return true
    }
    return ids
}

/// "é" as one code point.
let composed = "\u{E9}"
/// "é" as two, which Swift's `==` calls the same.
let decomposed = "e\u{301}"
