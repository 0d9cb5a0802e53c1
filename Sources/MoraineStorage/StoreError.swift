// The one error of everything that touches files, from sealed files to the engine.

package import MoraineBytes
package import MoraineFiles

/// What went wrong, where, and what was expected.
package struct StoreError: Error, Sendable {
    /// What a caller can act on.
    ///
    /// The raw value is the code that tools print.
    package enum Code: String, Sendable, CaseIterable {
        case invalidArgument = "invalid-argument"
        case invalidID = "invalid-id"
        case invalidName = "invalid-name"
        case invalidText = "invalid-text"
        case invalidMetadata = "invalid-metadata"
        case invalidVector = "invalid-vector"
        case invalidFilter = "invalid-filter"
        case wrongDimension = "wrong-dimension"
        case tooLarge = "too-large"
        case unknownCollection = "unknown-collection"
        case collectionMismatch = "collection-mismatch"
        case collectionExists = "collection-exists"
        case versionConflict = "version-conflict"
        case notFound = "not-found"
        case corrupted = "corrupted"
        case notAStore = "not-a-store"
        case newerFormat = "newer-format"
        case locked = "locked"
        case readOnly = "read-only"
        case closed = "closed"
        case noSpace = "no-space"
        case permissionDenied = "permission-denied"
        case inputOutput = "input-output"
        case poisoned = "poisoned"
        case cancelled = "cancelled"
        case tooManyFiles = "too-many-files"
        case snapshotExpired = "snapshot-expired"
        case poolTimeout = "pool-timeout"
        case pinned = "pinned"
        case deadlineExceeded = "deadline-exceeded"
    }

    package let code: Code
    package let message: String
    /// The file it is about.
    package var path: String?
    /// The byte in that file.
    package var offset: UInt64?
    package var expected: String?
    package var found: String?
    /// The errno, where the operating system refused.
    package var errorNumber: Int32?
    /// True when the operating system could not make bytes durable: what is on disk is not known.
    package private(set) var isFailedSync = false

    package init(
        _ code: Code,
        _ message: String,
        path: String? = nil,
        offset: UInt64? = nil,
        expected: String? = nil,
        found: String? = nil,
        errorNumber: Int32? = nil
    ) {
        self.code = code
        self.message = message
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found
        self.errorNumber = errorNumber
    }

    /// A failed call to the operating system.
    ///
    /// `doing` says what for: "write the log".
    package init(_ error: FileError, doing: String) {
        let code: Code
        if error.isNoSpace {
            code = .noSpace
        } else if error.isOutOfDescriptors || error.isOutOfMaps {
            code = .tooManyFiles
        } else if error.isPermission {
            code = .permissionDenied
        } else if error.isHeldByOther {
            code = .locked
        } else {
            code = .inputOutput
        }
        self.init(
            code,
            "cannot \(doing): \(error.operation.rawValue) failed: \(error.reason)",
            path: error.path,
            errorNumber: error.errorNumber
        )
        isFailedSync = error.operation == .sync || error.operation == .syncDirectory
    }

    /// Bytes of `path` that do not follow the format; the structure starts at `base`.
    package init(_ error: FormatError, path: String, base: UInt64 = 0) {
        self.init(
            error.kind == .newer ? .newerFormat : .corrupted,
            "\(error.field): expected \(error.expected), found \(error.found)",
            path: path,
            offset: base &+ error.offset,
            expected: error.expected,
            found: error.found
        )
    }
}

/// Calls the operating system; a failure becomes a `StoreError` that says what for.
package func fileCall<T>(_ doing: String, _ body: () throws(FileError) -> T) throws(StoreError)
    -> T
{
    do throws(FileError) {
        return try body()
    } catch {
        throw StoreError(error, doing: doing)
    }
}
