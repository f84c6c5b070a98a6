"""`backtest_forecasts`: simulations that end one bar earlier each, as a table.

    python -c "from thalweg.compat.marketsim.backtest_test3_inline import backtest_forecasts;
               backtest_forecasts('ETHUSD', 70)"

No network: a symbol is one of the sample shares (extra [market]) or a CSV file, else made prices of that name, which is
warned of.
"""

from __future__ import annotations

import warnings
from typing import Any

from ...apps.market_backtest import simulations
from ...apps.market_backtest.bars import Bars
from ...apps.market_backtest.data import SAMPLES, load_bars
from ...core.errors import MissingExtra, ProblemError


class MadePrices(UserWarning):
    """The prices of this symbol were made, they are nobody's."""


def backtest_forecasts(symbol: str, num_simulations: int = 50, **how: Any) -> Any:
    """One row per simulation, newest first: a DataFrame where pandas is installed, else a list of dicts.

    num_simulations: at most 35 with MARKETSIM_FAST_SIMULATE=1.  how: forecaster, window, trading_fee; for them and for
    the columns see `thalweg.apps.market_backtest.simulations.backtest_forecasts`.

    Raises:
        ProblemError: fewer bars than the simulations need.
    """
    rows = simulations.backtest_forecasts(prices_of(symbol), num_simulations, **how)
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)


def prices_of(symbol: str) -> Bars:
    """The bars of a symbol; where there are none, made ones of its name, with a `MadePrices` warning.

    Raises:
        ProblemError: a file that cannot be read.
    """
    try:
        return load_bars(symbol)
    except MissingExtra as error:
        reason = str(error)
    except ProblemError:
        if symbol in SAMPLES or not symbol.replace("-", "").replace("_", "").isalnum():
            raise  # a file, or prices that are there and cannot be used
        reason = f"there are no prices of {symbol} here, and none are downloaded"
    warnings.warn(f"{reason}; these are made prices (synthetic:{symbol})", MadePrices, stacklevel=3)
    return load_bars(f"synthetic:{symbol}")
