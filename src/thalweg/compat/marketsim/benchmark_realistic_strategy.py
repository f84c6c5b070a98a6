"""A realistic rule (200 days, fee 0.0015, predictions whose errors persist), tuned for both closing policies.

    python -m thalweg.compat.marketsim.benchmark_realistic_strategy

70 simulations x 2 policies are 140 optimisations: all of them solved exactly in a batch, one by one, and a few by each
search.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from ...apps.market_backtest.optimize import optimize_batch, optimize_entry_exit_multipliers
from ._problem import FEE, series
from .test_scipy_optimizers import compare, table

SIMULATIONS = 70
STRATEGIES = ("direct", "de", "cmaes", "lq_cmaes", "pso", "annealing", "nelder_mead", "scipy:direct", "scipy:de")


def optimisations(simulations: int = SIMULATIONS) -> tuple[float, float, float]:
    """(CPU seconds in batches, CPU seconds one by one, the largest difference of their profits)."""
    data = [series(seed) for seed in range(simulations)]
    stacked = [np.stack(item) for item in zip(*data, strict=True)]
    before, batched = time.process_time(), list[float]()
    for eod in (False, True):
        batched += [profit for *_, profit in optimize_batch(*stacked, close_at_eod=eod, trading_fee=FEE)]
    middle, single = time.process_time(), list[float]()
    for eod in (False, True):
        for row in data:
            single.append(optimize_entry_exit_multipliers(*row, close_at_eod=eod, trading_fee=FEE)[2])
    after = time.process_time()
    return middle - before, after - middle, float(np.max(np.abs(np.array(batched) - single)))


def main() -> int:
    """Print the benchmark."""
    optimisations(2)  # what is loaded once does not count
    batched, single, difference = optimisations()
    print(
        f"{SIMULATIONS} simulations x 2 policies, exactly: {batched:.3f} CPU-s in batches, {single:.3f} one by one; "
        f"their profits differ by {difference:.1e} at most\n"
    )
    print(table(compare(problems=2, searches=STRATEGIES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
