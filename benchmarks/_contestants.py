"""What `store.py` measures: each contestant makes a study at an address, and works on it for some seconds.

A worker opens the study, calls `ready` (which waits for the others), and tells how long each of its trials took; the
loop's knows no single trials and gives equal shares. Every trial is on the disk, or the server has acknowledged it,
before the next one begins (but for "fast" and what is in memory); four floats are drawn at random, and one value is
told.
"""

from __future__ import annotations

import fcntl
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import thalweg as tw
from thalweg.parts.stores import open_store

NAMES = "abcd"
SPACE = {name: tw.Float(-5.0, 5.0) for name in NAMES}
Ready = Callable[[], None]


class Told(NamedTuple):
    """spent: seconds of every trial, by the clock.  cpu_s: of all of them.  errors: exceptions that calls raised."""

    spent: list[float]
    cpu_s: float
    errors: int = 0


@dataclass(frozen=True)
class Contestant:
    """where: "memory", "file" or "server".  alone: only one process can use it."""

    name: str
    where: str
    make: Callable[[str], None]
    work: Callable[[str, float, Ready], Told]
    alone: bool = False


def objective(p: dict[str, float]) -> float:
    a, b, c, d = p["a"] - 1.3, p["b"] + 0.7, p["c"] - 0.4, p["d"] + 2.1
    return a * a + b * b + c * c + d * d


def for_seconds(seconds: float, ready: Ready, trial: Callable[[], None]) -> Told:
    """One trial after the other until the time is over."""
    ready()
    spent, errors, cpu = [], 0, time.process_time()
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        before = now
        try:
            trial()
        except Exception:
            errors += 1
            now = time.perf_counter()
        else:
            now = time.perf_counter()
            spent.append(now - before)
    return Told(spent, time.process_time() - cpu, errors)


# --- thalweg ----------------------------------------------------------------------------------------------------------


def address_of(place: str) -> str:
    return place if "://" in place or place == "memory" else f"sqlite:///{place}"


def thalweg_study(place: str, **options: Any) -> tw.Study:
    store = open_store(address_of(place), **options)
    return tw.Study(SPACE, store=store, name="study", strategy="random", seed=1)


def thalweg_make(place: str) -> None:
    if place != "memory":
        study = thalweg_study(place)
        study.close()
        study.store.close()


def thalweg_by_hand(place: str, seconds: float, ready: Ready, batch: int = 1, **options: Any) -> Told:
    with thalweg_study(place, **options) as study:

        def trials() -> None:
            asked = study.ask(batch)
            study.tell(asked, [objective(one.params) for one in asked])

        told = for_seconds(seconds, ready, trials)
    study.store.close()
    return shared(told, batch)


def shared(told: Told, batch: int) -> Told:
    """What was measured of batches, as that of single trials."""
    return told._replace(spent=[item / batch for item in told.spent for _ in range(batch)])


def thalweg_loop(place: str, seconds: float, ready: Ready, **options: Any) -> Told:
    calls = 0

    def counted(p: dict[str, float]) -> float:
        nonlocal calls
        calls += 1
        return objective(p)

    with thalweg_study(place, **options) as study:
        ready()
        before, cpu = time.perf_counter(), time.process_time()
        study.run(counted, timeout=seconds, max_evals=10**7, progress=False)
        spent, cpu = time.perf_counter() - before, time.process_time() - cpu
    study.store.close()
    return Told([spent / calls] * calls, cpu)


# --- Optuna -----------------------------------------------------------------------------------------------------------


def optuna_storage(place: str, kind: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    if kind == "memory":
        return optuna.storages.InMemoryStorage()
    if kind == "journal":
        from optuna.storages.journal import JournalFileBackend

        return optuna.storages.JournalStorage(JournalFileBackend(place))
    if kind == "server":
        return optuna.storages.RDBStorage(place.replace("postgresql://", "postgresql+psycopg2://"))
    return optuna.storages.RDBStorage(f"sqlite:///{place}")


def optuna_study(place: str, kind: str) -> Any:
    import optuna

    sampler = optuna.samplers.RandomSampler()
    return optuna.create_study(
        storage=optuna_storage(place, kind), study_name="study", sampler=sampler, load_if_exists=True
    )


def optuna_make(place: str, kind: str) -> None:
    if kind != "memory":
        optuna_study(place, kind)


def optuna_trial(study: Any) -> None:
    asked = study.ask()
    study.tell(asked, objective({name: asked.suggest_float(name, -5.0, 5.0) for name in NAMES}))


def optuna_work(place: str, seconds: float, ready: Ready, kind: str) -> Told:
    study = optuna_study(place, kind)
    return for_seconds(seconds, ready, lambda: optuna_trial(study))


# --- the limit: bare statements, the same durability ------------------------------------------------------------------


def bare_point() -> tuple[str, str]:
    params = {name: random.uniform(-5.0, 5.0) for name in NAMES}
    return json.dumps(params), json.dumps([objective(params)])


def sqlite_connection(place: str) -> Any:
    import apsw

    connection = apsw.Connection(place)
    connection.set_busy_timeout(10_000)
    connection.pragma("journal_mode", "wal")
    return connection


def sqlite_make(place: str) -> None:
    connection = sqlite_connection(place)
    connection.execute("CREATE TABLE trial (number INTEGER PRIMARY KEY, params TEXT, result TEXT) STRICT")
    connection.close()


def sqlite_work(place: str, seconds: float, ready: Ready, batch: int = 1) -> Told:
    """A transaction that opens, one that ends, the second one synced; writers queue on a lock, as thalweg's do."""
    connection = sqlite_connection(place)
    with open(f"{place}-gate", "w") as gate:

        def transaction(level: str, query: str, rows: list[tuple[Any, ...]]) -> list[Any]:
            connection.pragma("synchronous", level)
            fcntl.flock(gate, fcntl.LOCK_EX)
            connection.execute("BEGIN IMMEDIATE")
            found = connection.executemany(query, rows).fetchall()
            connection.execute("COMMIT")
            fcntl.flock(gate, fcntl.LOCK_UN)
            return found

        def trial() -> None:
            points = [bare_point() for _ in range(batch)]
            insert = "INSERT INTO trial (params) VALUES (?) RETURNING number"
            numbers = transaction("NORMAL", insert, [(params,) for params, _ in points])
            rows = [(result, number) for (_, result), (number,) in zip(points, numbers, strict=True)]
            transaction("FULL", "UPDATE trial SET result = ? WHERE number = ?", rows)

        told = for_seconds(seconds, ready, trial)
    connection.close()
    return shared(told, batch)


def server_make(place: str) -> None:
    import psycopg

    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("CREATE TABLE trial (number bigserial PRIMARY KEY, params text, result text)")


def server_work(place: str, seconds: float, ready: Ready) -> Told:
    import psycopg

    with psycopg.connect(place, autocommit=True, prepare_threshold=2) as connection:

        def trial() -> None:
            params, result = bare_point()
            row = connection.execute("INSERT INTO trial (params) VALUES (%s) RETURNING number", (params,)).fetchone()
            assert row is not None
            connection.execute("UPDATE trial SET result = %s WHERE number = %s", (result, row[0]))

        return for_seconds(seconds, ready, trial)


def _optuna(name: str, where: str, kind: str, alone: bool = False) -> Contestant:
    return Contestant(name, where, partial(optuna_make, kind=kind), partial(optuna_work, kind=kind), alone)


CONTESTANTS = [
    Contestant("thalweg, in memory, by hand", "memory", thalweg_make, thalweg_by_hand, True),
    _optuna("Optuna, InMemoryStorage", "memory", "memory", True),
    Contestant("bare SQL, SQLite", "file", sqlite_make, sqlite_work),
    Contestant("thalweg, SQLite, by hand", "file", thalweg_make, thalweg_by_hand),
    Contestant('thalweg, SQLite "fast", by hand', "file", thalweg_make, partial(thalweg_by_hand, durability="fast")),
    _optuna("Optuna, JournalFileBackend", "file", "journal"),
    _optuna("Optuna, RDBStorage, SQLite", "file", "sqlite"),
    Contestant("bare SQL, SQLite, 100 a transaction", "file", sqlite_make, partial(sqlite_work, batch=100)),
    Contestant("thalweg, SQLite, by hand, 100 at once", "file", thalweg_make, partial(thalweg_by_hand, batch=100)),
    Contestant("thalweg, SQLite, the loop", "file", thalweg_make, thalweg_loop),
    Contestant("bare SQL, PostgreSQL", "server", server_make, server_work),
    Contestant("thalweg, PostgreSQL, by hand", "server", thalweg_make, thalweg_by_hand),
    _optuna("Optuna, RDBStorage, PostgreSQL", "server", "server"),
    Contestant("thalweg, PostgreSQL, the loop", "server", thalweg_make, thalweg_loop),
]
