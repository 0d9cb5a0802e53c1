// Files beside the segments that make searches quicker. They hold nothing of their own: a store
// without them gives the same answers, later.

import MoraineEngine
import MoraineStorage

extension Store {
    /// How far the making of index files is.
    public struct IndexProgress: Sendable, Hashable {
        /// Files that are finished.
        public let doneCount: Int
        /// Files that are to be made, the finished ones included; grows where one makes another
        /// possible.
        public let totalCount: Int
    }

    /// Makes every index file that segments lack; blocks.
    ///
    /// A store does this by itself in the background, see ``Configuration/indexesInBackground``.
    /// Documents that are in memory only are searched as they are: call ``checkpoint()`` before to
    /// have all of them indexed. Reads and writes go on meanwhile. Where one file cannot be made
    /// the others are, and the error is thrown at the end.
    ///
    /// - Parameter progress: called now and then on threads of the store's; answers false to end.
    ///   What was made stays.
    /// - Returns: how many files were made.
    /// - Throws: `cancelled` when `progress` ended it, `noSpace`, `corrupted`, `inputOutput`,
    ///   `poisoned`, `readOnly`, `closed`.
    @discardableResult
    public func buildIndexes(
        progress: @escaping @Sendable (IndexProgress) -> Bool = { _ in true }
    ) throws(MoraineError) -> Int {
        try face { () throws(StoreError) in
            try engine.buildIndexes { made in
                progress(
                    IndexProgress(doneCount: made.doneCount, totalCount: made.totalCount)
                )
            }
        }
    }

    /// Makes every index file that segments lack; runs on a thread of the store's own.
    ///
    /// A cancelled task ends it at the next step.
    ///
    /// - Throws: what the blocking form throws.
    @discardableResult
    public func buildIndexes(
        progress: @escaping @Sendable (IndexProgress) -> Bool = { _ in true }
    ) async throws(MoraineError) -> Int {
        try await run { (isCancelled: @escaping @Sendable () -> Bool) throws(MoraineError) in
            try self.buildIndexes { !isCancelled() && progress($0) }
        }
    }

    /// Lets indexing in the background rest, until ``resumeIndexing()``.
    ///
    /// Begins no file, and those under way wait at their next step. Calls count: as many calls of
    /// ``resumeIndexing()`` end it. ``buildIndexes(progress:)`` works all the same.
    public func pauseIndexing() { engine.indexing.pause() }

    /// Ends one ``pauseIndexing()``.
    ///
    /// Without one it does nothing.
    public func resumeIndexing() { engine.indexing.resume() }
}
