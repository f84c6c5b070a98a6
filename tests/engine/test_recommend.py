"""The point to use under noise: better than the luckiest value, with an interval that holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.space import Space
from thalweg.engine.recommend import features, own_share, smooth

SPACE = {"x": tw.Float(-5, 5), "y": tw.Float(-5, 5)}


def bowl(p):
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2


def study_of(seed, sd=2.0, max_evals=80, space=SPACE, objective=bowl, **how):
    rng = np.random.default_rng(seed)
    study = tw.Study(space, seed=seed, noisy=True, **{"strategy": "random", **how})
    study.run(lambda p: objective(p) + sd * rng.standard_normal(), max_evals=max_evals)
    return study


@pytest.fixture(scope="module")
def studies():
    return [study_of(seed, strategy=name) for seed in range(8) for name in ("random", "de")]


def test_the_truth_is_better_than_that_of_the_lowest_value(studies):
    lucky = [bowl(min(study.trials, key=lambda trial: trial.value).params) for study in studies]
    said = [bowl(study.recommend().params) for study in studies]
    seen = [bowl(study.recommend(evaluated=True).params) for study in studies]
    assert np.mean(said) < 0.5 * np.mean(lucky) and np.mean(seen) < 0.8 * np.mean(lucky)


def test_values_and_intervals_are_honest(studies):
    inside, errors = [], []
    for study in studies:
        for evaluated in (True, False):
            found = study.recommend(evaluated=evaluated)
            low, high = found.interval
            assert low < found.value < high
            inside.append(low <= bowl(found.params) <= high)
            errors.append(found.value - bowl(found.params))
    assert np.mean(inside) >= 0.85
    lucky = [study.best.value - bowl(study.best.params) for study in studies]
    assert abs(np.mean(errors)) < abs(np.mean(lucky))


def test_points_between_evaluated_ones(studies):
    for study in studies:
        known = [trial.params for trial in study.trials]
        free, bound = study.recommend(), study.recommend(evaluated=True)
        assert bound.params in known and bound.evaluations == sum(item == bound.params for item in known)
        assert study.trials[bound.number].params == bound.params and "evaluated" in bound.reason
        if free.evaluations == 0:
            assert free.params not in known and free.number is None and "not evaluated" in free.reason
        assert all(-5 <= free.params[name] <= 5 for name in "xy")
        assert "95 %" in free.text() and str(free.params) in free.text()


def test_maximising_is_the_mirror_image():
    low = study_of(3)
    rng = np.random.default_rng(3)
    high = tw.Study(SPACE, seed=3, noisy=True, strategy="random", goal="maximize")
    high.run(lambda p: -(bowl(p) + 2 * rng.standard_normal()), max_evals=80)
    one, other = low.recommend(), high.recommend()
    assert other.value == pytest.approx(-one.value) and other.interval == pytest.approx(
        (-one.interval[1], -one.interval[0])
    )
    assert other.params == pytest.approx(one.params)


def test_without_noise_it_is_the_best_trial():
    result = tw.minimize(bowl, SPACE, strategy="de", seed=0, max_evals=60)
    found = result.recommend()
    assert found.params == result.params and found.value == result.value and found.interval == (result.value,) * 2
    assert found.number == result.best.number and found.evaluations == 1 and not result.noisy
    assert "replicate" not in result.rows()[0]


def test_replicates_alone_make_a_study_noisy():
    rng = np.random.default_rng(0)
    result = tw.minimize(
        lambda p: bowl(p) + rng.standard_normal(), SPACE, strategy="random", seed=0, repeats=4, max_evals=40
    )
    found = result.recommend(evaluated=True)
    assert result.noisy and found.evaluations == 4 and found.interval[1] - found.interval[0] > 0.1
    assert {row["replicate"] for row in result.rows()} == {0, 1, 2, 3}


@pytest.mark.parametrize("aggregate", ["median", "min"])
def test_other_aggregates_are_what_is_modelled(aggregate):
    study = tw.Study({"n": tw.Integer(1, 3)}, repeats=3, aggregate=aggregate, strategy="grid", seed=0)
    values = {1: [5.0, 0.0, 5.1], 2: [3.0, 3.2, 2.9], 3: [9.0, 9.1, 9.2]}
    study.run(lambda p: values[p["n"]].pop(), max_evals=9)
    assert study.recommend(evaluated=True).params == {"n": {"median": 2, "min": 1}[aggregate]}


def test_where_there_is_little_to_say():
    study = tw.Study(SPACE, strategy="random", seed=0, noisy=True)
    with pytest.raises(tw.ThalwegError, match="nothing was evaluated"):
        study.recommend()
    study.add([{"x": 0.0, "y": 0.0}], [3.0])
    found = study.recommend()
    assert found.value == 3 and found.interval == (-math.inf, math.inf) and "only value" in found.reason
    study.add([{"x": 0.0, "y": 0.0}] * 3, [4.0, 2.0, 3.0])
    found = study.recommend()
    assert found.value == 3 and found.evaluations == 4
    assert found.interval == pytest.approx((3 - 1.96 * (2 / 3) ** 0.5 / 2, 3 + 1.96 * (2 / 3) ** 0.5 / 2))
    study.add([{"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 1.0}], [3.0, 3.0])
    assert study.recommend().value == 3

    failed = tw.Study(SPACE, strategy="random", seed=0, noisy=True)
    failed.run(lambda p: 1 / 0, max_evals=4)
    with pytest.raises(tw.ThalwegError, match="4 failed"):
        failed.recommend()
    equal = tw.minimize(lambda p: 1.0, SPACE, strategy="random", seed=0, noisy=True, max_evals=12)
    assert equal.recommend().value == 1


def test_points_that_failed_or_violate_are_never_recommended():
    rng = np.random.default_rng(0)

    def objective(p):
        if p["x"] > 0.5:
            raise ValueError("right")
        return {"value": bowl(p) + rng.standard_normal(), "load": p["y"]}

    study = tw.Study(SPACE, strategy="random", seed=0, noisy=True, constraints="load >= -1")
    study.run(objective, max_evals=100)
    found = study.recommend()
    assert found.params["x"] <= 0.5 and found.params["y"] >= -1 and found.evaluations > 0


def test_requirements_hold():
    space = tw.Space(SPACE, require=["x + y >= 1"])
    found = study_of(0, space=space).recommend()
    assert found.params["x"] + found.params["y"] >= 1 - 1e-9


def test_mixed_spaces_keep_their_cells():
    space = {"x": tw.Float(1e-3, 1, log=True), "n": tw.Integer(1, 5), "k": tw.Choice(["a", "b", "c"])}

    def objective(p):
        return (math.log10(p["x"]) + 1.5) ** 2 + abs(p["n"] - 3) + 2 * (p["k"] != "b")

    found = study_of(1, 0.5, 120, space, objective).recommend()
    assert found.params["n"] in (2, 3, 4) and found.params["k"] == "b" and 1e-3 <= found.params["x"] <= 1
    kinds = Space.of(space)
    x, groups = features(kinds, kinds.sample(9, np.random.default_rng(0)))
    assert x.shape == (9, 5) and groups.tolist() == [0, 1, 2, 2, 2]
    assert [item.tolist() for item in smooth(kinds)] == [[0], [0]]


@pytest.mark.parametrize("count", [2000, 8000])
def test_long_studies_are_modelled_where_values_are_low(count):
    rng = np.random.default_rng(0)

    def columns(p):
        return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2 + 2 * rng.standard_normal(len(p["x"]))

    result = tw.minimize(columns, SPACE, strategy="random", seed=0, noisy=True, vectorised=True, max_evals=count)
    found = result.recommend()
    assert "300 evaluations" in found.reason and bowl(found.params) < 0.5


def test_huge_values_do_not_blind_it():
    def cliff(p):
        return bowl(p) if p["x"] < 3 else 1e12 * p["x"]

    assert bowl(study_of(0, 0.5, 100, objective=cliff).recommend().params) < 1


FIVE = {f"x{i}": tw.Float(-5, 5) for i in range(5)}


def rugged(p):
    """Every point has a value of its own: no neighbour says anything."""
    x = list(p.values())
    return math.sin(1e5 * (x[0] + 2 * x[1] - x[2])) + math.sin(2e5 * (x[0] - x[3] + 3 * x[4]))


def test_values_that_jump_from_point_to_point():
    """Replicates show that it is not noise: what was seen is believed, and nothing between is better."""
    gaps, inside = [], []
    for seed in range(5):
        study = study_of(seed, sd=0.1, objective=rugged, confirm=0.2, space=FIVE)
        found = study.recommend()
        assert found.evaluations >= 2
        gaps.append(rugged(found.params) - min(rugged(trial.params) for trial in study.trials))
        low, high = found.interval
        inside.append(low < rugged(found.params) < high)
        assert high - low < 1
    assert max(gaps) < 0.3 and np.mean(inside) >= 0.8


def test_the_part_of_noise_that_replicates_do_not_show():
    rng = np.random.default_rng(3)
    of = np.repeat(np.arange(60), 2)
    jumps, noise = rng.normal(size=60)[of], rng.normal(size=120)
    share = own_share(jumps + 0.1 * noise, of, 1.01)
    assert 0.9 < share < 1.0
    assert own_share(0.8 * jumps + 0.6 * noise, of, 1.0) == pytest.approx(0.55, abs=0.1)
    assert own_share(noise, of, 1.0) == 0.0  # nothing but noise
    assert own_share(jumps + 0.1 * noise, np.arange(120), 1.01) == 0.0  # no replicates
    few = np.append(np.arange(60), [0, 1, 2])
    assert own_share(rng.normal(size=63), few, 1e9) == 0.0  # too few


@pytest.mark.parametrize("seed", [0, 1])
def test_jumps_in_a_bowl_are_no_noise(seed):
    """The model follows the bowl and calls the rest noise; the few replicates know better."""
    rng, space = np.random.default_rng(seed), {f"x{i}": tw.Float(0, 1) for i in range(5)}
    study = tw.Study(space, seed=1, noisy=True, strategy="random")
    rows = rng.random((100, 5))
    worth = 8 * ((rows - 0.5) ** 2).sum(axis=1) + 0.7 * rng.normal(size=100)
    points = [{f"x{i}": float(v) for i, v in enumerate(row)} for row in rows]
    for row in [*range(100), *np.argsort(worth)[:4]]:
        study.add(points[row], worth[row] + 0.1 * rng.normal())
    found = study.recommend()
    assert "jump" in found.reason and found.params == points[int(np.argmin(worth))]
    assert found.evaluations == 2 and found.value == pytest.approx(worth.min(), abs=0.2)
    assert found.interval[0] < worth.min() < found.interval[1]
