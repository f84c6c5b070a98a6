"""The event loop of one rule after the other: plain Python that Numba compiles as it is (extra [fast]).

Inside a bar only this is known: the open came first, the close last, and a price beyond a level that was reached by
moving through it came after it. So a limit order is filled at the open or at its limit; a stop below a long entry that
was filled inside the bar was touched after it; whether a target above was, nobody knows.
"""

from __future__ import annotations

import numpy as np

from ...core.batch import Floats, Ints

GROWTH, SUM, SQUARES, DOWNSIDE, DRAWDOWN, TRADED, HELD, TRADES = range(8)
"""Columns of a tally: see `kernel.Tally`."""
WIDTH = 8


def loop(  # noqa: PLR0915 (one function, so that it compiles as it is)
    prices: Floats,
    sides: Ints,
    rules: Floats,
    cost: float,
    optimistic: bool,
    first: int,
    last: int,
    tally: Floats,
    returns: Floats,
) -> None:
    """Trade bars first .. last - 1 with p rules, flat before and after.

    prices: (6, n): open, high, low, close, and the forecasts' sell and buy levels.  sides: (n,) -1, 0 or 1.
    rules: (7, p): factors on the sell and the buy level, factors of a long and a short entry price that are the stop,
    hold, side, size (`kernel.factors`).  cost: of each side of a trade.
    Writes tally (p, WIDTH) and, unless it is empty, returns (p, last - first), both zeros before.
    """
    kept = returns.shape[0] > 0
    for p in range(rules.shape[1]):
        up, down, stop_long, stop_short = rules[0, p], rules[1, p], rules[2, p], rules[3, p]
        hold, side, size = rules[4, p], rules[5, p], rules[6, p]
        equity, peak, units = 1.0, 1.0, 0.0
        mark, level, age = 0.0, 0.0, 0
        total, squares, downside, drawdown, traded = 0.0, 0.0, 0.0, 0.0, 0.0
        held, trades = 0, 0
        for t in range(first, last):
            o, h, lo, c, before = prices[0, t], prices[1, t], prices[2, t], prices[3, t], equity
            inside = False
            if units == 0.0:
                s = sides[t]
                if s == 0 or side * s < 0 or equity <= 0.0:
                    continue
                if s > 0:
                    limit, target = prices[5, t] * down, prices[4, t] * up
                    if not (lo <= limit and (target > limit or limit == np.inf)):
                        continue
                    mark, inside = min(o, limit), o > limit
                    level = mark * stop_long
                else:
                    limit, target = prices[4, t] * up, prices[5, t] * down
                    if not (h >= limit and (target < limit or limit == 0.0)):
                        continue
                    mark, inside = max(o, limit), o < limit
                    level = mark * stop_short
                units = s * size * equity / mark
                equity -= cost * abs(units) * mark
                traded += abs(units) * mark / before
                age = 0
            age += 1
            held += 1
            price, out = c, age >= hold or t == last - 1
            if units > 0.0:
                target = prices[4, t] * up
                at_target, at_stop = h >= target and (optimistic or not inside), lo <= level
                open_target, open_stop = not inside and o >= target, not inside and o <= level
                beyond, through = max(o, target), min(o, level)
            else:
                target = prices[5, t] * down
                at_target, at_stop = lo <= target and (optimistic or not inside), h >= level
                open_target, open_stop = not inside and o <= target, not inside and o >= level
                beyond, through = min(o, target), max(o, level)
            if at_target and not open_stop and (open_target or optimistic or not at_stop):
                price, out = (target if inside else beyond), True
            elif at_stop:
                price, out = through, True
            equity += units * (price - mark)
            mark = price
            if out:
                equity -= cost * abs(units) * price
                traded += abs(units) * price / before
                units = 0.0
                trades += 1
            if equity <= 0.0:
                trades += units != 0.0
                equity, units = 0.0, 0.0
            r = equity / before - 1.0
            total += r
            squares += r * r
            downside += r * r if r < 0.0 else 0.0
            peak = max(peak, equity)
            drawdown = max(drawdown, 1.0 - equity / peak)
            if kept:
                returns[p, t - first] = r
        tally[p, GROWTH], tally[p, SUM], tally[p, SQUARES], tally[p, DOWNSIDE] = equity, total, squares, downside
        tally[p, DRAWDOWN], tally[p, TRADED], tally[p, HELD], tally[p, TRADES] = drawdown, traded, held, trades
