// The check of all bytes of a store.

import MoraineEngine
package import MoraineFiles
import MoraineStorage

extension Store {
    /// What a check of a store's files found.
    public struct Verification: Sendable {
        /// A place where the bytes are not what they must be.
        public struct Finding: Sendable {
            /// The file, relative to the store's folder.
            public let file: String
            /// The byte in that file, counted from 0.
            public let byteOffset: UInt64
            /// What is wrong, in a word: `checksum`, `missing`, `length`, `order` and others.
            public let kind: String
            /// What should have been there.
            public let expected: String
            /// What was there.
            public let found: String

            init(_ finding: MoraineStorage.Finding) {
                file = finding.file
                byteOffset = finding.offset
                kind = finding.kind.rawValue
                expected = finding.expected
                found = finding.found
            }
        }

        /// True when nothing was found.
        public let isOK: Bool
        /// What is wrong, file by file.
        public let findings: [Finding]
        /// What is worth knowing and no damage, such as an unacknowledged end of the log.
        public let notes: [String]
        /// What could not be checked, and why.
        public let unchecked: [String]
        /// Files that were read.
        public let fileCount: Int
        /// Bytes that were read.
        public let byteCount: UInt64

        init(_ report: VerifyReport) {
            isOK = report.isOK
            findings = report.findings.map { Finding($0) }
            notes = report.notes
            unchecked = report.unchecked
            fileCount = report.fileCount
            byteCount = report.byteCount
        }
    }

    /// Reads every byte of a store and checks it; changes nothing and takes no lock.
    ///
    /// Blocks.
    ///
    /// - Parameters:
    ///   - path: the store's folder. The store may be open.
    ///   - timeout: how long it may take; `nil`: any time. The replay of a log and the check of
    ///     what one file of vectors or indexes holds come to their end first.
    ///   - progress: called now and then with the bytes read and the bytes to read.
    /// - Returns: what is wrong; damage is a finding, not an error.
    /// - Throws: `notAStore`, `newerFormat`, `permissionDenied`, `tooManyFiles`, `inputOutput`,
    ///   `deadlineExceeded`.
    public static func verify(
        at path: String,
        timeout: Duration? = nil,
        progress: ((UInt64, UInt64) -> Void)? = nil
    ) throws(MoraineError) -> Verification {
        try verify(
            at: PosixFileSystem.folder(meantBy: path),
            in: PosixFileSystem(),
            within: ownLimit(after: timeout),
            progress
        )
    }

    private static func verify(
        at path: String,
        in fileSystem: any FileSystem,
        within limit: ReadLimit,
        _ progress: ((UInt64, UInt64) -> Void)?
    ) throws(MoraineError) -> Verification {
        try face { () throws(StoreError) in
            var options = EngineOptions()
            options.fileSystem = fileSystem
            return Verification(
                try Engine.verify(path, options: options, within: limit, progress: progress)
            )
        }
    }

    /// Reads every byte of a store and checks it; runs on a thread of its own.
    ///
    /// A cancelled task ends it where a timeout would.
    ///
    /// - Parameters:
    ///   - path: the store's folder. The store may be open.
    ///   - timeout: how long it may take; `nil`: any time.
    /// - Returns: what is wrong; damage is a finding, not an error.
    /// - Throws: what the blocking form throws; `cancelled`.
    public static func verify(at path: String, timeout: Duration? = nil)
        async throws(MoraineError) -> Verification
    {
        try await verify(
            at: PosixFileSystem.folder(meantBy: path),
            timeout: timeout,
            in: PosixFileSystem()
        )
    }

    /// The same on any file system.
    package static func verify(
        at path: String,
        timeout: Duration? = nil,
        in fileSystem: any FileSystem
    ) async throws(MoraineError) -> Verification {
        try await run(on: WorkQueue(threadCount: 1), after: timeout) {
            limit throws(MoraineError) in
            try verify(at: path, in: fileSystem, within: limit, nil)
        }
    }
}
