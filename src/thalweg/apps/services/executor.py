"""Runs async work: at most so many at once, in order, with time-outs, threads beside the loop, and a clean end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from ...core.errors import OutOfOrder, ProblemError

T = TypeVar("T")
Work = Awaitable[Any] | Callable[[], Any]
"""Something to await, or a function without arguments that gives it (which can be used again)."""


class TaskExecutor:
    """An async context for tasks and threads; it may be entered again after it was left, and also nested.

    max_workers: threads of `run_in_thread` and `map` (None: Python's default).  limit: the most awaited at once by
    `gather` and `map` unless they are told otherwise (None: all).

        async with executor:
            results = await executor.gather(*[partial(fetch, url) for url in urls], limit=8)
    """

    def __init__(self, max_workers: int | None = None, limit: int | None = None) -> None:
        self._max_workers = _count(max_workers, "max_workers")
        self._limit = _count(limit, "limit")
        self._pool: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._entered = 0

    async def __aenter__(self) -> TaskExecutor:
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tasks that still run are awaited, or cancelled if the block failed; threads end with their calls."""
        self._entered -= 1
        if self._entered:
            return
        if kind is not None:
            await self.cancel_all()
        else:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        pool, self._pool = self._pool, None
        if pool is not None:
            # beside the loop: waiting for a thread here would hold up everybody else
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)

    @property
    def running(self) -> int:
        """Tasks of this executor that have not ended."""
        return len(self._tasks)

    async def run(self, work: Work, timeout: float | None = None) -> Any:
        """Await `work`, for `timeout` seconds at most.

        Raises:
            TimeoutError: it took longer, and was cancelled.  ProblemError: a coroutine that was awaited before.
        """
        return await asyncio.wait_for(self._start(work), timeout)

    async def gather(self, *works: Work, limit: int | None = None, return_exceptions: bool = False) -> list[Any]:
        """The results of all works, in their order, at most `limit` at once.

        Coroutines are spent when they were awaited; functions without arguments (`partial(work, item)`) can be given
        again, as a search must that runs the same work many times. The first failure cancels the rest and is raised,
        unless `return_exceptions`: then failures are results.

        Raises:
            ProblemError: a coroutine that was awaited before, or something that cannot be awaited; none is started.
        """
        most = _count(limit, "limit") or self._limit or max(1, len(works))
        for index, work in enumerate(works):
            _check(work, f"work {index}")
        results: list[Any] = [None] * len(works)
        waiting = iter(enumerate(works))

        async def lane() -> None:
            for index, work in waiting:
                try:
                    results[index] = await self._start(work)
                except Exception as error:
                    if not return_exceptions:
                        raise
                    results[index] = error

        try:
            await _together([lane() for _ in range(min(most, len(works)))])
        finally:
            for _, work in waiting:  # what never started must not warn that it was never awaited
                if inspect.iscoroutine(work):
                    work.close()
        return results

    async def run_in_thread(self, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """Call a plain function in a thread, so that the loop goes on. A call cannot be cancelled, only left alone."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._max_workers, thread_name_prefix="thalweg-executor")
        call = partial(function, *arguments, **keywords)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def map(self, function: Callable[..., Any], *iterables: Iterable[Any], limit: int | None = None) -> list[Any]:
        """`function` of the items of `iterables`, in order; async functions are awaited, plain ones go to threads."""
        if inspect.iscoroutinefunction(function):
            works: list[Work] = [partial(function, *items) for items in zip(*iterables, strict=False)]
        else:
            works = [partial(self.run_in_thread, function, *items) for items in zip(*iterables, strict=False)]
        return await self.gather(*works, limit=limit)

    def create_task(self, work: Work, name: str | None = None) -> asyncio.Task[Any]:
        """Start `work` now; it ends with the context at the latest.

        Raises:
            OutOfOrder: the executor is not entered, so nobody would wait for the task.
        """
        if not self._entered:
            raise OutOfOrder("create_task() outside of `async with executor:`; nobody would wait for the task")
        task = self._start(work)
        if name is not None:
            task.set_name(name)
        return task

    async def cancel_all(self) -> int:
        """Cancel every task that runs, wait until they have ended, and give how many there were."""
        mine = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        return len(mine)

    def _start(self, work: Work) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(_awaited(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if inspect.iscoroutine(work):
            task.add_done_callback(lambda _: work.close())  # one that was cancelled before its first step
        return task


async def _together(lanes: list[Coroutine[Any, Any, None]]) -> None:
    """Await all; the first failure cancels the others, and is raised itself (not in a group)."""
    tasks = [asyncio.ensure_future(lane) for lane in lanes]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _awaited(work: Work) -> Coroutine[Any, Any, Any]:
    _check(work, "work")
    return _await(work)


async def _await(work: Work) -> Any:
    given = work() if callable(work) and not inspect.isawaitable(work) else work
    return await given if inspect.isawaitable(given) else given


def _check(work: Any, what: str) -> None:
    """Raise for what cannot be awaited (any more)."""
    if inspect.iscoroutine(work) and inspect.getcoroutinestate(work) != inspect.CORO_CREATED:
        raise ProblemError(
            f"{what}: the coroutine {work.__name__}() was awaited already, and a coroutine can be awaited once only; "
            f"give functions that make one, such as functools.partial({work.__name__}, ...), to run it again"
        )
    if inspect.iscoroutinefunction(work) or inspect.isawaitable(work) or callable(work):
        return
    raise ProblemError(f"{what}: a coroutine, or a function without arguments, is expected, got {work!r:.60}")


def _count(given: int | None, name: str) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise ProblemError(f"{name}: a whole number >= 1 is expected, got {given!r}")
    return given
