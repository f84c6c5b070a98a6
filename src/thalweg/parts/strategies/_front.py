"""The shared base of methods that keep a population along the Pareto front: who survives and who breeds is theirs.

Children come from pairs of members by `_variation`; those that equal a member or each other are bred again (duplicates
crowd a front out). What was told from elsewhere joins the selection before the next brood; a first brood fills up, with
a Latin hypercube, what foreign answers leave free.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from ...core.batch import Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.strategy import MANY, Abilities
from ...numerics.quasi_random import latin_hypercube
from ._generational import Generational
from ._seen import Seen, row_hashes
from ._variation import Variation, check_variation

_BROODS = 250  # in a budget
_REMEMBERED = 16  # populations of proposals, so that what has just died is not bred again
_TRIES = 6  # at new children in place of duplicates
_WAITING = 128  # foreign answers that may wait (the base keeps twice as many)


class Front(Generational):
    """Abstract: write `survivors`, `winners` and `members_wanted`; options as in `NSGA2`.

    members: (k, D), values (k, m), violations (k,): who survived.
    """

    abilities: ClassVar[Abilities] = Abilities(objectives=MANY, learns_foreign=True)

    def __init__(
        self,
        *,
        population: int | None = None,
        brood: int | None = None,
        crossover_prob: float = 0.9,
        mutation_prob: float | None = None,
        eta_crossover: float = 15.0,
        eta_mutation: float = 5.0,
        quorum: float | None = None,
    ) -> None:
        if population is not None and population < 4:
            raise StrategyError(f"population is at least 4 (two pairs), got {population!r}")
        if brood is not None and brood < 1:
            raise StrategyError(f"brood is at least 1 child per generation, got {brood!r}")
        check_variation(crossover_prob, mutation_prob, eta_crossover, eta_mutation)
        if quorum is not None and not 0 < quorum <= 1:
            raise StrategyError(f"quorum is a share in (0, 1] or None, got {quorum!r}")
        self.population, self.children = population, brood
        self.crossover_prob, self.mutation_prob = crossover_prob, mutation_prob
        self.eta_crossover, self.eta_mutation = float(eta_crossover), float(eta_mutation)
        self.quorum = quorum
        self._varied: Variation | None = None  # from the space and the options, so no part of the state

    # --- what a method writes ---------------------------------------------------------------------------------------

    @abstractmethod
    def members_wanted(self) -> int:
        """How many members, where `population` is not given."""

    @abstractmethod
    def survivors(self, values: Floats, violations: Floats) -> Ints:
        """Rows of values (n, m), violations (n,) that survive, `size` at most; keep what `winners` needs to know."""

    @abstractmethod
    def winners(self, count: int) -> Ints:
        """(count,) members that may breed."""

    # --- the books --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set up an empty population."""
        super().begin()
        self._varied = Variation.of(
            self.problem.space, self.crossover_prob, self.mutation_prob, self.eta_crossover, self.eta_mutation
        )
        self.size = self.population or self.members_wanted()
        self.brood_size = min(self.children or max((self.budget or 25_000) // _BROODS, 4), self.size)
        self.seen = Seen.of(self.problem)
        self.recent = np.zeros(_REMEMBERED * self.size, dtype=np.uint64)  # hashes of the latest proposals
        self.members = np.empty((0, self.dimension))
        self.values = np.empty((0, len(self.problem.objectives)))
        self.violations = np.empty(0)

    @property
    def stride(self) -> int:
        """Rows left in this generation, or those of the next one."""
        return len(self._brood) - self._given or (self.brood_size if self.generation else self.size)

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._given >= len(self._brood)

    # --- children ---------------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """(k, D) children, or a Latin hypercube while there is nobody to breed from."""
        space = self.problem.space
        if len(self.guests):
            self._select(self.members[:0], self.values[:0], self.violations[:0])
        missing = self.size - len(self.members)
        self.divides = not self.seen.on
        if len(self.members) < 2 or (self.generation == 0 and missing > self.size // 2):
            points = space.snap(space.repair(latin_hypercube(max(missing, 4), self.dimension, self.rng), self.rng))
        else:
            points = self._children(self._count())
        points = self.seen.fresh(points, space, self.rng)[0]
        self.recent = np.append(self.recent, row_hashes(points))[-len(self.recent) :]
        return points

    def _count(self) -> int:
        """Children of a brood: twice as many as are asked for, where that is more than it would be; those who cannot
        wait for answers get as many as they ask for.
        """
        if self.speculates:
            return min(self.wanted, self.size)
        if self.children is not None or self.wanted <= self.brood_size:
            return self.brood_size
        return min(2 * self.wanted, self.size)

    def _children(self, count: int) -> Floats:
        children = self._bred(count)
        taken = np.append(row_hashes(self.members), self.recent)
        for _ in range(_TRIES):
            hashes = row_hashes(children)
            doubled = np.isin(hashes, taken)
            again = np.ones(len(children), dtype=np.bool_)
            again[np.unique(hashes, return_index=True)[1]] = False
            rows = np.flatnonzero(doubled | again)
            if not len(rows):
                break
            children[rows] = self._bred(len(rows))
        return children

    def _bred(self, count: int) -> Floats:
        """(count, D) snapped, feasible children."""
        if self._varied is None:
            raise StrategyError(f"{type(self).__name__} breeds nothing before start()")
        pairs = -(-count // 2)
        one, two = self.winners(pairs), self.winners(pairs)
        two = np.where(two == one, (two + 1) % len(self.members), two)
        return self._varied.children(self.members[one], self.members[two], self.rng)[:count]

    # --- survival ---------------------------------------------------------------------------------------------------

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:  # noqa: ARG002 (children carry nothing)
        """Parents, children and guests together."""
        good = answers.ok
        violations = np.zeros(len(answers)) if answers.violations is None else answers.violations
        self._select(answers.points[good], answers.values[good], violations[good])

    def absorb(self, answers: Answers) -> None:
        """Foreign answers wait for the next selection. When many wait it is made at once, for the base would forget the
        oldest, whatever they are worth.
        """
        for start in range(0, len(answers), _WAITING):
            super().absorb(answers.rows(slice(start, start + _WAITING)))
            if len(self._guests) + sum(map(len, self._arrived)) >= _WAITING:
                self._select(self.members[:0], self.values[:0], self.violations[:0])

    def _select(self, points: Floats, values: Floats, violations: Floats) -> None:
        """Members, these rows and the guests together: who survives."""
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
        kept = self.survivors(values, violations) if len(values) else np.empty(0, dtype=np.int64)
        self.members, self.values, self.violations = points[kept], values[kept], violations[kept]
