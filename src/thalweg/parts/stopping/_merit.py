"""What the rules share: which trials count, and how good each of them is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats, Ints, Mask, Status
from ...core.errors import ProblemError
from ...core.stopping import Progress


def counted(progress: Progress) -> Ints:
    """Indices of the evaluations that count: all but the ones that were abandoned. Failed ones do count."""
    return np.flatnonzero(progress.statuses != Status.ABANDONED)


def merits(progress: Progress) -> Floats:
    """(k,) what one objective is judged by (`Answers.merit`): constraints before values, +inf without a value."""
    k = len(progress.statuses)
    nothing = np.empty((k, 0))
    answers = Answers(np.zeros(k, np.int64), nothing, progress.values, progress.statuses, progress.violations)
    return answers.merit()


def feasible(progress: Progress) -> Mask:
    """(k,) where there are finite values and no constraint is violated."""
    good = np.isfinite(progress.values).all(axis=1)
    if progress.violations is not None:
        good &= progress.violations <= 0
    return np.asarray(good, dtype=np.bool_)


def shown(merit: float, sign: float) -> str:
    """The best so far, in words, in the user's own sign."""
    if not np.isfinite(merit):
        return "no value at all so far"
    if merit >= INFEASIBLE:
        return "no feasible value so far"
    return f"best {sign * merit:.6g}"


def whole(name: str, value: Any) -> int:
    """`value` as a positive whole number.

    Raises:
        ProblemError: it is none.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise ProblemError(f"{name}: a whole number of evaluations >= 1 expected, got {value!r}")
    return int(value)


def margin(name: str, value: Any) -> float:
    """`value` as a finite number >= 0.

    Raises:
        ProblemError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise ProblemError(f"{name}: a number >= 0 expected, got {value!r}")
    if not 0.0 <= value < float("inf"):
        raise ProblemError(f"{name}: a finite number >= 0 expected, got {value!r}")
    return float(value)


def dominated(points: Floats, point: Floats) -> Mask:
    """(n,) which of `points` are nowhere better than `point` (minimised)."""
    return np.asarray((points >= point).all(axis=1), dtype=np.bool_)
