"""Command-line programs: what tuning finds, against the vendors' own settings measured in the same run.

    python benchmarks/programs.py zpaq [--seeds 5] [--budget 150]     needs zpaq; bytes and CPU against `zpaq -m5`
    python benchmarks/programs.py 7zz  [--seeds 1]                    needs 7zz; four methods, conditional parameters
    python benchmarks/programs.py ppmd [--seeds 5]                    needs pyppmd; against the exhaustive optimum
    python benchmarks/programs.py overhead                            CPU per trial above subprocess.run of `true`

The corpus is the first 400,000 bytes of the standard library's modules.
"""

from __future__ import annotations

import argparse
import asyncio
import filecmp
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.apps.programs import compressor, spec
from thalweg.apps.programs.command import Command
from thalweg.apps.programs.demo import text
from thalweg.apps.programs.job import TuningJob
from thalweg.apps.programs.outcome import Outcome
from thalweg.core.evaluator import Job
from thalweg.core.parameter import Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.command import CommandEvaluator

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def tuned(example: str, seed: int, **changes: Any) -> Outcome:
    settings = spec.load(EXAMPLES / f"{example}.toml")
    settings.update(seed=seed, store="memory", name=f"{example}-{seed}", **changes)
    return TuningJob.of({key: item for key, item in settings.items() if item is not None}).run()


def course(outcome: Outcome) -> str:
    """Best value so far, as a share of the first preset's, after 10, 20, 40, ... evaluations."""
    base, best, seen = outcome.trials[0].values[0], float("inf"), []
    for trial in outcome.trials:
        best = min(best, trial.values[0] if trial.ok else best)
        seen.append(best / base)
    return "  ".join(f"{n}:{seen[n - 1]:.4f}" for n in (10, 20, 40, 60, 80, 100, 150) if n <= len(seen))


def duplicates(outcome: Outcome) -> int:
    keys = {json.dumps(trial.params, sort_keys=True) for trial in outcome.trials}
    return len(outcome.trials) - len(keys)


def cpu_of(argv: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def packed(argv: list[str], name: str) -> tuple[float, int]:
    Path(name).unlink(missing_ok=True)
    seconds = cpu_of(argv)
    return seconds, Path(name).stat().st_size


def zpaq(seeds: list[int], budget: int) -> None:
    for seed in seeds:
        began = time.perf_counter()
        # only the winner's round trip is verified here: that halves the time
        outcome = tuned("zpaq", seed, budget=budget, verify=None)
        assert outcome.best is not None
        winner = shlex.split(outcome.job.command.line(outcome.best.params, "tuned.zpaq"))
        vendor = ["zpaq", "a", "vendor.zpaq", "corpus.txt", "-t1", "-m5"]
        pairs = [(packed(vendor, "vendor.zpaq"), packed(winner, "tuned.zpaq")) for _ in range(5)]
        (_, plain), (_, ours) = pairs[0]
        cpu = min(b[0] for _, b in pairs) / min(a[0] for a, _ in pairs)
        Path("back.txt").unlink(missing_ok=True)
        subprocess.run(["zpaq", "x", "tuned.zpaq", "corpus.txt", "-to", "back.txt"], check=True, capture_output=True)
        same = filecmp.cmp("corpus.txt", "back.txt", shallow=False)
        print(
            f"zpaq seed {seed}: {ours} / {plain} bytes of -m5 = {ours / plain:.4f}, cpu {cpu:.2f} x, round trip "
            f"{'ok' if same else 'BROKEN'}, {len(outcome.trials)} evaluations, {duplicates(outcome)} twice, "
            f"{time.perf_counter() - began:.0f} s\n  {course(outcome)}\n  {shlex.join(winner)}",
            flush=True,
        )


def seven(seeds: list[int], budget: int) -> None:
    for seed in seeds:
        outcome = tuned("7zz", seed, budget=budget)
        print(f"7zz seed {seed}: {duplicates(outcome)} twice\n{outcome.text()}", flush=True)


def ppmd(seeds: list[int], budget: int) -> None:
    call = [sys.executable, "-I", str(Path(compressor.__file__)), "ppmd"]
    data = Path("corpus.txt").read_bytes()
    table = {}
    for order in range(2, 33):
        for mem in range(16, 25, 2):
            made = compressor._pack_ppmd(data, {"order": order, "mem": mem, "variant": "H"})
            # pyppmd 1.3.1 does not unpack all of what it packs; such points fail their verification
            table[order, mem] = len(made) if compressor._unpack("ppmd", made) == data else None
    least = min(size for size in table.values() if size is not None)
    broken = [point for point, size in table.items() if size is None]
    print(f"exhaustive: {least} bytes, {len(table)} points, {len(broken)} of them broken: {broken}")
    for seed in seeds:
        outcome = tuned(
            "ppmd", seed, budget=budget, verify=[*call, "unpack", "{out}", "{back}"],
            command=[*call, "pack", "corpus.txt", "{out}", "--order={order}", "--mem={mem}"],
        )  # fmt: skip
        for trial in outcome.trials:
            expected = table[trial.params["order"], trial.params["mem"]]
            assert trial.values[0] == expected if trial.ok else expected is None, trial
        first = next((i + 1 for i, t in enumerate(outcome.trials) if t.values[0] <= 1.001 * least), None)
        assert outcome.best is not None
        print(
            f"ppmd seed {seed}: {outcome.best.values[0]:.0f} bytes (+{outcome.best.values[0] / least - 1:.3%}), within "
            f"0.1 % after {first} of {len(outcome.trials)} evaluations, {duplicates(outcome)} twice",
            flush=True,
        )


def overhead(count: int = 500) -> None:
    def used() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(item.ru_utime + item.ru_stime for item in both)

    target = Target(Command(["true", "{x}"], value="cpu"), Problem(Space({"x": Integer(0, 9)})))

    async def trials() -> None:
        evaluator = CommandEvaluator()
        evaluator.open(target)
        for number in range(count):
            await evaluator.evaluate(Job(np.array([number]), np.array([[float(number % 10)]])))
        await evaluator.aclose()

    best = [float("inf"), float("inf")]
    for _ in range(3):  # in turns, the least of three: other work on the machine only ever adds
        before = used()
        for number in range(count):
            subprocess.run(["true", str(number % 10)], check=True)
        between = used()
        asyncio.run(trials())
        best = [min(best[0], between - before), min(best[1], used() - between)]
    plain, ours = (item / count * 1e3 for item in best)
    print(f"overhead: {ours:.2f} ms CPU per trial, subprocess.run {plain:.2f} ms, above it {ours - plain:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["zpaq", "7zz", "ppmd", "overhead"])
    parser.add_argument("--seeds", default="5", help="a number of seeds, or 'seed,seed,...'")
    parser.add_argument("--budget", type=int)
    given = parser.parse_args()
    seeds = (
        [int(item) for item in given.seeds.split(",") if item] if "," in given.seeds else list(range(int(given.seeds)))
    )
    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
        os.chdir(folder)
        Path("corpus.txt").write_bytes(text(400_000))
        if given.what == "overhead":
            overhead()
        else:
            run, budget = {"zpaq": (zpaq, 150), "7zz": (seven, 80), "ppmd": (ppmd, 25)}[given.what]
            run(seeds, given.budget or budget)


if __name__ == "__main__":
    main()
