"""The books every strategy keeps: tickets, frozen arrays, foreign answers, states and twins."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from thalweg.core import plain
from thalweg.core.batch import FOREIGN, Answers, Status
from thalweg.core.errors import OutOfOrder, StrategyError
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.space import Space
from thalweg.core.strategy import MANY, Abilities, Draft, Strategy

PROBLEM = Problem(Space([(-1, 1)] * 3))


@dataclass
class Memory:
    best: float = np.inf
    seen: list = field(default_factory=list)


class Walker(Strategy):
    """Steps around the best point it heard of; keeps every sort of state."""

    def __init__(self, width=0.1):
        self.width = width

    def begin(self):
        self.center = np.full(self.dimension, 0.5)
        self.memory = Memory()
        self.guests = 0
        self.counts = {"asked": [0], "pair": (1, 2**100)}

    def propose(self, n):
        self.counts["asked"][0] += n
        return self.center + self.width * self.rng.standard_normal((n, self.dimension))

    def learn(self, answers):
        for point, value in zip(answers.points, answers.merit(), strict=True):
            self.memory.seen.append(value)
            if value < self.memory.best:
                self.memory.best, self.center = value, point.copy()

    def absorb(self, answers):
        self.guests += len(answers)


class Scripted(Strategy):
    """Proposes what it is given."""

    def __init__(self, draft=None):
        self.draft = draft

    def propose(self, n):
        return self.draft

    def learn(self, answers): ...


class Parent(Strategy):
    def __init__(self, child, others=()):
        self.child, self.others = child, list(others)

    def begin(self):
        for i, item in enumerate([self.child, *self.others]):
            item.start(self.problem, i, None)

    def propose(self, n):
        return np.concatenate([item.ask(n // 3).points for item in (self.child, *self.others)])

    def learn(self, answers): ...


def started(strategy, seed=1, problem=PROBLEM, budget=None):
    strategy.start(problem, seed, budget)
    return strategy


def told(tickets, points, values=None):
    k = len(tickets)
    values = np.arange(k, dtype=float)[:, None] if values is None else np.asarray(values, dtype=float)[:, None]
    return Answers(np.asarray(tickets), np.asarray(points), values, np.full(k, Status.DONE, np.int8))


def answer(proposals, rows=slice(None)):
    points = proposals.points[rows]
    return told(proposals.tickets[rows], points, (points**2).sum(axis=1))


def test_tickets_count_up_and_are_told_once():
    walker = started(Walker())
    first, second = walker.ask(3), walker.ask(2)
    assert first.tickets.tolist() == [0, 1, 2] and second.tickets.tolist() == [3, 4]
    assert first.tickets.dtype == np.int64 and walker.pending == 5 and walker.pending_tickets == frozenset(range(5))
    walker.tell(answer(second))
    walker.tell(answer(first, slice(1, 3)))
    assert walker.pending_tickets == {0}
    assert len(walker.memory.seen) == 4


@pytest.mark.parametrize(
    ("tickets", "message"),
    [([3], r"not pending: \[3\]"), ([0, 0], "none, but some came twice"), ([1, -2], r"not pending: \[-2\]")],
)
def test_wrong_tickets_change_nothing(tickets, message):
    walker = started(Walker())
    walker.ask(3)
    with pytest.raises(OutOfOrder, match=message):
        walker.tell(told(tickets, np.zeros((len(tickets), 3))))
    with pytest.raises(OutOfOrder, match=message):
        walker.tell(told([*tickets, FOREIGN], np.zeros((len(tickets) + 1, 3))))
    assert walker.pending == 3 and walker.memory.seen == [] and walker.guests == 0


def test_told_twice_is_out_of_order():
    walker = started(Walker())
    proposals = walker.ask(1)
    walker.tell(answer(proposals))
    with pytest.raises(OutOfOrder, match=r"every ticket is told once; not pending: \[0\]"):
        walker.tell(answer(proposals))


def test_foreign_and_own_answers_in_one_group():
    walker = started(Walker())
    walker.tell(told([FOREIGN] * 2, np.zeros((2, 3))))
    proposals = walker.ask(2)
    walker.tell(told([FOREIGN, 1, FOREIGN, 0], np.zeros((4, 3))))
    assert (walker.guests, len(walker.memory.seen), walker.pending) == (4, 2, 0)
    walker.tell(told([], np.empty((0, 3))))
    assert len(proposals) == 2


def test_what_was_given_away_is_a_frozen_copy():
    own = np.array([[0.5, 2.0, -1.0]])
    strategy = started(Scripted(Draft(own, fidelities=np.array([0.5]), parents=np.array([7]))))
    proposals = strategy.ask(1)
    assert proposals.points.tolist() == [[0.5, 1.0, 0.0]], "clipped to the cube"
    assert own.tolist() == [[0.5, 2.0, -1.0]]
    for array in (proposals.points, proposals.tickets, proposals.fidelities, proposals.parents):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    strategy.draft.fidelities[0] = 0.9
    assert proposals.fidelities.tolist() == [0.5] and proposals.parents.tolist() == [7]


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (np.zeros((3, 3)), r"Scripted.propose\(2\) must give \(k <= 2, 3\) points, got \(3, 3\)"),
        (np.zeros((1, 2)), r"must give \(k <= 2, 3\) points, got \(1, 2\)"),
        (np.zeros(3), r"must give \(k <= 2, 3\) points, got \(3,\)"),
        (np.full((1, 3), np.nan), r"propose\(2\) gave points that are not numbers \(NaN\)"),
        (Draft(np.zeros((2, 3)), fidelities=np.ones(1)), r"fidelities must be \(2,\), got \(1,\)"),
        (Draft(np.zeros((2, 3)), parents=np.ones((2, 1), int)), r"parents must be \(2,\), got \(2, 1\)"),
    ],
)
def test_proposals_are_checked(draft, message):
    strategy = started(Scripted(draft))
    with pytest.raises(StrategyError, match=message):
        strategy.ask(2)


def test_nothing_is_proposed_for_nothing():
    walker = started(Walker())
    assert [len(walker.ask(n)) for n in (0, -1)] == [0, 0] and walker.counts["asked"] == [0]


def test_calls_before_start():
    for call in (lambda s: s.ask(1), lambda s: s.tell(told([0], np.zeros((1, 3)))), lambda s: s.restore({})):
        with pytest.raises(OutOfOrder, match=r"\(\) before start\(\): Walker has no problem yet"):
            call(Walker())


def test_abilities_are_checked_at_the_start():
    many = Problem(PROBLEM.space, objectives_of(2))
    with pytest.raises(
        StrategyError, match=r"Walker minimises 1 objective\(s\), the problem has 2; use strategy='auto'"
    ):
        Walker().start(many, 0)

    class Greedy(Scripted):
        abilities = Abilities(objectives=MANY, needs_budget=True)

    Greedy().start(many, 0, 10)
    with pytest.raises(StrategyError, match="Greedy needs a number of evaluations; give max_evals"):
        Greedy().start(many, 0)


def test_same_seed_and_calls_same_points():
    seeds = np.random.SeedSequence(5)
    a, b, c = started(Walker(), seeds), started(Walker(), 5), started(Walker(), seeds)
    points = [item.ask(4).points for item in (a, b, c)]
    assert np.array_equal(points[0], points[1]) and np.array_equal(points[0], points[2])
    a.seeds.spawn(2)
    assert seeds.n_children_spawned == 0, "what was given is not changed"


def test_starting_again_drops_everything_but_the_options():
    walker = started(Walker(width=0.3))
    first = walker.ask(3)
    walker.tell(answer(first))
    walker.extra = "left over"
    started(walker)
    assert walker.width == 0.3 and walker.memory == Memory() and walker.pending == 0 and not hasattr(walker, "extra")
    assert np.array_equal(walker.ask(3).points, first.points)


def through(state):
    return plain.decode(msgspec.json.decode(msgspec.json.encode(plain.encode(state))))


def test_a_twin_continues_identically():
    walker = started(Walker())
    walker.tell(answer(walker.ask(4), slice(0, 3)))
    state = through(walker.state())
    twin = started(Walker(), seed=99)
    twin.restore(state)
    assert twin.pending_tickets == {3} and twin.memory == walker.memory and isinstance(twin.memory, Memory)
    assert twin.counts == walker.counts and twin.next_ticket == 4
    for _ in range(3):
        mine, other = walker.ask(2), twin.ask(2)
        assert np.array_equal(mine.points, other.points) and np.array_equal(mine.tickets, other.tickets)
        walker.tell(answer(mine))
        twin.tell(answer(other))


def test_a_state_is_a_snapshot():
    walker = started(Walker())
    walker.tell(answer(walker.ask(2)))
    state = walker.state()
    before = through(state)
    points = walker.ask(2).points
    walker.center[:] = 0.0
    walker.counts["asked"].append(5)
    assert plain.encode(state) == plain.encode(before)
    twin = started(Walker(), seed=3)
    twin.restore(state)
    assert np.array_equal(twin.ask(2).points, points)
    assert plain.encode(state) == plain.encode(before), "a twin that goes on does not change the state"


def test_options_are_not_state():
    assert set(started(Walker()).state()["own"]) == {"center", "memory", "guests", "counts"}


def test_children_are_restored_with_their_parent():
    class Late(Parent):
        def begin(self):
            super().begin()
            self.active, self.pool = self.child, list(self.others)

    one, two = (started(Late(Walker(), [Walker(0.2), Walker(0.3)])) for _ in range(2))
    one.ask(6)
    two.restore(through(one.state()))
    assert np.array_equal(one.ask(6).points, two.ask(6).points)


def test_a_dataclass_that_begin_did_not_make_is_refused_not_garbled():
    class Forgetful(Walker):
        def begin(self):
            super().begin()
            self.late = None

    first, second = started(Forgetful()), started(Forgetful())
    first.late = Memory(1.0)
    with pytest.raises(StrategyError, match="a dataclass in the state has no place to go: `begin` must set"):
        second.restore(through(first.state()))
    first.late, first.memory = None, None
    second.restore(through(first.state()))
    assert second.memory is None
