"""The page of several objectives, docs/benchmarks/several-objectives.md, from the traces that are there; its pictures.

    python -m benchmarks.quality.multi_objective report --seeds 0,3

Traces have the tag `now`, BoTorch's `tutorial`.
"""

from __future__ import annotations

import csv
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .environments import ROOT
from .multi_problems import PROBLEMS
from .multi_score import best_volume, trace_of, volumes

PAGE = ROOT / "docs" / "benchmarks" / "several-objectives.md"
TABLE = ROOT / "benchmarks" / "results" / "several-objectives.csv"
OURS = ("tw:bayesian_pareto", "tw:nsga2")
RIVALS = ("optuna_tpe", "optuna_nsga2", "pymoo_nsga2", "pymoo_nsga3", "pymoo_moead", "random")
TOLD = "tw:bayesian_pareto+reference"
SLOW = "botorch@tutorial"
BUDGET, SHORT = 100, 20
"""Evaluations per dimension of the runs, and of BoTorch's, where it is given the time for them."""
ATS = (10, 20, 50, 100)


@dataclass
class Runs:
    """What one solver did: the values and the CPU seconds of every run, by (problem, seed)."""

    values: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    seconds: dict[tuple[str, int], float] = field(default_factory=dict)

    @classmethod
    def of(cls, solver: str, tag: str, budget: int, seeds: list[int]) -> Runs:
        """Those that are kept."""
        runs = cls()
        for name in PROBLEMS:
            for seed in seeds:
                path = trace_of(solver, tag, budget, name, seed)
                if path.exists():
                    data = np.load(path)
                    runs.values[name, seed] = data["values"]
                    runs.seconds[name, seed] = float(data["seconds"])
        return runs

    def share(self, name: str, count: int, seed: int | None = None) -> float:
        """Of the best volume after so many evaluations, the mean of the problem's runs, or that of one seed; NaN where
        there are none.
        """
        runs = [item for (problem, own), item in self.values.items() if problem == name and seed in (None, own)]
        found = [item for item in runs if len(item) >= count]
        return float(np.mean([volumes(item, [count])[0] for item in found])) / best_volume(name) if found else np.nan

    def milliseconds(self, name: str) -> float:
        """CPU time per evaluation, without the objective's."""
        pairs = [(self.seconds[key], len(item)) for key, item in self.values.items() if key[0] == name]
        return 1e3 * sum(pair[0] for pair in pairs) / max(sum(pair[1] for pair in pairs), 1) if pairs else np.nan


def load(seeds: list[int], tag: str) -> dict[str, Runs]:
    """Every solver's runs."""
    found = {solver: Runs.of(solver, tag if solver == OURS[0] else "now", BUDGET, seeds) for solver in OURS}
    return found | {solver: Runs.of(solver, "now", BUDGET, seeds) for solver in RIVALS}


def dimension(name: str) -> int:
    """How many parameters a problem has."""
    return len(PROBLEMS[name]().lower)


def complete(runs: dict[str, Runs]) -> list[str]:
    """The problems of which ours and at least one rival have runs."""
    return [name for name in PROBLEMS if not np.isnan(runs[OURS[0]].share(name, 10 * dimension(name)))]


def final_table(runs: dict[str, Runs], names: list[str]) -> list[str]:
    """Every problem's share at the end, and how ours compares with the best rival."""
    solvers = [*OURS, *RIVALS]
    lines = ["| problem | " + " | ".join(map(_shown, solvers)) + " | ratio | possible |"]
    lines.append("| --- |" + " ---: |" * (len(solvers) + 2))
    for name in names:
        count = BUDGET * dimension(name)
        shares = {solver: runs[solver].share(name, count) for solver in solvers}
        best = np.nanmax([shares[solver] for solver in RIVALS])
        cells = ["" if np.isnan(item) else f"{item:.3f}" for item in shares.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {_ratio(shares[OURS[0]], best)} | {_ratio(1.0, best)} |")
    return lines


def _ratio(ours: float, best: float) -> str:
    return f"{ours / best:.2f}" if best > 1e-3 else ("no rival has any" if ours > 1e-3 else "nobody has any")


def _shown(solver: str) -> str:
    return f"**{solver}**" if solver.startswith("tw:") else solver.partition("@")[0]


def ratio_words(runs: dict[str, Runs], names: list[str]) -> list[str]:
    """One line for each budget: on how many problems ours is so much ahead."""
    lines = []
    for at in ATS:
        pairs = []
        for name in names:
            best = np.nanmax([runs[solver].share(name, at * dimension(name)) for solver in RIVALS])
            pairs.append((runs[OURS[0]].share(name, at * dimension(name)), best))
        ahead = sum(ours >= 1.1 * best and ours > 0 for ours, best in pairs)
        open_ = sum(1.1 * best <= 1.0 for _, best in pairs)
        behind = sum(ours < 0.995 * best for ours, best in pairs)
        ratios = [max(ours, 0.01) / max(best, 0.01) for ours, best in pairs]
        mean = float(np.exp(np.mean(np.log(ratios))))
        lines.append(f"| {at}d | {ahead} | {open_} | {behind} | {mean:.2f} | {float(np.median(ratios)):.2f} |")
    return lines


def slow_table(seeds: list[int], tag: str) -> list[str]:
    """BoTorch beside ours at equal evaluations: as many as it made in its time."""
    theirs, ours = Runs.of(SLOW, "", SHORT, seeds), Runs.of(OURS[0], tag, BUDGET, seeds)
    told = Runs.of(TOLD, tag, SHORT, seeds)
    lines = []
    for name, seed in theirs.values:
        count, d = len(theirs.values[name, seed]), dimension(name)
        if (name, seed) not in ours.values:
            continue
        costs = [1e3 * run.seconds[name, seed] / len(run.values[name, seed]) for run in (theirs, ours)]
        for evaluations in sorted({min(10 * d, count), count}):
            cells = [f"{run.share(name, evaluations, seed):.3f}" if (name, seed) in run.values else ""
                     for run in (theirs, ours, told)]  # fmt: skip
            lines.append(
                f"| {name} | {evaluations} ({evaluations / d:.1f}d) | " + " | ".join(cells)
                + f" | {costs[0]:.0f} | {costs[1]:.0f} | {costs[0] / costs[1]:.0f} |"
            )  # fmt: skip
    return lines


def costs_table(runs: dict[str, Runs], names: list[str]) -> list[str]:
    """CPU milliseconds per evaluation, by the number of objectives."""
    lines = ["| objectives | " + " | ".join(map(_shown, runs)) + " |", "| --- |" + " ---: |" * len(runs)]
    for m in (2, 3, 4):
        those = [name for name in names if PROBLEMS[name]().objectives == m]
        if those:
            cells = [np.nanmean([item.milliseconds(name) for name in those] or [np.nan]) for item in runs.values()]
            lines.append(f"| {m} | " + " | ".join("" if np.isnan(cell) else f"{cell:.3g}" for cell in cells) + " |")
    return lines


def versions() -> str:
    """The packages' versions and the machine."""

    def one(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return ""

    found = filter(None, map(one, ("thalweg", "numpy", "scipy", "optuna", "pymoo", "scikit-learn")))
    return ", ".join([*found, "botorch 0.18.1", f"Python {platform.python_version()}", platform.machine()])


def write(seeds: list[int], tag: str) -> Path:
    """Write page, pictures and table."""
    from .multi_pictures import draw
    from .multi_words import page

    runs = load(seeds, tag)
    names = complete(runs)
    draw(runs, names, seeds, tag)
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["problem", "solver", *(f"share_{at}d" for at in ATS), "ms_per_evaluation"])
        for name in names:
            for solver, item in runs.items():
                shares = [f"{item.share(name, at * dimension(name)):.4f}" for at in ATS]
                rows.writerow([name, solver, *shares, f"{item.milliseconds(name):.3f}"])
    PAGE.write_text(
        page(
            seeds=seeds,
            beside=sorted({seed for _, seed in Runs.of(SLOW, "", SHORT, seeds).values}),
            count=len(names),
            final=final_table(runs, names),
            ratios=ratio_words(runs, names),
            slow=slow_table(seeds, tag),
            costs=costs_table(runs, names),
            versions=versions(),
        )
    )
    return PAGE
