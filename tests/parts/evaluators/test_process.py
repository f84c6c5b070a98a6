import asyncio
import dataclasses
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from typing import Annotated

import numpy as np
import psutil
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError
from thalweg.core.evaluator import Job
from thalweg.core.parameter import Float
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators import _tree
from thalweg.parts.evaluators._chunks import ChunkSize
from thalweg.parts.evaluators.process import Process
from thalweg.testing import _behaviours as behaviours
from thalweg.testing.evaluator_suite import job_of, part

SPACE = Space({"x": (0.0, 1.0)})


def jobs(count, first=0, **options):
    reals = (np.arange(first, first + count, dtype=float)[:, None] + 1) / 1000
    return Job(np.arange(first, first + count), reals, **options)


def run(function, body, problem=None, **options):
    """Open, `await body(evaluator)`, close; nothing may be left."""

    async def main():
        evaluator = Process(**{"workers": 1, **options})
        try:
            evaluator.open(Target(function, problem or Problem(SPACE)))
            return await body(evaluator)
        finally:
            await evaluator.aclose()

    before = set(psutil.Process().children(recursive=True))  # of other tests: Python's own tracker of resources
    try:
        return asyncio.run(main())
    finally:
        assert set(psutil.Process().children(recursive=True)) <= before


def values(function, count=3, **options):
    async def body(evaluator):
        outcomes = await evaluator.evaluate(evaluator.prepare(jobs(count)))
        assert not outcomes.errors
        return outcomes.values[:, 0].tolist()

    return run(function, body, **options)


class Scaled:
    def __init__(self, by):
        self.by = by

    def method(self, params):
        return self.by * params["x"]

    def __call__(self, params):
        return self.method(params)


def test_what_has_no_import_path_travels_too():
    by = 2.0

    def closure(params):
        return by * params["x"]

    for function in (closure, lambda params: by * params["x"], Scaled(2.0).method, Scaled(2.0)):
        assert values(function) == [0.002, 0.004, 0.006]


def test_errors_of_one_job_are_not_those_of_the_next():
    def objective(params):
        if params["x"] in (0.001, 0.003):
            raise ValueError("on purpose")
        return params["x"]

    async def body(evaluator):
        return [await evaluator.evaluate(evaluator.prepare(jobs(count, first))) for count, first in ((1, 0), (2, 1))]

    first, second = run(objective, body)
    assert set(first.errors) == {0} and set(second.errors) == {1}


def test_a_module_made_at_run_time_is_sent_by_value():
    module = types.ModuleType("made_at_run_time")
    exec(
        "half = 0.5\ndef f(params):\n    return helper(params)\ndef helper(p):\n    return half * p['x']",
        module.__dict__,
    )
    sys.modules["made_at_run_time"] = module
    try:
        assert values(module.f) == [0.0005, 0.001, 0.0015]
    finally:
        del sys.modules["made_at_run_time"]


def test_an_unpicklable_objective_is_refused_with_the_reason():
    lock = threading.Lock()

    def locked(params):
        with lock:
            return 1.0

    with pytest.raises(EvaluatorError, match=r"cannot pickle '_thread.lock'.*inside the function"):
        values(locked)


def test_an_interpreter_that_cannot_start_is_told_at_once(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(EvaluatorError, match=r"its? supervisor|the supervisor") as caught:
        values(pid_of)
    assert "exit code 127" in str(caught.value) and str(broken) in str(caught.value)


class Explosive:
    def __reduce__(self):
        return _explode, ()

    def __call__(self, params):
        return 0.0


def _explode():
    raise ValueError("boom while loading")


class Deadly(Explosive):
    def __reduce__(self):
        return os._exit, (5,)


def test_an_objective_that_cannot_be_loaded_is_refused():
    with pytest.raises(EvaluatorError, match="boom while loading"):
        values(Explosive())
    with pytest.raises(EvaluatorError, match="exited with code 5"):
        values(Deadly())


class Moody:
    """Loads while there is no flag; then it raises, or ends the process."""

    def __init__(self, flag, deadly):
        self.flag, self.deadly = flag, deadly

    def __setstate__(self, state):
        self.__dict__.update(state)
        if os.path.exists(self.flag):
            if self.deadly:
                os._exit(5)
            raise ValueError("moody")

    def __call__(self, params):
        return float(os.getpid())


@pytest.mark.parametrize(("deadly", "message"), [(True, "3 times in a row .*code 5"), (False, "cannot load.*moody")])
def test_workers_that_cannot_start_any_more_end_the_run(tmp_path, deadly, message):
    async def body(evaluator):
        first = await one(evaluator)
        (tmp_path / "flag").touch()
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EvaluatorError, match=message):
            await one(evaluator)

    run(Moody(str(tmp_path / "flag"), deadly), body)


def test_an_async_def_keeps_one_loop_in_its_worker():
    async def remember(params):
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.count = getattr(loop, "count", 0) + 1
        return float(loop.count)

    assert values(remember) == [1.0, 2.0, 3.0]


def test_one_crash_in_100_leaves_99():
    what = ["good"] * 100
    what[42] = "_exit"

    async def body(evaluator):
        statuses = []
        while len(statuses) < 100:
            job = job_of(what[len(statuses) :], len(statuses))
            outcomes = await evaluator.evaluate(evaluator.prepare(job))
            assert outcomes.values[outcomes.statuses == Status.DONE, 0].size >= len(outcomes) - 1
            statuses += outcomes.statuses.tolist()
        return statuses

    statuses = run(behaviours.behave, body, problem=behaviours.problem())
    assert statuses.count(Status.DONE) == 99 and statuses[42] == Status.FAILED


def test_rows_finished_before_a_cancellation_are_kept():
    async def body(evaluator):
        sent = evaluator.prepare(job_of(["good", "raise", "good", "hang", "good"]))
        task = asyncio.ensure_future(evaluator.evaluate(sent))
        while len(evaluator.finished(sent)) < 3:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)
        assert evaluator.running_s(sent) > 0.0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        kept = evaluator.finished(sent)
        assert kept.statuses.tolist() == [Status.DONE, Status.FAILED, Status.DONE]
        assert kept.values[[0, 2], 0].tolist() == [0.001, 0.003] and list(kept.errors) == [1]
        assert evaluator.running_s(sent) == 0.0

    run(behaviours.behave, body, problem=behaviours.problem())


def test_a_hang_is_killed_at_the_deadline():
    async def body(evaluator):
        sent = evaluator.prepare(job_of(["spin"]))
        await evaluator.ready(sent)
        began = time.perf_counter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(evaluator.evaluate(sent), 0.1)
        return time.perf_counter() - began

    assert (
        run(behaviours.behave, body, problem=behaviours.problem()) < 20.0
    )  # measured: 0.11 s; a bound for busy machines


def test_a_hang_before_the_first_row_is_seen():
    @dataclasses.dataclass
    class Params:
        x: Annotated[float, Float(0, 1)]

        def __post_init__(self):
            time.sleep(600)

    async def body(evaluator):
        sent = evaluator.prepare(jobs(3))
        await evaluator.ready(sent)
        task = asyncio.ensure_future(evaluator.evaluate(sent))
        await asyncio.sleep(0.05)
        assert not task.done(), task.exception()
        assert evaluator.running_s(sent) >= 0.02 and not len(evaluator.finished(sent))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(lambda params: params.x, body, problem=Problem(Space(Params)))


def test_results_larger_than_the_journal_travel():
    def large(params):
        return {"value": params["x"], "text": "x" * 700_000, "row": round(1000 * params["x"])}

    async def body(evaluator):
        outcomes = await evaluator.evaluate(evaluator.prepare(jobs(5)))
        assert outcomes.values[:, 0].tolist() == [0.001, 0.002, 0.003, 0.004, 0.005]
        assert [item["row"] for item in outcomes.components] == [1, 2, 3, 4, 5]
        assert {len(item["text"]) for item in outcomes.components} == {700_000}

    run(large, body)


def test_jobs_larger_than_a_socket_buffer_travel():
    wide = Space([(0.0, 1.0)] * 3000)
    reals = np.random.default_rng(0).random((300, 3000))

    async def body(evaluator):
        outcomes = await evaluator.evaluate(evaluator.prepare(Job(np.arange(300), reals)))
        assert len(outcomes) == 256  # the loop sends the rest again
        np.testing.assert_array_equal(outcomes.values[:, 0], reals[:256].sum(axis=1))

    run(lambda x: float(x.sum()), body, problem=Problem(wide))


def pid_of(params):
    return float(os.getpid())


async def one(evaluator):
    outcomes = await evaluator.evaluate(evaluator.prepare(jobs(1)))
    assert not outcomes.errors
    return int(outcomes.values[0, 0])


def test_a_worker_killed_while_idle_costs_nothing():
    async def body(evaluator):
        first = await one(evaluator)
        os.kill(first, signal.SIGKILL)
        assert await one(evaluator) != first

    run(pid_of, body)


def test_a_killed_supervisor_is_replaced():
    async def body(evaluator):
        first = await one(evaluator)
        os.kill(evaluator._supervisor.pid, signal.SIGKILL)
        _until(lambda: not psutil.pid_exists(first))  # its workers die with it
        assert await one(evaluator) != first

    run(pid_of, body)


def test_it_works_on_one_loop_after_another():
    evaluator = Process(workers=1)
    evaluator.open(Target(pid_of, Problem(SPACE)))
    try:
        assert asyncio.run(one(evaluator)) == asyncio.run(one(evaluator))
    finally:
        asyncio.run(evaluator.aclose())


def test_workers_are_set_up():
    def look(params):
        import numpy

        return {
            "value": 0.0,
            "threads": os.environ["OMP_NUM_THREADS"],
            "sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
            "random": [random.random(), float(numpy.random.random())],
            "stdin": sys.stdin.read(),
            "sockets": sum(os.path.realpath(f"/proc/self/fd/{fd}").count("socket:") for fd in range(256)),
        }

    async def body(evaluator):
        both = await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(jobs(1))) for _ in range(2)))
        return [item.components[0] for item in both]

    first, second = run(look, body, workers=2)
    assert first["threads"] == "1" and first["sigint"] is True and first["stdin"] == ""
    assert not set(first["random"]) & set(second["random"])
    for seen in (first, second):
        assert seen["sockets"] == 1, "a worker holds its own channel and no other"
    assert run(look, body, workers=2, blas_threads=3)[0]["threads"] == "3"


def test_a_forking_objective_gives_one_result():
    def forks(params):
        if os.fork() == 0:
            return 99.0  # the child comes back into our frames
        os.wait()
        return 1.0

    assert values(forks) == [1.0, 1.0, 1.0]


def test_loading_counts_before_the_deadline_not_in_it():
    async def body(evaluator):
        hung = asyncio.ensure_future(evaluator.evaluate(evaluator.prepare(job_of(["hang"]))))
        await asyncio.sleep(0.05)
        hung.cancel()
        await asyncio.gather(hung, return_exceptions=True)
        sent = evaluator.prepare(job_of(["good"]))
        await evaluator.ready(sent)
        assert sent.remote.name.startswith("pid ")
        outcomes = await evaluator.evaluate(sent)
        assert outcomes.statuses.tolist() == [Status.DONE] and outcomes.worker.startswith("pid ")

    run(behaviours.behave, body, problem=behaviours.problem())


def test_rows_follow_the_time_of_an_evaluation():
    async def body(evaluator):
        assert evaluator.rows == 1
        await evaluator.evaluate(evaluator.prepare(jobs(20)))
        assert evaluator.rows == 200

    run(pid_of, body, max_rows=200)
    sizes = ChunkSize()
    for mean, rows in ((1.0, 1), (0.02, 1), (0.01, 3), (0.003, 10), (1e-5, 256)):
        sizes.mean_s = mean
        assert sizes.rows == rows
    with pytest.raises(EvaluatorError, match=r"1\.\.256"):
        Process(max_rows=0)


def test_one_part_of_a_job():
    sliced = part(job_of(["good"] * 4), slice(1, 3))
    assert sliced.numbers.tolist() == [1, 2] and sliced.seeds.tolist() == [7, 14]


PARENT = """
    import asyncio, os, sys, threading, time
    from thalweg.core.problem import Problem
    from thalweg.core.target import Target
    from thalweg.parts.evaluators.process import Process
    from thalweg.testing import _behaviours as behaviours
    from thalweg.testing.evaluator_suite import job_of

    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

    def twice(params):                 # lives in __main__
        print("from the worker", flush=False)
        return behaviours.behave(params)

    async def main():
        evaluator = Process(workers=3)
        evaluator.open(Target(twice, behaviours.problem()))
        print(*(await evaluator.evaluate(evaluator.prepare(job_of(["good"])))).values[0], flush=True)
        tasks = [asyncio.ensure_future(evaluator.evaluate(evaluator.prepare(job_of([w])))) for w in ("spin", "brood")]
        await asyncio.sleep(600)

    asyncio.run(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_killed_parent(ending):
    marker = f"mark{os.getpid()}_{ending}"
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PARENT_MARK": marker},
        text=True,
    )
    try:
        assert {parent.stdout.readline().strip() for _ in range(2)} == {"from the worker", "0.001"}
        _until(lambda: len(_marked(marker)) >= 7)  # parent, supervisor, 2 workers, 3 children that hide
        parent.send_signal(ending)
        parent.wait(60)
        _until(lambda: not _marked(marker))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert not _marked(marker)


def _marked(marker):
    wanted = f"PARENT_MARK={marker}".encode()
    found = []
    for pid, entry in _tree.processes().items():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if entry.alive and wanted in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue
    return found


def _until(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
