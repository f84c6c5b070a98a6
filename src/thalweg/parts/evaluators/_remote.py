"""The parent's side of the process evaluator: one supervisor, and a `Remote` per worker."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter

from ...core.errors import EvaluatorError
from ...core.evaluator import Job, Outcomes
from ...core.limits import Limits
from ._chunks import MOST
from ._limits import NAMES
from ._tree import require_linux
from ._wire import PIECE, UNKNOWN_EXIT, Journal, Receiver, new_sign, pack_job, pieces
from ._worker import DONE, EXTRA, LOST, READY, REPORT

_START_S = 120.0
_END_S = 8.0
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")

_BOOT = """
import json, socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
settings = json.loads(control.recv(1 << 20))
sys.path[:] = settings["path"]
from thalweg.parts.evaluators._supervisor import main
main(control, settings)
"""


class LostTarget(Exception):
    """A worker could not load the objective. importing: a module or a name in one is missing there."""

    def __init__(self, importing: bool, text: str) -> None:
        super().__init__(text)
        self.importing = importing


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How a supervisor ended, for people."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)  # its sockets are closed, so it is about to end
    code = process.returncode
    if code is None:
        return "does not answer"
    if code < 0:
        return f"was killed by signal {-code}"
    return f"ended with exit code {code} (see stderr); can {sys.executable} start in this environment?"


class Supervisor:
    """A running supervisor process.

    payload: the pickled target, shared with the workers as memory without a name.
    """

    def __init__(
        self,
        payload: bytes,
        objectives: int,
        threads: int | None,
        preload: Sequence[str],
        limits: Limits | None = None,
    ) -> None:
        require_linux("evaluator 'process'")
        self._limits = limits
        self._objectives = objectives
        self._threads = threads
        self._preload = list(preload)
        self._count = 0
        self._payload = os.memfd_create("thalweg-objective", os.MFD_CLOEXEC)
        with open(self._payload, "wb", closefd=False) as file:
            file.write(payload)
        try:
            self._start()
        except BaseException:
            os.close(self._payload)
            raise

    def _start(self) -> None:
        if not sys.executable:
            raise EvaluatorError(
                "evaluator 'process' starts Python, but sys.executable is empty (an embedded interpreter)"
            )
        environment = dict(os.environ)
        if self._threads is not None:
            environment.update({f"{name}_NUM_THREADS": str(self._threads) for name in _THREADS})
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (this very interpreter)
                [sys.executable, *flags, "-c", _BOOT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # signals of the terminal are for the parent
                env=environment,
            )
        path = [os.path.abspath(item) if item else os.getcwd() for item in sys.path]
        limits = None if self._limits is None else self._limits.given()
        settings = {"path": path, "preload": self._preload, "parent": os.getpid(), "limits": limits}
        try:
            self._control.send(json.dumps(settings).encode())
        except OSError:
            self._control.close()
            raise EvaluatorError(f"the supervisor of the worker processes {_ending(self._process)}") from None

    @property
    def pid(self) -> int:
        """The supervisor's own."""
        return self._process.pid

    def start_worker(self) -> Remote:
        """A new worker; it loads the target by itself while the first job is on its way."""
        self._count += 1
        journal, descriptor = Journal.create(self._objectives)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sign = new_sign()
        order = b"s%d %s" % (self._count, sign.hex().encode())
        handed = [theirs.fileno(), descriptor, self._payload]
        try:
            try:
                self._hand(order, handed)
            except ConnectionError:  # the supervisor was killed: its workers died with it
                self._process.wait()
                self._control.close()
                self._start()
                try:
                    self._hand(order, handed)
                except ConnectionError:
                    raise EvaluatorError(f"the supervisor of the worker processes {_ending(self._process)}") from None
        except BaseException:
            ours.close()
            journal.close()
            raise
        finally:
            theirs.close()
            os.close(descriptor)
        ours.setblocking(False)
        return Remote(self._count, ours, journal, sign, (self._process, self._limits))

    def _hand(self, order: bytes, descriptors: list[int]) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        self._control.sendmsg([order], [rights])

    def kill(self, remote: Remote) -> None:
        """Have a worker's process tree ended."""
        with contextlib.suppress(OSError):  # no supervisor, no workers
            self._control.send(b"k%d" % remote.ident)

    def _quit(self) -> None:
        with contextlib.suppress(OSError):
            self._control.send(b"q")
        self._control.close()
        os.close(self._payload)

    def close(self) -> None:
        """End the supervisor, which ends all workers; blocks for a moment."""
        self._quit()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def aclose(self) -> None:
        """The same, without blocking the loop."""
        self._quit()
        try:
            if self._process.poll() is None:
                await _exited(self._process.pid)
        except TimeoutError:
            self._process.kill()
        self._process.wait()


async def _exited(pid: int) -> None:
    """Wait until process `pid` (a child, not reaped) has ended, without a thread."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(_END_S):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class Remote:
    """One worker, seen from here: a channel and a journal.

    Its reader stays registered between jobs (adding and removing one costs 14 us), and moves when the loop is another.
    """

    def __init__(
        self,
        ident: int,
        channel: socket.socket,
        journal: Journal,
        sign: bytes,
        under: tuple[subprocess.Popen[bytes], Limits | None],
    ) -> None:
        self.ident = ident
        self.name = ""
        self.journal = journal
        self._supervisor, self._limits = under
        self._sign = sign
        self._channel = channel
        self._receiver = Receiver(channel, sign)
        self._extras: list[bytes] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._job: Job | None = None
        self._done: asyncio.Future[bool] | None = None
        self._gone = False
        self._used = 0  # rows of the journal that jobs have
        self._sent = False
        self._offered = self._follows = 0
        self._early = False
        journal.reset()

    def wait_ready(self) -> None:
        """Block until the worker has loaded the target.

        Raises:
            LostTarget: it cannot be loaded there.
            EvaluatorError: it ended, or did not answer in two minutes.
        """
        self._channel.settimeout(_START_S)
        try:
            message = self._receiver.wait()
        except TimeoutError:
            raise EvaluatorError(f"a worker process has not loaded the objective within {_START_S:.0f} s") from None
        finally:
            self._channel.setblocking(False)
        if not message:
            raise EvaluatorError(
                f"a worker process ended while it loaded the objective: {self.ending()}; "
                "its own message is on stderr. Does importing the objective's module start something?"
            )
        self._ready(message)

    def _ready(self, message: bytes) -> None:
        if message[:1] == LOST:
            raise LostTarget(message[1:2] == b"i", message[2:].decode())
        self.name = f"pid {message[1:].decode()}"

    async def run(self, message: bytes, job: Job) -> bool:
        """Send a job and wait: True when it is done, False when the worker has ended (nothing of it is left then)."""
        loop = asyncio.get_running_loop()
        self.journal.reset(perf_counter())
        self._extras.clear()
        self._used, self._sent, self._follows = len(job), False, 0
        if self._gone:  # it ended while it was idle
            return False
        self._job = job
        self._done = loop.create_future()
        self._attach(loop)
        with contextlib.suppress(ConnectionError):  # it has ended: the reader will see that
            await self._send(loop, message)
        self._sent = True
        return await self._done

    def follow(self, job: Job) -> int | None:
        """Send a job after the one that runs, which the worker begins without waiting for us; gives the place of its
        first row in the journal, or None where that cannot be: one of them reports or may stop early, the journal is
        full, one follows already, a message is long.
        """
        before, first = self._job, self._used
        plain = all(
            item is not None and item.report is None and item.stop_at == float("inf") and item.goal == -float("inf")
            for item in (before, job)
        )
        if not plain or not self._sent or self._follows or self._gone or first + len(job) > MOST:
            return None
        message = pack_job(job, first, self._offered + 1)
        if len(message) > PIECE:
            return None
        self._offered += 1
        self.journal.offer(self._offered)
        try:
            for piece in pieces(message, self._sign):
                self._channel.send(piece)
        except OSError:  # its buffer is full, or it has ended
            self.journal.take(self._offered, wait=True)
            return None
        self._follows, self._early = self._offered, False
        self._used += len(job)
        return first

    def take_back(self) -> bool:
        """Take the job that follows back; False: it has begun."""
        taken = bool(self._follows) and self.journal.take(self._follows, wait=False)
        if taken:
            self._follows = 0
        return taken

    async def run_on(self, job: Job) -> bool:
        """Wait for the job that followed: as `run`."""
        self._job, self._follows = job, 0
        if self._early:
            self._early = False
            return True
        if self._gone:
            return False
        self._done = asyncio.get_running_loop().create_future()
        return await self._done

    async def load(self) -> bool:
        """Wait until the worker has loaded the target: True, or False when it ended before.

        Raises:
            LostTarget: it cannot be loaded there.
        """
        loop = asyncio.get_running_loop()
        while not self.name and not self._gone:
            self._done = loop.create_future()
            self._attach(loop)
            await self._done
        return not self._gone

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            self._detach()
            loop.add_reader(self._channel.fileno(), self._on_packet)
            self._loop = loop

    def _detach(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._channel.fileno())
        self._loop = None

    async def _send(self, loop: asyncio.AbstractEventLoop, message: bytes) -> None:
        for piece in pieces(message, self._sign):
            try:
                self._channel.send(piece)
            except BlockingIOError:  # its buffer is full: a long message
                await loop.sock_sendall(self._channel, piece)

    def _on_packet(self) -> None:
        try:
            message = self._receiver.receive()
            if message is not None:
                self._take(message[:1], message)
        except BlockingIOError:
            pass
        except BaseException as error:
            self._finish(error)

    def _take(self, kind: bytes, message: bytes) -> None:
        if kind == DONE:
            self._early = self._done is None or self._done.done()  # of a job that followed
            self._finish(True)
        elif kind == b"":
            self._gone = True
            self._detach()
            self._finish(False)
        elif kind == EXTRA:
            self._extras.append(message[1:])
        elif kind == REPORT:
            self._answer(message)
        elif kind in (READY, LOST):
            self._ready(message)
            if self._job is None:
                self._finish(True)

    def _finish(self, result: bool | BaseException) -> None:
        done, self._done = self._done, None
        if done is None or done.done():
            return
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)

    def _answer(self, message: bytes) -> None:
        number, step, values = json.loads(message[1:])
        report = None if self._job is None else self._job.report
        stop: bool | None = False if report is None else report(number, step, values)
        if stop is not None:  # None: the word comes later, from elsewhere
            self.answer(stop)

    def answer(self, stop: bool) -> None:
        """Give the objective that reported, and waits, the word."""
        with contextlib.suppress(ConnectionError):
            for piece in pieces(b"1" if stop else b"0", self._sign):
                self._channel.send(piece)

    def outcomes(self, constrained: bool, first: int = 0, stop: int = MOST) -> Outcomes:
        """The rows finished so far, of those from `first` to `stop` in the journal."""
        return self.journal.outcomes(constrained, self._extras, self.name, first, stop)

    async def ended(self) -> None:
        """Wait until nothing is left of the worker, at most some seconds (a process may be uninterruptible)."""
        if self._gone:
            return
        loop = asyncio.get_running_loop()
        self._job = None
        self._attach(loop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while not self._gone:
                    self._done = loop.create_future()
                    with contextlib.suppress(LostTarget):
                        await self._done

    def failure(self) -> str:
        """The error of the row that a worker ended in."""
        which, found = self.journal.excess
        if which and self._limits is not None:
            return self._limits.reached(NAMES[which - 1], found)
        return f"WorkerDied: the process that evaluated this point ended: {self.ending()}"

    def ending(self) -> str:
        """How the worker ended, for people."""
        status = self.journal.state[2]
        if status == UNKNOWN_EXIT:
            return f"its supervisor {_ending(self._supervisor)}"
        if status >= 0:
            return f"it exited with code {status} (os._exit, or a library that ended the process)"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = "an unknown signal"
        hint = "; out of memory?" if -status == signal.SIGKILL else ""
        return f"it was killed by signal {-status} ({name}){hint}"

    def close(self) -> None:
        """Let go of it; an idle worker then ends by itself."""
        self._detach()
        self._channel.close()
        self.journal.close()
