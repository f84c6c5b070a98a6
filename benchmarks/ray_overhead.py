"""What Ray costs beside the objective: two evaluator actors against two bare processes, in the same run.

    python benchmarks/ray_overhead.py [--repetitions 3] [--seconds 6] [--write]

Needs the extra [ray] and about 1 GB of memory. The evaluations sleep, so two cores that others use as well can tell
what waiting costs; what computing costs is told in CPU time of all processes together. Each evaluation notes when it
began and ended, so the share of a worker's time outside the objective is known without the ends of a run. A bare
process is the least there is: `multiprocessing`, a pipe, the bare function, no study, no store; each repetition has
all contestants in turn, the table the medians. What a coordinator spends is the CPU time
of this process alone, for a whole study in an SQLite file with one evaluation per call: that bounds how many workers
it can feed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import multiprocessing.connection
import os
import struct
import tempfile
import time
from pathlib import Path

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np
import psutil

import thalweg as tw
from thalweg.core.evaluator import Evaluator, Job
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators._ray_request import Request
from thalweg.parts.evaluators.process import Process
from thalweg.parts.evaluators.ray import RayEvaluator, _RayCluster

WORKERS = 2
IDLE_S = 2.0
LENGTHS_S = (0.003, 0.03, 0.1, 0.3)


NOTE = "dd"


def sleeping(params):
    began = time.monotonic()
    time.sleep(params["s"])
    note = struct.pack(NOTE, began, time.monotonic())
    with open(f"{params['folder']}/{os.getpid()}", "ab", buffering=0) as file:
        file.write(note)
    return params["x"]


def outside(folder: str, since: float) -> float:
    """Share of their time that workers were not in the objective, from the first evaluation to the beginning of the
    last one of each, `since` a moment of `time.monotonic()`."""
    inside = whole = 0.0
    for file in Path(folder).iterdir():
        rows = [row for row in struct.iter_unpack(NOTE, file.read_bytes()) if row[0] >= since]
        if len(rows) > 1:
            inside += sum(ended - began for began, ended in rows[:-1])
            whole += rows[-1][0] - rows[0][0]
    return 1.0 - inside / whole


def bare_worker(pipe):
    while (given := pipe.recv()) is not None:
        pipe.send(sleeping(given))


def bare(seconds: float, count: int, folder: str) -> float:
    """The share outside the objective of `count` evaluations in two processes, fed one at a time."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(WORKERS)]
    workers = [context.Process(target=bare_worker, args=(theirs,)) for _, theirs in ends]
    for worker in workers:
        worker.start()
    pipes = [mine for mine, _ in ends]
    for pipe in pipes:  # they have started
        pipe.send({"s": 0.0, "x": 0.0, "folder": folder})
        pipe.recv()
    since = time.monotonic()
    sent = done = 0
    for pipe in pipes:
        pipe.send({"s": seconds, "x": 1.0, "folder": folder})
        sent += 1
    while done < count:
        for pipe in multiprocessing.connection.wait(pipes):
            pipe.recv()
            done += 1
            if sent < count:
                pipe.send({"s": seconds, "x": 1.0, "folder": folder})
                sent += 1
    for pipe, worker in zip(pipes, workers, strict=True):
        pipe.send(None)
        worker.join()
    return outside(folder, since)


def space(seconds: float, folder: str) -> Space:
    return Space({"x": tw.Float(0.0, 1.0), "s": tw.Fixed(seconds), "folder": tw.Fixed(folder)})


async def drained(evaluator: Evaluator, over: Space, count: int) -> float:
    """Wall seconds of `count` evaluations by an open evaluator, jobs as large as it wants them."""
    numbers = iter(range(count))
    most = evaluator.slots + evaluator.ahead

    async def slot() -> None:
        while rows := list(itertools.islice(numbers, min(evaluator.rows, max(1, left() // most)))):
            reals = over.from_params([{"x": 0.5}] * len(rows))
            prepared = evaluator.prepare(Job(np.array(rows, dtype=np.int64), reals))
            await evaluator.ready(prepared)
            outcomes = await evaluator.evaluate(prepared)
            assert len(outcomes) == len(rows)
            done[0] += len(rows)

    def left() -> int:
        return count - done[0]

    done = [0]
    before = time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(most)))
    return time.perf_counter() - before


def cpu() -> dict[int, float]:
    """CPU seconds of this process and of all below it."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = {}
    for process in family:
        try:
            used = process.cpu_times()
            found[process.pid] = used.user + used.system
        except psutil.Error:
            continue
    return found


async def evaluated(evaluator: Evaluator, seconds: float, count: int, folder: str) -> tuple[float, float, float]:
    """(wall seconds of `count` evaluations, CPU seconds of all processes meanwhile, CPU seconds per idle second)."""
    over = space(seconds, folder)
    evaluator.open(Target(sleeping, Problem(over)))
    try:
        for _ in range(2):  # all actors are there, and the rows of a job are settled
            await drained(evaluator, over, 2 * WORKERS)
            await asyncio.sleep(0.7)
        await drained(evaluator, over, 4 * WORKERS * evaluator.rows)
        calm = cpu()
        await asyncio.sleep(IDLE_S)
        before = cpu()
        wall = await drained(evaluator, over, count)
        after = cpu()
        idle = sum(used - calm.get(pid, 0.0) for pid, used in before.items()) / IDLE_S
        used = sum(used - before.get(pid, 0.0) for pid, used in after.items())
        return wall, used, idle
    finally:
        await evaluator.aclose()


def in_a_study(evaluator: Evaluator, seconds: float, count: int) -> float:
    """The share outside the objective in a study with an SQLite store; its beginning, when workers start and times are
    not known, left out."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        notes.mkdir()
        moments = []

        def note(event):
            if event.kind == "finished":
                moments.append(time.monotonic())

        study = tw.Study(space(seconds, str(notes)), store=f"sqlite:///{folder}/s.db", strategy="random", seed=0,
                         listeners=[note])  # fmt: skip
        study.run(sleeping, max_evals=count, evaluator=evaluator, progress=False)
        return outside(str(notes), moments[len(moments) // 4])


def measure(seconds: float, length_s: float, repetitions: int) -> list[str]:
    count = max(40, int(WORKERS * length_s / seconds)) // WORKERS * WORKERS
    found = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            alone = bare(seconds, count, folder)
        with tempfile.TemporaryDirectory() as folder:
            wall, used, rest = asyncio.run(evaluated(RayEvaluator(workers=WORKERS), seconds, count, folder))
        ray = in_a_study(RayEvaluator(workers=WORKERS), seconds, count)
        process = in_a_study(Process(workers=WORKERS), seconds, count)
        found.append((ray, alone, process, (used - rest * wall) / count, rest))
    ray, alone, process, spent, rest = (_timing.median(column) for column in zip(*found, strict=True))
    return [
        f"{seconds * 1e3:g} ms", str(count), f"{100 * ray:.2f} %", f"{100 * alone:.2f} %", f"{100 * process:.2f} %",
        f"{spent * 1e3:.2f} ms" if spent > 0 else "-", f"{100 * rest:.1f} %",
    ]  # fmt: skip


def at_once(params):
    return params["x"] ** 2


def coordinator(count: int) -> tuple[float, float]:
    """(CPU seconds of this process per trial, MB of memory that only one actor and its worker use)."""
    weights: list[float] = []

    def weigh(event):
        if event.kind == "finished" and not weights:
            weights.append(weight())

    with tempfile.TemporaryDirectory() as folder:
        study = tw.Study(
            {"x": (-1.0, 1.0)}, store=f"sqlite:///{folder}/s.db", strategy="random", seed=0, listeners=[weigh]
        )
        before = time.process_time()
        study.run(at_once, max_evals=count, evaluator=RayEvaluator(workers=WORKERS, max_rows=1), progress=False)
        return (time.process_time() - before) / count, weights[0]


def weight() -> float:
    hosts = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::Host")]
    one = hosts[0]
    return sum(p.memory_full_info().uss for p in [one, *one.children(recursive=True)]) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each contestant's turn")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/ray.md")
    given = parser.parse_args()
    cluster = _RayCluster({})
    cluster.connect(None, Request(), WORKERS)
    try:
        each, megabytes = min(coordinator(1000) for _ in range(given.repetitions))
        rows = [measure(seconds, given.seconds, given.repetitions) for seconds in LENGTHS_S]
    finally:
        cluster.close()
    header = ["one evaluation", "evaluations", "outside it: Ray", "bare", "`process`", "CPU beside", "a core, idle"]
    text = f"""# What Ray costs

Two evaluator actors on Ray, two workers of `evaluator="process"` and two bare processes evaluate the same sleeping
objective: the share of a worker's time outside the objective (Ray and `process` in a study with an SQLite store; the
bare ones have none), and the CPU time of all processes together (this one, Ray's own, the workers') for each
evaluation, beyond what they use while nothing runs ("a core, idle"; where others use the cores as well the difference
drowns: "-").

{_timing.table(header, rows)}

A coordinator that sends one evaluation per call and keeps an SQLite store spends {each * 1e3:.2f} ms of CPU time on
each trial (least of {given.repetitions} runs of 1000). An actor with its worker holds {megabytes:.0f} MB of its own.

`python benchmarks/ray_overhead.py --repetitions {given.repetitions} --seconds {given.seconds:g} --write`;
{_timing.where("ray", "numpy")}"""
    _timing.publish("ray.md", text, given.write)


if __name__ == "__main__":
    main()
