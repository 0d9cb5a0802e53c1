// One way to damage a store on disk, and how a seed chooses it.

import MoraineFiles
import MoraineFormat

/// What happened to the files of a store.
enum FileDamage: CustomStringConvertible {
    /// Bytes of one file.
    struct Block: Equatable, CustomStringConvertible {
        let path: String
        let offset: Int
        let count: Int

        var description: String { "\(path) at \(offset) (\(count) bytes)" }
    }

    case flip(path: String, bit: Int)
    /// Two blocks under each other's places, in a file or in two.
    case swap(Block, Block)
    /// A write that went to another place.
    case misdirected(from: Block, to: Block)
    /// A block as it is at the same place of another store.
    case foreignBlock(Block)
    /// A whole file of another store, under the same name.
    case foreignFile(path: String)
    /// Two files of one kind under each other's names.
    case swappedFiles(String, String)
    case zeros(Block)
    /// A number that no writer means, under checksums that tell so.
    case number(path: String, offset: Int, value: UInt64)
    case cut(path: String, count: Int)
    case missing(path: String)
    /// A file as it was at an earlier moment: later writes were lost.
    case older(path: String, moment: Int)
    /// Fields that say what cannot be, under checksums that are right.
    case hostile(path: String, seed: UInt64)

    /// The word that figures are sorted by.
    var kind: String {
        switch self {
        case .flip: "single bit"
        case .swap(let a, let b): a.path == b.path ? "swap in a file" : "swap between files"
        case .misdirected: "misdirected block"
        case .foreignBlock: "block of another store"
        case .foreignFile: "file of another store"
        case .swappedFiles: "files swapped"
        case .zeros: "zeros"
        case .number: "extreme number"
        case .cut: "cut"
        case .missing: "missing"
        case .older: "older file"
        case .hostile: "hostile fields"
        }
    }

    var description: String {
        switch self {
        case .flip(let path, let bit): "bit \(bit % 8) of byte \(bit / 8) of \(path)"
        case .swap(let a, let b): "\(a) swapped with \(b)"
        case .misdirected(let a, let b): "\(a) written to \(b)"
        case .foreignBlock(let block): "\(block) of another store"
        case .foreignFile(let path): "\(path) of another store"
        case .swappedFiles(let a, let b): "\(a) and \(b) swapped"
        case .zeros(let block): "zeros in \(block)"
        case .number(let path, let offset, let value): "\(value) at \(offset) of \(path)"
        case .cut(let path, let count): "\(path) cut to \(count) bytes"
        case .missing(let path): "no \(path)"
        case .older(let path, let moment): "\(path) as at moment \(moment)"
        case .hostile(let path, let seed): "\(path) disturbed with \(seed)"
        }
    }

    /// The files that it changes.
    var paths: [String] {
        switch self {
        case .flip(let path, _), .foreignFile(let path), .cut(let path, _), .missing(let path),
            .older(let path, _), .hostile(let path, _), .number(let path, _, _):
            [path]
        case .swap(let a, let b): a.path == b.path ? [a.path] : [a.path, b.path]
        case .misdirected(_, let block), .foreignBlock(let block), .zeros(let block): [block.path]
        case .swappedFiles(let a, let b): [a, b]
        }
    }

    /// A copy of the store with the damage; `nil` when that changes no byte.
    func applied(to store: DamageStore, beside other: DamageStore) -> SimulatedFileSystem? {
        applied(to: store.fileSystem, earlier: store.earlier, beside: other.fileSystem)
    }

    /// A copy of a store's files with the damage; `nil` when that changes no byte.
    ///
    /// - Parameters:
    ///   - earlier: the files at the moments that can be drawn.
    ///   - other: those of another store.
    func applied(
        to store: SimulatedFileSystem,
        earlier: [SimulatedFileSystem],
        beside other: SimulatedFileSystem
    ) -> SimulatedFileSystem? {
        let copy = store.copy()
        func bytes(_ block: Block, of fileSystem: SimulatedFileSystem) -> ArraySlice<UInt8> {
            let whole = fileSystem.contents(of: block.path) ?? []
            let start = min(block.offset, whole.count)
            return whole[start..<min(start + block.count, whole.count)]
        }
        func write(_ bytes: ArraySlice<UInt8>, to block: Block) {
            var whole = copy.contents(of: block.path) ?? []
            for (index, byte) in bytes.enumerated() where block.offset + index < whole.count {
                whole[block.offset + index] = byte
            }
            copy.replace(path: block.path, bytes: whole)
        }
        switch self {
        case .flip(let path, let bit):
            copy.corrupt(path: path, offset: bit / 8, xor: 1 << UInt8(bit % 8))
        case .swap(let a, let b):
            let (first, second) = (bytes(a, of: copy), bytes(b, of: copy))
            write(second, to: a)
            write(first, to: b)
        case .misdirected(let source, let target): write(bytes(source, of: copy), to: target)
        case .foreignBlock(let block): write(bytes(block, of: other), to: block)
        case .foreignFile(let path):
            copy.replace(path: path, bytes: other.contents(of: path) ?? [])
        case .swappedFiles(let a, let b):
            let (first, second) = (copy.contents(of: a) ?? [], copy.contents(of: b) ?? [])
            copy.replace(path: a, bytes: second)
            copy.replace(path: b, bytes: first)
        case .zeros(let block): write(ArraySlice(repeating: 0, count: block.count), to: block)
        case .number(let path, let offset, let value):
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
            write(bytes[...], to: Block(path: path, offset: offset, count: 8))
        case .cut(let path, let count):
            copy.replace(path: path, bytes: Array((copy.contents(of: path) ?? []).prefix(count)))
        case .missing(let path): copy.removeForTest(path)
        case .older(let path, let moment):
            guard let old = earlier[moment].contents(of: path) else { return nil }
            copy.replace(path: path, bytes: old)
        case .hostile(let path, let seed):
            var dice = Dice(seed: seed)
            let bytes = copy.contents(of: path) ?? []
            guard let disturbed = HostileBytes.disturbed(bytes, &dice) else { return nil }
            copy.replace(path: path, bytes: disturbed)
            // Without what vouches for a sealed file it is refused at once.
            let isSealed = FileNames.isSegmentFile(path) || path.hasSuffix(".del")
            if isSealed, dice.chance(85) {
                try? HostileBytes.adopt(
                    path,
                    insteadOf: bytes,
                    in: copy,
                    folder: DamageStore.folder
                )
            }
        }
        let isChanged = paths.contains {
            copy.contents(of: $0) != store.contents(of: $0)
        }
        return isChanged ? copy : nil
    }

    // MARK: Drawing

    static func draw(_ dice: inout Dice, _ store: DamageStore) -> FileDamage {
        draw(&dice, store.fileSystem, store.paths, momentCount: store.earlier.count)
    }

    /// Seven in ten are single bits and swapped blocks.
    ///
    /// - Parameters:
    ///   - paths: the files of the store that are not empty; at least one.
    ///   - momentCount: earlier moments of the files.
    static func draw(
        _ dice: inout Dice,
        _ store: SimulatedFileSystem,
        _ paths: [String],
        momentCount: Int
    ) -> FileDamage {
        // Each kind of file as often as the others.
        let byKind = Dictionary(grouping: paths, by: fileKind)
        let path = dice.pick(byKind[dice.pick(byKind.keys.sorted())] ?? paths)
        let byteCount = size(path, store)
        switch dice.number(0..<100) {
        case 0..<28: return .flip(path: path, bit: dice.number(0..<(byteCount * 8)))
        case 28..<30:
            let values: [UInt64] = [.max, 1 << 63, (1 << 63) - 1, 1 << 62, 1 << 32, 1 << 31]
            let place = dice.number(0..<max(1, byteCount / 8))
            return .number(path: path, offset: place * 8, value: dice.pick(values))
        case 30..<45:
            let count = blockSize(&dice, atMost: byteCount / 2)
            return .swap(
                block(&dice, path, count, store),
                block(&dice, path, count, store)
            )
        case 45..<58:
            let other = dice.pick(paths)
            let count = blockSize(&dice, atMost: min(byteCount, size(other, store)))
            let first = block(&dice, path, count, store)
            // At the same place half of the time: then only the name tells the blocks apart.
            if dice.chance(50), first.offset + count <= size(other, store) {
                return .swap(first, Block(path: other, offset: first.offset, count: count))
            }
            return .swap(first, block(&dice, other, count, store))
        case 58..<72:
            let count = blockSize(&dice, atMost: byteCount)
            return .foreignBlock(block(&dice, path, count, store))
        case 72..<80:
            let count = blockSize(&dice, atMost: byteCount / 2)
            return .misdirected(
                from: block(&dice, path, count, store),
                to: block(&dice, path, count, store)
            )
        case 80..<83: return .foreignFile(path: path)
        case 83..<86:
            let others = byKind[fileKind(path)] ?? []
            return .swappedFiles(path, dice.pick(others))
        case 86..<89: return .hostile(path: path, seed: dice.seed())
        case 89..<91:
            return .zeros(block(&dice, path, blockSize(&dice, atMost: byteCount), store))
        case 91..<95:
            let isNearEnd = dice.chance(40)
            let count = isNearEnd ? byteCount - dice.number(1..<17) : dice.number(0..<byteCount)
            return .cut(path: path, count: max(0, count))
        case 95..<97: return .missing(path: path)
        default:
            if momentCount == 0 { return .missing(path: path) }
            return .older(path: path, moment: dice.number(0..<momentCount))
        }
    }

    private static func size(_ path: String, _ store: SimulatedFileSystem) -> Int {
        Int(((try? store.info(path)) ?? nil)?.byteCount ?? 0)
    }

    private static func blockSize(_ dice: inout Dice, atMost limit: Int) -> Int {
        let fitting = [8, 64, 512, 4096, 16_384, 65_536].filter { $0 <= limit }
        return fitting.isEmpty ? max(1, limit) : dice.pick(fitting)
    }

    /// A block at a multiple of its size.
    private static func block(
        _ dice: inout Dice,
        _ path: String,
        _ count: Int,
        _ store: SimulatedFileSystem
    ) -> Block {
        let places = max(1, size(path, store) / count)
        return Block(path: path, offset: dice.number(0..<places) * count, count: count)
    }
}
