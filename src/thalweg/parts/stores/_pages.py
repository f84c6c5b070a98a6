"""The rows of a damaged SQLite file, page by page, without SQLite: what a b-tree no longer leads to is found as well.

Every page that is not known to be free is looked at by itself, so one damaged page costs the rows of that page at most.
What comes out is to be checked row by row (see `_sound.py`): a page whose head is damaged is read in every way it may
have been meant, and only rows with a right crc count.

The format: https://www.sqlite.org/fileformat2.html (1.2 header, 1.5 freelist, 1.6 b-trees, 2.1 records, 4 WAL).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_WAL_MAGIC = (0x377F0682, 0x377F0683)  # checksums of little-endian, big-endian words
_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE = 2, 5, 10, 13
_KINDS = (_INTERIOR_INDEX, _LEAF_INDEX, _LEAF_TABLE)
_MOST_CELLS = 120  # our rows take 40 bytes and more
_HEAD_MOST = 100  # bytes of lengths and types: our tables have up to 13 columns
_HEAD = 40  # bytes of a cell in which its lengths and types are
_WHOLE = {8: 0, 9: 1}  # serial types that are values themselves
_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Value = int | float | str | bytes | None


class Record(NamedTuple):
    """A row as it is on a page. rowid: None in an index (and so in a table WITHOUT ROWID).  sure: the page's head is as
    it should be, so the row is not one that was deleted."""

    page: int
    rowid: int | None
    values: list[Value]
    sure: bool


class Pages:
    """The pages of a file, those in its WAL over those in the file itself. path: of the file; it is only read."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (size,) = struct.unpack_from(">H", data, 16) if len(data) >= 100 else (0,)
        self.size = 65536 if size == 1 else size
        if self.size < 512 or self.size & (self.size - 1):
            self.size = 4096  # what SQLite makes unless it is told otherwise
        reserved = data[20] if len(data) >= 100 and data[20] <= 32 else 0
        self.usable = self.size - reserved
        self.pages = {
            1 + start // self.size: data[start : start + self.size].ljust(self.size, b"\0")
            for start in range(0, len(data), self.size)
        }
        wal = Path(f"{path}-wal")
        self.from_wal = self._overlay(wal.read_bytes()) if wal.is_file() else 0
        self.broken: set[int] = set()
        """Pages on which `records` found something that is no row."""

    def _overlay(self, data: bytes) -> int:
        """Lay the WAL's committed frames over the pages; how many there were (section 4.2 of the format)."""
        if len(data) < 32:
            return 0
        magic, _, size, _, salt1, salt2, sum1, sum2 = struct.unpack_from(">8I", data)
        order = ">" if magic == _WAL_MAGIC[1] else "<"
        sums = _checksum(data[:24], order, (0, 0))
        if magic not in _WAL_MAGIC or size != self.size or sums != (sum1, sum2):
            return 0
        waiting: dict[int, bytes] = {}
        taken = 0
        for start in range(32, len(data) - self.size - 23, self.size + 24):
            number, commit, first, second, sum1, sum2 = struct.unpack_from(">6I", data, start)
            if (first, second) != (salt1, salt2):
                break
            page = data[start + 24 : start + 24 + self.size]
            sums = _checksum(page, order, _checksum(data[start : start + 8], order, sums))
            if sums != (sum1, sum2):
                break
            waiting[number] = page
            if commit:
                self.pages.update(waiting)
                taken += len(waiting)
                waiting = {}
        return taken

    def free(self) -> set[int]:
        """Pages that hold nothing any more, as far as the list of them can be followed."""
        found: set[int] = set()
        if 1 not in self.pages:
            return found
        (trunk,) = struct.unpack_from(">I", self.pages[1], 32)
        while trunk in self.pages and trunk not in found and trunk > 1:
            following, count = struct.unpack_from(">2I", self.pages[trunk])
            if count > self.usable // 4 - 2:
                break
            found.add(trunk)
            found.update(struct.unpack_from(f">{count}I", self.pages[trunk], 8))
            trunk = following
        return found

    def free_known(self) -> bool:
        """Whether the list of free pages is whole."""
        return 1 in self.pages and len(self.free()) == int.from_bytes(self.pages[1][36:40], "big")

    def records(self) -> Iterator[Record]:
        """All rows, of tables and of indices."""
        free = self.free()
        for number in sorted(self.pages):
            if number not in free:
                yield from self._records(number)

    def _records(self, number: int) -> Iterator[Record]:
        page = self.pages[number]
        start = 100 if number == 1 else 0
        kind, _, count, content, _ = struct.unpack_from(">BHHHB", page, start)
        sure = kind in (_LEAF_INDEX, _LEAF_TABLE, _INTERIOR_INDEX, _INTERIOR_TABLE)
        head = start + (8 if kind in (_LEAF_INDEX, _LEAF_TABLE) else 12)
        sure = sure and head + 2 * count <= (content or 65536) <= self.usable
        if sure:
            if kind != _INTERIOR_TABLE:
                for place in struct.unpack_from(f">{count}H", page, head):
                    got = list(self._cell(number, place, kind, True))
                    if not got:
                        self.broken.add(number)
                    yield from got
            return
        self.broken.add(number)
        for kind, head in ((_LEAF_TABLE, start + 8), (_LEAF_INDEX, start + 8), (_INTERIOR_INDEX, start + 12)):
            for place in struct.unpack_from(f">{(self.usable - head) // 2}H", page, head):
                if not head < place < self.usable - 3:
                    break
                yield from self._cell(number, place, kind, False)

    def other_readings(self, number: int, known: Callable[[Record], bool]) -> Iterator[Record]:
        """Rows of a page as they are if one bit of a cell's pointer or head is wrong, or the count of cells; for cells
        that are no row that is `known`."""
        page = self.pages[number]
        start = 100 if number == 1 else 0
        for kind, head in ((_LEAF_TABLE, start + 8), (_LEAF_INDEX, start + 8), (_INTERIOR_INDEX, start + 12)):
            if page[start] in _KINDS and page[start] != kind:
                continue
            for pointer in range(head, head + 2 * _MOST_CELLS, 2):
                (place,) = struct.unpack_from(">H", page, pointer)
                if not place or any(known(record) for record in self._cell(number, place, kind, False)):
                    continue
                for bit in range(16):
                    yield from self._cell(number, place ^ 1 << bit, kind, False)
                for at in range(place, min(place + _HEAD, self.usable)):
                    for bit in range(8):
                        turned = bytearray(page)
                        turned[at] ^= 1 << bit
                        yield from self._cell(number, place, kind, False, bytes(turned))

    def _cell(self, number: int, place: int, kind: int, sure: bool, turned: bytes | None = None) -> Iterator[Record]:
        try:
            page = self.pages[number] if turned is None else turned
            if kind == _INTERIOR_INDEX:
                place += 4
            length, place = _varint(page, place)
            rowid = None
            if kind == _LEAF_TABLE:
                rowid, place = _varint(page, place)
                rowid -= (rowid >> 63) << 64
            values = _decode(self._payload(page, place, length, kind == _LEAF_TABLE))
        except (IndexError, ValueError, KeyError, struct.error):
            return  # no row, or no longer one
        yield Record(number, rowid, values, sure)

    def _payload(self, page: bytes, place: int, length: int, table: bool) -> bytes:
        """Section 1.6: what does not fit into the page goes on in a chain of overflow pages."""
        most = self.usable - 35 if table else (self.usable - 12) * 64 // 255 - 23
        least = (self.usable - 12) * 32 // 255 - 23
        if length <= most:
            if place + length > self.usable:
                raise ValueError("a row beyond the end of its page")
            return page[place : place + length]
        if length > len(self.pages) * self.size:
            raise ValueError("a row larger than the file")
        local = least + (length - least) % (self.usable - 4)
        local = local if local <= most else least
        parts = [page[place : place + local]]
        (following,) = struct.unpack_from(">I", page, place + local)
        have = local
        while have < length:
            over = self.pages[following]
            part = over[4 : 4 + min(self.usable - 4, length - have)]
            parts.append(part)
            have += len(part)
            (following,) = struct.unpack_from(">I", over)
        return b"".join(parts)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for i in range(8):
        byte = data[place + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + i + 1
    return value << 8 | data[place + 8], place + 9


def _decode(record: bytes) -> list[Value]:
    """The values of a record (section 2.1)."""
    head, place = _varint(record, 0)
    if not 1 < head <= min(len(record), _HEAD_MOST):
        raise ValueError("no record")
    types = []
    while place < head:
        kind, place = _varint(record, place)
        types.append(kind)
    if place != head:
        raise ValueError("no record")
    values: list[Value] = []
    for kind in types:
        if kind in _WHOLE:
            values.append(_WHOLE[kind])
            continue
        size = _SIZES.get(kind, 8 if kind == 7 else 0 if kind == 0 else (kind - 12) // 2)
        if size < 0 or place + size > len(record):
            raise ValueError("a value beyond the end of its row")
        values.append(_value(kind, record[place : place + size]))
        place += size
    if place != len(record):
        raise ValueError("more bytes than the row has values")
    return values


def _value(kind: int, data: bytes) -> Value:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, "big", signed=True)
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    if kind % 2 == 0:
        return data
    return data.decode("utf-8", "surrogateescape")  # a damaged text stays as it is, for the eye


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """Section 4.2: two sums over pairs of 32-bit words."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for i in range(0, len(words), 2):
        first = (first + words[i] + second) & 0xFFFFFFFF
        second = (second + words[i + 1] + first) & 0xFFFFFFFF
    return first, second
