"""Runs in processes of their own, with limits: a solver that hangs, dies or eats the memory is a result.

A child is `python -m benchmarks.quality.running` in the environment of the solver's group. It reads one job a line
(JSON) and answers each with one line; it lives on from job to job, so that imports are paid once. Limits:
  limit_s    after so many CPU seconds from its first evaluation on, a solver's next evaluation ends the run ("out of
             time"); a child silent for `PATIENCE` times that (an hour at most) is killed: the run is recorded as such
  memory_gb  of address space, by setrlimit (not for torch, which reserves far more than it uses)
"""

from __future__ import annotations

import json
import os
import queue
import resource
import select
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from .environments import ROOT, python_of
from .solvers import group_of, solver_of
from .tasks import Spent, Task, Watched, open_task

TRACES = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parent.parent / "traces"))
PATIENCE = 30
"""Wall time allowed for a CPU second, on a machine with much else to do."""
RESERVES = ("torch", "hebo")
"""Groups whose libraries reserve address space without using it; no limit of memory for them."""


@dataclass(frozen=True)
class Job:
    """One run: solver, tag of its version, task, evaluations per dimension, seed."""

    solver: str
    tag: str
    task: Task
    budget: int
    seed: int
    limit_s: float = 600.0

    @property
    def path(self) -> Path:
        """Where its trace lies."""
        return folder(self.solver, self.tag, self.budget) / f"{self.task.key}_s{self.seed}.npz"


def folder(solver: str, tag: str, budget: int) -> Path:
    """Where a solver's traces lie. A run depends on its budget, so the budget is part of the name."""
    return TRACES / f"{solver.replace('/', '_')}@{tag}" / f"b{budget}"


def keep(job: Job, problem: Watched | None, error: str) -> str:
    """Write the trace; gives what to say about it ("" where all went well)."""
    job.path.parent.mkdir(parents=True, exist_ok=True)
    part = job.path.with_suffix(f".{os.getpid()}.tmp.npz")
    np.savez_compressed(
        part,
        trace=np.array((problem.trace if problem else None) or np.empty((0, 3))),
        count=problem.count if problem else 0,
        seconds=problem.spent if problem else 0.0,
        error=error,
    )
    part.replace(job.path)
    return f"{job.solver} {job.task.key} s{job.seed}: {error}" if error else ""


def run_one(job: Job) -> str:
    """Run one solver on one task with one seed in this process, and keep its trace; gives what went wrong, or ""."""
    problem = open_task(job.task, job.task.evaluations(job.budget))
    problem.limit_s = job.limit_s
    error = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            solver_of(job.solver)(problem, 1000 * job.task.instance + job.seed)
        except Spent:
            pass
        except Exception as found:
            error = f"{type(found).__name__}: {found}"[:300]
    return keep(job, problem, error or ("out of time" if problem.late else ""))


def serve(source: IO[str], answers: IO[str]) -> None:
    """A child's life: a job a line in, an answer a line out."""
    for line in source:
        given = json.loads(line)
        said = run_one(Job(**{**given, "task": Task(**given["task"])}))
        print(json.dumps(said), file=answers, flush=True)


class Child:
    """A process that runs jobs of one group."""

    def __init__(self, group: str, memory_gb: float) -> None:
        self.group = group
        limit = 0 if group in RESERVES else int(memory_gb * 2**30)
        self._process = subprocess.Popen(
            [python_of(group), "-m", f"{__package__}.running", str(limit)],
            cwd=ROOT,
            env={**os.environ, "THALWEG_TRACES": str(TRACES.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: Job) -> str | None:
        """What the child says of the job; None: the child is gone (its death is recorded)."""
        patience = min(PATIENCE * job.limit_s, 3600) + 60
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(asdict(job)), file=self._process.stdin, flush=True)
            ready = select.select([self._process.stdout], [], [], patience)[0]
            line = self._process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line:
            return str(json.loads(line))
        self.close()
        code = self._process.returncode
        print(keep(job, None, f"died with code {code}" if line == "" else f"killed after {patience:g} s"))
        return None

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def run_all(jobs: Iterable[Job], count: int = 1, memory_gb: float = 4.0) -> list[str]:
    """Run the jobs in `count` children at a time; prints what went wrong, and gives it."""
    waiting: queue.Queue[Job] = queue.Queue()
    for job in jobs:
        python_of(group_of(job.solver))  # a missing environment is said before anything runs
        waiting.put(job)
    problems: list[str] = []

    def work() -> None:
        child: Child | None = None
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            group = group_of(job.solver)
            if child is None or child.group != group:
                if child is not None:
                    child.close()
                child = Child(group, memory_gb)
            said = child.run(job)
            if said is None:
                child = None
                problems.append(job.task.key)
            elif said:
                print(said, flush=True)
                problems.append(said)
        if child is not None:
            child.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def main() -> None:
    """A child: answers go to what was standard output; whatever solvers print goes nowhere."""
    limit = int(sys.argv[1])
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
