"""The space: named parameters, conditions, requirements; the one place where unit points and real values meet.

Unit points (n, D) are what strategies see; reals (n, D) are what keys, caches and stores hold; `active` (n, P) says
which of the P parameters a row uses (None: all). Inactive columns are 0.5-cells in points and NaN in reals.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

import numpy as np

from . import feasibility, forms
from .batch import Bytes8, Floats, Ints, Mask
from .branches import Branches, branches_of
from .choices import Choice, Fixed
from .conditions import Conditions
from .errors import SpaceError
from .expression import Expression
from .layout import Layout

COUNTABLE = 500_000
"""Spaces with conditions or requirements are counted exactly up to this many combinations of the names involved."""


class Space:
    """What may vary.

    given: a dict {name: parameter | (low, high) | [options] | constant}, a dataclass (the objective then gets the typed
    object), [(low, high), ...] or scipy.optimize.Bounds (the objective gets an array), or [(name, low, high), ...].
    require: conditions between parameters that every evaluated point satisfies ("a + b <= 1", or functions of the
    parameters).

    Raises:
        SpaceError: what is wrong, with the parameter's name.
    """

    def __init__(self, given: Any, *, require: Iterable[str | Callable[[Any], Any]] = ()) -> None:
        self.parameters, self.kind, self.type = forms.parameters_of(given)
        self.names = tuple(self.parameters)
        self.layout = Layout(self.parameters)
        self.dimension: int = self.layout.dimension
        self.kinds: Bytes8 = self.layout.kinds
        self.levels: Floats = self.layout.levels
        self.blocks: tuple[tuple[str, slice], ...] = tuple(self.layout.blocks)
        self.conditions = Conditions(self.parameters, self.layout)
        self.requirements: list[feasibility.Requirement] = []
        self._check_conditions()
        self._size: int | None = None
        self._counted = False
        self._pool: Floats | None = None
        self._plain = all(p.plain_float for p in self.parameters.values()) and not self.conditions
        self._check_defaults()
        several = isinstance(require, Iterable) and not isinstance(require, str) and not callable(require)
        conditions: Iterable[Any] = require if several else [require]
        for condition in conditions:
            self.require(condition)

    @classmethod
    def of(cls, given: Any) -> Space:
        """`given` if it is a Space, else a Space of it."""
        return given if isinstance(given, cls) else cls(given)

    def require(self, condition: str | Callable[[Any], Any]) -> Space:
        """Add a condition between parameters; gives the space itself.

        A string is an expression over parameter names; it does not apply to points where one of them is inactive. A
        function gets the parameters as the objective does and gives True where the point may be evaluated.
        """
        made = feasibility.requirement(condition, self.names)
        if made.expression is not None:
            self._doubt(made.expression, "require")
        self.requirements.append(made)
        self._counted, self._pool = False, None
        return self

    @property
    def conditional(self) -> bool:
        """Whether some parameter has a condition."""
        return bool(self.conditions)

    @property
    def constrained(self) -> bool:
        """Whether there are requirements between parameters."""
        return bool(self.requirements)

    # --- unit points and reals ------------------------------------------------------------------------------------

    def resolve(self, points: Floats) -> tuple[Floats, Floats, Mask | None]:
        """(snapped points (n, D), reals (n, D), active (n, P) or None) of unit points (n, D)."""
        snapped, reals = self.layout.resolve(points)
        if not self.conditions:
            return snapped, reals, None
        active = self.conditions.active(reals)
        columns = active[:, self.layout.owner]
        if not columns.all():
            snapped = np.where(columns, snapped, self.conditions.rest)
            reals = np.where(columns, reals, np.nan)
        return snapped, reals, active

    def snap(self, points: Floats) -> Floats:
        """Points (n, D) in the middle of their cells; idempotent. Continuous columns stay as they are."""
        return self.resolve(points)[0]

    def decode(self, points: Floats) -> Floats:
        """Reals (n, D) of unit points (n, D)."""
        return self.resolve(points)[1]

    def encode(self, reals: Floats) -> Floats:
        """Unit points (n, D) of reals (n, D); inactive columns (NaN) get their resting value."""
        if not self.conditions:
            return self.layout.encode(reals)
        missing = np.isnan(reals)
        filled = np.where(missing, self.conditions.rest_reals, reals)
        return np.where(missing, self.conditions.rest, self.layout.encode(filled))

    def active(self, reals: Floats) -> Mask | None:
        """(n, P) which parameters each row uses; None where all are always used."""
        if not self.conditions:
            return None
        inactive = np.isnan(reals)
        filled = np.where(inactive, self.conditions.rest_reals, reals)
        return self.conditions.active(filled)

    def keys(self, reals: Floats) -> list[bytes]:
        """One canonical key per row: the bits of the active real values."""
        if not self.dimension:
            return [b""] * len(reals)
        rows = np.ascontiguousarray(reals, dtype=np.float64).view(f"V{8 * self.dimension}")
        keys: list[bytes] = rows.ravel().tolist()  # a tenth of the time of slicing the bytes
        return keys

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """(n, D) feasible snapped points, uniform over the unit cube (given feasibility).

        Raises:
            InfeasibleSpace: no feasible point was found.
        """
        points = self.snap(rng.random((n, self.dimension)))
        return feasibility.redraw(self, points, rng) if self.requirements else points

    def repair(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Feasible points (n, D) near `points`; feasible ones stay as they are.

        An infeasible one moves towards one of the nearest known feasible points until it is feasible (by bisection).
        """
        return feasibility.repair(self, points, rng) if self.requirements else points

    def feasible(self, reals: Floats, active: Mask | None = None) -> Mask:
        """(n,) whether each row satisfies every requirement."""
        result = np.ones(len(reals), dtype=np.bool_)
        if self.requirements and len(reals):
            if active is None:
                active = self.active(reals)
            for requirement in self.requirements:
                if requirement.function is None:
                    result &= requirement.holds(self, reals, active)
            for requirement in self.requirements:
                if requirement.function is not None and result.any():  # functions are slow, and may rely on the rest
                    rows = np.flatnonzero(result)
                    result[rows] = requirement.holds(self, reals[rows], None if active is None else active[rows])
        return result

    @property
    def pool(self) -> Floats:
        """Some feasible points (m, D), towards which others are repaired; drawn when they are first needed."""
        if self._pool is None:
            self._pool = feasibility.pool(self)
        return self._pool

    # --- values for people, objectives and stores -----------------------------------------------------------------

    def to_params(self, reals: Floats, active: Mask | None = None) -> list[Any]:
        """n dicts, arrays (D,) or typed objects, as the objective wants them; inactive ones are absent (or None)."""
        if self.kind == "array":
            return list(reals.copy())
        if self._plain and self.type is None:
            return self._dicts(reals)
        if active is None and self.conditions:
            active = self.active(reals)
        rows = self.rows(reals, active, "values")
        if self.type is None:
            return rows
        nothing = dict.fromkeys(self.names) if active is not None else {}
        return [forms.built(self.type, {**nothing, **row}) for row in rows]

    def to_labels(self, reals: Floats, active: Mask | None = None) -> list[dict[str, Any]]:
        """n JSON-able dicts of the active parameters, the same in every process."""
        if self._plain:
            return self._dicts(reals)
        if active is None and self.conditions:
            active = self.active(reals)
        return self.rows(reals, active, "labels")

    def _dicts(self, reals: Floats) -> list[dict[str, Any]]:
        """n dicts where every parameter is one plain number; two thirds of the time of a comprehension."""
        rows: list[list[float]] = reals.tolist()
        return list(map(dict, map(zip, repeat(self.names), rows)))

    def rows(self, reals: Floats, active: Mask | None, method: Literal["values", "labels"]) -> list[dict[str, Any]]:
        """n dicts of the active parameters (None: all): values as objectives get them, or labels as stores do."""
        if active is None:
            columns = [getattr(self.parameters[name], method)(reals[:, block]) for name, block in self.blocks]
            names = self.names
            return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        rows: list[dict[str, Any]] = [{} for _ in range(len(reals))]
        for i, (name, block) in enumerate(self.blocks):
            used = np.flatnonzero(active[:, i])
            values = getattr(self.parameters[name], method)(reals[used, block])
            for row, value in zip(used.tolist(), values, strict=True):
                rows[row][name] = value
        return rows

    def to_columns(self, reals: Floats, active: Mask | None = None) -> Any:
        """Columns for vectorised objectives: {name: (n,) or (n, size)}, or (n, D) for array spaces.

        Inactive numbers are NaN, other inactive values None.
        """
        if self.kind == "array":
            return reals.copy()
        if self._plain:
            return dict(zip(self.names, reals.T.copy(), strict=True))
        if active is None and self.conditions:
            active = self.active(reals)
        reals = reals.copy()  # objectives may work in place
        columns: dict[str, Any] = {}
        for i, (name, block) in enumerate(self.blocks):
            used = None if active is None or active[:, i].all() else active[:, i]
            if used is None:
                columns[name] = self.parameters[name].column(reals[:, block])
                continue
            values = self.parameters[name].column(reals[used][:, block])
            number = values.dtype.kind in "iuf"
            whole = np.full((len(reals), *values.shape[1:]), np.nan if number else None, float if number else object)
            whole[used] = values
            columns[name] = whole
        return columns

    def from_params(self, given: Sequence[Any]) -> Floats:
        """Reals (n, D) of n points as people write them (dicts, arrays or typed objects), exactly as typed.

        Raises:
            SpaceError: a missing, unknown or impossible value, or a point that misses a requirement. What is given for
                inactive parameters must be possible, and is then ignored.
        """
        reals = np.full((len(given), self.dimension), np.nan)
        for row, item in enumerate(given):
            self._fill(reals[row], self._as_dict(item))
        self._check_given(reals, given)
        return reals

    def from_labels(self, given: Sequence[Mapping[str, Any]]) -> Floats:
        """Reals (n, D) of what `to_labels` gave.

        Raises:
            SpaceError: an option that is gone, or a missing, unknown or impossible value.
        """
        reals = np.full((len(given), self.dimension), np.nan)
        found = 0
        for name, block in self.blocks:
            parameter = self.parameters[name]
            rows: Any = slice(None)
            try:
                labels = [item[name] for item in given]
            except KeyError:
                rows = [row for row, item in enumerate(given) if name in item]
                labels = [given[row][name] for row in rows]
            found += len(labels)
            if labels:
                try:
                    reals[rows, block] = parameter.from_labels(labels)
                except SpaceError as error:
                    raise SpaceError(f"parameter {name!r}: {error}") from None
            if len(labels) < len(given) and parameter.width and parameter.when is None:
                self._refuse_missing(name, next(item for item in given if name not in item))
        if found < sum(map(len, given)):
            for item in given:
                self._refuse_unknown(item)
        self._drop_inactive(reals, given)
        return reals

    def _refuse_missing(self, name: str, item: Mapping[str, Any]) -> None:
        raise SpaceError(f"parameter {name!r} is missing; the point has {list(item)}")

    def _refuse_unknown(self, item: Mapping[str, Any]) -> None:
        unknown = [name for name in item if name not in self.parameters]
        if unknown:
            raise SpaceError(f"{unknown} are not parameters of this space; it has {list(self.names)}")

    def _as_dict(self, item: Any) -> Mapping[str, Any]:
        if isinstance(item, Mapping):
            return item
        if self.type is not None and isinstance(item, self.type):
            values = {name: getattr(item, name) for name in self.names}
            return {name: v for name, v in values.items() if v is not None or self._may_be_none(name)}
        if self.kind == "array" and hasattr(item, "__len__") and len(item) == self.dimension:
            return dict(zip(self.names, np.asarray(item, dtype=np.float64).tolist(), strict=True))
        wanted = f"an array of {self.dimension} numbers" if self.kind == "array" else f"a dict with {list(self.names)}"
        raise SpaceError(f"a point is {wanted}, got {item!r:.80}")

    def _may_be_none(self, name: str) -> bool:
        """Whether None in a typed object is a value, rather than the mark of an inactive parameter."""
        parameter = self.parameters[name]
        return not parameter.when or (
            isinstance(parameter, (Choice, Fixed)) and any(item is None for item in parameter.items.objects)
        )

    def _fill(self, row: Floats, item: Mapping[str, Any]) -> None:
        self._refuse_unknown(item)
        for name, block in self.blocks:
            parameter = self.parameters[name]
            if name in item:
                try:
                    row[block] = parameter.code(item[name])
                except SpaceError as error:
                    raise SpaceError(f"parameter {name!r}: {error}") from None
            elif parameter.width and parameter.when is None:
                self._refuse_missing(name, item)

    def _check_given(self, reals: Floats, given: Sequence[Any]) -> None:
        active = self._drop_inactive(reals, given)
        good = self.feasible(reals, active)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            missed = [item.text for item in self.requirements if not item.holds(self, reals[row : row + 1], None).all()]
            raise SpaceError(f"the point {given[row]!r:.80} misses the requirement {' and '.join(missed)}")

    def _drop_inactive(self, reals: Floats, given: Sequence[Any]) -> Mask | None:
        """What is active; the other columns become NaN, for values of inactive parameters mean nothing."""
        active = self.active(reals)
        if active is not None:
            columns = active[:, self.layout.owner]
            for row, column in zip(*np.nonzero(columns & np.isnan(reals)), strict=True):
                name = self.names[self.layout.owner[column]]
                raise SpaceError(f"parameter {name!r} is missing, and it is active in {given[row]!r:.80}")
            reals[~columns] = np.nan
        return active

    def _check_defaults(self) -> None:
        for name, parameter in self.parameters.items():
            if parameter.default is not None:
                try:
                    parameter.code(parameter.default)
                except SpaceError as error:
                    raise SpaceError(f"parameter {name!r}: default: {error}") from None

    @property
    def defaults(self) -> dict[str, Any] | None:
        """The point made of every parameter's default; None where an active one has none."""
        point = {name: item.default for name, item in self.parameters.items() if item.default is not None}
        try:
            self.from_params([point])
        except SpaceError:
            return None
        return point

    # --- finite spaces --------------------------------------------------------------------------------------------

    @property
    def raw_size(self) -> int | None:
        """Combinations of all values, conditions and requirements ignored; None: not finite."""
        total = 1
        for parameter in self.parameters.values():
            if parameter.count is None:
                return None
            total *= parameter.count
        return total

    @property
    def size(self) -> int | None:
        """How many different feasible points there are; None: not finite, or too many to count (see COUNTABLE)."""
        if not self._counted:
            self._size, self._counted = feasibility.count(self, COUNTABLE), True
        return self._size

    @cached_property
    def branches(self) -> Branches | None:
        """The different points by index, where conditions make far fewer of them than there are combinations."""
        if not self.conditions or (self.raw_size or 0) <= COUNTABLE:
            return None
        return branches_of(self, {name for _, item in self.conditions.ordered for name in item.names}, COUNTABLE)

    def cells(self, start: int, stop: int) -> Floats:
        """Snapped points (stop - start, D) of the raw combinations with these indices; the first parameter is fastest.

        With conditions some combinations are the same point; with requirements some are infeasible.
        """
        return self.cells_at(np.array(list(range(start, stop)), dtype=object if stop > 2**62 else np.int64))

    def cells_at(self, index: Ints) -> Floats:
        """Snapped points (n, D) of the raw combinations with indices (n,) in 0 .. raw_size - 1."""
        reals = np.empty((len(index), self.dimension))
        if (self.raw_size or 0) > 2**62:  # counts beyond int64 need Python's integers
            index = index.astype(object)
        for name, block in self.blocks:
            parameter = self.parameters[name]
            if parameter.count is None:
                raise SpaceError(f"parameter {name!r} has infinitely many values: this space has no cells")
            reals[:, block] = parameter.cells(index % parameter.count)
            index = index // parameter.count
        return self.snap(self.layout.encode(reals))

    # --- conditions -----------------------------------------------------------------------------------------------

    def _check_conditions(self) -> None:
        """What is wrong with conditions is found when the space is made, not at the first point."""
        for number, condition in self.conditions.ordered:
            self._doubt(condition, f"parameter {self.names[number]!r}: when")
        if self.conditions:
            self.resolve(self.conditions.rest[None])

    def _doubt(self, condition: Expression, where: str) -> None:
        """Warn of a text that is compared with a choice and is none of its options: mostly it is misspelt."""
        for name, text in condition.compared():
            parameter = self.parameters[name]
            options = parameter.options if isinstance(parameter, Choice) else []
            if options and text not in options and all(isinstance(item, str) for item in options):
                told = f"{where}: {condition.text!r} compares {name!r} with {text!r}, which is none of its options"
                warnings.warn(f"{told} ({', '.join(options[:12])})", stacklevel=4)

    # --- description ----------------------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        """Plain data from which `from_spec` makes the same space (function requirements are named, not kept)."""
        return {
            "kind": "array" if self.kind == "array" else "dict",  # a typed object is a dict to a store
            "parameters": [[name, item.spec()] for name, item in self.parameters.items()],
            "require": [item.text for item in self.requirements],
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Space:
        """The space that `spec` described; objects without a label come back as their labels, objects as dicts."""
        parameters = {name: forms.parameter_of_spec(name, item) for name, item in spec["parameters"]}
        space = cls(parameters, require=[text for text in spec["require"] if not text.startswith("<")])
        if spec["kind"] == "array":
            space.kind = "array"
        return space

    def __repr__(self) -> str:
        return f"Space({dict(self.parameters)!r})"
