"""Switches in the environment, read when they are asked for, never at import."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...core.errors import ProblemError

if TYPE_CHECKING:
    from .closing_grid import Grids

TRUE = frozenset({"1", "true", "yes", "on"})


def flag(name: str, default: bool) -> bool:
    """Whether the variable `name` says yes: 1, true, yes or on, in any case; `default` where it is not set."""
    given = os.environ.get(name)
    return default if given is None else given.strip().lower() in TRUE


def use_direct() -> bool:
    """MARKETSIM_USE_DIRECT_OPTIMIZER (on): 0 asks for differential evolution."""
    return flag("MARKETSIM_USE_DIRECT_OPTIMIZER", True)


def fast_optimize() -> bool:
    """MARKETSIM_FAST_OPTIMIZE (off): a fifth of the evaluations where a search has a budget."""
    return flag("MARKETSIM_FAST_OPTIMIZE", False)


def use_grid() -> bool:
    """MARKETSIM_USE_TORCH_GRID (off): grids that close in come before the exact solver (see `closing_grid`)."""
    return flag("MARKETSIM_USE_TORCH_GRID", False)


def grids() -> Grids:
    """MARKETSIM_TORCH_GRID_STEPS ("33,17,9"), _SHRINK (0.6, kept within 0.05 and 0.95), _MIN_WINDOW (1e-4).

    Raises:
        ProblemError: a text that is none of these.
    """
    from .closing_grid import Grids

    texts = {
        name: os.environ.get(f"MARKETSIM_TORCH_GRID_{name}", "").strip() for name in ("STEPS", "SHRINK", "MIN_WINDOW")
    }
    made: dict[str, Any] = {}
    try:
        if texts["STEPS"]:
            made["steps"] = tuple(int(word) for word in texts["STEPS"].split(","))
        if texts["SHRINK"]:
            made["shrink"] = min(max(float(texts["SHRINK"]), 0.05), 0.95)
        if texts["MIN_WINDOW"]:
            made["min_window"] = float(texts["MIN_WINDOW"])
    except ValueError as error:
        raise ProblemError(f"MARKETSIM_TORCH_GRID_*: numbers such as 33,17,9 are expected: {error}") from None
    return Grids(**made)


def simulations(wanted: int) -> int:
    """`wanted`, at most 35 with MARKETSIM_FAST_SIMULATE (off)."""
    return min(wanted, 35) if flag("MARKETSIM_FAST_SIMULATE", False) else wanted
