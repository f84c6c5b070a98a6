"""What a model sees of an order, and the moves between orders."""

from __future__ import annotations

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.batch import Floats, Ints
from thalweg.core.problem import Problem
from thalweg.parts.strategies import _orders
from thalweg.parts.strategies.annealing import Annealing


def keys_of(order: Ints) -> Floats:
    """(1, k) keys at rank centres of an order (k,)."""
    keys = np.empty((1, len(order)))
    keys[0, order] = (np.arange(len(order)) + 0.5) / len(order)
    return keys


def parts_of(order: Ints) -> list[Floats]:
    """The three groups of features of one order."""
    ends = np.cumsum(_orders.widths(len(order)))[:-1]
    return np.split(_orders.features(keys_of(order))[0], ends)


def apart(one: Ints, two: Ints) -> list[float]:
    """Squared distances in each group."""
    return [float(((a - b) ** 2).sum()) for a, b in zip(parts_of(one), parts_of(two), strict=True)]


@pytest.mark.parametrize("size", [2, 3, 4, 9, 30])
def test_as_many_features_as_are_promised(size: int) -> None:
    """Also for orders too short to have different neighbours."""
    order = np.random.default_rng(size).permutation(size)
    assert _orders.features(keys_of(order)).shape == (1, sum(_orders.widths(size)))


def test_a_round_trip_is_the_same_from_anywhere_and_backwards() -> None:
    """By its neighbours, not by its places."""
    order = np.random.default_rng(1).permutation(12)
    for same in (np.roll(order, 5), order[::-1]):
        places, first, beside = apart(order, same)
        assert places > 0.01
        assert first > 0.01
        assert beside == 0.0


def test_groups_count_what_they_are_for() -> None:
    """A reversed stretch changes two neighbours; items exchanged side by side one pair."""
    order = np.arange(10)
    turned = order.copy()
    turned[3:7] = turned[3:7][::-1]
    assert apart(order, turned)[2] == pytest.approx(4 * 0.25 / 10)
    exchanged = order.copy()
    exchanged[[4, 5]] = exchanged[[5, 4]]
    assert apart(order, exchanged)[1] == pytest.approx(1 / 45)


def test_random_orders_are_as_far_apart_in_each_group() -> None:
    """So that no group is favoured before anything is known."""
    rng = np.random.default_rng(2)
    pairs = [apart(rng.permutation(25), rng.permutation(25)) for _ in range(200)]
    assert np.mean(pairs, axis=0) == pytest.approx([0.5, 0.5, 0.5], abs=0.06)


@pytest.mark.parametrize("size", [2, 3, 5, 40])
def test_neighbours_are_orders_one_step_away(size: int) -> None:
    """Each is a permutation, all three kinds are among them."""
    order = np.random.default_rng(3).permutation(size)
    keys = keys_of(order)[0]
    found = _orders.neighbours(keys, np.random.default_rng(4))
    assert np.allclose(np.sort(found, axis=1), np.sort(keys))
    kinds = len(found) // 3
    moved = (np.abs(found - keys) > 1e-9).sum(axis=1)
    assert (moved[:kinds] == 2).all()
    if size == 40:
        assert moved[kinds:].max() > 10


def test_moves_that_lead_somewhere_are_made_more_often() -> None:
    """And no other one is given up."""
    credit, rng = _orders.Credit.fresh(), np.random.default_rng(5)
    for kind in list(range(len(_orders.MOVES))) * 40:
        credit.hear(kind, better=kind == 1)
    chosen = np.bincount([credit.choose(rng) for _ in range(1000)], minlength=3)
    assert chosen[1] > 800
    assert chosen.min() > 10


@pytest.mark.parametrize(("strategy", "evaluations", "most"), [("bayesian", 60, 1.25), ("annealing", 600, 1.15)])
def test_a_ring_of_places_is_found(strategy: str, evaluations: int, most: float) -> None:
    """Twelve places on a circle: the shortest way is round; random orders are three times as long."""
    turn = 2 * np.pi * np.random.default_rng(6).permutation(12) / 12
    place = np.column_stack([np.cos(turn), np.sin(turn)])

    def length(params: dict[str, list[int]]) -> float:
        tour = place[list(params["tour"])]
        return float(np.hypot(*(tour - np.roll(tour, -1, axis=0)).T).sum())

    lengths = [
        tw.minimize(
            length, {"tour": tw.Permutation(list(range(12)))}, max_evals=evaluations, seed=seed, strategy=strategy
        ).value
        for seed in range(3)
    ]
    assert np.median(lengths) < most * 24 * np.sin(np.pi / 12)


def test_annealing_has_one_chain_where_there_are_orders_or_subsets() -> None:
    """Four elsewhere, and what it is told to have anywhere."""

    def chains(space: dict[str, object], told: int | None = None) -> int:
        strategy = Annealing(chains=told)
        strategy.start(Problem(tw.Space(space)), np.random.SeedSequence(0), 100)
        return strategy.chains

    order, some = tw.Permutation(list("abcd")), tw.Subset(list("abcd"))
    assert [chains({"o": order}), chains({"s": some}), chains({"x": tw.Float(0, 1)})] == [1, 1, 4]
    assert chains({"o": order}, 3) == 3


def test_subsets_of_one_size_are_searched_by_exchange() -> None:
    """One item in and one out: the five best of 30 are found."""
    worth = np.random.default_rng(7).permutation(30)

    def lost(params: dict[str, list[int]]) -> float:
        return float(135 - worth[list(params["kept"])].sum())

    space = {"kept": tw.Subset(list(range(30)), min=5, max=5)}
    ends = [tw.minimize(lost, space, max_evals=400, seed=seed, strategy="annealing").value for seed in range(3)]
    assert np.median(ends) <= 3
