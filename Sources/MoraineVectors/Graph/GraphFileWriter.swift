// Writes the graphs of a segment. Bytes: format-spec/graph.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Makes `seg/<segment>.<file id>.gr` from a code file.
package enum GraphFileWriter {
    /// Rows between two calls of `step`.
    private static let batchCount = 4096

    /// Builds a graph for every space that has codes enough, tries it, seals and syncs the result.
    ///
    /// Memory: as ``GraphBuilder``, for one space at a time. The folder is the caller's to sync.
    /// After an error nothing is left of the file.
    ///
    /// - Parameters:
    ///   - origins: older graphs to go on from, one for a collection at most.
    ///   - threads: that build together, the caller's included.
    ///   - progress: called with how many vectors were linked since, and how many more there are to
    ///     link than was said before, by any of the threads.
    ///   - step: called every few hundred codes by any of them; what it throws ends the work.
    /// - Returns: what the manifest needs to know of the file; `nil` when no space is worth it.
    /// - Throws: `corrupted` when codes fail their checksum, errors of the operating system, and
    ///   what `step` throws.
    package static func write(
        vectors: VectorFile,
        codes: CodeFile,
        origins: [GraphOrigin] = [],
        parameters: GraphParameters = GraphParameters(),
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        threads: Int,
        progress: @escaping @Sendable (_ linked: Int, _ toLink: Int) -> Void = { _, _ in },
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) -> SealedFileReference? {
        let counts = max(2, parameters.leastVectorCount)..<(1 << 31)
        let spaces = codes.spaces.filter { counts.contains($0.count) }
        guard !spaces.isEmpty else { return nil }
        progress(0, spaces.reduce(0) { $0 + $1.count })
        let writer = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.graph, segment, fileID: fileID),
            kind: .graph,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        defer { writer.abandon() }
        var source = ByteWriter()
        DerivedSource(vectors.reference).encode(into: &source)
        DerivedSource(codes.reference).encode(into: &source)
        try writer.addSection(SectionType.source, source)
        var table = ByteWriter()
        for (index, space) in spaces.enumerated() {
            let builder = GraphBuilder(try GraphCodes(space), parameters)
            let start = start(space, vectors, origins)
            try builder.build(
                from: start,
                threads: threads,
                linked: { progress($0, 0) },
                step: step
            )
            let trial = try builder.trial(threads: threads, step: step)
            let joinCount = builder.isJoined ? 1 + (start?.graph.entry.joinCount ?? 0) : 0
            let entry = try write(builder, trial, joinCount, space, UInt32(index), to: writer, step)
            entry.encode(into: &table)
        }
        try writer.addSection(SectionType.graphSpaces, table)
        let footer = vectors.file.footer
        return try writer.finish(
            rowCount: footer.rowCount,
            minLSN: footer.minLSN,
            maxLSN: footer.maxLSN
        )
    }

    /// What to begin a graph with; nothing when the older graph is damaged, which is no loss.
    private static func start(
        _ space: CodeSpace,
        _ vectors: VectorFile,
        _ origins: [GraphOrigin]
    ) -> GraphStart? {
        guard let origin = origins.first(where: { $0.collectionID == space.collectionID }),
            let output = vectors.space(ofCollection: space.collectionID)
        else { return nil }
        return try? origin.start(in: output)
    }

    private static func write(
        _ builder: GraphBuilder,
        _ trial: GraphTrial,
        _ joinCount: Int,
        _ space: CodeSpace,
        _ ordinal: UInt32,
        to writer: SealedFileWriter,
        _ step: () throws(StoreError) -> Void
    ) throws(StoreError) -> GraphSpaceEntry {
        var linkCount = 0
        try writer.beginSection(SectionType.links, ordinal: ordinal)
        for start in stride(from: 0, to: space.count, by: batchCount) {
            try step()
            for node in start..<min(start + batchCount, space.count) {
                let row = UnsafeBufferPointer(
                    start: builder.row(UInt32(node)),
                    count: GraphSpaceEntry.degree
                )
                linkCount += row.count { $0 != GraphLinks.unused }
                try writer.append(UnsafeRawBufferPointer(row))
            }
        }
        try writer.endSection()
        try append(builder.entries, SectionType.graphEntries, ordinal, to: writer)
        if !builder.duplicates.isEmpty {
            try append(builder.duplicates, SectionType.duplicates, ordinal, to: writer)
        }
        return GraphSpaceEntry(
            collectionID: space.collectionID,
            vectorCount: space.count,
            nodeCount: builder.nodeCount,
            entryCount: builder.entries.count,
            joinCount: joinCount,
            width: builder.parameters.width,
            factor: builder.parameters.factor,
            meanDegree: Float(Double(linkCount) / Double(builder.nodeCount)),
            sampleCount: trial.sampleCount,
            recalls: trial.recalls,
            walk: trial.walk
        )
    }

    private static func append(
        _ words: [UInt32],
        _ type: UInt32,
        _ ordinal: UInt32,
        to writer: SealedFileWriter
    ) throws(StoreError) {
        try writer.beginSection(type, ordinal: ordinal)
        try words.withUnsafeBufferPointer { words throws(StoreError) in
            try writer.append(UnsafeRawBufferPointer(words))
        }
        try writer.endSection()
    }
}
