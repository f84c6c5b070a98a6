"""A search inside a service: it can be started, looked at and stopped, and gives the best so far where it was.

It runs on the caller's event loop like `aminimize`, which it does not hold up: where a strategy takes long to think it
does so in a thread (see `engine.thinking`). `Search` adds an end on request that is no error.
"""

from __future__ import annotations

import asyncio
import inspect
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
    `aminimize`.

        search = Search(objective, space, max_evals=200)
        result = await search.run()          # or, from elsewhere: await search.stop()

    Raises:
        ObjectiveError: no async function.  What `Study` raises.
    """

    def __init__(self, objective: Callable[..., Any], space: Any, **keywords: Any) -> None:
        if not inspect.iscoroutinefunction(objective):
            raise ObjectiveError(f"objective: an async function of the parameters is expected, got {objective!r:.60}")
        self._objective = objective
        self._of_run = {"progress": False} | {name: item for name, item in keywords.items() if name in _OF_RUN}
        self.study = Study(space, **{name: item for name, item in keywords.items() if name not in _OF_RUN})
        self._running: asyncio.Task[Result] | None = None
        self._stopped: Result | None = None

    async def run(self) -> Result:
        """Search until something ends it; gives the best so far where that was `stop`. Cancelling it stops the search;
        what was done is in `study`.

        Raises:
            OutOfOrder: it was run before.  What `Study.run` raises.
        """
        if self._running is not None:
            raise OutOfOrder("run() of a search that was run before; make a new one (its study may go on)")
        task = self._running = asyncio.ensure_future(self.study.arun(self._objective, **self._of_run))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await sheltered(_ended(task))
            raise
        return self._where_it_stands() if task.cancelled() else task.result()

    async def stop(self) -> Result:
        """End it now: evaluations that run are cancelled, what was finished counts. Gives where the study stands."""
        task = self._running
        if task is None:
            raise OutOfOrder("stop() of a search that does not run")
        task.cancel()
        await _ended(task)
        if task.cancelled():
            return self._where_it_stands()
        return self.study.result if task.exception() is not None else task.result()

    def close(self) -> None:
        """Close the store, if the study opened it."""
        self.study.close()

    def _where_it_stands(self) -> Result:
        if self._stopped is None:
            self._stopped = self.study.result
            self._stopped.stop_reason = STOPPED
        return self._stopped


async def _ended(task: asyncio.Task[Result]) -> None:
    await asyncio.wait({task})
