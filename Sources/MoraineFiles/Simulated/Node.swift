// A simulated file or folder: what it holds, and what of it a loss of power would take back.

/// A name as its bytes: Swift's strings would take two spellings of é for one name.
typealias Name = [UInt8]

/// The unit in which a disk keeps or loses what was not synced, in bytes.
let sectorByteCount = 512

/// A file or a folder.
///
/// A file's durable state is `content` with `changes` taken back, newest first, and `lost` put over
/// it. A folder's entries are the current ones; the file system knows which are not durable.
// SAFETY: every access is made under the mutex of the one file system that the node belongs to.
final class Node: @unchecked Sendable {
    let isDirectory: Bool
    /// Of a folder: what it holds now.
    var entries: [Name: Node] = [:]
    /// Of a file: its bytes now.
    var content = Content()
    /// Of a file: what was done since the last sync, oldest first.
    private(set) var changes: [Change] = []
    private var savedByteCount = 0
    /// After a failed sync: sectors that look written and are not, with what the disk holds.
    private(set) var lost: [Int: [UInt8]] = [:]
    /// After a failed sync: the length on the disk, until a later change is synced.
    private(set) var lostByteCount: Int?
    /// Whether the file has a name, and so counts towards the quota.
    var isNamed = true
    /// Who holds the lock on the file.
    var lockToken: UInt64?

    init(isDirectory: Bool) { self.isDirectory = isDirectory }

    /// One thing done to a file's bytes, with how to take it back.
    struct Change {
        /// Its place among all changes of the file system.
        let order: UInt64
        /// Where a write began; what a truncation set the length to.
        let offset: Int
        /// Bytes written; 0 for a truncation.
        let count: Int
        /// The length before.
        let oldByteCount: Int
        let before: Before
    }

    enum Before {
        /// The bytes that a write went over, as far as there were any.
        case bytes([UInt8])
        /// All of the file before a truncation.
        case content(Content)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, order: UInt64) {
        let overwritten = min(bytes.count, max(content.byteCount - offset, 0))
        remember(
            Change(
                order: order,
                offset: offset,
                count: bytes.count,
                oldByteCount: content.byteCount,
                before: .bytes(content.bytes(at: offset, count: overwritten))
            ),
            savedByteCount: overwritten
        )
        content.write(bytes, at: offset)
    }

    func truncate(to byteCount: Int, order: UInt64) {
        remember(
            Change(
                order: order,
                offset: byteCount,
                count: 0,
                oldByteCount: content.byteCount,
                before: .content(content)
            ),
            savedByteCount: 0
        )
        content.truncate(to: byteCount)
    }

    private func remember(_ change: Change, savedByteCount added: Int) {
        // A kernel writes back on its own after a while, oldest first; so the memory for files
        // that nobody ever syncs stays bounded.
        if changes.count >= 1 << 16 || savedByteCount > 1 << 26 {
            writeBack(changes.count / 2 + 1)
        }
        changes.append(change)
        savedByteCount += added
    }

    private func writeBack(_ count: Int) {
        for sector in dirtySectors(of: changes.prefix(count)) where !lost.isEmpty {
            lost[sector] = nil
        }
        if count > 0 { lostByteCount = nil }
        changes.removeFirst(min(count, changes.count))
        savedByteCount = changes.reduce(0) { sum, change in
            if case .bytes(let bytes) = change.before { sum + bytes.count } else { sum }
        }
    }

    /// A sync that works.
    func makeDurable() {
        guard !changes.isEmpty else { return }
        if lost.isEmpty, lostByteCount == nil {
            changes.removeAll(keepingCapacity: changes.count < 64)
            savedByteCount = 0
        } else {
            writeBack(changes.count)
        }
    }

    /// A sync that fails as Linux fails: the pages are clean from now on, and not on the disk.
    func failSync() {
        guard !changes.isEmpty else { return }
        let durable = content(keeping: 0)
        for sector in dirtySectors(of: changes[...]) where lost[sector] == nil {
            lost[sector] = durable.bytes(at: sector * sectorByteCount, count: sectorByteCount)
        }
        lostByteCount = lostByteCount ?? durable.byteCount
        changes = []
        savedByteCount = 0
    }

    /// Makes `survivor` the file's bytes, all durable, and frees its lock.
    func settle(as survivor: Content) {
        content = survivor
        changes = []
        savedByteCount = 0
        lost = [:]
        lostByteCount = nil
        lockToken = nil
    }

    /// The bytes as they looked after the first `count` unsynced changes.
    func content(keeping count: Int) -> Content {
        var content = content
        for change in changes[count...].reversed() {
            switch change.before {
            case .bytes(let bytes):
                content.write(bytes, at: change.offset)
                content.truncate(to: change.oldByteCount)
            case .content(let before):
                content = before
            }
        }
        return content
    }

    /// What survives when the first `count` unsynced changes reached the disk whole and the rest
    /// not at all.
    func survivor(keeping count: Int) -> Content {
        var survivor = content(keeping: count)
        guard !lost.isEmpty || lostByteCount != nil else { return survivor }
        let rewritten = dirtySectors(of: changes[..<count])
        for (sector, bytes) in lost where !rewritten.contains(sector) {
            let offset = sector * sectorByteCount
            let inside = min(sectorByteCount, survivor.byteCount - offset)
            if inside > 0 { survivor.write(Array(bytes.prefix(inside)), at: offset) }
        }
        if count == 0, let lostByteCount { survivor.truncate(to: lostByteCount) }
        return survivor
    }

    /// What survives when every unsynced sector and every change of length is kept or lost by
    /// chance.
    ///
    /// A sector written several times may also be kept as it was in between. Bytes below a kept
    /// length whose sector is lost are zero where the disk never had any.
    func tornSurvivor(_ random: inout SplitMix64) -> Content {
        guard !changes.isEmpty else { return survivor(keeping: 0) }
        let middle = content(keeping: Int.random(in: 0...changes.count, using: &random))
        let lengthsKept =
            switch UInt8.random(in: 0..<4, using: &random) {
            case 0: 0
            case 1: Int.random(in: 0...changes.count, using: &random)
            default: changes.count
            }
        var survivor = survivor(keeping: 0)
        for change in changes[..<lengthsKept] {
            if case .content = change.before { survivor.truncate(to: change.offset) }
        }
        if lengthsKept > 0 {
            survivor.truncate(to: byteCount(after: lengthsKept - 1))
        }
        for sector in dirtySectors(of: changes[...]).sorted() {
            let offset = sector * sectorByteCount
            let source: Content
            switch UInt8.random(in: 0..<8, using: &random) {
            case 0...3: source = content
            // Not where a sync failed: there the middle may show what never reached the disk.
            case 4 where lost[sector] == nil: source = middle
            default: continue
            }
            let inside = min(sectorByteCount, survivor.byteCount - offset)
            if inside > 0 { survivor.write(source.bytes(at: offset, count: inside), at: offset) }
        }
        return survivor
    }

    private func byteCount(after index: Int) -> Int {
        index + 1 < changes.count ? changes[index + 1].oldByteCount : content.byteCount
    }

    private func dirtySectors(of changes: ArraySlice<Change>) -> Set<Int> {
        var sectors: Set<Int> = []
        for change in changes where change.count > 0 {
            let last = (change.offset + change.count - 1) / sectorByteCount
            sectors.formUnion(change.offset / sectorByteCount...last)
        }
        return sectors
    }

    /// An independent node with the same bytes; of a folder, without its entries.
    func clone(keepingUnsynced: Bool) -> Node {
        let copy = Node(isDirectory: isDirectory)
        copy.content = content
        if keepingUnsynced {
            copy.changes = changes
            copy.savedByteCount = savedByteCount
            copy.lost = lost
            copy.lostByteCount = lostByteCount
        }
        return copy
    }
}

/// Something done to names that a loss of power may take back, as a whole.
struct NameChange {
    /// Its place among all changes of the file system.
    let order: UInt64
    /// The folder whose sync makes it durable: of a rename, the target's.
    let home: Node
    let edits: [NameEdit]
}

/// One entry of one folder, before and after.
struct NameEdit {
    let directory: Node
    let name: Name
    let before: Node?
    let after: Node?

    var slot: Slot { Slot(directory: ObjectIdentifier(directory), name: name) }
}

/// Where a name stands.
struct Slot: Hashable {
    let directory: ObjectIdentifier
    let name: Name
}
