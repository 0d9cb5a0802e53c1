// Looks for the bytes of purged documents in every file of a store: for their keys in all that has
// keys, decompressed, and for samples of their bytes in the files as they are.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// One search.
struct PurgeSearch {
    /// Bytes of a text or vector that are searched for.
    static let sampleByteCount = 16

    let fileSystem: any FileSystem
    let folder: String
    let keys: Set<[UInt8]>
    let samples: [[UInt8]]

    /// Searches all files, and the segments of the newest version.
    func run(_ version: Version) throws(StoreError) -> PurgeProof {
        var proof = PurgeProof()
        var own = Set(samples)
        for view in version.segments { try search(view.segment, &own, &proof) }
        proof.sampleCount = own.count
        for folderName in [""] + FileNames.folders {
            let path = folderName.isEmpty ? folder : FileNames.path(folder, folderName)
            let entries: [DirectoryEntry]
            do throws(FileError) { entries = try fileSystem.list(path) } catch {
                if error.isNotFound { continue }
                throw StoreError(error, doing: "list a folder")
            }
            for entry in entries where !entry.isDirectory {
                let name = folderName.isEmpty ? entry.name : folderName + "/" + entry.name
                do throws(FileError) { try search(name, own, &proof) } catch {
                    throw StoreError(error, doing: "search a file")
                }
            }
        }
        return proof
    }

    // MARK: Keys

    /// Looks for the keys in a segment, and takes samples away that documents with other keys have
    /// too: the id `user-1` stands in `user-10`, and texts begin alike.
    private func search(
        _ segment: Segment,
        _ own: inout Set<[UInt8]>,
        _ proof: inout PurgeProof
    ) throws(StoreError) {
        let documents = segment.files.documents
        let starts = SampleStarts(own)
        var shared: Set<[UInt8]> = []
        func check(_ record: DocumentRecord, _ proof: inout PurgeProof) {
            proof.recordCount += 1
            let key =
                withUnsafeBytes(of: record.collectionID.bigEndian) { Array($0) } + Array(record.id)
            guard keys.contains(key) else {
                for bytes in [record.id, record.body] {
                    starts.forEach(in: bytes) { _, sample in shared.insert(sample) }
                }
                return
            }
            report(FileNames.document(segment.id), 0, "a record of a purged id", &proof)
        }
        try documents.forEachRecord(in: 0..<documents.rowCount) { _, record in
            check(record, &proof)
            return true
        }
        try documents.forEachTombstone { record in
            check(record, &proof)
            return true
        }
        let cursor = segment.files.keys.cursor(from: 0)
        while try cursor.next() {
            proof.recordCount += 1
            guard keys.contains(Array(cursor.key)) else { continue }
            let name = FileNames.key(segment.id, fileID: segment.entry.key.fileID)
            report(name, 0, "the key of a purged id", &proof)
        }
        for space in segment.vectors?.spaces ?? [] {
            // All rows have one of the keys above.
            let count = min(space.dimensions * 4, Self.sampleByteCount)
            for ordinal in 0..<space.vectorCount {
                let bytes = UnsafeRawBufferPointer(start: try space.vector(ordinal), count: count)
                starts.forEach(in: bytes) { _, sample in shared.insert(sample) }
            }
        }
        own.subtract(shared)
    }

    private func report(_ name: String, _ offset: UInt64, _ what: String, _ proof: inout PurgeProof)
    {
        proof.findings.append(
            Finding(.structure, file: name, offset: offset, expected: "no trace", found: what)
        )
    }

    // MARK: Bytes

    private func search(_ name: String, _ samples: Set<[UInt8]>, _ proof: inout PurgeProof)
        throws(FileError)
    {
        let file = try fileSystem.open(FileNames.path(folder, name), .read)
        defer { file.close() }
        let byteCount = try file.byteCount()
        proof.fileCount += 1
        proof.byteCount += byteCount
        let longest = samples.map(\.count).max() ?? 0
        guard longest > 0 else { return }
        let starts = SampleStarts(samples)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var at: UInt64 = 0
        while at < byteCount {
            let count = Int(min(UInt64(buffer.count), byteCount - at))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            let bytes = try file.readBytes(at: at, count: count)
            bytes.withUnsafeBytes { part.copyMemory(from: $0) }
            starts.forEach(in: UnsafeRawBufferPointer(part)) { place, _ in
                report(name, at + UInt64(place), "bytes of a purged document", &proof)
            }
            if at + UInt64(count) == byteCount { return }
            // What lies across the end of a part is found in the next one.
            at += UInt64(count - longest + 1)
        }
    }
}

/// Samples by their first four bytes.
private struct SampleStarts {
    private let samples: [UInt32: [[UInt8]]]

    init(_ samples: Set<[UInt8]>) {
        self.samples = Dictionary(grouping: samples) { sample in
            sample.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
        }
    }

    /// Calls `body` with each place where a sample stands in the bytes.
    func forEach(in bytes: UnsafeRawBufferPointer, _ body: (Int, [UInt8]) -> Void) {
        guard bytes.count >= 4, !samples.isEmpty else { return }
        for place in 0...(bytes.count - 4) {
            let start = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            guard let candidates = samples[start] else { continue }
            for sample in candidates
            where sample.count <= bytes.count - place
                && bytes[place..<place + sample.count].elementsEqual(sample)
            {
                body(place, sample)
            }
        }
    }
}
