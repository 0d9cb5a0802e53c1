// Holds work up until a test lets it go.

import MoraineFiles
import Synchronization

/// A job that runs until it is let go.
final class Gate: Sendable {
    private let monitor = Monitor()
    private let isOpen = Atomic(false)
    private let isReached = Atomic(false)

    func pass() {
        isReached.store(true, ordering: .sequentiallyConsistent)
        monitor.withLock {
            while !isOpen.load(ordering: .sequentiallyConsistent) { monitor.wait() }
        }
    }

    func open() {
        monitor.withLock {
            isOpen.store(true, ordering: .sequentiallyConsistent)
            monitor.broadcast()
        }
    }

    func reached() async {
        while !isReached.load(ordering: .sequentiallyConsistent) { await Task.yield() }
    }
}
