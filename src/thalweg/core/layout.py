"""Which columns belong to which parameter, and the one kernel that decodes, snaps and encodes them.

Columns that share a formula are handled together, whichever parameter they belong to: real numbers on a linear scale,
and equally spaced cells (integers, choices). The rest goes through its parameter's own `from_unit` / `to_unit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Floats, Ints
from .choices import Choice
from .parameter import Float, Integer, Parameter

Columns = slice | Ints


class Layout:
    """The column map of a space with P parameters and D columns."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.blocks: list[tuple[str, slice]] = []
        kinds: list[int] = []
        levels: list[float] = []
        owner: list[int] = []
        linear: list[tuple[int, float, float]] = []
        cells: list[tuple[int, float, float, float]] = []
        self.others: list[tuple[slice, Parameter]] = []
        for number, (name, parameter) in enumerate(parameters.items()):
            first = len(kinds)
            block = slice(first, first + parameter.width)
            self.blocks.append((name, block))
            kinds += [parameter.kind] * parameter.width
            levels += [parameter.levels] * parameter.width
            owner += [number] * parameter.width
            columns = range(first, first + parameter.width)
            if isinstance(parameter, Float) and parameter.kind == 0 and not parameter.log:
                linear += [(j, parameter.low, parameter.high) for j in columns]
            elif isinstance(parameter, Integer) and not parameter.log:
                cells += [(j, parameter.low, float(parameter.step), parameter.levels) for j in columns]
            elif isinstance(parameter, Choice):
                cells += [(j, 0.0, 1.0, parameter.levels) for j in columns]
            elif parameter.width:
                self.others.append((block, parameter))
        self.dimension = len(kinds)
        self.kinds = _frozen(np.array(kinds, dtype=np.int8))
        self.levels = _frozen(np.array(levels, dtype=np.float64))
        self.owner = _frozen(np.array(owner, dtype=np.int64))
        self.all_linear = len(linear) == self.dimension
        self._linear = _columns([item[0] for item in linear])
        self._low, self._high = (np.array([item[i] for item in linear]) for i in (1, 2))
        self._span = self._high - self._low
        short = self._low + self._span < self._high  # rounding: the high end would never be reached
        self._span[short] = np.nextafter(self._span[short], np.inf)
        self._cells = _columns([item[0] for item in cells])
        self._start, self._step, self._levels = (np.array([item[i] for item in cells]) for i in (1, 2, 3))
        self._has_linear, self._has_cells = bool(linear), bool(cells)
        self._divisor = np.where(self._span > 0, self._span, 1.0)

    def resolve(self, points: Floats) -> tuple[Floats, Floats]:
        """(snapped points, reals), both (n, D), of unit points (n, D). Continuous columns of points stay."""
        if self.all_linear:
            reals = points * self._span
            reals += self._low
            np.minimum(reals, self._high, out=reals)
            return points, reals
        snapped = points.copy()
        reals = np.empty_like(snapped)
        if self._has_linear:
            reals[:, self._linear] = np.minimum(self._low + points[:, self._linear] * self._span, self._high)
        if self._has_cells:
            index = np.minimum(np.floor(points[:, self._cells] * self._levels), self._levels - 1)
            reals[:, self._cells] = self._start + index * self._step
            snapped[:, self._cells] = (index + 0.5) / self._levels
        for block, parameter in self.others:
            value = parameter.from_unit(points[:, block])
            reals[:, block] = value
            if parameter.kind:
                snapped[:, block] = parameter.to_unit(value)
        return snapped, reals

    def encode(self, reals: Floats) -> Floats:
        """Unit points (n, D) of allowed reals (n, D)."""
        points = np.empty(reals.shape)
        if self._has_linear:
            units = (reals[:, self._linear] - self._low) / self._divisor
            points[:, self._linear] = np.minimum(np.maximum(units, 0.0), 1.0)
        if self._has_cells:
            points[:, self._cells] = ((reals[:, self._cells] - self._start) / self._step + 0.5) / self._levels
        for block, parameter in self.others:
            points[:, block] = parameter.to_unit(reals[:, block])
        return points


def _columns(numbers: list[int]) -> Columns:
    """A slice where the columns are neighbours (views are faster), else their indices."""
    if numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return slice(numbers[0], numbers[0] + len(numbers))
    return np.array(numbers, dtype=np.int64)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
