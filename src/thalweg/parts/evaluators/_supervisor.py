"""The supervisor: a small process without threads that forks the workers and ends their process trees.

It is started once per evaluator with a fresh interpreter (so threads in the parent do no harm), imports what every
worker needs, and forks workers in milliseconds. It is the nearest subreaper of all workers: whatever a dead worker
leaves behind becomes the supervisor's child, which proves whose it is, and is ended. The user's own process adopts
nobody.

Orders come as packets on a control socket: "s" + id + the worker's sign with three descriptors (channel, journal,
payload) starts a worker, "k" + id ends one, "q" is the last. When a worker has ended and nothing of it is left, its
exit status is in its journal and the last holder of its channel closes it, which the parent sees. When the parent is
gone, or has quit, workers get a moment to leave by themselves; then all that is left is killed, and the supervisor goes
too.

It also looks after limits: it is another process, so it gets to look whatever an objective does to its interpreter.
"""

from __future__ import annotations

import array
import gc
import importlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from ...core.limits import Limits, limits_of
from ._limits import EVERY_S, NAMES, Watch
from ._tree import become_subreaper, kill_tree
from ._wire import note_exit, note_limit, running_row

_GRACE_S = 0.3


@dataclass(slots=True)
class _Charge:
    """A living worker."""

    pid: int
    channel: socket.socket
    journal: int
    watch: Watch | None


def main(control: socket.socket, settings: dict[str, Any]) -> None:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    become_subreaper()
    from . import _worker  # noqa: F401 (loaded once here, shared by all workers)

    for name in settings["preload"]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the workers share these pages
    supervisor = _Supervisor(control, settings["parent"], limits_of(settings.get("limits")))
    try:
        supervisor.serve()
    finally:
        supervisor.leave()


class _Supervisor:
    def __init__(self, control: socket.socket, parent: int, limits: Limits | None) -> None:
        self.control = control
        self.limits = limits
        self.charges: dict[int, _Charge] = {}
        self.waker, waker = socket.socketpair()
        self.wake_end = waker
        for end in (self.waker, waker):
            end.setblocking(False)
        self.leaving = False
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        self.parent = _pidfd(parent)
        if os.getppid() != parent:
            self.leaving = True

    def _on_term(self, *_: Any) -> None:
        self.leaving = True

    def serve(self) -> None:
        poll = select.poll()
        for descriptor in (self.control.fileno(), self.waker.fileno(), self.parent):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        watched = self.limits is not None and self.limits.watched
        while not self.leaving:
            ready = {descriptor for descriptor, _ in poll.poll(1000 * EVERY_S if watched else None)}
            if watched:
                self.look()
            if self.parent in ready:
                break
            if self.waker.fileno() in ready:
                self._drain()
                self.reap()
            if self.control.fileno() in ready and not self.order():
                break

    def _drain(self) -> None:
        try:
            while self.waker.recv(4096):
                pass
        except BlockingIOError:
            pass

    def order(self) -> bool:
        """One order; False when the parent is gone."""
        try:
            packet, descriptors = _receive(self.control)
        except ConnectionError:
            return False
        if not packet or packet == b"q":
            return False
        words = packet[1:].split()
        ident = int(words[0])
        if packet[:1] == b"s":
            self.start(ident, bytes.fromhex(words[1].decode()), *descriptors)
        elif ident in self.charges:
            kill_tree(self.charges[ident].pid)
            self.reap()
        return True

    def look(self) -> None:
        """End the workers whose running row has reached a limit."""
        for charge in self.charges.values():
            row = running_row(charge.journal)
            excess = None if row is None or charge.watch is None else charge.watch.excess(row)
            if excess is not None and running_row(charge.journal) == row:
                note_limit(charge.journal, 1 + NAMES.index(excess[0]), excess[1])
                kill_tree(charge.pid)  # SIGCHLD wakes us to reap it

    def start(self, ident: int, sign: bytes, channel_descriptor: int, journal: int, payload: int) -> None:
        channel = socket.socket(fileno=channel_descriptor)
        me = os.getpid()
        watched = self.limits is not None and self.limits.watched
        before = {name for name in os.listdir("/proc") if name.isdigit()} if watched else set()
        pid = os.fork()
        if pid == 0:
            self._shed()
            from ._worker import Wire, live

            live(Wire(channel, sign), journal, payload, me, self.limits)
        os.close(payload)
        watch = Watch(pid, self.limits, before) if watched and self.limits is not None else None
        self.charges[ident] = _Charge(pid, channel, journal, watch)

    def _shed(self) -> None:
        """In a fresh worker: let go of everything that is not its own."""
        signal.set_wakeup_fd(-1)
        for owned in (self.control, self.waker, self.wake_end):
            owned.close()
        if self.parent >= 0:
            os.close(self.parent)
        for charge in self.charges.values():
            charge.channel.close()
            os.close(charge.journal)

    def reap(self) -> None:
        """Take note of ended workers, and end what they left behind."""
        ended: list[tuple[int, int]] = []
        idents = {charge.pid: ident for ident, charge in self.charges.items()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in idents:
                ended.append((idents[pid], status))
        if not ended:
            return
        gone = {ident for ident, _ in ended}
        alive = [charge.pid for ident, charge in self.charges.items() if ident not in gone]
        kill_tree(os.getpid(), include_root=False, keep=alive)
        for ident, status in ended:
            charge = self.charges.pop(ident)
            note_exit(charge.journal, os.waitstatus_to_exitcode(status))
            os.close(charge.journal)
            charge.channel.close()

    def leave(self) -> None:
        """Let idle workers end by themselves, end the others."""
        until = time.monotonic() + _GRACE_S
        for charge in self.charges.values():
            charge.channel.close()  # otherwise they never see that the parent is gone
        while self.charges and time.monotonic() < until:
            self.reap()
            time.sleep(0.005)
        kill_tree(os.getpid(), include_root=False)
        os._exit(0)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, or a kernel before 5.3: the control socket tells as well
        return -1


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    packet, ancillary, _, _ = control.recvmsg(64, socket.CMSG_SPACE(3 * 4))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return packet, list(descriptors)
