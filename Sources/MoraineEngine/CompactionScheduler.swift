// Who compacts what: merges of disjoint segments side by side in the background, one caller at a
// time when asked to.

import MoraineFormat
import MoraineSegments
import MoraineStorage
import Synchronization

/// Runs merges for an engine.
///
/// Any thread.
package final class CompactionScheduler: Sendable {
    /// What is remembered of merges.
    private struct Memory {
        /// Segments that could not be compacted: not tried again until the store is opened anew.
        var broken: Set<UInt64> = []
        var settled: Set<UInt64> = []
        var failure: StoreError?

        mutating func note(_ task: CompactionTask, _ error: StoreError?) -> Bool {
            guard error?.code != .cancelled else { return true }
            failure = error
            // Damage does not go away; space may come back.
            if error?.code == .noSpace { return false }
            if error != nil { broken.formUnion(task.inputs.map(\.segment.id)) }
            return true
        }

        /// Remembers an output that kept its tombstones; segments that went may free those of others.
        mutating func note(_ output: Segment?) {
            settled = []
            if let output, output.entry.tombstoneCount > 0 { settled.insert(output.id) }
        }
    }

    private let memory: SharedMemory
    let jobs: JobScheduler<CompactionTask>

    private final class SharedMemory: Sendable { let value = Mutex(Memory()) }

    init(threadCount: Int) {
        let memory = SharedMemory()
        self.memory = memory
        jobs = JobScheduler(
            JobKind(
                segments: { $0.inputs.map(\.segment.id) },
                choose: { engine, busy in
                    engine.chooseCompaction(
                        busy: busy.union(memory.value.withLock { $0.broken })
                    )
                },
                run: { engine, task, step throws(StoreError) in
                    let output = try engine.run(task, width: 1) { _ throws(StoreError) in
                        try step()
                    }
                    memory.value.withLock { $0.note(output) }
                },
                finished: { _, task, error in memory.value.withLock { $0.note(task, error) } },
                duty: { $0.compactionDuty }
            ),
            threadCount: threadCount
        )
    }

    /// Segments whose tombstones were kept when they were last looked at.
    var settled: Set<UInt64> { memory.value.withLock { $0.settled } }

    /// The last failure of a merge in the background; cleared by the next success.
    var failure: StoreError? { memory.value.withLock { $0.failure } }

    /// Begins no merge, and lets those under way wait at their next step, until `resume()`.
    package func pause() { jobs.pause() }

    /// Ends one `pause()`.
    ///
    /// Without one there is nothing to do.
    package func resume() { jobs.resume() }
}
