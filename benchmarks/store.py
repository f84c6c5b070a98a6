"""What remembering costs: thalweg's stores, Optuna's four, and bare SQL statements as the limit, in the same run.

    python benchmarks/store.py [--repetitions 3] [--seconds 1.5] [--only reading | holding] [--write]

A trial of a trivial 4-d objective with random search is asked for, evaluated and told, one at a time, by one process
and by eight at once; thalweg's own loop, which takes rows in chunks, is in rows of its own. Contestants take turns; the
table has the least CPU time and the best rate of all turns, since the machine may do other work beside, and the
latencies of the best turn. Then a stored study is read by a fresh process, and what studies hold in memory is measured.
Needs benchmarks/requirements.txt; rows of PostgreSQL need a server (as the tests find one: $THALWEG_TEST_POSTGRES or an
installed one), psycopg and psycopg2-binary.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import _contestants as them
import thalweg as tw
from _contestants import CONTESTANTS, Contestant
from thalweg.core.stored_columns import Wanted

FORK = multiprocessing.get_context("fork")  # so that eight processes need not import everything again
MANY = 8
SMALL = 50


class Turn(NamedTuple):
    """One contestant's turn. cpu_s: per trial, of all its processes (not of a server).  share: of the least served
    process of that of the best served one."""

    rate: float
    cpu_s: float
    p50: float
    p99: float
    worst: float
    share: float
    errors: int


def in_child(call: Callable[[], Any]) -> Any:
    """What `call` gives, from a forked process of its own."""
    pipe, theirs = FORK.Pipe()
    process = FORK.Process(target=lambda: theirs.send(call()))
    process.start()
    theirs.close()
    try:
        return pipe.recv()
    finally:
        process.join()


def turn(contestant: Contestant, place: str, processes: int, seconds: float) -> Turn:
    in_child(lambda: contestant.make(place))
    barrier, queue = FORK.Barrier(processes), FORK.SimpleQueue()

    def body() -> None:
        gc.collect()
        queue.put(contestant.work(place, seconds, lambda: barrier.wait(60)))

    crew = [FORK.Process(target=body) for _ in range(processes)]
    for process in crew:
        process.start()
    told = [queue.get() for _ in crew]
    for process in crew:
        process.join()
    counts = [len(one.spent) for one in told]
    spent = sorted(item for one in told for item in one.spent)
    total = len(spent)
    return Turn(
        sum(len(one.spent) / max(sum(one.spent), seconds) for one in told),
        sum(one.cpu_s for one in told) / total,
        spent[total // 2],
        spent[min(total - 1, int(0.99 * total))],
        spent[-1],
        min(counts) / max(counts),
        sum(one.errors for one in told),
    )


class Places:
    """Fresh places for studies."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.folder, self.server, self.count = folder, server, 0

    @contextlib.contextmanager
    def fresh(self, where: str) -> Iterator[str]:
        self.count += 1
        if where == "memory":
            yield "memory"
        elif where == "file":
            yield str(self.folder / f"{self.count}.db")
            for path in self.folder.glob(f"{self.count}.db*"):
                path.rmdir() if path.is_dir() else path.unlink()
        else:
            name = self.server.database()
            try:
                yield self.server.url(name)
            finally:
                self.server.drop(name)


# --- reading ----------------------------------------------------------------------------------------------------------


def fill_thalweg(path: Path, count: int) -> None:
    with tw.Study(them.SPACE, store=f"sqlite:///{path}", name="study", strategy="random", seed=1) as study:
        study.run(them.objective, max_evals=count, progress=False)


def fill_optuna_sqlite(path: Path, count: int) -> None:
    """One trial by Optuna itself, the others as copies of its rows: by itself it would take minutes."""
    in_child(lambda: them.optuna_trial(them.optuna_study(str(path), "sqlite")))
    connection = sqlite3.connect(path)
    numbers = [(number,) for number in range(1, count)]
    connection.executemany(
        "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
        "SELECT ?1 + 1, ?1, study_id, state, datetime_start, datetime_complete FROM trials WHERE number = 0", numbers,
    )  # fmt: skip
    for table, columns in {
        "trial_params": "param_name, param_value, distribution_json",
        "trial_values": "objective, value, value_type",
    }.items():
        query = f"INSERT INTO {table} (trial_id, {columns}) SELECT ?1 + 1, {columns} FROM {table} WHERE trial_id = 1"
        connection.executemany(query, numbers)
    connection.commit()
    connection.close()


def fill_optuna_journal(path: Path, count: int) -> None:
    in_child(lambda: them.optuna_make(str(path), "journal"))
    head = path.read_text().splitlines()
    in_child(lambda: them.optuna_trial(them.optuna_study(str(path), "journal")))
    lines = [json.loads(line) for line in path.read_text().splitlines()[len(head) :]]
    lines = [line for line in lines if line["op_code"] != 0]  # create_study, again
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in head)
        for number in range(count):
            for line in lines:
                file.write(json.dumps({**line, "trial_id": number} if "trial_id" in line else line) + "\n")


def read_thalweg(path: Path) -> Any:
    study = tw.load(f"sqlite:///{path}", "study")
    return study, len(study.session.history.final())


def read_columns(path: Path) -> Any:
    store = them.open_store(f"sqlite:///{path}")
    columns, _ = store.columns(store.open("study").id, Wanted(tw.Space(them.SPACE), 1))
    return (store, columns), len(columns)


def read_records(path: Path) -> Any:
    store = them.open_store(f"sqlite:///{path}")
    trials, _ = store.since(store.open("study").id)
    return (store, trials), len(trials)


def read_optuna(path: Path, kind: str) -> Any:
    import optuna

    study = optuna.load_study(study_name="study", storage=them.optuna_storage(str(path), kind))
    trials = study.get_trials(deepcopy=False)
    return (study, trials), len(trials)


def reading(read: Callable[[Path], Any], path: Path, small: Path, count: int) -> tuple[float, float, float]:
    """(CPU s, wall s, bytes held per trial) of a process that reads a study, after a small one: what is loaded or
    touched for the first time is not of the trials."""

    def body() -> tuple[float, float, float]:
        import psutil

        me, first = psutil.Process(), read(small)
        gc.collect()
        before, cpu, wall = me.memory_full_info().uss, time.process_time(), time.perf_counter()
        held, found = read(path)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        assert found == count, f"{found} of {count} trials"
        gc.collect()
        spent = me.memory_full_info().uss - before
        del held, first
        return cpu, wall, spent / count

    return in_child(body)


def readings(folder: Path, repetitions: int) -> list[list[str]]:
    cases: list[tuple[str, Callable[[Path, int], None], Callable[[Path], Any], int]] = [
        ("thalweg, `tw.load`", fill_thalweg, read_thalweg, 10_000),
        ("thalweg, the columns alone", fill_thalweg, read_columns, 10_000),
        ("thalweg, a record for each trial", fill_thalweg, read_records, 10_000),
        ("Optuna, RDBStorage, SQLite", fill_optuna_sqlite, lambda path: read_optuna(path, "sqlite"), 10_000),
        ("Optuna, JournalFileBackend", fill_optuna_journal, lambda path: read_optuna(path, "journal"), 10_000),
        ("thalweg, `tw.load`", fill_thalweg, read_thalweg, 100_000),
        ("thalweg, the columns alone", fill_thalweg, read_columns, 100_000),
        ("thalweg, a record for each trial", fill_thalweg, read_records, 100_000),
    ]
    paths: dict[Any, Path] = {}
    for _, fill, _, count in cases:
        for size in (SMALL, count):
            if (fill, size) not in paths:
                paths[fill, size] = folder / f"{fill.__name__}{size}.db"
                in_child(lambda fill=fill, size=size: fill(paths[fill, size], size))
    seen: list[list[tuple[float, float, float]]] = [[] for _ in cases]
    for _ in range(repetitions):
        for found, (_, fill, read, count) in zip(seen, cases, strict=True):
            found.append(reading(read, paths[fill, count], paths[fill, SMALL], count))
    best = [[min(column) for column in zip(*found, strict=True)] for found in seen]
    first = best[0][0]
    return [
        [name, f"{count:,}", f"{cpu:.3f}", f"{wall:.3f}", f"{held:.0f}",
         f"{paths[fill, count].stat().st_size / count:.0f}",
         f"{cpu / first:.1f}" if count == cases[0][3] else ""]
        for (name, fill, _, count), (cpu, wall, held) in zip(cases, best, strict=True)
    ]  # fmt: skip


# --- holding ----------------------------------------------------------------------------------------------------------


def named(p: Any) -> dict[str, Any]:
    """Ten named results: eight numbers, a count and a truth value."""
    rest = {f"metric {i}": p["b"] * i for i in range(6)}
    return {"loss": them.objective(p), "time": p["c"] * 2.0, "epochs": 7 + 0 * p["d"], "ok": p["d"] == p["d"], **rest}


def by_hand(study: tw.Study, objective: Callable[[Any], Any], count: int) -> tw.Study:
    for _ in range(count):
        (trial,) = study.ask()
        study.tell(trial, objective(trial.params))
    return study


def by_run(study: tw.Study, objective: Callable[[Any], Any], count: int, **keywords: Any) -> tw.Study:
    study.run(objective, max_evals=count, progress=False, **keywords)
    return study


def by_columns(study: tw.Study, objective: Callable[[Any], Any], count: int) -> tw.Study:
    return by_run(study, objective, count, vectorised=True)


def holdings(folder: Path, count: int = 10_000) -> list[list[str]]:
    """Bytes per trial that a process holds of a study, by how it works and what its objective gives."""
    works = {"by hand": by_hand, "`run`": by_run, "`run`, columns": by_columns}
    cases = [(how, where, f) for how in works for where in ("memory", "file") for f in (them.objective, named)]

    def study_in(place: Path | str, f: Callable[[Any], Any]) -> tw.Study:
        options = {} if place == "memory" else {"durability": "fast"}  # what a sync takes is of no account here
        store = them.open_store(them.address_of(str(place)), **options)
        objectives = ["loss"] if f is named else None
        return tw.Study(them.SPACE, store=store, name="study", strategy="random", seed=1, objectives=objectives)

    def body(work: Callable[[], Any], first: Callable[[], Any]) -> float:
        import psutil

        me, kept = psutil.Process(), [first()]
        gc.collect()
        before = me.memory_full_info().uss
        kept.append(work())
        gc.collect()
        return (me.memory_full_info().uss - before) / count

    def held(number: int, how: str, where: str, f: Callable[[Any], Any]) -> float:
        small, place = (
            folder / f"held {number} {name}.db" if where == "file" else where for name in ("small", "whole")
        )
        return body(lambda: works[how](study_in(place, f), f, count), lambda: works[how](study_in(small, f), f, SMALL))

    def loaded(f: Callable[[Any], Any]) -> float:
        places = [folder / f"loaded {f is named} {size}.db" for size in (SMALL, count)]
        for place, size in zip(places, (SMALL, count), strict=True):
            in_child(lambda place=place, size=size: by_run(study_in(place, f), f, size).close())
        return body(
            lambda: tw.load(f"sqlite:///{places[1]}", "study"), lambda: tw.load(f"sqlite:///{places[0]}", "study")
        )

    found = {case: in_child(lambda i=i, case=case: held(i, *case)) for i, case in enumerate(cases)}
    rows = [
        [f"{how}, {'in memory' if where == 'memory' else 'SQLite'}"]
        + [f"{found[how, where, f]:.0f}" for f in (them.objective, named)]
        for how in works
        for where in ("memory", "file")
    ]
    return [*rows, ["`tw.load`", *(f"{in_child(lambda f=f: loaded(f)):.0f}" for f in (them.objective, named))]]


# --- the page ---------------------------------------------------------------------------------------------------------


def measured(places: Places, repetitions: int, seconds: float) -> dict[tuple[str, int], list[Turn]]:
    cases = [(one, 1) for one in CONTESTANTS] + [(one, MANY) for one in CONTESTANTS if not one.alone]
    if places.server is None:
        cases = [case for case in cases if case[0].where != "server"]
    seen: dict[tuple[str, int], list[Turn]] = {(one.name, processes): [] for one, processes in cases}
    for _ in range(repetitions):
        for one, processes in cases:
            with places.fresh(one.where) as place:
                seen[one.name, processes].append(turn(one, place, processes, seconds))
    return seen


def rows_of(seen: dict[tuple[str, int], list[Turn]], processes: int) -> list[list[str]]:
    rows = []
    ours = {
        where: min(item.cpu_s for item in seen[name, processes])
        for where, name in {"file": "thalweg, SQLite, by hand", "server": "thalweg, PostgreSQL, by hand",
                            "memory": "thalweg, in memory, by hand"}.items()
        if (name, processes) in seen
    }  # fmt: skip
    for one in CONTESTANTS:
        turns = seen.get((one.name, processes))
        if not turns:
            continue
        best = max(turns, key=lambda item: item.rate)
        cpu = min(item.cpu_s for item in turns)
        loop = "loop" in one.name or "100 a" in one.name
        times = ["", "", ""] if loop else [_timing.figure(value * 1e3) for value in (best.p50, best.p99, best.worst)]
        share = [f"{statistics.median(item.share for item in turns):.2f}"] if processes > 1 else []
        rows.append(
            [one.name, f"{best.rate:,.0f}", f"{cpu * 1e3:.3f}", f"{1e3 / best.rate:.3f}", *times, *share,
             f"{cpu / ours[one.where]:.2f}", str(sum(item.errors for item in turns) or "")]
        )  # fmt: skip
    return rows


def page(
    seen: dict[tuple[str, int], list[Turn]],
    read: list[list[str]],
    held: list[list[str]],
    given: argparse.Namespace,
    notes: str,
) -> str:
    header = ["", "trials/s", "CPU ms", "wall ms", "p50 ms", "p99 ms", "longest ms"]
    ratio = ["CPU / thalweg's by hand", "errors"]
    return "\n".join(
        [
            "# What a store costs",
            "",
            "A trial of a trivial 4-d objective with random search is asked for, evaluated and told: the full protocol "
            "of each library. What is told is on the disk before the next trial begins (but for \"fast\", which a "
            "power cut may undo, and what is in memory). \"By hand\": one trial at a time, or 100 at once, `ask` and "
            "`tell`. \"The loop\": `study.run`, which takes rows in chunks. Bare SQL is two transactions for a trial, "
            "one row each, no protocol, nothing checked: the limit.",
            "",
            f"{given.repetitions} interleaved turns of {given.seconds:g} s each. CPU: the least of the turns, of the "
            "clients (not of the server); rate, wall time and latencies: those of the best turn. Compare rows of one "
            "table: the machine had other work beside. What a sync takes (0.1 to 8 ms) changed by the minute: rates "
            "and latencies of single trials in a file or on the server go with it, CPU times hardly do.",
            "",
            "## One process",
            "",
            _timing.table([*header, *ratio], rows_of(seen, 1)),
            "",
            f"## {MANY} processes on one study",
            "",
            "Share: trials of the least served process, of those of the best served one (the middle of the turns). "
            "Errors: exceptions that calls raised, such as \"database is locked\".",
            "",
            _timing.table([*header, "share", *ratio], rows_of(seen, MANY)),
            "",
            "## Reading a stored study",
            "",
            "By a process that has not seen it; the least of the turns. `tw.load` has the study ready to go on: "
            "columns and the best (the index of points is made when one is first proposed); the columns alone are what "
            "the store gives it, and records are what it gives to others. Every crc is checked. Memory is what the "
            "process holds when it is done. Optuna was read at 10,000 trials only; nothing is said about more.",
            "",
            _timing.table(
                ["", "trials", "CPU s", "wall s", "bytes held per trial", "bytes per trial in the file",
                 "CPU / `tw.load`"], read,
            ),
            "",
            "## Holding a study",
            "",
            "Bytes per trial that a process holds (10,000 trials of 4 floats): strategy, history, index of points and "
            "store, whatever it keeps. The objective gives one value, or ten named ones.",
            "",
            _timing.table(["", "one value", "ten named values"], held),
            "",
            *([notes, ""] if notes else []),
            f"Measured on {_timing.where('apsw', 'psycopg', 'optuna', 'sqlalchemy')}. Reproduce with:",
            "",
            "```",
            "pip install -e '.[postgres]' -r benchmarks/requirements.txt psycopg2-binary pytest",
            f"python benchmarks/store.py --repetitions {given.repetitions} --seconds {given.seconds:g}",
            "```",
        ]
    )  # fmt: skip


@contextlib.contextmanager
def server_of() -> Iterator[tuple[Any, str]]:
    """(a server or None, what to say of it)."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    try:
        import psycopg  # noqa: F401
        import psycopg2  # noqa: F401

        from postgres_server import running_server
    except ImportError as error:
        yield None, f"No rows of PostgreSQL: {error}."
        return
    with running_server() as server:
        said = server.execute("SHOW server_version")[0][0]
        yield server, f"PostgreSQL {said} over a socket of the same machine, fsync and synchronous_commit on."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--only", choices=("reading", "holding"), help="print this table alone")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/store.md")
    given = parser.parse_args()
    import apsw  # noqa: F401 (everything is loaded before there are forks)
    import msgspec  # noqa: F401
    import optuna
    import optuna.storages._rdb.storage
    import optuna.storages.journal
    import psutil  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    began = time.perf_counter()
    if given.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            rows = readings(Path(folder), given.repetitions) if given.only == "reading" else holdings(Path(folder))
            print(_timing.table([""] * len(rows[0]), rows))
        return
    with tempfile.TemporaryDirectory() as folder, server_of() as (server, notes):
        seen = measured(Places(Path(folder), server), given.repetitions, given.seconds)
        read, held = readings(Path(folder), given.repetitions), holdings(Path(folder))
    _timing.publish("store.md", page(seen, read, held, given, notes), given.write)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = time.perf_counter() - began
    print(f"{spent:.0f} s, {children.ru_utime + children.ru_stime:.0f} CPU-s", file=sys.stderr)


if __name__ == "__main__":
    main()
