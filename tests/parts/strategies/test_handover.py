import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, foreign, run, torture, twins_agree

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.parts.strategies.handover import Handover
from thalweg.parts.strategies.quadratic import Quadratic


def narrow(d: int):
    """A narrow valley across the box's axes, with ripples at all scales that no quadratic shows (COCO's T_osz)."""
    turn = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    weights = 1e6 ** np.linspace(0, 1, d)

    def values(u):
        x = 10.0 * (u - 0.37) @ turn
        log = np.log(np.maximum(np.abs(x), 1e-300))
        first, second = np.where(x > 0, 10.0, 5.5), np.where(x > 0, 7.9, 3.1)
        return (weights * np.exp(2 * log + 0.098 * (np.sin(first * log) + np.sin(second * log)))).sum(axis=1)

    return values


def test_a_model_that_is_kept_keeps_the_turn():
    strategy = Handover()
    run(strategy, cube(5), bowl, 120, batch=1)
    assert strategy.runs == [1, 0] and strategy.why.startswith("Quadratic")
    assert not strategy.events


def test_a_model_that_is_not_kept_hands_over_and_the_bottom_is_reached():
    strategy = Handover()
    strategy.start(cube(10), 0)
    holders = []
    for _ in range(700):
        asked = strategy.ask(1)
        holders.append(strategy.holder)
        strategy.tell(answer(strategy, asked, narrow(10)))
    assert 50 <= holders.index(1) < 200
    assert strategy.events[0]["kind"] == "switched" and "QuasiNewton" in strategy.events[0]["reason"]
    _, alone = run(Quadratic(), cube(10), narrow(10), 700, batch=1)
    assert strategy.bests[0] < 0.01 * alone.min()


def test_the_follower_begins_at_the_best_point_and_the_leader_hears_of_what_it_finds():
    strategy = Handover(trust=1.0, after=1.0)
    strategy.start(cube(5), 0)
    best, where = np.inf, None
    while not strategy.runs[1]:
        asked = strategy.ask(1)
        if strategy.runs[1]:
            break
        told = answer(strategy, asked, narrow(5))
        if told.values[0, 0] < best:
            best, where = told.values[0, 0], asked.points[0]
        strategy.tell(told)
    assert np.abs(asked.points - where).max() < 1e-6
    while strategy.live(1) and strategy.heard_rows < 2000:
        strategy.tell(answer(strategy, asked, narrow(5)))
        asked = strategy.ask(1)
    assert not strategy.live(1) and strategy.holder == 0
    assert strategy.children[0].best == strategy.bests[0] < best
    assert strategy.since > 5 and strategy.level == strategy.bests[0]


def test_few_columns_are_left_to_the_leader():
    strategy = Handover(trust=1.0, after=1.0)
    run(strategy, cube(3), narrow(3), 100, batch=1)
    assert strategy.runs == [1, 0]


def test_batches_are_filled_by_the_leader_while_the_follower_waits():
    strategy = Handover(trust=1.0, after=1.0)
    run(strategy, cube(4), narrow(4), 60, batch=3)
    assert strategy.runs[1] >= 1
    given = [len(strategy.ask(4)) for _ in range(3)]
    assert sum(given) >= 4


def test_foreign_points_count():
    strategy = Handover()
    strategy.start(cube(4), 0)
    strategy.tell(foreign(np.array([[0.8, 0.3, 0.2, 0.1]]), [1.0]))
    np.testing.assert_allclose(strategy.ask(1).points, [[0.8, 0.3, 0.2, 0.1]])


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(Handover(trust=1.0, after=1.0, least=1), space()) > 10


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(4).space])
def test_twins(space):
    twins_agree(lambda: Handover(trust=1.0, after=1.0, least=1), Problem(space()), bowl)


def test_options_must_make_sense():
    with pytest.raises(StrategyError, match="two strategies"):
        Handover("quadratic")
    with pytest.raises(StrategyError, match="trust"):
        Handover(trust=2.0)
    with pytest.raises(StrategyError, match="after"):
        Handover(after=-1.0)
