"""Metrics: what to read off a finished program, written as an expression.

    size({out})                  bytes of a file (of all files, for a folder); {out}.7z and the like may be written too
    cpu user system              seconds of CPU time of the whole process tree, and its two parts
    wall rss exit                seconds, bytes of peak memory, the exit code
    stdout stderr                texts (the first and the last 64 KiB)
    last_number(stdout)          the last number in a text; first_number likewise
    regex('([0-9.]+) dB', stderr)    group 1 (or all) of the last match; backslashes stay as they are
    json('$.a.b[0]', stdout)     a value inside a JSON text
    file('{folder}/score')       the text of a file: a metric by itself if it is a number, else for the functions above
    lines(stdout)                the number of lines

with numbers, parameters, other metrics written before, + - * / // % **, comparisons, `a if c else b`, and min max abs
round floor ceil sqrt exp log log2 log10. The grammar is core's: parsed and whitelisted, never evaluated as Python.

`rss` is exact above thalweg's own footprint (some 60 MB); below it, it is sampled from /proc
(the largest process of the program's session), and a program of a few milliseconds shows at most that footprint.
"""

from __future__ import annotations

import json as json_module
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import CommandError, ExpressionError
from ...core.expression import ARITHMETIC, Expression
from ...core.program import Finished
from .template import Piece, fields_of, parse_element, render_value

NAMES = ("cpu", "user", "system", "wall", "rss", "exit", "stdout", "stderr")
"""What a metric may mention beside parameters and placeholders."""
TIMES = frozenset(["cpu", "user", "system", "wall"])
"""Of repeated runs these count by their smallest value: noise only ever adds to them."""
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[(['\"])(.*?)\3\]")
_LITERAL = re.compile(r"(?<![\w])(r?)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(\{\w+\}[\w./-]*)")


@dataclass(slots=True)
class Run:
    """One finished run of the program, as metrics see it. values: placeholders and active parameters."""

    finished: Finished
    values: Mapping[str, Any]


@dataclass(slots=True)
class Metric:
    """A named expression.

    Raises:
        ExpressionError: the text is not in the grammar; the message names the metric.
    """

    name: str
    text: str
    _source: str = field(init=False, repr=False)
    _parsed: Expression = field(init=False, repr=False)
    _paths: dict[str, tuple[Piece, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise ExpressionError(
                f"metric {self.name!r}: an expression such as 'size({{out}})' is expected, got {self.text!r}"
            )
        self._source = _LITERAL.sub(_quoted, self.text)
        try:
            self._parsed = Expression(self._source, _functions(_unbound))
        except ExpressionError as error:
            raise ExpressionError(f"metric {self.name!r} = {self.text!r}: {error}") from None
        literals = re.findall(r"\{\w+\}[\w./-]*", self.text)
        self._paths = {text: parse_element(text) for text in literals}

    @property
    def names(self) -> tuple[str, ...]:
        """The names it uses (functions and placeholders apart)."""
        return self._parsed.names

    @property
    def expression(self) -> Expression:
        """The parsed expression; its functions are bound only while a run is read."""
        return self._parsed

    @property
    def placeholders(self) -> list[str]:
        """The placeholders it mentions."""
        return [item.name for pieces in self._paths.values() for item in fields_of(pieces)]

    @property
    def timed(self) -> bool:
        """Whether it measures time."""
        return not TIMES.isdisjoint(self.names)

    def value(self, run: Run, known: Mapping[str, Any]) -> float:
        """Its value for one run; `known` holds the metrics written before.

        Raises:
            CommandError: it cannot be read off this run; the message says what was looked at.
        """
        done = run.finished
        measured = {
            "cpu": done.cpu_s,
            "user": done.user_s,
            "system": done.system_s,
            "wall": done.seconds,
            "rss": done.peak_rss,
            "exit": done.exit_code,
            "stdout": done.stdout,
            "stderr": done.stderr,
        }
        try:
            raw = Expression(self._source, _functions(partial(_path, run.values))).evaluate(
                {**run.values, **known, **measured}
            )
            return _number(raw)
        except (ExpressionError, _Unreadable, OSError, re.error) as error:
            reason = str(error.__cause__ or error) if isinstance(error, ExpressionError) else str(error)
            raise CommandError(f"metric {self.name} = {self.text}: {reason}") from None


class _Unreadable(Exception):
    """Something is not where a metric looks for it."""


def _quoted(match: re.Match[str]) -> str:
    """Strings become raw (regular expressions need no doubled backslashes), placeholders become strings."""
    if match.group(3):
        return repr(match.group(3))
    return "r" + match.group(2)


def _functions(path: Callable[[str], Path]) -> dict[str, Callable[..., Any]]:
    return {
        **ARITHMETIC,
        "size": lambda name: size(path(name)),
        "file": lambda name: _read(path(name)),
        "regex": _regex,
        "json": _json,
        "last_number": lambda text: _find_number(text, -1),
        "first_number": lambda text: _find_number(text, 0),
        "lines": lambda text: len(_text(text).splitlines()),
    }


def _unbound(name: str) -> Path:
    raise _Unreadable(f"{name} is known only after a run")


def _path(values: Mapping[str, Any], name: str) -> Path:
    if not isinstance(name, str):
        raise _Unreadable(f"a path is expected, got {name!r}")
    pieces = parse_element(name)
    missing = [item.name for item in fields_of(pieces) if item.name not in values]
    if missing:
        raise _Unreadable(f"{{{missing[0]}}} is no placeholder here")
    parts = [piece if isinstance(piece, str) else render_value(values[piece.name], piece.form, piece.name)
             for piece in pieces if not hasattr(piece, "pieces")]  # fmt: skip
    return existing(Path("".join(parts)))


def existing(path: Path) -> Path:
    """`path`, or the one file that a program made of it by adding its own suffix (zpaq and 7zz do)."""
    if not path.exists() and path.parent.is_dir():
        found = [item for item in path.parent.iterdir() if item.name.startswith(path.name + ".")]
        if len(found) == 1:
            return found[0]
    return path


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder.

    Raises:
        OSError: there is none.
    """
    if path.is_dir():
        return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    return os.stat(path).st_size


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise _Unreadable(f"{path.name} has more than {_LARGEST} bytes; a small text file is expected")
    return data.decode(errors="replace")


_LARGEST = 64 * 1024 * 1024


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise _Unreadable(f"a text (stdout, stderr, file('...')) is expected, got {text!r:.60}")
    return text


def _regex(pattern: str, text: str) -> str:
    matches = list(re.finditer(_text(pattern), _text(text), re.MULTILINE))
    if not matches:
        raise _Unreadable(f"{pattern!r} is not found in {_excerpt(text)}")
    last = matches[-1]
    found = last.group(1) if last.re.groups else last.group()
    if found is None:
        raise _Unreadable(f"group 1 of {pattern!r} is empty in {_excerpt(last.group())}")
    return str(found)


def _find_number(text: str, which: int) -> float:
    found = _NUMBER.findall(_text(text))
    if not found:
        raise _Unreadable(f"there is no number in {_excerpt(text)}")
    return float(found[which].replace("_", ""))


def _json(path: str, text: str) -> Any:
    try:
        value = json_module.loads(_text(text))
    except ValueError as error:
        raise _Unreadable(f"this is not JSON ({error}): {_excerpt(text)}") from None
    rest = path.removeprefix("$")
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            raise _Unreadable(f"{path!r} is no path; write it as $.name.other[0]['odd name']")
        key: Any = int(step.group(2)) if step.group(2) else step.group(1) or step.group(4)
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise _Unreadable(f"{path!r}: there is no {key!r} in {_excerpt(json_module.dumps(value))}") from None
        at = step.end()
    return value


def _number(raw: Any) -> float:
    if raw is None or isinstance(raw, (list, dict)):
        raise _Unreadable(f"a number is expected, got {raw!r:.80}")
    try:
        value = float(raw.strip() if isinstance(raw, str) else raw)
    except (ValueError, OverflowError):
        raise _Unreadable(f"a number is expected, got {_excerpt(str(raw))}") from None
    if not math.isfinite(value):
        raise _Unreadable(f"a finite number is expected, got {value}")
    return value


def _excerpt(text: str) -> str:
    text = text.strip()
    if not text:
        return "an empty text"
    return repr(text if len(text) <= 200 else text[:80] + " ... " + text[-100:])
