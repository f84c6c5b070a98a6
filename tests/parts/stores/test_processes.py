"""Many processes on one file: races, shared budgets, sudden deaths."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from thalweg.parts.stores.sqlite import SQLiteStore


def storm(*arguments: object) -> dict:
    script = Path(__file__).with_name("storm.py")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout)


def test_eight_processes_create_at_once(tmp_path):
    for i in range(3):
        path = tmp_path / f"race{i}.db"
        got = storm("race", path, 8)
        assert got["codes"] == [0] * 8
        assert len(got["records"]) == 8 and len({tuple(record) for record in got["records"]}) == 1
        store = SQLiteStore(path)
        assert store.names() == ["demo"] and store.verify() == []
        store.close()


def test_eight_processes_share_a_budget(tmp_path):
    path = tmp_path / "budget.db"
    got = storm("budget", path, 8, 400)
    assert got["codes"] == [0] * 9
    assert got["numbers"] == got["seen"] == list(range(400)), (
        "exactly the budget, each number once, and the reader saw it"
    )
    assert min(got["shares"]) > 0, "nobody starves"
    store = SQLiteStore(path)
    study = store.open("demo").id
    kinds = Counter(entry.kind for entry in store.entries(study))
    assert kinds["told"] == kinds["asked"] - 8, "each worker's last question got nothing"
    assert [trial.values for trial in store.since(study)[0]] == [[number + 0.5] for number in range(400)]
    assert store.verify() == []
    store.close()


def test_a_store_survives_forks(tmp_path):
    got = storm("inherit", tmp_path / "fork.db", 5)
    assert got["codes"] == [0] * 5 and got["verify"] == []
    assert got["numbers"] == got["stored"] == list(range(200))


def test_sixteen_processes_work_on_one_study(tmp_path):
    path = tmp_path / "crew.db"
    got = storm("crew", path, 16, 640, 40)
    assert got["codes"] == [0] * 17 and got["ordinals"] == list(range(16))
    told = sorted(number for share in got["shares"] for number in share)
    assert told == got["seen"] == list(range(640)), "exactly the budget, each once, the queued ones among them"
    assert min(map(len, got["shares"])) >= 20, "nobody has less than half of its fair share"
    store = SQLiteStore(path)
    study = store.open("demo").id
    assert {(trial.status, trial.attempt) for trial in store.since(study)[0]} == {(2, 1)}
    assert set(Counter(entry.kind for entry in store.entries(study))) == {"asked", "told"}, "nothing odd happened"
    assert store.members(study) == [] and store.verify() == []
    store.close()
    assert not Path(f"{path}-live").exists()


def check_kills(path: Path, kills: int, workers: int, seed: int) -> None:
    got = storm("kill", path, kills, workers, seed)
    store = SQLiteStore(path)
    study = store.open("demo").id
    assert store.verify() == []
    trials = {trial.number: trial for trial in store.since(study)[0]}
    log = store.entries(study)
    standing, members = store.standing(study), store.members(study)
    store.close()
    assert len(got["told"]) >= kills, "the storm did work between the kills"
    lost = [number for number, value in got["told"] if number not in trials or trials[number].values != [value]]
    assert not lost, f"acknowledged results were lost: {lost}"
    assert len(got["opened"]) == len(set(got["opened"])), "a number was given twice"
    stuck = [number for number, trial in trials.items() if trial.status < 2]
    assert not stuck and not members, f"trials were stuck: {stuck}"
    assert standing.used == len(trials)
    ends = Counter(number for entry in log if entry.kind in ("told", "poisoned") for number in entry.body["numbers"])
    ends.subtract(number for entry in log if entry.kind == "duplicate" for number in entry.body["numbers"])
    ends.subtract(answer["number"] for entry in log if entry.kind == "conflict" for answer in entry.body["answers"])
    assert ends == dict.fromkeys(trials, 1), "each trial has one final record"
    assert not list(Path(f"{path}-live").glob("*")), "the dead are buried"
    assert len(got["waits"]) >= kills // 8, "killed workers had trials"
    waits = sorted(got["waits"])
    assert waits[len(waits) // 2] < 1.0, "trials of the dead are claimed at once, not after a lease"
    assert waits[-1] < 60.0


@pytest.mark.chaos
def test_kill_9_loses_nothing(tmp_path):
    check_kills(tmp_path / "kill.db", kills=40, workers=4, seed=1)


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_kill_9_loses_nothing_for_long(tmp_path, seed):
    check_kills(tmp_path / "kill.db", kills=200, workers=8, seed=seed)
