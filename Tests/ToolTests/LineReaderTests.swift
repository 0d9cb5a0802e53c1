// Lines of a stream: whatever the pieces, and however long a line.

import Testing
import moraine_cli

@Suite struct LineReaderTests {
    /// All lines of a stream; `nil` stands for one above the limit.
    private func lines(_ pieces: [[UInt8]], limit: Int = 100) -> [String?] {
        let reader = LineReader(MemorySource(pieces), limit: limit)
        var lines: [String?] = []
        while true {
            while let line = reader.next() {
                switch line {
                case .line(let bytes): lines.append(String(decoding: bytes, as: UTF8.self))
                case .tooLong: lines.append(nil)
                }
            }
            guard reader.fill() == .more else { return lines }
        }
    }

    @Test(arguments: [
        ("", []), ("\n", [""]), ("a", ["a"]), ("a\n", ["a"]), ("a\n\nb", ["a", "", "b"]),
        ("one\ntwo\nthree\n", ["one", "two", "three"]),
    ])
    func linesAreTheSameWhateverThePieces(text: String, expected: [String]) {
        let bytes = Array(text.utf8)
        for size in 1...max(1, bytes.count) {
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                Array(bytes[$0..<min($0 + size, bytes.count)])
            }
            #expect(lines(pieces) == expected)
        }
    }

    @Test(arguments: [99, 100, 101, 3 << 20])
    func aLineAboveTheLimitIsToldAndSkipped(length: Int) {
        let long = [UInt8](repeating: 0x78, count: length)
        let expected = length > 100 ? nil : String(decoding: long, as: UTF8.self)
        #expect(lines([Array("a\n".utf8) + long + Array("\nb".utf8)]) == ["a", expected, "b"])
        #expect(lines([long]) == [expected])
        #expect(lines([long, [0x0A]]) == [expected])
    }

    @Test func linesFarLargerThanAPieceComeWhole() {
        let long = String(repeating: "x", count: 9 << 20)
        let text = "a\n" + long + "\nb\n" + long
        let pieces = [Array(text.utf8)]
        #expect(lines(pieces, limit: 64 << 20) == ["a", long, "b", long])
    }

    @Test func aStreamWithoutEndOfLineNeedsLittleMemory() {
        let source = EndlessSource(pieceCount: 2_000)
        let reader = LineReader(source, limit: 1 << 20)
        while reader.fill() == .more {}
        #expect(source.largestRequest <= 8 << 20)
        guard case .tooLong? = reader.next() else {
            Issue.record("a line was expected")
            return
        }
    }
}

/// So many full buffers of one letter.
private final class EndlessSource: ByteSource {
    private var left: Int
    private(set) var largestRequest = 0

    init(pieceCount: Int) { left = pieceCount }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        guard left > 0 else { return .end }
        left -= 1
        buffer.initializeMemory(as: UInt8.self, repeating: 0x78)
        largestRequest = max(largestRequest, buffer.count)
        return .bytes(buffer.count)
    }
}
