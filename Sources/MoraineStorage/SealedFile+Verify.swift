// Reads every byte of a sealed file and compares it with what it must be.

import MoraineBytes
import MoraineFiles
import MoraineFormat

/// How far a check in portions has come in one file.
package struct VerifyPlace: Sendable {
    fileprivate enum Stage {
        case frame
        /// The zeros in front of a section, or behind the last.
        case gap(Int)
        case chunk(section: Int, number: Int)
        case end
    }

    fileprivate var stage = Stage.frame
    /// For what checks itself: the next block, once the rest was checked.
    package var block = 0

    package init() {}
}

extension SealedFile {
    /// Checks the file's frame, every chunk and every byte of padding between sections.
    ///
    /// Reads the file anew, not the mapping, so that bytes that have been checked before are
    /// checked again and a failing disk is a finding. What checks itself, the blocks of
    /// documents, is left to who knows it. Goes on after a finding.
    ///
    /// - Parameter limit: ends it early, without a word: who gave it asks it.
    package func verifyAll(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: SectionEntry.chunkByteCount,
            alignment: 64
        )
        defer { buffer.deallocate() }
        var place = VerifyPlace()
        while limit?.isOver != true, verifyPortion(&place, buffer, report) != nil {}
    }

    /// Checks the next portion of what `verifyAll` checks: the frame, a gap or a chunk.
    ///
    /// - Parameter buffer: of `SectionEntry.chunkByteCount` bytes.
    /// - Returns: the bytes that were read; `nil` when nothing is left.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        switch place.stage {
        case .frame:
            place.stage = .gap(0)
            return verifyFrame(report)
        case .gap(let section):
            let start =
                section == 0 ? UInt64(FileHeader.byteCount) : layout.entries[section - 1].end
            let isLast = section == layout.entries.count
            let end = isLast ? footer.directoryOffset : layout.entries[section].offset
            verifyZeros(from: start, to: end, buffer, report)
            place.stage = isLast ? .end : .chunk(section: section, number: 0)
            return Int(clamping: end - start)
        case .chunk(let section, let number):
            let entry = layout.entries[section]
            guard entry.type != SectionType.checksumTable, number < Int(entry.chunkCount) else {
                place.stage = .gap(section + 1)
                return 0
            }
            place.stage = .chunk(section: section, number: number + 1)
            return verifyChunk(number, of: entry, buffer, report)
        case .end:
            return nil
        }
    }

    private func verifyFrame(_ report: (Finding) -> Void) -> Int {
        do throws(StoreError) {
            _ = try SealedLayout(
                file,
                kind: layout.header.kind,
                storeID: storeID,
                reference: reference
            )
        } catch {
            report(Finding(error, .structure, file: name))
        }
        return FileHeader.byteCount + Int(clamping: reference.byteCount - footer.directoryOffset)
    }

    /// Reports every run of bytes from `start` to `end` that is not zero.
    package func verifyZeros(
        from start: UInt64,
        to end: UInt64,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) {
        var at = start
        while at < end {
            let count = Int(min(end - at, UInt64(buffer.count)))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            if readForVerify(part, at: at, report), let bad = part.firstIndex(where: { $0 != 0 }) {
                report(
                    Finding(
                        .padding,
                        file: name,
                        offset: at + UInt64(bad),
                        expected: "0",
                        found: "\(part[bad])"
                    )
                )
            }
            at += UInt64(count)
        }
    }

    private func verifyChunk(
        _ chunk: Int,
        of entry: SectionEntry,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int {
        let start = UInt64(chunk) * UInt64(SectionEntry.chunkByteCount)
        let count = Int(min(entry.byteCount - start, UInt64(SectionEntry.chunkByteCount)))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        guard readForVerify(part, at: entry.offset + start, report) else { return count }
        do throws(StoreError) {
            try check(UnsafeRawBufferPointer(part), chunk: chunk, of: entry)
        } catch {
            report(Finding(error, .checksum, file: name))
        }
        return count
    }

    /// Reads bytes of the file; a failure is reported and answers false.
    package func readForVerify(
        _ buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64,
        _ report: (Finding) -> Void
    ) -> Bool {
        do throws(FileError) {
            try file.readFully(buffer, at: offset)
            return true
        } catch {
            report(
                Finding(
                    .unreadable,
                    file: name,
                    offset: offset,
                    expected: "\(buffer.count) bytes",
                    found: error.reason
                )
            )
            return false
        }
    }
}

extension SectionEntry {
    /// Where the section ends.
    fileprivate var end: UInt64 { offset + byteCount }
}
