"""How many requests may be in flight, learnt from their latencies: the fast loop, many times a second.

Gradient2 of Netflix's concurrency-limits, with the least latency and the buffer of envoy's adaptive concurrency filter.
With a short average S of latencies, the least latency M, and the limit n:

    gradient = clip((1 + BUFFER) M / S, 1/2, 1)          below 1: latency rises, there is a queue
    n' = (1 - SMOOTHING) n + SMOOTHING (gradient n + sqrt(n))

sqrt(n) leaves room to grow; BUFFER M forgives what is noise (without it envoy's filter over-reacted). Gradient2 itself
compares S with a long average, which rises with the very queue it should prevent, so its limit creeps up for ever;
here M is measured anew every SPAN samples: the limit is halved for a moment, so that the queue is empty. The limit does
not grow while less than half of it is used.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from time import perf_counter

from ...core.errors import OutOfOrder, ProblemError

SMOOTHING, BUFFER, BACKOFF = 0.2, 0.25, 0.9
SHORT, SPAN, PROBE = 10, 1000, 60
"""Samples: of the short average; between two measurements of the least latency; of such a measurement, the first half
of which were under way before and do not count."""


class AdaptiveLimit:
    """An async context that lets so many in at once, in turn.

    initial, low, high: the limit at first, and its bounds.

        async with limit:
            await handle(request)

    An error inside the block counts as overload where it is one of `overload`: the limit shrinks by a tenth.
    """

    def __init__(
        self,
        initial: int = 20,
        low: int = 1,
        high: int = 200,
        *,
        overload: tuple[type[BaseException], ...] = (TimeoutError, ConnectionError),
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        if not 1 <= low <= initial <= high:
            raise ProblemError(f"limit: 1 <= low <= initial <= high is needed, got {low!r}, {initial!r}, {high!r}")
        self._limit, self._low, self._high = float(initial), low, high
        self._overload, self._clock = overload, clock
        self._short = 0.0
        self._least, self._probed, self._heard = math.inf, math.inf, 0
        self._inflight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun: dict[asyncio.Task[object] | None, list[float]] = {}

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return max(self._low, int(self._limit) // 2) if self._probing else int(self._limit)

    @property
    def _probing(self) -> bool:
        return self._heard % SPAN >= SPAN - PROBE

    @property
    def inflight(self) -> int:
        """How many are."""
        return self._inflight

    def update(self, latency: float, inflight: int, dropped: bool = False) -> int:
        """Hear of one request: its seconds, how many were in flight beside it, and whether it was refused or timed
        out. Gives the new limit."""
        if dropped:
            self._limit = max(float(self._low), BACKOFF * self._limit)
            return self.limit
        if not latency > 0 or not math.isfinite(latency):
            raise ProblemError(f"latency: seconds > 0 are expected, got {latency!r}")
        probing = self._probing
        self._hear(latency, probing)
        if probing or inflight < self._limit / 2:
            return self.limit  # less is asked for than is allowed: latency says nothing about the limit
        gradient = min(1.0, max(0.5, (1.0 + BUFFER) * self._least / self._short))
        wanted = gradient * self._limit + math.sqrt(self._limit)
        self._limit = (1.0 - SMOOTHING) * self._limit + SMOOTHING * wanted
        self._limit = min(float(self._high), max(float(self._low), self._limit))
        return self.limit

    def _hear(self, latency: float, probing: bool) -> None:
        self._heard += 1
        self._least = min(self._least, latency)
        if probing:
            if self._heard % SPAN > SPAN - PROBE // 2:
                self._probed = min(self._probed, latency)
            elif self._heard % SPAN == 0:
                self._least, self._probed = min(self._probed, latency), math.inf
        else:
            self._short += (latency - self._short) / min(self._heard, SHORT)

    def try_acquire(self) -> bool:
        """Go in if there is room now; `release` must follow."""
        if self._inflight >= self.limit or self._waiting:
            return False
        self._inflight += 1
        return True

    async def acquire(self) -> None:
        """Go in, after those who came before."""
        if self.try_acquire():
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # let in and cancelled at once: the place is somebody else's
            else:
                self._waiting.remove(place)
            raise

    def release(self, latency: float | None = None, dropped: bool = False) -> None:
        """Go out. latency: seconds since it went in (None: nothing is learnt)."""
        if not self._inflight:
            raise OutOfOrder("release() without acquire()")
        if latency is not None or dropped:
            self.update(latency or 0.0, self._inflight, dropped)
        self._leave()

    def _leave(self) -> None:
        self._inflight -= 1
        while self._waiting and self._inflight < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._inflight += 1

    async def __aenter__(self) -> AdaptiveLimit:
        await self.acquire()
        self._begun.setdefault(asyncio.current_task(), []).append(self._clock())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task = asyncio.current_task()
        begun = self._begun[task].pop()
        if not self._begun[task]:
            del self._begun[task]
        if kind is not None and issubclass(kind, self._overload):
            self.release(dropped=True)
        else:
            self.release(max(self._clock() - begun, 1e-9) if kind is None else None)
