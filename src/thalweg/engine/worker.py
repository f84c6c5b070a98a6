"""One more process for a study that is in a store: it takes part until the study is done."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import ObjectiveError
from .crew import REVISED
from .load import load
from .result import Result


def objective_at(text: str) -> Callable[..., Any]:
    """The function that "package.module:function" or "folder/file.py:function" names; code comes from nowhere else.

    Raises:
        ObjectiveError: there is no such module or function, or it is none.
    """
    where, mark, name = text.rpartition(":")
    if not mark or not where or not name:
        raise ObjectiveError(f"an objective is given as module:function or file.py:function, got {text!r}")
    module = _file(where) if where.endswith(".py") else _module(where)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            near = [item for item, value in vars(module).items() if callable(value) and not item.startswith("_")]
            raise ObjectiveError(f"{where} has no {name!r}; it has: {', '.join(near[:8]) or 'no functions'}")
    if not callable(found):
        raise ObjectiveError(f"{text} is a {type(found).__name__}; a function is expected")
    function: Callable[..., Any] = found
    return function


def _module(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ObjectiveError(
                f"no module is called {error.name!r}; it is looked for in {here} and where Python's packages are"
            ) from error
        raise


def _file(path: str) -> Any:
    place = Path(path).resolve()
    if not place.is_file():
        raise ObjectiveError(f"there is no file {str(place)!r}")
    sys.path.insert(0, str(place.parent))  # as `python file.py` does; worker processes find it by its name, too
    module = importlib.import_module(place.stem)
    if Path(getattr(module, "__file__", None) or "").resolve() != place:
        raise ObjectiveError(
            f"{path}: Python has a module of its own called {place.stem!r}; give the file another name"
        )
    return module


def work(address: str, name: str, objective: Callable[..., Any], **keywords: Any) -> Result:
    """Take part in the stored study `name` with `objective`; keywords as for `Study.run`. Where the study's space is
    changed meanwhile, it goes on with the new one.

    Raises:
        StoreError: no such store or study.  Otherwise as `Study.run`.
    """
    while True:
        with load(address, name) as study:
            result = study.run(objective, **keywords)
        if result.stop_reason != REVISED:
            return result
