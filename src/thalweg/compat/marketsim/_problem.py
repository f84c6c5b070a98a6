"""Made problems of the size that backtests have, for the comparisons of this folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...apps.market_backtest.multipliers import Days, profits
from ...apps.market_backtest.optimize import split
from ...core.batch import Floats

DAYS, FEE, PERSISTENCE = 200, 0.0015, 0.7
Series = tuple[Floats, Floats, Floats, Floats, Floats, Floats]


def series(seed: int, n: int = DAYS) -> Series:
    """(close, positions, high, high prediction, low, low prediction), (n,) each; predictions follow what comes with an
    error that persists: AR(1) of coefficient 0.7."""
    rng = np.random.default_rng(seed)
    close = rng.normal(0.0003, 0.012, n)
    high = np.maximum(close, 0.0) + np.abs(rng.normal(0, 0.008, n))
    low = np.minimum(close, 0.0) - np.abs(rng.normal(0, 0.008, n))
    error = np.zeros((2, n))
    for t in range(1, n):
        error[:, t] = PERSISTENCE * error[:, t - 1] + rng.normal(0, 0.004, 2)
    side = np.where(rng.random(n) < 0.7, 1.0, -1.0)
    return close, side, high, high + error[0], low, low + error[1]


def days_of(data: Series, close_at_eod: bool) -> Days:
    """For the solver."""
    close, side, high, high_pred, low, low_pred = data
    arrays = {"close": close, "high": high, "high_pred": high_pred, "low": low, "low_pred": low_pred}
    return Days.of(arrays, *split(side), FEE, close_at_eod, single=True)


def profit_of(days: Days) -> Callable[[Floats], Floats]:
    """points (k, 2) -> (k,) profits."""

    def profit(points: Floats) -> Floats:
        return np.asarray(profits(days, points[None, :, 0], points[None, :, 1])[0])

    return profit
