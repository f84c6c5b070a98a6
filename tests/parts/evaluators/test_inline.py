import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError, OutOfOrder
from thalweg.core.evaluator import Job
from thalweg.core.problem import Problem, constraints_of, objectives_of
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.inline import Inline

SPACE = Space({"x": (0.0, 1.0)})


def evaluate(function, count=5, problem=None, evaluator=None):
    evaluator = evaluator or Inline()
    evaluator.open(Target(function, problem or Problem(SPACE)))
    coroutine = evaluator.evaluate(evaluator.prepare(Job(np.arange(count), (np.arange(count) / 10.0)[:, None])))
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


def interrupted_at(x):
    def objective(params):
        if params["x"] == x:
            raise KeyboardInterrupt
        return params["x"]

    return objective


@pytest.mark.parametrize(
    "problem", [None, Problem(SPACE, constraints=constraints_of("value <= 1"))], ids=["fast", "slow"]
)
def test_an_interrupt_keeps_the_rows_before(problem):
    evaluator = Inline()
    outcomes = evaluate(interrupted_at(0.3), problem=problem, evaluator=evaluator)
    assert outcomes.values[:, 0].tolist() == [0.0, 0.1, 0.2] and evaluator.interrupted
    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted_at(0.0), problem=problem, evaluator=evaluator)
    evaluate(lambda params: 0.0, evaluator=evaluator)
    assert not evaluator.interrupted


def test_an_exception_is_told_with_its_last_frames():
    def inner(params):
        return {}[params["x"]]

    def outer(params):
        return inner(params) if params["x"] > 0.35 else params["x"]

    outcomes = evaluate(outer)
    assert outcomes.statuses.tolist() == [Status.DONE] * 4 + [Status.FAILED]
    first, *frames = outcomes.errors[4].splitlines()
    assert first == "KeyError: 0.4"
    assert [frame.split(" in ")[1].split(":")[0] for frame in frames] == ["outer", "inner"]


def test_numpy_infinity_is_a_failed_row_without_a_warning():
    outcomes = evaluate(lambda params: np.float64("inf"))
    assert outcomes.statuses.tolist() == [Status.FAILED] * 5 and np.isnan(outcomes.values).all()


def test_fast_and_slow_ways_agree():
    def objective(params):
        return params["x"] if params["x"] != 0.2 else "no"

    fast = evaluate(objective, problem=Problem(SPACE, objectives_of("v", "maximize")))
    slow = evaluate(objective, problem=Problem(SPACE, objectives_of("v", "maximize"), constraints_of("v <= 100")))
    np.testing.assert_array_equal(fast.values, slow.values)
    np.testing.assert_array_equal(fast.statuses, slow.statuses)
    assert fast.errors == slow.errors and fast.violations is None and not slow.violations.any()


def test_closed_means_closed():
    evaluator = Inline()
    evaluate(lambda params: 0.0, evaluator=evaluator)
    with pytest.raises(StopIteration):
        evaluator.aclose().send(None)
    with pytest.raises(OutOfOrder, match="open"):
        evaluator.prepare(Job(np.arange(1), np.zeros((1, 1))))


def test_refusals_say_what_can():
    async def later(params):
        return 0.0

    with pytest.raises(EvaluatorError, match="'async'"):
        Inline().open(Target(later, Problem(SPACE)))
    with pytest.raises(EvaluatorError, match="'vectorised'"):
        Inline().open(Target(lambda columns: columns["x"], Problem(SPACE), vectorised=True))
