"""One call for many points: the objective takes columns and gives a value per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ...core.batch import Floats, Status
from ...core.errors import EvaluatorError, ExpressionError, ObjectiveError
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.expression import Comparison, Expression
from ...core.target import Target
from ._rows import Row, Rows, describe, failed, opened, row_of

_WIDEST = 8  # bytes of a number that Python has a number for
_DONE = int(Status.DONE)  # an enum's member takes NumPy ten times as long


@dataclass(slots=True, eq=False)
class _Block:
    job: Job
    columns: Any


class Vectorised(Evaluator):
    """Calls the objective with blocks of up to `rows` points, in this thread. Not killable.

    The objective gets what `Space.to_columns` gives: {name: (n,), or (n, size) for vectors}, or (n, D) for array
    spaces. It gives (n,), or (n, m) for m objectives, or {name: (n,)} with named results.

    A row that is NaN or infinite is a failed row, the others are kept. When a call raises, the block is halved and both
    halves are called again, down to single rows, so that exactly the bad rows fail (b bad rows among n cost about
    2 b log2(n) further calls). A result of a wrong shape fails the whole block. A call's time is split over its rows.
    """

    suspends = False

    def __init__(self, rows: int = 1024) -> None:
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise EvaluatorError(f"evaluator 'vectorised': rows must be a count of at least 1, got {rows!r}")
        self._rows = rows
        self._target: Target | None = None

    @property
    def slots(self) -> int:
        """One: the caller's thread."""
        return 1

    @property
    def rows(self) -> int:
        """Points per call."""
        return self._rows

    def open(self, target: Target) -> None:
        """Get ready to call `target.function` with columns."""
        if target.program is not None:
            raise EvaluatorError(
                f"evaluator 'vectorised' calls Python functions, {target.name} is a program: use 'command'"
            )
        if not target.vectorised:
            raise EvaluatorError(
                f"evaluator 'vectorised' gives the objective columns of many points, but {target.name} was not said to "
                "take them: pass vectorised=True if it does, or use another evaluator ('inline', 'process')"
            )
        if target.asynchronous:
            raise EvaluatorError(
                f"evaluator 'vectorised' calls plain functions, {target.name} is an async def: use 'async'"
            )
        if target.wants_context:
            raise EvaluatorError(
                f"{target.name} takes a second argument (the context of one evaluation), a vectorised objective gets "
                "columns only: drop the argument, or use an evaluator that works row by row"
            )
        self._target = target

    def prepare(self, job: Job) -> _Block:
        """Make the columns."""
        return _Block(job, opened(self._target).problem.space.to_columns(job.reals, job.active))

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Call the objective with the whole block (and with halves of what raises)."""
        target = opened(self._target)
        job, columns = prepared.job, prepared.columns
        rows = Rows(target)
        todo = [(0, len(job))]  # a stack, so that rows come in order
        while todo:
            first, last = todo.pop()
            began = perf_counter()
            whole = last - first == len(job)
            try:
                raw = target.function(columns if whole else _part(columns, slice(first, last)))  # type: ignore[operator]
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if last - first > 1:
                    middle = (first + last) // 2
                    todo += [(middle, last), (first, middle)]
                    continue
                rows.add(failed(target, describe(error)), perf_counter() - began)
            else:
                seconds = perf_counter() - began
                if whole and (fast := _short(target, raw, last - first, seconds)) is not None:
                    return fast
                for row in _read(target, raw, last - first):
                    rows.add(row, seconds / (last - first))
            if perf_counter() >= job.stop_at:
                break
        return rows.outcomes()

    async def aclose(self) -> None:
        """Forget the target."""
        self._target = None


def _part(columns: Any, rows: slice) -> Any:
    if isinstance(columns, Mapping):
        return {name: column[rows] for name, column in columns.items()}
    return columns[rows]


def _short(target: Target, raw: Any, count: int, seconds: float) -> Outcomes | None:
    """Outcomes of a whole block without reading it row by row; None where it has to be."""
    way = _named if isinstance(raw, Mapping) else _plain
    return way(target, raw, count, seconds)


def _named(target: Target, raw: Mapping[Any, Any], count: int, seconds: float) -> Outcomes | None:
    """The short way for named results: arrays of numbers or booleans, one entry for each row.

    Rows with a value that is not finite are read as any other way would, for their message.
    """
    columns = {str(name): column for name, column in raw.items()}
    names: tuple[str, ...] = target.problem.names
    if len(names) == 1 and len(columns) == 1:
        names = tuple(columns)  # a single result under another name
    if not count or any(name not in columns for name in names) or not all(map(str.isascii, columns)):
        return None
    if not all(_is_plain(column, count) for column in columns.values()):
        return None
    given = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
    # plain numbers, as a store keeps them
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*map(np.ndarray.tolist, columns.values()), strict=True)]
    known = columns | dict(zip(target.problem.names, given.T, strict=True))
    violations = _violations(target.problem.constraints, known, count)
    if violations is None:
        return None
    outcomes = Outcomes(
        given * target.problem.signs,
        np.full(count, _DONE, dtype=np.int8),
        np.full(count, seconds / count),
        violations if target.problem.constraints else None,
        list(rows),
    )
    for index in np.flatnonzero(~np.isfinite(given).all(axis=1)).tolist():
        _put(outcomes, index, row_of(target, rows[index]))
    return outcomes


def _is_plain(column: Any, count: int) -> bool:
    fits = isinstance(column, np.ndarray) and column.shape == (count,)
    return fits and column.dtype.kind in "fiub" and column.dtype.itemsize <= _WIDEST


def _violations(constraints: tuple[Comparison, ...], known: dict[str, Any], count: int) -> Floats | None:
    """(count,) by how much each row misses the constraints; None where they are more than names and numbers."""
    total = np.zeros(count)
    for constraint in constraints:
        for left, op, right in constraint.parts:
            sides = [_side(side, known) for side in (left, right)]
            if sides[0] is None or sides[1] is None:
                return None
            total += _missed(np.broadcast_to(sides[0], count), op, np.broadcast_to(sides[1], count))
    return total


def _side(side: Expression, known: dict[str, Any]) -> Floats | None:
    """A side that is a name (count,) or a number ()."""
    text = side.text.strip()
    if text in known:
        return np.asarray(known[text], dtype=np.float64)
    try:
        return None if side.names else np.asarray(float(side.evaluate({})))
    except (ExpressionError, TypeError, ValueError, OverflowError):
        return None  # whoever reads it row by row says what is wrong with it


def _missed(a: Floats, op: str, b: Floats) -> Floats:
    """By how much `a op b` is missed: as `Comparison.violation` says it."""
    with np.errstate(invalid="ignore", over="ignore"):
        excess = np.where(a == b, 0.0, a - b)
    if op in (">=", ">"):
        excess = -excess
    elif op == "==":
        excess = np.abs(excess)
    missed = excess >= 0 if op in ("<", ">") else excess > 0
    return np.where(missed, np.maximum(excess, 5e-324), np.where(np.isnan(excess), np.inf, 0.0))


def _put(outcomes: Outcomes, index: int, row: Row) -> None:
    """Replace one row."""
    outcomes.values[index], outcomes.statuses[index] = row.values, row.status
    if outcomes.violations is not None:
        outcomes.violations[index] = row.violation
    if outcomes.components is not None:
        outcomes.components[index] = row.components
    if row.error is not None:
        outcomes.errors[index] = row.error


def _plain(target: Target, raw: Any, count: int, seconds: float) -> Outcomes | None:
    """The short way: a float array without names or constraints."""
    problem = target.problem
    width = len(problem.objectives)
    if problem.constraints or not isinstance(raw, np.ndarray) or raw.dtype.kind not in "fiu":
        return None
    if raw.shape not in ((count, width), (count,)) or (raw.ndim == 1 and width != 1):
        return None
    values = np.multiply(raw.reshape(count, width), problem.signs, dtype=np.float64)
    statuses = np.empty(count, dtype=np.int8)
    statuses.fill(_DONE)
    each = np.empty(count)
    each.fill(seconds / max(count, 1))
    finite = np.isfinite(values)
    if np.count_nonzero(finite) == finite.size:
        return Outcomes(values, statuses, each)
    bad = np.flatnonzero(~finite.all(axis=1))
    statuses[bad] = Status.FAILED
    errors = {index: f"ObjectiveError: {_not_finite(raw.reshape(count, width)[index])}" for index in bad.tolist()}
    values[bad] = np.nan
    return Outcomes(values, statuses, each, errors=errors)


def _not_finite(row: Floats) -> str:
    shown = row[0] if len(row) == 1 else row.tolist()
    return f"the objective gave {shown} for this row; finite numbers are expected"


def _read(target: Target, raw: Any, count: int) -> list[Row]:
    """Rows from whatever came back; one error for all of them when its shape is wrong."""
    try:
        return [row_of(target, item) for item in _items(target, raw, count)]
    except ObjectiveError as error:
        row = failed(target, f"{type(error).__name__}: {error}")
    except Exception as error:  # ragged lists, objects that cannot become arrays
        row = failed(target, describe(error))
    return [row] * count


def _items(target: Target, raw: Any, count: int) -> list[Any]:
    """`count` raw results, one per row.

    Raises:
        ObjectiveError: the shape does not fit.
    """
    width = len(target.problem.objectives)
    if isinstance(raw, Mapping):
        named = {str(name): _column(column, count, f"{name!r}") for name, column in raw.items()}
        return [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    what = f"an array ({count},)" if width == 1 else f"an array ({count}, {width})"
    if raw is None:
        raise ObjectiveError(f"the vectorised objective gave None; expected {what}: is a return missing?")
    array = np.asarray(raw)
    if array.shape == (count,) and width == 1:
        return list(array)
    if array.shape == (count, width):
        return [tuple(row) for row in array] if width > 1 else list(array[:, 0])
    swapped = array.shape == (width, count)
    hint = "; it looks transposed: use np.column_stack" if swapped else "; does it treat every row by itself?"
    raise ObjectiveError(f"the vectorised objective gave shape {array.shape}; expected {what}{hint}")


def _column(column: Any, count: int, name: str) -> list[Any]:
    array = np.asarray(column)
    if array.ndim >= 1 and array.shape[0] == count:
        return list(array)
    raise ObjectiveError(
        f"the vectorised objective gave {name} with shape {array.shape}; expected one entry for each of {count} rows"
    )
