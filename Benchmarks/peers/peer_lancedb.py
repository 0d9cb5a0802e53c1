"""LanceDB: documents and vectors in columns, a graph over scalar codes, bitmaps for filters."""

import importlib.metadata
import json
import time

import lancedb
import measure
import pyarrow
from lancedb.index import Bitmap, HnswSq


class LanceDB:
    settings = (
        "IVF_HNSW_SQ of one partition, m=16, ef_construction=200, refine_factor=2, bitmap index for"
        " filters, one query a call"
    )
    has_filters = True
    least_width = 2 * measure.LIMIT  # less is refused with this refine_factor

    def version(self):
        return importlib.metadata.version("lancedb")

    def build(self, data, folder):
        documents = data.documents()
        base = pyarrow.array(data.base().reshape(-1))
        columns = {
            "row": pyarrow.array(range(data.count), pyarrow.int64()),
            "id": [document["id"] for document in documents],
            "text": [document["text"] for document in documents],
            "metadata": [json.dumps(document["metadata"]) for document in documents],
            "vector": pyarrow.FixedSizeListArray.from_arrays(base, data.dimensions),
        }
        for key in data.filter_keys:
            values = [document["metadata"].get(key) for document in documents]
            columns["m_" + key] = pyarrow.array(values, pyarrow.string())
        rows = pyarrow.table(columns)
        config = HnswSq(
            distance_type=data.metric, num_partitions=1, m=16, ef_construction=200
        )
        seconds = {}

        def load():
            self.table = lancedb.connect(folder).create_table("docs", data=rows)

        def index():
            start = time.perf_counter()
            self.table.create_index("vector", config=config)
            seconds["index_seconds"] = time.perf_counter() - start
            for key in data.filter_keys:
                self.table.create_index("m_" + key, config=Bitmap())

        whole = measure.timed(load) + measure.timed(index)
        return seconds | {"import_seconds": whole, "store_bytes": measure.tree_bytes(folder)}

    def open(self, data, folder):
        self.queries = list(data.queries)
        self.table = lancedb.connect(folder).open_table("docs")

    def search(self, width, filter_name):
        where = None
        if filter_name:
            key, value = filter_name.split("=", 1)
            where = f"m_{key} = '{value}'"

        def one(query):
            search = self.table.search(query).ef(width).refine_factor(2).limit(measure.LIMIT)
            if where:
                search = search.where(where, prefilter=True)
            return search.select(["row", "_distance"]).to_arrow()["row"].to_pylist()

        return measure.on_threads(self.threads, one, self.queries)


measure.main(LanceDB())
