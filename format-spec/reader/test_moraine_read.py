"""Tests of the independent reader, on stores that are built here from the pages.

    python3 -m unittest discover format-spec/reader
"""

import contextlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import moraine_read as reader  # noqa: E402

STORE_ID = bytes(range(1, 17))
LOW_HIGH = struct.unpack("<QQ", STORE_ID)
INCARNATION = 0x1122334455667788
NOW = 1_700_000_000_000


# Bytes of the simple things: conventions.md, file-header.md.


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def prefixed(data):
    data = data.encode() if isinstance(data, str) else data
    return varint(len(data)) + data


def padded(data, multiple):
    return data + bytes(-len(data) % multiple)


def crc(seeds, data):
    """Bit by bit, so that it shares nothing with the reader's tables."""
    value = 0xFFFFFFFF
    for byte in struct.pack(f"<{len(seeds)}Q", *seeds) + data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def header(kind, file_id, store_id=STORE_ID, revision=1):
    raw = b"\x89MRN" + kind + b"\r\n" + struct.pack("<HHIII", revision, 64, 0, 0, 0)
    raw += store_id + struct.pack("<QQI", file_id, 0, 0)
    return raw + struct.pack("<I", crc((), raw))


def sealed(kind, file_id, sections, rows, low, high, first=64):
    """A sealed file of sections [(type, ordinal, bytes)]."""
    seeds = (*LOW_HIGH, file_id)
    data, table, directory = header(kind, file_id).ljust(first, b"\0"), b"", b""
    for type_, ordinal, content in sections:
        data = padded(data, 64)
        part, start = b"", len(data)
        for at in range(0, len(content) if type_ != 1 else 0, 65536):
            part += struct.pack("<I", crc((*seeds, start + at), content[at : at + 65536]))
        directory += struct.pack("<IIQQII", type_, ordinal, start, len(content), len(table) // 4,
                                 crc((*seeds, start), part))
        data, table = data + content, table + part
    data = padded(data, 64)
    directory += struct.pack("<IIQQII", 255, 0, len(data), len(table), 0,
                             crc((*seeds, len(data)), b""))
    data = padded(data + table, 64)
    footer = struct.pack("<QIIQQQQQ", len(data), len(directory), crc(seeds, directory),
                         len(data) + len(directory) + 64, rows, low, high, file_id)
    return data + directory + footer + struct.pack("<I", crc(LOW_HIGH, footer)) + b"MEND"


def named_file(kind, file_id, data):
    return bytes([kind]) + varint(file_id) + varint(len(data)) + data[-8:-4]


def f32(*values):
    return struct.pack(f"<{len(values)}f", *values)


# Segments: document.md, key.md, vector.md, deletion.md.


class Row:
    def __init__(self, collection, id_, lsn, text="", metadata=b"\0", vector=None, expiry=0):
        self.collection, self.id, self.lsn, self.text = collection, id_, lsn, text
        self.metadata, self.vector, self.expiry = metadata, vector, expiry

    def record(self):
        raw = bytes([self.vector is not None]) + varint(self.collection) + prefixed(self.id)
        raw += varint(self.lsn) + varint(NOW) + varint(NOW) + varint(self.expiry)
        if self.vector is not None:
            raw += struct.pack("<I", crc((), self.vector))
        return raw + prefixed(self.text) + prefixed(self.metadata)


class Tombstone:
    def __init__(self, collection, id_, lsn):
        self.collection, self.id, self.lsn = collection, id_, lsn

    def record(self):
        return b"\2" + varint(self.collection) + prefixed(self.id) + varint(self.lsn) + varint(NOW)


def lz4_literals(raw):
    """A valid LZ4 block of one run of literals."""
    if len(raw) < 15:
        return bytes([len(raw) << 4]) + raw
    rest = len(raw) - 15
    return b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + raw


ENCODERS = {1: lambda raw: raw, 2: lz4_literals, 3: zlib.compress}


def expiries(rows):
    """The section of rows that expire, empty when none does."""
    own = {}
    for row in rows:
        if row.expiry:
            own.setdefault(row.collection, []).append(row.expiry)
    return bool(own) * varint(len(own)) + b"".join(
        varint(n) + varint(len(own[n])) + varint(min(own[n])) for n in sorted(own))


def document_file(segment, blocks, schema, low, high, removals=b""):
    """A .doc file of blocks [(codec, records)]."""
    content, index, first_row = b"", b"", 0
    for number, (codec, rows) in enumerate(blocks):
        content = padded(content, 8)
        at, kind = 64 + len(content), 1 if isinstance(rows[0], Row) else 2
        records, starts = b"", b""
        for row in rows:
            starts += struct.pack("<I", len(records))
            records += row.record()
        raw = records + starts
        stored = ENCODERS[codec](raw)
        row = first_row if kind == 1 else 0xFFFFFFFF
        fields = struct.pack("<QIIIBBHIIQII", segment, number, row, len(rows), codec, kind, 0,
                             len(raw), len(stored), max(r.lsn for r in rows), crc((), stored), 0)
        checksum = crc((*LOW_HIGH, segment, at), fields)
        content += b"MBLK" + struct.pack("<I", checksum) + fields + stored
        index += struct.pack("<QIIIIII", at, len(stored), len(raw), row, len(rows), checksum, 0)
        first_row += len(rows) if kind == 1 else 0
    sections = [(1, 0, content), (2, 0, index), (3, 0, schema)]
    ends = expiries([r for _, rows in blocks for r in rows if isinstance(r, Row)])
    sections += [(5, 0, removals)] * bool(removals) + [(6, 0, ends)] * bool(ends)
    return sealed(b"DC", segment, sections, first_row, low, high)


def key_blocks(rows, block_rows):
    """The blocks of a .key file, so many rows each, and their fences."""
    blocks, firsts, keys = b"", [], []
    for start in range(0, len(rows), block_rows):
        entries, restarts, before = b"", b"", b""
        for index, row in enumerate(rows[start : start + block_rows]):
            key = struct.pack(">I", row.collection) + row.id.encode()
            shared = 0 if index % 8 == 0 else len(os.path.commonprefix([before, key]))
            if index % 8 == 0:
                restarts += struct.pack("<H", len(entries))
            if index == 0:
                firsts.append(start)
                keys.append(key)
            entries += varint(shared) + varint(len(key) - shared) + key[shared:]
            entries += varint(row.lsn) + varint(NOW) + varint(row.expiry)
            before = key
        count = len(rows[start : start + block_rows])
        trailer = restarts + struct.pack("<HH", len(restarts) // 2, count)
        blocks += entries.ljust(4096 - len(trailer), b"\0") + trailer
    ends = [len(b"".join(keys[:at])) for at in range(len(keys) + 1)]
    fences = struct.pack(f"<{2 * len(keys) + 3}I", len(keys), *firsts, len(rows), *ends)
    return blocks, fences + b"".join(keys)


def key_file(file_id, rows, low, high, block_rows=200, filter_=None):
    """A .key file; its filter knows nothing, unless there is one."""
    blocks, fences = key_blocks(rows, block_rows)
    filter_ = filter_ or struct.pack("<QIIII", 1, 0, 0, 0, len(rows))
    sections = [(16, 0, blocks), (17, 0, fences), (18, 0, filter_)]
    return sealed(b"KY", file_id, sections, len(rows), low, high, first=4096)


def vector_file(file_id, rows, spaces, low, high):
    """A .vec file of spaces [(collection, dimensions, metric)]."""
    table, sections = b"", []
    for ordinal, (collection, dimensions, metric) in enumerate(spaces):
        stride = -(-4 * dimensions // 64) * 64
        own = [(at, r.vector) for at, r in enumerate(rows)
               if r.collection == collection and r.vector is not None]
        table += struct.pack("<IIIIIB3x", collection, 0, dimensions, stride, len(own), metric)
        norms = [sum(v * v for v in struct.unpack(f"<{dimensions}f", b)) ** 0.5 for _, b in own]
        sections.append((32, ordinal, b"".join(b.ljust(stride, b"\0") for _, b in own)))
        sections.append((33, ordinal, b"".join(struct.pack("<I", at) for at, _ in own)))
        sections.append((34, ordinal, f32(*norms)))
    return sealed(b"VC", file_id, [(31, 0, table), *sections], len(rows), low, high, first=4096)


def deletion_file(file_id, segment, lsn, row_count, dead):
    containers = b""
    for index in sorted({row >> 16 for row in dead}):
        rows = sorted(row & 0xFFFF for row in dead if row >> 16 == index)
        if len(rows) <= 4096:
            kind, body = 1, padded(struct.pack(f"<{len(rows)}H", *rows), 8)
        else:
            bits = sum(1 << row for row in rows)
            kind, body = 2, bits.to_bytes(8192, "little")
        containers += struct.pack("<IHH", index, kind, len(rows) - 1) + body
    summary = struct.pack("<QQII", segment, lsn, row_count, len(dead))
    return sealed(b"DL", file_id, [(48, 0, summary), (49, 0, containers)], len(dead), lsn, lsn)


# Logs: log.md, manifest.md.

COMMIT, PART, MARKER, EDIT = 1, 2, 3, 4


class Log:
    def __init__(self, kind, file_id, epoch=1, incarnation=INCARNATION, predecessor=0,
                 predecessor_end=0, first_number=1):
        self.file_id, self.incarnation = file_id, incarnation
        fields = struct.pack("<QQQQQQQI", epoch, incarnation, predecessor, predecessor_end,
                             first_number, 4096, 0, 0)
        self.data = header(kind, file_id) + fields
        self.data += struct.pack("<I", crc((*LOW_HIGH, file_id), fields))
        self.data = self.data.ljust(4096, b"\0")

    def append(self, type_, number, payload=b"", operations=0, promised=0):
        rest = struct.pack("<QQIIIHH", number, promised, len(payload), 0, operations, type_, 0)
        rest = padded(rest + payload, 8)
        seeds = (*LOW_HIGH, self.incarnation, self.file_id, len(self.data))
        self.data += b"MWRC" + struct.pack("<I", crc(seeds, rest)) + rest

    def commit(self, number, *operations, promised=0, time=NOW):
        payload = struct.pack("<Q", time) + b"".join(operations)
        self.append(COMMIT, number, payload, len(operations), promised)


def put(collection, id_, text="", metadata=b"\0", vector=None, expiry=0):
    raw = b"\1" + varint(collection) + prefixed(id_) + bytes([vector is not None]) + varint(expiry)
    if vector is not None:
        raw += varint(len(vector) // 4) + vector
    return raw + prefixed(text) + prefixed(metadata)


def delete(collection, id_):
    return b"\2" + varint(collection) + prefixed(id_)


def create(collection, name, dimensions=0, metric=1):
    return b"\3" + shape(collection, name, dimensions, metric)


def shape(collection, name, dimensions=0, metric=1):
    return varint(collection) + prefixed(name) + varint(dimensions) + bytes([metric])


def rename(collection, name):
    return b"\4" + varint(collection) + prefixed(name)


def drop(collection):
    return b"\5" + varint(collection)


def delete_prefix(collection, prefix):
    return b"\6" + varint(collection) + prefixed(prefix)


def removal(collection, lsn, prefix=None):
    """A removal of a .doc file, with its LSN."""
    raw = varint(collection) + varint(lsn) + bytes([1 if prefix is None else 2])
    return lsn, raw + (b"" if prefix is None else prefixed(prefix))


def named_log(sequence, first_lsn):
    """The edit that names a log file."""
    return (b"\5" + varint(sequence) + varint(1) + varint(first_lsn)
            + struct.pack("<Q", INCARNATION))


class Builder:
    """A store with one segment, floor 10, and a log of commits 11 and up."""

    def __init__(self):
        self.files, self.edits = {}, []
        self.log = Log(b"WL", 7, first_number=11)
        self.edit(b"\1" + varint(20) + varint(5))
        self.edit(b"\2" + shape(1, "notes", 3) + varint(1))
        self.edit(b"\2" + shape(2, "Zettel") + varint(2))
        self.edit(named_log(7, 11))
        self.edit(b"\7" + varint(10) + varint(NOW))
        self.root = {"state": 1, "durable": 10}

    def edit(self, raw):
        self.edits.append(raw)

    def add_segment(self, segment, blocks, dead=(), inputs=(), removals=()):
        records = [record for _, records in blocks for record in records]
        rows = [record for record in records if isinstance(record, Row)]
        lsns = [r.lsn for r in records] + [lsn for lsn, _ in removals]
        low, high = min(lsns), max(lsns)
        schema, first = b"", 0
        present = [(n, s) for n, s in ((1, ("notes", 3)), (2, ("Zettel", 0)))
                   if any(r.collection == n for r in records)]
        for number, (name, dimensions) in present:
            count = sum(r.collection == number for r in rows)
            schema += shape(number, name, dimensions) + varint(first) + varint(count)
            first += count
        base = f"seg/{segment:016x}"
        schema = varint(len(present)) + schema
        doc = self.files[f"{base}.doc"] = document_file(
            segment, blocks, schema, low, high,
            bool(removals) * varint(len(removals)) + b"".join(raw for _, raw in removals))
        key = self.files[f"{base}.{segment + 1:016x}.key"] = key_file(segment + 1, rows, low, high)
        files = [named_file(1, segment, doc), named_file(2, segment + 1, key)]
        if any(r.vector is not None for r in rows):
            vec = vector_file(segment + 2, rows, [(1, 3, 1)], low, high)
            self.files[f"{base}.vec"] = vec
            files.append(named_file(3, segment + 2, vec))
        counts = [segment, len(rows), len(records) - len(rows), low, high, len(inputs), *inputs,
                  len(files)]
        self.edit(b"\3" + b"".join(map(varint, counts)) + b"".join(files))
        if dead:
            data = deletion_file(segment + 3, segment, 10, len(rows), dead)
            self.files[f"{base}.{segment + 3:016x}.del"] = data
            self.edit(b"\4" + varint(segment) + varint(segment + 3) + varint(len(data))
                      + data[-8:-4] + varint(len(dead)))

    def root_copy(self, at, manifest, sequence=2):
        closed = self.root["state"] == 2
        fields = struct.pack("<QQQQQQQQIIQQQ", sequence, INCARNATION, 0, 1, 2, len(manifest), 1,
                             self.root["durable"], self.root["state"], 0, 7 if closed else 0,
                             len(self.log.data) if closed else 0, NOW)
        copy = (header(b"RT", 0) + fields).ljust(4092, b"\0")
        return copy + struct.pack("<I", crc((*LOW_HIGH, at), copy))

    def write(self, folder):
        manifest = Log(b"MF", 2)
        manifest.append(EDIT, 1, b"".join(self.edits), len(self.edits))
        self.files["manifest/M-0000000000000002.mman"] = manifest.data
        self.files["wal/W-0000000000000001-0000000000000007.mwal"] = self.log.data
        self.files["ROOT"] = b"".join(self.root_copy(at, manifest.data) for at in (0, 4096))
        for name, data in self.files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as handle:
                handle.write(data)


METADATA = (varint(4) + prefixed("a") + b"\x04" + varint(5)
            + prefixed("b") + b"\x07\x03\x01\x02\x03"
            + prefixed("c") + b"\x05" + struct.pack("<d", 1.0)
            + prefixed("d") + b"\x08\x01" + prefixed("é\u2028") + b"\x06" + prefixed('"'))
METADATA_TEXT = '{"a":-3,"b":[null,false,true],"c":1.0,"d":{"é\\u2028":"\\""}}'


def usual_store():
    """A segment with every codec, tombstones and dead rows, and a log that changes it."""
    store = Builder()
    vector = f32(0.1, -0.0, 1e-5)
    store.add_segment(9, [
        (1, [Row(1, "a", 3, "from the segment", METADATA, vector), Row(1, "b", 4, "dead")]),
        (2, [Row(1, "c", 5, "replaced" * 40), Row(1, "d", 6, "expired", expiry=NOW)]),
        (3, [Row(2, "x", 7, "compressed " * 30), Row(2, "y", 8, "deleted later")]),
        (1, [Tombstone(1, "b2", 10), Tombstone(2, "z", 9)]),
    ], dead={1})
    store.log.commit(11, put(1, "c", "new\n", vector=f32(1, 2.5, 3)), delete(2, "y"), promised=10)
    store.log.append(MARKER, 11, promised=11)
    store.log.commit(12, create(3, "new"), put(3, "é", "last"), promised=11)
    return store


USUAL_LINES = [
    '{"op":"put","collection":"Zettel","id":"x","text":"' + "compressed " * 30
    + '","metadata":{}}',
    '{"op":"put","collection":"new","id":"é","text":"last","metadata":{}}',
    '{"op":"put","collection":"notes","id":"a","text":"from the segment","metadata":'
    + METADATA_TEXT + ',"embedding":[0.1,-0.0,1e-5]}',
    '{"op":"put","collection":"notes","id":"c","text":"new\\n","metadata":{},'
    '"embedding":[1.0,2.5,3.0]}',
]


class StoreCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.notes = ""

    def lines(self, now=NOW):
        with contextlib.redirect_stderr(io.StringIO()) as notes:
            lines = list(reader.Store(self.folder).lines(now))
        self.notes = notes.getvalue()
        return lines

    def damage(self, *words):
        with self.assertRaises(reader.Damage) as caught:
            self.lines()
        for word in words:
            self.assertIn(word, str(caught.exception))


class StoresAreRead(StoreCase):
    def test_segment_deletions_and_log_give_the_live_documents(self):
        usual_store().write(self.folder)
        self.assertEqual(self.lines(), USUAL_LINES)
        self.assertEqual(self.notes, "")

    def test_a_store_closed_cleanly_is_read(self):
        store = usual_store()
        store.root = {"state": 2, "durable": 12}
        store.write(self.folder)
        self.assertEqual(self.lines(), USUAL_LINES)

    def test_a_store_closed_cleanly_has_nothing_behind_its_log(self):
        store = usual_store()
        store.root = {"state": 2, "durable": 12}
        store.write(self.folder)
        name = "wal/W-0000000000000001-0000000000000007.mwal"
        with open(os.path.join(self.folder, name), "ab") as handle:
            handle.write(bytes(8))
        self.damage(name)

    def test_parts_of_a_commit_are_joined_and_a_missing_part_voids_it(self):
        for part_count, expected in ((2, 1), (3, 0)):
            store = Builder()
            payload = struct.pack("<Q", NOW) + put(2, "long", "x" * 100)
            for index, piece in enumerate((payload[:30], payload[30:])):
                store.log.append(PART, 11, struct.pack("<II", index, part_count) + piece, 1)
            store.write(self.folder)
            self.assertEqual(len(self.lines()), expected)
            self.assertEqual("cut" in self.notes, expected == 0)

    def test_a_second_log_file_goes_on_where_it_says_that_the_first_ended(self):
        store = usual_store()
        end = len(store.log.data)
        store.log.commit(13, put(2, "void"))
        second = Log(b"WL", 8, predecessor=7, predecessor_end=end, first_number=13)
        second.commit(13, put(2, "kept"), promised=12)
        store.files["wal/W-0000000000000001-0000000000000008.mwal"] = second.data + bytes(4096)
        store.edit(named_log(8, 13))
        store.write(self.folder)
        kept = '{"op":"put","collection":"Zettel","id":"kept","text":"","metadata":{}}'
        self.assertEqual(self.lines(), [kept, *USUAL_LINES])

    def two_log_files(self, first_number):
        """A store whose second log file follows on commit 12."""
        store = usual_store()
        second = Log(b"WL", 8, predecessor=7, predecessor_end=len(store.log.data),
                     first_number=first_number)
        store.files["wal/W-0000000000000001-0000000000000008.mwal"] = second.data
        store.edit(named_log(8, first_number))
        return store

    def test_numbers_between_two_log_files_are_not_missing(self):
        self.two_log_files(14).write(self.folder)
        self.damage("0000000000000008.mwal", "first number 14")

    def test_a_log_file_with_a_successor_ends_with_a_valid_record(self):
        store = self.two_log_files(13)
        store.log.data = store.log.data[:-16] + b"!" + store.log.data[-15:]
        store.write(self.folder)
        self.damage("0000000000000007.mwal")

    def test_a_vector_is_held_against_its_document(self):
        store = Builder()
        row = Row(1, "a", 3, vector=f32(1, 2, 3))
        record = row.record()
        row.record = lambda: record
        row.vector = f32(1, 2, 4)
        store.add_segment(9, [(1, [row])])
        store.write(self.folder)
        self.damage("row 0: checksum of its vector")

    def test_collections_get_names_and_go_and_prefixes_go(self):
        store = usual_store()
        store.log.commit(13, delete_prefix(1, "a"), put(1, "a2", "later"), promised=12)
        store.log.commit(14, drop(2), create(4, "Zettel"), put(4, "n", "fresh"))
        store.log.commit(15, rename(1, "texts"), rename(3, "notes"))
        store.write(self.folder)
        lines = [json.loads(line) for line in self.lines()]
        self.assertEqual([(line["collection"], line["id"]) for line in lines],
                         [("Zettel", "n"), ("notes", "é"), ("texts", "a2"), ("texts", "c")])

    def test_changes_of_collections_that_do_not_fit_are_damage(self):
        for operation in (rename(9, "x"), rename(1, "Zettel"), drop(9), delete_prefix(9, "a"),
                          create(2, "again"), drop(0), delete_prefix(1, "")):
            store = usual_store()
            store.log.commit(13, operation, promised=12)
            store.write(self.folder)
            self.damage("commit 13")
        store = usual_store()
        store.log.commit(13, drop(2), create(2, "again"), promised=12)
        store.write(self.folder)
        self.damage("exists")

    def test_a_dropped_collection_leaves_dead_rows_and_a_removal(self):
        rows = [Row(1, "a", 3), Row(2, "x", 4), Row(2, "y", 5)]
        for dead in ({1, 2}, {1}):
            store = Builder()
            store.add_segment(9, [(1, rows)], dead=dead)
            store.edit(b"\x09" + varint(2))
            store.edit(b"\x08" + varint(1) + prefixed("texts"))
            store.add_segment(13, [], removals=[removal(1, 6, "b"), removal(2, 7)])
            store.write(self.folder)
            if len(dead) == 1:
                self.damage("unknown collection 2")
                continue
            lines = [json.loads(line) for line in self.lines()]
            self.assertEqual([(line["collection"], line["id"]) for line in lines],
                             [("texts", "a")])

    def test_removals_and_expiries_are_checked(self):
        for removals in ([removal(1, 6), removal(1, 5)], [removal(1, 0)], [removal(0, 5)]):
            store = Builder()
            store.add_segment(9, [(1, [Row(1, "a", 3)])], removals=removals)
            store.write(self.folder)
            self.damage("removals")
        store = Builder()
        store.add_segment(9, [(1, [Row(1, "a", 3, expiry=NOW)])])
        store.write(self.folder)
        self.assertEqual(self.lines(), [])
        self.assertEqual(len(self.lines(NOW - 1)), 1)

    def test_a_compacted_segment_replaces_its_inputs(self):
        store = usual_store()
        store.add_segment(14, [(1, [Row(2, "only", 7)])], inputs=(9,))
        store.log = Log(b"WL", 7, first_number=11)
        store.write(self.folder)
        only = '{"op":"put","collection":"Zettel","id":"only","text":"","metadata":{}}'
        self.assertEqual(self.lines(), [only])

    def test_a_key_that_is_live_in_two_segments_is_damage(self):
        store = usual_store()
        store.add_segment(14, [(1, [Row(2, "x", 7)])])
        store.write(self.folder)
        self.damage("seg/000000000000000e.doc", "live in another segment")

    def test_a_log_file_newer_than_the_manifest_is_damage_if_it_holds_commits(self):
        store = usual_store()
        second = Log(b"WL", 20, predecessor=7, predecessor_end=len(store.log.data),
                     first_number=13)
        name = "wal/W-0000000000000001-0000000000000014.mwal"
        store.files[name] = second.data
        store.write(self.folder)
        self.assertEqual(self.lines(), USUAL_LINES)
        second.commit(13, put(2, "acknowledged"))
        store.files[name] = second.data
        store.write(self.folder)
        self.damage(name)


class TornTailOrDamage(StoreCase):
    NAME = "wal/W-0000000000000001-0000000000000007.mwal"

    def test_a_torn_tail_is_cut_with_a_note(self):
        store = usual_store()
        whole = len(store.log.data)
        store.log.commit(13, put(2, "torn"), promised=12)
        data = store.log.data
        for kept in range(whole + 1, whole + 60, 7):
            for tail in (b"", bytes(4096)):
                store.log.data = data[:kept] + tail
                store.write(self.folder)
                self.assertEqual(self.lines(), USUAL_LINES)
                self.assertIn("12 is the last number kept", self.notes)

    def test_a_damaged_promised_record_is_damage(self):
        store = usual_store()
        store.log.data = store.log.data[:4140] + b"!" + store.log.data[4141:]
        store.write(self.folder)
        self.damage(self.NAME, "offset 4096")

    def test_a_truncated_log_that_root_vouches_for_is_damage(self):
        store = usual_store()
        store.root["durable"] = 12
        store.log.data = store.log.data[:-80]
        store.write(self.folder)
        self.damage(self.NAME)

    def test_a_log_of_a_copy_that_went_on_by_itself_is_damage(self):
        store = usual_store()
        store.log = Log(b"WL", 7, first_number=11, incarnation=INCARNATION + 1)
        store.write(self.folder)
        self.damage(self.NAME, "incarnation")

    def test_a_block_of_a_copy_that_went_on_by_itself_is_damage(self):
        stores = [Builder(), Builder()]
        for store, text in zip(stores, ("kept", "lost")):
            store.add_segment(9, [(1, [Row(1, "a", 3, text=text)])])
        name, = (name for name in stores[0].files if name.endswith(".doc"))
        own, other = (store.files[name] for store in stores)
        section, (stored,) = 64, struct.unpack_from("<I", own, 64 + 36)
        end = section + 56 + stored
        stores[0].files[name] = own[:section] + other[section:end] + own[end:]
        stores[0].write(self.folder)
        self.damage(name, "index and header differ")

    def test_a_missing_log_is_damage(self):
        usual_store().write(self.folder)
        os.remove(os.path.join(self.folder, self.NAME))
        self.damage(self.NAME, "missing")


class EveryByteCounts(StoreCase):
    def test_a_changed_byte_of_a_named_file_is_found(self):
        # All of the .key file but its ends is derived and not read.
        store = usual_store()
        store.write(self.folder)
        chance = random.Random(7)
        for name in sorted(store.files):
            path = os.path.join(self.folder, name)
            with open(path, "rb") as handle:
                whole = handle.read()
            places = {*range(0, 64), *range(len(whole) - 64, len(whole))}
            if not name.endswith(".key") and name != "ROOT" and not name.startswith("wal"):
                places |= set(chance.sample(range(len(whole)), 200))
            for place in places if name != "ROOT" and not name.startswith("wal") else range(64):
                changed = bytearray(whole)
                changed[place] ^= 1 << chance.randrange(8)
                with open(path, "wb") as handle:
                    handle.write(changed)
                with self.subTest(name=name, place=place):
                    if name == "ROOT":
                        self.assertEqual(self.lines(), USUAL_LINES)
                        self.assertIn("ROOT", self.notes)
                    else:
                        self.damage(name)
            with open(path, "wb") as handle:
                handle.write(whole)

    def test_two_damaged_copies_of_root_are_damage(self):
        store = usual_store()
        store.write(self.folder)
        path = os.path.join(self.folder, "ROOT")
        with open(path, "wb") as handle:
            handle.write(bytes(8192))
        self.damage("ROOT")
        os.remove(path)
        self.damage("ROOT", "missing")


class NumberTexts(unittest.TestCase):
    def test_the_fast_way_and_the_exact_way_agree(self):
        chance = random.Random(3)
        values = [struct.unpack("<f", struct.pack("<f", chance.uniform(-1, 1)))[0]
                  for _ in range(3000)]
        values += [struct.unpack("<f", struct.pack("<f", 10 ** chance.uniform(-5, 6)))[0]
                   for _ in range(3000)]
        values += [2.0 ** power for power in range(-149, 128)]
        texts = reader.f32_list_text(tuple(values))[1:-1].split(",")
        for value, text in zip(values, texts):
            self.assertEqual(text, reader.f32_text(value))
            self.assertEqual(struct.unpack("<f", struct.pack("<f", float(text)))[0], value)

    def test_any_bits_read_back_and_nothing_shorter_does(self):
        chance = random.Random(4)
        for _ in range(2000):
            bits = chance.randrange(1, 0x7F800000)
            (value,) = struct.unpack("<f", struct.pack("<I", bits))
            text = reader.f32_text(value)
            self.assertEqual(struct.pack("<f", float(text)), struct.pack("<I", bits))
            digits, exponent = reader.split_decimal(text)
            unit = Fraction(10) ** (exponent - len(digits) + 1)
            shorter = [(Fraction(value) // unit + step) * unit for step in (-1, 0, 1, 2)]
            for decimal in shorter if len(digits) > 1 else ():
                with contextlib.suppress(OverflowError):
                    self.assertNotEqual(struct.pack("<f", float(decimal)),
                                        struct.pack("<I", bits))

    def test_powers_of_two_use_the_denser_values_below(self):
        self.assertEqual(reader.f32_text(2.0 ** -44), "5.684342e-14")
        self.assertEqual(reader.f32_text(2.0 ** 87), "1.5474251e26")
        self.assertEqual(reader.f32_text(3.4028234663852886e38), "3.4028235e38")

    def test_borders_between_positional_and_exponent(self):
        self.assertEqual(reader.f64_text(1e16), "1e16")
        self.assertEqual(reader.f64_text(9007199254740991.0), "9007199254740991.0")
        self.assertEqual(reader.f64_text(0.00012), "0.00012")
        self.assertEqual(reader.f32_list_text((-16777216.0, 2.0 ** 25)),
                         "[-16777216.0,3.3554432e7]")


class DeadRows(unittest.TestCase):
    def test_arrays_and_bitmaps_give_their_rows(self):
        dead = {3, 70000, *range(131072, 131072 + 5000)}
        file = reader.SealedFile(deletion_file(5, 4, 9, 200000, dead), "x.del")
        file.verify()
        self.assertEqual(reader.read_dead_rows(file)[1], dead)


class Keys(unittest.TestCase):
    ROWS = [Row(1 + at // 30, f"id{at:03}", 5 + at, expiry=at % 3 * NOW) for at in range(50)]

    def described(self, data):
        return reader.describe_keys(reader.SealedFile(data, "7.8.key"))

    def test_entries_and_fences_are_read(self):
        found = self.described(key_file(8, self.ROWS, 5, 54, block_rows=20))
        self.assertEqual([(key["collectionID"], key["id"], key["lsn"]) for key in found["keys"]],
                         [(row.collection, row.id, row.lsn) for row in self.ROWS])
        self.assertEqual([key["row"] for key in found["keys"]], list(range(50)))
        self.assertEqual([fence["firstRow"] for fence in found["fences"]], [0, 20, 40])
        self.assertEqual([key["block"] for key in found["keys"]], [0] * 20 + [1] * 20 + [2] * 10)

    def test_a_filter_that_does_not_know_a_key_is_damage(self):
        # Of three fingerprints one is 1, so that a key's xor is 1 or 0 wherever it looks.
        header = struct.pack("<QIIII", 9, 1, 1, 3, 50)
        with self.assertRaises(reader.Damage) as caught:
            self.described(key_file(8, self.ROWS, 5, 54, filter_=header + b"\1\0\0"))
        self.assertIn("does not know", str(caught.exception))

    def test_blocks_and_fences_that_are_not_as_the_page_has_them_are_damage(self):
        blocks, fences = key_blocks(self.ROWS, 20)
        empty = struct.pack("<QIIII", 1, 0, 0, 0, 50)

        def changed(data, at, xor=1):
            return data[:at] + bytes([data[at] ^ xor]) + data[at + 1:]

        restart = 4096 - 4 - 2
        for what, parts in {
            "restart": (changed(blocks, restart), fences),
            "number of restarts": (changed(blocks, 4096 - 4, 6), fences),
            "first row": (blocks, changed(fences, 8)),
            "first key": (blocks, changed(fences, len(fences) - 1)),
            "from 0": (blocks, changed(fences, 5 * 4)),
            "ascend": (blocks, changed(fences, 6 * 4, 64)),
        }.items():
            sections = [(16, 0, parts[0]), (17, 0, parts[1]), (18, 0, empty)]
            with self.assertRaises(reader.Damage) as caught:
                self.described(sealed(b"KY", 8, sections, 50, 5, 54, first=4096))
            self.assertIn(what, str(caught.exception))


class CommandLine(StoreCase):
    def run_reader(self, *arguments):
        command = [sys.executable, os.path.join(HERE, "moraine_read.py"), *arguments]
        return subprocess.run(command, capture_output=True, check=False)

    def test_exit_codes(self):
        self.assertEqual(self.run_reader("--self-test").returncode, 0)
        self.assertEqual(self.run_reader("--help").returncode, 0)
        self.assertEqual(self.run_reader().returncode, 16)
        self.assertEqual(self.run_reader("--unknown").returncode, 16)
        self.assertEqual(self.run_reader(self.folder).returncode, 8)
        store = usual_store()
        store.write(self.folder)
        done = self.run_reader(self.folder)
        self.assertEqual((done.returncode, done.stdout.decode().splitlines()), (0, USUAL_LINES))
        with open(os.path.join(self.folder, "ROOT"), "wb") as handle:
            handle.write(header(b"RT", 0, revision=2).ljust(8192, b"\0"))
        self.assertEqual(self.run_reader(self.folder).returncode, 8)
        with open(os.path.join(self.folder, "ROOT"), "wb") as handle:
            handle.write(bytes(8192))
        self.assertEqual(self.run_reader(self.folder).returncode, 4)
        root = os.path.join(self.folder, "ROOT")
        os.rename(root, root + ".unfinished")
        self.assertEqual(self.run_reader(self.folder).returncode, 8)
        os.remove(root + ".unfinished")
        self.assertEqual(self.run_reader(self.folder).returncode, 4)

    def test_every_file_can_be_described(self):
        store = usual_store()
        store.write(self.folder)
        for name in store.files:
            done = self.run_reader("--file", os.path.join(self.folder, name))
            self.assertEqual(done.returncode, 0, (name, done.stderr))
            self.assertIn(b'"header"', done.stdout)


if __name__ == "__main__":
    unittest.main()
