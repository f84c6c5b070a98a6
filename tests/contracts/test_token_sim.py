"""Document 000: the performance optimizer as it is shown, and the four command lines."""

import ast
import logging
import threading

import pytest
from extracting import block_with, command_lines, execute, run, text

from thalweg.compat.token_sim.optimization import BayesianOptimizer, ParameterSpace

SMALL = ["--paths", "10", "--days", "40"]


@pytest.fixture
def shown():
    names = run(block_with("000", "PerformanceOptimizer("), {"__name__": "document"})
    yield names
    names["optimizer"].close()


def test_the_snippet_runs_as_it_stands(shown):
    assert shown["optimizer"].max_workers == 4
    assert shown["my_function"].__name__ == "my_function"
    for size in range(11):
        assert shown["my_function"](list(range(size))) is None


def test_monitoring_has_begun_and_can_be_ended(shown):
    watching = [item for item in threading.enumerate() if item.name == "thalweg-monitor"]
    assert len(watching) == 1 and watching[0].daemon
    shown["optimizer"].stop_monitoring()
    assert not watching[0].is_alive()


def test_the_interval_is_that_of_the_snippet_and_a_shorter_one_logs(shown, caplog):
    assert shown["optimizer"]._monitor.interval == 60.0
    with caplog.at_level(logging.INFO, "thalweg.functions"):
        monitor = shown["optimizer"].monitor_performance(interval=0.01)
        shown["my_function"](list(range(100)))
        for _ in range(500):
            if caplog.messages:
                break
            threading.Event().wait(0.01)
        monitor.stop()
    for word in ("Memory:", "CPU:", "Throughput:", "Latency:", "Cache hit ratio:"):
        assert word in caplog.messages[0]


@pytest.mark.parametrize("line", command_lines("000"))
def test_the_commands(line):
    done = execute(line, [*SMALL, *(["--iterations", "10"] if "--iterations" not in line else [])])
    assert done.returncode == 0, done.stderr
    consensus = "pos" if "--consensus pos" in line else "pow"
    evaluations = 50 if "--iterations 50" in line else 10
    initial = 10 if "--initial-points 10" in line else 5
    assert f"Consensus type: {consensus}" in done.stdout
    assert "Best Parameters:" in done.stdout and "Best Objective Value: " in done.stdout
    assert f"{evaluations} evaluations ({initial} initial)" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("line", command_lines("000"))
def test_the_commands_as_they_stand(line):
    done = execute(line)
    assert done.returncode == 0, done.stderr
    assert f"{50 if '50' in line else 30} evaluations" in done.stdout
    assert float(done.stdout.split("Best Objective Value: ")[1].split()[0]) > 0.4


def test_a_different_optimum_for_each_consensus():
    found = {}
    for kind in ("pow", "pos", "dpos", "poa"):
        module = "python -m token_sim.optimization.optimize_core_params"
        done = execute(f"{module} --consensus {kind} --iterations 12", SMALL)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.split("Best Parameters:\n")[1].splitlines()
        params = [line.strip() for line in lines if line.startswith("  ")][:5]
        assert params[0] == f"consensus: {kind}"
        value = float(done.stdout.split("Best Objective Value: ")[1].split()[0])
        gain = float(done.stdout.split("same noise: ")[1].split()[0])
        assert gain > 0.01, "as good as the defaults: is the score a constant?"
        found[kind] = (tuple(params[1:]), value)
    assert len({params for params, _ in found.values()}) == 4
    assert len({value for _, value in found.values()}) == 4
    assert min(found, key=lambda kind: found[kind][1]) == "pow"  # it burns electricity


def test_what_cannot_be_is_told():
    done = execute("python -m token_sim.optimization.optimize_core_params --consensus poetry")
    assert done.returncode == 2 and "invalid choice" in done.stderr
    done = execute("python -m token_sim.optimization.optimize_core_params --iterations 3 --initial-points 5", SMALL)
    assert done.returncode == 2 and "not more than them" in done.stderr


def test_the_documented_ranges():
    """The four core parameters' ranges, read off the document."""
    from thalweg.apps.token_economy.parameters import CORE, PARAMETERS

    ranges = {}
    for line in text("000").splitlines():
        if line.startswith("- **") and line.endswith(")"):
            name, span = line[4:].split("**")[0], line.rsplit("(", 1)[1].rstrip(")")
            low, high = (_number(part) for part in span.split("-"))
            ranges[name.lower().replace(" ", "_")] = (low, high)
    assert {name: (PARAMETERS[name].low, PARAMETERS[name].high) for name in CORE} == ranges


def _number(word):
    scale = {"K": 1e3, "M": 1e6}.get(word[-1], 1.0)
    return ast.literal_eval(word.rstrip("KM")) * scale


def test_the_algorithms_that_are_named_are_there():
    from thalweg.parts.strategies import STRATEGIES, make_strategy

    named = {"bayesian", "genetic", "hybrid", "pso"}
    assert named <= set(STRATEGIES)
    assert all(make_strategy(name) for name in named)


def test_the_parameter_space_goes_into_the_optimizers():
    space = ParameterSpace()
    assert len(space.parameters) == 15 and set(space.levels) == {"core", "network", "economic", "agent"}
    search = BayesianOptimizer(space.get_parameters("core"), random_state=0)
    best, value = search.optimize(lambda p: -abs(p["block_reward"] - 2) + (p["consensus_type"] == "pos"), 25)
    assert best["consensus_type"] == "pos" and value > 0.5
    space.validate(best)
