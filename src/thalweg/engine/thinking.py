"""Where a strategy thinks: on the loop's own thread while that is quick, in a thread of its own where it takes long.

A run that shares its event loop with others (`arun`, `async def` objectives) must not hold them up: a suggestion of a
Gaussian process takes ten milliseconds, its first one loads SciPy. There an ask or tell that may take long goes to a
thread, while the loop goes on. Results do not depend on it: the run waits for the strategy either way, one call at a
time, and hears what landed meanwhile afterwards, in the order in which it landed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, TypeVar

from .chunk import Chunk
from .session import Session

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

SLOW_S, QUICK_S = 2e-3, 5e-4
"""An ask or tell that takes so long goes to the thread from then on; after `CALM` in a row that are quick the loop's
own thread does them again: a hop to another thread and back costs a tenth of a millisecond."""
CALM = 16

POLITE_S = 5e-4
"""How long a thinking thread keeps Python's lock from another one that wants it (Python's own: 5 ms, for every turn
that the loop takes)."""

T = TypeVar("T")

_lock = threading.Lock()
_thinking = 0
_before = 0.0


@contextmanager
def polite() -> Iterator[None]:
    """Threads inside let others have their turn soon; Python's setting, which is the process's, comes back after the
    last of several has left.
    """
    global _thinking, _before  # noqa: PLW0603 (the setting is global)
    with _lock:
        if not _thinking:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(POLITE_S, _before))
        _thinking += 1
    try:
        yield
    finally:
        with _lock:
            _thinking -= 1
            if not _thinking:
                sys.setswitchinterval(_before)


class Thinking:
    """The asks and tells of a loop. beside: others use its event loop; else everything happens at once, here."""

    def __init__(self, session: Session, beside: bool) -> None:
        self.session, self.beside = session, beside
        self.cancelled: asyncio.CancelledError | None = None
        """A cancellation that came while the strategy thought; `check` raises it once the books are in order."""
        self._slow, self._calm = False, 0
        self._clock: Callable[[], float] = perf_counter
        self._under_way = False
        self._pool: ThreadPoolExecutor | None = None

    @property
    def away(self) -> bool:
        """Whether the next call goes to the thread."""
        return self.beside and (self._slow or self.session.strategy.ponders)

    async def draw(self, want: int) -> Chunk | None:
        """See `Session.draw`."""
        session = self.session
        if not self.beside:
            return session.draw(want)
        if not self.away:
            return self._here(partial(session.draw, want))
        before = perf_counter()
        proposals = await self._hop(partial(session.strategy.ask, want))
        return session.drawn(want, proposals, perf_counter() - before)

    def conclude(self, chunk: Chunk) -> None:
        """See `Session.conclude`; what the strategy is to hear may wait for `hear`."""
        session = self.session
        if not self.beside:
            session.conclude(chunk)
            return
        if not self.away:
            self._here(partial(session.conclude, chunk))
            return
        session.deferring = True
        try:
            session.conclude(chunk)
        finally:
            session.deferring = False

    async def hear(self) -> None:
        """Let the strategy hear what waits.

        Raises:
            CancelledError: that came meanwhile.
        """
        session = self.session
        if not session.unheard:
            return
        before = perf_counter()
        await self._hop(session.settle)
        session.spans.add("strategy", perf_counter() - before)
        self.check()

    def check(self) -> None:
        """Raise a cancellation that came while the strategy thought."""
        error, self.cancelled = self.cancelled, None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread, which has nothing to do; one that still thinks (the run was thrown away) ends by itself."""
        if self._pool is not None:
            self._pool.shutdown(wait=not self._under_way)
            self._pool = None

    def _here(self, call: Callable[[], T]) -> T:
        """The result of `call`, made on the loop's own thread."""
        began = self._clock()
        result = call()
        self._took(self._clock() - began)
        return result

    def _took(self, seconds: float) -> None:
        """A busy machine makes nothing slow that is quick: what took long by the clock on the wall, which costs nothing
        to read, is measured in CPU time from then on."""
        if seconds > SLOW_S:
            self._slow, self._calm = self._clock is thread_time, 0
            self._clock = thread_time
        elif self._clock is thread_time:
            self._calm = self._calm + 1 if seconds < QUICK_S else 0
            if self._calm >= CALM:
                self._slow, self._clock = False, perf_counter

    async def _hop(self, call: Callable[[], T]) -> T:
        """The result of `call`, made in the thread with the caller's context variables.

        A call cannot be cut off: a cancellation waits until it is over, and for `check`.
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="thalweg-strategy")
        outcome: list[T] = []
        failure: list[BaseException] = []
        spent = [0.0]

        def body() -> None:
            began = thread_time()
            try:
                with polite():
                    outcome.append(call())
            except BaseException as error:  # raised again below: a future cannot carry every kind
                failure.append(error)
            spent[0] = thread_time() - began

        self._under_way = True
        future = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, body)
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError as error:
                self.cancelled = error
        self._under_way = False
        self._took(spent[0])
        if failure:
            raise failure[0]
        return outcome[0]
