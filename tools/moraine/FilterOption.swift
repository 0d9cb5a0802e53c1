// From the options of a filter to the filter.

import MoraineFilters

extension Option {
    /// For every command that takes a filter.
    static let filtering = [
        Option("--filter", "TEXT", "only documents that pass: 'year >= 2020 and lang == \"sv\"'"),
        Option(
            "--filter-json",
            "JSON",
            "the same as JSON: '{\"field\":\"year\",\"op\":\">=\",...}'"
        ),
    ]

    /// What a filter's text may hold, for the help of the commands that take one.
    static let filterNote = """
        A filter compares fields of the metadata: == != < <= > >=, in [1, 2], contains,
        startswith, exists; not, and, or, parentheses. Values are those of JSON; a.b is b in the
        object a; names that are not letters, digits and _ stand in backticks. A comparison with
        a field that a document lacks fails, != too.
        """
}

extension Call {
    /// The filter that is given; `nil` without one.
    func filter() throws(Failure) -> Filter? {
        let text = arguments["--filter"]
        let json = arguments["--filter-json"]
        guard text == nil || json == nil else {
            throw command.misuse("give --filter or --filter-json, not both")
        }
        do throws(FilterError) {
            if let text { return try Filter(text: text) }
            if let json { return try Filter(json: json) }
            return nil
        } catch {
            let option = text == nil ? "--filter-json" : "--filter"
            let place = error.path.map { "\($0): " } ?? ""
            var failure = Failure(.usage, "\(option): \(place)\(error.message)")
            if let text, let column = error.column {
                failure.excerpt = marked(text, column: column)
            }
            throw failure
        }
    }
}

/// What stands around a character of a text, counted from 1, and a caret under it.
private func marked(_ text: String, column: Int) -> [String] {
    // A line of a terminal; a long filter is shown around the place.
    let width = 76
    let first = max(0, min(column - 1 - width / 2, text.count - width))
    let shown = text.dropFirst(first).prefix(width)
    return [String(shown), String(repeating: " ", count: column - 1 - first) + "^"]
}
