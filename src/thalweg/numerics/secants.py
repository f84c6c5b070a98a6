"""The Hessian that gradients along a path tell of: BFGS, and a guess of what no step has seen yet.

J. Nocedal, S. J. Wright: Numerical Optimization, 2nd edition, Springer 2006, doi:10.1007/978-0-387-40065-5 (6.19 the
update). M. J. D. Powell: A fast algorithm for nonlinearly constrained optimization calculations, LNM 630 (1978)
144-157, doi:10.1007/BFb0067703 (the damped update).

A step shows how the function bends along itself. Directions that none has taken have the curvature of the first
Hessian, and where that is far too small step after step crosses the box there, once for each column. So the curvature
of all of them follows what was seen when a step had a part in them: as much as the last one, or less by the factor by
which those before had become less. In a valley of one curvature (Rosenbrock's function) that is right at once; of an
ellipsoid, whose steepest directions are seen first, the next one is expected to be as much flatter as the last was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DAMPED = 0.2  # Powell 1978: the least share of the expected curvature that is believed
_ASKEW = 1e-7  # of their lengths' product: a smaller product of step and change comes of a jump, not of a curvature
_FLATTER = (
    0.3  # the least factor from one curvature to the next expected one (.1: -2 %, 1e-3: -3 %, at two levels apart)
)
_LOOK_BACK = 3  # factors whose mean is taken
_SLACK = 1.1  # directions are unseen where the Hessian has at most so many times what is assumed there
_PART = 0.1  # of a step's squared length: with less in unseen directions it says nothing of them
_SHARPER = 10.0  # curvatures so many times the least one are of a ridge, where they grow as steps become short
_KEPT = 6  # steps for each column


@dataclass(eq=False)
class Secants:
    """Steps (k, d), the gradient's changes (k, d) along them, the last 6 d, and what they make of the Hessian (d, d).

    unseen: the curvature assumed where no step has gone, at first `first`.
    curves: what was seen in such directions, step by step.
    """

    hessian: Floats
    first: float
    unseen: float
    steps: Floats
    changes: Floats
    curves: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, d: int, curvature: float) -> Secants:
        """No step yet, and that curvature everywhere."""
        none = np.empty((0, d))
        return cls(np.eye(d) * curvature, curvature, curvature, none, none)

    def add(self, step: Floats, change: Floats) -> None:
        """A step (d,) and the gradient's change (d,) along it."""
        kept = _KEPT * len(step) - 1
        self.steps = np.concatenate([self.steps[-kept:], step[None]])
        self.changes = np.concatenate([self.changes[-kept:], change[None]])
        seen = self._seen(step, change)
        if seen > 0:
            self.curves = [*self.curves, seen]
        if seen > 0 and len(self.curves) > 1:
            factors = np.diff(np.log(self.curves[-1 - _LOOK_BACK :]))
            self.unseen = seen * min(max(math.exp(float(factors.mean())), _FLATTER), 1.0)
            self.hessian = self.assuming(self.unseen)
        else:
            self.hessian = updated(self.hessian, step, change)

    def _seen(self, step: Floats, change: Floats) -> float:
        """The curvature along the step's part in unseen directions; 0 where it has too little of one."""
        curvatures, directions = np.linalg.eigh(self.hessian)
        unseen = directions[:, curvatures < _SLACK * self.unseen]
        part = unseen @ (unseen.T @ step)
        length = float(part @ part)
        return float(part @ change) / length if length > _PART * float(step @ step) else 0.0

    def assuming(self, curvature: float) -> Floats:
        """(d, d) the Hessian, had that curvature been assumed of what is unseen."""
        hessian = np.eye(self.steps.shape[1]) * curvature
        for step, change in zip(self.steps, self.changes, strict=True):
            hessian = updated(hessian, step, change)
        return hessian

    @property
    def sharp(self) -> bool:
        """Whether curvatures grow, as they do on a ridge whose slope jumps."""
        return len(self.curves) > 2 and float(np.median(self.curves[-3:])) > _SHARPER * min(self.curves)


def updated(hessian: Floats, step: Floats, change: Floats) -> Floats:
    """BFGS (Nocedal & Wright, eq. 6.19) of a positive definite Hessian (d, d) by a step (d,) and the gradient's change
    (d,) along it; damped (Powell 1978) where the function bends less than expected, so that it stays definite. Left
    as it is where the change has next to nothing of the step's direction: that would be a curvature without bounds.
    """
    along = hessian @ step
    expected, seen = float(step @ along), float(step @ change)
    askew = abs(seen) < _ASKEW * float(np.linalg.norm(step)) * float(np.linalg.norm(change))
    if not expected > 0 or askew:
        return hessian
    if seen < _DAMPED * expected:
        share = (1.0 - _DAMPED) * expected / (expected - seen)
        change = share * change + (1.0 - share) * along
        seen = float(step @ change)
    sum_ = hessian - np.outer(along, along) / expected + np.outer(change, change) / seen
    return np.asarray(0.5 * (sum_ + sum_.T))
