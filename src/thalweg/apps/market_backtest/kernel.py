"""The kernel: bars x rules -> tallies, one pass over the bars for thousands of rules.

How a bar is filled (long; short is its mirror image). Orders are placed before the bar, from what was known then:

- entry: a limit order at `buy level * exp(low_mult)`, sent while flat and only if the target is above it. Filled if the
  low reaches it, at min(open, limit): a gap is to the rule's advantage, as at an exchange.
- target: a limit order at `sell level * exp(high_mult)`, renewed every bar, filled at max(open, target). In the bar of
  the entry only if the open already filled it; else nobody knows whether the high came before the low.
- stop: `entry price * exp(-stop)`, filled at min(open, stop): a gap hurts. It is below the entry, so in the bar of the
  entry it is touched after it. Where a bar touches both stop and target, the stop comes first, unless the bar opened
  beyond one of them: then that one.
- out at the close of the `hold`-th bar and of the last bar. One entry a bar, none in the bar of an exit.

`fills="optimistic"`: the target also in the bar of an entry inside it, and the target before the stop. It is there to
show what that assumption makes out of nothing.

A level of inf (buy) or 0 (sell) is a market order at the open; NaN is no order.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from ...core.batch import Floats, Ints
from ...core.errors import MissingExtra, ProblemError
from . import _loop
from ._columns import Events, columns
from .bars import Bars
from .forecast import Forecast
from .rules import Costs, Fills, Rules, check_fills

Engine = Literal["auto", "numba", "numpy", "python"]
CHUNK = 2048
"""Rules that the NumPy engine advances together: their columns stay in the processor's cache."""
FEW = 64
"""So few rules go faster one by one than as columns."""


_SUMS = ("growth", "total", "squares", "downside", "drawdown", "traded", "held", "trades")
"""Fields of `Tally`, in the order of `_loop`'s columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Sums over the bars of a window, (p,) each; `measures` turns them into figures. r: simple returns of bars.

    growth: final equity, from 1 (0: ruined).  total, squares, downside: sums of r, r^2, and r^2 where r < 0.
    drawdown: the largest loss from a peak, at closes.  traded: sum of traded notional over equity.
    held: bars with a position at some moment.  trades: round trips.  bars: in the window.  periods: bars a year.
    returns: (p, bars) r, or None.
    """

    growth: Floats
    total: Floats
    squares: Floats
    downside: Floats
    drawdown: Floats
    traded: Floats
    held: Floats
    trades: Floats
    bars: int
    periods: float
    returns: Floats | None = None

    def __len__(self) -> int:
        return len(self.growth)


def factors(rules: Rules) -> Floats:
    """(7, p): what `_loop.loop` multiplies levels and entry prices with, and hold, side, size."""
    up, down = np.exp(rules.high_mult), np.exp(rules.low_mult)
    return np.stack([up, down, np.exp(-rules.stop), np.exp(rules.stop), rules.hold, rules.side, rules.size])


def backtest(
    bars: Bars,
    forecast: Forecast,
    rules: Rules,
    costs: Costs | None = None,
    *,
    fills: Fills = "pessimistic",
    window: tuple[int, int] | None = None,
    engine: Engine = "auto",
    returns: bool = False,
) -> Tally:
    """What every rule comes to on the bars of `window` (first, last + 1), all bars but the first one by default.

    Every rule begins flat with an equity of 1 and ends flat. costs: `Costs()` where not given.
    engine: "numba" (extra [fast]), "numpy", "python" (for a few rules), or "auto": the fastest there is.
    returns: keep the return of every bar too, (p, bars).

    Raises:
        ProblemError: a forecast of other bars, a window that is none.  MissingExtra: numba is not installed.
    """
    first, last = check_window(bars, forecast, window)
    optimistic = check_fills(fills)
    run = _engine(engine, len(rules))
    prices, table = prices_of(bars, forecast), factors(rules)
    tally = np.zeros((len(rules), _loop.WIDTH))
    kept = np.zeros((len(rules), last - first) if returns else (0, 0))
    run(prices, forecast.side, table, (costs or Costs()).side, optimistic, first, last, tally, kept)
    named = dict(zip(_SUMS, tally.T.copy(), strict=True))
    return Tally(**named, bars=last - first, periods=bars.periods, returns=kept if returns else None)


def check_window(bars: Bars, forecast: Forecast, window: tuple[int, int] | None) -> tuple[int, int]:
    """(first, last + 1) of a window; the first bar of all has no previous close, so it is never traded."""
    if len(forecast) != len(bars):
        raise ProblemError(f"the forecast has {len(forecast)} rows, {bars.symbol} has {len(bars)} bars")
    first, last = (1, len(bars)) if window is None else (int(window[0]), int(window[1]))
    if not 1 <= first < last <= len(bars):
        raise ProblemError(f"window: 1 <= first < last <= {len(bars)} is expected, got ({first}, {last})")
    return first, last


def prices_of(bars: Bars, forecast: Forecast) -> Floats:
    """(6, n): the bars and the levels, as the loops take them."""
    sell, buy = forecast.levels(bars)
    return np.stack([bars.open, bars.high, bars.low, bars.close, sell, buy])


def trace(
    bars: Bars, forecast: Forecast, rules: Rules, costs: Costs, fills: Fills, window: tuple[int, int] | None
) -> Events:
    """What happened to one rule, entry by entry and exit by exit."""
    first, last = check_window(bars, forecast, window)
    optimistic = check_fills(fills)
    events: Events = []
    tally, kept = np.zeros((1, _loop.WIDTH)), np.zeros((0, 0))
    given = prices_of(bars, forecast), forecast.side, factors(rules), costs.side, optimistic, first, last
    columns(*given, tally, kept, events)
    return events


Run = Callable[[Floats, Ints, Floats, float, bool, int, int, Floats, Floats], None]


def _engine(name: Engine, count: int) -> Run:
    if name == "auto":
        name = "numba" if _has_numba() else "python" if count <= FEW else "numpy"
    if name == "python":
        return _loop.loop
    if name == "numpy":
        return _chunked
    if name == "numba":
        return compiled()
    raise ProblemError(f"engine: 'auto', 'numba', 'numpy' or 'python' is expected, got {name!r}")


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@cache
def compiled() -> Run:
    """The loop, compiled on its first call (and kept on disk by Numba, where it may write)."""
    try:
        numba: Any = importlib.import_module("numba")
    except ImportError:
        raise MissingExtra("numba", "fast", "the engine 'numba'") from None
    try:
        made: Run = numba.njit(cache=True, nogil=True)(_loop.loop)
    except RuntimeError:  # nowhere to keep it: compiled anew in every process
        made = numba.njit(nogil=True)(_loop.loop)
    return made


def _chunked(
    prices: Floats,
    sides: Ints,
    table: Floats,
    cost: float,
    optimistic: bool,
    first: int,
    last: int,
    tally: Floats,
    returns: Floats,
) -> None:
    for start in range(0, table.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        chunk = np.ascontiguousarray(table[:, part])
        columns(prices, sides, chunk, cost, optimistic, first, last, tally[part], returns[part])
