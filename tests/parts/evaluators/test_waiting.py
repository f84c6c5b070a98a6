"""Thread and Coroutine: evaluations that wait run at the same time."""

import asyncio
import threading

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.evaluator import Job
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.coroutine import Coroutine
from thalweg.parts.evaluators.thread import Thread

SPACE = Space({"x": (0.0, 1.0)})


def job(number, rows=1):
    return Job(np.arange(number, number + rows), np.full((rows, 1), 0.5))


def run(evaluator, function, body):
    async def main():
        evaluator.open(Target(function, Problem(SPACE)))
        try:
            return await body()
        finally:
            await evaluator.aclose()

    return asyncio.run(main())


def test_threads_really_run_at_the_same_time():
    together = threading.Barrier(4)
    evaluator = Thread(workers=4)

    def meet(params):
        together.wait(30)  # passes only when four are here
        return 1.0

    async def body():
        done = await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job(i))) for i in range(4)))
        return {item.worker for item in done}, [item.statuses[0] for item in done]

    workers, statuses = run(evaluator, meet, body)
    assert len(workers) == 4 and statuses == [Status.DONE] * 4


def test_a_dropped_job_of_a_thread_ends_after_its_row():
    evaluator, calls = Thread(workers=1), []
    inside, go_on = threading.Event(), threading.Event()

    def slow(params):
        calls.append(1)
        inside.set()
        go_on.wait(30)
        return 1.0

    async def body():
        task = asyncio.ensure_future(evaluator.evaluate(evaluator.prepare(job(0, rows=5))))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        go_on.set()

    run(evaluator, slow, body)
    assert len(calls) == 1


def test_coroutines_really_run_at_the_same_time():
    evaluator = Coroutine(workers=64)
    here = []

    async def meet(params):
        here.append(1)
        while len(here) < 64:
            await asyncio.sleep(0)
        return 1.0

    async def body():
        done = await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job(i))) for i in range(64)))
        return [item.statuses[0] for item in done]

    assert evaluator.slots == 64 and run(evaluator, meet, body) == [Status.DONE] * 64


def test_an_objective_that_cancels_itself_has_failed():
    evaluator = Coroutine()

    async def gives_up(params):
        raise asyncio.CancelledError("enough")

    async def body():
        return await evaluator.evaluate(evaluator.prepare(job(0)))

    outcomes = run(evaluator, gives_up, body)
    assert outcomes.statuses.tolist() == [Status.FAILED] and "CancelledError" in outcomes.errors[0]


def test_cancellation_runs_the_objectives_own_clean_up():
    evaluator, closed = Coroutine(), []

    async def holds(params):
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(1)

    async def body():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(evaluator.evaluate(evaluator.prepare(job(0))), 0.01)

    run(evaluator, holds, body)
    assert closed == [1]
