"""What every store says and does alike."""

from __future__ import annotations

import dataclasses
import difflib
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.errors import Displaced, StoreError, StoreMismatch, StudyBusy
from ...core.store import PRIORITY_S, Entry, Finishing, Member, Opening, StudyRecord


def unknown_study(where: str, name: str, names: Sequence[str]) -> StoreError:
    """The error for a study that is not there, with near names or the newest ones."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif names:
        hint = f"there are: {', '.join(map(repr, names[-8:]))}"
    else:
        hint = "there are none yet"
    return StoreError(f"{where}: no study is called {name!r}; {hint}")


def never_opened(numbers: Sequence[int]) -> StoreError:
    """The error for results of trials that are not there."""
    return StoreError(
        f"no trial has the number {', '.join(map(str, numbers[:8]))}: never opened, or released; "
        f"append takes numbers that open_trials gave, results from elsewhere go through add"
    )


def check_lengths(opening: Opening, finishing: Finishing) -> None:
    """Raises StoreError unless row i of both can be one trial."""
    if len(opening) != len(finishing):
        raise StoreError(f"add: as many results as points expected, got {len(finishing)} for {len(opening)}")


def renumbered(finishing: Finishing, first: int) -> Finishing:
    """The same results for the consecutive numbers from `first` on."""
    return dataclasses.replace(finishing, numbers=np.arange(first, first + len(finishing), dtype=np.int64))


def stamp(entries: Sequence[Entry], written: Sequence[tuple[float, int]]) -> None:
    """Tell entries the time and sequence they were written with."""
    for entry, (moment, sequence) in zip(entries, written, strict=True):
        entry.time_unixtime, entry.sequence = moment, sequence


def displaced(where: str, member: Member) -> Displaced:
    """The error for a member that is not there any more."""
    return Displaced(
        f"{where}: member {member.ordinal} of study {member.study} (token {member.token}) is not there any more: it "
        f"left, or its lock was lost and another one took its place; join again to go on under a new one"
    )


def busy(where: str, note: str, pid: int | None, since_unixtime: float, alone: bool) -> StudyBusy:
    """The error for a study that must be worked on alone, and is not."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since_unixtime))
    who = (note or "somebody") + (f" (process {pid})" if pid is not None else "")
    why = "alone on this study" if alone else "on this study, which you want for yourself alone"
    return StudyBusy(
        f"{where}: {who} has been {why} since {since}; wait for it, or stop it (its trials are kept, and what was open "
        f"is done again), or use another study"
    )


def lost_error(attempts: int, last: str) -> str:
    """The error text of a trial that was lost too often. last: the note of the member that had it last."""
    who = f"the last one was {last}" if last else "or fell silent"
    return f"lost {attempts} times: whoever evaluated it died ({who}); it is not tried again"


def check_lease(lease_s: float) -> float:
    """Raises StoreError unless `lease_s` is a positive number of seconds."""
    if isinstance(lease_s, bool) or not isinstance(lease_s, (int, float)) or not lease_s > 0:
        raise StoreError(f"lease_s must be a positive number of seconds, got {lease_s!r}")
    return float(lease_s)


def check_claim(limit: int, attempts: int) -> None:
    """Raises StoreError unless both are counts."""
    if limit < 0 or attempts < 1:
        raise StoreError(f"claim: a limit >= 0 and attempts >= 1 expected, got {limit} and {attempts}")


def due_of(opening: Opening, now: float) -> float:
    """What trials that are opened at the moment `now` are ordered by while they wait: see `PRIORITY_S`.

    Raises:
        StoreError: the priority is no number.
    """
    if math.isnan(opening.priority):
        raise StoreError("a priority is a number (60 s of waiting each), got nan")
    return now - opening.priority * PRIORITY_S


def stale(where: str, record: StudyRecord, revision: int) -> StoreMismatch:
    """The error for a spec that was changed by somebody else meanwhile."""
    return StoreMismatch(
        f"{where}: study {record.name!r} has revision {record.revision} by now, not {revision}: somebody changed it; "
        f"open it again and look"
    )


def respec_line(old: StudyRecord, spec: dict[str, Any], fingerprint: str) -> Entry:
    """What the log says of a changed spec: what it was before, and what it is now."""
    before = {"spec": old.spec, "fingerprint": old.fingerprint, "revision": old.revision}
    return Entry("respec", {**before, "now": {"spec": spec, "fingerprint": fingerprint}})
