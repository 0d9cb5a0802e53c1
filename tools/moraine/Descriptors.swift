// File descriptors as sources and sinks, and files that the user names.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads from a descriptor; a signal wakes it.
final class DescriptorSource: ByteSource {
    private let descriptor: Int32
    private let owns: Bool
    private let wake: Int32?
    private let cancellation: any Cancellation

    /// - Parameter wake: a descriptor that becomes readable when a signal comes.
    init(_ descriptor: Int32, owns: Bool, wake: Int32?, cancellation: any Cancellation) {
        self.descriptor = descriptor
        self.owns = owns
        self.wake = wake
        self.cancellation = cancellation
    }

    deinit { if owns { _ = close(descriptor) } }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        while true {
            if cancellation.isRequested { return .cancelled }
            // Waiting in poll, not in read: a signal that comes just before would be lost there.
            if let wake, !waitForInput(wake) { continue }
            let count = systemRead(descriptor, buffer)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            let number = errno
            if number != EINTR && number != EAGAIN { return .failed(number) }
        }
    }

    /// False when a signal came first.
    private func waitForInput(_ wake: Int32) -> Bool {
        var waits = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        let count = poll(&waits, 2, -1)
        return count > 0 && waits[0].revents != 0
    }
}

/// Writes to a descriptor.
final class DescriptorSink: ByteSink {
    private let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = systemWrite(descriptor, rest)
            if count >= 0 {
                done += count
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wait, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }

    var columnCount: Int? {
        guard isatty(descriptor) == 1 else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 20 else { return 80 }
        return Int(size.ws_col)
    }
}

/// A file that the user named, opened for reading; it may be a pipe or behind a link.
struct InputFile {
    let descriptor: Int32
    /// `nil` for what has no length: a pipe.
    let byteCount: UInt64?

    /// Opens the file, or says the errno.
    static func open(_ path: String) -> Result<InputFile, SystemFailure> {
        let descriptor = systemOpen(path)
        guard descriptor >= 0 else { return .failure(SystemFailure(errno)) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let number = errno
            _ = close(descriptor)
            return .failure(SystemFailure(number))
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            _ = close(descriptor)
            return .failure(SystemFailure(EISDIR))
        }
        let isRegular = status.st_mode & S_IFMT == S_IFREG
        return .success(
            InputFile(
                descriptor: descriptor,
                byteCount: isRegular ? UInt64(clamping: status.st_size) : nil
            )
        )
    }
}

/// An errno with its sentence.
package struct SystemFailure: Error {
    let number: Int32
    package init(_ number: Int32) { self.number = number }
    var reason: String { String(cString: strerror(number)) }
    var isNoSuchFile: Bool { number == ENOENT || number == ENOTDIR }
    /// Nobody reads the pipe any more.
    var isClosedPipe: Bool { number == EPIPE || number == ECONNRESET }
}

/// The place of the first line feed in `bytes`.
func indexOfLineFeed(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress, let found = memchr(base, 0x0A, bytes.count) else {
        return nil
    }
    return UnsafeRawPointer(found) - base
}

// Free functions, because inside the types `read`, `write` and `open` mean their own methods.

private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, buffer.baseAddress, buffer.count)
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}

private func systemOpen(_ path: String) -> Int32 { open(path, O_RDONLY | O_CLOEXEC) }
