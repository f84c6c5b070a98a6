"""The exact solver against full enumeration, the documented calls, their switches and their fallbacks."""

import inspect
import logging
import time

import numpy as np
import pytest

from thalweg.apps.market_backtest import flags, optimize
from thalweg.apps.market_backtest.multipliers import Days, profits, solve
from thalweg.apps.market_backtest.optimize import (
    optimize_always_on_multipliers,
    optimize_batch,
    optimize_entry_exit_multipliers,
    optimize_entry_exit_multipliers_with_callback,
    optimize_single_parameter,
    run_bounded_optimizer,
    split,
)
from thalweg.core.errors import ProblemError

FEE = 0.0015
BOX = ((-0.03, 0.03), (-0.03, 0.03))


def series(b, n, seed=0):
    """close, positions, high, high_pred, low, low_pred of b problems."""
    rng = np.random.default_rng(seed)
    close = rng.normal(0, 0.015, (b, n))
    high = np.maximum(close, 0) + rng.exponential(0.008, (b, n))
    low = np.minimum(close, 0) - rng.exponential(0.008, (b, n))
    high_pred, low_pred = rng.normal(0.012, 0.008, (b, n)), -rng.normal(0.012, 0.008, (b, n))
    return close, rng.choice([-2.0, -1.0, 0.0, 0.5, 1.0], (b, n)), high, high_pred, low, low_pred


def by_hand(close, position, high, high_pred, low, low_pred, h, low_mult, eod=False, fee=FEE):
    """The profit at one pair, day by day."""
    total = 0.0
    for c, p, hi, hp, lo, lp in zip(close, position, high, high_pred, low, low_pred, strict=True):
        sell, buy = min(max(hp + h, 0.0), 10.0), min(max(lp + low_mult, -1.0), 0.0)
        if p > 0 and buy > lo:
            total += p * ((sell if sell <= hi and not eod else c) - buy - fee)
        elif p < 0 and sell < hi:
            total += -p * (sell - (buy if buy >= lo and not eod else c) - fee)
    return total


def enumerated(row, eod):
    """The largest profit over all jumps of either kind (clips included) from both sides, and the bounds."""
    close, position, high, high_pred, low, low_pred = row
    sides = np.array([-1e-9, 0.0, 1e-9])

    def candidates(*jumps):
        flat = (np.concatenate(jumps)[:, None] + sides).ravel()
        return np.concatenate([flat[(flat >= -0.03) & (flat <= 0.03)], [-0.03, 0.03]])

    h, low_mult = candidates(high - high_pred, -high_pred), candidates(low - low_pred, -low_pred)
    sell = np.clip(high_pred[:, None] + h, 0, 10)[:, :, None]
    buy = np.clip(low_pred[:, None] + low_mult, -1, 0)[:, None, :]
    c, hi, lo, p = (item[:, None, None] for item in (close, high, low, position))
    long = np.where((buy > lo) & (p > 0), p * (np.where((sell <= hi) & (not eod), sell, c) - buy - FEE), 0.0)
    short = np.where((sell < hi) & (p < 0), -p * (sell - np.where((buy >= lo) & (not eod), buy, c) - FEE), 0.0)
    return float((long + short).sum(axis=0).max())


@pytest.mark.parametrize("eod", [False, True])
def test_it_equals_full_enumeration(eod):
    data = series(20, 25, 1)
    found = optimize_batch(*data, close_at_eod=eod, trading_fee=FEE)
    for i, (h, low_mult, profit) in enumerate(found):
        row = [item[i] for item in data]
        assert profit == pytest.approx(by_hand(*row, h, low_mult, eod), abs=1e-12)  # what is returned can be had
        assert abs(profit - enumerated(row, eod)) <= 1e-6
        assert -0.03 <= h <= 0.03 and -0.03 <= low_mult <= 0.03


def test_nothing_random_beats_it():
    data = series(4, 200, 2)
    rng = np.random.default_rng(0)
    days = Days.of(dict(zip(("close", "high", "high_pred", "low", "low_pred"), (data[0], *data[2:]), strict=True)),
                   *split(data[1]), FEE, False, single=False)  # fmt: skip
    best = solve(days)[2]
    tried = profits(days, rng.uniform(-0.03, 0.03, (4, 3000)), rng.uniform(-0.03, 0.03, (4, 3000))).max(axis=1)
    assert (best >= tried - 1e-9).all() and (best > tried + 1e-4).any()


def test_ties_and_discrete_prices():
    rng = np.random.default_rng(3)
    data = [np.round(item * 200) / 200 for item in series(10, 30, 3)]  # every price on a coarse grid: jumps coincide
    data[1] = rng.choice([-1.0, 1.0], (10, 30))
    for i, (_, _, profit) in enumerate(optimize_batch(*data, trading_fee=FEE)):
        assert abs(profit - enumerated([item[i] for item in data], False)) <= 1e-6


def test_narrow_bounds_are_kept():
    data = series(1, 60, 4)
    row = [item[0] for item in data]
    h, low_mult, profit = optimize_entry_exit_multipliers(*row, bounds=((0.001, 0.002), (-0.004, -0.003)))
    assert 0.001 <= h <= 0.002 and -0.004 <= low_mult <= -0.003
    assert profit == pytest.approx(by_hand(*row, h, low_mult, fee=0.0005), abs=1e-12)
    h, low_mult, _ = optimize_entry_exit_multipliers(*row, bounds=((0.01, 0.01), (0.0, 0.0)))
    assert (h, low_mult) == (0.01, 0.0)


def test_one_pair_for_each_problem_is_at_least_a_shared_pair():
    data = series(16, 60, 5)
    own = sum(profit for *_, profit in optimize_batch(*data, trading_fee=FEE))
    shared = optimize_entry_exit_multipliers(*(item.ravel() for item in data), trading_fee=FEE)[2]
    assert own > shared


def test_always_on_is_both_sides_unless_crypto():
    close, _, high, high_pred, low, low_pred = (item[0] for item in series(1, 80, 6))
    prices, ones = (high, high_pred, low, low_pred), np.ones(80)
    h, low_mult, both = optimize_always_on_multipliers(close, ones, -ones, *prices, trading_fee=FEE)
    assert both == pytest.approx(
        by_hand(close, ones, *prices, h, low_mult) + by_hand(close, -ones, *prices, h, low_mult), abs=1e-12
    )
    crypto = optimize_always_on_multipliers(close, ones, -ones, *prices, trading_fee=FEE, is_crypto=True)
    assert crypto == optimize_entry_exit_multipliers(close, ones, *prices, trading_fee=FEE)
    assert crypto != (h, low_mult, both)


def test_the_documented_signatures():
    names = ["close_at_eod", "trading_fee", "bounds", "maxiter", "popsize", "atol", "seed", "workers"]
    one = inspect.signature(optimize_entry_exit_multipliers).parameters
    assert [n for n, p in one.items() if p.kind is p.KEYWORD_ONLY] == names
    assert list(one)[:6] == ["close_actual", "positions", "high_actual", "high_pred", "low_actual", "low_pred"]
    assert [one[n].default for n in names] == [False, None, BOX, 50, 10, 1e-5, 42, 1]
    two = inspect.signature(optimize_always_on_multipliers).parameters
    names.insert(2, "is_crypto")
    assert [n for n, p in two.items() if p.kind is p.KEYWORD_ONLY] == names
    assert list(two)[1:3] == ["buy_indicator", "sell_indicator"]
    assert [two[n].default for n in names] == [False, None, False, BOX, 30, 8, 1e-5, 42, -1]


@pytest.mark.parametrize(("word", "on"), [("1", 1), ("TRUE", 1), ("yes", 1), (" On ", 1), ("0", 0), ("no", 0), ("", 0)])
def test_flags_are_read_when_called(word, on, monkeypatch):
    assert flags.use_direct() and flags.simulations(50) == 50
    monkeypatch.setenv("MARKETSIM_USE_DIRECT_OPTIMIZER", word)
    monkeypatch.setenv("MARKETSIM_FAST_SIMULATE", word)
    assert flags.use_direct() == on
    assert flags.simulations(50) == (35 if on else 50) and flags.simulations(10) == 10


def test_the_flag_turns_to_differential_evolution(monkeypatch):
    row = [item[0] for item in series(1, 60, 7)]
    exact = optimize_entry_exit_multipliers(*row)
    used = []
    for name, solver in optimize.SOLVERS.items():
        monkeypatch.setitem(optimize.SOLVERS, name, lambda *a, n=name, f=solver: (used.append(n), f(*a))[1])
    monkeypatch.setenv("MARKETSIM_USE_DIRECT_OPTIMIZER", "0")
    searched = optimize_entry_exit_multipliers(*row)
    assert used == ["de"]
    assert exact[2] * 0.9 <= searched[2] <= exact[2] + 1e-9
    assert searched[2] == pytest.approx(by_hand(*row, *searched[:2], fee=0.0005), abs=1e-12)
    assert optimize_entry_exit_multipliers(*row) == searched  # by its seed


def test_what_fails_is_logged_and_the_next_one_searches(monkeypatch, caplog):
    row = [item[0] for item in series(1, 60, 8)]
    exact = optimize_entry_exit_multipliers(*row)

    def broken(*_):
        raise MemoryError("no room")

    monkeypatch.setitem(optimize.SOLVERS, "exact", broken)
    with caplog.at_level(logging.WARNING, "thalweg.market"):
        direct = optimize_entry_exit_multipliers(*row)
    assert "exact failed" in caplog.text and "no room" in caplog.text
    assert exact[2] * 0.8 <= direct[2] <= exact[2] + 1e-9
    monkeypatch.setitem(optimize.SOLVERS, "direct", broken)
    assert exact[2] * 0.8 <= optimize_entry_exit_multipliers(*row)[2] <= exact[2] + 1e-9
    assert "direct failed" in caplog.text


def test_helpers_for_any_function():
    def profit(h, low_mult):
        return -((h - 0.01) ** 2) - (low_mult + 0.02) ** 2

    h, low_mult, best = optimize_entry_exit_multipliers_with_callback(profit, maxiter=30)
    assert (h, low_mult) == pytest.approx((0.01, -0.02), abs=1e-3) and best == profit(h, low_mult)
    x, best = optimize_single_parameter(lambda v: -abs(v - 0.03))
    assert x == pytest.approx(0.03, abs=2e-3) and best == -abs(x - 0.03)
    point, value = run_bounded_optimizer(lambda p: sum((v - 1) ** 2 for v in p), bounds=[(0, 2)] * 3, maxiter=20)
    assert value < 0.05 and len(point) == 3
    with pytest.raises(ProblemError, match="no method found"):
        run_bounded_optimizer(lambda p: float("nan"), bounds=[(0, 1)], maxiter=2)


def test_what_cannot_be():
    data = [item[0] for item in series(1, 10)]
    with pytest.raises(ProblemError, match="shape"):
        optimize_entry_exit_multipliers(data[0][:5], *data[1:])
    broken = data[0].copy()
    broken[3] = np.nan
    with pytest.raises(ProblemError, match="not finite"):
        optimize_entry_exit_multipliers(broken, *data[1:])
    with pytest.raises(ProblemError, match="bounds"):
        optimize_entry_exit_multipliers(*data, bounds=((0.1, -0.1), (0, 0)))
    with pytest.raises(ProblemError, match="maxiter"):
        optimize_entry_exit_multipliers(*data, maxiter=0)
    with pytest.raises(ProblemError, match="workers"):
        optimize_entry_exit_multipliers(*data, workers=0)
    with pytest.raises(ProblemError, match="numbers"):
        optimize_entry_exit_multipliers([["a"]], *data[1:])


def test_lists_do():
    data = [item[0] for item in series(1, 20, 9)]
    assert optimize_entry_exit_multipliers(*(item.tolist() for item in data)) == optimize_entry_exit_multipliers(*data)


def test_seventy_windows_and_two_policies_take_less_than_a_second():
    data = series(70, 200, 10)
    spent = []
    for _ in range(3):  # CPU time, the least of three: other work on the machine only ever adds
        before = time.process_time()
        for eod in (False, True):
            optimize_batch(*data, close_at_eod=eod, trading_fee=FEE)
        spent.append(time.process_time() - before)
    assert min(spent) <= 1.0


def test_tensors():
    torch = pytest.importorskip("torch")
    data = series(6, 50, 11)
    plain = optimize_batch(*data, trading_fee=FEE)
    double = optimize_batch(*(torch.as_tensor(item) for item in data), trading_fee=FEE)
    np.testing.assert_allclose(double, plain, atol=1e-9)
    single = [torch.as_tensor(item[0], dtype=torch.float32) for item in data]
    h, low_mult, profit = optimize_entry_exit_multipliers(*single, trading_fee=FEE)
    assert isinstance(profit, float) and profit == pytest.approx(plain[0][2], abs=1e-4)
    assert profit == pytest.approx(by_hand(*(item[0] for item in data), h, low_mult), abs=1e-4)
    grad = [item.requires_grad_() for item in single]
    assert optimize_entry_exit_multipliers(*grad, trading_fee=FEE)[2] == profit


@pytest.mark.parametrize("solver", ["direct", "de"])
def test_tensors_fall_back(solver, monkeypatch):
    torch = pytest.importorskip("torch")
    data = [torch.as_tensor(item[0]) for item in series(1, 50, 13)]
    exact = optimize_entry_exit_multipliers(*data)
    monkeypatch.setattr(optimize, "SOLVERS", {solver: optimize.SOLVERS[solver]})
    h, low_mult, profit = optimize_entry_exit_multipliers(*data)
    assert exact[2] * 0.6 <= profit <= exact[2] + 1e-9
    assert profit == pytest.approx(by_hand(*(item.tolist() for item in data), h, low_mult, fee=0.0005), abs=1e-12)


def test_one_transfer_for_a_batch_of_tensors(monkeypatch):
    torch = pytest.importorskip("torch")
    data = [torch.as_tensor(item) for item in series(6, 50, 12)]
    calls = []
    for name in ("item", "tolist", "__float__", "__bool__", "numpy", "cpu"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *a, n=name, f=real: (calls.append(n), f(self, *a))[1])
    optimize_batch(*data, trading_fee=FEE)
    assert calls == ["tolist"]
