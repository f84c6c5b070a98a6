"""Comparative statics: what must rise when something else rises, on common random numbers."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.apps.token_economy.parameters import columns_of
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Scene
from thalweg.apps.token_economy.world import Shock, World

CALM = World(adoption_noise=0.0, innovation=0.0, imitation=0.0)


def rising(values: object) -> bool:
    return bool((np.diff(np.asarray(values)) > 0).all())


def vary(name: str, values: list[float], kind: str = "pow", days: int = 365, world: World | None = None,
         **fixed: float) -> dict[str, np.ndarray]:  # fmt: skip
    rows = [{"consensus": kind, name: value, **fixed} for value in values]
    return Simulator(paths=500, days=days, world=world or World()).evaluate(columns_of(rows)).mean


@pytest.mark.parametrize("kind", ["pow", "pos", "dpos", "poa"])
def test_a_deeper_pool_is_calmer_and_more_liquid(kind: str) -> None:
    found = vary("market_depth", [1e5, 1e6, 1e7], kind, initial_supply=3e7)
    assert rising(-found["annual_volatility"])
    assert rising(found["price_stability"])
    assert rising(found["depth_2pct"])
    assert rising(-found["slippage"])
    assert rising(-found["illiquidity"])


def test_noise_costs_stability() -> None:
    assert rising(-vary("price_volatility", [0.01, 0.05, 0.1, 0.3])["price_stability"])


def test_nothing_moves_where_nothing_happens() -> None:
    """No noise, no rewards, no fees, and a price that is the fundamental one: stability is 1."""
    world = World(adoption_noise=0.0, innovation=0.0, imitation=0.0)
    price = world.users * world.spending * world.adopted * world.holding_days / 1e7
    rows = [{"consensus": "poa", "block_reward": 0.0, "transaction_fee": 0.0, "price_volatility": 0.0,
             "initial_price": price}]  # fmt: skip
    found = Simulator(paths=2, days=100, world=world).evaluate(columns_of(rows)).mean
    assert found["price_stability"][0] == pytest.approx(1.0, abs=1e-9)
    assert found["max_drawdown"][0] == pytest.approx(0.0, abs=1e-9)


def test_more_reward_means_more_tokens_more_miners_more_power() -> None:
    found = vary("block_reward", [0.1, 1.0, 10.0])
    for name in ("inflation", "energy", "security_budget", "attack_cost", "network_security"):
        assert rising(found[name]), name
    assert rising(-found["energy_efficiency"])


def test_dearer_power_means_fewer_miners() -> None:
    cheap, dear = (
        Simulator(paths=50, days=200, world=World(electricity=price)).evaluate({}).mean["energy"][0]
        for price in (0.05, 0.15)
    )
    assert dear < cheap


def test_free_entry_ends_at_zero_profit() -> None:
    """Noise and adoption frozen: the hash rate converges to revenue over cost (Budish)."""
    seen = {}

    def watch(at: Scene) -> None:
        seen["ratio"] = at.day.revenue / (at.state.own["hash_rate"] * CALM.cost_per_th())

    rows = [{"block_reward": reward, "price_volatility": 0.0} for reward in (0.2, 1.0, 5.0)]
    shocked = World(adoption_noise=0.0, innovation=0.0, imitation=0.0, shocks=(Shock(100, demand=0.5),))
    for world in (CALM, shocked):
        Simulator(paths=1, days=730, world=world).evaluate(columns_of(rows), watch=watch)
        np.testing.assert_allclose(seen["ratio"], 1.0, rtol=0.01)


def test_risk_averse_miners_ask_for_more() -> None:
    assert rising(vary("risk_tolerance", [0.1, 0.5, 0.9])["energy"])


def test_work_burns_a_thousand_times_what_stake_does() -> None:
    """At equal revenue per day; a stake network of 100 nodes at the revenue of a large chain."""
    world = World(users=1e9)
    rows = [{"consensus": kind, "initial_price": 10.0, "block_reward": 10.0, "network_capacity": 1e9,
             "staking_apy": 0.0, "market_depth": 1e7, "initial_supply": 1e8} for kind in ("pow", "pos")]  # fmt: skip
    found = Simulator(paths=50, days=365, world=world).evaluate(columns_of(rows)).mean
    revenue = found["security_budget"] * found["energy"] / found["energy_per_usd"]
    assert revenue[0] == pytest.approx(revenue[1], rel=0.5)
    assert found["energy"][0] > 1e3 * found["energy"][1]


def test_efficiency_ranks_the_kinds() -> None:
    found = Simulator(paths=100, days=365).evaluate({"consensus": ["pow", "pos", "dpos", "poa"]}).mean
    assert found["energy_efficiency"][0] < found["energy_efficiency"][1:].min()


def test_stakes_answer_to_yields() -> None:
    assert rising(vary("staking_apy", [0.01, 0.05, 0.1, 0.2], "pos")["participation"])
    assert rising(-vary("min_stake", [400.0, 700.0, 1500.0, 5000.0], "pos")["participation"])
    assert rising(vary("initial_balance", [100.0, 200.0, 300.0], "pos", min_stake=200.0)["participation"])


@pytest.mark.parametrize(
    ("kind", "name", "counts"),
    [
        ("pow", "num_participants", [12, 48, 100]),
        ("pos", "num_participants", [12, 100, 1000]),
        ("dpos", "num_delegates", [12, 48, 100]),
        ("poa", "num_authorities", [4, 20, 50]),
    ],
)
def test_more_participants_are_harder_to_capture(kind: str, name: str, counts: list[float]) -> None:
    assert rising(vary(name, counts, kind, block_reward=10.0, days=60)["nakamoto"])


def test_nobody_at_work_is_no_security() -> None:
    rows = [{"consensus": "poa", "block_reward": 0.0, "transaction_fee": 0.0, "authority_bond": 1e-9},
            {"consensus": "pow", "block_reward": 0.0, "transaction_fee": 0.0}]  # fmt: skip
    found = Simulator(paths=2, days=60).evaluate(columns_of(rows)).mean
    np.testing.assert_allclose(found["network_security"], 0.0, atol=1e-6)


def test_a_full_network_turns_payments_away_and_is_paid_better() -> None:
    found = vary("network_capacity", [1e3, 3e3, 1e4, 1e5])
    assert rising(-found["turned_away"])
    assert rising(found["payments"])


def test_fees_calm_trade_and_pay_providers() -> None:
    found = vary("trading_fee", [1e-4, 1e-3, 1e-2])
    assert rising(found["pool_fee_yield"])
    assert rising(-found["volume"])
