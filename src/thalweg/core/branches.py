"""The different points of a space with conditions, by index: branches that are not taken are never walked through.

Of a chain of 20 parameters that each need the one before, 3.5 thousand million combinations are 41 points. What decides
about others (the names in conditions) is laid out branch by branch, a parameter after those that it depends on; all
other parameters multiply.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .batch import Floats, Ints, Mask

if TYPE_CHECKING:
    from .space import Space

_ENTRIES = 2**21
"""Numbers in the largest table of branches (16 MB)."""


@dataclass(frozen=True, eq=False)
class Branches:
    """R branches of a finite space.

    reals: (R, D) values of the parameters that were laid out; the others rest.  active: (R, P).
    counts: of each parameter, its values; 1 where it was laid out.  ends: (R,) points up to each branch and with it.
    """

    space: Space
    reals: Floats
    active: Mask
    counts: tuple[int, ...]
    ends: Ints

    @property
    def size(self) -> int:
        """Different points, requirements ignored."""
        return int(self.ends[-1])

    def points(self, index: Ints) -> Floats:
        """(n, D) snapped points with these indices (n,) in 0 .. size - 1, each another one."""
        space, branch = self.space, np.searchsorted(self.ends, index, side="right")
        reals, active = self.reals[branch], self.active[branch]
        rest = index - np.where(branch > 0, self.ends[branch - 1], 0)
        for number, (name, block) in enumerate(space.blocks):
            count = self.counts[number]
            if count > 1:
                here = np.where(active[:, number], count, 1)
                reals[:, block] = space.parameters[name].cells(rest % here)
                rest = rest // here
        return space.snap(space.layout.encode(reals))

    def feasible(self) -> int:
        """Different points, where requirements hold for whole branches."""
        columns = self.active[:, self.space.layout.owner]
        good = self.space.feasible(np.where(columns, self.reals, np.nan), self.active)
        return int(np.diff(self.ends, prepend=0)[good].sum())


def branches_of(space: Space, names: set[str], limit: int) -> Branches | None:
    """The branches of a space that `names` make (with each, those on which its condition depends); None: more than
    `limit` of them, too many points to count, or infinitely many.
    """
    numbers = {name: number for number, name in enumerate(space.names)}
    counts = [parameter.count or 0 for parameter in space.parameters.values()]
    if not all(counts):
        return None
    conditions = dict(space.conditions.ordered)
    always = [numbers[name] for name in space.names if name in names and numbers[name] not in conditions]
    limit = min(limit, _ENTRIES // max(space.dimension, 1))
    if math.prod(counts[number] for number in always) > limit:
        return None
    blocks = [block for _, block in space.blocks]
    reals, active = space.conditions.rest_reals[None].copy(), np.ones((1, len(counts)), dtype=np.bool_)
    for number in [*always, *conditions]:  # conditions: parents before children
        condition = conditions.get(number)
        if condition is not None:
            active[:, number] = space.conditions.holds(condition, reals, active)
        if space.names[number] not in names:
            continue
        times = np.where(active[:, number], counts[number], 1)
        if int(times.sum()) > limit:
            return None
        rows = np.repeat(np.arange(len(reals)), times)
        cell = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
        reals, active = reals[rows], active[rows]
        taken = np.flatnonzero(active[:, number])
        if len(taken):
            reals[taken, blocks[number]] = space.parameters[space.names[number]].cells(cell[taken])
    free = [1 if name in names else counts[number] for name, number in numbers.items()]
    if len(reals) * math.prod(free) >= 2**62:
        return None
    weights = np.where(active, np.array(free, dtype=np.int64), 1).prod(axis=1, dtype=np.int64)
    return Branches(space, reals, active, tuple(free), np.cumsum(weights))
