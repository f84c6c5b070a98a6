"""Random search: independent uniform points. J. Bergstra, Y. Bengio, JMLR 13 (2012) 281-305."""

from __future__ import annotations

from typing import final

from ...core.batch import Floats
from ._stream import BLOCK, Stream


@final
class Random(Stream):
    """Feasible points, uniform over the unit cube; in finite spaces each point once."""

    def block(self) -> Floats:
        """1024 points."""
        return self.problem.space.sample(BLOCK, self.rng)
