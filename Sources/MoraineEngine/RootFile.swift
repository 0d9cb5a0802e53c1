// Reads and writes ROOT. Bytes and order of writes: format-spec/root.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The two copies of ROOT as they stand on disk.
package struct RootCopies: Sendable {
    /// Each copy, or what is wrong with it.
    package let copies: [Result<Root, StoreError>]
    /// The path, for messages.
    package let path: String

    /// True when both copies are sound and the same.
    package var isWhole: Bool {
        guard case .success(let first) = copies[0], case .success(let second) = copies[1] else {
            return false
        }
        return first == second
    }

    /// The copy to follow: the valid one with the higher sequence, the first when equal.
    package func chosen() throws(StoreError) -> Root {
        switch (copies[0], copies[1]) {
        case (.success(let first), .success(let second)):
            let stale = first.sequence < second.sequence
            let gap = first.sequence &- second.sequence > 1
            if stale || gap || first.storeID != second.storeID {
                throw StoreError(
                    .corrupted,
                    "the copies of ROOT do not belong together",
                    path: path,
                    offset: 64,
                    expected: "sequence \(second.sequence) or one more",
                    found: "\(first.sequence)"
                )
            }
            return first
        case (.success(let root), .failure), (.failure, .success(let root)):
            return root
        case (.failure(let error), .failure):
            throw error
        }
    }
}

package enum RootFile {
    /// Reads both copies.
    ///
    /// A file of another length has what is missing reported per copy.
    package static func read(
        _ fileSystem: any FileSystem,
        folder: String,
        name: String = FileNames.root
    ) throws(StoreError) -> RootCopies {
        let path = FileNames.path(folder, name)
        do throws(FileError) {
            let file = try fileSystem.open(path, .read)
            defer { file.close() }
            let byteCount = try file.byteCount()
            let bytes = try file.readBytes(at: 0, count: Root.byteCount)
            return RootCopies(
                copies: [0, 1].map { copy(bytes, $0, fileByteCount: byteCount, path: path) },
                path: path
            )
        } catch {
            throw StoreError(error, doing: "read ROOT")
        }
    }

    private static func copy(
        _ bytes: [UInt8],
        _ index: Int,
        fileByteCount: UInt64,
        path: String
    ) -> Result<Root, StoreError> {
        let start = index * Root.copyByteCount
        guard fileByteCount == UInt64(Root.byteCount), bytes.count == Root.byteCount else {
            return .failure(
                StoreError(
                    .corrupted,
                    "ROOT has not the length that it must have",
                    path: path,
                    offset: fileByteCount,
                    expected: "\(Root.byteCount) bytes",
                    found: "\(fileByteCount) bytes"
                )
            )
        }
        return bytes[start..<(start + Root.copyByteCount)].withUnsafeBytes { slice in
            do throws(FormatError) {
                return .success(try Root.decodeCopy(slice, at: UInt64(start)))
            } catch {
                return .failure(StoreError(error, path: path, base: UInt64(start)))
            }
        }
    }

    /// Writes both copies, each synced before the next is touched.
    ///
    /// - Parameter old: the root that is in force, `nil` in a new file. A crash may have left it
    ///   in the first copy only; then the second is brought up to it before the first is touched.
    package static func write(_ root: Root, over old: Root?, to file: any File)
        throws(FileError)
    {
        if let old {
            // DURABLE: after a killed process either copy may be in the page cache only, and one
            // must be on disk while the other is written.
            try file.sync()
            let second = UInt64(Root.copyByteCount)
            let bytes = try file.readBytes(at: second, count: Root.copyByteCount)
            if bytes != old.encodeCopy(at: second) {
                try writeCopy(old, at: second, to: file)
                // DURABLE: from here on the second copy stands in for the first.
                try file.sync()
            }
        }
        for offset in [UInt64(0), UInt64(Root.copyByteCount)] {
            try writeCopy(root, at: offset, to: file)
            // DURABLE: a crash while one copy is written leaves the other whole; without this
            // sync both could be torn at once.
            try file.sync()
        }
    }

    /// Writes the copy at `offset` without a sync.
    package static func writeCopy(_ root: Root, at offset: UInt64, to file: any File)
        throws(FileError)
    {
        let bytes = root.encodeCopy(at: offset)
        try bytes.withUnsafeBufferPointer { buffer throws(FileError) in
            try file.writeAll(UnsafeRawBufferPointer(buffer), at: offset)
        }
    }
}
