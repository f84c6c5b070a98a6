"""Rules that end a study: by themselves, as plain functions, or combined with `|` (either) and `&` (both)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.errors import ProblemError
from ...core.registry import resolve
from ...core.stopping import Progress, StopRule
from .patience import Patience
from .plateau import Plateau
from .target import Target
from .wall import Wall

__all__ = ["STOP_RULES", "Patience", "Plateau", "Target", "Wall", "as_rule", "make_rule"]

_HERE = __name__

STOP_RULES: Mapping[str, str] = {
    "patience": f"{_HERE}.patience:Patience",
    "plateau": f"{_HERE}.plateau:Plateau",
    "target": f"{_HERE}.target:Target",
    "wall": f"{_HERE}.wall:Wall",
}
"""The only list of rules, by name."""


def make_rule(name: str, *arguments: Any, **options: Any) -> StopRule:
    """A rule from its name, such as make_rule("patience", 100).

    Raises:
        ProblemError: an unknown name (near ones are listed), or options that the rule does not have.
    """
    kind = resolve(STOP_RULES, name, "stop rule", ProblemError)
    try:
        rule = kind(*arguments, **options)
    except TypeError as error:
        raise ProblemError(f"stop rule {name!r}: {error}") from error
    if not isinstance(rule, StopRule):
        raise ProblemError(f"{kind!r} is no StopRule")
    return rule


def as_rule(given: Any) -> StopRule:
    """A rule from what `stop=` takes: a rule, a function of `Progress`, or several of these (any of them ends it).

    A function gives None or False to go on, True or the reason in words to stop.

    Raises:
        ProblemError: it is none of these.
    """
    if isinstance(given, StopRule):
        return given
    if isinstance(given, type):
        raise ProblemError(f"a stop rule is an object, got the class {given.__name__}; call it: {given.__name__}(...)")
    if callable(given):
        return _Called(given)
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        first, *others = map(as_rule, given)
        for other in others:
            first = first | other
        return first
    known = ", ".join(sorted(STOP_RULES))
    raise ProblemError(f"stop= takes a rule ({known}), a function of Progress, or several of these; got {given!r}")


class _Called(StopRule):
    """A plain function as a rule."""

    def __init__(self, function: Callable[[Progress], bool | str | None]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def check(self, progress: Progress) -> str | None:
        """See `StopRule.check`. Raises ProblemError if the function gives something else than a bool, str or None."""
        said: Any = self.function(progress)
        if said is None or isinstance(said, str):
            return said or None
        if isinstance(said, bool) or type(said).__name__ in ("bool", "bool_"):  # NumPy's, too
            return f"the stop rule {self.name} ended it after {progress.evaluations} evaluations" if said else None
        raise ProblemError(
            f"the stop rule {self.name} must give True, False, None or a reason in words, got {said!r}; "
            f"did you return the value instead of a comparison?"
        )
