"""A service in virtual time: an exact discrete-event simulation of a server that handles requests in batches.

Requests arrive (Poisson, at a rate that may change), wait in one queue, and are taken in batches by up to
`concurrency` workers. A batch starts when a worker is free and `batch` requests wait, or the oldest has waited for
`max_wait`; it takes

    (SETUP + PER_ITEM k) (1 + CONTENTION others + SWITCHING others^2) x noise      seconds

for k requests beside `others` busy workers: batches share the set-up, workers share the machine. So a large batch saves
work and costs waiting, and more workers help until they are in each other's way: each optimum lies inside, and moves
with the load. Nothing sleeps: minutes of service take milliseconds, and the same seed gives the same requests whatever
the settings are (common random numbers).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError
from ...core.parameter import Float, Integer
from .window import Window

SETUP_S, PER_ITEM_S, CONTENTION, SWITCHING = 0.0026, 0.00026, 0.12, 0.02
SPREAD = 0.15
"""Standard deviation of the logarithm of a batch's noise."""
_NEVER = 1e18
IDLE = 0.05
"""Below this share of busy workers settings make no difference."""
SPACE = {
    "concurrency": Integer(1, 10),
    "batch": Integer(1, 100, log=True),
    "max_wait_ms": Float(0.0, 20.0),
}
"""What may be set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the server works. max_wait_ms: how long the oldest request may wait for others to come."""

    concurrency: int = 4
    batch: int = 8
    max_wait_ms: float = 2.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ProblemError(f"{name}: a whole number >= 1 is expected, got {value!r}")
        if not self.max_wait_ms >= 0:
            raise ProblemError(f"max_wait_ms: milliseconds >= 0 are expected, got {self.max_wait_ms!r}")


class BatchServer:
    """The server, at some moment of virtual time; `advance` lets it go on.

    rate: requests per second, or [(from second, rate), ...].  queue_limit: requests that may wait; further ones are
    refused, and count as errors (None: any number).
    """

    def __init__(
        self,
        rate: float | Sequence[tuple[float, float]] = 3000.0,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        queue_limit: int | None = None,
    ) -> None:
        self.schedule = [(0.0, float(rate))] if isinstance(rate, (int, float)) else sorted(rate)
        if not self.schedule or self.schedule[0][0] > 0 or any(not each > 0 for _, each in self.schedule):
            raise ProblemError(f"rate: a number > 0, or [(0, rate), (second, rate), ...], is expected, got {rate!r}")
        self.settings = settings or Settings()
        self.now = 0.0
        self._limit = queue_limit
        streams = np.random.SeedSequence(seed).spawn(2)
        self._arrival_rng, self._noise_rng = (np.random.default_rng(stream) for stream in streams)
        self._coming: list[float] = []  # arrivals that are drawn and not admitted yet; the last one lies ahead of `now`
        self._unit = 0.0  # how much unit-rate time has been drawn
        self._queue: deque[float] = deque()
        self._running: list[float] = []  # when the batches under way end
        self._finishing: list[tuple[float, list[float]]] = []  # (end, arrivals) of batches that end after `now`
        self._noise: list[float] = []
        self._refused = 0

    def configure(self, **changes: Any) -> None:
        """Change settings from now on; batches that run finish as they are."""
        now = {name: getattr(self.settings, name) for name in SPACE}
        if unknown := sorted(set(changes) - set(now)):
            raise ProblemError(f"configure() has no setting {', '.join(unknown)}; it has {', '.join(now)}")
        self.settings = Settings(**{**now, **changes})

    def rate_at(self, second: float) -> float:
        """Requests per second at a moment."""
        return next(rate for begin, rate in reversed(self.schedule) if begin <= second)

    def advance(self, seconds: float) -> Window:
        """Let virtual time go on; gives what was answered meanwhile."""
        if not seconds > 0:
            raise ProblemError(f"advance: seconds > 0 are expected, got {seconds!r}")
        end = self.now + seconds
        self._draw_until(end)
        before = self._refused
        worked = self._serve(end)
        done = [item for item in self._finishing if item[0] <= end]
        self._finishing = [item for item in self._finishing if item[0] > end]
        latencies = np.concatenate([finish - np.array(arrived) for finish, arrived in done]) if done else np.empty(0)
        self.now = end
        share = worked / (seconds * self.settings.concurrency)
        return Window(latencies, seconds, errors=self._refused - before, app_limited=share < IDLE)

    def drain(self) -> Window:
        """Answer what waits, and nothing that comes later: virtual time goes on until all is done. It is
        the server's end."""
        self._coming = [_NEVER]
        self._serve(_NEVER / 2)
        ends = [end for end, _ in self._finishing]
        return self.advance(max([*ends, self.now]) - self.now + 1e-9)

    def _draw_until(self, end: float) -> None:
        """Arrivals up to `end` and the first one after it: unit-rate arrivals, pulled back through the rate's integral,
        which is piecewise linear."""
        coming, drawn = self._coming, [np.empty(0)]
        last = coming[-1] if coming else 0.0
        while last <= end:
            units = self._unit + np.cumsum(self._arrival_rng.exponential(size=512))
            self._unit = float(units[-1])
            drawn.append(self._moments(units))
            last = float(drawn[-1][-1])
        coming.extend(np.concatenate(drawn).tolist())

    def _moments(self, units: Floats) -> Floats:
        """When so much unit-rate time (n,) has passed."""
        begins, rates = np.array(self.schedule).T
        passed = np.concatenate([[0.0], np.cumsum(np.diff(begins) * rates[:-1])])
        part = np.searchsorted(passed, units, side="right") - 1
        return np.asarray(begins[part] + (units - passed[part]) / rates[part])

    def _serve(self, end: float) -> float:
        """Start every batch that starts before `end`; gives the seconds that workers will take for them."""
        size, most = self.settings.batch, self.settings.concurrency
        if self._limit is not None:
            size = min(size, self._limit)
        queue, clock, worked, at = self._queue, self.now, 0.0, 0
        coming = self._coming
        while True:
            at = self._admit(at, clock)
            start = max(clock, self._free_at(most, clock), self._ready_at(at, size))
            if start > end:
                break
            at = self._admit(at, start)
            batch = [queue.popleft() for _ in range(min(size, len(queue)))]
            self._running = running = [until for until in self._running if until > start]
            others = len(running)
            takes = (SETUP_S + PER_ITEM_S * len(batch)) * (1.0 + others * (CONTENTION + SWITCHING * others))
            takes *= self._next_noise()
            running.append(start + takes)
            self._finishing.append((start + takes, batch))
            worked += takes
            clock = start
        at = self._admit(at, end)
        del coming[:at]
        return worked

    def _free_at(self, most: int, clock: float) -> float:
        """When a worker is free: one of `most`, though more may still be at work after a change."""
        running = sorted(until for until in self._running if until > clock)
        return running[len(running) - most] if len(running) >= most else clock

    def _ready_at(self, at: int, size: int) -> float:
        """When the next batch is full, or its oldest request has waited long enough."""
        queue, coming = self._queue, self._coming
        lack = size - len(queue)
        if lack <= 0:
            return 0.0
        full = coming[at + lack - 1] if at + lack <= len(coming) else float("inf")
        oldest = queue[0] if queue else coming[at]
        return min(full, oldest + self.settings.max_wait_ms / 1000.0)

    def _admit(self, at: int, moment: float) -> int:
        """Queue what has arrived by `moment`, as far as there is room; gives the index of the next arrival."""
        until = bisect_right(self._coming, moment, at)
        if until > at:
            arrived = self._coming[at:until]
            if self._limit is not None and len(arrived) > (room := self._limit - len(self._queue)):
                self._refused += len(arrived) - max(room, 0)
                arrived = arrived[: max(room, 0)]
            self._queue.extend(arrived)
        return until

    def _next_noise(self) -> float:
        if not self._noise:
            self._noise = np.exp(SPREAD * self._noise_rng.standard_normal(512)).tolist()
        return self._noise.pop()


def p95_ms(params: Mapping[str, Any], rate: float = 3000.0, requests: int = 10_000, seed: int = 0) -> float:
    """The 95th percentile of latency, in milliseconds, of the first `requests` at these settings: an objective.

    A server that cannot keep up has a queue that grows as long as requests come, and the percentile says so.
    """
    server = BatchServer(rate, Settings(**params), seed=seed)
    first = server.advance(requests / rate)
    rest = server.drain()
    return 1000.0 * float(np.percentile(np.concatenate([first.latencies, rest.latencies]), 95))
