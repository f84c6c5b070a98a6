import numpy as np
import pytest

from thalweg.numerics import weighted_quadratic
from thalweg.numerics.weighted_quadratic import WeightedQuadratic, kendall, rank_weights, terms


def random_quadratic(d: int, rng: np.random.Generator) -> WeightedQuadratic:
    hessian = rng.normal(size=(d, d))
    return WeightedQuadratic(3.0, rng.normal(size=d), hessian + hessian.T)


@pytest.mark.parametrize("d", [1, 2, 5, 10])
def test_a_quadratic_is_recovered_from_enough_points(d):
    rng = np.random.default_rng(d)
    truth = random_quadratic(d, rng)
    u = rng.normal(size=(terms(d) + 5, d))
    values = truth(u)
    fitted = WeightedQuadratic.fit(u, values, rank_weights(values), 1e-12)
    np.testing.assert_allclose(fitted.hessian, truth.hessian, atol=1e-6)
    np.testing.assert_allclose(fitted.gradient, truth.gradient, atol=1e-6)
    assert fitted.constant == pytest.approx(3.0, abs=1e-6)
    fresh = rng.normal(size=(20, d))
    np.testing.assert_allclose(fitted(fresh), truth(fresh), atol=1e-5)


def test_offset_and_scale_of_values_and_coordinates_change_nothing_else():
    rng = np.random.default_rng(0)
    u, values = rng.normal(size=(12, 3)), rng.normal(size=12)
    weights = rank_weights(values)
    plain = WeightedQuadratic.fit(u, values, weights, 1e-3)
    moved = WeightedQuadratic.fit(u * 1e-7, values * 1e9 + 5e9, weights, 1e-3)
    np.testing.assert_allclose(moved(u * 1e-7), plain(u) * 1e9 + 5e9, rtol=1e-5)


def test_few_points_give_the_slope_and_one_curvature():
    """With d + 2 points of a round bowl, all there is to know is known."""
    d = 6
    rng = np.random.default_rng(4)
    u = np.vstack([np.zeros(d), np.eye(d), -np.ones(d)])
    bottom = rng.normal(size=d) * 0.3
    values = 2.0 * ((u - bottom) ** 2).sum(axis=1)
    fitted = WeightedQuadratic.fit(u, values, rank_weights(values), 1e-4)
    np.testing.assert_allclose(np.linalg.solve(fitted.hessian, -fitted.gradient), bottom, atol=1e-3)
    np.testing.assert_allclose(fitted.hessian, 4.0 * np.eye(d), atol=1e-2)


def test_better_points_weigh_more():
    """Of a quartic, the fit is closer where the good points are."""
    u = np.linspace(-2, 2, 41)[:, None]
    values = ((u - 1.0) ** 4).sum(axis=1)
    good = values < 0.1
    errors = [
        np.abs(WeightedQuadratic.fit(u, values, weights, 1e-12)(u) - values)[good].mean()
        for weights in (rank_weights(values), np.ones(41))
    ]
    assert errors[0] < 0.6 * errors[1]


def test_weights_fall_evenly_from_the_best_to_the_worst():
    np.testing.assert_allclose(rank_weights(np.array([5.0, -1.0, 2.0])), [1.0, 20.0, 10.5])


def test_equal_values_give_a_flat_model():
    model = WeightedQuadratic.fit(np.eye(3), np.full(3, 7.0), np.ones(3), 1e-6)
    assert model.constant == 7.0 and not model.gradient.any() and not model.hessian.any()


def test_seen_from_elsewhere_it_is_the_same_function():
    rng = np.random.default_rng(1)
    model, turn, origin = random_quadratic(4, rng), rng.normal(size=(4, 4)), rng.normal(size=4)
    v = rng.normal(size=(9, 4))
    np.testing.assert_allclose(model.seen_from(origin, turn)(v), model(origin + v @ turn), atol=1e-10)


def test_kendall_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.integers(0, 6, 12).astype(float), rng.normal(size=12).round(1)
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
    assert kendall(np.ones(5), np.arange(5.0)) == 0.0
    assert kendall(np.arange(5.0), -np.arange(5.0)) == -1.0


@pytest.mark.parametrize("rows", [60, 150, 240])
def test_fewer_rows_than_terms_give_the_same_either_way(rows, monkeypatch):
    rng = np.random.default_rng(rows)
    u = rng.standard_normal((rows, 30))
    values = (u**2) @ np.linspace(1, 5, 30) + u @ rng.standard_normal(30) + 7
    models = []
    for used in (weighted_quadratic._by_terms, weighted_quadratic._by_rows):
        monkeypatch.setattr(weighted_quadratic, "_by_rows", used)
        models.append(WeightedQuadratic.fit(u, values, rank_weights(values), 3e-6))
    by_terms, by_rows = models
    scale = np.abs(by_terms.hessian).max()
    np.testing.assert_allclose(by_rows.hessian, by_terms.hessian, atol=1e-6 * scale)
    np.testing.assert_allclose(by_rows.gradient, by_terms.gradient, atol=1e-6 * np.abs(by_terms.gradient).max())
    assert by_rows.constant == pytest.approx(by_terms.constant, rel=1e-6)


def test_many_columns_and_few_rows_are_solved_by_rows(monkeypatch):
    monkeypatch.setattr(weighted_quadratic, "_by_terms", None)
    u = np.random.default_rng(0).standard_normal((70, 60))
    model = WeightedQuadratic.fit(u, (u**2).sum(axis=1), np.ones(70), 3e-6)
    assert np.diag(model.hessian) == pytest.approx(np.full(60, 2.0), abs=0.1)
