"""Whole processes, each with its own strategy and loop, killed -9 at any moment: nothing acknowledged is lost."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

import thalweg as tw

sys.path.insert(0, str(Path(__file__).parent))
import crew

pytestmark = pytest.mark.chaos


def spawn(folder, address, index, budget, seconds):
    """A process forked from this one: it costs little."""
    out = folder / f"acknowledged-{index}"
    pid = os.fork()
    if pid:
        return pid, out
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        crew.work(address, budget, str(out), seconds)
    except BaseException:
        import traceback

        (folder / f"error-{index}").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def storm(folder, address, *, workers, kills, budget, seconds, seed):
    """Keep `workers` processes alive while `kills` of them are killed; then let them finish. (acknowledged, kills)."""
    chance = random.Random(seed)
    alive, outs, index, done = {}, [], 0, 0

    def start():
        nonlocal index
        pid, out = spawn(folder, address, index, budget, seconds)
        alive[pid] = index
        outs.append(out)
        index += 1

    for _ in range(workers):
        start()
    while alive:
        time.sleep(chance.random() * 0.06)
        if done < kills:
            victim = chance.choice(list(alive))
            os.kill(victim, signal.SIGKILL)
            done += 1
        while alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            finished = alive.pop(pid)
            assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL), (folder / f"error-{finished}").read_text()
            if done < kills or os.waitstatus_to_exitcode(status):
                start()
    said = {}
    for out in outs:
        lines = out.read_text().splitlines(keepends=True) if out.exists() else []
        for line in lines:
            if line.endswith("\n"):
                number, value = line.split()
                said.setdefault(int(number), []).append(float(value))
    return said, done


def check(address, said, budget):
    """0 lost, 0 stuck, exactly the budget, each trial once, and what was acknowledged is what is there."""
    study = tw.load(address, "storm")
    trials = {t.number: t for t in study.trials}
    assert len(trials) == budget
    given_up = [t for t in trials.values() if t.status is tw.Status.FAILED]
    assert all("lost 5 times" in t.error for t in given_up)  # 30 kills per second do hit the same trial again
    assert len(given_up) <= budget / 200
    assert all(t.value == crew.objective(t.params) for t in trials.values() if t not in given_up)
    for number, values in said.items():
        assert set(values) == {trials[number].value}, number
    assert not any(item.alive for item in study.store.members(study.session.study))
    assert study.store.standing(study.session.study).used == budget
    study.close()


STORMS = [
    ("sqlite", 8, 200, 6_000),
    ("postgres", 4, 20, 400),
    pytest.param("postgres", 8, 200, 6_000, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "workers", "kills", "budget"), STORMS)
def test_killed_coordinators_lose_nothing(tmp_path, request, kind, workers, kills, budget):
    address = f"sqlite:///{tmp_path}/storm.db" if kind == "sqlite" else request.getfixturevalue("postgres_address")
    tw.Study(crew.SPACE, store=address, name="storm", strategy=crew.STRATEGY, seed=7).close()
    said, done = storm(tmp_path, address, workers=workers, kills=kills, budget=budget, seconds=0.004, seed=1)
    assert done == kills
    check(address, said, budget)
    with tw.load(address, "storm") as study:
        assert study.store.verify() == []
