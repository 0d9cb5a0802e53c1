// Codes of vectors as derived files.

import MoraineFormat
package import MoraineStorage
package import MoraineVectors

extension IndexFormat {
    /// Codes, for segments with a collection that has vectors enough.
    package static let codes = IndexFormat(
        kind: .codes,
        isWanted: { segment in
            let spaces = segment.vectors?.spaces ?? []
            return spaces.contains { $0.vectorCount >= CodeFileWriter.leastVectorCount }
        },
        open: { source, reference throws(StoreError) in
            try CodeFile(
                fileSystem: source.fileSystem,
                root: source.folder,
                segment: source.segment.id,
                storeID: source.storeID,
                reference: reference,
                vectors: try source.vectors()
            )
        },
        write: { target throws(StoreError) in
            let source = target.source
            return try CodeFileWriter.write(
                vectors: try source.vectors(),
                fileSystem: source.fileSystem,
                root: source.folder,
                segment: source.segment.id,
                storeID: source.storeID,
                fileID: target.fileID,
                createdLSN: target.createdLSN,
                step: target.step
            )
        }
    )
}

extension CodeFile: IndexReader {
    package func verify(
        _ source: IndexSource,
        within limit: ReadLimit?,
        _ report: (Finding) -> Void
    ) {
        if let vectors = source.segment.vectors {
            verify(against: vectors, within: limit, report)
        }
    }
}

extension IndexSource {
    /// The vectors of the segment, without which there is nothing to open or to write.
    func vectors() throws(StoreError) -> VectorFile {
        if let vectors = segment.vectors { return vectors }
        throw StoreError(
            .corrupted,
            "a derived file of vectors belongs to a segment without vectors",
            path: folder,
            expected: "vectors in segment \(segment.id)",
            found: "none"
        )
    }
}
