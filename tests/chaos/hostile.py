"""Objectives that do everything wrong, one kind per name: what each does, and what is to come of it."""

from __future__ import annotations

import asyncio
import atexit
import gc
import itertools
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LEAF = "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)"


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()
        self.frames = sys._getframe()


class Mute(Exception):
    """Its text raises, and what that raises is no Exception."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class Base(BaseException):
    """Not an Exception."""


class Evil:
    """Every look at it raises a BaseException."""

    def __float__(self) -> float:
        raise Base("float")

    def __eq__(self, other: object) -> bool:
        raise Base("eq")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise Base("repr")


class Ever(Mapping):  # type: ignore[type-arg]
    """Named results that raise while they are read."""

    def __getitem__(self, key: object) -> float:
        raise SystemExit("getitem")

    def __iter__(self) -> Any:
        raise SystemExit("iter")

    def __len__(self) -> int:
        return 3


def _raise(error: BaseException) -> Any:
    raise error


def _itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def _recurse(depth: int = 0) -> int:
    return _recurse(depth + 1) + 1


def _overflow() -> Any:
    sys.setrecursionlimit(10**8)
    threading.stack_size(0)
    found: Any = ()
    for _ in range(10**6):
        found = (found,)
    return hash(found)


RESULTS: dict[str, tuple[Callable[[float], Any], str | None]] = {
    "nan": (lambda x: math.nan, "ObjectiveError"),
    "inf": (lambda x: math.inf, "ObjectiveError"),
    "minus_inf": (lambda x: -math.inf, "ObjectiveError"),
    "numpy_nan": (lambda x: np.float64("nan"), "ObjectiveError"),
    "none": (lambda x: None, "ObjectiveError"),
    "text": (lambda x: "0.0", "ObjectiveError"),
    "bytes": (lambda x: b"0", "ObjectiveError"),
    "huge": (lambda x: -(10**400), "ObjectiveError"),
    "vast": (lambda x: 10**10_000, "ObjectiveError"),
    "complex": (lambda x: 1j, "ObjectiveError"),
    "list": (lambda x: [x, x], "ObjectiveError"),
    "empty": (lambda x: [], "ObjectiveError"),
    "itself": (lambda x: _itself(), "Error"),
    "array2": (lambda x: np.zeros((2, 2)), "ObjectiveError"),
    "objects": (lambda x: np.array([None], dtype=object), "ObjectiveError"),
    "masked": (lambda x: np.ma.masked, "nan"),
    "evil": (lambda x: Evil(), "Base: float"),
    "mapping": (lambda x: Ever(), "SystemExit"),
    "no_names": (lambda x: {}, "ObjectiveError"),
    "function": (lambda x: _raise, "ObjectiveError"),
    "coroutine": (lambda x: asyncio.Lock(), "ObjectiveError"),
    "component_vast": (lambda x: {"value": x, "count": 10**10_000}, None),
    "component_itself": (lambda x: {"value": x, "odd": _itself()}, "RecursionError"),
    "component_deep": (lambda x: {"value": x, "odd": _deep(5_000)}, "RecursionError"),
    "component_nested": (lambda x: {"value": x, "odd": _deep(100)}, None),
    "component_surrogate": (lambda x: {"value": x, "bad\ud800\0": "\udcff\0\x1b[2J"}, None),
    "component_nan": (lambda x: {"value": x, "loss": math.nan, "gain": -math.inf, "pair": [np.nan, None]}, None),
    "component_evil": (lambda x: {"value": x, "odd": Evil()}, "Base: float"),
    "component_bytes": (lambda x: {"value": x, "blob": b"\xff" * 1000, "set": {1}, "array": np.zeros(3)}, None),
    "component_large": (lambda x: {"value": x, "blob": "x" * 30_000_000}, None),
    "zero_dim": (lambda x: np.array(x), None),
    "numpy_integer": (lambda x: np.int8(1), None),
    "single": (lambda x: [x], None),
    "true": (lambda x: True, None),
}
"""kind -> (what it gives for x, what the error mentions; None: it is a value)."""

RAISES: dict[str, tuple[Callable[[], Any], str]] = {
    "raise": (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    "locked": (lambda: _raise(Locked()), "Locked: locked"),
    "mute": (lambda: _raise(Mute()), "Mute"),
    "base": (lambda: _raise(Base("base")), "Base: base"),
    "group": (lambda: _raise(ExceptionGroup("two", [ValueError("a"), Locked()])), "two"),
    "generator_exit": (lambda: _raise(GeneratorExit()), "GeneratorExit"),
    "stop_iteration": (lambda: _raise(StopIteration(3)), "StopIteration"),
    "cancelled": (lambda: _raise(asyncio.CancelledError()), "CancelledError"),
    "exit": (lambda: sys.exit(3), "SystemExit: 3"),
    "exit_mute": (lambda: sys.exit(Evil()), "SystemExit"),  # type: ignore[arg-type]
    "memory": (lambda: bytearray(1 << 62), "MemoryError"),
    "recursion": (_recurse, "RecursionError"),
    "long_text": (lambda: _raise(ValueError("y" * 50_000_000)), "ValueError: yyy"),
    "surrogate": (lambda: _raise(ValueError("bad \ud800 \0 text\x1b[2J")), "ValueError: bad"),
    "assertion": (lambda: _raise(AssertionError()), "AssertionError"),
}
"""kind -> (what it does, what the error mentions)."""


def _threads() -> None:
    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=(600,), daemon=daemon).start()


def _brood() -> None:
    for apart in (False, True):
        subprocess.Popen([sys.executable, "-ISc", LEAF], start_new_session=apart)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)


def _signals() -> None:
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})


def _output() -> None:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(100):
            stream.write("z" * 1_000_000)


def _closed() -> None:
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    for descriptor in (0, 1, 2):
        os.close(descriptor)


def _clock() -> None:
    for name in ("time", "perf_counter", "monotonic", "sleep", "time_ns"):
        setattr(time, name, lambda *_: 0.0)


def _sys() -> None:
    sys.stdout = sys.stderr = sys.__stdout__ = None  # type: ignore[assignment,misc]
    sys.path.clear()
    sys.setswitchinterval(1e-6)
    sys.excepthook = None  # type: ignore[assignment]
    gc.disable()
    np.seterr(all="raise")


def _atexit() -> None:
    atexit.register(time.sleep, 600)
    atexit.register(os.abort)


LEAVES: dict[str, Callable[[], None]] = {
    "chdir": lambda: os.chdir("/"),
    "environment": os.environ.clear,
    "umask": lambda: os.umask(0o777) and None,
    "threads": _threads,
    "brood": _brood,
    "signals": _signals,
    "output": _output,
    "closed": _closed,
    "clock": _clock,
    "sys": _sys,
    "recursion_limit": lambda: sys.setrecursionlimit(60),
    "atexit": _atexit,
    "low_limits": lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    ),
    "nice": lambda: os.nice(5) and None,
    "stopper": lambda: signal.raise_signal(signal.SIGCHLD),
}
"""kind -> what it does to its process before it gives a value."""


def _descriptors() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2)


def _scribble(text: bytes) -> None:
    """Write into whatever is open: a program that believes a descriptor to be its own."""
    for descriptor in _descriptors():
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                os.write(descriptor, text)
        except OSError:
            continue


ENDS: dict[str, tuple[Callable[[], Any], str]] = {
    "_exit": (lambda: os._exit(7), "code 7"),
    "exit_0": (lambda: os._exit(0), "code 0"),
    "segfault": (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
    "abort": (lambda: os.kill(os.getpid(), signal.SIGABRT), "SIGABRT"),
    "alarm": (lambda: (signal.setitimer(signal.ITIMER_REAL, 0.01), time.sleep(600)), "SIGALRM"),
    "overflow": (_overflow, "SIGSEGV"),
    "kill_group": (lambda: os.killpg(0, signal.SIGKILL), "SIGKILL"),
}
"""kind -> (how it ends its process, what the error says)."""

CHANNEL: dict[str, Callable[[], Any]] = {
    "close_all": lambda: os.closerange(3, 4096),
    "scribble": lambda: _scribble(b"\0d"),
    "scribble_report": lambda: _scribble(b"\0pcos\nabort\n(tR."),
    "scribble_extra": lambda: _scribble(b"\0xnonsense"),
    "scribble_more": lambda: _scribble(b"\1half"),
    "scribble_long": lambda: _scribble(b"\0" + b"q" * 65_000),
}
"""kind -> what it does to the descriptors of its worker before it gives a value."""

HANGS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: time.sleep(600),
    "spin": lambda: [None for _ in itertools.repeat(0)],
    "locked_interpreter": lambda: sum(itertools.repeat(0, 1 << 62)),  # in C, without ever letting the lock go
    "deaf": lambda: (_signals(), _brood(), time.sleep(600)),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "lock": lambda: (threading.Lock().acquire(), threading.Event().wait()),
}
"""kind -> a way to go on for ever."""


ALL = (*RESULTS, *RAISES, *LEAVES, *ENDS, *CHANNEL, *HANGS)
NATURE = {
    "inline": (*ENDS, *CHANNEL, *HANGS, "umask", "brood", "closed", "low_limits", "recursion_limit"),
    "thread": (*ENDS, *CHANNEL, *HANGS, "umask", "brood", "closed", "low_limits", "recursion_limit", "clock"),
    "process": (),
}
"""What an evaluator cannot be given: in the process of the study itself, its end is the study's, and what it does to
descriptors, limits and clocks it does to the study."""


def expected(evaluator: str, kind: str) -> str | None:
    """What the error of `kind` mentions; None: it gives a value."""
    if kind == "signals" and evaluator == "thread":
        return "ValueError: signal only works in main thread"
    if kind in HANGS:
        return "Timeout"
    for table in (RESULTS, RAISES, ENDS):
        if kind in table:
            return table[kind][1]
    return None


def behave(params: Mapping[str, Any]) -> Any:
    """x for "good"; else whatever the kind is to do."""
    x, kind = float(params["x"]), str(params["kind"])
    if kind in RESULTS:
        return RESULTS[kind][0](x)
    for table in (RAISES, ENDS):
        if kind in table:
            table[kind][0]()
    for acts in (LEAVES, CHANNEL, HANGS):
        if kind in acts:
            acts[kind]()
    return x
