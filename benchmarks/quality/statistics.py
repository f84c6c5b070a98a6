"""Comparisons of scores: intervals by the bootstrap, ranks, the best pair, tests against random search.

Everywhere scores is {solver: (n,) array}, one entry a run, the same runs in the same order for every solver.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

Scores = dict[str, np.ndarray]


def ratio_interval(
    ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray, *, level: float = 0.95, draws: int = 4000, seed: int = 0
) -> tuple[float, float, float]:
    """(ratio of means, low, high): a paired bootstrap over groups of runs.

    groups (n,): runs with the same number are drawn together (the instances and seeds of one problem), since what is to
    be generalised is the problem. Percentile interval.
    """
    numbers, place = np.unique(groups, return_inverse=True)
    a, b = (np.bincount(place, weights=values) for values in (ours, theirs))
    drawn = np.random.default_rng(seed).integers(0, len(numbers), (draws, len(numbers)))
    above, below = a[drawn].sum(axis=1), b[drawn].sum(axis=1)
    ratios = above[below > 0] / below[below > 0]
    if not len(ratios) or b.sum() <= 0:
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(a.sum() / b.sum()), float(low), float(high)


def mean_ranks(scores: Scores) -> dict[str, float]:
    """The mean rank of each solver over the runs (1: the highest score; equal scores share their ranks)."""
    from scipy.stats import rankdata

    table = rankdata(-np.array(list(scores.values())), axis=0)
    return {solver: float(row.mean()) for solver, row in zip(scores, table, strict=True)}


def wins(scores: Scores) -> dict[str, int]:
    """How many runs each solver leads alone."""
    table = np.array(list(scores.values()))
    best = table.max(axis=0)
    alone = (table == best).sum(axis=0) == 1
    return {solver: int(np.sum((row == best) & alone)) for solver, row in zip(scores, table, strict=True)}


def best_pair(scores: Scores) -> tuple[tuple[str, ...], float]:
    """The two solvers of which the better one (chosen with hindsight, run by run) has the highest mean; and that mean.

    With one solver: itself.
    """
    if len(scores) < 2:
        return tuple(scores), float(np.mean(next(iter(scores.values())))) if scores else float("nan")
    names = max(combinations(scores, 2), key=lambda two: float(np.maximum(scores[two[0]], scores[two[1]]).mean()))
    return names, float(np.maximum(scores[names[0]], scores[names[1]]).mean())


def holm(chances: np.ndarray) -> np.ndarray:
    """p-values (n,) corrected for n comparisons: Holm (1979), Scandinavian Journal of Statistics 6, 65-70."""
    order = np.argsort(chances)
    steps = chances[order] * (len(chances) - np.arange(len(chances)))
    out = np.empty_like(steps)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def against_random(ours: dict[str, np.ndarray], random: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """For each problem (its final values over seeds): (p that random is lower, p that ours is lower), Holm-corrected.

    One-sided Mann-Whitney tests; each side is corrected for the number of problems.
    """
    from scipy.stats import mannwhitneyu

    names = list(ours)
    sides = []
    for side in ("less", "greater"):
        raw = [
            1.0
            if np.ptp(np.concatenate([random[n], ours[n]])) == 0
            else mannwhitneyu(random[n], ours[n], alternative=side)[1]
            for n in names
        ]
        sides.append(holm(np.array(raw, dtype=float)))
    return {name: (float(sides[0][i]), float(sides[1][i])) for i, name in enumerate(names)}


def geometric_interval(
    logs: np.ndarray, groups: np.ndarray, *, level: float = 0.95, draws: int = 4000, seed: int = 0
) -> tuple[float, float, float]:
    """(geometric mean, low, high) of ratios whose logarithms are logs (n,): a bootstrap over groups of runs (n,)."""
    numbers, place = np.unique(groups, return_inverse=True)
    total, count = np.bincount(place, logs), np.bincount(place)
    drawn = np.random.default_rng(seed).integers(0, len(numbers), (draws, len(numbers)))
    low, high = np.quantile(total[drawn].sum(axis=1) / count[drawn].sum(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))
