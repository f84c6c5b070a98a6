"""One day of every path: adoption, price, fees, consensus, market.

Adoption: F. M. Bass, A new product growth model for consumer durables, Management Science 15 (1969) 215-227,
doi:10.1287/mnsc.15.5.215. Price: the quantity equation, what payments need divided by the tokens that can be held (the
static limit of L. W. Cong, Y. Li, N. Wang, Tokenomics, Review of Financial Studies 34 (2021) 1105-1155,
doi:10.1093/rfs/hhaa089). Burned fees: EIP-1559. Market: see `market`.
"""

from __future__ import annotations

import numpy as np

from ...core.batch import Floats
from . import market
from .consensus import Consensus
from .state import BURN_CAP, FEES_CAP, Config, Day, Scene, State
from .world import YEAR, World

FARTHEST = 3.0
"""Of the fundamental price, in logarithms: what lies farther is not believed."""
LARGEST_FLOW = 0.3
"""Of the pool's USD, per day."""
OFFERED = 0.5
"""Of the liquid tokens, at most, are sold per day."""
LEAST_ADOPTION = 1e-6


def begin(kind: Consensus, config: Config, world: World, paths: int) -> State:
    """Day 0."""
    state = State.start(config, world, paths)
    wanted = world.users * world.spending * world.adopted
    fees = np.minimum(config.fee * wanted, FEES_CAP * state.liquid * state.price)
    revenue = config.reward * config.blocks * state.price + (1.0 - config.burn_share) * fees
    kind.begin(Scene(state, config, world, Day(0, revenue=np.array(np.broadcast_to(revenue, state.price.shape)))))
    return state


def advance(state: State, config: Config, world: World, kind: Consensus, day: Day, noise: Floats) -> None:
    """One day. noise: (2, P) standard normal numbers, of order flow and of adoption. Changes `state`, fills `day`."""
    _pay(state, config, world, day, noise[1])
    _produce(Scene(state, config, world, day), kind)
    _trade(state, config, world, day, noise[0])


def _pay(state: State, config: Config, world: World, day: Day, noise: Floats) -> None:
    """How many use the token, what they pay, and what a token must then be worth."""
    u = state.adoption
    pull = world.innovation / YEAR + u * (world.imitation / YEAR + world.adoption_noise * noise)
    state.adoption = u = np.minimum(np.maximum(u + (1.0 - u) * pull, LEAST_ADOPTION), 1.0)
    day.wanted = wanted = u * (world.users * world.spending * day.demand)
    day.served = np.minimum(wanted, config.capacity_usd)
    day.fundamental = day.served * world.holding_days / (state.liquid + state.pool_tokens)


def _produce(at: Scene, kind: Consensus) -> None:
    """Fees, burning, new tokens, and how producers answer."""
    state, config, day = at.state, at.config, at.day
    # a full network is paid more per payment: users outbid each other until demand meets the capacity
    fees = np.minimum(config.fee * day.wanted / state.price, FEES_CAP * state.liquid)
    day.burned = np.minimum(config.burn_share * fees, BURN_CAP * state.supply)
    if at.world.halving_blocks:
        day.halved = 0.5 ** np.floor(day.number * config.blocks / at.world.halving_blocks)
    day.issued = kind.issuance(at)
    day.paid = day.issued + (fees - day.burned)
    day.revenue = day.paid * state.price
    new = day.issued - day.burned
    state.supply = state.supply + new
    state.liquid = state.liquid + new
    state.issued = state.issued + day.issued
    state.burned = state.burned + day.burned
    kind.respond(at)


def _trade(state: State, config: Config, world: World, day: Day, noise: Floats) -> None:
    """Order flow moves the pool; it is bounded by the pool and by the tokens that people own."""
    usd = state.pool_usd
    gap = np.log(day.fundamental) - state.log_price
    gap = np.minimum(np.maximum(gap, -FARTHEST), FARTHEST)
    gap = gap - np.minimum(np.maximum(gap, -config.trading_fee), config.trading_fee)  # no trade pays inside the fee
    flow = world.tracking * gap * usd + config.noise * noise * np.sqrt(usd) - day.sold
    least = market.least_flow(state.pool_tokens, usd, OFFERED * state.liquid)
    flow = np.maximum(np.minimum(flow, LARGEST_FLOW * usd), np.maximum(least, -LARGEST_FLOW * usd))
    day.volume = np.abs(flow)
    day.flow = flow = flow - config.trading_fee * np.maximum(flow, 0.0)  # a buyer's fee does not reach the pool
    state.pool_usd = usd + flow
    tokens = state.product / state.pool_usd
    state.liquid = state.liquid + (state.pool_tokens - tokens)
    state.pool_tokens = tokens
    state.price = state.pool_usd / tokens
    log_price = np.log(state.price)
    day.change = log_price - state.log_price
    state.log_price = log_price
