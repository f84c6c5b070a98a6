"""Stop when a value is reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.batch import Status
from ...core.errors import ProblemError
from ...core.stopping import Progress, StopRule
from ._merit import feasible


class Target(StopRule):
    """Ends a study as soon as one finished, feasible trial is as good as `value`, in the user's own sign.

    value: a number for the first objective (at most that when minimising, at least that when maximising), or one per
    objective, all to be reached by the same trial; None for an objective that does not matter.

    Raises:
        ProblemError: a value is no number, or there are more values than objectives.
    """

    def __init__(self, value: float | Sequence[float | None]) -> None:
        several = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)
        given = list(value) if several else [value]  # type: ignore[arg-type]  # just looked
        for item in given:
            if item is not None and (isinstance(item, (bool, str)) or not np.isscalar(item) or np.isnan(item)):
                raise ProblemError(f"Target: a number, or one per objective, expected, got {value!r}")
        if all(item is None for item in given):
            raise ProblemError("Target: a number for at least one objective expected")
        self.values = tuple(None if item is None else float(item) for item in given)  # type: ignore[arg-type]  # numbers

    def __repr__(self) -> str:
        return f"Target({self.values[0] if len(self.values) == 1 else self.values!r})"

    @property
    def goal(self) -> float | None:
        """See `StopRule.goal`. With several values no single one of them ends the study."""
        return self.values[0] if len(self.values) == 1 else None

    def check(self, progress: Progress) -> str | None:
        """See `StopRule.check`."""
        if len(self.values) > progress.values.shape[1]:
            raise ProblemError(f"{self!r}: at most {progress.values.shape[1]} values expected, one per objective")
        reached = feasible(progress) & (progress.statuses == Status.DONE)
        for j, value in enumerate(self.values):
            if value is not None:
                reached &= progress.values[:, j] <= progress.signs[j] * value
        if not reached.any():
            return None
        row = progress.values[np.argmax(reached)] * progress.signs
        got = ", ".join(f"{item:.6g}" for item in row[: len(self.values)])
        wanted = ", ".join("any" if item is None else f"{item:g}" for item in self.values)
        return f"target {wanted} reached: {got}"
