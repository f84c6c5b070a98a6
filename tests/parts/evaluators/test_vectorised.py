import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError
from thalweg.core.evaluator import Job
from thalweg.core.parameter import Float
from thalweg.core.problem import Problem, constraints_of, objectives_of
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.vectorised import Vectorised

SPACE = Space({"x": (0.0, 100.0)})


def evaluate(function, count=8, space=SPACE, objectives=None, constraints=None):
    evaluator = Vectorised()
    problem = Problem(space, objectives_of(objectives), constraints_of(constraints))
    evaluator.open(Target(function, problem, vectorised=True))
    reals = np.repeat(np.arange(count, dtype=float)[:, None], space.dimension, axis=1)
    coroutine = evaluator.evaluate(evaluator.prepare(Job(np.arange(count), reals)))
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def test_bad_rows_fail_alone_and_halving_finds_them():
    calls = []

    def objective(columns):
        calls.append(len(columns["x"]))
        if (columns["x"] == 5).any():
            raise FloatingPointError("five")
        return np.where(columns["x"] == 2, np.nan, columns["x"])

    outcomes = evaluate(objective, count=64)
    bad = np.flatnonzero(outcomes.statuses == Status.FAILED)
    assert bad.tolist() == [2, 5] and outcomes.errors[5].startswith("FloatingPointError: five")
    assert "nan" in outcomes.errors[2]
    np.testing.assert_array_equal(np.delete(outcomes.values[:, 0], bad), np.delete(np.arange(64.0), bad))
    assert len(calls) == 13  # 1 + 2 log2(64)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda x: 1.0, r"shape \(\); expected an array \(8,\)"),
        (lambda x: x[:3], r"shape \(3,\)"),
        (lambda x: None, "is a return missing"),
        (lambda x: {"value": x[:3]}, r"'value' with shape \(3,\)"),
        (lambda x: [[1, 2], [3]], "ValueError"),
        (lambda x: np.stack([x, x]), r"shape \(2, 8\)"),
    ],
)
def test_a_wrong_shape_fails_the_block_with_the_reason(gives, message):
    outcomes = evaluate(lambda columns: gives(columns["x"]))
    assert outcomes.statuses.tolist() == [Status.FAILED] * 8
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(outcomes.errors[0])


def test_a_transposed_result_is_recognised():
    outcomes = evaluate(lambda columns: np.stack([columns["x"]] * 2), objectives=2)
    assert "transposed" in outcomes.errors[0]


def test_kinds_of_results():
    def x_of(outcomes):
        assert (outcomes.statuses == Status.DONE).all(), outcomes.errors
        return outcomes.values[:, 0].tolist()

    wanted = list(range(8))
    assert x_of(evaluate(lambda c: c["x"].tolist())) == wanted
    assert x_of(evaluate(lambda c: c["x"][:, None])) == wanted
    assert x_of(evaluate(lambda c: c["x"].astype(int))) == wanted
    assert x_of(evaluate(lambda c: {"value": c["x"]})) == wanted
    assert evaluate(lambda c: c["x"], objectives={"v": "maximize"}).values[:, 0].tolist() == [-v for v in wanted]
    both = evaluate(lambda c: {"a": c["x"], "b": 2 * c["x"]}, objectives=["a"], constraints="b <= 6")
    assert (both.violations > 0).tolist() == [False] * 4 + [True] * 4
    assert both.components[3] == {"a": 3.0, "b": 6.0}


def as_objects(columns):
    """The same results in a form that is read row by row."""
    return {name: list(column) for name, column in columns.items()}


@pytest.mark.parametrize(
    "constraints",
    [
        None,
        "b <= 6",
        "b < 6",
        "6 > b",
        "2 <= b <= 9 and flag == 1",
        "gap >= 0",
        "loss <= 3",
        "b / 2 <= 3",
        "edge <= 5",
        "b <= 1 / 0",
    ],
)
def test_columns_of_named_results_say_the_same_as_rows(constraints):
    def results(columns):
        x = columns["x"]
        return {
            "loss": np.where(x == 5, np.nan, x),
            "b": (2 * x).astype(np.int32),
            "flag": x > 2,
            "gap": np.where(x == 3, np.nan, x - 4).astype(np.float32),
            "edge": np.where(x == 1, np.inf, np.where(x == 2, -np.inf, x)),
        }

    for objectives in ({"loss": "minimize"}, {"loss": "maximize", "b": "minimize"}):
        fast = evaluate(results, 8, SPACE, objectives, constraints)
        slow = evaluate(lambda columns: as_objects(results(columns)), 8, SPACE, objectives, constraints)
        np.testing.assert_array_equal(fast.values, slow.values)
        np.testing.assert_array_equal(fast.statuses, slow.statuses)
        assert fast.errors == slow.errors and 5 in fast.errors
        assert (fast.violations is None) == (constraints is None)
        if constraints is not None:
            np.testing.assert_array_equal(fast.violations, slow.violations)
        assert repr(fast.components) == repr(slow.components)
        if constraints != "b <= 1 / 0":  # of which nothing can be measured
            assert [type(item) for item in fast.components[0].values()] == [float, int, bool, float, float]
            assert list(fast.errors) == [5]


def test_columns_of_vectors_and_array_spaces():
    seen = []

    def objective(columns):
        seen.append(columns)
        return columns.sum(axis=1) if isinstance(columns, np.ndarray) else columns["v"].sum(axis=1)

    assert evaluate(objective, space=Space([(0.0, 9.0)] * 3)).values[:, 0].tolist() == [3.0 * i for i in range(8)]
    assert seen.pop().shape == (8, 3)
    evaluate(objective, space=Space({"v": Float(0, 9, size=4)}))
    assert seen.pop()["v"].shape == (8, 4)


def test_refusals():
    with pytest.raises(EvaluatorError, match="vectorised=True"):
        Vectorised().open(Target(lambda p: 0.0, Problem(SPACE)))
    with pytest.raises(EvaluatorError, match="columns only"):
        Vectorised().open(Target(lambda p, context: 0.0, Problem(SPACE), vectorised=True))
    with pytest.raises(EvaluatorError, match="rows"):
        Vectorised(rows=0)
