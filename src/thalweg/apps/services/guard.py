"""What a live tuner must not let happen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.errors import ProblemError
from .window import Window


@dataclass(frozen=True, slots=True)
class Guard:
    """tail: p99 may be this many times that of the settings in use.  error_rate: failures may be this share of the
    requests (or twice that of the settings in use).  memory_percent: of the machine.  n_min: requests without which a
    window says nothing.  budget: the share of windows that may end in a roll-back; where it is spent, what is tried
    must look safer.
    """

    tail: float = 1.5
    error_rate: float = 0.01
    memory_percent: float = 90.0
    n_min: int = 100
    budget: float = 0.05

    def __post_init__(self) -> None:
        shares = 0 <= self.error_rate < 1 and 0 <= self.budget <= 1
        if not (self.tail > 1 and shares and 0 < self.memory_percent <= 100 and self.n_min >= 1):
            raise ProblemError(
                "guard: tail > 1, 0 <= error_rate < 1, 0 < memory_percent <= 100, n_min >= 1 and 0 <= budget <= 1 are "
                f"needed, got {self}"
            )

    def enough(self, window: Window) -> bool:
        """Whether anything can be concluded from `window`."""
        return window.requests >= self.n_min and not window.app_limited

    def breach(self, window: Window, usual: Window | None) -> str:
        """What `window` violates, in words, or ''. usual: what the settings in use do (None: not known)."""
        if window.memory_percent > self.memory_percent:
            return f"memory at {window.memory_percent:.0f} %, over {self.memory_percent:g} %"
        if window.requests < self.n_min or usual is None:
            return ""
        allowed = max(self.error_rate, 2.0 * usual.error_rate)
        if window.error_rate > allowed:
            return f"{window.error_rate:.1%} of the requests failed, over {allowed:.1%}"
        before = usual.p99
        if not math.isnan(before) and not window.p99 <= self.tail * before:  # no answers at all: nan
            return f"p99 {1000 * window.p99:.3g} ms, over {self.tail:g} x {1000 * before:.3g} ms"
        return ""
