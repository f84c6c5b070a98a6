"""Rows on their way from ask to tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.batch import Floats, Ints, Mask


@dataclass(slots=True, eq=False)
class Chunk:
    """k rows. numbers are -1 until the store has allotted them.

    numbers, tickets: (k,).  points, reals: (k, D).  active: (k, P) or None.  keys: k canonical keys.
    replicates: (k,) or None.  attempt: 1 for the first run.  patience: factor on the deadline (a retried timeout).
    further: these are more evaluations of points that were evaluated already.  lost: a former life of this process had
    opened them; each is claimed again, alone, before it runs.  due: what queued rows are ordered by (see `PRIORITY_S`).
    """

    numbers: Ints
    tickets: Ints
    points: Floats
    reals: Floats
    active: Mask | None
    keys: list[bytes]
    replicates: Ints | None = None
    source: str = "strategy"
    attempt: int = 1
    patience: float = 1.0
    further: bool = False
    lost: bool = False
    due: float = 0.0

    def __len__(self) -> int:
        return len(self.tickets)

    def rows(self, index: slice | Ints | Mask) -> Chunk:
        """Some of its rows."""
        if isinstance(index, slice):
            keys = self.keys[index]
        else:
            keys = [self.keys[i] for i in np.arange(len(self))[index].tolist()]
        return Chunk(
            self.numbers[index],
            self.tickets[index],
            self.points[index],
            self.reals[index],
            None if self.active is None else self.active[index],
            keys,
            None if self.replicates is None else self.replicates[index],
            self.source,
            self.attempt,
            self.patience,
            self.further,
            self.lost,
            self.due,
        )
