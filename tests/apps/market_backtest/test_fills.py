"""Fills against paths whose order of events is known, and against fair games, where nothing can be earned."""

import warnings

import numpy as np
import pytest

from thalweg.apps.market_backtest.forecast import Forecast
from thalweg.apps.market_backtest.kernel import backtest
from thalweg.apps.market_backtest.rules import NEVER, Costs, OptimisticFills, Rules
from thalweg.apps.market_backtest.synthetic import CALM_AND_WILD, Regime, synthetic
from thalweg.core.errors import ProblemError

HIGH, LOW, STOP = 0.003, -0.002, 0.003


def true_return(path, previous, side):
    """What a rule that is out at the close really got on one path, walked step by step; None: never in."""
    sell, buy = previous * np.exp(HIGH), previous * np.exp(LOW)
    limit, target = (buy, sell) if side > 0 else (sell, buy)
    price = stop = None
    for at, worth in enumerate(path):
        if price is None and side * (limit - worth) >= 0:
            price = worth if at == 0 else limit
            stop = price * np.exp(-side * STOP)
        if price is not None:
            if side * (worth - target) >= 0:
                return side * (target / price - 1), at == 0 or path[0] == price
            if side * (worth - stop) <= 0:
                return side * (stop / price - 1), path[0] == price
    return None if price is None else (side * (path[-1] / price - 1), path[0] == price)


@pytest.fixture(scope="module")
def known():
    """Bars of 3,000 days whose paths are known, and what all three ways to fill make of them."""
    market = synthetic(3001, 5, regimes=(Regime(0.0, 0.012),), gap=0.4, steps=60, bridge=False)
    bars = market.bars
    side = np.where(np.arange(3001) % 2, 1, -1)
    forecast = Forecast.of(np.full(3001, HIGH), np.full(3001, LOW), side)
    how = {"costs": Costs(0.0), "returns": True}
    rule = Rules.of(stop=STOP, hold=1)
    pessimistic = backtest(bars, forecast, rule, **how).returns[0]
    with pytest.warns(OptimisticFills):
        optimistic = backtest(bars, forecast, rule, **how, fills="optimistic").returns[0]
    told = [true_return(market.path[t], bars.close[t - 1], side[t]) for t in range(1, 3001)]
    true = np.array([0.0 if item is None else item[0] for item in told])
    at_open = np.array([item is not None and item[1] for item in told])
    return pessimistic, true, optimistic, at_open


def test_optimistic_fills_are_never_worse_than_what_happened(known):
    _, true, optimistic, _ = known
    assert (optimistic >= true - 1e-12).all()
    assert optimistic.mean() - true.mean() > 5 * (optimistic - true).std() / np.sqrt(len(true))


def test_pessimistic_fills_are_never_better_where_the_order_is_known(known):
    pessimistic, true, _, at_open = known
    assert at_open.sum() > 200
    assert (pessimistic[at_open] <= true[at_open] + 1e-12).all()
    assert (pessimistic[at_open] < true[at_open] - 1e-6).any()  # some bar touched both, and the target came first


def test_pessimistic_fills_are_not_better_in_the_mean(known):
    pessimistic, true, _, _ = known
    difference = pessimistic - true
    assert difference.mean() <= 2 * difference.std() / np.sqrt(len(difference))


GRID = np.linspace(-0.01, 0.01, 5)
UP, DOWN = (item.ravel() for item in np.meshgrid(GRID, GRID))


def fair_game(fills, hold, repetitions=24, days=1000, steps=60, seed=0, side=1, **rule):
    """t statistics of the mean daily return of 25 rules on price paths that are martingales, without costs."""
    rng = np.random.default_rng(seed)
    total, squares, count = np.zeros(25), np.zeros(25), 0
    forecast = Forecast.of(np.full(days, 0.012), np.full(days, -0.012), side)
    rules = Rules.of(high_mult=UP, low_mult=DOWN, hold=hold, **rule)
    for _ in range(repetitions):
        bars = synthetic(days, rng, regimes=(Regime(0.0, 0.015),), steps=steps).bars
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimisticFills)
            tally = backtest(bars, forecast, rules, Costs(0.0), fills=fills)
        total, squares, count = total + tally.total, squares + tally.squares, count + tally.bars
    mean = total / count
    return mean / np.sqrt(squares / count - mean**2) * np.sqrt(count)


@pytest.mark.parametrize("hold", [1, NEVER])
def test_a_fair_game_stays_fair(hold):
    assert np.abs(fair_game("pessimistic", hold)).max() <= 3


@pytest.mark.parametrize("hold", [1, NEVER])
def test_optimistic_fills_make_money_of_a_fair_game(hold):
    """The permanent negative control: a test of fills that this assumption passes is no test."""
    assert fair_game("optimistic", hold, repetitions=6).max() >= 20


def test_with_a_stop_pessimism_only_costs():
    assert fair_game("pessimistic", NEVER, repetitions=6, stop=0.02).max() <= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("hold", [1, NEVER])
def test_a_fair_game_stays_fair_long(hold, side, seed):
    assert np.abs(fair_game("pessimistic", hold, steps=390, seed=seed, side=side)).max() <= 3
    assert fair_game("optimistic", hold, seed=seed, side=side).max() >= 20


def test_made_prices_are_what_they_say():
    market = synthetic(4000, 3, regimes=(Regime(0.001, 0.02),), steps=30, gap=0.25)
    moves = np.diff(np.log(market.bars.close))
    assert moves.std() == pytest.approx(0.02, rel=0.05)
    assert moves.mean() == pytest.approx(0.001 - 0.0002, abs=4 * 0.02 / np.sqrt(4000))
    gaps = np.log(market.bars.open[1:] / market.bars.close[:-1])
    assert gaps.std() == pytest.approx(0.01, rel=0.05)
    assert (market.path[:, 0] == market.bars.open).all() and (market.path[:, -1] == market.bars.close).all()
    assert (market.bars.high >= market.path.max(axis=1)).all() and (market.bars.low <= market.path.min(axis=1)).all()


def test_without_drift_prices_are_a_fair_game():
    """The mean of price ratios is 1, not that of logarithms 0."""
    bars = synthetic(20_000, 11, regimes=(Regime(0.0, 0.1),), steps=2, gap=0.3, start=1e20).bars
    ratios = bars.close[1:] / bars.close[:-1]
    assert ratios.mean() == pytest.approx(1.0, abs=3 * 0.1 / np.sqrt(20_000))


def test_bridged_extremes_do_not_depend_on_the_steps():
    """The mean range of Brownian motion is sqrt(8 / pi) sigma (W. Feller, Ann. Math. Stat. 22, 1951)."""
    for steps in (20, 200):
        bars = synthetic(6000, steps, regimes=(Regime(0.0, 0.015),), steps=steps).bars
        assert np.log(bars.high / bars.low).mean() == pytest.approx(np.sqrt(8 / np.pi) * 0.015, rel=0.02)
    coarse = synthetic(6000, 1, regimes=(Regime(0.0, 0.015),), steps=20, bridge=False).bars
    assert np.log(coarse.high / coarse.low).mean() < 0.9 * np.sqrt(8 / np.pi) * 0.015


def test_regimes_come_and_go():
    market = synthetic(5000, 7, regimes=CALM_AND_WILD, steps=2)
    wild = market.regime == 1
    assert 0.1 < wild.mean() < 0.5
    moves = np.diff(np.log(market.bars.close))
    assert moves[wild[1:]].std() > 1.8 * moves[~wild[1:]].std()
    assert (
        synthetic(50, 7, regimes=CALM_AND_WILD).bars.close == synthetic(50, 7, regimes=CALM_AND_WILD).bars.close
    ).all()


def test_sizes_that_cannot_be():
    with pytest.raises(ProblemError, match="count >= 2"):
        synthetic(1)
    with pytest.raises(ProblemError, match="gap"):
        synthetic(10, gap=1.0)
