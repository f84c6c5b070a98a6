"""Going on with a stored study: newest snapshot and a replay of the log after it; else everything as foreign."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Floats, Ints, Status
from ..core.errors import ThalwegError
from ..core.pause import no_collection
from ..core.store import Entry, Member
from .chunk import Chunk
from .packing import unpack
from .rows import chunk_of
from .session import Session


class _Diverged(Exception):
    """The strategy does not give what the log says it gave (other code, other versions)."""


def load(session: Session, revision: int = 0) -> int:
    """Take every stored trial into the session's history; gives how many there are, unfinished ones included.
    revision: of the study's spec, as it is known here."""
    session.crew.revision = revision
    with no_collection():
        stored, session.crew.version = session.store.columns(session.study, session.history.wanted)
        session.history.take(stored)
        del stored
        session.groups.loaded()
    if session.groups.racing:
        for entry in session.store.entries(session.study, 0, ("again",)):
            session.groups.decided(unpack(entry.body["n"]))
    numbers = session.groups.whole(session.history.good())
    if session.groups.racing:
        numbers = _told(session, numbers)
    session.best = session.groups.best(numbers, None)
    return session.history.n


def _told(session: Session, numbers: Ints) -> Ints:
    """Those of `numbers` that a strategy has heard of: races take up where they were when that happened."""
    groups = session.groups
    for entry in session.store.entries(session.study, 0, ("tell",)):
        heard = unpack(entry.body["n"])
        groups.told(heard[groups.history.statuses[heard] >= Status.DONE])
    return np.array([number for number in numbers.tolist() if groups.race.knows(number)], dtype=np.int64)


def take_up(session: Session, member: Member, budget: int | None, strategy: str, stored: str) -> str:
    """Go on in a study as `member`, where the last one on this place was. strategy, stored: what it is called now, and
    in the store. Gives how, in words; "": there was nothing to go on with."""
    history = session.history
    history.own_tickets(member.ordinal)
    if not session.crew.revision_changed:
        session.crew.renewal = ""  # whatever it was, the strategy is about to hear of it
    if session.started:
        return as_foreign(session, budget, "another process took its place in between")
    if session.store.entries(session.study, 0, ("start",), member.ordinal):
        if strategy != stored:
            return as_foreign(session, budget, f"the strategy was {stored}")
        return resume(session, budget)
    session.begin(budget)
    numbers = session.groups.whole(history.final())
    if not len(numbers):
        return ""
    session.tell_known(numbers)
    return f"{len(numbers)} results are learnt as foreign ones"


def resume(session: Session, budget: int | None) -> str:
    """Bring the strategy to where the log ends; unfinished trials wait in the backlog. Gives how, in words."""
    try:
        how = _replay(session)
        _hear_the_rest(session)
    except (_Diverged, ThalwegError, KeyError, ValueError, TypeError) as error:
        how = as_foreign(session, budget, f"the stored history does not fit this strategy any more: {error}")
    return how


def _replay(session: Session) -> str:
    store, study, by = session.store, session.study, session.crew.ordinal
    points: dict[int, Floats] = {}
    start = store.entries(study, 0, ("start",), by)[-1]
    stored, after = store.restore(study, by), start.sequence
    if store.entries(study, after, ("retracted", "respec")):
        raise _Diverged("a trial was retracted, or the space was changed")
    session.strategy.start(session.problem, int(start.body["seed"]), start.body["budget"])
    if stored is not None and stored[1] >= after:
        body, after = stored
        session.strategy.restore(body["strategy"])
        points.update(zip(body["tickets"].tolist(), body["points"], strict=True))
        for entry in store.entries(study, start.sequence, ("budget",), by):
            if entry.sequence <= after:
                session.strategy.budget = entry.body["budget"]
    else:
        stored = None
    session.started = True
    for entry in store.entries(study, after, ("budget", "ask", "tell"), by):
        _replay_entry(session, entry, points)
    _requeue(session, points)
    return "continued from its snapshot and log" if stored is not None else "replayed from its log"


def _hear_the_rest(session: Session) -> None:
    """Tell what others have done since this place was last held."""
    history, by = session.history, session.crew.ordinal
    start = session.store.entries(session.study, 0, ("start",), by)[-1].sequence
    told: set[int] = set()
    for entry in session.store.entries(session.study, start, ("tell",), by):
        heard = unpack(entry.body["n"])
        told.update(heard.tolist())
        foreign = heard[unpack(entry.body["t"]) == FOREIGN]
        if len(foreign):
            session.aliases.note(session.space.encode(history.reals[foreign]), foreign)
    theirs = [
        number
        for number in history.final().tolist()
        if number not in told
        and (history.by.get(number, 0) != by or history.sources.get(number) in ("added", "enqueued"))
    ]
    numbers = session.groups.whole(np.array(theirs, dtype=np.int64))
    if len(numbers):
        session.tell_known(numbers)
    _untold_foreign(session)


def _untold_foreign(session: Session) -> None:
    """Rows of this place without a ticket (initial points, points nobody had tried) that were recorded, and not told
    before the study was killed."""
    history, groups, by = session.history, session.groups, session.crew.ordinal
    told: set[int] = set()
    for entry in session.store.entries(session.study, 0, ("tell",), by):
        told.update(unpack(entry.body["n"]).tolist())
    final = history.final()
    for number in final[history.tickets[final] == FOREIGN].tolist():
        own = history.by.get(number, 0) == by and history.sources.get(number, "strategy") in ("initial", "strategy")
        if not own or groups.lacks(number) or not groups.answerable(number):
            continue
        members = groups.members(number)
        if members[0] not in told and number in groups.turns(members[-1]):
            session.untold[number] = chunk_of(history, [number], np.array([FOREIGN]))


def _replay_entry(session: Session, entry: Entry, points: dict[int, Floats]) -> None:
    body: dict[str, Any] = entry.body
    if entry.kind == "budget":
        session.strategy.budget = body["budget"]
    elif entry.kind == "ask":
        proposals = session.strategy.ask(int(body["n"]))
        if len(proposals) != int(body["k"]) or (len(proposals) and int(proposals.tickets[0]) != int(body["first"])):
            raise _Diverged("it proposes other points than it did")
        placed, _, _ = session.place(proposals.tickets, proposals.points)
        points.update(zip(proposals.tickets.tolist(), placed, strict=True))
    else:
        tickets, numbers = unpack(body["t"]), unpack(body["n"])
        rows = [points.pop(int(ticket), None) for ticket in tickets]
        encoded = session.space.encode(session.history.reals[numbers])
        known = [encoded[i] if row is None else row for i, row in enumerate(rows)]
        if (session.history.statuses[numbers] < Status.DONE).any():
            raise _Diverged("it was told of trials that the store does not have")
        session.strategy.tell(session.answers(tickets, np.array(known), numbers, body.get("s")))


def _requeue(session: Session, points: dict[int, Floats]) -> None:
    """Proposals without an answer: opened trials run again under their number, the rest waits for room."""
    history = session.history
    pending = session.strategy.pending_tickets
    opened = {int(t): n for n, t in enumerate(history.tickets[: history.n].tolist()) if t in pending}
    for ticket in sorted(pending):
        last = opened.get(ticket)
        if last is None:
            if ticket in points:
                session.backlog.append(session.admit(np.array([ticket]), points[ticket][None]))
            continue
        point = points[ticket] if ticket in points else session.space.encode(history.reals[last : last + 1])[0]
        session.groups.placed(last, point)
        if session.groups.lacks(last) or not session.groups.answerable(last):
            continue  # nothing to tell before the others are opened
        for number in session.groups.turns(last):
            chunk = _lost(chunk_of(history, [number], np.array([ticket]), point[None]))
            if history.statuses[number] >= Status.DONE:
                session.untold[number] = chunk  # recorded, but the study was killed before it was told
            else:
                session.backlog.append(chunk)
    session.backlog = [chunk for chunk in session.backlog if len(chunk)]
    opened_ones = sum(int(chunk.numbers[0]) >= 0 for chunk in session.backlog)
    for rows in (session.groups.lacking(), session.groups.owed()):
        if rows is not None:  # points opened in part come before those that were not opened at all
            session.backlog.insert(opened_ones, rows)
    _requeue_foreign(session)


def _requeue_foreign(session: Session) -> None:
    """Unfinished trials of this place that no ticket waits for (initial points, points of an earlier strategy) run
    again; those of other places, and queued ones, are claimed when nobody alive has them."""
    history, own = session.history, session.crew.own
    waiting = {int(n) for chunk in session.backlog for n in chunk.numbers.tolist()}
    mine = [n for n in history.open_rows().tolist() if history.by.get(n, 0) == session.crew.ordinal]
    rows = [n for n in mine if n not in waiting and n not in own and history.sources.get(n) != "enqueued"]
    if rows:
        session.backlog.append(_lost(chunk_of(history, rows, np.full(len(rows), FOREIGN))))


def _lost(chunk: Chunk) -> Chunk:
    chunk.lost, chunk.attempt = True, 2
    return chunk


def _foreign(chunk: Chunk) -> Chunk:
    chunk.tickets = np.full(len(chunk), FOREIGN)
    return chunk


def renew(session: Session, budget: int | None, queue: Iterable[Chunk]) -> None:
    """Begin the strategy anew, now that `session.crew.renewal` says so; nothing may be in flight. queue: rows that wait
    to be evaluated."""
    reason, session.crew.renewal = session.crew.renewal, ""
    for chunk in queue:
        _foreign(chunk)
    session.emit("switched", reason=as_foreign(session, budget, reason))


def as_foreign(session: Session, budget: int | None, reason: str) -> str:
    """A fresh strategy (its own stream of random numbers) hears every finished trial as somebody else's."""
    place = [session.crew.ordinal] if session.crew.ordinal else []
    fresh = int(np.random.SeedSequence([session.seed & (2**63 - 1), session.history.n, *place]).generate_state(1)[0])
    session.backlog = [
        _foreign(chunk)
        for chunk in session.backlog  # what has a number, and what people gave; proposals are gone with who made them
        if chunk.numbers[0] >= 0 or (chunk.source in ("initial", "enqueued") and not chunk.further)
    ]
    session.untold.clear()
    session.cache.clear()
    session.start(fresh, budget)
    session.groups.disown()
    history = session.history
    numbers = session.groups.whole(history.final())
    if len(numbers):
        session.tell_known(numbers)
        session.best = session.groups.best(numbers, session.best) or session.best
    _requeue_foreign(session)
    return f"{reason}; {len(numbers)} results are learnt as foreign ones"
