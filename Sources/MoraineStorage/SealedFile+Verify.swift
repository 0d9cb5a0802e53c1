// Reads every byte of a sealed file and compares it with what it must be.

import MoraineBytes
import MoraineFiles
import MoraineFormat

extension SealedFile {
    /// Checks the file's frame, every chunk and every byte of padding between sections.
    ///
    /// Reads the file anew, not the mapping, so that bytes that have been checked before are
    /// checked again and a failing disk is a finding. What checks itself, the blocks of
    /// documents, is left to who knows it. Goes on after a finding.
    package func verifyAll(_ report: (Finding) -> Void) {
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
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: SectionEntry.chunkByteCount,
            alignment: 64
        )
        defer { buffer.deallocate() }
        var end = UInt64(FileHeader.byteCount)
        for entry in layout.entries {
            verifyZeros(from: end, to: entry.offset, buffer, report)
            verifyChunks(entry, buffer, report)
            end = entry.offset + entry.byteCount
        }
        verifyZeros(from: end, to: footer.directoryOffset, buffer, report)
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

    private func verifyChunks(
        _ entry: SectionEntry,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) {
        guard entry.type != SectionType.checksumTable else { return }
        for chunk in 0..<Int(entry.chunkCount) {
            let start = UInt64(chunk) * UInt64(SectionEntry.chunkByteCount)
            let count = Int(min(entry.byteCount - start, UInt64(SectionEntry.chunkByteCount)))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            guard readForVerify(part, at: entry.offset + start, report) else { continue }
            do throws(StoreError) {
                try check(UnsafeRawBufferPointer(part), chunk: chunk, of: entry)
            } catch {
                report(Finding(error, .checksum, file: name))
            }
        }
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
