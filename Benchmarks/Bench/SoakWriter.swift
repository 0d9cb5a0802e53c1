// What a thread of a soak writes, and the model that it holds every answer against.

import Foundation
import Moraine
import MoraineFiles

/// Numbers that a seed decides.
struct SoakDice {
    private let source: SeededRandom

    init(seed: UInt64) { source = SeededRandom(seed: seed) }

    mutating func number(_ range: Range<Int>) -> Int {
        range.lowerBound + Int(source.next() % UInt64(range.count))
    }
}

/// A thread's documents: what it has put is what it must find.
///
/// One thread at a time.
final class SoakWriter: @unchecked Sendable {
    static let dimensions = 16

    private let name: String
    // Only touched by the thread that runs the writer, and between rounds.
    private var dice: SoakDice
    /// The version of each id's content; 0 when there is no such document.
    private var contents: [UInt32]
    private var lastContent: UInt32 = 0
    /// What a write that failed may have done: all of it or nothing.
    private var doubt: [Int: UInt32] = [:]

    init(_ number: Int, idCount: Int, seed: UInt64) {
        name = "soak-\(number)"
        dice = SoakDice(seed: seed &* 64 &+ UInt64(number))
        contents = Array(repeating: 0, count: idCount)
    }

    var documentCount: Int { contents.count { $0 != 0 } }

    /// True when a write failed; only `resolve` tells then what there is.
    var isInDoubt: Bool { !doubt.isEmpty }

    private func id(_ number: Int) -> String { "\(number % 10)-\(number)" }

    private func document(_ number: Int, _ content: UInt32) -> Document {
        let word = "content \(content) of \(number) "
        return Document(
            id: id(number),
            text: String(repeating: word, count: 1 + Int(content % 40)),
            metadata: ["content": .int(Int64(content)), "even": .bool(content % 2 == 0)],
            embedding: content % 8 == 0
                ? nil
                : (0..<Self.dimensions).map { Float((Int(content) &* (31 + $0)) % 997 + 1) }
        )
    }

    private func collection(_ store: Store) throws -> Store.Collection {
        try store.collection(name, dimensions: Self.dimensions)
    }

    /// A put of one or several documents, a delete or a get.
    func step(in store: Store) throws {
        let notes = try collection(store)
        let number = dice.number(0..<contents.count)
        switch dice.number(0..<100) {
        case 0..<50:
            try write([number]) { changed throws(MoraineError) in
                try notes.put(document(number, changed))
            }
        case 50..<60:
            let numbers = Set((0..<20).map { _ in dice.number(0..<contents.count) })
            try write(numbers) { changed throws(MoraineError) in
                try notes.put(numbers.map { document($0, changed) })
            }
        case 60..<80 where contents[number] != 0:
            doubt = [number: 0]
            try notes.delete(id(number))
            contents[number] = 0
            doubt = [:]
        default:
            try expect(try notes.get(id(number)), number)
        }
    }

    /// Gives the documents a new content.
    private func write(
        _ numbers: Set<Int>,
        _ body: (UInt32) throws(MoraineError) -> Void
    ) throws(MoraineError) {
        lastContent += 1
        for number in numbers { doubt[number] = lastContent }
        try body(lastContent)
        for number in numbers { contents[number] = lastContent }
        doubt = [:]
    }

    /// Finds out what the write that failed did: all or nothing.
    func resolve(in store: Store) throws {
        guard isInDoubt else { return }
        let notes = try collection(store)
        var isDone: Bool?
        for (number, content) in doubt {
            let found = try notes.get(id(number))
            let isNew = matches(found, number, content)
            if !isNew { try expect(found, number) }
            guard isDone ?? isNew == isNew else {
                throw Failure.failed("\(name): half of a failed write is there, \(id(number))")
            }
            isDone = isNew
        }
        if isDone == true {
            for (number, content) in doubt { contents[number] = content }
        }
        doubt = [:]
    }

    private func matches(_ found: StoredDocument?, _ number: Int, _ content: UInt32) -> Bool {
        guard let found, content != 0 else { return found == nil && content == 0 }
        let expected = document(number, content)
        return found.text == expected.text && found.metadata == expected.metadata
            && found.embedding == expected.embedding
    }

    private func expect(_ found: StoredDocument?, _ number: Int) throws {
        guard !matches(found, number, contents[number]) else { return }
        let text = found.map { "\($0.text)" } ?? "not there"
        throw Failure.failed("\(name): \(id(number)) is \(text), not \(contents[number])")
    }

    /// Holds all of a store's content against the model.
    func compare(with store: Store) throws {
        let numbers = Dictionary(
            uniqueKeysWithValues: contents.indices.filter { contents[$0] != 0 }.map { (id($0), $0) }
        )
        var foundCount = 0
        var failure: (any Error)?
        let notes = try collection(store)
        try notes.scan { document in
            foundCount += 1
            do {
                guard let number = numbers[document.id] else {
                    throw Failure.failed("\(name): \(document.id) should not be there")
                }
                try expect(document, number)
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw failure }
        let counted = try notes.count()
        guard foundCount == numbers.count, counted == numbers.count else {
            throw Failure.failed(
                "\(name): \(foundCount) scanned, \(counted) counted, should be \(numbers.count)"
            )
        }
    }
}
