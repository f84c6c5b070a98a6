"""Stop when the gain of the last evaluations is too small to go on for."""

from __future__ import annotations

from collections import deque

import numpy as np

from ...core.batch import INFEASIBLE, Floats
from ...core.stopping import Progress, StopRule
from ._merit import counted, dominated, feasible, margin, merits, shown, whole


class Plateau(StopRule):
    """Ends a study when the last `n` evaluations together brought no more than `tolerance`; failed ones count.

    One objective: the best value after them against the best before them, in the objective's unit. Several: the growth
    of the front's hypervolume, as a share of the box that holds all feasible values so far (its worst corner is the
    reference point, so the scales of the objectives do not matter). Until there is a feasible value, a smaller
    violation is a gain. `Patience` waits for n evaluations without any step; this rule sees slow creeping, too.

    Raises:
        ProblemError: n is no whole number >= 1, or the tolerance is negative or not finite.
    """

    def __init__(self, n: int, tolerance: float = 0.0) -> None:
        self.n = whole("Plateau", n)
        self.tolerance = margin("Plateau(tolerance=)", tolerance)
        self.reset()

    def __repr__(self) -> str:
        return f"Plateau({self.n}, tolerance={self.tolerance!r})"

    def reset(self) -> None:
        """See `StopRule.reset`."""
        self._best: deque[float] = deque(maxlen=self.n + 1)  # the best merit, n evaluations ago ... now
        self._pending: deque[Floats | None] = deque()  # the last n points: not yet in the old front
        self._fronts: list[Floats | None] = [None, None]  # n evaluations ago, now
        self._box: tuple[Floats, Floats] | None = None  # ideal, worst of all feasible values
        self._over = False

    @property
    def room(self) -> int | None:
        """See `StopRule.room`: the soonest the gain can be small enough, if nothing gets better from here on."""
        if self._over:
            return None
        if len(self._best) <= self.n:
            return self.n + 1 - len(self._best)
        if self._fronts[1] is not None:
            return max(1, self.n // 10)  # hypervolumes are looked at now and then
        best = self._best[-1]
        return next((k for k in range(1, self.n + 1) if not _gain(self._best[k], best) > self.tolerance), self.n)

    def check(self, progress: Progress) -> str | None:
        """See `StopRule.check`."""
        several = progress.values.shape[1] > 1
        merit, good = merits(progress), feasible(progress)
        for i in counted(progress):
            last = self._best[-1] if self._best else np.inf
            self._best.append(min(last, float(merit[i])))
            if several:
                self._pass(progress.values[i].copy() if good[i] else None)
            elif self._full and not (gain := _gain(self._best[0], self._best[-1])) > self.tolerance:
                return self._stop(gain, shown(self._best[-1], float(progress.signs[0])))
        if not several or not self._full:
            return None
        gain = self._growth()
        if gain > self.tolerance:
            return None
        front = self._fronts[1]
        return self._stop(
            gain, f"{len(front)} points on the front" if front is not None else "no feasible value so far"
        )

    @property
    def _full(self) -> bool:
        return len(self._best) > self.n

    def _stop(self, gain: float, best: str) -> str:
        self._over = True
        return f"the last {self.n} evaluations gained {gain:.3g}, not more than {self.tolerance:g} ({best})"

    def _pass(self, point: Floats | None) -> None:
        """A point joins the front of now; the one of n evaluations ago joins the old front."""
        self._pending.append(point)
        self._join(1, point)
        if len(self._pending) > self.n:
            self._join(0, self._pending.popleft())
        if point is not None:
            ideal, worst = self._box or (point, point)
            self._box = (np.minimum(ideal, point), np.maximum(worst, point))

    def _join(self, which: int, point: Floats | None) -> None:
        front = self._fronts[which]
        if point is None:
            return
        if front is None:
            self._fronts[which] = point[None]
        elif not (front <= point).all(axis=1).any():
            self._fronts[which] = np.vstack([front[~dominated(front, point)], point])

    def _growth(self) -> float:
        """What the last n evaluations added: a share of the box, or more than anything while feasibility is sought."""
        old, new = self._fronts
        if new is None or old is None or self._box is None:
            return _gain(self._best[0], self._best[-1]) if new is None else np.inf
        from ...numerics.hypervolume import hypervolume

        ideal, worst = self._box
        width = np.where(worst > ideal, worst - ideal, 1.0)
        reference = np.ones(len(ideal))
        before, after = (float(hypervolume((front - ideal) / width, reference)) for front in (old, new))
        return after - before


def _gain(before: float, after: float) -> float:
    """How much lower `after` is; 0 if neither is a value."""
    if before == after:
        return 0.0
    return np.inf if before >= INFEASIBLE else before - after
