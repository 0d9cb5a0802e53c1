// scan: all documents of a collection in order of their ids.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Command {
    static let scan = Command(
        "scan",
        "all documents in order of their ids",
        about: """
            Texts and metadata are decompressed and checked. The limit is decompressing the same
            bytes in blocks of 16 KiB; copying them (memcpy) stands beside it.
            """,
        options: [],
        takesData: true,
        examples: [
            ("scan DATA", "a data set"), ("scan --documents 200000", "generated documents"),
        ],
        run: runScan
    )
}

private func runScan(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("scan", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 2000 : 100_000)
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        try data.makeStore(at: folder.path("store"), options: EngineOptions())
        let engine = try Engine.open(at: folder.path("store"), options: EngineOptions())
        let version = try engine.version()
        let collection = try engine.collection("docs")
        var contents: [UInt8] = []
        try version.scan(collection, wantsVectors: false) { document throws(StoreError) in
            contents += document.id
            contents += document.text
            contents += document.metadata
            return true
        }
        let blocks = CompressedBlocks(contents)
        var scans: [Double] = []
        var decompressions: [Double] = []
        var copies: [Double] = []
        var count = 0
        for round in 0...(try arguments.rounds()) {
            var byteCount = 0
            count = 0
            let scan = try seconds {
                try version.scan(collection, wantsVectors: false) {
                    document throws(StoreError) in
                    byteCount += document.id.count + document.text.count + document.metadata.count
                    count += 1
                    return true
                }
            }
            guard byteCount == contents.count, count == data.documentCount else {
                throw Failure.failed("a scan saw \(count) documents of \(data.documentCount)")
            }
            let decompression = try seconds { try blocks.decompress() }
            let copy = seconds { blocks.copy(contents) }
            guard round > 0 else { continue }  // the first one warms up
            scans.append(scan)
            decompressions.append(decompression)
            copies.append(copy)
        }
        try engine.close()
        let megabytes = Double(contents.count) / 1e6
        report.figure("scan", "documents/s", scans.map { Double(count) / $0 })
        report.figure("scan", "MB/s", scans.map { megabytes / $0 })
        report.figure("decompressing alone", "MB/s", decompressions.map { megabytes / $0 })
        report.figure("memcpy", "MB/s", copies.map { megabytes / $0 })
        report.ratio("scan / decompressing", quotients(decompressions, scans))
        report.ratio("scan / memcpy", quotients(copies, scans))
        try report.finish()
    }
}

/// Bytes, compressed in blocks as document files do.
private final class CompressedBlocks {
    private let blocks: [(bytes: [UInt8], byteCount: Int)]
    private let room: UnsafeMutableRawBufferPointer

    init(_ contents: [UInt8]) {
        var blocks: [(bytes: [UInt8], byteCount: Int)] = []
        for start in stride(from: 0, to: contents.count, by: FormatLimits.blockByteCount) {
            let end = min(start + FormatLimits.blockByteCount, contents.count)
            contents[start..<end].withUnsafeBytes { block in
                blocks.append((Codec.lz4.compress(block), block.count))
            }
        }
        self.blocks = blocks
        room = .allocate(byteCount: contents.count + 1, alignment: 64)
    }

    func decompress() throws {
        var position = 0
        for block in blocks {
            let target = UnsafeMutableRawBufferPointer(
                rebasing: room[position..<(position + block.byteCount)]
            )
            try block.bytes.withUnsafeBytes { try Codec.lz4.decompress($0, into: target) }
            position += block.byteCount
        }
    }

    deinit { room.deallocate() }

    func copy(_ contents: [UInt8]) { room.copyBytes(from: contents) }
}
