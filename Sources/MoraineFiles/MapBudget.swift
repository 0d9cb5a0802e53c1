// How many files a process has mapped. The system allows so many maps and no more; memory
// allocators and threads need some of them, and fail badly without.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// Counts mapped files against a limit.
///
/// Any thread.
package final class MapBudget: Sendable {
    /// The one of this process: three quarters of the maps that the system allows it.
    package static let shared = MapBudget(limit: systemLimit / 4 * 3)

    package let limit: Int
    private let used = Atomic(0)

    package init(limit: Int) { self.limit = limit }

    /// Files that are mapped now.
    package var count: Int { used.load(ordering: .relaxed) }

    /// Takes a place for one more; false when all are taken.
    func take() -> Bool {
        if used.add(1, ordering: .relaxed).newValue <= limit { return true }
        giveBack()
        return false
    }

    func giveBack() { used.subtract(1, ordering: .relaxed) }

    /// Linux says it in a file; elsewhere there is no such limit, and its default does.
    private static var systemLimit: Int {
        let usual = 65_530
        guard let file = fopen("/proc/sys/vm/max_map_count", "r") else { return usual }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 32)
        guard fgets(&text, Int32(text.count), file) != nil else { return usual }
        let count = strtol(text, nil, 10)
        return count > 0 ? count : usual
    }
}
