"""What a forecaster says about every bar, before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.batch import Floats, Ints
from ...core.errors import ProblemError
from .bars import Bars


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """high, low: (n,) forecast log-moves of a bar's high and low from the previous close; row t from bars < t only.

    side: (n,) int64: 1 buy at the low and sell at the high, -1 the other way round, 0 no new position.
    inf in `low` (-inf in `high`) buys (sells) at the open; NaN: no order. Read-only. Made by `Forecast.of`.
    """

    high: Floats
    low: Floats
    side: Ints

    @classmethod
    def of(cls, high: Any, low: Any, side: Any = 1) -> Forecast:
        """Checked rows.

        Raises:
            ProblemError: other shapes than (n,), or a side that is none of -1, 0, 1.
        """
        h, lo = np.array(high, dtype=np.float64), np.array(low, dtype=np.float64)
        if h.ndim != 1 or h.shape != lo.shape:
            raise ProblemError(f"a forecast's high and low are (n,) of one length, got {h.shape} and {lo.shape}")
        s = np.array(np.broadcast_to(np.asarray(side), h.shape))
        if not np.isin(s, (-1, 0, 1)).all():
            raise ProblemError("a forecast's side is 1 (long), -1 (short) or 0 (no new position)")
        made = cls(h, lo, s.astype(np.int64))
        for item in (made.high, made.low, made.side):
            item.setflags(write=False)
        return made

    def __len__(self) -> int:
        return len(self.high)

    def levels(self, bars: Bars) -> tuple[Floats, Floats]:
        """(sell, buy) prices (n,) of the bars; NaN in the first row, which has no previous close."""
        previous = np.concatenate([[np.nan], bars.close[:-1]])
        return previous * np.exp(self.high), previous * np.exp(self.low)

    def equal_to(self, other: Forecast) -> Any:
        """(min n,) whether rows are the same, bit by bit."""
        n = min(len(self), len(other))
        same = np.ones(n, dtype=np.bool_)
        for mine, theirs in ((self.high[:n], other.high[:n]), (self.low[:n], other.low[:n])):
            same &= (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        return same & (self.side[:n] == other.side[:n])
