"""What a search came to: out-of-sample figures first, in-sample ones never without them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import ProblemError

IN_SAMPLE = ("in_sample_sharpe", "in_sample_return")
BESIDE = ("walk_forward_sharpe", "deflated_sharpe", "overfitting")
"""What stands beside every in-sample figure."""
_LINES = (
    ("walk_forward_sharpe", "out of sample: Sharpe ratio, annual", "{:.2f}"),
    ("walk_forward_error", "  its standard error", "{:.2f}"),
    ("walk_forward_return", "  log return a year", "{:+.1%}"),
    ("walk_forward_drawdown", "  largest drawdown", "{:.1%}"),
    ("walk_forward_trades", "  round trips", "{:.0f}"),
    ("worst_fold", "  Sharpe ratio of the worst fold", "{:.2f}"),
    ("fold_spread", "  standard deviation of the folds'", "{:.2f}"),
    ("hold_sharpe", "  buying and holding, the same bars", "{:.2f}"),
    ("in_sample_sharpe", "in sample: Sharpe ratio of what was chosen", "{:.2f}"),
    ("in_sample_return", "  log return a year", "{:+.1%}"),
    ("efficiency", "walk-forward efficiency (return kept)", "{:.0%}"),
    ("trials", "distinct rules tried (all in the store)", "{:.0f}"),
    ("luck", "Sharpe ratio that so many find by luck", "{:.2f}"),
    ("deflated_sharpe", "deflated Sharpe ratio (probability of skill)", "{:.1%}"),
    ("overfitting", "probability of backtest overfitting", "{:.1%}"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """figures: by name (see `names`); ask for them with `figures_of`.  folds: one row per fold, training and test side
    by side.  settings: what it was made with.  warnings: what to know before believing it.

    Raises:
        ProblemError: in-sample figures without those that belong beside them.
    """

    symbol: str
    folds: list[dict[str, Any]]
    settings: dict[str, Any]
    warnings: list[str]
    _figures: dict[str, float]

    def __post_init__(self) -> None:
        missing = [name for name in BESIDE if name not in self._figures]
        if missing or not self.folds:
            raise ProblemError(
                f"a report needs {', '.join(missing) or 'folds'} too: in-sample figures say nothing by themselves"
            )

    @property
    def names(self) -> list[str]:
        """The figures there are."""
        return list(self._figures)

    def figures_of(self, *names: str) -> dict[str, float]:
        """Some figures; in-sample ones only together with all of `BESIDE`.

        Raises:
            ProblemError: an unknown name, or an in-sample figure alone.
        """
        unknown = [name for name in names if name not in self._figures]
        if unknown:
            raise ProblemError(f"no figure {', '.join(unknown)}; there are {', '.join(self._figures)}")
        if any(name in IN_SAMPLE for name in names) and not set(BESIDE) <= set(names):
            raise ProblemError(
                f"in-sample figures are never shown alone: ask for {', '.join(BESIDE)} in the same call, or for text()"
            )
        return {name: self._figures[name] for name in names}

    def __getitem__(self, name: str) -> float:
        return self.figures_of(name)[name]

    def text(self) -> str:
        """All of it, for people."""
        lines = [f"{self.symbol}: {self.settings.get('bars', '?')} bars, {len(self.folds)} folds"]
        for name, label, form in _LINES:
            value = self._figures.get(name, math.nan)
            lines.append(f"  {label:<46} {form.format(value) if not math.isnan(value) else '-':>9}")
        lines.append(f"  verdict: {self.verdict}")
        lines += [f"  note: {item}" for item in self.warnings]
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """One line, in plain words."""
        deflated, overfit = self._figures["deflated_sharpe"], self._figures["overfitting"]
        outside, error = self._figures["walk_forward_sharpe"], self._figures.get("walk_forward_error", math.nan)
        reasons = []
        if not outside > 2 * error:
            reasons.append("the out-of-sample Sharpe ratio is not two standard errors above 0")
        if not deflated >= 0.95:
            reasons.append(f"that many tries find as much by luck (deflated {deflated:.0%} < 95%)")
        if not overfit <= 0.2:
            reasons.append(f"what was best in one half was not in the other (overfitting {overfit:.0%})")
        return "no evidence of skill: " + "; ".join(reasons) if reasons else "not explained by luck alone"

    def as_dict(self) -> dict[str, Any]:
        """Plain data; NaN is None."""
        return dict(
            _plain(
                {
                    "symbol": self.symbol,
                    "verdict": self.verdict,
                    "figures": self._figures,
                    "folds": self.folds,
                    "settings": self.settings,
                    "warnings": self.warnings,
                }
            )
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """What `as_dict` gave."""
        figures = {name: math.nan if value is None else float(value) for name, value in data["figures"].items()}
        return cls(str(data["symbol"]), list(data["folds"]), dict(data["settings"]), list(data["warnings"]), figures)

    def write_csv(self, path: str | Path) -> None:
        """The folds as a table."""
        columns = list(dict.fromkeys(key for row in self.folds for key in row))
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.folds)


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(key): _plain(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    if isinstance(item, float) and not math.isfinite(item):
        return None if math.isnan(item) else str(item)
    return item
