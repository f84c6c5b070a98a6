"""Hybrid: a model first, then model and population methods in turns, with one budget and one history.

A Gaussian process finds a good valley in few evaluations, and where it does not, or when its steps have become as fine
as its model, methods that need many evaluations but no model go on from everything it found. Who gets the next turn is
decided by who improves (see `_turns`); each hears the others' answers.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from ...core.batch import Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child
from ._turns import Turns

_LEAD = 30  # evaluations for each column: as long as that the model alone was best on mixed spaces


@final
class Hybrid(Turns):
    """The first strategy alone until `lead` answers are known, then all of them in turns.

    children: strategies by name, class or object, the leading one first (none: "bayesian", "cmaes", "de", "annealing");
        `Hybrid("bayesian", "genetic")` and `Hybrid("genetic", "de")` are others that make sense.
    lead: answers (foreign ones count) before the others join; None: 30 for each column that has more than one value.
    stays: whether the leading strategy goes on taking turns when the others have joined; False saves its time, which a
        model has most need of when much is known.
    window, explore, cost, turn: of the bandit that gives the turns, as in `Portfolio`.

    Memory: an archive (see `_composite.Archive`), `window` numbers for each strategy, and what the strategies keep.

    Raises:
        StrategyError: a single strategy, a lead below 0, or what `Portfolio` refuses.
    """

    longest: ClassVar[int] = 32  # rows of a turn: who shares so few evaluations is soon asked whether they paid

    def __init__(
        self,
        *children: Child,
        lead: int | None = None,
        stays: bool = True,
        window: int = 100,
        explore: float = 0.3,
        cost: str = "evaluations",
        turn: int = 1,
    ) -> None:
        children = children or ("bayesian", "cmaes", "de", "annealing")
        super().__init__(*children, window=window, explore=explore, cost=cost, turn=turn)
        if len(self.children) < 2:
            raise StrategyError("Hybrid joins at least two strategies, got one; use it by itself")
        if lead is not None and lead < 0:
            raise StrategyError(f"Hybrid: lead is a number of answers, at least 0, or None; got {lead}")
        self.lead, self.stays = lead, bool(stays)

    def begin(self) -> None:
        """The leading strategy starts."""
        super().begin()
        free = int((np.asarray(self.problem.space.levels) > 1).sum())
        self.until = _LEAD * free if self.lead is None else self.lead
        self.start_child(0, self.budget, warm=False)

    @property
    def all_joined(self) -> bool:
        """Whether the others have started."""
        return self.runs[1] > 0

    def live(self, which: int) -> bool:
        """Whether a strategy may still give rows; a leader that does not stay only where no other one may."""
        alive = super().live(which)
        if which or self.stays or not self.all_joined:
            return alive
        return alive and not any(super(Hybrid, self).live(other) for other in range(1, len(self.children)))

    def propose(self, n: int) -> Floats | Draft:
        """Rows of the leading strategy, or of whose turn it is."""
        if not self.all_joined:
            ahead = self.until - self.heard_rows - self.pending
            if ahead > 0 and self.live(0):
                draft = self.ask_child(0, min(n, ahead))
                if draft is not None:
                    return draft
                if not self.children[0].done and not self.stuck(0):
                    return np.empty((0, self.dimension))
            self._join()
        return super().propose(n)

    def _join(self) -> None:
        """The others start, told everything known."""
        others = range(1, len(self.children))
        left = None if self.budget is None else max(self.budget - self.asked, 1)
        for which in others:
            # methods that plan by their budget plan for a fair share
            self.start_child(which, None if left is None else -(-left // len(others)), warm=True)
        names = ", ".join(self.label(which) for which in others)
        known = f"{self.heard_rows} answers known"
        self.happened.append({"kind": "switched", "reason": f"{names} joined {self.label(0)}: {known}"})

    @property
    def stride(self) -> int:
        """The leading strategy's, then what all can give together."""
        return super().stride if self.all_joined else self.children[0].stride

    @property
    def done(self) -> bool:
        """No strategy has anything to give."""
        return self.all_joined and not any(map(self.live, range(len(self.children))))

    @property
    def why(self) -> str:
        """Who leads, or who got how many turns."""
        if not self.all_joined:
            return f"{self.label(0)} leads until {self.until} answers are known: {self.children[0].why}"
        return super().why
