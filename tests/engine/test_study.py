"""A study by hand, results from elsewhere, several runs, and every form of a space from end to end."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import OutOfOrder

SPACE = {"x": tw.Float(0, 1), "n": tw.Integer(1, 9)}
LINE = {"x": tw.Float(0, 1)}


def height(p):
    return (p["x"] - 0.3) ** 2


def by_hand(**how):
    return tw.Study(SPACE, **{"strategy": "de", "seed": 0, **how})


# --- ask and tell -----------------------------------------------------------------------------------------------------


def test_told_out_of_order_and_in_parts():
    study = by_hand()
    trials = study.ask(8)
    assert [trial.number for trial in trials] == list(range(8))
    assert all(trial.status is tw.Status.WAITING for trial in trials)
    study.tell([trials[i] for i in (5, 1, 7)], [5.0, 1.0, 7.0])
    study.tell(trials[0], 0.5)
    study.tell([trials[i] for i in (6, 4, 3, 2)], np.array([6.0, 4.0, 3.0, 2.0]))
    assert [trial.value for trial in study.trials] == [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert study.best.number == 0


def appended(study, monkeypatch) -> list[list[int]]:
    """The numbers of every transaction that records results, from now on."""
    seen: list[list[int]] = []
    original = study.store.append

    def counted(number, finishing, log=(), member=None):
        seen.append(finishing.numbers.tolist())
        return original(number, finishing, log, member)

    monkeypatch.setattr(study.store, "append", counted)
    return seen


@pytest.mark.parametrize("name", ["random", "de"])
def test_what_is_told_together_is_one_transaction(tmp_path, monkeypatch, name):
    with tw.Study(SPACE, store=f"sqlite:///{tmp_path}/x.db", strategy=name, seed=0) as study:
        first, second = study.ask(5), study.ask(4)
        transactions = appended(study, monkeypatch)
        told = [second[2], first[4], first[0], second[0]]
        study.tell(told, [20.0, 4.0, 0.0, None], seconds=[0.0, 1e6, 2e6, 3e6])
        study.tell([first[1], first[2], first[3], second[1], second[3]], [1.0, 2.0, 3.0, 10.0, 30.0])
        assert transactions == [[t.number for t in told], [1, 2, 3, 6, 8]]
        more = study.ask(3)
        study.tell(more, [7.0, 8.0, 9.0])
        assert transactions[2] == [9, 10, 11], "as they were asked for"
        values = [trial.value for trial in study.trials]
        assert values[5] != values[5] and np.delete(values, 5).tolist() == [0, 1, 2, 3, 4, 10, 20, 30, 7, 8, 9]
        begun = [trial.started_unixtime for trial in study.trials]
        assert begun[7] - begun[4] == pytest.approx(1e6), "they ran beside each other"
        assert begun[4] - begun[0] == pytest.approx(1e6)
        assert study.best.number == 0
    stored = tw.load(f"sqlite:///{tmp_path}/x.db", "study")
    assert next(entry.body["n"] for entry in stored.store.entries(1, 0, ["tell"])) == [t.number for t in told]
    assert [t.value for t in stored.trials][:5] == values[:5] and stored.trials[5].error == "told as failed"
    stored.close()


def test_what_could_not_be_recorded_may_be_told_again(tmp_path, monkeypatch):
    with tw.Study(SPACE, store=f"sqlite:///{tmp_path}/x.db", strategy="de", seed=0) as study:
        trials = study.ask(3)

        def full(*_):
            raise tw.StoreError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(study.store, "append", full)
            with pytest.raises(tw.StoreError, match="full"):
                study.tell(trials, [1.0, 2.0, 3.0])
        assert study.trials == [] and study._hand.pending
        study.tell(trials, [1.0, 2.0, 3.0])
        assert [trial.value for trial in study.trials] == [1.0, 2.0, 3.0] and not study._hand.pending


def test_twice_unknown_and_in_one_call_twice():
    study = by_hand()
    first, second = study.ask(2)
    study.tell(first, 1.0)
    with pytest.raises(OutOfOrder, match="told already"):
        study.tell(first, 2.0)
    with pytest.raises(OutOfOrder, match="not asked for"):
        study.tell(tw.Trial(999, {}), 2.0)
    with pytest.raises(OutOfOrder):
        study.tell([second, second], [1.0, 1.0])
    study.tell(second, 2.0)
    assert [trial.value for trial in study.trials] == [1.0, 2.0]


def test_a_trial_of_another_study_with_the_same_number_is_refused_and_a_copy_of_its_own_is_not():
    ours, other = by_hand(), by_hand(seed=5)
    (mine,), (theirs,) = ours.ask(1), other.ask(1)
    assert mine.number == theirs.number
    with pytest.raises(OutOfOrder, match="is it of another study"):
        ours.tell(theirs, 1.0)
    assert ours.trials == [] and ours._hand.pending
    ours.tell(pickle.loads(pickle.dumps(mine)), 1.0)
    theirs.params.clear()  # what became of them does not matter: it is the very one that was given
    other.tell(theirs, 2.0)
    assert ours.trials[0].value == 1.0 and other.trials[0].value == 2.0


def test_failures_are_told_as_nan_none_or_an_exception():
    study = by_hand()
    trials = study.ask(5)
    study.tell(trials, [math.nan, None, ValueError("no"), math.inf, 3.0])
    assert [trial.status.name for trial in study.trials] == ["FAILED"] * 4 + ["DONE"]
    assert "ValueError: no" in study.trials[2].error and "finite" in study.trials[0].error
    assert study.best.number == 4 and study.result.failures == 4


def test_seconds_and_when():
    study = by_hand()
    trials = study.ask(3)
    study.tell(trials[:2], [1.0, 2.0], seconds=[0.5, 1.5])
    study.tell(trials[2], 3.0)
    assert [trial.seconds for trial in study.trials[:2]] == [0.5, 1.5]
    assert math.isnan(study.trials[2].seconds)
    assert all(trial.started_unixtime > 1e9 for trial in study.trials)
    study.explain()


@pytest.mark.parametrize(
    ("values", "seconds", "error"),
    [
        ([1.0], None, "2 trials need as many values, got 1"),
        (1.0, None, "a list of values"),
        ({"a": 1}, None, "a list of values"),
        ([1.0, 2.0], [1.0], "as many seconds"),
        ([1.0, 2.0], [1.0, -2.0], "finite numbers >= 0"),
        ([1.0, 2.0], 3.0, "a list of seconds"),
    ],
)
def test_wrong_answers_tell_nothing(values, seconds, error):
    study = by_hand()
    trials = study.ask(2)
    with pytest.raises(tw.ProblemError, match=error):
        study.tell(trials, values, seconds)
    with pytest.raises(tw.ObjectiveError, match="float"):
        study.tell(trials, [1.0, "2"])
    assert study.trials == []
    study.tell(trials, [1.0, 2.0])


@pytest.mark.parametrize("n", [-1, 1.5, "3", True, None])
def test_a_bad_number_of_trials(n):
    with pytest.raises(tw.ProblemError, match="ask"):
        by_hand().ask(n)


class Patient(tw.Strategy):
    """Gives three points, and waits until it has heard of all of them."""

    def begin(self):
        self.out = 0

    def propose(self, n):
        points = self.rng.random((min(n, 3 - self.out), self.dimension))
        self.out += len(points)
        return points

    def learn(self, answers):
        self.out = 0 if not self.pending else self.out


def test_fewer_than_asked_when_the_strategy_must_hear_first():
    study = tw.Study(SPACE, strategy=Patient(), seed=0)
    first = study.ask(50)
    assert 0 < len(first) < 50 and study.ask(5) == [] and study.ask(0) == []
    study.tell(first, [height(trial.params) for trial in first])
    assert study.ask(5)


def test_an_exhausted_space_gives_no_more():
    study = tw.Study({"n": tw.Integer(1, 5)}, strategy="random", seed=0)
    trials = study.ask(10)
    assert sorted(trial.params["n"] for trial in trials) == [1, 2, 3, 4, 5]
    study.tell(trials, [float(trial.params["n"]) for trial in trials])
    assert study.ask(3) == []
    assert study.run(lambda p: p["n"], max_evals=9).stop_reason.startswith("space exhausted")


def test_replicates_by_hand_come_as_few_as_asked():
    study = tw.Study(LINE, strategy="random", seed=0, repeats=3)
    trials = [*study.ask(2), *study.ask(2), *study.ask(2)]
    assert [trial.replicate for trial in trials] == [0, 1, 2, 0, 1, 2]
    assert len({trial.params["x"] for trial in trials}) == 2
    study.tell(trials[1:], [5.0, 6.0, 1.0, 2.0, 3.0])
    assert study.best.params == trials[3].params
    study.tell(trials[0], -20.0)
    assert study.best.params == trials[0].params and study.result.value == pytest.approx(-3)


def test_by_hand_then_run_then_by_hand():
    study = by_hand()
    trials = study.ask(6)
    study.tell(trials[:4], [height(trial.params) for trial in trials[:4]])
    result = study.run(height, max_evals=40)
    assert result.evaluations == 38  # two were asked for and are out
    study.tell(trials[4:], [height(trial.params) for trial in trials[4:]])
    more = study.ask(3)
    study.tell(more, [height(trial.params) for trial in more])
    assert len(study.trials) == 43 and result.evaluations == 38


def test_a_strategy_that_waits_for_hands_says_so():
    study = tw.Study(LINE, strategy=Patient(), seed=0)
    study.ask(1)
    assert "by hand" in study.run(height, max_evals=40).stop_reason


@pytest.mark.parametrize("name", ["de", "cmaes", "sobol", "nelder_mead", "annealing"])
def test_by_hand_with_a_store_goes_on_where_it_was(tmp_path, name):
    def drive(study, rounds):
        points = []
        for _ in range(rounds):
            trials = study.ask(3)
            study.tell(trials, [height(trial.params) for trial in trials])
            points += [trial.params["x"] for trial in trials]
        return points

    with tw.Study(LINE, strategy=name, seed=1) as study:
        whole = drive(study, 8)
    cut = []
    for _ in range(8):
        with tw.Study(LINE, store=tmp_path / "a.db", strategy=name, seed=1) as study:
            cut += drive(study, 1)
    assert cut == whole


def test_what_an_earlier_process_asked_for_is_given_again(tmp_path):
    with tw.Study(LINE, store=tmp_path / "a.db", strategy="de", seed=1) as study:
        trials = study.ask(4)
        study.tell(trials[:2], [1.0, 2.0])
    with tw.Study(LINE, store=tmp_path / "a.db", strategy="de", seed=1) as study:
        again = study.ask(2)
        assert [(trial.number, trial.params) for trial in again] == [(t.number, t.params) for t in trials[2:]]
        study.tell(again, [3.0, 4.0])
        assert study.run(height, max_evals=10).evaluations == 10


def test_not_while_it_runs():
    study, seen = by_hand(), []

    def objective(p):
        for call in (study.ask, lambda: study.tell([], []), lambda: study.run(height, max_evals=3)):
            try:
                call()
            except OutOfOrder as error:
                seen.append(str(error))
        return 1.0

    study.run(objective, max_evals=1)
    assert len(seen) == 3 and "ask()" in seen[0] and "run()" in seen[2]


# --- results from elsewhere -------------------------------------------------------------------------------------------


def test_add_one_and_many():
    study = by_hand()
    study.add({"x": 0.5, "n": 3}, 1.0)
    study.add([{"x": 0.5, "n": 4}, {"x": 0.1, "n": 3}], [2.0, 0.5])
    study.add({"x": 0.25, "n": 3}, None)
    assert study.best.params == {"x": 0.1, "n": 3}
    assert {trial.source for trial in study.trials} == {"added"}
    calls = []
    result = study.run(lambda p: calls.append(p) or 1.0, max_evals=10)
    assert len(calls) == 10 and result.evaluations == 14, "they count in no budget"


def test_many_additions_are_one_transaction(tmp_path, monkeypatch):
    with tw.Study(SPACE, store=f"sqlite:///{tmp_path}/x.db", strategy="de", seed=0) as study:
        calls = []
        original = study.store.add
        monkeypatch.setattr(study.store, "add", lambda *given: calls.append(1) or original(*given))
        study.add([{"x": i / 9, "n": 3} for i in range(9)] + [{"x": 0.0, "n": 3}], [*range(9), math.nan])
        assert len(calls) == 1
        assert [trial.status.name for trial in study.trials] == ["DONE"] * 9 + ["FAILED"]
        assert study.best.number == 0 and study.trials[3].params == {"x": 3 / 9, "n": 3}
        study.add([], [])
        assert len(calls) == 1


def test_bad_additions_add_nothing():
    study = by_hand()
    good = {"x": 0.5, "n": 3}
    with pytest.raises(tw.SpaceError, match="'x'"):
        study.add([good, {"x": 5, "n": 3}], [1.0, 2.0])
    with pytest.raises(tw.SpaceError, match="n"):
        study.add({"x": 0.5}, 1.0)
    with pytest.raises(tw.ObjectiveError):
        study.add(good, "q")
    with pytest.raises(tw.ProblemError, match="1 points"):
        study.add([good], [1, 2])
    with pytest.raises(tw.ProblemError, match="a list of values"):
        study.add([good], 1.0)
    assert study.trials == []


def test_add_points_of_arrays():
    study = tw.Study([(0, 1)] * 2, strategy="de", seed=0)
    study.add([0.1, 0.2], 1.0)
    study.add(np.array([[0.1, 0.3], [0.2, 0.2]]), [3.0, 0.5])
    assert study.result.x.tolist() == [0.2, 0.2] and study.result.params.tolist() == [0.2, 0.2]


def test_add_to_several_objectives():
    study = tw.Study(LINE, objectives={"a": "minimize", "b": "maximize"}, strategy="nsga2", seed=0)
    study.add({"x": 0.5}, (1.0, 2.0))
    study.add([{"x": 0.6}, {"x": 0.7}], [{"a": 0.0, "b": 1.0, "c": 9}, (3, 1)])
    assert [trial.values for trial in study.front] == [(0.0, 1.0), (1.0, 2.0)]


def test_an_added_point_stands_for_itself_where_points_are_repeated(tmp_path):
    with tw.Study(LINE, store=tmp_path / "a.db", repeats=3, strategy="de", seed=0) as study:
        study.add({"x": 0.5}, -1.0)
        assert study.best.value == -1
        study.run(height, max_evals=30)
    with tw.Study(LINE, store=tmp_path / "a.db", repeats=3, strategy="de", seed=0) as study:
        assert study.result.value == -1 and study.best.source == "added"


# --- several runs -----------------------------------------------------------------------------------------------------


def test_enlarged_budgets_and_frozen_results():
    study = by_hand()
    results = [study.run(height, max_evals=n) for n in (10, 25, 25, 5, 60)]
    assert [result.evaluations for result in results] == [10, 25, 25, 25, 60]
    assert [len(result.trials) for result in results] == [10, 25, 25, 25, 60]
    assert results[0].value == min(trial.value for trial in results[0].trials)
    assert study.result.evaluations == 60


@pytest.mark.parametrize("name", ["de", "cmaes", "nelder_mead"])
def test_runs_with_different_evaluators(name):
    study = tw.Study(SPACE, strategy=name, seed=0)

    async def waits(p):
        return height(p)

    study.run(height, max_evals=20)
    study.run(height, max_evals=40, evaluator="thread", workers=3)
    study.run(waits, max_evals=60, workers=5)
    study.run(lambda c: (c["x"] - 0.3) ** 2, max_evals=80, vectorised=True)
    result = study.run(height, max_evals=100, workers=2)
    assert [trial.number for trial in result.trials] == list(range(100)) and result.failures == 0


def test_a_study_inside_an_objective():
    def outer(p):
        inner = tw.minimize(
            lambda q: (q["y"] - p["x"]) ** 2, {"y": tw.Float(0, 1)}, max_evals=40, strategy="de", seed=0
        )
        return p["x"] + inner.value

    for how in ({}, {"evaluator": "thread", "workers": 2}):
        result = tw.minimize(outer, LINE, max_evals=20, strategy="de", seed=1, **how)
        assert result.failures == 0 and result.value < 0.3


# --- spaces -----------------------------------------------------------------------------------------------------------


@dataclass
class Model:
    layers: Annotated[int, tw.Integer(1, 4)] = 2
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[float | None, tw.Float(0, 1, when="optimizer == 'sgd'")] = None
    epochs: int = 10


def test_dataclasses(tmp_path):
    seen = []

    def objective(model: Model) -> float:
        seen.append(model)
        return model.layers + (model.momentum if model.momentum is not None else 0.5)

    with tw.Study(Model, store=tmp_path / "a.db", strategy="genetic", seed=0) as study:
        result = study.run(objective, max_evals=60)
    assert all(isinstance(model, Model) and model.epochs == 10 for model in seen)
    assert all((model.momentum is None) == (model.optimizer == "adam") for model in seen)
    assert isinstance(result.params, Model) and isinstance(result.trials[0].params, Model)
    assert result.rows()[0]["layers"] == seen[0].layers and str(result) and result.explain()
    with tw.Study(Model, store=tmp_path / "a.db", strategy="genetic") as study:
        assert study.best.params == result.params
        study.add(Model(1, "sgd", 0.0), -1.0)
        assert study.best.params == Model(1, "sgd", 0.0)


def test_arrays():
    result = tw.minimize(lambda x: float(((x - 0.5) ** 2).sum()), [(-5, 5)] * 3, max_evals=300, strategy="de", seed=0)
    assert result.x.shape == (3,) and result.fun == result.value and result.nfev == 300
    assert result.fun == float(((result.x - 0.5) ** 2).sum())
    kept = result.x
    kept[:] = 99
    assert result.x.max() < 99
    assert len(result.rows()[0]) == 3 + 5 and str(result) and result.explain()


def test_vectors():
    space = {"w": tw.Float(0, 1, size=3), "k": tw.Integer(1, 5, size=2), "c": tw.Choice(["a", "b"])}
    result = tw.minimize(lambda p: sum(p["w"]) + sum(p["k"]), space, max_evals=60, strategy="de", seed=0)
    assert len(result.params["w"]) == 3 and all(type(k) is int for k in result.params["k"])
    assert str(result) and result.explain() and result.rows()[0]["w"] == result.trials[0].params["w"]


@pytest.mark.parametrize("how", [{}, {"repeats": 2}, {"vectorised": True}], ids=str)
def test_signs_of_what_is_maximised(how):
    events = []
    result = tw.maximize(
        lambda p: -((p["x"] - 0.3) ** 2) + 7, LINE, max_evals=200, strategy="de", seed=0, listeners=[events.append],
        stop=tw.Target(6.9999), progress=False, **how,
    )  # fmt: skip
    assert 6.9999 <= result.value <= 7 and result.evaluations < 200
    assert result.value == result.best.value == max(trial.value for trial in result.trials)
    assert result.front[0].value == result.value and result.fun == result.value
    assert result.rescore("value", "maximize")[0].value == result.value
    assert f"{result.value:.4g}" in str(result)
    improved = [event.data["value"] for event in events if event.kind == "improved"]
    assert improved == sorted(improved) and improved[-1] == result.value


def test_recommend_trusts_what_was_seen_often():
    study = tw.Study({"n": tw.Integer(1, 3)}, noisy=True, strategy="random", seed=0)
    for n, values in ((1, [5.0, -4.0, 5.0, 6.0]), (2, [1.0, 1.2, 0.9, 1.1]), (3, [-10.0])):
        study.add([{"n": n}] * len(values), values)
    assert study.best.params == {"n": 3}
    chosen = study.recommend()
    assert chosen.params == {"n": 2} and chosen.value == pytest.approx(1.05)
    plain = tw.Study(LINE, strategy="random", seed=0)
    with pytest.raises(tw.ThalwegError, match="nothing was evaluated"):
        plain.recommend()
    plain.run(height, max_evals=5)
    chosen = plain.recommend()
    assert chosen.params == plain.best.params and chosen.interval == (plain.best.value,) * 2


def test_whole_numbers_that_arithmetic_blurred_are_one_key():
    space = tw.Space({"n": tw.Integer(1, 20)})
    keys = space.keys(space.from_params([{"n": n} for n in (12, 12.0, np.int64(12), 12.000001, 11.999999)]))
    assert len(set(keys)) == 1
    with pytest.raises(tw.SpaceError, match="whole number"):
        space.from_params([{"n": 12.001}])
    with pytest.raises(tw.SpaceError, match="outside"):
        space.from_params([{"n": 21.000001}])
