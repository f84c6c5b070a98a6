"""How every benchmark here measures: CPU seconds of this process, repetitions interleaved (A B A B), medians.

BLAS is pinned to one thread before NumPy is loaded, so import this module first. CPU time leaves out what other
programs do, but not that they slow the processor down: compare rows of one table, never of two.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

Run = Callable[[], int]
"""One repetition; gives how many evaluations it made."""


def interleaved(runs: Mapping[str, Run], repetitions: int, warm_up: bool = True) -> dict[str, list[float]]:
    """CPU microseconds per evaluation of every run, `repetitions` of each, in turns, after one that is not counted."""
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repetitions + warm_up):
        for name, run in runs.items():
            gc.collect()
            before = time.process_time()
            count = run()
            spent = time.process_time() - before
            if turn >= warm_up:
                seen[name].append(spent / count * 1e6)
    return seen


def median(values: Sequence[float]) -> float:
    """The middle."""
    return statistics.median(values)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is right-aligned."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figure(value: float | None) -> str:
    """Three digits, or nothing."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def where(*packages: str) -> str:
    """The machine and the versions, in one line."""
    parts = [f"Python {platform.python_version()}", f"{os.cpu_count()} CPUs ({_processor()})"]
    for name in packages:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} absent")
    return ", ".join(parts) + ", one BLAS thread"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def publish(page: str, text: str, write: bool) -> None:
    """Print a page, and write it to docs/benchmarks where asked."""
    print(text)
    if write:
        folder = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text(text + "\n", encoding="utf-8")
