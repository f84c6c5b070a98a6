"""BFGS in a box, with difference quotients as gradients.

J. Nocedal, S. J. Wright: Numerical Optimization, 2nd edition, Springer 2006, doi:10.1007/978-0-387-40065-5 (6.19 the
update, 8.1 differences, 3.5 the line search). M. J. D. Powell: A fast algorithm for nonlinearly constrained
optimization calculations, LNM 630 (1978) 144-157, doi:10.1007/BFb0067703 (the damped update). The class of SLSQP,
without constraints.

- An iteration is d differences, which may be one batch, and one point where the quadratic of gradient and Hessian is
  lowest in the box; where that brings too little, nearer ones along the line to it.
- The first Hessian is small beside the gradient: what is too small is corrected by the first steps, what is too great
  only by many (with its usual scale, eq. 6.20, ellipsoids of condition 1e6 were not solved in 100 d evaluations).
- Discrete columns: a difference is at least a cell. Failed points, and ones that violate a constraint, are no gain on a
  line and say nothing about a slope.
- Where nothing is gained any more, a new run begins: near the best point and far from all earlier ones in turn, so that
  each kind gets the same share of the evaluations. One that will not get as low as the best is given up.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats
from ...core.strategy import Abilities
from ...numerics.blas import one_thread
from ...numerics.quadratic_model import Model, sides, trust_step
from ._phases import Phased

_DIFFERENCE = 1.5e-9  # of the box; 0.1 sqrt(machine precision). Shares of the last step were worse by 5 to 10 %
_FLAT = 1e-2  # the first Hessian, in shares of the gradient: 1e-1 and 1e-3 did as well
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Nocedal & Wright, eq. 3.4)
_CUTS = (0.1, 0.5)  # the next point on a line, in shares of the way to the one before
_TRIES = 12  # points on a line
_SHORTEST = 1e-10  # of the box: a shorter step is none
_DAMPED = 0.2  # Powell 1978: the least share of the expected curvature that is believed
_HOPE = 3.0  # a run that would still be worse than the best after so many times the promised gain is given up


@final
class QuasiNewton(Phased):
    """BFGS by differences, for smooth exact objectives, many narrow ones among them, from 20 evaluations per column on.

    restarts: begin again when nothing is gained any more (otherwise it is done).
    x0: (D,) the first point in the unit cube; None: the best foreign point known before the first ask, or the middle.

    Raises StrategyError: an x0 of another shape.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(self, *, restarts: bool = True, x0: Floats | list[float] | None = None) -> None:
        self.restarts, self.x0 = bool(restarts), x0

    def begin(self) -> None:
        """The first point is chosen at the first ask, when foreign points may be known."""
        self._prepare()
        d = len(self.columns)
        self.point, self.height = np.full(self.dimension, 0.5), math.inf
        self.gradient: Floats = np.zeros(d)
        self.hessian: Floats = np.eye(d)
        self.step: Floats = np.zeros(d)
        self.share = 1.0  # of the step, that is being tried
        self.slope = self.promised = 0.0
        self.moved: Floats = np.zeros(d)  # the last step, zero where the gradient before is not of its beginning
        self.before: Floats = np.zeros(d)  # the gradient before it
        self.tries = self.iterations = 0

    @property
    def stride(self) -> int:
        """Rows of the phase that were not given yet."""
        return max(int((~self.given).sum()), 1)

    @property
    def _where(self) -> str:
        return f"run {self.runs}, iteration {self.iterations}, {self.phase}"

    # --- ask and tell ---------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Rows that the phase needs."""
        if self.phase == "new":
            if self.x0 is None:
                self._begin_run(self.best_point, self.best)
            else:
                self._begin_run(np.asarray(self.x0, dtype=np.float64), math.inf)
        return self._give(np.flatnonzero(~self.given)[:n])

    def learn(self, answers: Answers) -> None:
        """Fill in the phase's merits and go on once they are all there."""
        for place, point, merit in self._placed(answers):
            if place >= 0:
                self.found[place] = merit
                self.trial[place] = point
        if not self.done and not np.isnan(self.found).any():
            with one_thread():
                self._advance()

    def absorb(self, answers: Answers) -> None:
        """The best foreign point is where the first run begins; later the run goes on from one that beats all."""
        self.seen.add(answers.points)
        for point, merit in zip(answers.points, answers.merit().tolist(), strict=True):
            if self.phase != "new" and merit < min(self.best, self.guest, INFEASIBLE):
                self.guest, self.guest_point = merit, point.copy()
            self._note(point, merit)

    # --- phases ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """The phase is known."""
        if self.phase == "line":
            self._line()
        elif self.phase == "slope":
            self._slope()
        elif self.found[0] < INFEASIBLE:
            self.point, self.height = self.trial[0].copy(), float(self.found[0])
            self._differences()
        else:
            self._restart()

    def _begin_run(self, start: Floats, height: float) -> None:
        """A run at a point of known height, or (inf) at one to be evaluated first."""
        self._started(start)
        self.iterations = 0
        self.point, self.height = start.copy(), height
        if height < INFEASIBLE:
            self._differences()
        else:
            self._enter("start", start[None])

    def _differences(self) -> None:
        """One step along each column, inwards where there is no room; from a better foreign point if there is one."""
        if self.guest < self.height:
            self.point, self.height = self.guest_point.copy(), self.guest
            self.moved = np.zeros(len(self.columns))
        self.guest = math.inf
        trial = np.repeat(self.point[None], len(self.columns), axis=0)
        steps = sides(self.point[self.columns], np.maximum(_DIFFERENCE, np.minimum(self.cells, 0.5)))
        trial[np.arange(len(steps)), self.columns] += steps
        self._enter("slope", np.clip(trial, 0.0, 1.0))

    def _slope(self) -> None:
        """The gradient (Nocedal & Wright, eq. 8.1), what it says of the Hessian, and a line to try."""
        d = len(self.columns)
        steps = self.trial[np.arange(d), self.columns] - self.point[self.columns]
        usable = (self.found < INFEASIBLE) & (steps != 0)
        gradient = np.zeros(d)
        gradient[usable] = (self.found[usable] - self.height) / steps[usable]
        self.gradient = np.clip(gradient, -1e100, 1e100)  # whatever follows does not overflow
        self.iterations += 1
        size = float(np.linalg.norm(self.gradient))
        if self.iterations == 1:
            self.hessian = np.eye(d) * max(_FLAT * size, 1e-300)
        elif self.moved.any():
            self.hessian = updated(self.hessian, self.moved, self.gradient - self.before)
        low, high = -self.point[self.columns], 1.0 - self.point[self.columns]
        model = Model(self.gradient, self.hessian)
        self.step = trust_step(model, low, high, 2.0 * math.sqrt(d))  # further than the box: its faces are the limits
        self.slope = float(self.gradient @ self.step)
        self.promised = -float(model(self.step[None])[0])
        hopeless = self.runs > 1 and self.iterations > 2 and self.height - _HOPE * self.promised > self.best
        if not self.slope < 0 or float(np.abs(self.step).max(initial=0.0)) < _SHORTEST or hopeless:
            self._restart()
            return
        self.share, self.tries = 1.0, 0
        self._try()

    def _try(self) -> None:
        point = self.point.copy()
        point[self.columns] = np.clip(point[self.columns] + self.share * self.step, 0.0, 1.0)
        self._enter("line", point[None])

    def _line(self) -> None:
        """Go there, or try a nearer point: where the parabola through slope and values is lowest, within limits."""
        merit, point = float(self.found[0]), self.trial[0].copy()
        drop = self.height - merit if merit < INFEASIBLE else -math.inf
        self.tries += 1
        if self.tries == 1:
            self.agreement += (float(drop >= 0.5 * self.promised) - self.agreement) / 4.0
        if drop > 0 and drop >= -_SUFFICIENT * self.share * self.slope:
            self.before, self.moved = self.gradient, (point - self.point)[self.columns]
            self.point, self.height = point, merit
            self._differences()
            return
        cut = _CUTS[1]
        if math.isfinite(drop):
            bend = -drop - self.share * self.slope
            cut = min(max(-0.5 * self.share * self.slope / bend, _CUTS[0]), _CUTS[1]) if bend > 0 else cut
        self.share *= cut
        if self.tries >= _TRIES or self.share * float(np.abs(self.step).max()) < _SHORTEST:
            self._restart()
        else:
            self._try()

    def _restart(self) -> None:
        """A new run, near the best point or far from all earlier ones, whichever had less; or the end."""
        if not self.restarts:
            self.ended = "nothing more was gained"
            return
        self.moved = np.zeros(len(self.columns))
        self.kind = int(self.spent[1] < self.spent[0] and self.best < INFEASIBLE)
        self._begin_run(self._near()[0] if self.kind else self._far(), math.inf)


def updated(hessian: Floats, step: Floats, change: Floats) -> Floats:
    """BFGS (Nocedal & Wright, eq. 6.19) of a positive definite Hessian (d, d) by a step (d,) and the gradient's change
    (d,) along it; damped (Powell 1978) where the function bends less than expected, so that it stays definite.
    """
    along = hessian @ step
    expected, seen = float(step @ along), float(step @ change)
    if not expected > 0:
        return hessian
    if seen < _DAMPED * expected:
        share = (1.0 - _DAMPED) * expected / (expected - seen)
        change = share * change + (1.0 - share) * along
        seen = float(step @ change)
    sum_ = hessian - np.outer(along, along) / expected + np.outer(change, change) / seen
    return np.asarray(0.5 * (sum_ + sum_.T))
