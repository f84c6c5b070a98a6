"""The final table: what was found, why it stopped, what it took."""

from __future__ import annotations

from ..core.batch import Ints, Status
from .data import RunData
from .text import align, clean, clip, count, number, seconds, width

LIMIT = 36
"""The widest column, in characters."""

ROWS = 20
"""The most rows of a Pareto table; the ends and even steps between them are kept."""

_COLUMNS = 8  # parameters beside the objectives in a Pareto table


def table(data: RunData, limit: int = LIMIT) -> str:
    """Several aligned lines of plain text, safe to print whatever the names contain. `limit`: widest column."""
    parts = [_head(data, limit)]
    best = data.best()
    if best is None:
        parts.append(_nothing(data))
    elif len(data.objectives) > 1:
        parts.append(pareto_table(data, limit))
    else:
        parts.append(_best(data, best, limit))
    parts.append(align(_facts(data), limit=160))
    return "\n\n".join(part for part in parts if part)


def _head(data: RunData, limit: int) -> str:
    goals = ", ".join(f"{goal} {clip(name, limit)}" for name, goal in zip(data.objectives, data.goals, strict=True))
    return f"{clip(data.name, limit)}: {goals}" if data.name else goals


def _best(data: RunData, row: int, limit: int) -> str:
    lines = [("best " + data.objectives[0], number(data.best_value(), 9), f"trial {data.number(row)}")]
    shown = [(f"  {name}", number(value, 9), _where(data, name)) for name, value in data.params(row).items()]
    return align(lines + shown, limit=limit)


def _where(data: RunData, name: str) -> str:
    column = next((item for item in data.columns if item.name == name), None)
    if column is None:
        return ""
    if column.options:
        return f"of {len(column.options)} choices"
    return f"in [{number(column.low)}, {number(column.high)}]{' log' if column.log else ''}"


def pareto_table(data: RunData, limit: int = LIMIT) -> str:
    """The non-dominated trials, one a line, sorted by the first objective."""
    front = data.front()
    shown = _thinned(front)
    names = list(dict.fromkeys(name for row in shown for name in data.params(int(row))))
    kept = names[:_COLUMNS]
    header = ["trial", *data.objectives, *kept]
    rows = []
    for row in shown.tolist():
        params = data.params(row)
        values = [number(float(value)) for value in data.values[row]]
        rows.append([str(data.number(row)), *values, *(number(params.get(name)) for name in kept)])
    text = align(rows, header, limit, right=range(1 + len(data.objectives)))
    notes = [f"{len(front)} trials on the Pareto front"]
    if len(shown) < len(front):
        notes.append(f"{len(shown)} of them shown")
    if len(kept) < len(names):
        notes.append(f"{len(names) - len(kept)} more parameters not shown")
    return f"{'; '.join(notes)}\n{text}"


def _thinned(front: Ints) -> Ints:
    if len(front) <= ROWS:
        return front
    steps = [round(i * (len(front) - 1) / (ROWS - 1)) for i in range(ROWS)]
    return front[steps]


def _nothing(data: RunData) -> str:
    if not len(data):
        return "no evaluation was made"
    infeasible = int((data.violations > 0).sum()) if data.violations is not None else 0
    if infeasible:
        return f"no feasible trial: {infeasible} of {len(data)} violate a constraint"
    message = next(iter(data.errors.values()), "").split("\n", 1)[0]
    return f"no trial gave a value{f'; the first failure: {clip(message, 120)}' if message else ''}"


def _facts(data: RunData) -> list[tuple[str, str]]:
    rows = [
        ("stopped", clean(data.stop_reason or "not by this process; this is how it stands")),
        ("evaluations", _evaluations(data)),
    ]
    if data.strategy:
        said = data.searched_by().partition(";")[0]
        rows.append(("strategy", clip(said if width(said) <= 120 else said.partition(": ")[0], 120)))
    if data.spans is not None:
        wall = f"{seconds(data.spans.wall_s)}: " if data.spans.wall_s > 0 else ""
        rows.append(("time", wall + data.spans.describe()))
    return rows


def _evaluations(data: RunData) -> str:
    total = f"{count(data.own)} of {count(data.budget)}" if data.budget is not None else count(data.own)
    kinds = (
        (data.count(Status.FAILED), "failed"),
        (data.count(Status.TIMEOUT), "timed out"),
        (data.count(Status.PRUNED), "pruned"),
        (data.count(Status.ABANDONED), "abandoned"),
        (data.cached, "more from the cache"),
        (data.added, "more were given"),
    )
    notes = [f"{count(number_of)} {word}" for number_of, word in kinds if number_of]
    return f"{total} ({', '.join(notes)})" if notes else total
