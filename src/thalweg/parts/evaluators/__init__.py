"""Ways of running evaluations: one way, one file. The table below is the only list; a name not in it raises."""

from __future__ import annotations

import inspect
from typing import Any

from ...core.errors import EvaluatorError
from ...core.evaluator import Evaluator
from ...core.registry import resolve

_HERE = __name__

EVALUATORS: dict[str, str] = {
    name: f"{_HERE}.{where}"
    for name, where in {
        "async": "coroutine:Coroutine",
        "command": "command:CommandEvaluator",
        "inline": "inline:Inline",
        "process": "process:Process",
        "ray": "ray:RayEvaluator",
        "thread": "thread:Thread",
        "vectorised": "vectorised:Vectorised",
    }.items()
}


def make_evaluator(
    given: str | Evaluator | type[Evaluator], *, workers: int | None = None, **options: Any
) -> Evaluator:
    """An evaluator from its name, its class, or itself.

    workers: evaluations at once; None leaves the evaluator's own default.

    Raises:
        EvaluatorError: an unknown name (near ones are listed), options the evaluator does not have, more than one
            worker for one that works on the caller's thread, or workers and options for a ready-made one.
    """
    if isinstance(given, Evaluator):
        if options or (workers is not None and workers != given.slots):
            raise EvaluatorError(
                f"{type(given).__name__} is made already, with {given.slots} worker(s); "
                "give workers and options to its class"
            )
        return given
    kind = resolve(EVALUATORS, given, "evaluator", EvaluatorError) if isinstance(given, str) else given
    if not (isinstance(kind, type) and issubclass(kind, Evaluator)):
        raise EvaluatorError(
            f"an evaluator is a name ({', '.join(EVALUATORS)}), an Evaluator or its class; got {given!r}"
        )
    name = given if isinstance(given, str) else kind.__name__
    accepted = inspect.signature(kind).parameters
    if workers is not None and "workers" in accepted:
        options["workers"] = workers
    elif workers is not None and workers != 1:
        raise EvaluatorError(
            f"evaluator {name!r} works on the caller's thread, one evaluation at a time, got workers={workers!r}; "
            "use 'process', 'thread' or 'async' for several at once"
        )
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise EvaluatorError(
            f"evaluator {name!r} has no option {', '.join(unknown)}; it has: {', '.join(accepted) or 'none'}"
        )
    return kind(**options)
