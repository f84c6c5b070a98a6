"""Trials as growing columns: opened, finished, loaded, dropped, and shown to people."""

import math

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.evaluator import Outcomes
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space
from thalweg.core.store import StoredTrial
from thalweg.engine.history import History, tails

SPACE = Space({"x": Float(0, 1), "n": Integer(1, 9, when="x > 0.5")})


def history(signs=(1.0,), constrained=False):
    return History(SPACE, np.array(signs), constrained)


def rows(k, seed=0):
    return SPACE.decode(SPACE.sample(k, np.random.default_rng(seed)))


def opened(made, first, k, source="strategy", replicates=None):
    reals = rows(k, first)
    made.open(first, np.arange(first, first + k), reals, replicates, source)
    return reals


def outcomes(values, statuses=None, **more):
    values = np.array(values, dtype=float).reshape(len(values), -1)
    k = len(values)
    statuses = np.full(k, Status.DONE, np.int8) if statuses is None else np.array(statuses, dtype=np.int8)
    return Outcomes(values, statuses, np.arange(k) / 10, **more)


def test_rows_live_from_opening_to_finish():
    made = history()
    reals = opened(made, 0, 3)
    assert made.n == 3 and made.final().tolist() == [] and made.count(Status.WAITING) == 3
    made.finish(
        np.array([0, 1]), outcomes([5, math.nan], [Status.DONE, Status.FAILED], errors={1: "ValueError: x"}), 100.0, 1
    )
    assert made.final().tolist() == [0, 1] and made.good().tolist() == [0] and made.count(Status.FAILED) == 1
    trial = made.trial(1)
    assert trial.error == "ValueError: x" and trial.status is Status.FAILED and math.isnan(trial.value) and not trial.ok
    first = made.trial(0)
    assert first.params == SPACE.to_params(reals)[0] and first.value == 5.0 and first.ok and first.ticket == 0
    assert (first.seconds, first.started_unixtime, first.source, first.attempt) == (0.0, 100.0, "strategy", 1)


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [4, 1], [2]])
def test_outcomes_go_to_their_numbers_in_any_order(numbers):
    made = history()
    opened(made, 0, 5)
    made.finish(np.array(numbers), outcomes([float(number) for number in numbers]), 1.0, 2)
    assert made.final().tolist() == sorted(numbers)
    assert [made.trial(number).value for number in numbers] == numbers
    assert all(made.trial(number).attempt == 2 for number in numbers)


def test_growing_keeps_everything():
    made = history()
    kept = [opened(made, 0, 200)]
    made.finish(np.arange(200), outcomes(np.arange(200)), 1.0, 1)
    for first in range(200, 3000, 700):
        kept.append(opened(made, first, 700))
    assert made.n == 3000
    assert made.reals[: made.n].tobytes() == np.concatenate(kept).tobytes()
    assert made.values[:200, 0].tolist() == list(range(200)) and np.isnan(made.values[200:3000]).all()
    assert made.tickets[:3000].tolist() == list(range(3000))


def test_numbers_between_belong_to_others():
    made = history()
    opened(made, 0, 1)
    opened(made, 600, 2)
    made.finish(np.array([0, 600, 601]), outcomes([1, 2, 3]), 1.0, 1)
    assert made.n == 602 and made.opened == 3 and made.final().tolist() == [0, 600, 601]


def test_people_see_their_own_sign():
    made = history(signs=(1.0, -1.0))
    opened(made, 0, 1)
    made.finish(np.array([0]), outcomes([[2.0, -3.0]]), 1.0, 1)
    assert made.trial(0).values == (2.0, 3.0)


def test_violations_count_where_constraints_are_measured():
    for constrained, good in ((True, [0]), (False, [0, 1])):
        made = history(constrained=constrained)
        opened(made, 0, 2)
        made.finish(np.array([0, 1]), outcomes([1, 2], violations=np.array([0.0, 0.5])), 1.0, 1)
        assert made.good().tolist() == good
        assert made.trial(1).violation == 0.5 and not made.trial(1).ok


def test_rare_things_are_kept_by_number():
    made = history()
    opened(made, 0, 2, source="initial", replicates=np.array([0, 3]))
    made.finish(np.array([0, 1]), outcomes([1, 2], components=[None, {"cpu": 3}], worker="pid 5"), 1.0, 300)
    assert made.trial(1).components == {"cpu": 3} and made.trial(0).components == {}
    assert made.trial(1).worker == "pid 5" and made.trial(1).source == "initial" and made.trial(1).replicate == 3
    assert made.trial(0).attempt == 127, "attempts are counted up to what a byte holds"


def test_abandoned_trials_ended_without_a_result():
    made = history()
    opened(made, 0, 2)
    made.finish(np.array([0, 1]), outcomes([math.nan, 1], [Status.ABANDONED, Status.PRUNED]), 1.0, 1)
    assert made.final().tolist() == [1] and made.good().tolist() == []


def test_dropped_rows_give_their_numbers_back_from_the_end():
    made = history()
    reals = opened(made, 0, 5, source="user", replicates=np.full(5, 2))
    keys = SPACE.keys(reals)
    made.index.update({key: number for number, key in enumerate(keys)})
    made.index[keys[4]] = 0  # another trial answers for this key
    made.drop([1, 3, 4], [keys[1], keys[3], keys[4]])
    assert made.n == 3 and made.opened == 2
    assert keys[1] not in made.index and keys[3] not in made.index and made.index[keys[4]] == 0
    assert sorted(made.sources) == [0, 2]
    opened(made, 3, 2)
    trial = made.trial(3)
    assert (trial.source, trial.replicate, trial.ticket) == ("strategy", 0, 3), "nothing of the dropped row is left"


def stored(number, params, **more):
    return StoredTrial(number, number, params, Status.DONE, [float(number)], **more)


def test_stored_trials_come_back_as_they_were():
    made = history()
    reals = opened(made, 0, 40)
    made.finish(np.arange(40), outcomes(np.arange(40)), 7.0, 1)
    twin = history()
    labels = SPACE.to_labels(reals)
    trials = [stored(i, labels[i], seconds=made.seconds[i], started_unixtime=7.0) for i in reversed(range(40))]
    twin.load(trials)
    assert twin.n == twin.opened == 40
    assert twin.reals[:40].tobytes() == made.reals[:40].tobytes()
    assert twin.trials(np.arange(40)) == made.trials(np.arange(40))
    assert {key: twin.index[key] for key in SPACE.keys(reals)} == twin.index


def test_loading_rare_things_gaps_and_other_widths():
    made = history()
    trials = [
        stored(2, {"x": 0.25}, components={"a": 1}, error="", worker="w", source="added", attempt=500, replicate=1),
        StoredTrial(700, -1, {"x": 0.75, "n": 3}, Status.FAILED, [], error="KeyError: 'x'", fidelity=0.5),
    ]
    made.load(trials)
    keys = SPACE.keys(made.reals[[2, 700]])
    assert made.index == {keys[0] + tails(np.array([1]))[0]: 2, keys[1]: 700}
    first, second = made.trials(np.array([2, 700]))
    assert (first.params, first.components, first.worker, first.source, first.attempt) == (
        {"x": 0.25},
        {"a": 1},
        "w",
        "added",
        127,
    )
    assert second.params == {"x": 0.75, "n": 3} and math.isnan(second.value) and second.error == "KeyError: 'x'"
    assert second.fidelity == 0.5 and made.final().tolist() == [2, 700] and made.good().tolist() == [2]
    made.load([])
    assert made.opened == 2


def test_the_first_trial_with_a_key_answers_for_it():
    made = history()
    made.load([stored(0, {"x": 0.25}), stored(1, {"x": 0.25})])
    assert list(made.index.values()) == [0]
    made.load([stored(2, {"x": 0.25}), stored(3, {"x": 0.5})])
    assert list(made.index.values()) == [0, 3]


def test_a_retracted_trial_answers_for_no_key():
    made = history()
    retracted = stored(0, {"x": 0.25})
    retracted.status = Status.ABANDONED
    made.load([retracted, stored(1, {"x": 0.25}), stored(2, {"x": 0.5})])
    assert sorted(made.index.values()) == [1, 2]
    late = stored(3, {"x": 0.75})
    late.status = Status.ABANDONED
    made.load([late])
    assert made.n == 4 and sorted(made.index.values()) == [1, 2]
