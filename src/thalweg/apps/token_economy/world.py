"""The world around the token: constants with units, and shocks with dates. Change them: `World(electricity=0.08)`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError

YEAR = 365.0
"""Days."""
DAY_S = 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Shock:
    """From `day` on, demand and the price of electricity are multiplied by these factors (until the next shock)."""

    day: int
    demand: float = 1.0
    electricity: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.day, bool) or not isinstance(self.day, int) or self.day < 0:
            raise ProblemError(f"shock: day is a whole number >= 0, got {self.day!r}")
        for name in ("demand", "electricity"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ProblemError(f"shock: {name} is a positive factor (1 changes nothing), got {value!r}")


@dataclass(frozen=True, slots=True)
class World:
    """Constants of one world.

    Demand: `users` people could use the token, each of them spends `spending` USD a day in payments of `payment` USD;
    `adopted` of them do on day 0. Adoption follows Bass's curve (innovation and imitation per year) with daily noise.
    A token is held `holding_days` between two payments.
    Market: `tracking` of the gap to the fundamental price is traded per day; `order_flow` USD is the pool size from
    which noise is scaled.
    Work: joule_per_th, hardware USD per TH/s, written off over hardware_days; electricity USD/kWh.
    Nodes: node_kw kW and node_cost USD per day for every validator, delegate or authority.
    Holders: balances are Pareto distributed with this tail index (1.5: Gini 0.5).
    Unbonding takes unbonding_days on average. ethereum_curve: stakes earn Ethereum's issuance, not `staking_apy`.
    halving_blocks: the block reward halves every so many blocks (0: never).
    shocks: changes of demand and electricity, in the order of their days.
    """

    users: float = 1e6
    spending: float = 5.0
    payment: float = 50.0
    adopted: float = 0.05
    innovation: float = 0.03
    imitation: float = 0.38
    adoption_noise: float = 0.02
    holding_days: float = 30.0
    tracking: float = 0.05
    order_flow: float = 1e6
    joule_per_th: float = 20.0
    electricity: float = 0.05
    hardware: float = 15.0
    hardware_days: float = 1095.0
    node_kw: float = 0.1
    node_cost: float = 5.0
    pareto_tail: float = 1.5
    unbonding_days: float = 7.0
    ethereum_curve: bool = False
    halving_blocks: int = 0
    shocks: tuple[Shock, ...] = ()

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("shocks", "ethereum_curve"):
                continue
            least = 0.0 if item.name in _MAY_BE_ZERO else math.ulp(0.0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
                need = "0 or more" if least == 0 else "more than 0"
                raise ProblemError(f"world: {item.name} must be a finite number, {need}; got {value!r}")
        if self.adopted >= 1 or self.pareto_tail <= 1 or self.unbonding_days < 1:
            raise ProblemError(
                "world: adopted < 1, pareto_tail > 1 and unbonding_days >= 1 are needed, got "
                f"{self.adopted!r}, {self.pareto_tail!r}, {self.unbonding_days!r}"
            )
        days = [shock.day for shock in self.shocks]
        if days != sorted(set(days)):
            raise ProblemError(f"world: shocks must come in the order of their days, one per day; got days {days}")

    @property
    def kwh_per_th(self) -> float:
        """kWh per day of one TH/s."""
        return self.joule_per_th * 24.0 / 1000.0

    def cost_per_th(self, electricity: float = 1.0) -> float:
        """USD per day of one TH/s: power and writing off. electricity: a factor on its price."""
        return self.kwh_per_th * self.electricity * electricity + self.hardware / self.hardware_days

    def factors(self, days: int) -> tuple[Floats, Floats]:
        """((days,) factors of demand, (days,) factors of the price of electricity)."""
        demand, electricity = np.ones(days), np.ones(days)
        for shock in self.shocks:
            demand[shock.day :], electricity[shock.day :] = shock.demand, shock.electricity
        return demand, electricity


_MAY_BE_ZERO = frozenset({"innovation", "imitation", "adoption_noise", "order_flow", "tracking", "halving_blocks"})
