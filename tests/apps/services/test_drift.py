"""A level's change is heard, a level that is not known yet is not taken for one."""

import numpy as np
import pytest

from thalweg.apps.services.drift import Drift


@pytest.mark.parametrize("sigma", [0.02, 0.045])
def test_noise_alone_is_no_drift_right_after_a_reset(sigma):
    """The level is a median of few values then, and its own error counts (one in a hundred streams may be unlucky)."""
    alarms = 0
    for seed in range(200):
        drift = Drift()
        values = np.random.default_rng(seed).normal(0.0, sigma, 30)
        alarms += any(drift.hear(float(value)) for value in values[:6])
    assert alarms <= 2


def test_a_large_change_is_heard_at_once_and_a_small_one_in_its_second_window():
    for change, heard in ((1.0, 0), (-0.5, 0), (0.3, 1), (-0.3, 1)):
        drift = Drift()
        noise = np.random.default_rng(3).normal(0.0, 0.015, 40)
        assert not any(drift.hear(float(value)) for value in noise)
        told = [drift.hear(change) != 0.0 for _ in range(2)]
        assert told.index(True) == heard


def test_one_odd_window_is_no_drift():
    drift = Drift()
    noise = np.random.default_rng(4).normal(0.0, 0.015, 60)
    noise[30] = 0.35
    assert not any(drift.hear(float(value)) for value in noise)
