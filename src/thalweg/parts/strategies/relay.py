"""Relay: one strategy after the other, each warm-started with what the ones before it found.

`Relay("genetic", "de")` explores with a genetic algorithm and refines with differential evolution: before it asks, the
later stage is told the earlier answers as foreign ones, so its best is never worse than theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.batch import Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child, Composite


class Relay(Composite):
    """Stages in a row. A stage ends when it is done, when its share of the budget is spent, or after `stall` answers
    without an improvement; the next one begins when every row of the stage has been told.

    stages: strategies by name, class or object (none: "genetic", "de").
    budgets: evaluations of each stage, None for no limit (the last stage never has one of its own). Excludes `shares`.
    shares: parts of the study's budget, scaled to sum 1 (equal ones when neither is given and the budget is known);
        what an early end leaves over goes to the later stages in the same proportion.
    stall: answers without an improvement that end a stage (not the last). Without any budget it is 100 + 20 D.

    Memory: the archive (see `_composite.Archive`), and what the stages keep.
    """

    def __init__(
        self,
        *stages: Child,
        budgets: Sequence[int | None] | None = None,
        shares: Sequence[float] | None = None,
        stall: int | None = None,
    ) -> None:
        super().__init__(*(stages or ("genetic", "de")))
        count = len(self.children)
        if budgets is not None and shares is not None:
            raise StrategyError("Relay: give budgets (evaluations) or shares (parts of the whole), not both")
        for name, given in (("budgets", budgets), ("shares", shares)):
            if given is not None and len(given) != count:
                raise StrategyError(f"Relay: {name} needs one entry for each of the {count} stages, got {len(given)}")
        if any(item is not None and item < 1 for item in budgets or ()) or any(item <= 0 for item in shares or ()):
            raise StrategyError(f"Relay: budgets and shares are positive, got {budgets or shares}")
        if stall is not None and stall < 1:
            raise StrategyError(f"Relay: stall is a number of answers, at least 1, got {stall}")
        self.budgets = None if budgets is None else list(budgets)
        self.shares = None if shares is None else [float(item) for item in shares]
        self.stall = stall

    def begin(self) -> None:
        """The first stage starts."""
        super().begin()
        self.stage = 0
        self.stage_asked = 0
        self.stage_from = 0  # rows told when the stage began
        self.ended = ""
        self.start_child(0, self._grant(0), warm=False)

    def _grant(self, stage: int) -> int | None:
        """Evaluations for a stage, from what is left."""
        last = stage == len(self.children) - 1
        left = None if self.budget is None else max(1, self.budget - self.asked)
        if self.budgets is not None and not last:
            own = self.budgets[stage]
            return own if left is None or own is None else min(own, left)
        if left is None or last:
            return left
        shares = self.shares if self.shares is not None else [1.0] * len(self.children)
        return max(1, round(left * shares[stage] / sum(shares[stage:])))

    def _ended(self) -> str:
        """Why the current stage is over, or ""."""
        child, grant = self.children[self.stage], self.grants[self.stage]
        if child.done:
            return child.why or "it is done"
        if self.stage == len(self.children) - 1:
            return ""
        if grant is not None and self.stage_asked >= grant:
            return f"its {grant} evaluations are spent"
        stall = self.stall
        if stall is None and grant is None:
            stall = 100 + 20 * self.dimension
        quiet = self.heard_rows - max(self.best_at, self.stage_from)
        if stall is not None and quiet >= stall:
            return f"no improvement in {quiet} answers"
        return ""

    def propose(self, n: int) -> Floats | Draft:
        """Rows of the current stage; the next stage is started when it ended and all its rows are told."""
        nothing = np.empty((0, self.dimension))
        while True:
            reason = self._ended()
            if not reason:
                grant = self.grants[self.stage]
                capped = grant is not None and self.stage < len(self.children) - 1
                room = n if not capped or grant is None else min(n, grant - self.stage_asked)
                draft = self.ask_child(self.stage, room)
                if draft is not None:
                    self.stage_asked += len(draft.points)
                    return draft
                if not self.children[self.stage].done and not self.stuck(self.stage):
                    return nothing
                reason = self._ended() or "it gives nothing although it waits for nothing"
            if self.stage == len(self.children) - 1:
                self.ended = reason
                return nothing
            if self.pending:
                return nothing
            self._next(reason)

    def _next(self, reason: str) -> None:
        before = self.label(self.stage)
        self.stage += 1
        self.stage_asked, self.stage_from = 0, self.heard_rows
        self.start_child(self.stage, self._grant(self.stage), warm=True)
        self.happened.append({"kind": "switched", "reason": f"{before} -> {self.label(self.stage)}: {reason}"})

    @property
    def stride(self) -> int:
        """The current stage's."""
        return self.children[self.stage].stride

    @property
    def all_out(self) -> bool:
        """The current stage's."""
        return self.children[self.stage].all_out

    @property
    def done(self) -> bool:
        """The last stage is done (or gives nothing although it waits for nothing)."""
        return bool(self.ended) or (self.stage == len(self.children) - 1 and self.children[self.stage].done)

    @property
    def why(self) -> str:
        """Which stage runs, and why the one before it ended."""
        child = self.children[self.stage]
        where = f"stage {self.stage + 1} of {len(self.children)} ({self.label(self.stage)})"
        switch = f"; {self.happened[-1]['reason']}" if self.happened else ""
        return f"{where}{': ' + child.why if child.why else ''}{switch}"
