"""The seam for rules that end a study (`stop=`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .batch import Bytes8, Floats


@dataclass(slots=True, eq=False)
class Progress:
    """What a rule sees after each chunk: the new trials, in the order in which they finished.

    values: (k, m) minimised, NaN where there is none.  violations: (k,) or None.  statuses: (k,) int8.
    signs: (m,) +1 for minimised, -1 for maximised objectives (a rule that takes user values needs them).
    evaluations: trials of the study so far, these included.  elapsed_s: seconds of this run.
    """

    values: Floats
    statuses: Bytes8
    violations: Floats | None
    signs: Floats
    evaluations: int
    elapsed_s: float


class StopRule(ABC):
    """Ends a study. Rules combine: `a | b` (either), `a & b` (both)."""

    @abstractmethod
    def check(self, progress: Progress) -> str | None:
        """The reason to stop now, in words; None to go on. Called once per chunk, never twice with the same trials."""

    @property
    def room(self) -> int | None:
        """The most trials that may be evaluated before `check` must be asked again; None: any number."""
        return None

    @property
    def goal(self) -> float | None:
        """A value (user's sign, first objective) that ends the study as soon as it is reached, or None."""
        return None

    def reset(self) -> None:
        """Forget everything: a new study begins."""

    def __or__(self, other: StopRule) -> StopRule:
        return _Either(self, other)

    def __and__(self, other: StopRule) -> StopRule:
        return _Both(self, other)


class _Either(StopRule):
    def __init__(self, first: StopRule, second: StopRule) -> None:
        self.rules = (first, second)

    def check(self, progress: Progress) -> str | None:
        reasons = [rule.check(progress) for rule in self.rules]  # every rule must see every trial
        return next((reason for reason in reasons if reason), None)

    @property
    def room(self) -> int | None:
        return min((rule.room for rule in self.rules if rule.room is not None), default=None)

    @property
    def goal(self) -> float | None:
        return next((rule.goal for rule in self.rules if rule.goal is not None), None)

    def reset(self) -> None:
        for rule in self.rules:
            rule.reset()


class _Both(StopRule):
    def __init__(self, first: StopRule, second: StopRule) -> None:
        self.rules = (first, second)
        self._reasons: list[str | None] = [None, None]

    def check(self, progress: Progress) -> str | None:
        for i, rule in enumerate(self.rules):
            self._reasons[i] = rule.check(progress) or self._reasons[i]
        return " and ".join(map(str, self._reasons)) if all(self._reasons) else None

    @property
    def room(self) -> int | None:
        return min((rule.room for rule in self.rules if rule.room is not None), default=None)

    def reset(self) -> None:
        self._reasons = [None, None]
        for rule in self.rules:
            rule.reset()
