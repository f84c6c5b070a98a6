"""Opening a store that must be there already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import StoreError

if TYPE_CHECKING:
    from ..core.store import Store


@contextmanager
def opened(address: str) -> Iterator[Store]:
    """The store at `address`, closed afterwards; reading never makes a new file.

    Raises:
        StoreError: there is none.
    """
    from ..apps.programs.job import address_of
    from ..parts.stores import open_store

    if "://" not in address and not Path(address).is_file():
        raise StoreError(
            f"there is no store {address!r}; say which one with --store (`thalweg tune` makes ./thalweg.db)"
        )
    store = open_store(address_of(address), new=False)
    try:
        yield store
    finally:
        store.close()
