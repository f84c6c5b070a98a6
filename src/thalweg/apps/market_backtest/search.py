"""One symbol: tune on training bars, test on later ones, and say how much of it is luck.

For each fold a study tunes the rule on the fold's training bars and the rule it chose trades the test bars once. A last
study tunes on all bars: it gives the rule to go on with, and its trials are what luck is measured by. The studies live
in a store under "SYMBOL:bars:configuration:run:part", so the same call goes on where it was, costs nothing when it is
done, and every rule that was ever tried on these bars counts as a trial, also those of earlier runs with other seeds,
spaces or forecasters.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.space import Space
from ...core.store import Entry, Store
from ...core.strategy import Strategy
from ...engine.study import Study
from ...parts.stores import open_store
from ...parts.strategies.auto import Auto
from .bars import Bars
from .folds import Fold
from .forecast import Forecast
from .forecast_cache import ForecastCache
from .forecasters import make_forecaster
from .kernel import Tally, backtest
from .luck import FINAL, Name, sample_of, trials_of, tried
from .measures import Measures, sharpe_of
from .objective import GOAL, Scorer, joined
from .overfitting import deflated_sharpe, efficiency, moments, probability_of_overfitting
from .plan import Plan
from .report import Report
from .rules import OptimisticFills, Rules, check_fills

KIND = "backtest"
"""The kind of log entry that holds a report."""
SHORT_TEST = 60
"""Test bars below which a fold's Sharpe ratio is worth a warning."""


def search(
    bars: Bars,
    plan: Plan | None = None,
    *,
    store: str | Store | None = None,
    cache: ForecastCache | None = None,
    progress: bool | str | None = False,
) -> Report:
    """Tune and test one symbol.

    store: where the trials are kept (None: nowhere, and then only this call's trials count).
    cache: of forecasts; one of its own where none is given.

    Raises:
        ProblemError: too few bars, a forecaster that knows the future, or settings that cannot be.
    """
    plan = plan or Plan()
    folds = plan.folds_of(bars)
    check_fills(plan.fills)
    forecast = (cache or ForecastCache()).forecast(make_forecaster(plan.forecaster), bars)
    opened = open_store(store)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimisticFills)  # said once, above
            made = _Search(bars, plan, forecast, opened, progress).report(folds)
        study = opened.open(study_name(bars, plan, FINAL)).id
        opened.log(study, [Entry(KIND, made.as_dict())])
        return made
    finally:
        if not isinstance(store, Store):
            opened.close()


def study_name(bars: Bars, plan: Plan, part: str) -> str:
    """The name of a part's study."""
    return str(Name.of(bars, plan.config(), plan.run(), part))


def stored_reports(store: Store) -> dict[str, Report]:
    """The newest report of every search in a store, by "SYMBOL:bars:configuration:run"."""
    found = {}
    for name in store.names():
        read = Name.read(name)
        notes = store.entries(store.open(name).id, kinds=[KIND]) if read is not None and read.part == FINAL else []
        if notes:
            found[name.removesuffix(f":{FINAL}")] = Report.from_dict(notes[-1].body)
    return found


class _Search:
    def __init__(self, bars: Bars, plan: Plan, forecast: Forecast, store: Store, progress: Any) -> None:
        self.bars, self.plan, self.forecast, self.store, self.progress = bars, plan, forecast, store, progress
        self.space = Space.of(dict(plan.space))

    def report(self, folds: list[Fold]) -> Report:
        """Every fold, then all bars."""
        rows, outside, held, inside = [], [], [], []
        for number, fold in enumerate(folds, 1):
            rule = self._tuned(f"fold{number}", fold.train)
            row, tested, trained = self._fold(number, fold, rule)
            rows.append(row)
            outside.append(tested)
            inside.append(trained)
            held.append(self._holding(fold))
        final = self._tuned(FINAL, ((1, len(self.bars)),))
        figures = self._outside(rows, outside, held) | self._inside(inside, outside) | self._luck(final)
        settings = {
            **self.plan.settings(),
            "bars": len(self.bars),
            "from": self.bars.label(0),
            "to": self.bars.label(-1),
            "rule": None if final is None else final.dict(),
        }
        return Report(self.bars.symbol, rows, settings, self._warnings(rows, folds), figures)

    def _tuned(self, part: str, windows: tuple[tuple[int, int], ...]) -> Rules | None:
        """The rule that scores best on the windows, or None where none trades often enough."""
        scorer = self._scorer(windows)
        with Study(
            self.space,
            store=self.store,
            name=study_name(self.bars, self.plan, part),
            strategy=self._strategy(),
            seed=self.plan.seed,
            objectives={GOAL: "maximize"},
            constraints=f"n_trades >= {self.plan.min_trades}",
        ) as study:
            result = study.run(scorer, max_evals=self.plan.max_evals, vectorised=True, progress=self.progress)
        return scorer.rules({name: [value] for name, value in result.params.items()}) if result.success else None

    def _strategy(self) -> str | Strategy:
        """What tunes a part. Of the thinking time that `auto` takes for free, the parts of one search have a share."""
        if self.plan.strategy != "auto":
            return self.plan.strategy
        parts = self.plan.folds + 1
        return Auto(allowance=2.0 / parts, least=0.5 / parts)

    def _scorer(self, windows: tuple[tuple[int, int], ...]) -> Scorer:
        plan = self.plan
        return Scorer(
            self.bars, self.forecast, windows, blocks=plan.blocks, penalty=plan.penalty, fixed=plan.fixed,
            costs=plan.costs, fills=plan.fills,
        )  # fmt: skip

    def _trade(self, rules: Rules, windows: tuple[tuple[int, int], ...]) -> Tally:
        how = {"fills": self.plan.fills, "returns": True}
        parts = [
            backtest(self.bars, self.forecast, rules, self.plan.costs, window=part, **how)  # type: ignore[arg-type]
            for part in windows
        ]
        return joined(parts)

    def _fold(self, number: int, fold: Fold, rule: Rules | None) -> tuple[dict[str, Any], Tally, Tally]:
        """(row, tally of the test, tally of the training) of a fold; without a rule it stays out of the market."""
        out = Forecast.of(np.full(len(self.bars), np.nan), np.full(len(self.bars), np.nan), 0)
        if rule is None:
            tested, trained = (
                joined([backtest(self.bars, out, Rules.of(), window=part, returns=True) for part in windows])
                for windows in (fold.test, fold.train)
            )
        else:
            tested, trained = self._trade(rule, fold.test), self._trade(rule, fold.train)
        there, here = Measures.of(tested).dict(), Measures.of(trained).dict()
        (first, last), label = (fold.train[0][0], fold.train[-1][1]), self.bars.label
        row: dict[str, Any] = {
            "fold": number,
            "train_from": label(first),
            "train_to": label(last - 1),
            "test_from": label(fold.test[0][0]),
            "test_to": label(fold.test[-1][1] - 1),
            **{f"rule_{name}": value for name, value in (rule.dict() if rule is not None else {}).items()},
            **{f"test_{name}": value for name, value in there.items()},
            **{f"train_{name}": value for name, value in here.items()},
        }
        return row, tested, trained

    def _holding(self, fold: Fold) -> Floats:
        """Simple returns of the closes over the test bars."""
        close = self.bars.close
        return np.concatenate([close[a:b] / close[a - 1 : b - 1] - 1.0 for a, b in fold.test])

    # --- figures --------------------------------------------------------------------------------------------------

    def _outside(self, rows: list[dict[str, Any]], outside: list[Tally], held: list[Floats]) -> dict[str, float]:
        year = self.bars.periods
        whole = joined(outside)
        returns = _first(whole)
        sharpe, skew, kurtosis = moments(returns)
        error = math.sqrt(max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2, 0.0) / max(len(returns) - 1, 1))
        curve = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
        sharpes = [row["test_sharpe"] for row in rows]
        with np.errstate(divide="ignore"):
            growth = float(np.log(whole.growth[0])) * year / whole.bars
        return {
            "walk_forward_sharpe": sharpe_of(returns, year),
            "walk_forward_error": error * math.sqrt(year),
            "walk_forward_return": growth,
            "walk_forward_drawdown": float((1.0 - curve / np.maximum.accumulate(curve)).max()),
            "walk_forward_trades": float(whole.trades[0]),
            "worst_fold": min(sharpes),
            "fold_spread": float(np.std(sharpes, ddof=1)) if len(sharpes) > 1 else math.nan,
            "hold_sharpe": sharpe_of(np.concatenate(held), year),
        }

    def _inside(self, inside: list[Tally], outside: list[Tally]) -> dict[str, float]:
        year = self.bars.periods

        def annual(tallies: list[Tally]) -> float:
            with np.errstate(divide="ignore"):
                return float(np.sum([np.log(item.growth[0]) for item in tallies])) * year / sum(t.bars for t in tallies)

        trained = annual(inside)
        return {
            "in_sample_sharpe": float(np.mean([Measures.of(item).sharpe[0] for item in inside])),
            "in_sample_return": trained,
            "efficiency": efficiency(annual(outside), trained),
        }

    def _luck(self, final: Rules | None) -> dict[str, float]:
        """Deflated Sharpe ratio and probability of overfitting of the rule that was tuned on all bars."""
        count, sharpes = tried(self.store, self.bars)
        figures = {"trials": float(count), "luck": math.nan, "deflated_sharpe": 0.0, "overfitting": math.nan}
        if final is None:
            return figures
        year = math.sqrt(self.bars.periods)
        sharpe, skew, kurtosis = moments(_first(self._trade(final, ((1, len(self.bars)),))))
        variance = float(np.var(sharpes / year, ddof=1)) if len(sharpes) > 1 else 0.0
        deflated = deflated_sharpe(sharpe, len(self.bars) - 1, skew, kurtosis, max(count, 1), variance)
        return figures | {
            "luck": deflated.expected * year,
            "deflated_sharpe": deflated.probability,
            "overfitting": self._overfitting(),
        }

    def _overfitting(self) -> float:
        trials = trials_of(self.store, study_name(self.bars, self.plan, FINAL))
        columns = sample_of(trials, self.space)
        if columns is None:
            return math.nan
        rules = Rules.of_space(columns, self.plan.fixed)
        returns = self._trade(rules, ((1, len(self.bars)),)).returns
        if returns is None or returns.shape[1] < 20:
            return math.nan
        return probability_of_overfitting(returns.T)

    def _warnings(self, rows: list[dict[str, Any]], folds: list[Fold]) -> list[str]:
        told = []
        if self.plan.fills == "optimistic":
            told.append("OPTIMISTIC FILLS: the figures above are an artefact of assuming the best order inside a bar")
        out = [str(row["fold"]) for row in rows if "rule_hold" not in row]
        if out:
            told.append(f"no rule made {self.plan.min_trades} trades in training of fold {', '.join(out)}: stayed out")
        shortest = min(fold.test_bars for fold in folds)
        if shortest < SHORT_TEST:
            told.append(f"folds of {shortest} test bars are short: a Sharpe ratio of one says little")
        if self.plan.costs.side == 0:
            told.append("trading is free in this backtest, as it is nowhere else")
        return told


def _first(tally: Tally) -> Floats:
    """The returns of the first rule."""
    row: Floats = np.zeros(0) if tally.returns is None else tally.returns[0]
    return row
