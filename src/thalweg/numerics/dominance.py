"""Pareto dominance, everything minimised: fronts by rank, the first front, crowding.

Fast non-dominated sorting and crowding: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, IEEE TEVC 6 (2002) 182-197,
doi:10.1109/4235.996017. Two objectives are sorted in O(n log n): M. T. Jensen, IEEE TEVC 7 (2003) 503-515,
doi:10.1109/TEVC.2003.817234. a dominates b: nowhere worse and somewhere better; equal rows do not dominate each other.
Rows with NaN are dominated by every row without.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_CELLS = 16_000_000  # booleans of a dominance matrix that are held at a time


def ranks(values: Floats, violations: Floats | None = None) -> Ints:
    """(n,) the number of each row's front: 0 is the best.

    values: (n, m).  violations: (n,) >= 0, or None: constrained domination (Deb et al. 2002, definition 1): feasible
    before infeasible, those by the amount of violation; then rows with NaN, all of them in one last front.

    Raises:
        ValueError: shapes that do not fit.
    """
    values = _checked(values)
    n = len(values)
    result = np.zeros(n, dtype=np.int64)
    known = ~np.isnan(values).any(axis=1)
    feasible = known
    if violations is not None:
        violations = np.asarray(violations, dtype=np.float64)
        if violations.shape != (n,):
            raise ValueError(f"violations must be (n,) = ({n},), got {violations.shape}")
        feasible = known & (violations <= 0)
    result[feasible] = _sorted(values[feasible])
    count = int(result[feasible].max(initial=-1)) + 1
    rest = known & ~feasible
    if rest.any() and violations is not None:
        _, place = np.unique(violations[rest], return_inverse=True)
        result[rest] = count + place
        count += int(place.max()) + 1
    result[~known] = count
    return result


def front(values: Floats) -> Mask:
    """(n,) which rows of values (n, m) no other row dominates: equal ones all, those with NaN never."""
    values = _checked(values)
    inside = np.zeros(len(values), dtype=np.bool_)
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    if values.shape[1] <= 2:
        inside[known] = _sorted(values[known]) == 0
        return inside
    # rows in the order of their sum: nothing dominates a row with a smaller sum, so the next one always belongs to it
    rest = known[np.argsort(values[known].sum(axis=1), kind="stable")]
    while len(rest):
        best = values[rest[0]]
        inside[rest[0]] = True
        worse = (values[rest] >= best).all(axis=1)
        same = worse & (values[rest] == best).all(axis=1)
        inside[rest[same]] = True
        rest = rest[~worse]
    return inside


def crowding(values: Floats) -> Floats:
    """(n,) the crowding distance of each row of one front (n, m): the sum over objectives of the gap between its
    neighbours, in shares of the front's range; inf for the ends.
    """
    values = _checked(values)
    n, m = values.shape
    distance = np.zeros(n)
    for k in range(m):
        column = values[:, k]
        order = np.argsort(column, kind="stable")
        width = column[order[-1]] - column[order[0]] if n else 0.0
        if n:
            distance[order[[0, -1]]] = np.inf
        if width > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return distance


def crowded(values: Floats, violations: Floats, count: int) -> tuple[Ints, Ints, Floats]:
    """(rows (k,) of the `count` best of values (n, m): by front, the last front by crowding; their fronts (k,); their
    crowding distances (k,)).  violations: (n,) >= 0, 0 where feasible.
    """
    rank = ranks(values, violations if violations.any() else None)
    room = np.full(len(values), np.inf)
    order = rank.argsort(kind="stable")
    ends = np.cumsum(np.bincount(rank, minlength=1)).tolist()
    for start, stop in zip([0, *ends], ends, strict=False):
        if start >= count:
            break  # these fronts are not wanted
        if stop - start > 2:  # the ends of a front have no neighbour: a front of two has nothing but ends
            room[order[start:stop]] = crowding(values[order[start:stop]])
    kept = np.lexsort((-room, rank))[:count]
    return kept, rank[kept], room[kept]


def dominates(first: Floats, second: Floats) -> Mask:
    """(a, b) whether row i of first (a, m) dominates row j of second (b, m)."""
    no_worse = np.ones((len(first), len(second)), dtype=np.bool_)
    better = np.zeros_like(no_worse)
    for k in range(first.shape[1]):  # an (a, b) array per objective: no (a, b, m) one
        left, right = first[:, k, None], second[:, k]
        no_worse &= left <= right
        better |= left < right
    return no_worse & better


def _checked(values: Floats) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 1:
        raise ValueError(f"values must be (n, m) with m >= 1, got {values.shape}; did you mean values[:, None]?")
    return values


def _sorted(values: Floats) -> Ints:
    m = values.shape[1]
    if m == 1:
        return np.unique(values[:, 0], return_inverse=True)[1].astype(np.int64)
    return _sorted_two(values) if m == 2 else _sorted_many(values)


def _sorted_two(values: Floats) -> Ints:
    """Rows by the first objective; front k takes a row if the last one it took is larger in the second objective.

    The fronts' last second values increase with k (up to equal rows), so the front is found by bisection.
    """
    result = np.zeros(len(values), dtype=np.int64)
    order = np.lexsort((values[:, 1], values[:, 0]))
    lasts: list[float] = []
    previous, before = (np.nan, np.nan), 0
    for row, (x, y) in zip(order.tolist(), values[order].tolist(), strict=True):
        if (x, y) == previous:
            result[row] = before
            continue
        place = bisect_right(lasts, y)  # fronts before it have a row with y' <= y, which dominates
        if place == len(lasts):
            lasts.append(y)
        else:
            lasts[place] = y
        result[row] = before = place
        previous = (x, y)
    return result


def _sorted_many(values: Floats) -> Ints:
    """Peel fronts: count who dominates each row, take those with none, take their dominance away."""
    n = len(values)
    result = np.zeros(n, dtype=np.int64)
    if n * n > _CELLS:  # too large for one matrix: a front at a time
        rest, number = np.arange(n), 0
        while len(rest):
            inside = front(values[rest])
            result[rest[inside]] = number
            rest, number = rest[~inside], number + 1
        return result
    matrix = dominates(values, values)
    left = matrix.sum(axis=0)
    current, number = np.flatnonzero(left == 0), 0
    while len(current):
        result[current] = number
        left[current] = -1
        left -= matrix[current].sum(axis=0)
        current, number = np.flatnonzero(left == 0), number + 1
    return result
