"""Searches: what is tuned is tested elsewhere, every trial counts, and reports show both sides."""

import csv
import json
import math

import numpy as np
import pytest

from thalweg.apps.market_backtest import runner, simulations
from thalweg.apps.market_backtest.data import load_bars
from thalweg.apps.market_backtest.forecast_cache import ForecastCache
from thalweg.apps.market_backtest.forecasters import Forecaster, make_forecaster
from thalweg.apps.market_backtest.kernel import backtest
from thalweg.apps.market_backtest.measures import Measures, sharpe_of
from thalweg.apps.market_backtest.objective import Scorer, joined
from thalweg.apps.market_backtest.plan import Plan
from thalweg.apps.market_backtest.report import Report
from thalweg.apps.market_backtest.rules import Costs, OptimisticFills, Rules
from thalweg.apps.market_backtest.search import search, stored_reports
from thalweg.apps.market_backtest.simulations import backtest_forecasts
from thalweg.core.batch import Status
from thalweg.core.choices import Choice
from thalweg.core.errors import ProblemError
from thalweg.core.parameter import Float, Integer
from thalweg.parts.stores import open_store

SPACE = {"high_mult": Float(-0.01, 0.02), "low_mult": Float(-0.01, 0.02), "hold": Integer(1, 5)}
PLAN = Plan(space=SPACE, folds=3, max_evals=24, min_trades=5, embargo=2)


@pytest.fixture(scope="module")
def bars():
    return load_bars("synthetic:search:500")


@pytest.fixture(scope="module")
def report(bars):
    return search(bars, PLAN)


def test_the_scorer_is_a_mean_less_a_spread(bars):
    forecast = ForecastCache().forecast(make_forecaster("ewma"), bars)
    scorer = Scorer(bars, forecast, [(1, 401)], blocks=4, penalty=0.5, fixed={"hold": 2}, costs=Costs(0.001))
    columns = {"high_mult": np.array([0.0, 0.004]), "low_mult": np.array([0.005, 0.002])}
    found = scorer(columns)
    sharpes = np.stack(
        [
            Measures.of(backtest(bars, forecast, Rules.of(columns, hold=2), Costs(0.001), window=window)).sharpe
            for window in ((1, 101), (101, 201), (201, 301), (301, 401))
        ]
    )
    np.testing.assert_allclose(found["score"], sharpes.mean(axis=0) - 0.5 * sharpes.std(axis=0, ddof=1))
    assert set(found) == {"score", "sharpe", "max_drawdown", "turnover", "n_trades"}
    assert (found["n_trades"] > 20).all()


def test_windows_join(bars):
    forecast = ForecastCache().forecast(make_forecaster("ewma"), bars)
    rules = Rules.of(low_mult=[0.002, 0.004], hold=1)  # out at every close: the cut changes nothing
    whole = backtest(bars, forecast, rules, window=(30, 400), returns=True)
    parts = joined([backtest(bars, forecast, rules, window=w, returns=True) for w in ((30, 200), (200, 400))])
    for name in ("growth", "total", "squares", "downside", "traded", "held", "trades", "returns"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)
    assert parts.bars == whole.bars and (parts.drawdown <= whole.drawdown).all()


def test_a_report_holds_what_it_should(report, bars):
    assert report.symbol == "synthetic-search" and len(report.folds) == 3
    assert 24 * 2 < report["trials"] <= 24 * 4
    assert 0 <= report["deflated_sharpe"] <= 1 and 0 <= report["overfitting"] <= 1
    for row in report.folds:
        assert row["rule_hold"] in range(1, 6) and row["train_n_trades"] >= 5
    text = report.text()
    assert text.index("out of sample") < text.index("in sample") < text.index("deflated") and "verdict" in text
    assert report.settings["rule"]["hold"] in range(1, 6)


def test_the_test_figures_are_those_of_the_chosen_rules(report, bars):
    """Recomputed by hand: the rule of each fold on bars that its training did not have."""
    forecast = ForecastCache().forecast(make_forecaster("ewma"), bars)
    folds = PLAN.folds_of(bars)
    returns = []
    for row, fold in zip(report.folds, folds, strict=True):
        assert fold.train[-1][1] + 5 + 2 == fold.test[0][0]
        names = ("high_mult", "low_mult", "stop", "hold", "side", "size")
        rule = Rules.of({name: [row[f"rule_{name}"]] for name in names})
        tested = backtest(bars, forecast, rule, Costs(), window=fold.test[0], returns=True)
        assert row["test_sharpe"] == pytest.approx(Measures.of(tested).sharpe[0], abs=1e-12)
        returns.append(tested.returns[0])
    assert report["walk_forward_sharpe"] == pytest.approx(sharpe_of(np.concatenate(returns), 252), abs=1e-9)


def test_in_sample_figures_are_never_alone(report):
    with pytest.raises(ProblemError, match="never shown alone"):
        report["in_sample_sharpe"]
    with pytest.raises(ProblemError, match="never shown alone"):
        report.figures_of("in_sample_return", "walk_forward_sharpe")
    both = report.figures_of("in_sample_sharpe", "walk_forward_sharpe", "deflated_sharpe", "overfitting")
    assert len(both) == 4
    with pytest.raises(ProblemError, match="no figure sharpe"):
        report["sharpe"]
    with pytest.raises(ProblemError, match="needs walk_forward_sharpe"):
        Report("a", report.folds, {}, [], {"in_sample_sharpe": 3.0})
    with pytest.raises(ProblemError, match="needs folds"):
        Report("a", [], {}, [], {"walk_forward_sharpe": 0, "deflated_sharpe": 0, "overfitting": 0})


def test_reports_round_trip(report, tmp_path):
    again = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert again.text() == report.text() and again.as_dict() == report.as_dict()
    report.write_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and float(rows[1]["test_sharpe"]) == report.folds[1]["test_sharpe"]


@pytest.fixture
def made():
    return lambda **more: Report(
        "a", [{"fold": 1}], {}, [], {"walk_forward_sharpe": 2.0, "walk_forward_error": 0.5, "deflated_sharpe": 0.99,
                                     "overfitting": 0.05} | more,
    )  # fmt: skip


def test_verdicts(made):
    assert made().verdict == "not explained by luck alone"
    assert "two standard errors" in made(walk_forward_sharpe=0.9).verdict
    assert "deflated 50%" in made(deflated_sharpe=0.5).verdict
    assert "overfitting 40%" in made(overfitting=0.4).verdict
    assert "no evidence" in made(overfitting=math.nan).verdict


def test_the_same_search_costs_nothing_again_and_all_trials_count(bars, tmp_path):
    address = f"sqlite:///{tmp_path}/a.db"
    one = search(bars, PLAN, store=address)
    two = search(bars, PLAN, store=address)
    assert two.as_dict() == one.as_dict()
    other = Plan(space=SPACE, folds=3, max_evals=24, min_trades=5, embargo=2, seed=1)
    three = search(bars, other, store=address)
    assert three["trials"] > one["trials"] + 24 * 2  # what was tried before counts as well
    search(load_bars("synthetic:else:500"), PLAN, store=address)
    assert search(bars, PLAN, store=address)["trials"] == three["trials"]  # other bars' trials do not
    store = open_store(address)
    try:
        reports = stored_reports(store)
    finally:
        store.close()
    assert sorted(item.symbol for item in reports.values()) == ["synthetic-else"] + 2 * ["synthetic-search"]


class Counting(Forecaster):
    calls = 0

    @property
    def options(self):
        return {}

    def forecast(self, bars):
        type(self).calls += 1
        return make_forecaster("ewma").forecast(bars)


def test_forecasts_are_made_once_for_all_folds(bars):
    cache = ForecastCache()
    search(bars, Plan(space=SPACE, folds=3, max_evals=10, min_trades=0, forecaster=Counting()), cache=cache)
    checked = Counting.calls  # one, and those that make sure that it knows the past only
    search(bars, Plan(space=SPACE, folds=2, max_evals=10, min_trades=0, forecaster=Counting()), cache=cache)
    assert (cache.misses, cache.hits) == (1, 1) and Counting.calls == checked == 5


def test_conditional_parameters_are_at_their_defaults_where_inactive(bars, tmp_path):
    space = {
        "side": Choice(["long", "both"]),
        "stop": Float(0.01, 0.2, when="side == 'long'"),
        "hold": Integer(1, 9, when="side == 'both'"),
        "low_mult": Float(0.0, 0.01),
    }
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    plan = Plan(space=space, folds=2, max_evals=30, min_trades=0, forecaster="ewma(trend=true)")
    try:
        found = search(bars, plan, store=store)
        trials = [trial for name in store.names() for trial in store.since(store.open(name).id)[0]]
    finally:
        store.close()
    assert {trial.status for trial in trials} == {Status.DONE}
    assert {trial.params["side"] for trial in trials} == {"long", "both"}
    rule = found.settings["rule"]
    assert (rule["stop"] in (math.inf, "inf")) == (rule["side"] == 0)


def test_a_rule_that_hardly_trades_stays_out(bars):
    found = search(bars, Plan(space=SPACE, folds=3, max_evals=10, min_trades=10_000))
    assert found["walk_forward_trades"] == 0 and found["walk_forward_sharpe"] == 0
    assert found["deflated_sharpe"] == 0 and "stayed out" in found.text()


def test_optimistic_fills_are_said_loudly(bars):
    with pytest.warns(OptimisticFills) as caught:
        found = search(bars, Plan(space=SPACE, folds=2, max_evals=10, fills="optimistic", min_trades=0))
    assert len(caught) == 1 and "OPTIMISTIC FILLS" in found.text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"rate": Float(0, 1)}}, "no parameters of a rule: rate"),
        ({"fixed": {"hold": 1}}, "varied and fixed: hold"),
        ({"space": {}}, "nothing is varied"),
        ({"folds": 0}, "folds"),
        ({"forecaster": "oracle"}, "unknown forecaster"),
        ({"penalty": -1}, "penalty"),
    ],
)
def test_plans_that_cannot_be(settings, message):
    with pytest.raises(ProblemError, match=message):
        Plan(**settings)


def test_too_few_bars(bars):
    with pytest.raises(ProblemError, match="fewer folds, or more bars"):
        search(bars.head(60), PLAN)


# --- many symbols -----------------------------------------------------------------------------------------------------


def test_one_failing_symbol_does_not_stop_the_rest(tmp_path):
    told = []
    found = runner.run_symbols(
        ["synthetic:a:400", "NOPE", "synthetic:b:400"], PLAN, workers=2, store=f"sqlite:///{tmp_path}/a.db",
        output=tmp_path / "out", tell=told.append,
    )  # fmt: skip
    assert list(found.reports) == ["synthetic:a:400", "synthetic:b:400"] and list(found.errors) == ["NOPE"]
    assert "no prices for 'NOPE'" in found.errors["NOPE"] and len(told) == 3
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"synthetic-{name}_backtest.{kind}" for name in "ab" for kind in ("csv", "json")]
    alone = runner.run_symbols(["synthetic:b:400"], PLAN)
    assert alone.reports["synthetic:b:400"].folds == found.reports["synthetic:b:400"].folds
    text = found.text()
    assert "NOPE" in text and "one after the other" in text and found.cpu_s["synthetic:a:400"] > 0


class Deadly(Forecaster):
    """Ends its process, as a crash in a library would."""

    @property
    def options(self):
        return {}

    def forecast(self, bars):
        import os

        if bars.symbol == "synthetic-bad":
            os._exit(9)
        return make_forecaster("ewma").forecast(bars)


def test_a_process_that_dies_takes_no_other_symbol_with_it():
    plan = Plan(space=SPACE, folds=2, max_evals=6, min_trades=0, forecaster=Deadly())
    found = runner.run_symbols(["synthetic:bad:300", "synthetic:good:300"], plan, workers=2)
    assert list(found.reports) == ["synthetic:good:300"] and "exit code 9" in found.errors["synthetic:bad:300"]


@pytest.mark.parametrize(("symbols", "workers"), [([], 1), (["a", "a"], 1), (["a"], 0)])
def test_runs_that_cannot_be(symbols, workers):
    with pytest.raises(ProblemError):
        runner.run_symbols(symbols, workers=workers)


# --- simulations ------------------------------------------------------------------------------------------------------


def test_simulations(monkeypatch):
    rows = backtest_forecasts("synthetic:ETHUSD:400", 12, window=100)
    assert [row["simulation"] for row in rows] == list(range(12)) and rows[0]["date"] == "399"
    assert rows[3]["date"] == "396"
    bars = load_bars("synthetic:ETHUSD:400")
    assert rows[3]["close"] == bars.close[395]
    shorter = backtest_forecasts(bars.head(397), 1, window=100)[0]  # simulation 3 knows no more than that
    assert {k: v for k, v in shorter.items() if k != "simulation"} == pytest.approx(
        {k: v for k, v in rows[3].items() if k != "simulation"}
    )
    assert all(row["entry_exit_in_sample_profit"] > 0 for row in rows)
    monkeypatch.setenv("MARKETSIM_FAST_SIMULATE", "yes")
    assert len(backtest_forecasts("synthetic:ETHUSD:400", 70, window=100)) == 35
    with pytest.raises(ProblemError, match="do not fit"):
        backtest_forecasts("synthetic:ETHUSD:200", 30)


def test_the_bar_that_judges_is_traded_as_the_kernel_trades(monkeypatch):
    """Long, entered at L, no costs: the next bar's return by hand."""
    bars = load_bars("synthetic:judge:400")
    rows = backtest_forecasts(bars, 20, window=100, trading_fee=0.0)
    forecast = make_forecaster("ewma").forecast(bars)
    seen = 0
    for row in rows:
        t = int(row["date"])
        buy = bars.close[t - 1] * (1 + min(np.expm1(forecast.low[t]) + row["close_at_eod_low_mult"], 0))
        expected = bars.close[t] / min(bars.open[t], buy) - 1 if bars.low[t] <= buy else 0.0
        assert row["close_at_eod_next_bar_return"] == pytest.approx(expected, abs=1e-12)
        seen += expected != 0
    assert seen >= 3 and simulations.WINDOW == 200
