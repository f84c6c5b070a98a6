"""Parts by name: a table maps each name to "module:Class", and a heavy module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def resolve(table: Mapping[str, str], name: str, kind: str, error: type[Exception]) -> Any:
    """The object that `table` lists under `name` ("package.module:Object").

    Raises:
        error: the name is not in the table; the message lists near matches. No name ever stands for another.
    """
    where = table.get(name) if isinstance(name, str) else None
    if where is None:
        import difflib

        near = difflib.get_close_matches(str(name), table, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise error(f"unknown {kind} {name!r}{hint} Known: {', '.join(sorted(table))}")
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)
