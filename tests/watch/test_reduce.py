import numpy as np
import pytest

from thalweg.watch.data import Column
from thalweg.watch.reduce import best_so_far, effect, effects, thin, wants_log, window


@pytest.mark.parametrize("n", [0, 1, 1999, 2000, 2001, 100_000])
def test_thin_keeps_extremes_within_its_limit(n):
    rng = np.random.default_rng(n)
    x, y = np.sort(rng.random(n)), rng.standard_normal(n)
    at = thin(x, y)
    assert len(at) <= 2000 and np.all(np.diff(at) > 0)
    if n:
        assert {int(y.argmin()), int(y.argmax())} <= set(at.tolist())


def test_thin_keeps_every_buckets_extremes():
    x = np.repeat(np.arange(500.0), 100)
    y = np.random.default_rng(0).random(len(x))
    kept = thin(x, y, 2000)
    for k in range(500):
        rows = slice(100 * k, 100 * k + 100)
        assert 100 * k + int(y[rows].argmin()) in kept and 100 * k + int(y[rows].argmax()) in kept


def test_thin_of_a_single_place():
    assert len(thin(np.zeros(5000), np.arange(5000.0))) <= 2000


def test_best_so_far():
    rows, values = best_so_far(np.array([np.nan, 3, 4, np.nan, 3, 1, 2, 1]))
    assert rows.tolist() == [1, 5] and values.tolist() == [3, 1]
    assert best_so_far(np.array([np.nan]))[0].tolist() == []
    assert best_so_far(np.empty(0))[0].tolist() == []


def test_window_leaves_far_outliers_out():
    values = np.append(np.linspace(0, 1, 99), 1e6)
    low, high = window(values)
    assert low == 0 and 1 < high < 3
    low, high = window(-values, -1.0)
    assert high == 0 and -3 < low < -1
    assert window(np.linspace(0, 1, 50)) == (0, 1)
    assert window(np.full(5, 2.0)) == (2, 2)


def test_log_scale_where_it_helps():
    assert wants_log(np.array([1e-6, 1.0]))
    assert not wants_log(np.append(np.linspace(1, 2, 99), 1e9))
    assert not wants_log(np.array([-1.0, 1e6]))
    assert not wants_log(np.array([1.0, 2.0]))
    assert not wants_log(np.empty(0))


def test_effect_finds_what_matters_and_nothing_else():
    rng = np.random.default_rng(0)
    x, z = rng.random(500), rng.random(500)
    kind = rng.integers(0, 3, 500).astype(float)
    assert effect(Column("x", x), (x - 0.5) ** 2) > 0.85  # not monotone
    assert effect(Column("z", z), (x - 0.5) ** 2) < 0.03
    assert effect(Column("kind", kind, "choice", options=("a", "b", "c")), kind == 1) > 0.9
    off = Column("off", np.where(kind == 1, x, np.nan))
    assert effect(off, (kind == 1).astype(float)) == 0  # being inactive is the doing of what it depends on
    assert effect(off, np.where(kind == 1, x, 0.5)) > 0.9
    assert np.isnan(effect(Column("x", x[:10]), x[:10]))
    assert effect(Column("c", np.ones(500)), x) == 0
    assert effect(Column("x", x), np.where(z > 0.5, np.nan, x)) > 0.9


def test_effects_give_nothing_to_what_only_moved_along():
    rng = np.random.default_rng(0)
    x = rng.random(400)
    along = np.clip(x + rng.normal(0, 0.05, 400), 0, 1)  # as parameters do that converge together
    other, noise = rng.random(400), rng.random(400)
    columns = [Column("along", along), Column("noise", noise), Column("x", x), Column("other", other)]
    values = 10 * x + 2 * other
    assert effect(columns[0], values) > 0.7
    found = effects(columns, values)
    assert list(found)[:2] == ["x", "other"]
    assert found["x"] > 0.8 and found.get("along", 0) < 0.02 and found.get("noise", 0) < 0.02
    assert sum(found.values()) <= 1


def test_effects_credit_the_parameter_that_switches():
    rng = np.random.default_rng(0)
    kind, x = rng.integers(0, 3, 600).astype(float), rng.random(600)
    columns = [
        Column("inner", np.where(kind == 1, x, np.nan)),
        Column("kind", kind, "choice", options=("a", "b", "c")),
        Column("other", rng.random(600)),
    ]
    found = effects(columns, np.where(kind == 1, 10 + x, x * 0.001))
    assert next(iter(found)) == "kind" and found["inner"] > 0.02 and "other" not in found


def test_effects_of_little_are_empty():
    x = np.arange(19.0)
    assert effects([Column("x", x)], x) == {}
    assert effects([Column("x", np.arange(50.0))], np.ones(50)) == {}
    assert effects([], np.arange(50.0)) == {}
    assert effects([Column("x", np.arange(50.0))], np.where(np.arange(50) < 40, np.nan, 1.0)) == {}


def test_effects_of_many_trials_are_cheap():
    rng = np.random.default_rng(0)
    columns = [Column(f"x{j}", rng.random(200_000)) for j in range(30)]
    assert next(iter(effects(columns, columns[7].values ** 2))) == "x7"
