import itertools

import numpy as np
import pytest
from driving import answer, bowl, cube, foreign

from thalweg.core.batch import Answers, Status
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.strategy import Abilities
from thalweg.parts.strategies import make_strategy
from thalweg.parts.strategies._generational import Generational, join

SIZE = 6


class Recorder(Generational):
    """Writes down what it is given; row i of generation g has first coordinate i / SIZE."""

    abilities = Abilities(learns_foreign=True)

    def __init__(self, quorum=1.0):
        self.quorum = quorum

    def begin(self):
        super().begin()
        self.generations = []
        self.slots = []
        self.lates = []

    def brood(self):
        points = np.full((SIZE, 2), (self.generation % 10) / 10)
        points[:, 0] = np.arange(SIZE) / SIZE
        return points

    def evolve(self, answers, slots):
        self.generations.append(answers.points[:, 0] * SIZE)
        self.slots.append(np.arange(SIZE)[slots].tolist())
        self.last = answers

    def late(self, answers, notes):
        self.lates.append(answers.tickets.tolist())


def started(quorum=1.0):
    strategy = Recorder(quorum)
    strategy.start(cube(2), 0)
    return strategy


def tell(strategy, proposals, index):
    strategy.tell(answer(strategy, proposals, bowl).rows(np.array(index)))


@pytest.mark.parametrize("groups", [[[0, 1, 2, 3, 4, 5]], [[5, 3, 1], [0, 2, 4]], [[3], [0, 5], [4], [2, 1]]])
def test_any_grouping_gives_one_generation_in_the_order_of_its_rows(groups):
    strategy = started()
    proposals = strategy.ask(100)
    assert len(proposals) == SIZE
    for group in groups:
        assert len(strategy.ask(1)) == 0
        tell(strategy, proposals, group)
    np.testing.assert_allclose(strategy.generations, [np.arange(SIZE)])
    assert strategy.last.tickets.tolist() == list(range(SIZE))
    np.testing.assert_array_equal(strategy.last.values[:, 0], bowl(proposals.points))
    assert len(strategy.ask(100)) == SIZE


def test_every_order_of_single_answers():
    for order in itertools.permutations(range(4)):
        strategy = started()
        proposals = strategy.ask(4)
        rest = strategy.ask(9)
        for i in order:
            tell(strategy, proposals, [i])
        tell(strategy, rest, [1, 0])
        np.testing.assert_allclose(strategy.generations, [np.arange(SIZE)])


def test_stride_is_what_is_left_of_the_generation():
    strategy = started()
    assert strategy.stride == 1
    strategy.ask(2)
    assert strategy.stride == SIZE - 2
    assert len(strategy.ask(100)) == SIZE - 2


def test_a_whole_generation_in_order_is_passed_on_without_a_copy():
    strategy = started()
    given = answer(strategy, strategy.ask(SIZE), bowl)
    strategy.tell(given)
    assert strategy.last is given


def test_what_was_told_may_be_overwritten_afterwards():
    strategy = started()
    given = answer(strategy, strategy.ask(SIZE), bowl)
    part = given.rows(np.array([0, 1]))
    expected = part.values.copy()
    strategy.tell(part)
    part.values[:] = -1
    strategy.tell(given.rows(np.arange(2, SIZE)))
    np.testing.assert_array_equal(strategy.last.values[:2], expected)


def test_optional_fields_survive_groups_that_lack_them():
    strategy = started()
    given = answer(strategy, strategy.ask(SIZE), bowl)
    first, second = given.rows(np.arange(3)), given.rows(np.arange(3, SIZE))
    first.violations, second.seconds = np.array([0.0, 2.0, 0.5]), np.array([1.0, 2.0, 3.0])
    strategy.tell(second)
    strategy.tell(first)
    np.testing.assert_array_equal(strategy.last.violations, [0, 2, 0.5, 0, 0, 0])
    np.testing.assert_array_equal(strategy.last.seconds, [np.nan] * 3 + [1, 2, 3])
    assert strategy.last.noise is None


def test_a_quorum_closes_a_generation_and_late_answers_find_their_way():
    strategy = started(quorum=0.5)
    one = strategy.ask(SIZE)
    tell(strategy, one, [5, 1])
    assert len(strategy.ask(SIZE)) == 0
    tell(strategy, one, [2])
    two = strategy.ask(4)
    assert strategy.slots == [[1, 2, 5]]
    np.testing.assert_allclose(strategy.generations[0], [1, 2, 5])
    both = join(answer(strategy, one, bowl).rows(np.array([0, 4])), answer(strategy, two, bowl).rows(np.array([3])))
    strategy.tell(both)
    assert strategy.lates == [[0, 4]]
    tell(strategy, one, [3])
    assert strategy.lates == [[0, 4], [3]]
    tell(strategy, two, [0, 1, 2])
    tell(strategy, strategy.ask(2), [0, 1])
    np.testing.assert_allclose(strategy.generations[1], np.arange(SIZE))


def test_guests_wait_until_they_are_taken_and_the_best_stay():
    strategy = started()
    rng = np.random.default_rng(0)
    points = rng.random((400, 2))
    strategy.tell(foreign(points[:150], bowl(points[:150])))
    failed = foreign(points[:2], [np.nan, np.inf])
    strategy.tell(failed)
    strategy.tell(foreign(points[150:], bowl(points[150:])))
    assert len(strategy.guests) == strategy.guest_limit
    kept = np.sort(bowl(points))[: strategy.guest_limit]
    guests = strategy.take_guests()
    np.testing.assert_array_equal(np.sort(guests.values[:, 0]), kept)
    assert len(strategy.take_guests()) == 0


def test_a_half_told_generation_survives_state_and_restore():
    one, two = started(0.5), started(0.5)
    proposals = one.ask(SIZE)
    tell(one, proposals, [4])
    points = np.random.default_rng(0).random((3, 2))
    one.tell(foreign(points, bowl(points)))
    two.restore(one.state())
    for strategy in (one, two):
        tell(strategy, proposals, [0, 2, 5, 1])
        tell(strategy, proposals, [3])
        assert len(strategy.take_guests()) == 3
    np.testing.assert_array_equal(one.generations, two.generations)


def test_join_fills_what_is_missing():
    points = np.zeros((2, 3))
    one = Answers(np.array([0, 1]), points, np.zeros((2, 1)), np.full(2, 2, np.int8), fidelities=np.array([0.5, 1]))
    two = Answers(np.array([2]), points[:1], np.ones((1, 1)), np.full(1, 3, np.int8), noise=np.ones((1, 1)))
    both = join(one, two)
    np.testing.assert_array_equal(both.fidelities, [0.5, 1, 1])
    np.testing.assert_array_equal(both.noise[:, 0], [np.nan, np.nan, 1])
    assert both.violations is None
    assert both.statuses.tolist() == [2, 2, 3]


@pytest.mark.parametrize("name", ["de", "genetic", "pso", "nsga2"])
def test_with_a_quorum_nobody_waits_for_the_slowest(name):
    space = Space({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    whole, quick = (make_strategy(name, population=20, quorum=quorum) for quorum in (1.0, 0.75))
    for strategy, more in ((whole, False), (quick, True)):
        strategy.start(Problem(space), 3, 400)
        first = strategy.ask(20)
        values = ((first.points - 0.3) ** 2).sum(axis=1)[:, None]
        statuses = np.full(20, Status.DONE, dtype=np.int8)
        answers = Answers(first.tickets, first.points, values, statuses)
        strategy.tell(answers.rows(slice(0, 15)))
        second = strategy.ask(20)
        assert (len(second) > 0) == more
        strategy.tell(answers.rows(slice(15, 20)))  # the stragglers: part of the generation, or late
        if not more:
            second = strategy.ask(20)
        assert len(second) > 0
        values = ((second.points - 0.3) ** 2).sum(axis=1)[:, None]
        strategy.tell(Answers(second.tickets, second.points, values, statuses[: len(second)]))
        assert len(strategy.ask(20)) > 0
        assert strategy.pending > 0
