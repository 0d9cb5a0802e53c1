// Calls of objects that somebody else keeps alive.

extension Unmanaged {
    /// Calls `body` with the object, without counting a reference to it.
    ///
    /// A count that two threads change goes from one processor to the other each time, which costs
    /// more than a short call does. Whoever calls keeps the object alive meanwhile.
    @inlinable @inline(__always)
    package func borrowing<R, E: Error>(_ body: (Instance) throws(E) -> R) throws(E) -> R {
        // The standard library's call cannot say which errors it lets through.
        try _withUnsafeGuaranteedRef { object in
            Result { () throws(E) in try body(object) }
        }.get()
    }
}
