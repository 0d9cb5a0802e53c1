// Searches of a collection.

import MoraineEngine
import MoraineStorage

extension Store.Collection {
    /// The documents nearest to a query, nearest first, equal scores by id; blocks.
    ///
    /// Large segments that have graphs are searched by them, which finds nearly all of the nearest,
    /// see ``SearchOptions``; everything else is compared with the query, on all search threads.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - limit: hits at most; 1 or more.
    ///   - filter: which documents count; `nil` for all.
    ///   - withEmbeddings: true adds embeddings to the documents of the hits.
    /// - Throws: `wrongDimension`, `invalidVector`, `invalidArgument`, `invalidFilter`,
    ///   `corrupted`, `inputOutput`, `closed`.
    public func search(
        near query: [Float],
        limit: Int = 10,
        where filter: Filter? = nil,
        withEmbeddings: Bool = false
    ) throws(MoraineError) -> [Hit] {
        let options = SearchOptions(limit: limit, filter: filter, withEmbeddings: withEmbeddings)
        return try reader().search(near: query, options).hits
    }

    /// The documents nearest to a query, nearest first, equal scores by id; blocks.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Throws: `wrongDimension`, `invalidVector`, `invalidArgument`, `invalidFilter`,
    ///   `corrupted`, `inputOutput`, `closed`.
    public func search(near query: [Float], options: SearchOptions) throws(MoraineError) -> [Hit] {
        try reader().search(near: query, options).hits
    }

    /// The documents nearest to each of many queries, in the queries' order; blocks.
    ///
    /// All queries see one state, and all search threads take part: more of them a second than one
    /// after the other.
    ///
    /// - Parameters:
    ///   - queries: each ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Returns: for each query its hits, as a search for it alone would find them.
    /// - Throws: `wrongDimension`, `invalidVector`, `invalidArgument`, `invalidFilter`,
    ///   `corrupted`, `inputOutput`, `closed`.
    public func search(near queries: [[Float]], options: SearchOptions) throws(MoraineError)
        -> [[Hit]]
    {
        try reader().search(near: queries, options)
    }

    /// The documents nearest to one of the collection, without that one; blocks.
    ///
    /// - Parameters:
    ///   - id: the document whose embedding is the query.
    ///   - limit: hits at most; 1 or more.
    ///   - filter: which documents count; `nil` for all.
    ///   - withEmbeddings: true adds embeddings to the documents of the hits.
    /// - Throws: `notFound` without such a document, `invalidVector` when it has no embedding, and
    ///   what `search(near:options:)` throws.
    public func search(
        like id: String,
        limit: Int = 10,
        where filter: Filter? = nil,
        withEmbeddings: Bool = false
    ) throws(MoraineError) -> [Hit] {
        let options = SearchOptions(limit: limit, filter: filter, withEmbeddings: withEmbeddings)
        return try reader().search(like: id, options)
    }

    /// The documents nearest to one of the collection, without that one; blocks.
    ///
    /// - Parameters:
    ///   - id: the document whose embedding is the query.
    ///   - options: how to search, and what hits carry.
    /// - Throws: `notFound` without such a document, `invalidVector` when it has no embedding, and
    ///   what `search(near:options:)` throws.
    public func search(like id: String, options: SearchOptions) throws(MoraineError) -> [Hit] {
        try reader().search(like: id, options)
    }

    /// The documents nearest to a query, and how they were searched for; blocks.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Throws: what `search(near:options:)` throws.
    public func explain(near query: [Float], options: SearchOptions = SearchOptions())
        throws(MoraineError) -> (hits: [Hit], plan: SearchPlan)
    {
        try reader().search(near: query, options)
    }
}

// MARK: - Asynchronous

extension Store.Collection {
    /// The documents nearest to a query, nearest first, equal scores by id.
    ///
    /// Large segments that have graphs are searched by them, which finds nearly all of the nearest,
    /// see ``SearchOptions``; everything else is compared with the query, on all search threads.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - limit: hits at most; 1 or more.
    ///   - filter: which documents count; `nil` for all.
    ///   - withEmbeddings: true adds embeddings to the documents of the hits.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func search(
        near query: [Float],
        limit: Int = 10,
        where filter: Filter? = nil,
        withEmbeddings: Bool = false
    ) async throws(MoraineError) -> [Hit] {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).search(
                near: query,
                limit: limit,
                where: filter,
                withEmbeddings: withEmbeddings
            )
        }
    }

    /// The documents nearest to a query, nearest first, equal scores by id.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func search(near query: [Float], options: SearchOptions) async throws(MoraineError)
        -> [Hit]
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).search(near: query, options: options)
        }
    }

    /// The documents nearest to each of many queries, in the queries' order.
    ///
    /// All queries see one state, and all search threads take part: more of them a second than one
    /// after the other.
    ///
    /// - Parameters:
    ///   - queries: each ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Returns: for each query its hits, as a search for it alone would find them.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func search(near queries: [[Float]], options: SearchOptions) async throws(MoraineError)
        -> [[Hit]]
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).search(near: queries, options: options)
        }
    }

    /// The documents nearest to one of the collection, without that one.
    ///
    /// - Parameters:
    ///   - id: the document whose embedding is the query.
    ///   - limit: hits at most; 1 or more.
    ///   - filter: which documents count; `nil` for all.
    ///   - withEmbeddings: true adds embeddings to the documents of the hits.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func search(
        like id: String,
        limit: Int = 10,
        where filter: Filter? = nil,
        withEmbeddings: Bool = false
    ) async throws(MoraineError) -> [Hit] {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).search(
                like: id,
                limit: limit,
                where: filter,
                withEmbeddings: withEmbeddings
            )
        }
    }

    /// The documents nearest to one of the collection, without that one.
    ///
    /// - Parameters:
    ///   - id: the document whose embedding is the query.
    ///   - options: how to search, and what hits carry.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func search(like id: String, options: SearchOptions) async throws(MoraineError) -> [Hit]
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).search(like: id, options: options)
        }
    }

    /// The documents nearest to a query, and how they were searched for.
    ///
    /// - Parameters:
    ///   - query: ``dimensions`` finite numbers; need not be normalised.
    ///   - options: how to search, and what hits carry.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func explain(near query: [Float], options: SearchOptions = SearchOptions())
        async throws(MoraineError) -> (hits: [Hit], plan: SearchPlan)
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).explain(near: query, options: options)
        }
    }
}
