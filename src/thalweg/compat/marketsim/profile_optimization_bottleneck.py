"""Where the time of an optimisation goes: in the objective, or around it.

python -m thalweg.compat.marketsim.profile_optimization_bottleneck
"""

from __future__ import annotations

import sys
import time
from typing import Any

from ...apps.market_backtest.multipliers import BOUNDS, pairs
from ...engine.optimize import minimize
from ...watch.spans import Spans
from ._problem import days_of, profit_of, series

EVALUATIONS = 500


def profile(vectorised: bool, strategy: str = "direct", evaluations: int = EVALUATIONS) -> tuple[Any, Spans]:
    """(the result, where its time went) of one optimisation on cached predictions."""
    profit = profit_of(days_of(series(0), False))
    if vectorised:
        found = minimize(
            lambda points: -profit(points), list(BOUNDS), strategy=strategy, max_evals=evaluations, seed=0,
            vectorised=True, progress=False,
        )  # fmt: skip
    else:
        found = minimize(
            lambda x: -float(profit(x[None])[0]), list(BOUNDS), strategy=strategy, max_evals=evaluations, seed=0,
            progress=False,
        )  # fmt: skip
    assert found.spans is not None
    return found, found.spans


def main() -> int:
    """Print the profile."""
    for title, vectorised in (("one point at a time", False), ("whole batches", True)):
        profile(vectorised, evaluations=50)  # what is loaded once does not count
        found, spans = profile(vectorised)
        split, count = spans.split(), found.evaluations
        total, objective = sum(split.values()), split["objective"]
        print(f"DIRECT, {title}: {count} evaluations, best profit {-found.value:.4f}")
        print(f"  objective:        {1e3 * objective / count:.4f} ms per evaluation ({objective / total:.0%})")
        print(f"  around it:        {1e3 * (total - objective) / count:.4f} ms per evaluation")
        print(f"  total:            {1e3 * total:.1f} ms; {spans.describe()}")
        print(f"  if the optimiser cost nothing: at most {total / max(objective, 1e-9):.2f}x faster\n")
    days = days_of(series(0), False)
    began = time.perf_counter()
    best = pairs(days, BOUNDS)[0]
    print(
        f"The exact solver: {1e3 * (time.perf_counter() - began):.2f} ms, profit {best[2]:.4f}: nothing is left to gain"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
