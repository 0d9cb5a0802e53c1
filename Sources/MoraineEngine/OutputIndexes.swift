// The derived files of a merge's output. They are made before the output takes the place of its
// inputs: a segment that is searched by its graph is never followed by one that has none yet.

import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// What has become of the derived files of a merge's output.
struct OutputIndexes: Sendable {
    var files = SegmentIndexes()
    /// Kinds for which there was nothing to write.
    var needless: [DerivedKind] = []
    /// What kept files from being made: they are tried again once the output is in the store.
    var failures: [(kind: DerivedKind, error: StoreError)] = []
}

extension Engine {
    /// Makes the derived files that a merge's output is to have from its first moment.
    ///
    /// A file that cannot be made is left out, and holds nothing up. Works beside commits, as the
    /// merge itself does; what is made is not part of the store yet.
    ///
    /// - Throws: what `step` throws.
    func makeIndexes(
        of built: inout BuiltCompaction,
        width: Int,
        progress: @escaping @Sendable (_ linked: Int, _ toLink: Int) -> Void,
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) {
        guard let segment = built.segment else { return }
        for format in options.indexFormats where built.task.derivedKinds.contains(format.kind) {
            let view = SegmentView(
                segment: segment,
                dead: DeadRows(rowCount: segment.files.rowCount),
                indexes: built.indexes.files
            )
            guard view.lacks(format) else { continue }
            let target = IndexTarget(
                source: IndexSource(
                    fileSystem: options.fileSystem,
                    folder: folder,
                    storeID: built.task.storeID,
                    segment: segment,
                    indexes: built.indexes.files
                ),
                fileID: ids.allocateFile(),
                createdLSN: built.task.floor,
                width: width,
                origins: format.kind == .graph ? built.origins(built.plan.outputRows()) : [],
                progress: progress,
                step: step
            )
            do throws(StoreError) {
                if let file = try write(format, target) {
                    built.indexes.files[format.kind] = file
                } else {
                    built.indexes.needless.append(format.kind)
                }
            } catch {
                if error.code == .cancelled || error.code == .closed { throw error }
                built.indexes.failures.append((format.kind, error))
            }
        }
    }

    /// Takes note of what there is to know for making what a merge's output still lacks, which is
    /// in the store by now.
    func noteIndexes(of built: BuiltCompaction, outputRows: [[UInt32]]) {
        guard let segment = built.segment else { return }
        for kind in built.indexes.needless {
            indexing.memory.noteNeedless(IndexKey(segmentID: segment.id, kind: kind))
        }
        for (kind, error) in built.indexes.failures {
            indexing.memory.note(IndexKey(segmentID: segment.id, kind: kind), error)
        }
        let hasGraphs = options.indexFormats.contains { $0.kind == .graph }
        if hasGraphs, built.indexes.files[.graph] == nil {
            indexing.memory.noteOrigins(built.origins(outputRows), of: segment.id)
        }
        if !built.indexes.failures.isEmpty { scheduleMaintenance() }
    }
}

extension BuiltCompaction {
    /// Graphs of inputs that the output's graphs can go on from.
    ///
    /// What cannot be read is left out: a graph is then built from nothing.
    ///
    /// - Parameter outputRows: as ``MergePlan/outputRows()``.
    func origins(_ outputRows: [[UInt32]]) -> [GraphOrigin] {
        var origins: [GraphOrigin] = []
        for output in segment?.vectors?.spaces ?? [] {
            for (view, rows) in zip(task.inputs, outputRows) {
                let id = output.collectionID
                guard let graph = view.indexes.graph?.space(ofCollection: id),
                    let vectors = view.segment.vectors?.space(ofCollection: id),
                    let origin = try? GraphOrigin(graph, of: vectors, outputRows: rows, in: output)
                else { continue }
                origins.append(origin)
                break
            }
        }
        return origins
    }
}
