// Bytes that grow by doubling, in memory that realloc may move without copying.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An owned run of bytes whose free room can be written to directly.
struct GrowableBytes: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    /// The bytes in use; whoever writes behind them moves it.
    var count = 0

    init(capacity: Int = 256) {
        guard let base = malloc(capacity) else { preconditionFailure("out of memory") }
        self.base = base
        self.capacity = capacity
    }

    deinit { free(base) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Where the next byte goes.
    @inline(__always) var end: UnsafeMutableRawPointer { base + count }

    /// Makes room for `extra` bytes behind those in use.
    @inline(__always)
    mutating func reserve(_ extra: Int) {
        if capacity &- count < extra { grow(extra) }
    }

    @inline(never)
    private mutating func grow(_ extra: Int) {
        let wanted = max(count + extra, capacity * 2)
        guard let moved = realloc(base, wanted) else { preconditionFailure("out of memory") }
        base = moved
        capacity = wanted
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        reserve(1)
        end.storeBytes(of: byte, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let sourceBase = source.baseAddress else { return }
        reserve(source.count)
        end.copyMemory(from: sourceBase, byteCount: source.count)
        count &+= source.count
    }

    /// Unsigned LEB128, shortest form.
    @inline(__always)
    mutating func appendVarint(_ value: UInt64) {
        reserve(10)
        var rest = value
        while rest >= 0x80 {
            end.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            count &+= 1
            rest >>= 7
        }
        end.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    mutating func appendPrefixed(_ source: UnsafeRawBufferPointer) {
        appendVarint(UInt64(source.count))
        append(source)
    }

    /// Opens a gap of `size` bytes at `offset`.
    mutating func insertGap(_ size: Int, at offset: Int) {
        guard size > 0 else { return }
        reserve(size)
        memmove(base + offset + size, base + offset, count - offset)
        count += size
    }
}
