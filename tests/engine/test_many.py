"""Many problems at once: the answers of each, budgets, who is done, and calls that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg as tw

B = 24
CENTRES = np.random.default_rng(7).uniform(-2, 2, (B, 2))
BOX = [(-3.0, 3.0), (-3.0, 3.0)]


def bowls(x, which):
    return ((x - CENTRES[which]) ** 2).sum(axis=1)


def run(objective=bowls, space=BOX, **how):
    return tw.minimize_many(objective, space, **{"problems": B, "max_evals": 400, "seed": 0, **how})


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
def test_each_problem_finds_its_own_optimum(strategy):
    result = run(strategy=strategy, max_evals=700)
    assert np.abs(result.x - CENTRES).max() < 1e-3 and result.values.max() < 1e-6
    assert result.values == pytest.approx(bowls(result.x, np.arange(B)))
    assert (result.evaluations <= 700).all() and result.success.all() and len(result) == B
    one = result[3]
    assert one.value == result.values[3] and (one.params == result.x[3]).all() and one.evaluations <= 700
    assert [item.value for item in result] == result.values.tolist() and result[-1].value == result.values[-1]
    with pytest.raises(IndexError, match="24"):
        result[B]


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
@pytest.mark.parametrize("max_evals", [1, 2, 7, 50, 123])
def test_budgets_are_kept_and_counted(strategy, max_evals):
    seen = np.zeros(B, dtype=int)

    def counted(x, which):
        np.add.at(seen, which, 1)
        return bowls(x, which)

    result = run(counted, strategy=strategy, max_evals=max_evals)
    assert (seen == result.evaluations).all() and (seen <= max_evals).all() and result.success.all()
    if strategy != "quasi_newton":  # which needs all differences of a gradient, or none
        assert (seen == max_evals).all()
    assert result.reasons == ["max_evals"] * B


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
def test_a_seed_gives_the_same_search(strategy):
    first, again, other = (run(strategy=strategy, max_evals=60, seed=seed) for seed in (1, 1, 2))
    assert (first.x == again.x).all()
    assert strategy == "quasi_newton" or (first.x != other.x).any()


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
def test_problems_that_are_done_are_not_evaluated_any_more(strategy):
    late = []

    def objective(x, which):
        late.append(set(which.tolist()))
        return bowls(x, which) + which

    target = np.where(np.arange(B) % 2, 0.1 + np.arange(B), -1.0)  # even ones never arrive
    result = run(objective, strategy=strategy, target=target, max_evals=300)
    assert [reason == "target" for reason in result.reasons] == [bool(i % 2) for i in range(B)]
    assert result.evaluations[1::2].max() < result.evaluations[::2].min()
    assert late[-1] <= set(range(0, B, 2))
    assert (result.values[1::2] <= target[1::2]).all()


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
def test_with_a_tolerance_converged_problems_stop(strategy):
    result = run(strategy=strategy, tolerance=1e-6, max_evals=5000)
    assert result.reasons == ["converged"] * B
    assert result.evaluations.max() < 3000 and np.abs(result.x - CENTRES).max() < 1e-2


@pytest.mark.parametrize("strategy", ["de", "cmaes"])
def test_without_one_they_begin_again_elsewhere(strategy):
    def traps(x, which):  # a wide basin and a narrow, deeper one
        z = x - CENTRES[which]
        return np.minimum((z * z).sum(axis=1), 10 * ((z - 0.9) ** 2).sum(axis=1) - 1)

    result = run(traps, strategy=strategy, max_evals=6000)
    assert (result.values < -0.99).mean() > 0.8


def test_mixed_spaces():
    space = {
        "x": tw.Float(1e-3, 1.0, log=True),
        "n": tw.Integer(1, 40),
        "kind": tw.Choice(["a", "b", "c"]),
        "p": tw.Float(0, 1, when="kind == 'b'"),
    }
    wanted = np.arange(B) % 37 + 1

    def objective(p, which):
        assert set(p) == set(space) and p["n"].dtype.kind == "i" and len(p["kind"]) == len(which)
        part = np.where(p["kind"] == "b", np.nan_to_num(p["p"], nan=9.0), 2.0)
        return np.abs(p["n"] - wanted[which]) + np.log10(p["x"] / 0.03) ** 2 + part

    result = run(objective, space, max_evals=1200)
    assert (result.params["n"] == wanted).mean() > 0.9
    assert (result.params["kind"] == "b").mean() > 0.9 and np.median(result.values) < 0.05
    assert set(result[0].params) <= set(space) and isinstance(result[0].params["n"], int)
    with pytest.raises(tw.ProblemError, match="order"):
        run(objective, space, strategy="cmaes")
    with pytest.raises(tw.ProblemError, match="floats"):
        run(objective, space, strategy="quasi_newton")


def test_integers_of_cmaes_do_not_freeze():
    wanted = np.arange(B) * 2 + 3

    def objective(p, which):
        return (p["n"] - wanted[which]) ** 2 + (p["x"] - 0.3) ** 2

    result = run(objective, {"n": tw.Integer(0, 60), "x": (-1.0, 1.0)}, strategy="cmaes", max_evals=500)
    assert (result.params["n"] == wanted).all() and np.abs(result.params["x"] - 0.3).max() < 0.01


def test_requirements_hold_at_every_row():
    space = tw.Space(BOX, require=["x0 + x1 <= 1"])

    def objective(x, which):
        assert (x.sum(axis=1) <= 1 + 1e-12).all()
        return bowls(x, which)

    run(objective, space, max_evals=100)


def test_failures_of_rows_and_of_whole_problems():
    def objective(x, which):
        values = bowls(x, which)
        values[(x[:, 0] > 0.5) | (which == 5)] = np.nan
        values[which == 6] = np.inf
        return values

    for strategy in ("de", "cmaes", "quasi_newton"):
        result = run(objective, strategy=strategy)
        assert list(np.flatnonzero(~result.success)) == [5, 6] and np.isnan(result.values[[5, 6]]).all()
        assert result[5].params is None and np.isnan(result.x[5]).all()
        assert (result.x[result.success][:, 0] <= 0.5).all()
        inside = (CENTRES[:, 0] < 0.4) & result.success
        assert np.median(result.values[inside]) < 1e-3


def test_maximising_and_targets_in_the_users_sign():
    result = run(lambda x, which: 5 - bowls(x, which), goal="maximize", target=4.99)
    assert (result.values >= 4.99).all() and result.reasons == ["target"] * B


@pytest.mark.parametrize("strategy", ["de", "cmaes", "quasi_newton"])
def test_given_points_are_tried_first(strategy):
    result = run(strategy=strategy, initial=list(CENTRES + 0.01), max_evals=12)
    assert result.values.max() <= 2e-4 + 1e-12 or strategy == "cmaes"
    assert np.abs(result.x - CENTRES).max() < 1.0
    with pytest.raises(tw.ProblemError, match="24 problems, got 2"):
        run(initial=[[0, 0], [1, 1]])
    with pytest.raises(tw.SpaceError):
        run(initial=[[9, 9]] * B)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (lambda x, which: 1.0, "whole columns"),
        (lambda x, which: np.zeros(B + 1), "for each row"),
        (lambda x, which: np.zeros((len(which), 1)), "second dimension"),
        (lambda x, which: None, "got None"),
        (lambda x, which: ["a"] * len(which), "numbers"),
    ],
)
def test_wrong_shapes_are_said(objective, said):
    with pytest.raises(tw.ObjectiveError, match=said):
        run(objective)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"problems": 0}, "problems"),
        ({"problems": 2.5}, "problems"),
        ({"max_evals": 0}, "max_evals"),
        ({"strategy": "sa"}, "quasi_newton"),
        ({"population": 3}, ">= 4"),
        ({"target": [1.0, 2.0]}, "24 problems"),
        ({"target": "low"}, "target"),
        ({"target": np.nan}, "target"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": "x"}, "tolerance"),
        ({"goal": "min"}, "goal"),
        ({"seed": -1}, "seed"),
        ({"initial": 3}, "initial"),
    ],
)
def test_calls_that_cannot_be(how, said):
    def never(x, which):
        raise AssertionError("evaluated")

    with pytest.raises(tw.ProblemError, match=said):
        run(never, **how)


def test_nothing_to_vary():
    with pytest.raises(tw.ProblemError, match="nothing varies"):
        run(space={"a": tw.Fixed(3)})


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        (lambda points: points["x"], "called with two arguments.*but too many positional arguments"),
        (lambda points, problem, more: 1.0, "but missing a required argument: 'more'"),
        ("f", "a function is expected, got str 'f'"),
    ],
)
def test_what_cannot_be_called_with_points_and_problems_is_told(objective, told):
    with pytest.raises(tw.ObjectiveError, match=told):
        tw.minimize_many(objective, {"x": (0.0, 1.0)}, problems=3, max_evals=10)


def test_columns_of_problems_without_a_value():
    space = {"a": (0.0, 5.0), "n": (0, 9), "c": tw.Choice(["x", "y"]), "w": tw.Float(0, 1, size=2)}

    def objective(p, problem):
        return np.where(problem == 1, np.nan, p["a"] + p["n"] + (p["c"] == "x"))

    params = tw.minimize_many(objective, space, problems=3, max_evals=60, seed=0).params
    assert params["w"].shape == (3, 2) and np.isnan(params["w"]).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(params["a"]).tolist() == np.isnan(params["n"]).tolist() == [False, True, False]
    assert [item is None for item in params["c"]] == [False, True, False]
    nothing = tw.minimize_many(
        lambda p, problem: np.full(len(problem), np.inf), space, problems=2, max_evals=20, seed=0
    )
    assert nothing.params["c"].tolist() == [None, None] and np.isnan(nothing.params["n"]).all()
