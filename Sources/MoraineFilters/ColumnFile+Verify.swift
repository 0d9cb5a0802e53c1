// Reads every byte of a file of columns and says what is wrong. Rules: format-spec/columns.md.

import MoraineBytes
import MoraineFormat
package import MoraineStorage

extension ColumnFile {
    /// Checks the frame and every chunk, and where all of them are good, what they hold.
    ///
    /// Collections follow each other without a gap, paths, strings and numbers ascend, a field has
    /// one column of a kind and domain, lists hold rows of their collection, as many as is said.
    /// Goes on after a finding, with the next column.
    ///
    /// - Parameter limit: ends it early, without a word.
    package func verify(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        var isSound = true
        file.verifyAll(within: limit) { finding in
            isSound = false
            report(finding)
        }
        guard isSound, limit?.isOver != true else { return }
        var nextRow: UInt32 = 0
        var nextField = 0
        var lastID: UInt32 = 0
        // Columns share no bytes: what names some of them often is not read as often.
        var unseenByteCount = UInt64(values.byteCount)
        for index in 0..<collectionCount {
            attempt(report) { () throws(StoreError) in
                let collection = try collection(at: index)
                defer {
                    nextRow = collection.rows.upperBound
                    // Not back: no field is looked at twice.
                    nextField = max(nextField, collection.fields.upperBound)
                    lastID = collection.collectionID
                }
                try expect(
                    collection.collectionID > lastID && collection.rows.lowerBound == nextRow
                        && collection.fields.lowerBound == nextField,
                    "a collection above \(lastID), from row \(nextRow) and field \(nextField)",
                    "\(collection.collectionID), rows \(collection.rows), "
                        + "fields \(collection.fields)"
                )
                verifyFields(of: collection, &unseenByteCount, report)
            }
        }
        attempt(report) { () throws(StoreError) in
            try expect(nextRow == rowCount, "collections of \(rowCount) rows", "\(nextRow)")
        }
    }

    /// Checks the next portion of the frame and the chunks; see `SealedFile.verifyPortion`.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        file.verifyPortion(&place, buffer, report)
    }

    private func verifyFields(
        of collection: ColumnCollection,
        _ unseenByteCount: inout UInt64,
        _ report: (Finding) -> Void
    ) {
        var last: [UInt8] = []
        for index in collection.fields {
            attempt(report) { () throws(StoreError) in
                let field = try field(at: index)
                let path = Array(try pathBytes(of: field))
                defer { last = path }
                try expect(
                    last.lexicographicallyPrecedes(path),
                    "paths that ascend",
                    "field \(index) not above the one before"
                )
                var seen: [ColumnEntry] = []
                for number in field.columns {
                    attempt(report) { () throws(StoreError) in
                        let column = try column(at: number)
                        try expect(
                            !seen.contains { $0.kind == column.kind && $0.domain == column.domain },
                            "a column of each kind and domain",
                            "field \(index) with two of kind \(column.kind)"
                        )
                        seen.append(column)
                        try expect(
                            column.byteCount <= unseenByteCount,
                            "columns that share no bytes",
                            "field \(index) with some of another's"
                        )
                        unseenByteCount -= column.byteCount
                        try verify(column, collection.rows)
                    }
                }
                try expect(
                    field.columns.isEmpty || seen.contains { $0.kind == .present },
                    "a column of the rows that have it",
                    "field \(index) without"
                )
            }
        }
    }

    private func verify(_ entry: ColumnEntry, _ rows: Range<UInt32>) throws(StoreError) {
        switch entry.kind {
        case .present, .composite, .null, .false, .true:
            let start = Int(entry.offset)
            let count = try rowCount(at: start, count: Int(entry.byteCount), of: rows)
            try expect(
                count == Int(entry.valueCount),
                "\(entry.valueCount) rows",
                "\(count)",
                at: start
            )
        case .integers, .doubles: try verifyNumbers(entry, rows)
        case .strings: try verifyStrings(entry, rows)
        }
    }

    private func verifyNumbers(_ entry: ColumnEntry, _ rows: Range<UInt32>) throws(StoreError) {
        let column = NumberColumn(self, entry, rows)
        let start = Int(entry.offset)
        try expect(
            Int(entry.byteCount) == ColumnLeaves.byteCount(column.count),
            "\(ColumnLeaves.byteCount(column.count)) bytes",
            "\(entry.byteCount)",
            at: start
        )
        // Only looked at: a set of all rows for each column could take far more than its bytes.
        try column.add(0..<column.count, to: RowSet(rows.prefix(0)))
        var last: (value: Number, row: UInt32)?
        for leaf in 0..<ColumnLeaves.leafCount(column.count) {
            let count = ColumnLeaves.entries(ofLeaf: leaf, of: column.count).count
            let list = try column.rows(ofLeaf: leaf)
            let bounds = try column.bounds(ofLeaf: leaf)
            let first = try column.number(0, ofLeaf: leaf)
            let end = try column.number(count - 1, ofLeaf: leaf)
            try expect(
                bounds.least.order(first) == 0 && bounds.greatest.order(end) == 0,
                "the least and greatest number of leaf \(leaf)",
                "others",
                at: start
            )
            for place in 0..<count {
                let value = try column.number(place, ofLeaf: leaf)
                let row = UInt32(
                    littleEndian: list.loadUnaligned(fromByteOffset: place * 4, as: UInt32.self)
                )
                if let last {
                    let order = last.value.order(value)
                    try expect(
                        order < 0 || (order == 0 && last.row < row),
                        "numbers and their rows that ascend",
                        "number \(place) of leaf \(leaf) not above the one before",
                        at: start
                    )
                }
                last = (value, row)
            }
        }
    }

    private func verifyStrings(_ entry: ColumnEntry, _ rows: Range<UInt32>) throws(StoreError) {
        let column = StringColumn(self, entry, rows)
        let start = Int(entry.offset)
        var last: UnsafeRawBufferPointer?
        for index in 0..<column.count {
            let string = try column.string(index)
            try expect(
                last.map { KeyBytes.compare($0, string) < 0 } ?? true,
                "strings that ascend",
                "string \(index) not above the one before",
                at: start
            )
            last = string
            let list = try column.list(index)
            _ = try rowCount(at: list.lowerBound, count: list.count, of: rows)
        }
        let end = try column.list(column.count - 1).upperBound
        try expect(
            end == start + Int(entry.byteCount),
            "lists up to \(entry.byteCount)",
            "\(end - start)",
            at: start
        )
    }

    /// Runs `body` and reports what it throws.
    private func attempt(_ report: (Finding) -> Void, _ body: () throws(StoreError) -> Void) {
        do throws(StoreError) {
            try body()
        } catch {
            report(Finding(error, .record, file: file.name))
        }
    }

    /// - Parameter place: from the start of the values.
    private func expect(
        _ holds: Bool,
        _ expected: String,
        _ found: String,
        at place: Int = 0
    ) throws(StoreError) {
        guard holds else {
            throw file.damage(
                "columns break a rule of their form",
                at: values.entry.offset + UInt64(place),
                expected: expected,
                found: found
            )
        }
    }
}
