"""Every trial of a study in memory, as growing columns; row = trial number."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.batch import FOREIGN, Bytes8, Floats, Ints, Mask, Status
from ..core.errors import SpaceError
from ..core.evaluator import Outcomes
from ..core.space import Space
from ..core.trial import Trial

if TYPE_CHECKING:
    from ..core.stored import StoredTrial

_FIRST = 256
_FEW = 32  # so few are compared faster as a list


class History:
    """Columns over the first `n` trials. Rare things (errors, named results, workers) are dicts by number.

    reals: (n, D).  values: (n, m) minimised.  statuses: (n,).  tickets, attempts, replicates: (n,).
    seconds: (n,) inside the objective.  started: (n,) unix time.  violations: (n,).
    index: canonical key (replicate and fidelity included) -> number.
    """

    def __init__(self, space: Space, signs: Floats, constrained: bool) -> None:
        self.space, self.signs, self.constrained = space, signs, constrained
        self.n = 0
        self.opened = 0
        """How many trials there are: numbers have gaps where rows were given back."""
        self.index: dict[bytes, int] = {}
        self.components: dict[int, dict[str, Any]] = {}
        self.errors: dict[int, str] = {}
        self.workers: dict[int, str] = {}
        self.sources: dict[int, str] = {}
        """Numbers whose source is not "strategy"."""
        self.fidelities: dict[int, float] = {}
        self.by: dict[int, int] = {}
        """Numbers whose tickets are of another ordinal than 0."""
        self.added: dict[str, Any] = {}
        """Labels of parameters that the space got later: what they were in earlier trials."""
        self.outside: dict[int, StoredTrial] = {}
        """Trials that are not in the space (any more); they are no rows."""
        self._room = 0
        self._grow(_FIRST)

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
            self.sources.update(dict.fromkeys(range(first, last), source))
        self.n = max(self.n, last)
        self.opened += last - first

    def finish(self, numbers: Ints, outcomes: Outcomes, started: float, attempts: int) -> None:
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
            for number, item in zip(numbers.tolist(), outcomes.components, strict=True):
                if item is not None:
                    self.components[number] = item
        if outcomes.worker:
            self.workers.update(dict.fromkeys(numbers.tolist(), outcomes.worker))

    def load(self, trials: list[StoredTrial], suffix: Any) -> None:
        """Take stored trials; `suffix(replicates, fidelities)` gives the keys' last parts (or None)."""
        if not trials:
            return
        try:
            reals = self.space.from_labels([item.params for item in trials])
        except SpaceError:  # some are of an earlier revision of the space
            trials, reals = self._fitting(trials)
            if not trials:
                return
        numbers = np.array([item.number for item in trials], dtype=np.int64)
        top = int(numbers.max()) + 1
        if top > self._room:
            self._grow(max(2 * self._room, top))
        self.reals[numbers] = reals
        width = len(self.signs)
        missing = [float("nan")] * width
        values = [item.values if len(item.values) == width else missing for item in trials]
        self.values[numbers] = np.fromiter(chain.from_iterable(values), np.float64).reshape(-1, width)
        self.statuses[numbers] = [item.status for item in trials]
        self.seconds[numbers] = [item.seconds for item in trials]
        self.started[numbers] = [item.started_unixtime for item in trials]
        self.violations[numbers] = [item.violation for item in trials]
        self.tickets[numbers] = [item.ticket for item in trials]
        self.attempts[numbers] = [min(item.attempt, 127) for item in trials]
        self.replicates[numbers] = [item.replicate for item in trials]
        self.n = max(self.n, top)
        self.opened += len(trials) - int(np.count_nonzero(self._there[numbers]))
        self._there[numbers] = True
        for number in self.errors.keys() & {item.number for item in trials} if self.errors else ():
            del self.errors[number]
        for item in trials:
            if (
                item.source != "strategy" or item.error or item.worker or item.by or item.components
                or item.fidelity is not None
            ):  # fmt: skip
                self._load_rare(item)
        keys = self.space.keys(reals)
        tails = suffix(self.replicates[numbers], [item.fidelity for item in trials])
        if tails is not None:
            keys = [key + tail for key, tail in zip(keys, tails, strict=True)]
        known = dict(zip(keys, numbers.tolist(), strict=True)) if not self.index else {}
        if len(known) == len(keys):
            self.index = known
            return
        for key, number in zip(keys, numbers.tolist(), strict=True):  # of equal keys the first one counts
            self.index.setdefault(key, number)

    def _fitting(self, trials: list[StoredTrial]) -> tuple[list[StoredTrial], Floats]:
        """Those trials that are points of the space as it is now, and their reals; the others are kept apart."""
        fitting, reals = [], []
        for item in trials:
            lacking = {
                name: label
                for name, label in self.added.items()
                if name not in item.params and self.space.parameters[name].when is None
            }
            try:
                row = self.space.from_labels([{**item.params, **lacking}])
            except SpaceError:
                self.outside[item.number] = item
                continue
            fitting.append(item)
            reals.append(row)
        self.n = max(self.n, *(item.number + 1 for item in trials))
        if self.n > self._room:
            self._grow(max(2 * self._room, self.n))
        return fitting, np.concatenate(reals) if reals else np.empty((0, self.space.dimension))

    def _load_rare(self, item: StoredTrial) -> None:
        if item.components:
            self.components[item.number] = item.components
        if item.error:
            self.errors[item.number] = item.error
        if item.by:
            self.by[item.number] = item.by
        if item.worker:
            self.workers[item.number] = item.worker
        if item.source != "strategy":
            self.sources[item.number] = item.source
        if item.fidelity is not None:
            self.fidelities[item.number] = item.fidelity

    def drop(self, numbers: list[int], keys: list[bytes]) -> None:
        """Forget rows that never ran; trailing ones give their numbers back."""
        for number, key in zip(numbers, keys, strict=True):
            if self.index.get(key) == number:
                del self.index[key]
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
            mine = [number for number, by in self.by.items() if by == ordinal]
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
        reals = self.reals[numbers]
        params = self.space.to_params(reals, self.space.active(reals))
        values = (self.values[numbers] * self.signs).tolist()
        columns = zip(
            numbers.tolist(),
            params,
            values,
            self.statuses[numbers].tolist(),
            self.violations[numbers].tolist(),
            self.seconds[numbers].tolist(),
            self.started[numbers].tolist(),
            self.attempts[numbers].tolist(),
            self.replicates[numbers].tolist(),
            self.tickets[numbers].tolist(),
            strict=True,
        )
        return [
            Trial(
                number=number,
                params=param,
                values=tuple(value),
                status=Status(status),
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
