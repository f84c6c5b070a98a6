"""What may vary, in words that every optimiser can be told: thalweg, Optuna, and those that know boxes only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One parameter. when: ("parent", (values, ...)): it exists only where the parent has one of these values."""

    name: str
    when: tuple[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class Real(Variable):
    """A number in [low, high]; log: its order of magnitude matters."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Whole(Variable):
    """A whole number in [low, high]."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Pick(Variable):
    """One of the options. ordered: neighbours in the list are alike."""

    options: tuple[Any, ...]
    ordered: bool = False


@dataclass(frozen=True, kw_only=True)
class Order(Variable):
    """An order of 0 .. count - 1."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Some(Variable):
    """Any subset of 0 .. count - 1."""

    count: int


def active(variable: Variable, params: Mapping[str, Any]) -> bool:
    """Whether the variable exists beside these (parents come first)."""
    return variable.when is None or params.get(variable.when[0], _NOTHING) in variable.when[1]


_NOTHING = object()


class Box:
    """The variables as columns of a box, for optimisers that know no more than bounds and integers.

    Logarithmic ones are given as their decimal logarithm (whole numbers too: rounded here), choices as an index, orders
    as random keys, subsets as zeros and ones, conditional ones as columns without effect where they do not exist. This
    is what a careful user would write.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = tuple(variables)
        rows = [row for variable in self.variables for row in self._rows(variable)]
        self.lower = np.array([row[0] for row in rows], dtype=float)
        self.upper = np.array([row[1] for row in rows], dtype=float)
        self.integers = np.array([row[2] for row in rows], dtype=bool)

    @staticmethod
    def _rows(variable: Variable) -> list[tuple[float, float, bool]]:
        match variable:
            case Real(log=True):
                return [(math.log10(variable.low), math.log10(variable.high), False)]
            case Real():
                return [(variable.low, variable.high, False)]
            case Whole(log=True):
                return [(math.log10(variable.low - 0.499), math.log10(variable.high + 0.499), False)]
            case Whole():
                return [(variable.low, variable.high, True)]
            case Pick():
                return [(0, len(variable.options) - 1, True)]
            case Order():
                return [(0.0, 1.0, False)] * variable.count
            case Some():
                return [(0, 1, True)] * variable.count
        raise TypeError(f"no box is known for {variable!r}")

    def params(self, x: np.ndarray) -> dict[str, Any]:
        """The parameters of a point x (D,) inside the box; integer columns are whole already."""
        out: dict[str, Any] = {}
        at = 0
        for variable in self.variables:
            width = variable.count if isinstance(variable, (Order, Some)) else 1
            if active(variable, out):
                out[variable.name] = self._value(variable, x[at : at + width])
            at += width
        return out

    @staticmethod
    def _value(variable: Variable, columns: np.ndarray) -> Any:
        match variable:
            case Real():
                value = float(10.0 ** columns[0]) if variable.log else float(columns[0])
                return min(max(value, variable.low), variable.high)
            case Whole():
                value = round(10.0 ** columns[0]) if variable.log else round(columns[0])
                return min(max(int(value), variable.low), variable.high)
            case Pick():
                return variable.options[int(columns[0])]
            case Order():
                return [int(item) for item in np.argsort(columns, kind="stable")]
            case Some():
                return [int(item) for item in np.flatnonzero(columns > 0.5)]
        raise TypeError(f"no value is known for {variable!r}")


def thalweg_space(variables: Sequence[Variable]) -> dict[str, Any]:
    """The variables as a space of thalweg."""
    import thalweg as tw

    out: dict[str, Any] = {}
    for variable in variables:
        when = None if variable.when is None else {variable.when[0]: list(variable.when[1])}
        match variable:
            case Real():
                out[variable.name] = tw.Float(variable.low, variable.high, log=variable.log, when=when)
            case Whole():
                out[variable.name] = tw.Integer(variable.low, variable.high, log=variable.log, when=when)
            case Pick():
                out[variable.name] = tw.Choice(list(variable.options), ordered=variable.ordered, when=when)
            case Order():
                out[variable.name] = tw.Permutation(range(variable.count), when=when)
            case Some():
                out[variable.name] = tw.Subset(range(variable.count), when=when)
    return out


def optuna_params(trial: Any, variables: Sequence[Variable]) -> dict[str, Any]:
    """The parameters that an Optuna trial suggests, in its own types; orders by random keys, subsets by flags."""
    out: dict[str, Any] = {}
    for variable in variables:
        if not active(variable, out):
            continue
        name = variable.name
        match variable:
            case Real():
                out[name] = trial.suggest_float(name, variable.low, variable.high, log=variable.log)
            case Whole():
                out[name] = trial.suggest_int(name, variable.low, variable.high, log=variable.log)
            case Pick(ordered=True):
                out[name] = variable.options[trial.suggest_int(name, 0, len(variable.options) - 1)]
            case Pick():
                out[name] = trial.suggest_categorical(name, list(variable.options))
            case Order():
                keys = [trial.suggest_float(f"{name}{i}", 0, 1) for i in range(variable.count)]
                out[name] = [int(item) for item in np.argsort(keys, kind="stable")]
            case Some():
                flags = [trial.suggest_categorical(f"{name}{i}", [False, True]) for i in range(variable.count)]
                out[name] = [i for i, flag in enumerate(flags) if flag]
    return out
