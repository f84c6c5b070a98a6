"""NSGA-II: a population that spreads along the Pareto front, for any number of objectives.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, IEEE TEVC 6 (2002) 182-197, doi:10.1109/4235.996017: non-dominated sorting,
crowding, constrained domination (definition 1) by the violations that were measured. Operators per type of column as in
`_operators`. Above some four objectives nearly everything is non-dominated and crowding alone decides: `nsga3` and
`moead` are made for these.
"""

from __future__ import annotations

import numpy as np

from ...core.batch import Floats, Ints
from ...numerics.dominance import crowded
from ._front import Front


class NSGA2(Front):
    """NSGA-II for real, discrete and mixed spaces, with constraints.

    population: members; None: a 40th of the budget, 20 to 100.
    brood: children per generation; None: a 250th of the budget, 4 at least, more for those who ask for more. Small ones
        hear sooner what is good: with a budget of 100 evaluations per parameter that is worth half of it.
    crossover_prob: chance that a pair is crossed.  mutation_prob: chance per column; None: one over their number.
    eta_crossover, eta_mutation: distribution indices of SBX and polynomial mutation, larger = closer to the parents
        (the paper's are 20, for budgets of 25,000).
    quorum: share of a generation that must be back before the next one may begin; None: who asks for more, because
        workers are idle, gets children of those known by then, and answers join the selection when they come.
    """

    def begin(self) -> None:
        """An empty population."""
        super().begin()
        self.ranks = np.empty(0, dtype=np.int64)
        self.crowding = np.empty(0)

    def members_wanted(self) -> int:
        """Enough to hold a front; few make better use of a small budget."""
        return min(max((self.budget or 4000) // 40, 20), 100)

    @property
    def why(self) -> str:
        """Why it is done, or how large the front is."""
        if self.done:
            return "every point of the space was proposed"
        return f"generation {self.generation}, {int((self.ranks == 0).sum())} of {len(self.members)} not dominated"

    def winners(self, count: int) -> Ints:
        """(count,) members that win a tournament of two: the better front, then the emptier neighbourhood."""
        pairs = self.rng.integers(len(self.members), size=(2, count))
        rank, room = self.ranks[pairs], self.crowding[pairs]
        second = (rank[1] < rank[0]) | ((rank[1] == rank[0]) & (room[1] > room[0]))
        return np.asarray(np.where(second, pairs[1], pairs[0]))

    def survivors(self, values: Floats, violations: Floats) -> Ints:
        """The best fronts survive, the last of them by crowding."""
        kept, self.ranks, self.crowding = crowded(values, violations, self.size)
        return kept
