"""Power cuts: what was written and not synced is dropped, kept in part, or torn; what was acknowledged stays.

A run is recorded once, operation by operation. A cut at any moment then is an image of the files made of that record:
what was synced, and of the rest nothing, a random part, or single sectors (512 bytes) and less.
"""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import apsw
import pytest
from test_faults import Known, folder, work  # noqa: F401 (a fixture)

from thalweg.core.errors import StoreError
from thalweg.parts.stores import _database
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()
SECTOR = 512
HOWS = ("none", "some", "torn", "half")
STEPS = 40


class Recorder(apsw.VFS):
    """Files as they are, and a record of what is done to them: (what, file, ...)."""

    def __init__(self, name: str) -> None:
        self.record: list[tuple[Any, ...]] = []
        self.known = Known()
        super().__init__(name, "")

    def xOpen(self, name, flags):
        return Recorded(name, flags, self)

    def xDelete(self, name, sync):
        super().xDelete(name, sync)
        self.record.append(("delete", ending(name), sync))

    def moment(self) -> None:
        """Somebody may pull the plug here."""
        self.record.append(("moment", "", copy.deepcopy(self.known)))


class Recorded(apsw.VFSFile):
    def __init__(self, name, flags, vfs):
        super().__init__("", name, flags)
        self.vfs, self.name = vfs, ending(name.filename() if hasattr(name, "filename") else name)

    def xWrite(self, data, offset):
        super().xWrite(data, offset)
        self.vfs.record.append(("write", self.name, offset, bytes(data)))

    def xTruncate(self, size):
        super().xTruncate(size)
        self.vfs.record.append(("truncate", self.name, size))

    def xSync(self, flags):
        self.vfs.moment()
        super().xSync(flags)
        self.vfs.record.append(("sync", self.name))
        self.vfs.moment()


def ending(name: str) -> str:
    """What tells the files of a store apart."""
    return name.rpartition(".db")[2]


class Disk:
    """The files after a cut. synced: by name; once a new one is synced it is there, and what was deleted before is not.
    waiting: operations since."""

    def __init__(self) -> None:
        self.synced: dict[str, bytearray] = {"": bytearray()}
        self.waiting: list[tuple[Any, ...]] = []

    def take(self, operation: tuple[Any, ...]) -> None:
        if operation[0] == "sync":
            name, new = operation[1], operation[1] not in self.synced
            done = [item for item in self.waiting if item[1] == name or (new and item[0] == "delete")]
            self.waiting = [item for item in self.waiting if item not in done]
            for item in done:
                apply(self.synced, item)
        elif operation[0] == "delete" and operation[2]:  # with its folder
            self.synced.pop(operation[1], None)
            self.waiting = [item for item in self.waiting if item[1] != operation[1]]
        else:
            self.waiting.append(operation)

    def cut(self, how: str, rng: random.Random) -> dict[str, bytearray]:
        files = {name: bytearray(data) for name, data in self.synced.items()}
        for operation in self.waiting if how != "none" else ():
            if operation[0] != "write":
                if rng.random() < 0.5:
                    apply(files, operation)
            elif how == "some":
                if rng.random() < 0.6:
                    apply(files, operation)
            else:
                _, name, offset, data = operation
                first = offset // SECTOR * SECTOR
                for begin in range(first, offset + len(data), SECTOR):
                    low, high = max(begin, offset), min(begin + SECTOR, offset + len(data))
                    if how == "half" and rng.random() < 0.2:
                        high = rng.randint(low, high)
                    if rng.random() < 0.7:
                        apply(files, ("write", name, low, data[low - offset : high - offset]))
        return files


def apply(files: dict[str, bytearray], operation: tuple[Any, ...]) -> None:
    what, name = operation[:2]
    if what == "delete":
        files.pop(name, None)
        return
    file = files.setdefault(name, bytearray())
    if what == "truncate":
        del file[operation[2] :]
        return
    _, _, offset, data = operation
    if len(file) < offset:
        file.extend(bytes(offset - len(file)))
    file[offset : offset + len(data)] = data


def live(path: Path, durability: str) -> list[tuple[Any, ...]]:
    """The record of a life of a store: members, trials, answers, specs, snapshots, checkpoints."""
    vfs = Recorder(f"recorder-{durability}")
    try:
        store = SQLiteStore(path, durability=durability, vfs=f"recorder-{durability}")
        known = vfs.known
        known.study = store.create("demo", {"x": 1}, "f").id
        member = store.join(known.study, "life")
        known.token = member.token
        for i in range(STEPS):
            work(store, member, known, i)
            vfs.moment()
        store.close()
        vfs.moment()
        return vfs.record
    finally:
        vfs.unregister()


def check(path: Path, known: Known, full: bool, steps: list[set[int]]) -> None:
    """What must hold after a cut, with everything in `known` acknowledged before it."""
    store = SQLiteStore(path)
    assert store.verify() == []
    if not full and store.names() == []:
        store.close()
        return
    if known.study is None:
        store.create("demo", {}, "f")
    study = store.open("demo").id
    trials = {trial.number: trial for trial in store.since(study)[0]}
    there = {number for number, trial in trials.items() if trial.values}
    for number in there & set(known.told):
        assert trials[number].values == [known.told[number]]
    if full:
        assert set(known.told) <= there, "an answer is lost"
        assert {number for number in known.retracted if trials[number].status != 6} == set()
        assert store.open("demo").revision >= known.revision
        assert len(store.entries(study, 0, ["told"])) >= known.logged // 2 - 1
    here = [step <= there for step in steps if step <= set(known.told)]
    assert here == sorted(here, reverse=True), "a later answer is there, an earlier one is not"
    assert store.standing(study).used == sum(trial.status < 6 for trial in trials.values())
    member = store.join(study)
    while store.claim(member, 9):
        pass
    first, _, _ = store.open_trials(study, opening_of(1, 0, SPACE), None, member=member)
    assert first not in trials
    store.append(study, finishing_of([first]), member=member)
    assert store.verify() == []
    store.close()


def storm(folder: Path, durability: str, every: int, full: bool | None = None) -> int:  # noqa: F811
    """How many cuts were made. full: what is promised, if not what `durability` does."""
    full = durability == "full" if full is None else full
    record = live(folder / "x.db", durability)
    last = [operation for operation in record if operation[0] == "moment"][-1][2]
    by_step: dict[int, set[int]] = {}
    for number, value in last.told.items():
        by_step.setdefault(int(value // 100), set()).add(number)
    steps = [by_step[i] for i in sorted(by_step)]
    assert len(steps) == STEPS
    disk, rng, points, moments, unsynced = Disk(), random.Random(7), 0, 0, 0
    for operation in record:
        if operation[0] != "moment":
            disk.take(operation)
            continue
        moments += 1
        for i, how in enumerate(HOWS):
            if (moments * len(HOWS) + i) % every or (how != "none" and not disk.waiting):
                continue
            unsynced += len(disk.waiting)
            path = folder / f"cut{points}.db"
            for name, data in disk.cut(how, rng).items():
                Path(f"{path}{name}").write_bytes(data)
            try:
                check(path, operation[2], full, steps)
            except (AssertionError, StoreError) as error:
                raise AssertionError(f"cut at moment {moments}, {how} of {len(disk.waiting)} kept: {error}") from error
            points += 1
            for left in folder.glob(f"cut{points - 1}.db*"):
                left.unlink()
    assert unsynced > points / 4, "there was something to lose"
    return points


def checkpoints(monkeypatch, pages: int) -> None:
    """Carry the WAL over into the file every so many pages: within the short run."""
    monkeypatch.setattr(_database, "CHECKPOINT_PAGES", pages)
    monkeypatch.setattr(_database, "TRUNCATE_PAGES", 3 * pages)


CASES = [("full", 12), ("full", 100), ("fast", 12), ("fast", 100)]


@pytest.mark.chaos
@pytest.mark.parametrize(("durability", "pages"), CASES)
def test_power_cuts(folder, monkeypatch, durability, pages):  # noqa: F811
    checkpoints(monkeypatch, pages)
    assert storm(folder, durability, every=29) > 8


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize(("durability", "pages"), CASES)
def test_every_power_cut(folder, monkeypatch, durability, pages):  # noqa: F811
    checkpoints(monkeypatch, pages)
    assert storm(folder, durability, every=1) > 300


def test_an_image_holds_what_was_synced():
    """The plug is pulled where it hurts: of what was not synced something is missing, of what was nothing is."""
    disk = Disk()
    for operation in [("write", "", 0, b"a" * 1024), ("sync", ""), ("write", "", 512, b"b" * 1024)]:
        disk.take(operation)
    disk.take(("write", "-wal", 0, b"c"))
    assert disk.cut("none", random.Random(0)) == {"": b"a" * 1024}
    images = [disk.cut(how, random.Random(seed)) for how in HOWS[1:] for seed in range(30)]
    assert all(image[""][:512] == b"a" * 512 for image in images)
    seen = {bytes(image[""][512:]) for image in images}
    assert {b"a" * 512, b"b" * 1024, b"a" * 512 + b"b" * 512, b"b" * 512} <= seen and len(seen) > 8
    assert {"-wal" in image for image in images} == {False, True}


def test_what_is_looked_for_would_be_found(folder, monkeypatch):  # noqa: F811
    """A store that does not sync its answers loses some, and this test says so."""
    checkpoints(monkeypatch, 200)
    with pytest.raises(AssertionError, match=r"an answer is lost|no study is called"):
        storm(folder, "fast", every=4, full=True)
