"""Text for people: numbers, times and names at a given width, safe to print whatever the names contain."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# control, format (bidirectional overrides, zero-width), surrogates, private, unassigned, line and paragraph separators


def clean(given: object) -> str:
    """One printable line: what would move the cursor, reorder or hide text is shown as an escape (\\x1b, \\u202e)."""
    text = str(given)
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if unicodedata.category(char) not in _HIDDEN else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def width(text: str) -> int:
    """Columns a terminal needs for cleaned `text`: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(given: object, limit: int) -> str:
    """The cleaned text in at most `limit` columns; what is cut from the middle becomes "…"."""
    text = clean(given)
    if width(text) <= limit:
        return text
    tail_room = max(0, (limit - 1) // 3)
    head, tail = _take(text, limit - 1 - tail_room), _take(text[::-1], tail_room)[::-1]
    return f"{head}…{tail}"


def _take(text: str, limit: int) -> str:
    used, taken = 0, []
    for char in text:
        used += _cells(char)
        if used > limit:
            break
        taken.append(char)
    return "".join(taken)


def pad(text: str, columns: int, right: bool = False) -> str:
    """`text` filled with spaces to `columns`; `right` aligned to the right."""
    gap = " " * max(0, columns - width(text))
    return gap + text if right else text + gap


def number(value: Any, digits: int = 6) -> str:
    """A number in `digits` significant digits, lists of them likewise; other things as `str` shows them; None and NaN
    as "-".
    """
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(number(item, digits) for item in value)}]"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.{digits}g}"
    if math.isnan(value):
        return "-"
    if math.isfinite(value) and value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    return f"{value:.{digits}g}"


def seconds(value: float) -> str:
    """A time in the unit that suits it: "-", "420 ns", "18 ms", "3.2 s", "4 min 10 s", "2 h 05 min", "3 d 04 h"."""
    if not math.isfinite(value):
        return "-"
    if value < 1:
        for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
            if value * factor < 999.5:
                return f"{value * factor:.3g} {unit}"
    if value < 60:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def count(value: int) -> str:
    """A whole number with thin groups: 12 345."""
    return f"{value:,}".replace(",", " ") if value >= 10_000 else str(value)


def align(rows: Sequence[Sequence[str]], header: Sequence[str] = (), limit: int = 28, right: Sequence[int] = ()) -> str:
    """Aligned columns, two spaces apart, each at most `limit` wide; the columns in `right` are aligned to the right."""
    body = [[clip(cell, limit) for cell in row] for row in ([list(header), *rows] if header else rows)]
    if not body:
        return ""
    widths = [max(width(row[i]) for row in body) for i in range(len(body[0]))]
    lines = ["  ".join(pad(cell, widths[i], i in right) for i, cell in enumerate(row)).rstrip() for row in body]
    if header:
        lines.insert(1, "  ".join("-" * size for size in widths))
    return "\n".join(lines)
