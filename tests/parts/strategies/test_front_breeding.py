import numpy as np
import pytest
from driving import cube, mixed

from thalweg.parts.strategies._front_breeding import ELSEWHERE, FRONT, MODELS, WILD, Herd, Turns, far_steps


def shares(gains):
    turns, rng = Turns(np.array(gains)), np.random.default_rng(0)
    return np.bincount([turns.next(rng) for _ in range(2000)], minlength=3) / 2000


def test_what_gains_more_comes_oftener_and_nothing_never():
    np.testing.assert_allclose(shares([1.0, 0.0, 0.0]), [0.77, 0.15, 0.08], atol=0.03)
    np.testing.assert_allclose(shares([0.0, 0.0, 1.0]), [0.08, 0.15, 0.77], atol=0.03)
    np.testing.assert_allclose(shares([0.0, 0.0, 0.0]), [1 / 3] * 3, atol=0.03)


def test_gains_are_remembered_by_source_and_fade():
    turns = Turns(np.zeros(3))
    turns.sent(7, 2, WILD)
    turns.sent(9, 1, FRONT)
    assert turns.sources_of(np.array([9, 8, 3, -1])).tolist() == [FRONT, WILD, ELSEWHERE, ELSEWHERE]
    turns.judge(np.array([9, 8, 3]), np.array([1.0, 0.0, 5.0]))
    assert turns.gains == pytest.approx([0.0, 0.07, 0.0])
    turns.returned(np.array([9, 8, 3]))
    assert turns.tickets.tolist() == [7]
    turns.sent(10, 1, FRONT)
    turns.judge(np.array([10, 7]), np.array([0.0, 2.0]))
    assert turns.gains == pytest.approx([0.0, 0.07 * 0.93, 0.14])
    turns.sent(11, 1, MODELS)
    assert turns.sources_of(np.array([11])).tolist() == [MODELS]


def test_a_herd_keeps_the_best_of_different_values():
    values = np.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0], [1.0, 1.0], [4.0, 4.0], [5.0, 5.0]])
    herd = Herd(4)
    herd.join(np.arange(4), values, np.zeros(6))
    assert sorted(herd.rows.tolist()) == [0, 1, 2]
    herd.join(np.array([4, 5]), values, np.zeros(6))
    assert sorted(herd.rows.tolist()) == [0, 1, 2, 4]
    one, two = herd.pairs(500, np.random.default_rng(0))
    assert (one != two).all()
    assert (one == 4).mean() < 0.12  # a dominated row wins against itself only


def test_an_empty_herd_stays_empty():
    herd = Herd(4)
    herd.join(np.empty(0, dtype=np.int64), np.empty((0, 2)), np.empty(0))
    assert len(herd.rows) == 0


def test_far_steps_change_few_columns_as_a_rule_and_all_at_times():
    space = cube(5).space
    points = np.full((4000, 5), 0.5)
    moved = (far_steps(points, space, np.random.default_rng(0)) != points).sum(axis=1)
    expected = (1 / np.arange(1, 6)) / (1 / np.arange(1, 6)).sum()
    np.testing.assert_allclose(np.bincount(moved, minlength=6)[1:] / 4000, expected, atol=0.03)
    assert far_steps(points[:0], space, np.random.default_rng(0)).shape == (0, 5)


def test_far_steps_lie_in_the_cube_of_any_space():
    space = mixed()
    rng = np.random.default_rng(1)
    points = far_steps(space.sample(50, rng), space, rng)
    assert ((points >= 0) & (points <= 1)).all()
