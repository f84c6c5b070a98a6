"""An examination of what thalweg runs on: versions, cores, memory, limits. Nothing is changed, nothing is measured for
longer than a moment."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

from ..core.finding import Finding

NEEDED = ("numpy", "scipy", "apsw", "msgspec", "cloudpickle", "psutil", "rich", "click")
OPTIONAL = {
    "matplotlib": ("plots", "pictures"),
    "pandas": ("pandas", "frames"),
    "psycopg": ("postgres", "stores on a PostgreSQL server"),
    "ray": ("ray", "evaluations on a Ray cluster"),
    "pyppmd": ("demo", "the demo's second compressor"),
}
"""Library -> (the extra that brings it, what it is for)."""

_GIB = 2**30
_FILES = 1024  # as many as most systems give; a process of a study needs a dozen, its workers four each


def examine(root: Path = Path("/")) -> list[Finding]:
    """Everything about this interpreter and this machine. root: where /proc and /sys are looked for."""
    return [*_versions(), *_processors(root), *_memory(root), *_limits(), *_shared_memory(root)]


def _versions() -> Iterator[Finding]:
    python = platform.python_version()
    yield Finding("ok", "python", f"Python {python} ({platform.python_implementation()}, {platform.platform()})")
    yield _own_version()
    missing = [name for name in NEEDED if not _version(name)]
    if missing:
        yield Finding("problem", "libraries", f"not installed: {', '.join(missing)}", "pip install -U thalweg")
    found = ", ".join(f"{name} {_version(name)}" for name in NEEDED if _version(name))
    yield Finding("ok", "libraries", found)
    yield Finding("ok", "blas", _blas())
    for name, (extra, purpose) in OPTIONAL.items():
        if number := _version(name):
            yield Finding("ok", "extras", f"{name} {number}: {purpose}")
        else:
            install = f"for {purpose}: pip install 'thalweg[{extra}]'" if _offered(extra) else f"for {purpose}"
            yield Finding("ok", "extras", f"{name} is not installed", install)


def _own_version() -> Finding:
    number = _version("thalweg")
    if number:
        return Finding("ok", "thalweg", f"thalweg {number}")
    return Finding("note", "thalweg", "thalweg is not installed, it is run from a folder", "pip install thalweg")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _offered(extra: str) -> bool:
    try:
        return extra in (metadata("thalweg").get_all("Provides-Extra") or ())
    except PackageNotFoundError:
        return True


def _blas() -> str:
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    parts = config.get("Build Dependencies", {}) if isinstance(config, dict) else {}
    blas = parts.get("blas", {})
    threads = [
        f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ
    ]
    told = ", ".join(threads) or "as many threads as cores in this process, one in each worker"
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}: {told}"


def _processors(root: Path) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    share = cpu_share(root)
    text = f"{cores} cores"
    if share is not None and share < cores:
        text += f", of which this container may use {share:g}"
    usable = min(cores, share) if share is not None else cores
    if usable < cores:
        yield Finding("note", "cores", text, f"workers={max(1, int(usable))} is as many as can run at once")
    else:
        yield Finding("ok", "cores", text)
    try:
        load = os.getloadavg()[0]
    except OSError:
        return
    if load > 1.5 * cores:
        yield Finding(
            "note", "load", f"{load:.1f} processes want to run", "times that are measured now say more than they should"
        )
    else:
        yield Finding("ok", "load", f"{load:.1f}")


def cpu_share(root: Path = Path("/")) -> float | None:
    """Cores this process's control group may use, or None where there is no limit."""
    for folder in _groups(root, "cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            return float(words[0]) / float(words[1])
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            return int(quota) / int(period)
    return None


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes of memory this process's control group may use, or None where there is no limit."""
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit() and int(text) < 2**60:  # "no limit" is near 2**63 in version 1
                return int(text)
    return None


def _groups(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control group, in version 2 and version 1, its own before those around it."""
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, names, path = [*line.split(":", 2), "", ""][:3]
        if names and controller not in names.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if names else "")
        place = base / path.strip("/")
        found += [place, *(parent for parent in place.parents if base in (parent, *parent.parents))]
    return found or [root / "sys/fs/cgroup", root / "sys/fs/cgroup" / controller]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _memory(root: Path) -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    limit = memory_limit(root)
    text = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    if limit is not None and limit < memory.total:
        text += f"; this container may use {limit / _GIB:.1f} GiB"
    free = memory.available if limit is None else min(memory.available, limit)
    if free < _GIB / 4:
        yield Finding("problem", "memory", text, "close something: a worker takes about 0.1 GiB besides its objective")
    else:
        yield Finding("ok", "memory", text)


def _limits() -> Iterator[Finding]:
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = f"{files} open files" if files != resource.RLIM_INFINITY else "no limit of open files"
    if files != resource.RLIM_INFINITY and files < _FILES:
        raised = f"ulimit -n {_FILES}" if hard == resource.RLIM_INFINITY or hard >= _FILES else "raise its hard limit"
        yield Finding("note", "limits", told, f"may be too few for many workers: {raised}")
    else:
        yield Finding("ok", "limits", told)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if processes != resource.RLIM_INFINITY and processes < 256:
        yield Finding("note", "limits", f"{processes} processes", "may be too few for many workers: ulimit -u 4096")
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY:
        yield Finding(
            "note", "limits", f"{space / _GIB:.1f} GiB of addresses per process", "ulimit -v unlimited, if models fail"
        )


def _shared_memory(root: Path) -> Iterator[Finding]:
    place = root / "dev/shm"
    if not place.is_dir():
        yield Finding("note", "shared memory", f"{place} is not there", "processes cannot share arrays; mount a tmpfs")
        return
    stat = os.statvfs(place)
    free = stat.f_bavail * stat.f_frsize
    text = f"{free / _GIB:.2f} GiB free in {place}"
    if free < _GIB / 16:
        yield Finding("note", "shared memory", text, "in a container: docker run --shm-size=1g")
    else:
        yield Finding("ok", "shared memory", text)
