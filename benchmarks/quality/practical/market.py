"""A market backtest on made-up prices: multipliers on predicted highs and lows, predictions cached.

Entries fill at a limit below the predicted low, exits at one above the predicted high; without a fill the position is
closed at the day's end. A fee is paid on both sides.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Real

FEE = 5e-4


@cache
def prices(instance: int, days: int = 1500) -> tuple[np.ndarray, ...]:
    """(open, high, low, close, predicted high, predicted low), each (days,), relative to the last close."""
    rng = np.random.default_rng(instance)
    vol = 0.01 * np.exp(0.5 * np.sin(np.arange(days) / 60) + np.cumsum(rng.normal(0, 0.03, days)) * 0.3)
    path = np.cumsum(rng.normal(0.0002, 1, (days, 24)) * (vol / np.sqrt(24))[:, None], axis=1)
    path += 0.15 * vol[:, None] * rng.standard_t(4, (days, 1)) / 2
    high, low, close = path.max(axis=1), path.min(axis=1), path[:, -1]
    guess_high = 0.6 * np.maximum(high, 0) + 0.4 * vol + rng.normal(0, 0.004, days)
    guess_low = 0.6 * np.minimum(low, 0) - 0.4 * vol + rng.normal(0, 0.004, days)
    return path[:, 0], high, low, close, guess_high, guess_low


def _gains(instance: int, low_shift: float, high_shift: float, side: float = 1.0) -> np.ndarray:
    """Daily gains of one side (+1 long, -1 short), filled pessimistically: an exit counts only if the day closes so."""
    start, high, low, close, guess_high, guess_low = prices(instance)
    if side < 0:
        start, high, low, close, guess_high, guess_low = -start, -low, -high, -close, -guess_low, -guess_high
    entry, leave = guess_low + low_shift, guess_high + high_shift
    filled = (low <= entry) & (entry < leave)
    paid = np.minimum(entry, start)
    got = np.where((high >= leave) & (close > entry), leave, close)
    return np.where(filled, got - paid - 2 * FEE, 0.0)


def _score(daily: np.ndarray) -> float:
    """Minus the yearly Sharpe ratio (with a floor for the spread, so that idle strategies are not divided by zero)."""
    return float(-daily.mean() / (daily.std() + 1e-3) * np.sqrt(252))


@problem("backtest_two", 2)
def backtest_two(instance: int) -> Made:
    """One pair of multipliers, long only."""

    def evaluate(p: dict[str, Any]) -> float:
        return _score(_gains(instance, p["low"], p["high"]))

    return Made([Real(name=name, low=-0.03, high=0.03) for name in ("low", "high")], evaluate)


@problem("backtest_four", 4)
def backtest_four(instance: int) -> Made:
    """Two pairs of multipliers, long and short, always on."""

    def evaluate(p: dict[str, Any]) -> float:
        long = _gains(instance, p["long_low"], p["long_high"])
        return _score(long + _gains(instance, p["short_low"], p["short_high"], -1.0))

    names = ("long_low", "long_high", "short_low", "short_high")
    return Made([Real(name=name, low=-0.03, high=0.03) for name in names], evaluate)
