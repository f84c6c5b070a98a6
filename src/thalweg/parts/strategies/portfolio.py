"""Portfolio: several strategies share one budget and one history; who finds improvements gets more of the budget.

Turns are given by the area-under-the-curve bandit of Fialho, Schoenauer & Sebag 2010 (doi:10.1145/1830483.1830501),
used by OpenTuner (Ansel et al. 2014, doi:10.1145/2628071.2628092): it looks at when improvements came, not at how
large they were, so the objective's scale does not matter.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child
from ._turns import Turns


@final
class Portfolio(Turns):
    """Several strategies take turns; each hears the others' answers as foreign ones.

    children: strategies by name, class or object (none: "cmaes", "de", "nelder_mead").
    window: answers that count for a strategy's score.  explore: weight of the bandit's exploration term.
    cost: "evaluations", or "seconds" (improvement per second of evaluation; then who gets a turn depends on timing).
    turn: the least rows of a turn (a turn has at least the strategy's `stride`, at most 256 rows).

    Memory: `window` numbers for each strategy, and what the strategies keep.
    """

    keeps_archive = False

    def __init__(
        self,
        *children: Child,
        window: int = 100,
        explore: float = 0.1,
        cost: str = "evaluations",
        turn: int = 1,
    ) -> None:
        children = children or ("cmaes", "de", "nelder_mead")
        super().__init__(*children)
        if cost not in ("evaluations", "seconds"):
            raise StrategyError(f"{type(self).__name__}: cost is 'evaluations' or 'seconds', got {cost!r}")
        if window < 1 or turn < 1 or not explore >= 0:
            raise StrategyError(
                f"{type(self).__name__}: window, turn >= 1 and explore >= 0, got {window}, {turn}, {explore}"
            )
        self.window, self.explore, self.cost, self.turn = window, explore, cost, turn

    def begin(self) -> None:
        """Every child starts; the first turns go round in the order given."""
        super().begin()
        count = len(self.children)
        self.gains: list[list[float]] = [[] for _ in range(count)]  # newest last: 1.0 where an answer was a new best
        self.spent: list[list[float]] = [[] for _ in range(count)]  # its cost
        self.scores: list[float] = []  # of all children, while nothing is heard; none: not known
        for which in range(count):
            # a method that plans by its budget plans for its fair share, and one for which that is a guess loses little
            self.start_child(which, None if self.budget is None else max(1, -(-self.budget // count)), warm=False)

    def propose(self, n: int) -> Floats | Draft:
        """Rows of whose turn it is."""
        self.scores = []
        return super().propose(n)

    def score(self, which: int) -> float:
        """Area under the curve of improvements (newest weigh most) per cost, plus exploration."""
        gains = self.gains[which]
        if not gains:
            return math.inf
        count = len(gains)
        area = sum([i for i, gain in enumerate(gains, 1) if gain]) * 2.0 / (count * (count + 1))
        if self.cost == "seconds":
            costs = [np.mean(spent) for spent in self.spent if spent]
            area *= float(np.mean(costs) / max(float(np.mean(self.spent[which] or [1.0])), 1e-9))
        seen = sum(map(len, self.gains))
        return area + self.explore * math.sqrt(2.0 * math.log(max(seen, 2)) / count)

    def order(self) -> list[int]:
        """Live children by their scores, ties by fewest turns, then by place."""
        if not self.scores:
            self.scores = [self.score(which) for which in range(len(self.children))]
        scores, live = self.scores, [which for which in range(len(self.children)) if self.live(which)]
        return sorted(live, key=lambda which: (-scores[which], self.turns[which], which))

    def rows_of_turn(self, which: int) -> int:
        """Rows of a child's turn that begins now."""
        return min(max(self.turn, self.children[which].stride), self.longest)

    def learn(self, answers: Answers) -> None:
        """Keep the score."""
        whose = [self.routes[ticket][0] for ticket in answers.tickets.tolist()]
        improved = self._improvements(answers)
        super().learn(answers)
        for which, gain in zip(whose, improved, strict=True):
            self.gains[which].append(gain)
        if self.cost == "seconds" and answers.seconds is not None:
            for which, cost in zip(whose, np.nan_to_num(answers.seconds, nan=1.0).tolist(), strict=True):
                self.spent[which].append(cost)
        for which in set(whose):
            del self.gains[which][: -self.window], self.spent[which][: -self.window]

    def _improvements(self, answers: Answers) -> list[float]:
        """k numbers, 1.0 where an answer is better than everything before it, in any objective."""
        if answers.values.shape[1] == 1:
            gains, best = [], float(self.bests[0])
            for merit in answers.merit().tolist():
                gains.append(1.0 if merit < best else 0.0)
                best = min(best, merit)
            return gains
        values = np.where(np.isfinite(answers.values), answers.values, np.inf)
        before = np.minimum.accumulate(np.vstack([self.bests[None, :], values]), axis=0)[:-1]
        improved: list[float] = np.where((values < before).any(axis=1), 1.0, 0.0).tolist()
        return improved
