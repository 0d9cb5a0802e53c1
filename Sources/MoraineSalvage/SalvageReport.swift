// What a salvage has to say: document by document, and in sum.

package import MoraineFormat
package import MoraineStorage

/// What became of one document, or of rows that nobody can name any more.
package struct SalvagedItem: Sendable {
    /// The raw value is the word that tools print.
    package enum Outcome: String, Sendable, CaseIterable {
        /// Bytes verified, and nothing newer can have been.
        case recovered
        /// In the new store, but a damaged place may have held a newer state, or a part is missing.
        case doubtful
        /// Named by something intact, not in the new store.
        case lost
    }

    /// Why a document is doubtful or lost.
    ///
    /// The raw value is the word that tools print.
    package enum Reason: String, Sendable, CaseIterable {
        /// A segment's unreadable bytes may hold a newer version of it, or its delete.
        case damagedSegment = "damaged-segment"
        /// A lost commit may have changed or deleted it.
        case lostCommit = "lost-commit"
        /// Its vector cannot be read; the rest of it is in the new store.
        case vectorLost = "vector-lost"
        /// Its collection's name or metric is not known for certain.
        case collectionGuessed = "collection-guessed"
        /// What it replaced cannot be read, so its created time may be another.
        case createdGuessed = "created-guessed"
        /// Its newest version cannot be read.
        case unreadable
        /// It was replaced or deleted, and what did so cannot be read.
        case replaced
    }

    package let outcome: Outcome
    package let collection: String
    /// `nil` for rows whose ids cannot be read.
    package let id: String?
    /// The version it is about: the recovered one, or the lost one; 0 when it is not known.
    package let version: UInt64
    /// Empty for what is recovered.
    package let reasons: [Reason]
    /// Commits up to this one may have held something newer; 0 when nothing can.
    package let doubtUpTo: UInt64
    /// Documents that the item stands for: 1 unless `id` is `nil`.
    package let count: UInt64
}

/// A collection's share of a salvage.
package struct SalvagedCollection: Sendable {
    package let name: String
    package let dimensions: Int
    package let metric: Metric
    package var recovered: UInt64 = 0
    package var doubtful: UInt64 = 0
    /// Documents known by name, and rows without one.
    package var lost: UInt64 = 0
}

/// What a salvage found, in sum.
package struct SalvageReport: Sendable {
    /// Where the list of live files came from.
    ///
    /// The raw value is the word that tools print.
    package enum Guide: String, Sendable {
        /// ROOT and the manifest that it names.
        case root
        /// A whole manifest, without ROOT.
        case manifest
        /// The files themselves.
        case files
    }

    package var guide = Guide.files
    /// By name.
    package var collections: [SalvagedCollection] = []
    /// Places that could not be read or did not verify.
    package var findings: [Finding] = []
    /// What is worth knowing and no damage.
    package var notes: [String] = []
    /// Numbers of commits that were acknowledged and cannot be read; an upper end of the largest
    /// number: nobody knows how many.
    package var lostCommits: [ClosedRange<UInt64>] = []
    /// The newest commit that was read.
    package var lastLSN: UInt64 = 0
    /// Files that were read, and their bytes.
    package var fileCount = 0
    package var byteCount: UInt64 = 0

    package var recovered: UInt64 { collections.reduce(0) { $0 + $1.recovered } }
    package var doubtful: UInt64 { collections.reduce(0) { $0 + $1.doubtful } }
    package var lost: UInt64 { collections.reduce(0) { $0 + $1.lost } }

    /// True when all that was ever acknowledged is in the new store, and that is certain.
    ///
    /// Without ROOT nobody knows where the log ended, without a manifest which segments there
    /// were: then it is not certain, whatever was read.
    package var isComplete: Bool {
        guide == .root && doubtful == 0 && lost == 0 && lostCommits.isEmpty
    }
}
