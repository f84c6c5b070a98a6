"""What one evaluation may use of the machine.

tw.Process(limits=tw.Limits(memory="2GB", cpu_s=60, processes=64))
tw.Command("zpaq a {out} corpus.txt -m{level}", value="size({out})", limits=tw.Limits(memory="2GB", file_size="1GB"))
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import ProblemError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TRACES = {
    "address_space": re.compile(r"MemoryError|bad_alloc|[Cc]annot allocate memory|[Oo]ut of memory"),
    "file_size": re.compile(r"File too large|SIGXFSZ|file size limit", re.IGNORECASE),
    "open_files": re.compile(r"Too many open files"),
    "cpu_s": re.compile(r"SIGXCPU|CPU time limit", re.IGNORECASE),
    "processes": re.compile(r"BlockingIOError: \[Errno 11\]|[Rr]esource temporarily unavailable|fork: retry"),
}
"""What programs say when the kernel refuses them something."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one evaluation; None: none. An evaluation that reaches one is ended and fails, and the error names it.

    memory: resident memory of all its processes together (private pages, and the largest shared segment), in bytes or
        as "500MB", "2GB" (powers of 1024). It is looked at every 20 ms, so for a moment it can be exceeded.
    cpu_s: seconds of CPU time of all its processes together.
    processes: how many processes at once, the first one included.
    file_size: bytes of the largest file that may be written.
    open_files: descriptors of each process.
    address_space: addresses of each process, in bytes: an allocation beyond it fails at once. Programs that reserve
        much more than they use (Go, Java, CUDA, address sanitizers) cannot live with that; `memory` suits them all.

    The first three are watched from outside, the others (and, as a second wall, `cpu_s` of a program and `processes`)
    are the kernel's rlimits. An evaluation that runs in a persistent worker is charged with the worker's memory.

    Raises:
        ProblemError: a limit that is none.
    """

    memory: int | str | None = None
    cpu_s: float | None = None
    file_size: int | str | None = None
    processes: int | None = None
    open_files: int | None = None
    address_space: int | str | None = None

    def __post_init__(self) -> None:
        for name in ("memory", "file_size", "address_space"):
            object.__setattr__(self, name, bytes_of(getattr(self, name), f"limit {name}"))
        for name, least in (("processes", 1), ("open_files", 8)):
            object.__setattr__(self, name, _count(getattr(self, name), name, least))
        if self.cpu_s is not None:
            object.__setattr__(self, "cpu_s", _seconds(self.cpu_s))

    @property
    def watched(self) -> bool:
        """Whether somebody has to look."""
        return any(amount is not None for amount in (self.memory, self.cpu_s, self.processes))

    def given(self) -> dict[str, int | float]:
        """{name: amount} of those that are set."""
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}

    def shown(self, name: str) -> str:
        """ "memory 2 GB"."""
        return f"{name} {_amount(name, self.given()[name])}"

    def reached(self, name: str, found: float) -> str:
        """The message of an evaluation that used too much."""
        return f"LimitReached: {self.shown(name)}: the evaluation had {_amount(name, found)}, and was ended"

    def blamed(self, said: str) -> str | None:
        """The limit that `said` (an error's text, a program's last words) speaks of, as a message; None: none."""
        for name in self.given():
            if name in _TRACES and _TRACES[name].search(said):
                return f"LimitReached: {self.shown(name)}"
        return None


def limits_of(given: Any) -> Limits | None:
    """Limits from themselves, or from a table {"memory": "2GB", "cpu_s": 60}.

    Raises:
        ProblemError: an unknown name, or a limit that is none.
    """
    if given is None or isinstance(given, Limits):
        return given
    if not isinstance(given, Mapping):
        raise ProblemError(f"limits are Limits(memory='2GB', cpu_s=60) or such a table, got {given!r:.80}")
    known = [item.name for item in fields(Limits)]
    for name in given:
        if name not in known:
            raise ProblemError(f"there is no limit {name!r:.40}; there are: {', '.join(known)}")
    return Limits(**{name: _plain(amount) for name, amount in given.items()})


def bytes_of(given: Any, what: str) -> int | None:
    """Bytes from 500000000, "500M", "500 MB" or "2GiB" (K, M, G, T are powers of 1024); None stays None.

    Raises:
        ProblemError: none of these, or not positive; the message begins with `what`.
    """
    if given is None:
        return None
    amount: float = math.nan
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        amount = given
    elif isinstance(given, str):
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)(?:i?B)?", given.strip(), re.IGNORECASE)
        amount = float(match.group(1)) * _UNITS[match.group(2).upper()] if match else math.nan
    if not 1 <= amount < 1 << 62:
        raise ProblemError(f"{what}: bytes, 500M or 2GB are expected, got {given!r:.60}")
    return int(amount)


def _count(given: Any, name: str, least: int) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given < 1 << 31:
        raise ProblemError(f"limit {name}: a count of at least {least} is expected, got {given!r:.60}")
    return given


def _seconds(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < 1e9:
        raise ProblemError(f"limit cpu_s: seconds > 0 are expected, got {given!r:.60}")
    return float(given)


def _plain(amount: Any) -> Any:
    """Numbers that came as text, from a command line."""
    if isinstance(amount, str) and re.fullmatch(r"\d{1,15}(\.\d{1,9})?", amount.strip()):
        return float(amount) if "." in amount else int(amount)
    return amount


def _amount(name: str, amount: float) -> str:
    if name == "cpu_s":
        return f"{amount:.4g} s"
    if name in ("processes", "open_files"):
        return str(int(amount))
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if amount >= size:
            return f"{amount / size:.4g} {unit}"
    return f"{int(amount)} B"
