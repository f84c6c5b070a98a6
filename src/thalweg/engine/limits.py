"""What ends a run: a budget of evaluations, a time limit, rules, a person."""

from __future__ import annotations

from numbers import Real
from time import perf_counter
from typing import Any

from ..core.errors import ProblemError
from ..core.stopping import Progress, StopRule


def is_count(given: Any) -> bool:
    """Whether it is a whole number >= 1 (1e3 counts, True and "10" do not)."""
    if isinstance(given, bool) or not isinstance(given, Real):
        return False
    number = float(given)
    return number >= 1 and number.is_integer()


class Limits:
    """max_evals: the study's lifetime number of trials.  timeout: seconds of this run.  rule: see `StopRule`.

    Raises:
        ProblemError: no limit at all, or one that cannot be.
    """

    def __init__(self, max_evals: int | None, timeout: float | None, rule: StopRule | None, finite: bool) -> None:
        if max_evals is not None and not is_count(max_evals):
            raise ProblemError(f"max_evals: a whole number of evaluations >= 1 is expected, got {max_evals!r}")
        if timeout is not None and (
            isinstance(timeout, (bool, str)) or not isinstance(timeout, Real) or not timeout > 0
        ):
            raise ProblemError(f"timeout: seconds > 0 are expected, got {timeout!r}")
        if max_evals is None and timeout is None and rule is None and not finite:
            raise ProblemError(
                "no limit: give max_evals=, timeout= (seconds) or stop= (a rule); this would run for ever"
            )
        self.max_evals = None if max_evals is None else int(max_evals)
        self.timeout = timeout
        self.rule = rule
        self.started = perf_counter()
        self.reason: str | None = None

    @property
    def ends_at(self) -> float:
        """The `perf_counter` moment at which the time is up."""
        return float("inf") if self.timeout is None else self.started + self.timeout

    def room(self, used: int) -> int:
        """How many more trials may be opened when `used` are."""
        room = 1 << 40 if self.max_evals is None else self.max_evals - used
        if self.rule is not None:
            allowed = self.rule.room
            if allowed is not None:
                room = min(room, allowed)
        return max(room, 0)

    def observe(self, progress: Progress) -> None:
        """Let the rule see new trials."""
        if self.rule is not None and self.reason is None:
            self.reason = self.rule.check(progress)

    def check(self, used: int) -> str | None:
        """The reason to stop, or None."""
        if self.reason is None:
            if self.max_evals is not None and used >= self.max_evals:
                self.reason = f"max_evals: {self.max_evals} evaluations"
            elif self.timeout is not None and perf_counter() >= self.ends_at:
                self.reason = f"timeout: {self.timeout:g} s"
        return self.reason
