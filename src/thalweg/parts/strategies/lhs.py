"""Latin hypercube search. M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21 (1979), doi:10.2307/1268522."""

from __future__ import annotations

import math
from typing import final

from ...core.batch import Floats
from ...core.errors import StrategyError
from ...numerics.quasi_random import latin_hypercube, spread_out
from ._stream import BLOCK, Stream


@final
class LatinHypercube(Stream):
    """Latin hypercubes, one after the other: each has one point in every slice of every axis.

    block: rows of one hypercube; default: the budget, at most 1024 (256 without a budget).
    maximin: swap coordinates until the points of a hypercube lie far apart (for hypercubes up to 1024 rows).
    centred: points in the middle of their slice instead of anywhere in it.
    end: it is done after so many rows for each column, rounded down (none at all where that is 0); None: never.

    Raises:
        StrategyError: a block that is not in 1 .. 1024 with maximin, or below 1; an end that is not above 0.
    """

    def __init__(
        self, block: int | None = None, maximin: bool = False, centred: bool = False, end: float | None = None
    ) -> None:
        if end is not None and not end > 0:
            raise StrategyError(f"lhs: end is a number of rows for each column, above 0; got {end}")
        if block is not None and (block < 1 or (maximin and block > BLOCK)):
            raise StrategyError(f"lhs: block is a number of rows, 1 to {BLOCK} with maximin; got {block}")
        self.rows = block
        self.maximin = maximin
        self.centred = centred
        self.end = end

    @property
    def left(self) -> int:
        """Rows until it ends."""
        return BLOCK if self.end is None else max(math.floor(self.end * self.dimension) - self.next_ticket, 0)

    @property
    def stride(self) -> int:
        """A block, or what is left."""
        return min(BLOCK, max(self.left, 1))

    @property
    def done(self) -> bool:
        """Whether it has ended, or every point of a finite space was proposed."""
        return not self.left or super().done

    @property
    def why(self) -> str:
        """What is going on."""
        return super().why if self.left else f"all {self.next_ticket} points were proposed"

    def propose(self, n: int) -> Floats:
        """The next n points, or what is left."""
        return super().propose(n if self.end is None else min(n, self.left))

    def block(self) -> Floats:
        """The next hypercube."""
        rows = self.rows or min(self.budget or 256, self.left, BLOCK)
        points = latin_hypercube(rows, self.dimension, self.rng, self.centred)
        if self.maximin:
            points = spread_out(points, self.rng)
        return self.problem.space.repair(points, self.rng)
