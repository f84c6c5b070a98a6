import numpy as np
import pytest
from scipy.optimize import minimize

from thalweg.numerics.projected_bfgs import projected_bfgs


def test_quadratics_with_optima_inside_and_on_the_faces():
    rng = np.random.default_rng(1)
    for _ in range(20):
        a = rng.normal(size=(4, 4))
        a = a @ a.T + 0.1 * np.eye(4)
        centre = rng.uniform(-0.5, 1.5, 4)

        def function(x, rows, a=a, centre=centre):
            g = (x - centre) @ a
            return 0.5 * np.einsum("ij,ij->i", g, x - centre), g

        low, high = np.zeros(4), np.ones(4)
        points, values = projected_bfgs(function, rng.random((5, 4)), low, high, calls=80)
        one = minimize(
            lambda x, f=function: tuple(item[0] for item in f(x[None], None)),
            centre.clip(0, 1),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * 4,
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        np.testing.assert_allclose(values, one.fun, rtol=1e-4, atol=1e-6)
        assert (points >= low).all() and (points <= high).all()


def test_a_bent_valley_in_a_box():
    def function(x, rows):
        a, b = x.T
        f = 100 * (b - a * a) ** 2 + (1 - a) ** 2
        return f, np.column_stack([-400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)])

    starts = np.array([[-1.2, 1.0], [0.0, 0.0], [1.4, -0.5]])
    _, values = projected_bfgs(function, starts, np.array([-1.5, -1.5]), np.array([0.8, 1.5]), calls=150)
    np.testing.assert_allclose(values, 0.04, rtol=1e-3)  # (0.8, 0.64): the face cuts the valley


def test_starts_do_not_disturb_each_other_and_never_get_worse():
    def function(x, rows):
        return np.sin(3 * x).sum(axis=1) + (x**2).sum(axis=1), 3 * np.cos(3 * x) + 2 * x

    rng = np.random.default_rng(2)
    starts = rng.uniform(-2, 2, (8, 3))
    low, high = np.full(3, -2.0), np.full(3, 2.0)
    together, values = projected_bfgs(function, starts, low, high)
    alone = np.concatenate([projected_bfgs(function, row[None], low, high)[0] for row in starts])
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert (values <= function(starts, None)[0]).all()


def test_a_flat_function_ends_at_once():
    calls = []

    def function(x, rows):
        calls.append(len(x))
        return np.zeros(len(x)), np.zeros_like(x)

    start = np.full((3, 2), 0.5)
    points, _ = projected_bfgs(function, start, np.zeros(2), np.ones(2))
    assert len(calls) == 1
    np.testing.assert_array_equal(points, start)


def test_a_contest_ends_where_all_starts_together_would_and_takes_less():
    """Two valleys: who is in the shallow one is given up, the others are followed to the end."""
    rows_seen = []

    def function(x, rows):
        rows_seen.append(len(rows))
        near, far = ((x - 0.2) ** 2).sum(axis=1), ((x - 0.8) ** 2).sum(axis=1)
        deep, shallow = np.exp(-20 * near), 0.3 * np.exp(-20 * far)
        slope = 40 * (deep[:, None] * (x - 0.2) + shallow[:, None] * (x - 0.8))
        return -deep - shallow, slope

    starts = np.array([[0.35, 0.1], [0.05, 0.3], [0.7, 0.7], [0.9, 0.75], [0.75, 0.95]])
    box = np.zeros(2), np.ones(2)
    points, values = projected_bfgs(function, starts, *box)
    without = sum(rows_seen)
    rows_seen.clear()
    few, best = projected_bfgs(function, starts, *box, contest=4)
    np.testing.assert_allclose(few[best.argmin()], points[values.argmin()], atol=1e-4)
    assert best.min() == pytest.approx(values.min(), abs=1e-7)
    assert sum(rows_seen) < without
    assert np.abs(few[2:] - 0.8).max() < 0.25  # what was given up stays where it was
