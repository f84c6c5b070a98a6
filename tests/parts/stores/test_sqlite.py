"""The SQLite store beside the contract: places, versions, damage, bounds, forks."""

import fcntl
import os
import re
import stat
import threading
import time
from pathlib import Path

import apsw
import numpy as np
import pytest

from thalweg.core.errors import StoreError
from thalweg.core.store import Entry
from thalweg.parts.stores import _database, _place, open_store
from thalweg.parts.stores._queries import migrations, queries, schema
from thalweg.parts.stores.memory import MemoryStore
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()


def filled(path: Path, count: int = 20, **options) -> SQLiteStore:
    store = SQLiteStore(path, durability="fast", **options)
    study = store.create("demo", {"x": 1}, "f").id
    store.open_trials(study, opening_of(count, 0, SPACE), None, [Entry("asked", {"n": count})])
    store.append(study, finishing_of(range(count - 2)), [Entry("told", {"n": count - 2})])
    store.snapshot(study, {"state": 1}, 2)
    return store


# --- addresses and places ---------------------------------------------------------------------------------------------


def test_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_store("memory"), MemoryStore) and isinstance(open_store(), MemoryStore)
    for given in ("sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", "a.db", tmp_path / "a.db"):
        store = open_store(given)
        assert isinstance(store, SQLiteStore) and store.path == tmp_path / "a.db"
        assert open_store(store) is store
        store.close()
    store = open_store("sqlite:///a.db", durability="fast")
    assert store._database.full is False
    store.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sqlit:///x.db", "did you mean 'sqlite'"),
        ("redis://host", "Known: memory"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///:memory:", "say 'memory'"),
        ("notes.txt", "ends in .db"),
        ("", "ends in .db"),
        (3, "ends in .db"),
    ],
)
def test_bad_addresses(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        open_store(given)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "nothing was made"


def test_bad_options(tmp_path):
    with pytest.raises(StoreError, match="'full' or 'fast'"):
        open_store(tmp_path / "x.db", durability="some")
    with pytest.raises(StoreError, match="speed"):
        open_store(tmp_path / "x.db", speed=3)
    with pytest.raises(StoreError, match="is open already"):
        open_store(MemoryStore(), durability="full")


def test_bad_places(tmp_path):
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to look like one\n" * 20)
    os.mkfifo(tmp_path / "pipe.db")
    for name, message in [
        ("folder.db", "is a directory"),
        ("missing/x.db", "mkdir -p"),
        ("text.db", "not an SQLite file"),
        ("text.db/x.db", "mkdir -p"),
        ("pipe.db", "no regular file"),
    ]:
        with pytest.raises(StoreError, match=message):
            SQLiteStore(tmp_path / name)
    assert (tmp_path / "text.db").read_text().startswith("this is no database"), "left as it is"
    with pytest.raises(StoreError, match=r"cannot be made|not writable|network"):
        SQLiteStore("/proc/x.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_places_without_permission(tmp_path):
    filled(tmp_path / "x.db").close()
    (tmp_path / "x.db").chmod(0o400)
    with pytest.raises(StoreError, match="not writable"):
        SQLiteStore(tmp_path / "x.db")
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be made"):
        SQLiteStore(tmp_path / "y.db")
    tmp_path.chmod(0o700)


def test_network_file_systems_are_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nserver:/home /net nfs4 rw 0 0\n//box/c /net/my\\040share cifs rw 0 0\n"
        "me@host /far fuse.sshfs rw 0 0\n/dev/sda /far/near xfs rw 0 0\n"
    )
    kinds = {
        "/home/x": "ext4", "/net": "nfs4", "/net/a/b": "nfs4", "/network": "ext4", "/net/my share/x": "cifs",
        "/far/x": "fuse.sshfs", "/far/near/x": "xfs",
    }  # fmt: skip
    assert {name: _place.file_system(Path(name), str(mounts)) for name in kinds} == kinds
    assert _place.file_system(Path("/x"), str(tmp_path / "none")) == ""
    for kind in ("nfs4", "cifs", "9p", "fuse.sshfs"):
        monkeypatch.setattr(_place, "file_system", lambda folder, kind=kind: kind)
        with pytest.raises(StoreError, match=f"network file system \\({kind}\\).*local disk"):
            SQLiteStore(tmp_path / "x.db")


def test_files_are_private(tmp_path):
    old = os.umask(0)
    try:
        store = filled(tmp_path / "x.db")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert {"x.db", "x.db-lock", "x.db-wal", "x.db-shm"} == set(modes)
        assert set(modes.values()) == {0o600}
        store.close()
    finally:
        os.umask(old)


# --- versions ---------------------------------------------------------------------------------------------------------


def test_somebody_elses_file_is_left_alone(tmp_path):
    path = tmp_path / "x.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE mine (a)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        SQLiteStore(path)
    assert path.read_bytes() == before


def test_a_newer_file_is_refused(tmp_path):
    path = tmp_path / "x.db"
    filled(path).close()
    change(path, f"PRAGMA user_version = {_database.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer thalweg.*upgrade"):
        SQLiteStore(path)
    assert path.read_bytes() == before


def test_migration_runs_by_itself_with_a_copy(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    filled(path).close()
    now = _database.SCHEMA_VERSION
    steps = {now + 1: "ALTER TABLE study ADD COLUMN note TEXT;", now + 2: "UPDATE study SET note = 'migrated';"}
    monkeypatch.setattr(_database, "SCHEMA_VERSION", now + 2)
    monkeypatch.setattr(_database, "migrations", lambda: {now + 1: steps[now + 1]})
    with pytest.raises(StoreError, match=rf"no migration to schema \[{now + 2}\]"):
        SQLiteStore(path)
    monkeypatch.setattr(_database, "migrations", lambda: {**steps, now + 2: "UPDATE nothing SET a = 1;"})
    with pytest.raises(StoreError, match="nothing"):
        SQLiteStore(path)
    assert read(path, "PRAGMA user_version") == now, "a failed migration changes nothing"
    monkeypatch.setattr(_database, "migrations", lambda: steps)
    store = SQLiteStore(path)
    assert len(store.since(store.open("demo").id)[0]) == 20 and store.verify() == []
    store.close()
    assert read(path, "PRAGMA user_version") == now + 2 and read(path, "SELECT note FROM study") == "migrated"
    copy = tmp_path / f"x.db.v{now}-backup"
    assert read(copy, "PRAGMA user_version") == now and read(copy, "SELECT count(*) FROM trial") == 20
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_sql_files():
    assert set(migrations()) == set(range(2, _database.SCHEMA_VERSION + 1)), "one step to each version"
    connection = apsw.Connection(":memory:")
    connection.execute(schema())
    source = "".join(path.read_text() for path in Path(_database.__file__).parent.glob("*.py"))
    for name, query in queries().items():
        used = {int(place) for place in re.findall(r"\?(\d+)", query)}
        connection.execute("EXPLAIN " + query, (None,) * max(used, default=0))
        assert f'"{name}"' in source or name.startswith("delete_"), f"query {name} is not used"


# --- damage -----------------------------------------------------------------------------------------------------------


def change(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def read(path: Path, query: str):
    connection = apsw.Connection(str(path))
    value = connection.execute(query).get
    connection.close()
    return value


@pytest.mark.parametrize(
    ("statement", "number", "what"),
    [
        ("UPDATE trial SET result = replace(result, '3.5', '2.5') WHERE number = 3", 3, "result"),
        ("UPDATE trial SET opening = replace(opening, 'depth', 'deqth') WHERE number = 4", 4, "opening"),
        ("UPDATE trial SET status = 3 WHERE number = 5", 5, "result"),
        ("UPDATE trial SET status = 2 WHERE number = 19", 19, "result"),
        ("UPDATE trial SET number = 77 WHERE number = 6", 77, "opening"),
        ("UPDATE trial SET result = NULL WHERE number = 7", 7, "result"),
    ],
)
@pytest.mark.parametrize("complete", [False, True])
def test_damaged_trials_are_left_out(tmp_path, complete, statement, number, what):
    path = tmp_path / "x.db"
    store = filled(path)
    if complete:
        store.append(1, finishing_of([18, 19]))
        statement = statement.replace("status = 2 WHERE", "status = 4 WHERE")
    store.close()
    change(path, statement)
    store = SQLiteStore(path)
    assert store.verify() == [f"study 'demo': trial {number}: its {what}"]
    with pytest.warns(RuntimeWarning, match=f"trial {number}: its {what} is damaged"):
        trials, _ = store.since(1)
    assert len(trials) == 19 and number not in [trial.number for trial in trials]
    assert len(store.since(1)[0]) == 19, "warned about once"
    store.close()


def test_other_damage(tmp_path):
    path = tmp_path / "x.db"
    filled(path).close()
    change(path, "UPDATE log SET body = '{\"n\":21}' WHERE sequence = 1", "UPDATE snapshot SET sequence = 3",
           "UPDATE counter SET next = 3, used = 1")  # fmt: skip
    store = SQLiteStore(path)
    assert len(store.verify()) == 3
    with pytest.warns(RuntimeWarning, match="log line 1"):
        assert [entry.kind for entry in store.entries(1)] == ["told"]
    with pytest.warns(RuntimeWarning, match="snapshot"):
        assert store.restore(1) is None
    with pytest.warns(RuntimeWarning, match="counter"):
        assert store.open_trials(1, opening_of(5, 0, SPACE), 22) == (20, 2, {}), "counted again from the rows"
    assert len(store.verify()) == 2
    change(path, "UPDATE study SET spec = '{}'")
    with pytest.raises(StoreError, match="damaged"):
        store.open("demo")
    assert len(store.since(1)[0]) == 22, "the trials can still be had"
    store.close()


def test_text_that_is_no_text(tmp_path):
    """Bytes that are not UTF-8 cost the row that they are in, and nothing else."""
    path = tmp_path / "x.db"
    filled(path).close()
    connection = apsw.Connection(str(path))
    torn = bytes([0x7B, 0xFF, 0xFE, 0x7D])
    connection.execute("UPDATE log SET body = CAST(? AS TEXT) WHERE sequence = 1", (torn,))
    connection.execute("UPDATE snapshot SET body = CAST(? AS TEXT)", (torn,))
    connection.execute("UPDATE trial SET result = CAST(? AS TEXT) WHERE number = 3", (torn,))
    connection.close()
    store = SQLiteStore(path)
    store.create("other", {}, "f")
    assert len(store.verify()) == 3
    with pytest.warns(RuntimeWarning, match="log line 1"):
        assert [entry.kind for entry in store.entries(1)] == ["told"]
    with pytest.warns(RuntimeWarning, match="snapshot"):
        assert store.restore(1) is None
    with pytest.warns(RuntimeWarning, match="trial 3"):
        assert len(store.since(1)[0]) == 19
    store.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE study SET name = CAST(? AS TEXT) WHERE id = 1", (b"d\xffmo",))
    connection.close()
    store = SQLiteStore(path)
    assert store.names() == ["d\ufffdmo", "other"] and len(store.verify()) == 4
    with pytest.raises(StoreError, match="damaged"):
        store.respec(1, {}, "", 0)
    assert store.open("other").spec == {}
    store.close()


def test_a_wrong_digest_leads_nowhere(tmp_path):
    from thalweg.core.store import digest

    path = tmp_path / "x.db"
    opening = opening_of(20, 0, SPACE)
    names = [digest(params) for params in SPACE.to_labels(opening.reals, opening.active)]
    filled(path).close()
    change(path, f"UPDATE trial SET digest = x'{names[1].hex()}' WHERE number = 0")
    store = SQLiteStore(path)
    found = store.lookup("f", names[1:2])
    assert list(found) == [names[1]] and found[names[1]].number == 1
    store.close()


def test_flipped_bits_are_found_or_harmless(tmp_path):
    source = tmp_path / "source.db"
    store = filled(source, 60)
    good, _ = store.since(1)
    store.close()
    raw = source.read_bytes()
    rng = np.random.default_rng(5)
    found = 0
    for i in range(120):
        path = tmp_path / f"{i}.db"
        place = int(rng.integers(100, len(raw)))
        path.write_bytes(raw[:place] + bytes([raw[place] ^ (1 << int(rng.integers(8)))]) + raw[place + 1 :])
        store = None
        try:
            store = SQLiteStore(path)
            damage = store.verify()
            found += bool(damage)
            if not damage:
                assert repr(store.since(1)[0]) == repr(good), "a silent change"
        except StoreError:
            found += 1
        finally:
            if store is not None:
                store.close()
    assert found >= 10, "bits were flipped where it matters"


# --- bounds, threads, sessions ----------------------------------------------------------------------------------------


def test_the_wal_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(_database, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(_database, "TRUNCATE_PAGES", 100)
    monkeypatch.setattr(_database, "TRUNCATE_WAIT_MS", 5)
    store = filled(tmp_path / "x.db")
    wal = Path(f"{store.path}-wal")
    reader = apsw.Connection(str(store.path))
    biggest = 0
    for i in range(60):
        if i % 20 == 0:  # a reader that stays on one moment keeps the WAL from starting anew
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM trial").fetchall()
        if i % 20 == 10:
            reader.execute("COMMIT")
        first, count, _ = store.open_trials(1, opening_of(30, i, SPACE), None)
        store.append(1, finishing_of(range(first, first + count)))
        biggest = max(biggest, wal.stat().st_size)
    assert biggest < 4_500_000
    assert wal.stat().st_size <= 100 * 4120, "cut as soon as the reader let it"
    reader.close()
    store.close()
    assert not wal.exists()


def test_nobody_waits_for_a_checkpoint(tmp_path, monkeypatch):
    """What was committed is carried over while others may write; only a WAL that is too long makes them wait."""
    monkeypatch.setattr(_database, "CHECKPOINT_PAGES", 40)
    monkeypatch.setattr(_database, "TRUNCATE_PAGES", 400)
    store = filled(tmp_path / "x.db")
    database = store._database
    free = []
    original = database._checkpoint

    def watched(connection):
        with open(f"{store.path}-lock") as gate:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free.append((database._wal.pages, False))
            else:
                free.append((database._wal.pages, True))
        original(connection)

    monkeypatch.setattr(database, "_checkpoint", watched)
    reader = apsw.Connection(str(store.path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM trial").fetchall()
    for i in range(20):
        first, count, _ = store.open_trials(1, opening_of(30, i, SPACE), None)
        store.append(1, finishing_of(range(first, first + count)))
    reader.close()
    assert {pages < 400 for pages, _ in free} == {True, False}
    assert all(is_free == (pages < 400) for pages, is_free in free)
    store.close()


def test_durability_sets_synchronous(tmp_path):
    for durability, expected in (("full", [1, 2]), ("fast", [1, 1])):
        store = SQLiteStore(tmp_path / f"{durability}.db", durability=durability)
        study = store.create("demo", {}, "f").id
        seen = []
        store.open_trials(study, opening_of(1, 0, SPACE), None)
        seen.append(store._database._connection.pragma("synchronous"))
        store.append(study, finishing_of([0]))
        seen.append(store._database._connection.pragma("synchronous"))
        assert seen == expected
        store.close()


def test_threads_share_a_store(tmp_path):
    store = filled(tmp_path / "x.db", 2)
    errors = []

    def work():
        try:
            for i in range(15):
                first, count, _ = store.open_trials(1, opening_of(3, i, SPACE), None)
                store.append(1, finishing_of(range(first, first + count)))
                store.since(1)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [trial.number for trial in store.since(1)[0]] == list(range(2 + 6 * 45))
    store.close()


def test_threads_share_a_sync(tmp_path, monkeypatch):
    """While one transaction is on its way to the disk, what other threads tell gathers, and goes there as one."""
    store = SQLiteStore(tmp_path / "x.db")
    study = store.create("demo", {}, "f").id
    member = store.join(study)
    store.open_trials(study, opening_of(9, 0, SPACE), None, member=member)
    database = store._database
    got: dict[int, object] = {}

    def tell(number: int) -> None:
        try:
            got[number] = store.append(study, finishing_of([number]), [Entry("told", {"n": number})], member)
        except StoreError as error:
            got[number] = str(error)

    durable = []
    original = database.writing
    monkeypatch.setattr(database, "writing", lambda **given: durable.append(1) or original(**given))

    def round_of(numbers: list[int]) -> int:
        durable.clear()
        threads = [threading.Thread(target=tell, args=(number,)) for number in numbers]
        with database._lock:  # as if a commit took its time
            for thread in threads:
                thread.start()
            until = time.monotonic() + 20.0
            while len(database._jobs) < len(threads) and time.monotonic() < until:
                time.sleep(0.001)
        for thread in threads:
            thread.join()
        return len(durable)

    assert round_of([0, 1, 2, 3]) == 1, "one transaction for all"
    assert [got[number] for number in range(4)] == [[]] * 4
    assert round_of([4, 77, 5, 1]) == 1 + 4, "one of them is wrong: each does its own"
    assert "never opened" in got.pop(77) and got == {n: [1] if n == 1 else [] for n in range(6)}
    assert [t.status for t in store.since(study)[0]] == [2] * 6 + [0] * 3
    kinds = [entry.kind for entry in store.entries(study)]
    assert kinds.count("told") == 7 and kinds.count("duplicate") == 1
    assert [entry.sequence for entry in store.entries(study)] == list(range(1, 9)) and store.verify() == []
    store.close()


def test_two_stores_on_one_file(tmp_path):
    one, two = filled(tmp_path / "x.db"), SQLiteStore(tmp_path / "x.db")
    _, version = two.since(1)
    one.append(1, finishing_of([18]))
    assert [trial.number for trial in two.since(1, version)[0]] == [18]
    one.close()
    two.append(1, finishing_of([19]))
    two.close()


def test_a_vanished_file_is_not_made_again(tmp_path):
    store = filled(tmp_path / "x.db")
    store._database._let_go()
    store.path.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        store.since(1)
    assert not store.path.exists()
    store.close()


def test_a_fork_behind_pythons_back_is_refused(tmp_path, monkeypatch):
    store = filled(tmp_path / "x.db")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StoreError, match="after the fork"):
        store.since(1)
    monkeypatch.undo()
    assert len(store.since(1)[0]) == 20
    store.close()


def test_people_can_read_it(tmp_path):
    filled(tmp_path / "x.db").close()
    path = tmp_path / "x.db"
    assert b'"rate":' in path.read_bytes(), "grep finds parameters"
    assert read(path, "SELECT value FROM trials WHERE study = 'demo' AND status = 'done' AND number = 3") == 3.5
    assert read(path, "SELECT count(*) FROM trials WHERE params ->> 'rate' > 0") == 20


# --- costs ------------------------------------------------------------------------------------------------------------


def least(call, repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def test_costs(tmp_path):
    """Wide gates three times what a quiet machine needs."""
    memory = MemoryStore()
    study = memory.create("demo", {}, "f").id
    big = opening_of(5000, 0, SPACE)
    ended = [finishing_of(range(5000 * i, 5000 * i + 5000)) for i in range(250)]

    def many() -> None:
        for _ in range(50):
            first, count, _ = memory.open_trials(study, big, None)
            assert memory.append(study, ended[first // 5000]) == [] and count == 5000

    assert least(many, 5) / 100 < 45e-6, "a batch of 5000 costs microseconds"

    store = SQLiteStore(tmp_path / "x.db", durability="fast")
    study = store.create("demo", {}, "f").id
    batch = opening_of(200, 0, SPACE)

    def batches() -> None:
        for _ in range(5):
            first, count, _ = store.open_trials(study, batch, None)
            store.append(study, finishing_of(range(first, first + count)))

    assert least(batches, 8) / 1000 < 60e-6
    count = len(store.since(study)[0])
    assert least(lambda: store.since(study), 4) / count < 12e-6
    store.close()


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    path, look, make = str(tmp_path / "s.db"), os.stat, os.open

    def refused(call):
        def tried(name, *arguments, **options):
            if os.fspath(name) == path:
                raise PermissionError(13, "Permission denied", path)
            return call(name, *arguments, **options)

        return tried

    monkeypatch.setattr(os, "stat", refused(look))
    monkeypatch.setattr(os, "open", refused(make))
    with pytest.raises(StoreError, match=r"s\.db cannot be made: Permission denied"):
        SQLiteStore(path)
