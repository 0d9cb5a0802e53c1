// The one error of the library, and the only place where errors from below become it.

import MoraineFiles
import MoraineStorage

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// What went wrong, where, and what was expected.
///
/// Every throwing function of this library throws only this type, so that `catch` needs no cast:
///
/// ```swift
/// do {
///     try notes.put(document, ifVersion: version)
/// } catch {
///     guard error.code == .versionConflict else { throw error }
///     // Somebody else was faster.
/// }
/// ```
///
/// Two errors are equal when their codes are.
public struct MoraineError: Error, Sendable, Equatable {
    /// What a caller can act on.
    ///
    /// Later versions may add codes: handle those you know and report the others. The description
    /// is the word that the command line tool prints: `wrong-dimension`.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as everything below knows it.
        private let code: StoreError.Code

        fileprivate init(_ code: StoreError.Code) { self.code = code }

        /// The code in kebab-case.
        public var description: String { code.rawValue }

        /// A setting, a limit, a number of dimensions or a combination that is not allowed.
        public static let invalidArgument = Code(.invalidArgument)
        /// An id that is empty, longer than 1,024 bytes, or contains NUL.
        public static let invalidID = Code(.invalidID)
        /// A collection's name that is empty, longer than 255 bytes, or has control characters.
        public static let invalidName = Code(.invalidName)
        /// A text that is not UTF-8.
        public static let invalidText = Code(.invalidText)
        /// Metadata that cannot be stored: NaN, infinity, or more than 128 levels.
        public static let invalidMetadata = Code(.invalidMetadata)
        /// A vector with NaN, infinity or a norm out of range, or a zero vector under cosine.
        public static let invalidVector = Code(.invalidVector)
        /// A filter that cannot be read, or that holds a value or field that filters do not know.
        public static let invalidFilter = Code(.invalidFilter)
        /// A vector that has not the dimensions of its collection.
        public static let wrongDimension = Code(.wrongDimension)
        /// A document above 64 MiB or a commit above 256 MiB.
        public static let tooLarge = Code(.tooLarge)
        /// There is no collection of that name.
        public static let unknownCollection = Code(.unknownCollection)
        /// The collection exists with other dimensions or another metric.
        public static let collectionMismatch = Code(.collectionMismatch)
        /// A collection of the new name exists already.
        public static let collectionExists = Code(.collectionExists)
        /// The document does not have the version that a write asked for; nothing was written.
        public static let versionConflict = Code(.versionConflict)
        /// What was asked for is not there.
        public static let notFound = Code(.notFound)
        /// Bytes on disk are not what was written.
        public static let corrupted = Code(.corrupted)
        /// The folder holds no store, or something else.
        public static let notAStore = Code(.notAStore)
        /// The store was written by a version of the format that this library does not know.
        public static let newerFormat = Code(.newerFormat)
        /// Another process, or another `Store` of this one, has the store open for writing.
        public static let locked = Code(.locked)
        /// A write to a store that was opened read-only.
        public static let readOnly = Code(.readOnly)
        /// The store was closed.
        public static let closed = Code(.closed)
        /// The disk or a quota is full.
        public static let noSpace = Code(.noSpace)
        /// The operating system forbids it.
        public static let permissionDenied = Code(.permissionDenied)
        /// The operating system could not read or write.
        public static let inputOutput = Code(.inputOutput)
        /// A write or sync failed before: the store takes no writes until it is opened again.
        public static let poisoned = Code(.poisoned)
        /// The task was cancelled: before the call began, and nothing happened, or during a read.
        public static let cancelled = Code(.cancelled)
        /// The process or the machine has no file descriptor left, or the process no map.
        public static let tooManyFiles = Code(.tooManyFiles)
        /// The snapshot is older than ``Store/Configuration/maxSnapshotAge``.
        public static let snapshotExpired = Code(.snapshotExpired)
        /// No reader of a ``ReaderPool`` became free in time.
        public static let poolTimeout = Code(.poolTimeout)
        /// Readers keep files that a purge was to remove.
        public static let pinned = Code(.pinned)
        /// A read took longer than its ``Store/Collection/readTimeout``.
        public static let deadlineExceeded = Code(.deadlineExceeded)
    }

    /// What a caller can act on.
    public let code: Code
    /// What happened, for a person.
    public let message: String
    /// The file or folder it is about.
    public let path: String?
    /// The byte in that file, counted from 0.
    public let byteOffset: UInt64?
    /// What should have been there.
    public let expected: String?
    /// What was there.
    public let found: String?
    /// The `errno`, where the operating system refused.
    public let errorNumber: Int32?

    init(_ error: StoreError) {
        code = Code(error.code)
        message = error.message
        path = error.path
        byteOffset = error.offset
        expected = error.expected
        found = error.found
        errorNumber = error.errorNumber
    }

    /// True when the codes are equal.
    public static func == (a: MoraineError, b: MoraineError) -> Bool { a.code == b.code }
}

extension MoraineError: CustomStringConvertible, LocalizedError {
    /// Everything that is known, in one line.
    public var description: String {
        var parts: [String] = []
        if let path { parts.append(path) }
        if let byteOffset { parts.append("byte \(byteOffset)") }
        if let expected { parts.append("expected \(expected)") }
        if let found { parts.append("found \(found)") }
        if let errorNumber { parts.append("errno \(errorNumber)") }
        let details = parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
        return "\(code): \(message)\(details)"
    }

    /// The same as ``description``.
    public var errorDescription: String? { description }
}

/// Calls what is below the face; its error becomes the library's.
@inline(__always)
func face<R>(_ body: () throws(StoreError) -> R) throws(MoraineError) -> R {
    do throws(StoreError) {
        return try body()
    } catch {
        throw MoraineError(error)
    }
}
