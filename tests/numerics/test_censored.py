"""Values of which only the sign is known: against SciPy's truncated normal, and a line whose border is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from thalweg.numerics.censored import below_zero, expected_negatives
from thalweg.numerics.gaussian_process import Posterior

GROUPS = np.arange(1)
THETA = np.log([1.0, 1e-6])


@pytest.mark.parametrize("mean", [-8.0, -1.0, 0.0, 0.5, 3.0, 12.0])
def test_the_mean_below_zero_is_that_of_a_truncated_normal(mean):
    assert below_zero(mean * 0.3, 0.3) == pytest.approx(truncnorm.mean(-math.inf, -mean, loc=mean * 0.3, scale=0.3))


def test_far_above_zero_next_to_nothing_is_left():
    assert below_zero(40.0, 1.0) == pytest.approx(-1 / 40.0, rel=2e-3)
    assert below_zero(1e6, 1.0) == pytest.approx(-1e-6)


def test_a_single_guess_is_what_the_others_say():
    x, y = np.array([[-0.4], [-0.1], [0.2], [0.45]]), np.array([0.9, 0.4, 0.1, 7.0])
    others = Posterior.of(x[:3], y[:3], GROUPS, THETA)
    mean, variance = others.predict(x[3:])
    expected = below_zero(float(mean[0]), math.sqrt(float(variance[0])))
    found = expected_negatives(x, y, np.array([3]), GROUPS, THETA, -5.0, sweeps=0)
    assert found[0] == pytest.approx(expected, rel=1e-12)


def test_leaving_one_out_by_formula_is_a_model_without_it():
    """A sweep over one row, against the model of the others with the whole one's mean and scale."""
    x, y, row = np.array([[-0.4], [-0.1], [0.2], [0.45]]), np.array([0.9, 0.4, 0.1, 7.0]), np.array([3])
    y[row] = expected_negatives(x, y, row, GROUPS, THETA, -5.0, sweeps=0)
    whole, others = Posterior.of(x, y, GROUPS, THETA), Posterior.of(x[:3], y[:3], GROUPS, THETA)
    others.alpha = np.linalg.solve(others.factor @ others.factor.T, y[:3] - whole.mean)
    others.mean, others.scale = whole.mean, whole.scale
    mean, variance = others.predict(x[3:])
    expected = below_zero(float(mean[0]), math.sqrt(float(variance[0]) + whole.scale * whole.nugget))
    found = expected_negatives(x, y, row, GROUPS, THETA, -5.0, sweeps=1)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_where_a_line_crosses_zero_is_found_from_one_side_alone():
    """y = x above zero is known, below it only the sign; one and the same guess for those puts the border elsewhere."""
    x = np.linspace(-0.5, 0.5, 15)[:, None]
    rows, near = np.flatnonzero(x[:, 0] <= 0), np.linspace(-0.06, 0.06, 241)[:, None]

    def worst(guesses: np.ndarray | float) -> float:
        values = x[:, 0].copy()
        values[rows] = guesses
        return float(np.abs(Posterior.of(x, values, GROUPS, THETA).predict(near)[0] - near[:, 0]).max())

    guessed = expected_negatives(x, np.where(x[:, 0] > 0, x[:, 0], np.nan), rows, GROUPS, THETA, -5.0)
    assert (guessed < 0).all()
    assert worst(-0.5) > 0.5
    assert worst(guessed) < 0.01
    assert expected_negatives(x, x[:, 0], rows, GROUPS, THETA, -0.2).min() >= -0.2
