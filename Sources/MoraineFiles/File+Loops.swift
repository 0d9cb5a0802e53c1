// Short reads and writes and EINTR, dealt with once.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension File {
    /// Reads until `buffer` is full or the file ends; returns how many bytes were read.
    package func readUpTo(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(FileError) -> Int
    {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            do throws(FileError) {
                let count = try read(into: rest, at: offset + UInt64(done))
                if count == 0 { break }
                done += count
            } catch {
                guard error.errorNumber == EINTR else { throw error }
            }
        }
        return done
    }

    /// Reads exactly `buffer.count` bytes; a file that ends before is an error (`ENODATA`).
    package func readFully(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(FileError)
    {
        let count = try readUpTo(buffer, at: offset)
        guard count == buffer.count else {
            throw FileError(.read, path: path, errorNumber: ENODATA)
        }
    }

    /// Reads `count` bytes at `offset` into a new array, fewer where the file ends before.
    package func readBytes(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        var failure: FileError?
        bytes.withUnsafeMutableBytes { buffer in
            do throws(FileError) {
                got = try readUpTo(buffer, at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        bytes.removeLast(count - got)
        return bytes
    }

    /// Writes all of `bytes` at `offset`.
    package func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            do throws(FileError) {
                let count = try write(rest, at: offset + UInt64(done))
                guard count > 0 else { throw FileError(.write, path: path, errorNumber: EIO) }
                done += count
            } catch {
                guard error.errorNumber == EINTR else { throw error }
            }
        }
    }
}
