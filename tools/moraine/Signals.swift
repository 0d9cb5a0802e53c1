// SIGINT and SIGTERM: at once for commands that only read, at the next good place for the others.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

// Globals, because a signal handler can carry no context. Both are touched before it is installed,
// so that it never runs their lazy initialisation.
private let isRequestedFlag = Atomic<Bool>(false)
private let isHeldFlag = Atomic<Bool>(false)
private let wakeDescriptor = Atomic<Int32>(-1)

/// The signals of this process.
struct SignalCancellation: Cancellation {
    /// Becomes readable when a signal comes.
    let wake: Int32

    /// Installs the handlers; called once.
    static func install() -> SignalCancellation {
        _ = isRequestedFlag.load(ordering: .relaxed)
        _ = isHeldFlag.load(ordering: .relaxed)
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) == 0 {
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            wakeDescriptor.store(ends[1], ordering: .sequentiallyConsistent)
        }
        // Without these two a write fails, and that is told.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var action = sigaction()
        #if canImport(Darwin)
        action.__sigaction_u.__sa_handler = handleSignal
        #else
        action.__sigaction_handler.sa_handler = handleSignal
        #endif
        // The second signal finds the default again: it ends the process whatever it is doing.
        action.sa_flags = Int32(truncatingIfNeeded: SA_RESETHAND)
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
        // Whoever started this process from a thread that blocks them has left them blocked.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        return SignalCancellation(wake: ends[0])
    }

    var isRequested: Bool { isRequestedFlag.load(ordering: .sequentiallyConsistent) }

    func hold() { isHeldFlag.store(true, ordering: .sequentiallyConsistent) }
}

private func handleSignal(_ number: Int32) {
    // Readers hold nothing that would need an orderly end, and a long check must stop at once.
    guard isHeldFlag.load(ordering: .sequentiallyConsistent) else {
        _exit(ExitCode.cancelled.rawValue)
    }
    isRequestedFlag.store(true, ordering: .sequentiallyConsistent)
    let saved = errno
    var byte: UInt8 = 1
    _ = write(wakeDescriptor.load(ordering: .sequentiallyConsistent), &byte, 1)
    errno = saved
}
