"""The formulas written twice: arrays (step, consensus, tally) against single numbers (kernel)."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from thalweg.apps.token_economy import kernel
from thalweg.apps.token_economy.metrics import METRICS
from thalweg.apps.token_economy.parameters import space_of
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Config, State
from thalweg.apps.token_economy.world import Shock, World
from thalweg.core.errors import MissingExtra

WORLDS = [
    World(),
    World(
        ethereum_curve=True, halving_blocks=2000, shocks=(Shock(5, 0.1, 3.0), Shock(20, 4.0, 0.5)), unbonding_days=2.0
    ),
]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the kernel run without numba, as plain Python."""
    monkeypatch.setattr(kernel, "compiled", lambda: None)


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("world", WORLDS, ids=["plain", "shocks"])
@pytest.mark.parametrize("preset", ["consensus", "full"])
def test_both_engines_agree(world: World, preset: str) -> None:
    space = space_of(preset, "any")
    points = space.sample(40, np.random.default_rng(4))
    columns = space.to_columns(*space.resolve(points)[1:])
    arrays = Simulator(paths=3, days=50, seed=7, world=world)
    one, two = arrays.evaluate(columns), arrays.at(engine="numba").evaluate(columns)
    for name in METRICS:
        np.testing.assert_allclose(two.paths[name], one.paths[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_kernel_knows_where_everything_is() -> None:
    places = ("supply0", "depth0", "price0", "reward", "apy", "fee", "burn_share", "blocks", "capacity_usd", "noise")
    assert tuple(Config.__slots__[:10]) == places
    assert [Config.__slots__[i] for i in (kernel.TRADING_FEE, kernel.HURDLE, kernel.ETA, kernel.STAKE_RATE)] == [
        "trading_fee", "hurdle", "eta", "stake_rate",
    ]  # fmt: skip
    assert [Config.__slots__[i] for i in (kernel.WANTED_YIELD, kernel.ELIGIBLE, kernel.PARTICIPANTS)] == [
        "wanted_yield", "eligible", "participants",
    ]  # fmt: skip
    assert [Config.__slots__[i] for i in (kernel.MIN_STAKE, kernel.ADJUST, kernel.DELEGATES, kernel.AUTHORITIES)] == [
        "min_stake", "adjust_blocks", "delegates", "authorities",
    ]  # fmt: skip
    assert len(Config.__slots__) == kernel.BOND + 1
    assert len(fields(State)) == 13


def test_without_numba_the_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "COMPILED", False)
    with pytest.raises(MissingExtra, match=r"thalweg\[fast\]"):
        Simulator(engine="numba")
