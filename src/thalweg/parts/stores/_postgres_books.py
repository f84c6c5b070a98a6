"""What transactions on a PostgreSQL schema's tables need: the counter of a study, lines of the log, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...core.errors import StoreError
from ...core.store import Entry, StudyRecord
from ._books import Counter
from ._postgres_link import Link
from ._postgres_server import Read, Transaction
from ._rows import from_json, log_crc, state_crc, study_crc, to_json

Written = list[tuple[float, int]]
"""The (time, sequence) that entries of the log got, to be told when the transaction stands."""


def array(numbers: Iterable[object]) -> str:
    """Numbers (or hexadecimal words) as the text of an array: far cheaper to make and to send than a list's items."""
    return f"{{{','.join(map(str, numbers))}}}"


def lines(texts: Iterable[str]) -> str:
    """Texts of JSON, which has no line breaks of its own, a line each."""
    return "\n".join(texts)


def vanished(where: str, study: int) -> StoreError:
    """The error for a study that is not there any more."""
    return StoreError(f"{where}: study {study} is not there; was it deleted meanwhile?")


def locked(study: int) -> Read:
    """The read that locks a study, and gives its counter and the server's time. Every write begins with it."""
    return "lock_counter", {"study": study}


def own(transaction: Transaction, counter: Counter, token: int | None, trials: Sequence[tuple[int, int]]) -> None:
    """Open trials (number, attempt) belong to the member `token`, or to nobody."""
    transaction.later(
        "own_trials",
        study=counter.study,
        token=token,
        version=counter.version,
        numbers=array(number for number, _ in trials),
        attempts=array(attempt for _, attempt in trials),
        crcs=array(state_crc(token, attempt) for _, attempt in trials),
    )


class Books:
    """Reads and writes them, inside a transaction of the caller's. where: the address, without passwords."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._warned: set[str] = set()

    def counter(self, transaction: Transaction, study: int) -> Counter:
        """The counter of a study, from the transaction's read `locked`; made again from the rows if it is damaged.

        Raises:
            StoreError: there is no such study.
        """
        rows = transaction.rows["lock_counter"]
        return self.counter_of(study, rows, lambda: transaction.now("count_again", study=study))

    def read_counter(self, link: Link, study: int) -> Counter:
        """The same, without locking it."""
        rows = link.rows("get_counter", study=study)
        return self.counter_of(study, rows, lambda: link.rows("count_again", study=study))

    def counter_of(self, study: int, rows: list[Any], count_again: Callable[[], list[Any]]) -> Counter:
        """The counter in `rows`, which begin with its columns."""
        if not rows:
            raise vanished(self.where, study)
        counter = Counter(study, *rows[0][:5])
        if counter.row()[-1] != rows[0][5]:
            self.warn(study, "the counter (made again from the rows)")
            counter = Counter(study, *count_again()[0])
        return counter

    def keep(self, transaction: Transaction, counter: Counter, how: str = "set_counter") -> None:
        """Write the counter back (or, with "add_counter", for the first time)."""
        names = ("study", "next", "used", "version", "sequence", "budget", "crc")
        transaction.later(how, **dict(zip(names, counter.row(), strict=True)))

    def write_log(self, transaction: Transaction, counter: Counter, entries: Sequence[Entry]) -> Written:
        """Write the entries, with the server's time where they have none."""
        if not entries:
            return []
        now = float(transaction.rows["lock_counter"][0][6])
        study, first = counter.study, counter.sequence + 1
        counter.sequence += len(entries)
        moments = [entry.time_unixtime or now for entry in entries]
        bodies = [to_json(entry.body, f"log line {entry.kind!r}") for entry in entries]
        crcs = [
            log_crc(study, first + i, entry.kind, moments[i], bodies[i], entry.by) for i, entry in enumerate(entries)
        ]
        transaction.later(
            "add_entries",
            study=study,
            sequences=array(range(first, first + len(entries))),
            kinds=[entry.kind for entry in entries],
            moments=array(moments),
            bodies=lines(bodies),
            abouts=array(entry.by for entry in entries),
            crcs=array(crcs),
        )
        return [(moment, first + i) for i, moment in enumerate(moments)]

    def write_spec(self, transaction: Transaction, study: int, moment: float, body: str) -> None:
        """Write line 0 of a study's log, which nobody sees: what the study's own row says."""
        crc = log_crc(study, 0, "spec", moment, body, 0)
        transaction.later(
            "add_entries", study=study, sequences=array([0]), kinds=["spec"], moments=array([moment]),
            bodies=lines([body]), abouts=array([0]), crcs=array([crc]),
        )  # fmt: skip

    def record(self, row: Sequence[Any]) -> StudyRecord:
        """A row of the table of studies as a record.

        Raises:
            StoreError: it is damaged.
        """
        study, name, text, fingerprint, created, revision, crc = row
        if study_crc(name, text, fingerprint, created, revision) != crc:
            raise StoreError(f"{self.where}: the row of study {name!r} is damaged; its trials may still be exported")
        return StudyRecord(study, name, from_json(text), fingerprint, created, revision)

    def warn(self, study: int, what: str) -> None:
        """Say, once, that something is damaged."""
        text = f"{self.where}: study {study}: {what} is damaged and left out; verify() lists everything that is"
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    def damaged(self, study: int) -> Callable[[int, str], None]:
        """What to call with (number, what) of a damaged trial."""
        return lambda number, what: self.warn(study, f"trial {number}: its {what}")
