"""The shared base of composites whose children take turns: a bandit gives the turns, each child hears the others.

Turns are given by the area-under-the-curve bandit of Fialho, Schoenauer & Sebag 2010 (doi:10.1145/1830483.1830501),
used by OpenTuner (Ansel et al. 2014, doi:10.1145/2628071.2628092): it looks at when improvements came, not at how
large they were, so the objective's scale does not matter.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child, Composite, as_foreign, columns_of, joined
from ._generational import copied, join

UNHEARD = 64
"""So many answers of others wait at most until a child hears them."""


class Turns(Composite):
    """Abstract: write `begin`, which starts children (`start_child`), and `why`; `super().begin()` comes first.

    window: answers that count for a strategy's score.  explore: weight of the bandit's exploration term.
    cost: "evaluations", or "seconds" (improvement per second of evaluation; then who gets a turn depends on timing).
    turn: the least rows of a turn (a turn has at least the strategy's `stride`, at most `longest` rows).
    """

    longest: ClassVar[int] = 256

    def __init__(
        self,
        *children: Child,
        window: int = 100,
        explore: float = 0.1,
        cost: str = "evaluations",
        turn: int = 1,
    ) -> None:
        super().__init__(*children)
        if cost not in ("evaluations", "seconds"):
            raise StrategyError(f"{type(self).__name__}: cost is 'evaluations' or 'seconds', got {cost!r}")
        if window < 1 or turn < 1 or not explore >= 0:
            raise StrategyError(
                f"{type(self).__name__}: window, turn >= 1 and explore >= 0, got {window}, {turn}, {explore}"
            )
        self.window, self.explore, self.cost, self.turn = window, explore, cost, turn

    def begin(self) -> None:
        """Empty books; no child is started yet."""
        super().begin()
        count = len(self.children)
        self.gains: list[list[float]] = [[] for _ in range(count)]  # newest last: 1.0 where an answer was a new best
        self.spent: list[list[float]] = [[] for _ in range(count)]  # its cost
        self.turns = [0] * count
        self.holder = 0  # whose turn it is
        self.left = 0  # rows left in it
        self.unheard: list[list[Answers]] = [[] for _ in range(count)]  # others' answers a child was not told yet

    # --- the bandit -----------------------------------------------------------------------------------------------

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

    def order(self, scores: dict[int, float] | None = None) -> list[int]:
        """Live children, the one to ask first in front; ties by fewest turns, then by place. scores: if known."""
        live = [which for which in range(len(self.children)) if self.live(which)]
        known = {which: self.score(which) for which in live} if scores is None else scores
        return sorted(live, key=lambda which: (-known[which], self.turns[which], which))

    def rows_of_turn(self, which: int) -> int:
        """Rows of a child's turn that begins now."""
        return min(max(self.turn, self.children[which].stride), self.longest)

    def propose(self, n: int) -> Floats | Draft:
        """Rows of whose turn it is; where a child waits for answers, the next one fills in."""
        drafts: list[Draft] = []
        given = 0
        blocked: set[int] = set()
        scores: dict[int, float] | None = None  # nothing is heard meanwhile, so they stay what they are
        while given < n:
            if self.left < 1 or self.holder in blocked or not self.live(self.holder):
                if scores is None:
                    scores = {which: self.score(which) for which in range(len(self.children))}
                ready = [which for which in self.order(scores) if which not in blocked]
                if not ready:
                    break
                self.holder = ready[0]
                self.turns[self.holder] += 1
                self.left = self.rows_of_turn(self.holder)
            draft = self.ask_child(self.holder, min(n - given, self.left), given)
            if draft is None:
                blocked.add(self.holder)
                continue
            drafts.append(draft)
            given += len(draft.points)
            self.left -= len(draft.points)
        return joined(drafts, self.dimension)

    # --- answers --------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Tell each child its own answers, and the others' as foreign ones; then keep the score."""
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
        for which, child in enumerate(self.children):
            if child.abilities.learns_foreign and self.live(which):
                others = [i for i, owner in enumerate(whose) if owner != which]
                if others:
                    theirs = answers if len(others) == len(whose) else answers.rows(np.array(others))
                    self.unheard[which].append(as_foreign(copied(theirs)))
                    if sum(map(len, self.unheard[which])) >= self.patience(which):
                        self._catch_up(which)

    def patience(self, which: int) -> int:  # noqa: ARG002 (all children have the same here)
        """How many answers of others a child hears together, unless it is asked or told anything before."""
        return UNHEARD

    def _catch_up(self, which: int) -> None:
        """Tell a child what the others found: all at once, before it is asked or told anything else."""
        heard, self.unheard[which] = self.unheard[which], []
        if heard:
            self.children[which].tell(join(*heard))

    def ask_child(self, which: int, n: int, taken: int = 0) -> Draft | None:
        """Rows of a child that knows everything."""
        if self.unheard[which]:
            self._catch_up(which)
        return super().ask_child(which, n, taken)

    def tell_child(self, which: int, answers: Answers) -> None:
        """Tell a child that knows everything that came before."""
        if self.unheard[which]:
            self._catch_up(which)
        super().tell_child(which, answers)

    def state(self) -> dict[str, Any]:
        """The books; answers that a child was not told yet as plain columns."""
        kept, self.unheard = self.unheard, [[] for _ in self.children]
        try:
            state = super().state()
        finally:
            self.unheard = kept
        state["own"]["unheard"] = [[columns_of(copied(item)) for item in waiting] for waiting in kept]
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._must_be_started("restore")
        own = dict(state["own"])
        unheard = own.pop("unheard")
        super().restore({**state, "own": own})
        self.unheard = [[copied(Answers(**item)) for item in waiting] for waiting in unheard]

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

    @property
    def stride(self) -> int:
        """What the live children can give together."""
        return max(1, sum(child.stride for which, child in enumerate(self.children) if self.live(which)))

    @property
    def done(self) -> bool:
        """Every child is done."""
        return all(child.done for child in self.children)

    @property
    def why(self) -> str:
        """Who got how many turns."""
        shares = ", ".join(f"{self.label(which)} {turns}" for which, turns in enumerate(self.turns))
        return ("all are done; " if self.done else "") + f"turns: {shares}"
