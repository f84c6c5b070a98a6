"""Luck, by published examples and by noise."""

import math
from itertools import combinations

import numpy as np
import pytest

from thalweg.apps.market_backtest.overfitting import (
    deflated_sharpe,
    efficiency,
    expected_maximum,
    moments,
    probabilistic_sharpe,
    probability_of_overfitting,
)
from thalweg.core.errors import ProblemError

SHARPE = 2.5 / math.sqrt(250)


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "expected"), [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)]
)
def test_the_published_example(trials, skew, kurtosis, expected):
    """Bailey and Lopez de Prado 2014, the numerical example: 5 years, annual Sharpe ratio 2.5, V = 1/2."""
    found = deflated_sharpe(SHARPE, 1250, skew, kurtosis, trials, 0.5 / 250)
    assert found.probability == pytest.approx(expected, abs=5e-5)
    if trials == 100:
        assert found.expected == pytest.approx(0.1132, abs=5e-5)


def test_the_expected_maximum_is_that_of_noise():
    rng = np.random.default_rng(0)
    for trials in (10, 200):
        seen = rng.standard_normal((4000, trials)).max(axis=1).mean()
        assert expected_maximum(trials, 1.0) == pytest.approx(seen, rel=0.03)
    assert expected_maximum(1, 1.0) == expected_maximum(50, 0.0) == 0.0


def test_a_sharpe_ratio_without_trials():
    assert probabilistic_sharpe(0.0, 100, 0.0, 3.0) == 0.5
    assert probabilistic_sharpe(0.1, 400, 0.0, 3.0) > probabilistic_sharpe(0.1, 400, -2.0, 9.0) > 0.9


def test_moments():
    rng = np.random.default_rng(1)
    sharpe, skew, kurtosis = moments(rng.exponential(1.0, 200_000) - 0.5)
    assert (sharpe, skew, kurtosis) == pytest.approx((0.5, 2.0, 9.0), rel=0.1)
    assert moments(np.zeros(10)) == (0.0, 0.0, 3.0)


def noise(seed, skill=0.0):
    returns = np.random.default_rng(seed).normal(0, 1, (1000, 50))
    returns[:, 7] += skill
    return returns


def test_among_rules_of_noise_choosing_tells_nothing():
    found = [probability_of_overfitting(noise(seed)) for seed in range(20)]
    assert 0.35 <= np.mean(found) <= 0.6


def test_one_rule_with_skill_is_seen():
    assert np.mean([probability_of_overfitting(noise(seed, 0.15)) for seed in range(20)]) <= 0.1


def test_it_is_what_its_definition_says():
    returns = noise(3)[:120, :6]
    below = []
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([returns[20 * i : 20 * i + 20] for i in chosen])
        outside = np.concatenate([returns[20 * i : 20 * i + 20] for i in range(6) if i not in chosen])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0))
        other = outside.mean(axis=0) / outside.std(axis=0)
        rank = (np.argsort(np.argsort(other))[best] + 1) / 7
        below.append(math.log(rank / (1 - rank)) <= 0)
    assert probability_of_overfitting(returns, parts=6) == pytest.approx(np.mean(below))


def test_rules_that_are_all_the_same_tell_nothing():
    same = np.repeat(noise(0)[:, :1], 8, axis=1)
    assert probability_of_overfitting(same) == 0.5


def test_what_cannot_be():
    with pytest.raises(ProblemError, match="2 rules"):
        probability_of_overfitting(np.zeros((100, 1)))
    with pytest.raises(ProblemError, match="even"):
        probability_of_overfitting(np.zeros((100, 3)), parts=5)
    with pytest.raises(ProblemError, match="trials"):
        expected_maximum(0, 1.0)
    with pytest.raises(ProblemError, match="2 bars"):
        probabilistic_sharpe(1, 1, 0, 3)


def test_efficiency():
    assert efficiency(0.05, 0.10) == 0.5
    assert math.isnan(efficiency(0.05, -0.1))
