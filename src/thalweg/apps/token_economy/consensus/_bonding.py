"""Bonded stake and the unbonding queue, shared by proof of stake and its delegated form.

Holders differ in the yield they ask for, so the wanted stake is a logistic function of the yield; at most 5 % of the
stake (out) or of the liquid tokens (in) moves per day, and what leaves waits in a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....core.batch import Floats
from ..published import ethereum_issuance

if TYPE_CHECKING:
    from ..state import Config, Scene, State
    from ..world import World

MOST = 0.8
"""The most of the eligible tokens that is ever staked."""
SPREAD = 0.02
"""Of the yields that holders ask for."""
CHURN = 0.05
"""Of the stake, or of the liquid tokens, per day."""
FIRST = 0.3
"""Of the eligible tokens outside the pool, staked on day 0."""


def begin(state: State, config: Config) -> None:
    """Bond the first stakes."""
    state.staked = FIRST * config.eligible * state.liquid
    state.liquid = state.liquid - state.staked


def stake_issuance(at: Scene) -> Floats:
    """Tokens per day for stakes: apy x stake, or Ethereum's curve."""
    if at.world.ethereum_curve:
        return np.asarray(ethereum_issuance(1.0) / 365.0 * np.sqrt(at.state.staked))
    return at.config.apy / 365.0 * at.state.staked


def move(state: State, config: Config, world: World, income: Floats) -> None:
    """Bond and unbond. income: tokens that stakers got today."""
    yearly = 365.0 * income / state.staked
    wanted = MOST * config.eligible * state.supply / (1.0 + np.exp((config.wanted_yield - yearly) / SPREAD))
    moved = config.stake_rate * (wanted - state.staked)
    moved = np.maximum(np.minimum(moved, CHURN * state.liquid), -CHURN * state.staked)
    leaving = np.maximum(-moved, 0.0)
    freed = state.unbonding / world.unbonding_days
    state.staked = state.staked + moved
    state.unbonding = state.unbonding + leaving - freed
    state.liquid = state.liquid - (moved + leaving) + freed
