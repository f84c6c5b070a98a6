"""The parameters of a token economy by level, with their bounds, defaults and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....apps.token_economy.consensus import CONSENSUS
from ....apps.token_economy.parameters import PARAMETERS
from ....core.choices import Choice
from ....core.errors import ProblemError
from ....core.parameter import Float, Integer, Parameter

LEVELS: dict[str, tuple[str, ...]] = {
    "core": ("consensus_type", "block_reward", "initial_supply", "market_depth"),
    "network": ("num_participants", "network_capacity", "block_time", "transaction_fee"),
    "economic": ("price_volatility", "trading_fee", "liquidity_ratio", "staking_apy"),
    "agent": ("initial_balance", "risk_tolerance", "learning_rate"),
}
DEPENDENCIES: dict[str, tuple[str, ...]] = {
    "consensus_type": ("block_reward", "staking_apy"),
    "block_reward": ("num_participants",),
    "market_depth": ("liquidity_ratio",),
    "price_volatility": ("risk_tolerance",),
    "staking_apy": ("initial_balance",),
}
"""What is to be looked at again when a parameter changes."""


@dataclass(frozen=True, slots=True)
class ParameterBounds:
    """min_value, max_value: both included (None for an enum).  enum_values: of an enum.  log: searched by its
    logarithm.  unit: for people."""

    min_value: float | None
    max_value: float | None
    default: Any
    is_integer: bool = False
    is_enum: bool = False
    enum_values: tuple[str, ...] = ()
    log: bool = False
    unit: str = ""

    def parameter(self) -> Parameter:
        """As a dimension of a thalweg space."""
        if self.is_enum:
            return Choice(list(self.enum_values), default=self.default)
        low, high = self.min_value, self.max_value
        if low is None or high is None:
            raise ProblemError(f"bounds: numbers are expected, got {low!r} and {high!r}; is_enum= where there are none")
        if self.is_integer:
            return Integer(int(low), int(high), log=self.log, default=self.default)
        return Float(low, high, log=self.log, default=self.default)


class ParameterSpace:
    """15 parameters in four levels: core, network, economic and agent.

    The bounds are those of `thalweg.apps.token_economy.parameters`, whose simulator knows all of them
    (`consensus_type` is its `consensus`).
    """

    levels = LEVELS
    dependencies = DEPENDENCIES

    def __init__(self) -> None:
        self.parameters: dict[str, ParameterBounds] = {
            name: _bounds(name) for names in LEVELS.values() for name in names
        }

    def get_parameters(self, level: str | None = None) -> dict[str, ParameterBounds]:
        """Of a level, or all: what `BayesianOptimizer` and the others take.

        Raises:
            ProblemError: no such level.
        """
        if level is None:
            return dict(self.parameters)
        if level not in LEVELS:
            raise ProblemError(f"level: one of {', '.join(LEVELS)} is expected, got {level!r}")
        return {name: self.parameters[name] for name in LEVELS[level]}

    def get_defaults(self, level: str | None = None) -> dict[str, Any]:
        """{name: default}."""
        return {name: item.default for name, item in self.get_parameters(level).items()}

    def get_dependencies(self, name: str) -> list[str]:
        """What depends on a parameter, directly or through others.

        Raises:
            ProblemError: no such parameter.
        """
        if name not in self.parameters:
            raise ProblemError(f"parameter: one of {', '.join(self.parameters)} is expected, got {name!r}")
        found: list[str] = []
        todo = list(DEPENDENCIES.get(name, ()))
        while todo:
            if (item := todo.pop(0)) not in found:
                found.append(item)
                todo += DEPENDENCIES.get(item, ())
        return found

    def validate(self, params: Mapping[str, Any]) -> None:
        """Whether all values are within bounds.

        Raises:
            ProblemError: unknown names, or values outside; all of them are named.
        """
        wrong = []
        for name, value in params.items():
            bounds = self.parameters.get(name)
            if bounds is None:
                wrong.append(f"{name} is unknown")
            elif bounds.is_enum:
                if value not in bounds.enum_values:
                    wrong.append(f"{name}={value!r} is none of {', '.join(bounds.enum_values)}")
            elif not _between(bounds, value):
                wrong.append(f"{name}={value!r} is not in [{bounds.min_value:g}, {bounds.max_value:g}]")
        if wrong:
            raise ProblemError("; ".join(wrong))


def _between(bounds: ParameterBounds, value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    low, high = bounds.min_value, bounds.max_value
    whole = not bounds.is_integer or number.is_integer()
    return low is not None and high is not None and low <= number <= high and whole


def _bounds(name: str) -> ParameterBounds:
    if name == "consensus_type":
        kinds = tuple(CONSENSUS)
        return ParameterBounds(None, None, kinds[0], is_enum=True, enum_values=kinds)
    known = PARAMETERS[name]
    default = int(known.default) if known.whole else known.default
    return ParameterBounds(
        known.low, known.high, default, is_integer=known.whole, log=known.log and not known.whole, unit=known.unit
    )
