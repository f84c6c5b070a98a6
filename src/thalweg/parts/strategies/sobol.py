"""Sobol search: a scrambled low-discrepancy sequence; see `thalweg.numerics.quasi_random` for the sources."""

from __future__ import annotations

from typing import final, get_args

from ...core.batch import Floats
from ...core.errors import StrategyError
from ...numerics.quasi_random import Scramble, scrambled, sobol_directions, sobol_points
from ._stream import BLOCK, Stream

_PATIENCE = 64


@final
class Sobol(Stream):
    """Points of a Sobol sequence, in order; in finite spaces each point once, infeasible ones are skipped.

    scramble: "linear" (random matrix and shift, the default), "shift" (only a random shift) or "none" (the sequence as
    published, the same for every seed; its first point is the corner 0).

    Raises:
        StrategyError: an unknown kind of scrambling.
    """

    def __init__(self, scramble: Scramble = "linear") -> None:
        if scramble not in get_args(Scramble):
            raise StrategyError(f"sobol: scramble is one of {get_args(Scramble)}, got {scramble!r}")
        self.scramble = scramble

    def begin(self) -> None:
        """Draw the scrambling."""
        super().begin()
        self._directions, self._shift = scrambled(sobol_directions(self.dimension), self.rng, self.scramble)
        self.index = 0

    def block(self) -> Floats:
        """The feasible ones of the next 1024 points."""
        space = self.problem.space
        for _ in range(_PATIENCE):
            points = sobol_points(self._directions, self._shift, self.index, BLOCK)
            self.index += BLOCK
            if not space.constrained:
                return points
            points, reals, active = space.resolve(points)
            good = space.feasible(reals, active)
            if good.any():
                return points[good]
        return space.repair(points, self.rng)
