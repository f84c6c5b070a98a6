"""Forecasts and rules for the tests of this folder."""

import numpy as np

from thalweg.apps.market_backtest.forecast import Forecast
from thalweg.apps.market_backtest.rules import NEVER, Rules


def noisy_forecast(n, seed=0, sides=(-1, 0, 1)):
    """Forecasts about a typical range, with market orders, missing rows and levels the wrong way round."""
    rng = np.random.default_rng(seed)
    high, low = rng.normal(0.008, 0.006, n), rng.normal(-0.008, 0.006, n)
    side = rng.choice(sides, n)
    high[rng.random(n) < 0.03], low[rng.random(n) < 0.03] = np.nan, np.nan
    market = rng.random(n) < 0.05
    low[market & (side > 0)] = np.inf
    high[market & (side < 0)] = -np.inf
    return Forecast.of(high, low, side)


def random_rules(count, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return Rules.of(
        high_mult=rng.uniform(-0.02, 0.02, count),
        low_mult=rng.uniform(-0.02, 0.02, count),
        stop=np.where(rng.random(count) < 0.3, np.inf, rng.uniform(0.002, 0.05, count)),
        hold=rng.choice([1, 2, 3, 5, 20, NEVER], count),
        side=rng.choice([-1, 0, 1], count),
        size=size,
    )
