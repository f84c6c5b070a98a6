"""Delegated proof of stake: N delegates with equal pay, voted in by stake; they can be outvoted or bribed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ....core.batch import Floats
from . import _bonding
from ._base import Consensus

if TYPE_CHECKING:
    from ..state import Config, Scene

COMMISSION = 0.1
"""Of all pay, to the delegates; voters share the rest."""
SOLD = 0.325
"""Of all pay: voters sell 25 % of theirs, delegates all of theirs."""
OWN_BOND = 0.05
"""Of the stake, the delegates' own: lost when they cheat."""
BRIBE_DAYS = 365.0
"""Of pay that a delegate gives up by cheating."""


class Delegates(Consensus):
    """A delegate whose pay does not cover a node leaves: state.own["active"]."""

    children: ClassVar[tuple[str, ...]] = ("min_stake", "staking_apy", "num_delegates")
    code: ClassVar[int | None] = 2
    threshold: ClassVar[float] = 1 / 3
    zipf: ClassVar[float] = 0.0

    def begin(self, at: Scene) -> None:
        _bonding.begin(at.state, at.config)

    def issuance(self, at: Scene) -> Floats:
        return at.config.reward * at.day.halved * at.config.blocks + _bonding.stake_issuance(at)

    def respond(self, at: Scene) -> None:
        state, config, world, day = at.state, at.config, at.world, at.day
        _bonding.move(state, config, world, (1.0 - COMMISSION) * day.paid)
        day.sold = SOLD * day.revenue
        pay = COMMISSION * day.revenue
        affordable = np.minimum(pay / world.node_cost, config.delegates)
        state.own["active"] = active = np.maximum(np.floor(affordable), 1.0)
        value = state.staked * state.price
        # the cheaper way: half of the votes, or two thirds of the delegates
        bribe = (2 / 3) * (active / config.delegates * OWN_BOND * value + BRIBE_DAYS * pay)
        day.attack = np.minimum(0.5 * value, bribe)
        day.energy = active * (24.0 * world.node_kw)
        day.participation = state.staked / state.supply

    def producers(self, at: Scene) -> Floats:
        return at.state.own["active"]

    def concentration(self, config: Config) -> Floats:
        return COMMISSION + (1.0 - COMMISSION) * (1.0 - config.eligible_holders)
