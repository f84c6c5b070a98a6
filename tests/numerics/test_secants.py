"""What steps and changes of the gradient make of a Hessian."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.numerics.secants import Secants, updated


def along(secants: Secants, true: np.ndarray, steps: np.ndarray) -> Secants:
    """The secants after steps on a quadratic."""
    for step in steps:
        secants.add(step, true @ step)
    return secants


def test_the_update_keeps_the_secant_and_stays_definite():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    true, hessian = root @ root.T + np.eye(4), np.eye(4)
    for step in rng.normal(size=(6, 4)):
        hessian = updated(hessian, step, true @ step)
        np.testing.assert_allclose(hessian @ step, true @ step, rtol=1e-9)
    step = rng.normal(size=4)
    bent = updated(hessian, step, -(true @ step))  # bends downwards
    assert np.linalg.eigvalsh(bent).min() > 0
    assert step @ bent @ step == pytest.approx(0.2 * (step @ hessian @ step))


def test_a_jump_beside_the_step_is_no_curvature():
    hessian = np.diag([1e-3, 1e-3, 2.0])
    step, jump = np.array([1e-6, 0.0, 0.0]), np.array([1e-14, 0.4, 0.0])
    np.testing.assert_array_equal(updated(hessian, step, jump), hessian)
    np.testing.assert_allclose(updated(hessian, step, np.zeros(3)), np.diag([2e-4, 1e-3, 2.0]))  # no change at all


def test_one_curvature_seen_twice_is_expected_of_all_directions():
    secants = along(Secants.begin(6, 1e-4), 50.0 * np.eye(6), np.eye(6)[:1])
    assert np.linalg.eigvalsh(secants.hessian)[-2] == pytest.approx(1e-4)  # one step says nothing of the others
    along(secants, 50.0 * np.eye(6), np.eye(6)[1:2])
    np.testing.assert_allclose(secants.hessian, 50.0 * np.eye(6), rtol=1e-9)


def test_directions_are_expected_to_become_flatter_as_they_did():
    true = np.diag(0.4 ** np.arange(6.0))
    secants = along(Secants.begin(6, 1e-6), true, np.eye(6)[:3])
    assert secants.unseen == pytest.approx(0.4**3)
    steep = along(Secants.begin(6, 1e-6), np.diag(1e-3 ** np.arange(6.0)), np.eye(6)[:2])
    assert steep.unseen == pytest.approx(0.3e-3)  # two levels are no trend
    np.testing.assert_allclose(steep.hessian[:2, :2], np.diag([1.0, 1e-3]), atol=1e-12)


def test_steps_that_were_seen_say_nothing_of_the_others():
    secants = along(Secants.begin(4, 1e-3), np.diag([9.0, 3.0, 1.0, 1.0]), np.eye(4)[:2])
    before = secants.unseen
    secants.add(np.eye(4)[0], 7.0 * np.eye(4)[0])  # bends otherwise by now, along a known direction
    assert secants.unseen == before
    assert secants.hessian[0, 0] == pytest.approx(7.0)


def test_a_free_step_may_assume_the_first_hessian():
    secants = along(Secants.begin(5, 1e-3), 20.0 * np.eye(5), np.eye(5)[:2])
    np.testing.assert_allclose(np.diag(secants.assuming(1e-3)), [20.0, 20.0, 1e-3, 1e-3, 1e-3], rtol=1e-9)


def test_growing_curvatures_are_sharp_and_even_ones_are_not():
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(6, 8))
    assert not along(Secants.begin(8, 1e-6), np.eye(8), steps).sharp
    ridge = Secants.begin(8, 1e-6)
    for power, step in enumerate(np.eye(8)[:6]):
        ridge.add(step, 10.0**power * step)
    assert ridge.sharp


def test_only_the_last_steps_are_kept():
    rng = np.random.default_rng(2)
    secants = along(Secants.begin(3, 1e-2), np.diag([1.0, 2.0, 3.0]), rng.normal(size=(60, 3)))
    assert len(secants.steps) == len(secants.changes) == 18
    np.testing.assert_allclose(secants.hessian, np.diag([1.0, 2.0, 3.0]), atol=1e-3)
