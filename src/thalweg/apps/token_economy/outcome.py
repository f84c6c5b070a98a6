"""What a search found: against the defaults, on fresh noise, with what each parameter does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.errors import ThalwegError
from ...core.parameter import Float, Integer
from ...core.trial import Trial
from .metrics import METRICS
from .parameters import columns_of
from .sensitivity import Effect, sensitivity
from .summary import TWO_SIDED, Summary

if TYPE_CHECKING:
    from .search import Search

SHOWN = 8
"""Configurations of a front that are measured again and shown, spread evenly; both ends stay."""
END = 0.005
"""The share of a range (of its logarithm) that counts as its end."""
PATHS_OF_EFFECTS = 64
"""Paths of the sensitivity's runs: common noise makes differences exact enough."""


@dataclass(frozen=True, slots=True)
class Look:
    """One objective of one configuration, as the search saw it and on fresh noise.

    searched, fresh: the values.  searched_error, fresh_error: their Monte-Carlo standard errors.
    """

    searched: float
    searched_error: float
    fresh: float
    fresh_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the fresh value."""
        return self.fresh - TWO_SIDED * self.fresh_error, self.fresh + TWO_SIDED * self.fresh_error

    @property
    def holds(self) -> bool:
        """Whether the fresh value lies in the 95 % interval of the searched one, both being uncertain."""
        return abs(self.fresh - self.searched) <= TWO_SIDED * math.hypot(self.searched_error, self.fresh_error)


@dataclass
class Outcome:
    """A finished search. winners: the best trial, or trials of the front; looks: {objective: Look} for each of them.

    summary: the winners' metrics on fresh noise, in the same order; last: the defaults.
    """

    search: Search
    result: Any = field(repr=False)
    winners: list[Trial]
    looks: list[dict[str, Look]]
    summary: Summary = field(repr=False)

    @property
    def best(self) -> Trial:
        """The winner; of a front, its first."""
        return self.winners[0]

    @cached_property
    def effects(self) -> list[Effect]:
        """What each parameter does around the best, on fresh noise."""
        fresh = self.search.fresh.at(paths=PATHS_OF_EFFECTS)
        return sensitivity(fresh, self.search.space, self.best.params, self.search.weights, seed=self.search.seed)

    @property
    def ends(self) -> dict[str, str]:
        """{parameter: "lowest" or "highest"} of those whose best value is the end of what was searched."""
        space = self.search.space
        point = space.encode(space.from_params([self.best.params]))[0]
        found = {}
        for name, block in space.blocks:
            if name in self.best.params and isinstance(space.parameters[name], (Float, Integer)):
                share = float(point[block.start])
                if min(share, 1.0 - share) <= END:
                    found[name] = "lowest" if share < 0.5 else "highest"
        return found

    def of_defaults(self, name: str) -> float:
        """An objective of the default configuration on fresh noise."""
        return float(self.search.merit(self.search.values(self.summary)[name])[0][-1])

    def gain(self, name: str) -> tuple[float, float]:
        """(best - defaults, 95 % half-width) of an objective, paired on the same fresh noise; means over paths."""
        paths = self.search.values(self.summary)[name]
        difference = paths[0] - paths[-1]
        half = (
            TWO_SIDED * float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else math.nan
        )
        return float(difference.mean()), half

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows = []
        for i, (trial, looks) in enumerate(zip(self.winners, self.looks, strict=True)):
            told = {
                name: {"searched": look.searched, "searched_error": look.searched_error, "fresh": look.fresh,
                       "fresh_error": look.fresh_error, "interval": look.interval, "holds": look.holds}
                for name, look in looks.items()
            }  # fmt: skip
            metrics = {name: {"mean": float(self.summary.mean[name][i]), "error": float(self.summary.error[name][i]),
                              "worst": float(self.summary.worst[name][i])} for name in METRICS}  # fmt: skip
            rows.append({"number": trial.number, "params": trial.params, "objectives": told, "metrics": metrics})
        first = self.search.initial_points
        return {
            "kind": "token_economy",
            "study": self.search.study_name,
            "consensus": self.search.consensus,
            "settings": self.search.settings(),
            "evaluations": self.result.evaluations,
            "initial": [trial.number for trial in self.result.trials[:first]],
            "best": rows[0],
            "ends": self.ends,
            "front": rows if self.search.pareto else [],
            "defaults": {name: self.of_defaults(name) for name in self.search.objectives},
            "effects": [{"parameter": e.parameter, "score": e.score, "nothing": e.nothing, "metrics": e.metrics}
                        for e in self.effects],
            "performance": self.summary.performance(),
            "stop_reason": str(self.result.stop_reason),
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        from .report import text_of

        return text_of(self)


def judge(search: Search, result: Any) -> Outcome:
    """Measure the winners and the defaults again, on noise that the search has not seen.

    Raises:
        ThalwegError: no evaluation gave a value.
    """
    winners = _spread(result.front) if search.pareto else [result.best]
    if not winners:
        raise ThalwegError("no configuration could be evaluated; see `thalweg show` for the errors")
    defaults = search.first_points()[0]
    summary = search.fresh.evaluate(columns_of([*(trial.params for trial in winners), defaults]))
    values = search.values(summary)
    fresh = {name: search.merit(paths) for name, paths in values.items()}
    looks = []
    for i, trial in enumerate(winners):
        seen = dict(zip(search.objectives, trial.values, strict=True))
        looks.append(
            {
                name: Look(seen[name], float(trial.components[f"{name}_error"]), float(merit[i]), float(error[i]))
                for name, (merit, error) in fresh.items()
            }
        )
    return Outcome(search, result, winners, looks, summary)


def _spread(front: Sequence[Trial], most: int = SHOWN) -> list[Trial]:
    if len(front) <= most:
        return list(front)
    steps = [round(i * (len(front) - 1) / (most - 1)) for i in range(most)]
    return [front[i] for i in dict.fromkeys(steps)]
