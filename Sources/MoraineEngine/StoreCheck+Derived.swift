// Checks the derived files that the manifest names. The store does without them, so nothing else
// depends on what is found here; but what is damaged is said.

import MoraineFormat
import MoraineSegments
import MoraineStorage

extension StoreCheck {
    /// Checks the derived files of every segment.
    ///
    /// - Throws: what the limit throws.
    mutating func checkDerived(_ root: Root, _ state: StoreState) throws(StoreError) {
        let cache = BlockCache(byteBudget: 1 << 20)
        for entry in state.segments where state.derived[entry.id] != nil {
            let segment = try? Segment(
                fileSystem,
                folder: folder,
                storeID: root.storeID,
                entry: entry,
                cache: cache
            )
            var indexes = SegmentIndexes()
            for derived in state.derivedEntries(of: entry.id) {
                guard let name = derived.name,
                    let format = options.indexFormats.first(where: { $0.kind == derived.kind })
                else { continue }
                try limit?.check()
                count(name)
                guard let segment else {
                    report.unchecked.append("\(name): its segment cannot be read")
                    continue
                }
                if let base = format.kind.base, indexes[base] == nil {
                    report.unchecked.append("\(name): its \(base.name) cannot be read")
                    continue
                }
                check(
                    derived,
                    format,
                    IndexSource(
                        fileSystem: fileSystem,
                        folder: folder,
                        storeID: root.storeID,
                        segment: segment,
                        indexes: indexes
                    ),
                    &indexes
                )
            }
        }
    }

    private mutating func check(
        _ derived: DerivedEntry,
        _ format: IndexFormat,
        _ source: IndexSource,
        _ indexes: inout SegmentIndexes
    ) {
        do throws(StoreError) {
            let file = try format.file(derived.file, source)
            var found: [Finding] = []
            file.reader.verify(source, within: limit) { found.append($0) }
            report.findings += found
            indexes[format.kind] = file
        } catch {
            add(error, .structure)
        }
    }
}
