"""Line searches along single columns beside the models of a front, for what several objectives have in common.

Where objectives share a factor that is a sum over single columns, full of bumps, every point of the front has that
factor at its least, and no step in a few columns from one valley to the next is foreseen by a model. `axes` searches
the sum of the objectives, and ends after two rows where that is no sum over columns (see `Axes`). Where it has led to
the front, few points of it are known: the rest are found along the columns that do not leave it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...core.batch import FOREIGN, Answers, Floats, Ints, Mask
from ...core.problem import Problem
from ...core.space import Space
from .axes import Axes

_ALIKE = 100.0  # objectives are weighted by powers of it: those of about the same range are added as they are
_HOLDS = 0.03  # the error of an exchange that still shows a sum: the front bends
_IDLE = 12  # rows for each column without a gain, until lines are left for good
_GAIN = 1e-3  # of the sum's range
_FINE = 1e-5  # the tolerance from which on models are better than lines
_SAME = 1e-9  # of the box
_TWO = 0.5  # of the rows along the front move two columns


def _none() -> Ints:
    return np.empty(0, dtype=np.int64)


def search_of(problem: Problem, seeds: np.random.SeedSequence) -> Axes:
    """A search of the problem's space for one value, its seed apart from others'."""
    search = Axes(tested=True, restarts=False, holds=_HOLDS)
    own = np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, 0))
    search.start(replace(problem, objectives=problem.objectives[:1]), own)
    return search


def weights_of(values: Floats) -> Floats:
    """(m,) what the objectives of finite values (n, m) are multiplied by before they are added."""
    width = np.ptp(values, axis=0)
    most = float(width.max(initial=0.0))
    if not 0.0 < most < np.inf:
        return np.ones(values.shape[1])
    ratio = most / np.maximum(width, 1e-12 * most)
    return np.asarray(_ALIKE ** np.round(np.log(ratio) / np.log(_ALIKE)))


@dataclass(eq=False)
class Lines:
    """What is known beside the search itself.

    weights: (m,) of the objectives; none before it begins.  first, best: the least sums, when it began and now.
    step: a gain.  idle: rows without one.  tickets, own: (k,) of its rows that are out, in our books and in its own.
    """

    weights: Floats = field(default_factory=lambda: np.empty(0))
    first: float = np.inf
    best: float = np.inf
    step: float = 0.0
    idle: int = 0
    tickets: Ints = field(default_factory=_none)
    own: Ints = field(default_factory=_none)

    @property
    def begun(self) -> bool:
        """Whether anything was told."""
        return bool(len(self.weights))

    @property
    def won(self) -> bool:
        """Whether anything was gained since."""
        return self.begun and self.best < self.first - self.step

    def goes_on(self, search: Axes) -> bool:
        """Whether rows of it are wanted."""
        return self.begun and not search.done and search.share > _FINE and self.idle < _IDLE * search.dimension

    def begin(self, search: Axes, known: Answers) -> None:
        """Tell all that is known, as of foreign points."""
        values = known.values[known.ok]
        self.weights = weights_of(values)
        self.step = _GAIN * float(np.ptp(values @ self.weights))
        self.tell(search, known)
        self.first = self.best

    def sent(self, ticket: int, own: Ints) -> None:
        """Rows of the search, with these tickets (k,) of its own, are out: the first with this ticket of ours."""
        self.tickets = np.append(self.tickets, np.arange(ticket, ticket + len(own)))
        self.own = np.append(self.own, own)

    def tell(self, search: Axes, answers: Answers) -> None:
        """Tell the sums of the objectives; others' answers as of foreign points."""
        same = answers.tickets[:, None] == self.tickets
        mine = same.any(axis=1)
        tickets = np.full(len(answers), FOREIGN, dtype=np.int64)
        row, place = np.nonzero(same)
        tickets[row] = self.own[place]
        kept = ~same.any(axis=0)
        self.tickets, self.own = self.tickets[kept], self.own[kept]
        told = replace(answers, tickets=tickets, values=(answers.values @ self.weights)[:, None], noise=None)
        search.tell(told)
        least = float(told.merit().min(initial=np.inf))
        self.idle = 0 if least < self.best - self.step else self.idle + int(mine.sum())
        self.best = min(self.best, least)


@dataclass(eq=False)
class Spread:
    """Which columns, moved alone, lead along a front.  tries, stays: (D,) how often it was seen, and led along it."""

    tries: Floats
    stays: Floats

    def learn(self, points: Floats, stayed: Mask, members: Floats) -> None:
        """Points (k, D), which of them are on the new front, and the front (n, D) before."""
        apart = np.abs(points[:, None] - members[None]) > _SAME
        for row, where in enumerate(apart.sum(axis=2).argmin(axis=1).tolist()):
            changed = apart[row, where]
            if changed.sum() == 1:
                self.tries += changed
                self.stays += changed & stayed[row]

    def children(self, points: Floats, space: Space, rng: np.random.Generator) -> Floats:
        """Points (n, D) of the front with one or two of such columns from anywhere."""
        rows = points.copy()
        chances = ((self.stays + 0.5) / (self.tries + 1.0)) ** 2
        chances /= chances.sum()
        for row, other in zip(rows, space.sample(len(points), rng), strict=True):
            count = min(1 + int(rng.random() < _TWO), len(chances))
            changed = rng.choice(len(chances), size=count, replace=False, p=chances)
            row[changed] = other[changed]
        return rows
