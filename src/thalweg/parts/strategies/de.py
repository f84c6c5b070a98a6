"""Differential evolution. Default: success-history adaptation with an archive and linear population reduction.

R. Storn, K. Price, J. Global Optim. 11 (1997), doi:10.1023/A:1008202821328 (the classic variants);
J. Zhang, A. Sanderson, "JADE", IEEE TEC 13 (2009), doi:10.1109/TEVC.2009.2014613 (current-to-pbest/1 with archive);
R. Tanabe, A. Fukunaga, CEC 2014, doi:10.1109/CEC.2014.6900380 (L-SHADE).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final, get_args

import numpy as np

from ...core.batch import Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.parameter import ORDERED, UNORDERED
from ...core.strategy import Abilities
from ...numerics.quasi_random import latin_hypercube
from ...numerics.success_history import SuccessHistory
from ._generational import Generational, merits
from ._seen import Seen

Variant = Literal[
    "shade", "rand1bin", "best1bin", "currenttobest1bin", "randtobest1bin", "rand2bin", "best2bin", "currenttorand1"
]
"""shade adapts F and CR by what succeeded; the others are the classic ones (currenttorand1 has no crossover)."""

_LEAST = 4
_CELLS = 5
_LAST = (0.1, 0.4)  # share of the first population left at the end: short and long runs (small ones cost more per row)
_GREED = (0.3, 0.1)  # share of the population that counts as best, at the start and at the end of the budget
_REDRAWN = 0.05  # share of label columns drawn anew, lest a label that died out is lost


@final
class DE(Generational):
    """Differential evolution on the unit cube; labels are crossed over as whole cells, never added up.

    population: rows; with `shade` and a budget the first size, which falls linearly to a tenth (long runs: 4 tenths).
        Default: 0.7 sqrt(budget) (D / 5)^(1/4), more above 1000 D evaluations, at most 30 D; without a budget 12 D,
        64 to 200.
    variant: see `Variant`.
    F: scale of differences, or (low, high) drawn anew each generation (classic variants; default (0.5, 1)); for
        shade the first mean (0.5).
    CR: share of columns crossed over (classic variants, default 0.7); for shade the first mean (default: 0.2 to 0.95).
    restarts: begin again with new points when the population has collapsed.
    quorum: share of a generation that must be back before the next one may begin; None: who asks for more, because
        workers are idle, gets trials made of what is known by then, and every answer counts when it comes.

    Foreign answers become members: before the first ask they are the core of the first population.

    Raises:
        StrategyError: an unknown variant, a population below 4, F outside (0, 2], CR or quorum outside [0, 1].
    """

    abilities: ClassVar[Abilities] = Abilities(learns_foreign=True)

    def __init__(
        self,
        population: int | None = None,
        variant: Variant = "shade",
        F: float | tuple[float, float] | None = None,
        CR: float | None = None,
        *,
        restarts: bool = True,
        quorum: float | None = None,
    ) -> None:
        if variant not in get_args(Variant):
            raise StrategyError(f"de: variant is one of {', '.join(get_args(Variant))}; got {variant!r}")
        if population is not None and population < _LEAST:
            raise StrategyError(f"de: population is at least {_LEAST} (differences need others), got {population}")
        scales = (F, F) if isinstance(F, (int, float)) else (0.5, 1.0) if F is None else tuple(F)
        if len(scales) != 2 or not 0 < scales[0] <= scales[1] <= 2:
            raise StrategyError(f"de: F is a number in (0, 2] or (low, high), got {F!r}")
        if CR is not None and not 0 <= CR <= 1:
            raise StrategyError(f"de: CR lies in [0, 1], got {CR!r}")
        if quorum is not None and not 0 < quorum <= 1:
            raise StrategyError(f"de: quorum lies in (0, 1] or is None, got {quorum!r}")
        self.population, self.variant, self.restarts, self.quorum = population, variant, restarts, quorum
        self.scales = (float(scales[0]), float(scales[1]))
        self.F, self.CR = F, CR

    # --- runs: a run is one population from its first points to its collapse ------------------------------------------

    def begin(self) -> None:
        """Set up the first run."""
        super().begin()
        space = self.problem.space
        self.seen = Seen.of(self.problem)
        self._labels = np.flatnonzero(space.kinds == UNORDERED)
        self._steps = np.flatnonzero(space.kinds == ORDERED)
        self._widths = 1.0 / np.where(space.kinds == ORDERED, space.levels, 1.0)[self._steps]
        self.told = 0
        self.runs = 0
        self._start_run()

    def _start_run(self) -> None:
        self.runs += 1
        self._begun = self.told
        self._left = max(self.budget - self.told, 1) if self.budget is not None else 0
        # a long run can afford a broader search, which also costs less per row
        self._plenty = max(self._left / (1000 * max(self.dimension, 1)), 1.0)
        self.first_size = self.population or self._default_size()
        self.last_size = max(round(self.first_size * min(_LAST[0] * math.pow(self._plenty, 0.85), _LAST[1])), _LEAST)
        self.size = 0
        first_F = self.scales[0] if self.F is not None else 0.5
        first_CR = np.linspace(0.2, 0.95, _CELLS) if self.CR is None else np.full(_CELLS, self.CR)
        self.memory = SuccessHistory.start([first_F] * _CELLS, first_CR)
        # rows 0 .. size - 1: the population; then the archive of replaced parents
        self._pool: Floats = np.empty((0, self.dimension))
        self._archived = 0
        self._merit: Floats = np.empty(0)
        self._order: Ints = np.empty(0, dtype=np.int64)
        self._index = self._order  # 0, 1, 2, ... to cut from
        self._trial_F = self._trial_CR = np.empty(0)
        self._parents: Ints = np.empty(0, dtype=np.int64)

    def _default_size(self) -> int:
        d = max(self.dimension, 1)
        if self.budget is None:
            return min(max(12 * d, 64), 200)
        wanted = 0.7 * math.sqrt(self._left) * math.pow(d / 5, 0.25) * math.pow(self._plenty, 0.4)
        return max(min(round(wanted), 30 * d), 8)

    @property
    def progress(self) -> float:
        """Share of the run's budget that is told; 0.5 where there is none."""
        return min((self.told - self._begun) / self._left, 1.0) if self._left else 0.5

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._given >= len(self._brood)

    @property
    def why(self) -> str:
        """What is going on."""
        if self.done:
            return f"all {self.seen.count} points of the space were proposed"
        return f"run {self.runs}, generation {self.generation}, population {self.size or self.first_size}"

    # --- generations ----------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """The first population of a run, or one trial per member."""
        if not self.size:
            return self._first_rows()
        if len(self.guests):
            self._welcome()
        self.divides = not self.seen.on
        if len(self._late) and self._merit.min() == math.inf:  # workers for more than the first population
            trials = latin_hypercube(self.size, self.dimension, self.rng)
            self._trial_F = self._trial_CR = np.full(self.size, 0.5)
        else:
            trials = self._shade() if self.variant == "shade" else self._classic()
        points, kept = self.seen.fresh(trials, self.problem.space, self.rng)
        self._parents = np.arange(self.size)[kept]
        return points

    def _first_rows(self) -> Floats:
        """Space-filling points; with guests those are members already, and half of the rest lies around the best."""
        space, rng = self.problem.space, self.rng
        guests = self.take_guests() if self.runs == 1 else self.guests.rows(slice(0, 0))
        self.seen.add(guests.points)
        order = np.argsort(guests.merit(), kind="stable")[: max(self.first_size // 2, self.first_size - _LEAST)]
        self._members = guests.points[order]
        self._members_merit = guests.merit()[order]
        rows = self.first_size - len(order)
        points = latin_hypercube(rows, self.dimension, rng)
        if len(order):
            near = rows // 2
            points[:near] = self._members[0] + 0.1 * rng.standard_normal((near, self.dimension))
            points[:near] = np.abs(points[:near])
            points[:near] = 1 - np.abs(1 - points[:near])
        points, _ = self.seen.fresh(points, space, rng)
        self.divides = False
        return points

    def _welcome(self) -> None:
        """Foreign answers take the places of worse members (at most half of them)."""
        guests = self.take_guests()
        self.seen.add(guests.points)
        merit = guests.merit()
        worst = self._order[::-1][: self.size // 2]
        best = np.argsort(merit, kind="stable")[: len(worst)]
        known = (guests.points[best][:, None] == self._pool[None, : self.size]).all(axis=2).any(axis=1)
        best = best[~known]
        worst = worst[: len(best)]
        better = merit[best] < self._merit[worst]
        self._pool[worst[better]] = guests.points[best[better]]
        self._merit[worst[better]] = merit[best[better]]
        self._order = np.argsort(self._merit, kind="stable")

    def _shade(self) -> Floats:
        """current-to-pbest/1/bin: v = x + F (x_pbest - x) + F (x_r1 - x_r2), r2 from population and archive."""
        size, d, rng, pool = self.size, self.dimension, self.rng, self._pool
        rows = size + self._archived
        u = rng.random((6 + d, size))
        greed = _GREED[0] + (_GREED[1] - _GREED[0]) * self.progress
        # cell, p-best's rank, r1, r2, the column that is always crossed
        spans = np.array([[_CELLS], [max(greed * size, 2.0)], [size - 1], [rows - 1], [d]])
        picks = (u[:5] * spans).astype(np.intp)
        picks[2:4] += self._index[1 : size + 1]  # never the member itself
        picks[2:4] %= np.array([[size], [rows]])
        F, CR = self.memory.draw(picks[0], u[5], rng.standard_normal(size))
        picks[1] = self._order.take(picks[1])
        x = pool[:size]
        best, r1, r2 = pool.take(picks[1:4], axis=0)
        v = best  # the array's name from here on; it was made for this
        v -= x
        v += r1
        v -= r2
        v *= F[:, None]
        v += x
        stays = u[6:] >= CR  # (d, size)
        picks[4] *= size
        picks[4] += self._index[:size]
        stays.reshape(-1)[picks[4]] = False
        self._trial_F, self._trial_CR = F, CR
        self._vary(v, (picks[1], picks[2], picks[3]))
        np.copyto(v, x, where=stays.T)
        return _inside(v, x)

    def _classic(self) -> Floats:
        """The classic variants, with F drawn once per generation."""
        size, d, rng = self.size, self.dimension, self.rng
        x = self._pool[:size]
        F = rng.uniform(*self.scales)
        a, b, c, e, g = others(size, 5, rng)
        best = np.full(size, self._order[0])
        by = x.take
        if self.variant == "rand1bin":
            v, donors = by(a, 0) + F * (by(b, 0) - by(c, 0)), (a, b, c)
        elif self.variant == "best1bin":
            v, donors = by(best, 0) + F * (by(b, 0) - by(c, 0)), (best, b, c)
        elif self.variant == "currenttobest1bin":
            v, donors = x + F * (by(best, 0) - x + by(b, 0) - by(c, 0)), (best, b, c)
        elif self.variant == "randtobest1bin":
            v, donors = by(a, 0) + F * (by(best, 0) - by(a, 0) + by(b, 0) - by(c, 0)), (a, best, b)
        elif self.variant == "rand2bin":
            v, donors = by(a, 0) + F * (by(b, 0) - by(c, 0) + by(e, 0) - by(g, 0)), (a, b, c)
        elif self.variant == "best2bin":
            v, donors = by(best, 0) + F * (by(b, 0) - by(c, 0) + by(e, 0) - by(g, 0)), (best, b, c)
        else:  # currenttorand1: rotation invariant, so all columns are taken
            v, donors = x + rng.random((size, 1)) * (by(a, 0) - x) + F * (by(b, 0) - by(c, 0)), (a, b, c)
        CR = 1.0 if self.variant == "currenttorand1" else 0.7 if self.CR is None else self.CR
        cross = rng.random((size, d)) < CR
        cross[np.arange(size), rng.integers(d, size=size)] = True
        self._trial_F = self._trial_CR = np.full(size, F)
        self._vary(v, donors)
        return _inside(np.where(cross, v, x), x)

    def _vary(self, v: Floats, donors: tuple[Ints, Ints, Ints]) -> None:
        """Make mutants' discrete columns valid, in place: labels come from donors, steps are dithered."""
        rng, size = self.rng, len(v)
        if self._labels.size:
            shape = (size, len(self._labels))
            source = np.choose(rng.choice(3, size=shape, p=(0.5, 0.3, 0.2)), [item[:, None] for item in donors])
            labels = self._pool[source, self._labels]
            v[:, self._labels] = np.where(rng.random(shape) < _REDRAWN, rng.random(shape), labels)
        if self._steps.size:
            # without this a difference below half a step would always be rounded away
            v[:, self._steps] += (rng.random((size, len(self._steps))) - 0.5) * self._widths

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:
        """Trials replace parents that are not better; what succeeded is remembered."""
        merit = merits(answers)
        self.told += len(merit)
        if not self.size:
            self._found(answers, merit, slots)
        elif len(merit) == self.size:
            self._select(slice(0, self.size), answers.points, merit, self._trial_F, self._trial_CR)
        else:
            parents = self._parents[slots]
            self._select(parents, answers.points, merit, self._trial_F[parents], self._trial_CR[parents])
        if self._left and self.variant == "shade":
            self._reduce()
        if self.restarts and self._collapsed():
            self._start_run()

    def cut(self, slots: Ints) -> None:
        """Some members have trials."""
        self._parents = self._parents[slots]

    def notes(self, slots: Ints) -> Floats:
        """(k, 4) run, parent (-1: it is gone), F, CR."""
        if not self.size:
            members, F, CR = len(self._members) + slots, np.full(len(slots), 0.5), np.full(len(slots), 0.5)
        else:
            members = self._parents[slots]
            F, CR = self._trial_F[members], self._trial_CR[members]
        return np.stack([np.full(len(slots), self.runs), members, F, CR], axis=1)

    def late(self, answers: Answers, notes: Floats) -> None:
        """One trial after the other meets who is in its parent's place by now. The population's size, and its end, are
        left to `evolve`: the trials under way count on both.
        """
        merit = answers.merit()
        self.told += len(merit)
        for i in np.flatnonzero(notes[:, 0] == self.runs).tolist():
            member, one = int(notes[i, 1]), slice(i, i + 1)
            if member < 0:
                self.absorb(answers.rows(one))
            elif self._merit[member] == math.inf:  # it had no answer yet: nothing is replaced
                self._pool[member], self._merit[member] = answers.points[i], merit[i]
                self._order = self._merit.argsort(kind="stable")
            elif merit[i] <= self._merit[member]:
                self._select(np.array([member]), answers.points[one], merit[one], notes[one, 2], notes[one, 3])

    def _found(self, answers: Answers, merit: Floats, slots: Ints | slice) -> None:
        """The first population: guests, and answered rows (those without an answer yet stand in without merit)."""
        rows, first = self._brood.copy(), np.full(len(self._brood), np.inf)
        rows[slots], first[slots] = answers.points, merit
        points = np.concatenate([self._members, rows])
        self._merit = np.concatenate([self._members_merit, first])
        while len(points) < _LEAST:  # a space with fewer points than a population needs
            points = np.concatenate([points, points[:1]])
            self._merit = np.append(self._merit, np.inf)
        self.size = len(points)
        self._make_pool(points, points[:0])
        self._order = np.argsort(self._merit, kind="stable")

    def _make_pool(self, members: Floats, archive: Floats) -> None:
        size, kept = len(members), min(len(archive), len(members))
        self._pool = np.empty((2 * size, self.dimension))
        self._pool[:size] = members
        self._pool[size : size + kept] = archive[:kept]
        self._archived = kept
        self._index = np.arange(size + 1)

    def _select(self, parents: Ints | slice, points: Floats, merit: Floats, F: Floats, CR: Floats) -> None:
        """Trials (k, D) made with F, CR (k,) replace parents that are not better."""
        old = self._merit[parents]
        won = (merit < old).nonzero()[0]
        took = (merit <= old).nonzero()[0]  # equal ones too: that is how plateaus are crossed
        if len(won):
            rows = won if isinstance(parents, slice) else parents[won]
            if self.variant == "shade":
                gain = old.take(won) - merit.take(won)
                self.memory.learn(F.take(won), CR.take(won), gain)
            self._archive(self._pool.take(rows, axis=0))
        if len(took):
            at = took if isinstance(parents, slice) else parents[took]
            self._pool[at] = points.take(took, axis=0)
            self._merit[at] = merit.take(took)
            self._order = self._merit.argsort(kind="stable")

    def _archive(self, replaced: Floats) -> None:
        """Keep replaced parents; when the archive (as large as the population) is full they take random places."""
        size, count = self.size, len(replaced)
        room = min(size - self._archived, count)
        if room:
            at = size + self._archived
            self._pool[at : at + room] = replaced[:room]
            self._archived += room
        if count > room:
            # (u * size) instead of integers(): a third of its time
            self._pool[size + (self.rng.random(count - room) * size).astype(np.intp)] = replaced[room:]

    def _reduce(self) -> None:
        """Linear population size reduction (L-SHADE eq. 10), in steps of a sixteenth."""
        wanted = round(self.first_size + (self.last_size - self.first_size) * self.progress)
        if self.size - wanted <= self.size // 16:
            return
        keep = self._order[:wanted]
        archive = self._pool[self.size : self.size + self._archived]
        if len(self._late):
            place = np.full(self.size, -1.0)
            place[keep] = np.arange(wanted)
            here = np.flatnonzero((self._notes[:, 0] == self.runs) & (self._notes[:, 1] >= 0))
            self._notes[here, 1] = place[self._notes[here, 1].astype(np.intp)]
        self._make_pool(self._pool[keep], archive)
        self._merit = self._merit[keep]
        self._order = np.arange(wanted)
        self.size = wanted

    def _collapsed(self) -> bool:
        """Whether all members have become one point or one value."""
        order = self._order
        best, worst = float(self._merit[order[0]]), float(self._merit[order[-1]])
        if worst < math.inf and worst - best <= 1e-14 * abs(best) and not self.seen.on:
            return worst > best or bool(np.ptp(self._pool[: self.size], axis=0).max() < 0.05)
        return self.generation % 8 == 0 and bool(np.ptp(self._pool[: self.size], axis=0).max() < 1e-11)


def _inside(trials: Floats, parents: Floats) -> Floats:
    """`trials` (n, d), changed in place: what left the cube goes halfway between the parent and the bound it passed."""
    flat = trials.reshape(-1)
    out = (np.abs(flat - 0.5) > 0.5).nonzero()[0]
    if out.size:
        flat[out] = 0.5 * (parents.reshape(-1).take(out) + (flat.take(out) > 0.5))
    return trials


def others(size: int, count: int, rng: np.random.Generator) -> list[Ints]:
    """`count` index arrays (size,): entry i of each is a member other than i, all different where size allows."""
    usable = min(count, size - 1)
    shifts = np.empty((count, size), dtype=np.int64)
    for k in range(count):
        if k >= usable:
            shifts[k] = shifts[k - usable]
            continue
        shift = rng.integers(1, size - k, size=size)
        for earlier in np.sort(shifts[:k], axis=0):
            shift += shift >= earlier
        shifts[k] = shift
    return list((np.arange(size) + shifts) % size)
