"""A worker process: loads the objective once, then evaluates the jobs that come until its channel ends."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from ...core.context import Context
from ...core.evaluator import Job
from ...core.limits import Limits
from ...core.target import Target
from ._limits import rlimits
from ._rows import Row, call, context_of, describe
from ._tree import become_subreaper, die_with_parent
from ._wire import Journal, Receiver, loads, pieces, unpack_job

READY, LOST, DONE, REPORT, EXTRA = b"r", b"e", b"d", b"p", b"x"


class Wire:
    """A worker's end of its channel. sign: what its packets begin with."""

    def __init__(self, channel: socket.socket, sign: bytes) -> None:
        self.channel = channel
        self.sign = sign
        self.receiver = Receiver(channel, sign)

    def send(self, message: bytes) -> None:
        """Send it, in pieces."""
        for piece in pieces(message, self.sign):
            self.channel.send(piece)


def live(wire: Wire, journal_descriptor: int, payload_descriptor: int, supervisor: int, limits: Limits | None) -> None:
    """The whole life of a freshly forked worker; never returns.

    wire: packets from and to the parent.  supervisor: pid of the process that forked it.
    """
    code = 1
    try:
        _settle_in(supervisor)
        code = _serve(wire, journal_descriptor, payload_descriptor, limits)
    except ConnectionError:
        pass  # the parent was killed: nobody is left to tell
    except BaseException:  # a fault of ours: the parent sees the end, people see the reason
        sys.excepthook(*sys.exc_info())
    finally:
        _leave(code)


def _settle_in(supervisor: int) -> None:
    os.setsid()  # its session proves which processes are its own
    die_with_parent()
    if os.getppid() != supervisor:  # it ended before prctl
        os._exit(1)
    become_subreaper()  # its orphans stay below it, where they are found when it is ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    random.seed()  # forked twins would all draw the same numbers
    np.random.seed()


def _leave(code: int) -> None:
    try:
        import atexit

        atexit._run_exitfuncs()
        _flush()
    finally:
        os._exit(code)  # never back into the supervisor's frames


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # None, closed, or a closed pipe behind it
            pass


def _serve(wire: Wire, journal_descriptor: int, payload_descriptor: int, limits: Limits | None) -> int:
    try:
        if limits is not None:
            for which, bounds in rlimits(limits).items():
                resource.setrlimit(which, bounds)
        target: Target = loads(_whole(payload_descriptor))
    except BaseException as error:
        kind = b"i" if isinstance(error, (ImportError, AttributeError)) else b"o"
        wire.send(LOST + kind + describe(error).encode(errors="replace"))
        return 0
    os.close(payload_descriptor)
    journal = Journal(journal_descriptor, len(target.problem.objectives))
    os.close(journal_descriptor)
    worker = _Worker(wire, journal, target, limits)
    wire.send(READY + b"%d" % os.getpid())
    while message := wire.receiver.wait():
        worker.run(message)
    worker.close()
    return 0


def _whole(descriptor: int) -> bytes:
    """All bytes of a file whose descriptor other workers share: the position is theirs as well, so it is left alone."""
    size, found = os.fstat(descriptor).st_size, bytearray()
    while len(found) < size:
        piece = os.pread(descriptor, size - len(found), len(found))
        if not piece:
            break
        found += piece
    return bytes(found)


def _awaited(loop: asyncio.Runner, function: Any, *arguments: Any) -> Any:
    async def body() -> Any:
        return await function(*arguments)

    return loop.run(body())


class _Worker:
    def __init__(self, wire: Wire, journal: Journal, target: Target, limits: Limits | None) -> None:
        self.wire = wire
        self.limits = limits
        self.journal = journal
        self.target = target
        self.pid = os.getpid()
        self.loop: asyncio.Runner | None = None
        if target.asynchronous:
            # One loop for the worker's life, so that the objective's connections outlive an evaluation.
            self.loop = asyncio.Runner()
            target.function = partial(_awaited, self.loop, target.function)

    def run(self, message: bytes) -> None:
        job, reports, first, ticket = unpack_job(message)
        target, journal = self.target, self.journal
        if ticket and not journal.take(ticket, wait=True):
            return  # the parent has taken it back
        if not first:
            journal.rewind()
        arguments = target.arguments(job.reals, job.active)
        now = perf_counter()
        for index, argument in enumerate(arguments):
            context = self._context(job, index, reports) if target.wants_context else None
            journal.begin(first + index, now)
            row = call(target, argument, context, interrupts=False)
            if os.getpid() != self.pid:  # the objective forked, and this is its child coming back
                os._exit(1)
            before, now = now, perf_counter()
            self._keep(first + index, row, now - before)
            if row.values[0] <= job.goal or now >= job.stop_at:
                break
        journal.touch(now)
        _flush()
        self.wire.send(DONE)

    def _keep(self, index: int, row: Row, seconds: float) -> None:
        if row.error is not None and self.limits is not None and (blamed := self.limits.blamed(row.error)):
            row.error = f"{blamed}; {row.error}"
        spilled = self.journal.write(index, row, seconds)
        if spilled is not None:
            self.wire.send(EXTRA + spilled)
            self.journal.finished(index)

    def _context(self, job: Job, index: int, reports: bool) -> Context:
        return context_of(job, index, self._report if reports else None)

    def _report(self, number: int, step: int, values: float | Mapping[str, float]) -> bool:
        """Tell the parent and wait for its word, so that a pruner's decision counts at the step it is about."""
        plain = {str(k): float(v) for k, v in values.items()} if isinstance(values, Mapping) else float(values)
        self.wire.send(REPORT + json.dumps((int(number), int(step), plain)).encode())
        answer = self.wire.receiver.wait()
        if not answer:
            raise SystemExit("the study is gone")
        return answer != b"0"

    def close(self) -> None:
        if self.loop is not None:
            self.loop.close()
