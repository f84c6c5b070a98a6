"""NSGA-III: a population spread along reference directions, for three and more objectives.

K. Deb, H. Jain, IEEE TEVC 18 (2014) 577-601, doi:10.1109/TEVC.2013.2281535: Das-Dennis directions (section IV-B),
normalisation by ideal point, extreme points and intercepts (IV-C), association (IV-D), niching (IV-E); constrained
domination and the tournament by violation: H. Jain, K. Deb, the same volume, 602-622, doi:10.1109/TEVC.2013.2281534.

Where the extreme points span no hyperplane, or its intercepts are useless, the worst values of the first front stand
for them, as in the authors' later code (J. Blank, K. Deb, P. C. Roy, EMO 2019, doi:10.1007/978-3-030-12598-1_19).
"""

from __future__ import annotations

import numpy as np

from ...core.batch import Floats, Ints
from ...numerics.directions import nearest_directions, reference_directions
from ...numerics.dominance import ranks
from ._front import Front

_TINY = 1e-6  # an axis' share in the weights that find its extreme point


class NSGA3(Front):
    """NSGA-III for real, discrete and mixed spaces, with constraints.

    population: members; None: a 40th of the budget, 20 to 120. There are as many reference directions as fit.
    brood, crossover_prob, mutation_prob, eta_crossover, eta_mutation, quorum: as in `NSGA2`. The paper's 30 for
        eta_crossover: parents from far ends of a large front make children that are on no front.
    """

    def __init__(
        self,
        *,
        population: int | None = None,
        brood: int | None = None,
        crossover_prob: float = 1.0,
        mutation_prob: float | None = None,
        eta_crossover: float = 30.0,
        eta_mutation: float = 5.0,
        quorum: float | None = None,
    ) -> None:
        super().__init__(
            population=population,
            brood=brood,
            crossover_prob=crossover_prob,
            mutation_prob=mutation_prob,
            eta_crossover=eta_crossover,
            eta_mutation=eta_mutation,
            quorum=quorum,
        )

    def begin(self) -> None:
        """The directions, and no extreme points yet."""
        super().begin()
        m = len(self.problem.objectives)
        self.directions = reference_directions(m, self.size)
        self.ideal = np.full(m, np.inf)
        self.spread = np.ones(m)  # from the ideal to the nadir point
        self.extremes = np.empty((0, m))
        self.ranks = np.empty(0, dtype=np.int64)

    def members_wanted(self) -> int:
        """Fewer than the paper's: its budgets are a hundred times larger."""
        return min(max((self.budget or 4000) // 40, 20), 120)

    @property
    def why(self) -> str:
        """Why it is done, or how large the front is."""
        if self.done:
            return "every point of the space was proposed"
        first = int((self.ranks == 0).sum())
        return (
            f"generation {self.generation}, {first} of {len(self.members)} not dominated, "
            f"{len(self.directions)} directions"
        )

    def winners(self, count: int) -> Ints:
        """(count,) members at random; where some violate constraints, the less violating one of two."""
        if not self.violations.any():
            return self.rng.integers(len(self.members), size=count)
        pairs = self.rng.integers(len(self.members), size=(2, count))
        amounts = self.violations[pairs]
        return np.asarray(np.where(amounts[1] < amounts[0], pairs[1], pairs[0]))

    # --- survival ---------------------------------------------------------------------------------------------------

    def survivors(self, values: Floats, violations: Floats) -> Ints:
        """Whole fronts while they fit; of the one that does not, those in the emptiest niches."""
        rank = ranks(values, violations if violations.any() else None)
        feasible = violations <= 0
        self._normalise(values[feasible & (rank == 0)], values[feasible])
        order = rank.argsort(kind="stable")
        if len(order) <= self.size:
            kept = order
        else:
            last = rank[order[self.size - 1]]
            safe, splitting = order[rank[order] < last], order[rank[order] == last]
            kept = np.concatenate([safe, self._chosen(values, violations, safe, splitting)])
        self.ranks = rank[kept]
        return kept

    def _normalise(self, first: Floats, feasible: Floats) -> None:
        """Ideal, extreme and nadir points, from the feasible rows, the first front, and the extremes so far."""
        if not len(first):
            return
        self.ideal = np.minimum(self.ideal, feasible.min(axis=0))
        pool = np.concatenate([self.extremes, first]) - self.ideal
        weights = np.full((len(self.ideal), len(self.ideal)), _TINY)
        np.fill_diagonal(weights, 1.0)
        # eq. 4: what each row achieves along each axis
        achieved = (pool[:, None, :] / weights[None]).max(axis=2)
        extremes = pool[np.argmin(achieved, axis=0)]
        self.extremes = extremes + self.ideal
        spread, worst = _intercepts(extremes), first.max(axis=0) - self.ideal
        spread = worst if spread is None else np.minimum(spread, pool.max(axis=0))
        spread = np.where(spread > 1e-6 * worst.max(), spread, feasible.max(axis=0) - self.ideal)
        self.spread = np.maximum(spread, 1e-12 * np.maximum(np.abs(self.ideal), 1.0))

    def _chosen(self, values: Floats, violations: Floats, safe: Ints, splitting: Ints) -> Ints:
        """Rows of `splitting` that fill the population, niche by niche (algorithm 4)."""
        room = self.size - len(safe)
        if (violations[splitting] > 0).any() or not np.isfinite(self.ideal).all():
            return splitting[:room]  # equal violations: any of them
        both = np.concatenate([safe, splitting])
        scaled = np.maximum((values[both] - self.ideal) / self.spread, 0.0)
        niche, apart = nearest_directions(scaled, self.directions)
        taken = np.bincount(niche[: len(safe)], minlength=len(self.directions))
        niche, apart = niche[len(safe) :], apart[len(safe) :]
        free = np.ones(len(splitting), dtype=np.bool_)
        chosen: list[int] = []
        while len(chosen) < room:
            open_niches = np.unique(niche[free])
            fewest = open_niches[taken[open_niches] == taken[open_niches].min()]
            for target in self.rng.permutation(fewest)[: room - len(chosen)].tolist():
                rows = np.flatnonzero(free & (niche == target))
                # an empty niche takes the nearest row, another one any
                row = rows[np.argmin(apart[rows])] if not taken[target] else rows[self.rng.integers(len(rows))]
                chosen.append(int(row))
                free[row] = False
                taken[target] += 1
        return splitting[np.array(chosen, dtype=np.int64)]


def _intercepts(extremes: Floats) -> Floats | None:
    """(m,) where the hyperplane through the extreme points (m, m), seen from the ideal point, cuts the axes; None
    where there is none, or not on the positive side.
    """
    try:
        plane = np.linalg.solve(extremes, np.ones(len(extremes)))
    except np.linalg.LinAlgError:
        return None
    if not np.allclose(extremes @ plane, 1.0) or (plane <= 0).any() or (plane > 1e6).any():
        return None
    return np.asarray(1.0 / plane)
