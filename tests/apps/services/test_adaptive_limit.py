"""AdaptiveLimit finds the knee of a simulated service, follows it, and never grows unused."""

import asyncio

import numpy as np
import pytest
from virtual_time import clock, run

from thalweg.apps.services.adaptive_limit import AdaptiveLimit
from thalweg.core.errors import OutOfOrder, ProblemError


def loaded(limit, capacity, base, samples, rng):
    """Latencies of a service that works on `capacity` requests at once, each for `base` seconds; the rest wait."""
    for _ in range(samples):
        latency = base * max(1.0, limit.limit / capacity) * rng.lognormal(0.0, 0.05)
        limit.update(latency, limit.limit)
    return limit.limit


def test_it_settles_near_the_knee_and_follows_it():
    rng = np.random.default_rng(0)
    limit = AdaptiveLimit(initial=20, high=500)
    settled = loaded(limit, 50, 0.01, 3000, rng)
    assert 50 <= settled <= 90  # a queue of sqrt(n) and the buffer's share above it
    assert loaded(limit, 12, 0.01, 4000, rng) < 0.6 * settled
    assert loaded(limit, 100, 0.01, 6000, rng) > 1.2 * settled


def test_a_slower_service_does_not_shrink_it_for_ever():
    rng = np.random.default_rng(1)
    limit = AdaptiveLimit(initial=20, high=500)
    before = loaded(limit, 50, 0.01, 3000, rng)
    assert loaded(limit, 50, 0.03, 6000, rng) == pytest.approx(before, rel=0.35)


def test_it_does_not_grow_unused_and_shrinks_by_a_tenth_when_it_drops():
    limit = AdaptiveLimit(initial=100)
    for _ in range(1000):
        limit.update(0.01, 10)
    assert limit.limit == 100
    assert limit.update(0.0, 10, dropped=True) == 90
    for _ in range(200):
        limit.update(0.0, 10, dropped=True)
    assert limit.limit == 1


def test_it_lets_in_in_turn():
    limit = AdaptiveLimit(initial=2, high=2, clock=lambda: 0.0)
    order = []

    async def visit(name, seconds):
        async with limit:
            order.append(name)
            assert limit.inflight <= 2
            await asyncio.sleep(seconds)

    async def main():
        visits = [asyncio.ensure_future(visit(index, 1.0)) for index in range(6)]
        await asyncio.sleep(0.5)
        assert order == [0, 1] and not limit.try_acquire()
        visits[2].cancel()  # while it waits
        await asyncio.gather(*visits, return_exceptions=True)
        return clock()

    assert run(main()) == pytest.approx(3.0)
    assert order == [0, 1, 3, 4, 5] and limit.inflight == 0


def test_time_outs_inside_count_as_overload():
    limit = AdaptiveLimit(initial=50)

    async def main():
        with pytest.raises(TimeoutError):
            async with limit:
                raise TimeoutError
        with pytest.raises(LookupError):
            async with limit:
                raise LookupError

    run(main())
    assert limit.limit == 45 and limit.inflight == 0
    with pytest.raises(OutOfOrder, match="acquire"):
        limit.release()
    with pytest.raises(ProblemError, match="low <= initial"):
        AdaptiveLimit(initial=0)
