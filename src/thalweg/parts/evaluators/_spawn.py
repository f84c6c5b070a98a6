"""One external process: started without a shell, its output drained and bounded, its cost measured, its tree killable.

CPU time and peak memory come from `wait4`: the kernel adds what every waited-for descendant used. Nothing runs between
fork and exec (no `preexec_fn`), so starting is cheap and safe beside threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...core.errors import CommandError
from ...core.limits import Limits
from ...core.program import Finished, Step
from ._limits import EVERY_S, Watch, cpu_rlimit, rlimits
from ._tree import MARKER, environment, kill_tree, new_marker

KEPT = 64 * 1024
"""Bytes kept of the head, and of the tail, of each output."""
_SAMPLES_S = (0.002, 0.01, 0.03, 0.1, 0.25)
"""Pauses before peak memory is read from /proc; the last one repeats."""


class Cancelled(Exception):
    """The evaluation was cancelled; nothing of its process tree is left."""


class LimitReached(CommandError):
    """The step used more than its limits allow; nothing of its process tree is left."""


class Cancel:
    """A switch that wakes a thread waiting for a process. `close` only when no thread waits any more."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.requested = False

    def request(self) -> None:
        """End what runs, and start nothing more."""
        self.requested = True
        if self.descriptor >= 0:
            os.eventfd_write(self.descriptor, 1)

    def close(self) -> None:
        """Release the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Bounded:
    """The first and the last `kept` bytes of a stream of any length."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._kept - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._kept:
            self._trim()

    def _trim(self) -> None:
        extra = len(self._tail) - self._kept
        if extra > 0:
            del self._tail[:extra]
            self._dropped += extra

    def text(self) -> str:
        """Head and tail as text; bytes that are not UTF-8 become U+FFFD, a line says how much is missing between."""
        self._trim()
        middle = f"\n[... {self._dropped} bytes dropped ...]\n" if self._dropped else ""
        return self._head.decode(errors="replace") + middle + self._tail.decode(errors="replace")


@dataclass(slots=True)
class Surroundings:
    """What a process is given."""

    environment: dict[str, str]
    limits: Limits | None = None


def run(step: Step, around: Surroundings, cancel: Cancel) -> Finished:
    """Run `step` to its end; whatever it leaves running is killed.

    Raises:
        CommandError: it could not be started; the message says why.
        LimitReached: it used too much.
        Cancelled: `cancel` was requested; its whole tree is dead by then.
    """
    if cancel.requested:
        raise Cancelled
    began = time.perf_counter()
    footprint = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marker = new_marker()
    before = _pids()
    process = _start(step, around, marker)
    streams: dict[int, Bounded] = {}
    out, err = Bounded(), Bounded()
    for pipe, kept in ((process.stdout, out), (process.stderr, err)):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            streams[pipe.fileno()] = kept
    try:
        watch = None
        if around.limits is not None:
            _confine(process, around.limits, before, marker)
            watch = Watch(process.pid, around.limits, before, marker) if around.limits.watched else None
        sampled = _attend(process.pid, before, streams, cancel, watch)
    except BaseException:
        kill_tree(process.pid, marker=marker)
        _reap(process)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if _left_behind(process.pid, marker, before):
        kill_tree(process.pid, marker=marker)
    used = _reap(process)
    if cancel.requested:
        raise Cancelled
    cpu_s = used.ru_utime + used.ru_stime
    if around.limits is not None and around.limits.cpu_s is not None and cpu_s > around.limits.cpu_s:
        raise LimitReached(around.limits.reached("cpu_s", cpu_s))  # it ended between two looks
    return Finished(
        step,
        process.returncode,
        time.perf_counter() - began,
        cpu_s,
        _peak(used.ru_maxrss, footprint, sampled),
        out.text(),
        err.text(),
        user_s=used.ru_utime,
        system_s=used.ru_stime,
    )


def _start(step: Step, around: Surroundings, marker: str) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as opened:

        def file(path: Path | None, mode: str, otherwise: int) -> IO[Any] | int:
            return otherwise if path is None else opened.enter_context(path.open(mode))

        try:
            process = subprocess.Popen(  # noqa: S603 (an argv of the user's own, no shell)
                step.argv,
                stdin=file(step.stdin, "rb", subprocess.DEVNULL),
                stdout=file(step.stdout, "wb", subprocess.PIPE),
                stderr=subprocess.PIPE,
                env=environment(marker, around.environment),
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            raise CommandError(f"cannot start {step.argv[0]!r}: {_reason(error)}") from None
    return process


def _confine(process: subprocess.Popen[bytes], limits: Limits, before: set[str], marker: str) -> None:
    """Set the kernel's limits from outside (nothing of ours runs between fork and exec), also for what the program has
    started in the first moments."""
    wanted = rlimits(limits) | cpu_rlimit(limits)
    try:
        for kind, bounds in wanted.items():
            resource.prlimit(process.pid, kind, bounds)
        if wanted:
            for name in Watch(process.pid, limits, set(before), marker).members():
                for kind, bounds in wanted.items():
                    resource.prlimit(int(name), kind, bounds)
    except ProcessLookupError:  # it has ended already
        return
    except PermissionError:
        raise CommandError(
            f"limits cannot be set for {process.args[0]!r}, which runs as another user; "  # type: ignore[index]
            "give limits to programs that run as yourself"
        ) from None


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return f"{getattr(error, 'filename', None) or 'it'} does not exist"
    if number == errno.ENOEXEC:
        return "it is not an executable file (does its first line lack '#!'?)"
    if number == errno.E2BIG:
        return "its arguments are too long"
    return str(error)


def _attend(pid: int, before: set[str], streams: dict[int, Bounded], cancel: Cancel, watch: Watch | None = None) -> int:
    """Drain until the process ends or `cancel` asks; the largest peak memory seen meanwhile, in kilobytes.

    The end is the process's own (a pidfd), not the end of its output: a grandchild may hold a pipe open for ever.
    """
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        for descriptor in (*streams, ended, cancel.descriptor):
            poll.register(descriptor, select.POLLIN)
        began = time.monotonic()
        sampled, samples, due = 0, 0, _SAMPLES_S[0]
        while True:
            wait = began + due - time.monotonic()
            ready = [descriptor for descriptor, _ in poll.poll(max(0.0, wait) * 1000 + 0.5)]
            if time.monotonic() - began >= due:
                sampled = max(sampled, _high_water(pid, before))
                if watch is not None and (excess := watch.excess()) is not None:
                    raise LimitReached(watch.limits.reached(*excess))
                samples += 1
                pause = _SAMPLES_S[min(samples, len(_SAMPLES_S) - 1)]
                due = time.monotonic() - began + (pause if watch is None else min(pause, EVERY_S))
            if cancel.descriptor in ready or cancel.requested:
                raise Cancelled
            for descriptor in ready:
                if descriptor in streams and not _drain(descriptor, streams[descriptor]):
                    poll.unregister(descriptor)
                    streams.pop(descriptor)
            if ended in ready:
                for descriptor, kept in streams.items():
                    while _drain(descriptor, kept, until_empty=True):
                        pass
                return sampled
    finally:
        os.close(ended)


def _drain(descriptor: int, kept: Bounded, *, until_empty: bool = False) -> bool:
    """Read once; False at the end of the stream (or, with `until_empty`, when nothing waits)."""
    try:
        data = os.read(descriptor, KEPT)
    except BlockingIOError:
        return not until_empty
    kept.add(data)
    return bool(data)


def _high_water(root: int, before: set[str]) -> int:
    """The largest peak of resident memory among the running processes of `root`'s session, kilobytes."""
    largest = 0
    for name in _pids() - before:
        try:
            if _session(name) == root:
                status = Path(f"/proc/{name}/status").read_bytes()
                _, found, rest = status.partition(b"VmHWM:")
                largest = max(largest, int(rest.split(None, 1)[0]) if found else 0)
        except OSError:  # it has ended meanwhile
            continue
    return largest


def _session(name: str) -> int:
    """The session of the process `name` (a number in /proc)."""
    stat = Path(f"/proc/{name}/stat").read_bytes()
    return int(stat[stat.rindex(b")") + 2 :].split()[3])


def _peak(reported: int, footprint: int, sampled: int) -> int:
    """Peak memory in bytes. The kernel counts our own pages until exec, so a report that does not exceed our own
    footprint only says "less than that": then what was sampled stands, where there was time to sample."""
    if reported > footprint * 1.02 + 1024 or not sampled:
        return reported * 1024
    return sampled * 1024


def _reap(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _pids() -> set[str]:
    return {name for name in os.listdir("/proc") if name.isdigit()}


def _left_behind(root: int, marker: str, before: set[str]) -> bool:
    """Whether `root`, which has ended, left processes running. Looks only at those that are younger than it: a look
    at every process of a busy machine after every trial would cost more than the trial's start."""
    needle = f"{MARKER}={marker}".encode()
    for name in _pids() - before - {str(root)}:
        try:
            if _session(name) == root or needle in Path(f"/proc/{name}/environ").read_bytes():
                return True
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    return False
