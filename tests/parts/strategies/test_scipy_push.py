"""SciPy's optimisers, asked and told: the same points as SciPy itself, no thread left behind, errors that surface."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
from _doubles import PROBLEM, answer, foreign, value_of
from scipy import optimize

from thalweg.core.batch import Answers, Status
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies._pull import Pull
from thalweg.parts.strategies.scipy_push import SciPyDE, SciPyDirect, SciPyDualAnnealing, SciPySHGO

ALL = [SciPyDirect, SciPyDE, SciPyDualAnnealing, SciPySHGO]


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "thalweg-pull"]


def played(strategy, evals, n=7, seed=3, problem=PROBLEM):
    strategy.start(problem, seed, evals)
    points = []
    while sum(map(len, points)) < evals and not strategy.done:
        asked = strategy.ask(n)
        if len(asked):
            points.append(asked.points)
            strategy.tell(answer(asked))
    return np.concatenate(points)


def test_direct_asks_for_the_points_scipy_evaluates():
    seen = []
    options = {"maxfun": 150, "maxiter": 1000}

    def objective(x):
        seen.append(x.copy())
        return float(value_of(x[None])[0])

    result = optimize.direct(objective, [(0, 1)] * 2, **options)
    strategy = SciPyDirect(**options)
    points = played(strategy, 10_000)
    assert np.array_equal(points, np.array(seen))
    assert strategy.done
    assert strategy.why == result.message


def test_differential_evolution_asks_for_the_points_scipy_evaluates():
    seen = []

    def objective(x):
        seen.extend(np.atleast_2d(x.T))
        values = value_of(np.atleast_2d(x.T))
        return values if x.ndim > 1 else values[0]

    strategy = SciPyDE(popsize=5, maxiter=12, polish=True)
    points = played(strategy, 10_000)
    rng = np.random.default_rng(np.random.SeedSequence(strategy.seeds.entropy, spawn_key=(0,)))
    word = "rng" if "rng" in optimize.differential_evolution.__code__.co_varnames else "seed"
    optimize.differential_evolution(
        objective, [(0, 1)] * 2, popsize=5, maxiter=12, vectorized=True, updating="deferred", **{word: rng}
    )
    assert np.array_equal(points, np.array(seen))


def test_whole_generations_come_at_once():
    strategy = SciPyDE(popsize=5)
    strategy.start(PROBLEM, 0, 500)
    assert len(strategy.ask(100)) == 10
    assert len(strategy.ask(100)) == 0
    assert not strategy.done


def test_integers_are_passed_as_whole_numbers():
    space = Space({"n": Integer(-3, 7), "m": Integer(0, 4), "x": (0.0, 1.0)})
    strategy = SciPyDE(polish=False)
    points = played(strategy, 200, problem=Problem(space))
    assert np.allclose(points[:, 0] * 11 - 0.5, np.round(points[:, 0] * 11 - 0.5))
    assert np.allclose(points[:, 1] * 5 - 0.5, np.round(points[:, 1] * 5 - 0.5))
    assert len(np.unique(points[:, 2])) > 20
    assert len(np.unique(np.round(points[:, 0] * 11))) > 4


@pytest.mark.parametrize("kind", ALL)
def test_no_thread_is_left_when_it_is_dropped_started_again_or_done(kind):
    gc.collect()
    assert threads() == []
    strategy = kind()
    strategy.start(PROBLEM, 0, 50)
    assert threads() == []  # nothing is started before the first ask
    strategy.ask(2)
    assert len(threads()) == 1
    strategy.start(PROBLEM, 1, 50)
    assert threads() == []
    strategy.ask(2)
    del strategy
    gc.collect()
    assert threads() == []


def test_a_finished_run_has_no_thread():
    strategy = SciPyDirect(maxfun=20)
    played(strategy, 1000)
    assert strategy.done
    assert threads() == []


def test_an_interpreter_exits_with_a_run_under_way():
    code = (
        "from thalweg.core.problem import Problem\nfrom thalweg.core.space import Space\n"
        "from thalweg.parts.strategies.scipy_push import SciPyDualAnnealing as S\n"
        "s = S(); s.start(Problem(Space([(0.0, 1.0)] * 2)), 0, 50); print(len(s.ask(1)), flush=True)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "1"
    assert ended.stderr == ""


def test_scipy_errors_surface_with_their_reason_again_and_again():
    strategy = SciPyDE(strategy="no such strategy")
    strategy.start(PROBLEM, 0, 50)
    for _ in range(2):
        with pytest.raises(StrategyError, match="SciPyDE: SciPy raised ValueError: Please select a valid mutation"):
            strategy.ask(3)
    assert threads() == []


def test_an_error_in_the_middle_surfaces_in_tell():
    def callback(x, *_):
        raise KeyError("stop here")

    strategy = SciPyDirect(callback=callback)
    strategy.start(PROBLEM, 0, 50)
    with pytest.raises(StrategyError, match="KeyError"):
        for _ in range(50):
            strategy.tell(answer(strategy.ask(1)))


def test_failures_and_violations_are_worse_than_everything_and_finite():
    strategy = SciPyDE(popsize=5)
    strategy.start(PROBLEM, 0, 500)
    asked = strategy.ask(10)
    values = np.arange(10.0)
    values[3] = np.nan
    answers = answer(asked, values)
    answers.violations = np.zeros(10)
    answers.violations[[4, 5]] = [0.1, 5.0]
    strategy.tell(answers)
    log = strategy.log[:10]
    assert np.isfinite(log).all()
    assert 9.0 < log[4] < log[5] < log[3]
    assert np.array_equal(log[[0, 1, 2, 6, 7, 8, 9]], [0, 1, 2, 6, 7, 8, 9])


def test_abandoned_rows_are_asked_again():
    strategy = SciPyDirect()
    strategy.start(PROBLEM, 0, 50)
    asked = strategy.ask(1)
    strategy.tell(
        Answers(asked.tickets, np.array(asked.points), np.full((1, 1), np.nan), np.array([Status.ABANDONED], np.int8))
    )
    again = strategy.ask(1)
    assert np.array_equal(again.points, asked.points)
    assert again.tickets[0] != asked.tickets[0]


@pytest.mark.parametrize("kind", [SciPyDE, SciPyDualAnnealing])
def test_the_best_foreign_answer_is_where_it_starts(kind):
    strategy = kind()
    strategy.start(PROBLEM, 0, 100)
    strategy.tell(foreign([[0.9, 0.9], [0.31, 0.29], [0.1, 0.8]]))
    first = strategy.ask(64).points
    assert (np.abs(first - [0.31, 0.29]) < 1e-12).all(axis=1).any()


def test_a_state_of_another_run_is_noticed():
    strategy = SciPyDE(popsize=5)
    played(strategy, 40)
    state = strategy.state()
    other = SciPyDE(popsize=7)
    other.start(PROBLEM, 3, 40)
    other.restore(state)
    with pytest.raises(StrategyError, match="the log holds"):
        while True:
            other.tell(answer(other.ask(5)))


def test_a_pull_gives_batches_and_the_reason_it_ended():
    def body(exchange):
        total = exchange(np.zeros((2, 1))).sum()
        total += exchange(np.ones((3, 1))).sum()
        return f"sum {total}"

    pull = Pull(body)
    assert pull.batch.shape == (2, 1)
    pull.answer(np.array([1.0, 2.0]))
    assert pull.batch.shape == (3, 1)
    pull.answer(np.array([3.0, 4.0, 5.0]))
    assert pull.batch is None
    assert pull.reason == "sum 15.0"
