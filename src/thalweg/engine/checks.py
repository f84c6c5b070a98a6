"""What a study is given, checked before a store is opened: a bad call leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.errors import ProblemError
from ..core.event import Listener
from ..core.problem import Problem
from ..core.space import Space
from ..core.store import Store
from ..core.strategy import Strategy
from .race import read_repeats
from .replicates import check_aggregate


def check_study(
    problem: Problem, strategy: Strategy, name: Any, repeats: Any, aggregate: Any, ordered: Any, flags: dict[str, Any]
) -> None:
    """Raise for what cannot be. flags: {keyword: what must be True or False}.

    Raises:
        ProblemError: a name, a number or a flag.  StrategyError: the strategy does not suit the problem.
    """
    if not isinstance(name, str) or not name:
        raise ProblemError(f"name: a text is expected (it names the study in its store), got {name!r}")
    if problem.version is not None and not isinstance(problem.version, str):
        raise ProblemError(f'version: a text is expected, such as "v1", got {problem.version!r}')
    low, high = read_repeats(repeats)
    check_aggregate(aggregate)
    if high > low and len(problem.objectives) > 1:
        raise ProblemError(
            f"repeats={repeats!r}: racing compares one objective, the problem has {len(problem.objectives)}; "
            "give a count"
        )
    if not isinstance(ordered, int) or (not isinstance(ordered, bool) and ordered < 1):
        raise ProblemError(
            "ordered: True, False or a width (trials between ask and tell, a whole number >= 1) is expected, "
            f"got {ordered!r}"
        )
    for keyword, given in flags.items():
        if not isinstance(given, bool):
            raise ProblemError(f"{keyword}: True or False is expected, got {given!r}")
    strategy.check(problem)


def check_listeners(given: Iterable[Listener]) -> tuple[Listener, ...]:
    """The listeners.

    Raises:
        ProblemError: something that cannot be called.
    """
    if callable(given) or not isinstance(given, Iterable):
        raise ProblemError(f"listeners: a list of functions is expected, got {given!r:.80}; write listeners=[...]")
    listeners = tuple(given)
    for item in listeners:
        if not callable(item):
            raise ProblemError(f"listeners: functions of an Event are expected, got {item!r:.80}")
    return listeners


def check_storable(space: Space, store: Any) -> None:
    """Raise SpaceError now, not at the first trial, where an option has no label and the store lasts."""
    if store in (None, "memory") if not isinstance(store, Store) else not store.durable:
        return
    for parameter in space.parameters.values():
        items: Any = getattr(parameter, "items", ())
        for i in range(len(items)):
            items.label(i)
