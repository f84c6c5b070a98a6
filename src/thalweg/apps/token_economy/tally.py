"""What is counted along a run: sums over days, per path."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...core.batch import Floats
from .state import Config, Day, State

LEAST_VOLUME = 1.0
"""USD: illiquidity of a day with less counts as if it had this."""

LEAST_REVENUE = 1e-12
"""USD: where there is no pay, nothing is sold."""


@dataclass(slots=True)
class Tally:
    """(C, P) each. Sums over days: squares of log returns, volume USD, |return| per USD, pool USD, payments USD (wanted
    and served), market capitalisation USD, revenue as a share of it, attack cost USD, energy kWh, participation, fees
    of the pool USD, tokens that producers kept. Extremes: log price's peak, deepest fall from it, cheapest attack.
    """

    squares: Floats
    volume: Floats
    illiquidity: Floats
    pool: Floats
    wanted: Floats
    served: Floats
    worth: Floats
    budget: Floats
    attack: Floats
    energy: Floats
    participation: Floats
    fees: Floats
    kept: Floats
    peak: Floats
    fall: Floats
    weakest: Floats

    @classmethod
    def start(cls, state: State) -> Tally:
        """Nothing yet."""
        made = cls(*(np.zeros(state.price.shape) for _ in fields(cls)))
        made.peak = state.log_price.copy()
        made.weakest = np.full(state.price.shape, np.inf)
        return made

    def add(self, state: State, config: Config, day: Day) -> None:
        """Count one day."""
        self.squares += day.change * day.change
        self.volume += day.volume
        self.illiquidity += np.abs(day.change) / np.maximum(day.volume, LEAST_VOLUME)
        self.pool += state.pool_usd
        self.wanted += day.wanted
        self.served += day.served
        worth = state.price * state.supply
        self.worth += worth
        self.budget += day.revenue / worth
        self.attack += day.attack
        self.energy += day.energy
        self.participation += day.participation
        self.fees += config.trading_fee * day.volume
        self.kept += (1.0 - day.sold / np.maximum(day.revenue, LEAST_REVENUE)) * day.paid
        np.maximum(self.peak, state.log_price, out=self.peak)
        np.maximum(self.fall, self.peak - state.log_price, out=self.fall)
        np.minimum(self.weakest, day.attack, out=self.weakest)
