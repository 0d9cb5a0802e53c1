// Writes a drawing as SVG.

/// A drawing that grows from top to bottom.
struct SVG {
    private var body = ""
    let width: Double

    /// What text measures: DejaVu Sans and its kin need no more for a character.
    private static let characterWidth = 0.62

    init(width: Double) { self.width = width }

    /// A rectangle; `tip` shows when a pointer rests on it.
    mutating func rectangle(
        _ x: Double,
        _ y: Double,
        _ width: Double,
        _ height: Double,
        _ style: String,
        tip: String? = nil
    ) {
        let head =
            "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(width))\" height=\"\(n(height))\" \(style)"
        body += tip.map { "\(head)><title>\(escaped($0))</title></rect>\n" } ?? "\(head)/>\n"
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
        body += "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\" \(style)/>\n"
    }

    mutating func path(_ points: [(x: Double, y: Double)], _ style: String) {
        let text = points.enumerated().map { "\($0 == 0 ? "M" : "L")\(n($1.x)) \(n($1.y))" }
        body += "<path d=\"\(text.joined(separator: " "))\" \(style)/>\n"
    }

    /// Text whose baseline starts, or with `anchor` ends or is centred, at a point.
    mutating func text(
        _ text: String,
        _ x: Double,
        _ y: Double,
        size: Double = 13,
        color: String = Palette.ink,
        weight: String = "normal",
        anchor: String = "start"
    ) {
        body += "<text x=\"\(n(x))\" y=\"\(n(y))\" font-size=\"\(n(size))\" fill=\"\(color)\" "
        body += "font-weight=\"\(weight)\" text-anchor=\"\(anchor)\">\(escaped(text))</text>\n"
    }

    /// Whether a text fits into a width.
    static func fits(_ text: String, size: Double, in width: Double) -> Bool {
        Self.width(text, size: size) <= width
    }

    static func width(_ text: String, size: Double) -> Double {
        Double(text.count) * size * characterWidth
    }

    /// The text, cut to a width.
    static func cut(_ text: String, size: Double, to width: Double) -> String {
        let count = Int(width / (size * characterWidth))
        return text.count <= count ? text : String(text.prefix(max(1, count - 1))) + "…"
    }

    /// The whole document.
    func document(title: String, height: Double) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" width="\(n(width))" height="\(n(height))" \
        viewBox="0 0 \(n(width)) \(n(height))" \
        font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">
        <title>\(escaped(title))</title>
        <defs><pattern id="dead" width="5" height="5" patternUnits="userSpaceOnUse" \
        patternTransform="rotate(45)"><rect width="5" height="5" fill="#ffffff" \
        fill-opacity="0.72"/><rect width="1.6" height="5" fill="\(Palette.dead)"/></pattern></defs>
        <rect width="100%" height="100%" fill="\(Palette.paper)"/>
        \(body)</svg>

        """
    }

    private func n(_ value: Double) -> String {
        let text = decimal(value, digits: 2)
        return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
    }

    private func escaped(_ text: String) -> String {
        visible(text).replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}

/// Colours that stay apart for most eyes, dark on light.
enum Palette {
    static let paper = "#fcfcfa"
    static let ink = "#1f2328"
    static let soft = "#5c6470"
    static let rule = "#d5d8dc"
    static let lane = "#f0f1ee"
    static let document = "#3b76af"
    static let vector = "#e08a3c"
    static let key = "#5a9e6f"
    static let deletions = "#8a6bb1"
    static let derived = "#4aa3a3"
    static let log = "#b8a13a"
    static let manifest = "#7d8794"
    static let spare = "#c4c9cf"
    static let unlisted = "#c46b7c"
    static let dead = "#8c2f39"
}
