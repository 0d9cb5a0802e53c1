// What a run measured: figures by round, and their ratios to the machine's limits.

import Foundation

/// One number for each round.
struct Series {
    let values: [Double]

    init(_ values: [Double]) { self.values = values }

    var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var lowest: Double { values.min() ?? 0 }
    var highest: Double { values.max() ?? 0 }
}

/// Where a ratio should be.
enum Target {
    case atLeast(Double)
    case atMost(Double)

    func isMet(by value: Double) -> Bool {
        switch self {
        case .atLeast(let bound): value >= bound
        case .atMost(let bound): value <= bound
        }
    }

    var text: String {
        switch self {
        case .atLeast(let bound): "at least \(short(bound))"
        case .atMost(let bound): "at most \(short(bound))"
        }
    }
}

/// Collects one benchmark's results and shows them as they come.
final class Report {
    private struct Figure: Encodable {
        let name: String
        let unit: String
        let median: Double
        let lowest: Double
        let highest: Double
        let rounds: [Double]
    }

    private struct Ratio: Encodable {
        let name: String
        let median: Double
        let lowest: Double
        let highest: Double
        let target: String?
        let isMet: Bool?
    }

    private struct Document: Encodable {
        let benchmark: String
        let machine: [String: String]
        let settings: [String: String]
        let figures: [Figure]
        let ratios: [Ratio]
    }

    private let benchmark: String
    private let isJSON: Bool
    private var settings: [String: String] = [:]
    private let machine: [String: String]
    private var figures: [Figure] = []
    private var ratios: [Ratio] = []

    init(_ benchmark: String, _ arguments: Arguments, machine: [String: String]) {
        self.benchmark = benchmark
        self.machine = machine
        isJSON = arguments.has("--json")
        show("moraine-bench \(benchmark)")
        for (name, value) in machine.sorted(by: { $0.key < $1.key }) {
            show("  \(padded(name, 22))\(value)")
        }
    }

    private func show(_ line: String) {
        guard !isJSON else { return }
        // Past the buffer of `print`: figures appear as they are known, also in a pipe.
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text.count >= width
            ? text + " " : text.padding(toLength: width, withPad: " ", startingAt: 0)
    }

    /// Something that the run was done with.
    func setting(_ name: String, _ value: String) {
        settings[name] = value
        show("  \(padded(name, 22))\(value)")
    }

    /// A figure with a value for each round.
    func figure(_ name: String, _ unit: String, _ values: [Double]) {
        let series = Series(values)
        figures.append(
            Figure(
                name: name,
                unit: unit,
                median: series.median,
                lowest: series.lowest,
                highest: series.highest,
                rounds: values
            )
        )
        show(
            "\(padded(name, 46))\(padded(short(series.median) + " " + unit, 22))"
                + "\(short(series.lowest)) to \(short(series.highest))"
        )
    }

    /// A ratio with a value for each round.
    func ratio(_ name: String, _ values: [Double], target: Target? = nil) {
        let series = Series(values)
        let isMet = target?.isMet(by: series.median)
        ratios.append(
            Ratio(
                name: name,
                median: series.median,
                lowest: series.lowest,
                highest: series.highest,
                target: target?.text,
                isMet: isMet
            )
        )
        var line =
            "\(padded("= " + name, 46))\(padded(short(series.median), 22))"
            + "\(short(series.lowest)) to \(short(series.highest))"
        if let target, let isMet { line += "   target \(target.text): \(isMet ? "met" : "missed")" }
        show(line)
    }

    /// Prints the JSON object, if that is wanted.
    func finish() throws {
        guard isJSON else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let data = try encoder.encode(
            Document(
                benchmark: benchmark,
                machine: machine,
                settings: settings,
                figures: figures,
                ratios: ratios
            )
        )
        print(String(decoding: data, as: UTF8.self))
    }
}

/// A number with about four digits.
func short(_ value: Double) -> String {
    let size = abs(value)
    if size >= 1000 || value == value.rounded() { return String(Int(value.rounded())) }
    if size >= 100 { return String(format: "%.1f", value) }
    if size >= 1 { return String(format: "%.2f", value) }
    return String(format: "%.4f", value)
}

/// Values of two series divided round by round.
func quotients(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 / $1 } }
