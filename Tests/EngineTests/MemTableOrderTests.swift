// The order of a memtable's rows: made in parts, and the same as if it were made whole.

import MoraineFiles
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct MemTableOrderTests {
    private func add(_ id: String, to table: MemTable, collection: UInt32 = 1) {
        let bytes = Array(id.utf8).withUnsafeBytes { table.adopt($0) }
        table.add(
            collectionID: collection,
            isTombstone: false,
            id: bytes,
            body: UnsafeRawBufferPointer(start: nil, count: 0),
            vector: nil,
            lsn: 1,
            created: 1,
            updated: 1,
            expiry: 0
        )
    }

    private func id(_ table: MemTable, _ row: UInt32) -> String {
        String(decoding: table.row(Int(row)).pointee.id, as: UTF8.self)
    }

    private func matches(_ prefix: String, in table: MemTable) -> [String] {
        var ids: [String] = []
        Array(prefix.utf8).withUnsafeBytes { prefix in
            table.forEachRow(collectionID: 1, prefix: prefix) { _, row in
                ids.append(String(decoding: row.pointee.id, as: UTF8.self))
            }
        }
        return ids.sorted()
    }

    @Test func aScanBehindAWriteDoesNotGoOverTheWholeTable() {
        let table = MemTable()
        for number in 0..<2_000 { add("k\(number * 7919 % 2_000)", to: table) }
        #expect(table.sortedRows(collectionID: 1).kept.count == 2_000)
        add("k5b", to: table)
        let (kept, added) = table.sortedRows(collectionID: 1)
        #expect(kept.count == 2_000)
        #expect(added.map { id(table, $0) } == ["k5b"])

        // In the end it does: sorting the same rows again and again costs, too.
        for number in 0..<2_000 {
            add("later\(number)", to: table)
            let (kept, added) = table.sortedRows(collectionID: 1)
            #expect(kept.count + added.count == 2_002 + number)
            #expect(added.count < 100)
        }
    }

    @Test func deletesByPrefixPutTheTableInOrderOnceThatPays() {
        let table = MemTable()
        for number in 0..<2_000 { add("k\(number)", to: table) }
        #expect(matches("k19", in: table).count == 111)
        #expect(matches("z", in: table).isEmpty)
        for _ in 0..<20 { #expect(matches("k199", in: table).count == 11) }
        add("k199x", to: table)
        #expect(matches("k199", in: table).count == 12)
        // The rows before the last are kept in order by now, though nobody scanned.
        #expect(table.collections.withLock { $0[1]?.sorted?.rows.count } == 2_000)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func theOrderIsWholeInWhicheverPartsItWasMade(seed: UInt64) {
        let random = SeededRandom(seed: seed)
        let table = MemTable()
        var ids: [String] = []
        for _ in 0..<400 {
            switch random.next() % 4 {
            case 0:
                let (kept, added) = table.sortedRows(collectionID: 1)
                for part in [kept, added] {
                    let keys = part.map { (id(table, $0), $0) }
                    #expect(keys.elementsEqual(keys.sorted { $0 < $1 }, by: ==))
                }
                #expect((kept + added).map { id(table, $0) }.sorted() == ids.sorted())
            case 1:
                let prefix = "\(random.next() % 30)"
                #expect(matches(prefix, in: table) == ids.filter { $0.hasPrefix(prefix) }.sorted())
            default:
                for _ in 0..<random.next() % 20 {
                    let id = "\(random.next() % 300)"
                    ids.append(id)
                    add(id, to: table)
                    add("\(id)-other", to: table, collection: 2)
                }
            }
        }
    }
}
