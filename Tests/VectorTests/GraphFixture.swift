// Small graph files in memory.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineVectors

extension VectorFixture {
    func graphPath(fileID: UInt64 = 72) -> String {
        FileNames.path(root, FileNames.derived(.graph, 7, fileID: fileID))
    }

    func writeGraph(
        _ vectors: VectorFile,
        _ codes: CodeFile,
        origins: [GraphOrigin] = [],
        fileID: UInt64 = 72,
        least: Int = 2,
        threads: Int = 1,
        step: @escaping @Sendable () throws(StoreError) -> Void = {}
    ) throws(StoreError) -> SealedFileReference? {
        try GraphFileWriter.write(
            vectors: vectors,
            codes: codes,
            origins: origins,
            parameters: GraphParameters(width: 50, leastVectorCount: least),
            fileSystem: files,
            root: root,
            segment: 7,
            storeID: storeID,
            fileID: fileID,
            createdLSN: 5,
            threads: threads,
            step: step
        )
    }

    func openGraph(
        _ reference: SealedFileReference,
        _ vectors: VectorFile,
        _ codes: CodeFile
    ) throws(StoreError) -> GraphFile {
        try GraphFile(
            fileSystem: files,
            root: root,
            segment: 7,
            storeID: storeID,
            reference: reference,
            vectors: vectors,
            codes: codes
        )
    }

    /// The graph file again with right checksums, one word of a section changed, as an attacker
    /// could.
    ///
    /// - Parameter word: `nil`: the first of the last item.
    func forgeGraph(_ graph: GraphFile, _ type: UInt32, _ value: UInt32, at word: Int? = nil)
        throws(StoreError) -> SealedFileReference
    {
        var parts: [(entry: SectionEntry, bytes: [UInt8])] = []
        for entry in graph.file.layout.entries where entry.type != SectionType.checksumTable {
            let section = try graph.file.requiredSection(entry.type, ordinal: entry.ordinal)
            var bytes = Array(try section.allBytes())
            if entry.type == type {
                let first = type == SectionType.links ? bytes.count - 128 : bytes.count - 4
                let at = word.map { 4 * $0 } ?? first
                for place in 0..<4 { bytes[at + place] = UInt8(value >> UInt32(8 * place) & 0xFF) }
            }
            parts.append((entry, bytes))
        }
        _ = files.removeForTest(graphPath())
        let writer = try SealedFileWriter(
            fileSystem: files,
            root: root,
            name: FileNames.derived(.graph, 7, fileID: 72),
            kind: .graph,
            storeID: storeID,
            fileID: 72,
            createdLSN: 5
        )
        for part in parts {
            try writer.beginSection(part.entry.type, ordinal: part.entry.ordinal)
            try writer.append(part.bytes)
            try writer.endSection()
        }
        return try writer.finish(rowCount: 1100, minLSN: 1, maxLSN: 5)
    }
}

func exactScore(_ a: [Float], _ b: [Float], _ metric: Metric) -> Double {
    let (a, b) = (a.map(Double.init), b.map(Double.init))
    let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    switch metric {
    case .dot: return dot
    case .cosine:
        let norms = [a, b].map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
        return dot / (norms[0] * norms[1])
    case .l2: return -zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
}
