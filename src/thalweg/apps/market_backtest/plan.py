"""The settings of a search: what is varied, how it is judged, what is kept back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...core.errors import ProblemError
from ...core.parameter import Float, Integer
from ...core.space import Space
from .bars import Bars
from .folds import Fold, walk_forward
from .forecasters import Forecaster, make_forecaster
from .rules import DEFAULTS, NEVER, Costs, Fills, Rules

LONGEST_PURGE = 20
"""Bars: positions are closed at the end of a training window anyway."""


def default_space() -> dict[str, Any]:
    """Two multipliers, a stop and a longest holding time."""
    return {
        "high_mult": Float(-0.03, 0.03),
        "low_mult": Float(-0.03, 0.03),
        "stop": Float(1e-3, 0.2, log=True),
        "hold": Integer(1, 20),
    }


@dataclass(frozen=True)
class Plan:
    """space: parameters of a rule by name (`rules.Rules`); fixed: values of others.
    forecaster: see `make_forecaster`.  costs, fills: see `rules`.
    folds, train, anchored, embargo: see `folds.walk_forward`; purge: None for the longest holding time of the space.
    max_evals: of each fold's study, and of the last one over all bars.
    blocks, penalty: a rule's score is the mean of its Sharpe ratios in so many equal parts of the training bars, less
    penalty times their standard deviation.  strategy: one that asks in broods, as the kernel takes thousands of rules
    at once.  min_trades: a rule with fewer in training is not taken.
    """

    space: Mapping[str, Any] = field(default_factory=default_space)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    forecaster: str | Forecaster = "ewma"
    costs: Costs = field(default_factory=Costs)
    fills: Fills = "pessimistic"
    folds: int = 5
    train: int | None = None
    anchored: bool = True
    purge: int | None = None
    embargo: int = 5
    max_evals: int = 300
    blocks: int = 4
    penalty: float = 0.5
    min_trades: int = 30
    strategy: str = "de"
    seed: int = 0

    def __post_init__(self) -> None:
        both = sorted(set(self.space) & set(self.fixed))
        unknown = sorted((set(self.space) | set(self.fixed)) - set(DEFAULTS))
        if both or unknown:
            what = f"varied and fixed: {', '.join(both)}" if both else f"no parameters of a rule: {', '.join(unknown)}"
            raise ProblemError(f"plan: {what}; a rule has {', '.join(DEFAULTS)}")
        if not self.space:
            raise ProblemError("plan: nothing is varied; to look at one rule use `kernel.backtest`")
        for name, least in (("folds", 1), ("max_evals", 1), ("blocks", 1), ("min_trades", 0), ("embargo", 0)):
            if getattr(self, name) < least:
                raise ProblemError(f"plan: {name} must be at least {least}, got {getattr(self, name)}")
        if not self.penalty >= 0:
            raise ProblemError(f"plan: penalty must be >= 0, got {self.penalty}")
        make_forecaster(self.forecaster)
        Rules.of(self.fixed)
        Space.of(dict(self.space))

    @property
    def gap(self) -> int:
        """The purge, in bars."""
        if self.purge is not None:
            return self.purge
        hold = self.space.get("hold")
        longest = int(hold.high) if isinstance(hold, Integer) else int(self.fixed.get("hold", NEVER))
        return min(longest, LONGEST_PURGE)

    def folds_of(self, bars: Bars) -> list[Fold]:
        """The folds of these bars."""
        return walk_forward(
            len(bars), self.folds, train=self.train, anchored=self.anchored, purge=self.gap, embargo=self.embargo
        )

    def config(self) -> str:
        """A hash of what decides what a rule's parameters do: forecasts, costs, fills and fixed values. Equal
        parameters under equal configurations are the same rule."""
        return _hash([make_forecaster(self.forecaster).identity(), asdict(self.costs), self.fills,
                      dict(self.fixed)])  # fmt: skip

    def run(self) -> str:
        """A hash of everything that decides a study's results, but for the bars."""
        return _hash(
            [Space.of(dict(self.space)).spec(), self.folds, self.train, self.anchored, self.gap, self.embargo,
             self.blocks, self.penalty, self.min_trades, self.strategy, self.seed, self.config()]
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """For the report."""
        names = ("fills", "folds", "train", "anchored", "embargo", "max_evals", "blocks", "penalty", "min_trades",
                 "strategy", "seed")  # fmt: skip
        made = {name: getattr(self, name) for name in names}
        return {
            "forecaster": make_forecaster(self.forecaster).identity(),
            **asdict(self.costs),
            **made,
            "purge": self.gap,
            "space": Space.of(dict(self.space)).spec(),
            "fixed": dict(self.fixed),
        }


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:10]
