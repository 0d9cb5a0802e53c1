// Threads that outlive the slot which started them.

import MoraineFiles
import Testing

#if canImport(Glibc)
import Glibc

@Suite struct ThreadSlotTests {
    /// Addresses that this process uses, in bytes.
    private func virtualByteCount() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, 128, file) != nil else { return 0 }
        return strtol(line, nil, 10) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// 8 MiB of addresses stay with each thread that has ended and that nobody joined.
    @Test func aThreadThatOutlivesItsSlotLeavesNoStackBehind() throws {
        let before = virtualByteCount()
        for _ in 0..<1000 {
            let gate = Gate()
            var slot: ThreadSlot? = ThreadSlot()
            #expect(slot?.start { gate.pass() } == true)
            slot = nil
            gate.open()
        }
        // The last of them may not have ended yet.
        var grown = Int.max
        for _ in 0..<1000 where grown > 4 << 30 {
            grown = virtualByteCount() - before
            WorkerThread.sleep(nanoseconds: 1_000_000)
        }
        #expect(grown <= 4 << 30)
    }
}
#endif
