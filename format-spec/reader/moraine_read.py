#!/usr/bin/env python3
"""Reads a Moraine store and prints every live document as one line of JSON.

An independent reader: written from the pages of format-spec alone, with nothing but Python's
standard library (3.9 or later). It verifies every checksum on its way and changes nothing.

    moraine_read.py STORE          documents, by collection name and id, as JSON Lines
    moraine_read.py --hash STORE   the content hash (content-hash.md)
    moraine_read.py --now MS STORE without what has expired by then; the time of day by default
    moraine_read.py --file FILE    one file's header, sections and records, as JSON for people
    moraine_read.py --indexes STORE  holds derived files against what they were made from
    moraine_read.py --self-test    checks the reader's own parts

Exit codes: 0 fine, 4 damage, 8 not a store, unreadable or newer, 16 usage, 32 interrupted.
Run it beside no writer.
"""

import argparse
import hashlib
import json
import math
import os
import re
import struct
import sys
import time
import traceback
import zlib
from array import array
from collections import namedtuple
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from uuid import UUID

EXIT_DAMAGE, EXIT_REFUSED, EXIT_USAGE, EXIT_INTERRUPTED = 4, 8, 16, 32

KIB, MIB = 1 << 10, 1 << 20
U32_MAX = (1 << 32) - 1
MAX_NUMBER = 1 << 62


class Damage(Exception):
    """Bytes that are not what the format promises; names file and offset."""

    exit_code = EXIT_DAMAGE

    def __init__(self, file, offset, what):
        super().__init__(f"{file}: offset {offset}: {what}")


class Refused(Exception):
    """Not a store, not readable, or of a newer format."""

    exit_code = EXIT_REFUSED


def note(text):
    print(f"moraine_read: note: {text}", file=sys.stderr)


# ---------------------------------------------------------------- checksums: conventions.md


def crc_tables():
    """Four tables of 65,536: what two bytes do to a CRC that stand 1, 3, 5 or 7 from the end."""
    by_distance = [array("I", [0] * 256)]
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        by_distance[0][byte] = value
    first = by_distance[0]
    for _ in range(7):
        by_distance.append(array("I", [first[v & 255] ^ (v >> 8) for v in by_distance[-1]]))
    pairs = zip(by_distance[1::2], by_distance[0::2])
    return first, [array("I", [h ^ l for h in high for l in low]) for low, high in pairs]


CRC_BYTE, CRC_PAIRS = crc_tables()


def crc32c(data, crc=0):
    """CRC-32C of the bytes, going on from the CRC of what stood before them."""
    crc ^= U32_MAX
    near, next_near, next_far, far = CRC_PAIRS
    whole = len(data) & ~7
    view = memoryview(data)
    for a, b, c, d in struct.iter_unpack("<HHHH", view[:whole]):
        crc = far[a ^ crc & 0xFFFF] ^ next_far[b ^ crc >> 16] ^ next_near[c] ^ near[d]
    for byte in view[whole:]:
        crc = CRC_BYTE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ U32_MAX


def crc(seeds, data):
    """crc(s1, s2, …; bytes) of the pages."""
    return crc32c(data, crc32c(struct.pack(f"<{len(seeds)}Q", *seeds)))


# ---------------------------------------------------------------- varints, text: conventions.md


class Cursor:
    """Takes values from bytes, front to back; whatever does not fit is Damage.

    Errors name the offset in the file where the enclosing structure starts.
    """

    def __init__(self, data, file, offset, what):
        self.data, self.file, self.offset, self.what = data, file, offset, what
        self.position = 0

    def damage(self, problem):
        return Damage(self.file, self.offset, f"{self.what}, byte {self.position}: {problem}")

    def take(self, byte_count):
        start = self.position
        if byte_count > len(self.data) - start:
            raise self.damage(f"{byte_count} bytes do not fit")
        self.position = start + byte_count
        return self.data[start : self.position]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def number(self):
        """A varint that numbers a commit, an edit, a file or an epoch."""
        value = self.varint()
        if value > MAX_NUMBER:
            raise self.damage(f"the number {value} is above 2^62")
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                raise self.damage("a varint of more than ten bytes")
        if shift and byte == 0:
            raise self.damage("a varint that is not in its shortest form")
        if value >> 64:
            raise self.damage("a varint above 64 bits")
        return value

    def prefixed(self):
        return self.take(self.varint())

    def text(self, byte_count=None):
        """Text of so many bytes, prefixed when none are named."""
        raw = self.prefixed() if byte_count is None else self.take(byte_count)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            raise self.damage("text that is not UTF-8") from None

    def document_id(self):
        """The bytes of a document id, within its limits."""
        start = self.position
        text = self.text()
        raw = text.encode()
        if not 1 <= len(raw) <= 1024 or "\0" in text:
            self.position = start
            raise self.damage("a document id outside the limits")
        return raw

    def collection_name(self):
        name = self.text()
        if not 1 <= len(name.encode()) <= 255 or re.search("[\0-\x1f\x7f]", name):
            raise self.damage("a collection name outside the limits")
        return name

    def at_end(self):
        return self.position == len(self.data)

    def expect_end(self):
        if not self.at_end():
            raise self.damage(f"{len(self.data) - self.position} bytes left over")


# ---------------------------------------------------------------- number texts: conventions.md


def decimal_text(negative, digits, exponent, positional):
    """The page's text form of 0.d1d2…dn × 10^exponent."""
    if positional and exponent >= -3:
        if exponent <= 0:
            text = "0." + "0" * -exponent + digits
        elif exponent >= len(digits):
            text = digits + "0" * (exponent - len(digits)) + ".0"
        else:
            text = digits[:exponent] + "." + digits[exponent:]
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        text += "e%d" % (exponent - 1)
    return "-" + text if negative else text


def split_decimal(text):
    """Digits without outer zeros, and exponent, of a text such as 12.50 or 1.25e+01."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole) + len(fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - leading_zeros + int(exponent or 0)


def f64_text(value):
    """The shortest text of a double; Python's repr finds the digits."""
    negative = math.copysign(1, value) < 0
    if value == 0:
        return "-0.0" if negative else "0.0"
    digits, exponent = split_decimal(repr(abs(value)))
    return decimal_text(negative, digits, exponent, abs(value) <= 1 << 53)


def f32_from_bits(bits):
    """The exact value; the bits of infinity give 2^128, where it would stand."""
    if bits == 0x7F800000:
        return Fraction(1 << 128)
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


@lru_cache(maxsize=1 << 16)
def f32_digits(magnitude):
    """Shortest digits and exponent of a positive f32, in exact arithmetic."""
    (bits,) = struct.unpack("<I", struct.pack("<f", magnitude))
    exact = Fraction(magnitude)
    low = (f32_from_bits(bits - 1) + exact) / 2
    high = (f32_from_bits(bits + 1) + exact) / 2
    ties_read_back = bits % 2 == 0
    for digit_count in range(1, 10):
        text = "%.*e" % (digit_count - 1, magnitude)
        mantissa, _, power = text.partition("e")
        unit = Fraction(10) ** (int(power) - digit_count + 1)
        nearest = int(mantissa.replace(".", ""))
        # Below a power of two the values stand twice as dense, so the nearest digits may read
        # back as the neighbour below while the next ones above still read back as this value.
        for candidate in (nearest, nearest + 1):
            decimal = candidate * unit
            if low < decimal < high or ties_read_back and decimal in (low, high):
                power_of_ten = int(power) - digit_count + 1
                return split_decimal(f"{candidate}e{power_of_ten}")
    raise AssertionError("nine digits always read back")


def f32_text(value):
    negative = math.copysign(1, value) < 0
    if value == 0:
        return "-0.0" if negative else "0.0"
    digits, exponent = f32_digits(abs(value))
    return decimal_text(negative, digits, exponent, abs(value) <= 1 << 24)


F32 = struct.Struct("<f")


def f32_reads_back(text, value):
    return F32.unpack(F32.pack(float(text)))[0] == value


def shortened_f32(text, value):
    """Fewer digits than seven, as long as they read back."""
    for digit_count in range(6, 0, -1):
        shorter = "%.*g" % (digit_count, value)
        if not f32_reads_back(shorter, value):
            break
        text = shorter
    return f32_text(value) if "e" in text else text


def f32_list_text(values):
    """A JSON array of the values' texts.

    The loop is for 1e-4 <= |v| < 1e5. There at most eight digits are tried, whose detour over a
    double cannot round twice: they are either a midpoint of two f32 or further from it than half
    a unit of a double. The powers of two in that range are tested against f32_digits.
    """
    form = f"<{len(values)}f"
    sevens = ("%.7g " * len(values) % values).split()
    back = struct.unpack(form, struct.pack(form, *map(float, sevens)))
    texts = []
    for value, text, read in zip(values, sevens, back):
        if not 1e-4 <= abs(value) < 1e5:
            text = f32_text(value)
        elif read != value:
            text = "%.8g" % value
            if not f32_reads_back(text, value):
                text = "%.9g" % value
        else:
            text = shortened_f32(text, value)
        texts.append(text if "." in text or "e" in text else text + ".0")
    return "[" + ",".join(texts) + "]"


ESCAPED = re.compile('["\\\\\x00-\x1f\x85\u2028\u2029]')
SHORT_ESCAPES = dict(zip('"\\\b\f\n\r\t', ['\\"', "\\\\", "\\b", "\\f", "\\n", "\\r", "\\t"]))


def json_string(text):
    def escape(match):
        character = match.group()
        return SHORT_ESCAPES.get(character) or "\\u%04x" % ord(character)

    return '"' + ESCAPED.sub(escape, text) + '"'


# ---------------------------------------------------------------- codecs: document.md


def lz4_block(data, raw_byte_count):
    """Decompresses an LZ4 block; ValueError when it is not one of that size."""
    out = bytearray()
    position, end = 0, len(data)
    try:
        while True:
            token = data[position]
            position += 1
            literals = token >> 4
            if literals == 15:
                literals, position = lz4_long(data, position, literals)
            if literals > end - position:
                raise ValueError("literals beyond the end")
            out += data[position : position + literals]
            position += literals
            if position == end:
                break
            distance = data[position] | data[position + 1] << 8
            position += 2
            match = token & 15
            if match == 15:
                match, position = lz4_long(data, position, match)
            match += 4
            start = len(out) - distance
            if distance == 0 or start < 0 or match > raw_byte_count - len(out):
                raise ValueError("a match outside the output")
            if distance >= match:
                out += out[start : start + match]
            else:
                out += (out[start:] * (match // distance + 1))[:match]
    except IndexError:
        raise ValueError("the input ends early") from None
    if len(out) != raw_byte_count:
        raise ValueError(f"{len(out)} bytes instead of {raw_byte_count}")
    return bytes(out)


def lz4_long(data, position, value):
    """Adds the bytes of a length that did not fit into the token."""
    while True:
        byte = data[position]
        position += 1
        value += byte
        if byte != 255:
            return value, position


def inflate(data, raw_byte_count):
    """Decompresses zlib data; ValueError when it is not exactly that size."""
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, raw_byte_count + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(out) != raw_byte_count or not stream.eof or stream.unused_data:
        raise ValueError("zlib data of another size")
    return out


def stored_as_is(data, raw_byte_count):
    if len(data) != raw_byte_count:
        raise ValueError("stored and raw sizes differ")
    return data


CODECS = {1: stored_as_is, 2: lz4_block, 3: inflate}

# ---------------------------------------------------------------- file header: file-header.md

HEADER = struct.Struct("<4s2s2sHHIII16sQQII")
Header = namedtuple(
    "Header",
    "magic kind lineEnd revision headerByteCount compatFlags roCompatFlags incompatFlags "
    "storeID fileID createdLSN reserved headerChecksum",
)


def read_header(data, file, kind=None, store=None, file_id=None, at=0):
    """Checks 1 to 7 of the page; what the referrer expects is left out for a lone file."""
    if len(data) < at + 64:
        raise Damage(file, at, "too short for a header")
    header = Header(*HEADER.unpack_from(data, at))
    if header.magic != b"\x89MRN" or header.lineEnd != b"\r\n":
        raise Damage(file, at, "not the magic bytes of a Moraine file")
    if header.headerChecksum != crc32c(data[at : at + 60]):
        raise Damage(file, at, "header: checksum does not match")
    if header.revision != 1 or header.incompatFlags:
        raise Refused(f"{file}: newer: revision {header.revision}, "
                      f"incompatible features {header.incompatFlags:#x}")
    if header.headerByteCount != 64 or header.reserved:
        raise Damage(file, at, "header: headerByteCount is not 64, or reserved is not 0")
    if kind is not None and header.kind != kind:
        raise Damage(file, at, f"header: kind {header.kind}, expected {kind}")
    if store is not None and header.storeID != store:
        raise Damage(file, at, "header: the file belongs to another store")
    if file_id is not None and header.fileID != file_id:
        raise Damage(file, at, f"header: file id {header.fileID}, expected {file_id}")
    return header


def seeds_of(header):
    """storeLow and storeHigh."""
    return struct.unpack("<QQ", header.storeID)


def is_zero(data):
    return data.count(0) == len(data)


def read_bytes(store_path, file):
    """A file that the store names; missing is damage."""
    try:
        with open(os.path.join(store_path, file), "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        raise Damage(file, 0, "the file is missing") from None


# ---------------------------------------------------------------- sealed files: file-header.md

DIRECTORY_ENTRY = struct.Struct("<IIQQII")
Entry = namedtuple("Entry", "type ordinal offset byteCount firstChecksum tableChecksum")
FOOTER = struct.Struct("<QIIQQQQQI4s")
Footer = namedtuple(
    "Footer",
    "directoryOffset directoryByteCount directoryChecksum fileByteCount rowCount minLSN maxLSN "
    "fileID footerChecksum end",
)
CHUNK = 64 * KIB
BLOCKS, BLOCK_INDEX, SCHEMA, INPUTS, REMOVALS, EXPIRIES = 1, 2, 3, 4, 5, 6
KEY_BLOCKS, FENCES, FILTER = 16, 17, 18
SPACES, VECTORS, ROW_MAP, NORMS = 31, 32, 33, 34
SUMMARY, CONTAINERS = 48, 49
CHECKSUM_TABLE = 255
FIRST_SECTION = {b"DC": 64, b"KY": 4096, b"VC": 4096, b"DL": 64,
                 b"Q8": 4096, b"GR": 4096, b"CL": 4096}
SOURCE, CODE_SPACES, HIGH_HALVES, CODE_ERRORS, SQUARE_SUMS = 64, 65, 66, 67, 68
LOW_HALVES, COARSE_ERRORS, COARSE_SQUARE_SUMS = 69, 70, 71
VALUES, PATHS, COLUMNS, FIELDS, COLLECTIONS = 80, 81, 82, 83, 84
GRAPH_SPACES, LINKS, ENTRIES, DUPLICATES = 96, 97, 98, 99
DERIVED_SECTION_TYPES = {
    b"Q8": {SOURCE, CODE_SPACES, HIGH_HALVES, CODE_ERRORS, SQUARE_SUMS, LOW_HALVES, COARSE_ERRORS,
            COARSE_SQUARE_SUMS},
    b"GR": {SOURCE, GRAPH_SPACES, LINKS, ENTRIES, DUPLICATES},
    b"CL": {SOURCE, VALUES, PATHS, COLUMNS, FIELDS, COLLECTIONS},
}
SECTION_TYPES = {
    b"DC": {BLOCKS, BLOCK_INDEX, SCHEMA, INPUTS, REMOVALS, EXPIRIES},
    b"VC": {SPACES, VECTORS, ROW_MAP, NORMS},
    b"DL": {SUMMARY, CONTAINERS},
}


class SealedFile:
    """A file of a segment: header and footer are checked, the rest by verify()."""

    def __init__(self, data, file, kind=None, store=None, named=None):
        """`named` is what the manifest says: fileID, byteCount, footerChecksum."""
        self.data, self.file = data, file
        if named is not None and len(data) != named.byteCount:
            raise Damage(file, 0, f"{len(data)} bytes, the manifest says {named.byteCount}")
        self.header = read_header(data, file, kind, store, named.fileID if named else None)
        self.seeds = (*seeds_of(self.header), self.header.fileID)
        self.footer = self.read_footer(named)
        self.sections = {}

    def read_footer(self, named):
        at = len(self.data) - 64
        if at < 64:
            raise Damage(self.file, 0, "too short for a footer")
        footer = Footer(*FOOTER.unpack_from(self.data, at))
        if footer.end != b"MEND":
            raise Damage(self.file, at, "footer: does not end with MEND")
        if footer.footerChecksum != crc(self.seeds[:2], self.data[at : at + 56]):
            raise Damage(self.file, at, "footer: checksum does not match")
        if named is not None and footer.footerChecksum != named.footerChecksum:
            raise Damage(self.file, at, "footer: not the one that the manifest names")
        if footer.fileID != self.header.fileID or footer.fileByteCount != len(self.data):
            raise Damage(self.file, at, "footer: another file id or length")
        if footer.directoryOffset + footer.directoryByteCount != at:
            raise Damage(self.file, at, "footer: the directory does not end at the footer")
        return footer

    def verify(self):
        """Checks directory, table, padding and every chunk; then sections can be asked for."""
        entries = self.read_directory()
        self.check_places(entries)
        table = self.read_table(entries)
        next_checksum = 0
        for entry in entries[:-1]:
            next_checksum = self.check_section(entry, table, next_checksum)
            self.sections[entry.type, entry.ordinal] = entry
        if next_checksum * 4 != len(table):
            raise Damage(self.file, entries[-1].offset, "checksum table: has another size")
        if len(self.sections) != len(entries) - 1:
            raise Damage(self.file, self.footer.directoryOffset, "directory: a section twice")

    def read_directory(self):
        at, byte_count = self.footer.directoryOffset, self.footer.directoryByteCount
        directory = self.data[at : at + byte_count]
        if at % 64 or byte_count % 32 or byte_count == 0:
            raise Damage(self.file, at, "directory: stands or ends at a wrong place")
        if self.footer.directoryChecksum != crc(self.seeds, directory):
            raise Damage(self.file, at, "directory: checksum does not match")
        entries = [Entry(*fields) for fields in DIRECTORY_ENTRY.iter_unpack(directory)]
        if entries[-1].type != CHECKSUM_TABLE:
            raise Damage(self.file, at, "directory: the checksum table is not the last section")
        known = SECTION_TYPES.get(self.header.kind)
        for entry in entries[:-1]:
            if known is not None and entry.type not in known:
                raise Refused(f"{self.file}: newer: section type {entry.type}")
        return entries

    def check_places(self, entries):
        """Sections follow each other at multiples of 64, with zeros between them."""
        free, start = 64, FIRST_SECTION.get(self.header.kind)
        if entries[0].offset != start:
            raise Damage(self.file, 64, f"the first section does not start at {start}")
        for entry in entries:
            if entry.offset % 64 or entry.offset < free:
                raise Damage(self.file, entry.offset, f"section {entry.type}: misplaced")
            if entry.byteCount > self.footer.directoryOffset - entry.offset:
                raise Damage(self.file, entry.offset, f"section {entry.type}: too long")
            self.check_zeros(free, entry.offset)
            free = entry.offset + entry.byteCount
        self.check_zeros(free, self.footer.directoryOffset)

    def check_zeros(self, start, end):
        if not is_zero(self.data[start:end]):
            raise Damage(self.file, start, "padding that is not zero")

    def read_table(self, entries):
        entry = entries[-1]
        table = self.data[entry.offset : entry.offset + entry.byteCount]
        if entry.firstChecksum or entry.ordinal or entry.tableChecksum != crc(
            (*self.seeds, entry.offset), b""
        ):
            raise Damage(self.file, entry.offset, "checksum table: another entry")
        return table

    def check_section(self, entry, table, first):
        """Checks a section's part of the table and its chunks; gives the next index."""
        what = f"section {entry.type}"
        chunk_count = 0 if entry.type == BLOCKS else -(-entry.byteCount // CHUNK)
        end = first + chunk_count
        part = table[first * 4 : end * 4]
        if entry.firstChecksum != first or len(part) != (end - first) * 4:
            raise Damage(self.file, entry.offset, f"{what}: another part of the checksum table")
        if entry.tableChecksum != crc((*self.seeds, entry.offset), part):
            raise Damage(self.file, entry.offset, f"{what}: table checksum does not match")
        section_end = entry.offset + entry.byteCount
        for index, (expected,) in enumerate(struct.iter_unpack("<I", part)):
            at = entry.offset + index * CHUNK
            chunk = self.data[at : min(at + CHUNK, section_end)]
            if crc((*self.seeds, at), chunk) != expected:
                raise Damage(self.file, at, f"{what}: checksum of a chunk does not match")
        return end

    def section(self, type_, ordinal=0):
        """Offset and bytes of a section that has to be there."""
        entry = self.sections.get((type_, ordinal))
        if entry is None:
            raise Damage(self.file, self.footer.directoryOffset,
                         f"directory: section {type_} is missing")
        return entry.offset, self.data[entry.offset : entry.offset + entry.byteCount]

    def rows_of(self, structure, type_, ordinal=0):
        """A section as a list of one fixed structure."""
        offset, data = self.section(type_, ordinal)
        if len(data) % structure.size:
            raise Damage(self.file, offset, f"section {type_}: not a number of whole entries")
        return offset, list(structure.iter_unpack(data))


# ---------------------------------------------------------------- ROOT: root.md

ROOT_COPY = struct.Struct("<QQQQQQQQIIQQQ")
Root = namedtuple(
    "Root",
    "header sequence incarnation parentIncarnation epoch manifestID manifestEnd manifestEdit "
    "durableLSN state reserved logSequence logEnd createdTime",
)
IN_USE, CLOSED = 1, 2


def read_root_copy(data, at):
    """One copy of ROOT; Damage says why it is not valid."""
    copy = data[at : at + 4096]
    header = read_header(data, "ROOT", b"RT", file_id=0, at=at)
    if len(copy) < 4096:
        raise Damage("ROOT", at, "the copy is cut short")
    (checksum,) = struct.unpack_from("<I", copy, 4092)
    if checksum != crc((*seeds_of(header), at), copy[:4092]):
        raise Damage("ROOT", at, "checksum of the copy does not match")
    root = Root(header, *ROOT_COPY.unpack_from(copy, 64))
    if max(root.sequence, root.epoch, root.manifestID, root.manifestEnd, root.manifestEdit,
           root.durableLSN, root.logSequence) > MAX_NUMBER:
        raise Damage("ROOT", at, "a number above 2^62")
    if root.state not in (IN_USE, CLOSED) or root.reserved or not is_zero(copy[160:4092]):
        raise Refused(f"ROOT: newer: state {root.state}, or reserved bytes that are not zero")
    return root


def read_root(data):
    """The store's root: the valid copy with the higher sequence."""
    copies, problems = [], []
    for at in (0, 4096):
        try:
            copies.append(read_root_copy(data, at))
        except Damage as problem:
            problems.append(problem)
    if not copies:
        raise problems[0]
    if len(data) > 8192:
        raise Damage("ROOT", 8192, "bytes behind the second copy")
    for problem in problems:
        note(f"one copy of ROOT is not valid: {problem}")
    if len(copies) == 2:
        first, second = copies
        if first.header.storeID != second.header.storeID:
            raise Damage("ROOT", 4096, "the copies belong to different stores")
        if not 0 <= first.sequence - second.sequence <= 1:
            raise Damage("ROOT", 4096, "the copies' sequences do not follow each other")
    return copies[0]


# ---------------------------------------------------------------- logs: log.md

LOG_HEADER = struct.Struct("<QQQQQQQII")
LogHeader = namedtuple(
    "LogHeader",
    "epoch incarnation predecessor predecessorEnd firstNumber carriedEnd reserved reserved2 "
    "logHeaderChecksum",
)
RECORD = struct.Struct("<4sIQQIIIHH")
Record = namedtuple("Record", "offset end number promised operationCount type payload")
COMMIT, PART, MARKER, EDIT = 1, 2, 3, 4
RECORDS_START = 4096
MAX_PAYLOAD = 64 * MIB


class LogFile:
    """A file of the write-ahead log, or a manifest."""

    def __init__(self, data, file, kind=None, store=None, file_id=None):
        self.data, self.file = data, file
        self.header = read_header(data, file, kind, store, file_id)
        if len(data) < RECORDS_START:
            raise Damage(file, 64, "too short for a log header")
        self.log = LogHeader(*LOG_HEADER.unpack_from(data, 64))
        seeds = (*seeds_of(self.header), self.header.fileID)
        if self.log.logHeaderChecksum != crc(seeds, data[64:124]):
            raise Damage(file, 64, "log header: checksum does not match")
        if max(self.log.epoch, self.log.predecessor, self.log.predecessorEnd,
               self.log.firstNumber, self.log.carriedEnd) > MAX_NUMBER:
            raise Damage(file, 64, "log header: a number above 2^62")
        if self.log.reserved or self.log.reserved2 or self.log.carriedEnd < RECORDS_START:
            raise Refused(f"{file}: newer: carriedEnd or reserved bytes of the log header")
        if not is_zero(data[128:RECORDS_START]):
            raise Damage(file, 128, "log header: padding that is not zero")
        self.seeds = (*seeds[:2], self.log.incarnation, self.header.fileID)

    def record(self, offset, end):
        """The valid record at an offset that ends at or before `end`, else None."""
        if end - offset < RECORD.size:
            return None
        (magic, checksum, number, promised, byte_count, reserved, operation_count, type_,
         flags) = RECORD.unpack_from(self.data, offset)
        if magic != b"MWRC" or byte_count > MAX_PAYLOAD:
            return None
        payload_end = offset + RECORD.size + byte_count
        record_end = payload_end + -payload_end % 8
        if record_end > end:
            return None
        view = memoryview(self.data)[offset + 8 : record_end]
        if crc((*self.seeds, offset), view) != checksum:
            return None
        if reserved or flags or not COMMIT <= type_ <= EDIT:
            raise Refused(f"{self.file}: offset {offset}: newer: record type {type_}, "
                          f"flags {flags}, reserved {reserved}")
        if not is_zero(self.data[payload_end:record_end]):
            return None
        payload = self.data[offset + RECORD.size : payload_end]
        return Record(offset, record_end, number, promised, operation_count, type_, payload)

    def records_behind(self, offset, end):
        """The valid records at any multiple of 8 behind an invalid place."""
        at = self.data.find(b"MWRC", offset + 1, end)
        while at >= 0:
            record = self.record(at, end) if at % 8 == 0 else None
            if record is not None:
                yield record
            at = self.data.find(b"MWRC", at + 1 if record is None else record.end, end)


class Commit:
    """A commit or an edit, put together from one record or from all of its parts."""

    def __init__(self, record, file, part_count=1):
        self.file, self.offset, self.number = file, record.offset, record.number
        self.operation_count, self.part_count = record.operationCount, part_count
        self.next_part, self.slices, self.byte_count = 0, [], 0

    def add(self, payload):
        self.slices.append(payload)
        self.byte_count += len(payload)
        self.next_part += 1

    def cursor(self, what):
        if self.byte_count > 256 * MIB:
            raise Damage(self.file, self.offset, f"{what}: above 256 MiB")
        return Cursor(b"".join(self.slices), self.file, self.offset, what)


class Chain:
    """Reads log files in order and keeps the commits above the floor."""

    def __init__(self, kind, floor):
        self.single, self.floor = (EDIT if kind == b"MF" else COMMIT), floor
        self.commits, self.expected, self.promise = [], None, 0
        self.open_commit = None

    def read(self, log, end, offset=RECORDS_START):
        """Takes a file's records up to the first invalid one or `end`; gives the offset."""
        while offset < end:
            record = log.record(offset, end)
            if record is None:
                break
            self.promise = max(self.promise, record.promised)
            if not self.accept(record, log.file):
                break
            offset = record.end
        return offset

    def accept(self, record, file):
        """Whether the record may stand here; its commit is kept when it is complete."""
        if self.open_commit is not None and record.type != PART:
            return False
        if record.type == MARKER:
            empty = not record.payload and record.operationCount == 0
            return empty and record.number == self.expected - 1
        if record.number != self.expected:
            return False
        if record.type == PART:
            return self.accept_part(record, file)
        if record.type != self.single:
            return False
        commit = Commit(record, file)
        commit.add(record.payload)
        self.finish(commit)
        return True

    def accept_part(self, record, file):
        if len(record.payload) < 8:
            return False
        index, count = struct.unpack_from("<II", record.payload)
        commit = self.open_commit or Commit(record, file, count)
        if count < 2 or (index, count) != (commit.next_part, commit.part_count):
            return False
        if record.operationCount != commit.operation_count:
            return False
        commit.add(record.payload[8:])
        self.open_commit = commit
        if commit.next_part == count:
            self.open_commit = None
            self.finish(commit)
        return True

    def finish(self, commit):
        if commit.number > self.floor:
            self.commits.append(commit)
        self.expected += 1

    def stop(self, log, offset, promised, valid_to):
        """Torn tail or damage: what the end of the last file's valid records means."""
        end = len(log.data)
        promise = max([self.promise, promised,
                       *(record.promised for record in log.records_behind(offset, end))])
        if self.expected <= promise:
            raise Damage(log.file, offset,
                         f"number {self.expected} is missing or damaged, and everything up to "
                         f"{promise} was acknowledged")
        if offset < valid_to:
            raise Damage(log.file, offset, f"a record is damaged before {valid_to}, where the "
                         "store says that records are valid")
        if self.open_commit is not None or not is_zero(log.data[offset:]):
            note(f"{log.file}: offset {offset}: torn tail or leftovers cut, "
                 f"{end - offset} bytes; {self.expected - 1} is the last number kept")


# ---------------------------------------------------------------- manifest: manifest.md

METRICS = {1: "cosine", 2: "dot", 3: "l2"}
Collection = namedtuple("Collection", "id name dimensions metric createdLSN")
NamedFile = namedtuple("NamedFile", "kind fileID byteCount footerChecksum")
Segment = namedtuple("Segment", "id rowCount tombstoneCount minLSN maxLSN inputs files")
Deletions = namedtuple("Deletions", "segment fileID byteCount footerChecksum deadRowCount")
NamedLog = namedtuple("NamedLog", "sequence epoch firstLSN incarnation")
Counters = namedtuple("Counters", "nextFileID nextCollectionID")
LogDropped = namedtuple("LogDropped", "sequence")
SegmentDropped = namedtuple("SegmentDropped", "segment")
Derived = namedtuple("Derived", "segment kind fileID byteCount footerChecksum")
DerivedDropped = namedtuple("DerivedDropped", "segment kind")
Floor = namedtuple("Floor", "lsn commitTime")
Rename = namedtuple("Rename", "collection name")
Drop = namedtuple("Drop", "collection")
DOC, KEY, VEC = 1, 2, 3


def read_collection(cursor, with_created):
    collection = Collection(cursor.varint(), cursor.collection_name(), cursor.varint(),
                            cursor.u8(), cursor.number() if with_created else None)
    if not 1 <= collection.id < U32_MAX:
        raise cursor.damage("a collection id outside the limits")
    if collection.metric not in METRICS:
        raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: metric {collection.metric}")
    if collection.dimensions > 16384:
        raise cursor.damage("dimensions outside the limits")
    return collection


def read_collection_id(cursor):
    collection = cursor.varint()
    if not 1 <= collection < U32_MAX:
        raise cursor.damage("a collection id outside the limits")
    return collection


def read_segment(cursor):
    fields = [cursor.number() for _ in range(5)]
    inputs = [cursor.number() for _ in range(cursor.varint())]
    files = {}
    for _ in range(cursor.varint()):
        file = NamedFile(cursor.u8(), cursor.number(), cursor.varint(), cursor.u32())
        if file.kind not in (DOC, KEY, VEC):
            raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: file kind {file.kind}")
        if file.kind in files:
            raise cursor.damage("a segment with two files of a kind")
        files[file.kind] = file
    segment = Segment(*fields, inputs, files)
    if DOC not in files or KEY not in files or files[DOC].fileID != segment.id:
        raise cursor.damage("a segment without .doc or .key, or with another .doc file id")
    return segment


def read_edit(cursor):
    """One edit, by its tag."""
    tag = cursor.u8()
    if tag == 1:
        return Counters(cursor.number(), cursor.varint())
    if tag == 2:
        return read_collection(cursor, with_created=True)
    if tag == 3:
        return read_segment(cursor)
    if tag == 4:
        return Deletions(cursor.number(), cursor.number(), cursor.varint(), cursor.u32(),
                         cursor.varint())
    if tag == 5:
        return NamedLog(cursor.number(), cursor.number(), cursor.number(), cursor.u64())
    if tag == 6:
        return LogDropped(cursor.number())
    if tag == 7:
        return Floor(cursor.number(), cursor.varint())
    if tag == 8:
        return Rename(read_collection_id(cursor), cursor.collection_name())
    if tag == 9:
        return Drop(read_collection_id(cursor))
    if tag == 10:
        return SegmentDropped(cursor.number())
    if tag == 11:
        return Derived(cursor.number(), cursor.u8(), cursor.number(), cursor.varint(),
                       cursor.u32())
    if tag == 12:
        return DerivedDropped(cursor.number(), cursor.u8())
    raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: manifest edit {tag}")


def read_edits(commit):
    cursor = commit.cursor(f"edit {commit.number}")
    edits = [(cursor, read_edit(cursor)) for _ in range(commit.operation_count)]
    cursor.expect_end()
    return edits


def rename(cursor, collections, edit):
    """Gives a collection another name, which nobody has."""
    collection = collections.get(edit.collection)
    if collection is None or any(o.name == edit.name for o in collections.values()):
        raise cursor.damage(f"collection {edit.collection} cannot become {edit.name!r}")
    collections[edit.collection] = collection._replace(name=edit.name)


class State:
    """What the edits of the manifest add up to."""

    def __init__(self):
        self.collections, self.segments, self.deletions, self.logs = {}, {}, {}, {}
        # Derived files by segment and kind: named here, and not needed to read the store.
        self.derived = {}
        self.counters, self.floor = Counters(0, 0), Floor(0, 0)

    def apply(self, cursor, edit):
        if isinstance(edit, Counters):
            self.counters = edit
        elif isinstance(edit, Collection):
            self.add_collection(cursor, edit)
        elif isinstance(edit, Segment):
            self.add_segment(cursor, edit)
        elif isinstance(edit, Deletions):
            if edit.segment not in self.segments:
                raise cursor.damage(f"deletions of unknown segment {edit.segment}")
            self.deletions[edit.segment] = edit
        elif isinstance(edit, Rename):
            rename(cursor, self.collections, edit)
        elif isinstance(edit, Drop):
            if self.collections.pop(edit.collection, None) is None:
                raise cursor.damage(f"unknown collection {edit.collection} is dropped")
        elif isinstance(edit, NamedLog):
            if edit.sequence in self.logs:
                raise cursor.damage(f"log file {edit.sequence} is named twice")
            self.logs[edit.sequence] = edit
        elif isinstance(edit, LogDropped):
            if self.logs.pop(edit.sequence, None) is None:
                raise cursor.damage(f"unknown log file {edit.sequence} is dropped")
        elif isinstance(edit, SegmentDropped):
            self.drop_segment(edit.segment)
        elif isinstance(edit, Derived):
            if edit.segment not in self.segments:
                raise cursor.damage(f"a derived file of unknown segment {edit.segment}")
            self.derived[edit.segment, edit.kind] = edit
        elif isinstance(edit, DerivedDropped):
            self.derived.pop((edit.segment, edit.kind), None)
        elif edit.lsn < self.floor.lsn:
            raise cursor.damage("the floor goes down")
        else:
            self.floor = edit

    def add_collection(self, cursor, collection):
        others = self.collections.values()
        if any(o.id == collection.id or o.name == collection.name for o in others):
            raise cursor.damage(f"collection {collection.name!r} exists")
        self.collections[collection.id] = collection

    def add_segment(self, cursor, segment):
        if segment.id in self.segments:
            raise cursor.damage(f"segment {segment.id} is added twice")
        for replaced in segment.inputs:
            self.drop_segment(replaced)
        self.segments[segment.id] = segment

    def drop_segment(self, number):
        self.segments.pop(number, None)
        self.deletions.pop(number, None)
        self.derived = {place: named for place, named in self.derived.items()
                        if place[0] != number}

    def check(self, file, manifest_id):
        """nextFileID and nextCollectionID are above every id in use."""
        file_ids = [manifest_id, *self.logs]
        file_ids += [named.fileID for s in self.segments.values() for named in s.files.values()]
        file_ids += [named.fileID for named in self.deletions.values()]
        file_ids += [named.fileID for named in self.derived.values()]
        if max(file_ids) >= self.counters.nextFileID:
            raise Damage(file, RECORDS_START, "nextFileID is not above every id in use")
        if max(self.collections, default=0) >= self.counters.nextCollectionID:
            raise Damage(file, RECORDS_START, "nextCollectionID is not above every id in use")
        for segment in self.segments.values():
            if segment.maxLSN > self.floor.lsn:
                raise Damage(file, RECORDS_START, f"segment {segment.id} reaches above the floor")


def read_manifest(path, root):
    """The state that ROOT's manifest describes, and the manifest's file name."""
    file = f"manifest/M-{root.manifestID:016x}.mman"
    data = read_bytes(path, file)
    log = LogFile(data, file, b"MF", root.header.storeID, root.manifestID)
    if (log.log.epoch, log.log.incarnation) != (root.epoch, root.incarnation):
        raise Damage(file, 64, "the manifest is of another start of a writer than ROOT")
    chain = Chain(b"MF", 0)
    chain.expected = log.log.firstNumber
    if root.manifestEnd > len(data):
        raise Damage(file, len(data), f"ends before {root.manifestEnd}, the end that ROOT names")
    end = chain.read(log, root.manifestEnd)
    if end != root.manifestEnd or chain.expected != root.manifestEdit + 1:
        raise Damage(file, end, f"edit {root.manifestEdit} does not end at {root.manifestEnd}, "
                     "as ROOT says")
    if root.state == CLOSED and end != len(data):
        raise Damage(file, end, "bytes behind the end of the manifest of a closed store")
    end = chain.read(log, len(data), end)
    chain.stop(log, end, root.manifestEdit, root.manifestEnd)
    state = State()
    for commit in chain.commits:
        for cursor, edit in read_edits(commit):
            state.apply(cursor, edit)
    state.check(file, root.manifestID)
    return state, file


# ---------------------------------------------------------------- documents: document.md

Document = namedtuple("Document", "text metadata vector expiry")
Metadata = namedtuple("Metadata", "json bytes")
BLOCK_HEADER = struct.Struct("<4sIQIIIBBHIIQII")
BlockHeader = namedtuple(
    "BlockHeader",
    "magic headerChecksum segmentID blockNumber firstRow recordCount codec kind flags "
    "rawByteCount storedByteCount maxLSN payloadChecksum reserved",
)
BLOCK_INDEX_ENTRY = struct.Struct("<QIIIIII")
DOCUMENT_BLOCK, TOMBSTONE_BLOCK = 1, 2
NO_ROW = U32_MAX
DocumentRecord = namedtuple(
    "DocumentRecord",
    "collection id lsn created updated expiry vectorChecksum text metadata deleted",
)


def metadata_text(cursor):
    """A document's metadata as JSON."""
    return object_text(cursor, 1)


def object_text(cursor, level):
    if level > 128:
        raise cursor.damage("metadata nested deeper than 128 levels")
    items, before = [], None
    for _ in range(cursor.varint()):
        key = cursor.text()
        raw = key.encode()
        if before is not None and raw <= before:
            raise cursor.damage("metadata keys that do not ascend")
        before = raw
        items.append(json_string(key) + ":" + value_text(cursor, level))
    return "{" + ",".join(items) + "}"


def value_text(cursor, level):
    tag = cursor.u8()
    if tag == 6:
        return json_string(cursor.text())
    if tag == 4:
        zigzag = cursor.varint()
        return str((zigzag >> 1) ^ -(zigzag & 1))
    if tag == 5:
        (value,) = struct.unpack("<d", cursor.take(8))
        if not math.isfinite(value):
            raise cursor.damage("a metadata number that is not finite")
        return f64_text(value)
    if tag == 8:
        return object_text(cursor, level + 1)
    if tag == 7:
        if level == 128:
            raise cursor.damage("metadata nested deeper than 128 levels")
        return "[" + ",".join(value_text(cursor, level + 1) for _ in range(cursor.varint())) + "]"
    if tag in (1, 2, 3):
        return ("null", "false", "true")[tag - 1]
    raise cursor.damage(f"unknown tag {tag} of a metadata value")


def read_document_record(cursor):
    flags = cursor.u8()
    if flags not in (0, 1, 2):
        raise cursor.damage(f"unknown flags {flags} of a document record")
    key = cursor.varint(), cursor.document_id()
    lsn = cursor.varint()
    if flags == 2:
        return DocumentRecord(*key, lsn, None, None, None, None, None, None, cursor.varint())
    times = cursor.varint(), cursor.varint(), cursor.varint()
    checksum = cursor.u32() if flags else None
    return DocumentRecord(*key, lsn, *times, checksum, cursor.text(),
                          prefixed_metadata(cursor), None)


class DocumentFile:
    """A verified .doc file."""

    def __init__(self, sealed):
        self.sealed, self.file, self.seeds = sealed, sealed.file, sealed.seeds
        sealed.verify()
        self.blocks_offset, blocks = sealed.section(BLOCKS)
        self.blocks_end = self.blocks_offset + len(blocks)

    def block_headers(self):
        """Every block's header with its offset; headers, index and gaps agree."""
        offset, index = self.sealed.rows_of(BLOCK_INDEX_ENTRY, BLOCK_INDEX)
        free, next_row, kind = self.blocks_offset, 0, DOCUMENT_BLOCK
        for number, entry in enumerate(index):
            at = entry[0]
            if (at - self.blocks_offset) % 8 or not free <= at <= self.blocks_end - 56:
                raise Damage(self.file, offset + number * 32, "block index: misplaced block")
            self.sealed.check_zeros(free, at)
            header = self.block_header(at, number)
            if entry[1:] != (header.storedByteCount, header.rawByteCount, header.firstRow,
                             header.recordCount, header.headerChecksum, 0):
                raise Damage(self.file, at, f"block {number}: index and header differ")
            if header.kind < kind:
                raise Damage(self.file, at, f"block {number}: documents behind tombstones")
            kind = header.kind
            if header.firstRow != (next_row if kind == DOCUMENT_BLOCK else NO_ROW):
                raise Damage(self.file, at, f"block {number}: first row {header.firstRow}")
            next_row += header.recordCount
            free = at + 56 + header.storedByteCount
            yield at, header
        self.sealed.check_zeros(free, self.blocks_end)

    def block_header(self, at, number):
        header = BlockHeader(*BLOCK_HEADER.unpack_from(self.sealed.data, at))
        what = f"block {number}"
        if header.magic != b"MBLK":
            raise Damage(self.file, at, f"{what}: no magic bytes")
        if header.headerChecksum != crc((*self.seeds, at), self.sealed.data[at + 8 : at + 56]):
            raise Damage(self.file, at, f"{what}: checksum of the header does not match")
        if header.segmentID != self.sealed.header.fileID or header.blockNumber != number:
            raise Damage(self.file, at, f"{what}: another segment or number")
        if header.codec not in CODECS or header.kind not in (DOCUMENT_BLOCK, TOMBSTONE_BLOCK):
            raise Refused(f"{self.file}: offset {at}: newer: codec {header.codec}, "
                          f"block kind {header.kind}")
        if header.flags or header.reserved or header.recordCount == 0:
            raise Damage(self.file, at, f"{what}: flags, reserved bytes or no record")
        if header.rawByteCount > 128 * MIB:
            raise Damage(self.file, at, f"{what}: above 128 MiB")
        if header.storedByteCount > self.blocks_end - at - 56:
            raise Damage(self.file, at, f"{what}: reaches beyond the section")
        return header

    def payload(self, at, header):
        """A block's raw payload."""
        start = at + 56
        stored = self.sealed.data[start : start + header.storedByteCount]
        if header.payloadChecksum != crc32c(stored):
            raise Damage(self.file, start,
                         f"block {header.blockNumber}: checksum of the payload does not match")
        try:
            return CODECS[header.codec](stored, header.rawByteCount)
        except ValueError as error:
            raise Damage(self.file, start, f"block {header.blockNumber}: {error}") from None

    def records(self):
        """Every record in order, with its row; the row of a tombstone is None."""
        before = {DOCUMENT_BLOCK: (0, b""), TOMBSTONE_BLOCK: (0, b"")}
        removed = [removal.lsn for removal in self.removals()]
        low, high, expiries = min(removed, default=None), max(removed, default=0), {}
        for at, header in self.block_headers():
            newest, kind = 0, header.kind
            for index, record in enumerate(self.block_records(at, header)):
                key = record.collection, record.id
                if (record.deleted is None) != (kind == DOCUMENT_BLOCK):
                    raise Damage(self.file, at, "a record in a block of the other kind")
                if key <= before[kind]:
                    raise Damage(self.file, at, "records that do not ascend")
                before[kind], newest = key, max(newest, record.lsn)
                low = record.lsn if low is None else min(low, record.lsn)
                if record.expiry:
                    count, earliest = expiries.get(record.collection, (0, record.expiry))
                    expiries[record.collection] = count + 1, min(earliest, record.expiry)
                yield header.firstRow + index if kind == DOCUMENT_BLOCK else None, record
            if newest != header.maxLSN:
                raise Damage(self.file, at, f"block {header.blockNumber}: another maxLSN")
            high = max(high, newest)
        footer = self.sealed.footer
        if (footer.minLSN, footer.maxLSN) != (low or 0, high):
            raise Damage(self.file, len(self.sealed.data) - 64, "footer: another minLSN or maxLSN")
        if self.expiries() != [Expiry(number, *expiries[number]) for number in sorted(expiries)]:
            raise Damage(self.file, 64, "expiries: not those of the records")

    def block_records(self, at, header):
        """A block's records; each starts where the list behind them says."""
        payload, what = self.payload(at, header), f"block {header.blockNumber}"
        records_end = len(payload) - 4 * header.recordCount
        if records_end < 0:
            raise Damage(self.file, at, f"{what}: too short for its record count")
        cursor = Cursor(payload[:records_end], self.file, at, what)
        for (start,) in struct.iter_unpack("<I", payload[records_end:]):
            if start != cursor.position:
                raise cursor.damage(f"a record does not start at {start}, as listed")
            yield read_document_record(cursor)
        cursor.expect_end()

    def schema(self):
        """The collections of this segment: collection, first row, number of rows."""
        offset, data = self.sealed.section(SCHEMA)
        cursor = Cursor(data, self.file, offset, "schema")
        collections = [(read_collection(cursor, with_created=False), cursor.varint(),
                        cursor.varint()) for _ in range(cursor.varint())]
        cursor.expect_end()
        return collections


    def optional_section(self, type_, what, read):
        """The entries of a section that stands there only when it has some."""
        if (type_, 0) not in self.sealed.sections:
            return []
        offset, data = self.sealed.section(type_)
        cursor = Cursor(data, self.file, offset, what)
        entries = [read(cursor) for _ in range(cursor.varint())]
        cursor.expect_end()
        return entries

    def removals(self):
        removals = self.optional_section(REMOVALS, "removals", read_removal)
        lsns = [removal.lsn for removal in removals]
        if lsns != sorted(lsns) or 0 in lsns:
            raise Damage(self.file, 64, "removals: LSNs that descend, or 0")
        return removals

    def expiries(self):
        return self.optional_section(
            EXPIRIES, "expiries",
            lambda cursor: Expiry(read_collection_id(cursor), cursor.varint(), cursor.varint()))


Removal = namedtuple("Removal", "collection lsn prefix")
Expiry = namedtuple("Expiry", "collection rowCount earliest")


def read_removal(cursor):
    """A dropped collection (no prefix), or all ids with a prefix."""
    collection, lsn, kind = read_collection_id(cursor), cursor.varint(), cursor.u8()
    if kind not in (1, 2):
        raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: removal {kind}")
    return Removal(collection, lsn, cursor.document_id() if kind == 2 else None)


# ---------------------------------------------------------------- vectors: vector.md

SPACE = struct.Struct("<IIIIIB3s")
Space = namedtuple(
    "Space", "collectionID field dimensions strideByteCount vectorCount metric reserved"
)


def read_spaces(sealed):
    """The spaces of a verified .vec file, with where their table stands."""
    offset, rows = sealed.rows_of(SPACE, SPACES)
    spaces = [Space(*row) for row in rows]
    before = (0, 0)
    for space in spaces:
        stride = -(-4 * space.dimensions // 64) * 64
        if not 1 <= space.dimensions <= 16384 or space.strideByteCount != stride:
            raise Damage(sealed.file, offset, "space: dimensions or stride")
        if space.vectorCount == 0 or space.reserved != bytes(3):
            raise Damage(sealed.file, offset, "space: count or reserved bytes")
        if space.field or space.metric not in METRICS:
            raise Refused(f"{sealed.file}: newer: vector field {space.field}, "
                          f"metric {space.metric}")
        if (space.collectionID, space.field) <= before:
            raise Damage(sealed.file, offset, "spaces that do not ascend")
        before = space.collectionID, space.field
    return offset, spaces


def read_space_vectors(sealed, ordinal, space):
    """(row, vector's bytes) of one space."""
    offset, vectors = sealed.section(VECTORS, ordinal)
    map_offset, row_map = sealed.rows_of(struct.Struct("<I"), ROW_MAP, ordinal)
    norms_offset, norms = sealed.section(NORMS, ordinal)
    if len(vectors) != space.vectorCount * space.strideByteCount:
        raise Damage(sealed.file, offset, "vectors: another size than the space's")
    if len(row_map) != space.vectorCount or len(norms) != 4 * space.vectorCount:
        raise Damage(sealed.file, min(map_offset, norms_offset), "row map or norms: another size")
    byte_count, before = 4 * space.dimensions, -1
    for index, (row,) in enumerate(row_map):
        start = index * space.strideByteCount
        if row <= before:
            raise Damage(sealed.file, map_offset + 4 * index, "row map: does not ascend")
        if not is_zero(vectors[start + byte_count : start + space.strideByteCount]):
            raise Damage(sealed.file, offset + start, "vector: padding that is not zero")
        before = row
        yield row, vectors[start : start + byte_count]


def is_finite(vector):
    """Whether all f32 are; a sum of f32 in double precision cannot overflow."""
    return math.isfinite(sum(struct.unpack(f"<{len(vector) // 4}f", vector)))


# ---------------------------------------------------------------- dead rows: deletion.md

SUMMARY_ENTRY = struct.Struct("<QQII")
Summary = namedtuple("Summary", "segmentID lsn rowCount deadRowCount")


def read_dead_rows(sealed):
    """Summary and set of dead rows of a verified .del file."""
    offset, rows = sealed.rows_of(SUMMARY_ENTRY, SUMMARY)
    if len(rows) != 1:
        raise Damage(sealed.file, offset, "summary: not one entry")
    summary = Summary(*rows[0])
    offset, data = sealed.section(CONTAINERS)
    cursor, dead, before = Cursor(data, sealed.file, offset, "containers"), set(), -1
    while not cursor.at_end():
        index, kind, cardinality = struct.unpack("<IHH", cursor.take(8))
        if index <= before:
            raise cursor.damage("containers that do not ascend")
        before = index
        dead.update((index << 16) + low for low in container_rows(cursor, kind, cardinality + 1))
    footer = sealed.footer
    if len(dead) != summary.deadRowCount or footer.rowCount != len(dead) or not dead:
        raise Damage(sealed.file, offset, f"{len(dead)} dead rows, not as many as named")
    if max(dead) >= summary.rowCount:
        raise Damage(sealed.file, offset, "a dead row that the segment does not have")
    if (footer.minLSN, footer.maxLSN) != (summary.lsn, summary.lsn):
        raise Damage(sealed.file, len(sealed.data) - 64, "footer: LSNs are not the summary's")
    return summary, dead


def container_rows(cursor, kind, cardinality):
    """The low 16 bits of a container's rows, ascending."""
    if kind == 1 and cardinality <= 4096:
        rows = list(struct.unpack(f"<{cardinality}H", cursor.take(2 * cardinality)))
        if not is_zero(cursor.take(-2 * cardinality % 8)):
            raise cursor.damage("padding that is not zero")
        if any(low >= high for low, high in zip(rows, rows[1:])):
            raise cursor.damage("rows that do not ascend")
    elif kind == 2 and cardinality > 4096:
        bitmap = cursor.take(8192)
        rows = [at * 8 + bit for at, byte in enumerate(bitmap) if byte
                for bit in range(8) if byte >> bit & 1]
    else:
        raise cursor.damage(f"container of kind {kind} with {cardinality} rows")
    if len(rows) != cardinality:
        raise cursor.damage("another cardinality")
    return rows


# ---------------------------------------------------------------- commits: log.md

Put = namedtuple("Put", "collection id expiry dimensions vector text metadata")
Delete = namedtuple("Delete", "collection id")
DeletePrefix = namedtuple("DeletePrefix", "collection prefix")


def read_operation(cursor):
    tag = cursor.u8()
    if tag == 1:
        return read_put(cursor)
    if tag == 2:
        return Delete(cursor.varint(), cursor.document_id())
    if tag == 3:
        return read_collection(cursor, with_created=False)
    if tag == 4:
        return Rename(read_collection_id(cursor), cursor.collection_name())
    if tag == 5:
        return Drop(read_collection_id(cursor))
    if tag == 6:
        return DeletePrefix(read_collection_id(cursor), cursor.document_id())
    raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: operation {tag}")


def read_put(cursor):
    key, flags, expiry = (cursor.varint(), cursor.document_id()), cursor.u8(), cursor.varint()
    if flags > 1:
        raise Refused(f"{cursor.file}: offset {cursor.offset}: newer: flags {flags} of a put")
    dimensions = vector = None
    if flags:
        dimensions = cursor.varint()
        vector = cursor.take(4 * dimensions)
    return Put(*key, expiry, dimensions, vector, cursor.text(), prefixed_metadata(cursor))


def prefixed_metadata(cursor):
    inner = Cursor(cursor.prefixed(), cursor.file, cursor.offset, f"{cursor.what}, metadata")
    text = metadata_text(inner)
    inner.expect_end()
    return Metadata(text, inner.data)


def read_operations(commit):
    """Commit time and operations of a commit; the cursor is for errors."""
    cursor = commit.cursor(f"commit {commit.number}")
    commit_time = cursor.u64()
    operations = [read_operation(cursor) for _ in range(commit.operation_count)]
    cursor.expect_end()
    return cursor, commit_time, operations


LOG_NAME = re.compile("W-([0-9a-f]{16})-([0-9a-f]{16})[.]mwal")


class WriteAheadLog:
    """The log files that the manifest names, in order."""

    def __init__(self, path, root, state, manifest_file):
        self.path, self.root, self.state = path, root, state
        self.manifest_file, self.floor = manifest_file, state.floor.lsn
        self.files = [self.open(named) for named in state.logs.values()]

    def open(self, named):
        file = f"wal/W-{named.epoch:016x}-{named.sequence:016x}.mwal"
        log = LogFile(read_bytes(self.path, file), file, b"WL", self.root.header.storeID,
                      named.sequence)
        if (log.log.epoch, log.log.firstNumber, log.log.incarnation) != named[1:]:
            raise Damage(file, 64, "log header: not the epoch, first LSN or incarnation that the "
                         "manifest names")
        return log

    def commits(self):
        """The commits above the floor, after all rules of "The chain"."""
        self.check_unnamed()
        chain, first = Chain(b"WL", self.floor), self.first_to_read()
        if not self.files:
            self.check_no_log()
            return []
        chain.expected = self.files[first].log.firstNumber
        for log, successor in zip(self.files[first:], self.files[first + 1 :]):
            self.read_with_successor(chain, log, successor)
        last = self.files[-1]
        offset = chain.read(last, len(last.data))
        chain.stop(last, offset, self.root.durableLSN, last.log.carriedEnd)
        if self.root.state == CLOSED:
            self.check_closed(last, offset)
        return chain.commits

    def first_to_read(self):
        """The first file of the chain: behind the last break that the floor covers."""
        first, before = 0, None
        for index, log in enumerate(self.files):
            if before is None or log.log.predecessor != before.header.fileID:
                if self.floor < log.log.firstNumber - 1:
                    raise Damage(log.file, 64, "log header: the files before are missing, and the "
                                 f"floor is {self.floor}")
                first = index
            before = log
        return first

    def read_with_successor(self, chain, log, successor):
        end = successor.log.predecessorEnd
        if not RECORDS_START <= end <= len(log.data) or end % 8:
            raise Damage(successor.file, 64, f"log header: predecessorEnd {end}")
        offset = chain.read(log, end)
        if offset != end:
            raise Damage(log.file, offset, f"a record is damaged before {end}, the end that the "
                         "next file names")
        first = successor.log.firstNumber
        if first != chain.expected and not chain.expected < first <= self.floor + 1:
            raise Damage(successor.file, 64, f"log header: first number {first}, "
                         f"expected {chain.expected}")
        # A commit of which a part is missing is void.
        chain.expected, chain.open_commit = first, None

    def check_no_log(self):
        if self.floor < self.root.durableLSN:
            raise Damage(self.manifest_file, RECORDS_START, f"names no log, but commits up to "
                         f"{self.root.durableLSN} were acknowledged; the floor is {self.floor}")
        if self.root.state == CLOSED and (self.root.logSequence or self.root.logEnd):
            raise Damage("ROOT", 136, "names a log file that the manifest does not name")

    def check_closed(self, last, offset):
        if self.root.logSequence != last.header.fileID:
            raise Damage("ROOT", 136, "the store was closed with another last log file")
        if not self.root.logEnd == offset == len(last.data):
            raise Damage(last.file, offset, f"the store was closed with the log's end at "
                         f"{self.root.logEnd}")

    def check_unnamed(self):
        """A file of later records than the manifest knows: ROOT or manifest is too old."""
        for name in sorted(os.listdir(os.path.join(self.path, "wal"))):
            match = LOG_NAME.fullmatch(name)
            if match is None or int(match[2], 16) < self.state.counters.nextFileID:
                continue
            file = f"wal/{name}"
            try:
                log = LogFile(read_bytes(self.path, file), file, b"WL", self.root.header.storeID,
                              int(match[2], 16))
            except Damage:
                continue  # A file whose header was never finished holds no records.
            record = log.record(log.log.carriedEnd, len(log.data))
            if record is not None:
                raise Damage(file, record.offset, "a valid record, but ROOT and manifest are older "
                             "than this file")


# ---------------------------------------------------------------- the store: root.md, README.md


class Store:
    """All live documents: collection id to id to Document."""

    def __init__(self, path):
        self.path = path
        self.root = read_root(find_root(path))
        self.state, manifest_file = read_manifest(path, self.root)
        self.collections = dict(self.state.collections)
        self.documents = {number: {} for number in self.collections}
        self.used_ids = set(self.collections)
        log = WriteAheadLog(path, self.root, self.state, manifest_file)
        for segment in self.state.segments.values():
            self.add_segment(segment)
        self.replay(log.commits())

    def sealed(self, file, kind, named):
        return SealedFile(read_bytes(self.path, file), file, kind, self.root.header.storeID, named)

    def add_segment(self, segment):
        """Takes a segment's live documents."""
        base, files = f"seg/{segment.id:016x}", segment.files
        doc = DocumentFile(self.sealed(f"{base}.doc", b"DC", files[DOC]))
        # Keys are derived and not needed here, so only what opening a store asks for is checked.
        key = self.sealed(f"{base}.{files[KEY].fileID:016x}.key", b"KY", files[KEY])
        self.check_row_count(doc.sealed, segment)
        self.check_row_count(key, segment)
        vectors = self.vectors(f"{base}.vec", segment, doc)
        dead = self.dead_rows(base, segment)
        row_counts = self.add_rows(doc, vectors, dead)
        tombstone_count = row_counts.pop(None, 0)
        if vectors:
            raise Damage(f"{base}.vec", 4096, f"row {min(vectors)} does not exist")
        counts = sum(row_counts.values()), tombstone_count
        if counts != (segment.rowCount, segment.tombstoneCount):
            raise Damage(doc.file, 64, "not as many rows or tombstones as the manifest names")
        footer = doc.sealed.footer
        if (footer.minLSN, footer.maxLSN) != (segment.minLSN, segment.maxLSN):
            raise Damage(doc.file, len(doc.sealed.data) - 64, "footer: LSNs are not the manifest's")
        self.check_schema(doc, row_counts)

    def check_row_count(self, sealed, segment):
        if sealed.footer.rowCount != segment.rowCount:
            raise Damage(sealed.file, len(sealed.data) - 64, "footer: rows are not the manifest's")

    def vectors(self, file, segment, doc):
        """Row to (collection, vector's bytes)."""
        if VEC not in segment.files:
            return {}
        sealed = self.sealed(file, b"VC", segment.files[VEC])
        sealed.verify()
        self.check_row_count(sealed, segment)
        offset, spaces = read_spaces(sealed)
        vectors, schema = {}, {entry[0].id: entry[0] for entry in doc.schema()}
        for ordinal, space in enumerate(spaces):
            known = schema.get(space.collectionID)
            if known is None or known[2:4] != (space.dimensions, space.metric):
                raise Damage(file, offset, f"space {ordinal}: not the collection's shape")
            for row, vector in read_space_vectors(sealed, ordinal, space):
                vectors[row] = space.collectionID, vector
        return vectors

    def dead_rows(self, base, segment):
        deletions = self.state.deletions.get(segment.id)
        if deletions is None:
            return set()
        file = f"{base}.{deletions.fileID:016x}.del"
        sealed = self.sealed(file, b"DL", deletions)
        sealed.verify()
        summary, dead = read_dead_rows(sealed)
        if (summary.segmentID, summary.rowCount) != (segment.id, segment.rowCount):
            raise Damage(file, 64, "summary: of another segment")
        if summary.deadRowCount != deletions.deadRowCount or summary.lsn > self.state.floor.lsn:
            raise Damage(file, 64, "summary: not what the manifest names")
        return dead

    def add_rows(self, doc, vectors, dead):
        """Adds the live rows; gives the row count of each collection, None for tombstones."""
        row_counts = {}
        for row, record in doc.records():
            collection = record.collection if row is not None else None
            row_counts[collection] = row_counts.get(collection, 0) + 1
            if row is None:
                continue
            vector = self.vector_of(doc, row, record, vectors)
            if row in dead:
                continue
            # The rows of a dropped collection are dead.
            if record.collection not in self.collections:
                raise Damage(doc.file, 64, f"a record of unknown collection {record.collection}")
            documents = self.documents[record.collection]
            if record.id in documents:
                raise Damage(doc.file, 64, f"row {row} is live in another segment too")
            documents[record.id] = Document(record.text, record.metadata, vector, record.expiry)
        return row_counts

    def vector_of(self, doc, row, record, vectors):
        """The vector of a row, held against the record's checksum."""
        collection, vector = vectors.pop(row, (record.collection, None))
        if (vector is None) != (record.vectorChecksum is None) or collection != record.collection:
            raise Damage(doc.file, 64, f"row {row}: .vec and .doc differ over its vector")
        if vector is not None and crc32c(vector) != record.vectorChecksum:
            raise Damage(doc.file, 64, f"row {row}: checksum of its vector does not match")
        if vector is not None and not is_finite(vector):
            raise Damage(doc.file, 64, f"row {row}: a vector that is not finite")
        return vector

    def check_schema(self, doc, row_counts):
        """The schema agrees with the rows and with the manifest's collections."""
        offset, before, next_row = doc.sealed.section(SCHEMA)[0], 0, 0
        counts = dict(row_counts)
        for collection, first_row, row_count in doc.schema():
            # It may have got another name since, or be gone.
            known = self.collections.get(collection.id, collection)
            if (collection.id <= before or known[2:4] != collection[2:4]
                    or collection.id >= self.state.counters.nextCollectionID):
                raise Damage(doc.file, offset, f"schema: collection {collection.id}")
            if counts.pop(collection.id, 0) != row_count or row_count and first_row != next_row:
                raise Damage(doc.file, offset, f"schema: rows of collection {collection.id}")
            before, next_row = collection.id, next_row + row_count
        if counts:
            raise Damage(doc.file, offset, f"schema: lacks collection {min(counts)}")

    def replay(self, commits):
        before = self.state.floor.commitTime
        for commit in commits:
            cursor, commit_time, operations = read_operations(commit)
            if commit_time < before:
                raise cursor.damage("commit time lower than that of the commit before")
            before = commit_time
            for operation in operations:
                self.apply(cursor, operation, commit.number)

    def apply(self, cursor, operation, lsn):
        if isinstance(operation, Collection):
            return self.create(cursor, operation, lsn)
        if isinstance(operation, Rename):
            return rename(cursor, self.collections, operation)
        collection = self.collections.get(operation.collection)
        if collection is None:
            raise cursor.damage(f"unknown collection {operation.collection}")
        documents = self.documents[collection.id]
        if isinstance(operation, Drop):
            del self.collections[collection.id], self.documents[collection.id]
            return None
        if isinstance(operation, DeletePrefix):
            for id_ in [id_ for id_ in documents if id_.startswith(operation.prefix)]:
                del documents[id_]
            return None
        if isinstance(operation, Delete):
            documents.pop(operation.id, None)
            return None
        if operation.vector is not None:
            if operation.dimensions != collection.dimensions or not is_finite(operation.vector):
                raise cursor.damage("a vector of other dimensions, or not finite")
        documents[operation.id] = Document(
            operation.text, operation.metadata, operation.vector, operation.expiry)
        return None

    def create(self, cursor, collection, lsn):
        if collection.id in self.used_ids or any(
                collection.name == o.name for o in self.collections.values()):
            raise cursor.damage(f"collection {collection.name!r} exists")
        self.used_ids.add(collection.id)
        self.collections[collection.id] = collection._replace(createdLSN=lsn)
        self.documents[collection.id] = {}

    def by_name(self, now):
        """The collections by name, each with its live documents by id."""
        for collection in sorted(self.collections.values(), key=lambda c: c.name.encode()):
            documents = self.documents[collection.id]
            yield collection, ((id_, documents[id_]) for id_ in sorted(documents)
                               if documents[id_].expiry == 0 or documents[id_].expiry > now)

    def lines(self, now):
        """The live documents as JSON."""
        for collection, documents in self.by_name(now):
            name = json_string(collection.name)
            for id_, document in documents:
                yield document_line(name, json_string(id_.decode()), document)

    def content_hash(self, now):
        """The hash of content-hash.md, in hexadecimal."""
        whole = hashlib.sha256(b"moraine store 1\n")
        for collection, documents in self.by_name(now):
            part = hashlib.sha256(b"moraine collection 1\n" + varint(collection.dimensions or 0)
                                  + bytes([collection.metric]))
            for id_, document in documents:
                part.update(b"\1" + prefixed(id_) + prefixed(document.text.encode())
                            + prefixed(document.metadata.bytes))
                part.update(b"\0" if document.vector is None else b"\1" + document.vector)
            part.update(b"\0")
            whole.update(prefixed(collection.name.encode()) + part.digest())
        return whole.hexdigest()


def varint(value):
    encoded = bytearray()
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded) + bytes([value])


def prefixed(data):
    return varint(len(data)) + data


def document_line(name, id_, document):
    line = (f'{{"op":"put","collection":{name},"id":{id_},"text":{json_string(document.text)},'
            f'"metadata":{document.metadata.json}')
    if document.vector is not None:
        values = struct.unpack(f"<{len(document.vector) // 4}f", document.vector)
        line += ',"embedding":' + f32_list_text(values)
    return line + "}"


def find_root(path):
    """ROOT's bytes; a folder without it is damage only if it holds files of a store."""
    if not os.path.isdir(path):
        raise Refused(f"{path}: not a folder, so not a store")
    try:
        with open(os.path.join(path, "ROOT"), "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        pass
    if os.path.exists(os.path.join(path, "ROOT.unfinished")):
        raise Refused(f"{path}: not a store: what was to become one is not finished")
    patterns = {"manifest": "M-[0-9a-f]{16}[.]mman", "wal": LOG_NAME.pattern,
                "seg": "[0-9a-f]{16}([.][0-9a-f]{16})?[.](doc|key|vec|del)"}
    found = [f"{folder}/{name}" for folder, pattern in patterns.items()
             for name in list_folder(os.path.join(path, folder))
             if re.fullmatch(pattern, name)]
    if any(file != "manifest/M-0000000000000001.mman" for file in found):
        raise Damage("ROOT", 0, f"is missing, but there are files of a store: {min(found)}")
    raise Refused(f"{path}: not a store: there is no ROOT")


def list_folder(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


# ---------------------------------------------------------------- key files: key.md

KEY_BLOCK = 4 * KIB
RESTART_EVERY = 8
Key = namedtuple("Key", "block offset row key lsn created expiry")
FILTER_HEADER = struct.Struct("<QIIII")
Filter = namedtuple("Filter", "seed segmentLength segmentCountLength arrayLength keyCount")
U64_MASK = (1 << 64) - 1


class KeyFile:
    """A verified .key file, with every rule that its blocks, fences and filter keep."""

    def __init__(self, sealed):
        self.sealed, self.file = sealed, sealed.file
        sealed.verify()
        offset, data = sealed.section(KEY_BLOCKS)
        if len(data) % KEY_BLOCK:
            raise Damage(self.file, offset, "key blocks: not a number of whole blocks")
        self.entries, self.fences = [], []
        for start in range(0, len(data), KEY_BLOCK):
            block = list(self.read_block(data[start : start + KEY_BLOCK], offset + start))
            if not block or self.entries and block[0].key <= self.entries[-1].key:
                raise Damage(self.file, offset + start, "key block: empty, or keys not ascending")
            self.fences.append(block[0])
            self.entries += block
        if len(self.entries) != sealed.footer.rowCount:
            raise Damage(self.file, offset, "key blocks: not an entry for each row")
        self.check_fences()
        self.filter = self.check_filter()

    def read_block(self, block, offset):
        restart_count, entry_count = struct.unpack_from("<HH", block, KEY_BLOCK - 4)
        restarts_start = KEY_BLOCK - 4 - 2 * restart_count
        if restart_count != -(-entry_count // RESTART_EVERY) or restarts_start < 0:
            raise Damage(self.file, offset, "key block: another number of restarts")
        restarts = struct.unpack_from(f"<{restart_count}H", block, restarts_start)
        cursor, key = Cursor(block[:restarts_start], self.file, offset, "key block"), b""
        for index in range(entry_count):
            start, shared, rest = cursor.position, cursor.varint(), cursor.varint()
            if index % RESTART_EVERY == 0:
                if shared or restarts[index // RESTART_EVERY] != start:
                    raise cursor.damage("a restart that is none, or stands elsewhere")
            if shared > len(key):
                raise cursor.damage("a prefix longer than the key before")
            before, key = key, key[:shared] + cursor.take(rest)
            if key <= before:
                raise cursor.damage("keys that do not ascend")
            yield Key(len(self.fences), offset + start, len(self.entries) + index, key,
                      cursor.varint(), cursor.varint(), cursor.varint())
        if not is_zero(cursor.take(restarts_start - cursor.position)):
            raise cursor.damage("padding that is not zero")

    def check_fences(self):
        """The fences say the first row and the first key of each block."""
        offset, data = self.sealed.section(FENCES)
        cursor = Cursor(data, self.file, offset, "fences")
        count = cursor.u32()
        rows = [cursor.u32() for _ in range(count)] + [cursor.u32()]
        starts = [cursor.u32() for _ in range(count + 1)]
        if starts[0] or starts != sorted(starts):
            raise cursor.damage("starts that do not ascend from 0")
        keys = [cursor.take(end - start) for start, end in zip(starts, starts[1:])]
        cursor.expect_end()
        if rows != [fence.row for fence in self.fences] + [len(self.entries)]:
            raise cursor.damage("not the first row of each block")
        if keys != [fence.key for fence in self.fences]:
            raise cursor.damage("not the first key of each block")

    def check_filter(self):
        """The filter lets every key through."""
        offset, data = self.sealed.section(FILTER)
        if len(data) < FILTER_HEADER.size:
            raise Damage(self.file, offset, "filter: too short for its header")
        header = Filter(*FILTER_HEADER.unpack_from(data))
        length, fingerprints = header.segmentLength, data[FILTER_HEADER.size :]
        if header.keyCount != len(self.entries) or header.arrayLength != len(fingerprints):
            raise Damage(self.file, offset, "filter: another number of keys or fingerprints")
        if header[1:4] == (0, 0, 0):
            return header
        if (length & (length - 1) or not 0 < length <= 1 << 18
                or header.segmentCountLength % length or not header.segmentCountLength
                or header.arrayLength != header.segmentCountLength + 2 * length):
            raise Damage(self.file, offset, "filter: lengths that do not go together")
        for entry in self.entries:
            if not may_hold(header, fingerprints, entry.key):
                raise Damage(self.file, offset, f"filter: does not know row {entry.row}")
        return header


def may_hold(header, fingerprints, key):
    hashed, length = hash64(key, header.seed), header.segmentLength
    first = hashed * header.segmentCountLength >> 64
    second = (first + length) ^ (hashed >> 18 & length - 1)
    third = (first + 2 * length) ^ (hashed & length - 1)
    found = fingerprints[first] ^ fingerprints[second] ^ fingerprints[third]
    return found == (hashed ^ hashed >> 32) & 255


def hash64(key, seed):
    def fold(value):
        product = value * 0xE7037ED1A0B428DB
        return (product ^ product >> 64) & U64_MASK

    h = fold(seed ^ 0x243F6A8885A308D3 ^ len(key))
    for (word,) in struct.iter_unpack("<Q", key + bytes(-len(key) % 8)):
        h = fold(h ^ word)
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & U64_MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & U64_MASK
    return h ^ h >> 33


# ---------------------------------------------------------------- derived files: codes.md
#
# A reader of documents needs neither these nor what follows: they only make searches quicker.

SOURCE_ENTRY = struct.Struct("<QI4s")
Source = namedtuple("Source", "fileID footerChecksum reserved")
CODE_SPACE = struct.Struct("<IIIIIB3sfff")
CodeSpace = namedtuple(
    "CodeSpace",
    "collectionID field dimensions strideByteCount vectorCount metric reserved scale leastNorm "
    "largestNorm",
)
Code = namedtuple("Code", "values error squareSum coarseError coarseSquareSum")
U32, LEAST_NORMAL_F32 = struct.Struct("<I"), 2.0 ** -126


def read_sources(sealed, count):
    """The files that a derived file was made from."""
    offset, rows = sealed.rows_of(SOURCE_ENTRY, SOURCE)
    sources = [Source(*row) for row in rows]
    if len(sources) != count or any(source.reserved != bytes(4) for source in sources):
        raise Damage(sealed.file, offset, f"not {count} sources, or reserved bytes not zero")
    return sources


def expect_sections(sealed, expected):
    """The sections of a derived file in their order; it may have gained others."""
    known = DERIVED_SECTION_TYPES[sealed.header.kind]
    if [place for place in sealed.sections if place[0] in known] != expected:
        raise Damage(sealed.file, sealed.footer.directoryOffset,
                     "directory: not the sections that its tables ask for")


def read_code_spaces(sealed):
    offset, rows = sealed.rows_of(CODE_SPACE, CODE_SPACES)
    spaces, before = [CodeSpace(*row) for row in rows], 0
    for space in spaces:
        if (not 1 <= space.dimensions <= 16384 or space.vectorCount == 0
                or space.strideByteCount != -(-space.dimensions // 128) * 128):
            raise Damage(sealed.file, offset, "coded space: dimensions, stride or count")
        if space.field or space.metric not in METRICS:
            raise Refused(f"{sealed.file}: newer: field {space.field}, metric {space.metric}")
        if space.reserved != bytes(3):
            raise Damage(sealed.file, offset, "coded space: reserved bytes")
        if (not LEAST_NORMAL_F32 <= space.scale < math.inf
                or not 0 <= space.leastNorm <= space.largestNorm < math.inf):
            raise Damage(sealed.file, offset, "coded space: scale or norms")
        if space.collectionID <= before:
            raise Damage(sealed.file, offset, "coded spaces that do not ascend")
        before = space.collectionID
    expect_sections(sealed, [(SOURCE, 0)] + [
        (type_, ordinal) for ordinal in range(len(spaces))
        for type_ in (HIGH_HALVES, LOW_HALVES, CODE_ERRORS, SQUARE_SUMS, COARSE_ERRORS,
                      COARSE_SQUARE_SUMS)] + [(CODE_SPACES, 0)])
    return spaces


def read_space_codes(sealed, ordinal, space):
    """The codes of a space, in the order of its vectors."""
    half = space.strideByteCount // 2
    offset, highs = sealed.section(HIGH_HALVES, ordinal)
    lows = sealed.section(LOW_HALVES, ordinal)[1]
    if {len(highs), len(lows)} != {space.vectorCount * half}:
        raise Damage(sealed.file, offset, "halves of codes: another size than the space's")
    facts = [[value for (value,) in sealed.rows_of(structure, type_, ordinal)[1]]
             for structure, type_ in ((F32, CODE_ERRORS), (U32, SQUARE_SUMS),
                                      (F32, COARSE_ERRORS), (U32, COARSE_SQUARE_SUMS))]
    if any(len(values) != space.vectorCount for values in facts):
        raise Damage(sealed.file, offset, "errors or sums: another number than the space's")
    for index, (error, square_sum, coarse_error, coarse_sum) in enumerate(zip(*facts)):
        at = index * half
        high, low = highs[at : at + half], lows[at : at + half]
        code = bytes([h << 4 & 240 | l & 15 for h, l in zip(high, low)]
                     + [h & 240 | l >> 4 for h, l in zip(high, low)])
        used = code[: space.dimensions]
        values = [byte - 128 for byte in used]
        if 0 in used or code[space.dimensions :].strip(b"\x80"):
            raise Damage(sealed.file, offset + at, f"code {index}: -128, or not 128 behind it")
        if (square_sum != sum(value * value for value in values)
                or coarse_sum != sum((32 * (byte >> 4) - 241) ** 2 for byte in used)):
            raise Damage(sealed.file, offset + at, f"code {index}: another sum of squares")
        if not (0 <= error < math.inf and 0 <= coarse_error < math.inf):
            raise Damage(sealed.file, offset + at, f"code {index}: errors that bound nothing")
        yield Code(values, error, square_sum, coarse_error, coarse_sum)


# ---------------------------------------------------------------- derived files: graph.md

GRAPH_SPACE = struct.Struct("<IIIIIIIffI32sB3s")
GraphSpace = namedtuple(
    "GraphSpace",
    "collectionID field vectorCount nodeCount entryCount joinCount width factor meanDegree "
    "sampleCount recalls walk reserved",
)
Graph = namedtuple("Graph", "entries links duplicates")
RECALL_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 256)
DEGREE = 32
NO_ORDINAL = U32_MAX


def read_graph_spaces(sealed):
    offset, rows = sealed.rows_of(GRAPH_SPACE, GRAPH_SPACES)
    graphs = [GraphSpace(*row) for row in rows]
    graphs = [graph._replace(recalls=struct.unpack("<8f", graph.recalls)) for graph in graphs]
    expected, before = [(SOURCE, 0)], 0
    for ordinal, graph in enumerate(graphs):
        if not 1 <= graph.nodeCount <= graph.vectorCount < 1 << 31:
            raise Damage(sealed.file, offset, "graph: vectors or nodes")
        if not 1 <= graph.entryCount <= min(64, graph.nodeCount):
            raise Damage(sealed.file, offset, "graph: number of entries")
        if graph.walk > 1 or graph.reserved != bytes(3) or graph.field:
            raise Damage(sealed.file, offset, "graph: walk, field or reserved bytes")
        if (not 1 <= graph.factor < math.inf or not 0 <= graph.meanDegree <= DEGREE
                or not all(0 <= recall <= 1 for recall in graph.recalls)):
            raise Damage(sealed.file, offset, "graph: factor, degree or recalls")
        if graph.collectionID <= before:
            raise Damage(sealed.file, offset, "graphs that do not ascend")
        before = graph.collectionID
        expected += [(LINKS, ordinal), (ENTRIES, ordinal)]
        expected += [(DUPLICATES, ordinal)] if graph.nodeCount < graph.vectorCount else []
    expect_sections(sealed, expected + [(GRAPH_SPACES, 0)])
    return graphs


def read_graph(sealed, ordinal, graph):
    """Entries, links of each vector, and chains of vectors with the same code."""

    def words(type_, count):
        offset, rows = sealed.rows_of(U32, type_, ordinal)
        if len(rows) != count:
            raise Damage(sealed.file, offset, f"section {type_}: another size than the graph's")
        return offset, [word for (word,) in rows]

    entries_offset, entries = words(ENTRIES, graph.entryCount)
    offset, flat = words(LINKS, graph.vectorCount * DEGREE)
    links = []
    for start in range(0, len(flat), DEGREE):
        row = flat[start : start + DEGREE]
        links.append([link for link in row if link != NO_ORDINAL])
        if row[: len(links[-1])] != links[-1]:
            raise Damage(sealed.file, offset + 4 * start, "links: one behind the last")
    nodes, duplicates = set(range(graph.vectorCount)), []
    if graph.nodeCount < graph.vectorCount:
        next_offset, next_ = words(DUPLICATES, graph.vectorCount)
        for earlier, later in enumerate(next_):
            if later == NO_ORDINAL:
                continue
            # Each vector but a node stands once behind another: no two chains meet.
            if later <= earlier or later not in nodes:
                raise Damage(sealed.file, next_offset + 4 * earlier, "duplicates: no chain")
            nodes.remove(later)
            duplicates.append([earlier, later])
    if len(nodes) != graph.nodeCount:
        raise Damage(sealed.file, offset, f"{len(nodes)} nodes, not as many as named")
    if len(set(entries)) != len(entries) or not nodes.issuperset(entries):
        raise Damage(sealed.file, entries_offset, "entries: one twice, or no node")
    for index, row in enumerate(links):
        if row and index not in nodes or index in row or not nodes.issuperset(row):
            raise Damage(sealed.file, offset + 4 * DEGREE * index, "links: not between nodes")
    return Graph(entries, links, duplicates)


# ---------------------------------------------------------------- derived files: columns.md

COLUMN_COLLECTION = struct.Struct("<6I")
ColumnCollection = namedtuple(
    "ColumnCollection", "id firstRow rowCount firstField fieldCount flags")
COLUMN_FIELD = struct.Struct("<4I")
ColumnField = namedtuple("ColumnField", "pathOffset pathByteCount firstColumn columnCount")
COLUMN = struct.Struct("<BB2sIQQQ")
Column = namedtuple("Column", "kind domain reserved valueCount stringByteCount offset byteCount")
OWN_VALUE, ELEMENTS = 1, 2
INTEGERS, DOUBLES, STRINGS = 6, 7, 8
COLUMN_KINDS = {1: "present", 2: "composite", 3: "null", 4: "false", 5: "true",
                INTEGERS: "integers", DOUBLES: "doubles", STRINGS: "strings"}
COLUMNS_OF_FIELD = 14
LEAF = 4096


class ColumnFile:
    """A verified .col file, with every rule that its tables and columns keep."""

    def __init__(self, sealed):
        self.sealed, self.file = sealed, sealed.file
        self.values_offset, self.values = sealed.section(VALUES)
        self.paths_offset, self.paths = sealed.section(PATHS)
        self.columns_offset, columns = sealed.rows_of(COLUMN, COLUMNS)
        self.columns = [Column(*column) for column in columns]
        self.fields_offset, fields = sealed.rows_of(COLUMN_FIELD, FIELDS)
        self.field_entries = [ColumnField(*field) for field in fields]
        offset, collections = sealed.rows_of(COLUMN_COLLECTION, COLLECTIONS)
        self.collections = [ColumnCollection(*entry) for entry in collections]
        expect_sections(sealed, [(type_, 0) for type_ in (VALUES, PATHS, COLUMNS, FIELDS,
                                                          COLLECTIONS, SOURCE)])
        before, row, field = 0, 0, 0
        for collection in self.collections:
            if collection.id <= before or collection.flags > 1 or not collection.rowCount:
                raise Damage(self.file, offset, "collections: order, flags or no rows")
            if (collection.firstRow, collection.firstField) != (row, field):
                raise Damage(self.file, offset, "collections: rows or fields with a gap")
            before, row = collection.id, row + collection.rowCount
            field += collection.fieldCount
        if (row, field) != (sealed.footer.rowCount, len(self.field_entries)):
            raise Damage(self.file, offset, "collections: not all rows or fields")
        self.check_shares()

    def check_shares(self):
        """Each column belongs to one field, and no two share bytes."""
        if any(field.columnCount > COLUMNS_OF_FIELD for field in self.field_entries):
            raise Damage(self.file, self.fields_offset, "field: too many columns")
        owned = [index for field in self.field_entries
                 for index in range(field.firstColumn, field.firstColumn + field.columnCount)]
        if sorted(owned) != list(range(len(self.columns))):
            raise Damage(self.file, self.fields_offset, "fields: a column of none, or of two")
        end = 0
        for column in sorted(self.columns, key=lambda column: column.offset):
            if column.offset < end:
                raise Damage(self.file, self.columns_offset, "columns that share bytes")
            end = column.offset + column.byteCount
        if end > len(self.values):
            raise Damage(self.file, self.columns_offset, "a column beyond the values")

    def fields(self, collection):
        """(names, columns) of each field of a collection."""
        before, start = b"", collection.firstField
        for field in self.field_entries[start : start + collection.fieldCount]:
            path = self.paths[field.pathOffset : field.pathOffset + field.pathByteCount]
            if len(path) != field.pathByteCount or len(path) > 1025 or path <= before:
                raise Damage(self.file, self.fields_offset, "field: its path, or the order")
            cursor, names = Cursor(path, self.file, self.paths_offset, "path"), []
            while not cursor.at_end():
                names.append(cursor.text())
            first = field.firstColumn
            columns, before = self.columns[first : first + field.columnCount], path
            self.check_field(columns)
            yield names, columns

    def check_field(self, columns):
        kinds = [(column.kind, column.domain) for column in columns]
        if columns and (1, OWN_VALUE) not in kinds or len(set(kinds)) != len(kinds):
            raise Damage(self.file, self.columns_offset, "columns of a field: a kind twice, or "
                         "without the rows that have it")
        for column in columns:
            domains = (OWN_VALUE,) if column.kind <= 2 else (OWN_VALUE, ELEMENTS)
            if column.kind not in COLUMN_KINDS or column.domain not in domains:
                raise Refused(f"{self.file}: newer: column kind {column.kind}, {column.domain}")
            if (column.reserved != bytes(2) or not column.valueCount
                    or column.stringByteCount and column.kind != STRINGS):
                raise Damage(self.file, self.columns_offset, "column: no values, reserved bytes, "
                             "or bytes of strings without strings")

    def cursor(self, column):
        data = self.values[column.offset : column.offset + column.byteCount]
        return Cursor(data, self.file, self.values_offset + column.offset, "column")

    def read_rows(self, cursor, collection):
        """Rows from the cursor to its end, in any of the three forms."""
        form, first = cursor.u8(), collection.firstRow
        end = first + collection.rowCount
        if form == 1:
            rows = list(range(first, end))
        elif form == 2:
            rows, least = [], first
            while not cursor.at_end():
                rows.append(least + cursor.varint())
                least = rows[-1] + 1
        elif form == 3:
            base = first // 64 * 64
            bits = int.from_bytes(cursor.take(8 * ((end - 1) // 64 - first // 64 + 1)), "little")
            rows = [base + bit for bit, is_set in enumerate(reversed(f"{bits:b}"))
                    if is_set == "1"]
        else:
            raise Refused(f"{self.file}: newer: rows of form {form}")
        cursor.expect_end()
        if rows and not first <= rows[0] <= rows[-1] < end:
            raise cursor.damage("a row that is not the collection's")
        return rows

    def rows(self, column, collection):
        """The rows of a column of one value."""
        cursor = self.cursor(column)
        rows = self.read_rows(cursor, collection)
        if len(rows) != column.valueCount:
            raise cursor.damage(f"{len(rows)} rows instead of {column.valueCount}")
        return rows

    def numbers(self, column, collection):
        """The values of a column of numbers and their rows."""
        cursor, letter = self.cursor(column), "q" if column.kind == INTEGERS else "d"
        counts = [min(LEAF, column.valueCount - start)
                  for start in range(0, column.valueCount, LEAF)]
        bounds = [struct.unpack("<2" + letter, cursor.take(16)) for _ in counts]
        values, rows = [], []
        for count, ends in zip(counts, bounds):
            leaf = struct.unpack(f"<{count}{letter}", cursor.take(8 * count))
            if ends != (leaf[0], leaf[-1]):
                raise cursor.damage("another least or greatest value than the leaf's")
            values += leaf
            rows += struct.unpack(f"<{count}I", cursor.take(4 * count))
        cursor.expect_end()
        pairs = list(zip(values, rows))
        if any(low >= high for low, high in zip(pairs, pairs[1:])):
            raise cursor.damage("values and rows that do not ascend")
        if not all(map(math.isfinite, values)) or any(
                value == 0 and math.copysign(1, value) < 0 for value in values):
            raise cursor.damage("a value that is not finite, or negative zero")
        first = collection.firstRow
        if not first <= min(rows) <= max(rows) < first + collection.rowCount:
            raise cursor.damage("a row that is not the collection's")
        return values, rows

    def strings(self, column, collection):
        """(text, rows) of each string of a column."""
        cursor = self.cursor(column)
        ends = [(cursor.u32(), cursor.u32()) for _ in range(column.valueCount)]
        texts = Cursor(cursor.take(column.stringByteCount), self.file, cursor.offset, "strings")
        strings, before = [], None
        for (text_start, row_start), (text_end, row_end) in zip([(0, 0)] + ends, ends):
            text = texts.text(max(0, text_end - text_start))
            # Code points are in the order of their UTF-8 bytes.
            if before is not None and text <= before:
                raise cursor.damage("strings that do not ascend")
            before = text
            data = cursor.take(max(0, row_end - row_start))
            rows = self.read_rows(Cursor(data, self.file, cursor.offset, "rows"), collection)
            strings.append((text, rows))
        texts.expect_end()
        cursor.expect_end()
        return strings


# ---------------------------------------------------------------- derived files against truth
#
# What the pages ask of derived files, in exact arithmetic: that columns have each value of each
# document, codes bound their errors, and chains hold all that have one code.

DERIVED_FILES = {1: (b"Q8", "q8"), 2: (b"GR", "gr"), 3: (b"CL", "col")}


def check_indexes(path):
    """Checks every derived file that the manifest names; gives their names."""
    store = Store(path)
    for segment in store.state.segments.values():
        base, files, found = f"seg/{segment.id:016x}", segment.files, {}
        for kind, (letters, suffix) in DERIVED_FILES.items():
            named = store.state.derived.get((segment.id, kind))
            if named is None:
                continue
            sealed = store.sealed(f"{base}.{named.fileID:016x}.{suffix}", letters, named)
            sealed.verify()
            sources = [files.get(DOC if kind == 3 else VEC)]
            if kind == 2:
                sources.append(store.state.derived.get((segment.id, 1)))
            if [source[:2] for source in read_sources(sealed, len(sources))] != [
                    source and (source.fileID, source.footerChecksum) for source in sources]:
                raise Damage(sealed.file, 4096, "sources: not the files of the segment")
            found[kind] = sealed
            yield sealed.file
        if 1 in found:
            vectors = store.sealed(f"{base}.vec", b"VC", files[VEC])
            vectors.verify()
            check_codes(found[1], vectors)
        if 2 in found:
            check_chains(found[2], found[1])
        if 3 in found:
            check_columns(ColumnFile(found[3]),
                          DocumentFile(store.sealed(f"{base}.doc", b"DC", files[DOC])))


def whole(value):
    """An f32 times 2^149, which is a whole number."""
    return int(value * 2.0 ** 149)


def check_codes(sealed, vectors):
    """Codes say no less of their errors, and no other norms, than is true."""
    spaces = {space.collectionID: (ordinal, space)
              for ordinal, space in enumerate(read_spaces(vectors)[1])}
    for ordinal, space in enumerate(read_code_spaces(sealed)):
        place, coded = spaces.get(space.collectionID, (None, None))
        if coded is None or coded[1:3] + coded[4:6] != (space[1:3] + space[4:6]):
            raise Damage(sealed.file, 4096, f"coded space {ordinal}: of other vectors")
        norms = [norm for (norm,) in vectors.rows_of(F32, NORMS, place)[1]]
        if (space.leastNorm, space.largestNorm) != (min(norms), max(norms)):
            raise Damage(sealed.file, 4096, f"coded space {ordinal}: other norms")
        rows = read_space_vectors(vectors, place, coded)
        for index, (code, (_, vector), norm) in enumerate(
                zip(read_space_codes(sealed, ordinal, space), rows, norms)):
            # Under cosine times the norm, so that nothing is divided; in half steps.
            unit = whole(norm) if METRICS[space.metric] == "cosine" else 1 << 149
            step = unit * whole(space.scale)
            numbers = [whole(number) << 150
                       for number in struct.unpack(f"<{space.dimensions}f", vector)]
            whole_code = [2 * value for value in code.values]
            coarse_code = [32 * (value + 128 >> 4) - 241 for value in code.values]
            for error, values in ((code.error, whole_code), (code.coarseError, coarse_code)):
                distance = sum((number - step * value) ** 2
                               for number, value in zip(numbers, values))
                if distance > (2 * unit * whole(error)) ** 2:
                    raise Damage(sealed.file, 4096, f"code {index} of space {ordinal}: an error "
                                 "below the distance")


def check_chains(sealed, codes):
    """Each vector leads to the next with its code; the first of each code is a node."""
    spaces = {space.collectionID: (ordinal, space)
              for ordinal, space in enumerate(read_code_spaces(codes))}
    for ordinal, entry in enumerate(read_graph_spaces(sealed)):
        place, space = spaces.get(entry.collectionID, (None, None))
        if space is None or space.vectorCount != entry.vectorCount:
            raise Damage(sealed.file, 4096, f"graph {ordinal}: of other codes")
        last, chains = {}, []
        for index, code in enumerate(read_space_codes(codes, place, space)):
            before = last.get(tuple(code.values))
            if before is not None:
                chains.append([before, index])
            last[tuple(code.values)] = index
        graph = read_graph(sealed, ordinal, entry)
        if graph.duplicates != sorted(chains):
            raise Damage(sealed.file, 4096, f"graph {ordinal}: other chains than its codes have")
        degree = sum(map(len, graph.links)) / entry.nodeCount
        if abs(degree - entry.meanDegree) > 1e-4:
            raise Damage(sealed.file, 4096, f"graph {ordinal}: another mean degree")


def check_columns(file, documents):
    """The columns of a field have exactly the values that the documents have."""
    records = [record for row, record in documents.records() if row is not None]
    for collection in file.collections:
        expected, found = {}, set()
        first = collection.firstRow
        for row in range(first, first + collection.rowCount):
            if records[row].collection != collection.id:
                raise Damage(file.file, 4096, f"row {row} is of another collection")
            gather(expected, json.loads(records[row].metadata.json), b"", row)
        for names, columns in file.fields(collection):
            path = b"".join(prefixed(name.encode()) for name in names)
            found.add(path)
            if columns and column_values(file, columns, collection) != expected.get(path):
                raise Damage(file.file, 4096, f"field {names} of collection {collection.id}: "
                             "other values than the documents have")
        if not found <= expected.keys() or not collection.flags and found != expected.keys():
            raise Damage(file.file, 4096, f"collection {collection.id}: other fields")


def gather(fields, metadata, path, row):
    """Adds what the columns of a document's fields must have: by kind and domain (value, row)."""
    for name, value in metadata.items():
        field = path + prefixed(name.encode())
        found = fields.setdefault(field, set())
        found.add((1, OWN_VALUE, None, row))
        if isinstance(value, (list, dict)):
            found.add((2, OWN_VALUE, None, row))
        if isinstance(value, dict):
            gather(fields, value, field, row)
        elif isinstance(value, list):
            found.update((*kind_and_value(element, ELEMENTS), row) for element in value
                         if not isinstance(element, (list, dict)))
        else:
            found.add((*kind_and_value(value, OWN_VALUE), row))


def kind_and_value(value, domain):
    """The column that has a value, and what stands there."""
    if value is None or isinstance(value, bool):
        return {None: 3, False: 4, True: 5}[value], domain, None
    # An integer and the double that is equal to it differ by their kind.
    kind = {int: INTEGERS, float: DOUBLES, str: STRINGS}[type(value)]
    return kind, domain, value


def column_values(file, columns, collection):
    """What the columns of a field have, as `gather` says it."""
    found = set()
    for column in columns:
        place = column.kind, column.domain
        if column.kind == STRINGS:
            found.update((*place, text, row)
                         for text, rows in file.strings(column, collection) for row in rows)
        elif column.kind in (INTEGERS, DOUBLES):
            found.update((*place, value, row)
                         for value, row in zip(*file.numbers(column, collection)))
        else:
            found.update((*place, None, row) for row in file.rows(column, collection))
    return found


# ---------------------------------------------------------------- one file, for people
#
# Names and texts are those of the tool's inspecting commands.

RECORD_TYPES = {COMMIT: "commit", PART: "part", MARKER: "marker", EDIT: "edit"}
DERIVED_KINDS = {1: "codes", 2: "graph", 3: "columns"}


def describe(path):
    """Header, sections and records of one file, whatever its kind."""
    with open(path, "rb") as handle:
        data = handle.read()
    file = os.path.basename(path)
    header = read_header(data, file)
    if header.kind == b"RT":
        return {"copies": [describe_root(data, at) for at in (0, 4096)]}
    if header.kind in (b"WL", b"MF"):
        return describe_log(LogFile(data, file))
    if header.kind not in FIRST_SECTION:
        raise Refused(f"{file}: newer: file kind {header.kind}")
    sealed = SealedFile(data, file)
    content = DESCRIBE[header.kind](sealed)
    footer = sealed.footer._asdict()
    return {
        "header": describe_header(header),
        "footer": {**footer, "directoryChecksum": hex32(footer["directoryChecksum"]),
                   "footerChecksum": hex32(footer["footerChecksum"]), "end": "MEND"},
        "sections": [{**entry._asdict(), "tableChecksum": hex32(entry.tableChecksum)}
                     for entry in sealed.read_directory()],
        **content,
    }


def hex32(value):
    return f"{value:08x}"


def hex64(value):
    return f"{value:016x}"


def time_text(milliseconds):
    """Milliseconds since 1970 as text in UTC; a number that no calendar of Python has, as such."""
    try:
        moment = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return moment.isoformat(timespec="milliseconds") + "Z"


def expiry_text(expiry):
    return time_text(expiry) if expiry else None


def numbers(vector):
    """A vector as numbers with the digits that f32 have."""
    return json.loads(f32_list_text(struct.unpack(f"<{len(vector) // 4}f", vector)))


def describe_header(header):
    return {**header._asdict(), "magic": header.magic.hex(), "kind": header.kind.decode(),
            "lineEnd": header.lineEnd.hex(), "storeID": str(UUID(bytes=header.storeID)),
            "headerChecksum": hex32(header.headerChecksum)}


def describe_root(data, at):
    root = read_root_copy(data, at)
    return {**root._asdict(), "offset": at, "valid": True, "header": describe_header(root.header),
            "storeID": str(UUID(bytes=root.header.storeID)),
            "incarnation": hex64(root.incarnation),
            "parentIncarnation": hex64(root.parentIncarnation),
            "state": "closed" if root.state == CLOSED else "in use",
            "createdTime": time_text(root.createdTime)}


def describe_log(log):
    """The records up to the last that a chain of this file alone takes, with what they hold."""
    chain = Chain(log.header.kind, 0)
    chain.expected = log.log.firstNumber
    end = chain.read(log, len(log.data))
    contents = {commit.number: describe_commit(log, commit) for commit in chain.commits}
    records, offset = [], RECORDS_START
    while offset < end:
        record = log.record(offset, end)
        records.append({
            "offset": offset, "type": RECORD_TYPES[record.type], "number": record.number,
            "promised": record.promised, "payloadByteCount": len(record.payload),
            "operationCount": record.operationCount,
            **(contents.get(record.number, {}) if record.type in (COMMIT, EDIT) else {})})
        offset = record.end
    # A commit in parts is not any one record's.
    joined = [{"number": commit.number, **contents[commit.number]}
              for commit in chain.commits if commit.part_count > 1]
    header = {**describe_header(log.header), **log.log._asdict(),
              "incarnation": hex64(log.log.incarnation),
              "logHeaderChecksum": hex32(log.log.logHeaderChecksum)}
    return {"header": header, "records": records, "commitsInParts": joined, "end": end}


def describe_commit(log, commit):
    if log.header.kind == b"MF":
        return {"edits": [describe_edit(edit) for _, edit in read_edits(commit)]}
    _, commit_time, operations = read_operations(commit)
    return {"commitTime": time_text(commit_time),
            "operations": [describe_operation(operation) for operation in operations]}


def describe_shape(collection):
    return {"collectionID": collection.id, "name": collection.name,
            "dimensions": collection.dimensions, "metric": METRICS[collection.metric]}


def describe_operation(operation):
    if isinstance(operation, Collection):
        return {"op": "create", **describe_shape(operation)}
    fields = {"collectionID": operation.collection}
    if isinstance(operation, Rename):
        return {"op": "rename", **fields, "to": operation.name}
    if isinstance(operation, Drop):
        return {"op": "drop", **fields}
    if isinstance(operation, DeletePrefix):
        return {"op": "delete_prefix", **fields, "prefix": operation.prefix.decode()}
    fields["id"] = operation.id.decode()
    if isinstance(operation, Delete):
        return {"op": "delete", **fields}
    vector = operation.vector
    return {"op": "put", **fields, "expiry": operation.expiry,
            "dimensions": operation.dimensions or 0,
            "textByteCount": len(operation.text.encode()),
            "metadataByteCount": len(operation.metadata.bytes),
            "metadata": json.loads(operation.metadata.json), "text": operation.text,
            "vector": None if vector is None else numbers(vector)}


def describe_edit(edit):
    name = EDIT_NAMES[type(edit)]
    fields = edit._asdict()
    if isinstance(edit, Collection):
        fields = {**describe_shape(edit), "createdLSN": edit.createdLSN}
    elif isinstance(edit, NamedLog):
        fields["incarnation"] = hex64(edit.incarnation)
    elif isinstance(edit, Floor):
        fields = {"LSN": edit.lsn, "commitTime": time_text(edit.commitTime)}
    elif isinstance(edit, (Rename, Drop)):
        fields["collectionID"] = fields.pop("collection")
    elif isinstance(edit, (Segment, Deletions, SegmentDropped, Derived, DerivedDropped)):
        fields["segmentID"] = fields.pop("id" if isinstance(edit, Segment) else "segment")
        if "kind" in fields:
            fields["kind"] = DERIVED_KINDS.get(edit.kind, edit.kind)
        if isinstance(edit, Segment):
            names = {DOC: "document", KEY: "key", VEC: "vector"}
            fields.update({names[kind]: describe_reference(file)
                           for kind, file in fields.pop("files").items()})
        elif isinstance(edit, (Deletions, Derived)):
            fields["file"] = describe_reference(edit)
    return {"edit": name, **fields}


EDIT_NAMES = {
    Counters: "counters", Collection: "collection", Segment: "segment", Deletions: "deletions",
    NamedLog: "log", LogDropped: "logDropped", Floor: "floor", Rename: "collectionRenamed",
    Drop: "collectionDropped", SegmentDropped: "segmentDropped", Derived: "derived",
    DerivedDropped: "derivedDropped",
}


def describe_reference(file):
    return {"fileID": file.fileID, "byteCount": file.byteCount,
            "footerChecksum": hex32(file.footerChecksum)}


def describe_documents(sealed):
    doc = DocumentFile(sealed)
    blocks, records = [], list(doc.records())
    for at, header in doc.block_headers():
        is_tombstones = header.kind == TOMBSTONE_BLOCK
        blocks.append({
            **header._asdict(), "magic": "MBLK", "offset": at,
            "headerChecksum": hex32(header.headerChecksum),
            "payloadChecksum": hex32(header.payloadChecksum),
            "kind": "tombstones" if is_tombstones else "documents",
            "firstRow": None if is_tombstones else header.firstRow})
    places = [(block["blockNumber"], block["offset"]) for block in blocks
              for _ in range(block["recordCount"])]
    return {
        "blocks": blocks,
        "schema": [{**describe_shape(collection), "firstRow": first, "rowCount": count}
                   for collection, first, count in doc.schema()],
        "removals": [{"collectionID": removal.collection, "LSN": removal.lsn,
                      "prefix": removal.prefix and removal.prefix.decode()}
                     for removal in doc.removals()],
        "expiries": [{"collectionID": expiry.collection, "rowCount": expiry.rowCount,
                      "earliest": time_text(expiry.earliest)} for expiry in doc.expiries()],
        "records": [{"block": block, "blockOffset": offset, **describe_record(row, record)}
                    for (block, offset), (row, record) in zip(places, records)],
    }


def describe_record(row, record):
    fields = {"row": row, "collectionID": record.collection, "id": record.id.decode(),
              "lsn": record.lsn}
    if record.deleted is not None:
        return {**fields, "tombstone": True, "time": time_text(record.deleted)}
    checksum = record.vectorChecksum
    return {**fields, "created": time_text(record.created), "updated": time_text(record.updated),
            "expiry": expiry_text(record.expiry),
            "vectorChecksum": None if checksum is None else hex32(checksum),
            "metadata": json.loads(record.metadata.json), "text": record.text}


def describe_vectors(sealed):
    sealed.verify()
    spaces, vectors = read_spaces(sealed)[1], []
    for ordinal, space in enumerate(spaces):
        norms = numbers(sealed.section(NORMS, ordinal)[1])
        vectors += [
            {"space": ordinal, "collectionID": space.collectionID, "row": row, "ordinal": index,
             "metric": METRICS[space.metric], "dimensions": space.dimensions,
             "norm": norms[index], "vector": numbers(vector)}
            for index, (row, vector) in enumerate(read_space_vectors(sealed, ordinal, space))]
    return {"spaces": [{**space._asdict(), "metric": METRICS[space.metric],
                        "reserved": space.reserved.hex()} for space in spaces],
            "vectors": vectors}


def describe_deletions(sealed):
    sealed.verify()
    summary, dead = read_dead_rows(sealed)
    return {"summary": summary._asdict(), "deadRows": sorted(dead)}


def describe_keys(sealed):
    keys = KeyFile(sealed)
    return {
        "keys": [{**describe_key(entry), "block": entry.block, "offset": entry.offset,
                  "row": entry.row, "lsn": entry.lsn, "created": time_text(entry.created),
                  "expiry": expiry_text(entry.expiry)} for entry in keys.entries],
        "fences": [{"firstRow": fence.row, **describe_key(fence)} for fence in keys.fences],
        "filter": {**keys.filter._asdict(), "seed": hex64(keys.filter.seed)},
    }


def describe_key(entry):
    return {"collectionID": int.from_bytes(entry.key[:4], "big"), "id": entry.key[4:].decode()}


def f32_number(value):
    return json.loads(f32_text(value))


def describe_source(source):
    return {"fileID": source.fileID, "footerChecksum": hex32(source.footerChecksum)}


def describe_codes(sealed):
    sealed.verify()
    spaces = read_code_spaces(sealed)
    return {
        "sources": [describe_source(source) for source in read_sources(sealed, 1)],
        "codeSpaces": [{**space._asdict(), "metric": METRICS[space.metric],
                        "reserved": space.reserved.hex(),
                        **{name: f32_number(getattr(space, name))
                           for name in ("scale", "leastNorm", "largestNorm")}}
                       for space in spaces],
        "codes": [{"space": ordinal, "ordinal": index, "code": list(code.values),
                   "error": f32_number(code.error), "squareSum": code.squareSum,
                   "coarseError": f32_number(code.coarseError),
                   "coarseSquareSum": code.coarseSquareSum}
                  for ordinal, space in enumerate(spaces)
                  for index, code in enumerate(read_space_codes(sealed, ordinal, space))],
    }


def describe_graphs(sealed):
    sealed.verify()
    graphs = read_graph_spaces(sealed)
    return {
        "sources": [describe_source(source) for source in read_sources(sealed, 2)],
        "graphSpaces": [
            {**{name: value for name, value in graph._asdict().items() if name != "recalls"},
             "factor": f32_number(graph.factor), "meanDegree": f32_number(graph.meanDegree),
             "walk": ("whole", "coarse")[graph.walk], "reserved": graph.reserved.hex(),
             **{f"recall{width}": round(recall, 4)
                for width, recall in zip(RECALL_WIDTHS, graph.recalls)}}
            for graph in graphs],
        "graphs": [read_graph(sealed, ordinal, graph)._asdict()
                   for ordinal, graph in enumerate(graphs)],
    }


def describe_columns(sealed):
    sealed.verify()
    file = ColumnFile(sealed)
    return {
        "sources": [describe_source(source) for source in read_sources(sealed, 1)],
        "columnCollections": [
            {"collectionID": collection.id, "firstRow": collection.firstRow,
             "rowCount": collection.rowCount, "fieldCount": collection.fieldCount,
             "hasOtherFields": bool(collection.flags)} for collection in file.collections],
        "columnFields": [
            {"collectionID": collection.id, "names": names, "isIndexed": bool(columns),
             "byteCount": sum(column.byteCount for column in columns),
             "columns": [describe_column(file, column, collection) for column in columns]}
            for collection in file.collections
            for names, columns in file.fields(collection)],
    }


def describe_column(file, column, collection):
    fields = {"kind": COLUMN_KINDS[column.kind], "ofElements": column.domain == ELEMENTS,
              "valueCount": column.valueCount}
    if column.kind in (INTEGERS, DOUBLES):
        values, rows = file.numbers(column, collection)
        return {**fields, "values": values, "rows": rows}
    if column.kind == STRINGS:
        strings = file.strings(column, collection)
        return {**fields, "values": [text for text, _ in strings],
                "rows": [rows for _, rows in strings]}
    return {**fields, "rows": file.rows(column, collection)}


DESCRIBE = {b"DC": describe_documents, b"KY": describe_keys, b"VC": describe_vectors,
            b"DL": describe_deletions, b"Q8": describe_codes, b"GR": describe_graphs,
            b"CL": describe_columns}


# ---------------------------------------------------------------- self-test


def self_test():
    """Checks parts that need no store against values that are known."""
    checks = {
        "CRC-32C": crc32c(b"123456789") == 0xE3069283 == crc32c(b"56789", crc32c(b"1234")),
        "varints": all(
            Cursor(bytes.fromhex(text), "", 0, "").varint() == value
            for text, value in (("00", 0), ("7F", 127), ("8001", 128), ("AC02", 300),
                                ("FF" * 9 + "01", (1 << 64) - 1))),
        "varints that are refused": all(
            raises(Damage, Cursor(bytes.fromhex(text), "", 0, "").varint)
            for text in ("", "80", "8000", "FF" * 9 + "02", "80" * 10 + "01")),
        "hashes of keys": [hash64(key, 0) for key in (b"moraine", b"0123456789abcdef")]
        == [0xABB0380F2CBB6CC2, 0xF69EB4E13B90AA75],
        "LZ4": lz4_block(b"\x1fa\x01\x00\x05\x10b", 26) == b"a" * 25 + b"b"
        and lz4_block(b"\x42abcd\x04\x00\x10!", 11) == b"abcdabcdab!",
        "LZ4 that is refused": all(
            raises(ValueError, lambda data=data: lz4_block(data, 12))
            for data in (b"", b"\x10", b"\x10a", b"\x14a\x00\x00", b"\x14a\x02\x00")),
        "f64": [f64_text(v) for v in (0.0, -0.0, 1e-4, 1e-5, 12.5, 100.0, 1.5e30, 2.0 ** 53,
                                      2.0 ** 53 + 2, 5e-324, 0.1)]
        == ["0.0", "-0.0", "0.0001", "1e-5", "12.5", "100.0", "1.5e30", "9007199254740992.0",
            "9.007199254740994e15", "5e-324", "0.1"],
        "f32": f32_list_text((0.0, -0.0, 2.0 ** -149, 2.0 ** 24, 2.0 ** 24 + 2, 2097152.25,
                              F32.unpack(F32.pack(0.1))[0], F32.unpack(F32.pack(1e-5))[0]))
        == "[0.0,-0.0,1e-45,16777216.0,1.6777218e7,2097152.2,0.1,1e-5]",
        "strings": json_string('"\\\b\n\x1f\x7f\x85\u2028é')
        == '"\\"\\\\\\b\\n\\u001f\x7f\\u0085\\u2028é"',
    }
    for name, passed in checks.items():
        print(f"{'ok' if passed else 'FAILED'}: {name}")
    return 0 if all(checks.values()) else EXIT_REFUSED


def raises(error, function):
    try:
        function()
    except error:
        return True
    return False


# ---------------------------------------------------------------- command line


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"moraine_read: {message}\n")


def parse_arguments(arguments):
    description, _, rest = __doc__.partition("\n\n")
    parser = Arguments(prog="moraine_read.py", description=description, epilog=rest,
                       formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("store", nargs="?", metavar="STORE", help="the store's folder")
    group.add_argument("--file", metavar="FILE", help="describe one file of a store")
    group.add_argument("--hash", metavar="STORE", help="the content hash of a store")
    group.add_argument("--indexes", metavar="STORE", help="check derived files")
    group.add_argument("--self-test", action="store_true", help="check the reader's own parts")
    parser.add_argument("--now", type=int, metavar="MS", default=int(time.time() * 1000),
                        help="leave out what has expired by then, in ms since 1970 (now)")
    return parser.parse_args(arguments)


def run(arguments, out):
    if arguments.self_test:
        return self_test()
    if arguments.file is not None:
        out.write(json.dumps(describe(arguments.file), indent=2).encode() + b"\n")
        return 0
    if arguments.hash is not None:
        out.write(Store(arguments.hash).content_hash(arguments.now).encode() + b"\n")
        return 0
    if arguments.indexes is not None:
        out.write("".join(f"{file}\n" for file in list(check_indexes(arguments.indexes))).encode())
        return 0
    # Everything is verified before the first line, so that output is never half a store.
    store = Store(arguments.store)
    for line in store.lines(arguments.now):
        out.write(line.encode() + b"\n")
    return 0


def main():
    arguments = parse_arguments(sys.argv[1:])
    try:
        status = run(arguments, sys.stdout.buffer)
        sys.stdout.flush()
        return status
    except (Damage, Refused) as problem:
        print(f"moraine_read: {problem}", file=sys.stderr)
        return problem.exit_code
    except BrokenPipeError:
        # Nobody reads any more; keep Python from flushing into the closed pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    except (OSError, MemoryError) as problem:
        print(f"moraine_read: {problem}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception:
        # A fault of the reader itself must not pass for an answer.
        traceback.print_exc()
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
