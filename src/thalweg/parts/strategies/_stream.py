"""The shared base of methods that do not learn: points come from a stream of blocks, whatever the answers say."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ...core.batch import Answers, Floats
from ...core.strategy import MANY, Abilities, Strategy
from ._seen import Seen

BLOCK = 1024


class Stream(Strategy):
    """Abstract: write `block`. Random numbers are drawn block by block, so grouping of asks changes nothing."""

    abilities = Abilities(objectives=MANY)

    @abstractmethod
    def block(self) -> Floats:
        """(k >= 1, D) the next points of the stream."""

    def begin(self) -> None:
        """Set up the buffer; a subclass's `begin` calls this first."""
        self.seen = Seen.of(self.problem)
        self._buffer: Floats = np.empty((0, self.dimension))
        self._used = 0
        self._spare: Floats = np.empty((0, self.dimension))

    @property
    def stride(self) -> int:
        """A block: nothing needs to be heard."""
        return BLOCK

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._used >= len(self._buffer)

    @property
    def why(self) -> str:
        """What is going on."""
        return f"all {self.seen.count} points of the space were proposed" if self.done else "drawing points"

    def propose(self, n: int) -> Floats:
        """The next n points."""
        rows = self._buffer[self._used : self._used + n]
        self._used += len(rows)
        if len(rows) == n:
            return rows
        parts = [rows]
        missing = n - len(rows)
        while missing > 0 and not self.seen.exhausted:
            space = self.problem.space
            self._buffer, _ = self.seen.fresh(self.block(), space, self.rng, self._more)
            parts.append(self._buffer[:missing])
            self._used = len(parts[-1])
            missing -= self._used
        return np.concatenate(parts)

    def _more(self, k: int) -> Floats:
        """(k, D) further points of the stream, to replace repeated ones."""
        parts = [self._spare]
        while sum(map(len, parts)) < k:
            parts.append(self.block())
        points = np.concatenate(parts)
        self._spare = points[k:]
        return points[:k]

    def learn(self, answers: Answers) -> None:
        """Nothing: the stream is fixed beforehand."""

    def absorb(self, answers: Answers) -> None:
        """Foreign points of a finite space need not be proposed again."""
        if not self.seen.on:
            return
        self.seen.add(answers.points)
        rest = self._buffer[self._used :]
        if len(rest):
            # what waits in the buffer counts as seen itself: compare with the foreign rows only
            known = Seen(on=True)
            known.add(answers.points)
            self._buffer, self._used = rest[~known.contains(rest)], 0
