"""What a study holds of each trial: less than a kilobyte in every ordinary way of working, and few objects."""

import gc
import tracemalloc

import numpy as np
import pytest

import thalweg as tw
from thalweg.parts.stores import open_store

COUNT = 1500
SPACE = {name: tw.Float(-5.0, 5.0) for name in "abcde"}


def plain(p):
    return (p["a"] - 1.0) * (p["a"] + 2.0)


def named(p):
    rest = {f"metric {i}": p["b"] * i for i in range(6)}
    return {"loss": plain(p), "time": p["c"] * 2.0, "epochs": 7, "ok": True, **rest}


def by_hand(study, objective):
    for _ in range(COUNT):
        (trial,) = study.ask()
        study.tell(trial, objective(trial.params))


def by_run(study, objective):
    study.run(objective, max_evals=COUNT, progress=False)


def by_columns(study, objective):
    def columns(c):
        found = objective(c)
        if objective is plain:
            return found
        return {name: np.broadcast_to(item, c["a"].shape) for name, item in found.items()}

    study.run(columns, max_evals=COUNT, progress=False, vectorised=True)


def study_in(where, objective):
    store = None if where == "memory" else open_store(where, durability="fast")
    objectives = ["loss"] if objective is named else None
    return tw.Study(SPACE, store=store, name="study", strategy="random", seed=1, objectives=objectives)


def held(work):
    """(bytes, blocks of memory) per trial that `work` leaves held."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = work()
        gc.collect()
        found = tracemalloc.take_snapshot().statistics("filename")
    finally:
        tracemalloc.stop()
    del kept
    return sum(item.size for item in found) / COUNT, sum(item.count for item in found) / COUNT


@pytest.mark.parametrize("objective", [plain, named])
@pytest.mark.parametrize("work", [by_hand, by_run, by_columns])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_study_that_works(tmp_path, where, work, objective):
    first = study_in("memory", objective)
    by_run(first, objective)  # what modules hold is not of the trials
    study = study_in("memory" if where == "memory" else f"sqlite:///{tmp_path}/a.db", objective)
    in_bytes, _ = held(lambda: work(study, objective))
    assert len(study.trials) == COUNT and in_bytes < 1000  # 300 to 700; it was 400 to 3,000
    if objective is named:
        want = [named(trial.params) for trial in study.trials]
        assert [trial.components for trial in study.trials] == want
    study.close()


@pytest.mark.parametrize("objective", [plain, named])
def test_a_study_that_was_loaded(tmp_path, objective):
    where = f"sqlite:///{tmp_path}/a.db"
    with study_in(where, objective) as study:
        by_run(study, objective)
        want = study.trials
    tw.load(where, "study").close()
    kept = []
    in_bytes, blocks = held(lambda: kept.append(tw.load(where, "study")))
    assert in_bytes < 600 and blocks < 1, "columns, and no object for each trial"  # 190 and 0.1; it was 900 and 8
    assert kept[0].trials == want
    assert set(kept[0].session.history.index.values()) == set(range(COUNT)), "made when it is first asked for"
    kept[0].close()


def test_trials_given_back_leave_the_others_joined():
    """A run that is stopped gives back what had not started; that makes no objects of all the others."""
    study = study_in("memory", plain)
    store, number = study.store, study._id
    by_hand(study, plain)
    study.session.release([study.session.open(study.session.draw(3), None)[0]])
    assert not store._studies[number].trials and len(store._studies[number].packs) > 1
    trials, version = store.since(number)
    assert [trial.number for trial in trials] == list(range(COUNT)) and version == 2 * COUNT + 2
    assert [trial.number for trial in store.since(number, version - 3)[0]] == [COUNT - 1, COUNT, COUNT + 1, COUNT + 2]
    assert [trial.values for trial in trials] == [list(trial.values) for trial in study.trials]
