"""Parameters as that interface declares them, and what they came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from numbers import Real
from typing import Any

from ...core.choices import Choice
from ...core.errors import SpaceError
from ...core.parameter import Float, Integer
from ...core.space import Space


class ParameterType(Enum):
    """What a parameter's values are."""

    INTEGER = auto()
    FLOAT = auto()
    CATEGORICAL = auto()


@dataclass
class Parameter:
    """A parameter. min_value, max_value: of numbers, both included.  choices: of categories.  step: of a grid that
    begins at min_value, which every strategy keeps to."""

    name: str
    type: ParameterType
    min_value: int | float | None = None
    max_value: int | float | None = None
    choices: list[Any] | None = None
    step: int | float | None = None


@dataclass
class OptimizationResult:
    """What an optimisation came to.

    parameters: the best ones.  score: theirs, minimised.  history: {"parameters", "score"} of every evaluation, in
    order (a failed one has the score inf and an "error").  iterations: how many there were.  elapsed_time: seconds.
    improvement: the first score less the best one.
    """

    parameters: dict[str, Any] | None
    score: float
    history: list[dict[str, Any]] = field(default_factory=list)
    iterations: int = 0
    elapsed_time: float = 0.0
    improvement: float = 0.0
    stop_reason: str = ""


def space_of(parameters: Sequence[Parameter]) -> Space:
    """The space that parameters span.

    Raises:
        SpaceError: a parameter that cannot be; the message names it.
    """
    if not parameters:
        raise SpaceError("parameters: at least one Parameter is expected, got none")
    names = [item.name for item in parameters]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SpaceError(f"parameters: {twice[0]!r} is there twice; give each a name of its own")
    return Space({item.name: _parameter(item) for item in parameters})


def _parameter(item: Parameter) -> Any:
    if item.type is ParameterType.CATEGORICAL:
        if not item.choices:
            raise SpaceError(f"parameter {item.name!r}: choices= with at least one option is expected")
        return Choice(list(item.choices))
    if not isinstance(item.type, ParameterType):
        raise SpaceError(f"parameter {item.name!r}: type= is a ParameterType, got {item.type!r}")
    for name in ("min_value", "max_value"):
        if not _is_number(getattr(item, name)):
            raise SpaceError(f"parameter {item.name!r}: {name}= is a number, got {getattr(item, name)!r}")
    low, high = float(item.min_value or 0), float(item.max_value or 0)
    if low > high:
        raise SpaceError(f"parameter {item.name!r}: min_value {item.min_value} is above max_value {item.max_value}")
    if item.step is not None and (not _is_number(item.step) or item.step <= 0):
        raise SpaceError(f"parameter {item.name!r}: step= is a number > 0, got {item.step!r}")
    if item.type is ParameterType.INTEGER:
        return Integer(math.ceil(low), math.floor(high), step=1 if item.step is None else max(1, int(item.step)))
    return Float(low, high, step=None if item.step is None else float(item.step))


def _is_number(given: Any) -> bool:
    return isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(float(given))
