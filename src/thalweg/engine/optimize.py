"""One call from objective to result."""

from __future__ import annotations

from typing import Any

from ..core.program import Program
from .keywords import check_keywords, taken_by
from .result import Result
from .study import Objective, Study

_OF_STUDY, _OF_RUN = taken_by("Study"), taken_by("run")


def _split(keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    check_keywords(keywords, _OF_STUDY | _OF_RUN, "minimize")
    return (
        {name: item for name, item in keywords.items() if name in _OF_STUDY},
        {name: item for name, item in keywords.items() if name in _OF_RUN},
    )


def _checked(objective: Objective, space: Any, keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords of the study and of its run. Where a store is given, the call is rehearsed in memory first, so that
    a mistake in it leaves neither a file nor a study behind.
    """
    of_study, of_run = _split(keywords)
    if isinstance(objective, Program) and objective.objectives:
        of_study.setdefault("objectives", objective.objectives)
    if of_study.get("store") not in (None, "memory"):
        Study(space, **{**of_study, "store": None, "listeners": ()}).rehearse(objective, **of_run)
    return of_study, of_run


def _largest(keywords: dict[str, Any]) -> dict[str, Any]:
    if keywords.get("goal", "maximize") != "maximize":
        raise TypeError(f"maximize() looks for large values, got goal={keywords['goal']!r}; use minimize()")
    return {**keywords, "goal": "maximize"}


def minimize(objective: Objective, space: Any, **keywords: Any) -> Result:
    """The smallest value of `objective` over `space`.

    objective: f(params) or f(params, context) -> number | (number, ...) | {name: number}; or a `Command`.
    space: a dict {name: parameter}, a dataclass, [(low, high), ...] (f gets an array), or a `Space`.
    keywords: those of `Study` (store, name, strategy, seed, objectives, constraints, ...) and of `Study.run`
    (max_evals, timeout, eval_timeout, workers, evaluator, vectorised, initial, stop, ...).

    Raises:
        TypeError: an unknown keyword.  What `Study` and `Study.run` raise.
    """
    of_study, of_run = _checked(objective, space, keywords)
    with Study(space, **of_study) as study:
        return study.run(objective, **of_run)


def maximize(objective: Objective, space: Any, **keywords: Any) -> Result:
    """The largest value of `objective` over `space`; everything else as in `minimize`."""
    return minimize(objective, space, **_largest(keywords))


async def aminimize(objective: Objective, space: Any, **keywords: Any) -> Result:
    """`minimize` inside the caller's event loop: an `async def` objective is awaited, `workers` (64) at a time."""
    of_study, of_run = _checked(objective, space, keywords)
    with Study(space, **of_study) as study:
        return await study.arun(objective, **of_run)


async def amaximize(objective: Objective, space: Any, **keywords: Any) -> Result:
    """`maximize` inside the caller's event loop."""
    return await aminimize(objective, space, **_largest(keywords))
