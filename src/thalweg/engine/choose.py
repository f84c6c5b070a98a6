"""Which evaluator runs a target when people leave it open, and how many workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import EvaluatorError
from ..core.evaluator import Evaluator
from ..core.target import Target
from ..parts.evaluators import make_evaluator
from .history import History

WORTH_S = 1e-3
"""Evaluations shorter than this are never sent to other processes when the choice is ours: sending costs 0.1 ms."""

Probe = Callable[[History], Evaluator | None]


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_workers(workers: int | str | None) -> int | None:
    """A number of workers from what people write: a count, -1 (all CPUs), "auto" (all CPUs, if it pays), None.

    Raises:
        EvaluatorError: none of these.
    """
    if workers is None or workers == "auto":
        return None
    if isinstance(workers, bool) or not isinstance(workers, (int, np.integer)) or (workers < 1 and workers != -1):
        raise EvaluatorError(f'workers: a count >= 1, -1 (all CPUs) or "auto" is expected, got {workers!r}')
    return cores() if workers == -1 else int(workers)


def choose_evaluator(
    target: Target, given: str | Evaluator | None, workers: int | str | None, deadline: bool
) -> tuple[Evaluator, Probe | None]:
    """(the evaluator, a probe that may choose another one after the first evaluations, or None).

    Raises:
        EvaluatorError: a pair that cannot work, with the reason and what can.
    """
    count = count_workers(workers)
    if given is not None:
        evaluator = make_evaluator(given, workers=count)
        if deadline and not evaluator.killable:
            raise EvaluatorError(
                f"eval_timeout needs an evaluator that can end what runs; {type(evaluator).__name__} cannot. "
                f"Use evaluator={'async' if target.asynchronous else 'process'!r} (or 'ray'), or leave evaluator out"
            )
        return evaluator, None
    if target.program is not None:
        return make_evaluator("command", workers=count or 1), None
    if target.asynchronous:
        return make_evaluator("async", workers=count), None
    if target.vectorised:
        if deadline:
            raise EvaluatorError("eval_timeout does not go with vectorised=True: one call evaluates many points")
        return make_evaluator("vectorised", workers=count), None
    if deadline:
        return make_evaluator("process", workers=count or 1), None
    if count is not None and count > 1:
        return make_evaluator("process", workers=count), None
    if workers == "auto" and cores() > 1:
        return make_evaluator("inline"), _worth_processes
    return make_evaluator("inline"), None


def _worth_processes(history: History) -> Evaluator | None:
    """Processes, if the first evaluations took long enough to be worth sending."""
    seconds: Any = history.seconds[history.final()]
    if len(seconds) and float(np.median(seconds)) >= WORTH_S:
        return make_evaluator("process", workers=cores())
    return None
