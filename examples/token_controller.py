"""A block reward that follows the network, against the best fixed one chosen in hindsight, on the same noise.

Electricity becomes six times as expensive on day 180, cheap on day 360, expensive again on day 540. Nobody tells the
controller.

    python examples/token_controller.py [SEEDS]
"""

from __future__ import annotations

import sys

import numpy as np

from thalweg.apps.token_economy.control import Marginal, contest
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.world import Shock, World


def main() -> None:
    """Print one line per seed."""
    world = World(shocks=(Shock(180, electricity=6.0), Shock(360, electricity=0.5), Shock(540, electricity=6.0)))
    wins, seeds = 0, int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for seed in range(seeds):
        simulator = Simulator(paths=100, days=720, seed=seed, world=world)
        found = contest(simulator, Marginal(), np.geomspace(0.1, 10, 41))
        wins += found.difference > 1.96 * found.error
        print(
            f"seed {seed}: best fixed reward {found.fixed:.2f} earns {found.best:.4f} a day, the controller "
            f"{found.controlled:.4f}: {found.difference:+.4f} (95 %: +-{1.96 * found.error:.4f})"
        )
    print(f"the controller is surely better on {wins} of {seeds} seeds")


if __name__ == "__main__":
    main()
