// Standard output and standard error of a command.

import MoraineJSON
import MoraineStorage

/// A buffered way out.
///
/// Writing never fails where it is called; `failure` remembers, and the tool asks at the end. When
/// nobody reads any more, `isClosed` tells loops to stop.
final class Output {
    private let sink: any ByteSink
    private var buffer: [UInt8] = []
    private(set) var failure: SystemFailure?
    /// Characters in a line when a person watches, else `nil`.
    let columnCount: Int?
    let usesColor: Bool
    /// Lines that come after its end are left out; the command says so by how it ends.
    var limit: ReadLimit?

    private static let bufferByteCount = 1 << 16

    /// - Parameter allowsColor: false with NO_COLOR.
    init(_ sink: any ByteSink, allowsColor: Bool) {
        self.sink = sink
        columnCount = sink.columnCount
        usesColor = allowsColor && columnCount != nil
        buffer.reserveCapacity(Self.bufferByteCount)
    }

    /// True when what is written goes nowhere.
    var isClosed: Bool { failure != nil || isOver }

    private var isOver: Bool { limit?.isOver ?? false }

    func write(_ bytes: UnsafeRawBufferPointer) {
        if buffer.count + bytes.count > Self.bufferByteCount { flush() }
        if bytes.count >= Self.bufferByteCount {
            send(bytes)
        } else {
            buffer.append(contentsOf: bytes)
        }
    }

    func write(_ text: String) {
        var copy = text
        copy.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    func writeLine(_ text: String) {
        if isOver { return }
        write(text)
        write("\n")
    }

    /// Writes what stands in `json` as a line and forgets it.
    func writeLine(_ json: inout JSONWriter) {
        json.writeRaw(UInt8(ascii: "\n"))
        if !isOver { json.withBytes { write($0) } }
        json.removeAll(keepingCapacity: json.count <= 1 << 20)
    }

    /// Hands everything to the operating system.
    func flush() {
        buffer.withUnsafeBytes { send($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    private func send(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil, !bytes.isEmpty else { return }
        let number = sink.write(bytes)
        if number != 0 { failure = SystemFailure(number) }
    }

    /// `text` in an ANSI style, where there are colours.
    func styled(_ text: String, _ style: Style) -> String {
        usesColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    enum Style: Int {
        case bold = 1
        case faint = 2
        case red = 31
        case green = 32
        case yellow = 33
    }
}

/// What a command reads and writes, and what surrounds it.
struct Console {
    let input: any ByteSource
    let output: Output
    let error: Output
    let environment: [String: String]
    let cancellation: any Cancellation
    /// Opens a file that the user named; "-" is standard input.
    let openInput: (String) -> Result<OpenedInput, SystemFailure>

    /// A sentence on standard error that is no failure.
    func note(_ text: String) {
        error.writeLine("moraine: \(error.styled("note:", .yellow)) \(visible(text))")
        error.flush()
    }
}

/// `text` without what a terminal would act on: control characters print as `?`.
func visible(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 }) else { return text }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        clean.append(isControl ? "?" : scalar)
    }
    return String(clean)
}
