"""What was measured: the table by which `auto` chooses, in auto_table.json beside this file.

`python -m benchmarks.quality learn` writes it. A class of problems is a kind of columns, their number, evaluations for
each of them, and noise. Each of its rows says which plans were run, what they scored and which one was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from ...core.errors import StrategyError
from ._plans import PLANS, Size, titled

TABLE = Path(__file__).with_name("auto_table.json")
FORMAT = 1
COLUMNS = ((1, 2), (3, 7), (8, 20), (21, 40))
EVALUATIONS = (10, 20, 50, 100, 200)
_FURTHEST = 2.0  # a number of evaluations further from the nearest that was measured than this factor is of no class
_KINDS = {
    "real": "real columns",
    "integers": "real and integer columns",
    "choices": "columns with choices among them",
    "orders": "columns of orders or subsets",
}


class Counts(Size, Protocol):
    """What decides about the class of a problem (see `auto.Facts`)."""

    @property
    def ordered(self) -> int:
        """Of integers."""

    @property
    def unordered(self) -> int:
        """Of choices."""

    @property
    def keys(self) -> int:
        """Of orders and subsets."""

    @property
    def constrained(self) -> bool:
        """Whether violations are measured."""

    @property
    def noisy(self) -> bool:
        """Whether values carry noise."""

    @property
    def budget(self) -> int:
        """Evaluations."""


@dataclass(frozen=True)
class Class:
    """A class of problems. columns: from, to. evaluations: for each column, about."""

    kind: str
    noisy: bool
    columns: tuple[int, int]
    evaluations: int

    @classmethod
    def of(cls, facts: Counts) -> Class | None:
        """The class of a problem; None: nothing like it was ever measured (several objectives, measured
        constraints, many columns).
        """
        columns = next((pair for pair in COLUMNS if pair[0] <= facts.dimension <= pair[1]), None)
        if columns is None or facts.objectives > 1 or facts.constrained:
            return None
        rate = facts.budget / facts.dimension
        nearest = min(EVALUATIONS, key=lambda number: max(number / rate, rate / number))
        if max(nearest / rate, rate / nearest) > _FURTHEST:
            return None
        kind = "orders" if facts.keys else "choices" if facts.unordered else "integers" if facts.ordered else "real"
        return cls(kind, facts.noisy, columns, nearest)

    def words(self, problems: int) -> str:
        """In words, with how many problems of it were measured."""
        low, high = self.columns
        noise = "noisy " if self.noisy else ""
        return (
            f"{problems} {noise}problems with {low} to {high} {_KINDS[self.kind]} "
            f"at about {self.evaluations} evaluations a column"
        )


@dataclass(frozen=True)
class Evidence:
    """A row of the table.

    problems: different ones; runs: with their variants and seeds, of each plan.
    scores: of each plan the share of targets reached, averaged over the logarithm of evaluations; the best first.
    rule: the plan that the rules name. choice: the plan that is taken.
    lead: (ratio, low, high) of the best plan's score to the next best one's, with its 95 % interval over problems.
    over_rule: the same to that of the rule's plan; None where that is the best.
    held: the same of the best plan to the rule's plan on problems kept back; None where it was not asked for.
    """

    of: Class
    problems: int
    runs: int
    scores: dict[str, float]
    rule: str
    choice: str
    lead: tuple[float, float, float] | None
    over_rule: tuple[float, float, float] | None
    held: tuple[float, float, float] | None

    def words(self) -> str:
        """In one sentence."""
        names = list(self.scores)
        first = _share(self.scores[names[0]])
        text = (
            f"on {self.of.words(self.problems)}, {titled(names[0])} had {first} of the targets, averaged over the run"
        )
        if self.lead is not None:
            ratio, low, high = self.lead
            text += (
                f", the next best, {titled(names[1])}, {_share(self.scores[names[1]])} "
                f"({ratio:.2f} times as much, 95 % interval {low:.2f} to {high:.2f})"
            )
        if self.choice == names[0]:
            return text
        if self.lead is not None and self.choice == names[1]:  # what it is, and its score, was just said
            return f"{text}; that is not enough to leave {self.choice}, which the rules name"
        text += f"; that is not enough to leave {titled(self.choice)}, which the rules name and which had "
        text += _share(self.scores[self.choice])
        return text


def _share(score: float) -> str:
    return f"{score:.3f}".removeprefix("0")


def _three(given: Any) -> tuple[float, float, float] | None:
    return None if given is None else (float(given[0]), float(given[1]), float(given[2]))


def read_table(path: Path = TABLE) -> dict[Class, Evidence]:
    """The rows of a table by their class.

    Raises:
        StrategyError: no such file, another format, or rows that do not say what they must.
    """
    import json

    again = "install thalweg again, or write it with: python -m benchmarks.quality learn"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise StrategyError(f"{path.name}: format {FORMAT} is expected, got {data['format']!r}; {again}")
        rows = [
            Evidence(
                Class(row["kind"], row["noisy"], (row["columns"][0], row["columns"][1]), row["evaluations"]),
                int(row["problems"]),
                int(row["runs"]),
                {str(name): float(score) for name, score in row["scores"].items()},
                row["rule"],
                row["choice"],
                *(_three(row[name]) for name in ("lead", "over_rule", "held")),
            )
            for row in data["classes"]
        ]
    except OSError as error:
        raise StrategyError(f"the table of measurements cannot be read ({error}); {again}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StrategyError(f"{path.name} is damaged ({type(error).__name__}: {error}); {again}") from error
    for row in rows:
        missing = {row.rule, row.choice} - set(row.scores)
        if missing:
            raise StrategyError(f"{path.name}: {row.of} has no score of {', '.join(sorted(missing))}; {again}")
        unknown = set(row.scores) - set(PLANS)
        if unknown:
            raise StrategyError(f"{path.name}: {', '.join(sorted(unknown))}: no plans of this version; {again}")
    return {row.of: row for row in rows}


@cache
def known(path: Path) -> tuple[dict[Class, Evidence], str]:
    """(the table, what is wrong with it), read once: without one `auto` has its rules."""
    try:
        return read_table(path), ""
    except StrategyError as error:
        return {}, str(error)
