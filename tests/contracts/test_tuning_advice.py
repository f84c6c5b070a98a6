"""Document 002 is advice for a tuner of a command-line compressor, in fragments. What each fragment is after is shown
here with thalweg's own interface; where following it to the letter would do harm, that is shown, too.
"""

import asyncio
import functools
import json
import math
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from extracting import block_with, blocks

from thalweg.apps.functions.parallel import Pool
from thalweg.apps.programs.command import Command
from thalweg.core.choices import Fixed
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space
from thalweg.engine.deadline import AutoDeadline
from thalweg.engine.load import load
from thalweg.engine.optimize import aminimize, minimize
from thalweg.engine.study import Study
from thalweg.parts.stopping.patience import Patience
from thalweg.parts.strategies.genetic import Genetic
from thalweg.parts.strategies.hybrid import Hybrid
from thalweg.parts.strategies.relay import Relay

PARAM_BOUNDS = {
    "ppmd_order": (2, 256), "lstm_num_cells": (10, 200), "lstm_num_layers": (1, 10), "lstm_horizon": (1, 99),
    "lstm_learning_rate": (0.001, 0.5), "lstm_gradient_clip": (0.5, 10.0), "update_limit": (500, 10000),
}  # fmt: skip
PARAM_TYPES = {name: int if isinstance(low, int) else float for name, (low, _) in PARAM_BOUNDS.items()}
DEFAULTS = {
    "ppmd_order": 12, "lstm_num_cells": 90, "lstm_num_layers": 3, "lstm_horizon": 10, "lstm_learning_rate": 0.05,
    "lstm_gradient_clip": 2.0, "update_limit": 3000,
}  # fmt: skip
PRECISION = {"lstm_learning_rate": 3, "lstm_gradient_clip": 2}
WIDE = {"ppmd_order", "lstm_num_cells", "update_limit"}


def tables():
    """The seven parameters, from the tables of the document, and the one that is fixed."""
    made = {}
    for name, (low, high) in PARAM_BOUNDS.items():
        if PARAM_TYPES[name] is int:
            made[name] = Integer(low, high, log=name in WIDE, default=DEFAULTS[name])
        else:
            made[name] = Float(low, high, precision=PRECISION[name], default=DEFAULTS[name])
    return made | {"lstm_input_size": Fixed(128)}


def cost(params):
    """A stand-in for the compressor: largest effects from order and limit, best near 40 and 1500."""
    order, limit = math.log(params["ppmd_order"] / 40), math.log(params["update_limit"] / 1500)
    rate, layers = math.log10(params["lstm_learning_rate"] / 0.02), params["lstm_num_layers"] - 4
    return 10 + order**2 + limit**2 + rate**2 + 0.05 * layers**2


def tuned(strategy="genetic", evaluations=200, **how):
    return minimize(cost, tables(), strategy=strategy, max_evals=evaluations, seed=1, progress=False, **how)


# --- 1: integers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["random", "sobol", "de", "genetic", "pso", "cmaes", "tpe", "annealing"])
def test_integers_are_integers(strategy):
    """`arr[i] = np.round(arr[i])` before evaluation: done for every strategy."""
    seen = []

    def checked(params):
        seen.append(params)
        return cost(params)

    minimize(checked, tables(), strategy=strategy, max_evals=60, seed=0, progress=False)
    for params in seen:
        assert params["lstm_input_size"] == 128
        for name, (low, high) in PARAM_BOUNDS.items():
            assert type(params[name]) is PARAM_TYPES[name], name
            assert low <= params[name] <= high


def test_bounds_and_types_are_enough():
    """(low, high) of whole numbers is an integer, of floats a float: the tables as they are make a space."""
    space = Space(PARAM_BOUNDS)
    assert {name: type(item) for name, item in space.parameters.items()} == {
        name: Integer if kind is int else Float for name, kind in PARAM_TYPES.items()
    }


def test_parameters_and_arrays_round_trip():
    """`params_array_to_dict` and back."""
    space = Space(tables())
    points = space.sample(200, np.random.default_rng(0))
    _, reals, active = space.resolve(points)
    params = space.to_params(reals, active)
    assert np.array_equal(space.from_params(params), reals)
    assert space.to_params(space.decode(space.encode(reals)), active) == params


# --- 2: keys ----------------------------------------------------------------------------------------------------------


def test_keys_do_not_drift():
    """12, 12.0 and 12.000001 are one; small floats stay apart, which `round(v, 4)` does not do."""
    assert block_with("002", "hashlib.md5").count("round(float(v),4)") == 1
    space = Space({"order": Integer(2, 256), "rate": Float(1e-6, 1e-4)})
    same = [{"order": item, "rate": 1e-5} for item in (12, 12.0, np.int64(12), 12.000001)]
    reals = space.from_params([*same, {"order": 12, "rate": 2e-5}])
    keys = space.keys(reals)
    assert len(set(keys[:4])) == 1 and keys[4] != keys[0]
    assert round(1e-5, 4) == round(2e-5, 4)


def test_duplicates_are_never_evaluated_again():
    calls = []

    def counted(params):
        calls.append(tuple(params.values()))
        return (params["a"] - 3) ** 2 + params["b"]

    space = {"a": Integer(0, 20), "b": Integer(0, 20)}
    result = minimize(counted, space, strategy="scipy:de", max_evals=100, seed=0, progress=False)
    assert len(calls) == len(set(calls)) == result.evaluations
    assert result.cached > 0  # what SciPy proposed twice


# --- 4: wide integers -------------------------------------------------------------------------------------------------


def test_wide_integers_are_searched_by_their_logarithm():
    space = Space({"update_limit": Integer(500, 10000, log=True)})
    points = np.random.default_rng(0).random((5000, 1))
    found = space.decode(space.snap(points))[:, 0]
    assert np.array_equal(found, np.round(found)) and found.min() >= 500 and found.max() <= 10000
    assert len(np.unique(found)) > 1000
    assert np.median(found) == pytest.approx(math.sqrt(500 * 10000), rel=0.05)


def test_both_fixes_to_the_letter_leave_two_values():
    """Rounding (1.) in the logarithm (4.) leaves 10^3 and 10^4 of 9,501 limits: rounding belongs behind it."""
    assert "np.round(arr[i])" in block_with("002", "objective_function")
    assert "10 ** value" in block_with("002", "log10-scale search")
    drawn = np.random.default_rng(0).uniform(math.log10(500), math.log10(10000), 1000)
    assert set((10 ** np.round(drawn)).round().tolist()) == {1000.0, 10000.0}


# --- 5: the genetic algorithm -----------------------------------------------------------------------------------------


def test_the_preset_has_the_tweaks():
    options = Genetic("deap", eta=10.0).options
    shown = " ".join(blocks("002", "python"))
    assert options["elite_size"] == 2 and "k=2" in shown
    assert options["gene_mutation_prob"] == 0.4 and options["eta"] == (10.0, 10.0)
    plain = {"crossover": "two_point", "crossover_prob": 0.7, "mutation_prob": 0.3, "tournament": 3, "population": 50}
    assert {name: options[name] for name in plain} == plain


def test_the_elite_stays():
    """The best two of a generation are in the next one; the best value never gets worse."""
    strategy = Genetic("deap", population=12)
    best = []

    def watch(event):
        if strategy.generation and len(strategy._pop):
            best.append((strategy.generation, float(strategy._merit.min())))

    minimize(cost, tables(), strategy=strategy, max_evals=150, seed=0, listeners=[watch], progress=False)
    generations = dict(best)
    assert len(generations) > 5
    values = [generations[key] for key in sorted(generations)]
    assert values == sorted(values, reverse=True)


def test_a_lower_eta_moves_further():
    from thalweg.parts.strategies._operators import polynomial_mutation

    rng, rows = np.random.default_rng(0), np.full((4000, 1), 0.5)
    size = {eta: float(np.abs(polynomial_mutation(rows, rng, eta, 1.0) - 0.5).mean()) for eta in (10.0, 20.0)}
    assert size[10.0] > 1.5 * size[20.0]


# --- 6: parallelism ---------------------------------------------------------------------------------------------------


def test_coder_calls_in_async_io():
    """Eight at a time, none of them waiting for another."""
    running = most = 0

    async def coder(params):
        nonlocal running, most
        running += 1
        most = max(most, running)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", f"print({params['x']} ** 2)", stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        running -= 1
        return float(out)

    space = {"x": Float(-1, 1)}
    result = asyncio.run(aminimize(coder, space, strategy="sobol", max_evals=16, workers=8, progress=False))
    assert result.evaluations == 16 and result.failures == 0
    assert most == 8


class Toolbox:
    """What `register` of DEAP's toolbox does."""

    def register(self, name, function, *args, **kwargs):
        setattr(self, name, functools.partial(function, *args, **kwargs))


class Tuner:
    """With a method as objective, as the document has it."""

    def __init__(self):
        self.scale = 2.0

    def objective_function(self, params):
        return self.scale * cost(params)


def pools():
    yield "built-in", None
    yield "threads", lambda: ThreadPoolExecutor(2)
    yield "thalweg", lambda: Pool(2)


@pytest.mark.parametrize(("name", "make"), list(pools()), ids=[name for name, _ in pools()])
def test_any_map_will_do(name, make):
    """`toolbox.register("map", pool.map)`: whoever has a map evaluates, ask and tell stay here."""
    pool = make() if make else None
    toolbox = Toolbox()
    toolbox.register("map", pool.map if pool else map)
    tuner = Tuner()
    with Study(tables(), strategy=Genetic("deap", population=10), seed=3) as study:
        for _ in range(4):
            trials = study.ask(10)
            study.tell(trials, list(toolbox.map(tuner.objective_function, [trial.params for trial in trials])))
        told = study.best.value
    if pool:
        (pool.close if name == "thalweg" else pool.shutdown)()
    with Study(tables(), strategy=Genetic("deap", population=10), seed=3) as again:
        for _ in range(4):
            trials = again.ask(10)
            again.tell(trials, [tuner.objective_function(trial.params) for trial in trials])
        assert again.best.value == told


def test_the_pool_of_the_document():
    """Its line, with plain processes: here for a function that they can import."""
    (line,) = [
        row for row in block_with("002", "ProcessPoolExecutor").splitlines() if row.startswith("toolbox.register")
    ]
    toolbox = Toolbox()
    this = type("This", (), {"num_threads": 1})()
    exec(line, {"toolbox": toolbox, "ProcessPoolExecutor": _Keeping, "self": this})
    assert list(toolbox.map(abs, [-1, 2])) == [1, 2]
    _Keeping.made.shutdown()


class _Keeping(ProcessPoolExecutor):
    made = None

    def __init__(self, max_workers):
        import multiprocessing

        super().__init__(max_workers, mp_context=multiprocessing.get_context("spawn"))
        _Keeping.made = self


def test_bound_methods_go_to_processes():
    """Without a pool of one's own: the objective may be a method, a closure or a lambda."""
    result = minimize(
        Tuner().objective_function, tables(), strategy="random", max_evals=12, workers=2, evaluator="process", seed=0,
        progress=False,
    )  # fmt: skip
    assert result.failures == 0 and result.value == 2.0 * cost(result.params)


# --- 7: hybrids -------------------------------------------------------------------------------------------------------


def test_de_starts_from_what_the_genetic_algorithm_found():
    """One vector as `init` is refused by SciPy (it wants five or more); here all that is known goes over."""
    first = tuned("genetic", 100)
    from scipy.optimize import differential_evolution

    with pytest.raises(ValueError, match="population"):
        differential_evolution(lambda x: float(x[0]), [(0, 1)], init=[[0.5]])
    relay = tuned(Relay("genetic", "de", budgets=[100, 100]), 200)
    assert relay.value <= first.value
    with Study(tables(), strategy="de", seed=5) as study:
        study.add([trial.params for trial in first.trials], [trial.value for trial in first.trials])
        assert study.best.value == first.value  # before its first evaluation
        assert study.run(cost, max_evals=60, progress=False).value <= first.value


def test_the_hybrid_has_one_cache_and_one_budget():
    calls = []

    def counted(params):
        calls.append(tuple(params.values()))
        return cost(params)

    result = minimize(counted, tables(), strategy=Hybrid("genetic", "de"), max_evals=120, seed=0, progress=False)
    assert len(calls) == len(set(calls)) == result.evaluations == 120
    assert "Genetic" in result.why and "DE" in result.why


# --- 8: stopping ------------------------------------------------------------------------------------------------------


def test_early_stopping_counts_tests():
    """N tests without an improvement of more than 1e-3, failed ones included; the result says so."""
    code = block_with("002", "no_improve = 0")
    assert "- 1e-3" in code and "> 100" in code
    values = iter([5.0, 4.0, 3.9995, *[7.0] * 50, math.nan, *[7.0] * 500])
    result = minimize(
        lambda _: next(values), {"x": Float(0, 1)}, strategy="random", max_evals=1000, seed=0, progress=False,
        stop=Patience(100, min_delta=1e-3),
    )  # fmt: skip
    assert result.evaluations == 2 + 100
    assert "no improvement" in result.stop_reason and "100 evaluations" in result.stop_reason


# --- 9: precision -----------------------------------------------------------------------------------------------------


def test_precision_by_parameter():
    space = Space(tables())
    points = space.sample(500, np.random.default_rng(1))
    _, reals, active = space.resolve(points)
    for params in space.to_params(reals, active):
        for name, digits in PRECISION.items():
            assert params[name] == round(params[name], digits)
            assert PARAM_BOUNDS[name][0] <= params[name] <= PARAM_BOUNDS[name][1]
    plain = Space({"rate": Float(0, 1)})
    assert plain.to_params(plain.from_params([{"rate": 0.35}]), None)[0]["rate"] == 0.35
    assert round(0.35, {}.get("rate", 0)) == 0  # what the document's default does to it


# --- the summary: percentile timeouts ---------------------------------------------------------------------------------


def test_one_hang_does_not_stretch_the_timeout():
    """From a percentile of what evaluations took, not from the worst one."""
    times = np.random.default_rng(0).lognormal(0, 0.3, 200)
    learnt, worst = AutoDeadline(), 0.0
    for seconds in times:
        learnt.observe(float(seconds), False)
        worst = max(worst, 2.0 * float(seconds))
    before = learnt.limit()
    learnt.observe(10 * float(times.max()), False)
    assert learnt.limit() == pytest.approx(before, rel=0.1)
    assert 2.0 * 10 * float(times.max()) > 5 * worst  # the rule of the worst


# --- what the tool behind the document had learnt by itself -----------------------------------------------------------

CODER = """
import sys, zlib
mode, source, target, *options = sys.argv[1:]
level = int(dict(item.split("=") for item in options)["level"])
data = open(source, "rb").read()
if mode == "e":
    if level == 7:
        raise SystemExit("a crash")
    out = zlib.compress(data, level)
else:
    out = zlib.decompress(data)
    if level == 8:
        out = out[:-1] + b"?"
open(target, "wb").write(out if not (mode == "e" and level == 6) else b"")
"""


def test_the_coder(tmp_path):
    """`./coder e|d IN OUT name=value`: sizes, exit codes, empty files and damaged round trips."""
    (tmp_path / "coder.py").write_text(CODER)
    (tmp_path / "book").write_bytes(b"the same line again and again\n" * 300)
    run = f"{sys.executable} -S {tmp_path / 'coder.py'}"
    command = Command(
        f"{run} e {tmp_path / 'book'} {{out}} level={{level}}", value="size({out})",
        verify=f"{run} d {{out}} {{back}} level={{level}}", original=tmp_path / "book",
    )  # fmt: skip
    result = minimize(command, {"level": Integer(1, 9)}, strategy="grid", max_evals=9, progress=False)
    states = {trial.params["level"]: trial for trial in result.trials}
    assert [level for level, trial in states.items() if not trial.ok] == [6, 7, 8]
    assert "empty" in states[6].error and "a crash" in states[7].error and "round trip" in states[8].error
    assert 0 < result.value < 300


def test_failures_do_not_poison_the_model():
    """A third of the space fails; no 1e9 stands for it."""

    def partly(params):
        if params["ppmd_order"] > 100:
            raise RuntimeError("crashed")
        return cost(params)

    result = minimize(partly, tables(), strategy="bayesian", max_evals=40, seed=0, progress=False)
    assert result.failures > 0 and result.value < 11.5
    assert all(not math.isfinite(trial.value) or trial.value < 100 for trial in result.trials)


def test_metrics_are_scored_again_without_a_run():
    def measured(params):
        return {"cost": cost(params), "csize": 1e6 / params["ppmd_order"], "ctime": 0.1 * params["ppmd_order"]}

    result = minimize(measured, tables(), objectives=["cost"], strategy="random", max_evals=50, seed=0, progress=False)
    for k in (1, 16):
        best = result.rescore(f"ctime + {k} * csize / 30000")[0].components
        value = best["ctime"] + k * best["csize"] / 30000
        assert value == min(t.components["ctime"] + k * t.components["csize"] / 30000 for t in result.trials)


def test_good_luck_is_measured_again():
    """What looks much better than it is does not stay the best."""
    rng = np.random.default_rng(0)
    drawn = []

    def noisy(params):
        drawn.append(1)
        fluke = 9.0 if len(drawn) == 10 else 0.0
        return cost(params) - fluke + rng.normal(0, 0.05)

    result = minimize(noisy, tables(), strategy="genetic", noisy=True, max_evals=80, seed=0, progress=False)
    assert len(drawn) == 80
    assert result.value > 8  # the fluke was worth 2 or less


def test_it_begins_with_the_defaults_and_goes_on_from_the_store(tmp_path):
    address = f"sqlite:///{tmp_path / 'tune.db'}"
    how = {"store": address, "name": "coder", "strategy": "genetic", "seed": 1}
    with Study(tables(), **how) as study:
        study.run(cost, max_evals=20, initial="defaults", progress=False)
        assert {name: study.trials[0].params[name] for name in DEFAULTS} == DEFAULTS
    with Study(tables(), **how) as study:
        assert study.run(cost, max_evals=20, progress=False).evaluations == 20
        before = [trial.params for trial in study.trials]
        study.run(cost, max_evals=25, progress=False)
        assert [trial.params for trial in study.trials][:20] == before and len(study.trials) == 25
    study = load(address, "coder")
    assert json.loads(json.dumps(study.best.params)) == study.best.params
    study.close()


def test_the_command_has_the_switches():
    done = subprocess.run(
        [sys.executable, "-m", "thalweg.cli.main", "tune", "--help"], capture_output=True, text=True, check=True
    )
    for switch in ("--jobs", "--strategy", "--budget", "--seed", "--timeout", "--verify", "--store", "--param"):
        assert switch in done.stdout
