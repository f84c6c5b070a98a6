import numpy as np
import pytest

from thalweg.numerics.survival import kaplan_meier, quantile


def test_steps_of_a_hand_worked_example():
    # n = 6: ends at 1, 3, 3, 5; censored at 2 and 6.
    # t=1: 1-1/6 = 5/6;  t=3: 4 at risk, 2 end: 5/12;  t=5: 2 at risk, 1 ends: 5/24.
    times, survival = kaplan_meier([3, 1, 2, 5, 3, 6], [False, False, True, False, False, True])
    np.testing.assert_array_equal(times, [1, 3, 5])
    np.testing.assert_allclose(survival, [5 / 6, 5 / 12, 5 / 24], rtol=1e-14)


def test_published_example():
    # Remission times of the 6-MP group (Freireich et al. 1963), in many textbooks: .857, .807, ... .448.
    ends = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    lost = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    times, survival = kaplan_meier(ends + lost, [False] * 9 + [True] * 12)
    np.testing.assert_array_equal(times, [6, 7, 10, 13, 16, 22, 23])
    np.testing.assert_allclose(survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)


def test_without_censoring_it_is_the_empirical_distribution():
    data = np.random.default_rng(0).exponential(size=101)
    _, survival = kaplan_meier(data)
    np.testing.assert_allclose(survival, 1 - np.arange(1, 102) / 101, atol=1e-12)
    for q in (0.1, 0.5, 0.95, 1.0):
        assert quantile(data, None, q) == np.quantile(data, q, method="inverted_cdf")


def test_an_end_at_the_time_of_a_censoring_comes_first():
    _, survival = kaplan_meier([2, 2], [True, False])
    assert survival.tolist() == [0.5]


def test_plateau():
    seconds = list(range(1, 11)) + [100.0] * 10  # half of them hang
    hung = [False] * 10 + [True] * 10
    assert quantile(seconds, hung, 0.95) == 10  # 95 % of those that end at all
    assert quantile(seconds, hung, 0.5) == 5
    assert quantile(seconds, hung, 0.95, plateau=False) == float("inf")
    assert quantile(seconds, hung, 0.5, plateau=False) == 10


def test_early_censoring_moves_the_quantile_up():
    data = [1.0, 2.0, 3.0, 4.0]
    assert quantile(data, None, 0.5) == 2.0
    assert quantile([*data, 1.5, 1.5], [False] * 4 + [True] * 2, 0.5) == 3.0


def test_nothing_ended():
    assert np.isnan(quantile([], None, 0.95)) and np.isnan(quantile([5.0], [True], 0.95))


@pytest.mark.parametrize(
    ("durations", "censored", "q", "message"),
    [
        ([1.0], None, 1.5, "q must be"),
        ([-1.0], None, 0.5, ">= 0"),
        ([np.nan], None, 0.5, "finite"),
        ([1.0], [True, False], 0.5, "alike"),
        ([[1.0]], None, 0.5, "alike"),
    ],
)
def test_bad_input(durations, censored, q, message):
    with pytest.raises(ValueError, match=message):
        quantile(durations, censored, q)
