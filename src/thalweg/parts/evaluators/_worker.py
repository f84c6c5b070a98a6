"""A worker process: loads the objective once, then evaluates the jobs that come until its channel ends."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
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
from ...core.target import Target
from ._rows import Row, call, context_of, describe
from ._tree import become_subreaper, die_with_parent
from ._wire import Journal, Receiver, loads, pieces, unpack_job

READY, LOST, DONE, REPORT, EXTRA = b"r", b"e", b"d", b"p", b"x"


def live(channel: socket.socket, journal_descriptor: int, payload_descriptor: int, supervisor: int) -> None:
    """The whole life of a freshly forked worker; never returns.

    channel: packets from and to the parent.  supervisor: pid of the process that forked it.
    """
    code = 1
    try:
        _settle_in(supervisor)
        code = _serve(channel, journal_descriptor, payload_descriptor)
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


def _serve(channel: socket.socket, journal_descriptor: int, payload_descriptor: int) -> int:
    try:
        target: Target = loads(_whole(payload_descriptor))
    except BaseException as error:
        kind = b"i" if isinstance(error, (ImportError, AttributeError)) else b"o"
        _send(channel, LOST + kind + describe(error).encode(errors="replace"))
        return 0
    os.close(payload_descriptor)
    journal = Journal(journal_descriptor, len(target.problem.objectives))
    os.close(journal_descriptor)
    worker = _Worker(channel, journal, target)
    _send(channel, READY + b"%d" % os.getpid())
    while message := worker.receiver.wait():
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


def _send(channel: socket.socket, message: bytes) -> None:
    for piece in pieces(message):
        channel.send(piece)


def _awaited(loop: asyncio.Runner, function: Any, *arguments: Any) -> Any:
    async def body() -> Any:
        return await function(*arguments)

    return loop.run(body())


class _Worker:
    def __init__(self, channel: socket.socket, journal: Journal, target: Target) -> None:
        self.channel = channel
        self.receiver = Receiver(channel)
        self.journal = journal
        self.target = target
        self.pid = os.getpid()
        self.loop: asyncio.Runner | None = None
        if target.asynchronous:
            # One loop for the worker's life, so that the objective's connections outlive an evaluation.
            self.loop = asyncio.Runner()
            target.function = partial(_awaited, self.loop, target.function)

    def run(self, message: bytes) -> None:
        job, reports = unpack_job(message)
        target, journal = self.target, self.journal
        arguments = target.arguments(job.reals, job.active)
        now = perf_counter()
        for index, argument in enumerate(arguments):
            context = self._context(job, index, reports) if target.wants_context else None
            journal.begin(index, now)
            row = call(target, argument, context, interrupts=False)
            if os.getpid() != self.pid:  # the objective forked, and this is its child coming back
                os._exit(1)
            before, now = now, perf_counter()
            self._keep(index, row, now - before)
            if row.values[0] <= job.goal or now >= job.stop_at:
                break
        journal.touch(now)
        _flush()
        _send(self.channel, DONE)

    def _keep(self, index: int, row: Row, seconds: float) -> None:
        spilled = self.journal.write(index, row, seconds)
        if spilled is not None:
            _send(self.channel, EXTRA + spilled)
            self.journal.finished(index)

    def _context(self, job: Job, index: int, reports: bool) -> Context:
        return context_of(job, index, self._report if reports else None)

    def _report(self, number: int, step: int, values: float | Mapping[str, float]) -> bool:
        """Tell the parent and wait for its word, so that a pruner's decision counts at the step it is about."""
        plain = {str(k): float(v) for k, v in values.items()} if isinstance(values, Mapping) else float(values)
        _send(self.channel, REPORT + pickle.dumps((int(number), int(step), plain), protocol=5))
        answer = self.receiver.wait()
        if not answer:
            raise SystemExit("the study is gone")
        return answer != b"0"

    def close(self) -> None:
        if self.loop is not None:
            self.loop.close()
