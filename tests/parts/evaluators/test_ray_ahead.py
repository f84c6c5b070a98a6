"""A second job waits at its actor: how it begins, comes back, is counted and survives, on a pretended cluster."""

import asyncio
import contextlib
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pretend_cluster import PretendCluster, node
from test_ray_logic import running, statuses, target

import thalweg as tw
from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError
from thalweg.core.evaluator import Outcomes
from thalweg.core.target import Target
from thalweg.parts.evaluators import ray as module
from thalweg.parts.evaluators._ray_host import DONE, ENDED, OVER, Host
from thalweg.parts.evaluators._wire import pack_job
from thalweg.parts.evaluators.process import _dumps
from thalweg.parts.evaluators.ray import RayEvaluator
from thalweg.testing.evaluator_suite import job_of


@pytest.fixture
def cluster(monkeypatch):
    made = PretendCluster([node("1"), node("2")])
    monkeypatch.setattr(module, "_RayCluster", lambda options: made)
    monkeypatch.setattr("thalweg.parts.evaluators._ray_fleet.LOOK_S", 0.05)
    return made


def short(evaluator, seconds=0.01):
    """Let it know that evaluations are short."""
    evaluator._chunks.observe(Outcomes(np.zeros((1, 1)), np.zeros(1, np.int8), np.array([seconds])))
    evaluator._fleet.depth = 2


async def until(condition):
    before = time.perf_counter()
    while not condition():
        await asyncio.sleep(0.005)
        assert time.perf_counter() - before < 60


def started(evaluator, job):
    prepared = evaluator.prepare(job)
    return prepared, asyncio.ensure_future(evaluator.evaluate(prepared))


# --- in the actor -----------------------------------------------------------------------------------------------------


def hosted(body):
    host = Host(_dumps(target()), "f", 1, False, 1, [], None, lambda: "here")

    async def whole():
        try:
            return await body(host)
        finally:
            host._drop()
            await host._supervisor.aclose()

    return asyncio.run(whole())


def test_jobs_run_in_the_order_in_which_they_were_sent():
    async def body(host):
        late = asyncio.ensure_future(host.run(8, pack_job(job_of(["good"], 8)), 7))
        await asyncio.sleep(0)
        assert host._turn is None, "it goes after one that has not arrived"
        early = asyncio.ensure_future(host.run(7, pack_job(job_of(["good"], 7))))
        await until(early.done)
        kinds = [item[0] for item in (await early, await late)]
        return kinds, (await host.health())["rows"]

    assert hosted(body) == ([DONE, DONE], 2)


def test_what_waits_can_be_withdrawn_and_what_runs_cannot():
    async def body(host):
        runs = asyncio.ensure_future(host.run(1, pack_job(job_of(["hang"]))))
        waits = asyncio.ensure_future(host.run(2, pack_job(job_of(["good"])), 1))
        await asyncio.sleep(0)
        assert (await host.watch(1, -1, None))[0] == 0  # the first row of the first job
        assert host._next is not None and host._next.serial == 2, "it waits in the worker itself"
        await host.withdraw(1)
        await host.withdraw(2)
        kind, rows, _ = await waits
        assert kind == ENDED and not len(pickle.loads(rows)) and not runs.done()
        assert (await host.watch(2, -1, None))[0] == OVER
        await host.end(1)
        assert (await runs)[0] == ENDED
        await host.end(3)  # before it has come
        return (await host.run(3, pack_job(job_of(["good"]))))[0]

    assert hosted(body) == ENDED


def test_the_end_of_the_first_job_leaves_the_second():
    async def body(host):
        first = asyncio.ensure_future(host.run(1, pack_job(job_of(["hang"]))))
        second = asyncio.ensure_future(host.run(2, pack_job(job_of(["good"] * 3)), 1))
        await asyncio.sleep(0)
        assert (await host.watch(1, -1, None))[0] == 0
        await host.end(1)
        assert (await first)[0] == ENDED
        kind, rows, warm = await second
        return kind, len(pickle.loads(rows)), warm

    assert hosted(body) == (DONE, 3, True)


def test_a_job_ended_just_as_it_is_done_does_not_blame_the_next():
    """The worker is ended for the first job while it is in the second one: that runs again, and is told once."""

    async def body(host):
        first = asyncio.ensure_future(host.run(1, pack_job(job_of(["good"]))))
        second = asyncio.ensure_future(host.run(2, pack_job(job_of(["hang"], 1)), 1))
        await first
        await until(lambda: host._remote is not None and host._turn is not None and host._turn.serial == 2)
        await until(lambda: host._remote.journal.state[:2] == (2, 1))
        host._killed = object()  # as if the first one were still there for the host
        hanging, host._turn.job.reals = host._turn.job.reals, job_of(["good"], 1).reals
        host._supervisor.kill(host._remote)
        kind, rows, _ = await second
        return kind, statuses(pickle.loads(rows)), len(hanging)

    assert hosted(body) == (DONE, [Status.DONE], 1)


def test_rows_and_errors_stay_with_their_jobs(cluster):
    """Many jobs of one actor, each following the one before: every value and every error at its place."""
    evaluator = RayEvaluator(workers=1)
    kinds = ["good", "raise", "good", "nan", "integer", "good", "none"]
    sizes = [1 + (7 * i) % 9 for i in range(60)]

    async def body():
        short(evaluator)
        first = 0
        tasks = []
        for size in sizes:
            what = [kinds[(first + i) % 7] for i in range(size)]
            job = job_of(what, first)
            tasks.append((first, what, evaluator.evaluate(evaluator.prepare(job))))
            first += size
        return [
            (at, what, outcomes)
            for (at, what, _), outcomes in zip(tasks, await asyncio.gather(*(call for *_, call in tasks)), strict=True)
        ]

    for at, what, outcomes in running(evaluator, body):
        assert len(outcomes) == len(what)
        bad = {i for i, item in enumerate(what) if item in ("raise", "nan", "none")}
        assert set(outcomes.errors) == bad, (at, what, outcomes.errors)
        for i, item in enumerate(what):
            if item == "good":
                assert outcomes.values[i, 0] == (at + i + 1) / 1000.0


TIED = """
import asyncio, subprocess, sys
from thalweg.parts.evaluators import _ray_host as host
host._LOOK_UP_S = 0.02

async def tied():
    task = asyncio.ensure_future(host._end_with_parent())
    await asyncio.sleep(0)
    print("tied", flush=True)
    await task

if sys.argv[1:]:
    asyncio.run(tied())
else:
    child = subprocess.Popen([sys.executable, __file__, "child"], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    print(child.pid, flush=True)
"""


def test_an_actor_ends_with_the_process_that_started_it(tmp_path):
    file = tmp_path / "tied.py"
    file.write_text(TIED)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=True)
    pid, end = int(done.stdout), time.monotonic() + 60

    def runs():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    while runs():
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.02)


# --- on the way there -------------------------------------------------------------------------------------------------


def test_it_looks_ahead_where_evaluations_are_short(cluster):
    evaluator = RayEvaluator(workers=2)

    async def body():
        assert (evaluator.slots, evaluator.ahead) == (2, 0)
        short(evaluator, 0.1)
        assert (evaluator.slots, evaluator.ahead) == (2, 2)
        evaluator._chunks.mean_s = 5.0
        assert evaluator.ahead == 0, "long ones gain nothing by it, and their points would be chosen too early"

    running(evaluator, body)


def test_nobody_waits_behind_another_while_an_actor_is_idle(cluster):
    evaluator = RayEvaluator(workers=2)

    async def body():
        await evaluator.evaluate(evaluator.prepare(job_of(["good"])))
        await until(lambda: len(evaluator._fleet._by[0]) == 2)
        short(evaluator)
        flights = [started(evaluator, job_of(["hang"], i)) for i in range(4)]
        await until(lambda: all(flight.serial >= 0 for flight, _ in flights))
        slots = [flight.slot for flight, _ in flights]
        assert slots[0] is not slots[1] and {id(slot) for slot in slots[2:]} == {id(slot) for slot in slots[:2]}
        assert [flight._leads.is_set() for flight, _ in flights] == [True, True, False, False]
        for _, task in reversed(flights):
            task.cancel()
        await asyncio.gather(*(task for _, task in flights), return_exceptions=True)
        assert all(not len(evaluator.finished(flight)) for flight, _ in flights)
        assert len(evaluator._fleet._by[0]) == 2

    running(evaluator, body)


def test_a_job_behind_one_that_hangs_is_called_back(cluster):
    evaluator = RayEvaluator(workers=2)

    async def body():
        await evaluator.evaluate(evaluator.prepare(job_of(["good"])))
        await until(lambda: len(evaluator._fleet._by[0]) == 2)
        short(evaluator)
        pairs = [started(evaluator, job_of(["hang"], i)) for i in range(2)]
        await until(lambda: all(flight.serial >= 0 for flight, _ in pairs))
        third, waits = started(evaluator, job_of(["good"] * 3, 2))
        await until(lambda: third.serial >= 0)
        behind = third.slot
        other = next(i for i, (flight, _) in enumerate(pairs) if flight.slot is not behind)
        pairs[other][1].cancel()  # its actor becomes idle, the other one still hangs
        outcomes = await waits
        assert statuses(outcomes) == [Status.DONE] * 3
        rows = [(await actor.host.health())["rows"] for actor in cluster.actors if actor.host is not None]
        assert sum(rows) == 4, "once, and nowhere else"
        pairs[1 - other][1].cancel()
        await asyncio.gather(*(task for _, task in pairs), return_exceptions=True)

    running(evaluator, body)


def test_a_lost_actor_costs_the_row_it_was_in_and_not_what_waited(cluster):
    evaluator = RayEvaluator(workers=1)

    async def body():
        short(evaluator)
        first, hangs = started(evaluator, job_of(["hang"]))
        await until(lambda: first.serial >= 0)
        second, waits = started(evaluator, job_of(["good"], 1))
        await until(lambda: second.serial >= 0)
        assert second.slot is first.slot
        first.slot.handle.end(module.Lost(False, "killed from outside"))
        cluster.place()
        lost, kept = await hangs, await waits
        assert statuses(lost) == [Status.FAILED] and lost.errors[0].startswith("WorkerDied")
        assert statuses(kept) == [Status.DONE] and second._lost == 0

    running(evaluator, body)


@pytest.mark.parametrize("rows", [1, 3])
def test_waiting_is_not_running(cluster, monkeypatch, rows):
    """A deadline begins with the row, not with its place in a queue; and a row that hangs after waiting is found."""
    monkeypatch.setattr("thalweg.parts.evaluators._ray_flight.WATCH_S", 0.0)
    evaluator = RayEvaluator(workers=1)

    async def body():
        short(evaluator)
        first, hangs = started(evaluator, job_of(["hang"]))
        await until(lambda: first.serial >= 0)
        second, waits = started(evaluator, job_of([*["good"] * (rows - 1), "hang"], 1))
        await until(lambda: second.serial >= 0)
        await until(lambda: evaluator.running_s(first) > 0.2)
        assert evaluator.running_s(second) == 0.0
        hangs.cancel()  # its worker ends; the next job has another one
        await until(lambda: evaluator.running_s(second) > 0.1)
        assert second._row == rows - 1
        waits.cancel()
        await asyncio.gather(hangs, waits, return_exceptions=True)
        assert len(evaluator.finished(second)) == rows - 1

    running(evaluator, body)


def test_urgent_jobs_go_first(cluster):
    evaluator, order = RayEvaluator(workers=1), []

    async def body():
        async def one(number, urgent):
            await evaluator.evaluate(evaluator.prepare(job_of(["good"], number, urgent=urgent)))
            order.append(number)

        await asyncio.gather(*(one(number, number == 9) for number in (5, 2, 9, 7)))

    running(evaluator, body)
    assert order == [5, 9, 2, 7]


# --- limits, width, growth, the end of a budget -----------------------------------------------------------------------


def test_limits_are_kept_on_actors(cluster):
    def greedy(params):
        held = []
        while params["x"] > 0.0015:
            held.append(bytearray(b"x") * 4_000_000)
        return params["x"]

    evaluator = RayEvaluator(workers=1, limits={"memory": "200MB"})

    async def body():
        jobs = [job_of(["good"]), job_of(["good"], 1), job_of(["good"])]
        return [await evaluator.evaluate(evaluator.prepare(job)) for job in jobs]

    fine, stopped, after = running(evaluator, body, Target(greedy, target().problem))
    assert statuses(fine) == statuses(after) == [Status.DONE] and statuses(stopped) == [Status.FAILED]
    assert stopped.errors[0].startswith("LimitReached: memory 200 MB"), stopped.errors
    assert cluster.started == 1, "a limit costs a worker, not an actor"
    with pytest.raises(tw.ProblemError, match="there is no limit 'ram'"):
        RayEvaluator(workers=1, limits={"ram": 1})


def test_an_ordered_study_needs_to_know_its_width(cluster):
    study = tw.Study({"x": (0.0, 1.0)}, ordered=True, seed=0, strategy="random")
    with pytest.raises(EvaluatorError, match=r"as many as the cluster can hold: give workers="):
        study.run(lambda params: params["x"], max_evals=4, evaluator=RayEvaluator(), progress=False)
    assert study.run(lambda p: p["x"], max_evals=4, evaluator="ray", workers=2, progress=False).evaluations == 4
    given = tw.Study({"x": (0.0, 1.0)}, ordered=3, seed=0, strategy="random")
    assert given.run(lambda p: p["x"], max_evals=4, evaluator=RayEvaluator(), progress=False).evaluations == 4


def test_a_node_that_joins_is_used_at_once(cluster, tmp_path):
    """Each of two evaluations waits for the other, and there is one node at first: somebody has to wake the loop."""
    cluster.machines = {"1": node("1")}
    folder = str(tmp_path)

    def objective(params):
        open(f"{folder}/{params['n']}", "w").close()
        end = time.perf_counter() + 60
        while len(os.listdir(folder)) < 2:
            time.sleep(0.005)
            assert time.perf_counter() < end, "the other evaluation has not begun"
        return params["n"]

    looks = []

    def nodes():
        looks.append(1)
        if len(looks) == 4:
            cluster.machines["2"] = node("2")
        return list(cluster.machines.values())

    cluster.nodes = nodes
    result = tw.minimize(
        objective, {"n": tw.Integer(1, 2)}, strategy="grid", evaluator=RayEvaluator(), max_evals=2, progress=False
    )
    assert result.evaluations == 2 and not result.failures
    assert len({trial.worker for trial in result.trials}) == 2


def test_jobs_become_small_as_the_budget_ends(cluster):
    sizes = []

    class Noting(RayEvaluator):
        def prepare(self, job):
            sizes.append(len(job))
            return super().prepare(job)

    def objective(params):
        time.sleep(0.002)
        return params["x"]

    result = tw.minimize(
        objective, {"x": (0.0, 1.0)}, evaluator=Noting(workers=2), strategy="random", max_evals=300, progress=False
    )
    assert result.evaluations == 300 and sum(sizes) == 300
    assert max(sizes) > 20 and sizes[-1] == 1 and max(sizes[-4:]) <= 3, sizes


def test_a_study_with_work_ahead_answers_every_trial_once(cluster):
    def objective(params):
        time.sleep(0.001 + 0.01 * (params["x"] > 0.9))
        return params["x"]

    study = tw.Study({"x": (0.0, 1.0)}, seed=0, strategy="random")
    cluster.fatal = {6: True}
    cluster.join(node("3"))
    result = study.run(objective, max_evals=400, evaluator=RayEvaluator(), progress=False)
    assert result.evaluations == 400 and not result.failures
    assert sorted(trial.number for trial in result.trials) == list(range(400))
