"""Document 001: every snippet as it stands, in the order of the document; what it lacks is given as a stub."""

import asyncio
import dataclasses
import enum
import inspect
import json
import logging
import math
import statistics
import time
import types
import typing
from functools import partial

import pytest
from extracting import block_with, blocks, run

from thalweg.compat.mtaio import optimization
from thalweg.core.errors import ProblemError

TYPING = {name: getattr(typing, name) for name in ("Any", "Awaitable", "Callable", "Dict", "List", "Optional", "Union")}
TOOLS = {"dataclass": dataclasses.dataclass, "Enum": enum.Enum, "auto": enum.auto, "time": time}
NAMES = {name: getattr(optimization, name) for name in optimization.__all__}
SEED = 3


def names(**more):
    return {"__name__": "document", **TYPING, **TOOLS, **NAMES, **more}


async def run_benchmark(batch_size, workers, strategy):
    """A benchmark whose best setting is known: batches of 40, 6 workers, balanced."""
    penalty = {"fast": 0.3, "balanced": 0.0, "thorough": 0.8}[strategy]
    seconds = 1 + abs(batch_size - 40) / 100 + abs(workers - 6) / 10 + penalty
    return types.SimpleNamespace(execution_time=seconds)


@pytest.fixture
def basic(capsys):
    made = run(block_with("001", "# Run benchmark with parameters"), names(run_benchmark=run_benchmark))
    made["told"] = capsys.readouterr().out
    return made


def test_basic_usage(basic):
    result = basic["result"]
    assert basic["told"] == f"Best parameters: {result.parameters}\n"
    assert result.iterations == len(result.history) == 100
    assert result.score == min(item["score"] for item in result.history) < 1.5
    assert result.improvement == result.history[0]["score"] - result.score
    assert json.loads(json.dumps(result.parameters)) == result.parameters
    assert type(result.parameters["batch_size"]) is int


def test_the_class_reference_is_kept():
    shown = run(block_with("001", "class Optimizer:"), names())["Optimizer"]
    for method in ("__init__", "optimize"):
        told, ours = (inspect.signature(getattr(item, method)) for item in (shown, optimization.Optimizer))
        assert list(told.parameters) == list(ours.parameters)
        assert [item.default for item in told.parameters.values()] == [
            item.default for item in ours.parameters.values()
        ]
    assert inspect.iscoroutinefunction(optimization.Optimizer.optimize)
    assert type(optimization.Optimizer().strategy) is optimization.RandomSearchStrategy


def test_the_parameter_definition_is_kept():
    made = run(block_with("001", "class Parameter:"), names())
    assert made["Parameter"] is not optimization.Parameter
    told, ours = (dataclasses.fields(item) for item in (made["Parameter"], optimization.Parameter))
    assert [(item.name, item.default) for item in told] == [(item.name, item.default) for item in ours][: len(told)]
    members = [item.name for item in made["ParameterType"]]
    assert members == [item.name for item in optimization.ParameterType][: len(members)]


def test_the_parameter_examples():
    made = run(block_with("001", "# Numeric parameters"), names())
    drawn = [
        optimization.OptimizationStrategy(seed).generate_params(
            [made["batch_size"], made["learning_rate"], made["algorithm"]]
        )
        for seed in range(60)
    ]
    assert all(item["batch_size"] % 10 == 1 and 1 <= item["batch_size"] <= 1000 for item in drawn)
    assert all(0.0001 <= item["learning_rate"] <= 0.1 for item in drawn)
    assert {item["algorithm"] for item in drawn} == {"sgd", "adam", "rmsprop"}


@pytest.mark.parametrize("kind", ["GridSearchStrategy", "RandomSearchStrategy", "BayesianStrategy"])
def test_each_strategy(kind, basic):
    made = run(block_with("001", f"import {kind}"), basic)
    assert type(made["optimizer"].strategy).__name__ == kind
    history = made["result"].history
    assert len(history) == 100
    points = [tuple(sorted(item["parameters"].items())) for item in history]
    assert len(set(points)) == 100  # nothing is evaluated twice, and a grid has 100 points, not 29,700
    if kind == "BayesianStrategy":
        assert made["optimizer"].strategy.exploration_rate == 0.1
        assert made["result"].score < 1.1


def test_a_custom_strategy(basic):
    made = run(block_with("001", "class CustomStrategy"), basic)
    optimizer = optimization.Optimizer(strategy=made["CustomStrategy"]())
    result = asyncio.run(optimizer.optimize(made["parameters"], made["objective"], iterations=12))
    assert result.iterations == len(result.history) == 12
    assert result.score == min(item["score"] for item in result.history)
    assert result.elapsed_time > 0
    assert result.improvement == result.history[0]["score"] - result.score


def test_a_custom_strategy_without_the_base_class(basic):
    """Anything with optimize() will do."""
    code = block_with("001", "class CustomStrategy").replace("(OptimizationStrategy)", "")
    made = run(code, basic)
    strategy = made["CustomStrategy"]()
    strategy.generate_params = lambda parameters: {"batch_size": 40, "workers": 6, "strategy": "balanced"}
    result = asyncio.run(optimization.Optimizer(strategy).optimize(made["parameters"], made["objective"], 2))
    assert result.score == 1.0


def test_the_result_is_the_documented_one(basic):
    shown = run(block_with("001", "class OptimizationResult:"), {"__name__": "document", **TYPING, **TOOLS})
    shown = shown["OptimizationResult"]
    told, ours = (dataclasses.fields(item) for item in (shown, optimization.OptimizationResult))
    assert [item.name for item in told] == [item.name for item in ours][: len(told)]
    for item in told:
        assert hasattr(basic["result"], item.name)


def test_dependent_parameters():
    made = run(block_with("001", "# Define dependent parameters"), names(score=1.0))
    seen = []

    async def objective(params):
        seen.append(params)
        return await made["objective"](params) + params["feature_count"] * (not params["use_feature"])

    result = asyncio.run(optimization.Optimizer().optimize(made["parameters"], objective, 22))
    assert {type(item["use_feature"]) for item in seen} == {bool}
    assert len(seen) == 22  # the whole space, each point once
    assert result.score == 1.0


def test_several_objectives():
    async def measure_latency(params):
        return params["x"]

    async def measure_memory(params):
        return 1 - params["x"]

    code = block_with("001", "async def multi_objective")
    made = run(code, names(measure_latency=measure_latency, measure_memory=measure_memory))
    x = optimization.Parameter("x", optimization.ParameterType.FLOAT, 0, 1)
    bayesian = optimization.Optimizer(optimization.BayesianStrategy(seed=SEED))
    result = asyncio.run(bayesian.optimize([x], made["multi_objective"], 20))
    assert result.score == pytest.approx(0.3, abs=0.01)  # at x = 0


def test_the_performance_optimizer_of_the_document():
    running = most = done = 0

    async def work():
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1

    tasks = [partial(work) for _ in range(12)]
    made = run(block_with("001", "class PerformanceOptimizer"), names(tasks=tasks))
    result = asyncio.run(made["PerformanceOptimizer"]().optimize_performance())
    assert result.iterations == 100  # as many entries of one executor
    assert done == 1200 and 1 < most <= 12
    assert 1 <= result.parameters["concurrency"] <= 20 and 1 <= result.parameters["batch_size"] <= 1000


def test_coroutines_that_are_spent_are_told():
    async def work():
        pass

    async def search():
        made = run(block_with("001", "class PerformanceOptimizer"), names(tasks=[work(), work()]))
        return await made["PerformanceOptimizer"]().optimize_performance()

    result = asyncio.run(search())
    assert math.isfinite(result.history[0]["score"])  # the first evaluation could await them
    assert math.isinf(result.history[1]["score"])
    assert "awaited" in result.history[1]["error"]


def test_the_resource_optimizer_of_the_document():
    made = run(block_with("001", "class ResourceOptimizer"), names())
    limits = []

    class Mine(made["ResourceOptimizer"]):
        async def configure_limits(self, params):
            limits.append(params)

        async def run_workload(self):
            await asyncio.sleep(0)

    result = asyncio.run(Mine().optimize_resources())
    assert len(limits) == result.iterations == 100
    assert all(100 <= item["memory_limit"] <= 1000 and 1 <= item["cpu_limit"] <= 8 for item in limits)
    assert 0 < result.score < 1


def test_best_practices_for_parameters():
    made = run(block_with("001", "# Define reasonable parameter ranges"), names())
    seen = []

    async def objective(params):
        seen.append(params["timeout"])
        return 0.0

    grid = optimization.Optimizer.create_grid_search()
    asyncio.run(grid.optimize(made["parameters"], objective, 200))
    assert sorted(seen) == [i / 10 for i in range(1, 101)]  # 0.3 is 0.3
    parameter = made["categorical_param"]
    assert optimization.OptimizationStrategy(0).generate_params([parameter])["strategy"] in parameter.choices


def test_a_robust_objective(caplog):
    calls = []

    async def evaluate(params):
        calls.append(params)
        if params["x"] > 0.5:
            raise OSError("too far")
        return params["x"] + len(calls) % 3

    tools = {"evaluate": evaluate, "statistics": statistics, "logger": logging.getLogger("document")}
    made = run(block_with("001", "async def robust_objective"), names(**tools))
    x = optimization.Parameter("x", optimization.ParameterType.FLOAT, 0, 1)
    strategy = optimization.BayesianStrategy(seed=SEED)
    with caplog.at_level(logging.ERROR):
        result = asyncio.run(optimization.Optimizer(strategy).optimize([x], made["robust_objective"], 15))
    assert result.score == pytest.approx(1.0, abs=0.2)  # x near 0; the rest of three calls adds up to 1
    assert result.parameters["x"] <= 0.5
    failed = [item for item in result.history if math.isinf(item["score"])]
    assert failed and all(item["parameters"]["x"] > 0.5 for item in failed)
    assert "Evaluation failed: too far" in caplog.text


def test_a_timeout_gives_the_best_so_far():
    async def slow(params):
        await asyncio.sleep(0.01)
        return params["x"]

    x = optimization.Parameter("x", optimization.ParameterType.FLOAT, 0, 1)
    result = asyncio.run(optimization.Optimizer().optimize([x], slow, timeout=0.3))
    assert 1 <= result.iterations < 100
    assert result.score == min(item["score"] for item in result.history)
    with pytest.raises(ProblemError, match="timeout"):
        asyncio.run(optimization.Optimizer().optimize([x], slow, timeout=0))


def test_no_block_is_left_out():
    """One test for each of the document's 15 blocks: whoever adds one, adds a test."""
    found = blocks("001", "python")
    needles = [
        "# Run benchmark", "class Optimizer:", "class Parameter:", "# Numeric", "GridSearch", "RandomSearch",
        "BayesianStrategy", "class CustomStrategy", "class OptimizationResult:", "# Define dependent",
        "async def multi_objective", "class PerformanceOptimizer", "class ResourceOptimizer", "# Define reasonable",
        "async def robust_objective",
    ]  # fmt: skip
    assert all(needle in body for needle, body in zip(needles, found, strict=True))
