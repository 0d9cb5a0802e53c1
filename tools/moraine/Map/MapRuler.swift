// The scale of a row of files: all of them are seen, and none reaches over the edge.

/// Bytes to widths.
package struct MapRuler {
    /// Width of a byte.
    package let scale: Double
    /// Between two files.
    package let gap: Double
    /// Nothing that is there is thinner.
    private let thinnest: Double

    /// - Parameters:
    ///   - rows: bytes of the files in each row that is drawn to this scale.
    ///   - width: what the row that needs most may take.
    package init(_ rows: [[Double]], width: Double) {
        let most = Double(rows.map(\.count).max() ?? 1)
        let unit = width / max(1, most)
        let gap = unit > 10 ? 3.0 : unit * 0.2
        let thinnest = min(2.0, unit * 0.8)
        // What is drawn wider than it is takes room from the others, so that the scale is tried.
        func isTooWide(_ scale: Double) -> Bool {
            rows.contains { row in
                row.reduce(0) { $0 + max(thinnest, $1 * scale) + gap } - gap > width
            }
        }
        var low = 0.0
        var high = width / max(1, rows.flatMap(\.self).max() ?? 1)
        for _ in 0..<50 {
            let middle = (low + high) / 2
            if isTooWide(middle) { high = middle } else { low = middle }
        }
        scale = low
        self.gap = gap
        self.thinnest = thinnest
    }

    package func width(_ byteCount: Double) -> Double { max(thinnest, byteCount * scale) }
}
