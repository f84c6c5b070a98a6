"""MOEA/D: one subproblem for each way to weigh the objectives, solved together by neighbours.

Q. Zhang, H. Li, IEEE TEVC 11 (2007) 712-731, doi:10.1109/TEVC.2007.892759: decomposition and neighbourhoods; H. Li,
Q. Zhang, IEEE TEVC 13 (2009) 284-302, doi:10.1109/TEVC.2008.925798: parents from everywhere with a small chance, and
a limit to how many neighbours one child replaces. Objectives are scaled to the members' range (section V-A there), and
Tchebycheff's function divides by the weights, so that its optima lie along the directions (Y. Qi et al., Evol. Comp.
22 (2014) 231-264, doi:10.1162/EVCO_a_00109). Constraints: the less violating one replaces (Deb's rules).

Every answer is used when it comes, in any order, and there are no generations: workers never wait.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import numpy as np

from ...core.batch import Answers, Floats, Ints, Mask
from ...core.errors import StrategyError
from ...core.strategy import MANY, Abilities, Strategy
from ...numerics.directions import neighbourhoods, reference_directions
from ...numerics.quasi_random import latin_hypercube
from ._seen import Seen, row_hashes
from ._variation import Variation, check_variation

Decomposition = Literal["tchebycheff", "pbi"]
_TRIES = 4  # at a child that is no member's double
_THIN = 1e-4  # stands for a weight of 0


class MOEAD(Strategy):
    """MOEA/D for real, discrete and mixed spaces, any number of objectives, with constraints.

    population: subproblems at most; None: a 40th of the budget, 20 to 120.  neighbours: of a subproblem, itself
        included; None: a fifth of them, at least 4.
    decomposition: "tchebycheff", or "pbi" (penalised boundary intersection; theta: the penalty, larger = nearer to the
        direction).
    locality: chance that parents, and those replaced, are neighbours.  replaced: how many a child may replace.
    crossover_prob, mutation_prob, eta_crossover, eta_mutation: as in `NSGA2`.
    """

    abilities: ClassVar[Abilities] = Abilities(objectives=MANY, learns_foreign=True)

    def __init__(
        self,
        *,
        population: int | None = None,
        neighbours: int | None = None,
        decomposition: Decomposition = "tchebycheff",
        theta: float = 5.0,
        locality: float = 0.9,
        replaced: int = 2,
        crossover_prob: float = 1.0,
        mutation_prob: float | None = None,
        eta_crossover: float = 20.0,
        eta_mutation: float = 8.0,
    ) -> None:
        if population is not None and population < 4:
            raise StrategyError(f"population is at least 4, got {population!r}")
        if neighbours is not None and neighbours < 2:
            raise StrategyError(f"neighbours is at least 2 (two parents), got {neighbours!r}")
        if decomposition not in get_args(Decomposition):
            raise StrategyError(f"decomposition: one of {get_args(Decomposition)} expected, got {decomposition!r}")
        if theta < 0 or replaced < 1 or not 0 <= locality <= 1:
            raise StrategyError(
                "theta >= 0, replaced >= 1 and locality in [0, 1] are expected, "
                f"got {theta!r}, {replaced!r} and {locality!r}"
            )
        check_variation(crossover_prob, mutation_prob, eta_crossover, eta_mutation)
        self.population, self.neighbours, self.replaced = population, neighbours, int(replaced)
        self.decomposition, self.theta, self.locality = decomposition, float(theta), float(locality)
        self.crossover_prob, self.mutation_prob = crossover_prob, mutation_prob
        self.eta_crossover, self.eta_mutation = float(eta_crossover), float(eta_mutation)
        self._varied: Variation | None = None  # from the space and the options, so no part of the state

    def begin(self) -> None:
        """The directions, their neighbourhoods, and a first design."""
        space, d, m = self.problem.space, self.dimension, len(self.problem.objectives)
        self._varied = Variation.of(
            space, self.crossover_prob, self.mutation_prob, self.eta_crossover, self.eta_mutation
        )
        most = self.population or min(max((self.budget or 4000) // 40, 20), 120)
        self.directions = reference_directions(m, most) if m > 1 else np.ones((most, 1))
        self.size = len(self.directions)
        self.near = neighbourhoods(self.directions, self.neighbours or max(self.size // 5, 4))
        self.design = space.snap(space.repair(latin_hypercube(self.size, d, self.rng), self.rng))
        self.laid = 0  # rows of the design that were given out
        self.members = np.zeros((self.size, d))
        self.values = np.zeros((self.size, m))
        self.violations = np.zeros(self.size)
        self.filled = np.zeros(self.size, dtype=np.bool_)
        self.ideal = np.full(m, np.inf)
        self.queue = np.empty(0, dtype=np.int64)  # subproblems whose turn comes next
        self.out = np.empty(0, dtype=np.int64)  # tickets not yet told, the subproblems they were made for ...
        self.out_slots = np.empty(0, dtype=np.int64)
        self.out_wide = np.empty(0, dtype=np.bool_)  # ... and whether they may replace anybody
        self.seen = Seen.of(self.problem)

    @property
    def stride(self) -> int:
        """The rest of the design, then a fourth of the subproblems."""
        return max(self.size - self.laid, self.size // 4, 1)

    @property
    def speculates(self) -> bool:
        """Later children would know more."""
        return True

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted

    @property
    def why(self) -> str:
        """Why it is done, or how many subproblems have a member."""
        if self.done:
            return "every point of the space was proposed"
        return f"{int(self.filled.sum())} of {self.size} subproblems have a member"

    # --- ask --------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """The rest of the design, then children for the subproblems in turn."""
        space = self.problem.space
        if self.laid < self.size:
            slots = np.arange(self.laid, min(self.laid + n, self.size))
            self.laid += len(slots)
            points, wide = self.design[slots], np.ones(len(slots), dtype=np.bool_)
        else:
            slots = self._turns(n)
            wide = self.rng.random(len(slots)) >= self.locality
            points = self._children(slots, wide)
        points, kept = self.seen.fresh(points, space, self.rng)
        slots, wide = slots[kept], wide[kept]
        self.out = np.append(self.out, np.arange(self.next_ticket, self.next_ticket + len(points)))
        self.out_slots, self.out_wide = np.append(self.out_slots, slots), np.append(self.out_wide, wide)
        return points

    def _turns(self, n: int) -> Ints:
        """(n,) subproblems: each once, in a random order, before any comes again."""
        while len(self.queue) < n:
            self.queue = np.append(self.queue, self.rng.permutation(self.size))
        turns, self.queue = self.queue[:n], self.queue[n:]
        return turns

    def _children(self, slots: Ints, wide: Mask) -> Floats:
        """(k, D) one child for each of `slots` (k,), of parents near it, or from everywhere where `wide`."""
        space, everybody = self.problem.space, np.flatnonzero(self.filled)
        if len(everybody) < 2 or self._varied is None:
            return space.sample(len(slots), self.rng)
        taken = row_hashes(self.members[everybody])
        points = np.empty((len(slots), self.dimension))
        rows = np.arange(len(slots))
        for _ in range(_TRIES):
            parents = np.array([self._parents(int(slots[row]), bool(wide[row]), everybody) for row in rows])
            first, second = self.members[parents[:, 0]], self.members[parents[:, 1]]
            points[rows] = self._varied.children(first, second, self.rng)[::2]
            rows = rows[np.isin(row_hashes(points[rows]), taken)]
            if not len(rows):
                break
        return points

    def _parents(self, slot: int, wide: bool, everybody: Ints) -> list[int]:
        """Two different members."""
        pool = everybody
        if not wide:
            near = self.near[slot]
            near = near[self.filled[near]]
            pool = near if len(near) > 1 else everybody
        first = int(self.rng.integers(len(pool)))
        second = (first + 1 + int(self.rng.integers(len(pool) - 1))) % len(pool)
        return [int(pool[first]), int(pool[second])]

    # --- tell -------------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Every child replaces members that it is better than, for the subproblems it was made for."""
        order = np.argsort(answers.tickets, kind="stable")
        places = np.searchsorted(self.out, answers.tickets[order])  # tickets go out in increasing order
        good, violations = answers.ok, _violations(answers)
        for row, place in zip(order.tolist(), places.tolist(), strict=True):
            if good[row]:
                scope = np.arange(self.size) if self.out_wide[place] else self.near[self.out_slots[place]]
                self._place(answers.points[row], answers.values[row], float(violations[row]), scope)
        kept = np.ones(len(self.out), dtype=np.bool_)
        kept[places] = False
        self.out, self.out_slots, self.out_wide = self.out[kept], self.out_slots[kept], self.out_wide[kept]

    def absorb(self, answers: Answers) -> None:
        """Foreign answers are offered to every subproblem; they stand for as many points of the design."""
        self.seen.add(self.problem.space.snap(answers.points))
        violations = _violations(answers)
        for row in np.flatnonzero(answers.ok).tolist():
            self._place(answers.points[row], answers.values[row], float(violations[row]), np.arange(self.size))
        if self.filled.all():
            self.laid = self.size

    def _place(self, point: Floats, values: Floats, violation: float, scope: Ints) -> None:
        """Replace up to `replaced` members of the subproblems `scope` for which the point is better, nearest first."""
        if violation <= 0:
            self.ideal = np.minimum(self.ideal, values)
        costs = self.costs(np.concatenate([values[None], self.values[scope]]), scope)
        mine, theirs = costs[0], costs[1]
        better = np.where(
            (violation > 0) | (self.violations[scope] > 0),
            (violation < self.violations[scope]) | ((violation == self.violations[scope]) & (mine < theirs)),
            mine < theirs,
        )
        empty = ~self.filled[scope]
        candidates = np.flatnonzero(better | empty)
        # whose subproblem it suits best: where it gains the most; an empty place only where it fits
        ease = np.where(empty, mine, mine - theirs)[candidates]
        chosen = scope[candidates[np.lexsort((ease, empty[candidates]))]]
        free = chosen[~self.filled[chosen]][:1]
        chosen = np.append(chosen[self.filled[chosen]][: self.replaced], free)
        self.members[chosen], self.values[chosen], self.violations[chosen] = point, values, violation
        self.filled[chosen] = True

    def costs(self, values: Floats, scope: Ints) -> tuple[Floats, Floats]:
        """(cost (k,) of values[0] for each subproblem of `scope` (k,), that of each one's own member: values[1:])."""
        known = self.values[self.filled & (self.violations <= 0)]
        low = np.where(np.isfinite(self.ideal), self.ideal, values.min(axis=0))
        width = (known.max(axis=0) if len(known) else values.max(axis=0)) - low
        scaled = (values - low) / np.where(width > 0, width, 1.0)
        weights = np.maximum(self.directions[scope], _THIN)
        if self.decomposition == "tchebycheff":
            return (scaled[0] / weights).max(axis=1), (scaled[1:] / weights).max(axis=1)
        return self._intersection(scaled[0], weights), self._intersection(scaled[1:], weights)

    def _intersection(self, scaled: Floats, weights: Floats) -> Floats:
        """Along the direction, plus theta times the distance from it (eq. 3 of the first paper's section II-C)."""
        unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        along = (scaled * unit).sum(axis=1)
        apart = np.linalg.norm(scaled - along[:, None] * unit, axis=1)
        return np.asarray(along + self.theta * apart)


def _violations(answers: Answers) -> Floats:
    return np.zeros(len(answers)) if answers.violations is None else answers.violations
