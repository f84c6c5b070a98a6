"""The table of practical problems.

A problem is a function `instance -> Made`, registered by `@problem(name, suite, dimension)`. Suites:
  practical      real, integer, log and choice parameters; a box says everything
  conditional    some parameters exist only under a choice
  constrained    engineering designs with measured constraints (each `violation <= 0`, made dimensionless)
  combinatorial  permutations and subsets
Instances 1 to 3 are for tuning; 4 and above have other data (another data set, another seed) and are held out.
Every problem is deterministic: the same parameters give the same value in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .variables import Box, Variable

Value = float | tuple[float, Sequence[float]]
"""The number to make small; for constrained problems with the violations (feasible: none above `SLACK`)."""

SLACK = 1e-6


@dataclass(frozen=True)
class Made:
    """One instance, ready to be evaluated.

    evaluate: params (a dict of the active parameters) -> value, or (value, violations).
    limits: how many violations it gives (0: unconstrained). penalty: what one unit of violation costs those rivals that
    know no constraints, in units of the objective; above the largest multiplier at the optimum, so that it is exact.
    optimum: the lowest value, where it is known for certain.
    """

    variables: Sequence[Variable]
    evaluate: Callable[[dict[str, Any]], Value]
    limits: int = 0
    penalty: float = 0.0
    optimum: float | None = None

    @cached_property
    def box(self) -> Box:
        """The same problem over a plain box."""
        return Box(self.variables)


@dataclass(frozen=True)
class Entry:
    """A problem's row in the table."""

    name: str
    suite: str
    dimension: int
    make: Callable[[int], Made]


PROBLEMS: dict[str, Entry] = {}


def problem(
    name: str, dimension: int, suite: str = "practical"
) -> Callable[[Callable[[int], Made]], Callable[[int], Made]]:
    """Put a problem into the table."""

    def keep(make: Callable[[int], Made]) -> Callable[[int], Made]:
        PROBLEMS[name] = Entry(name, suite, dimension, make)
        return make

    return keep


def names_of(suite: str) -> list[str]:
    """The names of a suite's problems, in the order in which they were registered."""
    return [entry.name for entry in PROBLEMS.values() if entry.suite == suite]


def open_problem(name: str, instance: int) -> Made:
    """The problem `name` with the data of `instance` (1, 2, ...)."""
    if name not in PROBLEMS:
        raise SystemExit(f"unknown practical problem {name!r}; known: {', '.join(PROBLEMS)}")
    if instance < 1:
        raise SystemExit(f"instances are counted from 1, got {instance}")
    try:
        return PROBLEMS[name].make(instance)
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"the problem {name!r} needs {error.name}: pip install -r benchmarks/quality/requirements/classic.txt"
        ) from None
