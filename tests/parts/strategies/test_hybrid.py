"""Hybrid: one leads, then all take turns."""

from __future__ import annotations

import numpy as np
import pytest
from _doubles import PROBLEM, Listener, foreign, turn
from driving import bowl, cube, mixed, run, twins_agree

from thalweg.core.errors import StrategyError
from thalweg.core.problem import Problem
from thalweg.parts.strategies import make_strategy
from thalweg.parts.strategies.hybrid import Hybrid
from thalweg.parts.strategies.relay import Relay


def test_one_leads_then_all_take_turns_and_hear_everything():
    first, second, third = Listener(), Listener(), Listener()
    hybrid = Hybrid(first, second, third, lead=20)
    hybrid.start(PROBLEM, 0, 100)
    for _ in range(4):
        turn(hybrid, 5)
    assert (first.given, hybrid.all_joined) == (20, False)
    assert "leads until 20 answers" in hybrid.why
    for _ in range(16):
        turn(hybrid, 5)
    assert first.given + second.given + third.given == 100
    assert min(second.given, third.given) >= 20
    assert second.foreign[:20] == first.own[:20]
    assert "20 answers known" in hybrid.events[-1]["reason"]
    assert len(first.foreign) + sum(map(len, hybrid.unheard[0])) == 100 - first.given
    assert second.budget == third.budget == 40  # a fair share of what was left
    assert "turns: " in hybrid.why


def test_the_lead_is_measured_in_answers_that_are_known_or_out():
    first, second = Listener(), Listener()
    hybrid = Hybrid(first, second, lead=12)
    hybrid.start(PROBLEM, 0, 60)
    hybrid.tell(foreign(np.random.default_rng(1).random((7, 2))))
    assert len(hybrid.ask(9)) == 5  # the rest of the lead
    assert len(hybrid.ask(4)) == 4
    assert second.given >= 1
    hybrid = Hybrid(first, second)
    hybrid.start(PROBLEM, 0)
    assert hybrid.until == 60


def test_a_leader_that_ends_or_is_stuck_lets_the_others_join():
    for leader in (Listener(limit=3), Listener(mute=True)):
        second = Listener()
        hybrid = Hybrid(leader, second, lead=30)
        hybrid.start(PROBLEM, 0, 30)
        while hybrid.next_ticket < 20 and turn(hybrid, 4):
            pass
        assert hybrid.next_ticket >= 20
        assert not hybrid.done
    hybrid = Hybrid(Listener(limit=3), Listener(limit=4), lead=30)
    hybrid.start(PROBLEM, 0, 30)
    while turn(hybrid, 2):
        pass
    assert hybrid.done


def test_a_leader_that_does_not_stay_gives_its_turns_away():
    first, second = Listener(), Listener(limit=50)
    hybrid = Hybrid(first, second, lead=10, stays=False)
    hybrid.start(PROBLEM, 0, 100)
    for _ in range(12):
        turn(hybrid, 5)
    assert (first.given, second.given) == (10, 50)
    assert turn(hybrid, 5) == 5  # nobody else has anything left
    assert first.given == 15 and not hybrid.done


def test_children_may_be_composites_and_a_twin_goes_on_alike():
    problem = Problem(mixed())
    make = lambda: Hybrid("tpe", "genetic", Relay("random", "de", budgets=(10, None)), lead=25)  # noqa: E731
    twins_agree(make, problem, bowl, before=3)
    twins_agree(make, problem, bowl, before=12)


def test_a_hybrid_finds_more_than_its_leader_alone_where_the_leader_does_not_learn():
    problem = cube(3)
    found, alone = [], []
    for seed in range(3):
        found.append(run(Hybrid("random", "cmaes", "de", lead=20), problem, bowl, 200, seed=seed, batch=5)[1].min())
        alone.append(run(make_strategy("random"), problem, bowl, 200, seed=seed)[1].min())
    assert np.median(found) < 0.3 * np.median(alone)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hybrid("de"), "at least two strategies"),
        (lambda: Hybrid("de", "cmaes", lead=-1), "at least 0"),
        (lambda: Hybrid("de", "cmaes", turn=0), "Hybrid: window, turn >= 1"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(StrategyError, match=message):
        make()
