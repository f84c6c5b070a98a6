"""The plans that `auto` knows by name: what its rules fall back on, and what its table of measurements compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ...core.errors import StrategyError
from ...core.registry import resolve
from ...core.strategy import Strategy
from . import STRATEGIES
from .hybrid import IN_PLACE

Plan = list[Any]
"""[name, [children's plans], {options}], plain data: what a state can hold."""


class Size(Protocol):
    """What costs depend on."""

    @property
    def dimension(self) -> int:
        """Columns."""

    @property
    def objectives(self) -> int:
        """Values of a point."""


@dataclass(frozen=True)
class Named:
    """A plan with what it costs.

    words: what it does; empty where its name says it.
    costs: of a hybrid's children, the seconds of thinking that a row takes (CPU time of one core, the mean of the first
        150 to 300 rows; measured).
    """

    plan: Plan
    words: str = ""
    costs: Callable[[Size], list[float]] | None = None

    def priced(self, size: Size) -> Plan:
        """The plan, with the costs of such a problem."""
        name, children, options = self.plan
        return self.plan if self.costs is None else [name, children, options | {"costs": self.costs(size)}]


def one(name: str, **options: Any) -> Plan:
    """A single strategy."""
    return [name, [], options]


def hybrid(children: list[Plan], joins: list[float], early: list[bool], **options: Any) -> Plan:
    """Strategies in rounds (see `Hybrid`)."""
    return ["hybrid", children, {"joins": joins, "early": early, **options}]


_GRADIENTS: Plan = ["handover", [one("quadratic"), one("quasi_newton", restarts=False)], {}]
_COLUMNS = one("axes", tested=True, restarts=False)
_NEAR = one("lq_cmaes", sigma=0.1)
_SCOUTS = one("lhs", end=0.5)  # out of a place that is bad for all columns together, such as all turbines on one spot
_GAUSSIAN_S = 1.2e-2


def _quadratic_s(size: Size) -> float:
    return 5e-4 + 2.5e-6 * size.dimension**2


def _order_s(size: Size) -> float:
    return 1.2e-2 + 2e-5 * size.dimension**2  # its model sees all pairs of items


def _lq_s(size: Size) -> float:
    return 4e-4 + 9e-9 * size.dimension**4  # its model has all d (d + 1) / 2 products as columns


def _noisy_s(size: Size) -> float:
    return 1.1e-2 + 8e-4 * size.dimension  # the knowledge gradient watches clouds of points


def _led(name: str, cost: Callable[[Size], float], follower: str = "cmaes") -> Named:
    """One strategy; another where it cannot be afforded."""
    plan = hybrid([one(name), one(follower)], [0, IN_PLACE], [True, False])
    return Named(plan, "", lambda size: [cost(size), 0.0])


PLANS: dict[str, Named] = {
    # real numbers
    "gradients": Named(
        hybrid(
            [_GRADIENTS, _SCOUTS, _COLUMNS, _NEAR, one("cmaes"), one("quasi_newton")],
            [0, 3, 10, 80, 80, IN_PLACE],
            [True, False, False, False, False, False],
            stalled=[False, False, True, False, False, False],
            leads=[False, False, True, False, False, False],
        ),
        "quadratic models or gradients and a few points anywhere, in a standstill column by column, then CMA-ES too",
        lambda size: [_quadratic_s(size), 0.0, 0.0, _lq_s(size), 0.0, 0.0],
    ),
    "gradients_wide": Named(
        hybrid(
            [one("quasi_newton"), _COLUMNS, one("cmaes")],
            [0, 10, 100],
            [True, False, True],
            stalled=[False, True, False],
            leads=[False, True, False],
        ),
        "gradients, in a standstill column by column, then CMA-ES too",
        lambda _: [0.0, 0.0, 0.0],
    ),
    "gradients_soon": Named(
        hybrid([_GRADIENTS, _NEAR, one("cmaes")], [0, 20, 20], [True, False, False]),
        "gradients with CMA-ES from 20 evaluations a column on",
        lambda size: [_quadratic_s(size), _lq_s(size), 0.0],
    ),
    "model_gradients": Named(
        hybrid([one("bayesian"), _GRADIENTS, _NEAR, one("cmaes")], [0, 20, 50, 50], [True, False, False, False]),
        "a Gaussian process, then quadratic models and gradients too",
        lambda size: [_GAUSSIAN_S, _quadratic_s(size), _lq_s(size), 0.0],
    ),
    "gradients_model": Named(
        hybrid([_GRADIENTS, one("bayesian"), _NEAR, one("cmaes")], [0, 5, 50, 50], [True, True, False, False]),
        "quadratic models or gradients, with a Gaussian process from 5 evaluations a column on",
        lambda size: [_quadratic_s(size), _GAUSSIAN_S, _lq_s(size), 0.0],
    ),
    "quadratic": _led("quadratic", _quadratic_s),
    "lq_cmaes": _led("lq_cmaes", _lq_s),
    "quasi_newton": Named(one("quasi_newton")),
    "pair": Named(["portfolio", [one("de"), one("cmaes")], {}], "de and cmaes, by who improves"),
    # columns of every kind
    "model_populations": Named(
        hybrid(
            [one("bayesian"), one("cmaes"), one("de"), one("annealing")],
            [0, 30, 30, 30],
            [True, False, False, False],
        ),
        "a Gaussian process, then populations too",
        lambda _: [_GAUSSIAN_S, 0.0, 0.0, 0.0],
    ),
    "model_cmaes": Named(
        hybrid([one("bayesian"), one("cmaes")], [0, 50], [True, False]),
        "a Gaussian process, then CMA-ES too",
        lambda size: [_noisy_s(size), 0.0],
    ),
    "bayesian": _led("bayesian", lambda _: _GAUSSIAN_S, "de"),
    "tpe": _led("tpe", lambda _: 5e-4, "de"),
    "cmaes": Named(one("cmaes")),
    "de": Named(one("de")),
    "genetic": Named(one("genetic")),
    "annealing": Named(one("annealing")),
    # orders and subsets
    "model_neighbours": Named(
        hybrid([one("bayesian"), one("annealing")], [0, 15], [True, False]),
        "a Gaussian process, then annealing too",
        lambda size: [_order_s(size), 0.0],
    ),
}


def titled(name: str) -> str:
    """The plan's name and what it does."""
    words = PLANS[name].words
    return f"{name} ({words})" if words else name


def make_plan(plan: Plan) -> Strategy:
    """The strategy a plan describes.

    Raises:
        StrategyError: a name that is not in the table.
    """
    name, children, options = plan
    kind = resolve(STRATEGIES, name, "strategy", StrategyError)
    made: Strategy = kind(*map(make_plan, children), **options)
    return made


def plan_words(plan: Plan) -> str:
    """A plan as a person would write it; when who joins, and what it costs, is left to `Hybrid`'s page."""
    name, children, options = plan
    told = {} if name == "hybrid" else options
    inside = [plan_words(child) for child in children] + [f"{key}={value!r}" for key, value in told.items()]
    return f"{name}({', '.join(inside)})" if inside else str(name)
