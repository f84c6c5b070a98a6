"""Keywords of a study and of its runs: which there are, and the sentence that puts right who writes another one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..core.elsewhere import keyword_here

P = ParamSpec("P")
T = TypeVar("T")

_CALLS: dict[str, frozenset[str]] = {}
"""What each hinted call takes, by the call's name."""
_OTHER = {"Study": ("run", "of run()"), "run": ("Study", "of Study(...)"), "arun": ("Study", "of Study(...)")}
"""Where a keyword may belong that is none of a call's own: the other call, in words."""
_SPACE = {call: f"the first argument{'' if call == 'Study' else ' of Study(...)'}, the space" for call in _OTHER}


def hinted(call: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a function whose unknown keywords are answered with what was probably meant. call: its name for people."""

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        own = _CALLS[call] = frozenset(inspect.signature(function).parameters) - {"self"}

        @wraps(function)
        def checked(*arguments: P.args, **keywords: P.kwargs) -> T:
            check_keywords(keywords, own, call)
            return function(*arguments, **keywords)

        return checked

    return mark


def taken_by(call: str) -> frozenset[str]:
    """The keywords of a hinted call, without its first argument."""
    return _CALLS[call] - {"space", "objective"}


def check_keywords(given: Iterable[str], own: frozenset[str], call: str) -> None:
    """Raise for a keyword that is none of `call`'s `own`.

    Raises:
        TypeError: with what it is called here, where it belongs, or what is near.
    """
    for word in given:
        if word not in own:
            raise TypeError(f"{call}() has no keyword {word!r}; {_hint(word, own, call)}")


def _hint(word: str, own: frozenset[str], call: str) -> str:
    import difflib

    other, place = _OTHER.get(call, ("", ""))
    elsewhere = _CALLS.get(other, frozenset()) - own
    if word in elsewhere:
        return f"it is a keyword {place}"
    here = keyword_here(word)
    if here is not None:
        if here.endswith("the space"):
            return f"here it is {_SPACE.get(call, here)}"
        name = next((name for name in elsewhere if here.startswith((f"{name} ", f"{name}=")) or here == name), "")
        return f"here it is {here}" + (f"; that is a keyword {place}" if name else "")
    for names, where in ((own, ""), (elsewhere, f" {place}")):
        near = difflib.get_close_matches(word, sorted(names), n=2)
        if near:
            return f"did you mean {' or '.join(near)}{where}?"
    return f"known: {', '.join(sorted(own))}"
