"""Helper processes for the tests beside this file: `python storm.py race|budget|crew|inherit|kill FILE ...`.

Each prints one line of JSON.

Workers are forked from one interpreter, so that hundreds of them cost little; each opens the file for itself.
"""

from __future__ import annotations

import fcntl
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
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)  # it is read when the writer has ended
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
    """`count` processes share a budget of `total` trials in batches of 1 to 4; a reader polls meanwhile.

    They begin together: on a busy machine the first ones would be done before the last one has run at all.
    """
    SQLiteStore(path, durability="fast").create("demo", {}, "f")
    ready, go = os.pipe(), os.pipe()

    def work(write):
        os.close(go[1])
        store = SQLiteStore(path, durability="fast")
        study = store.open("demo").id
        os.write(ready[1], b".")
        os.read(go[0], 1)  # the end of the pipe, once nobody holds its other end
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
        os.close(go[1])
        store = SQLiteStore(path)
        study, version, seen = store.open("demo").id, 0, {}
        while sum(status == 2 for status in seen.values()) < total:
            trials, version = store.since(study, version)
            seen.update({trial.number: trial.status for trial in trials})
        write(sorted(seen))
        store.close()

    children = [fork(work) for _ in range(count)] + [fork(poll)]
    waiting = count
    while waiting:
        waiting -= len(os.read(ready[0], waiting))
    os.close(go[1])
    codes, found = gather(children)
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


def crew(path, count, total, queued):
    """`count` processes create one study and work on it until its budget is used up; a reader polls meanwhile."""
    start = time.monotonic() + 0.5

    def work(write):
        store = SQLiteStore(path, durability="fast")
        study = store.create("demo", {}, "f").id
        member = store.join(study, f"pid {os.getpid()}")
        if member.ordinal == 0:
            store.open_trials(study, opening_of(queued, 1, SPACE), total)
        while time.monotonic() < start:  # every worker is there before the first one works
            time.sleep(0.005)
        told = []
        while True:
            mine = [trial.number for trial in store.claim(member, 1)]
            if not mine:
                first, got, _ = store.open_trials(study, opening_of(1, 0, SPACE), total, [Entry("asked", {})], member)
                mine = list(range(first, first + got))
            if not mine:
                break
            time.sleep(0.01)  # an evaluation, of equal length for all
            assert store.append(study, finishing_of(mine), [Entry("told", {})], member) == []
            told += mine
        write([member.ordinal, told])
        store.close()

    def poll(write):
        store = SQLiteStore(path)
        study, version, seen = store.create("demo", {}, "f").id, 0, {}
        while sum(status == 2 for status in seen.values()) < total:
            trials, version = store.since(study, version)
            seen.update({trial.number: trial.status for trial in trials})
            time.sleep(0.002)
        write(sorted(seen))
        store.close()

    codes, found = gather([fork(work) for _ in range(count)] + [fork(poll)])
    return {"codes": codes, "ordinals": sorted(part[0][0] for part in found[:-1]), "seen": found[-1][0],
            "shares": [part[0][1] for part in found[:-1]]}  # fmt: skip


def kill(path, kills, workers, seed):
    """Members claim, open and end trials; one after the other is killed at a random instant, and another one joins.

    At the end the budget is what is used by then, and the last ones finish everything. Gives what was acknowledged.
    """
    keeper = SQLiteStore(path)  # open, and used, while others are forked: none of it may reach them
    study = keeper.create("demo", {}, "f").id
    keeper.set_budget(study, 10**9)
    rng = random.Random(seed)

    def work(write):
        store = SQLiteStore(path, durability="full" if os.getpid() % 2 else "fast")
        member = store.join(study, f"pid {os.getpid()}")
        write({"token": member.token})
        lot = random.Random(member.token)
        while True:
            mine = [[trial.number, trial.attempt] for trial in store.claim(member, 2, attempts=4)]
            budget = store.standing(study).budget
            if mine:
                write({"claimed": mine, "at": time.monotonic()})
            else:
                opening = opening_of(lot.randint(1, 3), 0, SPACE)
                first, got, _ = store.open_trials(
                    study, opening, budget, [Entry("asked", {}, by=member.ordinal)], member
                )
                mine = [[first + i, 1] for i in range(got)]
                write({"opened": mine})
                if lot.random() < 0.1:
                    store.open_trials(study, opening, budget)  # queued: for whoever comes
            if mine and lot.random() < 0.05:
                store.release(study, [mine.pop()[0]], member)
            if mine:
                numbers = [number for number, _ in mine]
                values = np.array(numbers) * 10.0 + os.getpid() % 10
                told = Entry("told", {"numbers": numbers}, by=member.ordinal)
                refused = store.append(study, finishing_of(numbers, values), [told], member)
                write({"told": [[n, v] for n, v in zip(numbers, values.tolist(), strict=True) if n not in refused]})
            elif budget < 10**9 and all(trial.status >= 2 for trial in store.since(study)[0]):
                return store.close()
            else:
                time.sleep(0.005)

    alive, lives, gone = [fork(work) for _ in range(workers)], [], {}

    def bury(pid, reading):
        found = lines(reading)
        os.waitpid(pid, 0)
        lives.append(found)
        return found

    for _ in range(kills):
        pid, reading = alive.pop(rng.randrange(len(alive)))
        select.select([reading], [], [], 10.0)  # it works: from here on any instant will do
        time.sleep(rng.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        at = time.monotonic()
        for item in bury(pid, reading):
            if "token" in item:
                gone[item["token"]] = at
        keeper.log(study, [Entry("killed", {})])
        alive.append(fork(work))
    keeper.set_budget(study, keeper.standing(study).used)
    for pid, reading in alive:
        bury(pid, reading)
    waits, holder = [], {}
    for life in lives:
        tokens = [item["token"] for item in life if "token" in item]
        for item in life:
            for number, _ in item.get("opened", []):
                holder[number] = tokens[0]
    for at, number, attempt, token in sorted(
        (item["at"], number, attempt, next(one["token"] for one in life if "token" in one))
        for life in lives
        for item in life
        if "claimed" in item
        for number, attempt in item["claimed"]
    ):
        if attempt > 1 and number in holder and holder[number] in gone:
            waits.append(at - gone[holder[number]])
        holder[number] = token
    items = [item for life in lives for item in life]
    return {"opened": [number for item in items for number, _ in item.get("opened", [])],
            "told": [pair for item in items for pair in item.get("told", [])], "waits": waits}  # fmt: skip


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(
        json.dumps(
            {"race": race, "budget": budget, "crew": crew, "inherit": inherit, "kill": kill}[what](
                arguments[0], *map(int, arguments[1:])
            )
        )
    )
