"""What a kind of consensus is to the simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ....core.batch import Floats

if TYPE_CHECKING:
    from ..state import Config, Scene


class Consensus(ABC):
    """Who produces blocks, what they are paid, how they come and go, what an attack costs.

    It is called in this order: `begin` once, then every day `issuance`, (fees and burning), `respond`, (the market).
    It keeps arrays of its own in `state.own` and moves tokens only between `liquid`, `staked` and `unbonding`.

    children: parameters that only this kind has.  code: number in the compiled kernel (None: NumPy only).
    zipf: exponent of the producers' shares.  threshold: share of the producers that can break the network.
    concentration: how much of what producers keep stays with few, 0 to 1 (see `metrics`, gini).
    """

    children: ClassVar[tuple[str, ...]] = ()
    code: ClassVar[int | None] = None
    zipf: ClassVar[float] = 1.0
    threshold: ClassVar[float] = 0.5
    own_block_time: ClassVar[bool] = False

    @abstractmethod
    def begin(self, at: Scene) -> None:
        """Day 0. `at.day.revenue`: (C, P) USD that producers would earn on it (without issuance for stakes)."""

    @abstractmethod
    def issuance(self, at: Scene) -> Floats:
        """Tokens issued today. `at.day.halved` is a factor on the block reward."""

    @abstractmethod
    def respond(self, at: Scene) -> None:
        """Producers react to what the day pays them; sets `day.sold`, `attack`, `energy` and `participation`."""

    @abstractmethod
    def producers(self, at: Scene) -> Floats:
        """How many produce blocks at the end."""

    def concentration(self, config: Config) -> Floats:
        """(C, 1) share of kept revenue that goes to few hands."""
        return np.ones_like(config.supply0)
