"""The processes that work on one study, seen from one of them: its place, its heartbeat, what the others have done."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..core.batch import FOREIGN, Status
from ..core.errors import Displaced, OutOfOrder, StoreError
from ..core.store import Member, Store
from .chunk import Chunk
from .rows import chunk_of

if TYPE_CHECKING:
    from ..core.stored import StoredTrial
    from .session import Session

T = TypeVar("T")

LOOK_S = 0.02
"""Seconds between two looks at what others have done, at least."""
LOOK_SHARE = 0.02
"""Of its time a process spends no more on looking: eight of them together a sixth of one CPU."""
CLAIM_S = 0.25
"""Seconds between two searches for trials that nobody alive works on."""
LOSSES = 5
"""So often a trial may be lost with its process before it is given up. The first loss may be that of a whole queue;
after that a trial is claimed alone, so what is lost again and again was running."""
BY_HAND = "by hand"
REVISED = "the space of the study was changed: load it again"


class Crew:
    """A session's part in its study. On a store that does not last it has no member, and every call does nothing.

    version: of the study, up to which others' changes are known.  own: open trials that this process works on.
    renewal: why the strategy has to begin anew (a trial was retracted, the space was changed), or "".
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.member: Member | None = None
        self.version = 0
        self.revision = 0
        self.budget: int | None = None
        self.revision_changed = False
        self.several = False
        """Others take part, or did until a moment ago."""
        self.own: set[int] = set()
        self.renewal = ""
        self._heart: _Heart | None = None
        self._last: Member | None = None
        self._look_at = self._claim_at = 0.0
        self._held: list[tuple[Member, _Heart]] = []
        self._by_hand = self._telling = False
        self._overtaken: dict[int, StoredTrial] = {}
        """Trials of this process that others have claimed or answered, while it still works on them."""
        self._unheard: list[int] = []
        """Trials that ended while this process did not take part."""

    @property
    def ordinal(self) -> int:
        """The place of this process in the study, the last one while it does not take part."""
        return 0 if self._last is None else self._last.ordinal

    @property
    def last(self) -> Member | None:
        """The member that this process is, or was last."""
        return self._last

    # --- taking part ----------------------------------------------------------------------------------------------

    def join(self, by_hand: bool, alone: bool) -> Member | None:
        """Take part; gives the member if this process was none, and its place has to be taken up: somebody else held it
        last. None: it goes on where it was."""
        session, store = self.session, self.session.store
        if not store.durable:
            return None
        if self.member is not None:
            if by_hand or not self._by_hand or self.own:
                return None
            self.leave()
        last = self._last
        self._by_hand = by_hand
        note = _note(by_hand)
        member = store.join(session.study, note, alone, None if last is None else last.ordinal)
        self.member = self._last = member
        heart = _Heart(store, member)
        self._held.append((member, heart))
        self._telling = False
        self.look(force=True)
        self._telling = True
        unheard, self._unheard = self._unheard, []
        if last is not None and (member.ordinal, member.former) == (last.ordinal, last.token):
            if unheard:
                session.heard(chunk_of(session.history, unheard, np.full(len(unheard), FOREIGN)))
            for chunk in session.backlog:  # others may have taken these rows meanwhile
                chunk.lost = bool(chunk.numbers[0] >= 0)
            return None
        return member

    def rejoin(self) -> Member:
        """This process was out of reach for so long that another one took its place: go on in a place of its own. What
        it has under way may have been claimed by others; its answers count if they come first."""
        session, own = self.session, set(self.own)
        self.leave()
        session.taken_log()  # of a place that is somebody else's now
        note = _note(self._by_hand)
        self.member = self._last = session.store.join(session.study, note)
        self._held.append((self.member, _Heart(session.store, self.member)))
        self.own = own
        self.renewal = self.renewal or "another process took its place meanwhile"
        session.emit("switched", reason=self.renewal)
        return self.member

    def _still_there(self, call: Callable[[Member], T]) -> T:
        """What `call` gives; once more in another place, if this one is somebody else's."""
        member = self.member
        if member is None:
            raise OutOfOrder("this process takes no part in the study")
        try:
            return call(member)
        except Displaced:
            return call(self.rejoin())

    def still_there(self, call: Callable[[Member | None], T]) -> T:
        """The same for calls that a session without a member may make, too."""
        return call(None) if self.member is None else self._still_there(call)

    def leave_with(self, owner: object) -> None:
        """Leave, at the latest, when `owner` is no more."""
        weakref.finalize(owner, _leave, self._held, self.session.store)

    def leave(self) -> None:
        """Take part no longer: what is open here may be claimed by others."""
        _leave(self._held, self.session.store)
        self.member = None
        self.own.clear()

    def refresh(self) -> None:
        """Hear of others now, also while this process does not take part: its strategy is told when it does. Nothing
        happens while a run is under way, which hears by itself: this may be another thread."""
        if self.session.store.durable and not self.session.busy:
            self._claim_at = 0.0
            self.look(force=True)

    def set_budget(self, budget: int) -> None:
        """The study's lifetime number of trials, for everybody."""
        if self.budget != budget:
            self.session.store.set_budget(self.session.study, budget)
            self.budget = budget

    @property
    def displaced(self) -> bool:
        """This process was thought dead, and its place was taken."""
        return any(heart.displaced for _, heart in self._held)

    # --- what others did ------------------------------------------------------------------------------------------

    def look(self, force: bool = False, quiet: Collection[int] = ()) -> bool:
        """Hear of what others have done; gives whether there was anything. Not more often than is worth it, unless
        `force`. quiet: numbers whose rows are taken over without telling the strategy (the caller does).
        """
        before = perf_counter()
        if not force and (self.member is None or before < self._look_at):
            return False
        session = self.session
        standing = session.store.standing(session.study)
        session.used, self.several = standing.used, standing.members > 1
        self.budget = standing.budget
        if standing.revision != self.revision:
            self.revision_changed, self.renewal = True, REVISED
        heard = False
        if self.displaced:
            self.rejoin()
        if standing.version != self.version:
            trials, self.version = session.store.since(session.study, self.version, self.member)
            self._overtaken.update((item.number, item) for item in trials if item.number in self.own)
            trials = [item for item in trials if item.number not in self.own]
            heard = bool(trials) and self._take(trials, quiet)
        theirs = [self._overtaken.pop(number) for number in quiet if number in self._overtaken]
        if theirs:
            self._take(theirs, quiet)
        spent = perf_counter() - before
        session.spans.add("store", spent)
        self._look_at = before + max(LOOK_S, spent / LOOK_SHARE)
        return heard

    def _take(self, trials: Sequence[StoredTrial], quiet: Collection[int]) -> bool:
        """Put others' trials into the history; tell the strategy of those that ended."""
        session, history = self.session, self.session.history
        gone = [item.number for item in trials if item.status == Status.ABANDONED and not item.values]
        rest = [item for item in trials if item.status != Status.ABANDONED or item.values]
        before = {item.number for item in rest if history.final_already(item.number)}
        fresh = self._load(rest)
        rest = [item for item in rest if history.has(item.number)]
        retracted = [item.number for item in rest if item.status == Status.ABANDONED]
        if gone:
            session.vanished(gone)
        if retracted:
            session.excluded(retracted)
            self.renewal = "a trial was retracted"
        if fresh:
            session.groups.known(chunk_of(history, fresh, np.full(len(fresh), FOREIGN)))
        silent = {*quiet, *retracted, *before}
        ended = [item.number for item in rest if item.status >= Status.DONE and item.number not in silent]
        if ended and self.member is not None and self._telling:
            session.heard(chunk_of(history, ended, np.full(len(ended), FOREIGN)))
        elif ended:
            self._unheard += ended
            self._best(ended)
        return True

    def _best(self, numbers: list[int]) -> None:
        session = self.session
        best = session.groups.best(session.groups.whole(np.array(numbers)), session.best)
        if best is not None:
            session.best = best

    def _load(self, trials: Sequence[StoredTrial]) -> list[int]:
        """Take stored rows; gives the numbers of those that were not known."""
        history = self.session.history
        fresh = [item.number for item in trials if not history.has(item.number)]
        history.load(list(trials))
        history.own_tickets(self.ordinal)
        return [number for number in fresh if history.has(number)]

    # --- trials that nobody works on ------------------------------------------------------------------------------

    def claim(self, limit: int, force: bool = False) -> list[Chunk]:
        """Rows that wait for nobody alive: queued ones, or one that was lost; they are this process's now."""
        before = perf_counter()
        if self.member is None or limit < 1 or (not force and before < self._claim_at):
            return []
        session = self.session
        trials = self._still_there(lambda member: session.store.claim(member, limit, None, LOSSES))
        self._claim_at = perf_counter() + (CLAIM_S if not trials else 0.0)
        session.spans.add("store", perf_counter() - before)
        if not trials:
            return []
        fresh = self._load(trials)
        outside = [item.number for item in trials if item.number in session.history.outside]
        if outside:  # queued before the space was changed
            session.store.release(session.study, outside, self.member)
            trials = [item for item in trials if item.number not in outside]
        if fresh:
            session.groups.known(chunk_of(session.history, fresh, np.full(len(fresh), FOREIGN)))
        chunks = []
        for item in trials:
            self.own.add(item.number)
            chunk = chunk_of(session.history, [item.number], np.array([FOREIGN]))
            chunk.attempt, chunk.source = max(item.attempt, 1), item.source
            chunks.append(chunk)
        if session.listeners:
            session.emit("claimed", numbers=[item.number for item in trials], attempts=[t.attempt for t in trials])
        return chunks

    def retake(self, chunk: Chunk) -> Chunk | None:
        """A row (1) that a former life of this place left open, before it runs again. None: it is somebody else's, or
        final; the history says which."""
        if self.member is None:
            return chunk
        number = int(chunk.numbers[0])
        got = self._still_there(lambda member: self.session.store.claim(member, 1, [number], LOSSES))
        if got:
            self.own.add(number)
            chunk.attempt, chunk.lost = max(got[0].attempt, 1), False
            return chunk
        self.look(force=True, quiet={number})
        return None

    def at_work(self) -> bool:
        """Whether somebody else who is alive evaluates trials of this study (those asked for by hand do not count)."""
        if self.member is None or not self.several:
            return False
        return any(
            item.open_trials and item.alive and not item.late and not item.note.endswith(BY_HAND)
            for item in self.session.store.members(self.session.study)
            if item.token != self.member.token
        )


def _note(by_hand: bool) -> str:
    """Who this process is, for people and for whoever looks after its place."""
    import socket

    return f"{socket.gethostname()} pid {os.getpid()}" + (f" {BY_HAND}" if by_hand else "")


class _Heart(threading.Thread):
    """Beats for a member until it is stopped."""

    def __init__(self, store: Store, member: Member) -> None:
        super().__init__(name="thalweg-heart", daemon=True)
        self.store, self.member = store, member
        self.displaced = False
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        """Beat several times per lease: one beat may be late."""
        while not self._over.wait(self.store.lease_s / 4):
            try:
                self.store.beat(self.member)
            except Displaced:
                self.displaced = True
                return
            except StoreError:
                continue  # the loop meets the same trouble, and reports it

    def stop(self) -> None:
        """Beat no more."""
        self._over.set()


def _leave(held: list[tuple[Member, _Heart]], store: Store) -> None:
    while held:
        member, heart = held.pop()
        heart.stop()
        with suppress(StoreError):  # the store may be closed, or gone: its locks are free all the same
            store.leave(member)
