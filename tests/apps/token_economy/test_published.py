"""Published facts to four digits, from the formulas and from the simulator itself."""

from __future__ import annotations

import numpy as np
import pytest

from thalweg.apps.token_economy import market, published
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.world import World

QUIET = {"price_volatility": 0.0, "trading_fee": 0.0, "transaction_fee": 0.0}


def four(value: float) -> object:
    return pytest.approx(value, rel=1e-4)


def test_bitcoin_ends_at_its_schedule() -> None:
    assert published.bitcoin_supply() == 2_099_999_997_690_000
    assert published.bitcoin_supply(4) == 210_000 * (50 + 25 + 12.5 + 6.25) * 10**8


def test_the_simulator_halves_like_bitcoin() -> None:
    """144 blocks a day: 50 tokens a block for 210,000 blocks, then 25; authorities make every block on time."""
    simulator = Simulator(paths=1, days=1600, world=World(halving_blocks=210_000, adoption_noise=0.0))
    columns = {"consensus": "poa", "block_reward": 50.0, "initial_supply": 1e9, **QUIET}
    run = simulator.evaluate(columns)
    first = -(-210_000 // 144)  # days on which block 210,000 has not come
    issued = 144 * (50.0 * first + 25.0 * (1600 - first))
    assert run.mean["inflation"][0] * 1e9 * 1600 / 365 == pytest.approx(issued, rel=1e-12)


def test_ethereum_pays_its_validators() -> None:
    assert published.ethereum_issuance(1.0) == four(166.32)
    assert published.ethereum_issuance(34e6) == four(969.8e3)
    assert published.ethereum_issuance(34e6) / 34e6 == pytest.approx(0.02852, abs=5e-6)


def test_the_simulator_can_pay_on_ethereums_curve() -> None:
    """One day: no block reward, stakes of 30 % of what lies outside the pool."""
    simulator = Simulator(paths=1, days=1, world=World(ethereum_curve=True))
    columns = {"consensus": "pos", "block_reward": 0.0, "initial_supply": 120e6, "min_stake": 1e-3, **QUIET}
    run = simulator.evaluate(columns)
    staked = 0.3 * (120e6 - 1e6)
    assert run.mean["inflation"][0] * 120e6 == four(166.32 * staked**0.5)


def test_ethereum_before_the_merge() -> None:
    assert published.inflation(13_332.4, 117.12e6) == four(0.04155)


def test_eip_1559_after_ten_full_blocks() -> None:
    fee = 1.0
    for _ in range(10):
        fee = published.next_base_fee(fee, used=30e6, target=15e6)
    assert fee == four(3.2473)
    assert published.next_base_fee(1.0, 15e6, 15e6) == 1.0
    assert published.next_base_fee(1.0, 0.0, 15e6) == 0.875


def test_constant_product() -> None:
    assert market.depth(1.0) == four(0.0099505)
    assert market.impermanent_loss(2.0) == four(-0.05719)
    assert market.impermanent_loss(4.0) == four(-0.2)
    assert market.slippage(1e4, 1e6) == 0.01
    # 2 % depth is what moves the price by 2 %; slippage is what the average price costs
    tokens, usd = 5e5, 1e6
    paid = market.depth(usd)
    got = market.bought(paid, tokens, usd)
    assert (usd + paid) / (tokens - got) / (usd / tokens) == pytest.approx(1.02, rel=1e-12)
    assert paid / got / (usd / tokens) - 1 == pytest.approx(market.slippage(paid, usd), rel=1e-12)
    # selling 1,000 tokens at once takes usd - k / (tokens + 1000)
    flow = market.least_flow(np.array(tokens), np.array(usd), np.array(1000.0))
    assert market.bought(float(flow), tokens, usd) == pytest.approx(-1000.0, rel=1e-9)


def test_bitcoins_scale() -> None:
    """450 BTC a day at 100,000 USD over 900 EH/s: 0.05 USD per TH/s and day; 20 J/TH make 157.7 TWh a year."""
    assert four(0.05) == 450 * 100_000 / 900e6
    assert published.terawatt_hours(900e6, 20.0) == four(157.68)
    # the merge: 23 million to 2,600 MWh a year
    assert four(0.99988) == 1 - 2_600 / 23e6
    nodes = 2_600e3 / (World().node_kw * 24 * 365)
    assert nodes == four(2967.9)


def test_the_simulators_miners_reach_bitcoins_scale() -> None:
    """3.125 BTC a block at 100,000 USD, where a TH/s costs 0.05 USD a day: 900 EH/s and 157.7 TWh a year."""
    world = World(users=1e12, spending=1.0, adoption_noise=0.0, tracking=0.0, innovation=0.0, imitation=0.0,
                  electricity=0.05, hardware=(0.05 - 0.48 * 0.05) * 1095.0)  # fmt: skip
    assert world.cost_per_th() == pytest.approx(0.05)
    columns = {"consensus": "pow", "block_reward": 3.125, "initial_supply": 2e7, "initial_price": 1e5,
               "market_depth": 1e13, **QUIET}  # fmt: skip
    run = Simulator(paths=1, days=1, world=world).evaluate(columns)
    assert run.mean["energy"][0] * 365 / 1e9 == pytest.approx(157.68, rel=1e-3)


def test_volatility_follows_the_depth_of_the_pool() -> None:
    """Noise in order flow alone: annual volatility 2 x 0.2 x price_volatility x sqrt(365 x 1e6 / pool)."""
    world = World(tracking=0.0, adoption_noise=0.0)
    columns = {"consensus": "poa", "market_depth": [1e5, 1e6, 1e7], "initial_supply": 1e8, "block_reward": 0.0,
               "transaction_fee": 0.0, "trading_fee": 0.0, "price_volatility": 0.02}  # fmt: skip
    found = Simulator(paths=400, days=30, world=world).evaluate(columns)
    law = 2 * 0.2 * 0.02 * np.sqrt(365 * 1e6 / np.array([1e5, 1e6, 1e7]))
    np.testing.assert_allclose(found.mean["annual_volatility"], law, rtol=0.02)
