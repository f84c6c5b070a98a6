"""A symbol -> its bars: sample data of a package, a CSV file, or made prices.

AAPL                     one of bokeh_sampledata's shares (extra [market]): daily, 2000 to 2013, adjusted by us
prices/eth.csv           a file with the columns open, high, low, close
synthetic:NAME[:BARS]    made prices; the name is the seed, so the same name gives the same bars
"""

from __future__ import annotations

import importlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import MissingExtra, ProblemError
from .bars import PRICES, Bars
from .synthetic import CALM_AND_WILD, synthetic

SAMPLES = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
"""Symbols of bokeh_sampledata."""
MADE_BARS = 1500
_PREFIX = "synthetic:"


def load_bars(symbol: str) -> Bars:
    """The bars of `symbol`; no name ever stands for another.

    Raises:
        ProblemError: there are none.  MissingExtra: they are in a package that is not installed.
    """
    if symbol.startswith(_PREFIX):
        return _made(symbol)
    if symbol in SAMPLES:
        return _sample(symbol)
    if symbol.lower().endswith(".csv") or Path(symbol).is_file():
        return Bars.from_csv(symbol)
    raise ProblemError(
        f"no prices for {symbol!r}: it is none of the sample shares ({', '.join(SAMPLES)}) and no CSV file; made "
        f"prices of that name are {_PREFIX}{symbol}"
    )


def name_of(symbol: str) -> str:
    """What the bars of `symbol` are called in reports and files."""
    if symbol.startswith(_PREFIX):
        return "synthetic-" + symbol.removeprefix(_PREFIX).partition(":")[0]
    return symbol if symbol in SAMPLES else Path(symbol).stem


def _made(symbol: str) -> Bars:
    name, _, count = symbol.removeprefix(_PREFIX).partition(":")
    if not name or (count and not count.isdecimal()):
        raise ProblemError(f"{symbol!r}: {_PREFIX}NAME or {_PREFIX}NAME:BARS is expected")
    seed = zlib.crc32(name.encode())
    # a name with a colon cannot be part of a file's name everywhere
    return synthetic(int(count or MADE_BARS), seed, regimes=CALM_AND_WILD, gap=0.25, symbol=name_of(symbol)).bars


def _sample(symbol: str) -> Bars:
    """Prices scaled by adjusted close / close of the day, so that splits and dividends are no jumps."""
    try:
        stocks: Any = importlib.import_module("bokeh_sampledata.stocks")
    except ImportError:
        raise MissingExtra("bokeh_sampledata", "market", f"reading the prices of {symbol}") from None
    rows = getattr(stocks, symbol)
    scale = np.asarray(rows["adj_close"], dtype=np.float64) / np.asarray(rows["close"], dtype=np.float64)
    adjusted = (np.asarray(rows[name], dtype=np.float64) * scale for name in PRICES)
    return Bars.of(*adjusted, symbol=symbol, times=rows["date"])
