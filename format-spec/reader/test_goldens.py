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
            '"null":null,"object":{"":1e+300},"string":"å\\u0000","true":true}',
        )

    def test_columns(self):
        """The reader takes no notice of columns; here they are read from the page."""
        parts = golden("columns.hex")
        values, found = parts["Values"], {}
        for collection in struct.iter_unpack("<6I", parts["Collections"]):
            number, first, count, first_field, field_count, flags = collection
            self.assertEqual(flags, 0)
            for place in range(first_field, first_field + field_count):
                start, size, column, column_count = struct.unpack_from(
                    "<4I", parts["Fields"], place * 16)
                cursor = reader.Cursor(parts["Paths"][start:start + size], "7.col", 0, "path")
                path = []
                while cursor.position < size:
                    path.append(cursor.prefixed().decode())
                for entry in range(column, column + column_count):
                    kind, domain, n, strings, offset, length = struct.unpack_from(
                        "<BB2xIQQQ", parts["Columns"], entry * 32)
                    data = values[offset:offset + length]
                    found[number, ".".join(path), kind, domain] = read_column(
                        data, kind, n, strings, range(first, first + count))
        self.assertEqual(found, {
            (1, "a", 1, 1): [0, 1], (1, "a", 6, 1): [(-1, 1), (3, 0)],
            (1, "s", 1, 1): [0, 1, 2], (1, "s", 8, 1): [("x", [1, 2]), ("xy", [0])],
            (1, "t", 1, 1): [0, 1], (1, "t", 2, 1): [0], (1, "t", 3, 1): [1],
            (1, "t", 7, 2): [(1.5, 0)], (1, "t", 8, 2): [("u", [0])],
            (2, "o", 1, 1): [3], (2, "o", 2, 1): [3], (2, "o.p", 1, 1): [3], (2, "o.p", 5, 1): [3],
        })


def read_rows(data, rows):
    """A list of rows: columns.md, "Rows"."""
    if data[0] == 1:
        return list(rows)
    found = []
    if data[0] == 2:
        cursor, row = reader.Cursor(data[1:], "7.col", 0, "rows"), rows.start
        while cursor.position < len(data) - 1:
            row += cursor.varint()
            found.append(row)
            row += 1
        return found
    base = rows.start // 64 * 64
    return [row for row in rows if data[1 + (row - base) // 8] >> (row - base) % 8 & 1]


def read_column(data, kind, count, string_size, rows):
    """A column: columns.md, "Numbers" and "Strings"; what it holds must be as much as is said."""
    if kind <= 5:
        found = read_rows(data, rows)
        assert len(found) == count
        return found
    if kind == 8:
        ends = [(0, 0)] + list(struct.iter_unpack("<2I", data[:count * 8]))
        texts, lists = data[count * 8:count * 8 + string_size], data[count * 8 + string_size:]
        assert ends[-1] == (len(texts), len(lists))
        return [(texts[a:c].decode(), read_rows(lists[b:d], rows))
                for (a, b), (c, d) in zip(ends, ends[1:])]
    letter, start, found = "q" if kind == 6 else "d", (count + 4095) // 4096 * 16, []
    for leaf in range(0, count, 4096):
        n = min(4096, count - leaf)
        numbers = struct.unpack_from(f"<{n}{letter}", data, start)
        found += zip(numbers, struct.unpack_from(f"<{n}I", data, start + 8 * n))
        bounds = struct.unpack_from(f"<2{letter}", data, leaf // 4096 * 16)
        assert bounds == (numbers[0], numbers[-1])
        start += 12 * n
    assert start == len(data)
    return found


if __name__ == "__main__":
    unittest.main()
