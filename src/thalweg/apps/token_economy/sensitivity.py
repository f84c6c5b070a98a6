"""Which parameter moves which metric, on common random numbers: a parameter that changes nothing is said to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.choices import Choice, Fixed
from ...core.space import Space
from .metrics import METRICS
from .parameters import columns_of
from .simulator import Simulator

LEVELS = 5
"""Values of each parameter, evenly over its range on its own scale."""
BASES = 8
"""Configurations around which parameters are varied one at a time: the given one and random ones."""
NOTHING = 1e-12
"""Of a metric's size: smaller changes are rounding."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one parameter does.

    score: how far the weighted score moves over the parameter's whole range, mean over the bases; here: at the given
    configuration alone, NaN where the parameter is not active there.
    metrics: {metric: how far it moves, in standard deviations of the metric over all configurations looked at}.
    """

    parameter: str
    score: float
    here: float
    metrics: dict[str, float]

    @property
    def nothing(self) -> bool:
        """Whether no metric changed at any base."""
        return not self.metrics

    def text(self) -> str:
        """In words."""
        if self.nothing:
            return f"{self.parameter} changes nothing: no metric moved, at any of the configurations looked at"
        strongest = sorted(self.metrics, key=lambda name: -self.metrics[name])[:3]
        told = ", ".join(f"{name} {self.metrics[name]:.2f} sd" for name in strongest)
        here = "not active there" if np.isnan(self.here) else f"{self.here:.4f} there"
        return f"{self.parameter} moves the weighted score by {self.score:.4f} ({here}); most of all {told}"


def sensitivity(
    simulator: Simulator,
    space: Space,
    around: Mapping[str, Any],
    weights: dict[str, float] | None = None,
    bases: int = BASES,
    levels: int = LEVELS,
    seed: int = 0,
) -> list[Effect]:
    """Effects of all parameters that vary, the strongest on the score first.

    around: the configuration of most interest; the other `bases` - 1 are random points of `space`.
    """
    points = np.vstack([space.encode(space.from_params([dict(around)])),
                        space.sample(bases - 1, np.random.default_rng(seed))])  # fmt: skip
    # (name, base, rows) of every line of variations; a line is one parameter at one base where it is active
    lines: list[tuple[str, int, slice]] = []
    rows: list[dict[str, Any]] = []
    for base in range(bases):
        _, reals, active = space.resolve(points[base : base + 1])
        params = space.to_params(reals, active)[0]
        for name, parameter in space.parameters.items():
            if not isinstance(parameter, Fixed) and name in params:
                made = _line(space, points[base], name, levels)
                lines.append((name, base, slice(len(rows), len(rows) + len(made))))
                rows += made
    summary = simulator.evaluate(columns_of(rows))
    found = {**summary.mean, "score": summary.weighted(weights).mean(axis=1)}
    varying = [name for name, parameter in space.parameters.items() if not isinstance(parameter, Fixed)]
    effects = [_effect(name, lines, found) for name in varying]
    return sorted(effects, key=lambda effect: -effect.score)


def _line(space: Space, point: Floats, name: str, levels: int) -> list[dict[str, Any]]:
    """The configuration `point` with `name` at several levels."""
    parameter = space.parameters[name]
    count = len(parameter.items) if isinstance(parameter, Choice) else levels
    columns = dict(space.blocks)[name]
    varied = np.repeat(point[None], count, axis=0)
    varied[:, columns] = (
        (np.arange(count) + 0.5) / count if isinstance(parameter, Choice) else np.linspace(0, 1, count)
    )[:, None]
    _, reals, active = space.resolve(varied)
    return list(space.to_params(reals, active))


def _effect(name: str, lines: Sequence[tuple[str, int, slice]], found: Mapping[str, Floats]) -> Effect:
    mine = [(base, rows) for own, base, rows in lines if own == name]
    spans = {metric: np.array([np.ptp(values[rows]) for _, rows in mine]) for metric, values in found.items()}
    moved = {}
    for metric in METRICS:
        size = float(np.abs(found[metric]).max(initial=0.0))
        if mine and spans[metric].max() > NOTHING * size:
            moved[metric] = float(spans[metric].mean() / max(float(found[metric].std()), NOTHING * size))
    here = [span for (base, _), span in zip(mine, spans["score"], strict=True) if base == 0]
    score = float(spans["score"].mean()) if mine else 0.0
    return Effect(name, score, float(here[0]) if here else float("nan"), moved)
