"""Objectives whose rows misbehave on request, in the forms that evaluators take: one function, many ways to call it."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.choices import Choice
from ..core.context import Context
from ..core.parameter import Float
from ..core.problem import Problem, constraints_of, objectives_of
from ..core.space import Space
from ..core.target import Target

GOOD = ("good", "integer", "numpy", "array0d")
"""What a row may do and still have the value x (rounded for "integer")."""
BAD = {
    "nan": "ObjectiveError: ",
    "inf": "ObjectiveError: ",
    "none": "ObjectiveError: ",
    "text": "ObjectiveError: ",
    "huge": "ObjectiveError: ",
    "list": "ObjectiveError: ",
    "empty": "ObjectiveError: ",
    "stubborn": "RuntimeError: no number",
    "raise": "ZeroDivisionError: on purpose",
    "exit": "SystemExit: 3",
    "interrupt": "KeyboardInterrupt",
}
"""What a row may do to fail, and how its message starts."""
CRASHES = {"_exit": "7", "segfault": "SIGSEGV", "sigkill": "SIGKILL"}
"""What a row may do to end its process, and what the message says."""
HANGS = ("hang", "spin", "brood")
"""What a row may do to go on for ever; "brood" also leaves children that hide."""
WHAT = (*GOOD, *BAD, *CRASHES, *HANGS)

_LEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Stubborn:
    """Has a __float__ that raises."""

    def __float__(self) -> float:
        raise RuntimeError("no number")


def space() -> Space:
    """x in 0..1, and what the row does."""
    return Space({"x": Float(0.0, 1.0), "what": Choice(list(WHAT))})


def problem(objectives: Any = None, constraints: Any = None) -> Problem:
    """A problem over `space()`."""
    return Problem(space(), objectives_of(objectives), constraints_of(constraints))


def behave(params: Mapping[str, Any]) -> Any:
    """x, or whatever the row is to do."""
    x, what = params["x"], params["what"]
    if what in CRASHES:
        _crash(what)
    if what in HANGS:
        _hang(what)
    if what == "raise":
        raise ZeroDivisionError("on purpose")
    if what == "exit":
        sys.exit(3)
    if what == "interrupt":
        raise KeyboardInterrupt
    return {
        "good": lambda: float(x),
        "integer": lambda: round(x),
        "numpy": lambda: np.float64(x),
        "array0d": lambda: np.array(x),
        "nan": lambda: math.nan,
        "inf": lambda: -math.inf,
        "none": lambda: None,
        "text": lambda: "0.5",
        "huge": lambda: 10**400,
        "list": lambda: [x, x],
        "empty": lambda: {},
        "stubborn": Stubborn,
    }[what]()


def _crash(what: str) -> None:
    if what == "_exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGSEGV if what == "segfault" else signal.SIGKILL)
    time.sleep(600)


def _hang(what: str) -> None:
    if what == "brood":
        for apart in (False, True):
            subprocess.Popen([sys.executable, "-ISc", _LEAF], start_new_session=apart)  # noqa: S603
        if os.fork() == 0:  # a daemon: its own session, its parent gone
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
    while what == "spin":
        pass
    time.sleep(600)


async def behave_async(params: Mapping[str, Any]) -> Any:
    """The same, awaited."""
    await asyncio.sleep(0)
    if params["what"] in HANGS:
        await asyncio.Event().wait()
    return behave(params)


def behave_vectorised(columns: Mapping[str, Any]) -> Any:
    """The same for columns: the first row that raises takes the call with it."""
    rows = [{"x": x, "what": str(what)} for x, what in zip(columns["x"].tolist(), columns["what"], strict=True)]
    return np.array([float(behave(row)) for row in rows])


def two(params: Mapping[str, Any]) -> tuple[float, float]:
    """Two objectives."""
    return params["x"], 1.0 - params["x"]


def two_vectorised(columns: Mapping[str, Any]) -> Any:
    """Two objectives, (n, 2)."""
    return np.column_stack([columns["x"], 1.0 - columns["x"]])


def named(params: Mapping[str, Any]) -> dict[str, Any]:
    """Named results; those not declared are components."""
    return {"loss": params["x"], "latency": 100.0 * params["x"], "note": params["what"]}


def named_vectorised(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Named results as columns."""
    return {"loss": columns["x"], "latency": 100.0 * columns["x"], "note": columns["what"]}


def contextual(params: Mapping[str, Any], context: Context) -> float:  # noqa: ARG001 (the context is the point)
    """number + seed / 1000 + fidelity, after two reports."""
    for step in (1, 2):
        if context.report(step, float(context.number)):
            return -1.0
    (context.folder / "file").write_text("removed when the evaluation ends")
    return context.number + context.seed / 1000 + (context.fidelity or 0.0)


async def _contextual(params: Mapping[str, Any], context: Context) -> float:
    return contextual(params, context)


async def _two(params: Mapping[str, Any]) -> tuple[float, float]:
    return two(params)


async def _named(params: Mapping[str, Any]) -> dict[str, Any]:
    return named(params)


FORMS: dict[str, dict[str, Callable[..., Any]]] = {
    "plain": {"behave": behave, "two": two, "named": named, "contextual": contextual},
    "async": {"behave": behave_async, "two": _two, "named": _named, "contextual": _contextual},
    "vectorised": {"behave": behave_vectorised, "two": two_vectorised, "named": named_vectorised},
}
"""form -> objective -> function."""


def make_target(form: str, objective: str, over: Problem) -> Target | None:
    """The target, or None where the form has no such objective."""
    function = FORMS[form].get(objective)
    return None if function is None else Target(function, over, vectorised=form == "vectorised")
