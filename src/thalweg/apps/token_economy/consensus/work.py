"""Proof of work: miners enter while they profit, difficulty follows.

E. Budish, The economic limits of Bitcoin, NBER 24717 (2018), doi:10.3386/w24717: free entry makes cost equal revenue,
and an attack costs what the majority of the hash rate costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ....core.batch import Floats
from ._base import Consensus

if TYPE_CHECKING:
    from ..state import Scene

MAJORITY = 0.51
ATTACK_BLOCKS = 6.0
LEAST = 1e-6
"""TH/s: someone always mines."""


class Work(Consensus):
    """state.own: hash_rate and difficulty, both TH/s; first: the hash rate of day 0."""

    children: ClassVar[tuple[str, ...]] = ("difficulty_adjustment_blocks", "target_block_time")
    code: ClassVar[int | None] = 0
    own_block_time: ClassVar[bool] = True

    def begin(self, at: Scene) -> None:
        hash_rate = np.maximum(at.day.revenue / (at.world.cost_per_th() * at.config.hurdle), LEAST)
        at.state.own = {"hash_rate": hash_rate, "difficulty": hash_rate, "first": hash_rate}

    def issuance(self, at: Scene) -> Floats:
        own = at.state.own
        pace = np.minimum(np.maximum(own["hash_rate"] / own["difficulty"], 0.25), 4.0)
        own["blocks"] = blocks = at.config.blocks * pace
        return at.config.reward * at.day.halved * blocks

    def respond(self, at: Scene) -> None:
        state, config, world, day = at.state, at.config, at.world, at.day
        own, price = state.own, world.cost_per_th(day.electricity)
        hash_rate = own["hash_rate"]
        cost = hash_rate * price
        day.sold = np.minimum(cost, day.revenue)
        profit = day.revenue / (cost * config.hurdle) - 1.0
        entry = np.exp(config.eta * np.minimum(np.maximum(profit, -1.0), 1.0))
        own["difficulty"] = own["difficulty"] + (hash_rate - own["difficulty"]) * np.minimum(
            own["blocks"] / config.adjust_blocks, 1.0
        )
        own["hash_rate"] = hash_rate = np.maximum(hash_rate * entry, LEAST)
        # 51 % of the hardware, and its power for six blocks
        power = world.kwh_per_th * world.electricity * day.electricity * ATTACK_BLOCKS
        day.attack = hash_rate * (MAJORITY * (world.hardware + power / config.blocks))
        day.energy = hash_rate * world.kwh_per_th
        day.participation = hash_rate / own["first"]

    def producers(self, at: Scene) -> Floats:
        share = np.minimum(at.state.own["hash_rate"] / at.state.own["first"], 1.0)
        return np.maximum(np.floor(at.config.participants * share), 1.0)
