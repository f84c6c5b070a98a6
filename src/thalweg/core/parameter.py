"""Parameters: what may vary. Each owns a block of unit columns and an equal block of real columns.

    Parameter
    ├── Float        a real number; linear or log; optionally on a grid (step, precision, digits)
    ├── Integer      a whole number; linear or log; optionally on a grid (step)
    ├── Choice       one of several objects, ordered or not        (see choices.py, like those below)
    ├── Boolean      False or True
    ├── Permutation  an order of items
    ├── Subset       some of several items
    └── Fixed        always the same value; owns no column

Reals are float64: numbers as they are, choices as indices, permutations as item indices by position, subsets as 0/1
masks. Scales, steps and rounding live in `to_unit` / `from_unit` and nowhere else; rounding happens in real space.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Floats
from .errors import SpaceError
from .grid import FINEST, DecimalGrid, DigitGrid, Grid, StepGrid

CONTINUOUS, ORDERED, UNORDERED, KEY = 0, 1, 2, 3
"""Kinds of columns: real numbers; discrete with an order; discrete without; random keys of permutations and subsets."""

When = str | Mapping[str, Any] | None
_EXACT = 2.0**53
_NEAR_WHOLE = 1e-5
"""A number this near to a whole one is meant to be it, where people give integers."""
_LOG_EXACT = 2.0**44
"""Log integers above this many steps are not told apart by exp(log(value))."""


class Parameter(ABC):
    """Something that may vary.

    when: a condition on other parameters ("method == 'lzma2'", or {"method": "lzma2"} / {"method": ["a", "b"]});
    where it does not hold the parameter is inactive: absent from the dict, None in a dataclass, not part of the key.
    default: the value of `initial="defaults"`.
    """

    kind: int = CONTINUOUS
    width: int = 1
    """Columns it owns."""
    plain_float = False
    """Its Python value is the real itself."""
    scalar = True
    """Its value is one thing, not a list of things."""

    def __init__(self, when: When = None, default: Any = None) -> None:
        self.when = _condition(when)
        self.default = default

    @property
    def levels(self) -> float:
        """Distinct cells of one of its columns; inf for continuous columns and random keys."""
        return math.inf

    @property
    @abstractmethod
    def count(self) -> int | None:
        """How many values it has; None: not finite."""

    @abstractmethod
    def from_unit(self, points: Floats) -> Floats:
        """(n, width) reals, snapped to allowed values, from unit columns (n, width)."""

    @abstractmethod
    def to_unit(self, reals: Floats) -> Floats:
        """(n, width) unit columns, in the middle of their cells, from allowed reals (n, width)."""

    @abstractmethod
    def values(self, reals: Floats) -> list[Any]:
        """n Python values from reals (n, width)."""

    @abstractmethod
    def code(self, value: Any) -> Sequence[float]:
        """`width` reals of one Python value.

        Raises:
            SpaceError: not a value of this parameter.
        """

    @abstractmethod
    def cells(self, index: NDArray[Any]) -> Floats:
        """(n, width) reals of the values with these indices (n,) in 0 .. count - 1."""

    def column(self, reals: Floats) -> NDArray[Any]:
        """The values as one array, for vectorised objectives: (n,) or (n, width)."""
        return np.array(self.values(reals))

    def labels(self, reals: Floats) -> list[Any]:
        """n JSON-able values that name the same thing in every process."""
        return self.values(reals)

    def from_label(self, label: Any) -> Sequence[float]:
        """`width` reals of what `labels` gave."""
        return self.code(label)

    def from_labels(self, labels: list[Any]) -> Floats:
        """(n, width) reals of n labels.

        Raises:
            SpaceError: a label that names nothing here.
        """
        return np.array([self.from_label(item) for item in labels], dtype=np.float64).reshape(len(labels), self.width)

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Plain data that describes it (see `Space.spec`)."""

    def _spec(self, **more: Any) -> dict[str, Any]:
        return {"type": type(self).__name__, **{key: item for key, item in more.items() if item is not None}}

    def __repr__(self) -> str:
        body = ", ".join(f"{key}={item!r}" for key, item in self.spec().items() if key != "type")
        return f"{type(self).__name__}({body})"


def _condition(when: When) -> str | None:
    if when is None or isinstance(when, str):
        return when
    if isinstance(when, Mapping) and when:
        return " and ".join(_equation(name, item) for name, item in when.items())
    raise SpaceError(
        f"when: expected an expression such as \"kind == 'a'\" or a dict such as {{'kind': 'a'}}, got {when!r}"
    )


def _equation(name: Any, wanted: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise SpaceError(f"when: a condition needs a name that is an identifier, got {name!r}; rename the parameter")
    if isinstance(wanted, (set, frozenset)):
        # sets have a different order in every process, a condition must read the same in all of them
        return f"{name} in [{', '.join(sorted(map(_constant, wanted)))}]"
    if isinstance(wanted, (list, tuple)):
        return f"{name} in [{', '.join(map(_constant, wanted))}]"
    return f"{name} == {_constant(wanted)}"


def _constant(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return repr(value)
    raise SpaceError(
        f"when: conditions compare with None, True, False, numbers and strings, got {value!r:.60} "
        f"({type(value).__name__}); give the choice string options and look the objects up in the objective"
    )


def _real(value: Any, what: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise SpaceError(f"{what}: a number is expected, got {value!r} ({type(value).__name__})")
    try:
        real = float(value)
    except OverflowError:
        raise SpaceError(f"{what}: {value!r:.40} is too large") from None
    if not math.isfinite(real):
        raise SpaceError(f"{what}: a finite number is expected, got {value!r}")
    return real + 0.0  # -0.0 and 0.0 are one key


class _Number(Parameter):
    """What Float and Integer share: bounds, a scale, vectors."""

    def __init__(self, low: Any, high: Any, *, log: bool, size: int | None, when: When, default: Any) -> None:
        super().__init__(when, default)
        kind = type(self).__name__
        self.low, self.high = _real(low, f"{kind} low"), _real(high, f"{kind} high")
        if self.low > self.high:
            raise SpaceError(f"{kind}: low must not exceed high, got low={low}, high={high}; are they swapped?")
        if not math.isfinite(self.high - self.low):
            raise SpaceError(f"{kind}: high - low is too large for a float, got low={low}, high={high}; use log=True")
        if log and self.low <= 0:
            raise SpaceError(f"{kind}: a log scale needs low > 0, got low={low}; shift the bounds or drop log=True")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise SpaceError(f"{kind}: size is a number of entries >= 1, got {size!r}")
        self.log = bool(log)
        self.size = size
        self.width = 1 if size is None else size
        self.scalar = size is None

    def code(self, value: Any) -> Sequence[float]:
        if self.size is None:
            return (self._code(value),)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or len(value) != self.size:
            raise SpaceError(f"a sequence of {self.size} numbers is expected, got {value!r:.80}")
        return [self._code(item) for item in value]

    def _code(self, value: Any) -> float:
        real = _real(value, "value")
        if not self.low <= real <= self.high:
            raise SpaceError(f"{value!r} is outside [{self._show(self.low)}, {self._show(self.high)}]")
        return real

    def from_labels(self, labels: list[Any]) -> Floats:
        if self.size is None and {*map(type, labels)} <= {float, int}:
            reals = np.array(labels, dtype=np.float64) + 0.0
            if self.allows(reals):
                return reals[:, None]
        return super().from_labels(labels)  # one at a time: near misses of the grid, and errors

    def allows(self, reals: Floats) -> bool:
        """Whether every one of these reals is a value, to the bit."""
        inside = bool(((reals >= self.low) & (reals <= self.high)).all())
        return inside and np.array_equal(self._nearest(reals), reals)

    @abstractmethod
    def _nearest(self, reals: Floats) -> Floats:
        """The allowed values next to reals inside the bounds."""

    def _show(self, real: float) -> str:
        return repr(real)

    def values(self, reals: Floats) -> list[Any]:
        rows: list[Any] = reals.tolist()
        return rows if self.size is not None else [row[0] for row in rows]

    def column(self, reals: Floats) -> NDArray[Any]:
        return reals[:, 0] if self.size is None else reals


class Float(_Number):
    """A real number in [low, high].

    log: equal ratios are equal distances (low > 0).  step: values are low + k * step, without drift.
    precision: values are rounded to that many decimals.  digits: to that many significant digits (low > 0).
    size: a vector of that many such numbers (a list in dicts, (n, size) for vectorised objectives).
    """

    def __init__(
        self,
        low: float,
        high: float,
        *,
        log: bool = False,
        step: float | None = None,
        precision: int | None = None,
        digits: int | None = None,
        size: int | None = None,
        when: When = None,
        default: Any = None,
    ) -> None:
        super().__init__(low, high, log=log, size=size, when=when, default=default)
        if sum(item is not None for item in (step, precision, digits)) > 1:
            raise SpaceError("Float: give one of step, precision (decimals) and digits (significant), not several")
        if step is not None and log:
            raise SpaceError("Float: a step is linear, log is not; use digits= for a grid on a log scale")
        self.step, self.precision, self.digits = step, precision, digits
        self._grid = self._make_grid()
        self._cells = isinstance(self._grid, (StepGrid, DecimalGrid)) and not self.log
        """Its values are equally spaced, so each gets an equal share of the unit column."""
        self._log_low, self._log_span = _log_scale(self.low, self.high) if self.log else (0.0, 1.0)
        self.kind = CONTINUOUS if self._grid is None else ORDERED
        self.plain_float = size is None

    def _make_grid(self) -> Grid | None:
        if self.step is not None:
            return StepGrid(self.low, self.high, _real(self.step, "Float step"))
        if self.precision is not None:
            return DecimalGrid(self.low, self.high, self.precision)
        if self.digits is not None:
            return DigitGrid(self.low, self.high, self.digits)
        return None

    @property
    def levels(self) -> float:
        if self.low == self.high:
            return 1.0
        return math.inf if self._grid is None else float(self._grid.levels)

    @property
    def count(self) -> int | None:
        if self.low == self.high:
            return 1
        return None if self._grid is None else self._grid.levels ** int(self.width)

    def from_unit(self, points: Floats) -> Floats:
        reals: Floats
        if self._grid is not None and self._cells:
            return self._grid.at(np.minimum(np.floor(points * self._grid.levels), self._grid.levels - 1))
        if self.log:
            reals = np.exp(self._log_low + points * self._log_span)
        else:
            reals = self.low + points * (self.high - self.low)
        if self._grid is not None:
            return self._grid.at(self._grid.index(reals))
        return np.minimum(np.maximum(reals, self.low), self.high)

    def to_unit(self, reals: Floats) -> Floats:
        if self.low == self.high:
            return np.full(reals.shape, 0.5)
        if self._grid is not None and self._cells:
            return (self._grid.index(reals) + 0.5) / self._grid.levels
        if self.log:
            units = (np.log(reals) - self._log_low) / self._log_span
        else:
            units = (reals - self.low) / (self.high - self.low)
        return np.minimum(np.maximum(units, 0.0), 1.0)

    def _code(self, value: Any) -> float:
        real = super()._code(value)
        if self._grid is not None:
            meant = self._grid.nearest(real)
            if meant is None:
                nearest = float(self._grid.at(self._grid.index(np.array([real])))[0])
                raise SpaceError(f"{value!r} is not on the grid of allowed values; the nearest is {nearest!r}")
            return meant
        return real

    def _nearest(self, reals: Floats) -> Floats:
        return reals if self._grid is None else self._grid.at(self._grid.index(reals))

    def cells(self, index: NDArray[Any]) -> Floats:
        if self._grid is None:
            if self.low == self.high:
                return np.full((len(index), self.width), self.low)
            raise SpaceError("a continuous Float has no cells to enumerate")
        return self._grid.at(_unravel(index, self._grid.levels, self.width))

    def spec(self) -> dict[str, Any]:
        return self._spec(
            low=self.low, high=self.high, log=self.log or None, step=self.step, precision=self.precision,
            digits=self.digits, size=self.size, when=self.when,
        )  # fmt: skip


class Integer(_Number):
    """A whole number in [low, high], both included; always an `int` for the objective.

    log: equal ratios are equal distances (low >= 1).  step: values are low + k * step.  size: a vector of them.
    """

    kind = ORDERED

    def __init__(
        self,
        low: int,
        high: int,
        *,
        log: bool = False,
        step: int = 1,
        size: int | None = None,
        when: When = None,
        default: Any = None,
    ) -> None:
        super().__init__(low, high, log=log, size=size, when=when, default=default)
        for name, item in (("low", self.low), ("high", self.high), ("step", _real(step, "Integer step"))):
            if item != math.floor(item):
                raise SpaceError(f"Integer: {name} must be whole, got {item}; use Float for real numbers")
        if max(abs(self.low), abs(self.high)) >= _EXACT:
            raise SpaceError(f"Integer: bounds must stay below 2**53 in size, got [{low}, {high}]")
        if step < 1:
            raise SpaceError(f"Integer: step must be at least 1, got {step}")
        self.step = int(step)
        self._levels = (int(self.high) - int(self.low)) // self.step + 1
        if self._levels > FINEST or (self.log and self.high / self.step > _LOG_EXACT):
            most = "2**44 steps on a log scale" if self.log else "2**50 values"
            raise SpaceError(f"Integer: at most {most} can be told apart, got [{low}, {high}]; give a larger step")
        self._top = self.low + (self._levels - 1) * self.step
        half = min(self.step / 2, self.low / 2) if self.log else 0.0
        self._log_low, self._log_high = (
            (math.log(self.low - half), math.log(self._top + self.step / 2)) if self.log else (0.0, 1.0)
        )

    @property
    def levels(self) -> float:
        return float(self._levels)

    @property
    def count(self) -> int | None:
        return int(self._levels**self.width)

    def from_unit(self, points: Floats) -> Floats:
        if self.log:
            reals = np.exp(self._log_low + points * (self._log_high - self._log_low))
            index = np.rint((reals - self.low) / self.step)  # in real space: every integer can come up
        else:
            index = np.floor(points * self._levels)
        return self.low + np.minimum(np.maximum(index, 0), self._levels - 1) * self.step

    def to_unit(self, reals: Floats) -> Floats:
        if self.log:
            return (np.log(reals) - self._log_low) / (self._log_high - self._log_low)
        return ((reals - self.low) / self.step + 0.5) / self._levels

    def _code(self, value: Any) -> float:
        real = _real(value, "value")
        if math.isfinite(real) and abs(real - round(real)) <= _NEAR_WHOLE:
            value = round(real)  # what arithmetic left of a whole number
        real = super()._code(value)
        if real != math.floor(real):
            raise SpaceError(f"a whole number is expected, got {value!r}")
        if (real - self.low) % self.step:
            below = self.low + (real - self.low) // self.step * self.step
            raise SpaceError(
                f"{value!r} is not {self._show(self.low)} + k * {self.step}; the next below is {int(below)}"
            )
        return real

    def _show(self, real: float) -> str:
        return str(int(real))

    def values(self, reals: Floats) -> list[Any]:
        rows: list[Any] = reals.astype(np.int64).tolist()
        return rows if self.size is not None else [row[0] for row in rows]

    def column(self, reals: Floats) -> NDArray[Any]:
        whole = reals.astype(np.int64)
        return whole[:, 0] if self.size is None else whole

    def _nearest(self, reals: Floats) -> Floats:
        return self.low + np.floor((reals - self.low) / self.step) * self.step

    def cells(self, index: NDArray[Any]) -> Floats:
        return self.low + _unravel(index, self._levels, self.width) * self.step

    def spec(self) -> dict[str, Any]:
        return self._spec(
            low=int(self.low), high=int(self.high), log=self.log or None, step=self.step if self.step != 1 else None,
            size=self.size, when=self.when,
        )  # fmt: skip


def _log_scale(low: float, high: float) -> tuple[float, float]:
    """(start, span) such that exp(start) <= low and exp(start + span) >= high: both ends are reached after clipping."""
    start, end = float(np.log(low)), float(np.log(high))
    while np.exp(start) > low:
        start = float(np.nextafter(start, -np.inf))
    while np.exp(start + (end - start)) < high:
        end = float(np.nextafter(end, np.inf))
    return start, (end - start) or 1.0


def _unravel(index: NDArray[Any], levels: int, width: int) -> Floats:
    """(n, width) digits of the indices (n,) in base `levels`."""
    digits = np.empty((len(index), width))
    for j in range(width):
        digits[:, j] = (index % levels).astype(np.float64)
        index = index // levels
    return digits
