"""Ending a whole tree of processes, also children that called setsid, ignore SIGTERM or lost their parent. Linux only.

`os.killpg` misses children that called `setsid`, and a walk over parent ids misses children whose parent has ended. So
membership is decided from every process in /proc, by proof only, and a process without proof is never touched:

1. an ancestor is a member (the walk over parent ids),
2. its session or process group is led by a member (the root should be started with `start_new_session=True`),
3. its environment holds the tree's marker (`environment(marker)` given to the root when it is started).

What is found is stopped first (a stopped process cannot fork), until a look finds nothing new; then everything is
killed, until a look finds nothing alive.

Children that clear their environment, start a session and lose their parent before the first look are beyond proof,
except inside a process of our own that called `become_subreaper`: there every unknown child is an adopted orphan.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ...core.errors import EvaluatorError

MARKER = "THALWEG_TREE"
"""The environment variable that names the tree a process belongs to."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the process table. started: clock ticks since boot; with the pid it names a process for good."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    state: str

    @property
    def alive(self) -> bool:
        """Neither a zombie nor dead."""
        return self.state not in "ZXx"


def require_linux(what: str) -> None:
    """Raise EvaluatorError where there is no Linux /proc."""
    if not sys.platform.startswith("linux") or not os.path.isdir("/proc/self"):
        raise EvaluatorError(
            f"{what} needs Linux with /proc (to end whole process trees), this is {sys.platform}; "
            "use evaluator='inline', 'vectorised', 'thread' or 'async' here"
        )


def new_marker() -> str:
    """A fresh name for a tree."""
    return secrets.token_hex(12)


def environment(marker: str, base: dict[str, str] | None = None) -> dict[str, str]:
    """`base` (default: this process's environment) with the marker of a tree, for the root's `env=`."""
    made = dict(os.environ if base is None else base)
    made[MARKER] = marker
    return made


def become_subreaper() -> None:
    """Adopt the orphans among this process's descendants (instead of init). Idempotent.

    The cost: an adopted orphan that ends stays a zombie until this process waits for it, and nobody but this process
    can. It is meant for processes of our own, which know that an unknown child is an orphan; in a user's process an
    orphan cannot be told from a child the user started, so there the marker does the work and init does the reaping.

    Raises:
        EvaluatorError: not on Linux, or the kernel refuses.
    """
    require_linux("becoming a subreaper")
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Get `sig` when the thread that started this process ends (check `os.getppid()` afterwards: it may be gone)."""
    require_linux("dying with the parent")
    _prctl(_PR_SET_PDEATHSIG, int(sig))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise EvaluatorError(f"prctl({option}) was refused: {os.strerror(number)}")


def _entry(pid: int) -> Entry | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:  # it has ended meanwhile
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name in front may hold spaces and brackets
    return Entry(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0].decode())


def processes() -> dict[int, Entry]:
    """The process table, by pid."""
    require_linux("reading the process table")
    found = (_entry(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {entry.pid: entry for entry in found if entry is not None}


def descendants(pid: int, table: dict[int, Entry] | None = None) -> set[int]:
    """The pids of everything below `pid` (by parent ids, zombies included), without itself."""
    return _below({pid}, processes() if table is None else table)


def _below(roots: Iterable[int], table: dict[int, Entry]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent, []).append(entry.pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def _marked(pid: int, marker: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:  # ended, or somebody else's
        return False


class _Hunt:
    """The members of one tree, over several looks at the process table."""

    def __init__(self, root: int, include_root: bool, marker: str | None, keep: Collection[int]) -> None:
        self.root = root
        self.include_root = include_root
        self.marker = None if marker is None else f"{MARKER}={marker}".encode()
        self.keep = set(keep)
        self.me = os.getpid()
        self.known: dict[int, int] = {}  # pid -> started
        self.unmarked: dict[int, int] = {}  # looked at, not ours (an environment does not change)
        self.first: dict[int, Entry] | None = processes()
        top = self.first.get(root)
        # A root that was reaped may have given its number to a stranger: then only the marker counts.
        self.rooted = top is not None and (root == self.me or root in descendants(self.me, self.first))
        self.born = top.started if self.rooted and top is not None else 0  # nothing in the tree is older

    def look(self) -> dict[int, Entry]:
        """The members now, dead ones that are not reaped included."""
        table, self.first = processes() if self.first is None else self.first, None
        banned = self._banned(table)
        members = {pid for pid, started in self.known.items() if pid in table and table[pid].started == started}
        if self.rooted and self.root in table:
            members.add(self.root)
        while True:
            grown = members | _below(members, table)
            leaders = {pid for pid in grown if pid != self.me}
            for entry in table.values():
                if entry.pid not in grown and entry.started >= self.born:
                    led = entry.session in leaders or entry.group in leaders
                    if led or self._marked(entry):
                        grown.add(entry.pid)
            grown -= banned
            if grown == members:
                break
            members = grown
        found = {pid: table[pid] for pid in members}
        if not self.include_root:
            found.pop(self.root, None)
        self.known.update((pid, entry.started) for pid, entry in found.items())
        return found

    def _banned(self, table: dict[int, Entry]) -> set[int]:
        """Never members: what is to be kept, this process and all above it."""
        banned = self.keep | _below(self.keep, table)
        above = self.me if self.root != self.me else table[self.me].parent
        while above in table:
            banned.add(above)
            above = table[above].parent
        return banned | {1}

    def _marked(self, entry: Entry) -> bool:
        if self.marker is None or not entry.alive or self.unmarked.get(entry.pid) == entry.started:
            return False
        if _marked(entry.pid, self.marker):
            return True
        # A child between fork and exec still shows its parent's environment; it is looked at again next time.
        if time.clock_gettime(time.CLOCK_BOOTTIME) - entry.started / os.sysconf("SC_CLK_TCK") > 1.0:
            self.unmarked[entry.pid] = entry.started
        return False


def kill_tree(
    pid: int,
    *,
    include_root: bool = True,
    marker: str | None = None,
    keep: Collection[int] = (),
    within_s: float = 5.0,
) -> list[int]:
    """End everything below `pid`, and itself unless `include_root=False`; gives the pids that are still alive (none).

    Call it before the root is reaped (a `Popen` is not reaped before `poll` or `wait`): a number that was reaped may
    belong to a stranger, so then only `marker` counts. The root's exit status is left for its owner; adopted orphans
    among the members are reaped here.

    marker: what the root was started with, see `environment`.  keep: pids spared together with all below them.
    within_s: gives up after this many seconds (a process in uninterruptible sleep cannot be killed).
    """
    if include_root and pid == os.getpid():
        raise EvaluatorError("kill_tree was asked to end its own process; pass include_root=False")
    until = time.monotonic() + within_s
    hunt = _Hunt(pid, include_root, marker, keep)
    stopped: set[int] = set()
    while True:  # freeze: until a look finds nobody new
        found = hunt.look()
        new = [entry.pid for entry in found.values() if entry.alive and entry.pid not in stopped]
        if not new or time.monotonic() > until:
            break
        for member in new:
            _send(member, signal.SIGSTOP)
        stopped.update(new)
    pause = 0.0005
    while True:  # kill: until a look finds nobody alive
        left = [entry.pid for entry in found.values() if entry.alive]
        for member in left:
            _send(member, signal.SIGKILL)
        _reap(entry.pid for entry in found.values() if entry.parent == hunt.me and entry.pid != pid)
        if not left or time.monotonic() > until:
            return left
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
        found = hunt.look()


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # ended meanwhile, or it changed its user
        pass


def _reap(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
