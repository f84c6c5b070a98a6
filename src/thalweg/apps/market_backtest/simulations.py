"""Simulations of the two-multiplier rule: history ends one bar earlier in each, and both closing policies are solved.

Forecasts are made once for the whole series; as a forecaster is causal, those of a shorter history are its first rows.
The multipliers of all simulations are solved in one batch. Beside the profit that they were chosen by, which is an
in-sample figure of a kind objective (see `multipliers`), stands what the bar after each history made of them, with
pessimistic fills and fees on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError
from . import flags
from .bars import Bars
from .data import load_bars
from .forecast import Forecast
from .forecast_cache import ForecastCache
from .forecasters import Forecaster, make_forecaster
from .kernel import backtest
from .optimize import Triple, optimize_batch
from .rules import Costs, Rules

WINDOW = 200
"""Bars of each simulation's history that the multipliers are chosen on."""
FEE = 0.0015


def backtest_forecasts(
    symbol: str | Bars,
    num_simulations: int = 50,
    *,
    forecaster: str | Forecaster = "ewma",
    window: int = WINDOW,
    trading_fee: float = FEE,
    cache: ForecastCache | None = None,
) -> list[dict[str, Any]]:
    """One row per simulation, newest first: simulation k knows all but the last k + 1 bars, and is judged on the first
    bar it does not know.

    symbol: see `data.load_bars`; or bars.  num_simulations: at most 35 with MARKETSIM_FAST_SIMULATE.
    A row: simulation, date (of the judging bar), close (the last one known), for both policies (entry_exit,
    close_at_eod) high_mult, low_mult, in_sample_profit and next_bar_return, and which policy had the larger profit.

    Raises:
        ProblemError: fewer bars than simulations and window need.
    """
    bars = load_bars(symbol) if isinstance(symbol, str) else symbol
    count = flags.simulations(num_simulations)
    forecast = (cache or ForecastCache()).forecast(make_forecaster(forecaster), bars)
    ready = int(np.argmax(np.isfinite(forecast.high) & np.isfinite(forecast.low)))
    most = len(bars) - ready - window - 1
    if not 1 <= count <= most or not np.isfinite(forecast.high[ready]):
        raise ProblemError(
            f"{bars.symbol}: {count} simulations of {window} bars do not fit into {len(bars)} bars (the forecasts "
            f"begin at bar {ready}); at most {max(most, 0)} do"
        )
    last = len(bars) - 1 - np.arange(count)  # the bar that judges each simulation
    policies = {
        "entry_exit": _policy(bars, forecast, last, window, trading_fee, False),
        "close_at_eod": _policy(bars, forecast, last, window, trading_fee, True),
    }
    rows = []
    for k, t in enumerate(last.tolist()):
        row = {"simulation": k, "date": bars.label(t), "close": float(bars.close[t - 1])}
        for name, (pairs, judged) in policies.items():
            h, low_mult, profit = pairs[k]
            row |= {f"{name}_high_mult": h, f"{name}_low_mult": low_mult, f"{name}_in_sample_profit": profit}
            row |= {f"{name}_next_bar_return": float(judged[k])}
        best = max(policies, key=lambda name: policies[name][0][k][2])
        rows.append(row | {"policy": best})
    return rows


def _policy(
    bars: Bars, forecast: Forecast, last: Any, window: int, fee: float, eod: bool
) -> tuple[list[Triple], Floats]:
    """(multipliers and in-sample profit, return of the next bar) of every simulation."""
    index = last[:, None] - window + np.arange(window)  # (count, window) bars before each judging bar
    previous = bars.close[index - 1]

    def moves(prices: Floats) -> Floats:
        made: Floats = prices[index] / previous - 1.0
        return made

    high_pred, low_pred = np.expm1(forecast.high), np.expm1(forecast.low)
    pairs = optimize_batch(
        moves(bars.close), forecast.side[index].astype(np.float64), moves(bars.high), high_pred[index],
        moves(bars.low), low_pred[index], close_at_eod=eod, trading_fee=fee,
    )  # fmt: skip
    h, low_mult, _ = np.array(pairs).T
    high, low = np.full(len(bars), np.nan), np.full(len(bars), np.nan)
    long = forecast.side[last] > 0
    sell, buy = np.log1p(np.clip(high_pred[last] + h, 0, 10)), _log1p(np.clip(low_pred[last] + low_mult, -1, 0))
    # without targets a day leaves at its close: the far side of its order is out of reach
    high[last] = np.where(long, np.inf, sell) if eod else sell
    low[last] = np.where(long, buy, -np.inf) if eod else buy
    only = np.zeros(len(bars), dtype=np.int64)
    only[last] = forecast.side[last]
    tally = backtest(
        bars,
        Forecast.of(high, low, only),
        Rules.of(hold=1),
        Costs(fee),
        window=(int(last[-1]), len(bars)),
        returns=True,
    )
    judged = np.zeros(0) if tally.returns is None else tally.returns[0][::-1]
    return pairs, judged


def _log1p(item: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(item))
