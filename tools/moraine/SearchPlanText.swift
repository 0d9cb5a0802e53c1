// How a search went about its work, for people and as JSON.

import MoraineEngine
import MoraineJSON

extension Call {
    /// Prints a plan: a table on standard error, or a line of JSON behind the hits.
    func print(_ plan: SearchPlan) {
        if isJSON {
            var json = JSONWriter()
            Description.object([("plan", .object(plan.fields))]).write(to: &json)
            output.writeLine(&json)
            return
        }
        // The hits stand before it where both go to one terminal.
        output.flush()
        let columns: [(String, Table.Alignment)] = [
            ("segment", .right), ("method", .left), ("vectors", .right), ("matches", .right),
            ("ef", .right), ("filter by", .left),
        ]
        var table = Table(console.error, columns)
        for step in plan.steps {
            let filter = step.hasColumns ? "columns" : "documents"
            table.add([
                step.segmentID.map { "\($0)" } ?? "memory", step.method.rawValue,
                grouped(step.vectorCount), step.matchCount.map { grouped($0) } ?? "",
                step.width.map { "\($0)" } ?? "", step.matchCount == nil ? "" : filter,
            ])
        }
        table.finish()
        if plan.graphCodeCount > 0 {
            console.error.writeLine(
                "graphs compared \(grouped(plan.graphCodeCount)) codes and "
                    + "\(grouped(plan.graphVectorCount)) vectors"
            )
        }
        noteUnknownFields(plan)
    }

    /// Tells of fields that no document has: most often a slip of the pen.
    func noteUnknownFields(_ plan: SearchPlan) {
        for field in plan.unknownFields {
            console.note("no document has a field \(field)")
        }
    }
}

extension SearchPlan {
    fileprivate var fields: Description.Fields {
        [
            (
                "steps",
                .list(
                    steps.map { step in
                        .object([
                            ("segment", step.segmentID.map { .number($0) } ?? .null),
                            ("method", .text(step.method.rawValue)),
                            ("vectors", .number(step.vectorCount)),
                            ("matches", step.matchCount.map { .number($0) } ?? .null),
                            ("ef", step.width.map { .number($0) } ?? .null),
                            ("columns", .bool(step.hasColumns)),
                        ])
                    }
                )
            ),
            ("graphCodes", .number(graphCodeCount)),
            ("graphVectors", .number(graphVectorCount)),
            ("unknownFields", .list(unknownFields.map { .text($0) })),
        ]
    }
}
