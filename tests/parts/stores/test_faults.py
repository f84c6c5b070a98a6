"""Every write, sync and truncate of a short run fails in turn: nothing acknowledged is lost, the file opens again."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
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


def run(path, vfs_name):
    """A short life of a store, closed at the end; what was acknowledged. StoreErrors are survived, as a loop may."""
    told: dict[int, float] = {}
    opened: set[int] = set()
    logged, kept, study, store = 0, 0, None, None
    for i in range(9):
        with suppress(StoreError):
            if store is None:
                store = SQLiteStore(path, vfs=vfs_name)
            if study is None:
                study = store.create("demo", {"x": 1}, "f").id
            first, got, _ = store.open_trials(study, opening_of(2, i, SPACE), None, [Entry("asked", {"i": i})])
            logged += 1
            opened |= set(range(first, first + got))
            values = np.arange(got) + 100.0 * i
            store.append(study, finishing_of(range(first, first + got), values), [Entry("told", {"i": i})])
            logged += 1
            told |= {first + j: value for j, value in enumerate(values.tolist())}
            if i % 3 == 2:
                store.snapshot(study, {"i": i, "blob": "x" * 9000}, i)
                kept = i
    if store is not None:
        with suppress(StoreError):
            store.close()
        with suppress(apsw.Error):
            store._database._connection and store._database._connection.close(True)
    return study, told, opened, logged, kept


def check(path, found) -> None:
    study, told, opened, logged, kept = found
    store = SQLiteStore(path)  # without faults
    assert store.verify() == []
    if study is not None:
        trials = {trial.number: trial for trial in store.since(study)[0]}
        assert {number: trials[number].values[0] for number in told} == told, "an acknowledged result is lost"
        assert opened <= set(trials), "an acknowledged trial is lost"
        assert len(store.entries(study)) >= logged
        assert not kept or store.restore(study)[1] >= kept
    again = store.create("demo", {}, "f").id
    first, _, _ = store.open_trials(again, opening_of(1, 0, SPACE), None)
    assert first not in opened, "a number was given twice"
    store.append(again, finishing_of([first]))
    store.close()


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
    assert storm(folder, vfs, every=17) > 50


@pytest.mark.chaos
@pytest.mark.slow
def test_every_fault(folder, vfs, small_wal):
    assert storm(folder, vfs, every=1) > 1000


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
