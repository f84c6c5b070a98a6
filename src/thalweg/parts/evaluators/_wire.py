"""What travels between this process, the supervisor and a worker: packets on a socket, and a journal in shared memory.

Packets (SOCK_SEQPACKET keeps their borders, so a dying writer never leaves half of one): a message is cut into pieces,
each led by the worker's sign (random bytes: what an objective writes into a descriptor that it believes to be its own
has none, and is left aside) and a byte that says whether more follow. Both ends are our own processes, the socket has
no name. What a worker says is JSON: nothing that comes from an evaluation is ever unpickled.

Journal: a header, one record per row, and a log of extras (named results, errors). A worker writes a record
before it raises the count of finished rows, so when it is killed at any instruction, the rows before are complete.

A job may follow another one before that is done: its rows come after the other's in the same journal. It is offered in
the journal as well, and whoever strikes it out there first (under a lock) has it: the worker, which then runs it, or
the parent, which takes it back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import pickle
import secrets
import socket
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core.batch import Floats, Status
from ...core.evaluator import Job, Outcomes
from ._chunks import MOST
from ._rows import Row

PIECE = 60_000
_SIGN = 8
_LEAD = _SIGN + 1
_MORE, _LAST = b"\x01", b"\x00"

# started, finished, log bytes, exit status, when the running row began, which limit was reached (from 1), by how much
_HEADER = struct.Struct("qqqqdqd")
_RUNNING = struct.Struct("q")
_BEGAN = struct.Struct("d")
_EXIT_AT = 24
_LIMIT = struct.Struct("qd")
_LIMIT_AT = 40
_OFFER = struct.Struct("I")  # two of them: one may not have been taken yet while the next one is offered
_OFFER_AT = 56
_ROWS_AT = 64
_LOG_BYTES = 1 << 20
_LENGTH = struct.Struct("q")
UNKNOWN_EXIT = -(1 << 40)


def new_sign() -> bytes:
    """What a worker's packets begin with."""
    return secrets.token_bytes(_SIGN)


def pieces(message: bytes, sign: bytes) -> Iterator[bytes]:
    """The packets of a message."""
    last = max(0, (len(message) - 1) // PIECE)
    for index in range(last + 1):
        yield sign + (_LAST if index == last else _MORE) + message[index * PIECE : (index + 1) * PIECE]


class Receiver:
    """Puts packets together again; packets without the sign are not ours."""

    def __init__(self, channel: socket.socket, sign: bytes) -> None:
        self.channel = channel
        self._sign = sign
        self._parts: list[bytes] = []
        self._buffer = bytearray(PIECE + 16)

    def receive(self) -> bytes | None:
        """The next message; b"" when the other end is gone; None when only a piece came, or nothing of ours.

        Raises:
            BlockingIOError: nothing there, on a non-blocking socket.
        """
        try:
            count = self.channel.recv_into(self._buffer)
        except ConnectionError:
            return b""
        if not count:
            return b""
        packet = bytes(self._buffer[:count])
        if packet[:_SIGN] != self._sign or count < _LEAD:
            return None
        last, rest = packet[_SIGN:_LEAD] == _LAST, packet[_LEAD:]
        if last and not self._parts:
            return rest
        self._parts.append(rest)
        if not last:
            return None
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole

    def wait(self) -> bytes:
        """The next whole message, on a blocking socket; b"" when the other end is gone."""
        while (message := self.receive()) is None:
            pass
        return message


def pack_job(job: Job, first: int = 0, ticket: int = 0) -> bytes:
    """A job without its report (which stays here; whether there is one is told).

    first: where its rows begin in the journal.  ticket: what it is offered under, if it follows another job.
    """
    arrays = [
        None if array is None else (array.dtype.str, array.shape, array.tobytes())
        for array in (job.numbers, job.reals, job.active, job.fidelities, job.seeds)
    ]
    return pickle.dumps((arrays, job.stop_at, job.goal, job.report is not None, first, ticket), protocol=5)


def unpack_job(message: bytes) -> tuple[Job, bool, int, int]:
    """(the job, whether reports are wanted, where its rows begin, what it is offered under or 0)."""
    packed, stop_at, goal, reports, first, ticket = pickle.loads(message)  # noqa: S301 (from our own parent)
    arrays: list[Any] = [
        None if item is None else np.frombuffer(item[2], dtype=item[0]).reshape(item[1]) for item in packed
    ]
    numbers, reals, active, fidelities, seeds = arrays
    return Job(numbers, reals, active, fidelities, seeds, stop_at, goal), reports, first, ticket


class Journal:
    """The rows of the job a worker is in, and of those that follow, in memory it shares with its parent."""

    def __init__(self, descriptor: int, objectives: int) -> None:
        self._record = struct.Struct(f"{3 + objectives}d")  # status, seconds, violation, values
        self._width = 3 + objectives
        self._log_at = _ROWS_AT + MOST * self._record.size
        self._log_used = 0
        self._descriptor = os.dup(descriptor)
        self._memory = mmap.mmap(descriptor, self._log_at + _LOG_BYTES)
        flat = np.frombuffer(self._memory, dtype=np.float64, count=MOST * self._width, offset=_ROWS_AT)
        self._table: Floats = flat.reshape(MOST, self._width)

    @classmethod
    def create(cls, objectives: int) -> tuple[Journal, int]:
        """A fresh one, and the descriptor to hand to the worker (pages cost memory only once written)."""
        descriptor = os.memfd_create("thalweg-journal", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _ROWS_AT + MOST * (3 + objectives) * 8 + _LOG_BYTES)
        return cls(descriptor, objectives), descriptor

    def reset(self, now: float = 0.0) -> None:
        """Before a job is sent (at `time.perf_counter()` = now)."""
        self._log_used = 0
        _HEADER.pack_into(self._memory, 0, 0, 0, 0, UNKNOWN_EXIT, now, 0, 0.0)

    def rewind(self) -> None:
        """The worker begins a job whose rows begin the journal: its log begins anew, too."""
        self._log_used = 0

    def offer(self, ticket: int) -> None:
        """The parent offers a job that follows: tickets are 1, 2, 3, ..."""
        _OFFER.pack_into(self._memory, _OFFER_AT + ticket % 2 * _OFFER.size, ticket)

    def take(self, ticket: int, wait: bool) -> bool:
        """Strike the offered job out; False: the other side was first (or, without `wait`, is at it)."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        at = _OFFER_AT + ticket % 2 * _OFFER.size
        try:
            there: bool = _OFFER.unpack_from(self._memory, at)[0] == ticket
            if there:
                _OFFER.pack_into(self._memory, at, 0)
            return there
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def begin(self, row: int, now: float) -> None:
        """The worker begins row `row` (at `time.perf_counter()` = now, one clock for all processes)."""
        self.touch(now)
        _RUNNING.pack_into(self._memory, 0, row + 1)

    def touch(self, now: float) -> None:
        """Something new began: a row, or what comes after the last one."""
        _BEGAN.pack_into(self._memory, 32, now)

    def write(self, index: int, row: Row, seconds: float) -> bytes | None:
        """The worker finished row `index`; gives the extras when they do not fit and have to be sent."""
        self._record.pack_into(
            self._memory, _ROWS_AT + index * self._record.size, row.status, seconds, row.violation, *row.values
        )
        spill = None
        if row.components is not None or row.error is not None:
            spill = self._note(json.dumps((index, row.components, row.error)).encode())
        if spill is None:
            self.finished(index)
        return spill

    def finished(self, index: int) -> None:
        """Row `index` is complete."""
        _RUNNING.pack_into(self._memory, 8, index + 1)

    def _note(self, extra: bytes) -> bytes | None:
        end = self._log_used + _LENGTH.size + len(extra)
        if end > _LOG_BYTES:
            return extra
        at = self._log_at + self._log_used
        self._memory[at : at + _LENGTH.size] = _LENGTH.pack(len(extra))
        self._memory[at + _LENGTH.size : at + _LENGTH.size + len(extra)] = extra
        self._log_used = end
        _RUNNING.pack_into(self._memory, 16, end)
        return None

    @property
    def state(self) -> tuple[int, int, int, float]:
        """(rows started, rows finished, exit status, when the last started row began)."""
        started, finished, _, status, began, _, _ = _HEADER.unpack_from(self._memory, 0)
        return started, finished, status, began

    @property
    def excess(self) -> tuple[int, float]:
        """(the number of the limit that was reached, from 1, or 0; what was found)."""
        which, found = _LIMIT.unpack_from(self._memory, _LIMIT_AT)
        return which, found

    def outcomes(
        self, constrained: bool, extras: list[bytes], worker: str, first: int = 0, stop: int = MOST
    ) -> Outcomes:
        """The finished rows from `first` to `stop`. extras: those that were sent."""
        finished = max(first, min(self.state[1], stop))
        table = self._table[first:finished].copy()
        made = Outcomes(
            table[:, 3:], table[:, 0].astype(np.int8), table[:, 1], table[:, 2] if constrained else None, worker=worker
        )
        for extra in [*extras, *self._notes()]:
            index, components, error = json.loads(extra)
            if not first <= index < finished:
                continue
            if components is not None:
                made.components = [None] * len(table) if made.components is None else made.components
                made.components[index - first] = components
            if error is not None:
                made.errors[index - first] = error
        return made

    def _notes(self) -> Iterator[bytes]:
        used = _RUNNING.unpack_from(self._memory, 16)[0]
        at = self._log_at
        while at < self._log_at + used:
            length = _LENGTH.unpack_from(self._memory, at)[0]
            yield self._memory[at + _LENGTH.size : at + _LENGTH.size + length]
            at += _LENGTH.size + length

    def close(self) -> None:
        """Give the memory back."""
        del self._table
        self._memory.close()
        os.close(self._descriptor)


def note_exit(descriptor: int, status: int) -> None:
    """The supervisor writes how a worker ended into its journal."""
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, _RUNNING.pack(status), _EXIT_AT)


def running_row(descriptor: int) -> tuple[int, float] | None:
    """Which row a worker is in, for those who hold its journal only; None: none."""
    started, finished, _, _, began, _, _ = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
    return (started, began) if started > finished else None


def note_limit(descriptor: int, which: int, found: float) -> None:
    """The supervisor writes which limit (from 1) a worker reached into its journal."""
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, _LIMIT.pack(which, found), _LIMIT_AT)


def append_failure(outcomes: Outcomes, error: str, seconds: float) -> Outcomes:
    """`outcomes` and one failed row after it."""
    last = Outcomes.failed(1, outcomes.values.shape[1], error, seconds)
    count = len(outcomes)
    return Outcomes(
        np.concatenate([outcomes.values, last.values]),
        np.concatenate([outcomes.statuses, np.array([Status.FAILED], dtype=np.int8)]),
        np.concatenate([outcomes.seconds, last.seconds]),
        None if outcomes.violations is None else np.append(outcomes.violations, 0.0),
        None if outcomes.components is None else [*outcomes.components, None],
        {**outcomes.errors, count: error},
        outcomes.worker,
    )


def loads(payload: bytes) -> Any:
    """The target that was pickled for the workers."""
    return pickle.loads(payload)  # noqa: S301 (from our own parent, through memory without a name)
