"""Forecasters know the past only, and are asked once."""

import numpy as np
import pytest

from thalweg.apps.market_backtest.bars import PRICES, Bars
from thalweg.apps.market_backtest.forecast import Forecast
from thalweg.apps.market_backtest.forecast_cache import ForecastCache
from thalweg.apps.market_backtest.forecasters import (
    FORECASTERS,
    Cross,
    Ewma,
    Forecaster,
    Range,
    check_causal,
    make_forecaster,
)
from thalweg.apps.market_backtest.kernel import backtest
from thalweg.apps.market_backtest.rules import Rules
from thalweg.core.errors import ProblemError

KNOWN = [Ewma(), Ewma(5, trend=True), Range(10, 0.6), Cross(5, 20)]


class Whole(Forecaster):
    """Quantiles of the whole series; `leak`: whether rows know the future."""

    calls = 0

    def __init__(self, leak=False, shift=1):
        self.leak, self.shift = leak, shift

    @property
    def options(self):
        return {"leak": self.leak, "shift": self.shift}

    def forecast(self, bars):
        type(self).calls += 1
        moves = np.concatenate([[np.nan], np.log(bars.high[1:] / bars.close[:-1])])
        high = np.concatenate([np.full(self.shift, np.nan), moves[: len(moves) - self.shift]])
        if self.leak:
            high = high - np.nanmean(high)
        return Forecast.of(high, -np.abs(high))


@pytest.mark.parametrize("forecaster", [*KNOWN, Whole()], ids=lambda item: item.identity()[:60])
def test_truncated_histories_give_the_same_rows(forecaster, bars):
    check_causal(forecaster, bars, cuts=[2, 3, 21, 60, 199, 399])


@pytest.mark.parametrize("forecaster", [Whole(leak=True), Whole(shift=0)])
def test_knowing_the_future_is_found(forecaster, bars):
    with pytest.raises(ProblemError, match="knows the future: its row"):
        check_causal(forecaster, bars)
    with pytest.raises(ProblemError, match="knows the future"):
        ForecastCache().forecast(forecaster, bars)


@pytest.mark.parametrize("forecaster", KNOWN, ids=lambda item: item.identity()[:60])
def test_later_bars_change_nothing_before_them(forecaster, bars):
    """Whatever bar is changed, the equity up to the bar before it is the same bit by bit."""
    rules = Rules.of(high_mult=[0.0, 0.004], low_mult=[0.0, 0.004], stop=[np.inf, 0.03], hold=[3, 9])
    before = backtest(bars, forecaster.forecast(bars), rules, returns=True).returns
    rng = np.random.default_rng(0)
    for t in rng.integers(30, 399, 8).tolist():
        factor = np.ones(len(bars))
        factor[t:] = np.exp(rng.normal(0, 0.1, len(bars) - t))
        other = Bars.of(*(getattr(bars, name) * factor for name in PRICES))
        after = backtest(other, forecaster.forecast(other), rules, returns=True).returns
        assert (before[:, : t - 1] == after[:, : t - 1]).all()
        assert (before[:, t - 1 :] != after[:, t - 1 :]).any()


def test_ewma_by_hand():
    bars = Bars.of([100, 100, 104, 104], [100, 106, 105, 104], [100, 98, 99, 104], [100, 104, 100, 104])
    made = Ewma(half_life=1.0, warm_up=2).forecast(bars)
    assert np.isnan(made.high[:2]).all() and made.side.tolist() == [0, 0, 1, 1]
    first, second = np.log(106 / 100), np.log(105 / 104)
    assert made.high[2] == pytest.approx(first)
    assert made.high[3] == pytest.approx((0.25 * first + 0.5 * second) / 0.75)
    assert made.low[2] == pytest.approx(np.log(98 / 100))


def test_forecasts_are_made_once(bars, tmp_path):
    cache, forecaster = ForecastCache(tmp_path), Whole()
    before = Whole.calls
    one = cache.forecast(forecaster, bars)
    made = Whole.calls - before
    assert cache.forecast(Whole(), bars) is one and (cache.hits, cache.misses) == (1, 1)
    again = ForecastCache(tmp_path)
    assert again.forecast(forecaster, bars).equal_to(one).all() and (again.hits, again.misses) == (1, 0)
    assert Whole.calls - before == made
    cache.forecast(Whole(shift=2), bars)  # another option
    cache.forecast(forecaster, bars.head(300))  # other bars
    assert cache.misses == 3
    for file in tmp_path.iterdir():
        file.write_bytes(b"half a file")
    assert ForecastCache(tmp_path).forecast(forecaster, bars).equal_to(one).all()


def test_by_name():
    assert set(FORECASTERS) == {"cross", "ewma", "range"}
    made = make_forecaster("ewma(half_life=5, trend=true)")
    assert made.options == {"half_life": 5.0, "warm_up": 20, "trend": True}
    assert make_forecaster(f"{Ewma.__module__}:Range(window=7)").options["window"] == 7
    assert make_forecaster(Cross).options == {"fast": 10, "slow": 50}
    assert make_forecaster("ewma").identity() != make_forecaster("ewma(half_life=9)").identity()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emwa", "did you mean 'ewma'"),
        ("ewma(half_life)", "name=value"),
        ("ewma(fast=3)", "unexpected keyword"),
        ("ewma(half_life=0)", "half_life > 0"),
        ("ewma(half_life=1", "option=value"),
        ("nowhere.at.all:X", "cannot be imported"),
        ("json:dumps", "dumps"),
        (3, "name of one"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(ProblemError, match=message):
        make_forecaster(name)


def test_rows_are_checked():
    with pytest.raises(ProblemError, match="one length"):
        Forecast.of([1, 2], [1])
    with pytest.raises(ProblemError, match="side"):
        Forecast.of([1], [1], 2)


class Short(Whole):
    def forecast(self, bars):
        return super().forecast(bars.head(len(bars) - 1))


def test_a_row_for_every_bar(bars):
    with pytest.raises(ProblemError, match="399 rows for 400 bars"):
        check_causal(Short(), bars)
