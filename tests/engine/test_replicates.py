"""Trials of one point stay together, whatever becomes of them."""

import time

import pytest

import thalweg as tw

LINE = {"x": tw.Float(0, 1)}


def points(study):
    found = {}
    for trial in study.trials:
        found.setdefault(trial.params["x"], []).append(trial.replicate)
    return found


def test_a_failed_replicate_fails_the_point():
    count = iter(range(100))

    def objective(p):
        return 1 / 0 if next(count) == 4 else -p["x"]

    study = tw.Study(LINE, repeats=3, strategy="random", seed=0)
    result = study.run(objective, max_evals=9)
    bad = result.trials[4].params
    assert result.failures == 1 and result.params != bad
    assert all(trial.params != bad for trial in result.front)


def test_cut_off_points_are_finished_by_the_next_run():
    def objective(p):
        time.sleep(0.004)
        return p["x"]

    study = tw.Study(LINE, repeats=3, strategy="random", seed=0)
    for _ in range(4):
        study.run(objective, timeout=0.03, evaluator="thread", workers=4)
    reached = len(study.trials)
    study.run(objective, max_evals=3 * reached)
    assert all(sorted(numbers) == [0, 1, 2] for numbers in points(study).values())
    assert len(study.trials) == 3 * reached and study.result.value == min(points(study))


def test_incomplete_points_are_never_the_best(tmp_path):
    with tw.Study(LINE, repeats=3, strategy="random", seed=0, store=tmp_path / "a.db") as study:
        trials = study.ask(6)
        study.tell(trials[:4], [1.0, 1.0, 1.0, -9.0])
        assert study.result.value == 1
    with tw.Study(LINE, repeats=3, strategy="random", seed=0, store=tmp_path / "a.db") as study:
        assert study.result.value == 1 and len(study.front) == 1
        rest = study.ask(2)
        assert {trial.params["x"] for trial in rest} == {trials[3].params["x"]}
        study.tell(rest, [30.0, 30.0])
        assert study.result.value == 1 and study.best.params == trials[0].params


def test_rules_see_points():
    seen = []
    tw.minimize(
        lambda p: p["x"], LINE, repeats=4, strategy="random", seed=0, max_evals=40,
        stop=lambda progress: seen.extend(progress.values[:, 0]) and None,
    )  # fmt: skip
    assert len(seen) == 10


@pytest.mark.parametrize("aggregate", ["mean", "median", "min"])
def test_values_are_aggregated_in_the_goals_own_sense(aggregate):
    study = tw.Study(LINE, repeats=3, aggregate=aggregate, goal="maximize", strategy="random", seed=0)
    study.tell(study.ask(3), [1.0, 2.0, 6.0])
    assert study.result.value == {"mean": 3, "median": 2, "min": 6}[aggregate]
