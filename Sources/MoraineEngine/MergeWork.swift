// The threads of a merge: documents in runs, vectors and keys beside them.

import MoraineFiles
import MoraineSegments
import MoraineStorage

/// Runs of a merge's documents on several threads, written in order by whichever is done.
///
/// `@unchecked Sendable`: the vars are only used under `monitor`, the writer's documents only by
/// the thread that has set `isWriting`.
final class MergeWork: @unchecked Sendable {
    private let documents: DocumentMerge
    private let runs: [Range<Int>]
    private let writer: SegmentWriter
    private let width: Int
    private let inputByteCount: UInt64
    private let step: @Sendable (UInt64) throws(StoreError) -> Void
    private let monitor = Monitor()
    private var nextRun = 0
    private var nextToWrite = 0
    private var isWriting = false
    private var waiting: [Int: DocumentRun] = [:]
    private var failure: StoreError?
    private var vectors: (@Sendable () throws(StoreError) -> Void)?
    /// The plan whose keys nobody writes yet.
    private var keys: MergePlan?
    private(set) var copiedBlockCount = 0

    init(
        documents: DocumentMerge,
        runByteCount: Int,
        inputByteCount: UInt64,
        writer: SegmentWriter,
        width: Int,
        step: @escaping @Sendable (UInt64) throws(StoreError) -> Void
    ) {
        self.documents = documents
        self.inputByteCount = inputByteCount
        self.writer = writer
        self.width = width
        self.step = step
        runs = documents.runs(byteCount: runByteCount)
    }

    /// Does everything: `vectors`, the key file and the documents, beside each other.
    func run(
        keysOf plan: MergePlan,
        vectors: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) {
        self.vectors = vectors
        if plan.rowCount > 0 { keys = plan }
        var helpers: [WorkerThread] = []
        for _ in 1..<max(1, min(width, runs.count + 1)) {
            // Without a further thread the others do the work.
            if let helper = WorkerThread({ [self] in serve() }) { helpers.append(helper) }
        }
        serve()
        for helper in helpers { helper.join() }
        if let failure { throw failure }
    }

    private func serve() {
        do throws(StoreError) {
            if let vectors = takeVectors() { try vectors() }
            if let plan = takeKeys() {
                try writer.writeKeys(of: plan) { () throws(StoreError) in try step(0) }
            }
            while let number = claim() {
                try step(inputByteCount / UInt64(runs.count))
                deliver(number, try documents.make(runs[number]))
                try writeWaiting()
            }
        } catch {
            monitor.withLock {
                if failure == nil { failure = error }
                monitor.broadcast()
            }
        }
    }

    private func takeVectors() -> (@Sendable () throws(StoreError) -> Void)? {
        monitor.withLock {
            defer { vectors = nil }
            return vectors
        }
    }

    private func takeKeys() -> MergePlan? {
        monitor.withLock {
            defer { keys = nil }
            return keys
        }
    }

    /// The next run to make; waits while too many wait to be written.
    private func claim() -> Int? {
        monitor.withLock {
            while failure == nil, nextRun < runs.count, nextRun - nextToWrite > 2 * width {
                monitor.wait()
            }
            guard failure == nil, nextRun < runs.count else { return nil }
            nextRun += 1
            return nextRun - 1
        }
    }

    private func deliver(_ number: Int, _ run: DocumentRun) {
        monitor.withLock { waiting[number] = run }
    }

    /// Writes what is next, unless another thread does.
    private func writeWaiting() throws(StoreError) {
        while let run = takeNext() {
            try writer.append(run)
            monitor.withLock {
                copiedBlockCount += run.copiedBlockCount
                nextToWrite += 1
                isWriting = false
                monitor.broadcast()
            }
        }
    }

    private func takeNext() -> DocumentRun? {
        monitor.withLock {
            guard !isWriting, failure == nil, let run = waiting.removeValue(forKey: nextToWrite)
            else { return nil }
            isWriting = true
            return run
        }
    }
}
