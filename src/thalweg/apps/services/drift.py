"""Has a metric's level changed? Two one-sided cumulative sums (CUSUM).

E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), doi:10.1093/biomet/41.1-2.100. The level and the
spread are learnt from the stream itself: the spread from differences of neighbours, which a change touches only once.
"""

from __future__ import annotations

import math
from statistics import median

FLOOR, GUESS = 0.01, 0.05
"""Spreads are never taken for less than FLOOR, and for GUESS while too little is known (of logarithms: 1 %, 5 %)."""
LARGE = 0.4
"""A change of a log metric (half as much again, a third less) for which one value is enough; smaller ones need two."""
_ONCE = 0.75
"""The share of the alarm that one value can raise."""
_KNOWN, _KEPT = 6, 200
_MADE_NORMAL = 1.4826 / math.sqrt(2.0)  # median |difference of neighbours| -> standard deviation


class Drift:
    """Hears values one by one. slack: changes below this many standard deviations are none.  alarm: the sum that is."""

    def __init__(self, slack: float = 1.0, alarm: float = 8.0) -> None:
        self._slack, self._alarm = slack, alarm
        self._values: list[float] = []
        self._steps: list[float] = []
        self._up = self._down = 0.0

    @property
    def level(self) -> float:
        """The median of what was heard since the last reset (nan: nothing)."""
        return median(self._values) if self._values else math.nan

    @property
    def spread(self) -> float:
        """The standard deviation of one value around the level."""
        if len(self._steps) < _KNOWN:
            return GUESS
        return max(FLOOR, _MADE_NORMAL * median(self._steps))

    def hear(self, value: float) -> float:
        """Gives 0.0, or by how much the level has changed, at the moment when that is sure."""
        if self._values:
            change = value - self.level
            # the level is itself a median of few values
            off = change / (self.spread * math.sqrt(1.0 + math.pi / (2.0 * len(self._values))))
            if abs(change) < LARGE:
                off = max(-_ONCE * self._alarm, min(off, _ONCE * self._alarm))
            self._up = max(0.0, self._up + off - self._slack)
            self._down = max(0.0, self._down - off - self._slack)
            if max(self._up, self._down) > self._alarm:
                return value - self.level
            self._steps = [*self._steps[1 - _KEPT :], abs(value - self._values[-1])]
        self._values = [*self._values[1 - _KEPT :], value]
        return 0.0

    def reset(self, anew: bool = False) -> None:
        """Learn a new level; the spread is remembered, or learnt `anew` too."""
        self._values, self._up, self._down = [], 0.0, 0.0
        if anew:
            self._steps = []
