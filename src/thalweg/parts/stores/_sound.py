"""Which crc covers what in each table, for rows of any origin; and what a single flipped bit was before.

CRC-32 finds every single, double and triple error in texts of up to 11 KB (Koopman 2002, doi:10.1109/DSN.2002.1028931),
so a row with a wrong crc that becomes right by turning one bit is that row: two wrong bits never look like one.
In longer texts, and with more wrong bits, it might; the chance is one in 2**32 for each bit that is tried.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

from ...core.batch import Status
from ._rows import place

Row = dict[str, Any]
_OPEN_BELOW = int(Status.DONE)

COVERED = {
    "study": ("name", "spec", "fingerprint", "created_unixtime"),
    "counter": ("study", "next", "used", "version", "sequence"),
    "member": (
        "token", "study", "ordinal", "note", "pid", "alone", "joined_unixtime", "lease_s", "beat_s", "boot", "gone",
    ),
    "log": ("study", "sequence", "kind", "time_unixtime", "body"),
    "snapshot": ("study", "sequence", "body"),
}  # fmt: skip
"""Table -> the columns its crc is made of, in order."""

ADDED = {"study": "revision", "counter": "budget", "log": "by", "snapshot": "by"}
"""Table -> the column that came later: it is covered where it is not 0 (a budget: where there is one)."""


class Check(NamedTuple):
    """The crc in column `crc` is that of the columns `columns`, joined by line ends, begun with `start`.
    numbers: columns that `start` is made of."""

    crc: str
    start: int
    columns: tuple[str, ...]
    numbers: tuple[str, ...] = ()


def checks(table: str, row: Row) -> list[Check]:
    """What must hold in a row; of trials see `_rows`."""
    if table != "trial":
        later = ADDED.get(table, "")
        more = (later,) if later and row.get(later) not in (0, None) else ()
        if table == "counter" and row.get(later) is not None:
            more = (later,)
        return [Check("crc", 0, COVERED[table] + more)]
    study, number, status = row["study"], row["number"], row["status"]
    opening = Check("opening_crc", place(study, number), ("opening",), ("study", "number"))
    here = ("study", "number", "status")
    if row["result"] is not None or status >= _OPEN_BELOW:
        columns = () if row["result"] is None else ("result",)
        return [opening, Check("result_crc", place(study, number, status), columns, here)]
    if "writer" not in row and row["result_crc"] is None:
        return [opening]  # an open trial, from before there were members
    return [opening, Check("result_crc", 0, ("owner", "attempt"))]


def _message(row: Row, columns: tuple[str, ...]) -> bytes:
    return b"\n".join(str(row[name]).encode("utf-8", "surrogateescape") for name in columns)


def _crc(row: Row, check: Check) -> int:
    return crc32(_message(row, check.columns), check.start)


def is_sound(table: str, row: Row) -> bool:
    """Whether every crc is right, and nothing is where it cannot be."""
    if table == "trial" and not _possible(row):
        return False
    return all(_crc(row, check) == row[check.crc] for check in checks(table, row))


def _possible(row: Row) -> bool:
    final = row["status"] >= _OPEN_BELOW
    if row["result"] is None:
        return bool(0 <= row["status"] < _OPEN_BELOW or row["status"] == Status.ABANDONED)
    return bool(final and row["status"] <= Status.ABANDONED)


def corrected(table: str, row: Row) -> Row | None:
    """The row with the one bit turned back that makes it sound; None where there is no such bit, or more than one."""
    found: list[Row] = []
    for candidate in _candidates(table, row):
        if is_sound(table, candidate) and candidate not in found:
            found.append(candidate)
            if len(found) > 1:
                return None
    return found[0] if found else None


def _candidates(table: str, row: Row) -> Iterator[Row]:
    for check in checks(table, row):
        stored = row[check.crc]
        difference = _crc(row, check) ^ (stored if isinstance(stored, int) else 0)
        if not difference:
            continue
        if isinstance(stored, int) and difference.bit_count() == 1:
            yield {**row, check.crc: stored ^ difference}
        yield from _turned_texts(row, check, difference & 0xFFFFFFFF)
    for name, value in row.items():
        if isinstance(value, (int, float)):
            yield from ({**row, name: turned} for turned in _turned_number(value))


def _turned_texts(row: Row, check: Check, difference: int) -> Iterator[Row]:
    """A crc is linear: what turning a bit changes in it depends only on how far the bit is from the end."""
    message = _message(row, check.columns)
    fields = []
    begin = 0
    for name in check.columns:
        size = len(str(row[name]).encode("utf-8", "surrogateescape"))
        fields.append((begin, begin + size, name))
        begin += size + 1
    effects = [crc32(bytes([1 << bit])) ^ crc32(b"\0") for bit in range(8)]
    table = _steps()
    for at in range(len(message) - 1, -1, -1):
        for bit in range(8):
            if effects[bit] == difference:
                yield from _with_bit(row, fields, at, bit)
        effects = [effect >> 8 ^ table[effect & 0xFF] for effect in effects]  # one more zero byte behind it


def _steps() -> list[int]:
    """The table of the CRC's polynomial: what each byte adds."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    return table


def _with_bit(row: Row, fields: list[tuple[int, int, str]], at: int, bit: int) -> Iterator[Row]:
    for begin, end, name in fields:
        if begin <= at < end and isinstance(row[name], str):
            text = bytearray(row[name].encode("utf-8", "surrogateescape"))
            text[at - begin] ^= 1 << bit
            yield {**row, name: text.decode("utf-8", "surrogateescape")}


def _turned_number(value: int | float) -> Iterator[int | float]:
    code = ">d" if isinstance(value, float) else ">q"
    (bits,) = struct.unpack(">Q", struct.pack(code, value))
    for bit in range(64):
        yield struct.unpack(code, struct.pack(">Q", bits ^ (1 << bit)))[0]
