// A file that is kept without a descriptor, though its name may go.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A mapped file.
///
/// To be read only where it cannot be opened any more: a sector that cannot be read is a signal
/// here, and an error there.
final class ParkedFile: File {
    private static let endByteCount: UInt64 = 64

    let path: String
    private let mapping: Mapping
    /// The last bytes: a sealed file's footer, which no other file has.
    private let end: [UInt8]

    init(_ file: any File) throws(FileError) {
        path = file.path
        let byteCount = try file.byteCount()
        end = try Self.end(of: file, byteCount)
        mapping = try file.map(byteCount: byteCount)
    }

    /// True when the other file has the same length and end.
    func isSame(as other: any File) -> Bool {
        let byteCount = UInt64(mapping.bytes.count)
        guard let count = try? other.byteCount(), count == byteCount,
            let bytes = try? Self.end(of: other, count)
        else { return false }
        return bytes == end
    }

    private static func end(of file: any File, _ byteCount: UInt64) throws(FileError) -> [UInt8] {
        let count = min(endByteCount, byteCount)
        return try file.readBytes(at: byteCount - count, count: Int(count))
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        guard let start = Int(exactly: offset), start < mapping.bytes.count else { return 0 }
        let count = min(buffer.count, mapping.bytes.count - start)
        buffer.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: mapping.bytes[start..<start + count])
        )
        return count
    }

    func byteCount() throws(FileError) -> UInt64 { UInt64(mapping.bytes.count) }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        guard let count = Int(exactly: byteCount), count <= mapping.bytes.count else {
            throw FileError(.map, path: path, errorNumber: EINVAL)
        }
        let bytes = UnsafeRawBufferPointer(rebasing: mapping.bytes[..<count])
        // The closure is what keeps the whole.
        return Mapping(bytes: bytes) { [mapping] _ in withExtendedLifetime(mapping) {} }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        throw FileError(.write, path: path, errorNumber: EBADF)
    }

    func truncate(to byteCount: UInt64) throws(FileError) {
        throw FileError(.truncate, path: path, errorNumber: EBADF)
    }

    func sync() throws(FileError) { throw FileError(.sync, path: path, errorNumber: EBADF) }

    func close() {}
}
