"""Latin hypercube search. M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21 (1979), doi:10.2307/1268522."""

from __future__ import annotations

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

    Raises:
        StrategyError: a block that is not in 1 .. 1024 with maximin, or below 1.
    """

    def __init__(self, block: int | None = None, maximin: bool = False, centred: bool = False) -> None:
        if block is not None and (block < 1 or (maximin and block > BLOCK)):
            raise StrategyError(f"lhs: block is a number of rows, 1 to {BLOCK} with maximin; got {block}")
        self.rows = block
        self.maximin = maximin
        self.centred = centred

    def block(self) -> Floats:
        """The next hypercube."""
        rows = self.rows or min(self.budget or 256, BLOCK)
        points = latin_hypercube(rows, self.dimension, self.rng, self.centred)
        if self.maximin:
            points = spread_out(points, self.rng)
        return self.problem.space.repair(points, self.rng)
