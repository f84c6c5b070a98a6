"""Going on after a kill at any instant: nothing lost, nothing repeated, and in ordered mode the very same history."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

import thalweg as tw
from thalweg.parts.strategies import STRATEGIES

CHILD = """
import json, os, sys
import thalweg as tw
import thalweg.engine.session as session
session.SNAPSHOT_S = float(sys.argv[6])
name, db, kill, ordered, evaluator = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
space = {"x": tw.Float(1e-3, 5, log=True), "y": tw.Float(-5, 5), "n": tw.Integer(1, 10), "c": tw.Choice(list("abz"))}
calls = 0

def objective(p):
    global calls
    calls += 1
    if calls == kill:
        os._exit(9)
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2 + p["n"] + (p["c"] == "a")

keywords = {} if evaluator == "inline" else {"evaluator": evaluator, "workers": 3}
result = tw.minimize(
    objective, space, max_evals=90, seed=5, strategy=name, store="sqlite:///" + db, name="a", ordered=ordered or False,
    **keywords,
)
print(json.dumps([calls, [[trial.params, trial.value] for trial in result.trials]]))
"""


def child(name, db, kill=-1, ordered=0, evaluator="inline", snapshot_s=0.005):
    arguments = [name, str(db), str(kill), str(ordered), evaluator, str(snapshot_s)]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 9), done.stderr[-2000:]
    return json.loads(done.stdout) if done.returncode == 0 else None


FAST = ["de", "cmaes", "random"]
ALL = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in STRATEGIES]


@pytest.mark.parametrize("name", ALL)
def test_killed_and_resumed_equals_uninterrupted(tmp_path, name):
    _, whole = child(name, tmp_path / "whole.db", -1, 3, "thread")
    for kill, evaluator in ((13, "thread"), (31, "inline")):
        assert child(name, tmp_path / "cut.db", kill, 3, evaluator) is None
    _, cut = child(name, tmp_path / "cut.db", -1, 3, "thread")
    assert cut == whole


@pytest.mark.parametrize("name", FAST)
def test_killed_and_resumed_without_order_repeats_nothing(tmp_path, name):
    for kill in (13, 31):
        assert child(name, tmp_path / "cut.db", kill) is None
    _, rows = child(name, tmp_path / "cut.db")
    assert len(rows) == len({json.dumps(row[0]) for row in rows}) == 90


def test_replay_of_the_whole_log_equals_a_snapshot(tmp_path):
    """No snapshot was ever written: the log alone brings the strategy back."""
    _, whole = child("de", tmp_path / "whole.db", snapshot_s=1e9)
    assert child("de", tmp_path / "cut.db", 40, snapshot_s=1e9) is None
    assert child("de", tmp_path / "cut.db", snapshot_s=1e9)[1] == whole


def bowl(p):
    return (p["x"] - 1) ** 2 + p["n"]


SPACE = {"x": tw.Float(-5, 5), "n": tw.Integer(1, 9)}


def test_finished_studies_are_not_run_again_and_can_be_extended(tmp_path):
    calls = []

    def objective(p):
        calls.append(p)
        return bowl(p)

    keywords = {"store": f"sqlite:///{tmp_path}/a.db", "name": "a", "strategy": "de", "seed": 3}
    first = tw.minimize(objective, SPACE, max_evals=40, **keywords)
    again = tw.minimize(objective, SPACE, max_evals=40, **keywords)
    assert len(calls) == 40
    assert again.value == first.value
    assert [trial.params for trial in again.trials] == [trial.params for trial in first.trials]
    more = tw.minimize(objective, SPACE, max_evals=70, **keywords)
    assert len(calls) == 70
    assert more.evaluations == 70
    assert [trial.params for trial in more.trials[:40]] == [trial.params for trial in first.trials]


def test_another_strategy_learns_the_history_as_foreign(tmp_path):
    store = f"sqlite:///{tmp_path}/a.db"
    tw.minimize(bowl, SPACE, max_evals=60, store=store, name="a", strategy="random", seed=1)
    events = []
    study = tw.Study(SPACE, store=store, name="a", strategy="de", listeners=[events.append])
    result = study.run(bowl, max_evals=200)
    assert result.evaluations == 200
    resumed = next(event for event in events if event.kind == "resumed")
    assert "random" in resumed.data["how"]
    assert "60 results" in resumed.data["how"]
    assert result.value < 1.01


def test_another_space_is_refused_and_nothing_is_lost(tmp_path):
    store = f"sqlite:///{tmp_path}/a.db"
    tw.minimize(bowl, SPACE, max_evals=20, store=store, name="a", strategy="random", seed=1)
    with pytest.raises(tw.StoreError, match="space"):
        tw.Study({"x": tw.Float(-5, 9), "n": tw.Integer(1, 9)}, store=store, name="a")
    with pytest.raises(tw.StoreError, match="objectives"):
        tw.Study(SPACE, store=store, name="a", goal="maximize")
    with pytest.raises(tw.StoreError, match="seed"):
        tw.Study(SPACE, store=store, name="a", seed=2, strategy="random")
    assert len(tw.load(store, "a").trials) == 20
    with pytest.raises(tw.StoreError, match="'a'"):
        tw.load(store, "b")


def test_load_without_knowing_the_space(tmp_path):
    store = f"sqlite:///{tmp_path}/a.db"
    space = {"x": tw.Float(0.1, 5, log=True), "c": tw.Choice(["u", None, True, 1]), "p": tw.Permutation([1, 2, 3])}
    first = tw.maximize(lambda p: p["x"], space, max_evals=30, store=store, name="a", strategy="random", seed=1)
    study = tw.load(store, "a")
    assert [trial.params for trial in study.trials] == [trial.params for trial in first.trials]
    assert study.best.value == first.value
    assert study.run(lambda p: p["x"], max_evals=50).evaluations == 50


def test_objects_need_labels_to_be_stored(tmp_path):
    store = f"sqlite:///{tmp_path}/a.db"
    options = [[1, 2], [3, 4]]
    with pytest.raises(tw.SpaceError, match="labels"):
        tw.Study({"x": tw.Choice(options)}, store=store)
    study = tw.Study({"x": tw.Choice(options, labels=["low", "high"])}, store=store, strategy="random", seed=0)
    result = study.run(lambda p: sum(p["x"]), max_evals=5)
    assert result.params["x"] is options[0]


def test_results_are_shared_only_where_a_version_is_named(tmp_path):
    store = f"sqlite:///{tmp_path}/a.db"
    calls = []

    def objective(p):
        calls.append(p)
        return float(p["n"])

    space = {"n": tw.Integer(1, 30)}
    for name, version, expected in (("a", None, 30), ("b", None, 60), ("c", "1", 90), ("d", "1", 90), ("e", "2", 120)):
        result = tw.minimize(objective, space, max_evals=100, store=store, name=name, strategy="grid", version=version)
        assert len(calls) == expected, name
        assert result.evaluations == 30
        assert result.value == 1


HANGING = """
import sys, time
import thalweg as tw

def objective(p):
    time.sleep(0.01)
    return p["x"]

def listen(event):
    if event.kind == "finished":
        for number in event.data["numbers"]:
            print(number, flush=True)

how = {"workers": 2, "evaluator": sys.argv[2]} if sys.argv[2] != "inline" else {}
study = tw.Study({"x": tw.Float(0, 1)}, strategy="de", seed=1, store=sys.argv[1], name="a", listeners=[listen])
study.run(objective, max_evals=100000, **how)
"""


@pytest.mark.chaos
@pytest.mark.parametrize("evaluator", ["inline", "process"])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path, evaluator):
    store = f"sqlite:///{tmp_path}/a.db"
    seen = 0
    rng = random.Random(4)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", HANGING, store, evaluator], stdout=subprocess.PIPE, start_new_session=True
        )
        for _ in range(8):
            process.stdout.readline()
        time.sleep(rng.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with tw.load(store, "a") as study:
            trials = study.trials
            assert len(trials) >= seen  # what was there stays
            seen = len(trials)
            assert len({trial.params["x"] for trial in trials}) == seen
    assert seen > 3
    assert not children_of_killed()


def children_of_killed() -> list[int]:
    """Processes that still run the script above."""
    found = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        if b"max_evals=100000" in file.read():
                            found.append(int(entry))
                except OSError:
                    continue
        if not found:
            break
        time.sleep(0.05)
    return found


CTRL_C = r"""
import os, sys, time
import thalweg as tw

nap = float(sys.argv[2])

def objective(p):
    os.write(1, b"run\n")  # one call: two threads' lines must not mix
    time.sleep(nap)
    return p["x"]

how = {} if sys.argv[1] == "inline" else {"workers": 2, "evaluator": sys.argv[1]}
result = tw.minimize(objective, {"x": tw.Float(0, 1)}, strategy="random", seed=1, max_evals=1000, **how)
print("DONE", result.stop_reason, result.evaluations, flush=True)
"""


@pytest.mark.parametrize("evaluator", ["inline", "thread", "process"])
@pytest.mark.parametrize("hard", [False, True], ids=["drains", "stops"])
def test_ctrl_c(evaluator, hard):
    if hard and evaluator == "thread":
        pytest.skip("a running thread cannot be ended: the second Ctrl-C waits for it")
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, evaluator, "30" if hard else "0.3"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "run\n"
        process.send_signal(signal.SIGINT)
        if hard:
            assert "interrupted" in process.stderr.readline() + process.stderr.readline()
            process.send_signal(signal.SIGINT)
        before = time.monotonic()
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert time.monotonic() - before < 20
    last = out.splitlines()[-1]
    assert last.startswith("DONE interrupted"), out
    assert (int(last.split()[-1]) == 0) == hard
    assert "interrupted:" in errors  # the best, or that there is none, is always printed


def test_code_that_changed_is_said_never_silently_mixed(tmp_path):
    keywords = {"store": f"sqlite:///{tmp_path}/a.db", "name": "a", "strategy": "random", "seed": 0}
    space = {"x": tw.Float(-1, 1)}
    tw.minimize(lambda p: p["x"] ** 2, space, max_evals=5, **keywords)
    tw.minimize(lambda p: p["x"] ** 2, space, max_evals=10, **keywords)  # the same code: nothing to say
    with pytest.warns(UserWarning, match="not the one that earlier results"):
        result = tw.minimize(lambda p: p["x"] ** 2 + 1, space, max_evals=15, **keywords)
    assert result.evaluations == 15
