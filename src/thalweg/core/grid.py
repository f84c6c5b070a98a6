"""Allowed real numbers, counted: grids behind `Float(step=, precision=, digits=)`. Exact decimals, no drift."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from .batch import Floats
from .errors import SpaceError

FINEST = 2**50
"""More cells than this cannot be told apart in a unit column (float64 has 53 bits)."""
_EXACT_TEN = 22
"""10.0**k is exact for 0 <= k <= 22, so m / 10.0**k and m * 10.0**k are the nearest floats to their decimal text."""


class Grid(ABC):
    """A finite, increasing list of allowed numbers."""

    levels: int
    """How many there are."""
    first = 0
    """What the smallest one is counted as, where counting does not begin at `low`."""

    @abstractmethod
    def at(self, index: Floats) -> Floats:
        """The numbers with these indices 0 .. levels - 1, without drift (0.1 * 3 is 0.3)."""

    @abstractmethod
    def index(self, reals: Floats) -> Floats:
        """The nearest allowed values' indices."""

    def nearest(self, real: float) -> float | None:
        """The number that people mean by `real`: the one next to it if only rounding separates them; else None."""
        index = self.index(np.array([real]))
        here = float(self.at(index)[0])
        if here == real:
            return here
        low, high = (float(self.at(np.clip(index + k, 0, self.levels - 1))[0]) for k in (-1, 1))
        gap = max(high - here, here - low)
        return here if abs(here - real) <= 1e-9 * gap + 4 * math.ulp(real) else None

    def _clip(self, index: Floats) -> Floats:
        return np.minimum(np.maximum(np.rint(index), 0), self.levels - 1)

    def _count(self, levels: int, what: str) -> int:
        if levels > FINEST:
            raise SpaceError(f"Float: {what} makes {levels:.3g} values, too fine for a float; make it coarser")
        return levels

    def _set_ends(self, first: int, levels: int, low: float, high: float) -> None:
        """Set `first` and `levels`, without ends that rounding put outside [low, high]."""
        self.first, self.levels = first, levels
        if self.levels > 0 and self.at(np.zeros(1))[0] < low:
            self.first, self.levels = self.first + 1, self.levels - 1
        if self.levels > 0 and self.at(np.array([self.levels - 1.0]))[0] > high:
            self.levels -= 1


class StepGrid(Grid):
    """low + k * step, up to high."""

    def __init__(self, low: float, high: float, step: float) -> None:
        cells = (high - low) / step if step > 0 else 0.0
        # the bounds were rounded to floats: 32768.001 - 32768 is a little less than 0.001
        slack = min(1e-9 + 2 * math.ulp(max(abs(low), abs(high))) / step, 0.4) if step > 0 else 0.0
        if step <= 0 or (cells + slack < 1 and high > low):
            raise SpaceError(f"Float: a step lies in (0, high - low] = (0, {high - low}], got {step}")
        self.low, self.high, self.step = low, high, step
        self.levels = self._count(math.floor(cells + slack) + 1, f"step={step}")
        # a low such as 0.1 + 0.2 must not put its noise into every value, so few decimals are kept where few are meant
        decimals = max(_decimals(step), min(_decimals(low), 15))
        self.decimals = decimals if decimals <= _EXACT_TEN else None

    def at(self, index: Floats) -> Floats:
        reals = self.low + index * self.step
        if self.decimals is not None:
            reals = np.round(reals, self.decimals)
        return np.minimum(np.maximum(reals, self.low), self.high) + 0.0

    def index(self, reals: Floats) -> Floats:
        return self._clip((reals - self.low) / self.step)


class DecimalGrid(Grid):
    """All numbers with so many decimals in [low, high]."""

    def __init__(self, low: float, high: float, precision: int) -> None:
        if not isinstance(precision, int) or isinstance(precision, bool) or not 0 <= precision <= 15:
            raise SpaceError(f"Float: precision is a number of decimals, 0 to 15, got {precision!r}")
        self.precision, self.scale = precision, 10.0**precision
        if max(abs(low), abs(high)) * self.scale > 2.0**52:
            raise SpaceError(
                f"Float: precision={precision} is too fine for floats between {low} and {high}; use fewer decimals"
            )
        first, last = math.ceil(low * self.scale - 1e-9), math.floor(high * self.scale + 1e-9)
        self._set_ends(first, last - first + 1, low, high)
        self._count(self.levels, f"precision={precision}")
        if self.levels < 1:
            raise SpaceError(f"Float: no number with {precision} decimals lies in [{low}, {high}]; raise precision")

    def at(self, index: Floats) -> Floats:
        reals: Floats = (self.first + index) / self.scale + 0.0
        return reals

    def index(self, reals: Floats) -> Floats:
        return self._clip(reals * self.scale - self.first)


class DigitGrid(Grid):
    """All numbers with so many significant digits in [low, high], low > 0; 9 * 10^(digits - 1) per decade."""

    def __init__(self, low: float, high: float, digits: int) -> None:
        if not isinstance(digits, int) or isinstance(digits, bool) or not 1 <= digits <= 15:
            raise SpaceError(f"Float: digits is a number of significant digits, 1 to 15, got {digits!r}")
        if low <= 0:
            raise SpaceError(f"Float: significant digits need low > 0, got {low}; use precision= (decimals)")
        self.digits, self.base = digits, 10 ** (digits - 1)
        first, last = (int(self._absolute(np.array([end]))[0]) for end in (low, high))
        self._set_ends(first, last - first + 1, low, high)
        self._count(self.levels, f"digits={digits}")
        if self.levels < 1:
            raise SpaceError(f"Float: no number with {digits} significant digits lies in [{low}, {high}]; raise digits")

    def _absolute(self, reals: Floats) -> Floats:
        """Indices counted from 1.0: decade * 9 * base + (mantissa - base)."""
        decade = np.floor(np.log10(reals))
        decade += 10.0 ** (decade + 1) <= reals  # log10 rounds: 999.9999999999999 is in the decade of 100
        decade -= 10.0**decade > reals
        mantissa = np.rint(_shifted(reals, self.digits - 1 - decade))
        index: Floats = decade * (9 * self.base) + mantissa - self.base
        return index

    def at(self, index: Floats) -> Floats:
        absolute = index + self.first
        decade = np.floor(absolute / (9 * self.base))
        mantissa = absolute - decade * (9 * self.base) + self.base
        return _shifted(mantissa, decade - (self.digits - 1))

    def index(self, reals: Floats) -> Floats:
        return self._clip(self._absolute(reals) - self.first)


def _shifted(reals: Floats, places: Floats) -> Floats:
    """reals * 10**places, rounded once where 10**|places| is exact, else through decimal text."""
    power = 10.0 ** np.minimum(np.abs(places), _EXACT_TEN)
    result: Floats = np.where(places >= 0, reals * power, reals / power)
    far = np.abs(places) > _EXACT_TEN
    if far.any():
        pairs = zip(reals[far].tolist(), places[far].tolist(), strict=True)
        result[far] = [_shift_text(real, int(place)) for real, place in pairs]
    return result


def _shift_text(real: float, places: int) -> float:
    mantissa, _, exponent = repr(real).partition("e")
    return float(f"{mantissa}e{int(exponent or 0) + places}")


def _decimals(value: float) -> int:
    """Decimals in the shortest text of `value`."""
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    places = len(mantissa.partition(".")[2].rstrip("0"))
    return max(places - int(exponent or 0), 0)
