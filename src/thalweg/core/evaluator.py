"""The seam every way of running evaluations fits into.

An evaluator is opened with a `Target`, is given `Job`s (batches of points) and gives `Outcomes`. Deadlines, retries and
cancellation live in the engine's loop: it cancels the `evaluate` call, and a killable evaluator ends what ran, leaves
no process behind and lets the cancellation through.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .batch import Bytes8, Floats, Ints, Mask, Status
from .context import Report
from .target import Target


@dataclass(slots=True, eq=False)
class Job:
    """A batch of points to evaluate.

    numbers: (k,) int64 trial numbers.  reals: (k, D) float64 decoded, snapped points (see `Space.decode`).
    active: (k, P) bool, or None when every parameter is active.
    fidelities: (k,) float64 in the user's unit, or None.  seeds: (k,) int64 or None (then 0).
    stop_at: `time.perf_counter()` moment at which an evaluator that works row by row gives back what it has so far.
    goal: an evaluator that works row by row gives back what it has after a (first, minimised) value <= goal.
    report: where `Context.report` goes, or None.
    urgent: people queued these points: where jobs wait for a worker, it goes before the others.
    """

    numbers: Ints
    reals: Floats
    active: Mask | None = None
    fidelities: Floats | None = None
    seeds: Ints | None = None
    stop_at: float = float("inf")
    goal: float = float("-inf")
    report: Report | None = None
    urgent: bool = False

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(slots=True, eq=False)
class Outcomes:
    """What came of the first j rows of a job (j < k: the evaluator stopped early, the loop sends the rest again).

    values: (j, m) float64, minimised (the target's `read` applied the signs), NaN where there is none.
    statuses: (j,) int8 final `Status`.  seconds: (j,) float64 spent inside the objective.
    violations: (j,) float64 >= 0 or None.  components: j dicts of named results (None where there are none), or None.
    errors: {row: message} for rows that failed; the message starts with the exception's type.
    worker: who ran it ("pid 123", a host), or "".
    """

    values: Floats
    statuses: Bytes8
    seconds: Floats
    violations: Floats | None = None
    components: list[dict[str, Any] | None] | None = None
    errors: dict[int, str] = field(default_factory=dict)
    worker: str = ""

    def __len__(self) -> int:
        return len(self.statuses)

    @classmethod
    def failed(cls, rows: int, objectives: int, error: str, seconds: float = 0.0) -> Outcomes:
        """All `rows` failed with `error`."""
        return cls(
            np.full((rows, objectives), np.nan),
            np.full(rows, Status.FAILED, dtype=np.int8),
            np.full(rows, seconds / max(rows, 1)),
            errors=dict.fromkeys(range(rows), error),
        )


class Evaluator(ABC):
    """Runs jobs. Subclasses are final; variation comes by wrapping."""

    killable: bool = False
    """A cancelled `evaluate` ends what ran. Deadlines need this."""
    suspends: bool = True
    """`evaluate` really suspends: it is driven by asyncio. Otherwise by `send(None)` on the caller's thread."""
    changed: Callable[[], None] | None = None
    """Set by the loop; an evaluator calls it, on the loop's thread, when `slots` has grown by itself."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many `evaluate` calls may run at once."""

    @property
    def ahead(self) -> int:
        """How many further `evaluate` calls may wait in it already, so that its workers need not wait for the next job
        (may change as evaluation times become known).
        """
        return 0

    @property
    def width(self) -> int:
        """`slots` as known before `open`: the width of ordered mode where people give none.

        Raises:
            EvaluatorError: nobody knows yet.
        """
        return self.slots

    @property
    def rows(self) -> int:
        """How many rows one job should have now (may change as evaluation times become known)."""
        return 1

    @abstractmethod
    def open(self, target: Target) -> None:
        """Get ready to run `target`.

        Raises:
            EvaluatorError: this evaluator cannot run such a target; the message says why and what can.
        """

    def prepare(self, job: Job) -> Any:
        """Whatever `evaluate` wants; called once per job, its time counts as transport."""
        return job

    async def ready(self, prepared: Any) -> None:
        """Wait until the job can start at once: deadlines begin after this, so they never count a worker's start."""

    def running_s(self, prepared: Any) -> float | None:  # noqa: ARG002 (a default)
        """Seconds that the row under way has been running; None: not known (then a job with a deadline has one row)."""
        return None

    def finished(self, prepared: Any) -> Outcomes | None:  # noqa: ARG002 (a default)
        """The rows of a cancelled job that were complete; None: not known."""
        return None

    @abstractmethod
    async def evaluate(self, prepared: Any) -> Outcomes:
        """Run a prepared job. Objectives' exceptions become failed rows, never exceptions of this call."""

    async def aclose(self) -> None:
        """Release everything; no thread or process is left."""
