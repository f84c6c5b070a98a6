"""Parameters that follow the network while it runs: a controller, what it is judged by, and the best fixed value.

A fixed block reward is right for one price of electricity. `Marginal` moves it every day by what is observed: it pays
more while another token of reward buys more security than its inflation costs, and less while it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError
from .simulator import ELEMENTS, Controller, Simulator
from .state import Day, Scene
from .summary import error_of
from .world import YEAR

PRICE_OF_INFLATION = 5.0
"""A yearly inflation of 1 % costs as much as 0.05 of the security score."""


def security(day: Day) -> Floats:
    """Of one day: attack / (attack + payments), as the score."""
    return np.asarray(day.attack / (day.attack + day.served))


class Utility:
    """Security less the price of inflation, summed over the days of one block of configurations (a watcher).

    total: (C, P).  daily, rewards: of every day, (C,) means over paths.
    """

    def __init__(self, price: float = PRICE_OF_INFLATION) -> None:
        self.price = price
        self.total: Floats = np.zeros((1, 1))
        self.daily: list[Floats] = []
        self.rewards: list[Floats] = []

    def __call__(self, at: Scene) -> None:
        """Count one day."""
        inflation = YEAR * (at.day.issued - at.day.burned) / at.state.supply
        today = security(at.day) - self.price * inflation
        self.total = self.total + today
        self.daily.append(today.mean(axis=1))
        self.rewards.append(np.broadcast_to(at.config.reward, today.shape).mean(axis=1))


@dataclass(slots=True)
class Marginal:
    """Moves the block reward towards where another token costs as much inflation as it buys security.

    It sees what anybody can: the attack's cost, payments, issuance, revenue and the supply; neither shocks nor their
    dates. One per run.

    price: of inflation.  gain: relative change of the reward per day, at most.  low, high: the rewards allowed.
    """

    price: float = PRICE_OF_INFLATION
    gain: float = 0.1
    low: float = 0.1
    high: float = 10.0

    def __post_init__(self) -> None:
        if not (0 < self.gain <= 1 and 0 < self.low <= self.high and self.price > 0):
            raise ProblemError(
                "controller: 0 < gain <= 1, 0 < low <= high and price > 0 are needed, got "
                f"{self.gain!r}, {self.low!r}, {self.high!r}, {self.price!r}"
            )

    def __call__(self, at: Scene) -> dict[str, Floats]:
        """The reward of tomorrow, path by path."""
        day, state = at.day, at.state
        secure = security(day)
        # both per relative change of the reward; attack follows revenue, of which issuance is a share
        buys = secure * (1.0 - secure) * day.issued / day.paid
        costs = self.price * YEAR * day.issued / state.supply
        step = np.clip((buys - costs) / (buys + costs), -1.0, 1.0)
        return {"block_reward": np.clip(at.config.reward * np.exp(self.gain * step), self.low, self.high)}


@dataclass(frozen=True, slots=True)
class Contest:
    """A controller against the best of many fixed rewards, on the same noise.

    fixed: the best fixed reward, in hindsight.  best: its utility per day; mean over paths.  controlled: the
    controller's.  difference, error: controlled - best, paired path by path, and its standard error.
    """

    fixed: float
    best: float
    controlled: float
    difference: float
    error: float


def contest(
    simulator: Simulator,
    controller: Controller,
    fixed: Sequence[float],
    consensus: str = "pow",
    price: float = PRICE_OF_INFLATION,
    begin: float | None = None,
) -> Contest:
    """Who does better in `simulator`'s world: the best of the `fixed` rewards, chosen in hindsight, or `controller`.

    begin: the reward the controller begins with (None: that best one, so that both begin alike).
    """
    rewards = np.asarray(fixed, dtype=np.float64)
    some = max(1, ELEMENTS // simulator.paths)
    still = np.concatenate(
        [_utility(simulator, consensus, rewards[row : row + some], price) for row in range(0, len(rewards), some)]
    )
    best = int(np.argmax(still.mean(axis=1)))
    first = rewards[best : best + 1] if begin is None else np.array([begin])
    moved = _utility(simulator, consensus, first, price, controller)[0]
    gap = moved - still[best]
    error = float(error_of(gap[None])[0])
    return Contest(float(rewards[best]), float(still[best].mean()), float(moved.mean()), float(gap.mean()), error)


def _utility(
    simulator: Simulator, consensus: str, rewards: Floats, price: float, controller: Controller | None = None
) -> Floats:
    """(C, P) per day."""
    judge = Utility(price)
    columns = {"consensus": np.full(len(rewards), consensus), "block_reward": rewards}
    simulator.evaluate(columns, watch=judge, controller=controller)
    return judge.total / simulator.days
