"""Stop when nothing got better for a number of evaluations."""

from __future__ import annotations

import numpy as np

from ...core.batch import INFEASIBLE, Floats
from ...core.stopping import Progress, StopRule
from ._merit import counted, dominated, feasible, margin, merits, shown, whole


class Patience(StopRule):
    """Ends a study after exactly `n` evaluations in a row without an improvement; failed ones count.

    min_delta: by how much a value must beat the best one to be an improvement, in the objective's unit, or, with
    `relative`, as a share of the best value's size. Small steps add up: the best one is the last improvement. Until
    there is a feasible value, a smaller violation is an improvement. With several objectives, a point is one if each
    point of the front so far is beaten by more than min_delta in at least one objective.

    Raises:
        ProblemError: n is no whole number >= 1, or min_delta is negative or not finite.
    """

    def __init__(self, n: int, min_delta: float = 0.0, relative: bool = False) -> None:
        self.n = whole("Patience", n)
        self.min_delta = margin("Patience(min_delta=)", min_delta)
        self.relative = bool(relative)
        self.reset()

    def __repr__(self) -> str:
        return f"Patience({self.n}, min_delta={self.min_delta!r}, relative={self.relative})"

    def reset(self) -> None:
        """See `StopRule.reset`."""
        self._stale = 0
        self._best = np.inf
        self._front: Floats | None = None

    @property
    def room(self) -> int | None:
        """See `StopRule.room`: so many evaluations can pass before patience may be over."""
        return self.n - self._stale if self._stale < self.n else None

    def check(self, progress: Progress) -> str | None:
        """See `StopRule.check`."""
        several = progress.values.shape[1] > 1
        values, merit, good = progress.values, merits(progress), feasible(progress)
        for i in counted(progress):
            if self._stale >= self.n:
                break
            better = self._extends(values[i]) if several and good[i] else self._beats(float(merit[i]), several)
            self._stale = 0 if better else self._stale + 1
        if self._stale < self.n:
            return None
        best = f"{len(self._front)} points on the front" if self._front is not None else ""
        best = best or shown(self._best, float(progress.signs[0]))
        delta = (
            f" of more than {self.min_delta:g}{' times the best' if self.relative else ''}" if self.min_delta else ""
        )
        return f"no improvement{delta} in {self.n} evaluations ({best})"

    def _beats(self, merit: float, several: bool) -> bool:
        if several and self._front is not None:
            return False  # a front stands above every infeasible point
        delta = 0.0
        if self._best < INFEASIBLE:
            delta = self.min_delta * (abs(self._best) if self.relative else 1.0)
        if not merit < self._best - delta:
            return False
        self._best = merit
        return True

    def _extends(self, point: Floats) -> bool:
        if self._front is None:
            self._front = point[None].copy()
            return True
        delta = self.min_delta * (np.abs(self._front) if self.relative else 1.0)
        if not (point < self._front - delta).any(axis=1).all():
            return False
        self._front = np.vstack([self._front[~dominated(self._front, point)], point])
        return True
