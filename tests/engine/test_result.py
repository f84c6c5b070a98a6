"""What a result says: fronts, rescoring, tables and frames, also where there is little to say."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import MissingExtra

SPACE = {"a": tw.Float(0, 1), "n": tw.Integer(1, 9)}


def codec(p):
    if p["n"] == 4:
        raise ValueError("four")
    return {"size": p["a"] * 10, "speed": p["a"] * p["n"], "note": p["n"] * 2}


def run(**how):
    goals = {"size": "minimize", "speed": "maximize"}
    return tw.minimize(codec, SPACE, objectives=goals, strategy="nsga2", seed=0, max_evals=150, **how)


def test_the_front_is_what_nothing_beats():
    result = run(constraints="note <= 14")
    good = [trial for trial in result.trials if trial.ok]
    assert 0 < len(good) < 150 and any(trial.violation > 0 for trial in result.trials)

    def beaten(trial):
        size, speed = trial.values
        return any(t.values != trial.values and t.values[0] <= size and t.values[1] >= speed for t in good)

    assert [trial.number for trial in result.front] == [
        trial.number for trial in sorted(good, key=lambda t: t.values[0]) if not beaten(trial)
    ]
    assert all(trial.params["n"] <= 7 for trial in result.front)
    assert result.value == min(trial.value for trial in good)


def test_a_front_of_replicates_is_of_their_means():
    rng = np.random.default_rng(0)
    result = tw.minimize(
        lambda p: (p["a"] + rng.normal(), 1 - p["a"] + rng.normal()), SPACE, objectives=2, repeats=3,
        strategy="nsga2", seed=0, max_evals=60,
    )  # fmt: skip
    for trial in result.front:
        own = [t.values for t in result.trials if t.params == trial.params]
        assert len(own) == 3 and trial.values == pytest.approx(tuple(np.mean(own, axis=0)))


def test_rescoring():
    result = run()
    ranked = result.rescore("size + 2 * note")
    assert len(ranked) == 150 - result.failures and all(trial.ok for trial in ranked)
    assert [t.value for t in ranked] == sorted(t.components["size"] + 2 * t.components["note"] for t in ranked)
    assert result.rescore("speed", "maximize")[0].value == max(t.values[1] for t in result.trials if t.ok)
    with pytest.raises(tw.ThalwegError, match="sizes"):
        result.rescore("sizes")
    with pytest.raises(tw.ProblemError, match="goal"):
        result.rescore("size", "smallest")
    assert result.trials[0].values == result.trials[0].values[:2], "rescoring leaves the trials alone"


@pytest.mark.parametrize("kind", ["empty", "failed", "one"])
def test_where_there_is_little_to_say(kind):
    study = tw.Study(SPACE, strategy="random", seed=0)
    if kind != "empty":
        study.run(lambda p: 1 / 0 if kind == "failed" else 2.5, max_evals=5 if kind == "failed" else 1)
    result = study.result
    assert result.table() and result.explain() and repr(result)
    assert result.success == (kind == "one") and len(result.front) == (kind == "one")
    if kind == "one":
        assert result.value == 2.5
        return
    with pytest.raises(tw.ThalwegError, match="ZeroDivision" if kind == "failed" else "nothing was evaluated"):
        result.best  # noqa: B018
    with pytest.raises(tw.ProblemError):
        result.rescore("value")


def test_many_trials_are_read_at_once():
    result = tw.minimize(
        lambda c: c["a"], SPACE, strategy="random", seed=0, max_evals=100_000, vectorised=True, noisy=True
    )
    assert result.evaluations == 100_000 and "100" in result.table() and result.explain()


def test_frames_need_pandas(monkeypatch):
    result = run()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[pandas\]"):
        result.frame()
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=lambda rows, columns: rows))
    rows = result.frame()
    assert len(rows) == 150
    assert {"number", "a", "n", "size", "speed", "note", "status", "seconds", "error"} >= set(rows[0])
    assert sum(row["status"] == "failed" for row in rows) == result.failures > 0


def test_pictures_need_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[plots\]"):
        run().plot()


def test_reports_of_replicates_speak_of_the_mean():
    rng = np.random.default_rng(1)
    result = tw.minimize(lambda p: p["a"] + rng.normal(), SPACE, repeats=4, strategy="random", seed=0, max_evals=40)
    data = result.data()
    assert data.best_value() == result.value > min(trial.value for trial in result.trials)
    assert result.trials[data.best()].params == result.params


def test_results_from_elsewhere_are_not_called_evaluations(capsys):
    study = tw.Study({"x": (-5.0, 5.0)}, strategy="sobol", seed=0)
    study.add([{"x": 1.0}, {"x": 3.0}, {"x": 2.0}], [3.0, 4.0, 5.0])
    result = study.run(lambda p: p["x"] ** 2, max_evals=10, progress="plain")
    assert "evaluations  10 of 10 (3 more were given)" in str(result)
    assert "study: 10 evaluations and 3 results from elsewhere, 13 usable" in result.explain()
    assert "10/10" in capsys.readouterr().err
