"""The solvers by name. `tw:NAME` is thalweg's strategy NAME through the public `minimize`; others are rivals.

A solver is `solve(problem, seed)`; it evaluates `problem(x)` until `Spent` is raised (or it ends by itself).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .practical.registry import SLACK
from .tasks import Watched

Solver = Callable[[Watched, int], None]
RIVALS: dict[str, Solver] = {}
GROUPS: dict[str, str] = {}


def rival(name: str, group: str = "classic") -> Callable[[Solver], Solver]:
    """Put a solver into the table; group: the environment that it runs in (see `environments`)."""

    def keep(solver: Solver) -> Solver:
        RIVALS[name] = solver
        GROUPS[name] = group
        return solver

    return keep


def _known() -> dict[str, Solver]:
    for module in ("rivals", "rivals_heavy"):
        importlib.import_module(f".{module}", __package__)
    return RIVALS


def group_of(name: str) -> str:
    """The group of environments that a solver runs in."""
    if name.startswith("tw:"):
        return "classic"
    solver_of(name)
    return GROUPS[name]


def solver_of(name: str) -> Solver:
    """The solver of that name.

    `tw:auto`, `tw:bayesian?local=False&initial=4` (options as Python literals), `tw:module.path:Class?option=1`,
    `tw:plan=NAME`: a plan of `auto`'s, whatever it would choose itself.
    """
    if name.startswith("tw:"):
        return lambda problem, seed: _thalweg(name[3:], problem, seed)
    if name not in _known():
        raise SystemExit(f"unknown solver {name!r}; known: tw:STRATEGY, {', '.join(sorted(RIVALS))}")
    return RIVALS[name]


def _strategy(text: str) -> Any:
    import ast

    from thalweg.parts.strategies import make_strategy

    if text.startswith("plan="):
        from thalweg.parts.strategies._plans import PLANS, make_plan

        return make_plan(PLANS[text.removeprefix("plan=")].plan)
    name, _, query = text.partition("?")
    options = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        options[key] = ast.literal_eval(value)
    if "." in name:
        module, _, kind = name.partition(":")
        return make_strategy(getattr(importlib.import_module(module), kind), **options)
    return make_strategy(name, **options)


def space_of(problem: Watched) -> dict[str, Any]:
    """The problem's own parameters as thalweg's space, or the box."""
    import thalweg as tw

    made = getattr(problem, "made", None)
    if made is not None:
        from .practical.variables import thalweg_space

        return thalweg_space(made.variables)
    return {
        f"x{i}": tw.Integer(int(low), int(high)) if whole else tw.Float(float(low), float(high))
        for i, (low, high, whole) in enumerate(zip(problem.lower, problem.upper, problem.integers, strict=True))
    }


def _thalweg(text: str, problem: Watched, seed: int) -> None:
    import thalweg as tw

    names = [f"x{i}" for i in range(len(problem.lower))]
    made = getattr(problem, "made", None)
    constraints = [f"limit{i} <= {SLACK}" for i in range(made.limits)] if made is not None else []

    def box_value(p: Any) -> float:
        return problem(np.array([p[name] for name in names], dtype=float))

    def made_value(p: Any) -> Any:
        value, violations = problem.judge(p)
        return {"value": value, **{f"limit{i}": item for i, item in enumerate(violations)}} if constraints else value

    tw.minimize(
        box_value if made is None else made_value,
        space_of(problem),
        strategy=_strategy(text),
        max_evals=problem.budget,
        seed=seed,
        noisy=problem.clean is not None,
        constraints=constraints or None,
    )
