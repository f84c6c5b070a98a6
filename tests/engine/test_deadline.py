import numpy as np
import pytest

from thalweg.core.errors import ProblemError
from thalweg.core.plain import decode, encode
from thalweg.engine.deadline import AutoDeadline


def fed(*seconds, **options):
    deadline = AutoDeadline(**options)
    for item in seconds:
        deadline.observe(item, censored=False)
    return deadline


def test_the_three_stages():
    deadline = AutoDeadline()
    assert deadline.limit() == 60.0
    deadline.observe(1.0, censored=False)
    deadline.observe(0.5, censored=False)
    assert deadline.limit() == 8.0
    for _ in range(8):
        deadline.observe(1.0, censored=False)
    assert deadline.limit() == 3.0
    assert deadline.retry_limit() == 12.0


def test_floor_and_cap():
    assert fed(1e-6).limit() == 0.05
    assert fed(1e-6, floor_s=0.2).limit() == 0.2
    capped = fed(100.0, cap_s=30.0)
    assert capped.limit() == 30.0 and capped.retry_limit() == 30.0


def test_killed_ones_do_not_count_as_completed():
    deadline = AutoDeadline()
    for _ in range(20):
        deadline.observe(60.0, censored=True)
    assert deadline.limit() == 60.0


def test_hangs_do_not_lift_the_limit():
    deadline = fed(*[1.0] * 90)
    for _ in range(10):
        deadline.observe(3.0, censored=True)
    assert deadline.limit() == 3.0


def test_kills_do_not_ratchet():
    """Kills of sound evaluations lengthen the estimate; from completed ones alone the limit shrinks with every kill."""
    rng = np.random.default_rng(1)
    deadline, completed, kills, naive_kills = AutoDeadline(), [], 0, 0
    for seconds in rng.lognormal(0.0, 0.7, size=400):
        limit = deadline.limit()
        deadline.observe(min(seconds, limit), censored=bool(seconds > limit))
        kills += seconds > limit
        naive = np.quantile(completed, 0.95) if len(completed) >= 10 else np.inf
        naive_kills += seconds > naive
        if seconds <= naive:
            completed.append(seconds)
    assert kills <= 4 and naive_kills > 60


def test_it_forgets():
    deadline = fed(*[100.0] * 600)
    for _ in range(512):
        deadline.observe(1.0, censored=False)
    assert deadline.limit() == 3.0


def test_a_twin_continues():
    deadline = fed(*np.linspace(0.1, 2, 30))
    deadline.observe(6.0, censored=True)
    twin = AutoDeadline()
    twin.restore(decode(encode(deadline.state())))
    for item in (deadline, twin):
        item.observe(5.0, censored=False)
    assert twin.limit() == deadline.limit() and twin.state() == deadline.state()


def test_bad_input():
    with pytest.raises(ProblemError, match="floor_s"):
        AutoDeadline(floor_s=2.0, cap_s=1.0)
    with pytest.raises(ProblemError, match="finite"):
        AutoDeadline().observe(float("nan"), censored=False)
