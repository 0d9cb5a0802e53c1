// Whether a store is well, in a form for whoever watches a service.

import MoraineEngine
import MoraineStorage

extension Store {
    /// Whether an open store is well.
    public struct Health: Sendable {
        /// How bad it is.
        public enum Level: String, Sendable, Hashable, Comparable {
            /// Nothing is known to be wrong.
            case ok
            /// It works, and somebody should look at it.
            case degraded
            /// It takes no writes.
            case failed

            private var rank: Int {
                switch self {
                case .ok: 0
                case .degraded: 1
                case .failed: 2
                }
            }

            /// True when the right one is worse.
            public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
        }

        /// One thing that is wrong.
        public struct Reason: Sendable {
            /// Which kind of thing, in a word.
            ///
            /// Now `poisoned`, `checkpoint-failed`, `indexing-failed`, `damaged`,
            /// `snapshot-too-old`, `reserve-reached`; later versions may add words.
            public let kind: String
            /// What is wrong, for a person.
            public let message: String
            /// The file that it is about.
            public let file: String?
            /// The byte in that file, counted from 0.
            public let byteOffset: UInt64?
            /// What should have been there.
            public let expected: String?
            /// What was there.
            public let found: String?
            /// False when it can be lived with.
            let isFailure: Bool
        }

        /// What is wrong, the gravest first; empty when all is well.
        public let reasons: [Reason]

        /// The gravest of the reasons.
        public var level: Level {
            if reasons.contains(where: \.isFailure) { return .failed }
            return reasons.isEmpty ? .ok : .degraded
        }
    }

    /// Whether the store is well; never waits for more than a commit that is under way.
    ///
    /// What it knows of files is what reads and the scrubber have met: `verify(at:)` reads them.
    ///
    /// - Throws: `closed`.
    public func health() throws(MoraineError) -> Health {
        try checkOpen()
        return Health(reasons: engine.health().reasons.map { Health.Reason($0) })
    }

    /// Stops the background check of files until `resumeScrub()`; a step under way ends first.
    ///
    /// - Throws: `closed`.
    public func pauseScrub() throws(MoraineError) {
        try checkOpen()
        engine.setScrubPaused(true)
    }

    /// Lets the background check of files go on.
    ///
    /// - Throws: `closed`.
    public func resumeScrub() throws(MoraineError) {
        try checkOpen()
        engine.setScrubPaused(false)
    }
}

extension Store.Health.Reason {
    init(_ reason: EngineHealth.Reason) {
        switch reason {
        case .poisoned(let error): self.init("poisoned", error, isFailure: true)
        case .checkpointFailed(let error): self.init("checkpoint-failed", error)
        case .indexingFailed(let error): self.init("indexing-failed", error)
        case .damaged(let finding):
            self.init(
                "damaged",
                "bytes of a file are not what was written (\(finding.kind.rawValue))",
                finding
            )
        case .reserveReached(let free):
            self.init(
                "reserve-reached",
                "the disk has \(free) bytes left: only deletes are taken"
            )
        case .snapshotTooOld(let snapshot):
            let name = snapshot.label.map { " \"\($0)\"" } ?? ""
            self.init(
                "snapshot-too-old",
                "snapshot \(snapshot.id)\(name) of commit \(snapshot.lsn) is kept for "
                    + "\(snapshot.ageMilliseconds / 1_000) s and keeps "
                    + "\(snapshot.pinnedByteCount) bytes"
            )
        }
    }

    private init(_ kind: String, _ message: String, _ finding: Finding? = nil) {
        self.kind = kind
        self.message = message
        file = finding?.file
        byteOffset = finding?.offset
        expected = finding?.expected
        found = finding?.found
        isFailure = false
    }

    private init(_ kind: String, _ error: StoreError, isFailure: Bool = false) {
        self.kind = kind
        message = error.message
        file = error.path
        byteOffset = error.offset
        expected = error.expected
        found = error.found
        self.isFailure = isFailure
    }
}
