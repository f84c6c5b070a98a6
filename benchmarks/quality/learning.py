"""The table by which `auto` chooses, learnt from traces: src/thalweg/parts/strategies/auto_table.json.

    python -m benchmarks.quality learn --run     runs what the courses name and is not there yet, training and held out
    python -m benchmarks.quality learn           traces -> benchmarks/results/auto_scores.csv -> table and page
    python -m benchmarks.quality learn --scores  the last two from the scores that are kept: the same bytes everywhere

A plan other than that of the rules is chosen for a class of problems where it was better on the training runs beyond
doubt (the paired 95 % interval of the ratio, over at least `ENOUGH` problems, is above 1) and not worse on the held-out
ones. Only what is run completely is compared.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies._evidence import COLUMNS, EVALUATIONS, FORMAT, TABLE, Class
from thalweg.parts.strategies._plans import PLANS
from thalweg.parts.strategies.auto import RULES, Facts

from .courses import COURSES, MEASURED, TAG, Course, jobs, solver_of_plan
from .environments import ROOT
from .loading import load
from .references import References
from .running import run_one
from .score import SHARES, TARGETS, area
from .solvers import space_of
from .statistics import ratio_interval
from .tasks import PRACTICAL, Task, open_task

SCORES = ROOT / "benchmarks" / "results" / "auto_scores.csv"
ENOUGH = 8
"""Problems without which no rule is left."""
FEWEST = 2
"""Problems without which nothing is said."""
HEADS = ("held", "kind", "noisy", "columns", "suite", "problem", "dimension", "number", "evaluations")


@dataclass(frozen=True)
class Row:
    """What the plans scored in runs of one problem. number: the instance of COCO's, of others the seed.

    evaluations: for each column, up to which. scores: by plan, four decimals.
    """

    held: bool
    kind: str
    noisy: bool
    columns: int
    suite: str
    problem: str
    dimension: int
    number: int
    evaluations: int
    scores: dict[str, float]

    @property
    def of(self) -> Class:
        """The class of the problem."""
        pair = next(pair for pair in COLUMNS if pair[0] <= self.columns <= pair[1])
        return Class(self.kind, self.noisy, pair, self.evaluations)

    @property
    def group(self) -> tuple[str, str, int]:
        """The problem, whatever its instance."""
        return self.suite, self.problem, self.dimension


@cache
def facts_of(suite: str, problem: str, dimension: int) -> Facts:
    """What `auto` sees of a problem."""
    opened = open_task(Task(suite, problem, dimension, 1), 1)
    return Facts.of(Problem(Space(space_of(opened)), noisy=opened.clean is not None), dimension)


def scores_of(courses: Iterable[Course] = COURSES) -> list[Row]:
    """The scores of all runs that are there. Smaller budgets are read from the smallest run that has them."""
    references, tables = References(), defaultdict[tuple[object, ...], dict[str, float]](dict)
    for course in sorted(courses, key=lambda course: course.budget):
        targets = SHARES if course.suite in PRACTICAL else TARGETS
        for held, numbers in ((False, course.training), (True, course.held)):
            for plan in course.plans:
                for (task, seed), run in load(
                    solver_of_plan(plan), course.budget, course.keys(numbers), references, TAG
                ).items():
                    facts = facts_of(task.suite, task.problem, task.dimension)
                    number = seed if task.suite in PRACTICAL else task.instance
                    for at in EVALUATIONS:
                        of = Class.of(facts.with_budget(at * facts.dimension))
                        if at > course.budget or of is None:
                            continue
                        key = (held, of.kind, of.noisy, facts.dimension, *_name(task), number, at)
                        score = area(run.trace, task.dimension, at * task.dimension, targets)
                        tables[key].setdefault(plan, round(score, 4))
    return [Row(*key, scores) for key, scores in sorted(tables.items())]  # type: ignore[arg-type]


def _name(task: Task) -> tuple[str, str, int]:
    return task.suite, task.problem, task.dimension


def write_scores(rows: list[Row], path: Path = SCORES) -> None:
    """Keep scores: a line a problem, a column a plan, empty where it was not run."""
    plans = [plan for plan in PLANS if any(plan in row.scores for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*HEADS, *plans])
        for row in rows:
            cells = [getattr(row, name) for name in HEADS]
            numbers = [f"{row.scores[plan]:.4f}" if plan in row.scores else "" for plan in plans]
            writer.writerow([int(cell) if isinstance(cell, bool) else cell for cell in cells] + numbers)


def read_scores(path: Path = SCORES) -> list[Row]:
    """The scores that are kept."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                line["held"] == "1",
                line["kind"],
                line["noisy"] == "1",
                int(line["columns"]),
                line["suite"],
                line["problem"],
                int(line["dimension"]),
                int(line["number"]),
                int(line["evaluations"]),
                {plan: float(cell) for plan, cell in line.items() if plan not in HEADS and cell},
            )
            for line in csv.DictReader(file)
        ]


def rule_of(row: Row) -> str | None:
    """The name of the plan that the rules give to such a problem."""
    counts = {"real": (1, 0, 0, 0), "integers": (0, 1, 0, 0), "choices": (0, 0, 1, 0), "orders": (0, 0, 0, 1)}
    columns = [row.columns * part for part in counts[row.kind]]
    budget = row.evaluations * row.columns
    facts = Facts(row.columns, *columns, False, None, 1, row.suite == "constrained", row.noisy, budget, True)
    plan = next(rule.plan for rule in RULES if rule.fits(facts))
    return plan if isinstance(plan, str) else None


@dataclass(frozen=True)
class Sample:
    """The runs of one class that the rules' plan has, and all plans that have them too.

    scores: (n,) of each. groups: (n,) the problem's number in `names`.
    """

    rule: str
    scores: dict[str, np.ndarray]
    groups: np.ndarray
    names: tuple[tuple[str, str, int], ...]

    @classmethod
    def of(cls, rows: list[Row]) -> Sample | None:
        """The sample of some rows of one class; None: the rules' plan has no run."""
        rule = rule_of(rows[0]) if rows else None
        rows = [row for row in rows if rule in row.scores]
        if rule is None or not rows:
            return None
        names = sorted({row.group for row in rows})
        plans = [plan for plan in PLANS if all(plan in row.scores for row in rows)]
        scores = {plan: np.array([row.scores[plan] for row in rows]) for plan in plans}
        ordered = dict(sorted(scores.items(), key=lambda item: -float(item[1].mean())))
        return cls(rule, ordered, np.array([names.index(row.group) for row in rows]), tuple(names))

    @property
    def problems(self) -> int:
        """Different ones."""
        return len(np.unique(self.groups))

    def ratio(self, plan: str, other: str) -> tuple[float, float, float] | None:
        """(ratio, low, high) of two plans' mean scores; None: nobody reached anything."""
        found = ratio_interval(self.scores[plan], self.scores[other], self.groups)
        return None if np.isnan(found).any() else (round(found[0], 3), round(found[1], 3), round(found[2], 3))


def by_class(rows: Iterable[Row], held: bool) -> dict[Class, Sample]:
    """The samples of all classes."""
    found: dict[Class, list[Row]] = defaultdict(list)
    for row in rows:
        if row.held == held:
            found[row.of].append(row)
    samples = {of: Sample.of(found[of]) for of in sorted(found, key=_order)}
    return {of: sample for of, sample in samples.items() if sample is not None}


def _order(of: Class) -> tuple[object, ...]:
    kinds = ("real", "integers", "choices", "orders")
    return kinds.index(of.kind), of.noisy, of.columns, of.evaluations


def decide(sample: Sample, held: Sample | None) -> dict[str, object]:
    """What the table says of a class, beside the class itself."""
    names = list(sample.scores)
    best, choice, over, there = names[0], sample.rule, None, None
    if best != sample.rule:
        over = sample.ratio(best, sample.rule)
        if held is not None and best in held.scores:
            there = held.ratio(best, sample.rule)
        sure = over is not None and over[1] > 1 and sample.problems >= ENOUGH
        if sure and there is not None and there[0] >= 1:
            choice = best
    return {
        "problems": sample.problems,
        "runs": len(sample.groups),
        "scores": {plan: round(float(values.mean()), 4) for plan, values in sample.scores.items()},
        "rule": sample.rule,
        "choice": choice,
        "lead": sample.ratio(best, names[1]) if len(names) > 1 else None,
        "over_rule": over,
        "held": there,
    }


def table_text(rows: list[Row]) -> str:
    """The table as it is shipped: one line a class."""
    held = by_class(rows, held=True)
    lines = []
    for of, sample in by_class(rows, held=False).items():
        if sample.problems < FEWEST or len(sample.scores) < FEWEST:
            continue
        row = {"kind": of.kind, "noisy": of.noisy, "columns": list(of.columns), "evaluations": of.evaluations}
        lines.append("  " + json.dumps(row | decide(sample, held.get(of))))
    head = {
        "format": FORMAT,
        "measured": MEASURED,
        "made_by": "python -m benchmarks.quality learn",
        "scores": "the share of targets reached, averaged over the logarithm of evaluations; the best plan first",
        "lead": "[ratio, low, high]: the best plan's score to the next best one's, 95 % interval over problems",
        "over_rule": "the same to the plan of the rules, where another one is best; held: on problems kept back",
    }
    said = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    return "{\n" + ",\n".join([*said, ' "classes": [\n' + ",\n".join(lines) + "\n ]"]) + "\n}\n"


def learn(run: bool, kept: bool) -> list[Path]:
    """Run what is missing where asked for; write the scores (unless kept ones are taken), the table and the page."""
    from .replay import PAGE, page_text

    for job in [*jobs(COURSES, held=False), *jobs(COURSES, held=True)] if run else []:
        if not job.path.exists() and (said := run_one(job)):
            print(said, flush=True)
    if not kept:
        rows = scores_of()
        if not rows:
            raise SystemExit(f"no traces of the courses under tag {TAG!r}; make them with --run, or take --scores")
        write_scores(rows)
    rows = read_scores()
    TABLE.write_text(table_text(rows), encoding="utf-8")
    PAGE.write_text(page_text(rows), encoding="utf-8")
    return [SCORES, TABLE, PAGE]
