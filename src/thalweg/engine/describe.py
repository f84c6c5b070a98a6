"""A study as the plain columns that watch understands."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.batch import Floats
from ..core.choices import Choice, Permutation, Subset
from ..core.parameter import Float, Integer, Parameter
from ..watch.data import Column, Kind, RunData
from .history import History

if TYPE_CHECKING:
    from .result import Result


def run_data(result: Result) -> RunData:
    """The finished trials of `result` as columns."""
    history, problem = result.history, result.problem
    numbers = result.finished
    row_of = {number: row for row, number in enumerate(numbers.tolist())}
    sources = Counter(map(history.sources.get, row_of))
    data = RunData(
        values=history.values[numbers] * problem.signs,
        statuses=history.statuses[numbers],
        seconds=history.seconds[numbers],
        columns=_columns(history, history.reals[numbers]),
        objectives=problem.names,
        goals=tuple(item.goal for item in problem.objectives),
        numbers=numbers,
        violations=history.violations[numbers] if history.constrained else None,
        finished_s=_finished(history, numbers),
        errors={row_of[number]: text for number, text in history.errors.items() if number in row_of},
        name=result.name,
        strategy=result.strategy,
        reason=result.why,
        stop_reason=result.stop_reason,
        budget=result.budget,
        added=sources["added"],
        reused=sources["cache"],
        cached=result.cached,
        noisy=result.noisy,
        again=int((history.replicates[numbers] > 0).sum()),
        flukes=tuple(result.groups.flukes()),
        spans=result.spans,
    )
    if result.groups.grouped and result.best_number is not None:
        data.chosen = (row_of[result.best_number], result.value)
    _label(data, result, numbers)
    return data


def _finished(history: History, numbers: Any) -> Floats | None:
    started = history.started[numbers]
    if not len(numbers) or np.isnan(started).all():
        return None
    return np.asarray(started - np.nanmin(started) + np.nan_to_num(history.seconds[numbers]))


def _label(data: RunData, result: Result, numbers: Any) -> None:
    """Full parameters of the rows people look at, where columns cannot show them."""
    if all(isinstance(item, (Float, Integer, Choice)) and item.width == 1 for item in _parameters(result)):
        return
    best = data.best()
    rows = {int(row) for row in data.front()[:200]} if len(data.objectives) > 1 else set()
    if best is not None:
        rows.add(best)
    space = result.problem.space
    for row in rows:
        reals = result.history.reals[numbers[row]][None]
        active = space.active(reals)
        shown = space.rows(reals, active, "values")[0]
        data.labels[row] = shown


def _parameters(result: Result) -> list[Parameter]:
    return list(result.problem.space.parameters.values())


def _columns(history: History, reals: Floats) -> list[Column]:
    columns: list[Column] = []
    for name, block in history.space.blocks:
        parameter = history.space.parameters[name]
        part = reals[:, block]
        for j in range(parameter.width):
            columns.append(_column(name, parameter, part[:, j], j))
    return columns


def _column(name: str, parameter: Parameter, values: Floats, j: int) -> Column:
    if isinstance(parameter, (Float, Integer)):
        shown = name if parameter.size is None else f"{name}[{j}]"
        kind: Kind = "float" if isinstance(parameter, Float) else "integer"
        return Column(shown, values, kind, parameter.log, parameter.low, parameter.high)
    if isinstance(parameter, Choice):
        options = tuple(str(item) for item in parameter.items.spec())
        kind = "ordered" if parameter.ordered else "choice"
        return Column(name, values, kind, False, 0.0, len(options) - 1.0, options)
    if isinstance(parameter, Subset):
        return Column(f"{name}:{parameter.items.spec()[j]}", values, "ordered", False, 0.0, 1.0, ("no", "yes"))
    assert isinstance(parameter, Permutation)
    items = tuple(str(item) for item in parameter.items.spec())
    return Column(f"{name}[{j}]", values, "choice", False, 0.0, len(items) - 1.0, items)
