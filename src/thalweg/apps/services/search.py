"""A search beside an event loop: the strategy thinks in its own thread, objectives are awaited on the caller's loop.

`aminimize` runs on the caller's loop, and while a strategy thinks (a Gaussian process: tens of milliseconds per
proposal) nothing else there goes on. That is right for a benchmark and wrong inside a service. `Search` costs a hop
between two threads per evaluation, and ends within moments when it is told to, with the best so far.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

from ...core.errors import ObjectiveError, OutOfOrder
from ...engine.drive import sheltered
from ...engine.result import Result
from ...engine.study import Study

_OF_RUN = frozenset(inspect.signature(Study.run).parameters) - {"self", "objective"}
STOPPED = "stopped by its owner"


class Search:
    """A search that can be started, looked at and stopped.

    objective: async f(params) or f(params, context), awaited on the loop where `run` is.  space, keywords: as of
    `aminimize`. What strategies need is imported here, not while the loop runs.

        search = Search(objective, space, max_evals=200)
        result = await search.run()          # or, from elsewhere: await search.stop()

    Raises:
        ObjectiveError: no async function.  What `Study` raises.
    """

    def __init__(self, objective: Callable[..., Any], space: Any, **keywords: Any) -> None:
        if not inspect.iscoroutinefunction(objective):
            raise ObjectiveError(f"objective: an async function of the parameters is expected, got {objective!r:.60}")
        import scipy.linalg
        import scipy.optimize  # noqa: F401 (loading them holds up every thread)

        self._objective = objective
        self._of_run = {"progress": False} | {name: item for name, item in keywords.items() if name in _OF_RUN}
        self.study = Study(space, **{name: item for name, item in keywords.items() if name not in _OF_RUN})
        self._thread: threading.Thread | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]] | None = None  # in the thread
        self._ended = asyncio.Event()
        self._outcome: Result | BaseException | None = None
        self._stopping = False

    async def run(self) -> Result:
        """Search until something ends it; gives the best so far where that was `stop`. Cancelling it stops the search;
        what was done is in `study`.

        Raises:
            OutOfOrder: it was run before.  What `Study.run` raises.
        """
        if self._thread is not None:
            raise OutOfOrder("run() of a search that was run before; make a new one (its study may go on)")
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._think, args=(loop,), name="thalweg-search", daemon=True)
        self._thread.start()
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            self._cancel()
            await sheltered(self._until_ended())
            raise
        if isinstance(self._outcome, Result):
            return self._outcome
        raise self._outcome or RuntimeError("a search ended without an outcome")

    async def stop(self) -> Result:
        """End it now: evaluations that run are cancelled, what was finished counts. Gives where the study stands."""
        if self._thread is None:
            raise OutOfOrder("stop() of a search that does not run")
        self._cancel()
        await self._ended.wait()
        return self._outcome if isinstance(self._outcome, Result) else self.study.result

    def close(self) -> None:
        """Close the store, if the study opened it."""
        self.study.close()

    async def _until_ended(self) -> None:
        await self._ended.wait()

    def _cancel(self) -> None:
        self._stopping = True
        if self._running is not None and not self._ended.is_set():
            inner, task = self._running
            inner.call_soon_threadsafe(task.cancel)

    def _think(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: a loop of its own, whose objective hops to the caller's loop and back."""
        try:
            self._outcome = asyncio.run(self._search(loop))
        except asyncio.CancelledError:
            self._outcome = self.study.result
            self._outcome.stop_reason = STOPPED
        except BaseException as error:  # raised again by run()
            self._outcome = error
        finally:
            self._running = None
            loop.call_soon_threadsafe(self._ended.set)

    async def _search(self, loop: asyncio.AbstractEventLoop) -> Result:
        objective = self._objective

        async def hop(*arguments: Any) -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(objective(*arguments), loop))

        async def plain(params: Any) -> Any:
            return await hop(params)

        async def with_context(params: Any, context: Any) -> Any:
            return await hop(params, context)

        several = len(inspect.signature(objective).parameters) > 1
        task = asyncio.ensure_future(self.study.arun(with_context if several else plain, **self._of_run))
        self._running = asyncio.get_running_loop(), task
        if self._stopping:
            task.cancel()
        return await task
