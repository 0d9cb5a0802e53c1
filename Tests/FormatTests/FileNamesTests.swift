// Names and what they stand for.

import MoraineFormat
import Testing

@Suite struct FileNamesTests {
    @Test func namesFollowThePage() {
        #expect(FileNames.document(10) == "seg/000000000000000a.doc")
        #expect(FileNames.vector(1 << 62) == "seg/4000000000000000.vec")
        #expect(FileNames.key(1, fileID: 2) == "seg/0000000000000001.0000000000000002.key")
        #expect(FileNames.deletions(1, fileID: 2) == "seg/0000000000000001.0000000000000002.del")
        for (kind, suffix) in [(DerivedKind.codes, "q8"), (.graph, "gr"), (.columns, "col")] {
            #expect(
                FileNames.derived(kind, 1, fileID: 2)
                    == "seg/0000000000000001.0000000000000002.\(suffix)"
            )
        }
        #expect(
            FileNames.log(epoch: 3, sequence: 4)
                == "wal/W-0000000000000003-0000000000000004.mwal"
        )
        #expect(FileNames.spareLog(5) == "wal/free/0000000000000005.mwal")
        #expect(FileNames.manifest(6) == "manifest/M-0000000000000006.mman")
    }

    @Test func namesReadBack() {
        for id: UInt64 in [0, 1, 0x0123_4567_89AB_CDEF, 1 << 62] {
            let cases: [(String, FileNames.Parsed)] = [
                (FileNames.document(id), .document(segment: id)),
                (FileNames.vector(id), .vector(segment: id)),
                (FileNames.key(id, fileID: 9), .key(segment: id, fileID: 9)),
                (FileNames.deletions(9, fileID: id), .deletions(segment: 9, fileID: id)),
                (
                    FileNames.derived(.codes, id, fileID: 9),
                    .derived(.codes, segment: id, fileID: 9)
                ),
                (
                    FileNames.derived(.columns, 9, fileID: id),
                    .derived(.columns, segment: 9, fileID: id)
                ),
                (FileNames.log(epoch: id, sequence: 7), .log(epoch: id, sequence: 7)),
                (FileNames.spareLog(id), .spareLog(id)),
                (FileNames.manifest(id), .manifest(id)),
            ]
            for (name, parsed) in cases { #expect(FileNames.parse(name) == parsed) }
        }
        #expect(FileNames.parse("ROOT") == .root)
        #expect(FileNames.parse("LOCK") == .lock)
        #expect(FileNames.parse("tmp/ROOT") == .temporaryRoot)
    }

    @Test(arguments: [
        "", "root", "ROOT ", "seg/", "seg/a.doc", "seg/000000000000000A.doc",
        "seg/00000000000000001.doc", "seg/0000000000000001.doc.", "seg/0000000000000001.key",
        "seg/0000000000000001.0000000000000002.doc", "seg/0000000000000001.0000000000000002",
        "seg/0000000000000001-0000000000000002.key", "seg/0000000000000001.q8",
        "seg/0000000000000001.0000000000000002.fts", "seg/0000000000000001.0000000000000002gr",
        "0000000000000001.doc",
        "./seg/0000000000000001.doc", "seg//0000000000000001.doc", "tmp/x",
        "wal/W-0000000000000003-0000000000000004.mwal.bak", "wal/W-0000000000000003.mwal",
        "wal/free/W-0000000000000003.mwal", "manifest/M-000000000000000g.mman",
        "manifest/M-+00000000000000a.mman", "seg/4000000000000001.doc",
        "manifest/M-ffffffffffffffff.mman", "wal/W-ffffffffffffffff-0000000000000004.mwal",
    ])
    func anyOtherNameIsNoneOfOurs(name: String) {
        #expect(FileNames.parse(name) == nil)
    }
}
