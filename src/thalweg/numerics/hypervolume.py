"""The hypervolume: how much of the space below a reference point a set dominates; everything is minimised.

Two objectives: a sweep. Three: a sweep over the third with the staircase of the other two (C. M. Fonseca, L. Paquete,
M. Lopez-Ibanez, CEC 2006, doi:10.1109/CEC.2006.1688440). More: WFG, L. While, L. Bradstreet, L. Barone, IEEE TEVC 16
(2012) 86-95, doi:10.1109/TEVC.2010.2077298: the sum of exclusive volumes, each from the set limited to a point's box.

Reference point: a row counts only where it is smaller than the reference in every objective; rows on or beyond it, and
rows with NaN, add nothing. Without one, `reference_of` takes the worst value plus a tenth of the range per objective:
fine for looking at one set, useless for comparing two of them: give the same reference to both.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from .dominance import Floats, front


def reference_of(values: Floats, margin: float = 0.1) -> Floats:
    """(m,) the largest finite value per objective plus `margin` of the range (of |value|, or 1, where that is 0)."""
    finite = values[np.isfinite(values).all(axis=1)]
    if not len(finite):
        raise ValueError("no finite row: there is nothing to take a reference point from")
    worst, width = finite.max(axis=0), np.ptp(finite, axis=0)
    width = np.where(width > 0, width, np.where(worst != 0, np.abs(worst), 1.0))
    return np.asarray(worst + margin * width, dtype=np.float64)


def below(values: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """(the rows of values (n, m) that are better than reference (m,) in every objective, reference as an array).

    Raises:
        ValueError: shapes that do not fit, or a reference point that is not finite.
    """
    values, reference = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if values.ndim != 2 or reference.shape != values.shape[1:]:
        raise ValueError(f"values must be (n, m) and reference (m,), got {values.shape} and {reference.shape}")
    if not np.isfinite(reference).all():
        raise ValueError(f"the reference point must be finite, got {reference.tolist()}")
    return values[(values < reference).all(axis=1)], reference


def hypervolume(values: Floats, reference: Floats) -> float:
    """The volume dominated by values (n, m) and bounded by reference (m,).

    Raises:
        ValueError: shapes that do not fit, or a reference point that is not finite.
    """
    inside, reference = below(values, reference)
    if np.isneginf(inside).any():
        return float("inf")
    if not len(inside):
        return 0.0
    inside = np.unique(inside[front(inside)], axis=0)
    return _volume(reference - inside)


def contributions(values: Floats, reference: Floats) -> Floats:
    """(n,) how much the hypervolume of values (n, m) shrinks when a row is taken away."""
    values = np.asarray(values, dtype=np.float64)
    total = hypervolume(values, reference)
    kept = np.ones(len(values), dtype=np.bool_)
    result = np.zeros(len(values))
    for i in np.flatnonzero(front(values)).tolist():
        kept[i] = False
        result[i] = total - hypervolume(values[kept], reference)
        kept[i] = True
    return np.maximum(result, 0.0)


# below, sizes (n, m) > 0 are distances from the reference: boxes with a common corner, larger is better


def _volume(sizes: Floats) -> float:
    n, m = sizes.shape
    if n == 0:
        return 0.0
    if n == 1:
        return float(sizes.prod())
    if m == 1:
        return float(sizes.max())
    if m == 2:
        return _area(sizes)
    if m == 3:
        return _volume_three(sizes)
    return _wfg(sizes)


def _area(sizes: Floats) -> float:
    ordered = sizes[np.argsort(-sizes[:, 0], kind="stable")]
    tops = np.maximum.accumulate(ordered[:, 1])
    gains = np.diff(tops, prepend=0.0)
    return float((ordered[:, 0] * gains).sum())


def _volume_three(sizes: Floats) -> float:
    """From the highest box down: the area of the staircase so far times the drop to the next."""
    ordered = sizes[np.lexsort((sizes[:, 1], sizes[:, 0], -sizes[:, 2]))].tolist()
    xs: list[float] = []  # the staircase: x increasing, y decreasing
    ys: list[float] = []
    area = volume = 0.0
    height = ordered[0][2]
    for x, y, z in ordered:
        volume += area * (height - z)
        height = z
        place = bisect_left(xs, x)
        if place < len(xs) and ys[place] >= y:
            continue  # a higher box covers it
        last = place + 1 if place < len(xs) and xs[place] == x else place
        first = place
        while first > 0 and ys[first - 1] <= y:
            first -= 1
        left = xs[first - 1] if first else 0.0
        floor = ys[last] if last < len(ys) else 0.0
        covered, edge = 0.0, left
        for i in range(first, last):
            covered += (xs[i] - edge) * (ys[i] - floor)
            edge = xs[i]
        area += (x - left) * (y - floor) - covered
        xs[first:last], ys[first:last] = [x], [y]
    return float(volume + area * height)


def _wfg(sizes: Floats) -> float:
    """Sum of exclusive volumes; rows with a small last size first, so that limited sets shrink fast."""
    ordered = sizes[np.argsort(sizes[:, -1], kind="stable")]
    total = 0.0
    for i in range(len(ordered)):
        box = ordered[i]
        limited = np.minimum(ordered[i + 1 :], box)
        total += float(box.prod()) - _limited(limited, float(box[-1]))
    return total


def _limited(sizes: Floats, height: float) -> float:
    """The volume of a limited set. All its rows reach the same last size: one dimension less."""
    if not len(sizes):
        return 0.0
    flat = sizes[:, :-1]
    flat = np.unique(flat[front(-flat)], axis=0)
    return height * _volume(flat)
