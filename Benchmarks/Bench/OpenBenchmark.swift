// open: how long a store takes to its first answer, closed cleanly or not.

import CKernels
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let open = Command(
        "open",
        "a closed store to its first answer; recovery of a log",
        about: """
            Stores of three sizes, closed cleanly, their files in the page cache: open, get one
            document, search a collection of one vector. That should be at most 10 ms, whatever the
            size. Recovery opens the copy of a store that was in use; its limit is reading the log
            and computing its checksums.
            """,
        options: [
            Option("--dimensions", "D", "numbers in a generated vector; 384 by default"),
            Option(
                "--idle",
                "N",
                "only: what each of N idle stores holds, open for writing and for reading"
            ),
            Option("--log-bytes", "SIZE", "log to recover; 64MiB by default"),
        ],
        takesData: false,
        examples: [
            ("open", "2,000, 20,000 and 200,000 documents"),
            ("open --idle 300", "memory, descriptors and threads of idle stores"),
            ("open --dimensions 32 --log-bytes 256MiB", "small vectors, a long log"),
        ],
        run: runOpen
    )
}

private func runOpen(_ arguments: Arguments) throws {
    if let count = try arguments.number("--idle", in: 1...10_000) {
        return try runIdle(count, arguments)
    }
    try WorkFolder.with(arguments, needsDisk: true) { folder in
        let report = Report("open", arguments, machine: try Machine.description(of: folder.path))
        var medians: [Double] = []
        for count in arguments.isQuick ? [200, 2000] : [2000, 20_000, 200_000] {
            medians.append(try openClosed(count, arguments, folder, report))
        }
        report.ratio(
            "first answer, largest / smallest store",
            [(medians.last ?? 0) / (medians.first ?? 1)]
        )
        let bytes =
            try arguments.byteCount("--log-bytes", in: (1 << 20)...(1 << 30))
            ?? (arguments.isQuick ? 2 << 20 : 64 << 20)
        try recover("2 KB documents", textByteCount: 2000, bytes, arguments, folder, report)
        try recover("tiny documents", textByteCount: 8, bytes / 2, arguments, folder, report)
        try report.finish()
    }
}

/// The median of milliseconds to the first answer.
private func openClosed(
    _ documentCount: Int,
    _ arguments: Arguments,
    _ folder: WorkFolder,
    _ report: Report
) throws -> Double {
    let data = GeneratedData(
        documentCount: documentCount,
        dimensions: try arguments.number("--dimensions", in: 1...16_384) ?? 384,
        textByteCount: 400,
        seed: try arguments.seed()
    )
    let path = folder.path("store")
    // With all its index files: opening it begins no work, and changes no file.
    var options = EngineOptions()
    options.compactsInBackground = false
    options.indexesInBackground = false
    try data.makeStore(at: path, options: options)
    try addCollectionOfOne(path, options)
    let files = folder.files("store")
    var dice = Dice(try arguments.seed())
    var opening: [Double] = []
    var answering: [Double] = []
    var bare: [Double] = []
    for round in 0...(try arguments.rounds()) {
        let id = GeneratedData.id(dice.below(documentCount))
        let start = SystemClock().steadyNanoseconds()
        let engine = try Engine.open(at: path, options: EngineOptions())
        let opened = SystemClock().steadyNanoseconds()
        try answer(engine, id)
        let answered = SystemClock().steadyNanoseconds()
        try engine.close()
        let files = try seconds { for file in files { try touch(file) } }
        guard round > 0 else { continue }  // the first one warms up
        opening.append(Double(opened - start) / 1e6)
        answering.append(Double(answered - start) / 1e6)
        bare.append(files * 1e3)
    }
    try folder.remove("store")
    report.figure("open, \(documentCount) documents", "ms", opening)
    report.figure("open to first answer, \(documentCount) documents", "ms", answering)
    report.figure("open and map its \(files.count) files, bare", "ms", bare)
    report.ratio("first answer / bare", quotients(answering, bare))
    report.ratio(
        "first answer, \(documentCount) documents / 10 ms",
        answering.map { $0 / 10 },
        target: .atMost(1)
    )
    return Series(answering).median
}

/// Adds collection "one" with one document and a vector, merges, and makes the index files.
private func addCollectionOfOne(_ path: String, _ options: EngineOptions) throws {
    let engine = try Engine.open(at: path, options: options)
    let one = try engine.makeCollection("one", 4, .dot)
    _ = try engine.commit { builder throws(StoreError) in
        try put(&builder, one, id: GeneratedData.id(0), text: [0x61], vector: [1, 0, 0, 0])
    }
    try engine.compact()
    _ = try engine.buildIndexes()
    try engine.close()
}

private func put(
    _ builder: inout BatchBuilder,
    _ collection: CollectionShape,
    id: [UInt8],
    text: [UInt8],
    vector: [Float]?
) throws(StoreError) {
    try id.withUnsafeBufferPointer { id throws(StoreError) in
        try text.withUnsafeBufferPointer { text throws(StoreError) in
            try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                try (vector ?? []).withUnsafeBufferPointer { floats throws(StoreError) in
                    try builder.put(
                        collection,
                        id: UnsafeRawBufferPointer(id),
                        text: UnsafeRawBufferPointer(text),
                        metadata: UnsafeRawBufferPointer(metadata),
                        vector: vector == nil ? nil : floats
                    )
                }
            }
        }
    }
}

/// One get and one search.
private func answer(_ engine: Engine, _ id: [UInt8]) throws {
    let version = try engine.version()
    let docs = try engine.collection("docs")
    let found = try id.withUnsafeBufferPointer { id throws(StoreError) in
        try version.withDocument(docs, id: UnsafeRawBufferPointer(id), wantsVector: true) {
            view throws(StoreError) in view.text.count
        }
    }
    let one = try engine.collection("one")
    let query: [Float] = [1, 0, 0, 0]
    let hits = try query.withUnsafeBufferPointer { query throws(StoreError) in
        try version.search(one, query: query, SearchRequest(limit: 1)).hits
    }
    guard found != nil, hits.count == 1 else { throw Failure.failed("a document is missing") }
}

/// Opens and maps one file and reads its first byte.
private func touch(_ path: String) throws {
    let file = try PosixFileSystem().open(path, .read)
    defer { file.close() }
    let size = try file.byteCount()
    guard size > 0 else { return }
    guard try file.map(byteCount: size).bytes.first != nil else {
        throw Failure.failed("\(path) is empty")
    }
}

/// Measures the recovery of a log of about so many bytes.
private func recover(
    _ name: String,
    textByteCount: Int,
    _ byteCount: Int,
    _ arguments: Arguments,
    _ folder: WorkFolder,
    _ report: Report
) throws {
    var options = EngineOptions()
    // All of the log stays to be recovered: no memtable fills up meanwhile.
    options.memoryByteCount = 4 << 30
    options.memtableByteCount = 1 << 30
    options.durability = .bulk
    let engine = try Engine.open(at: folder.path("used"), options: options)
    let collection = try engine.makeCollection("docs", 0, .cosine)
    var dice = Dice(try arguments.seed())
    let text = GeneratedData.text(textByteCount, &dice)
    var count = 0
    while count % 1000 != 0 || engine.statistics().logByteCount < byteCount {
        let id = GeneratedData.id(count)
        _ = try engine.commit { builder throws(StoreError) in
            try put(&builder, collection, id: id, text: text, vector: nil)
        }
        count += 1
    }
    // Acknowledged as durable: what is not must be written anew by recovery, at the disk's speed.
    try engine.sync()
    let megabytes = Double(engine.statistics().logByteCount) / 1e6
    var recoveries: [Double] = []
    var readings: [Double] = []
    for round in 0...(try arguments.rounds()) {
        try folder.copy("used", to: "copy")
        let start = SystemClock().steadyNanoseconds()
        let copy = try Engine.open(at: folder.path("copy"), options: options)
        let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
        let found = try copy.version().count(try copy.collection("docs"))
        guard found == count else {
            throw Failure.failed("\(found) of \(count) documents were recovered")
        }
        try copy.close()
        try folder.remove("copy")
        let reading = try seconds { try checksum(folder, byteCount: Int(megabytes * 1e6)) }
        guard round > 0 else { continue }  // the first one warms up
        recoveries.append(time)
        readings.append(reading)
    }
    try engine.close()
    try folder.remove("used")
    report.figure("recovery, \(name)", "MB/s of log", recoveries.map { megabytes / $0 })
    report.figure("recovery, \(name)", "operations/s", recoveries.map { Double(count) / $0 })
    report.figure("reading and checksums alone", "MB/s", readings.map { megabytes / $0 })
    report.ratio("recovery / reading, \(name)", quotients(readings, recoveries))
}

/// Reads the log files of the store in use, up to a number of bytes, and sums them up.
private func checksum(_ folder: WorkFolder, byteCount: Int) throws {
    var rest = byteCount
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    for path in folder.files("used/" + FileNames.logFolder) where rest > 0 {
        let file = try PosixFileSystem().open(path, .read)
        defer { file.close() }
        var position: UInt64 = 0
        var sum: UInt32 = 0
        while rest > 0 {
            let count = try buffer.withUnsafeMutableBytes {
                try file.readUpTo($0, at: position)
            }
            if count == 0 { break }
            sum = buffer.withUnsafeBytes { mk_crc32c(sum, $0.baseAddress, count) }
            position += UInt64(count)
            rest -= count
        }
    }
}
