"""Volumes of kept runs of several objectives, as shares of the best volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from .multi_problems import MARGIN, PROBLEMS

TRACES = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parent.parent / "traces")) / "multi"
_THIN = 400  # rows of a front of four objectives that its volume is taken of


def trace_of(solver: str, tag: str, budget: int, problem: str, seed: int) -> Path:
    """Where a run's values lie; solver: with a tag of its own after @, or not."""
    label, _, own = solver.partition("@")
    return TRACES / f"{label.replace('/', '_')}@{own or tag}" / f"b{budget}" / f"{problem}_s{seed}.npz"


def volumes(values: np.ndarray, counts: Sequence[int]) -> list[float]:
    """The volume below MARGIN of the first so many rows of values (n, m), for each count."""
    from thalweg.numerics.dominance import front
    from thalweg.numerics.hypervolume import hypervolume

    reference, found, rows, done = np.full(values.shape[1], MARGIN), [], values[:0], 0
    for count in counts:
        if count > done:
            new = values[done:count]
            rows = np.concatenate([rows, new[(new < reference).all(axis=1)]])
            rows, done = rows[front(rows)], count
        found.append(hypervolume(rows, reference) if count >= done else volumes(values, [count])[0])
    return found


@cache
def best_volume(name: str) -> float:
    """Of the whole front: in closed form, or of everything that any kept trace found (thinned in four dimensions)."""
    from thalweg.numerics.dominance import front

    known = PROBLEMS[name]().best
    if known is not None:
        return known
    found = [np.load(path)["values"] for path in TRACES.glob(f"*/*/{name}_s*.npz")]
    rows = np.concatenate([item[(item < MARGIN).all(axis=1)] for item in found])
    rows = rows[front(rows)]
    if rows.shape[1] > 3 and len(rows) > _THIN:
        rows = rows[np.random.default_rng(0).choice(len(rows), _THIN, replace=False)]
    return max(volumes(rows, [len(rows)])[0], *(volumes(item, [len(item)])[0] for item in found))
