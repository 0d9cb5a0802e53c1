"""zvec: documents with a graph over the vectors, inverted indexes for filters."""

import importlib.metadata
import json
import os

import measure
import zvec
from zvec import (
    CollectionSchema,
    DataType,
    Doc,
    FieldSchema,
    HnswIndexParam,
    HnswQueryParam,
    InvertIndexParam,
    MetricType,
    OptimizeOption,
    Query,
    VectorSchema,
)


class Zvec:
    settings = (
        "m=16, ef_construction=200, no quantisation, inverted index for filters, one query a call"
    )
    has_filters = True
    least_width = 1

    def version(self):
        return importlib.metadata.version("zvec")

    def build(self, data, folder):
        metrics = {"cosine": MetricType.COSINE, "dot": MetricType.IP, "l2": MetricType.L2}
        index_param = HnswIndexParam(metric_type=metrics[data.metric], m=16, ef_construction=200)
        schema = CollectionSchema(
            "docs",
            fields=[FieldSchema(name, DataType.STRING) for name in ("id", "text", "metadata")]
            + [
                FieldSchema("m_" + key, DataType.STRING, True, InvertIndexParam())
                for key in data.filter_keys
            ],
            vectors=VectorSchema("vector", DataType.VECTOR_FP32, data.dimensions, index_param),
        )
        base = data.base()
        documents = []
        for row, document in enumerate(data.documents()):
            metadata = document["metadata"]
            fields = {
                "id": document["id"],
                "text": document["text"],
                "metadata": json.dumps(metadata),
            }
            for key in data.filter_keys:
                if key in metadata:
                    fields["m_" + key] = metadata[key]
            documents.append(Doc(str(row), vectors={"vector": base[row].tolist()}, fields=fields))
        path = os.path.join(folder, "docs")

        def load():
            self.collection = zvec.create_and_open(path, schema)
            for start in range(0, len(documents), 1000):
                for status in self.collection.insert(documents[start : start + 1000]):
                    if not status.ok():
                        raise RuntimeError(status.message())
            self.collection.flush()

        def index():
            self.collection.optimize(OptimizeOption(concurrency=2))
            self.collection.flush()

        loading, indexing = measure.timed(load), measure.timed(index)
        return {
            "import_seconds": loading + indexing,
            "index_seconds": indexing,
            "store_bytes": measure.tree_bytes(folder),
        }

    def open(self, data, folder):
        self.queries = [query.tolist() for query in data.queries]
        option = zvec.CollectionOption(read_only=True, enable_mmap=True)
        self.collection = zvec.open(os.path.join(folder, "docs"), option)

    def search(self, width, filter_name):
        condition = None
        if filter_name:
            key, value = filter_name.split("=", 1)
            condition = f"m_{key} = '{value}'"
        param = HnswQueryParam(ef=width)

        def one(query):
            hits = self.collection.query(
                Query("vector", vector=query, param=param),
                topk=measure.LIMIT,
                filter=condition,
                output_fields=[],
            )
            return [int(hit.id) for hit in hits]

        return measure.on_threads(self.threads, one, self.queries)


measure.main(Zvec())
