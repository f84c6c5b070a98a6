"""The interpolation set of a quadratic trust region: which points the model is made of, and in which coordinates.

M. J. D. Powell: The BOBYQA algorithm for bound constrained optimization without derivatives, report DAMTP 2009/NA06,
Cambridge (2009); The NEWUOA software for unconstrained optimization without derivatives, in: Large-Scale Nonlinear
Optimization, Springer (2006) 255-297, doi:10.1007/0-387-30065-1_16.
"""

from __future__ import annotations

import math

import numpy as np

from ...core.batch import INFEASIBLE, Floats, Ints
from ...numerics.quadratic_model import Interpolation, extreme_step
from ._phases import Phased

SAME = 1e-12
"""Of the box: points nearer to each other are one."""
_GEO = (0.1, 0.5)
_PROVEN = 0.125  # of what a step of length rho changes where the model bends least


class Region(Phased):
    """Abstract: `begin` sets the attributes.

    points, heights: the set, (m, D) and (m,).  size: the most points.
    axes, into: (d, d) the model's coordinates z, step = axes @ z, and back.  turned: whether they are not the box's.
    delta, rho: the radius, and the least one for now.  error: how far the last step's value was from what the model had
    promised (inf: no step yet).  violating: no point satisfies the constraints.
    """

    points: Floats
    heights: Floats
    hessian: Floats
    size: int
    axes: Floats
    into: Floats
    turned: int
    delta: float
    rho: float
    error: float
    violating: bool

    def _height(self, merit: float) -> float:
        """What the model is made of: the value, or (while all points violate) the violation, which undoes
        `Answers.merit`; inf where there is nothing to learn from.
        """
        if self.violating:
            return 1.0 / max(2.0 - merit / INFEASIBLE, 1e-300) - 1.0 if INFEASIBLE <= merit < math.inf else math.inf
        return merit if merit < INFEASIBLE else math.inf

    def _steps(self) -> tuple[int, Ints, Floats]:
        """(the best point's row, the others' rows, (m - 1, d) their steps from it in the model's coordinates)."""
        best = int(np.argmin(self.heights))
        others = np.flatnonzero(np.arange(len(self.points)) != best)
        return best, others, self._inner(self.points[others] - self.points[best])

    def _interpolation(self) -> tuple[int, Ints, Interpolation | None]:
        """(the best point's row, the others' rows, their kernel system; None where there are no others)."""
        best, others, steps = self._steps()
        return best, others, Interpolation.of(steps) if len(steps) else None

    def _inner(self, steps: Floats) -> Floats:
        """Steps (..., D) of the cube in the model's coordinates (..., d)."""
        return np.asarray(steps[..., self.columns] @ self.into.T)

    def _offer(self, point: Floats, merit: float) -> None:
        """Take a known point into the set where there is room, where it is better, or where it mends the geometry."""
        height = self._height(merit)
        if self.violating and merit < INFEASIBLE:  # the first that satisfies the constraints: forget the violations
            self.violating = False
            self.points, self.heights, height = self.points[:0], self.heights[:0], merit
            self.hessian = np.zeros_like(self.hessian)
        if math.isfinite(height):
            self._take(point, height)

    def _take(self, point: Floats, height: float) -> None:
        gaps = np.abs(self.points - point).max(axis=1, initial=0.0)
        if (gaps < SAME).any():
            return
        if len(self.points) < self.size:
            self.points = np.concatenate([self.points, point[None]])
            self.heights = np.append(self.heights, height)
            return
        best, others, system = self._interpolation()
        if system is None:
            return
        better = height < self.heights[best]
        centre = point if better else self.points[best]
        rows = np.append(others, best)
        values = np.abs(system.lagrange_at(self._inner(point - self.points[best])))
        far = np.linalg.norm(self._inner(self.points[rows] - centre), axis=1) / max(self.delta, SAME)
        score = values * np.maximum(far, 1.0) ** 4  # Powell 2009, eq. 6.1
        if not better:
            score[-1] = -1.0
            if np.linalg.norm(self._inner(point - centre)) > 10.0 * self.delta:
                return
        target = int(np.argmax(score))
        if better or score[target] > 1.0:
            self.points[rows[target]], self.heights[rows[target]] = point, height

    def _distances(self) -> Floats:
        """(m,) from the best point of the set."""
        steps = self._inner(self.points - self.points[int(np.argmin(self.heights))])
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", steps, steps)))

    def _proven(self) -> bool:
        """Whether the last step came out so much as promised that at this scale the model needs no better set (Powell
        2006, box 14, which asks it of the last three).
        """
        return self.error < _PROVEN * float(np.linalg.eigvalsh(self.hessian)[0]) * self.rho**2

    def _geometry_point(self, target: int) -> Floats:
        """(D,) near the best point, where a point's Lagrange function is great (Powell 2009, section 5)."""
        best, others, system = self._interpolation()
        point = self.points[best].copy()
        low, high = -point[self.columns], 1.0 - point[self.columns]
        if system is None or target == best:
            step = self.axes @ (self.rng.uniform(-1.0, 1.0, len(self.columns)) * self.delta)
        else:
            radius = max(min(_GEO[0] * float(self._distances()[target]), _GEO[1] * self.delta), self.rho)
            q = system.lagrange(int(np.flatnonzero(others == target)[0]))
            step = self.axes @ extreme_step(q, low, high, radius, self._turned_axes)
        point[self.columns] += np.minimum(np.maximum(step, low), high)
        return np.asarray(point)

    @property
    def _turned_axes(self) -> Floats | None:
        return self.axes if self.turned else None
