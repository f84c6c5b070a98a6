"""Particle swarm optimisation.

J. Kennedy, R. Eberhart, ICNN 1995, doi:10.1109/ICNN.1995.488968; constriction: M. Clerc, J. Kennedy, IEEE TEC 6
(2002), doi:10.1109/4235.985692; falling inertia: Y. Shi, R. Eberhart, CEC 1998, doi:10.1109/ICEC.1998.699146; bounds:
S. Helwig, J. Branke, S. Mostaghim, IEEE TEC 17 (2013), doi:10.1109/TEVC.2012.2189404.
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
from ._generational import Generational
from ._seen import Seen

Topology = Literal["global", "ring"]
Bounds = Literal["reflect", "absorb"]

CHI = 0.7298437881283576
"""Constriction for c1 = c2 = 2.05: 2 / |2 - phi - sqrt(phi^2 - 4 phi)|, phi = 4.1 (Clerc and Kennedy, eq. 15)."""
_LABELS = (0.3, 0.4, 0.25)  # a label stays, is taken from the own best, from the leader; else drawn anew


@final
class PSO(Generational):
    """A swarm that remembers its best places.

    population: particles (default 10 + 0.6 sqrt(budget), 16 to 60; 40 without a budget).
    topology: "ring" (the leader is the best of the particle and its two neighbours) or "global" (the best of all).
    inertia: w, or (first, last) falling over the budget, or "constriction" (0.7298).
        Default: (0.9, 0.4) with a budget, constriction without.
    c1, c2: pull of the own best and of the leader, times 0.7298.
    bounds: "reflect" (come back by as much, half the speed) or "absorb" (stop at the bound).
    restarts: scatter the swarm anew when it has collapsed.
    quorum: share of a generation that must be back before the next one may begin; None: who asks for more, because
        workers are idle, gets the next places of a swarm that knows what has come by then.

    Integer and stepped columns are flown through as real numbers and snapped for evaluation; labels are copied whole.

    Raises:
        StrategyError: an unknown topology or bounds, a population below 2, a negative coefficient.
    """

    abilities: ClassVar[Abilities] = Abilities(learns_foreign=True)

    def __init__(
        self,
        population: int | None = None,
        topology: Topology = "global",
        *,
        inertia: float | tuple[float, float] | Literal["constriction"] | None = None,
        c1: float = 2.05,
        c2: float = 2.05,
        bounds: Bounds = "reflect",
        restarts: bool = True,
        quorum: float | None = None,
    ) -> None:
        if topology not in get_args(Topology):
            raise StrategyError(f"pso: topology is one of {get_args(Topology)}, got {topology!r}")
        if bounds not in get_args(Bounds):
            raise StrategyError(f"pso: bounds is one of {get_args(Bounds)}, got {bounds!r}")
        if population is not None and population < 2:
            raise StrategyError(f"pso: population is at least 2, got {population}")
        weights = (CHI, CHI) if inertia == "constriction" else inertia
        weights = (weights, weights) if isinstance(weights, (int, float)) else weights
        if weights is not None and (isinstance(weights, str) or len(weights) != 2 or min(weights) < 0):
            raise StrategyError(f"pso: inertia is a number >= 0, (first, last) or 'constriction', got {inertia!r}")
        if min(c1, c2) < 0 or not (quorum is None or 0 < quorum <= 1):
            raise StrategyError(f"pso: c1, c2 >= 0 and 0 < quorum <= 1 or None expected, got {c1}, {c2}, {quorum}")
        self.population, self.topology, self.bounds, self.restarts = population, topology, bounds, restarts
        self.inertia, self.c1, self.c2, self.quorum = weights, float(c1), float(c2), quorum

    def begin(self) -> None:
        """Set up an empty swarm."""
        super().begin()
        kinds = self.problem.space.kinds
        self.seen = Seen.of(self.problem)
        self._labels = np.flatnonzero(kinds == UNORDERED)
        self._stepped = bool((kinds == ORDERED).any())
        self.told = 0
        self.runs = 0
        self.size = self.population or _default_size(self.budget)
        self._scatter()

    def _scatter(self) -> None:
        self.runs += 1
        self._flying = False
        self._x: Floats = np.empty((0, self.dimension))
        self._v: Floats = np.empty((0, self.dimension))
        self._best: Floats = np.empty((0, self.dimension))
        self._merit: Floats = np.empty(0)
        self._rows: Ints = np.empty(0, dtype=np.int64)

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._given >= len(self._brood)

    @property
    def why(self) -> str:
        """What is going on."""
        if self.done:
            return f"all {self.seen.count} points of the space were proposed"
        return f"swarm {self.runs}, generation {self.generation}, {self.size} particles"

    # --- generations ----------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """The swarm's next places."""
        if not self._flying:
            return self._first_rows()
        if len(self.guests):
            self._welcome()
        if len(self._late) and self._merit.min() == math.inf:  # workers for more than the swarm
            self._x = latin_hypercube(len(self._x), self.dimension, self.rng)
        else:
            self._fly()
        points, kept = self.seen.fresh(self._x, self.problem.space, self.rng)
        self._rows = np.arange(len(self._x))[kept]
        if self.seen.on:
            self._keep_flight(points)
        return points

    def _keep_flight(self, points: Floats) -> None:
        """Particles whose place was replaced because it was known go on from the new one."""
        snapped = self.problem.space.snap(self._x[self._rows])
        moved = (snapped != points).any(axis=1)
        self._x[self._rows[moved]] = points[moved]

    def _first_rows(self) -> Floats:
        """Space-filling places; with guests those are particles already, and half of the rest starts near the best."""
        space, rng = self.problem.space, self.rng
        guests = self.take_guests() if self.runs == 1 else self.guests.rows(slice(0, 0))
        self.seen.add(guests.points)
        merit = guests.merit()
        order = np.argsort(merit, kind="stable")[: self.size // 2]
        self._best, self._merit = guests.points[order], merit[order]
        rows = self.size - len(order)
        points = latin_hypercube(rows, self.dimension, rng)
        if len(order):
            near = points[: rows // 2]
            near[:] = self._best[0] + 0.1 * rng.standard_normal(near.shape)
            near[:] = 1.0 - np.abs(1.0 - np.abs(near))
        points, _ = self.seen.fresh(points, space, rng)
        return points

    def _fly(self) -> None:
        """v <- w v + chi c1 u1 (p - x) + chi c2 u2 (g - x); x <- x + v."""
        x, v, rng = self._x, self._v, self.rng
        u = rng.random((2, *x.shape))
        leader = self._leaders()
        u *= np.array([CHI * self.c1, CHI * self.c2])[:, None, None]
        w = self._weight()
        v = v * w
        v += u[0] * (self._best - x)
        v += u[1] * (leader - x)
        np.minimum(np.maximum(v, -0.5, out=v), 0.5, out=v)
        old = x
        x = x + v
        self._bound(x, v)
        if self._labels.size:
            self._fly_labels(x, old, leader)
        self._x, self._v = x, v

    def _weight(self) -> float:
        first, last = self.inertia or ((0.9, 0.4) if self.budget else (CHI, CHI))
        return first + (last - first) * min(self.told / self.budget, 1.0) if self.budget else 0.5 * (first + last)

    def _leaders(self) -> Floats:
        """(D,) or (n, D) the place each particle is drawn to."""
        if self.topology == "global":
            return np.asarray(self._best[self._merit.argmin()])
        size = len(self._merit)
        index = np.arange(size)
        near = np.stack([np.roll(index, 1), index, np.roll(index, -1)])
        return np.asarray(self._best.take(near[self._merit[near].argmin(axis=0), index], axis=0))

    def _bound(self, x: Floats, v: Floats) -> None:
        """Bring particles back into the cube, in place."""
        out = np.abs(x - 0.5) > 0.5
        if not np.count_nonzero(out):
            return
        if self.bounds == "absorb":
            v[out] = 0.0
            np.minimum(np.maximum(x, 0.0, out=x), 1.0, out=x)
        else:
            v[out] *= -0.5
            x[out] = 1.0 - np.abs(1.0 - np.abs(x[out]))

    def _fly_labels(self, x: Floats, old: Floats, leader: Floats) -> None:
        """Labels stay, or come from the own best, the leader, or chance."""
        columns, rng = self._labels, self.rng
        shape = (len(x), len(columns))
        u = rng.random(shape)
        at = np.cumsum(_LABELS)
        lead = np.broadcast_to(leader, x.shape)[:, columns]
        choices = [old[:, columns], self._best[:, columns], lead]
        x[:, columns] = np.select([u < at[0], u < at[1], u < at[2]], choices, rng.random(shape))

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:
        """Remember better places."""
        merit = answers.merit()
        self.told += len(merit)
        if not self._flying:
            self._take_off(answers, merit, slots)
            return
        rows = self._rows[slots]
        better = (merit < self._merit[rows]).nonzero()[0]
        at = rows[better]
        self._best[at] = answers.points[better]
        self._merit[at] = merit[better]
        if self.problem.space.constrained:  # repaired places are where the particles really were
            self._x[rows] = answers.points
        if self.restarts and self.generation % 8 == 0 and self._collapsed():
            self._scatter()

    def notes(self, slots: Ints) -> Floats:
        """(k, 2) swarm, particle."""
        particles = self._rows[slots] if self._flying else len(self._best) + slots
        return np.stack([np.full(len(slots), self.runs), particles], axis=1).astype(np.float64)

    def late(self, answers: Answers, notes: Floats) -> None:
        """Each particle remembers where it has been, if that is better than what it remembers."""
        merit = answers.merit()
        self.told += len(merit)
        for i in np.flatnonzero(notes[:, 0] == self.runs).tolist():
            particle = int(notes[i, 1])
            if merit[i] < self._merit[particle]:
                self._best[particle], self._merit[particle] = answers.points[i], merit[i]

    def _take_off(self, answers: Answers, merit: Floats, slots: Ints | slice) -> None:
        """The swarm: guests, and answered rows (those without an answer yet stand in without merit)."""
        rows, own = self._brood.copy(), np.full(len(self._brood), np.inf)
        rows[slots], own[slots] = answers.points, merit
        self._best = np.concatenate([self._best, rows])
        self._merit = np.concatenate([self._merit, own])
        self._x = self._best.copy()
        # half-difference start (SPSO): speeds that keep most particles inside
        self._v = 0.5 * (self.rng.random(self._x.shape) - self._x)
        self._flying = True

    def _collapsed(self) -> bool:
        """Whether the swarm stands still in one place."""
        spread = np.ptp(self._best, axis=0).max() < 1e-11
        return bool(spread and np.abs(self._v).max() < 1e-11) and not self.seen.on

    def _welcome(self) -> None:
        """Foreign answers become the memory of the particles whose own best is worst (at most half of them)."""
        guests = self.take_guests()
        self.seen.add(guests.points)
        merit = guests.merit()
        best = np.argsort(merit, kind="stable")
        known = (guests.points[best][:, None] == self._best[None]).all(axis=2).any(axis=1)
        best = best[~known][: max(len(self._merit) // 2, 1)]
        worst = np.argsort(self._merit, kind="stable")[::-1][: len(best)]
        better = merit[best] < self._merit[worst]
        self._best[worst[better]] = guests.points[best[better]]
        self._merit[worst[better]] = merit[best[better]]


def _default_size(budget: int | None) -> int:
    return 40 if budget is None else min(max(round(10 + 0.6 * math.sqrt(budget)), 16), 60)
