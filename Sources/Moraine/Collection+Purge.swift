// Removing documents for good.

import MoraineEngine
import MoraineStorage

extension Store.Collection {
    /// What a purge did.
    public struct PurgeSummary: Sendable, Hashable {
        /// Documents that were there and are deleted now.
        public let documentCount: Int
        /// Segments that held something of the ids, and were written anew.
        public let segmentCount: Int
    }

    /// Deletes documents and removes their bytes from every file of the store; blocks.
    ///
    /// When it returns, no file of the store holds a byte of these documents, nor their ids:
    /// neither segments nor the log, its spare files, or versions that were replaced earlier. It
    /// rewrites each segment that held something of them. What the disk keeps of removed files,
    /// copies made of the store's files, and read-only stores of other processes that have not
    /// refreshed are beyond it.
    ///
    /// Ended early, what was done stays done; it can be asked for again, also for ids that are no
    /// longer there.
    ///
    /// - Parameters:
    ///   - ids: of any number of documents; what is not there is fine.
    ///   - timeout: how long to wait for snapshots that keep files of the documents.
    /// - Throws: `pinned`, naming the snapshots that keep files still, when all else is done;
    ///   `unknownCollection`, `invalidID`, `noSpace`, `corrupted`, `inputOutput`, `poisoned`,
    ///   `readOnly`, `closed`.
    @discardableResult
    public func purge(ids: [String], timeout: Duration = .seconds(10)) throws(MoraineError)
        -> PurgeSummary
    {
        let milliseconds = Int(clamping: timeout.boundedMilliseconds)
        return try face { () throws(StoreError) in
            let report = try store.engine.purge(
                shape,
                ids: ids.map { Array($0.utf8) },
                waitMilliseconds: milliseconds
            )
            return PurgeSummary(
                documentCount: report.documentCount,
                segmentCount: report.segmentCount
            )
        }
    }

    /// Deletes documents and removes their bytes from every file of the store; runs on a thread of
    /// the store's own.
    ///
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func purge(ids: [String], timeout: Duration = .seconds(10)) async throws(MoraineError)
        -> PurgeSummary
    {
        try await store.run { () throws(MoraineError) in
            try self.purge(ids: ids, timeout: timeout)
        }
    }
}
