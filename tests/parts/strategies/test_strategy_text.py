"""Strategies as text: what a store keeps, and what a command line takes."""

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.parts.strategies import STRATEGIES, make_strategy
from thalweg.parts.strategies._text import read, written


class Own(tw.Strategy):
    """In no table."""

    def __init__(self, width=0.5, *, where=None):
        self.width, self.where = width, where

    def propose(self, n):
        return np.full((n, self.dimension), self.width)

    def learn(self, answers):
        pass


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_with_its_defaults_is_its_name(name):
    assert written(make_strategy(name)) == name
    assert type(read(f"{name}()")) is type(make_strategy(name))


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (tw.DE(12), "de(population=12)"),
        (tw.DE(population=None, variant="shade"), "de"),
        (tw.Relay("sobol", tw.DE(9), budgets=(3, None)), "relay(sobol, de(population=9), budgets=(3, None))"),
        (tw.Relay(tw.Sobol, "de"), "relay(sobol, de)"),
        (tw.Relay("scipy:de", tw.SciPyDE(popsize=5)), "relay('scipy:de', 'scipy:de(popsize=5)')"),
        (tw.Restart(tw.Restart("de", growth=2.0)), "restart(child=restart(child='de', growth=2.0))"),
        (tw.Grid({"x": 3}), "grid(points={'x': 3})"),
        (tw.Genetic("deap", eta=(10, 60)), "genetic(eta=(10, 60), preset='deap')"),
        (tw.NelderMead(x0=np.array([0.25, 0.5])), "nelder_mead(x0=[0.25, 0.5])"),
        (tw.Handover("quadratic", tw.QuasiNewton(restarts=False)), "handover(quadratic, quasi_newton(restarts=False))"),
        (tw.Hybrid("de", "cmaes", joins=[0, math.inf]), "hybrid(de, cmaes, joins=[0, inf])"),
    ],
)  # fmt: skip
def test_options_are_written_and_read(made, text):
    assert written(made) == text
    assert written(make_strategy(text)) == text and type(make_strategy(text)) is type(made)


def test_starting_does_not_change_the_text():
    made = tw.DE(population=12)
    problem = tw.Problem(tw.Space({"x": (0.0, 1.0)}))
    made.start(problem, 0)
    made.ask(4)
    assert written(made) == "de(population=12)" and "_call" not in str(made.state())


def test_read_is_made_the_same():
    first, second = make_strategy("de(population=9, variant='rand1bin')"), tw.DE(9, "rand1bin")
    problem = tw.Problem(tw.Space({"x": (0.0, 1.0), "y": (0.0, 1.0)}))
    first.start(problem, 3)
    second.start(problem, 3)
    assert np.array_equal(first.ask(9).points, second.ask(9).points)


def test_what_is_in_no_table_is_named_without_addresses():
    assert (
        written(Own()) == "Own"
        and written(Own(0.25, where=print)) == "Own(where=builtin_function_or_method, width=0.25)"
    )
    with pytest.raises(tw.StrategyError, match="unknown strategy 'Own"):
        make_strategy("Own(width=0.25)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("de?population=40&F=0.5", r"written as in a call: 'de\(population=40, F=0.5\)'"),
        ("de(popsize=40)", "unexpected keyword argument 'popsize'; its options: population, variant"),
        ("de(", "was never closed"),
        ("de(1) + de(2)", "one call is expected"),
        ("de(**{'population': 3})", "one by one"),
        ("de(population=[x for x in (1, 2)])", "cannot be an option"),
        ("de(population=open('f'))", "unknown strategy 'open'"),
        ("de(population=(1).real)", "cannot be an option"),
        ("random(3)", "it has no options"),
        ("grid(points='a')", "strategy 'grid': invalid literal.*its options: points"),
        ("gp", "here it is called 'bayesian'"),
        ("TPESampler", "here it is called 'tpe'"),
        ("DE", "here it is called 'de'"),
        ("L-BFGS-B", "here it is called 'quasi_newton'"),
        ("differential_evolution(popsize=3)", "here it is called 'de'"),
        ("anneal", "did you mean 'annealing'"),
        ("de(" + "(" * 5000, "strategy"),
    ],
)
def test_a_mistake_says_what_to_write(text, told):
    with pytest.raises(tw.StrategyError, match=told):
        make_strategy(text)


@pytest.mark.parametrize("given", [None, 5, dict, ["de"], tw.Space])
def test_something_else_is_named(given):
    with pytest.raises(tw.StrategyError, match="a strategy is a name such as 'de'"):
        make_strategy(given)
