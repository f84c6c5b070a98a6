"""Persistent worker processes: real parallelism, deadlines that kill, and crashes that cost one trial."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import Any

from ...core.errors import EvaluatorError
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.limits import Limits, limits_of
from ...core.target import Target
from ._chunks import MOST, ChunkSize
from ._remote import LostTarget, Remote, Supervisor
from ._rows import check_workers, opened, refuse
from ._tree import require_linux
from ._wire import append_failure, pack_job

_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class Sent:
    """A packed job. remote: who runs it.  kept: the rows finished before the worker was ended."""

    job: Job
    message: bytes
    remote: Remote | None = None
    kept: Outcomes | None = None


class Process(Evaluator):
    """`workers` processes under a supervisor, one job in flight each, on the caller's event loop without threads.

    The objective travels once, by import path where it has one, else by value (lambdas, closures, bound methods,
    functions of `__main__` and notebooks); after that only arrays do. An `async def` objective runs on an event loop of
    its worker, one evaluation at a time.

    A worker that dies (os._exit, a signal, out of memory) costs the row it was in: the rows before are given back, the
    loop sends the rows after again. Cancelling `evaluate` ends that worker's process tree; a fresh one starts with the
    next job. Workers ignore SIGINT, pass stdout and stderr through, and end with this process, also when it is killed.

    max_rows: most rows per job (1: every evaluation by itself).
    blas_threads: threads of the linear algebra libraries in each worker; None leaves the environment as it is.
    preload: modules the workers find imported already (they are imported before the fork: none that starts threads).
    limits: what an evaluation may use (`Limits`, or a table such as {"memory": "2GB", "cpu_s": 60}); one that reaches a
    limit is ended with its worker, and fails. Memory counts what a worker holds, also from evaluations before.
    """

    killable = True

    def __init__(
        self,
        workers: int = 2,
        max_rows: int = MOST,
        blas_threads: int | None = 1,
        preload: Sequence[str] = (),
        limits: Limits | Mapping[str, Any] | None = None,
    ) -> None:
        self._workers = check_workers(workers, "process")
        self._chunks = ChunkSize(most=max_rows)
        if blas_threads is not None:
            check_workers(blas_threads, "process (blas_threads)")
        self._threads = blas_threads
        self._preload = [preload] if isinstance(preload, str) else list(preload)
        self._limits = limits_of(limits)
        self._target: Target | None = None
        self._supervisor: Supervisor | None = None
        self._idle: list[Remote] = []

    @property
    def slots(self) -> int:
        """Jobs in flight: one per worker."""
        return self._workers

    @property
    def rows(self) -> int:
        """Rows per job: about 30 ms of work, one while times are unknown."""
        return self._chunks.rows

    def open(self, target: Target) -> None:
        """Start the supervisor and a first worker, which shows that the objective arrives.

        Raises:
            EvaluatorError: not on Linux, or the objective cannot be pickled or loaded; the message says why.
        """
        refuse(target, "process", asynchronous=True)
        require_linux("evaluator 'process'")
        try:
            self._launch(target, _dumps(target))
        except LostTarget as lost:
            if not lost.importing:
                raise EvaluatorError(f"a worker process cannot load the objective {target.name}: {lost}") from None
            self._relaunch_by_value(target, lost)
        self._target = target

    def _launch(self, target: Target, payload: bytes) -> None:
        supervisor = Supervisor(payload, len(target.problem.objectives), self._threads, self._preload, self._limits)
        try:
            first = supervisor.start_worker()
            try:
                first.wait_ready()
            except BaseException:
                first.close()
                raise
        except BaseException:
            supervisor.close()
            raise
        self._supervisor = supervisor
        self._idle.append(first)

    def _relaunch_by_value(self, target: Target, lost: LostTarget) -> None:
        """Its module cannot be imported in a worker (made at run time, or found by other means): send the code."""
        try:
            with _by_value(_modules(target)):
                payload = _dumps(target)
            self._launch(target, payload)
        except (LostTarget, EvaluatorError) as again:
            raise EvaluatorError(
                f"a worker process cannot import the objective {target.name}: {lost}\nNor does sending its code work: "
                f"{again}\nPut it into a module that can be imported, or use evaluator='thread'"
            ) from None

    def prepare(self, job: Job) -> Sent:
        """Pack the arrays (at most 256 rows; the loop sends the rest again)."""
        opened(self._target)
        return Sent(job, pack_job(job if len(job) <= MOST else _head(job)))

    async def ready(self, prepared: Any) -> None:
        """Have a worker that has loaded the objective: what comes after is the evaluation, and may have a deadline.

        A fresh worker imports the objective's modules first, which can take seconds. `evaluate` does this by itself
        where it was not called before.
        """
        remote = prepared.remote = self._take()
        try:
            await remote.load()
        except BaseException as error:
            await self._fault(prepared, remote, error)
            raise

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Run the job in a worker.

        Raises:
            EvaluatorError: workers keep dying before they evaluate anything.
        """
        constrained = bool(opened(self._target).problem.constraints)
        for _ in range(_ATTEMPTS):
            remote = prepared.remote = prepared.remote or self._take()
            try:
                finished = await remote.run(prepared.message, prepared.job)
            except BaseException as error:
                await self._fault(prepared, remote, error)
                raise
            outcomes: Outcomes = remote.outcomes(constrained)
            if finished:
                self._give_back(remote)
                prepared.remote = None
                self._chunks.observe(outcomes)
                return outcomes
            started, done, _status, began = remote.journal.state
            error_text, ending = remote.failure(), remote.ending()
            prepared.remote = None
            remote.close()
            if started > done:
                return append_failure(outcomes, error_text, max(0.0, perf_counter() - began))
            if done:
                return outcomes
        raise EvaluatorError(
            f"worker processes end before they evaluate anything, {_ATTEMPTS} times in a row (the last: {ending}); "
            "does the objective's module start something when it is imported, or is memory short?"
        )

    def finished(self, prepared: Any) -> Outcomes:
        """The rows of a job that are complete: while it runs, and after it was cancelled."""
        sent: Sent = prepared
        if sent.remote is not None:
            return sent.remote.outcomes(bool(opened(self._target).problem.constraints))
        if sent.kept is not None:
            return sent.kept
        return Outcomes.failed(0, len(opened(self._target).problem.objectives), "")

    def running_s(self, prepared: Any) -> float:
        """Seconds the row a job is in has been running; 0 between rows.

        Decoding before the first row, and flushing output after the last, count too: both can block.
        """
        sent: Sent = prepared
        if sent.remote is None:
            return 0.0
        started, done, _, began = sent.remote.journal.state
        busy = started > done or started == 0 or done == min(len(sent.job), MOST)
        return max(0.0, perf_counter() - began) if busy else 0.0

    def _take(self) -> Remote:
        if self._idle:
            return self._idle.pop()
        if self._supervisor is None:
            opened(None)
            raise AssertionError  # opened(None) always raises
        return self._supervisor.start_worker()

    def _give_back(self, remote: Remote) -> None:
        if self._supervisor is None or len(self._idle) >= self._workers:
            remote.close()
        else:
            self._idle.append(remote)

    async def _fault(self, prepared: Sent, remote: Remote, error: BaseException) -> None:
        """Something came between (mostly a cancellation): end the worker and all below it, keep what it finished."""
        try:
            if self._supervisor is not None:
                self._supervisor.kill(remote)
                if not isinstance(error, GeneratorExit):  # then nothing can be awaited any more
                    await remote.ended()
            prepared.kept = remote.outcomes(bool(opened(self._target).problem.constraints))
        finally:
            prepared.remote = None
            remote.close()
        if isinstance(error, LostTarget):
            raise EvaluatorError(f"a new worker process cannot load the objective: {error}") from None

    async def aclose(self) -> None:
        """End all workers and the supervisor."""
        for remote in self._idle:
            remote.close()
        self._idle.clear()
        supervisor, self._supervisor, self._target = self._supervisor, None, None
        if supervisor is not None:
            await supervisor.aclose()


def _head(job: Job) -> Job:
    def first(array: Any) -> Any:
        return None if array is None else array[:MOST]

    fidelities, seeds, active = first(job.fidelities), first(job.seeds), first(job.active)
    return Job(job.numbers[:MOST], job.reals[:MOST], active, fidelities, seeds, job.stop_at, job.goal, job.report)


def _dumps(target: Target) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(target, protocol=5))
    except Exception as error:
        raise EvaluatorError(
            f"the objective {target.name} cannot be sent to a worker process: {type(error).__name__}: {error}; does it "
            "hold an open file, a lock, a connection or a generator? Make it inside the function, or use "
            "evaluator='thread'"
        ) from error


def _modules(target: Target) -> list[ModuleType]:
    """The modules of the objective, of the object it is a method of, and of a typed space."""
    function = getattr(target.function, "func", target.function)
    holders = [function, type(function), type(getattr(function, "__self__", None)), target.problem.space.type]
    names = {str(getattr(holder, "__module__", "")) for holder in holders} - {"__main__", "builtins", ""}
    return [sys.modules[name] for name in sorted(names) if name in sys.modules and not name.startswith("thalweg.")]


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in known]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)
