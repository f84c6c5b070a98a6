"""What a session keeps in its store, so that it can be taken up where it was: its log, and a snapshot now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.batch import FOREIGN, Floats, Ints

if TYPE_CHECKING:
    from .session import Session


def keep(session: Session, tickets: Ints | None, points: Floats | None) -> None:
    """Write the log, and the strategy's state as of its end. tickets, points: rows about to be told.

    Raises:
        Displaced: the place of this process is another's, and so are its log and its snapshot; nothing is written.
    """
    store, study, crew = session.store, session.study, session.crew
    sequence = store.log(study, session.taken_log(), crew.last)
    if not session.started:
        return
    waiting = _waiting(session)
    if tickets is not None and points is not None:
        waiting.update(zip(tickets.tolist(), points, strict=True))
    waiting.pop(FOREIGN, None)
    body = {
        "strategy": session.strategy.state(),
        "tickets": np.array(list(waiting), dtype=np.int64),
        "points": np.array(list(waiting.values())).reshape(len(waiting), session.space.dimension),
    }
    store.snapshot(study, body, sequence, crew.ordinal, crew.last)


def _waiting(session: Session) -> dict[int, Floats]:
    """The exact points of every ticket that has not been told."""
    chunks = [*session.in_flight(), *session.backlog, *session.untold.values()]
    waiting = {int(t): p for chunk in chunks for t, p in zip(chunk.tickets.tolist(), chunk.points, strict=True)}
    waiting.update(session.cache.waiting())
    return waiting
