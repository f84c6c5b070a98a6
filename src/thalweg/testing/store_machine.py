"""Drives a store at random against a model made of plain dicts (needs hypothesis).

class TestMine(machine_of(lambda folder, **options: MyStore(folder / "x", **options), crash)):
    settings = settings(max_examples=50)

options: lease_s and clock. crash(store, member) does to a member what the death of its process would.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ..core.batch import Status
from ..core.errors import Displaced, StoreError, StoreMismatch, StudyBusy
from ..core.store import Entry, Member, Store, digest
from ..core.stored_columns import Wanted
from .store_base import finishing_of, make_space, opening_of, same_columns
from .store_members import Clock
from .store_model import LEASE_S, Model

SPACE = make_space()
VALUES = st.sampled_from([0.0, -1.5, 1 / 3, 1e300, float("inf"), float("-inf"), float("nan")])
STATUSES = st.sampled_from([Status.DONE, Status.FAILED, Status.TIMEOUT, Status.PRUNED, Status.ABANDONED])
PRIORITIES = st.sampled_from([0.0, 0.0, 0.05, -0.05, 1.0, float("inf")])
KINDS = st.lists(st.sampled_from("ab"), max_size=2)


def _drop(_store: Store, _member: Member) -> None:
    """Nothing more than forgetting it, which the machine does."""


class StoreMachine(RuleBasedStateMachine):
    """One study, several members; subclasses say how a store is made, and how a member dies."""

    make: Callable[..., Store]
    crash_one: Callable[[Store, Member], None]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="thalweg-store-"))
        self.clock = Clock()
        self.store = type(self).make(self.folder, lease_s=LEASE_S, clock=self.clock)
        self.model = Model()
        self.hands: dict[int, Member] = {}
        """Living members, by token: nobody else may hold them."""
        self.was: dict[int, int] = {}
        """Every token there was -> its ordinal."""
        self.read_at: list[tuple[int, int]] = [(0, 0)]

    @initialize()
    def begin(self) -> None:
        """Make the study."""
        self.study = self.store.create("demo", {"a": 1}, "f").id
        self.read_at.append((self.store.since(self.study)[1], 0))

    def _note(self, kinds: list[str], by: int = 0) -> list[Entry]:
        return [Entry(kind, {"kind": kind}, by=by) for kind in kinds]

    def _some_member(self, data: st.DataObject, dead: bool = False) -> Member | None:
        """None, or a member: a living one, or (`dead`) one of any life that ever was."""
        token = data.draw(st.sampled_from([None, *(sorted(self.was) if dead else sorted(self.hands))]))
        if token is None:
            return None
        return self.hands.get(token) or Member(self.study, self.was[token], token)

    def _model_points(self, count: int, seed: int, replicate: int, by: int = 0) -> Any:
        opening = opening_of(count, seed, SPACE, replicates=np.full(count, replicate), by=by)
        labels = SPACE.to_labels(opening.reals, opening.active)
        return opening, [(digest(params, None, replicate), params) for params in labels]

    # --- members --------------------------------------------------------------------------------------------------

    @rule(alone=st.sampled_from([False, False, False, True]), place=st.none() | st.integers(0, 4))
    def join(self, alone: bool, place: int | None) -> None:
        """The lowest free place, or the one asked for; or refused where somebody is or wants to be alone."""
        expected = self.model.join(alone, place)
        try:
            member = self.store.join(self.study, f"life {len(self.was)}", alone, place)
        except StudyBusy:
            assert expected is None
            return
        assert expected is not None, "it should have been refused"
        assert (member.ordinal, member.former) == expected and member.token > max(self.was, default=0)
        self.model.joined(member.token, member.ordinal, alone, self.clock.now)
        self.hands[member.token], self.was[member.token] = member, member.ordinal

    @precondition(lambda self: self.was)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        """Who is there is heard of; who is not hears so."""
        member = self._some_member(data, dead=True)
        if member is None:
            return
        try:
            self.store.beat(member)
        except Displaced:
            assert not self.model.present(member.token)
            return
        assert self.model.present(member.token)
        self.model.members[member.token]["beat"] = self.clock.now

    @precondition(lambda self: self.was)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Any member, any number of times."""
        member = self._some_member(data, dead=True)
        if member is not None:
            self.store.leave(member)
            self.model.leave(member.token)
            self.hands.pop(member.token, None)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A process is gone without a word."""
        token = data.draw(st.sampled_from(sorted(self.hands)))
        type(self).crash_one(self.store, self.hands[token])
        del self.hands[token]
        self.model.members[token]["alive"] = False

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        """Leases run out."""
        self.clock.now += seconds

    @precondition(lambda self: self.was)
    @rule(data=st.data(), limit=st.integers(0, 4), attempts=st.integers(1, 3), some=st.booleans())
    def claim(self, data: st.DataObject, limit: int, attempts: int, some: bool) -> None:
        """What belongs to nobody, then one lost trial."""
        member = self._some_member(data, dead=True)
        if member is None:
            return
        numbers = data.draw(st.lists(st.integers(0, self.model.next + 1), max_size=4)) if some else None
        try:
            got = self.store.claim(member, limit, numbers, attempts)
        except Displaced:
            assert not self.model.present(member.token)
            return
        assert self.model.present(member.token)
        expected = self.model.claim(member.token, limit, numbers, attempts, self.clock.now)
        assert [trial.number for trial in got] == expected
        for trial in got:
            self.model.compare(trial)

    # --- trials ---------------------------------------------------------------------------------------------------

    @rule(
        data=st.data(), count=st.integers(0, 6), seed=st.integers(0, 3), replicate=st.integers(0, 1),
        slack=st.none() | st.integers(-1, 5), kinds=KINDS, unique=st.booleans(), by=st.integers(0, 1),
        priority=PRIORITIES,
    )  # fmt: skip
    def open_trials(
        self, data: st.DataObject, count: int, seed: int, replicate: int, slack: int | None, kinds: list[str],
        unique: bool, by: int, priority: float,
    ) -> None:  # fmt: skip
        """Numbers follow on, within a budget that is nearly used up, or over; of whoever opens, or queued."""
        member = self._some_member(data, dead=True)
        token = member.token if member is not None else None
        budget = None if slack is None else max(0, self.model.used + slack)
        opening, points = self._model_points(count, seed, replicate, by)
        opening.priority = priority
        try:
            got = self.store.open_trials(self.study, opening, budget, self._note(kinds, by), member, unique)
        except Displaced:
            assert token is not None and not self.model.present(token)
            return
        assert token is None or self.model.present(token)
        assert got == self.model.open(points, budget, token, unique, by, self.clock.now, priority)
        self.model.log += [(kind, by) for kind in kinds]

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data(), status=STATUSES, kinds=KINDS)
    def append(self, data: st.DataObject, status: Status, kinds: list[str]) -> None:
        """Results of any trials from anybody: the first one counts, the log says what was odd."""
        member = self._some_member(data, dead=True)
        numbers = data.draw(st.lists(st.sampled_from(sorted(self.model.trials)), min_size=1, max_size=6))
        values = data.draw(st.lists(VALUES, min_size=len(numbers), max_size=len(numbers)))
        finishing = finishing_of(numbers, values, status)
        by = member.ordinal if member is not None else 0
        if any(self.model.trials[number]["released"] for number in numbers):
            self._refused(lambda: self.store.append(self.study, finishing, self._note(kinds, by), member))
            return
        got = self.store.append(self.study, finishing, self._note(kinds, by), member)
        token = member.token if member is not None else None
        assert got == self.model.append(numbers, values, int(status), token, by, kinds, self.clock.now)

    @rule(data=st.data())
    def append_unknown(self, data: st.DataObject) -> None:
        """A batch with a trial that is not there is refused as a whole."""
        some = data.draw(st.lists(st.sampled_from([*self.model.trials, 0]), max_size=2))
        self._refused(lambda: self.store.append(self.study, finishing_of([*some, self.model.next + 3])))

    @staticmethod
    def _refused(call: Callable[[], object]) -> None:
        try:
            call()
        except StoreError:
            return
        raise AssertionError("results of trials that are not there were taken")

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Open ones vanish and free their place, a member's own only; others are passed over."""
        member = self._some_member(data, dead=True)
        numbers = data.draw(st.lists(st.sampled_from([*sorted(self.model.trials), 999]), max_size=4))
        self.store.release(self.study, numbers, member)
        self.model.release(numbers, member.token if member is not None else None)

    @precondition(lambda self: self.model.trials)
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        """Ended ones do not count any more."""
        numbers = data.draw(st.lists(st.sampled_from([*sorted(self.model.trials), 999]), max_size=3))
        assert self.store.retract(self.study, numbers, "why not") == self.model.retract(numbers)

    @rule(data=st.data(), count=st.integers(0, 3), seed=st.integers(0, 3), status=STATUSES)
    def add(self, data: st.DataObject, count: int, seed: int, status: Status) -> None:
        """Results from elsewhere get numbers, and take no budget."""
        member = self._some_member(data)
        opening, points = self._model_points(count, seed, 0)
        finishing = finishing_of(range(count), status=status)
        first = self.store.add(self.study, opening, finishing, (), member)
        assert first == self.model.add(
            points, int(status), member.token if member is not None else None, self.clock.now
        )

    @rule(data=st.data())
    def since(self, data: st.DataObject) -> None:
        """From any version on: exactly what changed since, beside anybody."""
        member = self._some_member(data, dead=True)
        version, step = data.draw(st.sampled_from(self.read_at[-4:]))
        changed, newest = self.store.since(self.study, version, member)
        beside = member.token if member is not None else None
        assert [trial.number for trial in changed] == self.model.since(step, beside, version <= 0)
        for trial in changed:
            self.model.compare(trial)
        assert newest == self.store.standing(self.study).version
        self.read_at.append((newest, self.model.step))

    @rule(seed=st.integers(0, 3), replicate=st.integers(0, 1))
    def lookup(self, seed: int, replicate: int) -> None:
        """The best result of each point, as a full scan of the model finds it."""
        _, points = self._model_points(3, seed, replicate)
        names = [name for name, _ in points]
        fingerprint = self.store.open("demo").fingerprint
        found = {name: trial.number for name, trial in self.store.lookup(fingerprint, names).items()}
        assert found == self.model.lookup(names) and not self.store.lookup("other", names)

    # --- studies, log, snapshots ----------------------------------------------------------------------------------

    @rule(data=st.data(), kinds=st.lists(st.sampled_from("ab"), max_size=3), by=st.integers(0, 2))
    def log(self, data: st.DataObject, kinds: list[str], by: int) -> None:
        """Lines on their own, from whoever holds a place."""
        member = self._some_member(data, dead=True)
        try:
            last = self.store.log(self.study, self._note(kinds, by), member)
        except Displaced:
            assert member is not None and not self.model.holds(member.token)
            return
        assert member is None or self.model.holds(member.token)
        self.model.log += [(kind, by) for kind in kinds]
        assert last == len(self.model.log)

    @rule(after=st.integers(0, 20), kind=st.sampled_from(["", "a", "b", "late"]), by=st.none() | st.integers(0, 2))
    def entries(self, after: int, kind: str, by: int | None) -> None:
        """The log is what was written, from anywhere, of any kind, of anybody."""
        lines = self.store.entries(self.study, after, [kind] if kind else [], by)
        got = [(entry.sequence, entry.kind, entry.by) for entry in lines]
        want = [(i + 1, k, of) for i, (k, of) in enumerate(self.model.log) if i + 1 > after]
        assert got == [line for line in want if kind in ("", line[1]) and by in (None, line[2])]

    @rule(data=st.data(), number=st.integers(0, 5), sequence=st.integers(0, 10), by=st.integers(0, 2))
    def snapshot(self, data: st.DataObject, number: int, sequence: int, by: int) -> None:
        """A newer state replaces an older one of the same place, from whoever holds a place."""
        member = self._some_member(data, dead=True)
        try:
            self.store.snapshot(self.study, {"state": number}, sequence, by, member)
        except Displaced:
            assert member is not None and not self.model.holds(member.token)
            return
        assert member is None or self.model.holds(member.token)
        kept = self.model.snapshots.get(by)
        if kept is None or sequence >= kept[1]:
            self.model.snapshots[by] = ({"state": number}, sequence)

    @rule(budget=st.none() | st.integers(0, 30))
    def set_budget(self, budget: int | None) -> None:
        """It is kept for those who ask."""
        self.store.set_budget(self.study, budget)
        self.model.budget = budget

    @rule(revision=st.integers(0, 3))
    def respec(self, revision: int) -> None:
        """Only who knows the newest spec may change it."""
        try:
            record = self.store.respec(self.study, {"a": revision + 10}, f"f{revision}", revision)
        except StoreMismatch:
            assert revision != self.model.revision
            return
        assert revision == self.model.revision and record == self.store.open("demo")
        self.model.revision += 1
        self.model.log.append(("respec", 0))

    @precondition(lambda self: self.store.durable)
    @rule()
    def reopen(self) -> None:
        """Durable stores: everything is there again, members apart."""
        self.store.close()
        for token in sorted(self.hands):
            self.model.leave(token)
        self.hands.clear()
        self.store = type(self).make(self.folder, lease_s=LEASE_S, clock=self.clock)
        assert self.store.create("demo", {"b": 2}, "g").id == self.study

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        """Trials, members, counters and snapshots."""
        if not hasattr(self, "study"):
            return
        trials, _ = self.store.since(self.study)
        assert [trial.number for trial in trials] == self.model.since(-1, None, True)
        for trial in trials:
            self.model.compare(trial)
        same_columns(self.store, self.study, Wanted(SPACE, 1))
        stand = self.store.standing(self.study)
        model = self.model
        assert stand[1:] == (model.used, model.budget, model.revision, len(model.here()))
        views = self.store.members(self.study)
        assert [(v.token, v.ordinal, v.alone, v.alive, v.late, v.open_trials) for v in views] == model.views(
            self.clock.now
        )
        for by in range(3):
            assert self.store.restore(self.study, by) == model.snapshots.get(by)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.folder)


def machine_of(make: Callable[..., Store], crash: Callable[[Store, Member], None] = _drop) -> type[StoreMachine]:
    """The machine for the store that `make` gives in a folder (the same one each time, if it is durable)."""
    return type("Machine", (StoreMachine,), {"make": staticmethod(make), "crash_one": staticmethod(crash)})
