"""Hybrid: who joins when, what a round gives to whom, and that thinking must be affordable."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy
from _doubles import answer
from driving import cube, run

from golden import check_golden
from thalweg.core import plain
from thalweg.core.batch import Answers
from thalweg.core.errors import StrategyError
from thalweg.core.problem import Objective, Problem
from thalweg.core.space import Space
from thalweg.core.strategy import MANY, Abilities, Strategy
from thalweg.parts.strategies import make_strategy
from thalweg.parts.strategies.axes import Axes
from thalweg.parts.strategies.hybrid import Hybrid
from thalweg.parts.strategies.random_search import Random


class Fixed(Strategy):
    """Gives points with its own mark in the first column; what it is told is counted."""

    abilities = Abilities(learns_foreign=True)

    def __init__(self, mark: float = 0.0, trust: float = 0.0) -> None:
        self.mark, self.trust = mark, trust

    def begin(self) -> None:
        self.own = self.foreign = 0

    @property
    def confidence(self) -> float:
        return self.trust

    def propose(self, n):
        return np.column_stack([np.full(n, self.mark), self.rng.random((n, self.dimension - 1))])

    def learn(self, answers):
        self.own += len(answers)

    def absorb(self, answers):
        self.foreign += len(answers)


def play(hybrid: Hybrid, rows: int, value, seconds: float = 0.0) -> list[float]:
    """The marks of `rows` points, asked for one at a time."""
    marks = []
    for i in range(rows):
        asked = hybrid.ask(1)
        marks.append(float(asked.points[0, 0]))
        told = answer(asked, np.array([value(marks[-1], i)]))
        hybrid.tell(Answers(told.tickets, told.points, told.values, told.statuses, seconds=np.full(1, seconds)))
    return marks


def test_the_first_leads_until_the_others_are_due_and_all_hear_everything():
    first, second = Fixed(0.0), Fixed(0.5)
    hybrid = Hybrid(first, second, joins=[0, 10], early=[True, False])
    hybrid.start(cube(3), 0)
    marks = play(hybrid, 60, lambda mark, i: 1.0)
    assert set(marks[:30]) == {0.0} and {0.0, 0.5} == set(marks[30:])
    assert second.foreign + sum(map(len, hybrid.unheard[1])) == marks.count(0.0)
    assert "joined" in hybrid.events[0]["reason"]


def test_a_stalled_leader_lets_the_next_one_in_early():
    hybrid = Hybrid(Fixed(0.0), Fixed(0.5), joins=[0, 1000])
    hybrid.start(cube(3), 0)
    marks = play(hybrid, 40, lambda mark, i: 1.0)
    assert 0.5 in marks[:20]


def test_who_waits_for_a_standstill_joins_at_one_and_not_before_its_gate():
    def joined(value) -> int:
        hybrid = Hybrid(Fixed(0.0), Fixed(0.5), joins=[0, 10], early=[True, False], stalled=[False, True])
        hybrid.start(cube(3), 0)
        play(hybrid, 60, value)
        return int(hybrid.events[0]["reason"].split()[2]) if hybrid.events else 60

    assert joined(lambda mark, i: 1.0) == 30, "nothing gained from the first answer on: at the gate, 10 for each column"
    assert joined(lambda mark, i: -float(min(i, 40))) == 53, "3 (d + 1) answers after the last gain"
    assert joined(lambda mark, i: -float(i)) == 60


def test_who_leads_plays_most_while_it_is_sure_whoever_gains():
    def share(trust, **options) -> float:
        second = Fixed(0.5, trust=trust)
        hybrid = Hybrid(Fixed(0.0, trust=0.5), second, joins=[0, 0], **options)
        hybrid.start(cube(3), 0)
        return play(hybrid, 300, lambda mark, i: -float(i) if mark == 0.0 else 0.0).count(0.5) / 300

    assert share(0.95, leads=[False, True]) > 0.85
    assert share(0.8, leads=[False, True]) < 0.15 and share(0.95) < 0.15


def test_valleys_that_are_many_and_of_single_columns_are_searched_column_by_column():
    def waves(points):
        off = 10.0 * (points - np.array([0.813, 0.171, 0.645, 0.329, 0.907]))
        return (off**2 + 10.0 * (1.0 - np.cos(2.0 * np.pi * off))).sum(axis=1)

    where = {"joins": [0, 10], "stalled": [False, True], "leads": [False, True], "early": [True, False]}
    for seed in range(2):
        hybrid = Hybrid("quadratic", Axes(tested=True, restarts=False), **where)
        values = run(hybrid, cube(5), waves, 400, seed=seed, batch=1)[1]
        alone = run(make_strategy("quadratic"), cube(5), waves, 400, seed=seed, batch=1)[1]
        assert values.min() < 0.5 < alone.min()


class Waiting(Fixed):
    """Has one point at a time: the next one after its answer."""

    def propose(self, n):
        return super().propose(min(n, 1 - min(self.pending, 1)))


def test_where_workers_wait_and_nobody_has_points_the_next_one_joins():
    hybrid = Hybrid(Waiting(0.0), Waiting(0.5), Fixed(0.9), joins=[0, 1000, 1000], early=[True, False, False])
    hybrid.start(cube(3), 0)
    marks = [float(hybrid.ask(1).points[0, 0]) for _ in range(4)]  # four are under way, no answer is known
    assert marks == [0.0, 0.5, 0.9, 0.9]
    assert [event["reason"].rpartition(", ")[2] for event in hybrid.events] == ["idle workers", "idle workers"]


def test_idle_workers_do_not_hurry_who_waits_for_a_standstill():
    where = {"joins": [0, 0, 1000], "early": [True, False, False], "stalled": [False, True, False]}
    hybrid = Hybrid(Waiting(0.0), Waiting(0.5), Fixed(0.9), **where)
    hybrid.start(cube(3), 0)
    assert [float(hybrid.ask(1).points[0, 0]) for _ in range(3)] == [0.0, 0.9, 0.9]


def test_a_batch_that_is_smaller_than_wanted_lets_nobody_in():
    hybrid = Hybrid(Waiting(0.0), Fixed(0.5), joins=[0, 1000])
    hybrid.start(cube(3), 0)
    assert len(hybrid.ask(100)) == 1  # where all are evaluated in one call, nobody waits
    assert not hybrid.events


def test_who_gains_gets_more():
    for winner in (0.0, 0.5):
        hybrid = Hybrid(Fixed(0.0), Fixed(0.5), joins=[0, 0])
        hybrid.start(cube(3), 0)
        marks = play(hybrid, 300, lambda mark, i, winner=winner: -float(i) if mark == winner else 0.0)
        assert 0.6 < marks.count(winner) / 300 < 0.9


def test_a_winner_whose_model_keeps_its_promises_gets_most():
    hybrid = Hybrid(Fixed(0.0, trust=1.0), Fixed(0.5), joins=[0, 0])
    hybrid.start(cube(3), 0)
    marks = play(hybrid, 300, lambda mark, i: -float(i) if mark == 0.0 else 0.0)
    assert marks.count(0.0) / 300 > 0.85


def test_scale_and_offset_of_the_objective_do_not_matter():
    def marks(scale, offset):
        hybrid = Hybrid("de", "pso", joins=[0, 5])
        hybrid.start(cube(3), 7)
        points = []
        for _ in range(80):
            asked = hybrid.ask(1)
            points.append(asked.points[0])
            hybrid.tell(answer(asked, scale * ((asked.points - 0.4) ** 2).sum(axis=1) + offset))
        return np.array(points)

    np.testing.assert_array_equal(marks(1.0, 0.0), marks(1024.0, 0.0))


def thinker(**options) -> Hybrid:
    """0.0 thinks for a tenth of a second a row, 0.5 not at all; a second of it is free, or half a second."""
    hybrid = Hybrid(Fixed(0.0), Fixed(0.5), joins=[0, 1e9], costs=[0.1, 0.0], allowance=1.0, least=0.5, **options)
    hybrid.start(cube(3), 0)
    return hybrid


def test_thinking_must_be_affordable():
    def count(seconds, overhead):
        return play(thinker(overhead=overhead), 200, lambda mark, i: -float(i), seconds).count(0.0)

    assert count(0.0, 0.1) == 5  # what is free
    assert count(5e-4, 0.1) == 5  # quick evaluations count as none
    assert count(5e-3, 0.0) == 7  # half of what is free beyond that
    assert count(0.01, 0.0) == count(3.0, 0.0) == 10  # all of it
    assert count(np.nan, 0.0) == 10
    assert 10 < count(0.1, 0.1) < 60
    assert count(10.0, 0.1) == 200
    assert count(0.0, None) == 200


def test_who_stands_in_for_the_first_one_joins_when_that_cannot_be_afforded_and_before_others():
    def marks(seconds):
        children = Fixed(0.0), Fixed(0.3), Fixed(0.6), Fixed(0.9)
        hybrid = Hybrid(*children, joins=[0, 0, 60, 1e9], early=[False] * 4, costs=[0.1, 0, 0, 0], overhead=0.1)
        hybrid.start(cube(3), 0)
        return play(hybrid, 120, lambda mark, i: 1.0, seconds)

    assert 0.9 not in marks(10.0)  # the first one can always be afforded
    assert {0.3, 0.9} <= set(marks(0.0)[:60])
    assert 0.6 not in marks(0.0)


def test_an_evaluation_held_up_among_short_ones_gives_no_more_time():
    def marks(late):
        hybrid = thinker(overhead=0.1)
        return [play(hybrid, 1, lambda mark, i: 1.0, 8e-3 if i in late else 1e-5)[0] for i in range(60)]

    assert marks([]) == marks([4]) == marks([4, 12, 30])
    assert marks([]).count(0.0) == 5


def told_together(hybrid: Hybrid, rows: int, seconds: float) -> None:
    """One call for `rows` points, or as many as come: each has the same share of its time."""
    asked = hybrid.ask(rows)
    told = answer(asked, np.ones(len(asked)))
    each = np.full(len(asked), seconds / len(asked))
    hybrid.tell(Answers(told.tickets, told.points, told.values, told.statuses, seconds=each))


def test_of_a_call_for_many_points_each_is_worth_its_share_and_no_more_when_called_alone():
    hybrid = thinker(overhead=0.1)
    told_together(hybrid, 4, 0.001)
    for _ in range(60):
        told_together(hybrid, 1, 0.02)  # calls cost that much, points do not
    assert hybrid.played[0] == 5
    late = thinker(overhead=0.1)
    for _ in range(3):
        told_together(late, 1, 0.02)
    told_together(late, 4, 0.001)  # of what came before, too
    assert late.evaluated == late.paces == 0.0
    slow = thinker(overhead=0.0)
    told_together(slow, 4, 4.0)
    for _ in range(60):
        told_together(slow, 1, 1.0)
    assert slow.played[0] == 10


def test_blocks_are_asked_for_once_models_cannot_be_afforded():
    class Guess(Strategy):
        abilities = Abilities(learns_foreign=True)
        speculates = True

        def propose(self, n):
            return self.rng.random((n, self.dimension))

        def learn(self, answers):
            pass

    hybrid = Hybrid(Guess(), Fixed(0.5), joins=[0, 1e9], costs=[0.1, 0.0], overhead=0.1, least=0.5)
    hybrid.start(cube(3), 0)
    assert hybrid.speculates
    play(hybrid, 20, lambda mark, i: 1.0)
    assert not hybrid.speculates


def test_where_nobody_can_be_afforded_the_rest_goes_on():
    hybrid = Hybrid(Fixed(0.0), Fixed(0.5), joins=[0, 0], costs=[1.0, 1.0], overhead=0.1, allowance=2.0)
    hybrid.start(cube(3), 0)
    assert len(play(hybrid, 50, lambda mark, i: 1.0)) == 50


def test_several_objectives_share_equally():
    problem = Problem(Space([(0.0, 1.0)] * 3), (Objective("a"), Objective("b")))
    hybrid = Hybrid("nsga2", "nsga3", joins=[0, 0])
    hybrid.start(problem, 0, 400)
    for _ in range(100):
        asked = hybrid.ask(2)
        values = np.column_stack([asked.points[:, 0], 1.0 - asked.points[:, 0]])
        hybrid.tell(Answers(asked.tickets, np.array(asked.points), values, np.full(len(asked), 2, np.int8)))
    assert min(hybrid.played) > 10


class Grouped(Fixed):
    """Counts how often it is told of others."""

    abilities = Abilities(learns_foreign=True, objectives=MANY)

    def begin(self) -> None:
        super().begin()
        self.groups = 0

    def absorb(self, answers):
        super().absorb(answers)
        self.groups += 1


def test_with_several_objectives_who_cannot_be_afforded_gives_way_and_hears_much_at_once():
    thinks, quick = Grouped(0.0), Grouped(0.5)
    hybrid = Hybrid(thinks, quick, joins=[0, 1e9], costs=[0.3, 0.0], overhead=0.1, allowance=2.0, least=0.5)
    hybrid.start(Problem(Space([(0.0, 1.0)] * 3), (Objective("a"), Objective("b"))), 0, 4000)
    given = []
    for _ in range(500):
        asked = hybrid.ask(2 if not given else 4)
        given += asked.points[:, 0].tolist()
        values, status = np.array(asked.points[:, 1:]), np.full(len(asked), 2, np.int8)
        hybrid.tell(Answers(asked.tickets, np.array(asked.points), values, status, seconds=np.zeros(len(asked))))
    # a turn of 4 rows began when 2 s were free; after the first answers half a second is, and the turn is over
    assert given.count(0.0) == 2
    assert len(given) == 1998
    assert thinks.groups == 1
    assert thinks.foreign == 1024


def test_a_twin_goes_on_alike_from_plain_data():
    first, second = (Hybrid("quadratic", "lq_cmaes", "cmaes", joins=[0, 5, 10]) for _ in range(2))
    for hybrid in (first, second):
        hybrid.start(cube(3), 3, 200)
    for _ in range(90):
        asked = first.ask(1)
        first.tell(answer(asked, ((asked.points - 0.3) ** 2).sum(axis=1)))
    second.restore(plain.decode(json.loads(json.dumps(plain.encode(first.state())))))
    for _ in range(30):
        one, two = first.ask(1), second.ask(1)
        np.testing.assert_array_equal(one.points, two.points)
        values = ((one.points - 0.3) ** 2).sum(axis=1)
        first.tell(answer(one, values))
        second.tell(answer(two, values))


def test_better_than_its_parts_are_on_what_each_cannot_do():
    def ridge(u):  # a model of it breaks its promises
        return np.abs(u - 0.37).sum(axis=1) + 3.0 * np.abs((u - 0.37).sum(axis=1))

    _, alone = run(Random(), cube(4), ridge, 400)
    _, found = run(Hybrid("quadratic", "lq_cmaes"), cube(4), ridge, 400, batch=1)
    assert found.min() < 0.1 * alone.min()


def test_golden():
    # models: where a likelihood is flat another L-BFGS (before SciPy 1.15) ends elsewhere, the 9th point 7e-3 away
    same = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 15)
    check_golden("hybrid", Hybrid(), kept=40 if same else 8, rtol=1e-6 if same else 1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"joins": [0]}, "a value for each"),
        ({"costs": [0, 0, 0]}, "a value for each"),
        ({"overhead": -1.0}, "at least 0"),
        ({"allowance": -1.0}, "at least 0"),
        ({"least": -1.0}, "at least 0"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(StrategyError, match=words):
        Hybrid("random", "de", **options)
    with pytest.raises(StrategyError, match="at least two"):
        Hybrid("random")
