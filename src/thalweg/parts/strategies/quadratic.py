"""A derivative-free trust region with quadratic interpolation models (the class of NEWUOA, BOBYQA and COBYQA).

M. J. D. Powell: The BOBYQA algorithm for bound constrained optimization without derivatives, report DAMTP 2009/NA06,
Cambridge (2009). C. Cartis, J. Fiala, B. Marteau, L. Roberts: Improving the flexibility and robustness of model-based
derivative-free optimization solvers, ACM Trans. Math. Softw. 45 (2019) 32, doi:10.1145/3338517 (constants, restarts).

Radius `delta` bounds the steps; `rho` <= delta bounds how small they may become, and shrinks only when the model was
good and had nothing more to gain at its scale. Where its last promise was kept nearly to the letter, that is at once,
and a step that is short beside rho is taken before the set is improved.

- A run begins with d + 1 points, each laid out from the best of those before it.
- The set grows from there to as many as determine a quadratic, (d + 1) (d + 2) / 2 (at most _MOST): that is
  worth one to two decades after 20 d evaluations over staying at 2 d + 1, and the time of its linear algebra is small.
- Which model is asked of the values: whether round or separable explains them better, and the last model's change or
  a new one (`likeliest`).
- The region is a ball in coordinates in which the model is round (chosen anew every d + 1 evaluations): on long narrow
  valleys that is worth two to eight decades after 50 d evaluations over a ball in the box's own coordinates.
- Batches, and rows wanted while others are out: the first design may be one batch, with random points of the space
  beside it; beside a step come longer ones, new ones from what was heard meanwhile, and points around the best one.
  With 8 workers the area under the curve over time is 1.1 to 1.2 times what it is without these rows.
- Discrete columns: the model learns at snapped points. In a region smaller than a cell its neighbours are tried.
- Failed points, and points that violate a constraint beside ones that do not, shrink the region and count as bad as
  they had promised to be good. As long as all violate, the amount of the violation is minimised.
- A collapsed region is built anew: small ones near the best point and large ones far from all earlier runs take turns,
  so that each kind gets the same share of the evaluations. One that will not get as low as the best is given up.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.parameter import ORDERED
from ...core.strategy import Abilities
from ...numerics.blas import one_thread
from ...numerics.quadratic_model import QUADRATIC, SMOOTH, Model, likeliest, round_axes, sides, trust_step
from ._region import SAME, Region

# Cartis et al. 2019, section 2: when a step was bad or good, and what delta and rho become. Good from 0.5 on and rho to
# a quarter (there: 0.7, a tenth) were slightly better over 39 functions of 2, 5 and 10 dimensions.
_BAD, _GOOD = 0.1, 0.5
_SHRINK, _GROW, _RHO, _DELTA = 0.5, 2.0, 0.25, 0.5
# A promise kept to within this share lets the region grow faster, to at most so many times the step: 1 to 2 % of the
# area under the curve of targets reached in 20 d evaluations, with 2, 5 and 10 columns.
_KEPT, _LEAP = 0.1, 8.0
_SHORTEST = 1e-6  # of rho: a shorter step is none, even after such a promise
_FAR = (2.0, 10.0)
_MOST = 100
_HOPE = 3.0  # a run that would still be worse than the best after so many times its last gain is given up
_WINDOW = 9  # steps that confidence is a mean of, at most: with 20 columns 21 saw too late that the model fails
_LONGER = (2.0, 4.0)  # times delta: the first steps beside the one that is out; shorter ones did worse
_AROUND = 0.5  # times delta: how far from the best point the others are (0.35 to 1 tried)
_APART = (0.2, 0.3)  # of the step's length: nearer to one that is out, a longer or new one is not worth a row
_BESIDE = 2  # times the set's size: the most rows beside one


@final
class Quadratic(Region):
    """Quadratic trust region, for smooth objectives of continuous columns, from few evaluations on.

    radius: the first region's, in shares of the box.  end: rho at which a region has collapsed.
    restarts: begin again then (otherwise it is done).
    x0: (D,) the first point in the unit cube; None: the best foreign point known before the first ask, or the middle.

    Raises StrategyError: a radius outside (0, 0.5], an end that is not in (0, radius), an x0 that is no point of the
    unit cube.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(
        self, *, radius: float = 0.2, end: float = 1e-7, restarts: bool = True, x0: Floats | list[float] | None = None
    ) -> None:
        if not 0 < radius <= 0.5:
            raise StrategyError(f"quadratic: radius is a share of the box in (0, 0.5], got {radius!r}")
        if not 0 < end < radius:
            raise StrategyError(f"quadratic: end is the last radius in (0, radius), got {end!r}")
        self.radius, self.end, self.restarts, self.x0 = float(radius), float(end), bool(restarts), x0

    def begin(self) -> None:
        """The first design is laid out at the first ask, when foreign points may be known."""
        self._prepare()
        dimension, d = self.dimension, len(self.columns)
        self.steppable = np.flatnonzero((self.problem.space.kinds == ORDERED)[self.columns] & (self.cells > 0))
        self.design = d + 1
        self.size = max(self.design, min((d + 1) * (d + 2) // 2, _MOST))
        self.own = 0  # the phase's own rows; those behind them are beside it
        self.points, self.heights = np.empty((0, dimension)), np.empty(0)  # the interpolation set
        self.gradient: Floats = np.zeros(len(self.columns))
        self.origin: Floats = np.zeros(dimension)  # of the last model
        self.hessian: Floats = np.zeros((len(self.columns), len(self.columns)))
        self.axes: Floats = np.eye(len(self.columns))  # the model's coordinates z: step = axes @ z
        self.into: Floats = np.eye(len(self.columns))  # its inverse
        self.turned = 0  # the run's age when they were last chosen
        self.sides: Floats = np.zeros((self.design, dimension))  # the design's rows, seen from its first
        self.delta = self.rho = self.first_rho = self.radius
        self.level = math.inf  # the run's best when rho was reduced last
        self.promised = 0.0  # by the model, for the step that is out
        self.error = self.missed = math.inf  # of the last such promise, and in shares of it
        self.was = math.inf  # the best height when it was made
        self.whence: Floats = np.full(dimension, 0.5)  # where that is
        self.was_violating = False  # whether it was a violation
        self.heard = False  # something beside it, since the last step was made
        self.violating = False  # no point of the run satisfies the constraints: heights are violations
        self.age = 0  # answers in this run

    @property
    def speculates(self) -> bool:
        """Rows beyond the stride are guesses at what comes next."""
        return True

    @property
    def stride(self) -> int:
        """Rows of the phase that were not given yet."""
        return 1 if self.phase in ("new", "design") else max(int((~self.given).sum()), 1)

    @property
    def _where(self) -> str:
        return f"region {self.runs}, radius {self.delta:.2g}, {self.phase}"

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Rows that the phase needs, then ones beside it."""
        if self.phase == "new":
            if self.x0 is not None:
                self.best_point = np.asarray(self.x0, dtype=np.float64)
            self._design(self.best_point, self.radius)
        spare = n - int((~self.given).sum())
        if spare > 0 and self.phase != "poll":
            with one_thread():
                self._widen(spare)
        wanted = np.flatnonzero(~self.given)[:n]
        if self.phase == "design":
            self._shift(wanted[wanted < self.own])
        return self._give(wanted)

    def _shift(self, wanted: Ints) -> None:
        """Lay out the rest of the design from the best of it so far: it spans the same columns, from a better place."""
        if not wanted.size or not np.isfinite(self.found[: self.own]).any():
            return
        best = self.trial[int(np.nanargmin(self.found[: self.own]))]
        apart = self.sides[wanted]
        rows = best + apart
        # at a bound to the other side: the best has moved along earlier columns only, so that there is room
        rows = np.where((rows > 1.0) | (rows < 0.0), best - apart, rows)
        self.trial[wanted] = np.clip(rows, 0.0, 1.0)

    def _widen(self, count: int) -> None:
        """Up to `count` more rows for the phase, whose own is out: they are heard when they come, it waits for none."""
        for _ in range(min(count, self.own + _BESIDE * self.size - len(self.trial))):
            wanted = self._beside() if self.phase == "step" else None
            if self.phase == "design" and not math.isfinite(self.best):  # nothing is known of where to look
                wanted = self.problem.space.sample(1, self.rng)[0]
            row = self._around() if wanted is None else wanted
            self.trial = np.concatenate([self.trial, row[None]])
            self.found, self.given = np.append(self.found, np.nan), np.append(self.given, False)

    def _beside(self) -> Floats | None:
        """(D,) a longer step than the one that is out, or a new one by what was heard since; None: not worth a row."""
        place = len(self.trial) - 1
        out = self.trial[np.isnan(self.found)]
        if place < len(_LONGER):
            point, _ = self._towards(self.whence, _LONGER[place] * self.delta)
            length = float(np.linalg.norm(self._inner(self.trial[0] - self.whence)))
            return point if self._apart(point, self.trial[:1], _APART[0] * length) else None
        if not self.heard:
            return None
        self.heard = False
        point, promised, length = self._step()
        worth = promised > 0 and length >= 0.5 * self.rho and self._apart(point, out, _APART[1] * length)
        return point if worth else None

    def _apart(self, point: Floats, rows: Floats, least: float) -> bool:
        return bool((np.linalg.norm(self._inner(rows - point), axis=1) >= least).all())

    def _around(self) -> Floats:
        """(D,) at random, on a sphere around the best point."""
        point = (self.trial[0] if self.phase == "design" else self.points[int(np.argmin(self.heights))]).copy()
        step = self.rng.standard_normal(len(self.columns))
        step *= _AROUND * self.delta / max(float(np.linalg.norm(step)), 1e-300)
        point[self.columns] = np.clip(point[self.columns] + self.axes @ step, 0.0, 1.0)
        return np.asarray(self.problem.space.snap(point[None])[0]) if self.cells.any() else point

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Fill in the phase's merits and go on as far as they reach."""
        self.age += len(answers)
        for place, point, merit in self._placed(answers):
            if place >= 0:
                self.found[place] = merit
                if place < self.own or self.phase == "design":
                    self.trial[place] = point
                    continue
            self._offer(point, merit)
            self.heard = True
        with one_thread():
            self._advance()

    def absorb(self, answers: Answers) -> None:
        """The best foreign point is where the first run begins; later a new one where it beats all."""
        self.seen.add(answers.points)
        for point, merit in zip(answers.points, answers.merit().tolist(), strict=True):
            if self.phase != "new" and merit < min(self.best, self.guest):
                self.guest, self.guest_point = merit, point.copy()
            self._note(point, merit)

    # --- phases ---------------------------------------------------------------------------------------------------

    def _enter(self, phase: str, trial: Floats) -> None:
        super()._enter(phase, trial)
        self.own = len(trial)
        self.heard = False
        self.was_violating = self.violating
        if len(self.points):
            best = int(np.argmin(self.heights))
            self.was, self.whence = float(self.heights[best]), self.points[best].copy()

    def _advance(self) -> None:
        """Go on once the phase knows what it needs: all of a design or poll, the first row of anything else."""
        if self.done or not len(self.found):
            return
        if self.phase in ("design", "poll"):
            if np.isnan(self.found[: self.own]).any():
                return
            self._settle()
        elif not math.isnan(self.found[0]):
            self._accept()

    def _design(self, start: Floats, radius: float) -> None:
        """A run at `start`: the point itself, and one step along each column, inwards where there is no room."""
        self._started(start)
        self.age = self.turned = 0
        self.delta = self.rho = self.first_rho = radius
        self.level = self.error = self.missed = math.inf
        self.axes = self.into = np.eye(len(self.columns))
        self.points, self.heights = self.points[:0], self.heights[:0]
        self.gradient, self.hessian = np.zeros_like(self.gradient), np.zeros_like(self.hessian)
        self.sides = np.zeros((self.design, self.dimension))
        edges = np.minimum(np.maximum(radius, self.cells), 0.5)
        self.sides[np.arange(1, self.design), self.columns] = sides(start[self.columns], edges)
        self._enter("design", np.clip(start + self.sides, 0.0, 1.0))

    def _settle(self) -> None:
        """A design or poll is known."""
        if self.phase == "design":
            if not np.isfinite(self.found).any():
                self._restart(anew=True)
                return
            self.violating = not bool((self.found < INFEASIBLE).any())
        before = float(self.heights.min(initial=math.inf))
        for point, merit in zip(self.trial, self.found.tolist(), strict=True):
            self._offer(point, merit)
        if self.phase == "poll":
            if float(self.heights.min(initial=math.inf)) >= before:
                self._restart()
                return
            self.delta = self.rho = max(self.rho, 0.1 * self.radius)
        self._next()

    # --- the trust region -----------------------------------------------------------------------------------------

    def _next(self) -> None:
        """The next step, a better set, or a smaller rho; a new run where nothing is left."""
        if self.guest < math.inf and self.age > 2 * self.design:
            point, better = self.guest_point, self._height(self.guest) < self.heights.min(initial=math.inf)
            self.guest = math.inf
            if better:
                self._design(point, max(0.25 * self.radius, min(self.delta, self.radius)))
                return
        self._turn()
        for _ in range(200):
            if not len(self.points):
                break
            point, promised, length = self._step()
            if promised > 0 and (length >= 0.5 * self.rho or (self.missed < _KEPT and length > _SHORTEST * self.rho)):
                self.promised = promised
                self._enter("step", point[None])
                return
            if (not self._proven() and self._improve()) or not self._reduce():
                return
        self._restart()

    def _step(self) -> tuple[Floats, float, float]:
        """(the model's best point in the region, what it promises, how long the step is as it will be evaluated)."""
        best, others, steps = self._steps()
        point = self.points[best].copy()
        if not len(steps):
            return point, 0.0, 0.0
        before = Model(self.gradient, self.hessian).moved(self._inner(point - self.origin))
        # in two columns six points soon determine a quadratic: nothing to prefer
        kernels = SMOOTH if len(self.columns) > 2 else (QUADRATIC,)
        model = likeliest(steps, self.heights[others] - self.heights[best], before, kernels)
        self.origin, self.gradient, self.hessian = point.copy(), model.gradient, model.hessian
        point, step = self._towards(point, self.delta)
        if self.cells.any():
            step = self._inner(point - self.points[best])
            if (np.abs(self.points - point).max(axis=1) < SAME).any():
                return point, 0.0, 0.0
        return point, -float(model(step[None])[0]), float(np.linalg.norm(step))

    def _towards(self, start: Floats, radius: float) -> tuple[Floats, Floats]:
        """((D,) the model's best point within a radius of where it was made, (d,) the step there before snapping)."""
        low, high = -start[self.columns], 1.0 - start[self.columns]
        step = trust_step(Model(self.gradient, self.hessian), low, high, radius, self._turned_axes)
        point = start.copy()
        point[self.columns] += np.minimum(np.maximum(self.axes @ step, low), high)
        return self.problem.space.snap(point[None])[0] if self.cells.any() else point, step

    def _turn(self) -> None:
        """Choose coordinates in which the model is round, and as wide as the ones before by volume.

        A ball of such coordinates reaches as far along a valley as the model can be trusted there; in the box's own it
        is as small as the valley is narrow. Not on discrete columns, whose cells have no other directions.
        """
        due = self.age >= self.turned + len(self.columns) + 1 and len(self.points) > len(self.columns) + 1
        if not due or self.cells.any():
            return
        slope, hessian = self.into.T @ self.gradient, self.into.T @ self.hessian @ self.into  # of the box's own steps
        found = round_axes(hessian)
        if found is not None:
            self.turned, self.axes, self.into = self.age, *found
            self.gradient, self.hessian = self.axes.T @ slope, self.axes.T @ hessian @ self.axes

    def _improve(self) -> bool:
        """Replace a point that is far away, if there is one."""
        far = self._distances()
        target = int(np.argmax(far))
        if far[target] <= max(_FAR[0] * self.delta, _FAR[1] * self.rho):
            return False
        point = self._geometry_point(target)
        self.points = np.delete(self.points, target, axis=0)
        self.heights = np.delete(self.heights, target)
        self._enter("geometry", point[None])
        return True

    def _reduce(self) -> bool:
        """A smaller rho; False where the run is over (and something else has begun)."""
        finite = self.heights[np.isfinite(self.heights)]
        rise = float(np.ptp(finite)) if len(finite) else 0.0
        flat = rise <= 1e-15 * float(np.abs(finite).max(initial=0.0)) and len(finite) >= self.size
        coarse = bool(len(self.steppable)) and self.rho < 0.5 * float(self.cells[self.steppable].min())
        if self.rho <= self.end or flat or (coarse and len(self.steppable) == len(self.columns)):
            self._poll()
            return False
        level = float(self.heights.min(initial=math.inf))
        gain, self.level = self.level - level, level
        if (
            self.runs > 1
            and self.rho < 0.5 * self.first_rho
            and level - _HOPE * gain > self.best
            and not self.violating
        ):
            self._restart()
            return False
        old = self.rho
        self.rho = max(_RHO * old, self.end)
        self.delta = max(_DELTA * old, self.rho)
        return True

    def _accept(self) -> None:
        """What the step or geometry point has brought (Cartis et al. 2019, algorithm 1)."""
        merit, point, phase = float(self.found[0]), self.trial[0].copy(), self.phase
        if self.violating != self.was_violating:  # a row beside it was the first feasible one
            self._offer(point, merit)
            self._next()
            return
        height = self._height(merit)
        length = float(np.linalg.norm(self._inner(point - self.whence)))
        self._offer(point, merit)
        if not math.isfinite(height) and phase == "step":
            self._take(point, self.was + self.promised)  # as bad as it promised to be good: the model turns aside
        if phase == "step":
            ratio = (self.was - height) / self.promised if math.isfinite(height) else -1.0
            self.error, self.missed = abs(self.was - height - self.promised), abs(ratio - 1.0)
            self.agreement += (float(ratio >= _GOOD) - self.agreement) / min(len(self.columns) + 1, _WINDOW)
            self._resize(ratio, length)
            if ratio < _BAD and not (self.violating and merit < INFEASIBLE):
                if self._improve():
                    return
                if self.delta <= self.rho and length <= self.rho * 1.0000001 and not self._reduce():
                    return
        self._next()

    def _resize(self, ratio: float, length: float) -> None:
        if ratio >= _GOOD:
            grow = min(_GROW * max(_KEPT / max(abs(ratio - 1.0), 1e-9), 1.0), _LEAP)
            self.delta = min(max(grow * length, self.delta), 1.0)
        elif ratio >= _BAD:
            self.delta = max(_SHRINK * self.delta, length)
        else:
            self.delta = min(_SHRINK * self.delta, length)
        if self.delta <= 1.5 * self.rho:
            self.delta = self.rho

    # --- runs -----------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """One cell up and down in every ordered discrete column; without any, the run is over."""
        centre = self.points[int(np.argmin(self.heights))]
        rows = []
        for i in self.steppable.tolist():
            for sign in (-1.0, 1.0):
                moved = centre[self.columns[i]] + sign * self.cells[i]
                if 0.0 < moved < 1.0:
                    row = centre.copy()
                    row[self.columns[i]] = moved
                    rows.append(row)
        if rows:
            trial = self.problem.space.snap(np.array(rows))
            if self.seen.on:
                trial = trial[~self.seen.contains(trial)]
            else:
                known = (np.abs(trial[:, None] - self.points[None]).max(axis=2) < SAME).any(axis=1)
                trial = trial[~known]
            if len(trial):
                self._enter("poll", trial)
                return
        self._restart()

    def _restart(self, anew: bool = False) -> None:
        """A new run: small and near the best point, or of full size far from all earlier ones; whichever had less."""
        if not self.restarts:
            self.ended = "the region has collapsed"
            return
        self.kind = int(not anew and self.spent[1] < self.spent[0] and math.isfinite(self.best))
        if self.kind:
            start, far = self._near()
            self._design(start, min(0.5 * far, self.radius))
        else:
            self._design(self._far(), self.radius)
