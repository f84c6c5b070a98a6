"""CMA-ES with a quadratic surrogate that spares it most evaluations (lq-CMA-ES).

N. Hansen: A global surrogate assisted CMA-ES, GECCO 2019, doi:10.1145/3321707.3321842 (hal-02143961). The distribution
is `_cma`'s, the model `_lq_model`'s.

One generation: candidates are drawn, the model's optimum among them, and ranked by the model. The best ones are
evaluated, first one, then half as many again, until the model (fitted anew each time) ranks the newest points as they
are; the rest of the generation takes the model's word. So a good model costs one evaluation per generation, and a
useless one makes it plain CMA-ES.

Beside the paper: the model has all terms from the beginning (see `numerics.weighted_quadratic`); it is fitted to the
nearest points of the history, own and foreign, in the distribution's coordinates; its optimum is that of a trust
region; evaluated candidates keep their true values; the agreement asked for is lower.

- The box: candidates are folded back at its faces, and the model is asked and taught only where points really are.
- Failed points, and ones that violate a constraint beside ones that do not, are as bad for the model as the worst known
  one, and unknown to the distribution.
- Restarts: three kinds of runs get the same share of the evaluations. Large ones double the population each time and
  small ones have small steps (BIPOP, Hansen 2009, doi:10.1145/1570256.1570333); the third kind begins at the best known
  point away from where all runs have ended. The history is common to all.
- Several rows at once: those that come next in the model's order. Where more is asked for than a generation has, the
  model's word stands for what has not come, and the next one begins. Answers to a generation that has been closed in
  the meantime teach the model; good ones (see `_welcome`) take the places of candidates that nobody has asked for.
- Discrete columns snap; a deviation is never below half a cell.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ...numerics.blas import one_thread
from ._cma import Normal
from ._lq_model import Surrogate, inverse_of, newest
from ._seen import Seen

_AGREED = 0.7  # Kendall's tau from which on the model is believed (0.85 in the paper)
_LEAST = 4  # known points from which on there is a model to speak of
_SMALLEST = 1e-12  # of the cube: the least standard deviation
_WIDEST = 2.0  # the largest standard deviation that means anything in a folded cube
_FLAT = 1e-12  # a run whose values differ by less, absolutely or of themselves, has arrived
_HOPELESS = 0.01  # of how far it is behind the best run: what a run still moves before it is given up
_LARGE, _SMALL, _BASIN = range(3)  # the regimes of runs
_APART = 0.08  # of the cube, in the column where it is most: a point that near to a run's end belongs to its basin
_BASIN_SIGMA = 0.06
_ENDS = 64  # ends of runs that are remembered
_RECENT = 3  # generations: late answers are good that are better than the worst of these generations' best ones
# areas over time with 8 and 32 workers, 24 functions in 5 columns, 50 d: the model alone learns .101, .043 (as when
# workers waited for a generation: .107, .047); every late answer taken .112, .064; those below the last generation's
# best .119, .064; below the worst of three .122, .070; of five the same, and 6 % worse in 10 columns


@final
class LqCMAES(Strategy):
    """Surrogate-assisted CMA-ES, for continuous objectives and 20 to some hundred evaluations for each column.

    sigma: the first standard deviation, in shares of the box (0.2).
    start: (D,) the first mean in the unit cube; None: the best foreign point known before the first ask, or the
        middle.
    population: candidates per generation; None: 4 + 3 ln d.
    restarts: begin again when a run has converged; False: it is done.

    Beyond 80 columns it does without the model, as CMA-ES.

    Foreign answers teach the model at any time: those near the mean count as if they were its own.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(
        self,
        *,
        sigma: float = 0.2,
        start: Floats | list[float] | None = None,
        population: int | None = None,
        restarts: bool = True,
    ) -> None:
        if not 0 < sigma <= 1:
            raise StrategyError(f"lq_cmaes: sigma is a share of the box in (0, 1], got {sigma!r}")
        if population is not None and population < 3:
            raise StrategyError(f"lq_cmaes: population is at least 3, got {population!r}")
        self.sigma, self.population, self.restarts = float(sigma), population, bool(restarts)
        self.start_point = start

    def begin(self) -> None:
        """The first run begins at the first ask, when foreign points may be known."""
        space, dimension = self.problem.space, self.dimension
        if self.start_point is not None and np.shape(self.start_point) != (dimension,):
            raise StrategyError(
                f"start must be a point (D,) = ({dimension},) of the unit cube, got shape {np.shape(self.start_point)}"
            )
        levels = np.asarray(space.levels)
        self.columns = np.flatnonzero(levels > 1) if (levels > 1).any() else np.arange(dimension)
        self.cells = np.where(np.isinf(levels), 0.0, 1.0 / np.maximum(levels, 1.0))[self.columns]
        self.discrete = bool(self.cells.any())
        d = len(self.columns)
        self.base = self.population or 4 + int(3 * math.log(max(d, 1)))
        self.seen = Seen.of(self.problem)
        self.surrogate = Surrogate.empty(d)
        # the generation: rows are candidates
        self.number = 0
        self.began = 0  # the run's first generation
        self.open = False
        self.candidates: Floats = np.empty((0, dimension))
        self.found: Floats = np.empty(0)  # merits, NaN until told
        self.given = np.empty(0, dtype=np.bool_)
        self.order: list[int] = []
        self.wanted = 0  # how many must be told before the model is asked whether that is enough
        self.places: list[tuple[int, int, int]] = []  # ticket, generation, row
        self.tau = 0.0
        # the run
        self.normal = Normal.make(np.full(max(d, 1), 0.5), self.sigma, self.base)
        self.root: Floats = np.eye(d)  # the inverse of the distribution's
        self.first = self.sigma  # the run's first
        self.runs, self.doublings, self.regime = 0, 0, _LARGE
        self.spent = [0, 0, 0]  # evaluations by regime
        self.ends: Floats = np.empty((0, d))
        self.age = self.best_age = 0
        self.run_best = math.inf
        self.history: list[float] = []
        self.lost = 0  # generations in a row of which nothing came back
        # beyond the run
        self.best, self.best_point = math.inf, np.full(dimension, 0.5)
        self.guest, self.guest_point = math.inf, np.full(dimension, 0.5)
        self.ended = ""

    @property
    def all_out(self) -> bool:
        """Every candidate was given or needs no evaluation, and the generation is open."""
        return self.open and bool(self.given.all())

    @property
    def speculates(self) -> bool:
        """Rows beyond the stride would perhaps not be evaluated at all."""
        return True

    @property
    def stride(self) -> int:
        """Rows of this generation that must be known whatever they are."""
        if not self.open:
            return 1 if len(self.surrogate) >= _LEAST else _LEAST
        return max(self.wanted - int(self.given.sum()), 1)

    @property
    def done(self) -> bool:
        """Whether a run has converged and is not restarted, or a finite space has no new point."""
        return bool(self.ended) or self.seen.exhausted

    @property
    def why(self) -> str:
        """Why it is done, or what the run is doing."""
        if self.seen.exhausted:
            return "every point of the space was proposed"
        normal = self.normal
        return self.ended or (
            f"run {max(self.runs, 1)}, {normal.population} per generation, sigma {normal.sigma:.2g}, "
            f"the model ranks with tau {self.tau:.2f}"
        )

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Candidates in the model's order."""
        with one_thread():  # sums are not the same with two, and take far longer where others use the cores
            if not self.open:
                self._open()
            elif self.given.all():
                self._leave()
                if self.ended:
                    return self.candidates[:0]
        rows = np.array([row for row in self.order if not self.given[row]][:n], dtype=np.int64)
        points, kept = self.seen.fresh(self.candidates[rows], self.problem.space, self.rng)
        self.given[rows] = True
        rows = rows[kept]
        self.candidates[rows] = points
        self.places += [(self.next_ticket + i, self.number, row) for i, row in enumerate(rows.tolist())]
        return points

    def _leave(self) -> None:
        """All of the generation is out, and more is wanted: the model's word stands for the rest, where it knows
        enough; else there are more candidates of the same distribution.
        """
        enough = self.surrogate.fitted and not np.isnan(self.found).all()
        if enough:
            self.surrogate.fit(self.normal, inverse_of(self.normal, self.root))
            self._close()
        if not self.ended:
            self._open(led=enough)

    def _open(self, led: bool = True) -> None:
        """The next generation. led: the model's optimum is in it, or the mean while there is no model."""
        if not self.runs:
            self._first_run()
        normal, surrogate = self.normal, self.surrogate
        if self.discrete:
            deviation = normal.sigma * np.sqrt(normal.C.diagonal())
            normal.scale, normal.widened = np.maximum(1.0, 0.5 * self.cells / deviation), True
        x = normal.sample(self.rng)
        np.abs(x, out=x)
        x = np.clip(2.0 - x, 0.0, np.minimum(x, 1.0))
        count = len(x)
        self.found = np.full(count, np.nan)
        self.given = np.zeros(count, dtype=np.bool_)
        if led and surrogate.fitted:
            self._put(0, surrogate.optimum(normal), x)
        elif led and not len(surrogate):  # nothing is known anywhere: the mean itself is as good as any
            self._put(0, normal.mean, x)
        if self.guest < self.run_best:
            self._put(1, self.guest_point[self.columns], x)
            self.found[1], self.given[1] = self.guest, True
        self.guest = math.inf
        self.candidates = np.full((count, self.dimension), 0.5)
        self.candidates[:, self.columns] = x
        self.number += 1
        self.open = True
        self.wanted = min(max(1 + count // 50, _LEAST - len(surrogate)), count) + int(self.given.sum())
        self._rank()

    def _put(self, row: int, point: Floats, x: Floats) -> None:
        """Candidate `row` of x (n, d) is `point` (d,)."""
        x[row] = point
        self.normal.place(np.array([row]), point[None])

    def _rank(self) -> None:
        """Who is next: the best by the model."""
        if self.surrogate.fitted:
            values = self.surrogate.values(self.candidates[:, self.columns])
            self.order = np.argsort(values, kind="stable").tolist()
        else:
            self.order = list(range(len(self.candidates)))

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Teach the model, fill in the generation, and go on as far as that reaches."""
        merits = answers.merit()
        self.surrogate.add(answers.points[:, self.columns], merits)
        self._note(answers.points, merits)
        self.age += len(merits)
        self.spent[self.regime] += len(merits)
        where = {ticket: (number, row) for ticket, number, row in self.places}
        told = answers.tickets.tolist()
        moved = []
        for i, ticket in enumerate(told):
            number, row = where.pop(ticket)
            if self.began <= number < self.number and self.open:
                moved += self._welcome(answers.points[i], float(merits[i]))
            elif number == self.number and self.open:
                self.found[row] = merits[i]
                if (answers.points[i] != self.candidates[row]).any():  # repaired or snapped
                    self.candidates[row] = answers.points[i]
                    moved.append(row)
        self.places = [(ticket, *place) for ticket, place in where.items()]
        with one_thread():
            if moved:
                rows = np.array(moved)
                self.normal.place(rows, self.candidates[rows][:, self.columns])
            if self.open:
                self._advance()

    def _welcome(self, point: Floats, merit: float) -> list[int]:
        """A late answer of this run: a good one takes the place of the last candidate that nobody has asked for."""
        free = [row for row in self.order if not self.given[row]]
        if not free or (self.history and merit >= max(self.history[-_RECENT:])):
            return []
        row = free[-1]
        self.candidates[row], self.found[row], self.given[row] = point, merit, True
        return [row]

    def absorb(self, answers: Answers) -> None:
        """The model learns from foreign points; the best one is the first mean, or later a candidate with a value."""
        merits = answers.merit()
        self.seen.add(answers.points)
        self.surrogate.add(answers.points[:, self.columns], merits, newest=False)
        first = int(np.argmin(merits))
        if self.runs and merits[first] < min(self.best, self.guest):
            self.guest, self.guest_point = float(merits[first]), answers.points[first].copy()
        self._note(answers.points, merits)

    def _note(self, points: Floats, merits: Floats) -> None:
        first = int(np.argmin(merits))
        if merits[first] < self.best:
            self.best, self.best_point = float(merits[first]), points[first].copy()

    def _advance(self) -> None:
        """Where enough is known, ask the model whether it is: close the generation or want more of it."""
        told, count = int((~np.isnan(self.found)).sum()), len(self.found)
        if told < self.wanted:
            return
        self.surrogate.fit(self.normal, inverse_of(self.normal, self.root))
        self.tau = self.surrogate.agreement(newest(told, count))
        if self.tau >= _AGREED or told == count:
            self._close()
        else:
            self.wanted = min(told + (told + 1) // 2, count)
            self._rank()

    def _close(self) -> None:
        """Move the distribution: true values where there are any, the model's for the rest."""
        self.open = False
        known = ~np.isnan(self.found)
        values = self.surrogate.heights(self.found)
        lowest = float(values[known].min())
        if not known.all():
            guessed = self.surrogate.values(self.candidates[:, self.columns])
            if lowest < math.inf:  # nothing unknown is better than the best known
                guessed += lowest - guessed.min()
            values = np.where(known, values, guessed)
        order = np.argsort(values, kind="stable")
        order = order[: int(np.isfinite(values).sum())]
        normal = self.normal
        self.lost = 0 if lowest < math.inf else self.lost + 1
        if len(order):
            normal.update(order, len(values))
            normal.mirror()
            if normal.generation % normal.lazy == 0:
                self.root = np.asarray(np.linalg.inv(normal.root))
        if lowest < self.run_best:
            self.run_best, self.best_age = lowest, self.age
        self._judge(float(np.ptp(values[order])) if len(order) else math.inf, lowest)

    # --- runs -----------------------------------------------------------------------------------------------------

    def _first_run(self) -> None:
        if self.start_point is not None:
            mean = np.asarray(self.start_point, dtype=np.float64)
        else:
            mean = self.best_point
        self._begin_run(mean[self.columns], self.sigma, self.base)

    def _begin_run(self, mean: Floats, sigma: float, population: int) -> None:
        self.runs += 1
        self.began = self.number + 1
        self.normal = Normal.make(mean, sigma, population)
        self.root, self.first = np.eye(len(mean)), sigma
        self.run_best, self.age, self.best_age, self.history, self.lost = math.inf, 0, 0, [], 0
        self.surrogate.turn_to(mean)
        if len(self.surrogate) >= _LEAST:
            self.surrogate.fit(self.normal, inverse_of(self.normal, self.root))

    def _judge(self, spread: float, lowest: float) -> None:
        """Whether the run has ended (after Hansen 2009, doi:10.1145/1570256.1570333, section 2.1)."""
        normal, history = self.normal, self.history
        d, population = len(normal.mean), normal.population
        width = normal.sigma * float(normal.roots[-1])
        history.append(lowest)
        if len(history) > 6 + d:
            del history[0]
            span = max(spread, max(history) - min(history))
            if span <= _FLAT * (1.0 + abs(self.run_best)):
                self._end("values do not differ any more")
                return
            if self.restarts and normal.sigma < 0.3 * self.first and span < _HOPELESS * (self.run_best - self.best):
                self._end("it converges to less than is known")
                return
        if width > _WIDEST:
            normal.sigma *= _WIDEST / width
        if self.lost >= 3:
            self._end("three generations in a row failed")
        elif width < _SMALLEST:
            self._end("steps are as small as numbers allow")
        elif normal.roots[-1] > 1e7 * normal.roots[0]:
            self._end("the covariance is degenerate")
        elif self.age - self.best_age > 50 + 10 * d + 0.2 * self.age + 5 * population:
            self._end("no better value for long")

    def _end(self, reason: str) -> None:
        """Say why it is done, or begin a run of the regime with the fewest evaluations."""
        if not self.restarts:
            self.ended = f"the run has converged: {reason}"
            return
        self.ends = np.concatenate([self.ends[-_ENDS:], np.clip(self.normal.mean, 0.0, 1.0)[None]])
        self.regime = int(np.argmin(self.spent)) if self.runs > 1 else _LARGE
        if self.regime == _BASIN:
            basin = self.surrogate.best_apart(self.ends, _APART)
            if basin is not None:
                self._begin_run(basin, _BASIN_SIGMA, self.base)
                return
            self.regime = _SMALL
        mean = self.problem.space.sample(1, self.rng)[0][self.columns]
        if self.regime == _LARGE:
            self.doublings += 1
            self._begin_run(mean, self.sigma, self.base * 2**self.doublings)
            return
        u, v = self.rng.random(2)
        population = int(self.base * (0.5 * 2**self.doublings) ** (u * u))
        self._begin_run(mean, self.sigma * 10 ** (-2 * v), max(population, self.base))
