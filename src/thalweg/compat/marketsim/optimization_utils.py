"""Two multipliers of a trading rule, chosen on cached predictions; every environment variable is read when it is used.

MARKETSIM_USE_DIRECT_OPTIMIZER (on)   0: differential evolution instead of the exact solver and DIRECT
MARKETSIM_FAST_OPTIMIZE (off)         a fifth of the evaluations where a search has a budget
MARKETSIM_USE_TORCH_GRID (off)        grids that close in, and a polish, instead of the exact solver; their settings:
MARKETSIM_TORCH_GRID_STEPS (33,17,9), MARKETSIM_TORCH_GRID_SHRINK (0.6), MARKETSIM_TORCH_GRID_MIN_WINDOW (1e-4)

The multipliers are found exactly, in less time than a search takes (see `thalweg.apps.market_backtest.multipliers`).
Where the exact solver fails, DIRECT and then differential evolution search; the reason is logged to "thalweg.market".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...apps.market_backtest import flags
from ...apps.market_backtest.multipliers import BOUNDS, Box
from ...apps.market_backtest.optimize import (
    optimize_always_on_multipliers,
    optimize_batch,
    optimize_entry_exit_multipliers,
    optimize_entry_exit_multipliers_with_callback,
    optimize_single_parameter,
    run_bounded_optimizer,
)
from ...core.errors import ProblemError

__all__ = [
    "optimize_always_on_multipliers",
    "optimize_batch_entry_exit",
    "optimize_entry_exit_multipliers",
    "optimize_entry_exit_multipliers_with_callback",
    "optimize_single_parameter",
    "run_bounded_optimizer",
]

Triple = tuple[float, float, float]


def __getattr__(name: str) -> Any:
    """`_USE_DIRECT`, `_FAST_OPTIMIZE` and `_USE_TORCH_GRID`, as the environment has them now."""
    if name == "_USE_DIRECT":
        return flags.use_direct()
    if name == "_FAST_OPTIMIZE":
        return flags.fast_optimize()
    if name == "_USE_TORCH_GRID":
        return flags.use_grid()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def optimize_batch_entry_exit(
    close_actual: Sequence[Any],
    positions: Sequence[Any],
    high_actual: Sequence[Any],
    high_pred: Sequence[Any],
    low_actual: Sequence[Any],
    low_pred: Sequence[Any],
    *,
    close_at_eod: bool = False,
    trading_fee: float | None = None,
    bounds: Box = BOUNDS,
    maxfun: int = 200,
    batch_size: int = 16,
    device: Any = None,
) -> list[Triple]:
    """(high multiplier, low multiplier, profit) of every simulation, each with a pair of its own.

    Lists of arrays (n,), or of tensors, one for each simulation; lengths may differ. batch_size: simulations of one
    length that are solved in one go.  maxfun: accepted and not used, the solution is exact.  device: where tensors are
    moved to (None: they stay).

    Raises:
        ProblemError: lists of different lengths, or what `optimize_entry_exit_multipliers` raises.
    """
    lists = [list(item) for item in (close_actual, positions, high_actual, high_pred, low_actual, low_pred)]
    counts = {len(item) for item in lists}
    if len(counts) != 1:
        raise ProblemError(f"lists of one length are expected, got {', '.join(str(len(item)) for item in lists)}")
    for name, item in (("maxfun", maxfun), ("batch_size", batch_size)):
        if isinstance(item, bool) or not isinstance(item, int) or item < 1:
            raise ProblemError(f"{name}: a whole number >= 1 is expected, got {item!r}")
    found: dict[int, Triple] = {}
    by_length: dict[int, list[int]] = {}
    for i, close in enumerate(lists[0]):
        by_length.setdefault(len(close), []).append(i)
    for rows in by_length.values():
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            stacked = [_stacked([item[i] for i in some], device) for item in lists]
            solved = optimize_batch(*stacked, close_at_eod=close_at_eod, trading_fee=trading_fee, bounds=bounds)
            found.update(zip(some, solved, strict=True))
    return [found[i] for i in range(len(lists[0]))]


def _stacked(rows: list[Any], device: Any) -> Any:
    if hasattr(rows[0], "unsqueeze"):  # tensors: nothing is imported for arrays
        import sys

        torch: Any = sys.modules["torch"]
        made = torch.stack([torch.as_tensor(item) for item in rows])
        return made if device is None else made.to(device)
    import numpy as np

    try:
        return np.stack([np.asarray(item, dtype=np.float64) for item in rows])
    except (TypeError, ValueError) as error:
        raise ProblemError(f"arrays of numbers, of one length in each simulation, are expected: {error}") from None


def main() -> None:
    """Say which flags are set."""
    names = ("MARKETSIM_USE_DIRECT_OPTIMIZER", "MARKETSIM_FAST_OPTIMIZE", "MARKETSIM_FAST_SIMULATE")
    for name in names:
        print(f"{name}={os.environ.get(name, '(not set)')}")
    print(f"direct: {flags.use_direct()}, fast: {flags.fast_optimize()}, simulations of 70: {flags.simulations(70)}")


if __name__ == "__main__":
    main()
