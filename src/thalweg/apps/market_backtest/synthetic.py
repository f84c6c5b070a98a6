"""Made prices: geometric Brownian motion with regimes, overnight gaps, and a path inside every bar.

The path is known, so what a limit order really got is known too (`Market.path`). With `bridge` the highs and lows are
those of the continuous path between the steps, drawn from their exact distribution: the maximum of a Brownian bridge
from a to b of variance v is (a + b + sqrt((b - a)^2 - 2 v ln U)) / 2 (L. Devroye, "Non-Uniform Random Variate
Generation", Springer 1986, ch. XI.6, doi:10.1007/978-1-4613-8643-8, of the reflection principle); the minimum of the
same step is drawn independently of it, which matters little as a bar's high and low are seldom in one step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats, Ints
from ...core.errors import ProblemError
from .bars import Bars


@dataclass(frozen=True, slots=True)
class Regime:
    """drift, volatility: a bar's, of log-prices (drift in excess of -volatility^2 / 2, so 0 makes a fair game).
    length: bars it lasts in the mean."""

    drift: float = 0.0
    volatility: float = 0.015
    length: float = np.inf


CALM_AND_WILD = (Regime(0.0006, 0.009, 120.0), Regime(-0.0006, 0.022, 40.0))
"""Long quiet rises and short wild falls, roughly as share indices have them."""


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """bars; path: (n, steps + 1) the prices inside every bar, open to close; regime: (n,) which one a bar was in."""

    bars: Bars
    path: Floats
    regime: Ints


def synthetic(
    count: int,
    seed: int | np.random.Generator = 0,
    *,
    regimes: tuple[Regime, ...] = (Regime(),),
    steps: int = 78,
    gap: float = 0.0,
    bridge: bool = True,
    start: float = 100.0,
    symbol: str = "synthetic",
) -> Market:
    """`count` bars. steps: inside a bar (78: five minutes of a session).  gap: share of a bar's variance that happens
    between the close and the next open.  bridge: extremes of the continuous path, not of its steps only.

    Raises:
        ProblemError: a size that cannot be.
    """
    if count < 2 or steps < 1 or not 0 <= gap < 1 or not regimes or not start > 0:
        raise ProblemError(
            "synthetic: count >= 2, steps >= 1, 0 <= gap < 1, start > 0 and a regime are expected, got "
            f"count={count}, steps={steps}, gap={gap}, start={start}, {len(regimes)} regimes"
        )
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    which = _regimes(count, regimes, rng)
    drift = np.array([item.drift - item.volatility**2 / 2 for item in regimes])[which]
    variance = np.array([item.volatility**2 for item in regimes])[which]
    jump = gap * drift + np.sqrt(gap * variance) * rng.standard_normal(count)
    jump[0] = 0.0  # the first bar opens at `start`
    inner, drift_inside = (1 - gap) * variance / steps, (1 - gap) * drift / steps
    moves = drift_inside[:, None] + np.sqrt(inner)[:, None] * rng.standard_normal((count, steps))
    inside = np.concatenate([np.zeros((count, 1)), np.cumsum(moves, axis=1)], axis=1)
    opens = np.log(start) + np.cumsum(jump) + np.concatenate([[0.0], np.cumsum(inside[:-1, -1])])
    logs = opens[:, None] + inside
    top, bottom = logs.max(axis=1), logs.min(axis=1)
    if bridge:
        a, b, v = logs[:, :-1], logs[:, 1:], inner[:, None]
        top = ((a + b + _reach(b - a, v, rng)) / 2).max(axis=1)
        bottom = ((a + b - _reach(b - a, v, rng)) / 2).min(axis=1)
    path = np.exp(logs)
    high, low = np.maximum(np.exp(top), path.max(axis=1)), np.minimum(np.exp(bottom), path.min(axis=1))
    return Market(Bars.of(path[:, 0], high, low, path[:, -1], symbol=symbol), path, which)


def _reach(move: Floats, variance: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(np.sqrt(move**2 - 2 * variance * np.log1p(-rng.random(move.shape))))


def _regimes(count: int, regimes: tuple[Regime, ...], rng: np.random.Generator) -> Ints:
    """(n,) the regime of every bar: geometric lengths, then another one at random."""
    which = np.zeros(count, dtype=np.int64)
    at, now = 0, int(rng.integers(len(regimes)))
    while at < count:
        length = regimes[now].length
        lasts = count if np.isinf(length) else int(rng.geometric(min(1.0, 1.0 / length)))
        which[at : at + lasts] = now
        at += lasts
        if len(regimes) > 1:
            now = (now + 1 + int(rng.integers(len(regimes) - 1))) % len(regimes)
    return which
