"""Success-history adaptation of differential evolution's F and CR.

R. Tanabe, A. Fukunaga, "Improving the search performance of SHADE using linear population size reduction", CEC 2014,
doi:10.1109/CEC.2014.6900380 (L-SHADE); the weighted Lehmer mean of both memories, averaged with the old cell, as in
J. Brest, M. S. Maucec, B. Boskovic, "Single objective real-parameter optimization: algorithm jSO", CEC 2017,
doi:10.1109/CEC.2017.7969456.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SCALE = 0.1
"""Spread of F (Cauchy) and CR (normal) around a cell."""
TERMINAL = -1.0
"""Stands in a CR cell whose successes all had CR = 0: it gives 0 from then on."""


@dataclass(eq=False)
class SuccessHistory:
    """H cells of means (F, CR); each generation that improved something changes the next cell.

    low: (H,) arctan(-F / SCALE), the angle from which the Cauchy distribution of a cell is positive.
    terminal: whether any CR cell is.
    """

    F: Floats
    CR: Floats
    low: Floats
    turn: int = 0
    terminal: bool = False

    @classmethod
    def start(cls, F: Sequence[float] | Floats, CR: Sequence[float] | Floats) -> SuccessHistory:
        """A memory with these first means, one per cell."""
        means = np.array(F, dtype=np.float64)
        return cls(means, np.array(CR, dtype=np.float64), np.arctan(means / -SCALE))

    def draw(self, cell: NDArray[np.intp], u: Floats, z: Floats) -> tuple[Floats, Floats]:
        """(F (n,), CR (n,)) of cells (n,), from uniforms u and standard normals z, both (n,); all are overwritten.

        F ~ Cauchy(M_F, 0.1) given F > 0, cut at 1: drawing again until it is positive is the same distribution, here by
        the inverse of its distribution function. CR ~ N(M_CR, 0.1) cut to [0, 1], 0 in terminal cells.
        """
        low = self.low.take(cell)
        u *= 0.5 * math.pi - low
        u += low
        F = np.tan(u, out=u)
        F *= SCALE
        F += self.F.take(cell)
        mean = self.CR.take(cell)
        z *= SCALE
        z += mean
        if self.terminal:
            z[mean < 0] = 0.0
        return np.minimum(F, 1.0, out=F), np.minimum(np.maximum(z, 0.0, out=z), 1.0, out=z)

    def learn(self, F: Floats, CR: Floats, gain: Floats) -> None:
        """Change the next cell by the successful F, CR (k,), weighted by their improvement `gain` (k,) > 0."""
        if not len(F):
            return
        top = float(gain.max())
        weights = gain / top if top < math.inf else (gain == math.inf).astype(np.float64)
        k = self.turn
        weighted = weights * F
        # weighted Lehmer mean: sum(w F^2) / sum(w F)
        self.F[k] = mean = 0.5 * (float(self.F[k]) + float(weighted.dot(F)) / float(weighted.sum()))
        self.low[k] = math.atan(mean / -SCALE)
        weighted = weights * CR
        total = float(weighted.sum())
        old = float(self.CR[k])
        if old < 0 or total <= 0.0:
            self.CR[k], self.terminal = TERMINAL, True
        else:
            self.CR[k] = 0.5 * (old + float(weighted.dot(CR)) / total)
        self.turn = (k + 1) % len(self.F)
