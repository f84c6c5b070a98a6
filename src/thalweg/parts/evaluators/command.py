"""Runs programs outside Python: long-lived threads that start processes, read what they did, and leave nothing behind.

Threads and not asyncio's subprocesses: those cost more than twice the CPU time per start. Each slot is one thread; a
thread is the parent of what it starts, and ends it itself when an evaluation is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...core.batch import Status
from ...core.errors import CommandError, EvaluatorError, ObjectiveError
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.program import Finished, Plan, Program, Step
from ...core.target import Reading, Target
from . import _spawn
from ._orphans import OWNER, end_orphans, owner
from ._rows import describe
from ._tree import require_linux

ALLOWED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TERM"),
    *("LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES"),
    *("OMP_*", "OPENBLAS_*", "MKL_*", "NUMEXPR_*"),
)
"""Variables a program inherits (shell patterns); everything else, secrets included, stays here."""
_EXCERPT = 400
"""Characters of stderr quoted in an error."""


class CommandEvaluator(Evaluator):
    """Evaluates `Program`s: each trial gets a temporary folder, runs its steps there in order, and is measured.

    A step that cannot start, ends with a non-zero exit code, or dies by a signal fails its trial with a message; steps
    with the role "cleanup" run in any case. Processes that a step leaves behind are killed, also if they have made a
    session of their own; what a study that was killed left behind is ended by the next one.

    workers: how many evaluations run at once.  inherit: further environment variables (shell patterns) to hand on.
    """

    killable = True
    suspends = True

    def __init__(self, workers: int = 1, *, inherit: Iterable[str] = ()) -> None:
        if workers < 1:
            raise EvaluatorError(f"workers must be 1 or more, got {workers}")
        self._workers = workers
        self._inherit = (*ALLOWED, *inherit)
        self._pool: ThreadPoolExecutor | None = None
        self._running: set[_spawn.Cancel] = set()

    @property
    def slots(self) -> int:
        """One per worker."""
        return self._workers

    def open(self, target: Target) -> None:
        """Check the program and get the threads ready.

        Raises:
            CommandError: the program, a file or a placeholder does not exist.
            EvaluatorError: the target is no program.
        """
        if target.program is None:
            raise EvaluatorError(
                f"the command evaluator runs programs, got the function {target.name}; "
                "use evaluator='inline', 'thread' or 'process' for functions, or give a Command"
            )
        target.program.check(target.problem.space.names)
        require_linux("the command evaluator")
        self._target = target
        self._program: Program = target.program
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if any(fnmatchcase(name, pattern) for pattern in self._inherit)
        }
        self._environment[OWNER] = owner()
        end_orphans()
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="thalweg-command")

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Run the job's rows one after the other; cancelling kills what runs and waits until it is gone."""
        job: Job = prepared
        if self._pool is None:
            raise EvaluatorError("evaluate() before open(): the command evaluator has no program yet")
        cancel = _spawn.Cancel()
        self._running.add(cancel)
        waiter = asyncio.wrap_future(self._pool.submit(self._work, job, cancel))
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            cancel.request()
            while not waiter.done():
                try:
                    await asyncio.wait([waiter])
                except asyncio.CancelledError:
                    continue  # cancelled again: the tree must be gone first all the same
            waiter.exception()
            raise
        finally:
            self._running.discard(cancel)
            cancel.close()

    async def aclose(self) -> None:
        """End what runs, and the threads."""
        for cancel in list(self._running):
            cancel.request()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _work(self, job: Job, cancel: _spawn.Cancel) -> Outcomes:
        """The rows of `job`, on a thread of the pool; stops early where the job says so."""
        count = len(self._target.problem.objectives)
        result = Outcomes(
            np.full((len(job), count), np.nan),
            np.full(len(job), Status.ABANDONED, dtype=np.int8),
            np.zeros(len(job)),
            np.zeros(len(job)) if self._target.problem.constraints else None,
            [],
            worker=f"pid {os.getpid()}",
        )
        done = 0
        for row in range(len(job)):
            if row and time.perf_counter() >= job.stop_at:
                break
            self._row(job, row, cancel, result)
            done = row + 1
            if cancel.requested or result.values[row, 0] <= job.goal:
                break
        return _first(result, done)

    def _row(self, job: Job, row: int, cancel: _spawn.Cancel, result: Outcomes) -> None:
        components: dict[str, Any] | None = None
        finished: list[Finished] = []
        try:
            active = None if job.active is None else job.active[row : row + 1]
            params = _named(self._target.arguments(job.reals[row : row + 1], active)[0], self._target)
            reading = self._trial(params, int(job.numbers[row]), cancel, finished)
            result.values[row] = reading.values
            result.statuses[row] = Status.DONE
            components = reading.components
            if result.violations is not None:
                result.violations[row] = reading.violation
        except _spawn.Cancelled:
            pass
        except _spawn.LimitReached as error:
            result.statuses[row] = Status.FAILED
            result.errors[row] = str(error)
        except (CommandError, ObjectiveError) as error:
            result.statuses[row] = Status.FAILED
            result.errors[row] = f"{type(error).__name__}: {error}"
        except BaseException as error:  # a Program of the user's own may raise anything: that is this trial's failure
            result.statuses[row] = Status.FAILED
            result.errors[row] = describe(error)
        result.seconds[row] = sum(item.seconds for item in finished if item.step.measured)
        cast(list[Any], result.components).append(components)

    def _trial(
        self, params: Mapping[str, Any], number: int, cancel: _spawn.Cancel, finished: list[Finished]
    ) -> Reading:
        folder = Path(tempfile.mkdtemp(prefix=f"thalweg-{number}-"))
        try:
            plan = self._program.plan(params, folder, number)
            around = _spawn.Surroundings(self._environment | (plan.environment or {}), plan.limits)
            try:
                self._steps([step for step in plan.steps if step.role != "cleanup"], around, cancel, finished)
                return self._target.read(self._program.measure(plan, finished))
            finally:
                self._clean_up(plan, around, cancel)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _steps(steps: list[Step], around: _spawn.Surroundings, cancel: _spawn.Cancel, finished: list[Finished]) -> None:
        for step in steps:
            done = _spawn.run(step, around, cancel)
            finished.append(done)
            if done.exit_code != 0 and step.required:
                failure = _how_it_failed(done)
                blamed = around.limits.blamed(f"{failure} {done.stderr[-_EXCERPT:]}") if around.limits else None
                raise _spawn.LimitReached(f"{blamed}; {failure}") if blamed else CommandError(failure)

    @staticmethod
    def _clean_up(plan: Plan, around: _spawn.Surroundings, cancel: _spawn.Cancel) -> None:
        for step in plan.steps:
            if step.role == "cleanup" and not cancel.requested:
                try:
                    _spawn.run(step, around, cancel)
                except (_spawn.Cancelled, CommandError):
                    continue


def _how_it_failed(done: Finished) -> str:
    name = done.step.argv[0]
    if done.exit_code < 0:
        import signal

        try:
            ended = f"was killed by {signal.Signals(-done.exit_code).name}"
        except ValueError:
            ended = f"was killed by signal {-done.exit_code}"
    else:
        ended = f"ended with exit code {done.exit_code}"
    said = (done.stderr.strip() or done.stdout.strip())[-_EXCERPT:]
    return f"{done.step.role}: {name} {ended}" + (f"; it said: {said}" if said else "; it said nothing")


def _named(params: Any, target: Target) -> Mapping[str, Any]:
    """The parameters by name, whichever way the space hands them out."""
    if isinstance(params, Mapping):
        return params
    if is_dataclass(params):
        found = {field.name: getattr(params, field.name) for field in fields(params)}
        return {name: value for name, value in found.items() if value is not None}
    return dict(zip(target.problem.space.names, params.tolist(), strict=True))


def _first(result: Outcomes, count: int) -> Outcomes:
    """The first `count` rows."""
    if count == len(result):
        return result
    return Outcomes(
        result.values[:count],
        result.statuses[:count],
        result.seconds[:count],
        None if result.violations is None else result.violations[:count],
        result.components,
        result.errors,
        result.worker,
    )
