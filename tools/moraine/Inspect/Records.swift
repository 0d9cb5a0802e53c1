// Prints the records, entries and vectors that a look asks for.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineSegments
import MoraineStorage

extension Call {
    /// Prints the parts of sealed files that `look` asks for; nothing there is exit code 1.
    func printParts(_ look: Look, of files: [InspectedFile], _ store: InspectedStore)
        throws(Failure)
    {
        var found = 0
        // One thing is shown field by field, several as a table.
        var rows: [Description] = []
        func add(_ file: InspectedFile, _ fields: Description.Fields) {
            found += 1
            let row = Description.object([("file", .text(file.name))] + fields)
            if isJSON { print(row) } else { rows.append(row) }
        }
        for file in files where !output.isClosed {
            do throws(StoreError) {
                let walk = try SealedWalk(file, store, verifies: false)
                switch walk.header.kind {
                case .document:
                    let dead = store.deadRows(of: walk)
                    DocumentLook(walk, store).forEach(look, store) { record throws(FormatError) in
                        let isDead = record.row.flatMap { row in dead?.isDead(row) }
                        add(file, try record.fields(isDead: isDead))
                        return !output.isClosed
                    }
                case .key: KeyLook(walk, store).forEach(look, store) { add(file, $0.fields) }
                case .vector:
                    let vectors = try VectorLook(walk)
                    for row in try store.rows(look, of: walk) {
                        for vector in try vectors.vectors(ofRow: row, store) {
                            found += 1
                            if isJSON { print(vector) } else { rows.append(vector) }
                        }
                    }
                default: break
                }
            } catch {
                _ = store.damage(error)
            }
        }
        if rows.count == 1 {
            print(rows[0])
        } else if !rows.isEmpty {
            print(.list(rows))
        }
        guard found > 0 || store.exit != .fine else {
            throw Failure(.absent, "there is nothing of that kind in what was looked at")
        }
    }
}

extension InspectedStore {
    /// The rows of a segment that are dead, `nil` when nothing tells.
    func deadRows(of walk: SealedWalk) -> DeadRows? {
        guard let state, let footer = walk.footer,
            let segment = state.segments.first(where: { $0.id == walk.header.fileID }),
            let rowCount = UInt32(exactly: footer.rowCount)
        else { return nil }
        guard let entry = state.deletions[segment.id] else { return DeadRows(rowCount: rowCount) }
        do throws(StoreError) {
            return try DeletionFile.read(
                fileSystem: fileSystem,
                root: folder,
                segmentID: segment.id,
                storeID: walk.header.storeID,
                reference: entry.file,
                rowCount: rowCount
            ).rows
        } catch {
            _ = damage(error)
            return nil
        }
    }

    /// The rows that a look asks for in a .vec file; keys are looked up in the .doc file beside.
    fileprivate func rows(_ look: Look, of vectors: SealedWalk) throws(StoreError) -> [UInt32] {
        switch look {
        case .row(let row): return [row]
        case .block: return []
        case .keys:
            guard case .vector(let segment)? = FileNames.parse(vectors.file.name),
                let file = try? openIfThere(FileNames.document(segment))
            else { return [] }
            var rows: [UInt32] = []
            let walk = try SealedWalk(file, self, verifies: false)
            DocumentLook(walk, self).forEach(look, self) { record in
                if let row = record.row { rows.append(row) }
                return true
            }
            return rows
        }
    }
}
