"""Evolution beside the models of a front: who breeds, whose turn it is, and steps far along few columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...core.batch import Floats, Ints, Mask
from ...core.space import Space
from ...numerics.dominance import crowded

MODELS, FRONT, WILD, LINES = range(4)
"""Where a proposal comes from. WILD: from parents that descend from no proposal of a model. LINES: their turns
are not by gains."""
ELSEWHERE = -1
"""The first design, and foreign points."""

_FIRST = (0.06, 0.01, 0.01)  # what proposals are thought to gain, until they did
_IDLE = 5e-5  # and at least: where hardly anything is gained all have turns
# Shares of the proposals, at least: a quarter is bred where models are best (dtlz2 of the benchmarks), and most where
# they gain nothing (wfg9, tree).
_LEAST = (0.1, 0.2, 0.1)
_MEMORY = 0.93  # per proposal, of what a source's proposals gained


def _none() -> Ints:
    return np.empty(0, dtype=np.int64)


@dataclass(eq=False)
class Turns:
    """gains: (3,) what a proposal of each source lately gained, in shares of the front's volume.

    tickets, sources: (k,) proposals that are out, and where each is from.
    """

    gains: Floats = field(default_factory=lambda: np.array(_FIRST))
    tickets: Ints = field(default_factory=_none)
    sources: Ints = field(default_factory=_none)

    def next(self, rng: np.random.Generator) -> int:
        """The source of the next proposal: by chance, in proportion to what each gained."""
        chances = self.gains + _IDLE
        chances = np.maximum(chances / chances.sum(), _LEAST)
        return int(rng.choice(len(chances), p=chances / chances.sum()))

    def sent(self, ticket: int, count: int, source: int) -> None:
        """`count` proposals from `source` are out, the first with this ticket."""
        self.tickets = np.append(self.tickets, np.arange(ticket, ticket + count))
        self.sources = np.append(self.sources, np.full(count, source))

    def sources_of(self, tickets: Ints) -> Ints:
        """(k,) where the proposals with tickets (k,) are from."""
        same = tickets[:, None] == self.tickets
        return np.where(same.any(axis=1), (same * (self.sources + 1)).sum(axis=1) - 1, ELSEWHERE)

    def judge(self, tickets: Ints, gained: Floats) -> None:
        """Proposals with tickets (k,) gained (k,): remembered, and slowly forgotten."""
        sources = self.sources_of(tickets)
        for row in np.argsort(tickets, kind="stable").tolist():
            if (source := int(sources[row])) not in (ELSEWHERE, LINES):
                self.gains[source] = _MEMORY * self.gains[source] + (1.0 - _MEMORY) * gained[row]

    def returned(self, tickets: Ints) -> None:
        """Proposals with tickets (k,) are out no more."""
        left = ~np.isin(self.tickets, tickets)
        self.tickets, self.sources = self.tickets[left], self.sources[left]


@dataclass(eq=False)
class Herd:
    """Rows (k,) that breed, the number of each one's front, and its crowding.  most: how many there may be."""

    most: int
    rows: Ints = field(default_factory=_none)
    ranks: Ints = field(default_factory=_none)
    room: Floats = field(default_factory=lambda: np.empty(0))

    def join(self, new: Ints, values: Floats, violations: Floats) -> None:
        """New rows of all values (n, m) and violations (n,) join; the best stay."""
        pool = np.concatenate([self.rows, new])
        if not len(pool):
            return
        # one of those with equal values: on a plateau all parents would soon be the same
        pool = pool[np.sort(np.unique(values[pool], axis=0, return_index=True)[1])]
        kept, self.ranks, self.room = crowded(values[pool], violations[pool], self.most)
        self.rows = pool[kept]

    def pairs(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """(count,) and (count,) rows that won tournaments of two, those of a pair different; of two rows at least."""
        pairs = rng.integers(len(self.rows), size=(2, 2, count))
        rank, room = self.ranks[pairs], self.room[pairs]
        second = (rank[1] < rank[0]) | ((rank[1] == rank[0]) & (room[1] > room[0]))
        one, two = np.where(second, pairs[1], pairs[0])
        two = np.where(two == one, (two + 1) % len(self.rows), two)
        return self.rows[one], self.rows[two]


def far_steps(points: Floats, space: Space, rng: np.random.Generator) -> Floats:
    """Points (n, D) with k of their columns as in points from anywhere, k = 1 to D with chances proportional to 1 / k.

    They find the other pieces of a front in pieces, which crossover and small mutations do not leave.
    """
    n, d = points.shape
    chances = 1.0 / np.arange(1, d + 1)
    count = 1 + rng.choice(np.arange(d), size=n, p=chances / chances.sum())
    place = rng.permuted(np.broadcast_to(np.arange(d), (n, d)), axis=1)
    changed: Mask = place < count[:, None]
    return np.where(changed, space.sample(n, rng), points)
