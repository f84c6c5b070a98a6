"""What a store knows about luck: every rule that was ever tried on the same bars."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from ...core.batch import Floats, Status
from ...core.space import Space
from ...core.store import Store
from ...core.stored import StoredTrial
from .bars import Bars

FINAL = "all"
"""The part of a search that is tuned on all bars."""
MOST_RULES = 400
"""Rules whose returns the probability of overfitting is computed from."""


class Name(NamedTuple):
    """The name of a part's study: SYMBOL:bars:configuration:run:part."""

    symbol: str
    bars: str
    config: str
    run: str
    part: str

    @classmethod
    def read(cls, text: str) -> Name | None:
        """From a study's name; None: it is another kind of study."""
        parts = text.rsplit(":", 4)
        return cls(*parts) if len(parts) == 5 and len(parts[1]) == 10 else None

    @classmethod
    def of(cls, bars: Bars, config: str, run: str, part: str) -> Name:
        """The name of a part of a search on these bars."""
        return cls(bars.symbol, bars.digest()[:10], config, run, part)

    def __str__(self) -> str:
        return ":".join(self)


def tried(store: Store, bars: Bars) -> tuple[int, Floats]:
    """(distinct rules ever tried on these bars, annual Sharpe ratios of those that were tried on all of them).

    A rule is its parameters and the configuration they had a meaning in (forecasts, costs, fills): tried on several
    folds or with several seeds it is one rule.
    """
    seen: set[tuple[str, str]] = set()
    sharpes: dict[tuple[str, str], float] = {}
    for text in store.names():
        name = Name.read(text)
        if name is None or name.bars != bars.digest()[:10]:
            continue
        for trial in trials_of(store, text):
            components = trial.components or {}
            key = name.config, json.dumps(trial.params, sort_keys=True, default=str)
            seen.add(key)
            if name.part == FINAL and "sharpe" in components:
                sharpes[key] = float(components["sharpe"])
    return len(seen), np.array(list(sharpes.values()), dtype=np.float64)


def trials_of(store: Store, name: str) -> list[StoredTrial]:
    """The trials of a stored study that ended with a value."""
    return [trial for trial in store.since(store.open(name).id)[0] if trial.status == Status.DONE]


def sample_of(trials: list[StoredTrial], space: Space) -> dict[str, Any] | None:
    """Columns of at most `MOST_RULES` distinct points of the trials, evenly over their order; None: fewer than 2."""
    points = list({json.dumps(trial.params, sort_keys=True, default=str): trial.params for trial in trials}.values())
    kept = points[:: max(1, -(-len(points) // MOST_RULES))]
    if len(kept) < 2:
        return None
    reals = space.from_labels(kept)
    return dict(space.to_columns(reals, space.active(reals)))
