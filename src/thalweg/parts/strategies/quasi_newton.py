"""BFGS in a box, with difference quotients as gradients.

J. Nocedal, S. J. Wright: Numerical Optimization, 2nd edition, Springer 2006, doi:10.1007/978-0-387-40065-5 (6.19 the
update, 8.1 differences, 3.5 the line search). M. J. D. Powell: A fast algorithm for nonlinearly constrained
optimization calculations, LNM 630 (1978) 144-157, doi:10.1007/BFb0067703 (the damped update). The class of SLSQP,
without constraints.

- An iteration is d differences, which may be one batch, and one point where the quadratic of gradient and Hessian is
  lowest in the box; where that brings too little, nearer ones along the line to it, and where the line is clearly lower
  elsewhere, the point there. The first goes straight down the gradient, to the box's first face.
- The first Hessian is very small beside the gradient: what is too small is corrected by the first steps, what is too
  great only by many. At 3e-5 of it ellipsoids of condition 1e6 take half the evaluations that they took at 1e-2;
  a Hessian interpolated from known points was worse than none. From the second step on, directions that none has taken
  are expected to bend as those did that were taken (`Secants`).
- Differences are as wide as errors of rounding and of curvature are level (P. E. Gill, W. Murray, M. A. Saunders,
  M. H. Wright: Computing forward-difference intervals for numerical optimization, SIAM J. Sci. Stat. Comput. 4 (1983)
  310-321, doi:10.1137/0904025), and what the Hessian says of the second is subtracted.
- Where they bring nothing more, differences to both sides are taken, and then wide ones, which see over steps.
- Rows wanted while a phase is out: beside a point on the line the differences around it, so that a step that is
  accepted knows its slope at once (R. H. Byrd, R. B. Schnabel, G. A. Shultz: Parallel quasi-Newton methods for
  unconstrained optimization, Math. Program. 42 (1988) 273-306, doi:10.1007/BF01589407), then a nearer point with its
  own; after these, and beside a slope, random points near the best one and anywhere. The run goes on from one that
  beats all. Areas over time on COCO's functions, 8 workers, 2, 5 and 10 columns: .118, .101 and .104; when waiting
  .067, .079 and .095; without the random points .103, .102 and .106. In finite spaces random points alone were worse
  than waiting on a bowl of 8 integers, all of these better than both.
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
from ...numerics.secants import Secants
from ._phases import Phased

_DIFFERENCE = (1e-11, 1.5e-8)  # of the box: the least and the greatest (the root of the machine precision)
_WIDE = 0.05  # of the box: 1e-5 and 1e-3 brought nothing, 1e-2 to 1e-1 did
_EPSILON = float(np.finfo(np.float64).eps)
# The first Hessian, in shares of the gradient: of a run from anywhere (1e-5 to 1e-4 do as well), and from a point that
# others have found, where the steepest columns are settled and no longer make the gradient (1e-3 to 3e-2).
_FLAT = (3e-5, 3e-3)
# After a step that had to be cut the next one is at most so many times what was left of it, or columns that have not
# been seen to bend take it across the box again and again; a full step lets that grow.
_REACH, _FARTHER = 4.0, 100.0
# A free step is not limited, and assumes the first Hessian. Steps to the next: the first number where it brought more
# than the one before it, and on sharp ridges, where all steps are cut and would become ever shorter; else twice as many
# as the last time, up to the second (always 3: Rosenbrock's valley of 20 columns ended at 1.5 instead of .2).
_FREE, _RARE = 3, 24
_SUFFICIENT = 0.1  # of the decrease that the slope promises (Nocedal & Wright, eq. 3.4); 1e-4 was slightly worse
_CUTS = (0.1, 0.5)  # the next point on a line, in shares of the way to the one before
_TRIES = 12  # points on a line
_AGAIN, _FURTHER = 3, 10.0  # points after which none is tried for being nearer to the lowest; how far on it may be
_SHORTEST = 1e-10  # of the box: a shorter step is none
_NEARER = 0.3  # of a point on a line: the one beside it (0.5 does as well; two of them were no better than one)
_HOPE = 3.0  # a run that would still be worse than the best after so many times the promised gain is given up


@final
class QuasiNewton(Phased):
    """BFGS by differences, for smooth exact objectives, many narrow ones among them, from 20 evaluations per column on.

    restarts: begin again when nothing is gained any more (otherwise it is done).
    x0: (D,) the first point in the unit cube; None: the best foreign point known before the first ask, or the middle.

    An iteration is two rounds, or one where workers are idle: on smooth valleys d + 1 workers are at most twice as soon
    there as d, and more do not help.

    Raises StrategyError: an x0 that is no point of the unit cube.
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
        self.secants = Secants.begin(d, 1.0)
        self.step: Floats = np.zeros(d)
        self.share = 1.0  # of the step, that is being tried
        self.reach = math.inf  # how long a step may be, in shares of the box
        self.free = False  # the step is not limited
        self.until, self.rest = _FREE, _FREE  # steps until the next that is not, and from the last one to it
        self.level, self.usual = (
            math.inf,
            0.0,
        )  # the height before the step, and what the last that was not free brought
        self.flat = _FLAT[0]  # the run's first Hessian, in shares of its first gradient
        self.slope = self.promised = 0.0
        self.held, self.held_point = math.inf, self.point  # the lowest point on the line, if it brings enough
        self.cut = False  # the first point on the line was too far
        self.moved: Floats = np.zeros(d)  # the last step, zero where the gradient before is not of its beginning
        self.before: Floats = np.zeros(d)  # the gradient before it
        self.tries = self.iterations = 0
        self.own = 0  # the phase's own rows; those behind them are beside it
        self.scouts: list[int] = []  # tickets of rows that may be a better place to go on from
        self.care = 0  # differences are forward ones (0), to both sides (1), or that and wide (2)

    @property
    def all_out(self) -> bool:
        """All rows of the phase were given, and one that it needs is not told."""
        return self.phase != "new" and not self.ended and bool(self.given.all())

    @property
    def speculates(self) -> bool:
        """The phase is out, and more is given to who asks for it."""
        return self.all_out

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
        if self.speculates:
            self._widen(n)
        return self._give(np.flatnonzero(~self.given)[:n])

    def _widen(self, n: int) -> None:
        """n rows beside the phase, which waits for none of them."""
        size = 1 + len(self.columns) * (2 if self.care else 1)  # a point and the differences around it
        stations = {"line": 2, "start": 1}.get(self.phase, 0)
        rows = list(self.trial)
        for place in range(len(rows), len(rows) + n):
            station, row = divmod(place, size)
            if station < stations and row:
                rows.append(self._around(rows[place - row])[row - 1])
                continue
            if station < stations:
                rows.append(self._along(self.share * _NEARER))
            elif len(self.scouts) % 2 and self.best < INFEASIBLE:
                rows.append(self._near()[0])
            else:
                rows.append(self.problem.space.sample(1, self.rng)[0])
            self.scouts.append(self.next_ticket + place - len(self.trial))
        more = np.array(rows[len(self.trial) :]).reshape(-1, self.dimension)
        self.trial = np.concatenate([self.trial, self.problem.space.snap(more) if self.cells.any() else more])
        self.found = np.append(self.found, np.full(len(more), np.nan))
        self.given = np.append(self.given, np.zeros(len(more), dtype=np.bool_))

    def learn(self, answers: Answers) -> None:
        """Fill in the phase's merits and go on once they are all there."""
        tickets = answers.tickets.tolist()
        for ticket, (place, point, merit) in zip(tickets, self._placed(answers), strict=True):
            if place >= 0:
                self.found[place] = merit
                self.trial[place] = point
            if ticket in self.scouts:
                self.scouts.remove(ticket)
                if (place < 0 or self.phase == "slope") and merit <= self.best and merit < min(self.guest, INFEASIBLE):
                    self.guest, self.guest_point = merit, point.copy()
        if not self.done and self._heard:
            with one_thread():
                self._advance()

    @property
    def _heard(self) -> bool:
        """Whether the phase knows what it needs."""
        return len(self.found) > 0 and not bool(np.isnan(self.found[: self.own]).any())

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
            self._go_on(0)
        else:
            self._restart()

    def _begin_run(self, start: Floats, height: float) -> None:
        """A run at a point of known height, or (inf) at one to be evaluated first."""
        self._started(start)
        self.iterations = self.care = 0
        self.reach, self.free, self.until, self.rest = math.inf, False, _FREE, _FREE
        self.point, self.height = start.copy(), height
        self.flat = _FLAT[int(height < INFEASIBLE)]
        if height < INFEASIBLE:
            self._differences()
        else:
            self._enter("start", start[None])

    def _differences(self) -> None:
        """Steps along each column, inwards where there is no room; from a better foreign point if there is one."""
        if self.guest < self.height:
            self.point, self.height = self.guest_point.copy(), self.guest
            self.moved = np.zeros(len(self.columns))
        self.guest = math.inf
        self._enter("slope", self._around(self.point))

    def _around(self, point: Floats) -> Floats:
        """(d, D) or (2d, D) steps along each column from a point (D,)."""
        d = len(self.columns)
        steps = sides(point[self.columns], np.maximum(self._widths(), np.minimum(self.cells, 0.5)))
        trial = np.repeat(point[None], 2 * d if self.care else d, axis=0)
        trial[np.arange(d), self.columns] += steps
        if self.care:
            trial[np.arange(d, 2 * d), self.columns] -= steps
        return np.clip(trial, 0.0, 1.0)

    def _enter(self, phase: str, trial: Floats) -> None:
        super()._enter(phase, trial)
        self.own = len(trial)

    def _go_on(self, place: int) -> None:
        """The run goes on from that row, with the differences around it that are out or known already."""
        number, trial, found, given = self.number, self.trial, self.found, self.given
        self.point, self.height = trial[place].copy(), float(found[place])
        self._differences()
        moved = {}
        for j, row in enumerate(range(place + 1, min(place + 1 + self.own, len(trial)))):
            apart = np.flatnonzero(trial[row] != self.point)
            if given[row] and len(apart) == 1 and apart[0] == self.columns[j % len(self.columns)]:
                self.trial[j], self.found[j], self.given[j] = trial[row], found[row], True
                moved[row] = j
        self.places = [
            (ticket, self.number, moved[row]) if of == number and row in moved else (ticket, of, row)
            for ticket, of, row in self.places
        ]
        if self._heard:
            self._slope()

    def _widths(self) -> Floats:
        """(d,) of the differences, in shares of the box (Gill et al. 1983)."""
        d = len(self.columns)
        if self.care == 2:
            return np.full(d, _WIDE)
        if not self.iterations:
            return np.full(d, _DIFFERENCE[1])
        curves = np.maximum(np.diagonal(self.secants.hessian), 1e-300)
        with np.errstate(over="ignore"):  # enormous heights: the widest
            return np.asarray(np.clip(2.0 * np.sqrt(_EPSILON * abs(self.height) / curves), *_DIFFERENCE))

    def _gradient(self) -> Floats:
        """(d,) from the differences (Nocedal & Wright, eq. 8.1 and 8.7); 0 along columns that say nothing."""
        d = len(self.columns)
        here, ahead = self.point[self.columns], self.found[:d]
        steps = self.trial[np.arange(d), self.columns] - here
        usable = (ahead < INFEASIBLE) & (steps != 0)
        gradient = np.zeros(d)
        gradient[usable] = (ahead[usable] - self.height) / steps[usable]
        if self.care:
            behind = self.found[d : 2 * d]
            widths = steps - (self.trial[np.arange(d, 2 * d), self.columns] - here)
            both = usable & (behind < INFEASIBLE) & (np.abs(widths) > np.abs(steps))
            gradient[both] = (ahead[both] - behind[both]) / widths[both]
        elif self.iterations:
            gradient[usable] -= 0.5 * (steps * np.diagonal(self.secants.hessian))[usable]
        return gradient

    def _slope(self) -> None:
        """The gradient, what it says of the Hessian, and a line to try."""
        d = len(self.columns)
        gradient = self._gradient()
        self.gradient = np.clip(gradient, -1e100, 1e100)  # whatever follows does not overflow
        self.iterations += 1
        size = float(np.linalg.norm(self.gradient))
        if self.iterations == 1:
            self.secants = Secants.begin(d, max(self.flat * size, 1e-300))
        elif self.moved.any():
            self.secants.add(self.moved, self.gradient - self.before)
        self._ration()
        low, high = -self.point[self.columns], 1.0 - self.point[self.columns]
        hessian = self.secants.hessian
        if self.free:
            hessian = self.secants.assuming(min(self.secants.first, self.secants.unseen))
        model = Model(self.gradient, hessian)
        if self.iterations == 1:
            self.step = downhill(self.gradient, low, high)
        else:
            farthest = 2.0 * math.sqrt(d)  # beyond the box: its faces are the limits
            self.step = trust_step(model, low, high, farthest if self.free else min(self.reach, farthest))
        self.slope = float(self.gradient @ self.step)
        self.promised = -float(model(self.step[None])[0])
        hopeless = self.runs > 1 and self.iterations > 2 and self.height - _HOPE * self.promised > self.best
        if not self.slope < 0 or float(np.abs(self.step).max(initial=0.0)) < _SHORTEST or hopeless:
            self._stalled(hopeless)
            return
        self.share, self.tries, self.held = 1.0, 0, math.inf
        self._try()

    def _ration(self) -> None:
        """Whether the step is free: soon again where that brought more than the one before, rarely elsewhere."""
        gain, self.level = self.level - self.height, self.height
        if self.iterations == 1:
            self.free = False
            return
        if self.free:
            worth = gain > self.usual or self.secants.sharp
            self.rest = _FREE if worth else min(2 * self.rest, _RARE)
            self.until = self.rest
        else:
            self.usual = gain
        self.until -= 1
        self.free = self.until <= 0

    def _try(self) -> None:
        self._enter("line", self._along(self.share)[None])

    def _along(self, share: float) -> Floats:
        """(D,) a share of the step."""
        point = self.point.copy()
        point[self.columns] = np.clip(point[self.columns] + share * self.step, 0.0, 1.0)
        return point

    def _line(self) -> None:
        """Go there, or try another point on the line."""
        merit = float(self.found[0])
        drop = self.height - merit if merit < INFEASIBLE else -math.inf
        self.tries += 1
        if self.tries == 1:
            self.agreement += (float(drop >= 0.5 * self.promised) - self.agreement) / 4.0
        if self.held < math.inf:
            place = 0 if merit < self.held else -1
        else:
            place, self.cut = self._good(), self.tries > 1
        if place == 0 and len(self.trial) == 1 and self.iterations > 1 and self._lower_elsewhere(drop):
            self.held, self.held_point = merit, self.trial[0].copy()
            self._try()
        elif place >= 0 or self.held < math.inf:
            self._take(place)
        else:
            self._nearer(drop)

    def _lower_elsewhere(self, drop: float) -> bool:
        """Whether the parabola through slope and value is lowest so far from the point that another one pays there;
        the share is then that. What a point misses of the greatest drop is weighed with the d + 2 points of a step.
        """
        here = self.point[self.columns]
        share = min(self.share * self._lowest(drop), room(self.step, -here, 1.0 - here), _FURTHER * self.share)
        if self.tries > _AGAIN or not share > 0 or (self.share / share - 1.0) ** 2 * (len(self.columns) + 2) < 1.0:
            return False
        self.share = share
        return True

    def _take(self, place: int) -> None:
        """The run goes on from that row, or (-1) from the point that was held."""
        point = self.trial[place] if place >= 0 else self.held_point
        self.before, self.moved = self.gradient, (point - self.point)[self.columns]
        if self.iterations > 1:
            size = float(np.linalg.norm(self.moved))
            self.reach = _REACH * size if self.cut else max(self.reach, _FARTHER * size)
        if place >= 0:
            self._go_on(place)
        else:
            self.point, self.height = self.held_point, self.held
            self._differences()

    def _nearer(self, drop: float) -> None:
        """A nearer point: where the parabola through slope and value is lowest, within limits."""
        self.share *= min(max(self._lowest(drop), _CUTS[0]), _CUTS[1]) if math.isfinite(drop) else _CUTS[1]
        if self.tries >= _TRIES or self.share * float(np.abs(self.step).max()) < _SHORTEST:
            self._stalled()
        else:
            self._try()

    def _lowest(self, drop: float) -> float:
        """Where the parabola through slope and value is lowest, in shares of the way to the point; inf: beyond all."""
        bend = -drop - self.share * self.slope
        return -0.5 * self.share * self.slope / bend if bend > 0 else math.inf

    def _good(self) -> int:
        """The place of the lowest point on the line that brings enough; -1: none does."""
        size = 1 + len(self.columns) * (2 if self.care else 1)
        best, lowest = -1, math.inf
        for place, share in zip(range(0, len(self.trial), size), (1.0, _NEARER), strict=False):
            merit = float(self.found[place])  # NaN: not known yet
            drop = self.height - merit if merit < INFEASIBLE else -math.inf
            if drop > 0 and drop >= -_SUFFICIENT * share * self.share * self.slope and merit < lowest:
                best, lowest = place, merit
        return best

    def _stalled(self, hopeless: bool = False) -> None:
        """Better differences, as long as there are any and the run has hope; otherwise a new run."""
        if hopeless or self.care == 2:
            self._restart()
            return
        self.care += 1
        self.reach = math.inf
        if self.care == 2:
            self.iterations = 0  # what fine differences have said is not true of wide ones
        self.moved = np.zeros(len(self.columns))
        self._differences()

    def _restart(self) -> None:
        """A new run, near the best point or far from all earlier ones, whichever had less; or the end."""
        if not self.restarts:
            self.ended = "nothing more was gained"
            return
        self.moved = np.zeros(len(self.columns))
        self.kind = int(self.spent[1] < self.spent[0] and self.best < INFEASIBLE)
        self._begin_run(self._near()[0] if self.kind else self._far(), math.inf)


def downhill(gradient: Floats, low: Floats, high: Floats) -> Floats:
    """(d,) straight down a gradient (d,) to the first face of low <= step <= high (low <= 0 <= high) that is not at 0
    already; columns which are at theirs stay there.
    """
    down = np.where(((low >= 0) & (gradient > 0)) | ((high <= 0) & (gradient < 0)), 0.0, -gradient)
    share = room(down, low, high)
    return np.clip(share * down, low, high) if math.isfinite(share) else np.zeros(len(gradient))


def room(step: Floats, low: Floats, high: Floats) -> float:
    """How many times a step (d,) fits into low <= x <= high (d,) from 0, which is inside; inf: it has no length."""
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = np.where(step > 0, high / step, np.where(step < 0, low / step, math.inf))
    return float(limits.min(initial=math.inf))
