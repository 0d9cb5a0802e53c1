// Small code files in memory.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineVectors

extension FixtureSpace {
    /// A space of so many rows from 0 on, each made by `vector`.
    init(
        collectionID: UInt32 = 1,
        dimensions: Int,
        metric: Metric,
        count: Int,
        vector: (Int) -> [Float]
    ) {
        self.collectionID = collectionID
        self.dimensions = dimensions
        self.metric = metric
        rows = (0..<UInt32(count)).map { $0 }
        vectors = (0..<count).map(vector)
    }
}

extension VectorFixture {
    func codePath(_ segment: UInt64 = 7, fileID: UInt64 = 71) -> String {
        FileNames.path(root, FileNames.derived(.codes, segment, fileID: fileID))
    }

    func writeCodes(
        of vectors: VectorFile,
        segment: UInt64 = 7,
        fileID: UInt64 = 71,
        step: () throws(StoreError) -> Void = {}
    ) throws(StoreError) -> SealedFileReference? {
        try CodeFileWriter.write(
            vectors: vectors,
            fileSystem: files,
            root: root,
            segment: segment,
            storeID: storeID,
            fileID: fileID,
            createdLSN: 5,
            step: step
        )
    }

    func openCodes(
        _ reference: SealedFileReference,
        of vectors: VectorFile,
        segment: UInt64 = 7
    ) throws(StoreError) -> CodeFile {
        try CodeFile(
            fileSystem: files,
            root: root,
            segment: segment,
            storeID: storeID,
            reference: reference,
            vectors: vectors
        )
    }

    /// Writes any sections with right checksums, as an attacker could.
    func forgeCodes(_ sections: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])])
        throws(StoreError) -> SealedFileReference
    {
        if files.contents(of: codePath()) != nil { _ = files.removeForTest(codePath()) }
        let writer = try SealedFileWriter(
            fileSystem: files,
            root: root,
            name: FileNames.derived(.codes, 7, fileID: 71),
            kind: .codes,
            storeID: storeID,
            fileID: 71,
            createdLSN: 5
        )
        for section in sections {
            try writer.beginSection(section.type, ordinal: section.ordinal)
            try writer.append(section.bytes)
            try writer.endSection()
        }
        return try writer.finish(rowCount: 1024, minLSN: 1, maxLSN: 5)
    }
}

func findings(_ codes: CodeFile, _ vectors: VectorFile) -> [Finding] {
    var found: [Finding] = []
    codes.verify(against: vectors) { found.append($0) }
    return found
}
