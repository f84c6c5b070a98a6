"""What this machine and this process use, read from /proc: no library, no subprocess, about 0.1 ms a sample."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import time

from ...core.errors import EvaluatorError

_LEAST_TICKS = 4.0  # of all cores, usually 10 ms each: fewer say nothing


@dataclass(frozen=True, slots=True)
class CpuStats:
    """usage_percent: of all cores together, 0 to 100, since the sample before. The first sample: since the sampler was
    made, or since the machine started where that was a moment ago; never a difference with nothing.
    load_average: over 1, 5 and 15 minutes.  thread_count: of this process.
    """

    usage_percent: float
    load_average: tuple[float, float, float]
    thread_count: int


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Bytes of the machine's memory. available: what programs could still get.  used: total - available.
    percent: used of total.  process: resident bytes of this process."""

    total: int
    available: int
    used: int
    percent: float
    process: int = 0


@dataclass(frozen=True, slots=True)
class IoStats:
    """Of this process since it began: bytes and calls, whatever they went to (zeros where the system does not tell)."""

    read_bytes: int = 0
    write_bytes: int = 0
    read_count: int = 0
    write_count: int = 0


@dataclass(frozen=True, slots=True)
class SystemStats:
    """One sample. timestamp: unix time."""

    timestamp: float
    cpu: CpuStats
    memory: MemoryStats
    io: IoStats


class Sampler:
    """Takes samples. root: where /proc is looked for.

    Raises:
        EvaluatorError: there is no /proc (only Linux has it).
    """

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root
        if not (root / "stat").exists():
            raise EvaluatorError(f"resources are read from {root}, which is not there: only Linux is supported")
        self._pages = os.sysconf("SC_PAGE_SIZE")
        self._before = self._ticks()
        self._usage: float | None = None

    def sample(self) -> SystemStats:
        """Now."""
        busy, total = self._ticks()
        was_busy, was_total = self._before
        if total - was_total >= _LEAST_TICKS:  # else what was measured before still holds
            self._before = busy, total
            self._usage = 100.0 * (busy - was_busy) / (total - was_total)
        elif self._usage is None:
            self._usage, self._before = 100.0 * busy / max(total, 1.0), (busy, total)
        status = self._fields("self/status")
        cpu = CpuStats(min(100.0, max(0.0, self._usage)), os.getloadavg(), int(status.get("Threads", "1")))
        return SystemStats(time(), cpu, self._memory(), self._io())

    def _ticks(self) -> tuple[float, float]:
        """(busy, all) ticks of all cores since the machine started."""
        words = [float(word) for word in _first_line(self._root / "stat").split()[1:9]]
        total = sum(words)
        return total - words[3] - words[4], total  # idle, iowait

    def _memory(self) -> MemoryStats:
        fields = self._fields("meminfo")
        total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        resident = int(_first_line(self._root / "self/statm").split()[1]) * self._pages
        return MemoryStats(total, available, total - available, 100.0 * (total - available) / total, resident)

    def _io(self) -> IoStats:
        try:
            fields = self._fields("self/io")
        except OSError:  # hardened systems
            return IoStats()
        return IoStats(*(int(fields.get(name, "0")) for name in ("rchar", "wchar", "syscr", "syscw")))

    def _fields(self, name: str) -> dict[str, str]:
        lines = (self._root / name).read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _first_line(path: Path) -> str:
    with path.open() as file:
        return file.readline()
