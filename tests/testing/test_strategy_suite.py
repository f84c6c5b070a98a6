"""The conformance suite catches what it is there for: each strategy here breaks one point of the contract."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from thalweg.core.strategy import Abilities, Strategy
from thalweg.testing.strategy_suite import CASES, CHECKS, ONCE, Refused, Suite, SuiteFailure, conformance


class Good(Strategy):
    """Steps around the best point it knows; half of the rows are random."""

    abilities = Abilities(learns_foreign=True)

    def begin(self):
        self.best = np.full(self.dimension, 0.5)
        self.merit = np.inf

    def propose(self, n):
        near = self.best + 0.1 * self.rng.standard_normal((n, self.dimension))
        return np.where(self.rng.random((n, 1)) < 0.5, near, self.rng.random((n, self.dimension)))

    def learn(self, answers):
        merits = answers.merit()
        if merits.min() < self.merit:
            self.merit = float(merits.min())
            self.best = answers.points[int(np.argmin(merits))].copy()

    absorb = learn


class Mutates(Good):
    def learn(self, answers):
        answers.points.sort(axis=0)
        super().learn(answers)


class KeepsReference(Good):
    def learn(self, answers):
        merits = answers.merit()
        if merits.min() < self.merit:
            self.merit = float(merits.min())
            self.best = answers.points[int(np.argmin(merits))]


class GlobalRandom(Good):
    stream = np.random.default_rng(0)

    def propose(self, n):
        return self.stream.random((n, self.dimension))


class Forgets(Good):
    def state(self):
        state = super().state()
        del state["own"]["best"]
        return state


class NotPlain(Good):
    def begin(self):
        super().begin()
        self.tag = {1, 2}


class StateMoves(Good):
    def state(self):
        self.rng.random()
        return super().state()


class NaNBlind(Good):
    def learn(self, answers):
        self.best = answers.points[int(np.nanargmin(answers.values[:, 0]))].copy()


class Stuck(Good):
    def propose(self, n):
        return super().propose(n if self.next_ticket < 30 else 0)


class DoneSilently(Good):
    @property
    def done(self):
        return self.next_ticket >= 40


class Deaf(Good):
    def absorb(self, answers):
        pass


class Hoards(Good):
    def begin(self):
        super().begin()
        self.all = []

    def learn(self, answers):
        super().learn(answers)
        self.all += [answers.points.copy()] * 40


class Threads(Good):
    def begin(self):
        super().begin()
        leave = threading.Event()
        LEAVE.append(leave)
        threading.Thread(target=leave.wait, daemon=True).start()


class Repeats(Good):
    def propose(self, n):
        return np.full((n, self.dimension), 0.5)


class TwoAtOnce(Good):
    abilities = Abilities(objectives=2, learns_foreign=True)

    def learn(self, answers):
        if answers.values.shape[1] > 1:
            raise AssertionError("one value expected")


class Outside(Good):
    def propose(self, n):
        return np.full((n, self.dimension), np.nan)


LEAVE: list[threading.Event] = []

PLANTED = [
    (Mutates, "copies", "changed answers.points"),
    (KeepsReference, "copies", "by reference"),
    (GlobalRandom, "seed", "same seed"),
    (Forgets, "state", "twin"),
    (NotPlain, "state", "plain data"),
    (StateMoves, "state", "state"),
    (NaNBlind, "faults", "NaN"),
    (Stuck, "rows", "stuck"),
    (DoneSilently, "done", "does not say why"),
    (Hoards, "memory", "bytes per evaluation"),
    (Threads, "threads", "left behind"),
    (Outside, "rows", "not numbers|outside the unit cube"),
]


@pytest.mark.parametrize(("kind", "check", "message"), PLANTED)
def test_a_planted_fault_is_caught(kind, check, message):
    with pytest.raises(Exception, match=message):
        CHECKS[check](Suite(kind), "real")
    for event in LEAVE:
        event.set()


class Refuses(Good):
    def begin(self):
        super().begin()
        assert self.dimension, "no column"


@pytest.mark.parametrize(
    ("kind", "check", "message"),
    [
        (Deaf, "gain", "says learns_foreign"),
        (Repeats, "finite", "are repeats"),
        (TwoAtOnce, "objectives", "one value expected"),
        (Refuses, "still", "no column"),
    ],
)
def test_a_planted_fault_with_its_own_space_is_caught(kind, check, message):
    with pytest.raises(AssertionError, match=message):
        ONCE[check](Suite(kind, finite=True))


def test_a_good_strategy_passes_and_all_misses_are_listed():
    assert conformance(Good) == []
    with pytest.raises(SuiteFailure) as caught:
        conformance(Mutates, cases=("real", "mixed"))
    assert "copies on real" in str(caught.value)
    assert "copies on mixed" in str(caught.value)


def test_a_refusal_is_not_a_failure():
    class Needs(Good):
        abilities = Abilities(needs_budget=True, learns_foreign=True)

    with pytest.raises(Refused, match="needs a number of evaluations"):
        CHECKS["rows"](Suite(Needs, budget=None), "real")
    CHECKS["budgets"](Suite(Needs), "real")


def test_the_suite_covers_every_kind_of_space():
    assert {"real", "integer", "mixed", "conditional", "constrained", "permutation", "subset", "finite"} <= set(CASES)
