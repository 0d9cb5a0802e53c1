// The machine that a run is done on, its memory, and time.

import Foundation
import MoraineFiles
import Synchronization

/// What is known about the machine.
enum Machine {
    /// Bytes of the last-level cache; 32 MiB where the system does not say.
    static var cacheByteCount: Int {
        var largest = 0
        for index in 0..<8 {
            let path = "/sys/devices/system/cpu/cpu0/cache/index\(index)/size"
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
            let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
            guard let number = Int(trimmed.dropLast()) else { continue }
            largest = max(largest, number << (trimmed.hasSuffix("M") ? 20 : 10))
        }
        return largest == 0 ? 32 << 20 : largest
    }

    /// For the head of a report.
    static func description(of folder: String) throws -> [String: String] {
        let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = cpu.split(separator: "\n").first { $0.hasPrefix("model name") }
        let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
        return [
            "cpu": model.map { String($0.drop { $0 != ":" }.dropFirst(2)) } ?? "unknown",
            "cores": "\(WorkerThread.processorCount)",
            "last-level cache": "\(cacheByteCount >> 20) MiB",
            "system": ProcessInfo.processInfo.operatingSystemVersionString,
            "load before": load.split(separator: " ").prefix(3).joined(separator: " "),
            "file system": try PosixFileSystem().volume(folder).kind,
        ]
    }

}

private let clock = SystemClock()

/// How long `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = clock.steadyNanoseconds()
    try body()
    return Double(clock.steadyNanoseconds() - start) / 1e9
}

/// Waits for many threads or tasks and keeps their first error.
private final class Crew: Sendable {
    private struct State {
        var runningCount: Int
        var failure: (any Error)?
    }

    private let monitor = Monitor()
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(runningCount: count)) }

    func leave(_ failure: (any Error)?) {
        monitor.withLock {
            state.withLock {
                $0.runningCount -= 1
                if $0.failure == nil { $0.failure = failure }
            }
            monitor.broadcast()
        }
    }

    func waitForAll() throws {
        monitor.withLock {
            while state.withLock({ $0.runningCount }) > 0 { monitor.wait() }
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}

/// How long `count` threads take to run `body` with their numbers.
func secondsOnThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws
    -> Double
{
    try seconds {
        let crew = Crew(count)
        var threads: [WorkerThread] = []
        for number in 0..<count {
            let thread = WorkerThread {
                do {
                    try body(number)
                    crew.leave(nil)
                } catch {
                    crew.leave(error)
                }
            }
            guard let thread else { throw Failure.failed("cannot start a thread") }
            threads.append(thread)
        }
        defer { threads.forEach { $0.join() } }
        try crew.waitForAll()
    }
}

/// How long `count` tasks take to run `body` with their numbers.
func secondsInTasks(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void) throws
    -> Double
{
    try seconds {
        let crew = Crew(count)
        for number in 0..<count {
            Task.detached {
                do {
                    try await body(number)
                    crew.leave(nil)
                } catch {
                    crew.leave(error)
                }
            }
        }
        try crew.waitForAll()
    }
}

/// Reads the process's memory from /proc, some hundred times a second at little cost: the watched
/// work runs meanwhile on the same cores.
struct ResidentMemory: ~Copyable {
    private let descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
    private var text = [UInt8](repeating: 0, count: 4096)

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Bytes that no file backs, and bytes of mapped files.
    mutating func byteCounts() -> (anonymous: Int, file: Int) {
        let count = text.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return (0, 0) }
        let status = text[..<count]
        return (value("RssAnon:", status), value("RssFile:", status))
    }

    private func value(_ name: StaticString, _ status: ArraySlice<UInt8>) -> Int {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        var start = 0
        while !status[start...].starts(with: name) {
            guard let end = status[start...].firstIndex(of: 10), end + 1 < status.count
            else { return 0 }
            start = end + 1
        }
        let digits = status[(start + name.count)...].drop { $0 == 9 || $0 == 32 }
        return digits.prefix { (48...57).contains($0) }.reduce(0) { $0 * 10 + Int($1) - 48 } << 10
    }
}

/// Watches the memory of the process from a thread until it is asked.
final class MemoryWatch: Sendable {
    private let monitor = Monitor()
    private let peak = Mutex((anonymous: 0, file: 0))
    private let isStopped = Mutex(false)

    init() throws {
        let thread = WorkerThread { [self] in
            var memory = ResidentMemory()
            while !isStopped.withLock({ $0 }) {
                look(&memory)
                _ = monitor.withLock { monitor.wait(milliseconds: 2) }
            }
        }
        guard thread != nil else { throw Failure.failed("cannot start a thread") }
    }

    private func look(_ memory: inout ResidentMemory) {
        let now = memory.byteCounts()
        peak.withLock {
            $0 = (max($0.anonymous, now.anonymous), max($0.file, now.file))
        }
    }

    /// The most that was seen.
    func stop() -> (anonymous: Int, file: Int) {
        var memory = ResidentMemory()
        look(&memory)
        isStopped.withLock { $0 = true }
        return peak.withLock { $0 }
    }
}
