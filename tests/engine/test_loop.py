"""The loop: budgets, the cache, failures, deadlines, retries, rules, listeners."""

from __future__ import annotations

import asyncio
import collections
import math
import os
import threading
import time

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.stopping import Progress, StopRule
from thalweg.engine.unseen import unseen
from thalweg.parts.stopping import Patience, Target
from thalweg.parts.strategies import STRATEGIES

SPACE = {"x": tw.Float(-5, 5), "y": tw.Float(-5, 5), "n": tw.Integer(1, 10)}
GRID = {"x": tw.Integer(1, 20), "y": tw.Integer(1, 5), "c": tw.Choice(["a", "b"])}
SCIPY = [name for name in STRATEGIES if name.startswith("scipy:")]


def bowl(p):
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2 + p["n"]


def in_process(p):
    return (p["x"] - 1) ** 2


@pytest.mark.parametrize(
    "how",
    [{}, {"evaluator": "thread", "workers": 3}, {"workers": 2}, {"vectorised": True}, {"ordered": 4}, {"repeats": 5}],
    ids=lambda how: "+".join(how) or "inline",
)
@pytest.mark.parametrize("budget", [1, 7, 64, 300])
def test_budget_is_exact(how, budget):
    objective = (lambda c: c["x"] ** 2) if how.get("vectorised") else in_process
    result = tw.minimize(objective, SPACE, strategy="de", max_evals=budget, seed=1, **how)
    assert result.evaluations == budget
    assert result.stop_reason == f"max_evals: {budget} evaluations"
    assert len(result.trials) == budget
    assert [trial.number for trial in result.trials] == list(range(budget))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in SCIPY])
def test_a_finite_space_is_never_evaluated_twice_and_ends(name):
    calls: list[tuple] = []

    def objective(p):
        calls.append((p["x"], p["y"], p["c"]))
        return (p["x"] - 7) ** 2 + (p["y"] - 2) ** 2 + (p["c"] == "a")

    study = tw.Study(GRID, strategy=name, seed=3)
    study.run(objective, max_evals=100)
    assert len(calls) == len(set(calls)) == 100
    result = study.run(objective, max_evals=1000)
    assert len(calls) == len(set(calls)) == 200
    assert result.stop_reason.startswith("space exhausted")
    assert result.value == 0


@pytest.mark.parametrize("name", SCIPY)
def test_repeats_of_push_style_methods_come_from_the_cache(name):
    calls: list[tuple] = []

    def objective(p):
        calls.append((p["x"], p["y"], p["c"]))
        return (p["x"] - 7) ** 2 + (p["y"] - 2) ** 2 + (p["c"] == "a")

    result = tw.minimize(objective, GRID, strategy=name, seed=3, max_evals=400)
    assert len(calls) == len(set(calls)) == result.evaluations
    assert result.cached > 0


def test_a_point_in_flight_is_joined_not_run_twice():
    running: collections.Counter = collections.Counter()
    lock = threading.Lock()

    def objective(p):
        with lock:
            running[p["n"]] += 1
        time.sleep(0.002)
        return float(p["n"])

    result = tw.minimize(
        objective, {"n": tw.Integer(1, 12)}, strategy="annealing", seed=0, evaluator="thread", workers=6, max_evals=50
    )
    assert max(running.values()) == 1
    assert len(running) == 12
    assert result.stop_reason.startswith("space exhausted")


def test_noisy_points_may_come_again_with_replicate_numbers():
    result = tw.minimize(
        lambda p: float(p["n"]), {"n": tw.Integer(1, 3)}, strategy="random", seed=0, noisy=True, max_evals=30
    )
    assert result.evaluations == 30
    seen = collections.defaultdict(list)
    for trial in result.trials:
        seen[trial.params["n"]].append(trial.replicate)
    assert all(sorted(numbers) == list(range(len(numbers))) for numbers in seen.values())


BAD = {
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "minus inf": lambda: -math.inf,
    "huge": lambda: 10**400,
    "raises": lambda: 1 / 0,
    "exits": lambda: (_ for _ in ()).throw(SystemExit(3)),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["random", "de", "cmaes", "genetic", "pso", "direct", "nelder_mead", "annealing"])
def test_failures_are_survived_and_never_the_best(kind, name):
    def objective(p):
        return BAD[kind]() if p["n"] in (2, 3, 5) else bowl(p)

    result = tw.minimize(objective, SPACE, strategy=name, seed=2, max_evals=150)
    assert result.evaluations == 150
    failed = [trial for trial in result.trials if trial.status is tw.Status.FAILED]
    assert failed
    assert all(trial.params["n"] in (2, 3, 5) and math.isnan(trial.value) and trial.error for trial in failed)
    assert math.isfinite(result.value)
    assert result.params["n"] not in (2, 3, 5)


@pytest.mark.parametrize(
    ("raw", "text"),
    [("0.5", "str"), (None, "return"), ((1.0, 2.0), "objectives=2"), ({"a": 1, "b": 2}, "declare"), (1j, "complex")],
)
def test_an_objective_that_gives_no_value_ends_the_study_after_one_evaluation(raw, text):
    calls = []

    def objective(p):
        calls.append(p)
        return raw

    study = tw.Study(SPACE, strategy="random", seed=0)
    with pytest.raises(tw.ObjectiveError, match=text):
        study.run(objective, max_evals=1000)
    assert study.session.history.count(tw.Status.FAILED) >= 1  # kept


def test_retries():
    tries: collections.Counter = collections.Counter()

    def objective(p):
        tries[p["x"]] += 1
        if tries[p["x"]] < 3:
            raise RuntimeError("flaky")
        return p["x"]

    result = tw.minimize(objective, {"x": tw.Float(0, 1)}, strategy="random", seed=0, max_evals=20, retries=2)
    assert result.evaluations == 20
    assert result.failures == 0
    assert set(tries.values()) == {3}
    assert {trial.attempt for trial in result.trials} == {3}
    with pytest.raises(tw.ProblemError, match="retries"):
        tw.minimize(objective, SPACE, max_evals=3, retries=-1)


def test_whole_run_timeout_keeps_the_best_so_far():
    def objective(p):
        time.sleep(0.01)
        return bowl(p)

    for how in ({}, {"evaluator": "thread", "workers": 4}):
        result = tw.minimize(objective, SPACE, strategy="de", seed=0, timeout=0.25, **how)
        assert result.stop_reason == "timeout: 0.25 s"
        assert 3 <= result.evaluations < 200
        assert result.value == min(trial.value for trial in result.trials)


def test_async_runs_many_at_once_and_is_cancelled_by_the_timeout():
    most = now = 0

    async def objective(p):
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            await asyncio.sleep(0.01 if p["x"] < 4 else 60)
        finally:
            now -= 1
        return bowl(p)

    result = tw.minimize(objective, SPACE, strategy="random", seed=0, max_evals=200, workers=20, timeout=1.5)
    assert most == 20
    assert now == 0  # what hung was cancelled
    assert result.evaluations > 100


def hangs(p):
    if p["x"] > 2:
        time.sleep(60)
    return bowl(p)


def test_deadline_kills_and_censors():
    result = tw.minimize(hangs, SPACE, strategy="random", seed=1, max_evals=12, eval_timeout=0.1, workers=2)
    late = [trial for trial in result.trials if trial.status is tw.Status.TIMEOUT]
    assert result.evaluations == 12
    assert late
    assert all(trial.params["x"] > 2 and trial.seconds >= 0.1 and "limit" in trial.error for trial in late)
    with pytest.raises(tw.EvaluatorError, match="process"):
        tw.minimize(hangs, SPACE, max_evals=3, eval_timeout=1, evaluator="inline")
    with pytest.raises(tw.ProblemError, match="auto"):
        tw.minimize(hangs, SPACE, max_evals=3, eval_timeout="soon")


def dies(p):
    if p["n"] == 3:
        os._exit(7)
    return bowl(p)


def test_a_worker_that_dies_loses_one_trial():
    result = tw.minimize(dies, SPACE, strategy="random", seed=1, max_evals=60, workers=2)
    assert result.evaluations == 60
    dead = [trial for trial in result.trials if trial.status is tw.Status.FAILED]
    assert dead
    assert all(trial.params["n"] == 3 for trial in dead)
    assert len(dead) == sum(trial.params["n"] == 3 for trial in result.trials)


def test_auto_workers_keep_short_objectives_here():
    pids = set()

    def objective(p):
        pids.add(os.getpid())
        return bowl(p)

    tw.minimize(objective, SPACE, strategy="random", seed=0, max_evals=50, workers="auto")
    assert pids == {os.getpid()}  # had it gone to processes, the set here would miss evaluations
    if len(os.sched_getaffinity(0)) > 1:
        result = tw.minimize(takes_long, SPACE, strategy="random", seed=0, max_evals=20, workers="auto")
        assert any(trial.worker for trial in result.trials)


def takes_long(p):
    time.sleep(0.004)
    return bowl(p)


def test_rules_stop_exactly_and_keep_the_reason():
    result = tw.minimize(lambda p: 1.0, SPACE, strategy="random", seed=0, stop=Patience(25), max_evals=1000)
    assert result.evaluations == 26
    assert "25" in result.stop_reason
    result = tw.minimize(bowl, SPACE, strategy="random", seed=0, stop=Target(9), max_evals=10_000)
    assert result.value <= 9
    assert all(trial.value > 9 for trial in result.trials[:-1])
    result = tw.maximize(lambda p: -bowl(p), SPACE, strategy="random", seed=0, stop=Target(-9), max_evals=10_000)
    assert result.value >= -9
    assert all(trial.value < -9 for trial in result.trials[:-1])
    result = tw.minimize(bowl, SPACE, strategy="random", seed=0, stop=lambda progress: progress.evaluations >= 300)
    assert result.evaluations >= 300


def test_no_limit_is_refused_except_on_finite_spaces():
    with pytest.raises(tw.ProblemError, match="max_evals"):
        tw.minimize(bowl, SPACE)
    assert tw.minimize(lambda p: p["n"], {"n": tw.Integer(1, 30)}, strategy="grid").evaluations == 30
    for bad in (0, -1, 2.5, True):
        with pytest.raises(tw.ProblemError, match="max_evals"):
            tw.minimize(bowl, SPACE, max_evals=bad)


def test_a_listener_that_raises_never_touches_the_run():
    events = []

    def broken(event):
        raise ValueError("no")

    study = tw.Study(SPACE, strategy="de", seed=0, listeners=[broken, events.append])
    result = study.run(bowl, max_evals=50)
    assert result.evaluations == 50
    kinds = [event.kind for event in events]
    assert kinds[0] == "warning"
    assert kinds[1:3] == ["started", "asked"]
    assert kinds[-1] == "stopped"
    finished = [event for event in events if event.kind == "finished"]
    assert sum(len(event.data["numbers"]) for event in finished) == 50


class Spy(StopRule):
    def __init__(self):
        self.values: list[float] = []

    def check(self, progress: Progress):
        self.values += progress.values[:, 0].tolist()


def test_rules_see_every_trial_once_in_order():
    spy = Spy()
    result = tw.minimize(bowl, SPACE, strategy="de", seed=0, stop=spy, max_evals=333)
    assert spy.values == [trial.value for trial in result.trials]


def test_initial_points_come_first_exactly_as_typed():
    third = 1 / 3
    seen = []

    def objective(p):
        seen.append(p["x"])
        return p["x"]

    space = {"x": tw.Float(1e-3, 5, log=True, default=0.7)}
    result = tw.minimize(objective, space, strategy="de", seed=0, max_evals=20, initial=[{"x": third}, {"x": 0.1}])
    assert seen[:2] == [third, 0.1]
    assert [trial.source for trial in result.trials[:3]] == ["initial", "initial", "strategy"]
    result = tw.minimize(objective, space, strategy="de", seed=0, max_evals=5, initial="defaults")
    assert result.trials[0].params == {"x": 0.7}
    with pytest.raises(tw.SpaceError, match="'x'"):
        tw.minimize(objective, space, max_evals=5, initial=[{"x": 50}])
    with pytest.raises(tw.ProblemError, match="default"):
        tw.minimize(bowl, SPACE, max_evals=5, initial="defaults")


def test_repeats_are_aggregated_and_count():
    rng = np.random.default_rng(0)
    result = tw.minimize(
        lambda p: p["x"] ** 2 + rng.normal() * 0.1,
        {"x": tw.Float(-1, 1)},
        strategy="de",
        seed=0,
        repeats=4,
        max_evals=200,
    )
    assert result.evaluations == 200
    groups = collections.defaultdict(list)
    for trial in result.trials:
        groups[trial.params["x"]].append(trial)
    assert {len(group) for group in groups.values()} == {4}
    means = [np.mean([trial.value for trial in group]) for group in groups.values()]
    assert result.value == pytest.approx(min(means))
    for how, reduce in (("median", np.median), ("min", np.min)):
        result = tw.minimize(
            lambda p: p["x"] ** 2 + rng.normal() * 0.1,
            {"x": tw.Float(-1, 1)}, strategy="random", seed=0, repeats=3, aggregate=how, max_evals=30,
        )  # fmt: skip
        best = [trial.value for trial in result.trials if trial.params == result.params]
        assert result.value == pytest.approx(reduce(best))


def test_no_infeasible_point_is_ever_evaluated():
    space = tw.Space(
        {"a": tw.Float(0, 1), "b": tw.Float(0, 1), "k": tw.Choice(["u", "v"]), "m": tw.Integer(1, 9, when="k == 'u'")},
        require=["a + b <= 1", "m <= 10 * a", lambda p: p["k"] == "u" or p["b"] < 0.5],
    )

    def objective(p):
        assert p["a"] + p["b"] <= 1
        assert ("m" in p) == (p["k"] == "u")
        assert p["m"] <= 10 * p["a"] if p["k"] == "u" else p["b"] < 0.5
        return p["a"] - p["b"]

    for name in STRATEGIES:
        result = tw.minimize(objective, space, strategy=name, seed=1, max_evals=60)
        assert result.failures == 0, (name, result.trials[0].error)
    empty = tw.Space({"a": tw.Float(0, 1)}, require="a > 2")
    with pytest.raises(tw.InfeasibleSpace, match="a > 2"):
        tw.minimize(lambda p: p["a"], empty, strategy="random", max_evals=5)


def test_reports_and_context():
    seen = []

    def objective(p, context):
        seen.append((context.number, context.seed))
        (context.folder / "scratch").write_text("x")
        context.report(1, p["x"])
        return p["x"]

    events = []
    study = tw.Study({"x": tw.Float(0, 1)}, strategy="random", seed=4, listeners=[events.append])
    study.run(objective, max_evals=10)
    assert [number for number, _ in seen] == list(range(10))
    assert len({seed for _, seed in seen}) == 10
    assert sum(event.kind == "reported" for event in events) == 10
    before = list(seen)
    seen.clear()
    tw.minimize(objective, {"x": tw.Float(0, 1)}, strategy="random", seed=4, max_evals=10)
    assert seen == before


def test_measured_constraints():
    result = tw.minimize(
        lambda p: {"value": p["x"], "latency": 10 - p["x"]},
        {"x": tw.Float(0, 10)}, strategy="de", seed=0, constraints="latency <= 4", max_evals=400,
    )  # fmt: skip
    assert result.value == pytest.approx(6, abs=0.05)
    assert result.value >= 6
    assert result.components["latency"] <= 4
    assert any(trial.violation > 0 for trial in result.trials)


class Stuck(tw.Strategy):
    """Knows one point."""

    def propose(self, n):
        return np.zeros((n, self.dimension))

    def learn(self, answers):
        pass


class Recalling(tw.Strategy):
    """Comes back to its first points, as many as a model of the space has, before it gives a new one."""

    def begin(self):
        self.given = 0

    def propose(self, n):
        back = self.dimension + 1
        turn = self.given % (back + 1)
        place = turn if turn < back else self.given
        self.given += 1
        return np.full((1, self.dimension), (place + 1) / 1000)

    def learn(self, answers):
        pass


def test_who_comes_back_to_a_models_worth_of_known_points_is_not_begun_anew():
    events = []
    study = tw.Study([(0, 1)] * 4, strategy=Recalling(), listeners=[events.append])
    result = study.run(lambda x: x.sum(), max_evals=40)
    assert result.evaluations == 40 and result.stop_reason.startswith("max_evals")
    assert not [event for event in events if event.kind == "switched"]
    stuck = tw.Study([(0, 1)] * 4, strategy=Stuck(), listeners=[events.append]).run(lambda x: x.sum(), max_evals=40)
    assert stuck.evaluations == 1 and stuck.stop_reason.startswith("stalled: the strategy gives only points")


class Brief(tw.Strategy):
    """Gives three points of its own, and then the last one for ever."""

    def begin(self):
        self.given = 0

    def propose(self, n):
        if self.given < 3:
            self.given, self.last = self.given + 1, self.rng.random((1, self.dimension))
        return self.last

    def learn(self, answers):
        pass


def test_a_strategy_that_gives_new_points_after_each_restart_is_begun_anew_as_often_as_it_takes():
    study = tw.Study([(0, 1)] * 2, strategy=Brief(), seed=0)
    result = study.run(lambda x: x.sum(), max_evals=20)
    assert result.evaluations == 20 and result.stop_reason.startswith("max_evals")
    assert len({tuple(trial.params) for trial in study.trials}) == 20


def test_a_space_that_was_not_counted_is_known_to_be_used_up_when_it_was_looked_through(monkeypatch):
    """A chain of conditions: a thousand combinations, eleven points."""
    monkeypatch.setattr("thalweg.core.space.COUNTABLE", 9)
    chain = {"c0": [0, 1]} | {f"c{i}": tw.Choice([0, 1], when=f"c{i - 1} == 1") for i in range(1, 10)}
    assert tw.Space(chain).size is None
    looks = []
    monkeypatch.setattr("thalweg.engine.supply.unseen", lambda *given: looks.append(1) or unseen(*given))
    result = tw.minimize(len, chain, max_evals=200, strategy=Stuck(), seed=0)
    assert result.evaluations == 11 and result.stop_reason == "space exhausted: all 11 points are evaluated"
    assert len(looks) <= 11  # the one that finds nothing is the last


@pytest.mark.parametrize("strategy", ["nelder_mead", "pso"])
def test_who_repeats_himself_is_given_what_is_left_of_a_long_chain(strategy):
    space = {"c0": ["a", "b", "c"]}
    for i in range(1, 20):
        space[f"c{i}"] = tw.Choice(["a", "b", "c"], when=f"c{i - 1} == 'a'")
    result = tw.minimize(lambda params: -len(params), space, strategy=strategy, max_evals=100, seed=0)
    assert result.stop_reason == "space exhausted: all 41 points are evaluated" and result.value == -20
