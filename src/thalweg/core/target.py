"""Anything that can be run, and how what it gives is read."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np

from .batch import Floats, Mask
from .errors import ExpressionError, ObjectiveError
from .problem import Problem
from .program import Program

_BITS = 4096
"""Of the largest integer that is recorded among named results; Python itself refuses to write much larger ones."""


@dataclass(slots=True)
class Reading:
    """One evaluation's result, read: values (minimised), the violation (>= 0), named results."""

    values: tuple[float, ...]
    violation: float = 0.0
    components: dict[str, Any] | None = None


class Target:
    """An objective bound to its problem.

    function: called with the parameters (and a `Context` where it takes a second positional argument), or a `Program`.
    vectorised: the function takes columns of n points and gives n values.
    """

    def __init__(self, function: Callable[..., Any] | Program, problem: Problem, *, vectorised: bool = False) -> None:
        self.function = function
        self.problem = problem
        self.vectorised = vectorised
        self.program = function if isinstance(function, Program) else None
        self.wants_context = self.asynchronous = False
        if not isinstance(function, Program):
            if not callable(function):
                raise ObjectiveError(
                    f"objective: expected a function or a Command, got {type(function).__name__} {function!r:.60}"
                )
            self.wants_context, self.asynchronous = _takes_two(function), _is_async(function)
            _check_call(function, problem, self.name, self.wants_context)

    @property
    def name(self) -> str:
        """A short name for people."""
        return str(getattr(self.function, "__qualname__", None) or type(self.function).__name__)

    @property
    def digest(self) -> str:
        """Hex digits that change when the objective's own code does (what it calls is not looked into); for a program,
        when its command line, the program or its input files do. "" where there is no code to look at.
        """
        from hashlib import blake2b

        if self.program is not None:
            return blake2b(repr(self.program.fingerprint()).encode(), digest_size=8).hexdigest()
        function = getattr(self.function, "func", self.function)
        function = getattr(function, "__func__", function)
        call = getattr(type(function), "__call__", None)  # noqa: B004 (its code is wanted, not whether it is there)
        code = getattr(function, "__code__", None) or getattr(call, "__code__", None)
        return blake2b(_code_text(code).encode(), digest_size=8).hexdigest() if isinstance(code, CodeType) else ""

    def arguments(self, reals: Floats, active: Mask | None) -> list[Any]:
        """k objects as the objective wants them (dicts, arrays or typed objects) from (k, D) decoded points."""
        return self.problem.space.to_params(reals, active)

    def read(self, raw: Any) -> Reading:
        """One evaluation's values.

        Raises:
            ObjectiveError: not a number, a wrong count of numbers, NaN or infinite; the message says what was expected.
        """
        if type(raw) is float and len(self.problem.objectives) == 1 and not self.problem.constraints:
            if raw - raw == 0.0:
                return Reading((raw if self.problem.signs[0] > 0 else -raw,))
            raise ObjectiveError(f"the objective gave {raw}; a finite number is expected")
        if isinstance(raw, Mapping):
            return self._read_named(raw)
        values = self._numbers(raw)
        return self._reading(values, None)

    def _read_named(self, raw: Mapping[str, Any]) -> Reading:
        names = self.problem.names
        if len(names) == 1 and names[0] not in raw and len(raw) == 1:
            values = [_number(next(iter(raw.values())))]
        else:
            missing = [name for name in names if name not in raw]
            if missing:
                raise ObjectiveError(
                    f"the objective gave named values {sorted(map(str, raw))} without {missing}; "
                    f"declare objectives={{name: 'minimize'}} with the names it gives"
                )
            values = [_number(raw[name], name) for name in names]
        return self._reading(values, {_text(str(key)): _component(item) for key, item in raw.items()})

    def _reading(self, values: list[float], components: dict[str, Any] | None) -> Reading:
        for name, value in zip(self.problem.names, values, strict=True):
            if not math.isfinite(value):
                raise ObjectiveError(f"the objective gave {name} = {value}; a finite number is expected")
        violation = 0.0
        if self.problem.constraints:
            known = dict(components or {})
            known.update(zip(self.problem.names, values, strict=True))
            try:
                violation = sum(constraint.violation(known) for constraint in self.problem.constraints)
            except ExpressionError as error:
                raise ObjectiveError(f"a constraint cannot be measured: {error}; give it as a named result") from None
        signed = tuple(value * sign for value, sign in zip(values, self.problem.signs.tolist(), strict=True))
        return Reading(signed, violation, components)

    def _numbers(self, raw: Any) -> list[float]:
        count = len(self.problem.objectives)
        several = isinstance(raw, (tuple, list)) or (isinstance(raw, np.ndarray) and raw.ndim >= 1)
        if not several:
            values = [_number(raw)]
        elif isinstance(raw, np.ndarray) and raw.ndim > 1 and raw.size != 1:
            raise ObjectiveError(f"the objective gave an array of shape {raw.shape}; expected {count} number(s)")
        else:
            values = [_number(item) for item in (raw.ravel() if isinstance(raw, np.ndarray) else raw)]
        if len(values) != count:
            raise ObjectiveError(
                f"the objective gave {len(values)} values, the problem has {count} objective(s); "
                f"declare objectives={len(values)} (or names), or give one number"
            )
        return values


def _number(raw: Any, name: str = "") -> float:
    what = f"{name} = " if name else ""
    if raw is None:
        raise ObjectiveError(f"the objective gave {what}None; a number is expected: is a return missing?")
    if inspect.isawaitable(raw):
        if inspect.iscoroutine(raw):
            raw.close()  # or it would be said that it was never awaited
        raise ObjectiveError(
            f"the objective gave {what}something to await; write it as `async def` and await inside, or give the "
            "coroutine function itself"
        )
    numeric = hasattr(raw, "__float__") or hasattr(raw, "__index__")
    if isinstance(raw, (str, bytes, complex, np.complexfloating, Mapping)) or not numeric:
        raise ObjectiveError(
            f"the objective gave {what}{raw!r:.60} ({type(raw).__name__}); a number is expected: use float()"
        )
    try:
        return float(raw)
    except OverflowError:
        raise ObjectiveError(f"the objective gave {what}a number too large for a float") from None
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"the objective gave {what}{type(raw).__name__}, not a number: {error}") from None


def _component(raw: Any) -> Any:
    """A JSON-able form of a named result."""
    if raw is None or type(raw) in (bool, float):
        return raw
    if isinstance(raw, str):
        return _text(raw)
    if type(raw) is int:
        return raw if raw.bit_length() <= _BITS else f"an integer of {raw.bit_length()} bits"
    if isinstance(raw, (np.ndarray, np.generic)):
        raw = raw.tolist()
        return _component(raw) if isinstance(raw, (list, bool, str, int, float)) else _text(str(raw))
    if isinstance(raw, (list, tuple)):
        return [_component(item) for item in raw]
    if isinstance(raw, Mapping):
        return {_text(str(key)): _component(item) for key, item in raw.items()}
    try:
        return float(raw)
    except (TypeError, ValueError, OverflowError):
        return _text(str(raw))


def _text(raw: str) -> str:
    """Lone surrogates (of file names, of broken input) as escapes: they cannot be written as UTF-8."""
    return str(raw) if raw.isascii() else raw.encode("utf-8", "backslashreplace").decode()


def _code_text(code: CodeType) -> str:
    """Instructions, names and constants of a code object, those of inner functions included; no addresses or lines."""
    inner = [_code_text(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, inner))


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a second positional argument without a default is wanted, or one named `context`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and (
        positional[1].default is inspect.Parameter.empty or positional[1].name == "context"
    )


def _check_call(function: Callable[..., Any], problem: Problem, name: str, context: bool) -> None:
    """Raise ObjectiveError where a function cannot be called with one argument, or wants the parameters one by one."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = {n for n, item in signature.parameters.items() if item.kind in places and item.default is item.empty}
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    by_name = problem.space.kind == "dict" and required <= set(problem.space.names)
    by_name = by_name and (bool(required) or any(item.kind in named for item in signature.parameters.values()))
    try:
        signature.bind(*([None] * (2 if context else 1)))
    except TypeError as error:
        wrong = str(error)
    else:
        if not by_name or len(required) < 2:
            return
        wrong = "it wants the parameters one by one"
    given = {"dict": "a dict", "array": "an array", "object": "an object"}[problem.space.kind]
    short = name if name.isidentifier() else "f"
    hint = f"; write it for that, or give lambda params: {short}(**params)" if by_name else ""
    raise ObjectiveError(
        f"the objective {name}{signature} is called with one argument, {given} of all parameters (and a Context, where "
        f"it takes two), but {wrong}{hint}"
    )


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 (an object with an async __call__ counts)
    inner = getattr(function, "func", function)  # functools.partial
    return any(inspect.iscoroutinefunction(item) for item in (function, call, inner))
