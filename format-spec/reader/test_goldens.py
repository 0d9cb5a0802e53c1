"""The independent reader reads the goldens.

    python3 -m unittest discover format-spec/reader
"""

import os
import struct
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import moraine_read as reader  # noqa: E402

FOLDER = os.path.join(HERE, "..", "golden", "v1")
STORE_ID = bytes.fromhex("00112233445566778899aabbccddeeff")
TIME = 1_700_000_000_000


def golden(name):
    """The parts of a golden file, by title."""
    parts, title = {}, None
    with open(os.path.join(FOLDER, name), encoding="utf-8") as lines:
        for line in map(str.strip, lines):
            if line.startswith("== "):
                title = line[3:]
                parts[title] = b""
            elif line and not line.startswith("#"):
                words = line.split("|")[0].split()
                if words[1:2] == ["x"]:
                    parts[title] += bytes.fromhex(words[0]) * int(words[2])
                else:
                    parts[title] += bytes.fromhex("".join(words))
    return parts


class Goldens(unittest.TestCase):
    def test_header_and_footer(self):
        parts = golden("file-header.hex")
        header = reader.read_header(parts["Header"], "7.doc", b"DC", STORE_ID, 7)
        self.assertEqual(header.createdLSN, 41)
        footer = reader.Footer(*reader.FOOTER.unpack(parts["Footer"]))
        self.assertEqual((footer.fileByteCount, footer.maxLSN, footer.fileID), (1280, 300, 7))
        seeds = struct.unpack("<QQ", STORE_ID)
        self.assertEqual(footer.footerChecksum, reader.crc(seeds, parts["Footer"][:56]))

    def test_log(self):
        parts = golden("log.hex")
        log = reader.LogFile(b"".join(parts.values()), "W", b"WL", STORE_ID, 9)
        self.assertEqual((log.log.firstNumber, log.log.predecessorEnd), (300, 4352))
        commit = log.record(4096, len(log.data))
        self.assertEqual((commit.number, commit.promised, commit.operationCount), (300, 299, 3))
        marker = log.record(commit.end, len(log.data))
        self.assertEqual((marker.type, marker.promised), (reader.MARKER, 300))
        second = log.record(marker.end, len(log.data))
        self.assertEqual((second.number, second.promised, second.end), (301, 300, len(log.data)))
        whole = reader.Commit(second, "W")
        whole.add(second.payload)
        self.assertEqual(reader.read_operations(whole)[2], [
            reader.Rename(1, "texts"), reader.DeletePrefix(1, b"a/"), reader.Drop(1)])
        for at in range(4096, commit.end):
            log.data = bytearray(log.data)
            log.data[at] ^= 4
            self.assertIsNone(log.record(4096, len(log.data)), at)
            log.data[at] ^= 4

    def test_parts_of_an_edit_are_joined(self):
        payload = golden("manifest.hex")["Counters"]
        slices = [payload[:1], b"", payload[1:]]
        chain = reader.Chain(b"MF", 0)
        chain.expected = 7
        for index, data in enumerate(slices):
            part = struct.pack("<II", index, 3) + data
            record = reader.Record(4096, 4136, 7, 6, 1, reader.PART, part)
            self.assertTrue(chain.accept(record, "M"))
        (edit,) = chain.commits
        self.assertIsInstance(reader.read_edits(edit)[0][1], reader.Counters)

    def test_manifest(self):
        parts = golden("manifest.hex")
        later = b"".join(parts.pop(title) for title in (
            "Collection renamed", "Collection dropped", "Segment dropped", "Derived file",
            "Derived file dropped"))
        edits = b"".join(data for title, data in parts.items() if title != "Record")
        cursor = reader.Cursor(edits + later, "M", 0, "edit")
        read = [reader.read_edit(cursor) for _ in range(12)]
        cursor.expect_end()
        self.assertEqual(read[7:9], [reader.Rename(1, "texts"), reader.Drop(1)])
        self.assertEqual(read[10:], [reader.Derived(7, 2, 14, 1280, 0x89ABCDEF),
                                     reader.DerivedDropped(7, 3)])
        self.assertIsInstance(read[9], reader.SegmentDropped)
        self.assertEqual(parts["Record"][40 : 40 + len(edits)], edits)

    def test_root(self):
        parts = golden("root.hex")
        root = reader.read_root(parts["Copy"] + parts["Second copy"])
        self.assertEqual((root.sequence, root.state, root.logEnd), (17, reader.CLOSED, 4336))
        self.assertEqual(root.createdTime, TIME)

    def test_documents(self):
        parts = golden("document.hex")
        for title in ("Document", "Document without vector", "Tombstone"):
            cursor = reader.Cursor(parts[title], "7.doc", 0, title)
            record = reader.read_document_record(cursor)
            cursor.expect_end()
            self.assertEqual(record.lsn, 5 if title == "Document without vector" else 300)
        cursor = reader.Cursor(parts["Removals"], "7.doc", 0, "removals")
        self.assertEqual([reader.read_removal(cursor) for _ in range(cursor.varint())],
                         [reader.Removal(1, 300, b"a/"), reader.Removal(2, 301, None)])
        cursor.expect_end()
        cursor = reader.Cursor(parts["Metadata"], "7.doc", 0, "metadata")
        self.assertEqual(
            reader.metadata_text(cursor),
            '{"array":[null,{}],"double":-0.0,"false":false,"integer":-9223372036854775808,'
            '"null":null,"object":{"":1e300},"string":"å\\u0000","true":true}',
        )

    def test_columns(self):
        file = reader.ColumnFile(golden_columns())
        found = {}
        for collection in file.collections:
            for names, columns in file.fields(collection):
                for column in columns:
                    place = collection.id, ".".join(names), column.kind, column.domain
                    if column.kind == reader.STRINGS:
                        found[place] = file.strings(column, collection)
                    elif column.kind in (reader.INTEGERS, reader.DOUBLES):
                        found[place] = list(zip(*file.numbers(column, collection)))
                    else:
                        found[place] = file.rows(column, collection)
        self.assertEqual(found, {
            (1, "a", 1, 1): [0, 1], (1, "a", 6, 1): [(-1, 1), (3, 0)],
            (1, "s", 1, 1): [0, 1, 2], (1, "s", 8, 1): [("x", [1, 2]), ("xy", [0])],
            (1, "t", 1, 1): [0, 1], (1, "t", 2, 1): [0], (1, "t", 3, 1): [1],
            (1, "t", 7, 2): [(1.5, 0)], (1, "t", 8, 2): [("u", [0])],
            (2, "o", 1, 1): [3], (2, "o", 2, 1): [3], (2, "o.p", 1, 1): [3], (2, "o.p", 5, 1): [3],
        })

    def test_columns_with_a_byte_changed_read_as_others_or_are_refused(self):
        """No byte of the tables and values is passed over."""
        whole = reader.describe_columns(golden_columns())
        for type_ in (reader.VALUES, reader.PATHS, reader.COLUMNS, reader.FIELDS,
                      reader.COLLECTIONS, reader.SOURCE):
            for at in range(len(golden_columns().parts[type_, 0])):
                bent = golden_columns()
                data = bytearray(bent.parts[type_, 0])
                data[at] ^= 1
                bent.parts[type_, 0] = bytes(data)
                try:
                    self.assertNotEqual(reader.describe_columns(bent), whole, (type_, at))
                except (reader.Damage, reader.Refused):
                    pass

    def test_codes(self):
        values = [[-127, 5, 127] + [0] * 66, [1] * 69]
        codes = [bytes(128 + v for v in row) + bytes([128] * 59) for row in values]
        entry = (3, 0, 69, 128, 2, 1, bytes(3), 0.5, 1.0, 2.0)
        sums = [sum(v * v for v in row) for row in values]
        coarse = [sum((32 * (v + 128 >> 4) - 241) ** 2 for v in row) for row in values]

        def file(codes=codes, sums=sums, coarse=coarse, errors=(0.25, 0.5)):
            high = b"".join(bytes(code[j] >> 4 | code[64 + j] & 240 for j in range(64))
                            for code in codes)
            low = b"".join(bytes(code[j] & 15 | (code[64 + j] & 15) << 4 for j in range(64))
                           for code in codes)
            return Parts(b"Q8", 2, {
                (reader.SOURCE, 0): bytes([7]) + bytes(15), (reader.HIGH_HALVES, 0): high,
                (reader.LOW_HALVES, 0): low, (reader.CODE_ERRORS, 0): struct.pack("<2f", *errors),
                (reader.SQUARE_SUMS, 0): struct.pack("<2I", *sums),
                (reader.COARSE_ERRORS, 0): struct.pack("<2f", 4, 5),
                (reader.COARSE_SQUARE_SUMS, 0): struct.pack("<2I", *coarse),
                (reader.CODE_SPACES, 0): reader.CODE_SPACE.pack(*entry)})

        read = reader.describe_codes(file())["codes"]
        self.assertEqual([code["code"] for code in read], values)
        self.assertEqual([code["error"] for code in read], [0.25, 0.5])
        self.assertEqual([code["coarseSquareSum"] for code in read], coarse)
        for bent in (file(codes=[bytes(128), codes[1]]), file(sums=sums[::-1]),
                     file(codes=[codes[0][:-1] + b"\x81", codes[1]]),
                     file(coarse=coarse[::-1]), file(errors=(-1, 0)),
                     file(errors=(float("nan"), 0))):
            with self.assertRaises(reader.Damage):
                reader.describe_codes(bent)

    def test_graphs(self):
        none = reader.NO_ORDINAL

        def file(links=((1, 3), (0,), (), (0, 1)), entries=(3,), chain=(2, none, none, none),
                 nodes=3):
            entry = (3, 0, 4, nodes, len(entries), 0, 100, 1.5, 1.0, 2, bytes(32), 1, bytes(3))
            flat = [row[i] if i < len(row) else none for row in links for i in range(32)]
            parts = {(reader.SOURCE, 0): bytes(32),
                     (reader.LINKS, 0): struct.pack("<128I", *flat),
                     (reader.ENTRIES, 0): struct.pack(f"<{len(entries)}I", *entries)}
            if nodes < 4:
                parts[reader.DUPLICATES, 0] = struct.pack("<4I", *chain)
            parts[reader.GRAPH_SPACES, 0] = reader.GRAPH_SPACE.pack(*entry)
            return Parts(b"GR", 4, parts)

        self.assertEqual(reader.describe_graphs(file())["graphs"], [
            {"entries": [3], "links": [[1, 3], [0], [], [0, 1]], "duplicates": [[0, 2]]}])
        for bent in (file(entries=(4,)), file(entries=(3, 3)), file(entries=(2,)), file(nodes=2),
                     file(links=((4,), (0,), (), ())), file(links=((2,), (0,), (), ())),
                     file(links=((1,), (0,), (0,), ())), file(links=((0,), (0,), (), ())),
                     file(links=((none, 1), (0,), (), ())), file(chain=(2, 2, none, none)),
                     file(chain=(none, none, 1, none)), file(chain=(4, none, none, none))):
            with self.assertRaises(reader.Damage):
                reader.describe_graphs(bent)

    def test_tables_of_derived_files(self):
        parts = golden("segment.hex")
        space = reader.CodeSpace(*reader.CODE_SPACE.unpack(parts["Coded space"]))
        self.assertEqual(space.strideByteCount % 128, 0)
        graph = reader.GraphSpace(*reader.GRAPH_SPACE.unpack(parts["Graph"]))
        self.assertLessEqual(graph.nodeCount, graph.vectorCount)


class Parts:
    """Sections as a verified file gives them."""

    file = "7"
    section, rows_of = reader.SealedFile.section, reader.SealedFile.rows_of

    def __init__(self, kind, row_count, parts):
        self.parts = parts
        self.header = reader.Header(*[None] * 13)._replace(kind=kind)
        self.footer = reader.Footer(*[0] * 10)._replace(rowCount=row_count)

    @property
    def sections(self):
        """As if each stood where the ones before it end."""
        at, entries = 0, {}
        for place, data in self.parts.items():
            entries[place] = reader.Entry(*place, at, len(data), 0, 0)
            at += len(data)
        return entries

    @property
    def data(self):
        return b"".join(self.parts.values())

    def verify(self):
        pass


def golden_columns():
    parts = golden("columns.hex")
    titles = {"Values": reader.VALUES, "Paths": reader.PATHS, "Columns": reader.COLUMNS,
              "Fields": reader.FIELDS, "Collections": reader.COLLECTIONS,
              "Source": reader.SOURCE}
    return Parts(b"CL", 4, {(type_, 0): parts[title] for title, type_ in titles.items()})


if __name__ == "__main__":
    unittest.main()
