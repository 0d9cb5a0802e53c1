// A new store from whatever can still be read of a damaged one.

import MoraineEngine
package import MoraineFiles
import MoraineSalvage
import MoraineStorage

extension Store {
    /// What a salvage brought back.
    public struct Salvage: Sendable {
        /// What became of one document.
        public enum Outcome: String, Sendable {
            /// In the new store: its bytes were verified and nothing newer can have been.
            case recovered
            /// In the new store, but a damaged place may have held something newer, or a part of
            /// it is missing.
            case doubtful
            /// Not in the new store, though something intact names it.
            case lost
        }

        /// A document, or rows that nothing names any more.
        public struct Item: Sendable {
            /// What became of it.
            public let outcome: Outcome
            /// The collection's name.
            public let collection: String
            /// `nil` for rows whose ids cannot be read.
            public let id: String?
            /// The version that came back, or the one that is lost; 0 when nobody knows.
            public let version: UInt64
            /// Why it is doubtful or lost: `damaged-segment`, `lost-commit`, `vector-lost`,
            /// `collection-guessed`, `created-guessed`, `unreadable`, `replaced`.
            public let reasons: [String]
            /// Commits up to this one may have held something newer; 0 when none can.
            public let doubtUpTo: UInt64
            /// Documents that the item stands for: 1 unless `id` is `nil`.
            public let count: Int
        }

        /// A collection's share.
        public struct Share: Sendable {
            /// The collection's name.
            public let collection: String
            /// Documents that came back for certain.
            public let recovered: Int
            /// Documents that came back, with a doubt.
            public let doubtful: Int
            /// Documents that are named and could not be read.
            public let lost: Int
        }

        /// True when all that was ever acknowledged is in the new store, for certain.
        public let isComplete: Bool
        /// By name.
        public let collections: [Share]
        /// Numbers of acknowledged commits that cannot be read; the upper end is the largest
        /// number where nobody knows how many there were.
        public let lostCommits: [ClosedRange<UInt64>]
        /// What is wrong with the damaged store's files.
        public let findings: [Verification.Finding]
        /// What is worth knowing and no damage.
        public let notes: [String]

        init(_ report: SalvageReport) {
            isComplete = report.isComplete
            collections = report.collections.map { share in
                Share(
                    collection: share.name,
                    recovered: Int(clamping: share.recovered),
                    doubtful: Int(clamping: share.doubtful),
                    lost: Int(clamping: share.lost)
                )
            }
            lostCommits = report.lostCommits
            findings = report.findings.map { Verification.Finding($0) }
            notes = report.notes
        }
    }

    /// Rebuilds a store from whatever can still be read of a damaged one, newest version winning.
    ///
    /// Blocks. Documents keep text, metadata, vector, version, times and expiry. The damaged store
    /// is only read, and neither its ROOT nor its manifest need be there.
    ///
    /// - Parameters:
    ///   - damaged: the folder of the damaged store, which no writer may have open.
    ///   - target: the folder of the new store: nothing, or an empty folder.
    ///   - timeout: how long it may take; `nil`: any time.
    ///   - item: called with every document, and with rows that have no name.
    /// - Returns: the sum, and what is wrong with the damaged store.
    /// - Throws: `locked`, `notAStore`, `notFound` when nothing can be told from what is left,
    ///   `invalidArgument` for a target that is not empty, `deadlineExceeded`, and what writing
    ///   throws; then the target is no store, does not open as one (`notAStore`), and is to be
    ///   removed. The same goes for what a crash leaves of it.
    @discardableResult
    public static func salvage(
        _ damaged: String,
        into target: String,
        timeout: Duration? = nil,
        item: (Salvage.Item) -> Void = { _ in }
    ) throws(MoraineError) -> Salvage {
        try salvage(
            PosixFileSystem.folder(meantBy: damaged),
            into: PosixFileSystem.folder(meantBy: target),
            in: PosixFileSystem(),
            within: ownLimit(after: timeout),
            item
        )
    }

    private static func salvage(
        _ damaged: String,
        into target: String,
        in fileSystem: any FileSystem,
        within limit: ReadLimit,
        _ item: (Salvage.Item) -> Void
    ) throws(MoraineError) -> Salvage {
        try face { () throws(StoreError) in
            var options = EngineOptions()
            options.fileSystem = fileSystem
            return Salvage(
                try Salvager.salvage(
                    damaged,
                    into: target,
                    options: options,
                    within: limit
                ) { item(Salvage.Item($0)) }
            )
        }
    }

    /// Rebuilds a store from whatever can still be read of a damaged one; runs on a thread of its
    /// own.
    ///
    /// A cancelled task ends it; then the target is no store.
    ///
    /// - Parameters:
    ///   - damaged: the folder of the damaged store, which no writer may have open.
    ///   - target: the folder of the new store: nothing, or an empty folder.
    ///   - timeout: how long it may take; `nil`: any time.
    /// - Throws: what the blocking form throws; `cancelled`.
    public static func salvage(
        _ damaged: String,
        into target: String,
        timeout: Duration? = nil
    ) async throws(MoraineError) -> Salvage {
        try await salvage(
            PosixFileSystem.folder(meantBy: damaged),
            into: PosixFileSystem.folder(meantBy: target),
            timeout: timeout,
            in: PosixFileSystem()
        )
    }

    /// The same on any file system.
    package static func salvage(
        _ damaged: String,
        into target: String,
        timeout: Duration? = nil,
        in fileSystem: any FileSystem
    ) async throws(MoraineError) -> Salvage {
        try await run(on: WorkQueue(threadCount: 1), after: timeout) {
            limit throws(MoraineError) in
            try salvage(damaged, into: target, in: fileSystem, within: limit) { _ in }
        }
    }
}

extension Store.Salvage.Item {
    fileprivate init(_ item: SalvagedItem) {
        switch item.outcome {
        case .recovered: outcome = .recovered
        case .doubtful: outcome = .doubtful
        case .lost: outcome = .lost
        }
        collection = item.collection
        id = item.id
        version = item.version
        reasons = item.reasons.map(\.rawValue)
        doubtUpTo = item.doubtUpTo
        count = Int(clamping: item.count)
    }
}
