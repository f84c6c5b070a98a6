"""The batch server: exact against a slow simulation and against queueing theory; its optimum lies inside."""

import math

import numpy as np
import pytest

from thalweg.apps.services import batch_server
from thalweg.apps.services.batch_server import BatchServer, Settings, p95_ms
from thalweg.core.errors import ProblemError

USUAL = {"concurrency": 4, "batch": 8, "max_wait_ms": 2.0}


def by_hand(arrivals, settings, end):
    """Every request's latency, by stepping through all moments at which anything can happen; without noise."""
    arrivals, waiting, running, found = list(arrivals), [], [], []
    size, wait = settings.batch, settings.max_wait_ms / 1000
    moment = 0.0
    while True:
        due = [waiting[0] + wait] if waiting else []
        coming = [time for time in [*arrivals[:1], *running, *due] if time > moment]
        ready = waiting and len(running) < settings.concurrency
        if not (ready and (len(waiting) >= size or waiting[0] + wait <= moment)):
            if not coming or min(coming) > end:
                return found
            moment = min(coming)
            running = [until for until in running if until > moment]
            while arrivals and arrivals[0] <= moment:
                waiting.append(arrivals.pop(0))
            continue
        batch, waiting = waiting[:size], waiting[size:]
        others = len(running)
        takes = (batch_server.SETUP_S + batch_server.PER_ITEM_S * len(batch)) * (
            1 + others * (batch_server.CONTENTION + batch_server.SWITCHING * others)
        )
        running.append(moment + takes)
        found += [moment + takes - time for time in batch]


@pytest.mark.parametrize(
    "settings", [Settings(4, 8, 2.0), Settings(1, 1, 0.0), Settings(10, 3, 20.0), Settings(2, 50, 5.0)]
)
def test_it_does_what_a_slow_simulation_does(settings, monkeypatch):
    monkeypatch.setattr(batch_server, "SPREAD", 0.0)
    server = BatchServer(900.0, settings, seed=3)
    server._draw_until(1.0)
    arrivals = [moment for moment in server._coming if moment <= 1.0]
    assert 700 < len(arrivals) < 1100
    parts = [server.advance(0.013) for _ in range(76)]
    parts += [server.advance(1.0 - server.now), server.drain()]
    latencies = np.concatenate([part.latencies for part in parts])
    assert np.sort(latencies) == pytest.approx(np.sort(by_hand(arrivals, settings, math.inf)), abs=1e-9)


def test_one_worker_and_batches_of_one_are_the_queue_of_the_books():
    """M/D/1: mean wait rho s / (2 (1 - rho)), Pollaczek and Khinchine."""
    service = batch_server.SETUP_S + batch_server.PER_ITEM_S
    rho = 0.6
    original, batch_server.SPREAD = batch_server.SPREAD, 0.0
    try:
        window = BatchServer(rho / service, Settings(1, 1, 0.0), seed=1).advance(600.0)
    finally:
        batch_server.SPREAD = original
    assert window.latencies.mean() == pytest.approx(service * (1 + rho / (2 * (1 - rho))), rel=0.02)


def test_arrivals_are_poisson_at_a_rate_that_changes():
    server = BatchServer([(0, 1000.0), (10, 3000.0), (15, 200.0)], Settings(10, 100, 0.0), seed=0)
    counts = [server.advance(5.0).requests for _ in range(5)]
    for count, expected in zip(counts, [5000, 5000, 15000, 1000, 1000], strict=True):
        assert abs(count - expected) < 5 * math.sqrt(expected)
    assert [server.rate_at(second) for second in (0, 9.9, 10, 15, 99)] == [1000, 1000, 3000, 200, 200]
    gaps = np.diff(BatchServer(500.0, seed=1)._moments(np.cumsum(np.random.default_rng(0).exponential(size=20_000))))
    assert gaps.mean() == pytest.approx(1 / 500, rel=0.03) and gaps.std() == pytest.approx(1 / 500, rel=0.03)


def test_the_requests_are_the_same_whatever_the_settings_are():
    one, other = (BatchServer(800.0, settings, seed=5) for settings in (Settings(), Settings(1, 100, 20.0)))
    one.advance(3.0), other.advance(1.0), other.configure(batch=2), other.advance(2.0)
    assert one._coming == other._coming
    assert p95_ms(USUAL, seed=1) == p95_ms(USUAL, seed=1) != p95_ms(USUAL, seed=2)


def test_a_full_queue_refuses():
    server = BatchServer(3000.0, Settings(1, 1, 0.0), seed=0, queue_limit=100)
    windows = [server.advance(1.0) for _ in range(5)]
    asked = sum(window.requests for window in windows)
    assert abs(asked + 101 - 15_000) < 700  # what waits at the end is in no window
    assert windows[-1].error_rate > 0.8
    capacity = 1 / (batch_server.SETUP_S + batch_server.PER_ITEM_S)
    assert windows[-1].throughput == pytest.approx(capacity, rel=0.1)
    assert windows[-1].p50 == pytest.approx(100 / capacity, rel=0.1)
    assert BatchServer(5.0, Settings(), seed=0).advance(60.0).app_limited
    assert not BatchServer(3000.0, Settings(), seed=0).advance(1.0).app_limited


def test_settings_may_change_while_it_works():
    server = BatchServer(3000.0, Settings(8, 8, 2.0), seed=0)
    server.advance(1.0)
    server.configure(concurrency=1)
    server.advance(0.5)
    assert len([until for until in server._running if until > server.now]) <= 1
    with pytest.raises(ProblemError, match="no setting workers; it has concurrency, batch, max_wait_ms"):
        server.configure(workers=3)
    with pytest.raises(ProblemError, match="concurrency"):
        server.configure(concurrency=0)
    with pytest.raises(ProblemError, match="rate"):
        BatchServer([(5.0, 100.0)])


def test_the_optimum_lies_inside_and_moves_with_the_load():
    def at(rate, concurrency, batch, max_wait_ms):
        return p95_ms({"concurrency": concurrency, "batch": batch, "max_wait_ms": max_wait_ms}, rate, 6000)

    usual = at(3000.0, 4, 7, 3.0)
    assert usual < 0.9 * min(
        at(3000.0, 2, 7, 3.0), at(3000.0, 4, 4, 0.0), at(3000.0, 4, 20, 20.0), at(3000.0, 4, 60, 3.0)
    )
    assert at(3000.0, 10, 1, 0.0) > 1000  # it cannot keep up
    assert at(6000.0, 5, 18, 4.0) < 2.5 * usual < 0.1 * at(6000.0, 4, 7, 3.0)
