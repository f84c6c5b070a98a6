"""What a live tuner did and why: lines in a study's log, and what it measured as that study's trials.

`thalweg show`, `export` and `tw.load` read the study like any other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from ...core.batch import Floats
from ...core.space import Space
from ...core.store import Entry, Store
from ...engine.study import Study
from ...parts.stores import open_store

KIND = "live"
"""The kind of log entry."""


class Audit:
    """Notes of one tuner. store: an address (None: in memory).  name: the study's."""

    def __init__(self, space: Space, metric: str, store: str | Store | None, name: str) -> None:
        self._space, self._metric = space, metric
        self._study = Study(space, store=store, name=name, strategy="random", noisy=True, confirm=False, seed=0,
                            objectives=[metric])  # fmt: skip
        self._id = self._study.store.open(name).id

    def note(self, event: str, **body: Any) -> None:
        """Write a line, with the time."""
        self._study.store.log(self._id, [Entry(KIND, {"event": event, **body}, time())])

    def measured(self, point: Floats, value: float, components: Mapping[str, float]) -> None:
        """A point (D,) that was tried, as a trial."""
        _, reals, active = self._space.resolve(point[None])
        params = self._space.to_params(reals, active)[0]
        self._study.add(params, {self._metric: value, **components})

    def lines(self) -> list[dict[str, Any]]:
        """Everything so far, oldest first: {"event", "time_unixtime", ...}."""
        return _lines(self._study.store, self._id)

    def close(self) -> None:
        """Close the store, if it was opened here."""
        self._study.close()


def read_audit(store: str | Store, name: str) -> list[dict[str, Any]]:
    """The lines of the tuner whose study is `name`, oldest first: {"event", "time_unixtime", ...}.

    Raises:
        StoreError: there is no such study.
    """
    opened = open_store(store, new=False)
    try:
        return _lines(opened, opened.open(name).id)
    finally:
        if opened is not store:
            opened.close()


def _lines(store: Store, study: int) -> list[dict[str, Any]]:
    return [{**entry.body, "time_unixtime": entry.time_unixtime} for entry in store.entries(study, 0, (KIND,))]
