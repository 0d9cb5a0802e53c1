// An entry of a graph file's table of spaces. Bytes: format-spec/graph.md, "Graph".

package import MoraineBytes

/// What one graph of a graph file holds, how it was built and how well it finds.
package struct GraphSpaceEntry: Sendable, Hashable {
    package static let byteCount = 76

    package static let layout = [
        ByteField("collectionID", offset: 0, size: 4, type: "u32"),
        ByteField("field", offset: 4, size: 4, type: "u32"),
        ByteField("vectorCount", offset: 8, size: 4, type: "u32"),
        ByteField("nodeCount", offset: 12, size: 4, type: "u32"),
        ByteField("entryCount", offset: 16, size: 4, type: "u32"),
        ByteField("joinCount", offset: 20, size: 4, type: "u32"),
        ByteField("width", offset: 24, size: 4, type: "u32"),
        ByteField("factor", offset: 28, size: 4, type: "f32"),
        ByteField("meanDegree", offset: 32, size: 4, type: "f32"),
        ByteField("sampleCount", offset: 36, size: 4, type: "u32"),
        ByteField("recalls", offset: 40, size: 32, type: "f32[8]"),
        ByteField("walk", offset: 72, size: 1, type: "u8"),
        ByteField("reserved", offset: 73, size: 3, type: "u8[3]"),
    ]

    /// Links of a node at most: 32 ids of 4 bytes, two cache lines.
    package static let degree = 32
    /// Entries of a graph at most.
    package static let entryCount = 64
    /// The widths of search that the recalls are of.
    package static let recallWidths = [16, 24, 32, 48, 64, 96, 128, 256]

    package let collectionID: UInt32
    /// Vectors of the space: 1 to 2^31 - 1.
    package let vectorCount: Int
    /// Those whose codes differ from all earlier ones.
    package let nodeCount: Int
    /// 1 to 64.
    package let entryCount: Int
    /// How many times it was made by joining other graphs into one since it was built anew.
    package let joinCount: Int
    /// How many nodes the search before an insertion kept.
    package let width: Int
    /// How much nearer a link had to be to keep another out.
    package let factor: Float
    /// Links of a node on average.
    package let meanDegree: Float
    /// Own vectors that the graph was tried with.
    package let sampleCount: Int
    /// The share of their ten nearest that a search of each width found, 0 to 1.
    package let recalls: [Float]
    /// Which codes the searches of the trial compared on their way, and others should.
    package let walk: Walk

    /// Codes that a search goes by.
    package enum Walk: UInt8, Sendable {
        case whole = 0
        /// The high halves; of what a search keeps, whole codes are compared at its end.
        case coarse = 1
    }

    package init(
        collectionID: UInt32,
        vectorCount: Int,
        nodeCount: Int,
        entryCount: Int,
        joinCount: Int,
        width: Int,
        factor: Float,
        meanDegree: Float,
        sampleCount: Int,
        recalls: [Float],
        walk: Walk
    ) {
        precondition((1...nodeCount).contains(entryCount) && entryCount <= Self.entryCount)
        precondition(nodeCount <= vectorCount && vectorCount < 1 << 31)
        precondition(recalls.count == Self.recallWidths.count)
        self.collectionID = collectionID
        self.vectorCount = vectorCount
        self.nodeCount = nodeCount
        self.entryCount = entryCount
        self.joinCount = joinCount
        self.width = width
        self.factor = factor
        self.meanDegree = meanDegree
        self.sampleCount = sampleCount
        self.recalls = recalls
        self.walk = walk
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(collectionID)
        writer.writeUInt32(0)
        writer.writeUInt32(UInt32(vectorCount))
        writer.writeUInt32(UInt32(nodeCount))
        writer.writeUInt32(UInt32(entryCount))
        writer.writeUInt32(UInt32(joinCount))
        writer.writeUInt32(UInt32(width))
        writer.writeUInt32(factor.bitPattern)
        writer.writeUInt32(meanDegree.bitPattern)
        writer.writeUInt32(UInt32(sampleCount))
        for recall in recalls { writer.writeUInt32(recall.bitPattern) }
        writer.writeUInt8(walk.rawValue)
        writer.writeZeros(3)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let check = EntryCheck(start: reader.position)
        collectionID = try reader.readUInt32("collectionID")
        let field = try reader.readUInt32("field")
        let vectorCount = try reader.readUInt32("vectorCount")
        let nodeCount = try reader.readUInt32("nodeCount")
        let entryCount = try reader.readUInt32("entryCount")
        joinCount = Int(try reader.readUInt32("joinCount"))
        width = Int(try reader.readUInt32("width"))
        factor = Float(bitPattern: try reader.readUInt32("factor"))
        meanDegree = Float(bitPattern: try reader.readUInt32("meanDegree"))
        sampleCount = Int(try reader.readUInt32("sampleCount"))
        var recalls: [Float] = []
        for _ in Self.recallWidths {
            recalls.append(Float(bitPattern: try reader.readUInt32("recalls")))
        }
        let walk = try reader.readUInt8("walk")
        try reader.readZeros(3, "reserved")
        self.recalls = recalls
        self.walk = Walk(rawValue: walk) ?? .whole
        self.vectorCount = Int(vectorCount)
        self.nodeCount = Int(nodeCount)
        self.entryCount = Int(entryCount)
        try check.require(collectionID: collectionID, field: field)
        let isCounted = vectorCount > 0 && vectorCount < 1 << 31
        try check.require(isCounted, 8, "vectorCount", "1 to 2^31 - 1", vectorCount)
        let hasNodes = nodeCount > 0 && nodeCount <= vectorCount
        try check.require(hasNodes, 12, "nodeCount", "1 to \(vectorCount)", nodeCount)
        let most = min(nodeCount, UInt32(Self.entryCount))
        let hasEntries = entryCount > 0 && entryCount <= most
        try check.require(hasEntries, 16, "entryCount", "1 to \(most)", entryCount)
        let isFactor = factor >= 1 && factor.isFinite
        try check.require(isFactor, 28, "factor", "a finite number from 1", factor)
        let isMean = meanDegree >= 0 && meanDegree <= Float(Self.degree)
        try check.require(isMean, 32, "meanDegree", "0 to \(Self.degree)", meanDegree)
        for (index, recall) in recalls.enumerated() {
            let isShare = recall >= 0 && recall <= 1
            try check.require(isShare, 40 + 4 * index, "recalls", "0 to 1", recall)
        }
        try check.require(Walk(rawValue: walk) != nil, 72, "walk", "0 or 1", walk)
    }
}
