"""Conditions of parameters: which ones a row uses, and what an expression over parameters comes to in each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .batch import Floats, Mask
from .errors import ExpressionError, SpaceError
from .expression import Expression
from .layout import Layout
from .parameter import Parameter


class Conditions:
    """The conditions of a space with P parameters and D columns; true where there are any.

    ordered: (a parameter's number, its condition), every parent before its children.
    rest, rest_reals: (D,) what inactive columns hold in unit points, and what that is in reals.

    Raises:
        SpaceError: a condition that cannot be read, has unknown names, or depends on itself.
    """

    def __init__(self, parameters: Mapping[str, Parameter], layout: Layout) -> None:
        self._parameters, self._layout = parameters, layout
        self._numbers = {name: number for number, name in enumerate(parameters)}
        self.rest, self.rest_reals = (item[0] for item in layout.resolve(np.full((1, layout.dimension), 0.5)))
        self.ordered = self._in_order(self._parse())

    def __bool__(self) -> bool:
        return bool(self.ordered)

    def active(self, reals: Floats) -> Mask:
        """(n, P) which parameters each row uses; inactive columns of `reals` hold their resting value, or any other."""
        active = np.ones((len(reals), len(self._numbers)), dtype=np.bool_)
        for number, condition in self.ordered:
            try:
                active[:, number] = self.holds(condition, reals, active)
            except ExpressionError as error:
                raise SpaceError(f"parameter {list(self._numbers)[number]!r}: when: {error}") from None
        return active

    def holds(self, condition: Expression, reals: Floats, active: Mask) -> Mask:
        """(n,) where every name of a condition is active (n, P), and it is true."""
        parents = active[:, [self._numbers[name] for name in condition.names]]
        return self.truth(condition, reals, np.asarray(parents.all(axis=1)))

    def truth(self, expression: Expression, reals: Floats, asked: Mask) -> Mask:
        """(n,) where `asked` and the expression is true; inactive columns hold anything.

        Columns at once where every name is one scalar per row; else, and where that fails (columns of mixed types), row
        by row as Python would.
        """
        names, blocks = expression.names, self._layout.blocks
        if all(self._parameters[name].scalar for name in names):
            try:
                result = np.asarray(expression.evaluate(self._columns_of(names, reals)), dtype=np.bool_)
                return np.asarray(np.broadcast_to(result, (len(reals),)) & asked, dtype=np.bool_)
            except (ExpressionError, ValueError):
                pass  # one row at a time says which value it was, or succeeds
        truth = np.zeros(len(reals), dtype=np.bool_)
        rows = np.flatnonzero(asked)
        columns = [self._parameters[name].values(reals[rows, block]) for name, block in blocks if name in names]
        ordered = [name for name in self._numbers if name in names]
        for at, row in enumerate(rows.tolist()):
            truth[row] = bool(expression.evaluate({name: c[at] for name, c in zip(ordered, columns, strict=True)}))
        return truth

    def _columns_of(self, names: Iterable[str], reals: Floats) -> dict[str, Any]:
        """The values of some parameters as columns, whether they are active or not; numbers as floats."""
        wanted, blocks = set(names), self._layout.blocks
        filled = np.where(np.isnan(reals), self.rest_reals, reals) if self.ordered else reals
        columns = {name: self._parameters[name].column(filled[:, block]) for name, block in blocks if name in wanted}
        # int64 would wrap around silently, and has no negative powers
        return {name: item.astype(np.float64) if item.dtype.kind == "i" else item for name, item in columns.items()}

    def _parse(self) -> dict[str, Expression]:
        conditions: dict[str, Expression] = {}
        for name, parameter in self._parameters.items():
            if parameter.when is not None:
                try:
                    conditions[name] = Expression(parameter.when)
                    conditions[name].require_names(tuple(self._numbers), "the condition")
                except ExpressionError as error:
                    raise SpaceError(f"parameter {name!r}: when: {error}") from None
        return conditions

    def _in_order(self, waiting: dict[str, Expression]) -> list[tuple[int, Expression]]:
        ordered: list[tuple[int, Expression]] = []
        while waiting:
            ready = [name for name, item in waiting.items() if not set(item.names) & set(waiting)]
            if not ready:
                raise SpaceError(f"the conditions of {sorted(waiting)} depend on each other in a circle")
            ordered += [(self._numbers[name], waiting.pop(name)) for name in ready]
        return ordered
