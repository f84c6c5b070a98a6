"""Keeping limits: rlimits that the kernel keeps, and a watch over what the kernel does not keep per process tree.

RLIMIT_NPROC counts every process of a user, and RLIMIT_AS and RLIMIT_CPU every process by itself, so memory, CPU time
and the number of processes of a whole tree are read from /proc, and whoever has too much is ended.
"""

from __future__ import annotations

import math
import os
import resource
import time

from ...core.limits import Limits
from ._tree import MARKER

EVERY_S = 0.02
"""Between two looks."""
_TICK = os.sysconf("SC_CLK_TCK")
_SPARE = 1000
"""Processes that the same user may start elsewhere meanwhile before ours are refused one."""
NAMES = ("memory", "cpu_s", "processes")


def rlimits(limits: Limits) -> dict[int, tuple[int, int]]:
    """{resource: (soft, hard)} for each process of an evaluation."""
    found: dict[int, tuple[int, int]] = {}
    for kind, amount in (
        (resource.RLIMIT_AS, limits.address_space),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_NOFILE, limits.open_files),
    ):
        if amount is not None:
            ceiling = resource.getrlimit(kind)[1]
            bound = int(amount) if ceiling == resource.RLIM_INFINITY else min(int(amount), ceiling)
            found[kind] = (bound, bound)
    if limits.processes is not None:
        # The kernel counts what the user runs anywhere, so this only bounds a fork bomb between two looks; not root's.
        bound = limits.processes + _tasks() + _SPARE
        ceiling = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        if ceiling == resource.RLIM_INFINITY or bound < ceiling:
            found[resource.RLIMIT_NPROC] = (bound, bound)
    return found


def cpu_rlimit(limits: Limits) -> dict[int, tuple[int, int]]:
    """A second wall for programs, for when nobody gets to look: SIGXCPU a second late."""
    if limits.cpu_s is None:
        return {}
    seconds = math.ceil(limits.cpu_s) + 1
    return {resource.RLIMIT_CPU: (seconds, seconds + 1)}


def _tasks() -> int:
    """Threads on this machine."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[2])


class Watch:
    """Looks at the process tree below `root`: its members' parents lead to it, or they are of its session, or marked.

    before: ids of processes that were there before the root.
    """

    def __init__(self, root: int, limits: Limits, before: set[str], marker: str | None = None) -> None:
        self.root = root
        self.limits = limits
        self.before = before
        self.marker = None if marker is None else f"{MARKER}={marker}".encode()
        self.strangers: dict[str, bytes] = {}  # id -> when it was started: looked at, without our mark
        self.baseline: tuple[object, float] = (None, 0.0)

    def excess(self, of: object = None) -> tuple[str, float] | None:
        """(the limit that is exceeded, by what amount was found); None: all is well.

        of: what the CPU time is charged to (the running row): it counts from the first look at it.
        """
        limits, members = self.limits, self.members()
        if limits.processes is not None and len(members) > limits.processes:
            return "processes", float(len(members))
        if limits.cpu_s is not None:
            used = sum(int(item) for fields in members.values() for item in fields[11:15]) / _TICK
            if of is not None and self.baseline[0] != of:
                self.baseline = (of, used)
            if (spent := used - self.baseline[1]) > limits.cpu_s:
                return "cpu_s", spent
        if limits.memory is not None and (held := _memory(members)) > int(limits.memory):
            return "memory", float(held)
        return None

    def members(self) -> dict[str, list[bytes]]:
        """{id: fields of /proc/<id>/stat from the state on} of every living member."""
        there = {name for name in os.listdir("/proc") if name.isdigit()}
        self.before &= there  # a number that is given again may be one of ours
        table: dict[str, list[bytes]] = {}
        for name in there - self.before:
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    text = file.read()
            except OSError:  # it has ended meanwhile
                continue
            table[name] = text[text.rindex(b")") + 2 :].split()
        root = str(self.root)
        ours = {root}
        grown = True
        while grown:
            grown = False
            for name, fields in table.items():
                if name not in ours and (fields[1].decode() in ours or self._proven(name, fields)):
                    ours.add(name)
                    grown = True
        return {name: table[name] for name in ours if name in table and table[name][0] not in b"ZX"}

    def _proven(self, name: str, fields: list[bytes]) -> bool:
        if int(fields[3]) == self.root:
            return True
        if self.marker is None or self.strangers.get(name) == fields[19]:
            return False
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if self.marker in file.read().split(b"\0"):
                    return True
        except OSError:  # it has ended meanwhile, or is somebody else's
            pass
        if time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICK > 1.0:  # before: it may be about to exec
            self.strangers[name] = fields[19]
        return False


def _memory(members: dict[str, list[bytes]]) -> int:
    """Bytes: private memory of all, and the largest shared one. Mapped files do not count: the kernel can drop them."""
    private = shared = 0
    for name in members:
        try:
            with open(f"/proc/{name}/status", "rb") as file:
                text = file.read()
        except OSError:
            continue
        private += _kilobytes(text, b"RssAnon:") + _kilobytes(text, b"VmSwap:")
        shared = max(shared, _kilobytes(text, b"RssShmem:"))
    return (private + shared) * 1024


def _kilobytes(text: bytes, key: bytes) -> int:
    at = text.find(key)
    return int(text[at + len(key) :].split(None, 1)[0]) if at >= 0 else 0
