"""Members of an SQLite store: locks that die with processes, forks, old files, races."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest

from thalweg.core.errors import Displaced, StoreError, StudyBusy
from thalweg.core.store import Entry
from thalweg.parts.stores import _database
from thalweg.parts.stores._queries import schema
from thalweg.parts.stores.memory import MemoryStore
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()
OLD = Path(__file__).with_name("data") / "version1.db"


def change(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def started(path: Path) -> tuple[SQLiteStore, int]:
    store = SQLiteStore(path, durability="fast")
    return store, store.create("demo", {}, "f").id


def in_child(work) -> int:
    """The exit code of a forked child that does `work`; negative: the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def join_open_die(path: Path, count: int = 3) -> None:
    def work() -> None:
        store = SQLiteStore(path, durability="fast")
        member = store.join(1, "the child")
        store.open_trials(1, opening_of(count, 3, SPACE), None, member=member)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL


def live(path: Path) -> list[str]:
    return sorted(os.listdir(f"{path}-live")) if os.path.exists(f"{path}-live") else []


# --- death ------------------------------------------------------------------------------------------------------------


def test_a_killed_member_is_found_dead_at_once(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    me = store.join(study)
    join_open_die(path)
    (_, other) = store.members(study)
    assert (other.note, other.alive, other.late, other.open_trials) == ("the child", False, False, 3)
    assert live(path) == [str(me.token), str(other.token)]
    assert [(t.number, t.attempt) for t in store.claim(me, 9)] == [(0, 2)]
    assert live(path) == [str(me.token)] and len(store.members(study)) == 1, "who claims buries"
    assert store.join(study).former == other.token
    store.close()
    assert not os.path.exists(f"{path}-live")


def test_who_joins_buries_and_takes_the_place(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    join_open_die(path)
    with pytest.raises(StudyBusy, match=r"a \(process \d+\) has been on this study.* since 20"):
        store.join(study, "a")
        store.join(study, "b", alone=True)
    assert [view.note for view in store.members(study)] == ["a"] and len(live(path)) == 1
    store.close()


def test_stale_files_are_swept(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    first = store.join(study)
    (Path(f"{path}-live") / "999").touch()
    (Path(f"{path}-live") / "notes.txt").touch()
    second = store.join(study)
    assert live(path) == sorted([str(first.token), str(second.token), "notes.txt"])
    store.close()
    assert live(path) == ["notes.txt"]


def test_files_of_members_are_private(tmp_path):
    old = os.umask(0)
    try:
        store, study = started(tmp_path / "x.db")
        member = store.join(study)
        folder = tmp_path / "x.db-live"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / str(member.token)).stat().st_mode) == 0o600
        store.close()
    finally:
        os.umask(old)


def test_a_lost_lock_file_displaces(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    member = store.join(study)
    store.open_trials(study, opening_of(1, 0, SPACE), None, member=member)
    shutil.rmtree(f"{path}-live")
    other = SQLiteStore(path, durability="fast")
    taker = other.join(study)
    assert (taker.ordinal, taker.former) == (0, member.token)
    for call in (lambda: store.beat(member), lambda: store.claim(member, 1)):
        with pytest.raises(Displaced, match="its lock was lost"):
            call()
    assert [(t.number, t.attempt) for t in other.claim(taker, 1)] == [(0, 2)]
    assert store.append(study, finishing_of([0]), [Entry("told", {})], member) == []
    assert [entry.kind for entry in other.entries(study)] == ["late"]
    store.close()
    other.beat(taker)
    assert live(path) == [str(taker.token)], "its own file is left alone"
    other.close()


def test_two_stores_of_one_process_see_each_other(tmp_path):
    one, study = started(tmp_path / "x.db")
    two = SQLiteStore(tmp_path / "x.db")
    a, b = one.join(study), two.join(study)
    assert [view.alive for view in one.members(study)] == [view.alive for view in two.members(study)] == [True, True]
    one.close()
    assert [view.token for view in two.members(study)] == [b.token] and a.ordinal == 0
    two.close()


def test_another_boot_and_an_odd_row(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    member = store.join(study)
    change(path, "UPDATE member SET boot = 'another', beat_s = -1e9")
    assert store.verify() == ["study 'demo': member 0"]
    assert store.members(study)[0][4:7] == (True, False, 0.0), "clocks of two boots are not compared"
    store.beat(member)
    assert store.verify() == []
    store.close()


@pytest.mark.parametrize("lease", [0, -1, float("nan"), True, "10"])
def test_leases_are_positive(tmp_path, lease):
    for make in (MemoryStore, lambda **given: SQLiteStore(tmp_path / "x.db", **given)):
        with pytest.raises(StoreError, match="lease_s must be a positive"):
            make(lease_s=lease)


# --- forks and programs -----------------------------------------------------------------------------------------------


def test_a_fork_does_not_keep_the_lock(tmp_path):
    """A child that outlives its parent must not look like it."""
    path = tmp_path / "x.db"
    store, study = started(path)
    reading, writing = os.pipe()

    def work() -> None:
        mine = SQLiteStore(path, durability="fast")
        mine.join(study, "parent")
        if os.fork() == 0:  # the grandchild lives until the pipe ends
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    os.close(reading)
    until = time.monotonic() + 20.0
    while store.members(study)[0].alive and time.monotonic() < until:
        time.sleep(0.01)  # the grandchild may not have run yet
    assert [(view.note, view.alive) for view in store.members(study)] == [("parent", False)]
    os.close(writing)
    store.close()


def test_a_forked_child_cannot_free_its_parents_lock(tmp_path):
    store, study = started(tmp_path / "x.db")
    member = store.join(study)
    assert in_child(store.close) == 0
    assert store.members(study)[0].alive
    store.beat(member)

    def work() -> None:
        first, _, _ = store.open_trials(study, opening_of(1, 0, SPACE), None, member=member)
        store.append(study, finishing_of([first]), member=member)
        own = store.join(study, "child")
        assert own.ordinal == 1
        store.close()

    assert in_child(work) == 0
    assert [view.ordinal for view in store.members(study)] == [0] and store.members(study)[0].alive
    store.close()


def test_a_program_does_not_keep_the_lock(tmp_path):
    path = tmp_path / "x.db"
    store, study = started(path)
    reading, writing = os.pipe()

    def work() -> None:
        mine = SQLiteStore(path, durability="fast")
        mine.join(study)
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=reading, close_fds=False)
        os.kill(os.getpid(), signal.SIGKILL)

    os.set_inheritable(writing, False)
    assert in_child(work) == -signal.SIGKILL
    os.close(reading)
    assert not store.members(study)[0].alive
    os.close(writing)
    store.close()


# --- races ------------------------------------------------------------------------------------------------------------


def test_threads_join_and_claim_at_once(tmp_path):
    store, study = started(tmp_path / "x.db")
    store.open_trials(study, opening_of(60, 0, SPACE), None)
    got: list[list[int]] = []
    places: list[int] = []

    def work() -> None:
        member = store.join(study)
        places.append(member.ordinal)
        mine = []
        while part := store.claim(member, 3):
            mine += [trial.number for trial in part]
            store.append(study, finishing_of(mine[-len(part) :]), member=member)
        got.append(mine)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(places) == list(range(6)) and sorted(number for mine in got for number in mine) == list(range(60))
    store.close()


def test_asking_in_vain_writes_nothing(tmp_path):
    store, study = started(tmp_path / "x.db")
    a, b = store.join(study), store.join(study)
    store.open_trials(study, opening_of(5, 0, SPACE), None, member=a)
    before = store._database._connection.total_changes()
    wal = Path(f"{store.path}-wal").stat().st_size
    for _ in range(20):
        assert store.claim(b, 3) == []
        store.standing(study), store.members(study)
    assert store._database._connection.total_changes() == before and Path(f"{store.path}-wal").stat().st_size == wal
    store.close()


def test_claims_are_found_by_index(tmp_path):
    """However many trials are open, and however many have ended."""
    store, _ = started(tmp_path / "x.db")
    connection = store._database._connection
    for name, places in {
        "queued_trials": 3,
        "owned_trials": 4,
        "open_owners": 1,
        "same_point": 2,
        "changed_trials": 3,
    }.items():
        rows = connection.execute("EXPLAIN QUERY PLAN " + store._sql[name], (1,) * places)
        plan = " ".join(str(row[3]) for row in rows)
        assert "SCAN trial" not in plan and "trial_" in plan and "TEMP B-TREE FOR ORDER" not in (
            plan if name in ("queued_trials", "owned_trials") else ""
        ), plan  # fmt: skip
    store.close()


# --- old files --------------------------------------------------------------------------------------------------------


def shape(path: Path) -> dict[str, object]:
    connection = apsw.Connection(str(path))
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    tables = {
        name: sorted(row[1:] for row in connection.execute(f"SELECT * FROM pragma_table_info('{name}')"))
        for (name,) in connection.execute(names).fetchall()
    }
    rest = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type != 'table' AND sql IS NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return {"tables": tables, "rest": rest}


def test_a_file_of_version_1_is_led_here(tmp_path):
    path = tmp_path / "old.db"
    shutil.copy(OLD, path)
    old_mask = os.umask(0)
    try:
        store = SQLiteStore(path)
    finally:
        os.umask(old_mask)
    assert store.verify() == [] and store.names() == ["demo", "other"]
    record = store.open("demo")
    assert (record.spec, record.revision) == ({"x": 1}, 0)
    trials, version = store.since(record.id)
    assert [t.number for t in trials] == [*range(17), *range(18, 23)]
    assert [t.values for t in trials[:16]] == [[i + 0.5] for i in range(16)]
    assert (trials[16].status, trials[16].attempt, trials[16].error) == (3, 2, "boom")
    assert [(t.status, t.owner, t.attempt) for t in trials[17:19]] == [(0, 0, 1)] * 2
    assert [e.kind for e in store.entries(record.id, by=0)] == ["asked", "told", "note"]
    assert store.restore(record.id)[1] == 2 and store.restore(record.id, 1) is None
    standing = store.standing(record.id)
    assert standing == (version, 19, None, 0, 0)
    member = store.join(record.id)
    assert member.ordinal == 0 and member.former > 0, "somebody worked on it before"
    assert [(t.number, t.attempt) for t in store.claim(member, 9)] == [(18, 2)]
    assert store.append(record.id, finishing_of([18, 19]), member=member) == []
    assert store.open_trials(record.id, opening_of(9, 0, SPACE), 30, member=member, unique=True).taken
    assert store.verify() == []
    store.close()
    fresh = tmp_path / "new.db"
    SQLiteStore(fresh).close()
    assert shape(path) == shape(fresh), "what a migration leads to is what a new file is"
    copy = tmp_path / "old.db.v1-backup"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    connection = apsw.Connection(str(copy))
    assert connection.pragma("user_version") == 1 and connection.execute("SELECT count(*) FROM trial").get == 24
    connection.close()


def test_a_file_of_version_2_is_led_here(tmp_path):
    path = tmp_path / "old.db"
    shutil.copy(OLD.with_name("version2.db"), path)
    store = SQLiteStore(path)
    assert store.verify() == [] and store.names() == ["demo", "other"]
    study = store.open("demo").id
    assert [e.kind for e in store.entries(study)] == ["asked", "told", "respec"]
    assert len(store.since(study)[0]) == 10 and store.open("demo").revision == 1
    member = store.join(study)
    store.open_trials(study, opening_of(1, 5, SPACE, priority=5.0), None)
    got = [(t.number, t.attempt) for t in store.claim(member, 9)]
    assert got == [(8, 1), (9, 1), (10, 1), (6, 2)], "what waited before there were priorities has waited longest"
    store.append(study, finishing_of([6, 8, 9, 10]), member=member)
    assert store.verify() == []
    (line,) = [entry for entry in store.entries(study, -1) if entry.sequence == 0]
    assert line.body == {"name": "demo", "spec": {"x": 2}, "fingerprint": "f2", "revision": 1}
    store.close()
    fresh = tmp_path / "new.db"
    SQLiteStore(fresh).close()
    assert shape(path) == shape(fresh)


def test_the_schema_has_no_unused_columns():
    connection = apsw.Connection(":memory:")
    connection.execute(schema())
    source = (Path(_database.__file__).parent / "queries.sql").read_text()
    for table in ("study", "counter", "member", "trial", "log", "snapshot"):
        for row in connection.execute(f"SELECT name FROM pragma_table_info('{table}')"):
            assert row[0] in source, (table, row[0])


def test_the_lease_is_kept_by_working(tmp_path):
    now = [0.0]
    store = SQLiteStore(tmp_path / "x.db", durability="fast", lease_s=8.0, clock=lambda: now[0])
    study = store.create("demo", {}, "f").id
    member = store.join(study)
    for i in range(6):
        now[0] += 7.0
        store.open_trials(study, opening_of(1, i, SPACE), None, member=member)
        assert store.members(study)[0].silent_s == 0.0
        now[0] += 7.0
        store.append(study, finishing_of([i]), member=member)
        assert store.members(study)[0].silent_s == 0.0
    assert store.verify() == []
    store.close()


def test_garbage_is_dead_in_memory():
    store = MemoryStore()
    study = store.create("demo", {}, "f").id
    me, other = store.join(study), store.join(study, "other")
    store.open_trials(study, opening_of(2, 0, SPACE), None, member=other)
    assert store.claim(me, 9) == []
    del other
    assert [view.alive for view in store.members(study)] == [True, False]
    assert [(t.number, t.attempt) for t in store.claim(me, 9)] == [(0, 2)]
    assert len(store.members(study)) == 1


def test_time_is_real_by_default(tmp_path):
    store, study = started(tmp_path / "x.db")
    store.join(study)
    start = time.monotonic()
    assert 0.0 <= store.members(study)[0].silent_s <= time.monotonic() - start + 60.0
    assert store._members.lease_s == 120.0
    store.close()
