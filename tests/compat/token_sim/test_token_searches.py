"""The three optimizers: they maximise, they are seeded, and what was wrong with their like is not wrong here."""

import inspect
import math

import pytest

from thalweg.compat.token_sim.optimization import (
    BayesianOptimizer,
    GeneticOptimizer,
    HybridOptimizer,
    ParameterSpace,
)
from thalweg.core.errors import ProblemError, SpaceError, StrategyError

BOUNDS = {"reward": (0.1, 10.0), "supply": (1e6, 1e8), "depth": (1e5, 1e7), "price": (0.1, 10.0)}


def peak(params):
    """Largest (0) where depth equals supply / 10 and reward is 2; the others do nothing."""
    return -abs(math.log10(params["depth"] / params["supply"]) + 1) - 0.3 * abs(math.log10(params["reward"] / 2))


def made(kind, bounds=BOUNDS, **options):
    return {"bayesian": BayesianOptimizer, "hybrid": HybridOptimizer}[kind](bounds, random_state=0, **options)


@pytest.mark.parametrize("kind", ["bayesian", "hybrid"])
def test_they_maximise(kind):
    search = made(kind)
    best, value = search.optimize(peak, 40)
    assert value == peak(best) == search.best_value == max(item["value"] for item in search.history)
    assert value > -0.1
    assert len(search.history) == 40


def test_genes():
    search = GeneticOptimizer(BOUNDS, population_size=20, n_generations=25, random_state=0)
    best, value = search.optimize(peak)
    assert value == peak(best) > -0.1
    assert len(search.history) == 500


def test_the_documented_signatures():
    def defaults(kind):
        return {name: item.default for name, item in inspect.signature(kind).parameters.items()}

    none = inspect.Parameter.empty
    shown = {"param_bounds": none, "n_initial_points": 5, "acquisition_function": "ei", "random_state": None}
    assert defaults(BayesianOptimizer) == shown
    genetic = defaults(GeneticOptimizer)
    assert list(genetic.items())[:6] == [
        ("param_bounds", none), ("population_size", 50), ("n_generations", 100), ("mutation_rate", 0.1),
        ("crossover_rate", 0.8), ("tournament_size", 3),
    ]  # fmt: skip
    assert list(inspect.signature(BayesianOptimizer.optimize).parameters) == [
        "self", "objective_function", "n_iterations", "callback",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["bayesian", "hybrid"])
def test_everything_random_comes_from_the_state(kind):
    """Not the model alone: initial points and candidates, too."""
    runs = [made(kind).optimize(peak, 15) for _ in range(2)]
    assert runs[0] == runs[1]
    other = (BayesianOptimizer if kind == "bayesian" else HybridOptimizer)(BOUNDS, random_state=1)
    assert other.optimize(peak, 15) != runs[0]


def test_scales_do_not_matter():
    """Bounds over seven decades: on their raw scale a model with one length finds no more than chance does."""
    space = made("bayesian").space
    assert all(space.parameters[name].log for name in ("supply", "depth", "price", "reward"))
    hits = 0
    for seed in range(3):
        _, value = BayesianOptimizer(BOUNDS, random_state=seed).optimize(peak, 30)
        hits += value > -0.1
    assert hits == 3


@pytest.mark.parametrize("acquisition", ["ei", "ucb", "pi"])
def test_acquisitions(acquisition):
    _, value = made("bayesian", {"x": (0.0, 1.0)}, acquisition_function=acquisition).optimize(
        lambda p: -((p["x"] - 0.3) ** 2), 15
    )
    assert value > -1e-3
    with pytest.raises(StrategyError, match="acquisition"):
        BayesianOptimizer(BOUNDS, acquisition_function="magic")


def test_initial_points_are_part_of_the_iterations():
    search = made("bayesian", n_initial_points=10)
    search.optimize(peak, 14)
    assert [item["initial"] for item in search.history] == [True] * 10 + [False] * 4


def test_the_callback_hears_everything_and_may_end_it():
    heard = []
    search = made("bayesian")
    search.optimize(peak, 8, callback=lambda i, params, value: heard.append((i, params, value)))
    assert [i for i, *_ in heard] == list(range(8))
    assert all(value == peak(params) for _, params, value in heard)

    def stops(i, params, value):
        if i == 3:
            raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        search.optimize(peak, 50, callback=stops)
    assert len(search.history) == 4


def test_failures_are_never_a_constant():
    def half(params):
        if params["x"] > 0.5:
            raise ValueError("too large")
        return params["x"]

    search = made("bayesian", {"x": (0.0, 1.0)})
    _, value = search.optimize(half, 20)
    assert 0.45 < value <= 0.5
    assert any(item["value"] is None for item in search.history)

    def broken(params):
        raise RuntimeError("the simulator is broken")

    with pytest.raises(RuntimeError, match="broken") as caught:
        search.optimize(broken, 6)
    assert "each of 6 evaluations failed" in caught.value.__notes__[0]


def test_importance():
    search = made("bayesian")
    search.optimize(peak, 40)
    told = search.get_parameter_importance()
    assert set(told) == set(BOUNDS) and all(0 <= item <= 1 for item in told.values())
    assert max(told["depth"], told["supply"]) > told["price"]
    with pytest.raises(ProblemError, match="optimize first"):
        made("bayesian").get_parameter_importance()


def test_a_fitness_of_zero_is_a_fitness():
    """Nothing is evaluated twice, also where every value is 0."""
    seen = []
    search = GeneticOptimizer({"x": (0.0, 1.0)}, population_size=10, n_generations=5, random_state=0)
    _, value = search.optimize(lambda p: seen.append(p["x"]) or 0.0)
    assert value == 0.0 and len(seen) == len(set(seen)) == 50


def test_parents_are_not_changed():
    """What was evaluated keeps its parameters, whoever changes the dict that the objective got."""
    search = GeneticOptimizer({"x": (0.0, 1.0)}, population_size=6, n_generations=5, random_state=0)

    def spoils(params):
        value = params["x"]
        params["x"] = -1.0
        return value

    best, value = search.optimize(spoils)
    assert best["x"] == value and all(item["parameters"]["x"] == item["value"] for item in search.history)


def test_bounds_of_all_kinds():
    bounds = {"kind": ["a", "b", "c"], "one": (3.0, 3.0), "x": (-1, 1), **ParameterSpace().get_parameters("network")}
    search = BayesianOptimizer(bounds, random_state=0)
    best, _ = search.optimize(lambda p: (p["kind"] == "b") - p["x"] ** 2, 30)
    assert best["kind"] == "b" and best["one"] == 3.0 and isinstance(best["num_participants"], int)
    for wrong in ({"x": (1, 0)}, {"x": 3}, {}, {"x": (0, 1, 2)}):
        with pytest.raises(SpaceError):
            BayesianOptimizer(wrong)
    for options in ({"n_initial_points": 0}, {"n_initial_points": 2.5}):
        with pytest.raises(ProblemError, match="n_initial_points"):
            BayesianOptimizer(BOUNDS, **options)
    with pytest.raises(ProblemError, match="n_iterations"):
        BayesianOptimizer(BOUNDS).optimize(peak, 0)
    with pytest.raises(ProblemError, match="objective_function"):
        BayesianOptimizer(BOUNDS).optimize(3)


def test_levels_and_dependencies():
    space = ParameterSpace()
    assert len(space.get_parameters()) == 15
    assert space.get_defaults("core")["block_reward"] == 1.0
    told = ["block_reward", "staking_apy", "num_participants", "initial_balance"]
    assert space.get_dependencies("consensus_type") == told
    for wrong in ("agents", "CORE"):
        with pytest.raises(ProblemError, match="level"):
            space.get_parameters(wrong)
    with pytest.raises(ProblemError, match=r"num_participants=0.*; magic is unknown"):
        space.validate({"num_participants": 0, "magic": 1})
    with pytest.raises(ProblemError, match="consensus_type"):
        space.validate({"consensus_type": "poetry"})
