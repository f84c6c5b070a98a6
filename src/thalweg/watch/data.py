"""What listeners and reports are handed: a run as plain columns. The engine fills it, watch never asks for more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..core.batch import Bytes8, Floats, Ints, Mask, Status
from .spans import Spans
from .text import clean

Kind = Literal["float", "integer", "choice", "ordered"]


@dataclass(slots=True, eq=False)
class Column:
    """One parameter (or one item of a vector parameter) over all trials.

    values: (n,) float64, NaN where the parameter was not active; for choices the index into `options`.
    kind: "float", "integer", "choice" (unordered) or "ordered" (ordered choices and booleans).
    log: the scale the parameter is searched on.  low, high: its bounds (choices: 0 and len(options) - 1).
    options: labels of a choice.
    """

    name: str
    values: Floats
    kind: Kind = "float"
    log: bool = False
    low: float = float("nan")
    high: float = float("nan")
    options: tuple[str, ...] = ()

    def label(self, row: int) -> Any:
        """The value of trial `row` for people: an option's label, an int, a float; None where it was not active."""
        value = float(self.values[row])
        if math.isnan(value):
            return None
        if self.options:
            return self.options[int(value)]
        return round(value) if self.kind == "integer" else value

    def unit(self) -> Floats:
        """(n,) position between the bounds, 0 to 1, on the parameter's own scale; NaN where it was not active."""
        low, high, values = self.range()
        if self.log and low > 0:
            low, high, values = np.log(low), np.log(high), np.log(values)
        width = high - low
        return (values - low) / width if width > 0 else np.where(np.isnan(values), np.nan, 0.5)

    def range(self) -> tuple[float, float, Floats]:
        """(low, high, values): the bounds, or the extremes seen where there are none."""
        if self.options:
            return 0.0, float(len(self.options) - 1), self.values
        seen = self.values[np.isfinite(self.values)]
        if not len(seen):
            seen = np.array([0.0, 1.0])
        low = self.low if np.isfinite(self.low) else float(seen.min())
        high = self.high if np.isfinite(self.high) else float(seen.max())
        return low, high, self.values


@dataclass(slots=True, eq=False)
class RunData:
    """A run: n trials in the order in which they were opened, m objectives.

    values: (n, m) float64 in the user's own sign, NaN where there is none.
    statuses: (n,) int8, see `Status`.  seconds: (n,) float64 inside the objective.
    columns: the parameters.  objectives: m names.  goals: m times "minimize" or "maximize".
    numbers: (n,) trial numbers (None: 0..n-1).  violations: (n,) float64 >= 0, or None where nothing is constrained.
    finished_s: (n,) seconds after the start of the run, or None.  errors: {row: message} of failed trials.
    labels: {row: params by name} for rows whose parameters people should see otherwise than column by column
    (permutations, subsets, vectors); usually the best row and the front.
    chosen: (row, value) of the best where that is not simply the row with the best value: replicates made into one.
    cached: answers that came from the cache, beside the n trials.  reason: why this strategy, in words.
    noisy: replicates may share parameters.  again: evaluations of points that were evaluated before.  flukes: trials
    whose values are left out of their points'.  advice: the recommended point in words, or "".
    budget: evaluations allowed, or None.  added, reused: how many of the n were given, and are results of other
    studies: those count in no budget.
    """

    values: Floats
    statuses: Bytes8
    seconds: Floats
    columns: list[Column] = field(default_factory=list)
    objectives: tuple[str, ...] = ("value",)
    goals: tuple[str, ...] = ("minimize",)
    numbers: Ints | None = None
    violations: Floats | None = None
    finished_s: Floats | None = None
    errors: dict[int, str] = field(default_factory=dict)
    labels: dict[int, dict[str, Any]] = field(default_factory=dict)
    chosen: tuple[int, float] | None = None
    name: str = ""
    strategy: str = ""
    reason: str = ""
    stop_reason: str = ""
    budget: int | None = None
    added: int = 0
    reused: int = 0
    cached: int = 0
    noisy: bool = False
    again: int = 0
    flukes: tuple[int, ...] = ()
    advice: str = ""
    spans: Spans | None = None

    def __len__(self) -> int:
        """How many trials there are."""
        return len(self.statuses)

    @property
    def own(self) -> int:
        """How many trials were evaluated for this study, and count in its budget."""
        return len(self) - self.added - self.reused

    @property
    def signs(self) -> Floats:
        """(m,) +1 where small is good, -1 where large is good."""
        return np.array([-1.0 if goal == "maximize" else 1.0 for goal in self.goals])

    @property
    def ok(self) -> Mask:
        """(n,) True where a trial finished with finite values and violates no constraint."""
        good = np.isfinite(self.values).all(axis=1) & (self.statuses == Status.DONE)
        if self.violations is not None:
            good &= ~(self.violations > 0)
        return np.asarray(good, dtype=np.bool_)

    def count(self, status: Status) -> int:
        """How many trials have this status."""
        return int(np.count_nonzero(self.statuses == status))

    def number(self, row: int) -> int:
        """The trial number of a row."""
        return row if self.numbers is None else int(self.numbers[row])

    def searched_by(self) -> str:
        """The strategy and, where known, why that one: "de: cheap objective"."""
        reason = clean(self.reason)
        if not reason or reason.startswith(self.strategy):
            return reason or clean(self.strategy)
        return f"{clean(self.strategy)}: {reason}"

    def best(self) -> int | None:
        """The row with the best first objective, the earliest of equals; None where no trial is ok."""
        if self.chosen is not None:
            return self.chosen[0]
        good = np.flatnonzero(self.ok)
        if not len(good):
            return None
        return int(good[np.argmin(self.values[good, 0] * self.signs[0])])

    def best_value(self) -> float:
        """The best first objective; NaN where no trial is ok."""
        if self.chosen is not None:
            return self.chosen[1]
        row = self.best()
        return float("nan") if row is None else float(self.values[row, 0])

    def front(self) -> Ints:
        """Rows that no other row beats in every objective, by the first objective; of equal ones all."""
        from ..numerics.dominance import front

        good = np.flatnonzero(self.ok)
        rows = good[front(self.values[good] * self.signs)]
        return rows[np.lexsort((self.values[rows] * self.signs).T[::-1])]

    def params(self, row: int) -> dict[str, Any]:
        """{name: value} of one trial for people, active parameters only."""
        if row in self.labels:
            return self.labels[row]
        shown = {column.name: column.label(row) for column in self.columns}
        return {name: value for name, value in shown.items() if value is not None}
