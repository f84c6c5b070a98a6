"""How a function is run: one way, or several together."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from ....core.errors import ProblemError


class OptimizationStrategy(Enum):
    """Ways to run a function; `CACHED | PARALLEL` is both (a frozenset), as is a list of members or of their values."""

    PARALLEL = "parallel"
    VECTORIZED = "vectorized"
    CACHED = "cached"
    BATCHED = "batched"

    def __or__(self, other: Any) -> frozenset[OptimizationStrategy]:
        return frozenset({self}) | strategies_of(other)

    __ror__ = __or__


def strategies_of(given: Any) -> frozenset[OptimizationStrategy]:
    """One or several ways: a member, its value or name, or a collection of them.

    Raises:
        ProblemError: none of these.
    """
    if isinstance(given, OptimizationStrategy):
        return frozenset({given})
    if isinstance(given, str):
        try:
            return frozenset({OptimizationStrategy(given.lower())})
        except ValueError:
            known = ", ".join(item.value for item in OptimizationStrategy)
            raise ProblemError(f"strategy: one of {known}, or several, is expected, got {given!r}") from None
    if isinstance(given, Iterable) and (items := list(given)):
        return frozenset().union(*(strategies_of(item) for item in items))
    raise ProblemError(f"strategy: an OptimizationStrategy, or several, is expected, got {given!r}")
