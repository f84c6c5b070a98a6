"""The event loop of `_loop` for all rules at once: one bar after the other, rules as NumPy columns.

Every line mirrors one of `_loop.loop`; the tests hold the two together to 1e-12.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.batch import Floats, Ints, Mask
from . import _loop


class Happening(NamedTuple):
    """An entry ("entry") or an exit ("target", "stop", "time", "ruin") of one rule.

    units: signed, of an equity of 1 at the window's start.
    """

    bar: int
    what: str
    price: float
    units: float


Events = list[Happening]


class _State:
    """Columns (p,) of what the rules hold and have come to."""

    def __init__(self, count: int) -> None:
        self.equity, self.peak = np.ones(count), np.ones(count)
        self.units, self.mark, self.level, self.age = (np.zeros(count) for _ in range(4))
        self.inside = np.zeros(count, dtype=np.bool_)


def columns(
    prices: Floats,
    sides: Ints,
    rules: Floats,
    cost: float,
    optimistic: bool,
    first: int,
    last: int,
    tally: Floats,
    returns: Floats,
    events: Events | None = None,
) -> None:
    """As `_loop.loop`. events: a list that is filled with what happened to the first rule."""
    state = _State(rules.shape[1])
    sums = tally.T
    wanted = rules[5] == 0, (rules[5] == 0) | (rules[5] == 1), (rules[5] == 0) | (rules[5] == -1)
    for t in range(first, last):
        bar, before = prices[:, t], state.equity
        state.inside[:] = False
        if sides[t]:
            _enter(state, bar, int(sides[t]), rules, cost, wanted[int(sides[t])], sums, (t, events))
        held = state.units != 0
        if not held.any():
            continue
        _leave(state, bar, rules, cost, optimistic, t == last - 1, before, held, sums, (t, events))
        r = np.divide(state.equity, before, out=np.ones_like(before), where=before > 0) - 1.0
        r[~held] = 0.0
        squares = r * r
        sums[_loop.SUM] += r
        sums[_loop.SQUARES] += squares
        sums[_loop.DOWNSIDE] += np.where(r < 0, squares, 0.0)
        sums[_loop.HELD] += held
        np.maximum(state.peak, state.equity, out=state.peak)
        np.maximum(sums[_loop.DRAWDOWN], 1.0 - state.equity / state.peak, out=sums[_loop.DRAWDOWN])
        if len(returns):
            returns[:, t - first] = r
    sums[_loop.GROWTH] = state.equity


def _enter(
    state: _State,
    bar: Floats,
    s: int,
    rules: Floats,
    cost: float,
    wanted: Mask,
    sums: Floats,
    note: tuple[int, Events | None],
) -> None:
    """Limit orders of the rules that are flat."""
    o, high, low, _, sell, buy = bar
    if s > 0:
        limit, target = buy * rules[1], sell * rules[0]
        filled = (low <= limit) & ((target > limit) | (limit == np.inf))
        price, inside, stop = np.minimum(o, limit), o > limit, rules[2]
    else:
        limit, target = sell * rules[0], buy * rules[1]
        filled = (high >= limit) & ((target < limit) | (limit == 0.0))
        price, inside, stop = np.maximum(o, limit), o < limit, rules[3]
    filled &= (state.units == 0) & wanted & (state.equity > 0)
    if not filled.any():
        return
    price = np.where(filled, price, 1.0)
    units = s * rules[6] * state.equity / price
    notional = np.abs(units) * price
    sums[_loop.TRADED] += np.where(filled, notional / np.where(filled, state.equity, 1.0), 0.0)
    state.equity = np.where(filled, state.equity - cost * notional, state.equity)
    state.units = np.where(filled, units, state.units)
    state.mark = np.where(filled, price, state.mark)
    state.level = np.where(filled, price * stop, state.level)
    state.age = np.where(filled, 0.0, state.age)
    state.inside = filled & inside
    if note[1] is not None and filled[0]:
        note[1].append(Happening(note[0], "entry", float(price[0]), float(units[0])))


def _leave(
    state: _State,
    bar: Floats,
    rules: Floats,
    cost: float,
    optimistic: bool,
    ends: bool,
    before: Floats,
    held: Mask,
    sums: Floats,
    note: tuple[int, Events | None],
) -> None:
    """Targets, stops and time; then every position is worth its close or what it was left at."""
    o, high, low, close, sell, buy = bar
    inside, carried, long = state.inside, ~state.inside, state.units > 0
    state.age = state.age + 1.0
    target = np.where(long, sell * rules[0], buy * rules[1])
    level = state.level
    at_target = np.where(long, high >= target, low <= target) & (optimistic | carried)
    at_stop = np.where(long, low <= level, high >= level)
    open_target = carried & np.where(long, o >= target, o <= target)
    open_stop = carried & np.where(long, o <= level, o >= level)
    taken = held & at_target & ~open_stop & (open_target | optimistic | ~at_stop)
    stopped = held & at_stop & ~taken
    out = taken | stopped | (held & ((state.age >= rules[4]) | ends))
    beyond = np.where(inside, target, np.where(long, np.maximum(o, target), np.minimum(o, target)))
    through = np.where(long, np.minimum(o, level), np.maximum(o, level))
    price = np.where(taken, beyond, np.where(stopped, through, close))
    equity = np.where(held, state.equity + state.units * (price - state.mark), state.equity)
    notional = np.where(out, np.abs(state.units) * price, 0.0)
    equity = equity - cost * notional
    sums[_loop.TRADED] += np.divide(notional, before, out=np.zeros_like(before), where=before > 0)
    state.mark = price
    ruined = held & (equity <= 0)
    if note[1] is not None and (out | ruined)[0]:
        why = "target" if taken[0] else "stop" if stopped[0] else "time" if out[0] else "ruin"
        note[1].append(Happening(note[0], why, float(price[0]), float(state.units[0])))
    sums[_loop.TRADES] += out | ruined
    state.equity = np.where(ruined, 0.0, equity)
    state.units = np.where(out | ruined, 0.0, state.units)
