"""A function called on pieces of its data at once, in threads or processes: whichever a measurement says.

The first piece is called here and timed. If the rest would take a few milliseconds, it is called here too: sending it
anywhere costs more. If the first piece mostly waited, threads do the rest. If not, a round of pieces runs in threads:
where they worked at the same time (NumPy, compression and hashing let others run), threads go on; where they took
turns, as plain Python does, processes take over, if what is left is worth starting them.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter, thread_time
from typing import Any, Literal, get_args

from ...core.errors import EvaluatorError, ProblemError
from . import pieces
from .workers import INSIDE, Crew, Task

Backend = Literal["serial", "thread", "process"]
Span = tuple[int, int]

log = logging.getLogger("thalweg.functions")
SHORT_S = 3e-3
"""Work below this is not worth a thread."""
START_S = 0.6
"""Starting worker processes takes about as long."""
OVERLAP = 1.25
"""Threads that worked for more CPU-seconds than that in a second worked at the same time."""
ROUNDS = 4
"""Pieces per worker: more even out pieces that take longer, fewer cost less."""
_nested = threading.local()


class Pool:
    """Threads and processes that parallel functions share. workers: of each; both start when they are needed."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.crew = Crew(workers)
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def threads(self) -> ThreadPoolExecutor:
        """The threads."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="thalweg-function")
            return self._threads

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any], backend: Backend | None = None) -> list[Any]:
        """[function(*items) for items in zip(*iterables)], several at once: for what wants a `map`, as DEAP's toolbox
        does. backend: as in `Parallel`.

        Raises:
            What the function raises. EvaluatorError: with "process", something cannot be sent.
        """
        run = Parallel(_Each(function), self, backend=backend)
        run.itemwise = True
        return list(run((list(zip(*iterables, strict=False)),), {}))

    def close(self) -> None:
        """End them; they start again when they are needed again."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        self.crew.close()


class _Each:
    """A function of one item's arguments, for a list of them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, data: list[tuple[Any, ...]]) -> list[Any]:
        return [self.function(*items) for items in data]


class Parallel:
    """`function` on pieces of its data at once. Order is kept; the result is what the function gives for all of it.

    where: the place of the data among the arguments.  backend: "serial", "thread" or "process" (None: measured).
    combine: joins the results of pieces; without it the function must give one result per item, or None. One that does
    not is called with all of its data instead, and that is logged once.

    Raises:
        ProblemError: an unknown backend, or an async function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        pool: Pool,
        *,
        backend: Backend | None = None,
        combine: pieces.Combine | None = None,
    ) -> None:
        if backend is not None and backend not in get_args(Backend):
            raise ProblemError(f"backend: one of {', '.join(get_args(Backend))} is expected, got {backend!r}")
        self.function, self.pool, self.backend, self.combine = function, pool, backend, combine
        self.chosen: str = backend or ""
        """What called most of the pieces last."""
        self.itemwise: bool | None = None
        """Whether the function works item by item; None: not seen yet, with pieces of two items or more."""
        self._turns: bool | None = None  # whether threads take turns with this function

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], where: int = 0) -> Any:
        """function(*args, **kwargs), the data being args[where] or the keyword of that name."""
        found = locate(self.function, args, kwargs, where)
        nested = getattr(_nested, "on", False) or INSIDE in os.environ
        data: Any = None if found is None else found[0]
        if found is None or nested or self.itemwise is False or not pieces.divisible(data) or len(data) < 2:
            return self.function(*args, **kwargs)
        run = _Run(self, data, found[1])
        try:
            results = run.results()
            joined = pieces.join(results, run.sizes, self.combine)
            self.itemwise = self.itemwise or joined is not None
            return joined
        except pieces.NotItemwise as reason:
            log.warning(
                "%s is called with all of its data, in one piece: %s (give combine= to join them)",
                getattr(self.function, "__qualname__", self.function), reason,
            )  # fmt: skip
            self.itemwise = False
            return self.function(*args, **kwargs)


def locate(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], where: int
) -> tuple[Any, Callable[[Any], Task]] | None:
    """(the data, what makes the arguments with a piece in its place), or None without any."""
    if len(args) > where:
        return args[where], lambda piece: ((*args[:where], piece, *args[where + 1 :]), kwargs)
    try:
        name = list(inspect.signature(function).parameters)[where]
    except (TypeError, ValueError, IndexError):
        return None
    if name not in kwargs:
        return None
    return kwargs[name], lambda piece: (args, kwargs | {name: piece})


class _Run:
    """One call. spans: (start, stop) of the pieces, in order."""

    def __init__(self, owner: Parallel, data: Any, task: Callable[[Any], Task]) -> None:
        self.owner, self.data, self.task = owner, data, task
        workers, count = owner.pool.workers, len(data)
        # a first piece to measure, smaller where there is much; one of two items at least, as [sum(data)] of a single
        # item looks like one result per item
        unseen = owner.itemwise is None and owner.combine is None
        probe = 0 if owner.backend or self._known() else max(1, count // (16 * workers))
        probe = max(2, probe) if unseen else probe
        rest = pieces.spans(count - probe, ROUNDS * workers)
        self.spans: list[Span] = [*([(0, probe)] if probe else []), *((a + probe, b + probe) for a, b in rest)]
        self.sizes = [stop - start for start, stop in self.spans]

    def _known(self) -> bool:
        owner = self.owner
        return owner.chosen == "process" and owner.pool.crew.running

    def results(self) -> list[Any]:
        """Of all pieces, in order."""
        owner, todo = self.owner, self.spans
        if owner.backend or self._known():
            return self._by(owner.backend or "process", todo)
        done: list[Any] = []
        spent = busy = 0.0
        yielded, pushed = _switches()
        while len(done) < len(todo):
            wall, cpu = perf_counter(), thread_time()
            done.append(self._here(todo[len(done)]))
            spent, busy = spent + perf_counter() - wall, busy + thread_time() - cpu
            self._check(done)
            items = todo[len(done) - 1][1]
            if spent / items * (len(self.data) - items) > SHORT_S:
                break
        else:
            owner.chosen = "serial"
            return done
        left = todo[len(done) :]
        if owner.pool.workers == 1:
            return done + self._by("serial", left)
        waits, pauses = (now - before for now, before in zip(_switches(), (yielded, pushed), strict=True))
        if busy < 0.5 * spent and waits >= max(1, pauses):  # on a busy machine a thread pauses without waiting
            return done + self._by("thread", left)
        if owner._turns is None:
            some = left[: owner.pool.workers]
            done += self._measured(some)
            left = left[len(some) :]
            if not left:
                owner.chosen = "thread"
                return done
        seconds = spent / items * (len(self.data) - left[0][0])
        return done + self._by(self._best(seconds), left)

    def _best(self, seconds: float) -> Backend:
        """For work of so many CPU-seconds."""
        if not self.owner._turns:
            return "thread"
        crew = self.owner.pool.crew
        gain = seconds * (1 - 1 / self.owner.pool.workers)
        return "process" if gain > (0.01 if crew.running else START_S) else "serial"

    def _measured(self, some: Sequence[Span]) -> list[Any]:
        """A round in threads, and whether they worked at the same time."""

        def timed(span: Span) -> tuple[Any, float]:
            before = thread_time()
            return self._there(span), thread_time() - before

        began = perf_counter()
        made = self._gathered([self.owner.pool.threads.submit(timed, span) for span in some], some)
        wall, work = perf_counter() - began, sum(seconds for _, seconds in made)
        if len(some) > 1 and work > SHORT_S:
            self.owner._turns = work / wall < OVERLAP
        return [result for result, _ in made]

    def _by(self, backend: str, todo: Sequence[Span]) -> list[Any]:
        owner = self.owner
        owner.chosen = backend
        if backend == "process":
            try:
                return self._in_processes(todo)
            except _CannotSend as error:
                if owner.backend:
                    raise error.reason from None
                log.warning("%s; threads are used", error.reason)
                owner.chosen, owner._turns = "thread", False
        if owner.chosen == "thread":
            return self._gathered([owner.pool.threads.submit(self._there, span) for span in todo], todo)
        return [self._here(span) for span in todo]

    def _in_processes(self, todo: Sequence[Span]) -> list[Any]:
        tasks = (self.task(pieces.cut(self.data, *span)) for span in todo)
        try:
            return self.owner.pool.crew.map(self.owner.function, tasks)
        except BaseException as error:
            failed = getattr(error, "failed_task", None)
            if failed is not None:
                self._note(error, todo[failed])
            elif isinstance(error, EvaluatorError) and "cannot be sent" in str(error):
                raise _CannotSend(error) from None
            raise

    def _gathered(self, futures: list[Future[Any]], todo: Sequence[Span]) -> list[Any]:
        results = []
        try:
            for future, span in zip(futures, todo, strict=True):
                try:
                    results.append(future.result())
                except Exception as error:
                    raise self._note(error, span) from error.__cause__
        finally:
            for future in futures:
                future.cancel()
        return results

    def _here(self, span: Span) -> Any:
        try:
            return self._there(span)
        except Exception as error:
            raise self._note(error, span) from error.__cause__

    def _there(self, span: Span) -> Any:
        args, kwargs = self.task(pieces.cut(self.data, *span))
        before, _nested.on = getattr(_nested, "on", False), True
        try:
            return self.owner.function(*args, **kwargs)
        finally:
            _nested.on = before

    def _check(self, done: list[Any]) -> None:
        if self.owner.combine is None:
            pieces.check(done[-1], self.sizes[len(done) - 1])

    def _note(self, error: BaseException, span: Span) -> BaseException:
        error.add_note(f"in items {span[0]} to {span[1] - 1} of {len(self.data)}")
        return error


def _switches() -> tuple[int, int]:
    """How often this thread has given its CPU up, and how often it was taken away."""
    import resource

    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_nvcsw, used.ru_nivcsw


class _CannotSend(Exception):
    def __init__(self, reason: EvaluatorError) -> None:
        super().__init__(str(reason))
        self.reason = reason
