"""What is to be minimised: a space, objectives, measured constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .batch import Floats
from .errors import ProblemError
from .expression import Comparison, parse_comparison
from .space import Space

Goal = Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True)
class Objective:
    """One number to make small or large."""

    name: str
    goal: Goal = "minimize"

    def __post_init__(self) -> None:
        if self.goal not in ("minimize", "maximize"):
            raise ProblemError(f"objective {self.name!r}: goal must be 'minimize' or 'maximize', got {self.goal!r}")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How good an approximation an evaluation is: `low` (cheap) to `high` (the real thing), in the user's unit."""

    name: str
    low: float
    high: float
    log: bool = True
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Space, objectives (minimised inside, people see their own sign), constraints measured while evaluating.

    constraints: comparisons over named results, such as "latency <= 100".
    version: the user's word for the objective's code; results are reused between studies only where it is given.
    """

    space: Space
    objectives: tuple[Objective, ...] = (Objective("value"),)
    constraints: tuple[Comparison, ...] = ()
    noisy: bool = False
    fidelity: Fidelity | None = None
    version: str | None = None
    signs: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) != len(names):
            raise ProblemError(f"objectives need distinct names, got {names}")
        signs = np.array([1.0 if item.goal == "minimize" else -1.0 for item in self.objectives])
        signs.flags.writeable = False
        object.__setattr__(self, "signs", signs)

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names."""
        return tuple(item.name for item in self.objectives)

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for results to be the same thing: space semantics, objectives, version; plain data."""
        return {
            "space": self.space.spec(),
            "objectives": [[item.name, item.goal] for item in self.objectives],
            "constraints": [item.text for item in self.constraints],
            "version": self.version,
        }


def objectives_of(given: Any, goal: Goal = "minimize") -> tuple[Objective, ...]:
    """Objectives from what users write: None (one, "value"), a number of them, names, or {name: goal}.

    Raises:
        ProblemError: none of these, or a goal that is neither 'minimize' nor 'maximize'.
    """
    if given is None:
        return (Objective("value", goal),)
    if isinstance(given, str):
        return (Objective(given, goal),)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return tuple(Objective(f"value{i}", goal) for i in range(given)) if given > 1 else (Objective("value", goal),)
    if isinstance(given, Mapping) and given:
        return tuple(Objective(str(name), which) for name, which in given.items())
    if isinstance(given, Sequence) and given and all(isinstance(item, (str, Objective)) for item in given):
        return tuple(item if isinstance(item, Objective) else Objective(item, goal) for item in given)
    raise ProblemError(f"objectives: expected a count, names, or {{name: 'minimize' | 'maximize'}}, got {given!r}")


def constraints_of(given: Any) -> tuple[Comparison, ...]:
    """Constraints from strings such as "latency <= 100" (one or several).

    Raises:
        ProblemError: something else.  ExpressionError: a string that is not a comparison.
    """
    if given is None:
        return ()
    items = [given] if isinstance(given, (str, Comparison)) else given
    if not isinstance(items, Sequence) or not all(isinstance(item, (str, Comparison)) for item in items):
        raise ProblemError(f"constraints: expected comparisons such as 'latency <= 100', got {given!r:.80}")
    return tuple(item if isinstance(item, Comparison) else parse_comparison(item) for item in items)
