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


def effect(column: Column, values: Floats) -> float:
    """The share of the variance of the ranks of (n,) `values` (NaN: none) that the parameter alone explains, 0 to 1:
    the correlation ratio over 8 equally filled cells (choices: the options), less what chance gives (epsilon squared,
    T. L. Kelley, PNAS 21 (1935) 554, doi:10.1073/pnas.21.9.554). Where it was inactive it explains nothing: that is
    the doing of the parameter it depends on. NaN for fewer than 20 values.
    """
    use = np.isfinite(values)
    if use.sum() < 20:
        return float("nan")
    return _share(_cells(column.values[use]), _centred_ranks(values[use]))[0]


def failing_range(x: Floats, failed: Floats) -> tuple[float, float]:
    """The range (from, to) of (n,) numbers x, ends included, that tells best which rows failed (1.0, else 0.0): the one
    with more failures than elsewhere that explains most of the variance. Its ends are sought at 64 quantiles, then
    each by itself among all values. Where no range does, all of them.
    """
    order = np.argsort(x, kind="stable")
    x, failed = x[order], failed[order]
    ends = np.flatnonzero(np.diff(x)) + 1  # rows at which another value begins
    if not len(ends):
        return float(x[0]), float(x[-1])
    until = np.concatenate([[0.0], np.cumsum(failed)])
    n, mean = len(x), until[-1] / len(x)

    def gains(first: Ints, last: Ints) -> Floats:
        size = last - first
        over = until[last] - until[first] - size * mean  # failures beyond what the range would have by chance
        return np.where((size > 0) & (over > 0), over**2 / np.maximum(size * (n - size), 1), 0.0)

    cuts = np.concatenate([[0], ends[np.linspace(0, len(ends) - 1, min(len(ends), 64)).astype(np.int64)], [n]])
    table = gains(cuts[:, None], cuts[None, :])
    first, last = (int(cuts[item]) for item in np.unravel_index(int(np.argmax(table)), table.shape))
    borders = np.concatenate([[0], ends, [n]])
    for _ in range(2):  # each end by itself, among all values
        first = int(borders[np.argmax(gains(borders, np.full(len(borders), last)))])
        last = int(borders[np.argmax(gains(np.full(len(borders), first), borders))])
    return float(x[first]), float(x[last - 1])


def effects(columns: list[Column], values: Floats, steps: int = 6) -> dict[str, float]:
    """{name: share} of the parameters that explain most of (n,) `values`, one after the other: each step takes the one
    that explains most of what the steps before left (`effect` of the rest), so a parameter that only moved together
    with another one, as in every converged search, gets nothing. Shares are of the whole variance; those under 1 % end
    it. At most 5,000 evenly spaced trials are looked at. Empty for fewer than 20 values.
    """
    use = np.flatnonzero(np.isfinite(values))
    if len(use) < 20:
        return {}
    use = use[np.linspace(0, len(use) - 1, min(len(use), 5000)).astype(np.int64)]
    rest = _centred_ranks(values[use])
    whole = float((rest**2).sum())
    cells = {column.name: _cells(column.values[use]) for column in columns}
    found: dict[str, float] = {}
    while whole > 0 and cells and len(found) < steps:
        left = float((rest**2).sum()) / whole
        name = max(cells, key=lambda item: _share(cells[item], rest)[0])
        share, explained = _share(cells.pop(name), rest)
        if share * left < 0.01:
            break
        found[name] = share * left
        rest = rest - explained
    return found


def _cells(x: Floats, cells: int = 8) -> Ints:
    """(n,) the cell of each value, numbered from 0 without gaps; -1 for NaN."""
    known = np.isfinite(x)
    seen = np.unique(x[known])
    if len(seen) > cells:
        edges = np.quantile(x[known], np.linspace(0, 1, cells + 1)[1:-1])
        cell = np.searchsorted(edges, x[known], side="right")
    else:
        cell = np.searchsorted(seen, x[known])
    result = np.full(len(x), -1)
    result[known] = np.unique(cell, return_inverse=True)[1]
    return result


def _share(cell: Ints, centred: Floats) -> tuple[float, Floats]:
    """(epsilon squared of the cells for values (n,) with mean 0, the part of each value that they explain)."""
    explained = np.zeros(len(cell))
    known = cell >= 0
    cell, values = cell[known], centred[known]
    sizes = np.bincount(cell)
    n, groups = len(cell), len(sizes)
    total = float((centred**2).sum())
    if groups < 2 or n <= groups or total <= 0:
        return 0.0, explained
    values = values - values.mean()
    means = np.bincount(cell, values) / sizes
    between = float((sizes * means**2).sum())
    chance = (groups - 1) * (float((values**2).sum()) - between) / (n - groups)
    explained[known] = means[cell]
    return max(0.0, (between - chance) / total), explained


def _centred_ranks(values: Floats) -> Floats:
    """(n,) ranks less their mean; equal values share the mean of theirs."""
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks = (ends - (sizes + 1) / 2)[place]
    return np.asarray(ranks - ranks.mean(), dtype=np.float64)
