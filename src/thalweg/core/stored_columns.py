"""Stored trials as columns: what a study takes up when it is loaded, without an object per trial.

A store fills a `Gathering` block by block (`Store.columns`); rows that cannot be read at once go through `StoredTrial`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .batch import Bytes8, Floats, Ints
from .by_number import Named, Shared
from .errors import SpaceError
from .space import Space

if TYPE_CHECKING:
    from .stored import StoredTrial

MOST_ATTEMPTS = 127


@dataclass(frozen=True, slots=True)
class Wanted:
    """What trials are read as. objectives: how many there are.  added: labels of parameters that the space got later:
    what they were in earlier trials."""

    space: Space
    objectives: int
    added: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class StoredColumns:
    """n trials, by number. reals: (n, D).  values: (n, m) minimised, NaN where there is no result.
    seconds, started, violations: (n,).  attempts: at most 127.  Rare things are by trial number, as in `StoredTrial`.
    outside: trials that are not in the space; they are no rows."""

    numbers: Ints
    reals: Floats
    values: Floats
    statuses: Bytes8
    tickets: Ints
    seconds: Floats
    started: Floats
    violations: Floats
    attempts: Bytes8
    replicates: Ints
    rare: Rare
    outside: dict[int, StoredTrial]

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(slots=True, eq=False)
class Rare:
    """What most trials do not have, or have alike. fidelities, components: where there are any.  sources: those that
    are not "strategy".  by: the ordinals that are not 0."""

    errors: Shared[str] = field(default_factory=Shared)
    workers: Shared[str] = field(default_factory=Shared)
    sources: Shared[str] = field(default_factory=Shared)
    by: Shared[int] = field(default_factory=Shared)
    fidelities: dict[int, float] = field(default_factory=dict)
    components: Named = field(default_factory=Named)

    def update(self, other: Rare) -> None:
        """Take over what `other` has."""
        self.errors.update(other.errors)
        self.workers.update(other.workers)
        self.sources.update(other.sources)
        self.by.update(other.by)
        self.fidelities.update(other.fidelities)
        self.components.update(other.components)


class Gathering:
    """Blocks of trials that become columns."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.rare = Rare()
        self.outside: dict[int, StoredTrial] = {}
        self._blocks: list[tuple[NDArray[Any], ...]] = []

    def put(
        self,
        numbers: Ints,
        reals: Floats,
        values: Floats,
        statuses: Bytes8,
        tickets: Ints,
        seconds: Floats,
        started: Floats,
        violations: Floats | None = None,
        attempts: Sequence[int] | None = None,
        replicates: Sequence[int] | None = None,
    ) -> None:
        """k trials. reals: (k, D).  values: (k, m).  The others: (k,), None: 0 (attempts: 1) everywhere."""
        k = len(numbers)
        self._blocks.append(
            (
                numbers,
                reals,
                values,
                statuses,
                tickets,
                seconds,
                started,
                np.zeros(k) if violations is None else violations,
                np.ones(k, dtype=np.int8) if attempts is None else np.minimum(attempts, MOST_ATTEMPTS).astype(np.int8),
                np.zeros(k, dtype=np.int64) if replicates is None else np.array(replicates, dtype=np.int64),
            )
        )

    def put_trials(self, trials: Sequence[StoredTrial]) -> None:
        """Trials of which there is an object."""
        fitting, reals = self._fitting(trials)
        if not fitting:
            return
        width = self.wanted.objectives
        missing = [float("nan")] * width
        values = [item.values if len(item.values) == width else missing for item in fitting]
        numbers = [item.number for item in fitting]
        self.put(
            np.array(numbers, dtype=np.int64),
            reals,
            np.fromiter(chain.from_iterable(values), np.float64).reshape(-1, width),
            np.array([item.status for item in fitting], dtype=np.int8),
            np.array([item.ticket for item in fitting], dtype=np.int64),
            np.array([item.seconds for item in fitting]),
            np.array([item.started_unixtime for item in fitting]),
            np.array([item.violation for item in fitting]),
            [item.attempt for item in fitting],
            [item.replicate for item in fitting],
        )
        for item in fitting:
            if item.source != "strategy" or item.error or item.worker or item.by or item.fidelity is not None:
                self._put_rare(item)
        if any(item.components for item in fitting):
            self.rare.components.put(numbers, [item.components or None for item in fitting])

    def _put_rare(self, item: StoredTrial) -> None:
        rare, number = self.rare, item.number
        if item.error:
            rare.errors[number] = item.error
        if item.worker:
            rare.workers[number] = item.worker
        if item.source != "strategy":
            rare.sources[number] = item.source
        if item.by:
            rare.by[number] = item.by
        if item.fidelity is not None:
            rare.fidelities[number] = item.fidelity

    def _fitting(self, trials: Sequence[StoredTrial]) -> tuple[Sequence[StoredTrial], Floats]:
        """Those trials that are points of the space as it is now, and their reals; the others are kept apart."""
        space = self.wanted.space
        try:
            return trials, space.from_labels([item.params for item in trials])
        except SpaceError:
            pass
        always = {name: label for name, label in self.wanted.added.items() if space.parameters[name].when is None}
        labels = [{**always, **item.params} for item in trials]  # they are of an earlier revision of the space
        if always:
            try:
                return trials, space.from_labels(labels)
            except SpaceError:
                pass
        fitting, reals = [], []
        for item, label in zip(trials, labels, strict=True):
            try:
                row = space.from_labels([label])
            except SpaceError:
                self.outside[item.number] = item
                continue
            fitting.append(item)
            reals.append(row)
        return fitting, np.concatenate(reals) if reals else np.empty((0, space.dimension))

    def columns(self) -> StoredColumns:
        """All that was put in, in that order."""
        if not self._blocks:
            none, empty = np.empty(0, dtype=np.int64), np.empty(0)
            width = self.wanted.space.dimension, self.wanted.objectives
            self.put(none, np.empty((0, width[0])), np.empty((0, width[1])), none.astype(np.int8), none, empty, empty)
        numbers, reals, values, statuses, tickets, seconds, started, violations, attempts, replicates = (
            np.concatenate(column) for column in zip(*self._blocks, strict=True)
        )
        self._blocks.clear()
        return StoredColumns(
            numbers, reals, values, statuses, tickets, seconds, started, violations, attempts, replicates, self.rare,
            self.outside,
        )  # fmt: skip


def columns_of(trials: Sequence[StoredTrial], wanted: Wanted) -> StoredColumns:
    """The same trials as columns."""
    gathering = Gathering(wanted)
    if trials:
        gathering.put_trials(trials)
    return gathering.columns()
