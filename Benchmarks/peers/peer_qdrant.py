"""Qdrant Edge: points with payloads, a graph over the vectors, keyword indexes for filters."""

import importlib.metadata

import measure
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    MatchValue,
    PayloadSchemaType,
    Point,
    Query,
    QueryBatchRequest,
    QueryRequest,
    SearchParams,
    UpdateOperation,
)


class QdrantEdge:
    settings = (
        "m=16, ef_construct=200, one segment, no quantisation, keyword index for filters, all"
        " queries in one batch (two with two threads)"
    )
    has_filters = True
    least_width = 1

    def version(self):
        return importlib.metadata.version("qdrant-edge-py")

    def build(self, data, folder):
        documents, base = data.documents(), data.base()
        distances = {"cosine": Distance.Cosine, "dot": Distance.Dot, "l2": Distance.Euclid}
        hnsw = HnswIndexConfig(16, 200, full_scan_threshold=10_000, max_indexing_threads=2)
        config = EdgeConfig(
            vectors=EdgeVectorParams(data.dimensions, distances[data.metric], hnsw_config=hnsw),
            hnsw_config=hnsw,
            optimizers=EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1000),
        )
        points = [
            Point(row, base[row].tolist(), {"id": d["id"], "text": d["text"], **d["metadata"]})
            for row, d in enumerate(documents)
        ]

        def load():
            self.shard = EdgeShard.create(folder, config)
            for key in data.filter_keys:
                self.shard.update(
                    UpdateOperation.create_field_index(key, PayloadSchemaType.Keyword)
                )
            for start in range(0, len(points), 1000):
                self.shard.update(UpdateOperation.upsert_points(points[start : start + 1000]))
            self.shard.flush()

        def index():
            while self.shard.optimize():
                pass
            self.shard.flush()

        loading, indexing = measure.timed(load), measure.timed(index)
        info = self.shard.info()
        self.shard.close()
        return {
            "import_seconds": loading + indexing,
            "index_seconds": indexing,
            "store_bytes": measure.tree_bytes(folder),
            "note": f"{info.indexed_vectors_count} vectors in {info.segments_count} segments",
        }

    def open(self, data, folder):
        self.queries = [Query.Nearest(query.tolist()) for query in data.queries]
        self.shard = EdgeShard.load(folder)

    def search(self, width, filter_name):
        condition = None
        if filter_name:
            key, value = filter_name.split("=", 1)
            condition = Filter(must=[FieldCondition(key, match=MatchValue(value))])
        requests = [
            QueryRequest(
                measure.LIMIT,
                query=query,
                filter=condition,
                params=SearchParams(hnsw_ef=width),
                with_vector=False,
                with_payload=False,
            )
            for query in self.queries
        ]
        size = -(-len(requests) // self.threads)
        parts = [requests[start : start + size] for start in range(0, len(requests), size)]

        def some(part):
            answers = self.shard.query_batch(QueryBatchRequest(part))
            return [[point.id for point in points] for points in answers]

        return [rows for part in measure.on_threads(self.threads, some, parts) for rows in part]


measure.main(QdrantEdge())
