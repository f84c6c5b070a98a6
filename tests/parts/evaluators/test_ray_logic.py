"""What the evaluator on Ray does by itself, on a pretended cluster; test_ray_evaluator.py has real ones."""

import asyncio
import os
import time

import numpy as np
import pytest
from pretend_cluster import PretendCluster, node

from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError, MissingExtra
from thalweg.core.evaluator import Job, Outcomes
from thalweg.core.target import Target
from thalweg.parts.evaluators import make_evaluator
from thalweg.parts.evaluators import ray as module
from thalweg.parts.evaluators._ray_flight import chained
from thalweg.parts.evaluators._ray_report import ClusterReport
from thalweg.parts.evaluators._ray_request import Node, Request, amounts
from thalweg.parts.evaluators.ray import RayEvaluator
from thalweg.testing import _behaviours as behaviours
from thalweg.testing.evaluator_suite import CHECKS, Inapplicable, Suite, job_of


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes of one CPU, instead of Ray's."""
    made = PretendCluster([node("1"), node("2"), node("3")])
    monkeypatch.setattr(module, "_RayCluster", lambda options: made)
    monkeypatch.setattr("thalweg.parts.evaluators._ray_fleet.LOOK_S", 0.1)
    return made


def target(objective="behave", over=None):
    return Target(behaviours.FORMS["plain"][objective], over or behaviours.problem())


def running(evaluator, body, objective=None):
    """What `body`, a coroutine function, gives between open and aclose."""

    async def whole():
        evaluator.open(objective or target())
        try:
            return await body()
        finally:
            await evaluator.aclose()

    return asyncio.run(whole())


def evaluated(evaluator, jobs):
    async def body():
        return await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job)) for job in jobs))

    return running(evaluator, body)


def statuses(outcomes):
    return [Status(item) for item in outcomes.statuses]


# --- conformance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check, cluster):
    workers = 1 if check == "cancel" else 2  # of two, one may be replaced just while leftovers are counted
    suite = Suite(lambda: RayEvaluator(workers=workers), crashes=True, hangs=("hang", "spin", "brood"))
    try:
        CHECKS[check](suite)
    except Inapplicable as reason:
        pytest.skip(str(reason))
    assert all(actor.gone for actor in cluster.actors), "actors are left"


# --- what is asked, and what there is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "total", "fits"),
    [
        (Request(), {"CPU": 4.0}, 4),
        (Request(num_cpus=0.3), {"CPU": 1.0}, 3),
        (Request(num_cpus=0.1), {"CPU": 0.3}, 3),  # 0.3 / 0.1 < 3 in floats
        (Request(num_cpus=1, num_gpus=0.5), {"CPU": 8.0, "GPU": 1.0}, 2),
        (Request(num_gpus=1), {"CPU": 8.0}, 0),
        (Request(memory=2 << 30), {"CPU": 8.0, "memory": 5.0 * 2**30}, 2),
        (Request(resources={"licence": 2}), {"CPU": 8.0, "licence": 3.0}, 1),
        (Request(num_cpus=0), {"CPU": 1.0}, float("inf")),
    ],
)
def test_how_many_fit(request_, total, fits):
    assert request_.fits(total) == fits
    assert bool(request_.lacking(total)) == (fits == 0)


def test_dead_nodes_hold_nothing():
    assert Request().capacity([node("1"), node("2", alive=False), node("3", CPU=2.0)]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_cpus": -1}, "num_cpus: a number >= 0"),
        ({"num_gpus": 1.5}, "a part of one GPU or whole GPUs"),
        ({"memory": "2GB"}, "memory .bytes.: a number"),
        ({"resources": ["licence"]}, "resources: a dict"),
        ({"resources": {"GPU": 1}}, "there are num_cpus, num_gpus and memory"),
        ({"resources": {"licence": float("nan")}}, "'licence'"),
        ({"num_cpus": 0}, "needs workers="),
        ({"workers": 0}, "at least 1"),
        ({"actor_options": {"num_cpus": 2}}, "num_cpus cannot be given there"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises((EvaluatorError, TypeError), match=message):
        RayEvaluator(**options)


def test_what_no_node_has_is_refused_before_anything_runs(cluster):
    with pytest.raises(EvaluatorError) as caught:
        RayEvaluator(num_gpus=1, resources={"licence": 2}).open(target())
    text = str(caught.value)
    assert "asks for 1 CPU, 1 GPU, 2 licence" in text
    assert "node 10.0.0.1: has 1 CPU; lacks GPU, licence" in text and "--num-gpus" in text
    assert cluster.started == 0 and cluster.closed


def test_a_busy_cluster_is_told_of(cluster):
    cluster.request = Request()
    cluster.arguments = ()
    cluster.place = lambda: None  # others hold everything
    with pytest.raises(EvaluatorError, match="had no free place"):
        RayEvaluator(start_s=0.01).open(target())
    assert cluster.closed and all(actor.gone for actor in cluster.actors)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"thalweg\[ray\]"):
        make_evaluator("ray", workers=2).open(target())
    assert make_evaluator("ray", workers=3).slots == 3


# --- slots and rows ---------------------------------------------------------------------------------------------------


def test_there_are_as_many_actors_as_the_cluster_can_hold(cluster):
    evaluator = RayEvaluator()

    async def body():
        assert evaluator.slots == 3
        await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job_of(["good"], i))) for i in range(6)))
        cluster.join(node("4", CPU=2.0))
        while evaluator.slots != 5:
            await asyncio.sleep(0.02)
        cluster.lose("1")
        while evaluator.slots != 4:
            await asyncio.sleep(0.02)
        assert (
            len(await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job_of(["good"], i))) for i in range(9))))
            == 9
        )

    running(evaluator, body)
    assert RayEvaluator(workers=2).slots == 2


def test_workers_is_an_upper_bound(cluster):
    evaluator = RayEvaluator(workers=2)

    async def body():
        assert evaluator.slots == 2

    running(evaluator, body)
    assert cluster.started == 1  # nothing was asked of the second


def test_a_call_carries_a_third_of_a_second_of_work():
    evaluator = RayEvaluator(workers=2, max_rows=64)
    assert evaluator.rows == 1
    for seconds, rows in ((0.5, 1), (0.21, 1), (0.1, 3), (0.01, 30), (1e-5, 64)):
        evaluator._chunks.mean_s = None
        evaluator._chunks.observe(Outcomes(np.zeros((1, 1)), np.zeros(1, np.int8), np.array([seconds])))
        assert evaluator.rows == rows


def test_earlier_trials_are_served_first(cluster):
    evaluator, order = RayEvaluator(workers=1), []

    async def body():
        async def one(number):
            await evaluator.evaluate(evaluator.prepare(job_of(["good"], number)))
            order.append(number)

        await asyncio.gather(*(one(number) for number in (5, 9, 2, 7)))

    running(evaluator, body)
    assert order == [5, 2, 7, 9]


# --- losses -----------------------------------------------------------------------------------------------------------


def test_rows_of_a_lost_node_run_again_elsewhere(cluster):
    cluster.fatal = {1: True}
    for outcomes in evaluated(RayEvaluator(), [job_of(["good"] * 4, 4 * i) for i in range(3)]):
        assert statuses(outcomes) == [Status.DONE] * 4
    assert sum(not item.alive for item in cluster.machines.values()) == 1


def test_a_row_that_takes_three_nodes_with_it_has_failed(cluster):
    cluster.join(node("4"))
    cluster.fatal = {0: True, 1: True, 2: True}
    (outcomes,) = evaluated(RayEvaluator(workers=1), [job_of(["good"] * 3)])
    assert statuses(outcomes) == [Status.FAILED] and outcomes.errors[0].startswith("NodeLost: 3 nodes")


def test_an_actor_that_dies_costs_the_row_it_was_in(cluster):
    cluster.fatal = {0: False, 3: False}  # a job of three: then row by row, and the third row's actor dies again
    (outcomes,) = evaluated(RayEvaluator(workers=1), [job_of(["good"] * 3)])
    assert statuses(outcomes) == [Status.DONE, Status.DONE, Status.FAILED]
    assert outcomes.errors[2].startswith("WorkerDied: ") and outcomes.values[:2, 0].tolist() == [0.001, 0.002]
    assert all(item.alive for item in cluster.machines.values())


def test_a_single_row_whose_actor_dies_has_failed_at_once(cluster):
    cluster.fatal = {0: False}
    (outcomes,) = evaluated(RayEvaluator(workers=1), [job_of(["good"])])
    assert statuses(outcomes) == [Status.FAILED] and cluster.runs == 1


def test_no_node_left_ends_the_run_after_a_grace(cluster):
    cluster.machines = {"1": node("1")}
    evaluator = RayEvaluator(grace_s=0.2)

    async def body():
        await evaluator.evaluate(evaluator.prepare(job_of(["good"])))
        cluster.lose("1")
        with pytest.raises(EvaluatorError, match="no node of the cluster could run") as caught:
            await evaluator.evaluate(evaluator.prepare(job_of(["good"])))
        assert "run it again" in str(caught.value)

    running(evaluator, body)


def test_a_node_that_comes_in_time_takes_over(cluster):
    cluster.machines = {"1": node("1")}
    evaluator = RayEvaluator(grace_s=30.0)

    async def body():
        cluster.lose("1")
        task = asyncio.ensure_future(evaluator.evaluate(evaluator.prepare(job_of(["good"] * 2))))
        await asyncio.sleep(0.3)
        assert not task.done() and evaluator.slots == 1
        cluster.join(node("2"))
        assert statuses(await task) == [Status.DONE] * 2

    running(evaluator, body)


def test_actors_that_never_begin_end_the_run(cluster):
    evaluator = RayEvaluator(workers=3)

    async def body():
        cluster.call = lambda actor, method, *rest: asyncio.ensure_future(lost())
        evaluator._fleet.discard(next(iter(evaluator._fleet._by[0])))
        with pytest.raises(EvaluatorError, match="lost before they begin"):
            await evaluator.evaluate(evaluator.prepare(job_of(["good"])))

    async def lost():
        raise module.Lost(False, "no such image")

    running(evaluator, body)


# --- deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch_s", [0.0, 600.0])
def test_it_is_known_which_row_hangs_and_what_was_finished(watch_s, cluster, monkeypatch):
    monkeypatch.setattr("thalweg.parts.evaluators._ray_flight.WATCH_S", watch_s)
    evaluator = RayEvaluator(workers=1)

    async def body():
        prepared = evaluator.prepare(job_of(["good", "good", "hang", "good"]))
        await evaluator.ready(prepared)
        task = asyncio.ensure_future(evaluator.evaluate(prepared))
        before = time.perf_counter()
        while evaluator.running_s(prepared) < 0.2:
            await asyncio.sleep(0.01)
            assert time.perf_counter() - before < 30
        assert prepared._row == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert statuses(evaluator.finished(prepared)) == [Status.DONE] * 2
        assert evaluator.running_s(prepared) == 0.0
        again = evaluator.prepare(job_of(["good"]))
        await evaluator.ready(again)
        assert not again.slot.cold
        assert len(await evaluator.evaluate(again)) == 1

    running(evaluator, body)
    assert cluster.started == 1, "a deadline costs a worker, not an actor"


def test_an_actor_that_does_not_answer_is_ended(cluster, monkeypatch):
    monkeypatch.setattr("thalweg.parts.evaluators._ray_flight.END_S", 0.05)
    evaluator = RayEvaluator(workers=1)

    async def body():
        prepared = evaluator.prepare(job_of(["hang"]))
        task = asyncio.ensure_future(evaluator.evaluate(prepared))
        await asyncio.sleep(0.1)
        actor = prepared.slot.handle
        actor.host.end = lambda serial: asyncio.sleep(0)  # deaf
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert actor.gone and len(evaluator.finished(prepared)) == 0
        assert len(await evaluator.evaluate(evaluator.prepare(job_of(["good"])))) == 1

    running(evaluator, body)


def test_a_fault_of_the_one_who_hears_reports_is_raised(cluster):
    def report(number, step, values):
        raise ValueError("deaf")

    job = job_of(["good"], report=report)
    evaluator = RayEvaluator(workers=1)

    async def body():
        with pytest.raises(ValueError, match="deaf"):
            await evaluator.evaluate(evaluator.prepare(job))

    running(evaluator, body, target("contextual"))


# --- joining rows, reporting ------------------------------------------------------------------------------------------


def test_outcomes_are_chained():
    first = Outcomes(np.ones((2, 1)), np.full(2, Status.DONE, np.int8), np.ones(2), None, [{"a": 1}, None], {}, "x")
    second = Outcomes.failed(2, 1, "why")
    second.violations = np.array([1.0, 2.0])
    whole = chained(first, second)
    assert len(whole) == 4 and whole.errors == {2: "why", 3: "why"} and whole.worker == "x"
    assert whole.violations.tolist() == [0.0, 0.0, 1.0, 2.0] and whole.components == [{"a": 1}, None, None, None]
    assert chained(Outcomes.failed(0, 1, ""), first) is first


def actor(name, ident, **more):
    told = {"node": ident, "host": f"host{ident}", "pid": 7, "up_s": 10.0, "busy_s": 9.0, "jobs": 3, "rows": 30}
    told |= {"target": "tune.f", "waiting": 1}
    return {"name": name, **told, "running_s": 0.0, "load": 1.0, "cpus": 4, "memory_free": 1 << 30, **more}


def test_a_report_tells_capability_load_tasks_and_health():
    total = {"CPU": 4.0, "GPU": 2.0, "memory": 8.0 * 2**30, "licence": 1.0, "node:10.0.0.1": 1.0}
    nodes = [
        Node("1", "10.0.0.1", "one", True, total, {**total, "CPU": 1.0}),
        Node("2" * 40, "10.0.0.2", "two", False, {}, None, "preempted"),
    ]
    mine = [actor("thalweg-a-0", "1", running_s=12.5), actor("thalweg-a-1", "1", load=9.0)]
    mine += [{"name": "thalweg-a-2", "starting": True}]
    report = ClusterReport("10.0.0.1:6379", nodes, mine)
    assert report.capability("CPU") == (4.0, 1.0) and report.capability("GPU") == (2.0, 2.0)
    text = report.text()
    assert "1 of 2 nodes alive" in text
    assert "thalweg-a tune.f: 60 evaluations done; 1 running (the longest for 12.5 s); jobs behind those: 2" in text
    assert "actors starting or without a place: 1" in text
    line = next(line for line in text.splitlines() if line.startswith("10.0.0.1"))
    assert "3/4" in line and "0/2" in line and "0/8 GiB" in line and "licence 0/1" in line and "90 %" in line
    assert line.split()[-6:] == ["GiB", "2", "1", "60", "90", "%"] and "9.0/4" in line and "1.0 GiB" in line
    assert "! node 10.0.0.2 (22222222) is gone: preempted" in text and "overloaded: load 9.0 on 4" in text
    assert report.to_dict()["troubles"] == report.troubles and report.to_dict()["nodes"][0]["total"] == total


def test_what_is_not_known_is_said_so():
    report = ClusterReport("a:1", [node("1")], [{"name": "thalweg-x-0", "error": "no answer"}])
    assert "?/1" in report.text() and "thalweg-x-0 does not tell: no answer" in report.text()
    assert report.capability("CPU") == (1.0, None)
    assert ClusterReport("a:1", [node("1")], []).text().endswith("healthy")


def test_amounts_are_for_people():
    assert amounts({"CPU": 1.0, "memory": 2.0**31}) == "1 CPU, 2 GiB memory" and amounts({}) == "nothing"


# --- an objective of a module that only this process knows -----------------------------------------------------------


def test_what_cannot_be_imported_there_is_sent_by_value(cluster):
    import sys
    import types

    made = types.ModuleType("made_here_for_ray")
    exec("def objective(params):\n    return params['x'] + 1.0", made.__dict__)
    sys.modules["made_here_for_ray"] = made
    try:
        evaluator = RayEvaluator(workers=1)

        async def body():
            return await evaluator.evaluate(evaluator.prepare(job_of(["good"])))

        outcomes = running(evaluator, body, Target(made.objective, behaviours.problem()))
    finally:
        del sys.modules["made_here_for_ray"]
    assert outcomes.values.tolist() == [[1.001]] and str(os.getpid()) not in outcomes.worker
    assert cluster.started == 2


def test_what_cannot_be_sent_at_all_is_an_error(cluster):
    import threading

    lock = threading.Lock()
    with pytest.raises(EvaluatorError, match="cannot be sent"):
        RayEvaluator(workers=1).open(Target(lambda params: lock and 1.0, behaviours.problem()))


def test_jobs_of_more_rows_than_a_worker_takes(cluster):
    (outcomes,) = evaluated(RayEvaluator(workers=1), [job_of(["good"] * 300)])
    assert len(outcomes) == 256


def test_the_job_is_what_was_prepared(cluster):
    evaluator = RayEvaluator(workers=1)

    async def body():
        prepared = evaluator.prepare(job_of(["good"] * 2))
        assert isinstance(prepared.job, Job) and len(evaluator.finished(prepared)) == 0

    running(evaluator, body)
