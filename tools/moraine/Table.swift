// Columns for people.

/// Rows whose columns line up.
///
/// The widths come from the first rows; a later cell that is wider pushes its row. On a terminal
/// lines are cut at its width.
struct Table {
    enum Alignment {
        case left, right
    }

    private let output: Output
    private let columns: [(name: String, alignment: Alignment)]
    private var widths: [Int]
    private var waiting: [[String]] = []
    private var hasStarted = false

    /// Rows that are looked at before the first is printed.
    private static let sampleRowCount = 200

    init(_ output: Output, _ columns: [(name: String, alignment: Alignment)]) {
        self.output = output
        self.columns = columns
        widths = columns.map { $0.name.count }
    }

    /// Adds a row with one cell a column.
    mutating func add(_ cells: [String]) {
        let cells = cells.map(visible)
        if hasStarted {
            print(cells)
            return
        }
        for (index, cell) in cells.enumerated() { widths[index] = max(widths[index], cell.count) }
        waiting.append(cells)
        if waiting.count == Self.sampleRowCount { start() }
    }

    /// Prints what still waits.
    ///
    /// A table without rows prints nothing.
    mutating func finish() {
        if !waiting.isEmpty { start() }
    }

    private mutating func start() {
        hasStarted = true
        if columns.contains(where: { !$0.name.isEmpty }) {
            output.writeLine(output.styled(line(columns.map(\.name)), .bold))
        }
        for cells in waiting { print(cells) }
        waiting = []
    }

    private func print(_ cells: [String]) { output.writeLine(line(cells)) }

    private func line(_ cells: [String]) -> String {
        var text = ""
        for (index, cell) in cells.enumerated() {
            if index > 0 { text += "  " }
            let padding = String(repeating: " ", count: max(0, widths[index] - cell.count))
            switch columns[index].alignment {
            case .left: text += index == cells.count - 1 ? cell : cell + padding
            case .right: text += padding + cell
            }
        }
        if let limit = output.columnCount, text.count > limit {
            text = text.prefix(limit - 1) + "…"
        }
        return text
    }
}

/// A number with separators between thousands: `62,666`.
func grouped(_ value: some BinaryInteger) -> String {
    let digits = String(value)
    var text = ""
    for (index, digit) in digits.enumerated() {
        let rest = digits.count - index
        if index > 0, rest % 3 == 0, text != "-" { text.append(",") }
        text.append(digit)
    }
    return text
}

/// Bytes for a person: `1.4 MiB`.
func byteText(_ count: UInt64) -> String {
    guard count >= 1024 else { return "\(count) B" }
    var value = Double(count) / 1024
    var unit = 0
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return "\(decimal(value, digits: 1)) \(units[unit])"
}

/// A number with that many digits behind the point.
func decimal(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    let scaled = Int64((value * scale).rounded())
    let sign = scaled < 0 ? "-" : ""
    let all = String(scaled.magnitude)
    guard digits > 0 else { return sign + all }
    let padded = String(repeating: "0", count: max(0, digits + 1 - all.count)) + all
    return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
}
