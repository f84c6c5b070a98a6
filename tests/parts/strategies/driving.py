"""What the strategies' own tests share: spaces, objectives, and loops that evaluate as the engine does."""

from __future__ import annotations

import numpy as np

from thalweg.core.batch import FOREIGN, Answers, Status
from thalweg.core.choices import Boolean, Choice, Permutation, Subset
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.space import Space
from thalweg.core.strategy import Strategy


def cube(d: int) -> Problem:
    return Problem(Space([(0.0, 1.0)] * d))


def mixed() -> Space:
    return Space(
        {
            "x": Float(-2.0, 2.0),
            "lr": Float(1e-5, 1.0, log=True),
            "k": Integer(0, 9),
            "w": Integer(1, 1000, log=True),
            "kind": Choice(["a", "b", "c", "d"]),
            "flag": Boolean(),
        }
    )


def conditional() -> Space:
    return Space(
        {
            "kind": Choice(["a", "b", "c"]),
            "a_depth": Integer(1, 5, when="kind == 'a'"),
            "b_rate": Float(0.0, 1.0, when="kind == 'b'"),
            "x": Float(0.0, 1.0),
        }
    )


def constrained() -> Space:
    return Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0), "k": Integer(0, 5)}, require="a + b <= 1")


def ordered() -> Space:
    return Space({"route": Permutation(list(range(5))), "picks": Subset(list("pqrstu"), min=1, max=4)})


def finite() -> Space:
    return Space({"i": Integer(0, 9), "j": Integer(0, 4), "c": Choice(["p", "q", "r", "s"])})  # 200 points


ALL_SPACES = [mixed, conditional, constrained, ordered, finite]


def bowl(points: np.ndarray) -> np.ndarray:
    """(n, D) -> (n,): a smooth bowl whose bottom is off the grid's middle."""
    return ((points - 0.3217) ** 2).sum(axis=1)


def rosenbrock(points: np.ndarray) -> np.ndarray:
    x = points * 4.0 - 1.7
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def answer(strategy_or_problem, proposals, values, *, failed=None, violations=None) -> Answers:
    """Answers as the engine gives them: repaired and snapped points; `failed` rows have NaN."""
    problem = getattr(strategy_or_problem, "problem", strategy_or_problem)
    space = problem.space
    points = space.snap(space.repair(proposals.points, np.random.default_rng(5)))
    found = np.asarray(values(points), dtype=float)
    found = found[:, None] if found.ndim == 1 else found
    statuses = np.full(len(points), int(Status.DONE), np.int8)
    if failed is not None:
        found = found.copy()
        found[failed] = np.nan
        statuses[failed] = int(Status.FAILED)
    return Answers(proposals.tickets, points, found, statuses, violations)


def foreign(points: np.ndarray, values: np.ndarray) -> Answers:
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    n = len(points)
    return Answers(np.full(n, FOREIGN), points, values, np.full(n, int(Status.DONE), np.int8))


def run(strategy: Strategy, problem: Problem, values, budget: int, *, seed=0, batch=None, start=True):
    """(points (n, D), values (n, m)) in the order of evaluation; asks for `batch` rows at a time (None: all left)."""
    if start:
        strategy.start(problem, seed, budget)
    points, found, count = [], [], 0
    while count < budget and not strategy.done:
        proposals = strategy.ask(min(batch or budget, budget - count))
        if not len(proposals):
            break
        answers = answer(problem, proposals, values)
        points.append(answers.points)
        found.append(answers.values)
        count += len(proposals)
        strategy.tell(answers)
    return np.concatenate(points), np.concatenate(found)


def torture(strategy: Strategy, space: Space, *, seed=3, rounds=60, objectives=1, values=bowl) -> int:
    """Failures (30 %), late and shuffled answers, foreign points before and between; gives the rows evaluated."""
    rng = np.random.default_rng(seed)
    problem = Problem(space, objectives=objectives_of(objectives))
    strategy.start(problem, seed, 2000)
    spare = space.sample(4, rng)
    strategy.tell(foreign(spare, values(spare)))
    waiting: list[Answers] = []
    count = 0
    for round_ in range(rounds):
        proposals = strategy.ask(int(rng.integers(1, 9)))
        count += len(proposals)
        assert np.isfinite(proposals.points).all()
        if len(proposals):
            whole = answer(problem, proposals, values, failed=rng.random(len(proposals)) < 0.3)
            waiting += [whole.rows(np.array([i])) for i in range(len(whole))]
        waiting = [waiting[i] for i in rng.permutation(len(waiting))]
        take = len(waiting) if not len(proposals) or round_ == rounds - 1 else int(rng.integers(0, len(waiting) + 1))
        for item in waiting[:take]:
            strategy.tell(item)
        del waiting[:take]
        if round_ % 7 == 3:
            spare = space.sample(2, rng)
            strategy.tell(foreign(spare, values(spare)))
        if strategy.done:
            break
    assert strategy.pending == len(waiting)
    return count


def go_on_alike(one: Strategy, two: Strategy, problem: Problem, values, rounds: int, batch: int) -> None:
    """Both propose the same rows, and are told the same, in each of the rounds."""
    for _ in range(rounds):
        a, b = one.ask(batch), two.ask(batch)
        np.testing.assert_array_equal(a.tickets, b.tickets)
        np.testing.assert_array_equal(a.points, b.points)
        if not len(a):
            break
        answers = answer(problem, a, values)
        one.tell(answers)
        two.tell(answers)


def twins_agree(make, problem: Problem, values, *, before=5, after=8, batch=5, seed=11) -> None:
    """A twin restored from the stored form of the state, with rows pending, proposes the same from then on."""
    from thalweg.core import plain

    one = make()
    one.start(problem, seed, 400)
    pending = None
    for i in range(before):
        proposals = one.ask(batch)
        if not len(proposals):
            break
        answers = answer(problem, proposals, values)
        if i == before - 1 and len(answers) > 1:
            one.tell(answers.rows(np.arange(0, len(answers), 2)))
            pending = answers.rows(np.arange(1, len(answers), 2))
        else:
            one.tell(answers)
    two = make()
    two.start(problem, seed, 400)
    two.restore(plain.decode(plain.encode(one.state())))
    assert two.pending == one.pending
    for strategy in (one, two):
        if pending is not None:
            strategy.tell(pending)
    go_on_alike(one, two, problem, values, after, batch)
