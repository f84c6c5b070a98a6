"""Finds how little a workload can live on: limits of memory and CPU under which it still does its work."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ...core.errors import EvaluatorError, ProblemError
from ...core.parameter import Integer
from ...engine.optimize import aminimize
from ...engine.result import Result

MIB = 2**20
SPACE: dict[str, Any] = {"memory_limit": Integer(100, 1000), "cpu_limit": Integer(1, 8)}
"""MiB of address space, and cores."""

_LIMITED = """
import os, resource, sys
memory, cores = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
os.execvp(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workload. seconds: of the clock.  cpu_seconds: of it and its children.  peak: bytes of resident
    memory at most.  output: what it wrote to stdout."""

    seconds: float
    cpu_seconds: float
    peak: int
    output: bytes


async def run_limited(command: Sequence[str], memory_limit: int, cpu_limit: int, timeout: float | None = None) -> Run:
    """Run a program with at most `memory_limit` MiB of addresses (RLIMIT_AS) on at most `cpu_limit` cores (affinity).

    Raises:
        EvaluatorError: it failed, or was killed; the message has the end of its stderr.
        TimeoutError: it took longer than `timeout` seconds, and was killed with what it had started.
    """
    if memory_limit < 1 or cpu_limit < 1:
        raise ProblemError(f"limits: MiB >= 1 and cores >= 1 are expected, got {memory_limit!r}, {cpu_limit!r}")
    words = [sys.executable, "-I", "-S", "-c", _LIMITED, str(memory_limit * MIB), str(cpu_limit), *command]
    began = perf_counter()
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, start_new_session=True)
    peak = _Peak(child.pid)
    try:
        out, err = await asyncio.wait_for(peak.during(child.communicate()), timeout)
    except BaseException:
        _kill_group(child.pid)
        await child.wait()
        raise
    took = perf_counter() - began
    if child.returncode:
        tail = err.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        how = f"was killed by signal {-child.returncode}" if child.returncode < 0 else f"ended with {child.returncode}"
        raise EvaluatorError(f"{command[0]} {how} within {memory_limit} MiB and {cpu_limit} cores: {tail[0][:200]}")
    return Run(took, peak.cpu_seconds, peak.bytes, out)


class _Peak:
    """Looks at a child's high-water mark while it runs: after its end /proc has forgotten it."""

    def __init__(self, pid: int) -> None:
        self._pid, self.bytes, self.cpu_seconds = pid, 0, 0.0

    async def during(self, waiting: Any) -> Any:
        task = asyncio.ensure_future(waiting)
        pause = 0.002
        try:
            while not task.done():
                self._look()
                await asyncio.wait({task}, timeout=pause)
                pause = min(1.5 * pause, 0.1)
            return task.result()
        finally:
            task.cancel()

    def _look(self) -> None:
        try:
            with open(f"/proc/{self._pid}/status") as status:
                lines = dict(line.split(":", 1) for line in status if line.startswith("VmHWM"))
            with open(f"/proc/{self._pid}/stat") as stat:
                words = stat.read().rpartition(")")[2].split()
        except OSError:
            return
        if "VmHWM" in lines:
            self.bytes = max(self.bytes, int(lines["VmHWM"].split()[0]) * 1024)
        self.cpu_seconds = sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _kill_group(pid: int) -> None:
    import signal

    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class ResourceOptimizer:
    """Finds the cheapest limits under which a program still runs well.

    command: the program, or a function of the settings that gives it.  price: of the limits and a run (made small); by
    default the share of the largest limits plus `slowdown` times the seconds. A run that is killed at its limit is a
    failed trial, never a crash of the search.

        result = await ResourceOptimizer(["python", "job.py"]).optimize_resources(max_evals=30)
    """

    def __init__(
        self,
        command: Sequence[str] | Callable[[dict[str, Any]], Sequence[str]],
        space: Mapping[str, Any] | None = None,
        *,
        price: Callable[[dict[str, Any], Run], float] | None = None,
        slowdown: float = 0.1,
        timeout: float | None = None,
        **keywords: Any,
    ) -> None:
        self._command, self.space = command, dict(SPACE if space is None else space)
        if missing := {"memory_limit", "cpu_limit"} - set(self.space):
            raise ProblemError(f"space: it lacks {', '.join(sorted(missing))}")
        self._price, self._slowdown, self._timeout = price, slowdown, timeout
        self._keywords = {"progress": False, "workers": 1, **keywords}
        self.limits: dict[str, Any] = {}

    async def optimize_resources(self, max_evals: int = 30, seed: int | None = None, **keywords: Any) -> Result:
        """Search; one run at a time."""
        chosen = {**self._keywords, **keywords}
        return await aminimize(self._evaluate, self.space, max_evals=max_evals, seed=seed, **chosen)

    async def configure_limits(self, params: Mapping[str, Any]) -> None:
        """Set the limits of the next `run_workload`."""
        self.limits = {"memory_limit": int(params["memory_limit"]), "cpu_limit": int(params["cpu_limit"])}

    async def run_workload(self, params: Mapping[str, Any] | None = None) -> Run:
        """Run the program once within the limits; errors as of `run_limited`."""
        command = self._command(dict(params or self.limits)) if callable(self._command) else self._command
        return await run_limited(list(command), **self.limits, timeout=self._timeout)

    async def _evaluate(self, params: dict[str, Any]) -> dict[str, float] | float:
        await self.configure_limits(params)
        run = await self.run_workload(params)
        if self._price is not None:
            return float(self._price(params, run))
        top = [getattr(self.space[name], "high", None) or self.limits[name] for name in self.limits]
        share = sum(value / most for value, most in zip(self.limits.values(), top, strict=True))
        return float(share + self._slowdown * run.seconds)
