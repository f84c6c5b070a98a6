"""What every transaction on a file's tables needs: the counter of a study, lines of the log, warnings of damage."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ...core.errors import StoreError
from ...core.store import Entry, Member, StudyRecord
from ._queries import queries
from ._rows import from_json, log_crc, study_crc, text_of, to_json

if TYPE_CHECKING:
    import apsw


@dataclass(slots=True)
class Counter:
    """What comes next in a study. used: places of its budget that are taken.  gone: of the member it was read for: 0 it
    is there, 1 it has left, None its place is another's (or there is no member)."""

    study: int
    next: int = 0
    used: int = 0
    version: int = 0
    sequence: int = 0
    budget: int | None = None
    gone: int | None = None

    def row(self) -> tuple[int | None, ...]:
        """As the table has it, with its crc."""
        fields = (self.study, self.next, self.used, self.version, self.sequence, self.budget)
        return (*fields, _counter_crc(*fields))

    def room(self, wanted: int, budget: int | None) -> int:
        """How many of `wanted` trials `budget` leaves room for."""
        return wanted if budget is None else max(0, min(wanted, budget - self.used))


def _counter_crc(study: int, number: int, used: int, version: int, sequence: int, budget: int | None) -> int:
    text = f"{study}\n{number}\n{used}\n{version}\n{sequence}"
    return crc32((text if budget is None else f"{text}\n{budget}").encode())


Line = tuple[str, float, str, int]
"""Kind, time, body and ordinal of a line of the log that is about to be written."""


def lines_of(entries: Sequence[Entry]) -> list[Line]:
    """The lines that `entries` will be. Made before others have to wait.

    Raises:
        StoreError: a body is not plain data.
    """
    return [
        (entry.kind, entry.time_unixtime or time.time(), to_json(entry.body, f"log line {entry.kind!r}"), entry.by)
        for entry in entries
    ]


class Books:
    """Reads and writes them, inside a transaction of the caller's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql = queries()
        self._warned: set[str] = set()
        self._kept: tuple[int | None, ...] = ()
        """The counter as it was written last: it needs no look at its crc when it is read again."""

    def counter(self, connection: apsw.Connection, study: int, member: Member | None = None) -> Counter:
        """The counter of a study, made again from its rows if it is damaged; and how `member` stands.

        Raises:
            StoreError: there is no such study.
        """
        token = member.token if member is not None else None
        row: Any = connection.execute(self.sql["get_counter"], (study, token)).fetchone()
        if row is None:
            raise self.vanished(study)
        number, used, version, sequence, budget, crc, gone = row
        if (
            self._kept != (study, number, used, version, sequence, budget, crc)
            and _counter_crc(study, number, used, version, sequence, budget) != crc
        ):
            self.warn(study, "the counter (made again from the rows)")
            again: Any = connection.execute(self.sql["count_again"], (study,)).fetchone()
            number, used, version, sequence, budget = again
        return Counter(study, number, used, version, sequence, budget, gone)

    def keep(self, connection: apsw.Connection, counter: Counter) -> None:
        """Write the counter back."""
        self._kept = counter.row()
        connection.execute(self.sql["set_counter"], self._kept)

    def counter_ok(self, connection: apsw.Connection, study: int) -> bool:
        """Whether the counter's crc is right."""
        row = one(connection, self.sql["get_counter"], (study, None))
        return row is not None and _counter_crc(study, *row[:5]) == row[5]

    def vanished(self, study: int) -> StoreError:
        """The error for a study that is not there any more."""
        return StoreError(f"{self.path}: study {study} is not there; was it deleted meanwhile?")

    def write_log(
        self, connection: apsw.Connection, counter: Counter, lines: Sequence[Line]
    ) -> list[tuple[float, int]]:
        """Write the lines; the (time, sequence) each of them got, to be told when the transaction stands."""
        study, sequence, query = counter.study, counter.sequence, self.sql["add_entry"]
        written = []
        for kind, moment, body, by in lines:
            sequence += 1
            crc = log_crc(study, sequence, kind, moment, body, by)
            connection.execute(query, (study, sequence, kind, moment, body, by, crc))
            written.append((moment, sequence))
        counter.sequence = sequence
        return written

    def write_spec(self, connection: apsw.Connection, study: int, moment: float, body: str) -> None:
        """Write line 0 of a study's log, which nobody sees: of it `repair` makes the study's own row again."""
        row = (study, 0, "spec", moment, body, 0, log_crc(study, 0, "spec", moment, body, 0))
        connection.execute(self.sql["add_entry"], row)

    def record(self, row: Sequence[Any]) -> StudyRecord:
        """A row of the table of studies, texts as bytes, as a record.

        Raises:
            StoreError: it is damaged.
        """
        study, *texts, created, revision, crc = row
        name, text, fingerprint = map(text_of, texts)
        if name is None or text is None or fingerprint is None:
            raise StoreError(f"{self.path}: a text of study {study} is damaged; salvage: thalweg repair {self.path}")
        if study_crc(name, text, fingerprint, created, revision) != crc:
            raise StoreError(
                f"{self.path}: the row of study {name!r} is damaged; its log says the same: thalweg repair {self.path}"
            )
        return StudyRecord(study, name, from_json(text), fingerprint, created, revision)

    def warn(self, study: int, what: str) -> None:
        """Say, once, that something is damaged."""
        text = f"{self.path}: study {study}: {what} is damaged and left out; verify() lists everything that is"
        if text not in self._warned:
            self._warned.add(text)
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    def damaged(self, study: int) -> Callable[[int, str], None]:
        """What to call with (number, what) of a damaged trial."""
        return lambda number, what: self.warn(study, f"trial {number}: its {what}")


def one(connection: apsw.Connection, query: str, values: tuple[Any, ...] = ()) -> Any:
    """The first row, or None."""
    return connection.execute(query, values).fetchone()


def every(connection: apsw.Connection, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
    """All rows."""
    return connection.execute(query, values).fetchall()
