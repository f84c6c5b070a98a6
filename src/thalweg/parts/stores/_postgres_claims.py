"""Open trials that nobody alive works on find somebody who does; results that are not the usual case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from ...core.batch import Status
from ...core.store import Entry, Member
from ._answers import Settled, summary
from ._books import Counter
from ._claims import Found
from ._common import lost_error, never_opened
from ._postgres_books import Books, array, lines, own
from ._postgres_members import Members
from ._postgres_server import Read, Transaction
from ._rows import Ended, Row, place, same_result, sound, state_crc, with_attempt

_FINAL, _FAILED = int(Status.DONE), int(Status.FAILED)
_MANY = 64

Fetch = Callable[..., list[Any]]
"""Runs a named query: `Transaction.now`."""


def reads(members: Members, member: Member, limit: int, numbers: Sequence[int] | None) -> list[Read]:
    """What `find` looks at first."""
    wanted = None if numbers is None else array(map(int, numbers))
    return [
        ("queued_trials", {"study": member.study, "numbers": wanted, "most": limit}),
        ("open_owners", {"study": member.study}),
        members.places_read(member.study),
    ]


def find(
    books: Books, members: Members, rows: dict[str, list[Any]], fetch: Fetch, member: Member, limit: int,
    numbers: Sequence[int] | None, attempts: int,
) -> Found:  # fmt: skip
    """Look, without writing. rows: of `reads`, by name. Damaged rows are passed over."""
    found = Found()
    study = member.study
    found.queued = [row for row in rows["queued_trials"] if _whole(books, study, row)]
    if len(found.queued) >= limit:
        return found
    places = {item.token: item for item in members.judged(rows["list_members"])}
    lost = [owner for (owner,) in rows["open_owners"] if owner != member.token]
    lost = [owner for owner in lost if owner not in places or not places[owner].works]
    if not lost:
        return found
    wanted = None if numbers is None else array(map(int, numbers))
    for row in fetch("owned_trials", study=study, owners=array(lost), numbers=wanted, most=_MANY):
        if not _whole(books, study, row):
            continue
        if row[6] < attempts:
            found.lost = row
            break
        found.poisoned.append((row, places[row[7]].note if row[7] in places else ""))
    return found


def take(books: Books, transaction: Transaction, counter: Counter, member: Member, found: Found) -> list[Row]:
    """Write what was found: the rows that are `member`'s now, as they are now."""
    counter.version += 1
    study, token = member.study, member.token
    mine: list[Row] = []
    for row in [*found.queued, *([found.lost] if found.lost is not None else [])]:
        attempt = row[6] + 1 if row is found.lost else max(row[6], 1)
        mine.append((*row[:5], state_crc(token, attempt), attempt, token))
    own(transaction, counter, token, [(row[0], row[6]) for row in mine])
    if found.poisoned:
        ended = [_given_up(study, row, note) for row, note in found.poisoned]
        finish(transaction, study, ended, counter.version, None)
        said = [row[0] for row in ended]
        books.write_log(transaction, counter, [Entry("poisoned", {"numbers": said}, by=member.ordinal)])
    return mine


def _given_up(study: int, row: Row, note: str) -> Ended:
    import msgspec

    number, attempt = row[0], row[6]
    text = msgspec.json.encode({"values": [], "error": lost_error(attempt, note), "attempt": attempt})
    return number, _FAILED, text.decode(), crc32(text, place(study, number, _FAILED)), attempt


def finish(transaction: Transaction, study: int, rows: Sequence[Ended], version: int, token: int | None) -> None:
    """Write the results of open trials."""
    numbers, statuses, results, crcs, attempts = zip(*rows, strict=True)
    transaction.later(
        "finish_trials", study=study, version=version, token=token, numbers=array(numbers), statuses=array(statuses),
        results=lines(results), crcs=array(crcs), attempts=array(attempts),
    )  # fmt: skip


def withdraw(
    books: Books, transaction: Transaction, counter: Counter, crcs: Sequence[tuple[int, int]], token: int | None
) -> None:
    """Trials (number, new crc) are released or retracted."""
    transaction.later(
        "end_trials", study=counter.study, version=counter.version, token=token,
        numbers=array(number for number, _ in crcs), crcs=array(crc for _, crc in crcs),
    )  # fmt: skip
    books.keep(transaction, counter)


def settle(
    transaction: Transaction, study: int, rows: Sequence[Ended], token: int | None, keep_attempts: bool
) -> tuple[list[Ended], Settled]:
    """(results to write, what became of the others), by the transaction's read "ending_trials".

    keep_attempts: the results do not say which attempt they are of, so the trials' own numbers stay.

    Raises:
        StoreError: a trial was never opened, or was released.
    """
    known = {row[0]: row[1:] for row in transaction.rows["ending_trials"]}
    found = Settled()
    counts: dict[int, Ended] = {}
    again: list[Ended] = []
    unknown: list[int] = []
    for row in rows:
        number = row[0]
        status, attempt, owner, empty = known.get(number, (_FINAL, 1, None, True))
        if status < _FINAL and number not in counts:
            if owner is not None and owner != token:
                found.late.append(number)
            counts[number] = with_attempt(study, row, attempt) if keep_attempts and attempt > 1 else row
        elif number in counts or not empty:
            again.append(row)
        else:
            unknown.append(number)
    if unknown:
        raise never_opened(unknown)
    if again:
        _compare(transaction, study, again, counts, found)
    return list(counts.values()), found


def _compare(
    transaction: Transaction, study: int, again: Sequence[Ended], counts: dict[int, Ended], found: Settled
) -> None:
    """Tell answers that were given before from others."""
    stored = {
        row[0]: row for row in transaction.now("some_trials", study=study, numbers=array(row[0] for row in again))
    }
    for row in again:
        number = row[0]
        found.refused.append(number)
        if number in counts:
            same = same_result(counts[number][1], counts[number][2].encode(), row)
        else:
            same = sound(study, stored[number][:8]) and same_result(stored[number][1], stored[number][4], row)
        if same:
            found.same.append(number)
        else:
            values, error = summary(row)
            found.others.append({"number": number, "status": row[1], "values": values} | error)


def _whole(books: Books, study: int, row: Row) -> bool:
    whole = sound(study, row)
    if not whole:
        books.damaged(study)(row[0], "row")
    return whole
