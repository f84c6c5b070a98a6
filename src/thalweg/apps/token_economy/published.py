"""Published facts of real networks as formulas: what the simulator is calibrated against (see the tests)."""

from __future__ import annotations

import math

BITCOIN_HALVING = 210_000
"""Blocks."""
BITCOIN_BLOCKS_PER_DAY = 144
SATOSHI = 10**8
ETHEREUM_BASE_REWARD_FACTOR = 64
ETHEREUM_EPOCHS_PER_YEAR = 82_180


def bitcoin_supply(halvings: int = 64) -> int:
    """Satoshis that exist after `halvings` periods: sum of 210,000 floor(50e8 / 2^h)."""
    return sum(BITCOIN_HALVING * ((50 * SATOSHI) >> period) for period in range(halvings))


def ethereum_issuance(staked: float) -> float:
    """ETH per year for `staked` ETH, all validators at work: 64 sqrt(staked 1e9) epochs / 1e9 = 166.32 sqrt(staked)."""
    return ETHEREUM_BASE_REWARD_FACTOR * math.sqrt(staked * 1e9) * ETHEREUM_EPOCHS_PER_YEAR / 1e9


def next_base_fee(fee: float, used: float, target: float) -> float:
    """EIP-1559's base fee of the next block: fee (1 + (used - target) / target / 8)."""
    return fee * (1.0 + (used - target) / target / 8.0)


def terawatt_hours(hash_rate: float, joule_per_th: float) -> float:
    """TWh per year of `hash_rate` TH/s."""
    return hash_rate * joule_per_th * 24.0 * 365.0 / 1000.0 / 1e9


def inflation(per_day: float, supply: float) -> float:
    """New tokens per year as a share of the supply."""
    return per_day * 365.0 / supply
