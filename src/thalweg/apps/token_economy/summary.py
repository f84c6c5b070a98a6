"""Metrics over paths: means with their Monte-Carlo errors, quantiles, the mean of the worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...core.batch import Floats
from .metrics import METRICS, SCORES

TAIL = 0.05
"""The share of the paths that is the worst."""
TWO_SIDED = 1.96
"""Standard errors on each side of a mean: 95 %."""
WEIGHTS = {"price_stability": 0.3, "network_security": 0.3, "liquidity": 0.2, "energy_efficiency": 0.2}
"""The weighted objective, where nothing else is said."""


def weights_of(given: dict[str, float] | None) -> dict[str, float]:
    """Weights of scores, made to sum to 1.

    Raises:
        ProblemError: an unknown score, a negative weight, or nothing but zeros.
    """
    from ...core.errors import ProblemError

    weights = dict(WEIGHTS if given is None else given)
    for name, weight in weights.items():
        if name not in SCORES:
            raise ProblemError(f"weights: scores are {', '.join(SCORES)}; got {name!r}")
        if not (isinstance(weight, (int, float)) and 0 <= weight < math.inf):
            raise ProblemError(f"weights: {name} must be a number >= 0, got {weight!r}")
    total = sum(weights.values())
    if not total > 0:
        raise ProblemError(f"weights: at least one must be above 0, got {weights}")
    return {name: weight / total for name, weight in weights.items()}


def tail_mean(values: Floats, better: str, share: float = TAIL) -> Floats:
    """(n,) CVaR of (n, P) values: the mean of the worst `share` of the paths (at least one).

    R. T. Rockafellar, S. Uryasev, Journal of Risk 2 (2000) 21-41, doi:10.21314/JOR.2000.038.
    better: "more" (the lowest are the worst), "less" or "" (the highest are).
    """
    count = max(1, round(share * values.shape[1]))
    ordered = np.sort(values, axis=1)
    worst = ordered[:, :count] if better == "more" else ordered[:, -count:]
    return np.asarray(worst.mean(axis=1))


def tail_error(values: Floats, better: str, share: float = TAIL) -> Floats:
    """(n,) standard errors of `tail_mean`: those of the mean of q - max(q - x, 0) / share, q the quantile."""
    signed = values if better == "more" else -values
    edge = np.quantile(signed, share, axis=1, keepdims=True)
    return error_of(edge - np.maximum(edge - signed, 0.0) / share)


def error_of(values: Floats) -> Floats:
    """(n,) standard error of the mean over paths of (n, P) values; 0 for a single path says nothing, so it is NaN."""
    paths = values.shape[1]
    if paths < 2:
        return np.full(len(values), np.nan)
    return np.asarray(values.std(axis=1, ddof=1) / math.sqrt(paths))


@dataclass(frozen=True)
class Summary:
    """n configurations. paths: {metric: (n, P)}.  cost: seconds, cpu_seconds, memory_bytes, path_days of the call."""

    paths: dict[str, Floats]
    cost: dict[str, float]
    count: int

    @cached_property
    def mean(self) -> dict[str, Floats]:
        """{metric: (n,)}."""
        return {name: values.mean(axis=1) for name, values in self.paths.items()}

    @cached_property
    def error(self) -> dict[str, Floats]:
        """{metric: (n,) Monte-Carlo standard errors of the means}."""
        return {name: error_of(values) for name, values in self.paths.items()}

    @cached_property
    def worst(self) -> dict[str, Floats]:
        """{metric: (n,) mean of the worst 5 % of the paths}."""
        return {name: tail_mean(values, METRICS[name].better) for name, values in self.paths.items()}

    def quantile(self, name: str, levels: Sequence[float] = (0.05, 0.5, 0.95)) -> Floats:
        """(levels, n)."""
        return np.quantile(self.paths[name], levels, axis=1)

    def weighted(self, weights: dict[str, float] | None = None) -> Floats:
        """(n, P) weighted sum of scores, path by path; between 0 and 1, more is better."""
        total = np.zeros_like(self.paths[SCORES[0]])
        for name, weight in weights_of(weights).items():
            total += weight * self.paths[name]
        return total

    def performance(self) -> dict[str, float]:
        """What the call took: wall and CPU seconds, memory, throughput (path-days per CPU-second), latency (seconds per
        configuration), CPU use (CPU seconds per wall second).
        """
        cost = self.cost
        return {
            "seconds": cost["seconds"],
            "cpu_seconds": cost["cpu_seconds"],
            "cpu_use": cost["cpu_seconds"] / max(cost["seconds"], 1e-9),
            "memory_mb": cost["memory_bytes"] / 2**20,
            "path_days_per_cpu_second": cost["path_days"] / max(cost["cpu_seconds"], 1e-9),
            "latency_seconds": cost["seconds"] / max(self.count, 1),
        }
