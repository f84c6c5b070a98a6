"""Awaits `async def` objectives: many evaluations at once on the loop's own thread, for work that waits elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, cast

from ...core.context import Context
from ...core.errors import EvaluatorError
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.target import Target
from ._rows import Calls, Row, Rows, check_workers, context_of, describe, failed, finish, opened, refuse, row_of


class Coroutine(Evaluator):
    """`workers` evaluations in flight. Killable: a cancelled evaluation is cancelled at its next await.

    An objective that blocks (`time.sleep`, long computations) holds up the others and cannot be cancelled; one that
    swallows `asyncio.CancelledError` runs on until it returns.
    """

    killable = True

    def __init__(self, workers: int = 64) -> None:
        self._workers = check_workers(workers, "async")
        self._target: Target | None = None

    @property
    def slots(self) -> int:
        """Evaluations in flight."""
        return self._workers

    def open(self, target: Target) -> None:
        """Get ready to await `target.function`."""
        refuse(target, "async", asynchronous=True)
        if not target.asynchronous:
            raise EvaluatorError(
                f"evaluator 'async' awaits the objective, but {target.name} is a plain function, which would block all "
                "other evaluations: write it as `async def`, or use evaluator='thread' or 'process'"
            )
        self._target = target

    def prepare(self, job: Job) -> Calls:
        """Decode the points."""
        return Calls.of(opened(self._target), job)

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Await the objective, row after row."""
        target, job = opened(self._target), prepared.job
        rows = Rows(target)
        for index, argument in enumerate(prepared.arguments):
            context = context_of(job, index) if target.wants_context else None
            before = perf_counter()
            row = await _call(target, argument, context)
            now = perf_counter()
            rows.add(row, now - before)
            if row.values[0] <= job.goal or now >= job.stop_at:
                break
        return rows.outcomes()

    async def aclose(self) -> None:
        """Forget the target."""
        self._target = None


async def _call(target: Target, argument: Any, context: Context | None) -> Row:
    function = cast(Callable[..., Awaitable[Any]], target.function)
    try:
        row = row_of(target, await (function(argument) if context is None else function(argument, context)))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            if context is not None:
                context.clean()
            raise
        row = failed(target, describe(error))  # the objective's own doing
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        row = failed(target, describe(error))
    return row if context is None else finish(row, context)
