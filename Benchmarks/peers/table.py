"""The table of one run, in Markdown."""

TARGETS = (0.95, 0.99)


def rate_at(points, target):
    """Queries a second at a recall, on the line between the widths on both sides of it.

    Where even the smallest width finds more, its rate: a floor. `None` where none reaches it.
    """
    if not points:
        return None
    if points[0][1] >= target:
        return points[0][2]
    for low, high in zip(points, points[1:]):
        if low[1] <= target <= high[1] and high[1] > low[1]:
            part = (target - low[1]) / (high[1] - low[1])
            return low[2] + part * (high[2] - low[2])
    return None


def number(value, digits=0):
    """With commas, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def rows(head, body):
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|---|" + "--:|" * (len(head) - 1))
    lines += ["| " + " | ".join(line) + " |" for line in body]
    return "\n".join(lines) + "\n"


class Comparison:
    """Who is ahead, collected while the table is made."""

    def __init__(self):
        self.ahead = []

    def line(self, what, values, higher=True):
        """A row of values by engine; the best in bold, and where a peer is ahead it is noted."""
        known = {name: value for name, value in values.items() if value is not None}
        best = (max if higher else min)(known.values(), default=None)
        ours = known.get("Moraine")
        for name, value in known.items():
            if ours and name != "Moraine" and (value > ours if higher else value < ours):
                factor = value / ours if higher else ours / value
                self.ahead.append(f"{what}: {name} by a factor of {factor:.2f}")
        return [what] + [
            "–" if value is None else f"**{number(value)}**" if value == best else number(value)
            for value in values.values()
        ]


def memory_of(engine):
    """Bytes in memory while searching, or none."""
    return None if "memory" not in engine else sum(engine["memory"]) / 2**20


def text(data, about, engines, rounds):
    """The whole page."""
    compared = Comparison()
    present = [engine for engine in engines if "curves" in engine]
    names = [engine["name"] for engine in present]

    def line(what, value, higher=True):
        values = {engine["name"]: value(engine) for engine in present}
        return compared.line(what, values, higher)

    def per_document(engine, key):
        return engine[key] / data.count if key in engine else None

    search = []
    for threads, label in ((1, "one thread"), (2, "two threads")):
        for target in TARGETS:
            search.append(
                line(
                    f"queries/s at recall {target}, {label}",
                    lambda e, n=threads, t=target: rate_at(e["curves"].get(n), t),
                )
            )
    index = [
        line("making the index, two threads, s", lambda e: e.get("index_seconds"), False),
        line("index, bytes a vector", lambda e: per_document(e, "index_bytes"), False),
        line("memory added by opening and searching, MiB", memory_of, False),
        ["… of it mapped from files"]
        + [
            number(engine["memory"][1] / 2**20) if "memory" in engine else "–"
            for engine in present
        ],
        line(
            "import until indexed and durable, documents/s",
            lambda e: data.count / e["import_seconds"] if "import_seconds" in e else None,
        ),
        line("store, bytes a document", lambda e: per_document(e, "store_bytes"), False),
    ]
    filtered = []
    for name in data.filters:
        reached = {}
        for engine in present:
            points = engine.get("filters", {}).get(name, [])
            reached[engine["name"]] = next((p for p in points if p[1] >= 0.95), None)
        rates = {who: point[2] if point else None for who, point in reached.items()}
        filtered.append(compared.line(f"`{name}`, queries/s", rates))
        filtered.append(
            ["… with recall"] + [f"{p[1]:.4f}" if p else "–" for p in reached.values()]
        )

    page = ["# Moraine beside other embedded engines\n"]
    page.append(
        f"{data.count:,} documents of {data.dimensions} dimensions, {data.metric};"
        f" {data.query_count:,} queries, ten nearest, medians of {rounds} round"
        f"{'' if rounds == 1 else 's'}. Recall counts a hit when its true score reaches that of"
        " the tenth nearest less 0.00001. Rates lie on the line between two widths; where the"
        " smallest width already finds more, its rate counts. The best of each row is bold.\n"
    )
    page.append(rows(["Machine", ""], [[key, value] for key, value in about.items()]))
    page.append("## Search\n")
    page.append(rows(["", *names], search))
    page.append("## Index, memory, import\n")
    page.append(rows(["", *names], index))
    page.append(
        "hnswlib's index holds the vectors themselves; Moraine's codes and graph lie beside them."
        " Engines without a figure keep their index and their documents in the same files.\n"
    )
    if filtered:
        page.append("## Filtered search\n")
        page.append(
            "The rate at the first width that reaches recall 0.95, one thread. hnswlib's filter is"
            " a Python function, called for each node: not measured.\n"
        )
        page.append(rows(["", *names], filtered))
    page.append("## Where another engine is ahead\n")
    nowhere = "Nowhere in this run.\n" if "Moraine" in names else "Moraine was not measured.\n"
    page.append("".join(f"- {fact}\n" for fact in compared.ahead) or nowhere)
    page.append("## Settings\n")
    facts = [
        f"- {engine['name']} {engine.get('version', '')}: {engine.get('settings', '')}".rstrip(": ")
        + (f"; {engine['note']}" if "note" in engine else "")
        for engine in present
    ]
    facts += [
        f"- {engine['name']}: no figures, {engine['failure']}"
        for engine in engines
        if "failure" in engine
    ]
    page.append("\n".join(facts) + "\n")
    for engine in present:
        page.append(curve(engine))
    return "\n".join(page)


def curve(engine):
    """All points of an engine, for those who draw."""
    two = {point[0]: point for point in engine["curves"].get(2, [])}
    body = [
        [str(width), f"{recall:.4f}", number(rate), number(two[width][2] if width in two else None)]
        for width, recall, rate in engine["curves"][1]
    ]
    head = ["width", "recall", "one thread, queries/s", "two threads, queries/s"]
    return f"### {engine['name']}\n\n" + rows(head, body)
