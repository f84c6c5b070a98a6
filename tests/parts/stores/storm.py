"""Helper processes for the tests beside this file: `python storm.py race|budget|inherit|kill FILE ...`.

Each prints one line of JSON.

Workers are forked from one interpreter, so that hundreds of them cost little; each opens the file for itself.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import traceback

import numpy as np

from thalweg.core.store import Entry
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()


def fork(work):
    """(pid, the reading end of a pipe that `work(write)` writes lines to)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        work(lambda item: os.write(writing, json.dumps(item).encode() + b"\n"))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def lines(reading):
    """Whole lines of what is left in a pipe whose writer has ended."""
    raw = b""
    while part := os.read(reading, 65536):
        raw += part
    os.close(reading)
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def gather(children):
    """(exit codes, lines) of all of them, when they have ended."""
    found = [lines(reading) for _, reading in children]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
    return codes, found


def race(path, count):
    """`count` processes make the file and the study at the same moment."""
    start = time.monotonic() + 0.2

    def work(write):
        while time.monotonic() < start:
            pass
        store = SQLiteStore(path)
        record = store.create("demo", {"x": 1}, "f")
        write([record.id, record.created_unixtime])
        store.close()

    codes, found = gather([fork(work) for _ in range(count)])
    return {"codes": codes, "records": [item for part in found for item in part]}


def budget(path, count, total):
    """`count` processes share a budget of `total` trials in batches of 1 to 4; a reader polls meanwhile."""
    SQLiteStore(path, durability="fast").create("demo", {}, "f")

    def work(write):
        store = SQLiteStore(path, durability="fast")
        study = store.open("demo").id
        rng = random.Random(os.getpid())
        while True:
            first, got, _ = store.open_trials(
                study, opening_of(rng.randint(1, 4), 0, SPACE), total, [Entry("asked", {})]
            )
            if not got:
                return store.close()
            numbers = range(first, first + got)
            store.append(study, finishing_of(numbers), [Entry("told", {})])
            write(list(numbers))

    def poll(write):
        store = SQLiteStore(path)
        study, version, seen = store.open("demo").id, 0, {}
        while sum(status == 2 for status in seen.values()) < total:
            trials, version = store.since(study, version)
            seen.update({trial.number: trial.status for trial in trials})
        write(sorted(seen))
        store.close()

    codes, found = gather([fork(work) for _ in range(count)] + [fork(poll)])
    return {"codes": codes, "shares": [sum(map(len, part)) for part in found[:-1]], "seen": found[-1][0],
            "numbers": sorted(number for part in found[:-1] for item in part for number in item)}  # fmt: skip


def inherit(path, count):
    """`count` children and their parent go on with one and the same store object."""
    store = SQLiteStore(path)
    study = store.create("demo", {}, "f").id

    def work(write):
        for _ in range(20):
            first, got, _ = store.open_trials(study, opening_of(2, 0, SPACE), None)
            store.append(study, finishing_of(range(first, first + got)))
            write([first, first + 1])
        store.close()

    children = []
    for _ in range(count):
        children.append(fork(work))
        store.log(study, [Entry("forked", {})])
    codes, found = gather(children)
    trials, _ = store.since(study)
    return {"codes": codes, "numbers": sorted(number for part in found for item in part for number in item),
            "stored": [trial.number for trial in trials if trial.status == 2], "verify": store.verify()}  # fmt: skip


def kill(path, kills, workers, seed):
    """Workers write in a loop; one after the other is killed at a random instant. Gives what was acknowledged."""
    keeper = SQLiteStore(path)  # open, and used, while others are forked: none of it may reach them
    keeper.create("demo", {}, "f")
    rng = random.Random(seed)

    def work(write):
        store = SQLiteStore(path, durability="full" if os.getpid() % 2 else "fast")
        study = store.open("demo").id
        while True:
            first, got, _ = store.open_trials(study, opening_of(3, 0, SPACE), None, [Entry("asked", {"n": 3})])
            values = np.arange(first, first + got) * 10.0 + os.getpid() % 10
            write({"opened": list(range(first, first + got))})
            store.append(study, finishing_of(range(first, first + got), values), [Entry("told", {"first": first})])
            write({"told": [[first + i, value] for i, value in enumerate(values.tolist())]})

    alive = [fork(work) for _ in range(workers)]
    acknowledged = []
    for _ in range(kills):
        pid, reading = alive.pop(rng.randrange(len(alive)))
        select.select([reading], [], [], 10.0)  # it works: from here on any instant will do
        time.sleep(rng.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
        acknowledged += lines(reading)
        os.waitpid(pid, 0)
        keeper.log(1, [Entry("killed", {})])
        alive.append(fork(work))
    for pid, reading in alive:
        os.kill(pid, signal.SIGKILL)
        acknowledged += lines(reading)
        os.waitpid(pid, 0)
    return {"opened": [number for item in acknowledged for number in item.get("opened", [])],
            "told": [pair for item in acknowledged for pair in item.get("told", [])]}  # fmt: skip


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(
        json.dumps(
            {"race": race, "budget": budget, "inherit": inherit, "kill": kill}[what](
                arguments[0], *map(int, arguments[1:])
            )
        )
    )
