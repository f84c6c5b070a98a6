"""Relay, Restart, Portfolio and Chain."""

from __future__ import annotations

import json

import numpy as np
import pytest
from _doubles import PROBLEM, Listener, answer, foreign, turn

from thalweg.core import plain
from thalweg.core.errors import StrategyError
from thalweg.parts.strategies._composite import Archive
from thalweg.parts.strategies.chain import Chain
from thalweg.parts.strategies.de import DE
from thalweg.parts.strategies.portfolio import Portfolio
from thalweg.parts.strategies.relay import Relay
from thalweg.parts.strategies.restart import Restart
from thalweg.testing.problems import make_test_problem

# --- relay ---


def test_a_relay_gives_each_stage_its_share_and_tells_the_next_what_was_found():
    first, second = Listener(), Listener()
    relay = Relay(first, second, shares=(0.25, 0.75))
    relay.start(PROBLEM, 0, 40)
    for _ in range(8):
        turn(relay, 5)
    assert (first.given, second.given) == (10, 30)
    assert second.foreign == first.own
    assert "10 evaluations are spent" in relay.events[0]["reason"]
    assert relay.events[0]["kind"] == "switched"


def test_a_stage_that_is_done_leaves_its_budget_to_the_next():
    first, second, third = Listener(limit=4), Listener(), Listener()
    relay = Relay(first, second, third)
    relay.start(PROBLEM, 0, 30)
    while turn(relay, 3):
        if relay.next_ticket >= 30:
            break
    assert (first.given, second.given) == (4, 13)
    assert third.given >= 13  # the last stage has no end of its own
    assert "4 rows given" in relay.events[0]["reason"]


def test_a_stage_without_improvement_is_left():
    first, second = Listener(), Listener()
    relay = Relay(first, second, stall=20)
    relay.start(PROBLEM, 0, None)
    asked = relay.ask(1)
    relay.tell(answer(asked, [-1.0]))  # nothing will beat this
    for _ in range(30):
        turn(relay, 1)
    assert first.given == 21
    assert second.given == 10
    assert "no improvement in 20 answers" in relay.why


def test_the_next_stage_waits_until_every_row_of_the_last_one_is_told():
    first, second = Listener(limit=4), Listener()
    relay = Relay(first, second)
    relay.start(PROBLEM, 0, 20)
    asked = relay.ask(4)
    assert len(relay.ask(4)) == 0
    assert not relay.done
    relay.tell(answer(asked))
    assert len(relay.ask(4)) == 4
    assert len(second.foreign) == 4


def test_de_after_a_relay_switch_is_never_worse_than_what_came_before():
    case = make_test_problem("rastrigin", 5)
    for seed in range(5):
        de = DE()
        relay = Relay("random", de, budgets=(150, None))
        relay.start(case.problem(), seed, 400)
        best_before = np.inf
        while relay.stage == 0:
            asked = relay.ask(10)
            if len(asked):
                values, _ = case.evaluate(asked.points)
                if relay.stage == 0:
                    best_before = min(best_before, float(values.min()))
                relay.tell(answer(asked, values[:, 0]))
        # what DE holds as its best before it has heard an answer of its own
        state = de.state()["own"]
        bests = [np.min(item) for item in _arrays(state) if item.ndim == 1 and np.isfinite(item).any()]
        assert any(best == pytest.approx(best_before) for best in bests) or min(bests) <= best_before


def _arrays(value):
    if isinstance(value, np.ndarray):
        return [value] if value.dtype == np.float64 and value.size else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [array for item in items for array in _arrays(item)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": (1,)}, "one entry for each of the 2 stages"),
        ({"budgets": (0, None)}, "positive"),
        ({"shares": (0.5, -1)}, "positive"),
        ({"shares": (1, 1), "budgets": (1, 1)}, "not both"),
        ({"stall": 0}, "at least 1"),
    ],
)
def test_a_relay_refuses_bad_options(options, message):
    with pytest.raises(StrategyError, match=message):
        Relay(Listener(), Listener(), **options)


def test_one_object_cannot_stand_in_two_places():
    child = Listener()
    with pytest.raises(StrategyError, match="given twice"):
        Portfolio(child, child)


# --- restart ---


def test_runs_grow_and_differ():
    restart = Restart(Listener(), run_budget=10, growth=2.0)
    restart.start(PROBLEM, 0, None)
    lengths, points = [0], []
    for _ in range(70):
        run = restart.runs[0]
        points.append(restart.ask(1))
        if restart.runs[0] != run:
            lengths.append(0)
        lengths[-1] += 1
        restart.tell(answer(points[-1]))
    assert lengths == [10, 20, 40]
    whole = np.concatenate([item.points for item in points])
    assert len(np.unique(whole, axis=0)) == 70


def test_a_stagnating_run_is_ended_and_late_answers_do_not_reach_the_next():
    child = Listener()
    restart = Restart(child, stall=5)
    restart.start(PROBLEM, 0, 100)
    late = restart.ask(1)
    for i in range(6):
        restart.tell(answer(restart.ask(1), [float(i)]))
    restart.ask(1)
    assert restart.runs[0] == 2
    assert "no improvement in 5 answers" in restart.why
    restart.tell(answer(late))
    assert child.own == []
    assert child.foreign == []


def test_restart_carries_what_is_known_only_when_told_to():
    for carry, heard in ((False, 0), (True, 4)):
        child = Listener(limit=4)
        restart = Restart(child, carry=carry)
        restart.start(PROBLEM, 0, 100)
        turn(restart, 4)
        turn(restart, 4)
        assert restart.runs[0] == 2
        assert len(child.foreign) == heard


def test_restart_ends_after_its_runs_and_when_a_fresh_run_gives_nothing():
    restart = Restart(Listener(limit=3), runs=2)
    restart.start(PROBLEM, 0, None)
    assert sum(turn(restart, 2) for _ in range(10)) == 6
    assert restart.done
    assert "all 2 runs are over" in restart.why
    restart = Restart(Listener(mute=True))
    restart.start(PROBLEM, 0, None)
    assert len(restart.ask(3)) == 0
    assert restart.done
    assert "gives no rows" in restart.why


# --- portfolio ---


class Fixed(Listener):
    """Gives points at a fixed distance from the optimum, nearer and nearer if it is good."""

    def __init__(self, good):
        super().__init__()
        self.good = good

    def propose(self, n):
        first = self.given + 1 + np.arange(n)
        self.given += n
        return np.full((n, 2), 0.3) + (0.3 / first if self.good else np.full(n, 0.5))[:, None]


def test_the_budget_goes_to_who_improves_and_everyone_hears_everyone():
    good, bad = Fixed(True), Fixed(False)
    portfolio = Portfolio(bad, good)
    portfolio.start(PROBLEM, 0, 200)
    for _ in range(100):
        turn(portfolio, 2)
    assert good.given > 5 * bad.given
    assert bad.given >= 2
    assert len(good.foreign) == bad.given
    late = sum(map(len, portfolio.unheard[0]))  # told before `bad` is asked again, and before there are 64
    assert late < 64
    assert len(bad.foreign) + late == good.given


def test_improvement_per_second_prefers_the_cheap_one():
    cheap, dear = Listener(), Listener()
    portfolio = Portfolio(cheap, dear, cost="seconds", explore=0.02)
    portfolio.start(PROBLEM, 0, 300)
    best = 0.0
    for _ in range(300):
        asked = portfolio.ask(1)
        which = portfolio.routes[int(asked.tickets[0])][0]
        best -= 1.0
        answers = answer(asked, [best])  # both always improve
        answers.seconds = np.array([0.1 if which == 0 else 10.0])
        portfolio.tell(answers)
    assert cheap.given > 4 * dear.given


def test_a_waiting_child_is_stood_in_for():
    waiting, ready = Listener(mute=True), Listener()
    portfolio = Portfolio(waiting, ready)
    portfolio.start(PROBLEM, 0, 50)
    assert len(portfolio.ask(5)) == 5
    assert ready.given == 5


# --- chain ---


@pytest.mark.parametrize("where", ["begin", "propose", "learn"])
def test_a_strategy_that_raises_is_replaced_and_nothing_is_lost(where):
    first, second = Listener(fail_at=6, fail_in=where), Listener()
    chain = Chain(first, second)
    chain.start(PROBLEM, 0, 40)
    held = chain.ask(1)
    total = 1
    while total < 31:
        total += turn(chain, 3)
    chain.tell(answer(held))
    heard = len(second.own) + len(second.foreign)
    assert heard == 31
    assert len(chain.events) == 1
    assert chain.events[0]["kind"] == "fallback"
    assert "RuntimeError" in chain.events[0]["reason"]
    assert "Listener" in chain.why
    assert "fallback" in chain.why


def test_a_state_taken_after_a_fallback_continues_with_the_replacement():
    def made():
        return Chain(Listener(fail_at=4), "de")

    first, twin = made(), made()
    for chain in (first, twin):
        chain.start(PROBLEM, 0, 60)
    for _ in range(6):
        turn(first, 3)
    assert len(first.events) == 1
    twin.restore(plain.decode(json.loads(json.dumps(plain.encode(first.state())))))
    assert twin.events == first.events
    for _ in range(6):
        ours, theirs = first.ask(4), twin.ask(4)
        assert np.array_equal(ours.points, theirs.points)
        if len(ours):
            first.tell(answer(ours))
            twin.tell(answer(theirs))


def test_a_strategy_that_does_not_suit_the_problem_is_passed_over():
    two = make_test_problem("zdt1", 3).problem()
    chain = Chain("de", "random")
    chain.start(two, 0, 20)
    assert "DE could not be started" in chain.events[0]["reason"]
    assert len(chain.ask(4)) == 4


def test_when_all_have_failed_every_reason_is_given():
    chain = Chain(Listener(fail_at=2), Listener(fail_at=0))
    chain.start(PROBLEM, 0, 20)
    turn(chain, 2)
    with pytest.raises(StrategyError, match=r"no strategy is left: Listener raised.*; Listener raised"):
        chain.ask(1)


def test_one_that_gives_nothing_and_waits_for_nothing_is_replaced():
    chain = Chain(Listener(mute=True), Listener())
    chain.start(PROBLEM, 0, 20)
    assert len(chain.ask(3)) == 3
    assert "waits for nothing" in chain.events[0]["reason"]


def test_scipy_errors_make_a_chain_fall_back():
    chain = Chain(_broken_scipy(), "random")
    chain.start(PROBLEM, 0, 20)
    assert len(chain.ask(3)) == 3
    assert "SciPy raised" in chain.why


def _broken_scipy():
    from thalweg.parts.strategies.scipy_push import SciPyDE

    return SciPyDE(strategy="no such strategy")


# --- foreign answers, archive ---


@pytest.mark.parametrize("make", [Relay, Portfolio, Chain, lambda *c: Restart(c[0])])
def test_foreign_answers_reach_live_children(make):
    first, second = Listener(), Listener()
    composite = make(first, second)
    composite.start(PROBLEM, 0, 50)
    composite.tell(foreign([[0.1, 0.2]]))
    assert len(first.foreign) == 1
    turn(composite, 2)
    composite.tell(foreign([[0.3, 0.2]]))
    assert len(first.foreign) >= 2


def test_the_archive_keeps_the_best_and_the_newest():
    archive = Archive(rows=10)
    values = np.concatenate([[0.0], np.arange(1.0, 60.0)])
    for value in values:
        item = foreign([[0.5, 0.5]])
        item.values[0, 0] = value
        archive.add(item)
    kept = archive.all().values[:, 0].tolist()
    assert len(kept) < 20
    assert {0.0, 1.0, 2.0, 59.0} <= set(kept)
    assert kept == sorted(kept)


def test_the_archive_is_a_copy():
    archive = Archive()
    item = foreign([[0.5, 0.5]])
    archive.add(item)
    item.points[:] = 0.9
    assert archive.all().points[0, 0] == 0.5
