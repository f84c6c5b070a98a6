"""What really happened to a simulated study, written beside the store's own books and compared with them at each step.

It knows what no store can know: who is dead, who is only slow, and which answer came first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.batch import Status
from ..core.store import Member, Opened, Store
from ..core.stored import StoredTrial

FINAL = int(Status.DONE)
FAILED = int(Status.FAILED)
ABANDONED = int(Status.ABANDONED)


class ProtocolViolation(AssertionError):
    """A store broke its promise; the message has the seed, the moment, and what led there."""


@dataclass(slots=True)
class Life:
    """One member. heard: when it last beat.  locked: its process lives (as far as the operating system knows)."""

    member: Member
    heard: float
    alone: bool = False
    locked: bool = True
    left: bool = False

    @property
    def living(self) -> bool:
        """It holds its place."""
        return self.locked and not self.left


@dataclass(slots=True)
class Truth:
    """One trial. owner: the token that works on it.  answer: (status, value) that came first.
    counted_out: it was lost too often, and failed for that."""

    number: int
    x: int
    owner: int | None
    counted: bool = True
    attempt: int = 1
    runs: int = 0
    answer: tuple[int, float] | None = None
    retracted: bool = False
    counted_out: bool = False


@dataclass(slots=True)
class Ledger:
    """clock: the simulation's.  lease: seconds of silence after which a member is late.  attempts: losses allowed."""

    clock: Callable[[], float]
    lease: float
    attempts: int = 3
    lives: dict[int, Life] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    trials: dict[int, Truth] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)
    next: int = 0
    used: int = 0
    budget: int | None = None
    token: int = 0
    poisoned: int = 0
    lines: list[str] = field(default_factory=list)
    expected: Counter[str] = field(default_factory=Counter)
    snapshots: dict[int, tuple[int, int]] = field(default_factory=dict)

    def need(self, truth: object, *words: object) -> None:
        """Raises ProtocolViolation unless `truth`."""
        if not truth:
            raise ProtocolViolation(" ".join(map(str, words)))

    # --- members --------------------------------------------------------------------------------------------------

    def living(self) -> list[Life]:
        """Who holds a place now."""
        return [self.lives[token] for token in self.places.values() if self.lives[token].living]

    def may_join(self, alone: bool) -> bool:
        """Whether a join must succeed; else it must be refused."""
        living = self.living()
        return not (alone and living) and not any(life.alone for life in living)

    def joined(self, member: Member, alone: bool, wish: int | None) -> None:
        """Compare a new member with what it must be."""
        self.need(self.may_join(alone), "joined though it must be alone, or another one is:", member)
        taken = {place for place, token in self.places.items() if self.lives[token].living}
        place = min(set(range(len(taken) + 1)) - taken) if wish is None or wish in taken else wish
        self.need(member.ordinal == place, "place", place, "is to be had first, but it got", member)
        self.need(member.token > self.token, "tokens must grow: after", self.token, "came", member)
        self.need(member.former == self.places.get(place, 0), "somebody else was there before:", member)
        self.token = member.token
        self.places[place] = member.token
        self.lives[member.token] = Life(member, self.clock(), alone)

    def parted(self, member: Member) -> None:
        """It left: what it had open is nobody's."""
        self.lives[member.token].left = True
        for trial in self.trials.values():
            if trial.owner == member.token and trial.answer is None:
                trial.owner = None

    def displaced(self, member: Member) -> bool:
        """Whether somebody else has its place."""
        return self.places[member.ordinal] != member.token

    def beaten(self, member: Member, refused: bool) -> None:
        """A beat must be refused exactly when the place was taken."""
        taken = self.displaced(member)
        self.need(refused == taken, member, "was", "refused" if refused else "heard", "though its place is", taken)
        if not refused:
            self.lives[member.token].heard = self.clock()

    def shown(self, views: Sequence[Any]) -> None:
        """Compare the list of members. Dead ones may be missing: somebody buried them."""
        self.need(len({view.ordinal for view in views}) == len(views), "an ordinal is shown twice:", views)
        open_trials = Counter(trial.owner for trial in self.trials.values() if trial.answer is None)
        for view in views:
            life = self.lives[view.token]
            self.need(self.places[view.ordinal] == view.token, "shown, but not the holder:", view)
            self.need(view.alive == life.living and not life.left, "alive is", not view.alive, "in truth:", view)
            own = open_trials[view.token]
            self.need(view.open_trials == own, "it has", own, "open trials:", view)
            self.need(not view.late or self._silent(life), "not late:", view)
        shown = {view.token for view in views}
        self.need(all(life.member.token in shown for life in self.living()), "a living member is not shown:", views)

    def _silent(self, life: Life) -> bool:
        return self.clock() - life.heard > self.lease

    def gone(self, token: int | None) -> bool:
        """Whether the owner of a trial is dead, has left, or is late."""
        return token is None or not self.lives[token].living or self._silent(self.lives[token])

    def dead(self, token: int | None) -> bool:
        """Whether nobody can think that the owner lives."""
        return token is not None and not self.lives[token].living

    # --- trials ---------------------------------------------------------------------------------------------------

    def opened(self, got: Opened, points: Sequence[int], budget: int | None, member: Member | None) -> list[int]:
        """Numbers are new and follow on, and there are exactly as many as the budget leaves room for."""
        known = {trial.x: trial.number for trial in self.trials.values() if not trial.retracted}
        room = len(points) if budget is None else max(0, budget - self.used)
        fresh: list[int] = []
        for row, x in enumerate(points):
            if row in got.taken:
                self.need(known.get(x) == got.taken[row], "row", row, "is no trial already:", got)
            elif len(fresh) < room:
                fresh.append(x)
            else:
                break
        self.need(got.count == len(fresh), "budget", budget, "with", self.used, "used:", len(fresh), "fit, but", got)
        self.need(not fresh or got.first >= self.next, "numbers are new from", self.next, "on, but", got)
        owner = None if member is None else member.token
        numbers = list(range(got.first, got.first + got.count))
        for number, x in zip(numbers, fresh, strict=True):
            self.trials[number] = Truth(number, x, owner)
        self.next = max(self.next, got.first + got.count)
        self.used += got.count
        return numbers

    def claimable(self) -> tuple[list[int], list[int], list[int]]:
        """Numbers that are nobody's, that are surely lost, and that may count as lost, before a claim."""
        waiting = [trial for trial in self.trials.values() if trial.answer is None]
        queued = [trial.number for trial in waiting if trial.owner is None]
        lost = [trial.number for trial in waiting if self.dead(trial.owner)]
        perhaps = [trial.number for trial in waiting if trial.owner is not None and self.gone(trial.owner)]
        return queued, lost, perhaps

    def claimed(
        self, store: Store, study: int, member: Member, limit: int, before: tuple[Any, ...], got: list[StoredTrial]
    ) -> None:
        """What was given was to be had, the queue goes first, and a lost one comes alone, with its attempt raised."""
        queued, lost, perhaps = before
        fell = self._fallen(store, study, perhaps)
        numbers = [trial.number for trial in got]
        self.need(len(set(numbers)) == len(numbers) <= limit, "claimed", numbers, "of at most", limit)
        of_queue = [number for number in numbers if number in queued]
        of_lost = [number for number in numbers if number in perhaps]
        self.need(len(of_queue) + len(of_lost) == len(numbers), "claimed what is not to be had:", numbers, "of", before)
        self.need(of_queue == sorted(queued)[:limit], "the queue is", queued, "but it got", numbers)
        self.need(len(of_lost) <= 1, "more than one lost trial at once:", of_lost)
        idle = not of_lost and not fell and len(of_queue) < limit
        self.need(not (idle and lost), "trials are lost, and nobody gets them:", lost)
        for trial in got:
            truth = self.trials[trial.number]
            again = trial.number in of_lost
            truth.attempt += again
            self.need(truth.attempt <= self.attempts, "lost too often, and claimed again:", trial.number)
            self.need(trial.attempt == truth.attempt, "attempt", truth.attempt, "expected:", trial)
            self.need(trial.params == {"x": truth.x}, "other parameters than", truth.x, ":", trial)
            self.need(trial.status < FINAL, "it is final:", trial)
            truth.owner = member.token

    def _fallen(self, store: Store, study: int, perhaps: Sequence[int]) -> int:
        """Lost trials that were counted out by this claim; each must have been lost often enough."""
        due = [number for number in perhaps if self.trials[number].attempt >= self.attempts]
        if not due:
            return 0
        rows = {trial.number: trial for trial in store.since(study)[0]}
        fallen = [number for number in due if number in rows and rows[number].status >= FINAL]
        for number in fallen:
            self.need(rows[number].status == FAILED, "counted out, but not as failed:", rows[number])
            self.trials[number].answer, self.trials[number].counted_out = (FAILED, float("nan")), True
            self.poisoned += 1
            self.expected["poisoned"] += 1
        return len(fallen)

    def answered(
        self, member: Member | None, numbers: Sequence[int], answers: Sequence[tuple[int, float]], late: list[int]
    ) -> None:
        """The first answer of each trial counts; exactly the others are told as late."""
        known = [number for number in numbers if self.trials[number].answer is not None]
        self.need(sorted(late) == sorted(known), "final already are", known, "but it says", late)
        for number, answer in zip(numbers, answers, strict=True):
            truth = self.trials[number]
            if truth.answer is None:
                truth.answer = answer
                other = truth.owner is not None and (member is None or truth.owner != member.token)
                self.expected["late"] += other
            elif not truth.counted_out:
                self.expected["duplicate" if _same(truth.answer, answer) else "conflict"] += 1

    def gave_back(self, member: Member | None, numbers: Sequence[int]) -> None:
        """Released: open ones, and with a member only its own."""
        for number in numbers:
            truth = self.trials.get(number)
            if truth is None or truth.answer is not None:
                continue
            if member is None or truth.owner == member.token:
                del self.trials[number]
                self.released.add(number)
                self.used -= truth.counted

    def took_back(self, numbers: Sequence[int], got: Sequence[int]) -> None:
        """Retracted: ended trials, once."""
        due = [n for n in numbers if n in self.trials and self.trials[n].answer and not self.trials[n].retracted]
        due = [n for n in due if (self.trials[n].answer or (0, 0.0))[0] != ABANDONED]
        self.need(sorted(got) == sorted(due), "retracted should be", due, "but it says", got)
        for number in due:
            self.trials[number].retracted = True
            self.used -= self.trials[number].counted

    # --- the end --------------------------------------------------------------------------------------------------

    def settle(self, store: Store, study: int) -> None:
        """Every record, the budget, and the log are as they must be."""
        rows, _ = store.since(study)
        numbers = [row.number for row in rows]
        self.need(numbers == sorted(self.trials), "recorded are", numbers, "and there were", sorted(self.trials))
        for row in rows:
            self.same(row)
        standing = store.standing(study)
        self.need(standing.used == self.used, "used are", self.used, "but", standing)
        log = store.entries(study)
        self.need([entry.sequence for entry in log] == list(range(1, len(log) + 1)), "the log has gaps")
        own = [entry.body["id"] for entry in log if entry.kind in ("asked", "told")]
        self.need(own == self.lines, "lines of the log are lost, twice or out of order")
        kinds = Counter(entry.kind for entry in log)
        for kind, times in self.expected.items():
            self.need(kinds[kind] or not times, times, kind, "expected in the log, there are none")

    def same(self, row: StoredTrial) -> None:
        """A row is what happened."""
        truth = self.trials[row.number]
        if truth.answer is None:
            self.need(row.status < FINAL, "nobody answered:", row)
            return
        status, value = truth.answer
        wanted = ABANDONED if truth.retracted else status
        self.need(row.status == wanted, "status", wanted, "expected:", row)
        if not math.isnan(value):
            self.need(row.values == [value], "the first answer was", value, ":", row)
        else:
            self.need(all(math.isnan(found) for found in row.values), "no value was answered:", row)

    def stuck(self) -> list[int]:
        """Trials that are not final."""
        return [number for number, trial in self.trials.items() if trial.answer is None]


def _same(first: tuple[int, float], second: tuple[int, float]) -> bool:
    equal = first[1] == second[1] or (math.isnan(first[1]) and math.isnan(second[1]))
    return first[0] == second[0] and equal
