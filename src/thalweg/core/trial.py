"""A trial as people see it: a row, made on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .batch import Status


@dataclass(slots=True)
class Trial:
    """One evaluation.

    params: as the objective got them.  values: in the user's own sign, NaN where there is none.
    components: named results beside the objectives.  seconds: time inside the objective.  started_unixtime: seconds.
    replicate: 0 for the first run of a point.  source: "strategy", "initial", "enqueued", "added", "user".
    """

    number: int
    params: Any
    values: tuple[float, ...] = ()
    status: Status = Status.WAITING
    components: dict[str, Any] = field(default_factory=dict)
    violation: float = 0.0
    seconds: float = float("nan")
    started_unixtime: float = float("nan")
    error: str = ""
    attempt: int = 1
    replicate: int = 0
    fidelity: float | None = None
    source: str = "strategy"
    worker: str = ""
    ticket: int = -1

    @property
    def value(self) -> float:
        """The first objective's value."""
        return self.values[0] if self.values else float("nan")

    @property
    def ok(self) -> bool:
        """It finished with finite values and violates no constraint."""
        return self.status is Status.DONE and self.violation <= 0.0
