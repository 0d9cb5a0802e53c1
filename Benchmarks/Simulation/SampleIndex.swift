// Derived files for small segments, in place of those that only large ones are worth: what
// histories and tests of the engine's handling of derived files write and open.

import MoraineBytes
package import MoraineEngine
import MoraineFiles
package import MoraineFormat
import MoraineSegments
package import MoraineStorage
import MoraineVectors

/// A derived file that repeats what it was made from.
///
/// Its one section holds file id and footer checksum of each source, and for columns the beginning
/// of each document's text.
package final class SampleIndex: IndexReader {
    private let file: SealedFile

    private static let section: UInt32 = 200
    /// Bytes of a text that are repeated.
    private static let textByteCount = 40

    /// All kinds, in the order of their numbers.
    ///
    /// - Parameters:
    ///   - leastRowCount: rows from which a segment is to have them.
    ///   - refuse: called before each write; throws to make it fail, answers true for nothing to
    ///     write.
    package static func formats(
        leastRowCount: Int = 1,
        refuse:
            @escaping @Sendable (DerivedKind, Segment) throws(StoreError) -> Bool = { _, _ in false
            }
    ) -> [IndexFormat] {
        DerivedKind.allCases.map { kind in
            IndexFormat(
                kind: kind,
                isWanted: { segment in
                    guard segment.rowCount >= leastRowCount else { return false }
                    return kind == .columns || segment.vectors != nil
                },
                open: { source, reference throws(StoreError) in
                    try SampleIndex(kind, source, reference)
                },
                write: { target throws(StoreError) in
                    if try refuse(kind, target.source.segment) { return nil }
                    return try write(kind, target)
                }
            )
        }
    }

    private init(
        _ kind: DerivedKind,
        _ source: IndexSource,
        _ reference: SealedFileReference
    ) throws(StoreError) {
        file = try SealedFile(
            fileSystem: source.fileSystem,
            root: source.folder,
            name: FileNames.derived(kind, source.segment.id, fileID: reference.fileID),
            kind: kind.fileKind,
            storeID: source.storeID,
            reference: reference,
            access: .mapped
        )
        let head = try Self.head(kind, source)
        let section = try file.requiredSection(Self.section)
        let found = try section.bytes(at: 0, count: min(head.count, section.byteCount))
        guard found.elementsEqual(head) else {
            throw file.damage(
                "a derived file was made from other files",
                at: section.entry.offset,
                expected: "\(head)",
                found: "\(Array(found))"
            )
        }
    }

    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        file.verifyPortion(&place, buffer, report)
    }

    package func verify(
        _ source: IndexSource,
        within limit: ReadLimit?,
        _ report: (Finding) -> Void
    ) {
        file.verifyAll(within: limit, report)
    }

    /// What tells the files that a derived file is made from.
    private static func head(_ kind: DerivedKind, _ source: IndexSource) throws(StoreError)
        -> [UInt8]
    {
        let segment = source.segment
        var references: [SealedFileReference] = []
        switch kind {
        case .codes: references = segment.vectors.map { [$0.reference] } ?? []
        case .graph:
            guard let codes = source.indexes[.codes] else {
                throw StoreError(
                    .corrupted,
                    "a graph without codes",
                    path: source.folder,
                    expected: "codes",
                    found: "none"
                )
            }
            references = [codes.entry.file]
        case .columns: references = [segment.entry.document]
        }
        var writer = ByteWriter()
        for reference in references {
            writer.writeUInt64(reference.fileID)
            writer.writeUInt32(reference.footerChecksum)
        }
        return writer.finish()
    }

    private static func write(_ kind: DerivedKind, _ target: IndexTarget) throws(StoreError)
        -> SealedFileReference
    {
        let source = target.source
        let writer = try SealedFileWriter(
            fileSystem: source.fileSystem,
            root: source.folder,
            name: FileNames.derived(kind, source.segment.id, fileID: target.fileID),
            kind: kind.fileKind,
            storeID: source.storeID,
            fileID: target.fileID,
            createdLSN: target.createdLSN
        )
        try writer.beginSection(section)
        try writer.append(try head(kind, source))
        let documents = source.segment.files.documents
        try documents.forEachRecord(in: 0..<documents.rowCount) { row, record throws(StoreError) in
            if row % 8 == 0 { try target.step() }
            if kind == .columns { try writer.append(Array(record.text.prefix(textByteCount))) }
            return true
        }
        try writer.endSection()
        let entry = source.segment.entry
        return try writer.finish(
            rowCount: entry.rowCount,
            minLSN: entry.minLSN,
            maxLSN: entry.maxLSN
        )
    }
}
