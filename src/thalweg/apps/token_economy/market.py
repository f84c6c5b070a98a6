"""A constant-product pool: x tokens, y USD, x y = k.

H. Adams et al., Uniswap v2 Core (2020); G. Angeris et al., An analysis of Uniswap markets, arXiv:1911.03380 (the price
stays within the fee of the outside one: no trade pays inside that band).
Here fees are paid out to the providers every day and never enter the pool, so that k is constant.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ...core.batch import Floats

Amount = TypeVar("Amount", float, Floats)
BAND = 0.02
"""Depth is told for prices that move by 2 %."""


def depth(usd: Amount, band: float = BAND) -> Amount:
    """USD that move the price up by `band`, of a pool with `usd` USD: y (sqrt(1 + band) - 1)."""
    return usd * float(np.sqrt(1.0 + band) - 1.0)


def slippage(order: float, usd: Amount) -> Amount:
    """By how much the average price of a purchase for `order` USD exceeds the spot price: order / y."""
    return order / usd


def bought(order: float, tokens: float, usd: float) -> float:
    """Tokens that `order` USD buy (or, below 0, minus the tokens that must be sold for them)."""
    return tokens - tokens * usd / (usd + order)


def impermanent_loss(ratio: Amount) -> Amount:
    """What providers have more than holders when the price became r times the first one: 2 sqrt(r) / (1 + r) - 1."""
    lost: Amount = 2.0 * ratio**0.5 / (1.0 + ratio) - 1.0
    return lost


def least_flow(pool_tokens: Floats, pool_usd: Floats, owned: Floats) -> Floats:
    """The most negative flow in USD that selling `owned` tokens can cause."""
    return np.asarray(-pool_usd * (owned / (pool_tokens + owned)))
