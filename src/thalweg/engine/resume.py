"""Going on with a stored study: newest snapshot and a replay of the log after it; else everything as foreign."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Floats, Ints, Status
from ..core.errors import ThalwegError
from ..core.store import Entry
from .chunk import Chunk
from .packing import unpack
from .replicates import tails
from .session import Session


class _Diverged(Exception):
    """The strategy does not give what the log says it gave (other code, other versions)."""


def load(session: Session) -> int:
    """Take every stored trial into the session's history; gives how many there are, unfinished ones included."""
    trials, _ = session.store.since(session.study)
    session.history.load(trials, lambda replicates, _fidelities: tails(replicates))
    _regroup(session)
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


def _regroup(session: Session) -> None:
    """Rebuild which trials are replicates of one point."""
    history = session.history
    if not history.n:
        return
    numbers = np.flatnonzero(~np.isnan(history.reals[: history.n]).all(axis=1)) if history.reals.shape[1] else (
        np.arange(history.n)
    )  # fmt: skip
    if not len(numbers):
        return
    reals = history.reals[numbers]
    keys = session.space.keys(reals)
    replicates = history.replicates[numbers]
    marks = tails(replicates) or [b""] * len(keys)
    chunk = Chunk(
        numbers,
        history.tickets[numbers],
        session.space.encode(reals),
        reals,
        None,
        [key + mark for key, mark in zip(keys, marks, strict=True)],
        replicates,
    )
    session.groups.known(chunk)


def resume(session: Session, budget: int | None) -> str:
    """Bring the strategy to where the log ends; unfinished trials wait in the backlog. Gives how, in words."""
    try:
        how = _replay(session, budget)
    except (_Diverged, ThalwegError, KeyError, ValueError, TypeError) as error:
        how = as_foreign(session, budget, f"the stored history does not fit this strategy any more: {error}")
    return how


def _replay(session: Session, budget: int | None) -> str:
    stored = session.store.restore(session.study)
    after = began = 0
    points: dict[int, Floats] = {}
    starts = session.store.entries(session.study, 0, ("start", "budget"))
    if stored is not None:
        body, after = stored
    seed, first_budget = session.seed, budget
    for entry in starts:  # the last start before the snapshot, or the very first one
        if entry.kind == "start" and (entry is starts[0] or entry.sequence <= after):
            seed, first_budget = int(entry.body["seed"]), entry.body["budget"]
            began = entry.sequence
    session.strategy.start(session.problem, seed, first_budget)
    if stored is not None:
        session.strategy.restore(body["strategy"])
        points.update(zip(body["tickets"].tolist(), body["points"], strict=True))
    session.started = True
    for entry in starts:
        if entry.kind == "budget" and began < entry.sequence <= after:
            session.strategy.budget = entry.body["budget"]
    for entry in session.store.entries(session.study, max(after, began), ("start", "budget", "ask", "tell")):
        _replay_entry(session, entry, points)
    _requeue(session, points)
    return "continued from its snapshot and log" if stored is not None else "replayed from its log"


def _replay_entry(session: Session, entry: Entry, points: dict[int, Floats]) -> None:
    body: dict[str, Any] = entry.body
    if entry.kind == "start":
        session.strategy.start(session.problem, int(body["seed"]), body["budget"])
        points.clear()
    elif entry.kind == "budget":
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
        number = opened.get(ticket)
        if number is None:
            if ticket in points:
                session.backlog.append(session.admit(np.array([ticket]), points[ticket][None]))
            continue
        point = points[ticket] if ticket in points else session.space.encode(history.reals[number : number + 1])[0]
        session.groups.placed(number, point)
        chunk = _chunk_of(session, np.array([number]), np.array([ticket]), point[None])
        if session.groups.lacks(number) or not session.groups.answerable(number):
            continue  # nothing to tell before the others are opened
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
    """Unfinished trials that no ticket waits for (initial points, points of an earlier strategy) run again."""
    history = session.history
    waiting = {int(n) for chunk in session.backlog for n in chunk.numbers.tolist()}
    open_rows = np.flatnonzero(history.statuses[: history.n] < Status.DONE)
    rows = [n for n in open_rows.tolist() if n not in waiting and not np.isnan(history.reals[n]).all()]
    if rows:
        numbers = np.array(rows)
        points = session.space.encode(history.reals[numbers])
        session.backlog.append(_chunk_of(session, numbers, np.full(len(rows), FOREIGN), points))


def _chunk_of(session: Session, numbers: Any, tickets: Any, points: Floats) -> Chunk:
    reals = session.history.reals[numbers]
    replicates = session.history.replicates[numbers]
    keys = session.space.keys(reals)
    marks = tails(replicates) or [b""] * len(keys)
    return Chunk(
        numbers,
        tickets,
        points,
        reals,
        session.space.active(reals),
        [key + mark for key, mark in zip(keys, marks, strict=True)],
        replicates if replicates.any() else None,
        attempt=2,
    )


def as_foreign(session: Session, budget: int | None, reason: str) -> str:
    """A fresh strategy (its own stream of random numbers) hears every finished trial as somebody else's."""
    fresh = int(np.random.SeedSequence([session.seed & (2**63 - 1), session.history.n]).generate_state(1)[0])
    session.backlog.clear()
    session.untold.clear()
    session.log("start", seed=fresh, budget=budget)
    session.strategy.start(session.problem, fresh, budget)
    session.started = True
    session.groups.disown()
    history = session.history
    numbers = session.groups.whole(history.final())
    if len(numbers):
        session.tell_known(numbers)
        session.best = session.groups.best(numbers, session.best) or session.best
    _requeue_foreign(session)
    return f"{reason}; {len(numbers)} results are learnt as foreign ones"
