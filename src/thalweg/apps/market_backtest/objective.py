"""The objective of a study: columns of rules -> their scores on the training bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.batch import Floats
from .bars import Bars
from .folds import Window
from .forecast import Forecast
from .kernel import Tally, backtest
from .measures import Measures
from .rules import Rules

GOAL = "score"


class Scorer:
    """score = mean - penalty * standard deviation of the Sharpe ratios in `blocks` equal parts of the training bars,
    beside it what the rule came to on all of them. Each part is traded from flat to flat.

    An instance is a vectorised objective: {name: (n,)} -> {name: (n,)}.
    """

    def __init__(
        self, bars: Bars, forecast: Forecast, windows: Sequence[Window], *, blocks: int, penalty: float, **how: Any
    ) -> None:
        self.bars, self.forecast, self.penalty = bars, forecast, penalty
        self.windows = list(windows)
        self.parts = [part for window in windows for part in _equal(window, max(1, blocks // len(self.windows)))]
        self.fixed = dict(how.pop("fixed", {}))
        self.how = how

    def rules(self, columns: Mapping[str, Any]) -> Rules:
        """The rules of a batch."""
        return Rules.of_space(columns, self.fixed)

    def __call__(self, columns: Mapping[str, Any]) -> dict[str, Floats]:
        rules = self.rules(columns)
        tallies = [backtest(self.bars, self.forecast, rules, window=part, **self.how) for part in self.parts]
        sharpes = np.stack([Measures.of(tally).sharpe for tally in tallies])
        spread = sharpes.std(axis=0, ddof=1) if len(sharpes) > 1 else np.zeros(len(rules))
        whole = Measures.of(joined(tallies))
        return {
            GOAL: sharpes.mean(axis=0) - self.penalty * spread,
            "sharpe": whole.sharpe,
            "max_drawdown": whole.max_drawdown,
            "turnover": whole.turnover,
            "n_trades": whole.n_trades,
        }


def joined(tallies: Sequence[Tally]) -> Tally:
    """Windows one after the other as one. The drawdown is the largest within a window (peaks do not carry over)."""
    first = tallies[0]
    if len(tallies) == 1:
        return first
    sums = {
        name: np.sum([getattr(item, name) for item in tallies], axis=0)
        for name in ("total", "squares", "downside", "traded", "held", "trades")
    }
    kept = [item.returns for item in tallies if item.returns is not None]
    return Tally(
        growth=np.prod([item.growth for item in tallies], axis=0),
        drawdown=np.max([item.drawdown for item in tallies], axis=0),
        **sums,
        bars=sum(item.bars for item in tallies),
        periods=first.periods,
        returns=np.concatenate(kept, axis=1) if len(kept) == len(tallies) else None,
    )


def _equal(window: Window, parts: int) -> list[Window]:
    edges = np.linspace(window[0], window[1], parts + 1).round().astype(int).tolist()
    return [(a, b) for a, b in pairwise(edges) if b > a]
