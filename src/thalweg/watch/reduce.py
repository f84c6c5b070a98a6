"""Many points made few enough to draw, and what a parameter explains: arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from ..core.batch import Floats, Ints
from .data import Column

POINTS = 2000
"""The most points of a series that are drawn."""


def thin(x: Floats, y: Floats, most: int = POINTS) -> Ints:
    """Indices, ascending, of at most `most` of the points (x, y), each (n,) finite: the smallest and the largest y of
    every bucket of x, so that no extreme is lost, filled up with evenly spaced points for the look of the rest.
    """
    n = len(x)
    if n <= most:
        return np.arange(n)
    buckets = most // 4
    low, high = x.min(), x.max()
    place = np.zeros(n, dtype=np.int64)
    if high > low:
        place = np.minimum(((x - low) / (high - low) * buckets).astype(np.int64), buckets - 1)
    order = np.lexsort((y, place))
    first = np.flatnonzero(np.diff(place[order], prepend=-1))
    last = np.append(first[1:], n) - 1
    even = np.linspace(0, n - 1, most - 2 * buckets).astype(np.int64)
    return np.unique(np.concatenate([order[first], order[last], even]))


def best_so_far(values: Floats) -> tuple[Ints, Floats]:
    """(rows, values) where the running minimum of (n,) `values` (NaN: none) changes, the earliest of equals."""
    running = np.fmin.accumulate(values) if len(values) else values
    before = np.concatenate([[np.nan], running[:-1]])
    rows = np.flatnonzero(np.isfinite(running) & ~(running >= before))
    return rows, running[rows]


def window(values: Floats, sign: float = 1.0) -> tuple[float, float]:
    """The range of finite (n,) `values` worth showing: all of them, or, where a few bad ones (large for sign +1, small
    for -1) would squeeze the rest, up to the 90 % quantile and as much again.
    """
    lowered = values * sign
    best, usual, worst = lowered.min(), np.quantile(lowered, 0.9), lowered.max()
    reach = best + 2.0 * (usual - best)
    end = worst if worst <= best + 4.0 * (usual - best) or usual <= best else reach
    return (float(best), float(end)) if sign > 0 else (float(-end), float(-best))


def wants_log(values: Floats) -> bool:
    """Whether finite (n,) `values` are positive and, the worst tenth apart, cover more than three decades."""
    return bool(len(values) and values.min() > 0 and np.quantile(values, 0.9) > 1e3 * values.min())


def effect(column: Column, values: Floats, cells: int = 8) -> float:
    """The share of the variance of (n,) ranks of `values` that the parameter alone explains, 0 to 1: the correlation
    ratio over `cells` equally filled cells (choices: the options), less what chance gives (epsilon squared, Kelley
    1935). Inactive is a cell of its own. NaN for fewer than 20 finite values.
    """
    use = np.isfinite(values)
    x, y = column.values[use], values[use]
    n = len(y)
    if n < 20:
        return float("nan")
    ranks = _mid_ranks(y)
    seen = np.unique(x[np.isfinite(x)])
    if len(seen) > cells:
        edges = np.quantile(x[np.isfinite(x)], np.linspace(0, 1, cells + 1)[1:-1])
        cell = np.searchsorted(edges, x, side="right")
    else:
        cell = np.searchsorted(seen, x)  # NaN sorts last
    cell = np.where(np.isfinite(x), cell, len(seen) + cells)
    _, cell = np.unique(cell, return_inverse=True)
    sizes = np.bincount(cell)
    groups = len(sizes)
    if groups < 2:
        return 0.0
    means = np.bincount(cell, ranks) / sizes
    total = float(((ranks - ranks.mean()) ** 2).sum())
    between = float((sizes * (means - ranks.mean()) ** 2).sum())
    within = (total - between) / (n - groups) if n > groups else 0.0
    return max(0.0, (between - (groups - 1) * within) / total) if total > 0 else 0.0


def _mid_ranks(values: Floats) -> Floats:
    """(n,) ranks; equal values share the mean of theirs."""
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    return np.asarray((ends - (sizes + 1) / 2)[place], dtype=np.float64)
