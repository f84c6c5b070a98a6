"""Every strategy in the table keeps the contract, on every kind of space."""

from __future__ import annotations

import importlib.util

import pytest

from thalweg.parts.strategies import STRATEGIES, make_strategy
from thalweg.testing.strategy_suite import CASES, CHECKS, ONCE, Refused, Suite

FINITE = {"random", "grid", "genetic"}
"""Methods meant for finite spaces: no repeats in 100 of 200 points."""
MEMORY = {
    "random": 0.0,
    "sobol": 0.0,
    "lhs": 0.0,
    "de": 0.0,
    "pso": 0.0,
    "cmaes": 0.0,
    "nelder_mead": 0.0,
    "annealing": 0.0,
}
"""Methods that keep no history on spaces without an end."""

NAMES = sorted(STRATEGIES)


def suite_of(name: str) -> Suite:
    module = STRATEGIES[name].partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} does not exist yet")
    return Suite(lambda: make_strategy(name), finite=name in FINITE, memory=MEMORY.get(name))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check, case):
    if check == "memory" and case != "real":
        pytest.skip("measured once, where nothing ends")
    try:
        CHECKS[check](suite_of(name), case)
    except Refused as reason:
        pytest.skip(f"declined: {reason}")


@pytest.mark.parametrize("check", ONCE)
@pytest.mark.parametrize("name", NAMES)
def test_once(name, check):
    try:
        ONCE[check](suite_of(name))
    except Refused as reason:
        pytest.skip(f"declined: {reason}")
