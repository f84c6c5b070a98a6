"""Find the best core parameters of a token economy: block reward, initial supply, market depth and initial price.

    python -m thalweg.compat.token_sim.optimization.optimize_core_params --consensus pos --iterations 50

What it prints, and more settings, are those of `thalweg token-economy optimize`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ....apps.token_economy.consensus import CONSENSUS
from ....apps.token_economy.search import Search
from ....core.errors import ThalwegError


def optimize(
    consensus: str = "pow", iterations: int = 30, initial_points: int = 5, *, paths: int = 500, days: int = 365,
    seed: int = 0,
) -> tuple[dict[str, object], float]:  # fmt: skip
    """(best parameters, best objective value) of `iterations` evaluations, initial ones included. For paths and days
    see `thalweg.apps.token_economy.simulator.Simulator`.
    """
    search = Search(consensus, iterations=iterations, initial_points=initial_points, paths=paths, days=days, seed=seed)
    best = search.run().best
    return dict(best.params), float(best.value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="optimize_core_params", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--consensus", choices=list(CONSENSUS), default="pow", help="(pow)")
    parser.add_argument("--iterations", type=int, default=30, help="evaluations, initial ones included (30)")
    parser.add_argument("--initial-points", type=int, default=5, help="of them, before the search (5)")
    parser.add_argument("--paths", type=int, default=500, help="simulated per evaluation (500)")
    parser.add_argument("--days", type=int, default=365, help="of a simulation (365)")
    parser.add_argument("--seed", type=int, default=0, help="(0)")
    given = parser.parse_args(arguments)
    try:
        search = Search(
            given.consensus, iterations=given.iterations, initial_points=given.initial_points, paths=given.paths,
            days=given.days, seed=given.seed,
        )  # fmt: skip
        print(search.run().text())
    except ThalwegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
