"""One BLAS thread for matrices that are too small for more.

OpenBLAS (which NumPy's and SciPy's wheels bring along) uses every core for matrices of a few hundred rows. That gains
nothing on an idle machine, and on a busy one its threads wait for each other, spinning: suggestions of a Gaussian
process took fifty times as long on two shared cores. Its number of threads can be set while it runs
(`openblas_set_num_threads`), which costs a microsecond.

Other libraries (MKL, Accelerate) are left alone: OMP_NUM_THREADS=1, MKL_NUM_THREADS=1 or VECLIB_MAXIMUM_THREADS=1 in
the environment do the same for them, for the whole process.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_PREFIXES, _SUFFIXES = ("scipy_openblas_", "openblas_"), ("64_", "")
_lock = threading.Lock()
_inside = 0
_before: list[tuple[Callable[[int], None], int]] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS calls inside use one thread; the number from before is set again when the last of several has left.

    The number is the process's: matrix products that other threads begin meanwhile use one thread too.
    """
    global _inside, _before  # noqa: PLW0603 (the libraries' own setting is global)
    with _lock:
        if not _inside:
            _before = [(put, count) for get, put in _switches(_loaded()) if (count := get()) > 1]
            for put, _ in _before:
                put(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for put, count in _before:
                    put(count)


def hold() -> None:
    """A BLAS that was loaded inside of `one_thread` (SciPy's own, at the first call that needs it) uses one thread from
    here on, as in every later call: results would differ in their last bits else.
    """
    with _lock:
        if _inside:
            late = [(put, count) for get, put in _switches(_loaded()) if (count := get()) > 1]
            for put, _ in late:
                put(1)
            _before.extend(late)


def _loaded() -> int:
    """Grows when SciPy's own BLAS comes in, which is when it is imported: then the libraries are searched for again."""
    return int("scipy.linalg" in sys.modules)


@cache
def _switches(loaded: int) -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:  # noqa: ARG001 (the key)
    """(get, set) of the number of threads of every OpenBLAS in the process."""
    return tuple(pair for path in _libraries() if (pair := _pair(path)) is not None)


def _libraries() -> list[str]:
    """Paths of the OpenBLAS libraries that are in use."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux: what the wheels carry
        packages = [Path(sys.modules[name].__file__ or "").parent for name in ("numpy", "scipy") if name in sys.modules]
        folders = [place for item in packages for place in (item.parent / f"{item.name}.libs", item / ".dylibs")]
        return sorted(str(path) for folder in folders if folder.is_dir() for path in folder.glob("*openblas*"))
    return sorted({line.split(maxsplit=5)[-1] for line in maps.splitlines() if "openblas" in line.rpartition("/")[2]})


def _pair(path: str) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The two functions of a library that is loaded already; None where it lacks them."""
    try:
        library = ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 0) | getattr(os, "RTLD_NOW", 0))
    except OSError:
        return None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            get = getattr(library, f"{prefix}get_num_threads{suffix}", None)
            put = getattr(library, f"{prefix}set_num_threads{suffix}", None)
            if get is not None and put is not None:
                get.argtypes, get.restype = [], ctypes.c_int
                put.argtypes, put.restype = [ctypes.c_int], None
                return get, put
    return None
