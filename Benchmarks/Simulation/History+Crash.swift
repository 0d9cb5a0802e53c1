// Crashes, faults and recoveries of a history.

import MoraineEngine
import MoraineFiles
import MoraineStorage

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension History {
    /// Runs all rounds, then a last part without crashes to at least 40 operations.
    func run() throws {
        note("plan \(plan)")
        try create()
        for _ in 0..<plan.roundCount {
            if dice.chance(plan.faultPercent) { try faultRound() } else { try crashRound() }
        }
        var rest = max(8, 40 - outcome.operationCount)
        while rest > 0 {
            _ = try step()
            rest -= 1
        }
        _ = try reopen()
        _ = try compareNow()
        _ = try close()
        try verify()
        try leaveFollower()
        if plan.meetsOthers, dice.chance(20) { try lie() }
    }

    /// Makes the store, sometimes through crashes.
    private func create() throws {
        var crashes = dice.chance(15) ? 2 : 0
        while crashes > 0 {
            crashes -= 1
            fileSystem.crashAt(change: UInt64(dice.number(1..<30)))
            _ = try open()
            try goDown()
        }
        guard try open() else { throw SimulationFailure("a store cannot be made") }
        try recovered(afterLossOfPower: true)
    }

    // MARK: Crashes

    private func crashRound() throws {
        let limit = dice.pick([10, 40, 120, 250])
        let kills = dice.chance(25)
        let isSudden = dice.chance(85)
        if isSudden { fileSystem.crashAt(change: UInt64(dice.number(1..<limit))) }
        for _ in 0..<dice.number(8..<60) {
            guard try step() else { break }
        }
        try goDown(killing: kills)
        try recover(afterLossOfPower: !kills)
    }

    /// Ends the process: what is open fails from now on, and unsynced bytes are at risk.
    private func goDown(killing: Bool = false) throws {
        if !fileSystem.isShutDown { fileSystem.crashAt(operation: 1) }
        letGo()
        try? leaveFollower()
        // Closing a store whose disk is gone must not hang, trap or change anything.
        if let engine { try? engine.close() }
        engine = nil
        outcome.countCrash(at: fileSystem.crashSite)
        note("down at \(fileSystem.crashSite ?? "rest"), killed \(killing)")
        expectsFaults = false
        fileSystem.setFaults([])
        fileSystem.setQuota(byteCount: nil)
        if killing {
            fileSystem.killProcess()
        } else {
            fileSystem.crash(dice.pick(CrashModel.allCases), seed: dice.seed())
        }
    }

    /// Opens the store after it went down, sometimes through crashes of the recovery itself.
    private func recover(afterLossOfPower: Bool) throws {
        var isPowerLost = afterLossOfPower
        if plan.meetsOthers, dice.chance(15) {
            try salvageCrashed(afterLossOfPower: isPowerLost)
        }
        while dice.chance(30) {
            fileSystem.crashAt(change: UInt64(dice.number(1..<24)))
            if try open() {
                // It came up before the crash: what it shows is recovered, if not yet looked at.
                if !fileSystem.isShutDown { try recovered(afterLossOfPower: isPowerLost) }
            }
            let kills = dice.chance(25)
            try goDown(killing: kills)
            isPowerLost = isPowerLost || !kills
            outcome.recoveryCrashCount += 1
        }
        hasFailed = false
        guard try open() else { throw SimulationFailure("the store does not open again") }
        try recovered(afterLossOfPower: isPowerLost)
    }

    /// Compares a store just opened with the states in which it may be, and goes on from there.
    private func recovered(afterLossOfPower: Bool) throws {
        guard let engine else { throw SimulationFailure("no store is open") }
        let version = try engine.version()
        let states = model.admissible(afterLossOfPower: afterLossOfPower)
        guard let state = states.first(where: { $0.lsn == version.lsn }) else {
            throw SimulationFailure(
                "recovered to LSN \(version.lsn), not to one of \(states.map(\.lsn))"
            )
        }
        do {
            try version.expect(state)
        } catch let error as StoreError {
            throw SimulationFailure("a recovered store cannot be read: \(error.full)")
        }
        outcome.lostCount += model.newest.lsn > state.lsn ? model.newest.lsn - state.lsn : 0
        model.goOn(from: state)
        note("recovered \(state.lsn)")
    }

    // MARK: Faults

    /// Lets calls fail; then, with the fault gone, the store opens again with all that was
    /// acknowledged.
    private func faultRound() throws {
        outcome.faultCount += 1
        for _ in 0..<dice.number(0..<20) { _ = try step() }
        expectsFaults = true
        mayLeaveFiles = true
        setFault()
        for _ in 0..<dice.number(4..<30) {
            // After an error the store may go on or refuse; both are asked.
            if try !step(), dice.chance(50) || engine == nil { break }
        }
        if dice.chance(30) {
            try goDown(killing: dice.chance(50))
            // What the failed sync dropped is lost even when only the process ends.
            return try recover(afterLossOfPower: true)
        }
        fileSystem.setFaults([])
        fileSystem.setQuota(byteCount: nil)
        expectsFaults = false
        // Room again: a store that did not give up writing goes on.
        if engine != nil { _ = try step() }
        if engine != nil { _ = try close() }
        hasFailed = false
        guard try open() else { throw SimulationFailure("the store does not open again") }
        try recovered(afterLossOfPower: false)
    }

    /// Loses power after a sync that claimed a success it did not have: commits may be lost, but
    /// what the store shows then is one of its states, or it says that it is damaged.
    private func lie() throws {
        guard try open() else { throw SimulationFailure("the store does not open again") }
        fileSystem.setFaults([
            Fault(
                operation: dice.chance(75) ? .sync : .syncDirectory,
                ordinal: UInt64(dice.number(1..<12)),
                effect: .lyingSync
            )
        ])
        for _ in 0..<dice.number(5..<30) { _ = try step() }
        try goDown()
        do {
            let engine = try Engine.open(at: Self.folder, options: options)
            defer { try? engine.close() }
            let version = try engine.version()
            let states = model.states + (model.doubtful.map { [$0] } ?? [])
            guard version.lsn < UInt64(states.count) else {
                throw SimulationFailure("recovered to LSN \(version.lsn), which never was")
            }
            try version.expect(states[Int(version.lsn)])
            outcome.count("a sync lies: a state as it was")
        } catch let error as StoreError {
            guard error.code == .corrupted else {
                throw SimulationFailure("after a sync that lied: \(error.full)")
            }
            outcome.count("a sync lies: damage is met")
        }
    }

    private func setFault() {
        let ordinal = UInt64(dice.number(1..<40))
        let isOnce = dice.chance(60)
        let fault: Fault
        switch dice.number(0..<8) {
        case 0: fault = .failOnceSync(ordinal: ordinal)
        case 1:
            fault = Fault(
                operation: .write,
                ordinal: ordinal,
                errorNumber: EIO,
                once: isOnce
            )
        case 2:
            fault = Fault(
                operation: .open,
                ordinal: ordinal % 12 + 1,
                errorNumber: EMFILE,
                once: isOnce
            )
        case 3:
            let now = fileSystem.filePaths.reduce(0) {
                $0 + (fileSystem.contents(of: $1)?.count ?? 0)
            }
            fileSystem.setQuota(byteCount: now + dice.number(0..<120_000))
            outcome.count("fault: the disk is full")
            return note("quota")
        case 4:
            fault = Fault(
                operation: .syncDirectory,
                ordinal: ordinal % 6 + 1,
                errorNumber: EIO,
                once: isOnce
            )
        case 5:
            fault = Fault(
                operation: .write,
                ordinal: ordinal,
                errorNumber: ENOSPC,
                once: isOnce
            )
        case 6:
            fault = Fault(
                operation: .read,
                ordinal: ordinal,
                errorNumber: EIO,
                once: isOnce
            )
        default:
            fault = Fault(
                operation: dice.pick([.rename, .remove, .truncate]),
                ordinal: ordinal % 4 + 1,
                errorNumber: EIO,
                once: isOnce
            )
        }
        fileSystem.setFaults([fault])
        outcome.count(
            fault.effect == .failedSync
                ? "fault: a sync fails once, then \"succeeds\"" : "fault: \(fault.operation) fails"
        )
        note("fault \(fault)")
    }
}
