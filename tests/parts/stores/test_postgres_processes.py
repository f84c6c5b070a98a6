"""Many processes on one PostgreSQL server: races, shared budgets, sudden deaths of workers and of the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from thalweg.parts.stores import open_store
from thalweg.testing.store_suite import finishing_of

SCRIPT = Path(__file__).with_name("postgres_storm.py")


def storm(*arguments: object) -> dict:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)


def test_eight_processes_create_at_once(fresh_postgres):
    for i in range(2):
        address = f"{fresh_postgres}_{i}"
        got = storm("race", address, 8)
        assert got["codes"] == [0] * 8
        assert len(got["records"]) == 8 and len({tuple(record) for record in got["records"]}) == 1
        store = open_store(address)
        assert store.names() == ["demo"] and store.verify() == []
        store.close()


def check_books(store, total, told, opened):
    """Everything acknowledged is there, once, and the budget was kept to the trial."""
    assert store.verify() == []
    study = store.open("demo").id
    trials = {trial.number: trial for trial in store.since(study)[0]}
    lost = [number for number, value in told if number not in trials or trials[number].values != [value]]
    assert not lost, f"acknowledged results were lost: {lost}"
    assert len(opened) == len(set(opened)) and not set(opened) - set(trials), "numbers are given once, and stay"
    assert sorted(trials) == list(range(total)) and all(trial.status == 2 for trial in trials.values()), "all is done"
    assert store.standing(study).used == total
    return study, trials


def test_eight_processes_share_a_budget(postgres_address):
    got = storm("share", postgres_address, 8, 300)
    assert got["codes"] == [0] * 8
    assert got["opened"] == list(range(300)), "exactly the budget, each number once"
    assert min(got["shares"]) > 0, "nobody starves"
    store = open_store(postgres_address)
    study, trials = check_books(store, 300, [], got["opened"])
    kinds = Counter(entry.kind for entry in store.entries(study))
    assert set(kinds) == {"asked", "told"} and {trial.attempt for trial in trials.values()} == {1}
    assert [view for view in store.members(study) if view.alive] == []
    store.close()


def check_kills(address, kills, workers, total, seed):
    got = storm("kill", address, kills, workers, total, seed)
    assert got["codes"] == [0] * workers, "who was not killed ended by itself"
    store = open_store(address)
    study, trials = check_books(store, total, got["told"], got["opened"])
    assert max(entry.by for entry in store.entries(study)) < workers, "places are taken over, not added"
    assert any(trial.attempt > 1 for trial in trials.values()), "the storm hit somebody at work"
    assert sorted(got["delays"])[len(got["delays"]) // 2] <= 2.0, "what the dead left is claimed at once"
    store.close()
    return got


@pytest.mark.chaos
def test_kill_9_loses_nothing(postgres_address):
    check_kills(postgres_address, kills=20, workers=8, total=600, seed=1)


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kill_9_loses_nothing_for_long(postgres_address, seed):
    check_kills(postgres_address, kills=100, workers=8, total=2500, seed=seed)


@pytest.mark.chaos
def test_the_dead_are_found_at_once(postgres_address):
    """No lease passes, no clock is asked: the server frees the lock of a dead process."""
    store = open_store(postgres_address)
    study = store.create("demo", {}, "f").id
    member = store.join(study)
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "hold", postgres_address], stdout=subprocess.PIPE, text=True
    )
    ordinal, token = json.loads(process.stdout.readline())
    assert store.claim(member, 8) == [] and [view.alive for view in store.members(study)] == [True, True]
    process.kill()
    killed = time.monotonic()
    found = []
    while len(found) < 3:
        got = store.claim(member, 8)
        assert len(got) <= 1 and all(trial.attempt == 2 for trial in got), "lost ones come one at a time"
        found += [trial.number for trial in got]
        assert time.monotonic() - killed < 10.0
    assert found == [0, 1, 2]
    process.wait()
    process.stdout.close()
    assert store.append(study, finishing_of(found), member=member) == []
    again = store.join(study)
    assert (again.ordinal, again.former) == (ordinal, token) and again.token > token
    store.close()


@pytest.mark.chaos
def test_who_stands_still_loses_its_trials_and_not_its_place(postgres_address):
    """A stopped process holds its lock: when it was not heard of for its lease, its trials are done by others."""
    clock = {"now": 1000.0}
    store = open_store(postgres_address, lease_s=30.0, clock=lambda: clock["now"])
    study = store.create("demo", {}, "f").id
    sleeper = open_store(postgres_address, lease_s=30.0, clock=lambda: clock["now"])
    still, member = sleeper.join(study), store.join(study)
    sleeper.open_trials(
        study, __import__("thalweg.testing.store_suite", fromlist=["x"]).opening_of(2), None, member=still
    )
    clock["now"] += 31.0
    assert [view.late for view in store.members(study)] == [True, True]
    store.beat(member)
    (claimed,) = store.claim(member, 4)
    assert (claimed.number, claimed.attempt) == (0, 2)
    assert store.join(study).ordinal == 2, "its place is its own still"
    assert sleeper.append(study, finishing_of([0, 1]), member=still) == [], "its answers count when they come first"
    assert [entry.body for entry in store.entries(study, kinds=["late"])] == [{"numbers": [0]}]
    assert store.append(study, finishing_of([0]), member=member) == [0]
    sleeper.beat(still)
    sleeper.close()
    store.close()


def mark(line):
    """Which worker told this: it is in the digits of its values."""
    return round(line["told"][0][1] % 1 * 1e7)


def check_restarts(server, address, restarts, workers, total):
    """How long it took the workers to go on, each time, after the server was back."""
    store = open_store(address)
    study = store.create("demo", {}, "f").id
    command = [sys.executable, str(SCRIPT), "work", address, str(workers), str(total), "40"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    got, delays = [], []

    def read(until):
        while True:
            line = json.loads(process.stdout.readline())
            if "codes" in line:
                return line
            got.append(line)
            if until(line):
                return line

    try:
        there = set()
        while len(there) < workers:  # who comes when there is no server is told so, and that is right
            there.add(mark(read(lambda line: bool(line.get("told")))))
        for how in restarts:
            seen = len(got)
            read(lambda line, seen=seen: len(got) > seen + 12)
            server.kill() if how == signal.SIGKILL else server.stop(how)
            server.start()
            back = time.monotonic()
            tellers = set()
            while len(tellers) < 3:
                line = read(lambda line: line["at"] > back and bool(line.get("told")))
                tellers.add(mark(line))
            delays.append(line["at"] - back)
        end = read(lambda line: False)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert end["codes"] == [0] * workers, "all workers lived through it"
    with pytest.warns(RuntimeWarning, match="the server is away"):
        assert store.names() == ["demo"]
    told = [pair for line in got for pair in line.get("told", [])]
    opened = [number for line in got for number in line.get("opened", [])]
    _, trials = check_books(store, total, told, opened)
    assert len(told) == total and len(opened) == total, "every call was acknowledged in the end"
    assert {trial.attempt for trial in trials.values()} == {1}, "nobody was taken for dead"
    assert max(entry.by for entry in store.entries(study)) < workers, "everybody kept its place"
    store.close()
    return delays


@pytest.mark.chaos
def test_a_server_that_is_killed_and_comes_back_loses_nothing(mortal_postgres):
    address = mortal_postgres.url(mortal_postgres.database())
    delays = check_restarts(mortal_postgres, address, [signal.SIGKILL], 4, 300)
    assert max(delays) < 15.0, "workers go on by themselves"


@pytest.mark.chaos
@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again_loses_nothing(mortal_postgres):
    address = mortal_postgres.url(mortal_postgres.database())
    how = [signal.SIGKILL, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGKILL]
    delays = check_restarts(mortal_postgres, address, how, 8, 1200)
    assert max(delays) < 15.0


def test_nothing_is_left_running():
    deadline = time.monotonic() + 20.0  # what was killed a moment ago may still be on its way out
    while [path for path in Path("/proc").glob("[0-9]*/cmdline") if _ours(path)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _ours(path):
    try:
        return b"postgres_storm.py" in path.read_bytes() and os.getpgid(int(path.parent.name)) == os.getpgid(0)
    except OSError:
        return False
