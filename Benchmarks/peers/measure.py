"""What all engines are measured with: the data set, recall, time, memory, and the two phases.

An engine is a class with `name`, `settings`, `version()`, `build(data, folder)`, `open(data,
folder)` and `search(width, filter)`. It runs as a program of its own, once for each phase, so that
its memory is its own and an index is searched as it was reopened from disk.
"""

import concurrent.futures
import json
import os
import statistics
import sys
import time

import numpy

LIMIT = 10
WIDTHS = (10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
FILTER_WIDTHS = (48, 96, 192, 384)


class DataSet:
    """A data set's folder."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "meta.json"), encoding="utf-8") as file:
            meta = json.load(file)
        self.count, self.dimensions = meta["n"], meta["d"]
        self.query_count, self.metric = meta["nq"], meta["metric"]
        self.queries = self._floats("queries.f32").reshape(-1, self.dimensions)
        names = sorted(os.listdir(folder))
        # KEY=VALUE of each gt_KEY=VALUE.f32
        self.filters = [
            name[3:-4]
            for name in names
            if name.startswith("gt_") and name.endswith(".f32") and "=" in name
        ]
        self.filter_keys = sorted({name.split("=", 1)[0] for name in self.filters})

    def _floats(self, name):
        return numpy.fromfile(os.path.join(self.folder, name), numpy.float32)

    def base(self):
        """The vectors, mapped."""
        path = os.path.join(self.folder, "base.f32")
        return numpy.memmap(path, numpy.float32, "r", shape=(self.count, self.dimensions))

    def documents(self):
        """All documents, each with id, text and metadata."""
        with open(os.path.join(self.folder, "docs.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def scores(self, rows):
        """The scores of rows for each query, in double precision; `-1` is no row."""
        base = self.base()
        found = numpy.full(rows.shape, numpy.nan)
        for query, (vector, listed) in enumerate(zip(self.queries.astype(float), rows)):
            there = listed >= 0
            vectors = base[listed[there]].astype(float)
            if self.metric == "l2":
                scores = ((vectors - vector) ** 2).sum(1)
            else:
                scores = vectors @ vector
                if self.metric == "cosine":
                    norms = numpy.linalg.norm(vectors, axis=1) * numpy.linalg.norm(vector)
                    scores = scores / norms
            found[query, there] = scores
        return found

    def recall(self, rows, filter_name=None):
        """The share of the nearest that rows are as near as, less 0.00001."""
        name = "gt.f32" if filter_name is None else f"gt_{filter_name}.f32"
        bars = self._floats(name).reshape(self.query_count, -1)
        count = min(LIMIT, bars.shape[1])
        bars = bars[:, count - 1 : count].astype(float)
        scores = self.scores(rows)
        hits = scores <= bars + 1e-5 if self.metric == "l2" else scores >= bars - 1e-5
        return float(hits.sum()) / (self.query_count * count)

    def misjudged(self, sample=8):
        """How many of some queries' nearest are not what comparing all vectors finds."""
        base = self.base()
        bars = self._floats("gt.f32").reshape(self.query_count, -1)[:, LIMIT - 1]
        wrong = 0
        for query in range(0, self.query_count, max(1, self.query_count // sample)):
            vector = self.queries[query].astype(float)
            scores = []
            for start in range(0, self.count, 65536):
                part = base[start : start + 65536].astype(float)
                if self.metric == "l2":
                    scores.append(-((part - vector) ** 2).sum(1))
                    continue
                products = part @ vector
                if self.metric == "cosine":
                    norms = numpy.linalg.norm(part, axis=1) * numpy.linalg.norm(vector)
                    products = products / norms
                scores.append(products)
            best = numpy.sort(numpy.concatenate(scores))[-LIMIT]
            if self.metric == "l2":
                best = -best
            wrong += abs(best - bars[query]) > 1e-5
        return int(wrong)


def memory():
    """Bytes of this process that no file backs, and of mapped files."""
    sizes = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("RssAnon", "RssFile"):
                sizes[name] = int(rest.split()[0]) * 1024
    return sizes["RssAnon"], sizes["RssFile"]


def tree_bytes(folder):
    """Bytes on disk of all files below a folder, without holes."""
    return sum(
        os.stat(os.path.join(place, name)).st_blocks * 512
        for place, _, names in os.walk(folder)
        for name in names
    )


def timed(work):
    """Seconds that work takes, with what it left unsynced written to disk."""
    start = time.perf_counter()
    work()
    os.sync()
    return time.perf_counter() - start


def on_threads(threads, work, items):
    """The results of work for all items, in order."""
    if threads == 1:
        return [work(item) for item in items]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def as_rows(lists):
    """Lists of row numbers as an array; `-1` where one is short."""
    rows = numpy.full((len(lists), LIMIT), -1, numpy.int64)
    for place, found in enumerate(lists):
        rows[place, : len(found)] = found
    return rows


def sweep(engine, data, widths, rounds, filter_name=None):
    """[width, recall, queries a second] for each width, until recall is above any of interest."""
    points = []
    for width in widths:  # warms up, and shows how far to go
        if width < engine.least_width:
            continue
        recall = data.recall(as_rows(engine.search(width, filter_name)), filter_name)
        points.append((width, recall, []))
        if recall > 0.995:
            break
    # All widths in each round: a slow moment of the machine falls on a round of each.
    for _ in range(rounds):
        for width, _, rates in points:
            if rates and data.query_count / rates[0] > 10:
                continue
            start = time.perf_counter()
            engine.search(width, filter_name)
            rates.append(data.query_count / (time.perf_counter() - start))
    return [[width, recall, statistics.median(rates)] for width, recall, rates in points]


def main(engine):
    """Runs one phase: `build DATA FOLDER RESULT` or `search DATA FOLDER RESULT THREADS ROUNDS`."""
    phase, data, folder, result = sys.argv[1], DataSet(sys.argv[2]), sys.argv[3], sys.argv[4]
    answer = {"version": engine.version(), "settings": engine.settings}
    if phase == "build":
        answer |= engine.build(data, folder)
    else:
        engine.threads, rounds = int(sys.argv[5]), int(sys.argv[6])
        before = memory()
        engine.open(data, folder)
        engine.search(48, None)
        after = memory()
        answer["memory"] = [after[0] - before[0], after[1] - before[1]]
        answer["curve"] = sweep(engine, data, WIDTHS, rounds)
        if engine.has_filters and engine.threads == 1:
            answer["filters"] = {
                name: sweep(engine, data, FILTER_WIDTHS, rounds, name) for name in data.filters
            }
    with open(result, "w", encoding="utf-8") as file:
        json.dump(answer, file)
