"""Scores and statistics by hand-made traces, and what the harness keeps of runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.quality import loading, overhead, running, tasks
from benchmarks.quality.references import References
from benchmarks.quality.running import Child, Job, run_one
from benchmarks.quality.score import area, area_in_time, gap_at, reached
from benchmarks.quality.sections import Section
from benchmarks.quality.statistics import against_random, best_pair, holm, mean_ranks, ratio_interval, wins
from benchmarks.quality.tasks import Spent, Task, open_task, tasks_of

COATING = Task("practical", "coating", 8, 1)
VESSEL = Task("constrained", "vessel", 4, 1)


@pytest.fixture
def traces(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "TRACES", tmp_path)
    return tmp_path


def trace_of(job):
    with np.load(job.path) as data:
        return data["trace"]


def test_area_of_one_step():
    trace = np.array([[1, 50.0], [10, 0.5]])
    assert gap_at(trace, 9) == 50 and gap_at(trace, 10) == 0.5 and gap_at(trace, 0) == np.inf
    targets = np.array([100.0, 1.0])
    # the first target from the start (clipped to d = 2), the second from 10 on, of log(20 / 2)
    assert area(trace, 2, 20, targets) == pytest.approx((1 + np.log(2) / np.log(10)) / 2)
    assert reached(trace, 9, targets) == 0.5
    assert area(np.empty((0, 3)), 2, 20, targets) == 0


def test_area_in_time_counts_the_solvers_own_seconds():
    trace = np.array([[2, 0.5, 0.0], [10, 1e-9, 0.9]])
    targets = np.array([1e-3])
    assert area_in_time(trace, 2, 20, 1e9, targets) == pytest.approx(area(trace, 2, 20, targets))
    # at 0.1 s an evaluation, 0.9 s of thinking are nine evaluations more
    assert area_in_time(trace, 2, 20, 0.1, targets) == pytest.approx(np.log(20 / 19) / np.log(10))
    with pytest.raises(SystemExit, match="without times"):
        area_in_time(trace[:, :2], 2, 20, 0.1)


def test_the_interval_holds_the_ratio_and_narrows_with_problems():
    rng = np.random.default_rng(0)
    theirs = rng.uniform(0.1, 0.3, 400)
    ours = 1.3 * theirs + rng.normal(0, 0.02, 400)
    ratio, low, high = ratio_interval(ours, theirs, np.arange(400))
    assert low < 1.3 < high and high - low < 0.05 and ratio == pytest.approx(ours.sum() / theirs.sum())
    _, wide_low, wide_high = ratio_interval(ours, theirs, np.arange(400) // 100)
    few = ratio_interval(ours[:20], theirs[:20], np.arange(20))
    assert few[2] - few[1] > high - low and wide_low <= ratio <= wide_high
    assert np.isnan(ratio_interval(ours, np.zeros(400), np.arange(400))[0])


def test_ranks_wins_and_pairs():
    scores = {"a": np.array([1.0, 0.0, 0.5]), "b": np.array([0.0, 1.0, 0.5]), "c": np.array([0.6, 0.6, 0.6])}
    assert mean_ranks(scores) == {"a": pytest.approx(6.5 / 3), "b": pytest.approx(6.5 / 3), "c": pytest.approx(5 / 3)}
    assert wins(scores) == {"a": 1, "b": 1, "c": 1}
    names, mean = best_pair(scores)
    assert mean == pytest.approx(2.5 / 3) and names == ("a", "b")
    assert best_pair({"a": np.array([2.0])}) == (("a",), 2.0)


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).max() <= 1


def test_random_is_told_from_better_and_worse():
    rng = np.random.default_rng(1)
    random = {name: rng.normal(0, 1, 20) for name in ("same", "better", "worse", "equal")}
    ours = {"same": rng.normal(0, 1, 20), "better": random["better"] - 3, "worse": random["worse"] + 3}
    ours["equal"] = random["equal"] = np.ones(20)
    found = against_random(ours, random)
    assert found["worse"][0] < 0.01 < found["worse"][1] and found["better"][1] < 0.01 < found["better"][0]
    assert min(found["same"]) > 0.05 and found["equal"] == (1.0, 1.0)


def test_the_budget_ends_a_run_and_infeasible_points_are_no_progress():
    problem = open_task(VESSEL, 3)
    merit = problem(np.array([1, 1, 200.0, 240.0]))  # far too thin
    assert (
        problem.trace == []
        and merit > problem.made.evaluate({"shell": 1, "head": 1, "radius": 200.0, "length": 240.0})[0]
    )
    value, violations = problem.judge({"shell": 13, "head": 7, "radius": 42.0984456, "length": 176.6365958 * 1.001})
    assert max(violations) <= 1e-6 and [row[:2] for row in problem.trace] == [(2, value)]
    problem(np.array([99, 99, 10.0, 10.0]))
    with pytest.raises(Spent):
        problem(np.array([99, 99, 10.0, 10.0]))
    assert problem.count == 3 and not problem.late


def test_a_slow_solver_is_out_of_time(monkeypatch):
    problem = open_task(COATING, 100)
    problem.limit_s = 5.0
    now = [0.0]
    monkeypatch.setattr(tasks.time, "process_time", lambda: now[0])
    problem(problem.lower)
    now[0] = 4.9
    problem(problem.upper)
    now[0] = 5.1
    with pytest.raises(Spent):
        problem(problem.upper)
    assert problem.late and problem.count == 2


def test_without_coco_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cocoex", None)
    with pytest.raises(SystemExit, match=r"bbob needs COCO's functions.*pip install coco-experiment"):
        open_task(Task("bbob", "f01", 2, 1), 10)
    with pytest.raises(SystemExit, match="unknown suite 'bob'"):
        open_task(Task("bob", "f01", 2, 1), 10)


def test_tasks_by_number():
    assert [task.key for task in tasks_of("bbob", [1, 3], [2], [4])] == ["bbob_f01_d02_i004", "bbob_f03_d02_i004"]
    third = tasks_of("practical", [3], [99], [1, 2])
    assert [(task.problem, task.dimension, task.instance) for task in third] == [
        ("pharmacokinetics", 5, 1),
        ("pharmacokinetics", 5, 2),
    ]


def test_a_run_is_kept_and_read_back(traces):
    job = Job("random", "t", COATING, 5, 0)
    assert run_one(job) == ""
    run = loading.load("random@t", 5, [(COATING, 0)], References())[COATING, 0]
    assert run.count == 40 and run.error == "" and 0 <= run.seconds < 5
    assert np.all(np.diff(run.trace[:, 0]) > 0) and np.all(np.diff(run.trace[:, 1]) < 0)
    row = References().table["coating/1"]
    raw = trace_of(job)
    assert run.trace[-1, 1] == pytest.approx((raw[-1, 1] - row["best"]) / (row["top"] - row["best"]))
    with pytest.raises(SystemExit, match="no reference values for coating/77; make them with"):
        References().gaps(Task("practical", "coating", 8, 77), raw)


def test_the_same_seed_gives_the_same_run_to_thalweg(traces):
    for tag in "ab":
        assert run_one(Job("tw:de", tag, VESSEL, 10, 3)) == ""
    first, second = (trace_of(Job("tw:de", tag, VESSEL, 10, 3))[:, :2] for tag in "ab")
    assert len(first) and np.array_equal(first, second)


def test_references_take_the_best_trace(traces, tmp_path):
    job = Job("random", "t", COATING, 5, 0)
    run_one(job)
    own = References(tmp_path / "references.json")
    own.table["coating/1"] = {"top": 1.0, "best": 0.5}
    said = own.update(COATING, traces)
    assert own.table["coating/1"]["by"] == "random" and "by random" in said
    own.save()
    assert json.loads(own.path.read_text()) == own.table


@pytest.mark.parametrize(
    ("program", "limit_s", "words"),
    [
        ("import os; input(); os._exit(3)", 100.0, "died with code 3"),
        ("import time; time.sleep(60)", -1.9967, "killed after"),
    ],
)
def test_a_child_that_dies_or_hangs_is_recorded(traces, program, limit_s, words):
    child = Child.__new__(Child)
    child.group = "classic"
    child._process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    job = Job("random", "t", COATING, 5, 0, limit_s)
    assert child.run(job) is None
    with np.load(job.path) as data:
        assert words in str(data["error"]) and int(data["count"]) == 0
    assert child._process.returncode is not None


def test_a_real_child_answers(traces):
    assert running.run_all([Job("random", "t", COATING, 2, seed) for seed in (0, 1)]) == []
    assert len(list(traces.rglob("*.npz"))) == 2


def test_cost_per_suggestion_around_a_count():
    count = np.arange(1, 301)
    seconds = np.where(count <= 200, 0.001 * count, 0.2 + 0.01 * (count - 200))
    trace = np.column_stack([count, np.zeros(300), seconds])
    assert overhead.cost_at(trace, 100) == pytest.approx(1.0)
    assert overhead.cost_at(trace, 250) == pytest.approx(10.0)
    assert np.isnan(overhead.cost_at(trace, 299))


def test_cost_is_the_median_of_the_seeds_that_come_so_far(traces):
    for seed, (count, slow) in enumerate([(300, 1), (300, 2), (300, 9), (100, 4)]):
        job = Job("tw:de", "t", Task("overhead", "valley", 5, 1), 300, seed)
        job.path.parent.mkdir(parents=True, exist_ok=True)
        number = np.arange(1, count + 1)
        np.savez(job.path, trace=np.column_stack([number, np.zeros(count), 1e-3 * slow * number]))
    section = Section("small", "overhead", (5,), 300, (), "", ("tw:de", "tw:cmaes"), seeds=(0, 1, 2, 3))
    *_, line = overhead.overhead_table(section, "t")
    assert line == "| **tw:de** | 3 | 2 | - | - |"  # the fourth has a figure at 50 only
    assert overhead.overhead_table(replace(section, seeds=(7,)), "t") == []
