"""A CMA-ES's candidates that were drawn from different distributions, and the steps that the present one learns from.

With several workers a distribution moves as soon as a population's worth of answers has come, whoever they belong to;
what is still under way then was drawn around an earlier mean. From where is its step to be measured? From the earlier
mean, the same progress is made twice (on stale samples: N. Hansen, github.com/CMA-ES/pycma/issues/147). From the
present one (an injected point: N. Hansen, arXiv:1110.4181), a late answer takes the mean back to where it was. Half way
between them is better than both: on 24 functions of bbob in 5 columns with 8 workers, areas over evaluations are .063
and .212 at 50 and 1000 d, from the earlier mean .058 and .181, from the present one .062 and .193.

Tried and dropped: importance weights (Sun et al. 2009, doi:10.1145/1569901.1569976; of so few candidates they lose 2 to
14 %), measuring from the mean of all the means they were drawn around (2 % worse at 50 d, 3 % better at 1000 d), larger
populations for 32 workers (12: the same, 16: 3 % worse).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...core.batch import Floats, Ints
from ._cma import Normal

_BACK = 0.5  # of the way from the present mean to the one that a candidate was drawn around: there its step begins


@dataclass(slots=True, eq=False)
class Candidates:
    """Rows in the order of their tickets, or in that of their answers.

    tickets: (k,).  points: (k, D) as proposed, later as evaluated.  merits: (k,), NaN until told.
    places: (k, d) where they were drawn, not folded into the cube.  origins: (k, d) the mean they were drawn around.
    drawn: (k, c) options of choices.  runs, regimes: (k,) what they were drawn for.
    """

    tickets: Ints
    points: Floats
    merits: Floats
    places: Floats
    origins: Floats
    drawn: Ints
    runs: Ints
    regimes: Ints

    @classmethod
    def none(cls, dimension: int, columns: int, choices: int) -> Candidates:
        """No rows."""
        empty = np.empty(0, dtype=np.int64)
        none: Floats = np.empty((0, columns))
        drawn = np.empty((0, choices), dtype=np.int64)
        return cls(empty, np.empty((0, dimension)), np.empty(0), none, none, drawn, empty, empty)

    def __len__(self) -> int:
        return len(self.tickets)

    def rows(self, index: Ints | slice) -> Candidates:
        """Those at `index`."""
        return Candidates(*(getattr(self, field.name)[index] for field in fields(self)))

    def plus(self, others: Candidates) -> Candidates:
        """These, then the others."""
        pairs = ((getattr(self, field.name), getattr(others, field.name)) for field in fields(self))
        return Candidates(*map(np.concatenate, pairs))

    def taken(self, tickets: Ints) -> tuple[Candidates, Candidates]:
        """(those with `tickets` (k,), in this order; the others). The tickets increase here, and hold those."""
        at = np.searchsorted(self.tickets, tickets)
        left = np.ones(len(self), dtype=np.bool_)
        left[at] = False
        return self.rows(at), self.rows(np.flatnonzero(left))

    def mirror(self, turns: Floats) -> None:
        """Follow a mean that was brought back into the cube, see `Normal.mirror`."""
        odd = turns % 2 != 0
        for places in (self.places, self.origins):
            places[:] = np.where(odd, turns + 1.0 - places, places - turns)

    def samples(self, normal: Normal) -> Floats:
        """(2, k + 1, d) their z and y as the present distribution sees them, then its paths."""
        begin = normal.mean + _BACK * (self.origins - normal.mean)
        steps = normal.steps(self.places - begin + normal.mean)
        return np.concatenate([np.array(steps), normal.samples[:, -1:]], axis=1)
