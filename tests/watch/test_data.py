import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.watch.data import Column, RunData


def run(values, statuses=None, goals=("minimize",), **more):
    values = np.atleast_2d(np.array(values, dtype=float))
    codes = np.full(len(values), Status.DONE, dtype=np.int8) if statuses is None else np.array(statuses, dtype=np.int8)
    return RunData(values, codes, np.zeros(len(values)), goals=goals, objectives=tuple("abc"[: len(goals)]), **more)


def brute_front(values):
    return [
        i for i, row in enumerate(values) if not any((other <= row).all() and (other < row).any() for other in values)
    ]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_front_equals_brute_force(objectives):
    rng = np.random.default_rng(objectives)
    values = rng.integers(0, 6, (80, objectives)).astype(float)
    found = run(values, goals=("minimize",) * objectives).front()
    assert sorted(found.tolist()) == brute_front(values)
    assert values[found].tolist() == sorted(values[found].tolist())


def test_front_in_the_users_sign():
    data = run([[1, 1], [2, 2], [3, 0]], goals=("maximize", "minimize"))
    assert data.front().tolist() == [2]


def test_front_of_many_is_fast_when_all_are_on_it():
    steps = np.arange(100_000.0)
    data = run(np.column_stack([steps, -steps]), goals=("minimize", "minimize"))
    assert len(data.front()) == 100_000


def test_best_skips_what_does_not_count():
    data = run(
        [[np.nan], [5], [1], [0], [5]],
        [Status.FAILED, Status.DONE, Status.PRUNED, Status.DONE, Status.DONE],
        violations=np.array([0, 0, 0, 1.0, 0]),
    )
    assert data.best() == 1
    assert data.ok.tolist() == [False, True, False, False, True]
    assert run([[1], [3]], goals=("maximize",)).best() == 1
    assert run([[np.nan]]).best() is None


def test_labels_by_kind():
    assert Column("a", np.array([2.0, np.nan]), "integer").label(0) == 2
    assert Column("a", np.array([2.0, np.nan])).label(1) is None
    assert Column("a", np.array([1.0]), "choice", options=("x", "y")).label(0) == "y"


def test_unit_positions():
    log = Column("a", np.array([1e-4, 1e-2, np.nan]), log=True, low=1e-4, high=1)
    np.testing.assert_allclose(log.unit(), [0, 0.5, np.nan])
    np.testing.assert_allclose(Column("b", np.array([0.0, 2]), "choice", options=("x", "y", "z")).unit(), [0, 1])
    np.testing.assert_allclose(Column("c", np.array([3.0, 3])).unit(), 0.5)
    np.testing.assert_allclose(Column("d", np.array([0.0, 5])).unit(), [0, 1])


def test_params_leave_out_what_was_not_active(making):
    run = making()
    row = int(np.flatnonzero(np.isnan(run.columns[3].values))[0])
    assert "slope" not in run.params(row)
    run.labels[row] = {"order": [3, 1, 2]}
    assert run.params(row) == {"order": [3, 1, 2]}
