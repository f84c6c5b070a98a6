import math

import numpy as np
import pytest
from scipy.stats import kstest, norm

from thalweg.numerics.success_history import SCALE, TERMINAL, SuccessHistory


def test_the_update_is_the_weighted_lehmer_mean():
    memory = SuccessHistory.start([0.5, 0.5], [0.5, 0.8])
    F, CR, gain = np.array([0.2, 0.6, 0.9]), np.array([0.1, 0.5, 1.0]), np.array([1.0, 3.0, 4.0])
    memory.learn(F, CR, gain)
    w = gain / gain.sum()
    assert memory.F[0] == pytest.approx((0.5 + (w @ F**2) / (w @ F)) / 2)
    assert memory.CR[0] == pytest.approx((0.5 + (w @ CR**2) / (w @ CR)) / 2)
    assert memory.low[0] == pytest.approx(math.atan(-memory.F[0] / SCALE))
    assert (memory.F[1], memory.CR[1], memory.turn) == (0.5, 0.8, 1)
    memory.learn(F, CR, gain)
    assert memory.turn == 0


def test_nothing_won_changes_nothing():
    memory = SuccessHistory.start([0.5], [0.5])
    memory.learn(np.empty(0), np.empty(0), np.empty(0))
    assert (memory.F[0], memory.CR[0], memory.turn) == (0.5, 0.5, 0)


def test_infinite_gains_share_the_weight():
    memory = SuccessHistory.start([0.5], [0.5])
    memory.learn(np.array([0.4, 0.8, 0.1]), np.array([0.4, 0.8, 0.1]), np.array([math.inf, math.inf, 1.0]))
    assert memory.F[0] == pytest.approx((0.5 + (0.4**2 + 0.8**2) / 1.2) / 2)
    assert np.isfinite(memory.CR).all()


def test_a_cell_whose_successes_had_no_crossover_is_terminal():
    memory = SuccessHistory.start([0.5], [0.5])
    memory.learn(np.array([0.5]), np.array([0.0]), np.array([1.0]))
    assert memory.CR[0] == TERMINAL
    assert memory.terminal
    memory.learn(np.array([0.5]), np.array([0.9]), np.array([1.0]))
    assert memory.CR[0] == TERMINAL
    rng = np.random.default_rng(0)
    _, CR = memory.draw(np.zeros(50, dtype=np.intp), rng.random(50), rng.standard_normal(50))
    assert (CR == 0).all()


def test_draws_have_the_stated_distributions():
    rng = np.random.default_rng(1)
    n = 20000
    memory = SuccessHistory.start([0.3], [0.6])
    F, CR = memory.draw(np.zeros(n, dtype=np.intp), rng.random(n), rng.standard_normal(n))
    assert ((F > 0) & (F <= 1)).all()
    # what is left of Cauchy(0.3, 0.1) when values <= 0 are drawn again, cut at 1
    by_hand = 0.3 + 0.1 * rng.standard_cauchy(3 * n)
    by_hand = np.minimum(by_hand[by_hand > 0][:n], 1.0)
    np.testing.assert_allclose(np.quantile(F, [0.1, 0.5, 0.9]), np.quantile(by_hand, [0.1, 0.5, 0.9]), atol=0.02)
    assert kstest(CR, norm(0.6, 0.1).cdf).pvalue > 1e-3
