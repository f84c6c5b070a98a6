"""Restart: the same strategy again and again, each run with a new seed and, if wanted, a larger budget.

Restarts turn a local or converging method into a global one; growing runs are the idea of IPOP (Auger & Hansen 2005,
doi:10.1109/CEC.2005.1554902), here for any strategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child, Composite


class Restart(Composite):
    """Runs of one strategy. A run ends when it is done, after `stall` of its own answers without an improvement over
    the run's own best, or when its budget is spent.

    child: a strategy by name, class or object.
    run_budget: evaluations of the first run, None for no limit;  growth: factor from run to run (budget and stall).
    stall: answers; None: 50 + 20 D.  runs: the most runs, None for any number.
    carry: whether a new run is told everything known (a local method would go straight back to the old best).

    Answers to rows of a run that has ended are not told to the next one, except with `carry`.
    """

    keeps_archive = False

    def __init__(
        self,
        child: Child = "cmaes",
        *,
        run_budget: int | None = None,
        growth: float = 1.0,
        stall: int | None = None,
        runs: int | None = None,
        carry: bool = False,
    ) -> None:
        super().__init__(child)
        if growth < 1.0 or not np.isfinite(growth):
            raise StrategyError(f"Restart: growth is a finite factor >= 1, got {growth}")
        for name, given in (("run_budget", run_budget), ("stall", stall), ("runs", runs)):
            if given is not None and given < 1:
                raise StrategyError(f"Restart: {name} is at least 1, or None, got {given}")
        self.run_budget, self.growth, self.stall, self.max_runs, self.carry = run_budget, growth, stall, runs, carry
        self.keeps_archive = carry

    def begin(self) -> None:
        """The first run starts."""
        super().begin()
        self.ended = ""
        self._run()

    def _run(self) -> None:
        self.run_asked = 0
        self.run_told = 0
        self.run_best = np.inf
        self.run_best_at = 0
        self.start_child(0, self._grant(), warm=self.carry and self.runs[0] > 0)

    def _scaled(self, base: int) -> int:
        return int(min(base * self.growth ** self.runs[0], 1e15))

    def _grant(self) -> int | None:
        left = None if self.budget is None else max(1, self.budget - self.asked)
        if self.run_budget is None:
            return left
        own = self._scaled(self.run_budget)
        return own if left is None else min(own, left)

    def _over(self) -> str:
        child = self.children[0]
        if child.done:
            return child.why or "it is done"
        if self.run_budget is not None and self.run_asked >= (self.grants[0] or 0):
            return f"its {self.run_asked} evaluations are spent"
        stall = (self.stall or 50 + 20 * self.dimension) * self.growth ** (self.runs[0] - 1)
        if len(self.problem.objectives) == 1 and self.run_told - self.run_best_at >= stall:
            return f"no improvement in {self.run_told - self.run_best_at} answers"
        return ""

    def propose(self, n: int) -> Floats | Draft:
        """Rows of the current run, or of a new one."""
        nothing = np.empty((0, self.dimension))
        for _ in range(2):
            reason = self._over()
            if not reason:
                limit = n if self.run_budget is None else min(n, (self.grants[0] or n) - self.run_asked)
                draft = self.ask_child(0, limit)
                if draft is not None:
                    self.run_asked += len(draft.points)
                    return draft
                reason = self._over() or ("it gives nothing although it waits for nothing" if self.stuck(0) else "")
                if not reason:
                    return nothing
            if self.run_asked == 0:
                # a fresh run that has nothing to give: so would every other one be
                self.ended = f"a fresh run of {self.label(0)} gives no rows: {reason}"
                return nothing
            if self.max_runs is not None and self.runs[0] >= self.max_runs:
                self.ended = f"all {self.max_runs} runs are over; the last: {reason}"
                return nothing
            self.happened.append(
                {"kind": "switched", "reason": f"run {self.runs[0]} of {self.label(0)} ended: {reason}"}
            )
            del self.happened[:-100]
            self._run()
        return nothing

    def heard(self, which: int, answers: Answers) -> None:  # noqa: ARG002 (there is one child)
        """Follow the run's own best."""
        self.run_told += len(answers)
        best = float(answers.merit().min())
        if best < self.run_best:
            self.run_best, self.run_best_at = best, self.run_told

    @property
    def stride(self) -> int:
        """The child's."""
        return self.children[0].stride

    @property
    def done(self) -> bool:
        """All runs are over, or a fresh run gives nothing."""
        return bool(self.ended)

    @property
    def why(self) -> str:
        """Why it ended, or which run this is and why the one before it ended."""
        if self.ended:
            return self.ended
        last: dict[str, Any] = self.happened[-1] if self.happened else {}
        return f"run {self.runs[0]} of {self.label(0)}" + (f"; {last['reason']}" if last else "")
