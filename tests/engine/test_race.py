"""Racing and confirmation: who is evaluated again, what it costs, and that histories stay reproducible."""

from __future__ import annotations

import math
import random
import shutil
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import thalweg as tw
from thalweg.engine.race import Race, read_confirm, read_repeats

SPACE = {"x": tw.Float(-5, 5), "y": tw.Float(-5, 5)}


def noise(p, context):
    """Normal noise that depends on nothing but the trial, in whatever order or thread it runs."""
    return float(np.random.default_rng([context.number, 11]).standard_normal())


def bowl(p):
    return p["x"] ** 2 + p["y"] ** 2


def noisy(p, context):
    return bowl(p) + noise(p, context)


def slow(p, context):
    time.sleep(random.random() * 0.002)
    return noisy(p, context)


def groups(trials):
    found = {}
    for trial in trials:
        found.setdefault((trial.params["x"], trial.params["y"], trial.ticket), []).append(trial)
    return found


def rows(study):
    return [(trial.number, trial.params, trial.values, trial.replicate, trial.ticket) for trial in study.trials]


# --- the rule ---------------------------------------------------------------------------------------------------------


def known(low, high, share=0.0):
    race = Race(low, high, share)
    race.learn(0, [-1.0, 1.0] * 50)  # sd 1
    return race


def test_the_noise_of_one_evaluation_is_pooled():
    race = Race(1, 8)
    assert math.isnan(race.sd)
    rng = np.random.default_rng(0)
    for number in range(300):
        race.learn(number, list(10 * number + 3 * rng.standard_normal(3)))
    assert race.sd == pytest.approx(3, rel=0.1)
    before = race.sd
    race.learn(5, [0.0, 1e9])  # told already
    race.learn(1000, [7.0])
    assert race.sd == before and race.knows(5) and not race.knows(1001)
    assert race.own_sd([0.0] * 50, 3.0) < 1 < race.own_sd([0.0, 0.0], 3.0) < 3


@pytest.mark.parametrize("flukes", [1, 3])
@pytest.mark.parametrize("count", [2, 4])
def test_a_few_flukes_do_not_make_everything_doubtful(flukes, count):
    rng = np.random.default_rng(2)
    race = Race(1, 8)
    for number in range(30):
        values = rng.normal(0, 2, count)
        if number < flukes:
            values[0] -= 500.0
        race.learn(number, values.tolist())
    assert 1.4 < race.sd < 3.2
    # a point that lies four standard errors behind has lost; with a spread of hundreds nobody ever would
    assert race.further([13.0, 14.0], 13.5, (0.0, 4), 60) == 0


def test_what_most_values_are_is_no_fluke():
    """Half of the points without any noise, and a single point: the spread is what it always was."""
    race = Race(1, 8)
    race.learn(0, [1.0, 3.0])
    assert race.sd == pytest.approx(2**0.5, rel=1e-5)
    for number in range(1, 4):
        race.learn(number, [5.0, 5.0])
    assert race.sd == pytest.approx((2 / 4) ** 0.5, rel=1e-5)


def test_bad_points_stop_and_close_ones_go_on():
    race = known(1, 8)
    assert race.further([5.0], 5.0, (0.0, 8), 100) == 0
    assert race.further([0.3], 0.3, (0.0, 8), 100) == 1
    assert race.further([-0.5], -0.5, (0.0, 8), 100) == 1
    assert race.further([-9.0], -9.0, (0.0, 8), 100) == 1  # luck, perhaps
    assert race.further([-9.0, -9.0], -9.0, (0.0, 8), 100) == 0
    assert race.further([0.0] * 8, 0.0, (0.0, 8), 100) == 0
    assert race.further([math.inf], math.inf, (0.0, 8), 100) == 0
    assert race.further([3.0], 3.0, None, 100) == 1 and race.further([3.0, 3.0], 3.0, None, 100) == 0


def test_only_a_new_best_is_confirmed_and_only_so_often():
    race = known(1, 4, 0.1)
    assert race.further([0.1], 0.1, (0.0, 4), 100) == 0
    assert race.further([-50.0], -50.0, (0.0, 4), 100) == 1  # however sure it looks
    assert race.further([-50.0, -50.0], -50.0, (0.0, 4), 100) == 0
    assert race.further([-0.5, -0.5], -0.5, (0.0, 4), 100) == 1
    assert race.further([-1.0, 2.0], 0.5, (0.0, 4), 100) == 0
    assert race.further([-0.1] * 4, -0.1, (0.0, 4), 100) == 0
    race.spent = 11
    assert race.further([-5.0], -5.0, (0.0, 4), 100) == 0
    assert race.further([-0.1, -0.1], -0.1, (0.0, 4), 100) == 1  # begun, so finished
    assert race.further([-5.0], -5.0, (0.0, 4), 120) == 1
    # too good to be true: a reserve of one whole confirmation
    assert race.further([-50.0], -50.0, (0.0, 4), 100) == 1
    race.spent = 15
    assert race.further([-50.0], -50.0, (0.0, 4), 100) == 0 and race.further([-50.0], -50.0, (0.0, 4), 120) == 1
    race.spent = 0
    assert race.further([-50.0], -50.0, None, 100) == 1 and race.further([-50.0] * 2, -50.0, None, 100) == 0


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "many", (0, 3), (3, 2), (1, 2, 3), (1, "a"), None])
def test_repeats_that_cannot_be(given):
    with pytest.raises(tw.ProblemError, match="repeats"):
        read_repeats(given)
    assert read_repeats(3) == (3, 3) and read_repeats([2, 5]) == (2, 5)
    assert read_repeats("race")[0] < read_repeats("race")[1]


@pytest.mark.parametrize("given", [-0.1, 1.0, "yes", math.nan])
def test_confirmations_that_cannot_be(given):
    with pytest.raises(tw.ProblemError, match="confirm"):
        tw.Study(SPACE, noisy=True, confirm=given)


def test_where_there_is_nothing_to_confirm():
    assert read_confirm(None, True, (1, 1), 1) > 0
    for noisy_, repeats, objectives in ((False, (1, 1), 1), (True, (3, 3), 1), (True, (1, 8), 1), (True, (1, 1), 2)):
        assert read_confirm(None, noisy_, repeats, objectives) == read_confirm(False, noisy_, repeats, objectives) == 0
        with pytest.raises(tw.ProblemError, match="noisy=True"):
            read_confirm(True, noisy_, repeats, objectives)
    with pytest.raises(tw.ProblemError, match="one objective"):
        tw.Study(SPACE, objectives=2, repeats="race", strategy="nsga2")


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "de", "cmaes", "quadratic"])
def test_races_spend_on_good_points(name):
    result = tw.minimize(noisy, SPACE, strategy=name, seed=0, noisy=True, repeats=(1, 6), max_evals=200)
    assert result.evaluations == 200
    found = groups(result.trials)
    counts = np.array([len(trials) for trials in found.values()])
    true = np.array([bowl(trials[0].params) for trials in found.values()])
    assert counts.max() > 2 and counts.max() <= 6
    assert true[counts > 2].mean() < true[counts == 1].mean() / 2
    own = next(trials for trials in found.values() if result.best in trials)
    assert len(own) > 1 and result.value == pytest.approx(np.mean([t.value for t in own]))


def test_at_least_low():
    result = tw.minimize(noisy, SPACE, strategy="random", seed=0, repeats=(2, 5), max_evals=100)
    counts = Counter(len(trials) for trials in groups(result.trials).values())
    assert set(counts) <= {2, 3, 4, 5} and counts[2] > 20 and sum(counts.values()) > 25


class Heard(tw.Strategy):
    """Proposes random points and keeps what it hears."""

    heard: list = []

    def propose(self, n):
        return self.rng.random((n, self.dimension))

    def learn(self, answers):
        Heard.heard.append(answers)


def test_the_strategy_hears_means_with_their_standard_errors():
    Heard.heard = []
    study = tw.Study(SPACE, strategy=Heard(), seed=0, noisy=True)
    study.run(noisy, max_evals=400)
    found = groups(study.trials)
    repeated = {key: trials for key, trials in found.items() if len(trials) > 1}
    assert len(repeated) >= 3 and sum(len(trials) - 1 for trials in repeated.values()) <= 41
    told = 0
    for answers in Heard.heard:
        for point, value, error in zip(answers.points, answers.values[:, 0], answers.noise[:, 0], strict=True):
            x, y = (10 * point - 5).tolist()
            trials = next(t for key, t in found.items() if key[:2] == pytest.approx((x, y), abs=1e-9))
            told += 1
            if len(trials) == 1:
                assert value == trials[0].value and math.isnan(error)
            else:
                assert value == pytest.approx(np.mean([t.value for t in trials]))
                assert 0.2 / len(trials) ** 0.5 < error < 2.5 / len(trials) ** 0.5
    assert told >= len(found) - 1


def test_no_confirmation_where_it_is_switched_off():
    result = tw.minimize(noisy, SPACE, strategy="random", seed=0, noisy=True, confirm=False, max_evals=100)
    assert len(groups(result.trials)) == 100
    some = tw.minimize(noisy, SPACE, strategy="cmaes", seed=0, noisy=True, confirm=0.01, max_evals=200)
    many = tw.minimize(noisy, SPACE, strategy="cmaes", seed=0, noisy=True, confirm=0.5, max_evals=200)
    assert 193 <= len(groups(some.trials)) < 200 and 100 <= len(groups(many.trials)) < len(groups(some.trials))


def test_an_injected_fluke_is_not_believed():
    def objective(p, context):
        return -1000.0 if context.number == 40 else noisy(p, context)

    improved = []
    study = tw.Study(
        SPACE, strategy="de", seed=0, noisy=True,
        listeners=[lambda event: improved.append(event.data["value"]) if event.kind == "improved" else None],
    )  # fmt: skip
    result = study.run(objective, max_evals=150)
    fluke = next(trial for trial in result.trials if trial.value == -1000)
    again = [trial for trial in result.trials if trial.params == fluke.params]
    assert len(again) >= 3, "it is looked at again"
    assert result.params != fluke.params and result.value > -5 and min(improved) > -5
    assert result.recommend().value > -5 and bowl(result.recommend().params) < 1
    naive = tw.minimize(objective, SPACE, strategy="de", seed=0, noisy=True, confirm=False, max_evals=150)
    assert naive.value == -1000


@pytest.mark.parametrize("at", [9, 12, 20])
def test_a_fluke_is_looked_at_again_though_the_share_is_spent(at):
    """Of one point at a time, the first confirmations have used the share up; the events and the report tell of it."""
    calls, improved, rng = [0], [], np.random.default_rng(3)

    def objective(p):
        calls[0] += 1
        return bowl(p) + 0.5 * rng.standard_normal() - 40.0 * (calls[0] == at)

    study = tw.Study(
        SPACE, strategy="bayesian", seed=0, noisy=True,
        listeners=[lambda event: improved.append(event.data["value"]) if event.kind == "improved" else None],
    )  # fmt: skip
    result = study.run(objective, max_evals=40)
    assert result.value > -3 and min(improved) > -3 and improved[-1] == pytest.approx(result.value)
    fluke = min(result.trials, key=lambda trial: trial.value)
    if fluke.replicate == 0:  # otherwise it was itself a second look
        assert sum(trial.params == fluke.params for trial in result.trials) >= 3
        assert f"trial {fluke.number}: far from all that followed" in result.explain()
    assert "looked at a point again" in result.explain() and "recommended: " in result.explain()


def test_what_is_confirmed_is_believed_for_good_reason():
    """How far the value of the best lies below its true one: the winner's curse, with and without."""
    optimism = {True: [], False: []}
    for seed in range(15):
        for confirm, found in optimism.items():
            rng = np.random.default_rng(seed)
            result = tw.minimize(
                lambda p, rng=rng: bowl(p) / 5 + rng.standard_normal(), SPACE, strategy="de", seed=seed, noisy=True,
                confirm=confirm, max_evals=300,
            )  # fmt: skip
            found.append(bowl(result.params) / 5 - result.value)
    assert np.mean(optimism[False]) > 1.5 and np.mean(optimism[True]) < 0.7 * np.mean(optimism[False])


def test_failures_are_not_repeated():
    def objective(p, context):
        if p["x"] > 0:
            raise ValueError("right")
        return noisy(p, context)

    result = tw.minimize(objective, SPACE, strategy="random", seed=0, repeats="race", noisy=True, max_evals=80)
    assert result.evaluations == 80
    assert all(len(trials) == 1 for key, trials in groups(result.trials).items() if key[0] > 0)


@pytest.mark.parametrize("how", [{"repeats": "race"}, {"repeats": (2, 4)}, {}, {"confirm": 0.4}])
def test_batches_and_threads_keep_the_budget(how):
    def columns(p):
        return p["x"] ** 2 + p["y"] ** 2 + np.random.default_rng(len(p["x"])).standard_normal(len(p["x"]))

    for budget in (1, 2, 3, 50, 131):
        result = tw.minimize(
            columns, SPACE, strategy="de", seed=0, noisy=True, vectorised=True, max_evals=budget, **how
        )
        assert result.evaluations == budget
    result = tw.minimize(
        slow, SPACE, strategy="de", seed=0, noisy=True, evaluator="thread", workers=5, max_evals=90, **how
    )
    assert result.evaluations == 90


def test_by_hand():
    study = tw.Study(SPACE, strategy="random", seed=0, repeats=(1, 3))
    first = study.ask(1)
    study.tell(first, [1.0])
    again = study.ask(1)
    assert again[0].params == first[0].params and again[0].replicate == 1
    study.tell(again, [1.2])
    worse = study.ask(1)
    assert worse[0].params != first[0].params
    study.tell(worse, [50.0])
    close = study.ask(1)
    assert close[0].params not in (worse[0].params, first[0].params), "50 has lost"
    study.tell(close, [1.1])
    assert study.ask(1)[0].params == close[0].params


# --- reproducible -----------------------------------------------------------------------------------------------------

HOW = [
    {"repeats": "race"},
    {"repeats": (2, 5)},
    {"noisy": True},
    {"noisy": True, "confirm": 0.4, "aggregate": "median"},
]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize(("name", "width"), [("de", 4), ("cmaes", 1), ("quadratic", 2)])
def test_ordered_histories_do_not_depend_on_timing(name, width, how):
    study = tw.Study(SPACE, strategy=name, seed=3, ordered=width, **how)
    study.run(noisy, max_evals=70)
    whole = rows(study)
    assert len(whole) == 70 and any(replicate for _, _, _, replicate, _ in whole)
    for workers in (2, 5):
        study = tw.Study(SPACE, strategy=name, seed=3, ordered=width, **how)
        study.run(slow, max_evals=70, evaluator="thread", workers=workers)
        assert rows(study) == whole


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize(("name", "width"), [("de", 3), ("cmaes", 2)])
def test_stored_studies_go_on_as_if_never_interrupted(tmp_path, name, width, how):
    budgets = (9, 24, 25, 60)
    study = tw.Study(SPACE, strategy=name, seed=3, ordered=width, **how)
    for budget in budgets:
        study.run(noisy, max_evals=budget)
    whole, best = rows(study), study.best.number
    for budget in budgets:
        with tw.Study(SPACE, strategy=name, seed=3, ordered=width, store=tmp_path / "a.db", **how) as study:
            study.run(slow, max_evals=budget, evaluator="thread", workers=2)
            found, number = rows(study), study.best.number
    assert found == whole and number == best
    with tw.load(tmp_path / "a.db", "study") as study:
        assert study.best.number == best and len(study.trials) == 60
        assert study.run(slow, max_evals=66).evaluations == 66


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("cut", [3, 17, 18, 19, 31])
def test_cut_at_any_evaluation(tmp_path, cut, how):
    """What was in the store in the middle of an evaluation, as a kill leaves it, leads to the same history."""
    calls = 0

    def copied(p, context):
        nonlocal calls
        calls += 1
        if calls == cut:
            for file in filter(Path.is_file, tmp_path.glob("a.db*")):
                shutil.copy(file, tmp_path / file.name.replace("a.db", "b.db"))
        return noisy(p, context)

    with tw.Study(SPACE, strategy="de", seed=3, ordered=2, store=tmp_path / "a.db", **how) as study:
        study.run(copied, max_evals=50)
        whole = rows(study)
    with warnings.catch_warnings(action="ignore"):  # the objective is another function
        study = tw.Study(SPACE, strategy="de", seed=3, ordered=2, store=tmp_path / "b.db", **how)
        assert len(study.trials) < cut
        study.run(noisy, max_evals=50)
        assert rows(study) == whole
        study.close()


def test_a_stored_study_keeps_how_it_confirms(tmp_path):
    with tw.Study(SPACE, strategy="random", seed=0, noisy=True, confirm=False, store=tmp_path / "a.db") as study:
        study.run(noisy, max_evals=60)
    with tw.Study(SPACE, strategy="random", noisy=True, store=tmp_path / "a.db") as study:
        study.run(noisy, max_evals=120)
        assert len(groups(study.trials)) == 120
    with pytest.raises(tw.StoreError, match="confirm"):
        tw.Study(SPACE, strategy="random", noisy=True, confirm=0.5, store=tmp_path / "a.db")


@pytest.mark.parametrize("how", HOW, ids=str)
def test_another_strategy_takes_over(tmp_path, how):
    """Points that were still racing are nobody's any more: they are learnt as they are."""
    for budget in (11, 12, 13):
        file = tmp_path / f"{budget}.db"
        with tw.Study(SPACE, strategy="de", seed=3, store=file, **how) as study:
            study.run(noisy, max_evals=budget)
        with tw.Study(SPACE, strategy="cmaes", store=file, **how) as study:
            result = study.run(noisy, max_evals=60)
        assert result.evaluations == 60 and result.stop_reason.startswith("max_evals")
