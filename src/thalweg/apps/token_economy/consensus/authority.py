"""Proof of authority: known nodes with a bond in USD, paid per block; half of them can break the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ....core.batch import Floats
from ._base import Consensus

if TYPE_CHECKING:
    from ..state import Scene

SOLD = 0.5
"""Of their pay, authorities sell."""
PAY_DAYS = 365.0
"""Of pay that an authority loses with its name."""


class Authority(Consensus):
    """state.own["active"]: authorities whose pay covers a node."""

    children: ClassVar[tuple[str, ...]] = ("num_authorities", "authority_bond")
    code: ClassVar[int | None] = 3
    zipf: ClassVar[float] = 0.0

    def begin(self, at: Scene) -> None:
        """Nothing to prepare."""

    def issuance(self, at: Scene) -> Floats:
        return at.config.reward * at.day.halved * at.config.blocks

    def respond(self, at: Scene) -> None:
        state, config, world, day = at.state, at.config, at.world, at.day
        day.sold = SOLD * day.revenue
        affordable = np.minimum(day.revenue / world.node_cost, config.authorities)
        state.own["active"] = active = np.maximum(np.floor(affordable), 1.0)
        day.attack = 0.5 * (active * config.bond + PAY_DAYS * day.revenue)
        day.energy = active * (24.0 * world.node_kw)
        day.participation = active / config.authorities

    def producers(self, at: Scene) -> Floats:
        return at.state.own["active"]
