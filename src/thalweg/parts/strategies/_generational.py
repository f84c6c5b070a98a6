"""The shared base of methods that work generation by generation: `brood` makes one, `evolve` hears it whole.

Rows are matched to their slot by ticket: the generation's tickets are contiguous, so slot = ticket - first ticket.
Answers may come in any order and grouping; a generation that is told in one group and in order is passed on as it came,
without a copy.

Who asks for more than a generation has, before all of it is told, has idle workers. With `quorum` None they get rows at
once: the generation is closed with what was told, the next brood is made for as many rows as are asked for (at least an
quarter of a population, which costs little more than one row), and what comes later goes to `late`, with what was noted
about it. With a share they wait until so much of it was told.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...core.batch import FOREIGN, Answers, Floats, Ints
from ...core.strategy import Strategy

_OPTIONAL = {"violations": 0.0, "seconds": np.nan, "fidelities": 1.0, "noise": np.nan}
"""Fields of Answers that may be None, and what stands for a row whose group did not have them."""


PART = 4
"""Rows that are bred at once for who asks for less: a quarter of a population. With 8 workers that takes `genetic` a
fifth and `de` half of the time of one row after the other, at the same area over time; a third cost `genetic` 2 to 7 %.
"""


class Generational(Strategy):
    """Abstract: write `brood` and `evolve`; `begin` must call `super().begin()` first.

    One generation: brood() -> rows are given out as asked for -> every answer is collected -> evolve(answers, slots).
    `brood` is called by the first ask after the generation before was closed, so foreign answers told in between count.

    Foreign answers wait as `guests` (the best `guest_limit`, those with values only) until the method takes them with
    `take_guests()`; override `absorb` to do something else.
    """

    guest_limit: ClassVar[int] = 256
    """The most foreign answers kept waiting."""
    quorum: float | None = 1.0
    """Share of a generation that must have been told before an ask may close it and begin the next one; None: any."""
    size: int = 0
    """Members of the population, where the brood may be cut."""
    divides: bool = False
    """Whether the brood may be cut: rows that were not given are never heard of again."""

    @abstractmethod
    def brood(self) -> Floats:
        """(k, D) the next generation's points. k = 0: nothing to give now (set what makes `done` True if for good)."""

    @abstractmethod
    def evolve(self, answers: Answers, slots: Ints | slice) -> None:
        """Learn from a generation; copy what is kept, the arrays belong to somebody else.

        answers: in the order of the brood's rows, all of them unless the quorum closed the generation early.
        slots: the brood's row of each answer: slice(None) if all are there, else (k,) indices. `array[slots]` works
            for any array with a row per row of the brood.
        """

    def late(self, answers: Answers, notes: Floats) -> None:  # noqa: ARG002 (of nobody who needs none)
        """Learn from answers to a generation that was closed before they came; as foreign ones unless overridden.

        notes: (k, c) what `notes` gave for each of them.
        """
        self.absorb(answers)

    def notes(self, slots: Ints) -> Floats:
        """(k, c) what `late` must know of the brood's rows `slots` (k,)."""
        return np.empty((len(slots), 0))

    def cut(self, slots: Ints) -> None:
        """The brood keeps only its rows `slots` (k,): so must arrays with a row per row of it."""

    # --- the books ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set up the books; a subclass's `begin` calls this first."""
        self.generation = 0
        self._brood: Floats = np.empty((0, self.dimension))
        self.wanted = 1  # rows in the ask that a brood is made for
        self._first = 0
        self._given = 0
        self._heard = 0
        self._late: Ints = np.empty(0, dtype=np.int64)  # tickets of closed generations, increasing, and their notes
        self._notes: Floats = np.empty((0, 0))
        self._got: dict[str, NDArray[Any]] = {}
        width = len(self.problem.objectives)
        self._guests = _no_answers(self.dimension, width)
        self._arrived: list[Answers] = []

    @property
    def stride(self) -> int:
        """Rows left in the current generation (1 before it is made: how many there will be is not known yet)."""
        return max(len(self._brood) - self._given, 1)

    @property
    def all_out(self) -> bool:
        """The brood was given, and not all of it is told."""
        return self._heard < len(self._brood) == self._given

    @property
    def speculates(self) -> bool:
        """The generation is out and not heard, and more is given to who asks for it."""
        return self.quorum is None and self.all_out

    def propose(self, n: int) -> Floats:
        """Rows of the current generation, or of the next one when everything needed has been told."""
        given, size = self._given, len(self._brood)
        if given == size:
            if self._heard < size:
                return self._barrier(n)
            self._next_brood(n)
            given = 0
        rows = self._brood[given : given + n]
        self._given = given + len(rows)
        return rows

    def _next_brood(self, n: int) -> None:
        self.wanted = n
        self._brood = self.brood()
        self._first, self._heard, self._given = self.next_ticket, 0, 0
        self.generation += len(self._brood) > 0
        part = max(n, self.size // PART)
        if len(self._late) and self.quorum is None and self.divides and part < len(self._brood):
            # rows that are given later are better made later; not always the same ones, if they have an order
            slots = np.sort((self.next_ticket + np.arange(part)) % len(self._brood))
            self._brood = self._brood[slots]
            self.cut(slots)

    def _barrier(self, n: int) -> Floats:
        """Rows for who asks for more while the generation is out and not all of it is told."""
        if self.quorum is not None and (self.quorum >= 1.0 or self._heard < self.quorum * len(self._brood)):
            return self._brood[:0]
        self._close_early()
        self._next_brood(n)
        self._given = min(n, len(self._brood))
        return self._brood[:n]

    def learn(self, answers: Answers) -> None:
        """Collect answers; a complete generation evolves at once."""
        size, first = len(self._brood), self._first
        if len(self._late):
            current = answers.tickets >= first
            if not current.any():
                self._hear_late(answers)
                return
            if not current.all():
                self._hear_late(answers.rows(~current))
                answers = answers.rows(current)
        # bytes: the quickest way to compare the tickets with first, first + 1, ...
        if len(answers) == size and answers.tickets.tobytes() == np.arange(first, first + size).tobytes():
            self._heard = size
            self.evolve(answers, slice(None))
            return
        self._collect(answers, size)
        self._heard += len(answers)
        if self._heard == size:
            self.evolve(self._collected(slice(None)), slice(None))
            self._got = {}

    def _hear_late(self, answers: Answers) -> None:
        at = np.searchsorted(self._late, answers.tickets)
        notes = self._notes[at]
        others = np.ones(len(self._late), dtype=np.bool_)
        others[at] = False
        self._late, self._notes = self._late[others], self._notes[others]
        self.late(answers, notes)

    def _close_early(self) -> None:
        """Somebody wants rows: evolve on what is there."""
        tickets = self._got.get("tickets", np.full(len(self._brood), FOREIGN))
        heard, others = np.flatnonzero(tickets != FOREIGN), np.flatnonzero(tickets == FOREIGN)
        answers = self._collected(heard) if self._got else _no_answers(self.dimension, len(self.problem.objectives))
        self._got = {}
        notes = self.notes(others)
        self._notes = np.concatenate([self._notes, notes]) if len(self._late) else notes
        self._late = np.append(self._late, self._first + others)
        self.evolve(answers, heard)

    def _collect(self, answers: Answers, size: int) -> None:
        got = self._got
        if not got:
            got["tickets"] = np.full(size, FOREIGN)
            got["points"] = np.empty((size, self.dimension))
            got["values"] = np.empty((size, answers.values.shape[1]))
            got["statuses"] = np.empty(size, np.int8)
        tickets = answers.tickets
        if len(tickets) == 1:  # basic indexing: half the time of an index array
            slot = int(tickets[0]) - self._first
            slots: Ints | slice = slice(slot, slot + 1)
        else:
            slots = tickets - self._first
        got["tickets"][slots] = tickets
        got["points"][slots] = answers.points
        got["values"][slots] = answers.values
        got["statuses"][slots] = answers.statuses
        if answers.violations is not None:
            self._collect_extra("violations", answers.violations, slots, size)
        if answers.seconds is not None:
            self._collect_extra("seconds", answers.seconds, slots, size)
        if answers.fidelities is not None:
            self._collect_extra("fidelities", answers.fidelities, slots, size)
        if answers.noise is not None:
            self._collect_extra("noise", answers.noise, slots, size)

    def _collect_extra(self, name: str, column: Floats, slots: Ints | slice, size: int) -> None:
        if name not in self._got:
            self._got[name] = np.full((size, *column.shape[1:]), _OPTIONAL[name])
        self._got[name][slots] = column

    def _collected(self, slots: Ints | slice) -> Answers:
        return Answers(**{name: column[slots] for name, column in self._got.items()})

    # --- foreign answers ------------------------------------------------------------------------------------------

    def absorb(self, answers: Answers) -> None:
        """Keep foreign answers as guests until the method takes them."""
        good = answers.ok
        answers = copied(answers) if good.all() else answers.rows(good)
        if len(answers):
            self._arrived.append(answers)
            if sum(map(len, self._arrived)) > self.guest_limit:
                self._gather()

    @property
    def guests(self) -> Answers:
        """The waiting foreign answers (maybe none), in the order they came."""
        if self._arrived:
            self._gather()
        return self._guests

    def _gather(self) -> None:
        """Those that came, one or few at a time, join the others: all at once, and only when somebody looks."""
        both = join(self._guests, *self._arrived)
        self._arrived = []
        if len(both) > self.guest_limit:
            # several objectives have no single order: the latest stay
            order = np.argsort(both.merit(), kind="stable") if both.values.shape[1] == 1 else np.arange(len(both))[::-1]
            both = both.rows(np.sort(order[: self.guest_limit]))
        self._guests = both

    def take_guests(self) -> Answers:
        """The waiting foreign answers (maybe none), in the order they came; they do not wait any more."""
        taken = self.guests
        if len(taken):
            self._guests = _no_answers(self.dimension, taken.values.shape[1])
        return taken

    def state(self) -> dict[str, Any]:
        """Everything a twin needs; guests are gathered before, which loses nothing."""
        if self._arrived:
            self._gather()
        return super().state()


def merits(answers: Answers) -> Floats:
    """`answers.merit()` (k,), in a third of its time where nothing failed; not to be changed, it may be a view."""
    values: Floats = answers.values[:, 0]
    if answers.violations is None and np.count_nonzero(np.isfinite(values)) == len(values):
        return values
    return answers.merit()


def copied(answers: Answers) -> Answers:
    """A copy that nobody else holds."""
    return Answers(
        answers.tickets.copy(),
        answers.points.copy(),
        answers.values.copy(),
        answers.statuses.copy(),
        None if answers.violations is None else answers.violations.copy(),
        None if answers.seconds is None else answers.seconds.copy(),
        None if answers.fidelities is None else answers.fidelities.copy(),
        None if answers.noise is None else answers.noise.copy(),
    )


def join(*batches: Answers) -> Answers:
    """All batches one after the other, as a new batch; optional fields that only some of them have are filled in."""
    merged: dict[str, NDArray[Any]] = {}
    for name in Answers.__slots__:
        parts = [getattr(batch, name) for batch in batches]
        known = next((part for part in parts if part is not None), None)
        if known is None:
            continue
        for i, part in enumerate(parts):
            if part is None:
                parts[i] = np.full((len(batches[i]), *known.shape[1:]), _OPTIONAL[name])
        merged[name] = np.concatenate(parts)
    return Answers(**merged)


def _no_answers(dimension: int, width: int) -> Answers:
    return Answers(
        np.empty(0, dtype=np.int64), np.empty((0, dimension)), np.empty((0, width)), np.empty(0, dtype=np.int8)
    )
