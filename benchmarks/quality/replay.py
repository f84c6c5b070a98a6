"""How `auto` would have chosen on runs that were held out: policies, replayed on the scores that are kept.

A policy names a plan for each class of problems. Its score is that of the plan's own runs, so nothing is run again. The
page is docs/benchmarks/choices.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from thalweg.parts.strategies._evidence import Class

from .environments import ROOT
from .learning import ENOUGH, FEWEST, Row, Sample, by_class, decide
from .statistics import ratio_interval

PAGE = ROOT / "docs" / "benchmarks" / "choices.md"
Policy = Callable[[Sample, Sample], str]
"""From the training runs and the held-out ones of a class (of which it may read no score but for `shipped`) a plan."""

HEAD = """# How auto chooses

`auto` looks up what was measured on problems like the one at hand. A class of problems is a kind of columns, their
number, noise, and evaluations for each column. The table is shipped with the package (`auto_table.json`), and
`result.explain()` cites it. Scores are the share of targets reached, averaged over the logarithm of evaluations (see
[How good the answers are](answers.md)), of plans that may think as long as they like; where evaluations are too cheap
for a plan's thinking, the next strategy of the plan that can be afforded plays instead.
"""


@dataclass(frozen=True)
class Replayed:
    """A class with both kinds of runs. plans: those that have both."""

    of: Class
    training: Sample
    held: Sample

    @property
    def plans(self) -> list[str]:
        """The best in training first."""
        return [plan for plan in self.training.scores if plan in self.held.scores]

    def best_by_problem(self) -> np.ndarray:
        """(n,) the score of the plan with the highest mean on each problem, chosen with hindsight."""
        table = np.array([self.held.scores[plan] for plan in self.plans])
        out = np.empty(table.shape[1])
        for group in np.unique(self.held.groups):
            rows = self.held.groups == group
            out[rows] = table[int(table[:, rows].mean(axis=1).argmax())][rows]
        return out


def replayed(rows: list[Row]) -> list[Replayed]:
    """The classes in which the rules' plan was run in training and held out."""
    training, held = by_class(rows, held=False), by_class(rows, held=True)
    return [
        Replayed(of, sample, held[of]) for of, sample in training.items() if of in held and sample.problems >= FEWEST
    ]


def rules(training: Sample, held: Sample) -> str:
    """What the rules say."""
    return training.rule


def greedy(training: Sample, held: Sample) -> str:
    """The best in training, however narrowly."""
    return next(plan for plan in training.scores if plan in held.scores)


def careful(training: Sample, held: Sample) -> str:
    """The best in training where it is better than the rules' plan beyond doubt."""
    best = greedy(training, held)
    if best == training.rule or training.problems < ENOUGH:
        return training.rule
    found = training.ratio(best, training.rule)
    return best if found is not None and found[1] > 1 else training.rule


def shipped(training: Sample, held: Sample) -> str:
    """What the table says: the careful choice where it was not worse on the held-out runs."""
    return str(decide(training, held)["choice"])


POLICIES: dict[str, tuple[Policy, str]] = {
    "rules": (rules, "the hand-written rules"),
    "greedy": (greedy, "the best plan of the training runs, however narrow its lead"),
    "careful": (careful, "that plan only where it beat the rules' plan beyond doubt in training"),
    "shipped": (shipped, "the same, and not worse on the held-out runs: what `auto` does (read with that in mind)"),
}


def _cell(found: tuple[float, float, float]) -> str:
    return "-" if np.isnan(found).any() else f"{found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def total_lines(classes: list[Replayed], name: str) -> list[str]:
    """Lines of the table of policies, of single plans that were run throughout, and of hindsight."""
    names = [item.held.names[group] for item in classes for group in item.held.groups.tolist()]
    known = sorted(set(names))  # the same problem at other evaluations is no other problem
    groups = np.array([known.index(own) for own in names])
    base = np.concatenate([item.held.scores[item.held.rule] for item in classes])
    lines = []

    def add(title: str, parts: Iterable[np.ndarray]) -> None:
        scores = np.concatenate(list(parts))
        lines.append(f"| {name} | {title} | {scores.mean():.4f} | {_cell(ratio_interval(scores, base, groups))} |")

    for policy, (choose, _) in POLICIES.items():
        add(f"**{policy}**", (item.held.scores[choose(item.training, item.held)] for item in classes))
    everywhere = [plan for plan in classes[0].held.scores if all(plan in item.held.scores for item in classes)]
    means = {plan: float(np.concatenate([item.held.scores[plan] for item in classes]).mean()) for plan in everywhere}
    for plan in sorted(everywhere, key=lambda plan: -means[plan]):
        add(f"{plan} alone", (item.held.scores[plan] for item in classes))
    add("the best for each problem, with hindsight", (item.best_by_problem() for item in classes))
    return lines


def class_lines(classes: list[Replayed]) -> list[str]:
    """Lines: what was chosen in each class, in training and held out."""
    lines = [
        "| columns | evaluations | problems | rules' plan | best in training | ratio | held out | chosen |",
        "| --- | ---: | ---: | --- | --- | ---: | ---: | --- |",
    ]
    for item in classes:
        rule, best = item.training.rule, greedy(item.training, item.held)
        there = item.held.ratio(best, rule)
        kind = f"{item.of.columns[0]} to {item.of.columns[1]} {item.of.kind}{', noisy' if item.of.noisy else ''}"
        cells = [kind, str(item.of.evaluations), str(item.training.problems)]
        cells += [f"{rule} {item.training.scores[rule].mean():.4f}"]
        if best == rule:
            cells += ["the same", "", ""]
        else:
            first = item.training.ratio(best, rule)
            nothing = (float("nan"),) * 3
            cells += [
                f"{best} {item.training.scores[best].mean():.4f}",
                _cell(first or nothing),
                _cell(there or nothing),
            ]
        lines.append("| " + " | ".join([*cells, shipped(item.training, item.held)]) + " |")
    return lines


def page_text(rows: list[Row]) -> str:
    """The page."""
    classes = replayed(rows)
    lines = [HEAD, "## Policies on held-out runs", ""]
    lines += [f"- **{name}**: {words}." for name, (_, words) in POLICIES.items()]
    lines += [
        "",
        "Ratios are to the rules, with a paired 95 % bootstrap interval over problems. Kinds of columns with fewer",
        f"than {ENOUGH} held-out problems are only part of all.",
        "",
    ]
    lines += ["| problems | policy | score | ratio to the rules |", "| --- | --- | ---: | ---: |"]
    kinds = list(dict.fromkeys((item.of.kind, item.of.noisy) for item in classes))
    for kind, noisy in kinds:
        own = [item for item in classes if (item.of.kind, item.of.noisy) == (kind, noisy)]
        if len({problem for item in own for problem in item.held.names}) >= ENOUGH:
            lines += total_lines(own, f"{kind}{', noisy' if noisy else ''}")
    if len(kinds) > 1:
        lines += total_lines(classes, "all")
    lines += ["", "## Classes", "", *class_lines(classes), "", FOOT]
    return "\n".join(lines)


FOOT = f"""A class that is not in the table was not measured: there the rules decide alone, and `explain()` says so. At
present those are problems with noise, orders or subsets, more than 20 columns or several objectives. Classes without
held-out runs are in the table, not on this page.

## How this was made

```
python -m benchmarks.quality learn --run
python -m benchmarks.quality learn
```

The first runs what is missing (hours), the second scores the traces into `benchmarks/results/auto_scores.csv`, from
which table and page follow to the byte (`learn --scores`). Which plans were run on what, and which runs were held out,
is in `benchmarks/quality/courses.py`: of COCO's functions other instances, of the practical problems other seeds of the
same data.

- A plan other than that of the rules is chosen where the paired 95 % interval of its ratio is above 1 in training, on
  at least {ENOUGH} problems, and the ratio is at least 1 on the held-out runs. Elsewhere the rules stand.
- Plans that begin in the middle and draw nothing make the same run with every seed, so on practical problems their
  held-out runs repeat the training; COCO's other instances are other functions.
- Scores at fewer evaluations than a run had are read from that run.
- The best for each problem with hindsight has also picked the luckiest runs: nobody can reach it.
"""
