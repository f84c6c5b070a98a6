"""Chain: when a strategy raises, the next one takes its place, with everything found so far; the reason is kept."""

from __future__ import annotations

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Draft
from ._composite import Child, Composite


class Chain(Composite):
    """The first strategy, and its stand-ins.

    A strategy that raises (when it is started, asked or told), or gives nothing although it waits for nothing, is
    replaced by the next one, which is told everything archived as foreign answers. Answers to rows of the one that fell
    out are told to its replacement as foreign too. When the last one raises, a StrategyError lists every reason.

    children: strategies by name, class or object (none: "direct", "de").
    `events` holds {"kind": "fallback", "reason": text} for each replacement.
    """

    def __init__(self, *children: Child) -> None:
        super().__init__(*(children or ("direct", "de")))

    @staticmethod
    def ability_of(children: list[Abilities]) -> Abilities:
        """What one of them can: a child that does not suit the problem is replaced when it is started."""
        return Abilities(
            objectives=max(item.objectives for item in children),
            learns_foreign=children[0].learns_foreign,
            fidelities=any(item.fidelities for item in children),
            needs_budget=all(item.needs_budget for item in children),
        )

    def begin(self) -> None:
        """The first child that can be started starts."""
        super().begin()
        self.link = -1
        self._advance("")

    def _advance(self, reason: str) -> None:
        """Start the next child that can be started."""
        while True:
            if reason:
                self.happened.append({"kind": "fallback", "reason": reason})
                self.runs[self.link] = 0  # out for good: a state need not hold what is broken
            if self.link == len(self.children) - 1:
                reasons = "; ".join(str(event["reason"]) for event in self.happened)
                raise StrategyError(f"Chain: no strategy is left: {reasons}")
            self.link += 1
            left = None if self.budget is None else max(1, self.budget - self.asked)
            try:
                self.start_child(self.link, left, warm=True)
            except Exception as error:
                reason = self._said(error, "could not be started")
            else:
                return

    def _said(self, error: Exception, what: str) -> str:
        after = f" after {self.asked} evaluations" if self.asked else ""
        return f"{self.label(self.link)} {what}{after}: {type(error).__name__}: {error}"

    def propose(self, n: int) -> Floats | Draft:
        """Rows of the current child, or of the one that replaces it."""
        nothing = np.empty((0, self.dimension))
        while True:
            child = self.children[self.link]
            try:
                draft = self.ask_child(self.link, n)
            except Exception as error:  # whatever it is: falling back is what this class is for
                self._advance(self._said(error, "raised when asked"))
                continue
            if draft is not None:
                return draft
            if child.done or not self.stuck(self.link):
                return nothing
            self._advance(f"{self.label(self.link)} gives nothing although it waits for nothing")

    def tell_child(self, which: int, answers: Answers) -> None:
        """Tell; a child that raises falls out (its answers are archived already, so the next one hears them)."""
        if which != self.link:
            return
        try:
            self.children[which].tell(answers)
        except Exception as error:
            self._advance(self._said(error, "raised when told"))

    def learn(self, answers: Answers) -> None:
        """Answers to a child that fell out reach the current one as foreign."""
        late = np.array([self.routes[ticket][0] != self.link for ticket in answers.tickets.tolist()])
        link = self.link
        super().learn(answers)
        if late.any() and self.link == link:  # a child started meanwhile has heard them from the archive
            foreign = answers.rows(late)
            foreign.tickets = np.full(len(foreign), -1, dtype=np.int64)
            self.tell_child(link, foreign)

    def live(self, which: int) -> bool:
        """Only the current child is."""
        return which == self.link and not self.children[which].done

    @property
    def stride(self) -> int:
        """The current child's."""
        return self.children[self.link].stride

    @property
    def done(self) -> bool:
        """The current child is done."""
        return self.children[self.link].done

    @property
    def why(self) -> str:
        """What the current child says, and why others fell out."""
        fallen = "; ".join(str(event["reason"]) for event in self.happened)
        now = self.children[self.link].why or self.label(self.link)
        return f"{now} (fallback: {fallen})" if fallen else now
