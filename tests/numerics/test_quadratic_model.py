import numpy as np
import pytest

from thalweg.numerics.quadratic_model import (
    QUADRATIC,
    SMOOTH,
    Interpolation,
    Kernel,
    Model,
    ball_step,
    likeliest,
    round_axes,
    trust_step,
)


def random_model(d: int, rng) -> Model:
    a = rng.normal(size=(d, d))
    return Model(rng.normal(size=d), a + a.T)


def least_norm(steps, values):
    """Of all quadratics through the points the one of least norm, from its coefficients: slopes, a curvature common to
    all columns, the columns' own, and a full Hessian, each divided by the root of what it costs less.
    """
    d, scale = steps.shape[1], np.linalg.norm(steps, axis=1).max()
    s = steps / scale
    outer = np.einsum("ni,nj->nij", s, s).reshape(len(s), -1) / np.sqrt(2.0)
    features = np.hstack([1e3 * s, 1e2 * (s**2).sum(axis=1, keepdims=True), s**2, outer])
    found = np.linalg.lstsq(features, values, rcond=1e-14)[0]
    hessian = 2e2 * found[d] * np.eye(d) + 2.0 * np.diag(found[d + 1 : 2 * d + 1])
    hessian += np.sqrt(2.0) * found[2 * d + 1 :].reshape(d, d)
    return 1e3 * found[:d] / scale, hessian / scale**2


def test_a_quadratic_is_found_from_as_many_points_as_it_has_coefficients():
    rng = np.random.default_rng(0)
    truth = random_model(4, rng)
    steps = rng.normal(size=(14, 4))
    found = Interpolation.of(steps).model(truth(steps), Model.flat(4))
    np.testing.assert_allclose(found.gradient, truth.gradient, atol=1e-5)
    np.testing.assert_allclose(found.hessian, truth.hessian, atol=1e-5)


def test_with_fewer_points_it_is_the_one_of_least_norm():
    rng = np.random.default_rng(1)
    steps, values = rng.normal(size=(8, 4)), rng.normal(size=8)
    found = Interpolation.of(steps).model(values, Model.flat(4))
    gradient, hessian = least_norm(steps, values)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-3)
    np.testing.assert_allclose(found.hessian, hessian, atol=1e-3)
    np.testing.assert_allclose(found(steps), values, rtol=1e-5)


@pytest.mark.parametrize("curvatures", [[3.0, 3.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
def test_round_and_separable_bowls_need_few_points(curvatures):
    rng = np.random.default_rng(5)
    truth = Model(rng.normal(size=4), np.diag(curvatures))
    count = 6 if len(set(curvatures)) == 1 else 12
    steps = rng.normal(size=(count, 4))
    found = Interpolation.of(steps).model(truth(steps), Model.flat(4))
    assert np.abs(found.hessian - truth.hessian).max() < (2e-3 if count == 6 else 1.0)


def error(found: Model, truth: Model) -> float:
    return float(np.linalg.norm(found.hessian - truth.hessian) / np.linalg.norm(truth.hessian))


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_explanation_is_the_one_that_holds(seed):
    rng = np.random.default_rng(seed)
    d = 5
    flat, weights = Model.flat(d), 100.0 ** np.linspace(0, 1, d)
    separable = Model(rng.normal(size=d), np.diag(weights))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    rotated = Model(separable.gradient, turn @ np.diag(weights) @ turn.T)
    steps = rng.normal(size=(14, d))  # of the 20 that determine a quadratic
    for truth, which in ((separable, 1), (rotated, 0)):
        rises = truth(steps)
        found = likeliest(steps, rises, flat)
        alone = [Interpolation.of(steps, kernel).model(rises, flat) for kernel in SMOOTH]
        np.testing.assert_array_equal(found.hessian, alone[which].hessian)
    # what is known of columns' own curvatures: nearly all of a separable bowl, where least change finds less
    found, plain = likeliest(steps, separable(steps), flat), Interpolation.of(steps).model(separable(steps), flat)
    assert error(found, separable) < min(0.1, 0.5 * error(plain, separable))


def test_a_model_that_holds_is_kept_and_one_that_misleads_is_forgotten():
    rng = np.random.default_rng(8)
    truth, steps = random_model(4, rng), rng.normal(size=(9, 4))
    kept = likeliest(steps, truth(steps), truth)
    np.testing.assert_allclose(kept.hessian, truth.hessian, atol=1e-9)
    wrong = Model(truth.gradient, truth.hessian + 100.0 * random_model(4, rng).hessian)
    assert error(likeliest(steps, truth(steps), wrong), truth) < error(
        Interpolation.of(steps, SMOOTH[0]).model(truth(steps), wrong), truth
    )


def test_higher_terms_keep_what_is_not_quadratic_out_of_the_hessian():
    rng = np.random.default_rng(9)
    truth = Model(rng.normal(size=3), np.diag([1.0, 2.0, 3.0]))
    steps = rng.normal(size=(30, 3))
    rises = truth(steps) + 0.3 * (steps**3).sum(axis=1) + 0.1 * (steps**4).sum(axis=1)
    found = [Interpolation.of(steps, kernel).model(rises, Model.flat(3)) for kernel in (SMOOTH[0], QUADRATIC)]
    assert error(found[0], truth) < 0.5 * error(found[1], truth)


def test_evidence_is_that_of_the_process_up_to_a_constant():
    rng = np.random.default_rng(10)
    steps, one, other = rng.normal(size=(6, 3)), *rng.normal(size=(2, 6))
    kernel = Kernel(linear=2.0, common=1.0, own=1.0, cubic=0.1, quartic=0.3)
    system, flat = Interpolation.of(steps, kernel), Model.flat(3)
    matrix = kernel(steps / system.scale, steps / system.scale)

    def exact(values):
        scale = values @ np.linalg.solve(matrix, values) / len(values)  # the likeliest
        return -0.5 * np.linalg.slogdet(scale * matrix)[1] - 0.5 * len(values)

    assert system.evidence(one, flat) - system.evidence(other, flat) == pytest.approx(exact(one) - exact(other))


def test_axes_make_a_valley_round_and_keep_the_volume():
    rng = np.random.default_rng(6)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    hessian = turn @ np.diag([1.0, 10.0, -100.0, 1e4]) @ turn.T
    axes, into = round_axes(hessian)
    np.testing.assert_allclose(axes @ into, np.eye(4), atol=1e-9)
    assert abs(np.linalg.det(axes)) == pytest.approx(1.0)
    round_ = axes.T @ hessian @ axes
    np.testing.assert_allclose(np.abs(np.linalg.eigvalsh(round_)), np.abs(round_).max(), rtol=1e-6)
    assert round_axes(np.zeros((3, 3))) is None and round_axes(np.full((2, 2), np.nan)) is None


def test_steps_in_other_axes_stay_in_the_box_and_in_the_ball():
    rng = np.random.default_rng(7)
    for _ in range(50):
        model = random_model(4, rng)
        axes = rng.normal(size=(4, 4))
        low, high = -rng.random(4), rng.random(4)
        step = trust_step(model, low, high, 1.0, axes)
        there = axes @ step
        assert (there >= low - 1e-9).all() and (there <= high + 1e-9).all()
        assert model(step[None])[0] <= 1e-12


def test_the_change_of_the_hessian_is_what_is_small():
    rng = np.random.default_rng(2)
    truth = random_model(5, rng)
    steps = rng.normal(size=(10, 5))
    found = Interpolation.of(steps).model(truth(steps), truth)
    np.testing.assert_allclose(found.hessian, truth.hessian, atol=1e-10)
    assert np.linalg.norm(Interpolation.of(steps).model(truth(steps), Model.flat(5)).hessian - truth.hessian) > 0.1


def test_scale_does_not_matter():
    rng = np.random.default_rng(3)
    steps, values = rng.normal(size=(9, 4)), rng.normal(size=9)
    large = Interpolation.of(steps).model(values, Model.flat(4))
    small = Interpolation.of(steps * 1e-6).model(values, Model.flat(4))
    np.testing.assert_allclose(small.gradient * 1e-6, large.gradient, rtol=1e-6)
    np.testing.assert_allclose(small.hessian * 1e-12, large.hessian, rtol=1e-5, atol=1e-8)


def test_lagrange_functions():
    rng = np.random.default_rng(4)
    steps = rng.normal(size=(7, 3))
    system = Interpolation.of(steps)
    at = np.array([system.lagrange_at(step) for step in [*steps, np.zeros(3)]])
    np.testing.assert_allclose(at, np.eye(8), atol=1e-6)
    point = rng.normal(size=3)
    one = [system.lagrange(i)(point[None])[0] for i in range(7)]
    np.testing.assert_allclose(one, system.lagrange_at(point)[:-1], atol=1e-9)


def test_one_point_gives_a_slope_towards_it():
    model = Interpolation.of(np.array([[0.0, 2.0]])).model(np.array([3.0]), Model.flat(2))
    assert model(np.array([[0.0, 2.0]]))[0] == pytest.approx(3.0)
    assert model.gradient[0] == 0 and model.gradient[1] == pytest.approx(1.5, rel=2e-2)


def test_equal_points_are_survived():
    steps = np.array([[0.1, 0.0], [0.1, 0.0], [0.0, 0.1]])
    model = Interpolation.of(steps).model(np.array([1.0, 1.0, 2.0]), Model.flat(2))
    np.testing.assert_allclose(model(steps), [1.0, 1.0, 2.0], rtol=1e-6)


def test_moved_is_the_same_function():
    rng = np.random.default_rng(5)
    model, step, points = random_model(3, rng), rng.normal(size=3), rng.normal(size=(6, 3))
    np.testing.assert_allclose(model.moved(step)(points - step), model(points) - model(step[None]), atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_the_ball_step_is_the_best_of_the_ball(seed):
    rng = np.random.default_rng(seed)
    d = 1 + seed
    model = random_model(d, rng)
    step = ball_step(model.gradient, model.hessian, 0.7)
    assert np.linalg.norm(step) <= 0.7 + 1e-9
    drawn = rng.normal(size=(20_000, d))
    drawn *= 0.7 * rng.random((len(drawn), 1)) ** (1 / d) / np.linalg.norm(drawn, axis=1, keepdims=True)
    assert model(step[None])[0] <= 0.98 * model(drawn).min()


@pytest.mark.parametrize("roots", [[1e-300, 1e-300], [1e-300, 1.0], [1.0, 1e-200]])
@pytest.mark.parametrize("size", [1.0, 1e3, 1e100])
def test_a_model_that_is_nearly_flat_is_followed_to_the_border_without_overflow(roots, size):
    step = ball_step(size * np.array([-3.0, 4.0]), np.diag(roots), 2.0)
    assert np.linalg.norm(step) == pytest.approx(2.0, rel=0.02)
    assert step[0] > 0 or roots[0] == 1.0
    assert step[1] < 0


def test_the_inner_minimum_is_exact_and_the_hard_case_reaches_the_border():
    np.testing.assert_allclose(ball_step(np.array([1.0, -2.0]), np.diag([2.0, 4.0]), 9.0), [-0.5, 0.5])
    step = ball_step(np.array([0.0, 1.0]), np.diag([-2.0, 4.0]), 1.0)
    assert np.linalg.norm(step) == pytest.approx(1.0)
    assert step[1] == pytest.approx(-1 / 6, abs=1e-6)  # (4 + 2) s = -1
    assert not ball_step(np.zeros(2), np.eye(2), 1.0).any()
    assert not ball_step(np.ones(2), np.eye(2), 0.0).any()


@pytest.mark.parametrize("seed", range(12))
def test_the_trust_step_keeps_to_the_box_and_is_nearly_the_best_there(seed):
    rng = np.random.default_rng(seed)
    d = 1 + seed % 4
    a = rng.normal(size=(d, d))
    model = Model(rng.normal(size=d), a @ a.T)
    low, high = -rng.random(d) * (rng.random(d) < 0.8), rng.random(d) * (rng.random(d) < 0.8)
    step = trust_step(model, low, high, 0.8)
    assert (step >= low).all() and (step <= high).all() and np.linalg.norm(step) <= 0.8 + 1e-9
    drawn = low + (high - low) * rng.random((20_000, d))
    drawn = drawn[np.linalg.norm(drawn, axis=1) <= 0.8]
    assert model(step[None])[0] <= 0.9 * model(drawn).min() + 1e-12


def test_no_room_no_step():
    model = Model(np.array([1.0, -1.0]), np.eye(2))
    assert not trust_step(model, np.array([0.0, -1.0]), np.array([1.0, 0.0]), 1.0).any()
