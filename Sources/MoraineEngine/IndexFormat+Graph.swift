// Graphs over codes as derived files.

import MoraineFormat
package import MoraineStorage
package import MoraineVectors

extension IndexFormat {
    /// Graphs, for segments with a collection that has vectors enough.
    package static let graph = graph(GraphParameters())

    /// Graphs built in another way than is usual.
    package static func graph(_ parameters: GraphParameters) -> IndexFormat {
        IndexFormat(
            kind: .graph,
            isWanted: { segment in
                let least = max(parameters.leastVectorCount, CodeFileWriter.leastVectorCount)
                return segment.vectors?.spaces.contains { $0.vectorCount >= least } ?? false
            },
            open: { source, reference throws(StoreError) in
                try GraphFile(
                    fileSystem: source.fileSystem,
                    root: source.folder,
                    segment: source.segment.id,
                    storeID: source.storeID,
                    reference: reference,
                    vectors: try source.vectors(),
                    codes: try source.codes()
                )
            },
            write: { target throws(StoreError) in
                let source = target.source
                return try GraphFileWriter.write(
                    vectors: try source.vectors(),
                    codes: try source.codes(),
                    origins: target.origins,
                    parameters: parameters,
                    fileSystem: source.fileSystem,
                    root: source.folder,
                    segment: source.segment.id,
                    storeID: source.storeID,
                    fileID: target.fileID,
                    createdLSN: target.createdLSN,
                    threads: target.width,
                    progress: target.progress,
                    step: target.step
                )
            }
        )
    }
}

extension GraphFile: IndexReader {
    package func verify(
        _ source: IndexSource,
        within limit: ReadLimit?,
        _ report: (Finding) -> Void
    ) {
        verify(within: limit, report)
    }
}

extension IndexSource {
    /// The codes of the segment, which graphs are made from.
    func codes() throws(StoreError) -> CodeFile {
        if let codes = indexes.codes { return codes }
        throw StoreError(
            .corrupted,
            "a graph belongs to a segment without codes",
            path: folder,
            expected: "codes of segment \(segment.id)",
            found: "none"
        )
    }
}
