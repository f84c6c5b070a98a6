"""Batches cut and joined on their way through the loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.batch import Floats, Ints, Status
from ..core.evaluator import Outcomes
from ..core.store import Finishing
from .chunk import Chunk
from .history import History

FEW = 32
"""So few numbers are handled faster as a list."""
_DONE = int(Status.DONE)  # an enum's member takes NumPy ten times as long


def chunk_of(history: History, numbers: Sequence[int] | Ints, tickets: Ints, points: Floats | None = None) -> Chunk:
    """The rows of trials that the history has. points: (k, D), where more is known than their real values."""
    space = history.space
    where = np.asarray(numbers, dtype=np.int64)
    reals, replicates = history.reals[where], history.replicates[where]
    return Chunk(
        where,
        tickets,
        space.encode(reals) if points is None else points,
        reals,
        space.active(reals),
        history.keys(where),
        replicates if replicates.any() else None,
    )


def seeds(seed: int, numbers: Ints) -> Ints:
    """One seed per trial: splitmix64 (doi:10.1145/2660193.2660195) of the study's seed and the number."""
    with np.errstate(over="ignore"):
        z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed & (2**63 - 1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(33)).astype(np.int64)


def total(seconds: Floats) -> float:
    """The sum of seconds (k,), those that are known; a few are summed faster as a list."""
    spent = float(sum(seconds.tolist()) if len(seconds) <= FEW else seconds.sum())
    return float(np.nansum(seconds)) if math.isnan(spent) else spent


def best_row(outcomes: Outcomes) -> tuple[int, float]:
    """The row with the lowest first value, and that value; inf where none is done and violates nothing."""
    values = outcomes.values[:, 0]
    if len(values) <= FEW and outcomes.violations is None:
        merits = [
            value if status == _DONE else math.inf
            for value, status in zip(values.tolist(), outcomes.statuses.tolist(), strict=True)
        ]
        best = min(merits)
        return merits.index(best), best
    bad = outcomes.statuses != _DONE
    if outcomes.violations is not None:
        bad |= outcomes.violations > 0
    if np.count_nonzero(bad):
        values = np.where(bad, np.inf, values)
    row = int(values.argmin())
    return row, float(values[row])


def kept(outcomes: Outcomes, keep: Any) -> Outcomes:
    """The rows where `keep` (n,) is true."""
    rows = np.flatnonzero(keep).tolist()
    place = {row: i for i, row in enumerate(rows)}
    return Outcomes(
        outcomes.values[keep],
        outcomes.statuses[keep],
        outcomes.seconds[keep],
        None if outcomes.violations is None else outcomes.violations[keep],
        None if outcomes.components is None else [outcomes.components[row] for row in rows],
        {place[row]: text for row, text in outcomes.errors.items() if row in place},
        outcomes.worker,
    )


def followed(first: Outcomes, second: Outcomes) -> Outcomes:
    """The rows of both, one after the other."""
    n = len(first)
    parts = [first.components or [None] * n, second.components or [None] * len(second)]
    violations = None
    if first.violations is not None:
        more = np.zeros(len(second)) if second.violations is None else second.violations
        violations = np.concatenate([first.violations, more])
    return Outcomes(
        np.concatenate([first.values, second.values]),
        np.concatenate([first.statuses, second.statuses]),
        np.concatenate([first.seconds, second.seconds]),
        violations,
        [*parts[0], *parts[1]] if first.components or second.components else None,
        {**first.errors, **{n + row: text for row, text in second.errors.items()}},
        first.worker or second.worker,
    )


def alike(a: Chunk, b: Chunk) -> bool:
    """Whether two chunks may travel in one job."""
    same = a.source == b.source and a.attempt == b.attempt and a.patience == b.patience
    return same and not a.lost and not b.lost and (a.replicates is None) == (b.replicates is None)


def joined(parts: list[Chunk]) -> Chunk:
    """Chunks that are alike, as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Chunk(
        np.concatenate([p.numbers for p in parts]),
        np.concatenate([p.tickets for p in parts]),
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.reals for p in parts]),
        None if first.active is None else np.concatenate([p.active for p in parts if p.active is not None]),
        [key for p in parts for key in p.keys],
        None if first.replicates is None else np.concatenate([p.replicates for p in parts if p.replicates is not None]),
        first.source,
        first.attempt,
        first.patience,
    )


def ended(numbers: Ints, outcomes: Outcomes, started: Floats | None = None, attempts: Ints | None = None) -> Finishing:
    """What a store is told of k ended trials. started: (k,) Unix seconds; attempts: (k,), None: 1 each."""
    return Finishing(
        numbers,
        outcomes.values,
        outcomes.statuses,
        outcomes.seconds,
        outcomes.violations,
        outcomes.components,
        outcomes.errors,
        started,
        attempts,
        outcomes.worker,
    )
