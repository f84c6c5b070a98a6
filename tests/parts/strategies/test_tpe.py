import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, conditional, cube, finite, foreign, mixed, run, torture, twins_agree

from golden import check_golden
from thalweg.core.choices import Choice, Subset
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.numerics.parzen import Parzen
from thalweg.parts.strategies.random_search import Random
from thalweg.parts.strategies.tpe import TPE


def test_golden():
    check_golden("tpe", TPE())


def best(strategy, problem, values, budget=80):
    return np.median([run(strategy(), problem, values, budget, seed=seed, batch=1)[1].min() for seed in range(5)])


@pytest.mark.parametrize("problem", [cube(4), Problem(mixed())], ids=["reals", "mixed"])
def test_far_better_than_random(problem):
    assert best(TPE, problem, bowl) < 0.4 * best(Random, problem, bowl)


def test_the_label_decides_where_to_look():
    """Where the good x depends on the label, suggestions for each label gather at its own x."""
    space = Space({"x": Float(0.0, 1.0), "kind": Choice(["left", "right", "bad"])})

    def values(points):
        kind = np.floor(points[:, 1] * 3)
        return np.where(kind == 0, (points[:, 0] - 0.1) ** 2, np.where(kind == 1, (points[:, 0] - 0.9) ** 2, 1.0))

    strategy = TPE()
    strategy.start(Problem(space), 0)
    known = space.sample(120, np.random.default_rng(1))
    strategy.tell(foreign(known, values(known)))
    asked = strategy.ask(40).points
    kind = np.floor(asked[:, 1] * 3)
    assert (kind == 2).sum() <= 4
    assert (values(asked) < 0.05).mean() > 0.7


def test_a_batch_is_distinct_and_points_that_are_out_are_avoided():
    strategy = TPE()
    strategy.start(cube(2), 0)
    known = np.random.default_rng(2).random((60, 2))
    strategy.tell(foreign(known, bowl(known)))
    first = strategy.ask(30)
    second = strategy.ask(30)
    both = np.concatenate([first.points, second.points])
    assert len(np.unique(both, axis=0)) == 60
    twin = TPE()
    twin.start(cube(2), 0)
    twin.tell(foreign(known, bowl(known)))
    twin.tell(answer(twin, twin.ask(30), lambda u: np.full(len(u), 9.0)))
    assert len(twin.out_points) == 0 and len(strategy.out_points) == 60
    # 60 lies around the bottom drive the next ones further away from it than no lies do
    fresh = TPE()
    fresh.start(cube(2), 0)
    fresh.tell(foreign(known, bowl(known)))
    np.testing.assert_array_less(bowl(fresh.ask(30).points).mean(), bowl(strategy.ask(30).points).mean())


def test_failures_are_avoided():
    """All of the right half fails, without any value to learn from there."""
    strategy = TPE()
    strategy.start(cube(2), 3)
    for _ in range(15):
        asked = strategy.ask(4)
        strategy.tell(answer(strategy, asked, lambda u: u[:, 1], failed=asked.points[:, 0] > 0.5))
    assert (strategy.ask(50).points[:, 0] < 0.55).mean() > 0.8


def test_nothing_but_failures():
    strategy = TPE()
    strategy.start(cube(3), 0)
    for _ in range(20):
        asked = strategy.ask(5)
        assert len(asked) == 5
        strategy.tell(answer(strategy, asked, bowl, failed=np.ones(5, bool)))


def test_violated_constraints_rank_behind():
    strategy = TPE()
    strategy.start(cube(2), 0)
    for _ in range(20):
        asked = strategy.ask(4)
        over = np.maximum(0.5 - asked.points[:, 0], 0.0)
        strategy.tell(answer(strategy, asked, lambda u: u.sum(axis=1), violations=over))
    assert (strategy.ask(50).points[:, 0] > 0.45).mean() > 0.7


def test_conditional_columns_do_not_blur_each_other():
    problem = Problem(conditional())
    assert best(TPE, problem, bowl) < best(Random, problem, bowl)


def test_finite_spaces_never_repeat_and_end():
    points, _ = run(TPE(), Problem(finite()), bowl, 1000, batch=7)
    assert len(points) == len({row.tobytes() for row in points}) == 200


def test_startup_ends_early_when_foreign_points_are_known():
    strategy = TPE(startup=10)
    strategy.start(cube(2), 0)
    assert len(strategy.ask(3)) == 3
    known = np.random.default_rng(5).random((60, 2))
    strategy.tell(foreign(known, bowl(known)))
    strategy.ask(20)
    assert len(strategy.design) == 7  # the rest of the hypercube is not used


def test_long_runs_are_remembered_within_bounds():
    strategy = TPE()
    strategy.start(cube(2), 0)
    known = np.random.default_rng(6).random((5000, 2))
    for part in np.array_split(known, 10):
        strategy.tell(foreign(part, bowl(part)))
    assert len(strategy.points) == len(strategy.merits) <= 1250 and strategy.told == 5000
    assert strategy.merits.min() == bowl(known).min()
    assert np.sort(strategy.merits)[24] == np.sort(bowl(known))[24]


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(TPE(), space()) > 10


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(TPE, Problem(space()), bowl)


def test_nothing_to_vary():
    points, _ = run(TPE(), Problem(Space({"a": [1]})), bowl, 5)
    assert len(points) == 1


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"gamma": 0.6}, {"candidates": 0}, {"startup": 0}])
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        TPE(**options)


def test_few_candidates_where_there_are_cells_and_some_from_anywhere_where_there_are_branches(monkeypatch):
    for space, drawn in ((cube(3).space, 64), (mixed(), 16), (conditional(), 16)):
        strategy = TPE()
        strategy.start(Problem(space), 0)
        assert strategy.drawn == drawn
    monkeypatch.setattr(Parzen, "sample", lambda self, count, dimension, rng: np.zeros((count, dimension)))
    for space, elsewhere in ((mixed(), []), (conditional(), list(range(0, 48, 12)))):
        strategy = TPE(startup=2, candidates=48)
        strategy.start(Problem(space), 0)
        points = space.sample(20, np.random.default_rng(1))
        strategy.tell(foreign(points, bowl(points)))
        judged, judge = [], strategy._judged
        monkeypatch.setattr(
            strategy, "_judged", lambda rows, judge=judge, judged=judged: judged.append(rows) or judge(rows)
        )
        strategy.ask(1)
        assert np.flatnonzero(judged[0].any(axis=1)).tolist() == elsewhere


def test_items_of_a_subset_are_in_or_out():
    """Not somewhere between; the worth of forty items, of which more than eight cost what they bring."""
    worth = np.random.default_rng(0).normal(size=40)
    problem = Problem(Space({"kept": Subset(range(len(worth)))}))

    def values(u):
        kept = u > 0.5
        return (kept @ worth + 3.0 * np.maximum(kept.sum(axis=1) - 8, 0))[:, None]

    strategy = TPE()
    strategy.start(problem, 0)
    assert strategy.layout.labels.tolist() == list(range(40)) and set(strategy.layout.counts.tolist()) == {2}
    ends = [float(run(TPE(), problem, values, 400, batch=1, seed=seed)[1].min()) for seed in range(5)]
    assert np.median(ends) < 0.78 * np.sort(worth)[:8].sum()  # as reals between: .69
