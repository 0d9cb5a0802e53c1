// Bytes that verify and say what cannot be: fields of a file are changed and every checksum above
// them is computed anew, as somebody would who wants to break a reader.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// Changes files and makes their checksums right again.
enum HostileBytes {
    /// A file with one to three fields changed; `nil` where its structure cannot be told.
    static func disturbed(_ bytes: [UInt8], _ dice: inout Dice) -> [UInt8]? {
        guard let header = header(bytes) else { return nil }
        var file = HostileFile(bytes: bytes, header: header)
        switch header.kind {
        case .root: file.disturbRoot(&dice)
        case .log, .manifest: file.disturbLog(&dice)
        default: file.disturbSealed(&dice)
        }
        return file.bytes
    }

    /// A sealed file with offset and length of each entry of its directory in turn as large as can be,
    /// or nearly so.
    static func withExtremeDirectories(_ bytes: [UInt8]) -> [[UInt8]] {
        guard let header = header(bytes) else { return [] }
        return HostileFile(bytes: bytes, header: header).withExtremeDirectories()
    }

    /// Makes the rest of a closed store mean a sealed file whose footer was changed: the files that
    /// were made from it, and the manifest.
    ///
    /// - Parameters:
    ///   - old: the file's bytes before.
    ///   - path: of the file, in `folder`.
    static func adopt(
        _ path: String,
        insteadOf old: [UInt8],
        in disk: SimulatedFileSystem,
        folder: String
    ) throws(StoreError) {
        let prefix = folder + "/"
        guard path.hasPrefix(prefix), let was = DerivedSource(footerOf: old),
            let bytes = disk.contents(of: path), let now = DerivedSource(footerOf: bytes)
        else { return }
        var changed = [was.fileID: now.footerChecksum]
        var checksums = [String(path.dropFirst(prefix.count)): now.footerChecksum]
        // A graph is made from codes too.
        for kind in [DerivedKind.codes, .graph, .columns] {
            for path in disk.filePaths where path.hasPrefix(prefix) && path.hasSuffix(kind.suffix) {
                let bytes = disk.contents(of: path) ?? []
                guard let header = header(bytes) else { continue }
                var file = HostileFile(bytes: bytes, header: header)
                guard file.changeSources(changed), let now = DerivedSource(footerOf: file.bytes)
                else { continue }
                disk.replace(path: path, bytes: file.bytes)
                changed[now.fileID] = now.footerChecksum
                checksums[String(path.dropFirst(prefix.count))] = now.footerChecksum
            }
        }
        try EditedManifest(disk, folder: folder).write(checksums)
    }

    private static func header(_ bytes: [UInt8]) -> FileHeader? {
        guard bytes.count >= FileHeader.byteCount else { return nil }
        return bytes[..<FileHeader.byteCount].withUnsafeBytes { head in
            do throws(FormatError) {
                return try FileHeader(decoding: head)
            } catch {
                return nil
            }
        }
    }
}

extension DerivedSource {
    /// What a file made from a sealed one says of it.
    fileprivate init?(footerOf bytes: [UInt8]) {
        guard bytes.count >= FileFooter.byteCount else { return nil }
        let footer = bytes.suffix(FileFooter.byteCount)
        let (fileID, checksum) = footer.withUnsafeBytes { footer in
            (
                footer.loadUnaligned(fromByteOffset: 48, as: UInt64.self),
                footer.loadUnaligned(fromByteOffset: 56, as: UInt32.self)
            )
        }
        self.init(
            SealedFileReference(
                fileID: UInt64(littleEndian: fileID),
                byteCount: UInt64(bytes.count),
                footerChecksum: UInt32(littleEndian: checksum)
            )
        )
    }
}

/// A file under change.
private struct HostileFile {
    var bytes: [UInt8]
    let header: FileHeader

    private var seed: ChecksumSeed { header.storeID.seed.mixed(header.fileID) }

    private func number(_ offset: Int, _ width: Int) -> UInt64 {
        (0..<width).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    /// The bytes of a section, as its entry in the directory says; `nil` where those are not in the
    /// file, which an earlier damage can have brought about.
    private func sectionRange(_ entry: Int) -> Range<Int>? {
        let (start, count) = (number(entry + 8, 8), number(entry + 16, 8))
        guard start <= UInt64(bytes.count), count <= UInt64(bytes.count) - start else { return nil }
        return Int(start)..<Int(start + count)
    }

    private mutating func store(_ value: UInt64, _ offset: Int, _ width: Int) {
        for index in 0..<width {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
        }
    }

    private mutating func seal(_ range: Range<Int>, _ seed: ChecksumSeed, at offset: Int) {
        store(UInt64(bytes[range].withUnsafeBytes { seed.checksum($0) }), offset, 4)
    }

    /// Puts numbers that no sound file has into a range.
    private mutating func disturb(_ range: Range<Int>, _ dice: inout Dice) {
        guard !range.isEmpty else { return }
        for _ in 0..<dice.number(1..<4) {
            let width = dice.pick([1, 2, 4, 4, 8, 8].filter { $0 <= range.count })
            // Fields stand at multiples of their size; now and then something else is hit.
            var offset = range.lowerBound + dice.number(0..<(range.count - width + 1))
            if dice.chance(80) { offset = max(range.lowerBound, offset / width * width) }
            let old = number(offset, width)
            let edges: [UInt64] = [
                0, 1, .max, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63,
                (1 << 63) - 1, old &+ 1, old &- 1, old &* 2, ~old, dice.next(),
            ]
            store(dice.pick(edges), offset, width)
        }
    }

    mutating func disturbRoot(_ dice: inout Dice) {
        let copies = dice.pick([[0], [1], [0, 1]])
        var other = dice
        for copy in copies where (copy + 1) * Root.copyByteCount <= bytes.count {
            let start = copy * Root.copyByteCount
            // The same in both, or each as it comes.
            if dice.chance(50) { other = dice }
            disturb((start + 64)..<(start + 160), &other)
            let end = start + Root.copyByteCount - 4
            seal(start..<end, header.storeID.seed.mixed(UInt64(start)), at: end)
        }
    }

    mutating func disturbLog(_ dice: inout Dice) {
        guard bytes.count >= LogHeader.byteCount else { return }
        // What the records are bound to, before the head is changed.
        let recordSeed = header.storeID.seed.mixed(number(72, 8)).mixed(header.fileID)
        var records: [Range<Int>] = []
        var start = LogHeader.byteCount
        while start + LogRecord.headerByteCount <= bytes.count,
            number(start, 4) == UInt64(LogRecord.magic)
        {
            let count = LogRecord.frameByteCount(payload: Int(number(start + 24, 4)))
            guard count <= bytes.count - start else { break }
            records.append(start..<(start + count))
            start += count
        }
        guard !records.isEmpty, !dice.chance(20) else {
            disturb(64..<124, &dice)
            return seal(64..<124, seed, at: 124)
        }
        let record = dice.pick(records)
        let isFrame = dice.chance(40) || record.count == LogRecord.headerByteCount
        let fields = (record.lowerBound + 8)..<(record.lowerBound + LogRecord.headerByteCount)
        disturb(isFrame ? fields : fields.upperBound..<record.upperBound, &dice)
        // The length that it claims now is what its checksum must cover.
        let claimed = LogRecord.frameByteCount(
            payload: Int(min(number(record.lowerBound + 24, 4), UInt64(bytes.count)))
        )
        let end = min(record.lowerBound + claimed, bytes.count)
        seal(
            (record.lowerBound + 8)..<end,
            recordSeed.mixed(UInt64(record.lowerBound)),
            at: record.lowerBound + 4
        )
    }

    mutating func disturbSealed(_ dice: inout Dice) {
        let footer = bytes.count - FileFooter.byteCount
        guard footer >= FileHeader.byteCount,
            let directory = Int(exactly: number(footer, 8)), directory <= footer
        else { return }
        let entries = entries(from: directory, to: footer)
        guard let table = entries.last else { return }
        switch dice.number(0..<100) {
        case 0..<10:
            disturb(8..<24, &dice)
            seal(0..<60, ChecksumSeed(), at: 60)
        case 10..<25: disturb(footer..<(footer + 56), &dice)
        case 25..<45:
            disturb(directory..<footer, &dice)
            seal(directory..<footer, seed, at: footer + 12)
        default:
            let entry = dice.pick(entries)
            let type = UInt32(number(entry, 4))
            guard let content = sectionRange(entry), !content.isEmpty,
                type != SectionType.checksumTable
            else { break }
            if SectionType.isSelfChecked(type) {
                disturbBlock(content, entries, table, &dice)
                seal(directory..<footer, seed, at: footer + 12)
                break
            }
            // The beginning of a section is where its counts are.
            disturb(dice.chance(50) ? content.prefix(64) : content, &dice)
            sealSection(entry, content, table: table)
            seal(directory..<footer, seed, at: footer + 12)
        }
        seal(footer..<(footer + 56), header.storeID.seed, at: footer + 56)
    }

    func withExtremeDirectories() -> [[UInt8]] {
        let footer = bytes.count - FileFooter.byteCount
        guard footer >= FileHeader.byteCount, let directory = Int(exactly: number(footer, 8)),
            directory <= footer
        else { return [] }
        var files: [[UInt8]] = []
        for entry in entries(from: directory, to: footer) {
            for field in [8, 16] {
                for value in [UInt64.max, UInt64.max - 63] {
                    var file = self
                    file.store(value, entry + field, 8)
                    file.seal(directory..<footer, seed, at: footer + 12)
                    file.seal(footer..<(footer + 56), header.storeID.seed, at: footer + 56)
                    files.append(file.bytes)
                }
            }
        }
        return files
    }

    /// Gives the sources of a derived file other footer checksums, by their file ids; false when it
    /// has none of them.
    mutating func changeSources(_ checksums: [UInt64: UInt32]) -> Bool {
        let footer = bytes.count - FileFooter.byteCount
        guard footer >= FileHeader.byteCount, let directory = Int(exactly: number(footer, 8)),
            directory <= footer
        else { return false }
        let entries = entries(from: directory, to: footer)
        guard let table = entries.last,
            let entry = entries.first(where: { number($0, 4) == UInt64(SectionType.source) }),
            let content = sectionRange(entry)
        else { return false }
        var isChanged = false
        for place in stride(
            from: content.lowerBound,
            to: content.upperBound - DerivedSource.byteCount + 1,
            by: DerivedSource.byteCount
        ) {
            guard let checksum = checksums[number(place, 8)] else { continue }
            store(UInt64(checksum), place + 8, 4)
            isChanged = true
        }
        guard isChanged else { return false }
        sealSection(entry, content, table: table)
        seal(directory..<footer, seed, at: footer + 12)
        seal(footer..<(footer + 56), header.storeID.seed, at: footer + 56)
        return true
    }

    /// Where the whole entries of a directory stand.
    private func entries(from start: Int, to end: Int) -> [Int] {
        stride(
            from: start,
            to: end - SectionEntry.byteCount + 1,
            by: SectionEntry.byteCount
        ).map { $0 }
    }

    /// - Parameters:
    ///   - entry: of the section in the directory.
    ///   - table: the checksum table's.
    private mutating func sealSection(_ entry: Int, _ content: Range<Int>, table: Int) {
        let size = SectionEntry.chunkByteCount
        guard let table = sectionRange(table),
            case let first = table.lowerBound + Int(number(entry + 24, 4)) * 4,
            first + (content.count + size - 1) / size * 4 <= table.upperBound
        else { return }
        var slot = first
        for start in stride(
            from: content.lowerBound,
            to: content.upperBound,
            by: SectionEntry.chunkByteCount
        ) {
            let end = min(start + SectionEntry.chunkByteCount, content.upperBound)
            seal(start..<end, seed.mixed(UInt64(start)), at: slot)
            slot += 4
        }
        seal(first..<slot, seed.mixed(UInt64(content.lowerBound)), at: entry + 28)
    }

    /// Changes a block's header, or its payload where that is not compressed.
    private mutating func disturbBlock(
        _ section: Range<Int>,
        _ entries: [Int],
        _ table: Int,
        _ dice: inout Dice
    ) {
        var blocks: [(start: Int, stored: Int)] = []
        var start = section.lowerBound
        while start + DocumentBlockHeader.byteCount <= section.upperBound,
            bytes[start..<(start + 4)].elementsEqual(DocumentBlockHeader.magic)
        {
            let stored = Int(number(start + 36, 4))
            let end = start + DocumentBlockHeader.byteCount + stored
            guard end <= section.upperBound else { break }
            blocks.append((start, stored))
            start = (end + 7) & ~7
        }
        guard !blocks.isEmpty else { return }
        let block = dice.pick(blocks)
        let payload = block.start + DocumentBlockHeader.byteCount
        if dice.chance(40) || block.stored == 0 {
            disturb((block.start + 8)..<(block.start + 48), &dice)
        } else {
            disturb(payload..<(payload + block.stored), &dice)
            seal(payload..<(payload + block.stored), ChecksumSeed(), at: block.start + 48)
        }
        seal(
            (block.start + 8)..<payload,
            seed.mixed(UInt64(block.start)),
            at: block.start + 4
        )
        guard let index = entries.first(where: { number($0, 4) == UInt64(SectionType.blockIndex) })
        else { return }
        guard let content = sectionRange(index) else { return }
        let place = stride(
            from: content.lowerBound,
            to: content.upperBound - BlockIndexEntry.byteCount + 1,
            by: BlockIndexEntry.byteCount
        ).first { number($0, 8) == UInt64(block.start) }
        guard let place else { return }
        store(number(block.start + 4, 4), place + 24, 4)
        sealSection(index, content, table: table)
    }
}
