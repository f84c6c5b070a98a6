"""Two multipliers by grids that close in, and a polish: a quick search, for comparison with the exact solver.

The first grid spans the box; each next one is centred on the best pair so far and `shrink` times as wide. As the profit
jumps, grids alone miss the largest value by several percent; so the jumps next to the best pair are tried from both
sides, until none of them is better. That halves what is missed. The rest is the exact solver's to find: a grid looks
where its first points were good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.errors import ProblemError
from .multipliers import MARGIN, MARGIN_SINGLE, Box, Days, best_pairs, check_bounds

NEAREST = 3
"""Jumps on each axis that the polish tries."""
ROUNDS = 10
"""Of the polish, at most."""


@dataclass(frozen=True, slots=True)
class Grids:
    """steps: values on each axis, of one grid after the other.  shrink: a grid's width, of the one before.
    min_window: no grid is narrower.

    Raises:
        ProblemError: what cannot be.
    """

    steps: tuple[int, ...] = (33, 17, 9)
    shrink: float = 0.6
    min_window: float = 1e-4

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 2:
            raise ProblemError(f"grid: whole numbers of steps >= 2 are expected, got {self.steps}")
        if not 0 < self.shrink < 1 or not self.min_window >= 0:
            raise ProblemError(f"grid: 0 < shrink < 1 and min_window >= 0 are expected, got {self}")


def search_grids(days: Days, bounds: Box, grids: Grids | None = None, polish: bool = True) -> tuple[Any, Any, Any]:
    """(h, l, profit), (b,) each: the best pairs found within the bounds."""
    box, grids = check_bounds(bounds), grids or Grids()
    like = days.close[:, :1] * 0.0
    windows = [(like + low, like + high) for low, high in box]
    pair: tuple[Any, Any, Any] | None = None
    for steps in grids.steps:
        axes = [_axis(days.tools, low, high, steps) for low, high in windows]
        if pair is not None:  # the best so far stays
            axes = [days.tools.concatenate([axis, pair[i][:, None]], -1) for i, axis in enumerate(axes)]
        pair = best_pairs(days, axes[0], axes[1])
        windows = [
            _around(days.tools, pair[i][:, None], high - low, limits, grids)
            for i, ((low, high), limits) in enumerate(zip(windows, box, strict=True))
        ]
    assert pair is not None
    return _polished(days, pair, box) if polish else pair


def _axis(tools: Any, low: Any, high: Any, steps: int) -> Any:
    return tools.concatenate([low + (high - low) * (i / (steps - 1)) for i in range(steps)], -1)


def _around(tools: Any, centre: Any, width: Any, limits: tuple[float, float], grids: Grids) -> tuple[Any, Any]:
    half = tools.clip(width * grids.shrink, grids.min_window, limits[1] - limits[0]) / 2
    return tools.clip(centre - half, *limits), tools.clip(centre + half, *limits)


def _polished(days: Days, pair: tuple[Any, Any, Any], box: Box) -> tuple[Any, Any, Any]:
    aside = MARGIN if days.tools.finfo(days.close.dtype).eps < 1e-12 else MARGIN_SINGLE
    jumps = (days.high - days.high_pred, days.low - days.low_pred)
    for _ in range(ROUNDS):
        axes = [
            _near(days.tools, found[:, None], jump, aside, limits)
            for found, jump, limits in zip(pair[:2], jumps, box, strict=True)
        ]
        better = best_pairs(days, axes[0], axes[1])
        if not bool((better[2] > pair[2]).any()):
            break
        pair = better
    return pair


def _near(tools: Any, found: Any, jumps: Any, aside: float, limits: tuple[float, float]) -> Any:
    """(b, m): what was found, and both sides of the nearest jumps."""
    order = abs(jumps - found).argsort(-1)[:, :NEAREST]
    nearest = jumps[tools.arange(len(jumps))[:, None], order]
    sides = [nearest - aside, nearest, nearest + aside]
    return tools.concatenate([found, *(tools.clip(item, *limits) for item in sides)], -1)
