"""What a service did for a while: the unit in which a live tuner sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Window:
    """latencies: (n,) seconds of every request that was answered.  seconds: how long the window was.
    errors: requests that failed or were refused.  app_limited: there was so little to do that settings hardly matter;
    nothing is learnt from such a window.  memory_percent: of the machine or its limit, at the worst moment.
    value: a measurement of your own, where latencies are not what counts (its mean, if windows are joined).
    """

    latencies: Floats = field(repr=False)
    seconds: float
    errors: int = 0
    app_limited: bool = False
    memory_percent: float = 0.0
    value: float | None = None

    @property
    def answered(self) -> int:
        """Requests that succeeded."""
        return len(self.latencies)

    @property
    def requests(self) -> int:
        """Requests that succeeded or failed."""
        return len(self.latencies) + self.errors

    @property
    def error_rate(self) -> float:
        """Share of requests that failed."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def throughput(self) -> float:
        """Requests answered per second."""
        return self.answered / self.seconds

    @property
    def p50(self) -> float:
        """The median latency, in seconds (nan where nothing was answered)."""
        return self.percentile(50)

    @property
    def p95(self) -> float:
        """What 95 % of the answers do not exceed, in seconds."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """What 99 % of the answers do not exceed, in seconds."""
        return self.percentile(99)

    def percentile(self, percent: float) -> float:
        """A latency that `percent` of the answers do not exceed."""
        return float(np.percentile(self.latencies, percent)) if len(self.latencies) else float("nan")

    @classmethod
    def joined(cls, parts: Sequence[Window]) -> Window:
        """Windows one after the other, as one."""
        values = [part.value for part in parts if part.value is not None]
        return cls(
            np.concatenate([part.latencies for part in parts]),
            sum(part.seconds for part in parts),
            sum(part.errors for part in parts),
            all(part.app_limited for part in parts),
            max(part.memory_percent for part in parts),
            float(np.mean(values)) if values else None,
        )


Metric = Callable[[Window], float]

METRICS: dict[str, Metric] = {
    "p50": lambda window: window.p50,
    "p95": lambda window: window.p95,
    "p99": lambda window: window.p99,
    "seconds_per_request": lambda window: 1.0 / window.throughput if window.answered else float("inf"),
    "value": lambda window: float("nan") if window.value is None else window.value,
}
"""What may be made small; each is a number > 0."""


def metric_of(given: str | Metric) -> Metric:
    """A metric by name, or a function of windows. Raises ProblemError for another name."""
    if callable(given):
        return given
    if given not in METRICS:
        raise ProblemError(f"metric: unknown name {given!r}; known: {', '.join(METRICS)}, or a function of a Window")
    return METRICS[given]
