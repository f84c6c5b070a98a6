"""Proof of stake: holders bond tokens for a yield; an attack needs a third of the stake (it halts the chain)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ....core.batch import Floats
from . import _bonding
from ._base import Consensus

if TYPE_CHECKING:
    from ..state import Config, Scene, State

SOLD = 0.25
"""Of their income, validators sell."""


class Stake(Consensus):
    """Needs nothing of its own in state.own."""

    children: ClassVar[tuple[str, ...]] = ("min_stake", "staking_apy")
    code: ClassVar[int | None] = 1
    threshold: ClassVar[float] = 1 / 3

    def begin(self, at: Scene) -> None:
        _bonding.begin(at.state, at.config)

    def issuance(self, at: Scene) -> Floats:
        return at.config.reward * at.day.halved * at.config.blocks + _bonding.stake_issuance(at)

    def respond(self, at: Scene) -> None:
        state, config, world, day = at.state, at.config, at.world, at.day
        _bonding.move(state, config, world, day.paid)
        day.sold = SOLD * day.revenue
        day.attack = state.staked * state.price * (1 / 3)
        day.energy = np.floor(self._validators(state, config)) * (24.0 * world.node_kw)
        day.participation = state.staked / state.supply

    @staticmethod
    def _validators(state: State, config: Config) -> Floats:
        return np.maximum(np.minimum(state.staked / config.min_stake, config.participants), 1.0)

    def producers(self, at: Scene) -> Floats:
        return np.floor(self._validators(at.state, at.config))

    def concentration(self, config: Config) -> Floats:
        return 1.0 - config.eligible_holders
