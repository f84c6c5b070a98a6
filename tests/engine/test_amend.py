"""Points that people give to a study: each is tried as often as it was asked for, however often a call is repeated."""

from collections import Counter

import pytest

import thalweg as tw

SPACE = {"x": tw.Float(0, 1), "y": tw.Float(0, 1)}
POINTS = [{"x": i / 10, "y": 0.5} for i in range(5)]


class Counted:
    def __init__(self):
        self.times = Counter()

    def __call__(self, params):
        self.times[params["x"], params["y"]] += 1
        return params["x"] + params["y"]

    def of(self, points):
        return [self.times[point["x"], point["y"]] for point in points]


def study(store, **options):
    return tw.Study(SPACE, store=store, strategy="random", seed=1, **options)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    ("options", "each"),
    [
        ({}, 1),
        ({"noisy": True, "confirm": False}, 1),
        ({"cache": False}, 1),
        ({"noisy": True, "ordered": 4, "confirm": False}, 1),
        ({"repeats": 3}, 3),
        ({"noisy": True, "repeats": 3}, 3),
    ],
)
def test_initial_points_are_tried_once_however_often_the_call_is_repeated(tmp_path, options, each, stored):
    store, objective = tmp_path / "a.db" if stored else None, Counted()
    with study(store, **options) as one:
        for budget in (2, 12, 24):  # the first budget is used up before all of them were tried
            one.run(objective, max_evals=budget, initial=POINTS)
        if not stored:
            one.run(objective, max_evals=40, initial=POINTS)
    if stored:
        with study(store, **options) as one:
            one.run(objective, max_evals=40, initial=POINTS)
    assert objective.of(POINTS) == [each] * 5
    assert [trial.source for trial in one.trials].count("initial") == 5 * each


def test_what_a_race_or_a_doubt_adds_to_a_point_is_no_reason_to_try_it_again():
    objective = Counted()
    one = study(None, noisy=True)
    one.run(objective, max_evals=12, initial=POINTS)
    before = objective.of(POINTS)
    assert max(before) > 1  # what seemed the best was confirmed
    one.run(objective, max_evals=40, initial=POINTS)
    assert [trial.source for trial in one.trials if trial.replicate == 0].count("initial") == 5


def test_where_equal_points_may_differ_a_point_given_twice_is_tried_twice():
    objective, noisy = Counted(), {"noisy": True, "confirm": False}
    one = study(None, **noisy)
    one.run(objective, max_evals=10, initial=[POINTS[0], POINTS[1], POINTS[0]])
    assert objective.of(POINTS[:2]) == [2, 1]
    one.run(objective, max_evals=20, initial=[POINTS[0]] * 3)
    assert objective.of(POINTS[:2]) == [3, 1]
    one.enqueue(POINTS[0])
    one.run(objective, max_evals=30)
    assert objective.of(POINTS[:2]) == [4, 1]


def test_a_retracted_initial_point_is_tried_again():
    objective = Counted()
    for options in ({}, {"noisy": True, "confirm": False}):
        objective.times.clear()
        one = study(None, **options)
        one.run(objective, max_evals=6, initial=POINTS)
        one.retract(one.trials[2], "a wrong result")
        one.run(objective, max_evals=12, initial=POINTS)
        assert objective.of(POINTS) == [1, 1, 2, 1, 1]


@pytest.mark.parametrize("options", [{}, {"noisy": True, "confirm": False}, {"repeats": 2}])
def test_what_people_queued_outlives_a_retraction(options):
    objective = Counted()
    one = study(None, **options)
    one.run(objective, max_evals=4)
    one.enqueue(POINTS[0])
    worst = one.trials[0]
    one.retract(worst, "a wrong result", again=True)
    one.run(objective, max_evals=12)
    repeats = options.get("repeats", 1)
    assert objective.of(POINTS[:1]) == [repeats]
    assert objective.of([worst.params]) == [2 * repeats]


def test_a_point_that_waits_is_not_queued_twice():
    objective = Counted()
    one = study(None)
    assert [one.enqueue(POINTS[0]), one.enqueue(POINTS[:2]), one.enqueue(POINTS[:2])] == [1, 1, 0]
    one.run(objective, max_evals=6, initial=POINTS[:3])
    assert objective.of(POINTS[:3]) == [1, 1, 1]
