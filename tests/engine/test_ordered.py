"""Ordered mode: the history depends on the seed and a width alone."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

import thalweg as tw

SPACE = {"x": tw.Float(-5, 5), "n": tw.Integer(1, 10)}
SMALL = {"n": tw.Integer(1, 6), "c": tw.Choice(["a", "b", "c"])}


def bowl(p):
    return (p["x"] - 1) ** 2 + p["n"]


def slow(p):
    time.sleep(random.random() * 0.003)
    return bowl(p)


async def waits(p):
    await asyncio.sleep(random.random() * 0.003)
    return bowl(p)


def small(p):
    time.sleep(random.random() * 0.002)
    return p["n"] + "abc".index(p["c"])


def history(objective, space, strategy, width, budget=45, run=None, **how):
    study = tw.Study(space, strategy=strategy, seed=3, ordered=width, **how)
    study.run(objective, max_evals=budget, **(run or {}))
    return rows(study)


def rows(study):
    return [(trial.number, trial.params, trial.values, trial.replicate) for trial in study.trials]


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("name", ["de", "cmaes", "annealing", "nelder_mead", "genetic"])
def test_inline_threads_processes_and_coroutines_agree(name, width):
    here = history(bowl, SPACE, name, width)
    assert len(here) == 45
    assert history(slow, SPACE, name, width, run={"evaluator": "thread", "workers": 3}) == here
    assert history(waits, SPACE, name, width, run={"workers": 4}) == here
    if name in ("de", "cmaes"):
        assert history(slow, SPACE, name, width, run={"workers": 2}) == here


def test_no_strategy_hears_how_long_evaluations_took():
    """`auto` thinks less where they are short: with measured times its history would be another one each time."""

    def takes(seconds):
        def objective(p):
            time.sleep(seconds)
            return bowl(p) + "abc".index(p["c"])

        return objective

    space = {**SPACE, "c": tw.Choice(["a", "b", "c"])}
    strategy = tw.Auto(allowance=0.2, least=0.05, overhead=0.1)
    short, long = (history(takes(seconds), space, strategy, 1, budget=60) for seconds in (0.0, 0.003))
    assert short == long


@pytest.mark.parametrize("name", ["de", "annealing", "random", "genetic"])
def test_repeated_points_keep_the_order(name):
    here = history(small, SMALL, name, 4, budget=18)
    assert len({str(params) for _, params, _, _ in here}) == 18
    for workers in (2, 6):
        assert history(small, SMALL, name, 4, budget=18, run={"evaluator": "thread", "workers": workers}) == here


@pytest.mark.parametrize("noisy", [False, True])
def test_replicates_keep_the_order(noisy):
    here = history(bowl, SPACE, "de", 4, repeats=3, noisy=noisy)
    assert len(here) == 45
    assert history(slow, SPACE, "de", 4, repeats=3, noisy=noisy, run={"evaluator": "thread", "workers": 5}) == here


@pytest.mark.parametrize("name", ["de", "cmaes"])
def test_enlarged_budgets_do_not_change_the_history(tmp_path, name):
    budgets = (7, 20, 21, 60)  # strategies may look at the budget, so the runs compared enlarge it alike
    study = tw.Study(SPACE, strategy=name, seed=3, ordered=3)
    for budget in budgets:
        study.run(bowl, max_evals=budget)
    whole = rows(study)
    assert len(whole) == 60
    study = tw.Study(SPACE, strategy=name, seed=3, ordered=3)
    for budget in budgets:
        study.run(slow, max_evals=budget, evaluator="thread", workers=budget % 4 + 1)
    assert rows(study) == whole
    for budget in budgets:
        with tw.Study(SPACE, strategy=name, seed=3, ordered=3, store=tmp_path / "a.db") as study:
            study.run(slow, max_evals=budget, evaluator="thread", workers=2)
            found = rows(study)
    assert found == whole


def test_the_first_run_sets_the_width_where_none_is_given(tmp_path):
    study = tw.Study(SPACE, strategy="de", seed=3, ordered=2)
    study.run(bowl, max_evals=15)
    study.run(bowl, max_evals=40)
    whole = rows(study)
    study = tw.Study(SPACE, strategy="de", seed=3, ordered=True)
    study.run(slow, max_evals=15, evaluator="thread", workers=2)
    study.run(slow, max_evals=40, evaluator="thread", workers=5)
    assert rows(study) == whole
    for budget, workers in ((15, 2), (40, 5)):
        with tw.Study(SPACE, strategy="de", seed=3, ordered=True, store=tmp_path / "a.db") as study:
            study.run(slow, max_evals=budget, evaluator="thread", workers=workers)
            found = rows(study)
    assert found == whole


def test_failures_and_retries_keep_the_order():
    def fragile(p):
        if p["n"] == 3:
            raise ValueError("three")
        return bowl(p)

    def shape(rows):
        return [(number, params) for number, params, _, _ in rows]

    here = history(fragile, SPACE, "de", 4, run={"retries": 2})
    assert any(params["n"] == 3 for _, params in shape(here))
    assert shape(history(fragile, SPACE, "de", 4, run={"retries": 2, "evaluator": "thread", "workers": 4})) == shape(
        here
    )
