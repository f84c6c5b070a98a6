"""What the checks of a store are made of: a space, openings, results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..core.batch import Status
from ..core.choices import Choice
from ..core.errors import StoreError
from ..core.parameter import Float, Integer
from ..core.space import Space
from ..core.store import Finishing, Opening, Store
from ..core.stored_columns import StoredColumns, Wanted, columns_of


class Make(Protocol):
    """Gives a store at one place. options: its own, such as lease_s and clock."""

    def __call__(self, **options: Any) -> Store: ...


INF, NAN = float("inf"), float("nan")


def make_space() -> Space:
    """A space with a float, an integer, and a choice that a conditional parameter hangs on."""
    return Space(
        {
            "rate": Float(1e-4, 1e-1, log=True),
            "depth": Integer(1, 12),
            "kind": Choice(["a", "b"]),
            "momentum": Float(0.0, 1.0, when="kind == 'b'"),
        }
    )


def opening_of(count: int, seed: int = 0, space: Space | None = None, **columns: Any) -> Opening:
    """`count` random points, tickets 0 .. count - 1."""
    space = space or make_space()
    _, reals, active = space.resolve(space.sample(count, np.random.default_rng(seed)))
    return Opening(space, np.arange(count, dtype=np.int64), reals, active, **columns)


def finishing_of(numbers: Sequence[int], values: Any = None, status: int = Status.DONE, **columns: Any) -> Finishing:
    """Results of `numbers`; by default value i + 0.5 for number i."""
    rows = np.asarray(numbers, dtype=np.int64)
    given = rows[:, None] + 0.5 if values is None else np.asarray(values, dtype=np.float64).reshape(len(rows), -1)
    statuses, seconds = np.full(len(rows), status, dtype=np.int8), np.full(len(rows), 0.25)
    return Finishing(rows, given.astype(np.float64), statuses, seconds, **columns)


def refused(call: Callable[[], object], *words: str) -> None:
    """Checks that `call` raises a StoreError whose message has `words`."""
    message = None
    try:
        call()
    except StoreError as error:
        message = str(error)
    assert message is not None, f"a StoreError expected (with {words}), none came"
    assert all(word in message for word in words), f"the message lacks one of {words}: {message}"


def plain(stored: StoredColumns) -> dict[str, Any]:
    """Columns as data that can be compared: arrays as bytes, what is rare as dicts."""
    rare = stored.rare
    return {
        "count": len(stored),
        "outside": repr(sorted(stored.outside.items())),
        **{
            name: (str(getattr(stored, name).dtype), getattr(stored, name).tobytes())
            for name in ("numbers", "reals", "values", "statuses", "tickets", "seconds", "started", "violations",
                         "attempts", "replicates")
        },
        **{name: repr(dict(getattr(rare, name))) for name in ("errors", "workers", "sources", "by", "fidelities",
                                                              "components")},
    }  # fmt: skip


def same_columns(store: Store, study: int, wanted: Wanted) -> StoredColumns:
    """Checks that `columns` gives what `since` gives; the columns."""
    found, version = store.columns(study, wanted)
    trials, newest = store.since(study)
    assert version == newest, "columns and since give different versions"
    assert plain(found) == plain(columns_of(trials, wanted)), "columns give other trials than since"
    return found
