"""Boxes that are being divided: what is wanted of them, and what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ...core.batch import Floats, Ints


@dataclass(slots=True, eq=False)
class Division:
    """The boxes being divided and the 2k places of their children: below and above for each side that is divided."""

    boxes: list[int] = field(default_factory=list)
    sides: list[list[int]] = field(default_factory=list)
    """The columns along which each box is divided."""
    points: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(2k, D)"""
    merits: Floats = field(default_factory=lambda: np.empty(0))
    """(2k,)"""
    thirds: list[tuple[int, int] | None] = field(default_factory=list)
    """First and last cell of each child on the side that is divided, where that is discrete."""
    twins: Ints | None = None
    """(2k,) place of the same point in this batch, or _OWN value, _NONE (no such child), _INFEASIBLE; None: all own."""
    asked: Ints | None = None
    """(a,) places to evaluate; None: all."""
    size: int = 0
    first: int = 0
    """Ticket of the first place to evaluate."""
    given: int = 0
    heard: int = 0

    @property
    def complete(self) -> bool:
        """Whether every place was told."""
        return self.heard == self.size == self.given

    def columns(self) -> dict[str, Any]:
        """Its fields as plain data, copied: `Division(**columns)` is its twin."""
        columns = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: value.copy() if isinstance(value, (np.ndarray, list)) else value for name, value in columns.items()
        }


def thirds(first: int, last: int, centre: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Cells first..last without the middle third that holds `centre`: (first, last) below and above it; first > last
    where nothing is there.
    """
    third = (last - first + 2) // 3
    below, above = min(third, centre - first), min(third, last - centre)
    return (first, first + below - 1), (last - above + 1, last)


def lower_hull(heaps: dict[float, list[tuple[float, int]]]) -> list[tuple[float, float]]:
    """(size, smallest value) of the lower right convex hull, from the largest size on; heaps: (value, box) by size."""
    hull: list[tuple[float, float]] = []
    for size in sorted(heaps, reverse=True):
        value = heaps[size][0][0]
        if hull and value >= hull[-1][1]:
            continue  # a larger box promises as much
        while len(hull) >= 2:
            (size_a, value_a), (size_b, value_b) = hull[-2:]
            if (value_a - value_b) * (size_b - size) >= (value_b - value) * (size_a - size_b):
                break
            hull.pop()
        hull.append((size, value))
    return hull
