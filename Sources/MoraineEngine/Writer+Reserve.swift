// What is kept free on the disk, so that a store that has filled it can still delete.
//
// Below the reserve commits that add data are refused before anything is written; deletes,
// checkpoints and merges go on. Where others have taken the reserve too, a file that was kept for
// this, the ballast, makes room for the log records of deletes.

import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

/// What a writer knows of the free space.
struct DiskReserve {
    /// Bytes of the file that is given up when the disk is full.
    ///
    /// No log file has this size, so that none takes it for a recycled one.
    static let ballastByteCount: UInt64 = (2 << 20) + 4096

    /// Bytes that commits have added since the last look.
    var addedByteCount = 0
    /// Steady nanoseconds of the last look.
    var lookedAt: UInt64?
    /// Free bytes at the last look, when they were below the reserve.
    var lowFreeByteCount: UInt64?
    /// The name of the ballast.
    var ballast: String?
}

extension Writer {
    /// Looks at the free space, if that was long ago or much was added since.
    ///
    /// - Returns: the free bytes when they are below the reserve.
    func lowFreeSpace(adding byteCount: Int) -> UInt64? {
        guard options.diskReserveByteCount > 0 else { return nil }
        let now = options.clock.steadyNanoseconds()
        reserve.addedByteCount += byteCount
        // Above the reserve a look now and then will do: what is added between two looks is small
        // beside it. Below it every look may bring good news.
        let isRecent =
            reserve.lookedAt.map { now < $0 + 1_000_000_000 } ?? false
            && reserve.addedByteCount < options.diskReserveByteCount / 16
        if isRecent, reserve.lowFreeByteCount == nil { return nil }
        reserve.lookedAt = now
        reserve.addedByteCount = byteCount
        guard let free = try? fileSystem.volume(folder).freeByteCount else { return nil }
        let isLow = free < UInt64(options.diskReserveByteCount) + UInt64(byteCount)
        reserve.lowFreeByteCount = isLow ? free : nil
        return reserve.lowFreeByteCount
    }

    /// Refuses the commits that add data when the disk is filled up to the reserve; returns the
    /// others.
    func refusingPastReserve(_ group: [CommitRequest]) -> [CommitRequest] {
        let added = group.reduce(0) { $0 + ($1.addsData ? $1.payload.count : 0) }
        guard added > 0, let free = lowFreeSpace(adding: added) else { return group }
        let error = StoreError(
            .noSpace,
            "the disk is filled up to its reserve; deletes, checkpoints and compaction go on",
            path: folder,
            expected: "\(options.diskReserveByteCount) bytes free",
            found: "\(free)"
        )
        return refusingData(group, error)
    }

    /// Refuses the commits that add data; returns the others.
    func refusingData(_ group: [CommitRequest], _ error: StoreError) -> [CommitRequest] {
        for request in group where request.addsData { request.finish(.refused(error)) }
        return group.filter { !$0.addsData }
    }

    // MARK: Ballast

    /// Makes the ballast, when there is none and room enough for it.
    ///
    /// It may be missing: then only the reserve itself helps.
    func makeBallast() {
        guard options.diskReserveByteCount > 0, reserve.ballast == nil else { return }
        let size = DiskReserve.ballastByteCount
        let free = (try? fileSystem.volume(folder).freeByteCount) ?? 0
        guard free > UInt64(options.diskReserveByteCount) + size else { return }
        let name = FileNames.spareLog(ids.allocateFile())
        do throws(FileError) {
            let file = try fileSystem.open(FileNames.path(folder, name), .createNew)
            defer { file.close() }
            try LogFiles.fill(file, byteCount: size)
            reserve.ballast = name
        } catch {
            removeQuietly(name)
        }
    }

    /// Gives up the ballast; false when there is none.
    func releaseBallast() -> Bool {
        guard let name = reserve.ballast else { return false }
        reserve.ballast = nil
        do throws(FileError) {
            try fileSystem.remove(FileNames.path(folder, name))
            return true
        } catch {
            retire([name])
            return false
        }
    }
}
