"""Metrics of a run, per path: formulas, units, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...core.batch import Floats, Ints
from . import market
from .consensus import Consensus
from .state import Config, Day, Scene, State
from .tally import Tally
from .world import YEAR, World

ORDER_USD = 10_000.0
"""The order whose slippage is told."""
BUSY = 0.1
"""Volume per day, as a share of the pool, that counts as fully liquid."""
DEEP_USD = 1e6
"""A pool of this size is half-way to fully deep."""
FRUGAL_KWH = 1.0
"""Energy per payment that makes an efficiency of one half."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run of C configurations of one kind of consensus: what the formulas below are given."""

    state: State
    tally: Tally
    config: Config
    kind: Consensus
    world: World
    days: int

    def daily(self, total: Floats) -> Floats:
        """A sum over days as a mean per day."""
        return total / self.days


@dataclass(frozen=True, slots=True)
class Metric:
    """unit; better: "more", "less", or "" where neither is; formula: in words; of: Run -> (C, P)."""

    unit: str
    better: str
    formula: str
    of: Callable[[Run], Floats]


def _volatility(run: Run) -> Floats:
    return np.sqrt(YEAR * run.daily(run.tally.squares))


def _security(run: Run) -> Floats:
    return run.tally.attack / (run.tally.attack + run.tally.served)


def _liquidity(run: Run) -> Floats:
    volume = np.minimum(run.tally.volume / (BUSY * run.tally.pool), 1.0)
    pool = run.daily(run.tally.pool)
    return 0.4 * volume + 0.4 * pool / (pool + DEEP_USD) + 0.2 * pool / (pool + ORDER_USD)


def _per_payment(run: Run) -> Floats:
    return run.tally.energy / (run.tally.served / run.world.payment)


def _gini(run: Run) -> Floats:
    first = 1.0 / (2.0 * run.world.pareto_tail - 1.0)
    few = run.kind.concentration(run.config) * np.minimum(run.tally.kept / run.state.supply, 1.0)
    return few + (1.0 - few) * first


def _nakamoto(run: Run) -> Floats:
    """The fewest producers that together have more than the threshold, for shares ~ rank^-zipf."""
    count = run.kind.producers(Scene(run.state, run.config, run.world, Day(run.days))).astype(np.int64)
    sums = _zipf_sums(run.kind.zipf, int(count.max()))
    return np.asarray(_above(sums, sums[count] * run.kind.threshold), dtype=np.float64)


def _above(sums: Floats, levels: Floats) -> Ints:
    return np.searchsorted(sums, levels * (1 + 1e-12), side="right").astype(np.int64)


@cache
def _zipf_sums(exponent: float, count: int) -> Floats:
    """(count + 1,) sums of rank^-exponent over the first ranks."""
    return np.concatenate([[0.0], np.cumsum(np.arange(1.0, count + 1) ** -exponent)])


def _drift(run: Run) -> Floats:
    return np.abs(run.state.log_price - np.log(run.config.price0))


def _loss(run: Run) -> Floats:
    return np.asarray(-market.impermanent_loss(run.state.price / run.config.price0))


METRICS: dict[str, Metric] = {
    # what is optimised: scores from 0 to 1
    "price_stability": Metric("score", "more", "1 / (1 + annual_volatility)", lambda r: 1.0 / (1.0 + _volatility(r))),
    "network_security": Metric(
        "score", "more", "attack_cost / (attack_cost + USD of payments per day)", _security
    ),
    "liquidity": Metric(
        "score",
        "more",
        "0.4 min(volume / (0.1 pool), 1) + 0.4 pool / (pool + 1e6 USD) + 0.2 pool / (pool + 10,000 USD)",
        _liquidity,
    ),
    "energy_efficiency": Metric(
        "score", "more", "1 / (1 + energy_per_payment / 1 kWh)", lambda r: FRUGAL_KWH / (FRUGAL_KWH + _per_payment(r))
    ),
    "distribution": Metric("score", "more", "1 - gini", lambda r: 1.0 - _gini(r)),
    # price
    "annual_volatility": Metric("per root year", "less", "sqrt(365 x mean of squared daily log returns)", _volatility),
    "max_drawdown": Metric("share", "less", "deepest fall from a peak", lambda r: 1.0 - np.exp(-r.tally.fall)),
    "price_drift": Metric(
        "log", "less", "abs(log(last price / first price))", _drift
    ),
    "final_price": Metric("USD", "", "price on the last day", lambda r: r.state.price),
    # security
    "attack_cost": Metric(
        "USD", "more", "what breaking the network costs, by kind, mean over days", lambda r: r.daily(r.tally.attack)
    ),
    "weakest_attack_cost": Metric("USD", "more", "the same on the cheapest day", lambda r: r.tally.weakest),
    "security_budget": Metric(
        "share per year", "", "365 x mean of producers' revenue / market capitalisation",
        lambda r: YEAR * r.daily(r.tally.budget),
    ),
    "participation": Metric(
        "share", "more", "staked share of the supply; pow: hash rate / its first; poa: share of authorities at work",
        lambda r: r.daily(r.tally.participation),
    ),
    "nakamoto": Metric(
        "producers", "more", "fewest producers with more than 1/2 (pow, poa) or 1/3 (pos, dpos), last day", _nakamoto
    ),
    # liquidity
    "volume": Metric("USD per day", "more", "mean of abs(flow through the pool)", lambda r: r.daily(r.tally.volume)),
    "depth_2pct": Metric(
        "USD", "more", "mean pool x (sqrt(1.02) - 1)", lambda r: market.depth(r.daily(r.tally.pool))
    ),
    "slippage": Metric(
        "share", "less", "10,000 USD / mean pool", lambda r: market.slippage(ORDER_USD, r.daily(r.tally.pool))
    ),
    "illiquidity": Metric(
        "per million USD", "less", "mean of abs(return) / volume (Amihud)", lambda r: 1e6 * r.daily(r.tally.illiquidity)
    ),
    "pool_fee_yield": Metric(
        "share per year", "more", "365 x trading fees / (2 x mean pool)",
        lambda r: YEAR * r.tally.fees / (2.0 * r.tally.pool),
    ),
    "impermanent_loss": Metric("share", "less", "1 - 2 sqrt(q) / (1 + q), q = last price / first price", _loss),
    # energy
    "energy": Metric("kWh per day", "less", "hash rate x J/TH, or nodes x kW x 24", lambda r: r.daily(r.tally.energy)),
    "energy_per_payment": Metric("kWh", "less", "energy / payments", _per_payment),
    "energy_per_usd": Metric(
        "kWh per day and USD", "less", "energy / market capitalisation", lambda r: r.tally.energy / r.tally.worth
    ),
    # tokens and use
    "inflation": Metric(
        "share per year", "", "(issued - burned) / first supply x 365 / days",
        lambda r: (r.state.issued - r.state.burned) / r.config.supply0 * (YEAR / r.days),
    ),
    "burned": Metric("tokens per day", "", "burned / days", lambda r: r.daily(r.state.burned)),
    "gini": Metric(
        "share", "less", "f + (1 - f) G0; G0 of the first holders, f kept revenue of few hands / supply", _gini
    ),
    "payments": Metric("per day", "more", "served payments", lambda r: r.daily(r.tally.served) / r.world.payment),
    "turned_away": Metric(
        "share", "less", "payments beyond the capacity", lambda r: 1.0 - r.tally.served / r.tally.wanted
    ),
}  # fmt: skip
"""Every metric; a score is between 0 and 1, and more is better."""

SCORES = ("price_stability", "network_security", "liquidity", "energy_efficiency", "distribution")


def measure(run: Run) -> dict[str, Floats]:
    """{metric: (C, P)}."""
    shape = run.state.price.shape
    return {name: np.broadcast_to(metric.of(run), shape) for name, metric in METRICS.items()}
