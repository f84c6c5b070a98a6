"""Where the time of a run went, and what more workers could gain (Amdahl 1967, doi:10.1145/1465482.1465560)."""

from __future__ import annotations

import os

STAGES = ("objective", "strategy", "store", "transport", "engine", "idle")
"""objective: inside the user's code, summed over workers.  strategy: ask and tell.  store: reading and writing.
transport: packing, sending and unpacking work.  engine: everything else the loop does (snap, cache, limits, events).
idle: workers waiting with nothing to do."""

SERIAL = ("strategy", "store", "transport", "engine")
"""Stages that run on the coordinator, one after another, however many workers there are."""


class Spans:
    """Seconds per stage.

    `add` is called several times per chunk and costs about 50 ns. `wall_s` (seconds of the whole run) and `workers` are
    set by whoever drives the run; until then the recorded stages are taken for the whole.
    """

    __slots__ = ("seconds", "wall_s", "workers")

    def __init__(self, wall_s: float = 0.0, workers: int = 1) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.wall_s = wall_s
        self.workers = workers

    def add(self, stage: str, seconds: float) -> None:
        """Add `seconds` to a stage of `STAGES`.

        Raises:
            KeyError: there is no such stage.
        """
        self.seconds[stage] += seconds

    def merge(self, other: Spans) -> None:
        """Add another run's stages and wall time (a resumed study, a second coordinator)."""
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        self.wall_s += other.wall_s
        self.workers = max(self.workers, other.workers)

    @property
    def serial_s(self) -> float:
        """Seconds that the coordinator itself worked."""
        return sum(self.seconds[stage] for stage in SERIAL)

    def split(self) -> dict[str, float]:
        """Seconds of worker time by stage; they sum to `workers * wall_s` (to what was recorded where no wall time is
        known). Time of the coordinator that lay behind running objectives cost nothing, so it is counted only as far
        as the objectives left room; what is left after that is idle.
        """
        objective, serial = self.seconds["objective"], self.serial_s
        room = self.workers * self.wall_s - objective
        if self.wall_s <= 0 or room <= 0:
            return dict(self.seconds)
        scale = min(1.0, room / serial) if serial > 0 else 0.0
        parts = {stage: self.seconds[stage] * scale for stage in SERIAL}
        return {"objective": objective, **parts, "idle": max(0.0, room - serial * scale)}

    def shares(self) -> dict[str, float]:
        """Fractions of the worker time by stage, summing to 1 (all 0 where nothing was recorded)."""
        split = self.split()
        total = sum(split.values())
        return {stage: split[stage] / total if total > 0 else 0.0 for stage in STAGES}

    def speedup(self, workers: int) -> float:
        """How many times faster the same run could be at most with `workers` workers: Amdahl's law, where the
        coordinator's work stays serial and the objectives divide evenly. 1 where nothing can be gained.
        """
        split = self.split()
        serial = self.serial_s + (split["idle"] if self.workers == 1 else 0.0)
        now = self.wall_s if self.wall_s > 0 else sum(split.values()) / max(self.workers, 1)
        then = serial + self.seconds["objective"] / workers
        return max(1.0, now / then) if then > 0 else 1.0

    def describe(self) -> str:
        """The stages of at least 0.5 %, largest first: "objective 91 %, strategy 6 %, store 3 %"."""
        percents = _rounded(self.shares())
        shown = sorted((item for item in percents.items() if item[1] > 0), key=lambda item: -item[1])
        return ", ".join(f"{stage} {percent} %" for stage, percent in shown) or "no time recorded"

    def verdict(self, workers: int | None = None) -> str:
        """The split in one sentence, with what `workers` workers (None: one per CPU this process may use, or twice the
        present number if that is not more) could gain at most.
        """
        if sum(self.seconds.values()) <= 0:
            return "no time recorded"
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        more = workers if workers is not None else (cpus if cpus > self.workers else 2 * self.workers)
        return f"{self.describe()}; {self._advice(more, cpus)}"

    def _advice(self, more: int, cpus: int) -> str:
        gain = self.speedup(more)
        shares = self.shares()
        top = max(SERIAL, key=lambda stage: shares[stage])
        if gain >= 1.1:
            many = f" (there are {cpus} CPUs, so only if the objective waits for something)" if more > cpus else ""
            return f"with {more} workers at most {gain:.1f}x faster{many}"
        if self.serial_s > self.seconds["objective"]:
            return f"more workers gain nothing: {top} takes {shares[top]:.0%} and runs on one CPU"
        return f"{more} workers would gain at most {gain - 1:.0%}"


def _rounded(shares: dict[str, float]) -> dict[str, int]:
    """Whole percents that sum to 100 (largest remainders), or all 0."""
    if sum(shares.values()) <= 0:
        return dict.fromkeys(shares, 0)
    percents = {stage: int(share * 100) for stage, share in shares.items()}
    missing = 100 - sum(percents.values())
    for stage in sorted(shares, key=lambda name: -(shares[name] * 100 - percents[name]))[:missing]:
        percents[stage] += 1
    return percents
