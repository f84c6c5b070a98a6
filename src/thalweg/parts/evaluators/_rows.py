"""What evaluators that call a Python function once per row share: arguments, reading a result, describing an error."""

from __future__ import annotations

import math
import re
import traceback
from collections import deque
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from ...core.batch import Status
from ...core.context import Context, Report
from ...core.errors import EvaluatorError, ObjectiveError, OutOfOrder
from ...core.evaluator import Job, Outcomes
from ...core.target import Target

_FRAMES = 4
_LONGEST = 4_000
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_HERE = (__file__.rpartition("/")[0] + "/",)


@dataclass(slots=True, eq=False)
class Calls:
    """A job with one argument per row, ready to be called."""

    job: Job
    arguments: list[Any]

    @classmethod
    def of(cls, target: Target, job: Job) -> Calls:
        """Decode the job's points."""
        return cls(job, target.arguments(job.reals, job.active))


@dataclass(slots=True)
class Row:
    """One finished evaluation. values: m minimised numbers, NaN where there are none."""

    status: int
    values: tuple[float, ...]
    violation: float = 0.0
    components: dict[str, Any] | None = None
    error: str | None = None


class Rows:
    """Collects the rows of a job in order."""

    def __init__(self, target: Target) -> None:
        self.objectives = len(target.problem.objectives)
        self.constrained = bool(target.problem.constraints)
        self.values: list[tuple[float, ...]] = []
        self.statuses: list[int] = []
        self.seconds: list[float] = []
        self.violations: list[float] = []
        self.components: dict[int, dict[str, Any]] = {}
        self.errors: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.statuses)

    def add(self, row: Row, seconds: float) -> None:
        """Take the next row."""
        if row.components is not None:
            self.components[len(self.statuses)] = row.components
        if row.error is not None:
            self.errors[len(self.statuses)] = row.error
        self.values.append(row.values)
        self.statuses.append(row.status)
        self.seconds.append(seconds)
        self.violations.append(row.violation)

    def outcomes(self, worker: str = "") -> Outcomes:
        """What was collected."""
        count = len(self.statuses)
        return Outcomes(
            np.array(self.values, dtype=np.float64).reshape(count, self.objectives),
            np.array(self.statuses, dtype=np.int8),
            np.array(self.seconds, dtype=np.float64),
            np.array(self.violations, dtype=np.float64) if self.constrained else None,
            [self.components.get(index) for index in range(count)] if self.components else None,
            self.errors,
            worker,
        )


def context_of(job: Job, row: int, report: Report | None = None) -> Context:
    """The second argument of row `row`; `report` stands in for the job's own."""
    return Context(
        int(job.numbers[row]),
        0 if job.seeds is None else int(job.seeds[row]),
        None if job.fidelities is None else float(job.fidelities[row]),
        _report=job.report if report is None else report,
    )


def row_of(target: Target, raw: Any) -> Row:
    """Read what the objective gave; what is not a value becomes a failed row."""
    try:
        reading = target.read(raw)
    except ObjectiveError as error:
        return failed(target, readable(f"{type(error).__name__}: {error}"))
    except BaseException as error:  # an object whose __float__ or comparison raises, whatever it raises
        if isinstance(error, KeyboardInterrupt):
            raise
        return failed(target, describe(error))
    return Row(Status.DONE, reading.values, reading.violation, reading.components)


def failed(target: Target, error: str) -> Row:
    """A row without a value."""
    return Row(Status.FAILED, (math.nan,) * len(target.problem.objectives), error=error)


def call(target: Target, argument: Any, context: Context | None, *, interrupts: bool = True) -> Row:
    """Evaluate one point. A row that a pruner asked to stop is PRUNED, with its value where it gave one.

    Raises:
        KeyboardInterrupt: passed through where `interrupts` (on the main thread). Every other exception, SystemExit
            too, is a failed row.
    """
    function: Any = target.function
    try:
        row = row_of(target, function(argument) if context is None else function(argument, context))
    except BaseException as error:
        if interrupts and isinstance(error, KeyboardInterrupt):
            raise
        row = failed(target, describe(error))
    return row if context is None else finish(row, context)


def finish(row: Row, context: Context) -> Row:
    """Mark a pruned row, remove the evaluation's folder."""
    context.clean()
    if context.should_stop:
        row.status = Status.PRUNED
        row.error = None
    return row


def describe(error: BaseException) -> str:
    """ "Type: message", then the last frames inside the objective, innermost last.

    Bounded (4,000 characters, the middle is dropped), and writable: no lone surrogates, no control characters but line
    ends.
    """
    try:
        head = "".join(traceback.format_exception_only(type(error), error)[-1:]).strip()
    except BaseException:  # its text, its notes, its type's name: all of it is the objective's
        head = ""
    last: deque[tuple[FrameType, int]] = deque(maxlen=_FRAMES)
    step = error.__traceback__
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_HERE):
            last.append((step.tb_frame, step.tb_lineno))
        step = step.tb_next
    frames = traceback.StackSummary.extract(iter(last))
    lines = [f"  {item.filename}:{item.lineno} in {item.name}: {item.line}" for item in frames]
    return "\n".join([readable(head or type.__repr__(type(error))), *map(readable, lines)])


def readable(text: str) -> str:
    """Text from an objective, as it may be shown and stored."""
    if len(text) > _LONGEST:
        dropped = len(text) - _LONGEST
        text = f"{text[: _LONGEST // 2]}[... {dropped} characters dropped ...]{text[-_LONGEST // 2 :]}"
    return _UNREADABLE.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def opened(target: Target | None) -> Target:
    """The target of an open evaluator.

    Raises:
        OutOfOrder: it is not open.
    """
    if target is None:
        raise OutOfOrder("a job came before open() or after aclose(): open the evaluator with a target first")
    return target


def refuse(target: Target, evaluator: str, *, asynchronous: bool = False) -> None:
    """Raise EvaluatorError for targets that `evaluator`, which calls a function row by row, cannot run.

    asynchronous: whether it can run an `async def`.
    """
    if target.program is not None:
        raise EvaluatorError(
            f"evaluator {evaluator!r} calls Python functions, {target.name} is a program: use 'command'"
        )
    if target.vectorised:
        raise EvaluatorError(
            f"evaluator {evaluator!r} calls the objective once per point, but vectorised=True says that {target.name} "
            "takes columns of points: use evaluator='vectorised', or drop vectorised=True"
        )
    if target.asynchronous and not asynchronous:
        raise EvaluatorError(
            f"evaluator {evaluator!r} calls plain functions, {target.name} is an async def: "
            "use evaluator='async' (or 'process', which runs it on a loop of its own)"
        )


def check_workers(workers: Any, evaluator: str) -> int:
    """`workers`, a count >= 1.

    Raises:
        EvaluatorError: it is not.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise EvaluatorError(f"evaluator {evaluator!r}: workers must be a count of at least 1, got {workers!r}")
    return workers
