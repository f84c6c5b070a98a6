"""What remembers: in memory, in an SQLite file, or in a PostgreSQL database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...core.errors import StoreError
from ...core.registry import resolve
from ...core.store import Store

_HERE = __name__

STORES: Mapping[str, str] = {
    "memory": f"{_HERE}.memory:MemoryStore",
    "sqlite": f"{_HERE}.sqlite:SQLiteStore",
    "postgresql": f"{_HERE}.postgres:PostgresStore",
}
"""The only list of stores, by the scheme of their address."""

_FILE_ENDINGS = (".db", ".sqlite", ".sqlite3")
_FORMS = (
    "'memory', 'sqlite:///relative.db', 'sqlite:////absolute/path.db', a path that ends in .db or .sqlite, "
    "'postgresql://user:password@host/database', or a Store"
)


def open_store(given: str | os.PathLike[str] | Store | None = None, *, new: bool = True, **options: Any) -> Store:
    """The store at an address.

    given: "memory" (also None), "sqlite:///relative.db", "sqlite:////absolute/path.db", a path that ends in .db,
    .sqlite or .sqlite3, "postgresql://user:password@host:port/database?options" (also postgres://), or a Store, which
    is given back as it is. new: whether a file that is not there is made. options: the store's own, such as
    durability="fast".

    Raises:
        StoreError: no such kind of store (what is not there raises, it never stands for something else), or the file
            cannot be used.
        MissingExtra: PostgreSQL's library is not installed.
    """
    if isinstance(given, Store):
        if options:
            raise StoreError(f"{given!r} is open already; options {sorted(options)} belong where it is made")
        return given
    if given is None:
        given = "memory"
    if not isinstance(given, (str, os.PathLike)):
        raise StoreError(f"a store is {_FORMS}; got {given!r}")
    text = os.fspath(given)
    if text == "memory":
        return _make("memory", (), options)
    scheme, mark, rest = text.partition("://")
    if not mark:
        if not text.endswith(_FILE_ENDINGS):
            raise StoreError(f"a store is {_FORMS}; got {text!r}")
        return _file(text, new, options)
    if scheme in ("postgresql", "postgres"):
        return _make("postgresql", (text,), options)
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) == 1:
            raise StoreError(f"three slashes and a path expected, as in 'sqlite:///relative.db'; got {text!r}")
        return _file(rest[1:], new, options)
    resolve(STORES, scheme, "store", StoreError)  # raises, and names near ones
    raise StoreError(f"a store is {_FORMS}; got {text!r}")


def _file(path: str, new: bool, options: dict[str, Any]) -> Store:
    place = os.path.expanduser(path)
    if not new and not os.path.exists(place):
        raise StoreError(f"there is no store {path!r}: looked for at {os.path.abspath(place)}")
    return _make("sqlite", (path,), options)


def _make(kind: str, arguments: tuple[str, ...], options: dict[str, Any]) -> Store:
    made = resolve(STORES, kind, "store", StoreError)
    try:
        store = made(*arguments, **options)
    except TypeError as error:
        raise StoreError(f"store {kind!r}: {error}") from error
    if not isinstance(store, Store):
        raise StoreError(f"{made!r} is no Store")
    return store
