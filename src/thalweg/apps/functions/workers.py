"""Processes that call functions on arguments that are sent to them.

Each is a fresh interpreter, so nothing of this process (threads, locks, the script itself) is repeated in it. Functions
and arguments travel by value through a socket pair without a name; a function is sent once to each process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from time import process_time
from typing import Any

from ...core.errors import EvaluatorError

_BOOT = """
import sys
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
sys.path[:] = pipe.recv()
from thalweg.apps.functions.workers import serve
serve(pipe)
"""
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
INSIDE = "THALWEG_FUNCTION_WORKER"
"""Set in the environment of workers: what is called there starts no processes of its own."""

Task = tuple[tuple[Any, ...], dict[str, Any]]


def dumps(item: Any, what: str) -> bytes:
    """`item` for a worker.

    Raises:
        EvaluatorError: it cannot be sent.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(item, protocol=5))
    except Exception as error:
        raise EvaluatorError(
            f"{what} cannot be sent to a worker process: {type(error).__name__}: {error}; does it hold an open file, a "
            "lock or a generator? Make it inside the function, or use threads"
        ) from error


class Crew:
    """Up to `count` worker processes, started when they are first needed, ended by `close` or with this object."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.cpu_seconds = 0.0
        """What the workers' calls have taken so far."""
        self._lock = threading.Lock()
        self._members: list[_Member] = []
        self._ending = weakref.finalize(self, _end, self._members)

    @property
    def running(self) -> bool:
        """Whether processes are there already."""
        return bool(self._members)

    def map(self, function: Callable[..., Any], tasks: Iterable[Task]) -> list[Any]:
        """function(*arguments, **keywords) of every task, in order.

        Raises:
            What a call raises, with the worker's traceback as a note; its attribute `failed_task` is the task's index.
            EvaluatorError: something cannot be sent, or a process ended.
        """
        payload = dumps(function, f"the function {getattr(function, '__qualname__', function)!r}")
        with self._lock:
            waiting = enumerate(tasks)
            results: dict[int, Any] = {}
            busy: dict[Connection, _Member] = {}
            try:
                idle = self._idle()
                while True:
                    while idle and (task := next(waiting, None)) is not None:
                        member = idle.pop()
                        busy[member.pipe] = member
                        member.send(task[0], payload, task[1])
                    if not busy:
                        break
                    for pipe in wait(list(busy)):
                        assert isinstance(pipe, Connection)
                        member = busy[pipe]
                        results[member.task], seconds = member.receive()
                        self.cpu_seconds += seconds
                        idle.append(busy.pop(pipe))
            except BaseException:
                for member in busy.values():  # what still runs is of no use any more
                    if not member.rests:
                        self._members.remove(member)
                        member.end()
                raise
        return [results[i] for i in range(len(results))]

    def _idle(self) -> list[_Member]:
        while len(self._members) < self.count:
            self._members.append(_Member())
        return list(self._members)

    def close(self) -> None:
        """End all processes; the next `map` starts new ones."""
        with self._lock:
            _end(self._members)


class _Member:
    """One process. task: the index of what it is at.  rests: it has answered and waits."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ) | {f"{name}_NUM_THREADS": "1" for name in _THREADS} | {INSIDE: "1"}
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 (this very interpreter)
                [sys.executable, *flags, "-c", _BOOT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent
                env=environment,
            )
        self.pipe = Connection(ours.detach())
        self.pipe.send([os.path.abspath(item) if item else os.getcwd() for item in sys.path])
        self.task = -1
        self.rests = True
        self._known = b""

    def send(self, task: int, payload: bytes, work: Task) -> None:
        """Begin task number `task`."""
        self.task = task
        message = dumps(work, "what the function is called with")
        self.rests = False
        try:
            self.pipe.send(self._known != payload)
            if self._known != payload:
                self.pipe.send_bytes(payload)
                self._known = payload
            self.pipe.send_bytes(message)
        except OSError:
            raise self._gone() from None

    def receive(self) -> tuple[Any, float]:
        """(result, CPU seconds) of the task.

        Raises:
            What the call raised.  EvaluatorError: the process ended, or its answer cannot be read here.
        """
        told = ""
        try:
            good, seconds, told = self.pipe.recv()
            result = self.pipe.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        except Exception as error:  # an exception or a result whose class cannot be rebuilt
            self.rests = bool(told)
            raise EvaluatorError(f"a worker process sent what cannot be read here: {error}\n{told}") from None
        self.rests = True
        if good:
            return result, seconds
        assert isinstance(result, BaseException)
        result.add_note(f"in a worker process:\n{told}")
        result.failed_task = self.task  # type: ignore[attr-defined]
        raise result

    def _gone(self) -> EvaluatorError:
        code = self.process.wait(5.0)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        error = EvaluatorError(f"a worker process {how} while it called the function")
        error.failed_task = self.task  # type: ignore[attr-defined]
        return error

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def _end(members: list[_Member]) -> None:
    while members:
        members.pop().end()


# --- inside a worker --------------------------------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """A worker's life: until its parent is gone."""
    function: Any = None
    while True:
        try:
            if pipe.recv():
                function = _loaded(pipe)
            work = _loaded(pipe)
        except (EOFError, OSError):
            return
        before = process_time()
        try:
            for item in (function, work):
                if isinstance(item, _Unreadable):
                    raise item.error
            arguments, keywords = work
            answer = dumps(function(*arguments, **keywords), "the function's result")
        except BaseException as error:
            told = "".join(traceback.format_exception(error))
            pipe.send((False, process_time() - before, told))
            pipe.send_bytes(_portable(error))
            continue
        pipe.send((True, process_time() - before, ""))
        pipe.send_bytes(answer)


class _Unreadable:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _loaded(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise
    except BaseException as error:  # a module that is not there, for example
        return _Unreadable(error)


def _portable(error: BaseException) -> bytes:
    try:
        return dumps(error.with_traceback(None), "the error")
    except EvaluatorError:
        return dumps(EvaluatorError(f"{type(error).__name__}: {error}"), "the error")
