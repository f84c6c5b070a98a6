"""TPE: the multivariate tree-structured Parzen estimator.

J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl: Algorithms for Hyper-Parameter Optimization, NIPS 2011. S. Watanabe:
arXiv:2304.11127 (constants). Multivariate kernels as in S. Falkner, A. Klein, F. Hutter, ICML 2018, arXiv:1807.01774.

The best answers make a density l, all others a density g; of candidates drawn from l the one with the greatest l / g is
proposed (Bergstra 2011, eq. 2: it has the greatest expected improvement).

- Batches: `ask(k)` fits the densities once and takes the best of k groups of candidates. Points that are out count
  among the bad ones (a constant liar), so that asking again leads elsewhere.
- Failed points are bad ones; points that violate a constraint rank behind all that do not.
- Conditions: a point is judged by the columns it uses. Finite spaces: no point comes twice.
- Long runs: about 1000 answers are remembered (the best, and a fair sample of the others) and at most 200 of the bad
  ones become kernels, so that the time of a suggestion does not grow.
"""

from __future__ import annotations

import math
import sys
from typing import final

import numpy as np

from ...core.batch import Answers, Floats, Ints, Mask, Status
from ...core.errors import StrategyError
from ...core.parameter import ORDERED, UNORDERED
from ...core.strategy import Abilities, Strategy
from ...numerics.parzen import LEAST_WIDTH, Layout, Parzen
from ...numerics.quasi_random import latin_hypercube
from ._operators import Columns
from ._seen import Seen

_GOOD = 25  # at most so many answers make the good density
_BAD = 200
_KEPT = 1000
_SPREAD_BAD = 0.2  # the bad density's bandwidth, before n^(-1/(d+4))
_ELSEWHERE = 12  # in conditional spaces every so many candidates come from anywhere
_CELL = 0.5  # least bandwidth of an ordered column, in cells


@final
class TPE(Strategy):
    """Tree-structured Parzen estimator, for mixed and conditional spaces and some hundred evaluations.

    gamma: the share of the answers that is good (at most 25 of them).
    candidates: points drawn for each suggestion; None: 64, or 16 where columns have cells or conditions (of many the
        best is more of the same, and such spaces are left through another cell or branch).
    startup: answers before the model is used, spread evenly (foreign ones count); None: 10, or less where the budget is
        small.

    Raises:
        StrategyError: a gamma outside (0, 0.5], candidates below 1, a startup below 1.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(self, *, gamma: float = 0.1, candidates: int | None = None, startup: int | None = None) -> None:
        if not 0 < gamma <= 0.5:
            raise StrategyError(f"tpe: gamma is the share of good answers in (0, 0.5], got {gamma!r}")
        if candidates is not None and candidates < 1:
            raise StrategyError(f"tpe: candidates is a number of points >= 1, got {candidates!r}")
        if startup is not None and startup < 1:
            raise StrategyError(f"tpe: startup is a number of answers >= 1, got {startup!r}")
        self.gamma, self.candidates, self.startup = float(gamma), candidates, startup

    def begin(self) -> None:
        """No answers yet."""
        space = self.problem.space
        levels, masks = np.array(space.levels), Columns.of(space).masks
        levels[masks] = 2  # an item is in or out: a key between them means nothing
        labelled = (space.kinds == UNORDERED) | ((space.kinds == ORDERED) & (levels == 2))
        labelled[masks] = True
        labelled &= levels > 1
        smooth = np.flatnonzero(~labelled & (levels > 1))
        cells = np.where(space.kinds == ORDERED, _CELL / levels, 0.0)[smooth]
        labels = np.flatnonzero(labelled)
        self._layout_data = (smooth, np.maximum(LEAST_WIDTH, cells), labels, levels[labels].astype(np.int64))
        rough = space.conditional or bool(np.isfinite(levels).any())
        self.drawn = self.candidates or (16 if rough else 64)
        self.first = self.startup or max(min(10, (self.budget or 100) // 4), 2)
        self.points: Floats = np.empty((0, self.dimension))
        self.merits: Floats = np.empty(0)
        self.told = 0
        self.out_tickets: Ints = np.empty(0, dtype=np.int64)
        self.out_points: Floats = np.empty((0, self.dimension))
        self.design: Floats = np.empty((0, self.dimension))  # startup points that were not given yet
        self.seen = Seen.of(self.problem)

    @property
    def layout(self) -> Layout:
        """How the columns are modelled."""
        return Layout(*self._layout_data)

    @property
    def speculates(self) -> bool:
        """Rows beyond the stride are guesses at what comes next."""
        return True

    @property
    def ponders(self) -> bool:
        """Its first model may load SciPy; after that it is quick."""
        return "scipy.special" not in sys.modules

    @property
    def stride(self) -> int:
        """Any number of rows; small groups learn more."""
        return max(self.first - self.told, 8)

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted

    @property
    def why(self) -> str:
        """What is going on."""
        if self.done:
            return f"all {self.seen.count} points of the space were proposed"
        return f"{self.told} answers, model of the best {self._good_count()}" if self.told else "first points"

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Own answers replace what was assumed of them."""
        still = ~np.isin(self.out_tickets, answers.tickets)
        self.out_tickets, self.out_points = self.out_tickets[still], self.out_points[still]
        self._remember(answers)

    def absorb(self, answers: Answers) -> None:
        """Foreign answers count like own ones."""
        self.seen.add(answers.points)
        self._remember(answers)

    def _remember(self, answers: Answers) -> None:
        said = answers.statuses != Status.ABANDONED
        self.points = np.concatenate([self.points, answers.points[said]])
        self.merits = np.concatenate([self.merits, answers.merit()[said]])
        self.told += int(said.sum())
        if len(self.merits) > _KEPT + _KEPT // 4:
            order = np.argsort(self.merits, kind="stable")
            others = self.rng.choice(order[4 * _GOOD :], _KEPT - 4 * _GOOD, replace=False)
            keep = np.sort(np.concatenate([order[: 4 * _GOOD], others]))
            self.points, self.merits = self.points[keep], self.merits[keep]

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Startup points, then suggestions of the model."""
        finite = int(np.isfinite(self.merits).sum())
        if self.told + len(self.out_tickets) < self.first or finite < 2:
            points = self._startup(n)
        else:
            points = self._suggest(n)
        points, _ = self.seen.fresh(points, self.problem.space, self.rng)
        self.out_tickets = np.concatenate([self.out_tickets, self.next_ticket + np.arange(len(points))])
        self.out_points = np.concatenate([self.out_points, points])
        return points

    def _startup(self, n: int) -> Floats:
        """Rows of Latin hypercubes: of `first` rows, or of n where more are asked for before anything is known."""
        while len(self.design) < n:
            made = latin_hypercube(max(self.first, n - len(self.design)), self.dimension, self.rng)
            self.design = np.concatenate([self.design, self.problem.space.repair(made, self.rng)])
        points, self.design = self.design[:n], self.design[n:]
        return self.problem.space.snap(points)

    def _good_count(self) -> int:
        return min(math.ceil(self.gamma * self.told), _GOOD)

    def _suggest(self, n: int) -> Floats:
        """The candidates with the greatest l / g of n groups."""
        layout = self.layout
        good, bad = self._densities(layout)
        drawn = good.sample(n * self.drawn, self.dimension, self.rng)
        if self.problem.space.conditional:  # a branch without good points would hardly be looked at again
            drawn[::_ELSEWHERE] = self.rng.random(drawn[::_ELSEWHERE].shape)
        drawn, active, usable = self._judged(drawn)
        features = layout.features(drawn, active)
        score = good.log_density(features) - bad.log_density(features)
        if usable is not None:
            score[~usable] = -np.inf
        if not self.seen.on:
            best = score.reshape(n, self.drawn).argmax(axis=1)
            chosen: Floats = drawn[best + np.arange(n) * self.drawn]
            return chosen
        # candidates repeat where points are few: the best of those that are new, whatever their group
        score[self.seen.contains(drawn)] = -np.inf
        _, first = np.unique(drawn, axis=0, return_index=True)
        first = first[np.argsort(-score[first], kind="stable")][:n]
        return np.concatenate([drawn[first], drawn[: n - len(first)]])

    def _judged(self, points: Floats) -> tuple[Floats, Mask | None, Mask | None]:
        """Points as they would be evaluated, which columns (n, D) they use, and which are feasible (None: all)."""
        space = self.problem.space
        if not space.constrained and not space.conditional and not np.isfinite(space.levels).any():
            return space.snap(points), None, None
        points, reals, active = space.resolve(points)
        usable = space.feasible(reals, active) if space.constrained else None
        return points, self._columns(active), usable

    def _columns(self, active: Mask | None) -> Mask | None:
        """(n, D) of `active` (n, P)."""
        if active is None:
            return None
        widths = [part.stop - part.start for _, part in self.problem.space.blocks]
        return np.repeat(active, widths, axis=1)

    def _densities(self, layout: Layout) -> tuple[Parzen, Parzen]:
        """l and g."""
        order = np.argsort(self.merits, kind="stable")
        finite = int(np.isfinite(self.merits).sum())
        count = max(min(self._good_count(), finite), 1)
        worse = order[count:]
        if len(worse) > _BAD:
            worse = worse[self.rng.permutation(len(worse))[:_BAD]]
        chosen = self.points[order[:count]]
        others = np.concatenate([self.points[worse], self.out_points])
        used = None
        if self.problem.space.conditional:
            used = self._columns(self.problem.space.resolve(np.concatenate([chosen, others]))[2])
        split = (None, None) if used is None else (used[:count], used[count:])
        good = Parzen.fit(layout, chosen, np.ones(count), split[0])
        bad = Parzen.fit(layout, others, np.ones(len(others)), split[1], spread=_SPREAD_BAD)
        return good, bad
