"""Helper processes for the tests beside this file: `python postgres_storm.py race|budget|kill|work|hold ADDRESS ...`.

Each prints lines of JSON. Workers are forked from one interpreter, so that hundreds of them cost little; each opens the
store for itself.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import warnings

import numpy as np
from storm import SPACE, fork, gather, lines

from thalweg.core.store import Entry
from thalweg.parts.stores import open_store
from thalweg.testing.store_suite import finishing_of, opening_of


def race(address, count):
    """`count` processes make the schema and the study at the same moment."""
    start = time.monotonic() + 0.2

    def work(write):
        while time.monotonic() < start:
            pass
        store = open_store(address)
        record = store.create("demo", {"x": 1}, "f")
        write([record.id, record.created_unixtime])
        store.close()

    codes, found = gather([fork(work) for _ in range(count)])
    return {"codes": codes, "records": [item for part in found for item in part]}


def labour(address, budget, write, pause=0.0, batch=3):
    """A worker: claims what is to be had, opens what the budget leaves, until all is done."""
    store = open_store(address, durability="full")
    study = store.open("demo").id
    member = store.join(study, f"pid {os.getpid()}")
    rng = random.Random(os.getpid())
    version, waiting = 0, set()
    while True:
        numbers = [trial.number for trial in store.claim(member, batch, attempts=10**6)]
        if not numbers:
            asked = [Entry("asked", {}, by=member.ordinal)]
            first, got, _ = store.open_trials(study, opening_of(rng.randint(1, batch), 0, SPACE), budget, asked, member)
            numbers = list(range(first, first + got))
            if numbers:
                write({"opened": numbers})
        if not numbers:
            trials, version = store.since(study, version)
            waiting = (waiting | {t.number for t in trials}) - {t.number for t in trials if t.status >= 2}
            if not waiting:
                break
            time.sleep(0.01)
            continue
        time.sleep(rng.random() * pause)
        values = [number + os.getpid() / 1e7 for number in numbers]
        refused = store.append(study, finishing_of(numbers, values), [Entry("told", {}, by=member.ordinal)], member)
        write({"told": [pair for pair in zip(numbers, values, strict=True) if pair[0] not in refused]})
    store.close()


def share(address, count, total):
    """`count` processes share a budget of `total` trials."""
    open_store(address).create("demo", {}, "f")
    codes, found = gather([fork(lambda write: labour(address, total, write)) for _ in range(count)])
    opened = [number for part in found for item in part for number in item.get("opened", [])]
    shares = [sum(len(item.get("told", [])) for item in part) for part in found]
    return {"codes": codes, "opened": sorted(opened), "shares": shares}


def kill(address, kills, workers, total, seed):
    """Workers share a budget; one after the other is killed at a random instant, and another one starts. Gives what was
    acknowledged, and for each kill the seconds until somebody claimed what it had left."""
    keeper = open_store(address)
    study = keeper.create("demo", {}, "f").id
    rng = random.Random(seed)

    def start():
        return fork(lambda write: labour(address, total, write, pause=0.02))

    alive = [start() for _ in range(workers)]
    acknowledged, delays = [], []
    for _ in range(kills):
        pid, reading = alive.pop(rng.randrange(len(alive)))
        select.select([reading], [], [], 30.0)  # it works: from here on any instant will do
        time.sleep(rng.random() * 0.05)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        os.waitpid(pid, 0)
        acknowledged += lines(reading)
        alive.append(start())
        delay = orphaned(keeper, study, pid, killed)
        if delay is not None:
            delays.append(delay)
    codes, found = gather(alive)
    for part in found:
        acknowledged += part
    keeper.close()
    return {"opened": [number for item in acknowledged for number in item.get("opened", [])],
            "told": [pair for item in acknowledged for pair in item.get("told", [])],
            "codes": codes, "delays": delays}  # fmt: skip


def orphaned(keeper, study, pid, killed):
    """Seconds until nothing is left open by the member that was process `pid`; None if it left nothing."""
    token = next((view.token for view in keeper.members(study) if view.note == f"pid {pid}"), None)
    left = None
    while token is not None:
        trials, _ = keeper.since(study)
        if not any(trial.owner == token for trial in trials):
            return left
        left = time.monotonic() - killed
        if left > 20.0:
            return left
    return left


def work(address, count, total, pause):
    """`count` workers, whose lines go out at once, with the time; the server may come and go meanwhile."""

    def live(write):
        warnings.simplefilter("ignore", RuntimeWarning)
        labour(address, total, lambda item: write(item | {"at": time.monotonic()}), pause / 1000.0)

    children = [fork(live) for _ in range(count)]
    places = {reading: b"" for _, reading in children}
    while places:
        for reading in select.select(list(places), [], [])[0]:
            part = os.read(reading, 65536)
            if not part:
                del places[reading]
                continue
            *whole, places[reading] = (places[reading] + part).split(b"\n")
            for line in whole:
                print(line.decode(), flush=True)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
    return {"codes": codes}


def hold(address):
    """A member with three open trials, that does nothing more."""
    store = open_store(address)
    study = store.open("demo").id
    member = store.join(study, f"pid {os.getpid()}")
    store.open_trials(study, opening_of(3, 0, SPACE), None, member=member)
    print(json.dumps([member.ordinal, member.token]), flush=True)
    signal.pause()


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    np.seterr(all="raise")
    got = {"race": race, "share": share, "kill": kill, "work": work, "hold": hold}[what](where, *map(int, numbers))
    print(json.dumps(got))
