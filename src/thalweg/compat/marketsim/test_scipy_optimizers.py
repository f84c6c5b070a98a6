"""SciPy's optimisers, thalweg's and the exact solver on the same profit: evaluations, CPU time, profit.

    python -m thalweg.compat.marketsim.test_scipy_optimizers

The name is the documented one; this is a comparison, not a test.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from ...apps.market_backtest.multipliers import BOUNDS, pairs
from ...core.batch import Floats
from ...engine.optimize import minimize
from ...watch.text import align
from ._problem import days_of, profit_of, series

SEARCHES = ("scipy:direct", "scipy:de", "scipy:dual_annealing", "scipy:shgo", "direct", "de", "cmaes")
EVALUATIONS = 500
Run = Callable[[], tuple[float, int]]


def compare(
    problems: int = 3, evaluations: int = EVALUATIONS, searches: Sequence[str] = SEARCHES
) -> list[tuple[str, float, float, float]]:
    """(name, evaluations, CPU milliseconds, share of the largest profit there is), means over problems of both closing
    policies; the exact solver first."""
    cases = [(seed, eod) for seed in range(problems) for eod in (False, True)]
    best: dict[tuple[int, bool], float] = {}
    rows = []
    for name in ("exact", *searches):
        told = []
        for seed, eod in cases:
            days = days_of(series(seed), eod)
            before = time.process_time()
            if name == "exact":
                value, count = pairs(days, BOUNDS)[0][2], 0
                best[seed, eod] = value
            else:
                value, count = _search(profit_of(days), name, evaluations)
            told.append((count, 1e3 * (time.process_time() - before), value / best[seed, eod]))
        means = np.mean(told, axis=0)
        rows.append((name, float(means[0]), float(means[1]), float(means[2])))
    return rows


def _search(profit: Callable[[Floats], Floats], name: str, evaluations: int) -> tuple[float, int]:
    found = minimize(
        lambda x: -float(profit(x[None])[0]),
        list(BOUNDS),
        strategy=name,
        max_evals=evaluations,
        seed=42,
        progress=False,
    )
    return -float(found.value), found.evaluations


def table(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """For people."""
    cells = [
        [name, "-" if not count else f"{count:.0f}", f"{ms:.2f}", f"{share:.2%}"] for name, count, ms, share in rows
    ]
    return align(cells, ["", "evaluations", "CPU ms", "of the largest profit"], right=range(1, 4))


def main() -> int:
    """Print the comparison."""
    print(
        "Two multipliers of a rule, 200 days, both closing policies, means over 6 problems, at most 500 evaluations\n"
    )
    print(table(compare()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
