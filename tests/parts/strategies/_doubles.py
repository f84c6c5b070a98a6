"""Small strategies with one trait each, for tests of those that are made of strategies."""

from __future__ import annotations

import numpy as np

from thalweg.core.batch import Answers, Status
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.strategy import Abilities, Strategy

PROBLEM = Problem(Space([(0.0, 1.0)] * 2))


class Listener(Strategy):
    """Random points; writes down what it hears, stops after `limit` rows, raises when told to."""

    abilities = Abilities(learns_foreign=True)

    def __init__(self, limit=10**9, fail_at=10**9, fail_in="propose", mute=False):
        self.limit, self.fail_at, self.fail_in, self.mute = limit, fail_at, fail_in, mute

    def begin(self):
        if self.fail_in == "begin":
            raise RuntimeError("cannot begin")
        self.own = []
        self.foreign = []
        self.given = 0

    def propose(self, n):
        if self.fail_in == "propose" and self.given >= self.fail_at:
            raise RuntimeError("broken while asked")
        n = 0 if self.mute else min(n, self.limit - self.given)
        self.given += n
        return self.rng.random((n, self.dimension))

    def learn(self, answers):
        self.own += answers.values[:, 0].tolist()
        if self.fail_in == "learn" and len(self.own) >= self.fail_at:
            raise RuntimeError("broken while told")

    def absorb(self, answers):
        self.foreign += answers.values[:, 0].tolist()

    @property
    def done(self):
        return self.given >= self.limit

    @property
    def why(self):
        return f"{self.given} rows given" if self.done else ""


def value_of(points):
    return ((points - 0.3) ** 2).sum(axis=1)


def answer(proposals, values=None):
    values = value_of(proposals.points) if values is None else np.asarray(values, dtype=float)
    statuses = np.where(np.isfinite(values), Status.DONE, Status.FAILED).astype(np.int8)
    return Answers(proposals.tickets, np.array(proposals.points), values[:, None], statuses)


def foreign(points):
    points = np.atleast_2d(np.asarray(points, dtype=float))
    return Answers(
        np.full(len(points), -1), points, value_of(points)[:, None], np.full(len(points), Status.DONE, np.int8)
    )


def turn(strategy, n):
    """Ask and tell n rows at most; gives how many came."""
    asked = strategy.ask(n)
    if len(asked):
        strategy.tell(answer(asked))
    return len(asked)
