"""NSGA-II: a population that spreads along the Pareto front, for any number of objectives.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, IEEE TEVC 6 (2002) 182-197, doi:10.1109/4235.996017: non-dominated sorting,
crowding, constrained domination (definition 1) by the violations that were measured. Operators per type of column as in
`_operators`. Points that equal a member or each other are mutated again (duplicates crowd a front out). Above some four
objectives nearly everything is non-dominated and crowding alone decides: expect less there.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...core.batch import Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.strategy import MANY, Abilities
from ...numerics.dominance import crowding, ranks
from ...numerics.quasi_random import latin_hypercube
from ._generational import Generational
from ._operators import (
    Columns,
    flip,
    insert_keys,
    order_crossover,
    polynomial_mutation,
    redraw,
    reverse_keys,
    sbx,
    step,
    swap_keys,
    uniform_crossover,
)
from ._seen import Seen, row_hashes

_TRIES = 6  # at new children in place of duplicates


class NSGA2(Generational):
    """NSGA-II for real, discrete and mixed spaces, with constraints.

    population: members (and children per generation); None: a tenth of the budget, 20 to 100.
    crossover_prob: chance that a pair is crossed.  mutation_prob: chance per column; None: one over their number.
    eta_crossover, eta_mutation: distribution indices of SBX and polynomial mutation, larger = closer to the parents.
    quorum: share of a generation that must be back before the next one may begin; below 1 no worker waits for few long
        evaluations, whose answers join later as foreign ones.
    """

    abilities: ClassVar[Abilities] = Abilities(objectives=MANY, learns_foreign=True)

    def __init__(
        self,
        *,
        population: int | None = None,
        crossover_prob: float = 0.9,
        mutation_prob: float | None = None,
        eta_crossover: float = 15.0,
        eta_mutation: float = 20.0,
        quorum: float = 1.0,
    ) -> None:
        if population is not None and population < 4:
            raise StrategyError(f"population is at least 4 (two pairs), got {population!r}")
        for name, value in (("crossover_prob", crossover_prob), ("mutation_prob", mutation_prob)):
            if value is not None and not 0 <= value <= 1:
                raise StrategyError(f"{name} is a chance in [0, 1], got {value!r}")
        if min(eta_crossover, eta_mutation) < 0:
            raise StrategyError(f"eta_crossover and eta_mutation are >= 0, got {eta_crossover!r} and {eta_mutation!r}")
        self.population, self.crossover_prob, self.mutation_prob = population, crossover_prob, mutation_prob
        if not 0 < quorum <= 1:
            raise StrategyError(f"quorum is a share in (0, 1], got {quorum!r}")
        self.quorum = float(quorum)
        self.eta_crossover, self.eta_mutation = float(eta_crossover), float(eta_mutation)

    def begin(self) -> None:
        """Sort the columns by type and set up an empty population."""
        super().begin()
        space, d = self.problem.space, self.dimension
        columns = Columns.of(space)
        self.levels = columns.levels
        self.smooth = columns.metric[np.isinf(self.levels[columns.metric])]
        self.ordered = columns.ordered[self.levels[columns.ordered] > 1]
        self.metric = np.sort(np.concatenate([self.smooth, self.ordered]))
        self.labels, self.masks, self.orders = columns.unordered, columns.masks, list(columns.orders)
        genes = len(self.metric) + len(self.labels) + len(self.masks) + len(self.orders)
        self.rate = 1.0 / max(genes, 1) if self.mutation_prob is None else self.mutation_prob
        self.size = self.population or min(max((self.budget or 1000) // 10, 20), 100)
        self.seen = Seen.of(self.problem)
        self.members = np.empty((0, d))
        self.values = np.empty((0, len(self.problem.objectives)))
        self.violations = np.empty(0)
        self.ranks = np.empty(0, dtype=np.int64)
        self.crowding = np.empty(0)

    @property
    def stride(self) -> int:
        """Rows left in this generation, or those of the next one."""
        return len(self._brood) - self._given or self.size

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._given >= len(self._brood)

    @property
    def why(self) -> str:
        """Why it is done, or how large the front is."""
        if self.done:
            return "every point of the space was proposed"
        return f"generation {self.generation}, {int((self.ranks == 0).sum())} of {len(self.members)} not dominated"

    # --- children -------------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """(size, D) children, or a Latin hypercube while there is nobody to breed from."""
        space = self.problem.space
        if len(self.guests):
            self._select(self.members[:0], self.values[:0], self.violations[:0])
        if self.generation == 0 or len(self.members) < 2:
            count = max(self.size - len(self.members), 4)
            points = space.snap(latin_hypercube(count, self.dimension, self.rng))
        else:
            points = self._children()
        return self.seen.fresh(points, space, self.rng)[0]

    def _children(self) -> Floats:
        children = self._bred(self.size)
        taken = row_hashes(self.members)
        for _ in range(_TRIES):
            hashes = row_hashes(children)
            doubled = np.isin(hashes, taken)
            first = np.unique(hashes, return_index=True)[1]
            again = np.ones(len(children), dtype=np.bool_)
            again[first] = False
            rows = np.flatnonzero(doubled | again)
            if not len(rows):
                break
            children[rows] = self._bred(len(rows))
        return children

    def _bred(self, count: int) -> Floats:
        """(count, D) snapped, feasible children of tournament winners."""
        rng, space = self.rng, self.problem.space
        pairs = -(-count // 2)
        one, two = self._winners(pairs), self._winners(pairs)
        two = np.where(two == one, (two + 1) % len(self.members), two)
        first, second = self.members[one], self.members[two]
        crossed = (rng.random(pairs) < self.crossover_prob)[:, None]
        left, right = self._crossed(first, second)
        left, right = np.where(crossed, left, first), np.where(crossed, right, second)
        children = np.stack([left, right], axis=1).reshape(2 * pairs, self.dimension)[:count]
        return space.snap(space.repair(self._mutated(children), rng))

    def _winners(self, count: int) -> Ints:
        """(count,) members that win a tournament of two: the better front, then the emptier neighbourhood."""
        pairs = self.rng.integers(len(self.members), size=(2, count))
        rank, room = self.ranks[pairs], self.crowding[pairs]
        second = (rank[1] < rank[0]) | ((rank[1] == rank[0]) & (room[1] > room[0]))
        return np.asarray(np.where(second, pairs[1], pairs[0]))

    def _crossed(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        rng = self.rng
        one, two = uniform_crossover(first, second, rng)
        if len(self.metric):
            a, b = sbx(first[:, self.metric], second[:, self.metric], rng, self.eta_crossover)
            one[:, self.metric], two[:, self.metric] = a, b
        for columns in self.orders:
            a, b = order_crossover(first[:, columns], second[:, columns], rng)
            one[:, columns], two[:, columns] = a, b
        return one, two

    def _mutated(self, points: Floats) -> Floats:
        rng, points, rate = self.rng, points.copy(), self.rate
        hit = rng.random(points.shape) < rate
        if len(self.smooth):
            points[:, self.smooth] = polynomial_mutation(points[:, self.smooth], rng, self.eta_mutation, rate)
        if len(self.ordered):
            levels = self.levels[self.ordered]
            moved = step(points[:, self.ordered], levels, rng, hit[:, self.ordered], 1.0 + 0.05 * levels)
            points[:, self.ordered] = moved
        if len(self.labels):
            levels = self.levels[self.labels]
            points[:, self.labels] = redraw(points[:, self.labels], levels, rng, hit[:, self.labels])
        if len(self.masks):
            points[:, self.masks] = flip(points[:, self.masks], hit[:, self.masks])
        for columns in self.orders:
            chosen = np.flatnonzero(rng.random(len(points)) < rate)
            move = (swap_keys, reverse_keys, insert_keys)[rng.integers(3)]
            points[np.ix_(chosen, columns)] = move(points[np.ix_(chosen, columns)], rng)
        return points

    # --- survival -------------------------------------------------------------------------------------------------

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:  # noqa: ARG002 (children carry nothing)
        """Parents, children and guests together; the best fronts survive, the last of them by crowding."""
        good = answers.ok
        violations = np.zeros(len(answers)) if answers.violations is None else answers.violations
        self._select(answers.points[good], answers.values[good], violations[good])

    def _select(self, points: Floats, values: Floats, violations: Floats) -> None:
        guests = self.take_guests()
        if len(guests):
            self.seen.add(self.problem.space.snap(guests.points))
            theirs = np.zeros(len(guests)) if guests.violations is None else guests.violations
            points = np.concatenate([points, guests.points])
            values = np.concatenate([values, guests.values])
            violations = np.concatenate([violations, theirs])
        points = np.concatenate([self.members, points])
        values = np.concatenate([self.values, values])
        violations = np.concatenate([self.violations, violations])
        rank = ranks(values, violations if violations.any() else None)
        room = np.full(len(points), np.inf)
        order = rank.argsort(kind="stable")
        ends = np.cumsum(np.bincount(rank, minlength=1)).tolist()
        for start, stop in zip([0, *ends], ends, strict=False):
            if start >= self.size:
                break  # these fronts do not survive
            if stop - start > 2:  # the ends of a front have no neighbour: a front of two has nothing but ends
                room[order[start:stop]] = crowding(values[order[start:stop]])
        kept = np.lexsort((-room, rank))[: self.size]
        self.members, self.values, self.violations = points[kept], values[kept], violations[kept]
        self.ranks, self.crowding = rank[kept], room[kept]
