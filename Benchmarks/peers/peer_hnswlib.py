"""hnswlib: a graph in memory, saved to one file; no documents."""

import importlib.metadata
import os

import hnswlib
import measure
import numpy


class Hnswlib:
    settings = "M=16, ef_construction=200, all queries in one batch"
    has_filters = False  # its filter is a Python function that is called for each node
    least_width = 1

    def version(self):
        return importlib.metadata.version("hnswlib")

    def _index(self, data):
        space = {"cosine": "cosine", "dot": "ip", "l2": "l2"}[data.metric]
        return hnswlib.Index(space, data.dimensions)

    def build(self, data, folder):
        path = os.path.join(folder, "index.bin")
        base = numpy.array(data.base())

        def work():
            index = self._index(data)
            index.init_index(data.count, M=16, ef_construction=200, random_seed=1)
            index.add_items(base, numpy.arange(data.count), num_threads=2)
            index.save_index(path)

        seconds = measure.timed(work)
        return {"index_seconds": seconds, "index_bytes": os.path.getsize(path)}

    def open(self, data, folder):
        self.queries = data.queries
        self.index = self._index(data)
        self.index.load_index(os.path.join(folder, "index.bin"))

    def search(self, width, filter_name):
        self.index.set_ef(width)
        rows, _ = self.index.knn_query(self.queries, measure.LIMIT, num_threads=self.threads)
        return rows


measure.main(Hnswlib())
