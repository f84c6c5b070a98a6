"""Every strategy in the table keeps the contract, on every kind of space.

Always: every check once per strategy, on a space that changes from check to check and from strategy to strategy, so
that every strategy and every check meets every space. With `-m slow`: every check on every space.
"""

from __future__ import annotations

import pytest

from thalweg.parts.strategies import STRATEGIES, make_strategy
from thalweg.parts.strategies.chain import Chain
from thalweg.parts.strategies.portfolio import Portfolio
from thalweg.parts.strategies.relay import Relay
from thalweg.parts.strategies.restart import Restart
from thalweg.testing.strategy_suite import CASES, CHECKS, ONCE, Refused, Suite

FINITE = {"random", "grid", "genetic", "sobol", "lhs", "cmaes", "de", "direct", "direct_l", "auto", "relay", "restart"}
FINITE |= {"axes"}
FINITE |= {"tpe", "quadratic", "quasi_newton", "bayesian", "lq_cmaes", "nsga2", "nsga3", "moead", "bayesian_pareto"}
"""Methods that never repeat a point of a finite space."""
MEMORY = dict.fromkeys(["random", "sobol", "lhs", "de", "pso", "cmaes", "nelder_mead", "annealing", "nsga2"], 0.0)
"""Methods that keep no history on spaces without an end."""

NAMES = sorted(STRATEGIES)
ROTATED = [
    (name, check, list(CASES)[(i + j) % len(CASES)] if check != "memory" else "real")
    for i, name in enumerate(NAMES)
    for j, check in enumerate(CHECKS)
]
ALL = [(n, check, case) for n in NAMES for check in CHECKS for case in (CASES if check != "memory" else ("real",))]


def suite_of(name: str) -> Suite:
    return Suite(lambda: make_strategy(name), finite=name in FINITE, memory=MEMORY.get(name))


def run(name: str, check: str, case: str) -> None:
    try:
        CHECKS[check](suite_of(name), case)
    except Refused as reason:
        pytest.skip(f"declined: {reason}")


@pytest.mark.parametrize(("name", "check", "case"), ROTATED)
def test_contract(name, check, case):
    run(name, check, case)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "check", "case"), [item for item in ALL if item not in ROTATED])
def test_contract_on_every_space(name, check, case):
    run(name, check, case)


@pytest.mark.parametrize("check", ONCE)
@pytest.mark.parametrize("name", NAMES)
def test_once(name, check):
    ONCE[check](suite_of(name))


def nested() -> Portfolio:
    relay = Relay("random", "de", budgets=(20, None))
    return Portfolio(relay, Restart("nelder_mead", run_budget=15, growth=1.5), Chain("scipy:direct", "random"))


def changing() -> Relay:
    return Relay("lhs", Portfolio("cmaes", "de", window=10, turn=3), Restart("pso", carry=True), stall=15)


@pytest.mark.parametrize("case", ["mixed", "constrained", "permutation"])
@pytest.mark.parametrize("check", [name for name in CHECKS if name != "memory"])
@pytest.mark.parametrize("factory", [nested, changing])
def test_strategies_made_of_strategies_made_of_strategies(factory, check, case):
    CHECKS[check](Suite(factory), case)
