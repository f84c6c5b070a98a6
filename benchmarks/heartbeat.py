"""How late a heartbeat comes in an event loop that is shared with a search: milliseconds beyond its 5 ms.

    python benchmarks/heartbeat.py [--evaluations 60] [--here]

The objective waits 10 ms and computes nothing. Every search runs in a process of its own, so that what a strategy loads
is in its figures. `--here`: the strategy thinks on the loop's own thread, as everything did before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import _timing  # isort: skip  # noqa: F401 (before NumPy: it pins BLAS threads)
import numpy as np

BEAT_S, CALL_S = 0.005, 0.01
CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "random": {"strategy": "random"},
    "cmaes": {"strategy": "cmaes"},
    "tpe": {"strategy": "tpe"},
    "quadratic": {"strategy": "quadratic"},
    "auto": {"strategy": "auto"},
    "bayesian": {"strategy": "bayesian"},
    "two objectives": {"strategy": "bayesian_pareto", "objectives": {"a": "minimize", "b": "minimize"}},
}


def objective(several: bool) -> Callable[[dict[str, float]], Any]:
    """A valley of five parameters, or the distances to two points."""

    async def valley(p: dict[str, float]) -> Any:
        await asyncio.sleep(CALL_S)
        x = np.array(list(p.values()))
        if several:
            return float(((x - 1) ** 2).sum()), float(((x + 1) ** 2).sum())
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    return valley


async def measured(case: dict[str, Any], evaluations: int) -> dict[str, float]:
    """Beats, their lateness in ms (99th of a hundred, worst), and the seconds of the search."""
    import thalweg as tw

    late: list[float] = []

    async def heart() -> None:
        while True:
            due = perf_counter() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late.append(perf_counter() - due)

    beating = asyncio.ensure_future(heart())
    began = perf_counter()
    if case:
        several = "objectives" in case
        space = {f"x{i}": (-5.0, 5.0) for i in range(5)}
        await tw.aminimize(objective(several), space, max_evals=evaluations, workers=1, seed=1, progress=False, **case)
    else:
        await asyncio.sleep(evaluations * CALL_S)
    spent = perf_counter() - began
    beating.cancel()
    ms = 1e3 * np.array(late)
    return {
        "beats": len(ms), "late": float((ms > BEAT_S * 1e3).sum()), "p99": float(np.quantile(ms, 0.99)),
        "worst": float(ms.max()), "seconds": spent,
    }  # fmt: skip


def child(name: str, evaluations: int, here: bool) -> None:
    """Measure one case; a line of JSON."""
    if here:
        from thalweg.engine.thinking import Thinking

        Thinking.away = property(lambda self: False)  # type: ignore[assignment,method-assign]
    print(json.dumps(asyncio.run(measured(CASES[name], evaluations))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case")
    given = parser.parse_args()
    if given.case:
        child(given.case, given.evaluations, given.here)
        return
    print("| a search beside the heartbeat | beats | late by 5 ms and more | p99, ms | worst, ms | search, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in CASES:
        command = [sys.executable, __file__, "--case", name, "--evaluations", str(given.evaluations)]
        command += ["--here"] if given.here else []
        rounds = []
        for _ in range(given.rounds):
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rounds.append(json.loads(out))
        best = min(rounds, key=lambda one: one["worst"])  # the machine's other work is in all of them
        print(
            f"| {name} | {best['beats']} | {best['late']:.0f} | {best['p99']:.1f} | {best['worst']:.1f} | "
            f"{best['seconds']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
