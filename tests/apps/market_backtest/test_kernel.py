"""The kernel agrees with a slow broker, with itself in all engines, and with hand-made bars."""

from contextlib import nullcontext

import numpy as np
import pytest
from event_driven import simulate
from markets import noisy_forecast, random_rules

from thalweg.apps.market_backtest.bars import Bars
from thalweg.apps.market_backtest.forecast import Forecast
from thalweg.apps.market_backtest.kernel import backtest
from thalweg.apps.market_backtest.measures import Measures
from thalweg.apps.market_backtest.rules import Costs, OptimisticFills, Rules
from thalweg.apps.market_backtest.trades import trades
from thalweg.core.errors import ProblemError

ENGINES = ["numpy", "python", "numba"]
SUMS = ("growth", "total", "squares", "downside", "drawdown", "traded", "held", "trades")


def engine_or_skip(engine):
    if engine == "numba":
        pytest.importorskip("numba")
    return engine


def close_to(a, b, what):
    same = (a == b) | (np.abs(a - b) <= 1e-12 * np.maximum(1.0, np.abs(b)))
    assert np.all(same), (what, np.abs(a - b).max())


@pytest.mark.parametrize("fills", ["pessimistic", "optimistic"])
@pytest.mark.parametrize("engine", ENGINES)
def test_it_equals_a_slow_broker(engine, fills, bars):
    engine_or_skip(engine)
    rules, forecast, costs = random_rules(60, 3), noisy_forecast(len(bars)), Costs(0.0007, 0.0003)
    with pytest.warns(OptimisticFills) if fills == "optimistic" else nullcontext():
        tally = backtest(bars, forecast, rules, costs, fills=fills, engine=engine)
    found = Measures.of(tally)
    wanted = [simulate(bars, forecast, rules.dict(i), 0.001, fills == "optimistic")[0] for i in range(len(rules))]
    for name in wanted[0]:
        close_to(getattr(found, name), np.array([row[name] for row in wanted]), name)
    assert found.n_trades.sum() > 1000  # something happened


@pytest.mark.parametrize("engine", ["python", "numba"])
@pytest.mark.parametrize("size", [1.0, 6.0])
def test_engines_agree_also_where_rules_are_ruined(engine, size, bars):
    engine_or_skip(engine)
    wild = Bars.of(*(np.exp(3 * np.log(getattr(bars, name) / 100)) for name in ("open", "high", "low", "close")))
    rules, forecast = random_rules(80, 5, size), noisy_forecast(len(bars), 2)
    one = backtest(wild, forecast, rules, engine="numpy", returns=True, window=(7, 390))
    two = backtest(wild, forecast, rules, engine=engine, returns=True, window=(7, 390))
    for name in (*SUMS, "returns"):
        close_to(getattr(one, name), getattr(two, name), name)
    assert (one.growth == 0).any() == (size > 1)
    np.testing.assert_allclose(np.log1p(one.returns[one.growth > 0]).sum(axis=1), np.log(one.growth[one.growth > 0]))


def test_the_trade_list_is_what_the_slow_broker_logged(bars):
    rules, forecast = random_rules(12, 9), noisy_forecast(len(bars), 4)
    for i in range(len(rules)):
        found = trades(bars, forecast, rules.take([i]), Costs(0.001))
        figures, log = simulate(bars, forecast, rules.dict(i), 0.001)
        flat = [x for item in found for x in ((item.entry_bar, item.entry_price), (item.exit_bar, item.exit_price))]
        assert [t for t, _ in flat] == [t for t, *_ in log]
        np.testing.assert_allclose([price for _, price in flat], [price for *_, price, _ in log], rtol=1e-13)
        assert [item.reason for item in found] == [why for _, why, *_ in log[1::2]]
        assert len(found) == figures["n_trades"]
        np.testing.assert_allclose(sum(item.pnl for item in found), np.expm1(figures["log_return"]), atol=1e-12)


def one_bar(bar, *, high=0.02, low=-0.01, side=1, **rule):
    """What one bar after a close of 100 makes of a rule without costs: the trades."""
    o, h, lo, c = bar
    bars = Bars.of([100, o], [100, h], [100, lo], [100, c])
    given = Forecast.of([np.nan, high], [np.nan, low], [0, side])
    return trades(bars, given, Rules.of(**rule), Costs(0.0))


BUY, SELL = 100 * np.exp(-0.01), 100 * np.exp(0.02)


@pytest.mark.parametrize(
    ("bar", "rule", "expected"),
    [
        ((100, 103, 99.5, 100), {}, None),  # the low does not reach the limit
        ((100, 103, 98, 99.5), {}, (BUY, 99.5, "time")),  # entered inside: the high may have come first
        ((98, 103, 97, 99.5), {}, (98, SELL, "target")),  # the open filled the entry, so the high came after it
        ((98, 103, 95, 99.5), {"stop": 0.02}, (98, 98 * np.exp(-0.02), "stop")),  # both touched: the stop
        ((100, 103, 95, 99.5), {"stop": 0.02}, (BUY, BUY * np.exp(-0.02), "stop")),  # below the entry: after it
        ((98, 101, 97, 99.5), {"hold": 1}, (98, 99.5, "time")),
        ((100, 103, 90, 99.5), {"high_mult": -0.04}, None),  # the target is not above the entry
    ],
)
def test_one_bar_long(bar, rule, expected):
    found = one_bar(bar, **rule)
    if expected is None:
        assert found == []
    else:
        (trade,) = found
        assert (trade.entry_price, trade.exit_price) == pytest.approx(expected[:2], rel=1e-14)
        assert trade.reason == expected[2]


@pytest.mark.parametrize(
    ("bar", "rule", "expected"),
    [
        ((100, 101.5, 97, 100), {}, None),
        ((100, 103, 97, 100.5), {}, (SELL, 100.5, "time")),
        ((103, 104, 97, 100.5), {}, (103, BUY, "target")),
        ((103, 106, 97, 100.5), {"stop": 0.02}, (103, 103 * np.exp(0.02), "stop")),
    ],
)
def test_one_bar_short(bar, rule, expected):
    found = one_bar(bar, side=-1, **rule)
    assert [(x.side, x.reason) for x in found] == ([] if expected is None else [(-1, expected[2])])
    for trade in found:
        assert (trade.entry_price, trade.exit_price) == pytest.approx(expected[:2], rel=1e-14)


def two_bars(bar, **rule):
    """Long at 99 from a first bar, then `bar`."""
    o, h, lo, c = bar
    bars = Bars.of([100, 100, o], [100, 100, h], [100, 98, lo], [100, 99.5, c])
    given = Forecast.of([np.nan, 0.02, 0.02], [np.nan, np.log(0.99), -0.01], [0, 1, 1])
    (trade,) = trades(bars, given, Rules.of(**rule), Costs(0.0))
    return trade.exit_price, trade.reason


def test_gaps():
    target = 99.5 * np.exp(0.02)
    assert two_bars((104, 105, 90, 100), stop=0.05) == (104, "target")  # opened beyond the target: before any stop
    assert two_bars((90, 105, 89, 100), stop=0.05) == (90, "stop")  # opened below the stop: at the open, not the stop
    price, why = two_bars((100, 102, 93, 100), stop=0.05)
    assert (price, why) == (pytest.approx(99 * np.exp(-0.05)), "stop")
    price, why = two_bars((100, 102, 95, 100), stop=0.05)
    assert (price, why) == (pytest.approx(target), "target")


def test_optimistic_fills_are_a_warning_and_a_gain():
    bars = Bars.of([100, 100], [100, 103], [100, 98], [100, 99.5])
    given = Forecast.of([np.nan, 0.02], [np.nan, -0.01])
    with pytest.warns(OptimisticFills, match="pure noise"):
        (trade,) = trades(bars, given, Rules.of(), Costs(0.0), fills="optimistic")
    assert (trade.exit_price, trade.reason) == (pytest.approx(SELL), "target")


def test_costs_are_paid_on_both_sides():
    bars = Bars.of([100, 98], [100, 103], [100, 97], [100, 99])
    given = Forecast.of([np.nan, 0.02], [np.nan, -0.01])
    tally = backtest(bars, given, Rules.of(), Costs(0.002, 0.001))
    shares = 1 / 98
    assert tally.growth[0] == pytest.approx(1 - 0.003 + shares * (SELL - 98) - 0.003 * shares * SELL, rel=1e-14)
    assert tally.traded[0] == pytest.approx(1 + shares * SELL, rel=1e-14)


def test_signals_alone_are_market_orders_at_the_next_open():
    rng = np.random.default_rng(0)
    bars = Bars.of(*_walk(rng, 50))
    long = np.arange(50) % 10 < 6
    given = Forecast.of(np.where(long, np.inf, -np.inf), np.where(long, np.inf, np.nan), long.astype(int))
    found = trades(bars, given, Rules.of(), Costs(0.0))
    assert [(x.entry_bar, x.exit_bar) for x in found] == [(1, 6), (10, 16), (20, 26), (30, 36), (40, 46)]
    assert all(x.entry_price == bars.open[x.entry_bar] and x.exit_price == bars.open[x.exit_bar] for x in found)


def _walk(rng, n):
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    open_ = np.concatenate([[100], close[:-1]]) * np.exp(rng.normal(0, 0.003, n))
    return open_, np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998, close


def test_nothing_traded_gives_zeros(bars):
    found = Measures.of(backtest(bars, Forecast.of(np.full(400, 0.01), np.full(400, -0.01), 0), Rules.of()))
    assert set(found.dict().values()) == {0.0}


@pytest.mark.parametrize("window", [(0, 10), (5, 5), (1, 401), (9, 3)])
def test_windows_that_are_none(window, bars):
    with pytest.raises(ProblemError, match="first < last <= 400"):
        backtest(bars, noisy_forecast(400), Rules.of(), window=window)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"stop": 0.0}, "stop must be > 0"),
        ({"hold": 1.5}, "whole number"),
        ({"side": "up"}, "side is one of both, long, short"),
        ({"sise": 1}, "no sise"),
        ({"size": -1}, "size must be > 0"),
        ({"high_mult": np.nan}, "high_mult must be finite"),
        ({"high_mult": [1, 2], "low_mult": [1, 2, 3]}, "one length"),
    ],
)
def test_rules_that_cannot_be(rule, message):
    with pytest.raises(ProblemError, match=message):
        Rules.of(rule)


def test_other_things_that_cannot_be(bars):
    with pytest.raises(ProblemError, match="3 rows"):
        backtest(bars, Forecast.of([0, 0, 0], [0, 0, 0]), Rules.of())
    with pytest.raises(ProblemError, match="'pessimistic' or 'optimistic'"):
        backtest(bars, noisy_forecast(400), Rules.of(), fills="best")
    with pytest.raises(ProblemError, match="engine"):
        backtest(bars, noisy_forecast(400), Rules.of(), engine="fortran")
    with pytest.raises(ProblemError, match="share"):
        Costs(-0.1)
    with pytest.raises(ProblemError, match="one rule"):
        trades(bars, noisy_forecast(400), random_rules(2))
