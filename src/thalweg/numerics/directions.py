"""Reference directions: points spread evenly over the unit simplex, one for each way to weigh m objectives.

I. Das, J. E. Dennis, SIAM J. Optim. 8 (1998) 631-657, doi:10.1137/S1052623496307510: all points whose coordinates are
multiples of 1/p; there are C(p + m - 1, m - 1). With p < m none of them lies inside, so for many objectives a second,
smaller layer is added within (K. Deb, H. Jain, IEEE TEVC 18 (2014) 577-601, doi:10.1109/TEVC.2013.2281535, section V).
"""

from __future__ import annotations

from math import comb

import numpy as np

from .dominance import Floats, Ints


def das_dennis(objectives: int, parts: int) -> Floats:
    """(C(parts + m - 1, m - 1), m) points of the simplex with coordinates that are multiples of 1/parts.

    Raises:
        ValueError: no objective, or a number of parts below 1.
    """
    if objectives < 1 or parts < 1:
        raise ValueError(f"at least one objective and one part are needed, got {objectives} and {parts}")
    rows: list[list[int]] = [[]]
    for _ in range(objectives - 1):
        rows = [[*row, k] for row in rows for k in range(parts - sum(row) + 1)]
    table = np.array([[*row, parts - sum(row)] for row in rows], dtype=np.float64)
    return np.asarray(table / parts)


def reference_directions(objectives: int, most: int) -> Floats:
    """(n, m) directions, as many as the construction allows without exceeding `most` (m of them at least: the axes).

    One layer where it reaches the inside of the simplex, else an outer one and an inner one of half its size.
    """
    if objectives == 1:
        return np.ones((1, 1))
    parts = _parts(objectives, most)
    if parts >= objectives:
        return das_dennis(objectives, parts)
    outer, inner = _layers(objectives, most)
    if not inner:
        return das_dennis(objectives, outer)
    within = 0.5 * das_dennis(objectives, inner) + 0.5 / objectives  # half the size, about the same middle
    return np.concatenate([das_dennis(objectives, outer), within])


def _count(objectives: int, parts: int) -> int:
    return comb(parts + objectives - 1, objectives - 1)


def _parts(objectives: int, most: int) -> int:
    """The most parts whose points are no more than `most`; 1 at least."""
    parts = 1
    while _count(objectives, parts + 1) <= most:
        parts += 1
    return parts


def _layers(objectives: int, most: int) -> tuple[int, int]:
    """(parts of the outer layer, parts of the inner one; 0: none), the outer one as fine as it leaves room for both."""
    outer = _parts(objectives, most)
    while outer >= 1:
        left = most - _count(objectives, outer)
        if left >= objectives:
            return outer, min(_parts(objectives, left), outer)
        outer -= 1
    return _parts(objectives, most), 0


def nearest_directions(values: Floats, directions: Floats) -> tuple[Ints, Floats]:
    """(n,) the direction with the least angle to each row of values (n, m) >= 0, and (n,) the distance to that line."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = values @ unit.T
    squared = np.einsum("ij,ij->i", values, values)[:, None] - along**2
    place = np.argmin(squared, axis=1)
    apart = np.sqrt(np.maximum(squared[np.arange(len(values)), place], 0.0))
    return place.astype(np.int64), np.asarray(apart)


def neighbourhoods(directions: Floats, count: int) -> Ints:
    """(n, min(count, n)) the nearest directions of each one, itself first."""
    apart = ((directions[:, None] - directions[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, -1.0)
    return np.asarray(np.argsort(apart, axis=1, kind="stable")[:, :count], dtype=np.int64)
