"""Grids that close in: never above the exact solution, near it after the polish, and set by the environment."""

import numpy as np
import pytest

from thalweg.apps.market_backtest import flags, optimize
from thalweg.apps.market_backtest.closing_grid import Grids, search_grids
from thalweg.apps.market_backtest.multipliers import BOUNDS, Days, profits, solve
from thalweg.apps.market_backtest.optimize import optimize_entry_exit_multipliers, split
from thalweg.core.errors import ProblemError


def days(eod, b=20, n=80, seed=0):
    rng = np.random.default_rng(seed)
    close = rng.normal(0, 0.015, (b, n))
    arrays = {
        "close": close,
        "high": np.maximum(close, 0) + rng.exponential(0.008, (b, n)),
        "low": np.minimum(close, 0) - rng.exponential(0.008, (b, n)),
        "high_pred": rng.normal(0.012, 0.008, (b, n)),
        "low_pred": -rng.normal(0.012, 0.008, (b, n)),
    }
    return Days.of(arrays, *split(rng.choice([-1.0, 1.0], (b, n))), 0.0015, eod, single=False)


@pytest.mark.parametrize("eod", [False, True])
def test_the_polish_comes_nearer(eod):
    given = days(eod)
    exact = solve(given)[2]
    rough, fine = (search_grids(given, BOUNDS, polish=polish)[2] for polish in (False, True))
    assert (rough <= fine + 1e-12).all() and (fine <= exact + 1e-9).all()
    assert 1 - fine.sum() / exact.sum() < 0.7 * (1 - rough.sum() / exact.sum())
    assert fine.sum() > 0.93 * exact.sum()


def test_what_is_found_earns_what_is_said_and_lies_in_the_box():
    given, box = days(False), ((-0.004, 0.01), (-0.02, 0.001))
    h, low_mult, profit = search_grids(given, box)
    assert np.allclose(profits(given, h[:, None], low_mult[:, None])[:, 0], profit, atol=1e-12)
    for found, (low, high) in zip((h, low_mult), box, strict=True):
        assert (found >= low).all() and (found <= high).all()


def test_more_steps_are_no_worse():
    given = days(False)
    few, many = (search_grids(given, BOUNDS, Grids(steps), polish=False)[2].sum() for steps in ((5,), (5, 5, 5, 5, 5)))
    assert many > few


def test_the_environment_sets_it(monkeypatch):
    assert flags.grids() == Grids((33, 17, 9), 0.6, 1e-4) and not flags.use_grid()
    for name, text in (("STEPS", "9, 5"), ("SHRINK", "0.99"), ("MIN_WINDOW", "1e-3")):
        monkeypatch.setenv(f"MARKETSIM_TORCH_GRID_{name}", text)
    assert flags.grids() == Grids((9, 5), 0.95, 1e-3)
    monkeypatch.setenv("MARKETSIM_TORCH_GRID_STEPS", "many")
    with pytest.raises(ProblemError, match="33,17,9"):
        flags.grids()
    for wrong in (Grids, dict):
        with pytest.raises(ProblemError if wrong is Grids else TypeError):
            wrong((1,), 0.5)


def test_the_flag_is_heard_at_the_next_call(monkeypatch):
    given = days(False, b=1, seed=4)
    row = [getattr(given, name)[0] for name in ("close", "high", "high_pred", "low", "low_pred")]
    close, high, high_pred, low, low_pred = row
    position = (given.long - given.short)[0]
    called = []
    real = optimize.search_grids
    monkeypatch.setattr(optimize, "search_grids", lambda *a: called.append(1) or real(*a))

    def best():
        return optimize_entry_exit_multipliers(
            close, position, high, high_pred, low, low_pred, trading_fee=0.0015
        )  # fmt: skip

    exact = best()
    assert not called
    monkeypatch.setenv("MARKETSIM_USE_TORCH_GRID", "1")
    found = best()
    assert called and 0.9 * exact[2] <= found[2] <= exact[2] + 1e-9
    with pytest.raises(ProblemError, match="finite"):
        close = close * np.nan
        best()


def test_tensors():
    torch = pytest.importorskip("torch")
    given = days(False, b=3)
    arrays = {name: torch.as_tensor(getattr(given, name)) for name in ("close", "high", "low", "high_pred", "low_pred")}
    tensors = Days.of(arrays, *split(torch.as_tensor(given.long - given.short)), 0.0015, False, single=False)
    ours, theirs = search_grids(given, BOUNDS), search_grids(tensors, BOUNDS)
    assert all(np.allclose(a, b.numpy(), atol=1e-9) for a, b in zip(ours, theirs, strict=True))
