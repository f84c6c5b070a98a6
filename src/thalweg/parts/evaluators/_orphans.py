"""What a killed study left running: a process that got SIGKILL cannot end its children, so the next one does.

Every process started by the command evaluator carries its owner's name (process id, start time, pid namespace) in its
environment, and so does everything it starts. An owner that is no longer there has orphans; they are ended.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

OWNER = "THALWEG_OWNER"
"""The environment variable that names the process that runs the study."""


def owner() -> str:
    """This process's name for good: "pid-started-namespace"."""
    return f"{os.getpid()}-{_started(os.getpid())}-{_namespace()}"


def _started(pid: int) -> str | None:
    """When a living process was started (clock ticks since boot); None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in b"ZXx" else fields[19].decode()


def _namespace() -> str:
    """Process ids mean nothing in another pid namespace."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "0"


def end_orphans() -> list[int]:
    """Kill every process whose owner is gone; gives their ids. Processes of others, and without proof, stay."""
    needle = f"{OWNER}=".encode()
    here = _namespace()
    ended: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            found = [
                item for item in Path(f"/proc/{name}/environ").read_bytes().split(b"\0") if item.startswith(needle)
            ]
            if not found:
                continue
            pid, started, namespace = found[0][len(needle) :].decode().split("-")
            if namespace == here and _started(int(pid)) != started:
                os.kill(int(name), signal.SIGKILL)
                ended.append(int(name))
        except (OSError, ValueError):  # it has ended meanwhile, is somebody else's, or the text is not ours
            continue
    return ended
