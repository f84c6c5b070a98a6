"""CMA-ES with active covariance, restarts, integer margin and choices: one file per idea, this one holds them together.

- The distribution: N. Hansen, arXiv:1604.00772 (see `_cma`), with negative weights.
- Restarts: IPOP (Auger & Hansen, CEC 2005, doi:10.1109/CEC.2005.1554902) doubles the population each time; BIPOP
  (Hansen, GECCO workshop 2009, doi:10.1145/1570256.1570333) spends as much again on small ones with small steps.
- Ordered discrete columns: CMA-ES with Margin (Hamano et al., GECCO 2022, arXiv:2205.13482): the chance to leave the
  mean's cell never falls below 1/(d lambda), so sigma may shrink for the continuous columns alone.
- Unordered choices: a distribution over the options as in CatCMA (arXiv:2405.09962, see `_categories`).
- The box: candidates are folded back at the faces (mirrored), and learnt from unfolded. The folded objective is
  continuous: resampling would bias the distribution and clipping pile points on the faces; here a best point on a face
  is the bottom of a symmetric valley.
- Noise: twice the population, and a run that stalls goes on from its mean with twice as many again.
- Several workers: nobody waits for the last of a generation. Where more is asked for than it has, drawing goes on, and
  the distribution moves whenever a population's worth of answers has come (see `_candidates`); late answers of a run
  that has ended only count. Who hears whole generations before asking again meets the method of the papers.
- Foreign and repaired points: injection (Hansen, arXiv:1110.4181), steps shortened to a likely length; before the first
  ask the best foreign point is the mean, and many give the first sigma.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from ...core.batch import FOREIGN, Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.parameter import ORDERED, UNORDERED
from ...core.strategy import Abilities
from ._candidates import Candidates
from ._categories import Categories
from ._cma import Normal
from ._generational import Generational
from ._margin import widen
from ._operators import cell_centres
from ._seen import Seen

_FLAT = 1e-12  # a run whose values differ by less, absolutely or of themselves, has arrived
_HOPELESS = 0.01  # of how far it is behind the best run: what a run still moves before it is given up
_NOISY_SIGMA = 0.1  # of the first: the least with which a run on noisy values goes on
_SMALLEST = 1e-12  # steps, in shares of sigma0
_WIDEST = 2.0  # the largest standard deviation that means anything in a folded unit cube


class CMAES(Generational):
    """CMA-ES for real, integer and mixed spaces.

    sigma0: the first standard deviation, in shares of the box; None: 0.25, or 0.2 where columns have cells.
    population: candidates per generation; None: 4 + 3 ln d (twice as many where the problem is noisy).
    restarts: "bipop", "ipop" or None (one run, then done).
    mean0: (D,) the first mean in the unit cube; None: the best foreign point known before the first ask, or the middle.
    """

    abilities = Abilities(learns_foreign=True)
    guest_limit: ClassVar[int] = 64

    def __init__(
        self,
        *,
        sigma0: float | None = None,
        population: int | None = None,
        restarts: Literal["bipop", "ipop"] | None = "bipop",
        mean0: Floats | list[float] | None = None,
    ) -> None:
        if sigma0 is not None and not 0 < sigma0 <= 1:
            raise StrategyError(f"sigma0 is a share of the box in (0, 1], got {sigma0!r}")
        if population is not None and population < 3:
            raise StrategyError(f"population is at least 3, got {population!r}: selection needs better and worse ones")
        if restarts not in ("bipop", "ipop", None):
            raise StrategyError(f"restarts: expected 'bipop', 'ipop' or None, got {restarts!r}")
        self.sigma0, self.population, self.restarts, self.mean0 = sigma0, population, restarts, mean0
        self._tables: list[tuple[int, Floats]] = []

    # --- runs -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Sort the columns and begin the first run at the first ask."""
        super().begin()
        space, d = self.problem.space, self.dimension
        if self.mean0 is not None and np.shape(self.mean0) != (d,):
            raise StrategyError(
                f"mean0 must be a point (D,) = ({d},) of the unit cube, got shape {np.shape(self.mean0)}"
            )
        free = np.asarray(space.levels) > 1
        self.choices = np.flatnonzero((space.kinds == UNORDERED) & free)
        self.columns = np.flatnonzero((space.kinds != UNORDERED) & free)
        self.plain = len(self.columns) == d
        edges = cell_centres(space)
        self._tables = [
            (i, 0.5 * (table[1:] + table[:-1]))
            for i, j in enumerate(self.columns.tolist())
            if space.kinds[j] == ORDERED and (table := edges[j]) is not None
        ]
        self.inner = np.setdiff1d(np.arange(len(self.columns)), [i for i, _ in self._tables])
        # measured on mixed problems: wider means spend a run's first half on cells they leave again
        self.widest = float(self.sigma0 or (0.2 if self._tables or len(self.choices) else 0.25))
        self.counts = np.asarray(space.levels)[self.choices].astype(np.int64)
        self.base = self.population or 4 + int(3 * math.log(max(len(self.columns) + len(self.choices), 1)))
        self.base = max(self.base, 3) * (2 if self.problem.noisy and self.population is None else 1)
        self.seen = Seen.of(self.problem)
        self.normal = Normal.make(np.full(max(len(self.columns), 1), 0.5), self.widest, self.base)
        self.categories = Categories.make(self.counts)
        self.drawn = np.empty((0, len(self.choices)), dtype=np.int64)
        self.best, self.best_point = math.inf, np.full(d, 0.5)
        self.run, self.doublings, self.regime = -1, 0, 0
        self.spent = [0, 0]  # evaluations in the large and the small regime
        self.moved = False
        self.ended = ""
        self.loose = False  # more was asked for than a generation has: answers come in any order
        self.stale = False  # the distribution has moved since the supply was drawn
        # drawn; of these, under way; of these, told
        sizes = d, len(self.normal.mean), len(self.choices)
        self.supply, self.out, self.ripe = Candidates.none(*sizes), Candidates.none(*sizes), Candidates.none(*sizes)

    @property
    def stride(self) -> int:
        """Rows left in this generation, or those of the next one."""
        return len(self._brood) - self._given or self.normal.population

    @property
    def all_out(self) -> bool:
        """A generation is, or was and answers come in any order since."""
        return self.loose or super().all_out

    @property
    def speculates(self) -> bool:
        """What is drawn now is drawn from what was known before a generation that is out."""
        return self.all_out

    @property
    def done(self) -> bool:
        """Whether the last run has ended or a finite space has no new point."""
        return bool(self.ended)

    @property
    def why(self) -> str:
        """Why it is done, or what the run is doing."""
        return (
            self.ended or f"run {self.run + 1}, {self.normal.population} per generation, sigma {self.normal.sigma:.2g}"
        )

    def _begin_run(self, mean: Floats, sigma: float, population: int) -> None:
        self.run += 1
        self.normal = Normal.make(mean[self.columns] if len(self.columns) else np.full(1, 0.5), sigma, population)
        self.first_sigma = sigma
        self.categories = Categories.make(self.counts)
        self.history: list[float] = []
        self.run_best, self.run_best_at = math.inf, 0
        self.fails = 0

    def _first_run(self) -> None:
        guests = self.take_guests()
        mean = np.full(self.dimension, 0.5) if self.mean0 is None else np.asarray(self.mean0, dtype=np.float64)
        if len(guests):
            first = int(np.argmin(guests.merit()))
            self.best, self.best_point = float(guests.merit()[first]), guests.points[first].copy()
            if self.mean0 is None:
                mean = self.best_point
        self._begin_run(mean, self._first_sigma(guests, mean), self.base)
        if len(guests) and len(self.choices):
            self.categories.lean(self._picked(mean[None])[0], 0.5)

    def _first_sigma(self, guests: Answers, mean: Floats) -> float:
        """How far the best quarter of the guests lies around the mean: there the search begins, within sigma0.

        The idea of WS-CMA-ES (Nomura et al. 2021, arXiv:2012.06932) with one number; too few guests say nothing.
        """
        if self.mean0 is not None or len(guests) <= 2 * self.dimension or not len(self.columns):
            return self.widest
        best = np.argsort(guests.merit(), kind="stable")[: max(len(guests) // 4, 3)]
        apart = guests.points[best][:, self.columns] - mean[self.columns]
        return float(np.clip(np.sqrt((apart**2).mean()), 0.02 * self.widest, self.widest))

    def _restart(self) -> None:
        """The next run: BIPOP's regime with fewer evaluations so far, or IPOP's next doubling."""
        if self.problem.noisy:
            self._grow()
            return
        used = self.spent
        self.regime = 1 if self.restarts == "bipop" and self.run > 0 and used[1] < used[0] else 0
        mean, sigma = self.problem.space.sample(1, self.rng)[0], self.widest
        if self.regime == 0:
            self.doublings += 1
            population = self.base * 2**self.doublings
        else:
            largest = 2**self.doublings
            u, v = self.rng.random(2)
            population = max(int(self.base * (0.5 * largest) ** (u * u)), self.base)
            sigma = self.widest * 10 ** (-2 * v)
        if self.best < self.run_best:  # a foreign point, or an earlier run's end that this one did not reach
            mean = self.best_point if self.moved else mean
        self.moved = False
        self._begin_run(mean, sigma, population)

    def _grow(self) -> None:
        """Where values are noisy a stalled run goes on from its mean, with twice the population to average over."""
        normal, mean = self.normal, self.best_point.copy()
        if len(self.columns):
            self._mirror()
            mean[self.columns] = np.clip(normal.mean, 0.0, 1.0)
        sigma = float(np.clip(4.0 * normal.sigma * normal.roots[-1], _NOISY_SIGMA * self.widest, self.widest))
        self.doublings += 1
        self._begin_run(mean, sigma, 2 * normal.population)

    # --- one generation -------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """(population, D) candidates, folded into the cube."""
        if self.run < 0:
            self._first_run()
        x = self.normal.sample(self.rng)
        np.abs(x, out=x)
        points = np.minimum(x, 2.0 - x)  # farther than a whole box outside: the base clips
        if not self.plain:
            points = self._complete(points)
        if self.seen.on:
            points = self._fresh(points)
        return points

    def _complete(self, inner: Floats) -> Floats:
        """(n, D) points from the columns of the normal distribution, with choices drawn and fixed columns."""
        points = np.full((len(inner), self.dimension), 0.5)
        if len(self.columns):
            points[:, self.columns] = inner
        if len(self.choices):
            self.drawn = self.categories.sample(len(inner), self.rng)
            points[:, self.choices] = (self.drawn + 0.5) / self.counts
        return points

    def _fresh(self, points: Floats) -> Floats:
        """Points of a finite space that were not proposed before; what was moved is learnt from where it went."""
        space = self.problem.space
        snapped = space.snap(points)
        fresh, kept = self.seen.fresh(points, space, self.rng)
        rows = np.arange(len(points))[kept]
        changed = np.flatnonzero(np.abs(fresh - snapped[rows]).max(axis=1, initial=0.0) > 1e-9)
        self._relocate(rows[changed], fresh[changed])
        if len(rows) < len(points):
            self.normal.samples[:, : len(rows)] = self.normal.samples[:, rows]
            self.drawn = self.drawn[rows] if len(self.choices) else self.drawn
        if not len(rows):
            self.ended = "every point of the space was proposed"
        return fresh

    def _relocate(self, rows: Ints, points: Floats) -> None:
        """Candidates `rows` were evaluated at `points` (k, D)."""
        if len(rows):
            if len(self.columns):
                self.normal.place(rows, points[:, self.columns])
            if len(self.choices):
                self.drawn[rows] = self._picked(points)

    def _picked(self, points: Floats) -> Ints:
        cells = (points[:, self.choices] * self.counts).astype(np.int64)
        return np.minimum(cells, self.counts - 1)

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:  # noqa: ARG002 (always whole)
        """Learn from a whole generation."""
        if self.problem.space.constrained:
            rows = self._repaired(self._brood, answers.points)
            self._relocate(rows, answers.points[rows])
        merits: Floats = answers.values[:, 0]
        order = np.argsort(merits, kind="stable")  # NaN and infinities come to the end
        if answers.violations is not None or not -math.inf < merits[order[0]] <= merits[order[-1]] < math.inf:
            merits = answers.merit()
            order = np.argsort(merits, kind="stable")
        self.spent[self.regime] += len(answers)
        self._note(float(merits[order[0]]), answers.points[order[0]])
        self._move(merits, order, None)

    def _note(self, merit: float, point: Floats) -> None:
        if merit < self.best:
            self.best, self.best_point, self.moved = merit, point.copy(), False

    def _move(self, merits: Floats, order: Ints, batch: Candidates | None) -> None:
        """Move the distributions, and begin another run where this one has ended.

        merits: (k,) of the generation, or of `batch`.  order: (k,) best first.
        """
        normal, count = self.normal, len(merits)
        lowest, highest = float(merits[order[0]]), float(merits[order[-1]])
        if lowest == math.inf:  # nothing came back: nothing is known
            self.take_guests()
            self.fails += 1
            if self.fails >= 3:
                self._end("three generations in a row failed")
            return
        self.fails = 0
        if len(self.guests):
            self._update_with_guests(merits, batch)
        else:
            if highest == math.inf:
                order = order[: int(np.isfinite(merits).sum())]
            samples, drawn = (None, self.drawn) if batch is None else (batch.samples(normal), batch.drawn)
            self._update(order, count, samples, drawn)
        if self._tables:
            self._mirror()
            widen(normal, self._tables, 1.0 / (len(self.columns) + len(self.choices)) / normal.population)
        if lowest < self.run_best:
            self.run_best, self.run_best_at = lowest, normal.generation
        self._judge(lowest, highest)

    def _update(self, order: Ints, count: int, samples: Floats | None, drawn: Ints) -> None:
        normal = self.normal
        if len(self.columns):
            if samples is None and count < normal.population:
                samples = normal.samples[:, [*range(count), -1]]
            normal.update(order, count, samples)
        else:
            normal.generation += 1
        if len(self.choices):
            self.categories.update(normal.gains(order, count), drawn)

    def _update_with_guests(self, merits: Floats, batch: Candidates | None) -> None:
        """Own candidates and the best foreign points, ranked together; guests are never pushed away from."""
        guests = self.take_guests()
        normal, count = self.normal, len(merits)
        theirs = guests.merit()
        middle = float(np.median(merits))
        chosen = np.argsort(theirs, kind="stable")[: max(count // 2, 1)]
        chosen = chosen[theirs[chosen] <= middle]
        if len(chosen) and theirs[chosen[0]] < self.best:
            self.best, self.best_point = float(theirs[chosen[0]]), guests.points[chosen[0]].copy()
            self.moved = True
        points = guests.points[chosen]
        self._mirror(batch)
        samples, drawn = (normal.samples, self.drawn) if batch is None else (batch.samples(normal), batch.drawn)
        paths, samples = samples[:, -1:], samples[:, :count]
        if len(self.columns):
            samples = np.concatenate([samples, np.array(normal.steps(points[:, self.columns]))], axis=1)
        samples = np.concatenate([samples, paths], axis=1)
        drawn = np.concatenate([drawn, self._picked(points)]) if len(self.choices) else drawn
        both = np.concatenate([merits, theirs[chosen]])
        order = np.argsort(both, kind="stable")
        order = order[: int(np.isfinite(both).sum())]
        self._update(order, len(both), samples, drawn)

    def _mirror(self, batch: Candidates | None = None) -> None:
        """Bring the mean back into the cube, with everything that was drawn around it."""
        turns = np.floor(self.normal.mean)
        self.normal.mirror()
        if turns.any():
            for candidates in (self.supply, self.out, self.ripe, *([] if batch is None else [batch])):
                candidates.mirror(turns)

    def _repaired(self, proposed: Floats, points: Floats) -> Ints:
        """The rows that repair moved: what is learnt is learnt from where they were evaluated."""
        meant = self.problem.space.snap(np.clip(proposed, 0.0, 1.0))
        return np.flatnonzero(np.abs(points - meant).max(axis=1, initial=0.0) > 1e-9)

    # --- several workers ------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Rows of the generation, or as many more as are asked for while it is not heard."""
        if self.loose:
            return self._further(n)
        return super().propose(n)

    def _barrier(self, n: int) -> Floats:
        """The generation is out: from now on answers are taken as they come."""
        self.loose, self.stale = True, True
        self._draw_supply(self._brood)
        self.supply.tickets = np.arange(self._first, self._first + len(self._brood))
        got, self._got = self._got, {}
        self.out, self.supply = self.supply, self.supply.rows(slice(0, 0))
        self._given = self._heard = 0
        self._brood = self._brood[:0]
        if got:
            self._hear(Answers(**{name: column[got["tickets"] != FOREIGN] for name, column in got.items()}))
        return self._further(n)

    def _draw_supply(self, points: Floats) -> None:
        """Points (k, D), which were just drawn, with what must be known of them later."""
        normal, count = self.normal, len(points)
        self.supply = Candidates(
            np.full(count, FOREIGN),
            points,
            np.full(count, np.nan),
            normal.mean + normal.samples[1, :count] * normal.width,
            np.tile(normal.mean, (count, 1)),
            self.drawn[:count] if len(self.choices) else np.empty((count, 0), dtype=np.int64),
            np.full(count, self.run),
            np.full(count, self.regime),
        )
        self.stale = False

    def _further(self, n: int) -> Floats:
        """Rows from the present distribution; in a finite space what was drawn is given first, for it is seen."""
        if not len(self.supply) or (self.stale and not self.seen.on):
            self._draw_supply(self.brood())
        given, self.supply = self.supply.rows(slice(0, n)), self.supply.rows(slice(n, None))
        given.tickets = np.arange(self.next_ticket, self.next_ticket + len(given))
        self.out = self.out.plus(given)
        return given.points

    def learn(self, answers: Answers) -> None:
        """Whole generations, or whatever comes."""
        if self.loose:
            self._hear(answers)
        else:
            super().learn(answers)

    def _hear(self, answers: Answers) -> None:
        """A population's worth of answers moves the distribution."""
        told, self.out = self.out.taken(answers.tickets)
        moved = self._repaired(told.points, answers.points) if self.problem.space.constrained else np.empty(0, np.int64)
        told.points, told.merits = answers.points.copy(), answers.merit()
        if len(moved):
            told.drawn[moved] = self._picked(told.points[moved])
            if len(self.columns):
                told.places[moved] = told.points[moved][:, self.columns]
        for regime in told.regimes.tolist():
            self.spent[regime] += 1
        best = int(np.argmin(told.merits))
        self._note(float(told.merits[best]), told.points[best])
        self.ripe = self.ripe.plus(told)
        while not self.ended:
            self.ripe = self.ripe.rows(np.flatnonzero(self.ripe.runs == self.run))  # others come too late
            count = self.normal.population
            if len(self.ripe) < count:
                break
            batch, self.ripe = self.ripe.rows(slice(0, count)), self.ripe.rows(slice(count, None))
            batch = batch.rows(np.argsort(batch.tickets))
            self._move(batch.merits, np.argsort(batch.merits, kind="stable"), batch)
            self.stale = True
        if not (len(self.out) or len(self.ripe) or (self.seen.on and len(self.supply))):
            self.loose = False  # everything is known: a generation in one piece may begin

    # --- the end of a run -----------------------------------------------------------------------------------------

    def _judge(self, lowest: float, highest: float) -> None:
        """Termination criteria of Hansen 2009, section 2.1, in a unit cube."""
        normal, history = self.normal, self.history
        d, population, age = len(normal.mean), normal.population, normal.generation
        history.append(lowest)
        flat = _FLAT * (1.0 + abs(lowest))
        if len(history) > 10 + 30 * d // population:
            del history[0]
            if highest - lowest <= flat and max(highest, *history) - min(history) <= flat:
                self._end("values do not differ any more")
                return
        if age % 8:
            return
        behind = 0.0 if self.problem.noisy else self.run_best - self.best  # a best of noisy values says little
        if behind > flat and self.restarts is not None and normal.sigma < 0.3 * self.first_sigma and age >= 16:
            recent = history[-8:]
            if max(highest, *recent) - min(recent) <= _HOPELESS * behind:
                self._end("it converges to less than is known")
                return
        width = normal.sigma * float(normal.roots[-1])
        if width > _WIDEST:
            normal.sigma *= _WIDEST / width
        elif len(self.inner) and width * float(normal.scale[self.inner].max()) < _SMALLEST * self.widest:
            self._end("steps are as small as numbers allow")
        elif normal.roots[-1] > 1e7 * normal.roots[0]:
            self._end("the covariance is degenerate")
        elif age - self.run_best_at > 120 + 0.2 * age + 30 * d / population:
            self._end("no better value for long")

    def _end(self, reason: str) -> None:
        if self.restarts is None:
            self.ended = f"the run has converged: {reason}"
        else:
            self._restart()
