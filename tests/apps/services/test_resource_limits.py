"""ResourceOptimizer: limits are real, a workload killed at its limit is a failed trial, and the least is found."""

import asyncio
import os
import sys

import pytest

from thalweg.apps.services.resources import ResourceOptimizer, Run, run_limited
from thalweg.core.errors import EvaluatorError, ProblemError
from thalweg.core.parameter import Integer

PYTHON = [sys.executable, "-I", "-S", "-c"]
NEEDS_200 = [*PYTHON, "held = bytearray(200 * 2**20); print(len(held))"]


def test_memory_is_limited():
    done = asyncio.run(run_limited(NEEDS_200, 500, 1))
    assert done.output == b"209715200\n" and done.seconds > 0
    with pytest.raises(EvaluatorError, match=r"within 100 MiB.*MemoryError"):
        asyncio.run(run_limited(NEEDS_200, 100, 1))


def test_cores_are_limited_and_this_process_is_not():
    before = os.sched_getaffinity(0)
    done = asyncio.run(run_limited([*PYTHON, "import os; print(len(os.sched_getaffinity(0)))"], 200, 1))
    assert done.output == b"1\n" and os.sched_getaffinity(0) == before


def test_peaks_are_seen():
    held = [*PYTHON, "import time; held = bytearray(150 * 2**20); time.sleep(0.3)"]
    assert asyncio.run(run_limited(held, 400, 1)).peak > 150 * 2**20


def test_what_hangs_is_killed_with_its_children():
    hang = [*PYTHON, "import os, time; os.fork(); print(os.getpid(), flush=True); time.sleep(600)"]
    with pytest.raises(TimeoutError):
        asyncio.run(run_limited(hang, 300, 1, timeout=0.5))


def test_the_least_memory_is_found():
    async def main():
        space = {"memory_limit": Integer(50, 1000), "cpu_limit": Integer(1, 2)}
        optimizer = ResourceOptimizer(NEEDS_200, space, price=lambda params, run: params["memory_limit"])
        return await optimizer.optimize_resources(max_evals=14, seed=0)

    result = asyncio.run(main())
    failed = [trial for trial in result.trials if not trial.ok]
    assert result.evaluations == 14
    assert all(trial.params["memory_limit"] < 300 and "MemoryError" in trial.error for trial in failed)
    assert 200 < result.params["memory_limit"] < 500


def test_the_helpers_by_themselves():
    async def main():
        optimizer = ResourceOptimizer(lambda params: [*PYTHON, f"print({params['cpu_limit']})"])
        await optimizer.configure_limits({"memory_limit": 300, "cpu_limit": 1})
        return optimizer.limits, await optimizer.run_workload()

    limits, run = asyncio.run(main())
    assert limits == {"memory_limit": 300, "cpu_limit": 1} and isinstance(run, Run) and run.output == b"1\n"
    with pytest.raises(ProblemError, match="it lacks cpu_limit"):
        ResourceOptimizer(["true"], {"memory_limit": Integer(1, 9)})
    with pytest.raises(ProblemError, match="MiB >= 1"):
        asyncio.run(run_limited(["true"], 0, 1))
