"""Every trial of a study in memory, as growing columns; row = trial number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.batch import FOREIGN, Bytes8, Floats, Ints, Mask, Status
from ..core.evaluator import Outcomes
from ..core.space import Space
from ..core.stored_columns import Rare, StoredColumns, Wanted, columns_of
from ..core.trial import Trial

if TYPE_CHECKING:
    from ..core.stored import StoredTrial

OUTSIDE = frozenset({"added", "cache"})
"""Sources of trials that came from elsewhere: they count in no budget."""

_FIRST = 256
_FEW = 32  # so few are compared faster as a list
_MARK = b"\xff#"
_COLUMNS = ("reals", "values", "statuses", "seconds", "started", "violations", "tickets", "attempts", "replicates")
_ABANDONED = int(Status.ABANDONED)
_STATUSES = tuple(Status)  # in the order of their values, from 0


class History:
    """Columns over the first `n` trials. Rare things (errors, named results, workers ...) are by number.

    reals: (n, D).  values: (n, m) minimised.  statuses: (n,).  tickets, attempts, replicates: (n,).
    seconds: (n,) inside the objective.  started: (n,) unix time.  violations: (n,).
    index: canonical key (replicate included) -> number; made when it is first asked for, of trials that were loaded.
    """

    def __init__(self, space: Space, signs: Floats, constrained: bool) -> None:
        self.space, self.signs, self.constrained = space, signs, constrained
        self.n = 0
        self.opened = 0
        """How many trials there are: numbers have gaps where rows were given back."""
        self._index: dict[bytes, int] | None = {}
        self._adopt(Rare())
        self.added: dict[str, Any] = {}
        """Labels of parameters that the space got later: what they were in earlier trials."""
        self.outside: dict[int, StoredTrial] = {}
        """Trials that are not in the space (any more); they are no rows."""
        self._room = 0
        self._grow(_FIRST)

    def _adopt(self, rare: Rare) -> None:
        self._rare = rare
        self.errors, self.workers, self.fidelities = rare.errors, rare.workers, rare.fidelities
        self.components = rare.components
        self.sources = rare.sources
        """Of numbers whose source is not "strategy"."""
        self.by = rare.by
        """Of numbers whose tickets are of another ordinal than 0."""

    @property
    def index(self) -> dict[bytes, int]:
        """Of equal keys the first trial counts; those that were retracted are no results."""
        if self._index is None:
            numbers = np.flatnonzero(self._there[: self.n] & (self.statuses[: self.n] != _ABANDONED))
            keys = self.keys(numbers)
            self._index = dict(zip(keys, numbers.tolist(), strict=True))
            if len(self._index) < len(keys):
                self._index = dict(zip(reversed(keys), reversed(numbers.tolist()), strict=True))
        return self._index

    def keys(self, numbers: Ints) -> list[bytes]:
        """The canonical keys of trials."""
        keys = self.space.keys(self.reals[numbers])
        marks = tails(self.replicates[numbers])
        return keys if marks is None else [key + mark for key, mark in zip(keys, marks, strict=True)]

    def _grow(self, room: int) -> None:
        def grown(name: str, shape: tuple[int, ...], kind: type, fill: float) -> None:
            new: NDArray[Any] = np.full((room, *shape), fill, dtype=kind)
            if self._room:
                new[: self.n] = getattr(self, name)[: self.n]
            setattr(self, name, new)

        self.reals: Floats
        self.values: Floats
        self.statuses: Bytes8
        self.seconds: Floats
        self.started: Floats
        self.violations: Floats
        self.tickets: Ints
        self.attempts: Bytes8
        self.replicates: Ints
        self._there: Mask
        grown("_there", (), np.bool_, False)
        grown("reals", (self.space.dimension,), np.float64, np.nan)
        grown("values", (len(self.signs),), np.float64, np.nan)
        grown("statuses", (), np.int8, Status.WAITING)
        grown("seconds", (), np.float64, np.nan)
        grown("started", (), np.float64, np.nan)
        grown("violations", (), np.float64, 0.0)
        grown("tickets", (), np.int64, -1)
        grown("attempts", (), np.int8, 1)
        grown("replicates", (), np.int64, 0)
        self._room = room

    def open(self, first: int, tickets: Ints, reals: Floats, replicates: Ints | None, source: str) -> None:
        """Rows first .. first + k - 1 begin; numbers between `n` and `first` belong to others."""
        last = first + len(tickets)
        if last > self._room:
            self._grow(max(2 * self._room, last))
        self.reals[first:last] = reals
        self.tickets[first:last] = tickets
        self._there[first:last] = True
        if replicates is not None:
            self.replicates[first:last] = replicates
        if source != "strategy":
            self.sources.fill(np.arange(first, last), source)
        self.n = max(self.n, last)
        self.opened += last - first

    def finish(self, numbers: Ints, outcomes: Outcomes, started: float | Floats, attempts: int) -> None:
        """The rows `numbers` ended with `outcomes`."""
        where = _where(numbers)
        self.values[where] = outcomes.values
        self.statuses[where] = outcomes.statuses
        self.seconds[where] = outcomes.seconds
        self.started[where] = started
        if attempts != 1:
            self.attempts[where] = min(attempts, 127)
        if outcomes.violations is not None:
            self.violations[where] = outcomes.violations
        if outcomes.errors:
            for row, message in outcomes.errors.items():
                self.errors[int(numbers[row])] = message
        if outcomes.components is not None:
            self.components.put(numbers.tolist(), outcomes.components)
        if outcomes.worker:
            self.workers.fill(numbers, outcomes.worker)

    @property
    def wanted(self) -> Wanted:
        """What stored trials are read as."""
        return Wanted(self.space, len(self.signs), self.added)

    def load(self, trials: list[StoredTrial]) -> None:
        """Take stored trials."""
        if trials:
            self.take(columns_of(trials, self.wanted))

    def take(self, stored: StoredColumns) -> None:
        """Take stored trials; those that are known already become what they are now."""
        numbers, first = stored.numbers, not self.n
        if first and len(numbers) and consecutive(numbers, 0, len(numbers)):
            self._become(stored)
            return
        top = max(int(numbers.max()) + 1 if len(stored) else 0, max(stored.outside, default=-1) + 1)
        if top > self._room:
            self._grow(max(2 * self._room, top))
        self.outside.update(stored.outside)
        self.n = max(self.n, top)
        if not len(stored):
            return
        where = _where(numbers)
        for name in _COLUMNS:
            getattr(self, name)[where] = getattr(stored, name)
        self.opened += len(stored) - int(np.count_nonzero(self._there[where]))
        self._there[where] = True
        if first:
            self._adopt(stored.rare)
            self._index = None
            return
        self.errors.drop(numbers)
        self._rare.update(stored.rare)
        if self._index is not None:
            kept = numbers[stored.statuses != _ABANDONED]
            for key, number in zip(self.keys(kept), kept.tolist(), strict=True):  # of equal keys the first one counts
                self._index.setdefault(key, number)

    def _become(self, stored: StoredColumns) -> None:
        """Take the trials 0 .. n - 1 while there are none, with their columns as they are."""
        for name in _COLUMNS:
            setattr(self, name, getattr(stored, name))
        self.n = self.opened = self._room = len(stored)
        self._there = np.ones(self._room, dtype=np.bool_)
        self.outside.update(stored.outside)
        self._adopt(stored.rare)
        self._index = None

    def drop(self, numbers: list[int], keys: list[bytes]) -> None:
        """Forget rows that never ran; trailing ones give their numbers back."""
        for number, key in zip(numbers, keys, strict=True):
            if self._index is not None and self._index.get(key) == number:
                del self._index[key]
            self.sources.pop(number, None)
            self.statuses[number] = Status.WAITING
            self._there[number] = False
            self.reals[number] = np.nan
            self.tickets[number] = -1
            self.replicates[number] = 0
        gone = set(numbers)
        self.opened -= len(gone)
        while self.n and self.n - 1 in gone:
            self.n -= 1

    def own_tickets(self, ordinal: int) -> None:
        """From now on tickets are those of `ordinal`'s strategy; what others proposed is foreign."""
        if ordinal:
            mine = self.by.of(ordinal)
            kept = self.tickets[mine]
            self.tickets[: self.n] = FOREIGN
            self.tickets[mine] = kept
        elif self.by:
            self.tickets[list(self.by)] = FOREIGN

    # --- reading --------------------------------------------------------------------------------------------------

    def has(self, number: int) -> bool:
        """Whether there is such a trial (numbers have gaps)."""
        return number < self.n and bool(self._there[number])

    def final_already(self, number: int) -> bool:
        """Whether the trial has ended."""
        return self.has(number) and bool(self.statuses[number] >= Status.DONE)

    def known(self) -> Ints:
        """Numbers of all trials."""
        return np.flatnonzero(self._there[: self.n])

    def open_rows(self) -> Ints:
        """Numbers of the trials that have not ended."""
        return np.flatnonzero(self._there[: self.n] & (self.statuses[: self.n] < Status.DONE))

    def final(self) -> Ints:
        """Numbers of the trials that ended (abandoned ones apart)."""
        statuses = self.statuses[: self.n]
        return np.flatnonzero((statuses >= Status.DONE) & (statuses != Status.ABANDONED))

    def evaluated(self) -> int:
        """How many of those count in a budget: they did not come from elsewhere."""
        final = self.final()
        if not self.sources:
            return len(final)
        return sum(self.sources.get(number) not in OUTSIDE for number in final.tolist())

    def count(self, status: Status) -> int:
        """How many trials have this status."""
        return int(np.count_nonzero(self.statuses[: self.n] == status))

    def good(self) -> Ints:
        """Numbers of the trials with finite values that violate nothing."""
        ok = self.statuses[: self.n] == Status.DONE
        if self.constrained:
            ok &= self.violations[: self.n] <= 0
        return np.flatnonzero(ok)

    def trial(self, number: int) -> Trial:
        """A row for people."""
        return self.trials(np.array([number]))[0]

    def trials(self, numbers: Ints) -> list[Trial]:
        """Rows for people."""
        where = _where(numbers)
        reals = self.reals[where]
        params = self.space.to_params(reals, self.space.active(reals))
        values = (self.values[where] * self.signs).tolist()
        columns = zip(
            numbers.tolist(),
            params,
            values,
            self.statuses[where].tolist(),
            self.violations[where].tolist(),
            self.seconds[where].tolist(),
            self.started[where].tolist(),
            self.attempts[where].tolist(),
            self.replicates[where].tolist(),
            self.tickets[where].tolist(),
            strict=True,
        )
        return [
            Trial(
                number=number,
                params=param,
                values=tuple(value),
                status=_STATUSES[status],
                components=self.components.get(number, {}),
                violation=violation,
                seconds=seconds,
                started_unixtime=started,
                error=self.errors.get(number, ""),
                attempt=attempt,
                replicate=replicate,
                fidelity=self.fidelities.get(number),
                source=self.sources.get(number, "strategy"),
                worker=self.workers.get(number, ""),
                ticket=ticket,
            )
            for number, param, value, status, violation, seconds, started, attempt, replicate, ticket in columns
        ]


def tails(replicates: Ints) -> list[bytes] | None:
    """The last part of the keys of replicates; None where all are the first."""
    if not replicates.any():
        return None
    return [_MARK + int(item).to_bytes(4, "little") if item else b"" for item in replicates.tolist()]


def _where(numbers: Ints) -> Any:
    """A slice where the numbers are consecutive: slices are copied several times faster."""
    k = len(numbers)
    first = int(numbers[0]) if k else 0
    return slice(first, first + k) if k and consecutive(numbers, first, k) else numbers


def consecutive(numbers: Ints, first: int, k: int) -> bool:
    """Whether the k >= 1 numbers are first, first + 1, ..."""
    if k <= _FEW:
        return bool(numbers.tolist() == list(range(first, first + k)))
    return int(numbers[-1]) - first == k - 1 and np.count_nonzero(numbers[1:] > numbers[:-1]) == k - 1
