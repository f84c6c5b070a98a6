"""Every write, sync and truncate of a short run fails in turn: nothing acknowledged is lost, the file opens again."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import numpy as np
import pytest

from thalweg.core.errors import StoreError
from thalweg.core.store import Entry
from thalweg.parts.stores import _database
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()


class Plan:
    """Which operations fail: the one numbered `at`, or all from there on; how: "io", "full" or "torn"."""

    def __init__(self, at: int = -1, forever: bool = False, how: str = "io") -> None:
        self.at, self.forever, self.how = at, forever, how
        self.count = 0
        self.hit = 0

    def step(self) -> bool:
        place = self.count
        self.count += 1
        fails = self.at >= 0 and (place == self.at or (self.forever and place > self.at))
        self.hit += fails
        return fails

    def error(self) -> Exception:
        return apsw.FullError("planted") if self.how == "full" else apsw.IOError("planted")


class FaultFile(apsw.VFSFile):
    def __init__(self, name, flags, owner):
        super().__init__("", name, flags)
        self.owner = owner

    @property
    def plan(self):
        return self.owner.plan

    def xWrite(self, data, offset):
        if self.plan.step():
            if self.plan.how == "torn":
                super().xWrite(data[: len(data) // 2], offset)
            raise self.plan.error()
        super().xWrite(data, offset)

    def xSync(self, flags):
        if self.plan.step():
            raise self.plan.error()
        super().xSync(flags)

    def xTruncate(self, size):
        if self.plan.step():
            raise self.plan.error()
        super().xTruncate(size)


class FaultVFS(apsw.VFS):
    def __init__(self):
        self.plan = Plan()
        super().__init__("faulty", "")

    def xOpen(self, name, flags):
        return FaultFile(name, flags, self)


@pytest.fixture(scope="module")
def vfs():
    made = FaultVFS()
    yield made
    made.unregister()


@dataclass
class Known:
    """What a run knows to have happened (`gone`: what may have)."""

    study: int | None = None
    told: dict[int, float] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    retracted: set[int] = field(default_factory=set)
    claimed: dict[int, int] = field(default_factory=dict)
    logged: int = 0
    kept: int = 0
    revision: int = 0
    token: int = 0


def run(path, vfs_name) -> Known:
    """A short life of a store, closed at the end; what was acknowledged. StoreErrors are survived, as a loop may."""
    known, store, member = Known(), None, None
    for i in range(9):
        with suppress(StoreError):
            if store is None:
                store = SQLiteStore(path, vfs=vfs_name)
            if known.study is None:
                known.study = store.create("demo", {"x": 1}, "f").id
            if member is None:
                member = store.join(known.study, f"life {i}")
                assert member.token > known.token
                known.token = member.token
            work(store, member, known, i)
        if i == 5 and member is not None:
            with suppress(StoreError):
                store.leave(member)
            member = None  # also a leaving that failed frees the lock
    if store is not None:
        with suppress(StoreError):
            store.close()
        with suppress(apsw.Error):
            store._database._connection and store._database._connection.close(True)
    return known


def work(store, member, known: Known, i: int) -> None:
    study = known.study
    first, got, _ = store.open_trials(study, opening_of(2, i, SPACE), None, [Entry("asked", {"i": i})], member)
    known.logged += 1
    known.opened |= set(range(first, first + got))
    values = np.arange(got) + 100.0 * i
    store.append(study, finishing_of(range(first, first + got), values), [Entry("told", {"i": i})], member)
    known.logged += 1
    known.told |= {first + j: value for j, value in enumerate(values.tolist())}
    if i % 3 == 0:
        queued, count, _ = store.open_trials(study, opening_of(2, 20 + i, SPACE), None)
        known.opened |= set(range(queued, queued + count))
        mine = {trial.number: trial.attempt for trial in store.claim(member, 2)}
        known.claimed |= mine
        known.gone |= {min(mine)}
        store.release(study, [min(mine)], member)
        known.released |= {min(mine)}
        known.gone |= {first}
        known.retracted |= set(store.retract(study, [first], "faulty"))
    if i % 3 == 1:
        store.set_budget(study, 100 + i)
        known.revision = store.respec(study, {"x": i}, "f", store.open("demo").revision).revision
        store.beat(member)
    if i % 3 == 2:
        store.snapshot(study, {"i": i, "blob": "x" * 9000}, i)
        known.kept = i


def check(path, known: Known) -> None:
    store = SQLiteStore(path)  # without faults
    assert store.verify() == []
    if known.study is not None:
        trials = {trial.number: trial for trial in store.since(known.study)[0]}
        assert {number: trials[number].values[0] for number in known.told} == known.told, "an answer is lost"
        assert known.opened - known.gone <= set(trials), "an acknowledged trial is lost"
        assert not known.released & set(trials) and all(trials[number].status == 6 for number in known.retracted)
        assert all(trials[n].attempt >= attempt for n, attempt in known.claimed.items() if n in trials)
        assert len(store.entries(known.study)) >= known.logged
        assert not known.kept or store.restore(known.study)[1] >= known.kept
        assert store.open("demo").revision >= known.revision
        standing = store.standing(known.study)
        assert standing.used == sum(trial.status < 6 for trial in trials.values())
    again = store.create("demo", {}, "f").id
    member = store.join(again)
    assert member.ordinal == 0 and member.token > known.token, "nobody lives any more"
    while store.claim(member, 9):
        pass
    assert {trial.owner for trial in store.since(again)[0] if trial.status < 2} <= {member.token}, "a trial is stuck"
    first, _, _ = store.open_trials(again, opening_of(1, 0, SPACE), None, member=member)
    assert first not in known.opened, "a number was given twice"
    store.append(again, finishing_of([first]), member=member)
    store.close()
    assert not Path(f"{path}-live").exists()


def storm(folder, vfs, every: int) -> int:
    vfs.plan = Plan()
    check_path = folder / "plain.db"
    check(check_path, run(check_path, "faulty"))
    total = vfs.plan.count
    assert total > 60, "the run writes, syncs and truncates a lot"
    points = 0
    for how, forever in (("io", False), ("io", True), ("full", False), ("full", True), ("torn", False), ("torn", True)):
        for at in range(points % every, total, every):
            path = folder / f"{how}{forever}{at}.db"
            vfs.plan = Plan(at, forever, how)
            found = run(path, "faulty")
            assert vfs.plan.hit or at > total - 30
            vfs.plan = Plan()
            check(path, found)
            points += 1
    return points


@pytest.fixture
def folder(tmp_path):
    """In memory where there is such a place: what is tested are failing calls, not the disk, and syncs are slow."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)


@pytest.fixture
def small_wal(monkeypatch):
    """Checkpoints within the short run: passive ones soon, a truncating one after that."""
    monkeypatch.setattr(_database, "CHECKPOINT_PAGES", 12)
    monkeypatch.setattr(_database, "TRUNCATE_PAGES", 40)


@pytest.mark.chaos
def test_faults(folder, vfs, small_wal):
    assert storm(folder, vfs, every=29) > 60


@pytest.mark.chaos
@pytest.mark.slow
def test_every_fault(folder, vfs, small_wal):
    assert storm(folder, vfs, every=1) > 2000


def test_a_full_disk_is_named(tmp_path, vfs):
    vfs.plan = Plan()
    store = SQLiteStore(tmp_path / "x.db", vfs="faulty")
    study = store.create("demo", {}, "f").id
    store.open_trials(study, opening_of(3, 0, SPACE), None)
    vfs.plan = Plan(0, True, "full")
    with pytest.raises(StoreError, match=r"disk is full.*free some space"):
        store.append(study, finishing_of([0, 1, 2]))
    vfs.plan = Plan()
    assert {trial.status for trial in store.since(study)[0]} == {0}, "it did not happen"
    store.append(study, finishing_of([0, 1, 2]))
    assert {trial.status for trial in store.since(study)[0]} == {2}, "space again: the same store goes on"
    store.close()
