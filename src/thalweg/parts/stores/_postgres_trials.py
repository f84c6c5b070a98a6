"""Trials in bulk: new ones as columns (one statement opens a batch, however large), and what is read of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from ...core.store import Member
from ._books import Counter
from ._postgres_books import Books, array, lines
from ._postgres_link import Link
from ._postgres_server import Read, Transaction
from ._rows import Point, place


def present(member: Member | None) -> list[Read]:
    """The read that says whether a member is there still."""
    return [] if member is None else [("has_member", {"token": member.token})]


def holding(member: Member | None) -> list[Read]:
    """The read that says whether the place of a member is nobody else's."""
    return [] if member is None else [("holds_place", {"token": member.token})]


def columns(study: int, first: int, points: Sequence[Point]) -> dict[str, str]:
    """What new trials have in common, however they came: their columns."""
    base = place(study, 0) + 8 * first
    return {
        "numbers": array(range(first, first + len(points))),
        "digests": array(name.hex() for name, _ in points),
        "openings": lines(text.decode() for _, text in points),
        "crcs": array(crc32(text, (base + 8 * i) & 0xFFFFFFFF) for i, (_, text) in enumerate(points)),
    }


def fresh(
    transaction: Transaction, counter: Counter, points: Sequence[Point], budget: int | None
) -> tuple[Sequence[Point], dict[int, int]]:
    """(points to open, as many as there is room for; row -> the trial that has its point), by the transaction's read
    "same_points", if there is one."""
    room = counter.room(len(points), budget)
    if "same_points" not in transaction.rows:
        return points[:room], {}
    known: dict[bytes, int] = {bytes.fromhex(name): number for name, number in transaction.rows["same_points"]}
    kept: list[Point] = []
    taken: dict[int, int] = {}
    for row, (name, text) in enumerate(points):
        if name in known:
            taken[row] = known[name]
        elif len(kept) == room:
            break
        else:
            known[name] = counter.next + len(kept)
            kept.append((name, text))
    return kept, taken


def everything(books: Books, study: int, token: int | None) -> Callable[[Link], tuple[list[Any], int]]:
    """What finds (rows of all trials but those that `token` wrote, the study's version)."""

    def read(link: Link) -> tuple[list[Any], int]:
        newest = books.read_counter(link, study).version
        return link.rows("all_trials", study=study, token=token, released=False), newest

    return read


def changes(books: Books, study: int, token: int | None, version: int) -> Callable[[Link], tuple[list[Any], int]]:
    """The same for trials that changed after `version`."""

    def read(link: Link) -> tuple[list[Any], int]:
        newest = books.read_counter(link, study).version
        if version >= newest:
            return [], newest
        # what changes after this moment is for the next time, so the two queries need no transaction
        return link.rows("changed_trials", study=study, token=token, version=version, newest=newest), newest

    return read
