"""The ways people write a space, turned into named parameters."""

from __future__ import annotations

import copy
import dataclasses
import enum
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .choices import Boolean, Choice, Fixed, Permutation, Subset
from .errors import SpaceError
from .parameter import Float, Integer, Parameter

KINDS: dict[str, type[Parameter]] = {
    kind.__name__: kind for kind in (Float, Integer, Choice, Boolean, Permutation, Subset, Fixed)
}
_HOW = (
    "a space is a dict {name: parameter}, a dataclass with Annotated[type, parameter] fields, "
    "[(low, high), ...], or [(name, low, high), ...]"
)
_NEWER = "was it written by a newer version?"


def parameters_of(given: Any) -> tuple[dict[str, Parameter], str, type | None]:
    """(parameters by name, what the objective gets: "dict" | "array" | "object", the dataclass or None).

    Raises:
        SpaceError: none of the known forms, or a bad parameter; the message names it.
    """
    if isinstance(given, Mapping):
        if not given:
            raise SpaceError(f"an empty space has nothing to search; {_HOW}")
        return {_name(key): _parameter(key, item) for key, item in given.items()}, "dict", None
    if isinstance(given, type) and dataclasses.is_dataclass(given):
        return _from_dataclass(given), "object", given
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] == 2:
        given = given.tolist()
    if type(given).__name__ == "Bounds" and hasattr(given, "lb"):  # scipy.optimize.Bounds
        lower, upper = np.broadcast_arrays(np.atleast_1d(given.lb), np.atleast_1d(given.ub))
        given = list(zip(lower.tolist(), upper.tolist(), strict=True))
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = given.tolist()
    if isinstance(given, Sequence) and given and all(map(_is_number, given)):
        raise SpaceError(
            f"{given!r:.80} is one point or one pair of bounds, not a space; bounds are [(low, high), ...], a first "
            f"point is given as initial=[...]; {_HOW}"
        )
    if isinstance(given, Sequence) and given and not isinstance(given, (str, bytes)):
        return _from_rows(given)
    if callable(given) and not isinstance(given, type):
        raise SpaceError(f"{given!r:.80} is a function, not a space; the objective comes first, the space second")
    raise SpaceError(f"{given!r:.80} is not a space; {_HOW}")


def _name(key: Any) -> str:
    if not isinstance(key, str) or not key:
        raise SpaceError(f"parameter names are non-empty strings, got {key!r}")
    return key


def _parameter(name: Any, given: Any) -> Parameter:
    """A parameter from itself or a short form: (low, high), a list of options, or a constant."""
    try:
        if isinstance(given, Parameter):
            return given
        if isinstance(given, type) and issubclass(given, Parameter):
            raise SpaceError(f"{given.__name__} is a class; write {given.__name__}(...)")
        if isinstance(given, tuple) and len(given) == 2 and all(_is_number(item) for item in given):
            whole = all(isinstance(item, (int, np.integer)) for item in given)
            return Integer(int(given[0]), int(given[1])) if whole else Float(float(given[0]), float(given[1]))
        if isinstance(given, (list, set, frozenset)):
            return Choice(_sorted(given) if isinstance(given, (set, frozenset)) else given)
        if given is None or isinstance(given, (bool, int, float, str, np.generic)):
            return Fixed(given)
    except SpaceError as error:
        raise type(error)(f"parameter {name!r}: {error}") from None
    raise SpaceError(
        f"parameter {name!r}: expected a parameter such as Float(0, 1), a (low, high) pair, a list of options or a "
        f"constant, got {given!r:.60}"
    )


def _sorted(items: Any) -> list[Any]:
    """A set's items in an order that is the same in every process."""
    try:
        return sorted(items)
    except TypeError:  # items of several types
        return sorted(items, key=lambda item: (type(item).__name__, repr(item)))


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float, np.integer, np.floating)) and not isinstance(item, bool)


def _from_rows(rows: Sequence[Any]) -> tuple[dict[str, Parameter], str, type | None]:
    """SciPy's [(low, high), ...] (the objective gets an array), or [(name, low, high), ...] (it gets a dict)."""
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    sizes = {len(row) if isinstance(row, Sequence) and not isinstance(row, str) else 0 for row in rows}
    if sizes == {2} and all(_is_number(item) for row in rows for item in row):
        width = len(str(len(rows) - 1))
        found: dict[str, Parameter] = {}
        for i, (low, high) in enumerate(rows):
            try:
                found[f"x{i:0{width}d}"] = Float(low, high)
            except SpaceError as error:
                raise SpaceError(f"bounds row {i} {rows[i]!r}: {error}") from None
        return found, "array", None
    if sizes == {3} and all(isinstance(row[0], str) for row in rows):
        names = [row[0] for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpaceError(f"parameter names must differ, {twice} come twice")
        return {row[0]: _parameter(row[0], (row[1], row[2])) for row in rows}, "dict", None
    raise SpaceError(f"rows of {sorted(sizes)} entries are not a space; {_HOW}")


def _from_dataclass(kind: type) -> dict[str, Parameter]:
    """Fields annotated with a parameter, or with bool, an Enum or a Literal; a field's default becomes its default.
    Other fields are constants (with a default), or left to the dataclass (with a default_factory)."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise SpaceError(
            f"{kind.__name__}: an annotation cannot be read ({error}); define it at module level"
        ) from None
    found: dict[str, Parameter] = {}
    for item in dataclasses.fields(kind):
        if not item.init:
            continue
        parameter = _from_hint(hints[item.name])
        if parameter is None and item.default_factory is not dataclasses.MISSING:
            continue  # the dataclass makes it, anew for every object
        if parameter is None and isinstance(item.default, Parameter):
            parameter = item.default
        if parameter is None and item.default is not dataclasses.MISSING:
            parameter = _parameter(item.name, item.default)
        if parameter is None:
            raise SpaceError(
                f"field {item.name!r} of {kind.__name__} has no parameter; write "
                f"{item.name}: Annotated[float, Float(low, high)], or give it a constant default"
            )
        constant = item.default is not dataclasses.MISSING and not isinstance(item.default, Parameter)
        if parameter.default is None and constant:
            parameter = copy.copy(parameter)  # one annotation may serve several fields
            parameter.default = item.default
        found[item.name] = parameter
    if not found:
        raise SpaceError(f"{kind.__name__} has no fields; {_HOW}")
    return found


class Refused(dict[str, Any]):
    """The parameters of a point that the dataclass refuses, in its `__post_init__` for instance.

    What it raised is raised again when a field is read: so the evaluation of the point fails, and the study goes on.
    """

    def __init__(self, values: Mapping[str, Any], error: Exception) -> None:
        super().__init__(values)
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._error


def built(kind: type, values: dict[str, Any]) -> Any:
    """The typed object with these values of its fields; `Refused` where it raises."""
    try:
        return kind(**values)
    except Exception as error:
        return Refused(values, error)


def _from_hint(hint: Any) -> Parameter | None:
    if typing.get_origin(hint) is typing.Annotated:
        return next((item for item in hint.__metadata__ if isinstance(item, Parameter)), None)
    if hint is bool:
        return Boolean()
    if typing.get_origin(hint) is typing.Literal:
        return Choice(list(typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        members = list(hint)
        return Choice(members, labels=[member.name for member in members])
    return None


def parameter_of_spec(parameter: str, spec: Mapping[str, Any]) -> Parameter:
    """The parameter that `Parameter.spec` described; `parameter` is its name.

    Raises:
        SpaceError: an unknown type (was it written by a newer version?).
    """
    options = dict(spec)
    name = options.pop("type", None)
    if name not in KINDS:
        raise SpaceError(f"stored parameter {parameter!r} has the unknown type {name!r}; {_NEWER}")
    try:
        return KINDS[name](**options)
    except TypeError as error:
        raise SpaceError(f"stored parameter {parameter!r} cannot be read ({error}); {_NEWER}") from None
