"""Calls the objective on the caller's own thread: nothing between the loop and the function."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from ...core.batch import Status
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.target import Target
from ._rows import Calls, Row, Rows, call, context_of, describe, failed, opened, refuse, row_of

_DONE = int(Status.DONE)  # an enum's member takes NumPy ten times as long


class Inline(Evaluator):
    """One evaluation after the other, in this thread. Not killable, so a deadline needs another evaluator.

    A KeyboardInterrupt inside the objective gives back the rows finished before it and sets `interrupted`; with no
    finished row it passes through.
    """

    suspends = False

    def __init__(self, rows: int = 256) -> None:
        self._rows = max(1, int(rows))
        self.interrupted = False
        self._target: Target | None = None

    @property
    def slots(self) -> int:
        """One: the caller's thread."""
        return 1

    @property
    def rows(self) -> int:
        """Rows of a job; `stop_at` and `goal` end it sooner."""
        return self._rows

    def open(self, target: Target) -> None:
        """Get ready to call `target.function`."""
        refuse(target, "inline")
        self._target = target
        self.interrupted = False

    def prepare(self, job: Job) -> Calls:
        """Decode the points."""
        return Calls.of(opened(self._target), job)

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Call the objective row by row."""
        target = opened(self._target)
        problem = target.problem
        try:
            if target.wants_context or problem.constraints or len(problem.objectives) > 1:
                return self._slow(target, prepared)
            return self._fast(target, prepared)
        finally:
            prepared.arguments = []

    def _fast(self, target: Target, calls: Calls) -> Outcomes:
        """The hot loop: one objective, no constraints, no context; a finite float takes the short way."""
        job, function = calls.job, target.function
        sign, stop_at, goal = float(target.problem.signs[0]), job.stop_at, job.goal
        values: list[float] = []
        seconds: list[float] = []
        others: dict[int, Row] = {}
        keep, clocked, clock, float64 = values.append, seconds.append, perf_counter, np.float64
        before = clock()
        for argument in calls.arguments:
            try:
                raw = function(argument)  # type: ignore[operator]
            except KeyboardInterrupt:
                if not values:
                    raise
                self.interrupted = True
                break
            except BaseException as error:
                raw = others[len(values)] = failed(target, describe(error))
            now = clock()
            clocked(now - before)
            before = now
            if type(raw) is float64:
                raw = float(raw)  # inf - inf of a NumPy scalar warns
            if type(raw) is float and raw - raw == 0.0:
                value = raw * sign
            else:
                row = raw if type(raw) is Row else row_of(target, raw)
                if row.status != Status.DONE or row.components is not None:
                    others[len(values)] = row
                value = row.values[0]
                before = clock()
            keep(value)
            if value <= goal or now >= stop_at:
                break
        return _outcomes(values, seconds, others)

    def _slow(self, target: Target, calls: Calls) -> Outcomes:
        job, rows = calls.job, Rows(target)
        for index, argument in enumerate(calls.arguments):
            context = context_of(job, index) if target.wants_context else None
            before = perf_counter()
            try:
                row = call(target, argument, context)
            except KeyboardInterrupt:
                if context is not None:
                    context.clean()
                if not len(rows):
                    raise
                self.interrupted = True
                break
            now = perf_counter()
            rows.add(row, now - before)
            if row.values[0] <= job.goal or now >= job.stop_at:
                break
        return rows.outcomes()

    async def aclose(self) -> None:
        """Forget the target."""
        self._target = None


def _outcomes(values: list[float], seconds: list[float], others: dict[int, Row]) -> Outcomes:
    count = len(values)
    statuses = np.empty(count, dtype=np.int8)
    statuses.fill(_DONE)
    components: list[dict[str, Any] | None] | None = None
    errors: dict[int, str] = {}
    for index, row in others.items():
        statuses[index] = row.status
        if row.error is not None:
            errors[index] = row.error
        if row.components is not None:
            components = [None] * count if components is None else components
            components[index] = row.components
    return Outcomes(
        np.array(values, dtype=np.float64).reshape(count, 1),
        statuses,
        np.array(seconds, dtype=np.float64),
        None,
        components,
        errors,
    )
