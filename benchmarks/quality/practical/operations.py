"""Operations: stock, staff, a token's economy. Random demands are drawn once (common random numbers)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Real, Whole


def demands(instance: int, days: int = 400) -> list[list[int]]:
    """Daily demand of two goods, with a weekly rhythm and bursts."""
    rng = np.random.default_rng(instance)
    rate = np.array([[8.0], [3.0]]) * (1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7))
    bursts = rng.random((2, days)) < 0.05
    return rng.poisson(rate * np.where(bursts, 4.0, 1.0)).tolist()  # type: ignore[no-any-return]


def stock_cost(demand: list[int], low: int, fill: int, lead: int) -> float:
    """Daily cost of an (s, S) policy: order up to `fill` when stock and orders under way are at or below `low`."""
    stock, coming, cost = fill, [0] * lead, 0.0
    under_way = 0
    for wanted in demand:
        arrived = coming.pop(0)
        stock, under_way = stock + arrived, under_way - arrived
        sold = min(stock, wanted)
        stock -= sold
        cost += 0.2 * stock + 6.0 * (wanted - sold)
        order = fill - stock - under_way if stock + under_way <= low else 0
        if order > 0:
            cost += 25.0 + 0.5 * order
        else:
            order = 0
        coming.append(order)
        under_way += order
    return cost / len(demand)


@problem("inventory", 4)
def inventory(instance: int) -> Made:
    """Two goods, each with the level that triggers an order and the size of the lot."""
    wanted = demands(instance)

    def evaluate(p: dict[str, Any]) -> float:
        return sum(stock_cost(wanted[i], p[f"low{i}"], p[f"low{i}"] + p[f"lot{i}"], 3 + 2 * i) for i in range(2))

    return Made([Whole(name=f"{kind}{i}", low=1, high=300) for i in range(2) for kind in ("low", "lot")], evaluate)


@problem("staffing", 8)
def staffing(instance: int) -> Made:
    """A call centre's eight shifts: wages against waiting, by Erlang's C formula carried from hour to hour."""
    rng = np.random.default_rng(instance)
    hours = np.arange(24)
    calls = 60 * (
        0.3
        + np.exp(-(((hours - rng.uniform(9, 11)) / 2.5) ** 2))
        + 0.7 * np.exp(-(((hours - rng.uniform(16, 19)) / 2) ** 2))
    )
    calls *= rng.uniform(0.8, 1.2, 24)
    served, starts = 6.0, np.arange(0, 24, 3)

    def waiting(rate: float, crew: int) -> float:
        """Mean number waiting in M/M/c."""
        load = rate / served
        if load >= crew:
            return math.inf
        blocked = 1.0
        for k in range(1, crew + 1):  # Erlang's B by recursion
            blocked = load * blocked / (k + load * blocked)
        busy = blocked / (1 - load / crew * (1 - blocked))
        return busy * load / (crew - load)

    def evaluate(p: dict[str, Any]) -> float:
        crew = np.zeros(24, dtype=int)
        for i, start in enumerate(starts):  # six hours each: two shifts overlap at every hour
            crew[(start + np.arange(6)) % 24] += p[f"shift{i}"]
        cost, left = 20.0 * 6 * sum(p.values()), 0.0
        for rate, size in zip(calls + 0.0, crew.tolist(), strict=True):
            come = rate + left
            most = served * size * 0.98
            handled = min(come, most)
            left = come - handled
            waits = min(waiting(handled, size), 200.0) if size else 0.0
            cost += 30.0 * waits + 25.0 * left
        return float(cost / 1000)

    return Made([Whole(name=f"shift{i}", low=0, high=25) for i in range(8)], evaluate)


@problem("token_economy", 7)
def token_economy(instance: int) -> Made:
    """A token's rules for two years: emission, its decay, burn, fee, staking yield, treasury's share, buy-back."""
    rng = np.random.default_rng(instance)
    shocks = np.exp(rng.normal(0, 0.04, 730)).tolist()
    users = (1e4 * np.exp(np.cumsum(rng.normal(0.002, 0.015, 730)))).tolist()

    def evaluate(p: dict[str, Any]) -> float:
        supply, staked, treasury, price = 1e8, 2e7, 2e6, 1.0
        lowest, rough, first = math.inf, 0.0, supply
        for day in range(730):
            emitted = p["emission"] * math.exp(-p["decay"] * day) * first / 365
            volume = users[day] * 40 * (1 - 20 * p["fee"])
            fees = max(volume, 0.0) * p["fee"]
            treasury += p["treasury"] * fees - 4000.0
            spent = p["buyback"] * max(treasury, 0.0) / 365
            treasury -= spent
            burnt = p["burn"] * fees / price + spent / price
            supply += emitted - min(burnt, 0.01 * supply)
            wish = 0.75 * p["yield"] / (p["yield"] + 0.08) * supply
            staked += 0.03 * (min(wish, 0.9 * supply) - staked)
            supply += p["yield"] * staked / 365 * 0.5
            fair = (users[day] * 900 * (1 - 0.4 * p["treasury"]) + 30 * (fees * (1 - p["burn"]))) / max(
                supply - staked, 1e5
            )
            new = price * (fair / price) ** 0.05 * shocks[day] ** (1 - 0.5 * staked / supply)
            rough += abs(math.log(new / price))
            price = new
            lowest = min(lowest, treasury)
        growth = math.log(price * supply / 1e8)
        inflation = max(math.log(supply / first), 0.0)
        return 20 * rough / 730 + 3 * inflation - growth + 2 * max(1 - lowest / 2e6, 0.0) ** 2

    return Made(
        [
            Real(name="emission", low=1e-3, high=0.5, log=True),
            Real(name="decay", low=1e-4, high=0.02, log=True),
            Real(name="burn", low=0.0, high=1.0),
            Real(name="fee", low=1e-4, high=0.04, log=True),
            Real(name="yield", low=0.0, high=0.4),
            Real(name="treasury", low=0.0, high=1.0),
            Real(name="buyback", low=0.0, high=2.0),
        ],
        evaluate,
    )
