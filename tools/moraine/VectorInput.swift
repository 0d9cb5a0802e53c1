// Files of bare vectors: little-endian Float32, one vector after the other.

/// Reads whole vectors from a file or pipe.
struct VectorInput {
    let path: String
    let dimensions: Int
    private let source: any ByteSource
    /// Bytes read so far.
    private(set) var byteCount: UInt64 = 0
    /// The input ended in the middle of a vector.
    private(set) var endsInside = false

    /// Takes an open file; one whose length is no whole number of vectors is refused at once.
    init(_ path: String, _ file: OpenedInput, dimensions: Int) throws(Failure) {
        let unit = UInt64(dimensions * 4)
        if let byteCount = file.byteCount, byteCount % unit != 0 {
            throw Failure(
                .usage,
                "\(path) has \(byteCount) bytes, no multiple of \(unit): "
                    + "\(dimensions) numbers of 4 bytes a vector"
            )
        }
        self.path = path
        self.dimensions = dimensions
        source = file.source
    }

    /// Replaces `floats` by the next vectors, at most `count`; returns how many there were.
    ///
    /// Memory that `floats` has is used again.
    mutating func next(_ count: Int, into floats: inout [Float]) throws(Failure) -> Int {
        let wanted = count * dimensions * 4
        var done = 0
        var failure: Failure?
        // The last batch has fewer, else the count is always the same: nothing is filled twice.
        if floats.count > count * dimensions {
            floats.removeLast(floats.count - count * dimensions)
        }
        floats.append(contentsOf: repeatElement(0, count: count * dimensions - floats.count))
        floats.withUnsafeMutableBytes { bytes in
            reading: while done < wanted {
                let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done..<wanted])
                switch source.read(into: rest) {
                case .bytes(let count): done += count
                case .end: break reading
                case .cancelled:
                    failure = Failure(.cancelled, "stopped by a signal")
                    break reading
                case .failed(let number):
                    failure = readFailure(path, number)
                    break reading
                }
            }
        }
        if let failure { throw failure }
        byteCount += UInt64(done)
        let count = done / (dimensions * 4)
        endsInside = done > count * dimensions * 4
        floats.removeLast(floats.count - count * dimensions)
        #if _endian(big)
        for index in floats.indices {
            floats[index] = Float(bitPattern: floats[index].bitPattern.byteSwapped)
        }
        #endif
        return count
    }
}

/// A read of an input that the operating system refused.
func readFailure(_ path: String, _ number: Int32) -> Failure {
    Failure(.operational, "cannot read \(path): \(SystemFailure(number).reason)")
}

extension Console {
    /// Opens a file that the command line names; "-" is standard input.
    func open(_ path: String) throws(Failure) -> OpenedInput {
        switch openInput(path) {
        case .success(let opened): return opened
        case .failure(let failure):
            throw Failure(
                failure.isNoSuchFile ? .usage : .operational,
                "cannot open \(path): \(failure.reason)"
            )
        }
    }
}
