"""`thalweg worker`, as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import thalweg as tw

SOURCE = """
import os, time

def bowl(p):
    time.sleep(0.01)
    return (p["x"] - 1) ** 2

def deadly(p):
    if p["x"] > 4:
        os._exit(7)
    return (p["x"] - 1) ** 2

number = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    address = f"sqlite:///{tmp_path}/s.db"
    with tw.Study({"x": (-5.0, 5.0)}, store=address, name="demo", strategy="random", seed=1) as one:
        one.budget = 60
    return tmp_path


def start(folder, *words):
    command = [sys.executable, "-m", "thalweg.cli.main", "worker", "--store", "s.db", "--name", "demo", *words]
    source = str(Path(tw.__file__).parents[1])
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def trials(folder):
    with tw.load(f"sqlite:///{folder}/s.db", "demo") as study:
        return study.trials


def test_workers_share_the_stored_budget(folder):
    crew = [start(folder, "mine:bowl"), start(folder, "mine.py:bowl")]
    said = [worker.communicate(timeout=60) for worker in crew]
    assert [worker.returncode for worker in crew] == [0, 0], said
    assert all("max_evals: 60 evaluations: 60 evaluations, best value" in out for out, _ in said)
    done = trials(folder)
    assert len(done) == 60
    assert len({t.params["x"] for t in done}) == 60


def test_a_killed_worker_loses_nothing(folder):
    first = start(folder, "mine:bowl")
    while not trials(folder):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=20)
    before = {t.number: t.value for t in trials(folder)}
    second = start(folder, "mine:bowl")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    after = {t.number: t.value for t in trials(folder)}
    assert len(after) == 60
    assert before.items() <= after.items()


def test_a_point_that_kills_its_worker_is_given_up(folder):
    with tw.load(f"sqlite:///{folder}/s.db", "demo") as study:
        study.budget = 3
        study.enqueue([{"x": 4.5}, {"x": 0.0}])
    for _ in range(5):
        worker = start(folder, "mine:deadly")
        worker.communicate(timeout=60)
        assert worker.returncode == 7
    worker = start(folder, "mine:deadly")
    _, err = worker.communicate(timeout=60)
    assert worker.returncode in (0, 7), err
    found = {t.params["x"]: t for t in trials(folder)}
    assert found[4.5].status is tw.Status.FAILED
    assert "lost" in found[4.5].error
    assert found[0.0].value == 1.0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nowhere:f"], "no module is called 'nowhere'"),
        (["mine:g"], "has no 'g'; it has: bowl, deadly"),
        (["mine:number"], "a function is expected"),
        (["mine"], "module:function"),
        (["other.py:f"], "there is no file"),
        (["inner/json.py:f"], "a module of its own called 'json'; give the file another name"),
        (["mine:bowl", "--name", "demos"], "did you mean 'demo'"),
        (["mine:bowl", "--store", "nowhere.db"], "there is no store"),
        (["mine:bowl", "--eval-timeout", "soon"], "auto or seconds"),
    ],
)
def test_bad_input_says_what_to_do(folder, words, text):
    (folder / "inner").mkdir()
    (folder / "inner" / "json.py").write_text("def f(params):\n    return 1.0\n")
    worker = start(folder, *words)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert text in err
    assert "Traceback" not in err
    assert sorted(item.name for item in folder.iterdir() if item.suffix == ".db") == ["s.db"]
