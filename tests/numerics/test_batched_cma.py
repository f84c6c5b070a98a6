"""Batched CMA-ES equals the strategy's normal distribution, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.numerics.batched_cma import CovarianceAdaptations
from thalweg.parts.strategies._cma import Normal

CENTRES = np.random.default_rng(1).uniform(0.3, 0.7, (5, 4))


def values_of(points):
    z = points - CENTRES[:, None]
    return (z * z * 10.0 ** np.arange(4)).sum(axis=2)


def test_each_problem_is_the_search_of_one():
    """The same draws give the same means, step sizes and covariances as the strategy's own class."""
    search = CovarianceAdaptations(5, 4, 8, np.random.default_rng(0))
    singles = [Normal.make(np.full(4, 0.5), 0.3, 8) for _ in range(5)]
    for _ in range(25):
        points = search.ask()
        drawn = search.z.copy()
        values = values_of(points)
        search.tell(points, values)
        for problem, single in enumerate(singles):
            single.samples[0, :-1] = drawn[problem]
            single.samples[1, :-1] = drawn[problem] @ single.root
            single.update(values[problem].argsort(kind="stable"), 8)
            assert search.mean[problem] == pytest.approx(single.mean, rel=1e-6)
            assert search.sigma[problem] == pytest.approx(single.sigma, rel=1e-6)
            assert search.C[problem] == pytest.approx(single.C, rel=1e-6, abs=1e-9)


def test_ill_scaled_problems_are_solved_to_the_end():
    search = CovarianceAdaptations(5, 4, 8, np.random.default_rng(0))
    for _ in range(250):
        points = search.ask()
        search.tell(points, values_of(points))
    folded = np.minimum(np.abs(search.mean), 2 - np.abs(search.mean))  # a mean may lie in a mirror image
    assert np.abs(folded - CENTRES).max() < 1e-6


def test_discrete_columns_keep_a_spread():
    search = CovarianceAdaptations(5, 4, 8, np.random.default_rng(0), steps=np.array([0.1, 0, 0, 0]))
    for _ in range(150):
        points = search.ask()
        search.tell(points, values_of(points))
    points = search.ask()
    assert points[:, :, 0].std(axis=1).min() > 0.003 > points[:, :, 1].std(axis=1).max()


def test_dropped_and_restarted_problems():
    search = CovarianceAdaptations(5, 4, 8, np.random.default_rng(0))
    for _ in range(60):
        points = search.ask()
        search.tell(points, values_of(points))
    before = search.sigma.copy(), search.C.copy()
    search.restart(np.arange(5) == 1)
    assert search.sigma[1] == 0.3 and (search.C[1] == np.eye(4)).all()
    assert (np.delete(search.sigma, 1) == np.delete(before[0], 1)).all()
    search.keep(np.arange(5) != 1)
    assert len(search) == 4 and np.array_equal(search.C, np.delete(before[1], 1, axis=0))


def test_what_has_converged_is_seen():
    search = CovarianceAdaptations(5, 4, 8, np.random.default_rng(0))
    points = search.ask()
    search.tell(points, values_of(points))
    assert not search.collapsed().any()
    for _ in range(600):
        points = search.ask()
        search.tell(points, values_of(points))
    assert search.collapsed().all()
    points = search.ask()
    search.tell(points, np.full(points.shape[:2], np.inf))
    assert np.isinf(search.spread()).all()
