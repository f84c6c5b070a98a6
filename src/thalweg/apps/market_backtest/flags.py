"""Switches in the environment, read when they are asked for, never at import."""

from __future__ import annotations

import os

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


def simulations(wanted: int) -> int:
    """`wanted`, at most 35 with MARKETSIM_FAST_SIMULATE (off)."""
    return min(wanted, 35) if flag("MARKETSIM_FAST_SIMULATE", False) else wanted
