// Draws a map of a store: segments in their tiers, files to scale, versions over time.

import MoraineEngine
import MoraineFormat
import MoraineJSON

/// One drawing.
struct MapDrawing {
    private static let width = 1_200.0
    private static let margin = 32.0
    private static let labels = 150.0

    private let map: StoreMap
    private var svg = SVG(width: MapDrawing.width)
    private var y = 0.0

    init(_ map: StoreMap) { self.map = map }

    private var left: Double { Self.margin + Self.labels }
    private var right: Double { Self.width - Self.margin }

    mutating func draw() -> String {
        drawTitle()
        drawLegend()
        drawTiers()
        drawOthers()
        drawVersions()
        return svg.document(title: "Map of \(map.folder)", height: y + Self.margin)
    }

    // MARK: Head

    private mutating func drawTitle() {
        let name = map.folder.split(separator: "/").last.map(String.init) ?? map.folder
        let space = Self.width - 2 * Self.margin
        svg.text(SVG.cut(name, size: 24, to: space), Self.margin, 48, size: 24, weight: "bold")
        let rows = map.segments.reduce(0) { $0 + $1.entry.rowCount }
        let dead = map.segments.reduce(0) { $0 + $1.deadRowCount }
        let bytes = map.segments.reduce(0) { $0 + $1.byteCount }
        let rest = map.others.reduce(0) { $0 + $1.byteCount }
        let count = map.segments.count
        let parts = [
            "\(grouped(count)) \(count == 1 ? "segment" : "segments"), \(byteText(bytes))",
            "\(grouped(rows)) rows, \(grouped(dead)) of them dead",
            "logs and the rest \(byteText(rest))",
            "as of commit \(map.floor)"
                + (map.time > 0 ? ", \(Timestamp.text(milliseconds: map.time))" : ""),
        ]
        let line = SVG.cut(parts.joined(separator: "  ·  "), size: 13, to: space)
        svg.text(line, Self.margin, 74, color: Palette.soft)
        y = 92
    }

    private mutating func drawLegend() {
        let items: [(String, String)] = [
            ("documents", Palette.document), ("vectors", Palette.vector), ("keys", Palette.key),
            ("deletions", Palette.deletions), ("derived", Palette.derived),
            ("log", Palette.log),
            ("manifest, ROOT", Palette.manifest),
            ("spare log", Palette.spare), ("not listed", Palette.unlisted),
        ]
        var x = Self.margin
        for (name, color) in items {
            svg.rectangle(x, y, 14, 14, "fill=\"\(color)\"")
            svg.text(name, x + 20, y + 12, size: 12)
            x += 20 + SVG.width(name, size: 12) + 14
        }
        svg.rectangle(x, y, 14, 14, "fill=\"\(Palette.document)\"")
        svg.rectangle(
            x,
            y,
            14,
            14,
            "fill=\"url(#dead)\" stroke=\"\(Palette.dead)\" stroke-width=\"0.6\""
        )
        svg.text("dead rows", x + 20, y + 12, size: 12)
        y += 44
    }

    private mutating func heading(_ text: String, _ note: String) {
        svg.text(text, Self.margin, y, size: 16, weight: "bold")
        let x = Self.margin + SVG.width(text, size: 16) + 20
        svg.text(SVG.cut(note, size: 12, to: right - x), x, y, size: 12, color: Palette.soft)
        y += 14
    }

    // MARK: Segments

    private mutating func drawTiers() {
        let total = map.segments.reduce(0) { $0 + $1.byteCount }
        y += 4
        guard total > 0 else {
            heading("Segments", "none yet: everything is in the log")
            y += 22
            return
        }
        let tiers = Dictionary(grouping: map.segments, by: \.tier).sorted { $0.key > $1.key }
        // The tier that needs most takes the whole width, whatever else there is.
        let rows = tiers.map { $0.value.map { Double($0.byteCount) } }
        let ruler = MapRuler(rows, width: right - left)
        heading(
            "Segments by tier",
            "width: bytes of the files, all tiers to one scale; from the top: the share of dead rows"
        )
        for (tier, segments) in tiers {
            drawTier(tier, segments.sorted { $0.entry.minLSN < $1.entry.minLSN }, ruler)
        }
        drawScale(ruler.scale)
    }

    private mutating func drawTier(
        _ tier: Int,
        _ segments: [StoreMap.Segment],
        _ ruler: MapRuler
    ) {
        let height = 58.0
        svg.rectangle(Self.margin, y, right - Self.margin, height + 24, "fill=\"\(Palette.lane)\"")
        let bytes = segments.reduce(0) { $0 + $1.byteCount }
        svg.text("tier \(tier)", Self.margin + 10, y + 24, size: 14, weight: "bold")
        let count = "\(grouped(segments.count)) \(segments.count == 1 ? "segment" : "segments")"
        svg.text(count, Self.margin + 10, y + 43, size: 12)
        svg.text(byteText(bytes), Self.margin + 10, y + 59, size: 12, color: Palette.soft)
        svg.text(rowRange(tier), Self.margin + 10, y + 74, size: 10, color: Palette.soft)
        var x = left
        for segment in segments {
            let width = ruler.width(Double(segment.byteCount))
            drawSegment(segment, x, y + 8, width, height)
            x += width + ruler.gap
        }
        y += height + 24 + 8
    }

    private mutating func drawSegment(
        _ segment: StoreMap.Segment,
        _ x: Double,
        _ top: Double,
        _ width: Double,
        _ height: Double
    ) {
        let rows = segment.entry.rowCount
        var tip = "segment \(segment.entry.id): \(grouped(rows)) rows, "
        tip += "\(grouped(segment.deadRowCount)) dead, \(byteText(segment.byteCount)), "
        tip += "commits \(segment.entry.minLSN) to \(segment.entry.maxLSN)"
        var at = x
        for part in segment.parts where segment.byteCount > 0 {
            let share = width * Double(part.byteCount) / Double(segment.byteCount)
            let style =
                part.isDamaged
                ? "fill=\"#ffffff\" stroke=\"#c00000\" stroke-width=\"2\""
                : "fill=\"\(Self.color(part.kind))\""
            let what = "\(tip)\n\(Self.name(part.kind)): \(byteText(part.byteCount))"
            svg.rectangle(
                at,
                top,
                share,
                height,
                style,
                tip: part.isDamaged ? what + ", damaged" : what
            )
            at += share
        }
        if segment.deadShare > 0 {
            let dead = max(1.5, height * segment.deadShare)
            svg.rectangle(
                x,
                top,
                width,
                dead,
                "fill=\"url(#dead)\" stroke=\"\(Palette.dead)\" stroke-width=\"0.6\"",
                tip: tip
            )
        }
        let name = "\(segment.entry.id)"
        if SVG.fits(name, size: 10, in: width) {
            svg.text(
                name,
                x + width / 2,
                top + height + 12,
                size: 10,
                color: Palette.soft,
                anchor: "middle"
            )
        }
    }

    private func rowRange(_ tier: Int) -> String {
        var low = CompactionPolicy.tierRowCount
        for _ in 0..<tier { low *= CompactionPolicy.fanIn }
        let high = grouped(low * CompactionPolicy.fanIn)
        return tier == 0 ? "below \(high) rows" : "\(grouped(low)) rows and more"
    }

    private static func color(_ kind: FileKind) -> String {
        switch kind {
        case .document: Palette.document
        case .vector: Palette.vector
        case .key: Palette.key
        case .deletions: Palette.deletions
        case .codes, .graph, .columns: Palette.derived
        case .root, .manifest, .log: Palette.manifest
        }
    }

    private static func name(_ kind: FileKind) -> String {
        switch kind {
        case .document: "documents"
        case .vector: "vectors"
        case .key: "keys"
        case .deletions: "deletions"
        case .codes, .graph, .columns: "derived"
        case .root, .manifest, .log: "other"
        }
    }

    /// A ruler: a round number of bytes.
    private mutating func drawScale(_ scale: Double) {
        var bytes = 1_024.0
        while bytes * scale < 60 { bytes *= bytes * scale < 15 ? 4 : 2 }
        let length = min(bytes * scale, right - left)
        let stroke = "stroke=\"\(Palette.soft)\""
        svg.line(left, y + 6, left + length, y + 6, stroke)
        svg.line(left, y + 2, left, y + 10, stroke)
        svg.line(left + length, y + 2, left + length, y + 10, stroke)
        svg.text(
            byteText(UInt64(length / scale)),
            left + length + 8,
            y + 10,
            size: 11,
            color: Palette.soft
        )
        y += 46
    }

    // MARK: Other files

    private mutating func drawOthers() {
        let total = map.others.reduce(0) { $0 + $1.byteCount }
        guard total > 0 else { return }
        heading("Logs and other files", "\(byteText(total)), to a scale of their own")
        let ruler = MapRuler(
            [map.others.map { Double($0.byteCount) }],
            width: right - Self.margin
        )
        var x = Self.margin
        for file in map.others.sorted(by: { ($0.kind, $0.name) < ($1.kind, $1.name) }) {
            let width = ruler.width(Double(file.byteCount))
            let color =
                switch file.kind {
                case "log": Palette.log
                case "spare log": Palette.spare
                case "manifest", "ROOT": Palette.manifest
                default: Palette.unlisted
                }
            let tip = "\(file.name): \(file.kind), \(byteText(file.byteCount))"
            svg.rectangle(x, y, width, 30, "fill=\"\(color)\"", tip: tip)
            let label = "\(file.kind), \(byteText(file.byteCount))"
            if SVG.fits(label, size: 11, in: width) {
                svg.text(
                    label,
                    x + width / 2,
                    y + 46,
                    size: 11,
                    color: Palette.soft,
                    anchor: "middle"
                )
            }
            x += width + ruler.gap
        }
        y += 86
    }

    // MARK: Versions

    private mutating func drawVersions() {
        guard let first = map.steps.first, let last = map.steps.last else { return }
        heading(
            "Versions",
            "\(grouped(map.steps.count)) \(map.steps.count == 1 ? "edit" : "edits") since this manifest began; "
                + "bytes of segments after each, and segments added and dropped"
        )
        let height = 120.0
        let bars = 36.0
        let base = y + 8 + height
        let space = right - left
        let most = Double(map.steps.map(\.byteCount).max() ?? 0)
        let step = space / Double(map.steps.count)
        svg.rectangle(left, y + 8, space, height, "fill=\"\(Palette.lane)\"")
        var points: [(x: Double, y: Double)] = [(left, base)]
        for (index, state) in map.steps.enumerated() {
            let top = base - (most == 0 ? 0 : height * 0.94 * Double(state.byteCount) / most)
            points.append((left + step * Double(index), top))
            points.append((left + step * Double(index + 1), top))
        }
        points.append((right, base))
        svg.path(
            points,
            "fill=\"\(Palette.document)\" fill-opacity=\"0.35\" stroke=\"\(Palette.document)\" stroke-width=\"1.2\""
        )
        svg.text("bytes", Self.margin + 10, y + 24, size: 13, weight: "bold")
        svg.text(
            "at most \(byteText(UInt64(most)))",
            Self.margin + 10,
            y + 42,
            size: 11,
            color: Palette.soft
        )
        svg.text(
            "now \(byteText(last.byteCount))",
            Self.margin + 10,
            y + 58,
            size: 11,
            color: Palette.soft
        )
        drawChanges(base + 12, bars, step)
        y = base + 12 + 2 * bars + 18
        svg.text("edit \(first.number)\(date(first.time))", left, y, size: 11, color: Palette.soft)
        if map.steps.count > 1 {
            svg.text(
                "edit \(last.number)\(date(last.time))",
                right,
                y,
                size: 11,
                color: Palette.soft,
                anchor: "end"
            )
        }
        y += 8
    }

    /// Bars up for segments that came, down for those that went.
    private mutating func drawChanges(_ top: Double, _ bars: Double, _ step: Double) {
        let middle = top + bars
        // The first edit only says what there was.
        let changes = map.steps.dropFirst()
        let most = Double(max(1, changes.map { max($0.addedCount, $0.droppedCount) }.max() ?? 1))
        svg.rectangle(left, top, right - left, 2 * bars, "fill=\"\(Palette.lane)\"")
        svg.line(left, middle, right, middle, "stroke=\"\(Palette.rule)\"")
        let width = max(0.8, min(step * 0.8, 24))
        for (index, state) in map.steps.enumerated() {
            let x = left + step * (Double(index) + 0.5) - width / 2
            let date = date(state.time)
            let tip =
                "edit \(state.number)\(date): \(state.addedCount) added, \(state.droppedCount) dropped, \(state.segmentCount) then"
            if index == 0 { continue }
            if state.addedCount > 0 {
                let height = max(2, bars * 0.94 * Double(state.addedCount) / most)
                svg.rectangle(
                    x,
                    middle - height,
                    width,
                    height,
                    "fill=\"\(Palette.key)\"",
                    tip: tip
                )
            }
            if state.droppedCount > 0 {
                let height = max(2, bars * 0.94 * Double(state.droppedCount) / most)
                svg.rectangle(x, middle, width, height, "fill=\"\(Palette.dead)\"", tip: tip)
            }
        }
        svg.text("added", Self.margin + 10, middle - 10, size: 12, color: Palette.key)
        svg.text("dropped", Self.margin + 10, middle + 20, size: 12, color: Palette.dead)
        svg.text(
            "at most \(Int(most))",
            Self.margin + 72,
            middle + 5,
            size: 10,
            color: Palette.soft
        )
    }

    private func date(_ milliseconds: UInt64) -> String {
        guard milliseconds > 0 else { return "" }
        return ", "
            + String(Timestamp.text(milliseconds: milliseconds).prefix(19))
            .replacing("T", with: " ")
    }
}
