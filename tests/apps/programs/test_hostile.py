"""A whole study over a program that does everything wrong: it goes to its end, and nothing is left running."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from thalweg.apps.programs.command import Command
from thalweg.apps.programs.job import TuningJob
from thalweg.core.batch import Status
from thalweg.core.choices import Choice
from thalweg.engine.optimize import minimize
from thalweg.parts.evaluators._tree import MARKER

HOSTILE = """
import os, signal, subprocess, sys, time
kind, out = sys.argv[1:3]
if kind == "hang": time.sleep(1000)
if kind == "stubborn":
    for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(1000)
if kind == "daemon":
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.Popen(["sleep", "1000"], start_new_session=True, **quiet)
if kind == "flood":
    for _ in range(100): sys.stdout.write("x" * 1000000)
if kind == "closed":
    for number in (0, 1, 2): os.close(number)
if kind == "vandal":
    os.chdir("/"); os.environ.clear(); os.umask(0o777)
    for number in (1, 2, 15, 17): signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(1000)
        os._exit(0)
if kind == "scribble":
    for number in range(3, 100):
        try: os.write(number, b"nonsense")
        except OSError: pass
if kind == "alarm": signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(1000)
if kind == "stopped": os.kill(os.getpid(), signal.SIGSTOP)
if kind == "forks":
    for _ in range(100):
        if os.fork() == 0: time.sleep(1000)
if kind == "hungry":
    held = []
    while True: held.append(bytearray(b"x") * 4_000_000)
if kind == "exit": sys.exit(3)
if kind == "crash": os.kill(os.getpid(), signal.SIGSEGV)
if kind != "missing": open(out, "w").write("" if kind == "empty" else "data")
print("score", {"nan": "nan", "minus_inf": "-inf", "huge": "-1e999", "silent": "", "good": "1.5"}.get(kind, "2.5"))
"""
KINDS = [
    *("good", "hang", "stubborn", "stopped", "daemon", "flood", "exit", "crash", "missing", "empty", "nan", "silent"),
    *("minus_inf", "huge", "closed", "vandal", "scribble", "alarm", "forks", "hungry"),
]


def left_running(tag: str) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
            alive = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except OSError:
            continue
        if alive and tag.encode() in environment and MARKER.encode() in environment:
            found.append(name)
    return found


@pytest.mark.chaos
def test_a_study_survives_every_kind_of_misbehaviour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hostile.py").write_text(HOSTILE)
    Path("tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    tag = f"THALWEG_TAG_{os.getpid()}"
    job = TuningJob.of(
        {
            "command": [sys.executable, "-S", "-I", "hostile.py", "{kind}", "{out}"],
            "params": [f"kind:cat[{','.join(KINDS)}]"],
            "minimize": {"score": r"regex('score (\S+)', stdout)"},
            "environment": {tag: "1"},
            "eval_timeout": 6,
            "limits": {"memory": "200MB", "processes": 20},
            "budget": 50,
            "jobs": 3,
            "strategy": "random",
            "store": "memory",
        }
    )
    outcome = job.run()
    states = {trial.params["kind"]: trial.status for trial in outcome.trials}
    assert Counter(trial.params["kind"] for trial in outcome.trials) == Counter(KINDS)
    late = {"hang", "stubborn", "stopped"}
    good = {"good", "daemon", "flood", "vandal", "scribble"}
    assert {kind for kind, status in states.items() if status is Status.TIMEOUT} == late
    assert {kind for kind, status in states.items() if status is Status.DONE} == good
    assert {kind for kind, status in states.items() if status is Status.FAILED} == set(KINDS) - late - good
    errors = {trial.params["kind"]: trial.error for trial in outcome.trials}
    assert "exit code 3" in errors["exit"]
    assert "SIGSEGV" in errors["crash"]
    assert "SIGALRM" in errors["alarm"]
    assert errors["forks"].startswith("LimitReached: processes 20")
    assert errors["hungry"].startswith("LimitReached: memory 200 MB")
    assert "finite number is expected" in errors["minus_inf"]
    assert "finite number is expected" in errors["huge"]
    assert "wrote no {out}" in errors["missing"]
    assert "is empty" in errors["empty"]
    assert "expected a finite number" in errors["nan"] or "finite number is expected" in errors["nan"]
    assert "is not found in" in errors["silent"]
    assert outcome.best is not None
    assert outcome.best.params == {"kind": "good"}
    assert left_running(tag) == []
    assert list(Path("tmp").iterdir()) == []


def test_a_constant_objective_finishes() -> None:
    result = minimize(
        Command([sys.executable, "-S", "-I", "-c", "print(1)", "{kind}"], value="last_number(stdout)"),
        {"kind": Choice(["a", "b", "c"])},
        max_evals=20,
        seed=0,
        strategy="random",
    )
    assert result.value == 1.0
    assert result.evaluations == 3
