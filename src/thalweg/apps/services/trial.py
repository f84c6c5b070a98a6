"""One candidate of a live tuner, and the pairs of windows that speak for or against it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from ...core.batch import Floats

SURE, HASTY, HOPELESS = 3.0, 1.4, 1.0
"""Standard errors: by which a gain must exceed zero, and in haste; below which of `min_gain` it is given up."""
OBVIOUS = 8.0
"""Standard errors by which a gain needs no second pair."""
MOST_PAIRS = 8


class Verdict(Enum):
    """OPEN: measure on.  ADOPTED: it is better.  REJECTED: it is not, or not by enough."""

    OPEN = "open"
    ADOPTED = "adopted"
    REJECTED = "rejected"


@dataclass(slots=True)
class Trial:
    """settings, point (D,): the candidate.  cost: of the dearest knob it moves.  turn: whose window comes next, the
    settings in use (A) or the candidate (B).  before: log metric of the A window before.
    gains, tails: log metric and log p99 of A less those of B, pair by pair.
    """

    settings: dict[str, Any]
    point: Floats
    cost: str
    before: float
    applied: bool = False
    turn: Literal["A", "B"] = "B"
    gains: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)

    @property
    def interleaved(self) -> bool:
        """Knobs that are dear to turn are not turned to and fro: all B windows come in a row."""
        return self.cost == "instant"

    @property
    def gain(self) -> float:
        """The mean of the gains."""
        return sum(self.gains) / len(self.gains)

    @property
    def tail(self) -> float:
        """The mean of the tails."""
        return sum(self.tails) / len(self.tails)

    def after(self, value: float) -> None:
        """The A window that followed the last pair's B window: a pair is B between the mean of both of its A windows,
        which takes a trend out."""
        self.gains[-1] += 0.5 * (value - self.before)
        self.before = value

    def verdict(self, spread: float, min_gain: float, urgent: bool) -> Verdict:
        """What the pairs say. spread: the standard deviation of one window's log metric."""
        count = len(self.gains)
        error = spread * math.sqrt(2.0 / count)
        gain = self.gain
        if gain + HOPELESS * error < min_gain:
            return Verdict.REJECTED
        least = 1 if urgent or gain > OBVIOUS * error else 2
        if count >= least and gain > min_gain and gain > (HASTY if urgent else SURE) * error:
            return Verdict.ADOPTED
        return Verdict.REJECTED if count >= MOST_PAIRS else Verdict.OPEN
