"""What a server makes possible, and what it makes necessary: addresses, schemas, lost connections, forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from postgres_server import GUARDED, empty
from thalweg.core.errors import Displaced, MissingExtra, StoreError
from thalweg.core.store import Entry
from thalweg.parts.stores import _postgres_address, _postgres_link, _postgres_server, open_store
from thalweg.parts.stores._postgres_address import parse
from thalweg.parts.stores._postgres_link import Link
from thalweg.testing.store_machine import machine_of
from thalweg.testing.store_suite import CHECKS, finishing_of, opening_of

SECRET = "s3cr3t/of:the@house?"


@pytest.fixture
def store(postgres_address):
    made = open_store(postgres_address)
    yield made
    made.close()


@pytest.fixture
def study(store):
    return store.create("demo", {"x": 1}, "f").id


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check, postgres_address):
    CHECKS[check](lambda **options: open_store(postgres_address, **options))


MACHINE = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.generate,),  # to make a failure smaller takes minutes here; the same machine fails on SQLite faster
)


def run_machine(address, how):
    seen = set()

    def make(folder, **options):
        if folder not in seen:
            seen.add(folder)
            empty(address)
        return open_store(address, durability="fast", **options)

    def crash(store, member):
        store._members.forget([member.token])  # the server frees its lock, and nobody speaks for it any more

    run_state_machine_as_test(machine_of(make, crash), settings=how)


def test_model(postgres_address):
    run_machine(postgres_address, MACHINE)


@pytest.mark.slow
def test_model_long(postgres_address):
    run_machine(postgres_address, settings(MACHINE, max_examples=60, stateful_step_count=50))


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ada:s3cr3t@db.example:5433/tuning", "postgresql://ada:***@db.example:5433/tuning"),
        ("postgres://ada:s3%40cr3t@db/tuning?schema=x&sslmode=require", "postgres://ada:***@db/tuning"),
        ("postgresql:///tuning?password=s3cr3t&user=ada", "postgresql:///tuning"),
        (
            "postgresql://one:5432,two:5433/tuning?target_session_attrs=read-write",
            "postgresql://one:5432,two:5433/tuning",
        ),
    ],
)
def test_addresses_are_read(address, shown):
    parsed = parse(address)
    assert parsed.shown == shown
    assert parsed.parameters.get("password") in (None, "s3cr3t", "s3@cr3t")
    assert "s3" not in repr(parsed) and "schema" not in parsed.parameters
    assert parsed.options == ({"schema": "x"} if "schema" in address else {})


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://ada:s3@cr3t@db/tuning", "%40"),
        ("postgresql://ada:s3/cr3t@db/tuning", "%2F"),
        ("postgresql://ada:12/s3cr3t@db/tuning", "%2F"),
        ("postgresql://ada:s3%cr3t@db/tuning", "%25"),
        ("postgresql://ada:s3cr3t@[db/tuning", "expected"),
        ("postgresql://ada:s3cr3t@db/tuning?sslmod=require", "no option 'sslmod'"),
        ("postgresql://ada:s3cr3t@db/tuning?schema=Robert'); DROP", "schema must be"),
        ("postgresql://ada:s3cr3t@db/tuning?durability=none", "durability must be"),
        ("postgresql://ada:s3cr3t@db/tuning?lease_s=soon", "lease_s must be"),
        ("postgresql://ada:s3cr3t@db/tuning?lease_s=0", "lease_s must be"),
        ("postgresql://ada:s3cr3t@db/tuning?patience_s=-1", "patience_s must be"),
        ("postgresql://ada:s3cr3t@127.0.0.1:1/tuning", "is the server running"),
        ("postgresql://ada:s3cr3t@no-such-host.invalid/tuning", "check the host's name"),
    ],
)
def test_bad_addresses_are_refused_without_their_secrets(address, words):
    with pytest.raises(StoreError) as caught:
        open_store(address)
    assert words in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))  # causes and contexts, too
    assert not any(part in told for part in ("s3", "cr3t"))


def test_a_missing_database_and_role_are_named(postgres_server, postgres_database):
    with pytest.raises(StoreError, match=r"nothing_here.*createdb"):
        open_store(postgres_server.url("nothing_here"))
    with pytest.raises(StoreError, match=r"nobody_here.*createuser"):
        open_store(postgres_server.url(postgres_database, "nobody_here"))


def test_passwords_open_and_are_never_shown(mortal_postgres, monkeypatch, tmp_path):
    server = mortal_postgres
    database = server.database()
    server.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{SECRET}'")
    try:
        with pytest.raises(StoreError, match="check user and password") as caught:
            open_store(server.url(database, GUARDED, SECRET + "x"))
        assert SECRET not in str(caught.value)
        with pytest.raises(StoreError, match="PGPASSWORD"):
            open_store(server.url(database, GUARDED))
        with pytest.raises(StoreError, match="GRANT CREATE ON DATABASE") as caught:
            open_store(server.url(database, GUARDED, SECRET))
        assert SECRET not in str(caught.value)
        server.execute(f"GRANT CREATE ON DATABASE {database} TO {GUARDED}")
        store = open_store(server.url(database, GUARDED, SECRET))
        for text in (repr(store), store.address, str(vars(store)), repr(store._server.address)):
            assert "s3cr3t" not in text
        with pytest.raises(StoreError) as caught:
            store.open("x")
        assert "s3cr3t" not in str(caught.value) and GUARDED in str(caught.value)
        store.close()
        monkeypatch.setenv("PGPASSWORD", SECRET)
        open_store(server.url(database, GUARDED)).close()
        monkeypatch.delenv("PGPASSWORD")
        escaped = SECRET.replace("\\", "\\\\").replace(":", "\\:")
        (tmp_path / "pgpass").write_text(f"*:*:*:{GUARDED}:{escaped}\n")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        open_store(server.url(database, GUARDED)).close()
    finally:
        server.drop(database)
        server.execute(f"DROP ROLE {GUARDED}")


def test_without_its_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[postgres\]"):
        open_store("postgresql:///x")


def test_the_library_is_loaded_only_where_it_is_needed():
    code = (
        "import sys; from thalweg.parts.stores import open_store; open_store('memory'); print('psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- schemas ----------------------------------------------------------------------------------------------------------


NEWEST = _postgres_link.SCHEMA_VERSION


def test_the_schema_keeps_its_version(postgres_server, postgres_database, fresh_postgres, monkeypatch):
    schema = fresh_postgres.rpartition("=")[2]
    open_store(fresh_postgres).close()
    postgres_server.execute(f"UPDATE {schema}.store SET version = 99", postgres_database)
    with pytest.raises(StoreError, match=r"newer thalweg \(version 99"):
        open_store(fresh_postgres)
    postgres_server.execute(f"UPDATE {schema}.store SET version = {NEWEST}", postgres_database)
    monkeypatch.setattr(_postgres_link, "SCHEMA_VERSION", NEWEST + 1)
    with pytest.raises(StoreError, match=rf"no migration.*\[{NEWEST + 1}\]"):
        open_store(fresh_postgres)
    script = {NEWEST + 1: "ALTER TABLE study ADD COLUMN colour text NOT NULL DEFAULT 'red'"}
    monkeypatch.setattr(_postgres_link, "migrations", lambda folder: script)
    open_store(fresh_postgres).close()
    open_store(fresh_postgres).close()
    assert postgres_server.execute(f"SELECT version FROM {schema}.store", postgres_database) == [(NEWEST + 1,)]
    assert postgres_server.execute(f"SELECT colour FROM {schema}.study", postgres_database) == []


def test_a_migration_that_fails_changes_nothing(postgres_server, postgres_database, fresh_postgres, monkeypatch):
    schema = fresh_postgres.rpartition("=")[2]
    open_store(fresh_postgres).close()
    monkeypatch.setattr(_postgres_link, "SCHEMA_VERSION", NEWEST + 2)
    wrong = "ALTER TABLE nothing ADD COLUMN colour text"
    scripts = {NEWEST + 1: "ALTER TABLE study ADD COLUMN colour text", NEWEST + 2: wrong}
    monkeypatch.setattr(_postgres_link, "migrations", lambda folder: scripts)
    with pytest.raises(StoreError, match="nothing"):
        open_store(fresh_postgres)
    assert postgres_server.execute(f"SELECT version FROM {schema}.store", postgres_database) == [(NEWEST,)]
    with pytest.raises(psycopg.errors.UndefinedColumn):
        postgres_server.execute(f"SELECT colour FROM {schema}.study", postgres_database)


def test_a_schema_of_version_1_is_led_here(postgres_server, postgres_database, fresh_postgres):
    schema = fresh_postgres.rpartition("=")[2]
    store = open_store(fresh_postgres)
    study = store.create("demo", {}, "f").id
    store.open_trials(study, opening_of(2), None)
    store.close()
    shape = f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY indexname"
    columns = (
        f"SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}'"
    )
    new = [postgres_server.execute(query, postgres_database) for query in (shape, columns + " ORDER BY 1, 2")]
    old = f"DROP INDEX {schema}.trial_queued; ALTER TABLE {schema}.trial DROP COLUMN due"
    postgres_server.execute(f"{old}; UPDATE {schema}.store SET version = 1", postgres_database)
    store = open_store(fresh_postgres)
    assert [postgres_server.execute(query, postgres_database) for query in (shape, columns + " ORDER BY 1, 2")] == new
    store.open_trials(study, opening_of(1, 1, priority=9.0), None)
    assert [trial.number for trial in store.claim(store.join(study), 9)] == [0, 1, 2]
    store.close()


def test_a_schema_of_another_program_is_left_alone(postgres_server, postgres_database, fresh_postgres):
    schema = fresh_postgres.rpartition("=")[2]
    postgres_server.execute(f"CREATE SCHEMA {schema} CREATE TABLE trial (x int)", postgres_database)
    with pytest.raises(StoreError, match="another program"):
        open_store(fresh_postgres)
    assert postgres_server.execute(
        f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'", postgres_database
    ) == [(1,)]


def test_schemas_are_apart(postgres_server, postgres_database):
    one, two = (open_store(postgres_server.url(postgres_database), schema=f"apart_{name}") for name in "ab")
    members = [store.join(store.create(name, {}, "f").id) for store, name in ((one, "a"), (two, "b"))]
    assert (one.names(), two.names()) == (["a"], ["b"])
    assert members[0].token == members[1].token, "the same token, and still two locks"
    one.close()
    assert [view.alive for view in two.members(members[1].study)] == [True]
    two.close()


def test_a_server_that_is_too_old_is_refused(postgres_address, monkeypatch):
    monkeypatch.setattr(_postgres_link, "OLDEST_SERVER", 990_000)
    with pytest.raises(StoreError, match="PostgreSQL 99 or newer expected"):
        open_store(postgres_address)


def test_people_can_look_inside(postgres_server, postgres_database, postgres_address, store, study):
    schema = postgres_address.rpartition("=")[2]
    store.open_trials(study, opening_of(2), None)
    store.append(study, finishing_of([1], [float("nan")], status=3, errors={0: "boom"}))
    rows = postgres_server.execute(
        f"SELECT study, number, status, params ->> 'kind', value, error FROM {schema}.trials ORDER BY number",
        postgres_database,
    )
    kinds = [trial.params["kind"] for trial in store.since(study)[0]]
    assert rows == [("demo", 0, "waiting", kinds[0], None, None), ("demo", 1, "failed", kinds[1], "nan", "boom")]


def test_damage_is_found(postgres_server, postgres_database, postgres_address, store, study):
    schema = postgres_address.rpartition("=")[2]
    store.open_trials(study, opening_of(4), None, [Entry("asked", {})])
    store.append(study, finishing_of([0, 1]))
    store.snapshot(study, {"a": 1}, 1)
    assert store.verify() == []
    for change in (
        "trial SET opening = replace(opening, '1', '2') WHERE number = 0",
        "trial SET result = replace(result, '1', '2') WHERE number = 1",
        "trial SET attempt = 7 WHERE number = 2",
        "log SET body = '{\"a\":1}' WHERE sequence = 1",
        "counter SET used = 1",
        "snapshot SET body = '{\"a\":2}'",
    ):
        postgres_server.execute(f"UPDATE {schema}.{change}", postgres_database)
    found = store.verify()
    assert len(found) == 6 and all("'demo'" in line for line in found)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trials, _ = store.since(study)
        used, lines, kept = store.standing(study).used, store.entries(study), store.restore(study)
    assert ([trial.number for trial in trials], used, lines, kept) == ([3], 4, [], None)
    told = "\n".join(str(item.message) for item in caught)
    for what in ("the counter", "trial 0: its opening", "trial 1", "trial 2", "log line 1", "the snapshot"):
        assert what in told


# --- lost connections -------------------------------------------------------------------------------------------------


def calls(store, study, member):
    """Every call that writes, as (what it gives, what must be there afterwards)."""
    first, _, _ = store.open_trials(study, opening_of(6), None, member=member)
    store.open_trials(study, opening_of(2), None)
    store.append(study, finishing_of([first]), member=member)
    log = [Entry("said", {})]
    return {
        "open_trials": lambda: store.open_trials(study, opening_of(2), None, log, member),
        "append": lambda: store.append(study, finishing_of([first, first + 1]), log, member),
        "claim": lambda: [trial.number for trial in store.claim(member, 5)],
        "release": lambda: store.release(study, [first + 2], member),
        "retract": lambda: store.retract(study, [first], "odd"),
        "add": lambda: store.add(study, opening_of(2), finishing_of([0, 0]), log),
        "log": lambda: store.log(study, log),
        "snapshot": lambda: store.snapshot(study, {"a": 1}, 3),
        "set_budget": lambda: store.set_budget(study, 77),
        "respec": lambda: store.respec(study, {"y": 2}, "g", 0).revision,
        "create": lambda: store.create(f"other {study}", {}, "f").fingerprint,
        "beat": lambda: store.beat(member),
        "leave": lambda: store.leave(member),
    }


def state(store, study):
    trials, _ = store.since(study)
    return (
        [(trial.number, trial.status, trial.attempt, trial.owner is None) for trial in trials],
        store.standing(study),
        [(entry.sequence, entry.kind) for entry in store.entries(study)],
        store.restore(study),
        sum(name == f"other {study}" for name in store.names()),
    )


def prepared(address, name):
    store = open_store(address)
    study = store.create(name, {"x": 1}, "f").id
    return store, study, store.join(study)


CALLS = [
    "open_trials", "append", "claim", "release", "retract", "add", "log", "snapshot", "set_budget", "respec", "create",
    "beat", "leave",
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_every_call_happens_once_wherever_the_connection_breaks(postgres_address, monkeypatch, call):
    """Before and after each round trip its connection breaks; the outcome is that of a call undisturbed."""
    monkeypatch.setattr(_postgres_server, "PAUSE_S", (0.001, 0.1))
    store, study, member = prepared(postgres_address, "undisturbed")
    answer = calls(store, study, member)[call]()
    wanted = state(store, study)
    store.close()
    real = Link.batch
    for place in range(12):
        store, study, member = prepared(postgres_address, f"demo {place}")
        todo = calls(store, study, member)[call]
        seen = 0

        def batch(link, statements, place=place):
            nonlocal seen
            seen += 1
            if seen == place // 2 + 1 and place % 2 == 0:
                link._connection.close()  # what was asked never arrives
            got = real(link, statements)
            if seen == place // 2 + 1:
                link._connection.close()  # it happened, and nobody hears of it
                raise psycopg.OperationalError("consuming input failed: planted")
            return got

        monkeypatch.setattr(Link, "batch", batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            got = todo()
        monkeypatch.setattr(Link, "batch", real)
        assert got == answer, f"place {place}"
        assert state(store, study) == wanted, f"place {place}"
        store.close()
        if seen < place // 2 + 1:
            assert place >= 2, "the call was disturbed at all"
            break
    else:
        raise AssertionError("there are more round trips than were tried")


def test_a_commit_that_is_still_under_way_is_waited_for(store, study, monkeypatch):
    """The old session lives on for a moment after its client thought it lost, and commits."""
    real, left = Link.batch, []

    def batch(link, statements):
        if statements[-1] == "COMMIT" and not left:
            left.append(link._connection)
            link._connection = psycopg.connect(link._connection.info.dsn)  # of no use to anybody
            link._connection.close()
            late = threading.Timer(0.2, lambda: left[0].execute(";".join(statements)))
            late.start()
            left.append(late)
            raise psycopg.OperationalError("consuming input failed: planted")
        return real(link, statements)

    monkeypatch.setattr(Link, "batch", batch)
    with pytest.warns(RuntimeWarning, match="waiting for it"):
        assert store.open_trials(study, opening_of(3), None) == (0, 3, {})
    left[1].join()
    assert store.standing(study).used == 3
    left[0].close()


def test_a_server_that_does_not_come_back_is_reported(postgres_address, monkeypatch):
    store = open_store(postgres_address, patience_s=0.2)
    study = store.create("demo", {}, "f").id
    store._server.address.parameters["port"] = "1"
    store._server._link.close()
    with (
        pytest.warns(RuntimeWarning, match="the server is away"),
        pytest.raises(StoreError, match=r"waited for 0\.2 s"),
    ):
        store.open_trials(study, opening_of(1), None)
    store.close()


def test_forgotten_work_is_noticed(postgres_server, postgres_database, postgres_address, store, study):
    """A server that lost what it had acknowledged (fast, or restored from a backup) is not worked with any further."""
    schema = postgres_address.rpartition("=")[2]
    store.open_trials(study, opening_of(1), None)
    postgres_server.execute(f"UPDATE {schema}.writer SET call = call - 1", postgres_database)
    store._server._link.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="has forgotten work"):
            store.standing(study)


def test_deadlocks_and_the_like_are_tried_again(store, study, monkeypatch):
    real, failures = Link.batch, [psycopg.errors.DeadlockDetected("x"), psycopg.errors.SerializationFailure("x")]

    def batch(link, statements):
        if statements[-1] == "COMMIT" and failures:
            raise failures.pop()
        return real(link, statements)

    monkeypatch.setattr(Link, "batch", batch)
    assert store.open_trials(study, opening_of(3), None) == (0, 3, {}) and not failures
    assert store.standing(study).used == 3


# --- members ----------------------------------------------------------------------------------------------------------


def eventually(truth, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def test_a_lost_lock_is_taken_again(postgres_server, postgres_address, store, study):
    member = store.join(study)
    other = open_store(postgres_address)
    before = store._members.line._link.backend
    postgres_server.execute(f"SELECT pg_terminate_backend({before})")
    eventually(lambda: store._members.line._link is not None and store._members.line._link.backend != before)
    eventually(lambda: other.members(study)[0].alive)
    store.beat(member)
    assert other.join(study).ordinal == 1, "its place is its own"
    other.close()


def test_who_was_displaced_hears_of_it(postgres_server, postgres_address, store, study, monkeypatch):
    member = store.join(study)
    store.open_trials(study, opening_of(1), None, member=member)
    monkeypatch.setattr(store._members.line, "restore", lambda: True)  # it does not come back
    postgres_server.execute(f"SELECT pg_terminate_backend({store._members.line._link.backend})")
    other = open_store(postgres_address)
    eventually(lambda: not other.members(study)[0].alive)
    taken = other.join(study)
    assert (taken.ordinal, taken.former) == (0, member.token) and taken.token > member.token
    monkeypatch.undo()
    with pytest.raises(Displaced):
        store.beat(member)
    with pytest.raises(Displaced):
        store.open_trials(study, opening_of(1), None, member=member)
    assert store.append(study, finishing_of([0]), [Entry("told", {})], member) == []
    assert [entry.kind for entry in store.entries(study)] == [], "its log is another's by now"
    other.close()


def test_a_lock_that_an_old_session_holds_still_is_taken_over(store, study):
    """The network broke: the client opens a new session while the server believes in the old one."""
    store.join(study)
    line = store._members.line
    with line._lock:
        old, line._link = line._link, None
    assert line.restore() and line._link.backend != old.backend
    assert store.members(study)[0].alive
    with pytest.raises(psycopg.OperationalError):
        old.batch(["SELECT 1"])


def test_members_come_back_before_they_are_buried(postgres_server, postgres_address, store, study, monkeypatch):
    """A server that has just begun anew gives its clients time: their locks are free, and they are not dead."""
    member = store.join(study)
    store.open_trials(study, opening_of(1), None, member=member)
    schema = postgres_address.rpartition("=")[2]
    store._members.line.close()
    other = open_store(postgres_address)
    assert not other.members(study)[0].alive
    database = store._server._link._connection.info.dbname
    grace = (
        time.time()
        - postgres_server.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::float8")[0][0]
        + 60
    )
    monkeypatch.setattr("thalweg.parts.stores._postgres_members.GRACE_S", grace)
    postgres_server.execute(f"UPDATE {schema}.member SET beat_unixtime = 0, lease_s = 1e12", database)
    newcomer = other.join(study)
    assert other.members(study)[0].alive and newcomer.ordinal == 1 and other.claim(newcomer, 1) == []
    other.close()


# --- forks ------------------------------------------------------------------------------------------------------------


def test_a_forked_child_leaves_its_parents_sessions_alone(store, study):
    member = store.join(study)
    pid = os.fork()
    if not pid:
        try:
            got = store.open_trials(study, opening_of(2), None, member=member)
            os._exit(0 if got.count == 2 and store._members.line.held == [] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.open_trials(study, opening_of(2), None, member=member)[:2] == (2, 2)
    assert store.members(study)[0].alive
    store.beat(member)


def test_a_living_child_does_not_keep_its_dead_parent_alive(postgres_address, store, study):
    code = """
import os, sys, time
from thalweg.parts.stores import open_store
store = open_store(sys.argv[1])
study = store.open("demo").id
store.join(study)
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, postgres_address], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        assert store.members(study)[0].alive
        process.kill()
        process.wait()
        eventually(lambda: not store.members(study)[0].alive)
        assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_the_table_of_cures_knows_what_servers_say():
    assert "pg_isready" in _postgres_address.cure("connection refused")
    assert "report" in _postgres_address.cure("something odd")
