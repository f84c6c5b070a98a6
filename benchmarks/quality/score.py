"""Scores from traces: the area under the fraction of targets reached, over the logarithm of evaluations in [d, B].

Targets: 51 absolute gaps 1e2 .. 1e-8 (as COCO has them); for practical problems 51 shares 1 .. 1e-4 of the way between
the median best of 10d random points and the best value known. A run that ended early keeps what it had.
"""

from __future__ import annotations

import numpy as np

TARGETS = np.logspace(2, -8, 51)
SHARES = np.logspace(0, -4, 51)


def gap_at(trace: np.ndarray, count: float) -> float:
    """The best gap after `count` evaluations; trace: (k, 2) rows (evaluations, gap)."""
    row = int(np.searchsorted(trace[:, 0], count, side="right")) - 1
    return float(trace[row, 1]) if row >= 0 else np.inf


def reached(trace: np.ndarray, count: float, targets: np.ndarray = TARGETS) -> float:
    """The fraction of targets reached after `count` evaluations."""
    return float(np.mean(gap_at(trace, count) <= targets))


def area(trace: np.ndarray, dimension: int, budget: float, targets: np.ndarray = TARGETS) -> float:
    """The mean over log(evaluations) in [d, B] of the fraction of targets reached."""
    low, high = np.log(dimension), np.log(budget)
    times = np.full(len(targets), np.inf)
    order = np.minimum.accumulate(trace[:, 1]) if len(trace) else np.empty(0)
    if len(order):
        # first row whose gap is at or below the target: gaps decrease, so search in the negated ones
        rows = np.searchsorted(-order, -targets, side="left")
        hit = rows < len(order)
        times[hit] = trace[rows[hit], 0]
    return float(np.mean(np.clip((high - np.log(np.maximum(times, dimension))) / (high - low), 0.0, 1.0)))


def area_in_time(
    trace: np.ndarray, dimension: int, budget: float, cost_s: float, targets: np.ndarray = TARGETS
) -> float:
    """The same area over log(time) in [d, B] * cost_s, when each evaluation takes cost_s and the solver its own time.

    trace: (k, 3), whose last column is the solver's CPU seconds up to that evaluation. A solver that thinks long has
    less of its trace inside the time that B evaluations take.
    """
    if trace.shape[1] < 3:
        raise SystemExit("these traces were made without times; run the solver again with --fresh")
    late = trace.copy()
    late[:, 0] = trace[:, 0] + trace[:, 2] / cost_s
    return area(late, dimension, budget, targets)
