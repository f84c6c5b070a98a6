"""Handover: one strategy leads; while its model breaks its promises, another one goes on from the best point."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from . import make_strategy
from ._composite import Child, Composite, as_foreign


@final
class Handover(Composite):
    """A leader with a model, and a follower that goes on from the best point until it is done; then the leader again.

    children: who leads and who follows, by name, class or object (none: "quadratic", and "quasi_newton" without
        restarts). The leader says by `confidence` how far its model is kept; a follower that is never done keeps the
        turn.
    trust: the leader hands over where its confidence is below that.
    after: answers for each column with more than one value, after which it may (again, if the best value got lower).
    least: so many columns must vary: a model of fewer is cheaper than following without one.

    Both hear what the other one finds. Memory: an archive (see `_composite.Archive`), and what the two keep.

    Raises:
        StrategyError: not two strategies, a trust outside [0, 1], after below 0.
    """

    def __init__(self, *children: Child, trust: float = 0.1, after: float = 3.0, least: int = 4) -> None:
        super().__init__(*(children or ("quadratic", make_strategy("quasi_newton", restarts=False))))
        if len(self.children) != 2:
            raise StrategyError(f"Handover: who leads and who follows are two strategies, got {len(self.children)}")
        if not 0 <= trust <= 1 or not after >= 0:
            raise StrategyError(f"Handover: trust is in [0, 1] and after at least 0, got {trust} and {after}")
        self.trust, self.after, self.least = float(trust), float(after), int(least)

    def begin(self) -> None:
        """The leader starts."""
        super().begin()
        self.free = max(int((np.asarray(self.problem.space.levels) > 1).sum()), 1)
        self.since = 0  # answers known when the leader's turn began
        self.level = math.inf  # the best value then
        self.start_child(0, self.budget, warm=False)

    @property
    def holder(self) -> int:
        """Whose turn it is: 0, 1."""
        return int(self.live(1))

    def _due(self) -> bool:
        return (
            not self.live(1)
            and self.free >= self.least
            and self.heard_rows - self.since >= self.after * self.free
            and self.children[0].confidence < self.trust
            and float(self.bests[0]) < min(self.level, INFEASIBLE)
        )

    # --- ask and tell ---------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats | Draft:
        """Rows of whose turn it is; while the follower waits for answers, the leader's."""
        if self._due():
            left = None if self.budget is None else max(self.budget - self.asked, 1)
            self.start_child(1, left, warm=True)
            reason = f"{self.label(0)} -> {self.label(1)}: the model kept too few of its promises"
            self.happened.append({"kind": "switched", "reason": reason})
        for which in (1, 0):
            draft = self.ask_child(which, n) if self.live(which) else None
            if draft is not None:
                return draft
        return np.empty((0, self.dimension))

    def learn(self, answers: Answers) -> None:
        """Each child is told its own answers, and the other one's as foreign ones."""
        whose = np.array([self.routes[ticket][0] for ticket in answers.tickets.tolist()])
        following = self.live(1)
        super().learn(answers)
        for which, child in enumerate(self.children):
            others = np.flatnonzero(whose != which)
            if len(others) and self.live(which) and child.abilities.learns_foreign:
                child.tell(as_foreign(answers.rows(others)))
        if following and not self.live(1):
            self.since, self.level = self.heard_rows, float(self.bests[0])

    @property
    def stride(self) -> int:
        """That of whose turn it is."""
        return self.children[self.holder].stride

    @property
    def confidence(self) -> float:
        """That of whose turn it is."""
        return self.children[self.holder].confidence

    @property
    def done(self) -> bool:
        """Both are."""
        return not self.live(0) and not self.live(1)

    @property
    def why(self) -> str:
        """Whose turn it is, and what it says."""
        return f"{self.label(self.holder)}: {self.children[self.holder].why}"
