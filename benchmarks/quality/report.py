"""The page of answers, docs/benchmarks/answers.md, from the traces that are there; pictures and a small csv beside it.

    python -m benchmarks.quality report --run       runs what is missing first: hours, most of them the slow rivals'
    python -m benchmarks.quality report

For every class of problems it takes the solvers that have all of its runs (others are named as left out).
"""

from __future__ import annotations

import csv
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .environments import ROOT
from .loading import Class, load
from .overhead import overhead_table
from .pictures import curves
from .references import References
from .running import TRACES
from .sections import SECTIONS, THINKING, Section
from .statistics import against_random, best_pair, mean_ranks, ratio_interval, wins
from .suggestions import suggestion_lines
from .tasks import PRACTICAL
from .weight import weight_table

PAGE = ROOT / "docs" / "benchmarks" / "answers.md"
IMAGES = ROOT / "docs" / "images"
TABLE = ROOT / "benchmarks" / "results" / "answers.csv"
PACKAGES = (
    "thalweg",
    "numpy",
    "scipy",
    "scikit-learn",
    "coco-experiment",
    "optuna",
    "cma",
    "cmaes",
    "fcmaes",
    "nlopt",
    "pybads",
)


def gather(section: Section, tag: str) -> tuple[Class, dict[str, int]]:
    """(the class of all complete solvers, {solver left out: runs that it has})."""
    references = References()
    found = {solver: load(solver, section.budget, section.keys, references, tag) for solver in section.solvers}
    runs = {solver: own for solver, own in found.items() if len(own) == len(section.keys)}
    partial = {solver: len(own) for solver, own in found.items() if own and solver not in runs}
    return Class(section.suite, section.budget, runs), partial


def score_table(group: Class, section: Section) -> tuple[list[str], list[dict[str, object]]]:
    """Lines of the table of scores, the best first, and rows for the csv."""
    last = section.ats[-1]
    areas = {at: {solver: group.areas(solver, at) for solver in group.runs} for at in section.ats}
    relative = group.relative(last)
    ranks, leads = mean_ranks(areas[last]), wins(areas[last])
    heads = [
        *(f"AUC {at}d" for at in section.ats),
        f"relAUC {last}d",
        f"reached {last}d",
        "mean rank",
        "wins",
        "ms/eval",
    ]
    lines = ["| solver | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    rows = []
    for solver in sorted(group.runs, key=lambda name: -float(areas[last][name].mean())):
        row: dict[str, object] = {"class": section.name, "solver": solver, "runs": len(group.keys)}
        row |= {f"auc_{at}d": round(float(areas[at][solver].mean()), 4) for at in section.ats}
        row["relauc"] = round(float(relative[solver].mean()), 3) if relative else ""
        row["reached"] = round(float(group.fractions(solver, last).mean()), 3)
        row |= {
            "rank": round(ranks[solver], 2),
            "wins": leads[solver],
            "ms": float(f"{group.milliseconds(solver):.3g}"),
        }
        rows.append(row)
        name = f"**{solver}**" if solver.startswith("tw:") else solver
        cells = [f"{row[key]:.4f}" for key in row if str(key).startswith("auc_")]
        cells += [str(row[key]) for key in ("relauc", "reached", "rank", "wins", "ms")]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines, rows


def ratio_table(group: Class, section: Section) -> list[str]:
    """Lines: each of our strategies against the best rival of each budget, with 95 % intervals, and the best pair."""
    lines = [
        "| ratio to the best rival | " + " | ".join(f"{at}d" for at in section.ats) + " |",
        "| --- |" + " ---: |" * len(section.ats),
    ]
    cells: dict[str, list[str]] = {solver: [] for solver in group.ours}
    named, pairs = [], []
    for at in section.ats:
        areas = {solver: group.areas(solver, at) for solver in group.runs}
        rivals = {solver: areas[solver] for solver in group.rivals}
        best = max(rivals, key=lambda name: float(rivals[name].mean()))
        named.append(f"{best} {rivals[best].mean():.4f}")
        names, mean = best_pair(rivals)
        pairs.append(f"{' + '.join(names)} {mean:.4f}")
        for solver in group.ours:
            ratio, low, high = ratio_interval(areas[solver], rivals[best], group.groups)
            cells[solver].append(f"{ratio:.2f} ({low:.2f} to {high:.2f})")
    lines += [f"| **{solver}** | " + " | ".join(row) + " |" for solver, row in cells.items()]
    lines.append("| best rival, AUC | " + " | ".join(named) + " |")
    lines.append("| best pair of rivals (with hindsight), AUC | " + " | ".join(pairs) + " |")
    return lines


def time_table(group: Class, section: Section) -> list[str]:
    """Lines: AUC over time instead of evaluations, at several costs of one evaluation."""
    costs = (0.001, 0.01, 0.1, 1.0)
    lines = [
        "| AUC in equal time | " + " | ".join(f"{1e3 * cost:g} ms" for cost in costs) + " |",
        "| --- |" + " ---: |" * len(costs),
    ]
    table = {s: [float(group.in_time(s, section.ats[-1], cost).mean()) for cost in costs] for s in group.runs}
    for solver in sorted(table, key=lambda name: -table[name][1]):
        name = f"**{solver}**" if solver.startswith("tw:") else solver
        lines.append(f"| {name} | " + " | ".join(f"{value:.4f}" for value in table[solver]) + " |")
    return lines


def random_lines(group: Class, section: Section) -> list[str]:
    """Lines: on which problems random search ends better or worse than ours, where there are enough seeds."""
    random = next((solver for solver in group.runs if solver.startswith("random")), None)
    problems = sorted({task.key for task, _ in group.keys})
    if random is None or len(group.keys) < 8 * len(problems):
        return []

    def finals(solver: str) -> dict[str, np.ndarray]:
        gaps = {key: run.trace[-1, 1] if len(run.trace) else np.inf for key, run in group.runs[solver].items()}
        return {name: np.array([gaps[key] for key in group.keys if key[0].key == name]) for name in problems}

    lines = []
    for solver in group.ours:
        tests = against_random(finals(solver), finals(random))
        worse = [name for name, (p, _) in tests.items() if p < 0.01]
        better = sum(p < 0.01 for _, p in tests.values())
        text = f"significantly better than random search on {better} of {len(tests)} problems, worse on {len(worse)}"
        lines.append(f"- {solver}: {text}{' (' + ', '.join(worse) + ')' if worse else ''}.")
    return lines


def versions() -> str:
    """The versions of the packages in this environment."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}, " + ", ".join(found)


def _listed(instances: tuple[int, ...]) -> str:
    return ", ".join(map(str, instances))


def section_lines(section: Section, tag: str) -> tuple[list[str], list[dict[str, object]]]:
    """The page's section of one class, and its rows of the csv; nothing where no rival has been run."""
    group, partial = gather(section, tag)
    if not group.rivals or not group.ours:
        return [], []
    picture = IMAGES / f"answers-{section.name}.png"
    curves(group, section.name, picture)
    scores, rows = score_table(group, section)
    lines = [
        f"## {section.name}",
        "",
        f"{section.words} Instance(s) {_listed(section.instances)}, {len(group.keys)} runs of each solver.",
        "",
    ]
    lines += [*scores, "", *ratio_table(group, section), ""]
    if section.suite in PRACTICAL and all(
        run.trace.shape[1] > 2 for runs in group.runs.values() for run in runs.values()
    ):
        lines += [*time_table(group, section), ""]
    if found := random_lines(group, section):
        lines += [*found, ""]
    lines += [f"![Targets reached over evaluations](../images/{picture.name})", ""]
    failed = {solver: group.errors(solver) for solver in group.runs if group.errors(solver)}
    lines += [f"- {solver}: {len(errors)} runs ended early, first: {errors[0]}" for solver, errors in failed.items()]
    lines += [f"- left out, {count} runs only: {solver}" for solver, count in partial.items()]
    return [*lines, ""], rows


def write(tag: str, command: str) -> Path:
    """Write the page, the pictures and the csv."""
    from .page import HEAD, foot

    IMAGES.mkdir(parents=True, exist_ok=True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    lines, table = [HEAD], []
    for section in SECTIONS:
        found, rows = section_lines(section, tag)
        lines += found
        table += rows
    if found := overhead_table(THINKING, tag):
        lines += [
            "## What a suggestion costs",
            "",
            f"CPU milliseconds of the solver around its n-th evaluation: medians of {len(THINKING.seeds)} seeds, of",
            f"those that come so far in {THINKING.limit_s:g} s of CPU time. The machine was shared: figures of the",
            "same solver differ by half from one hour to the next.",
            "",
            *found,
            "",
        ]
    lines += suggestion_lines()
    if found := weight_table():
        lines += [
            "## What a package weighs",
            "",
            "With all that it requires; CPU seconds, best of three.",
            "",
            *found,
            "",
        ]
    if not table:
        raise SystemExit(f"no class has runs of thalweg and of a rival under tag {tag!r} in {TRACES}")
    PAGE.write_text("\n".join([*lines, foot(versions(), command)]) + "\n")
    names = list(dict.fromkeys(name for row in table for name in row))
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(table)
    return PAGE
