"""What a run carries from day to day, and what one day brought. Arrays are (configurations, paths) or broadcast to it.

Tokens: supply = liquid + staked + unbonding + pool_tokens, always. Nothing is ever below zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...core.batch import Floats
from .world import DAY_S, World

NOISE_OF_FLOW = 0.2
"""Order flow has noise of NOISE_OF_FLOW x price_volatility x sqrt(pool x World.order_flow) USD a day."""
FEES_CAP = 0.01
"""At most this share of the liquid tokens is paid in fees per day."""
BURN_CAP = 0.001
"""At most this share of the supply is burned per day."""


@dataclass(slots=True)
class Config:
    """Configurations, ready for the daily formulas: (C, 1) each, (C, P) where a controller has changed it.

    reward: tokens per block.  apy: new tokens per staked token and year.  fee, burn_share: see `PARAMETERS`.
    capacity_usd: payments per day, in USD.  noise: USD per root USD of the pool.  hurdle: revenue over cost that
    miners ask for.  eta: speed of entry.  stake_rate: share of the gap to the wanted stake that is closed per day.
    wanted_yield: per year.  eligible: share of tokens with holders of at least min_stake; eligible_holders: the share
    of those holders.  adjust_blocks, delegates, authorities, bond, participants, min_stake: see `PARAMETERS`.
    """

    supply0: Floats
    depth0: Floats
    price0: Floats
    reward: Floats
    apy: Floats
    fee: Floats
    burn_share: Floats
    blocks: Floats
    capacity_usd: Floats
    noise: Floats
    trading_fee: Floats
    pool_share: Floats
    hurdle: Floats
    eta: Floats
    stake_rate: Floats
    wanted_yield: Floats
    eligible: Floats
    eligible_holders: Floats
    participants: Floats
    min_stake: Floats
    adjust_blocks: Floats
    delegates: Floats
    authorities: Floats
    bond: Floats

    @classmethod
    def of(cls, table: dict[str, Floats], own_block_time: bool, world: World) -> Config:
        """From a table of parameters (see `table_of`), rows of one kind of consensus.

        own_block_time: the kind has `target_block_time` in place of `block_time` where that one is not its default.
        """
        t = {name: column[:, None] for name, column in table.items()}
        seconds = t["block_time"]
        if own_block_time:
            seconds = np.where(t["target_block_time"] != 600.0, t["target_block_time"], seconds)
        # Pareto balances of mean m begin at m (a - 1) / a; above s are (start / s)^a of the holders with
        # (start / s)^(a - 1) of the tokens
        tail = world.pareto_tail
        start = t["initial_balance"] * (tail - 1) / tail
        above = np.minimum(1.0, start / t["min_stake"])
        return cls(
            t["initial_supply"],
            t["market_depth"],
            t["initial_price"],
            t["block_reward"],
            t["staking_apy"],
            t["transaction_fee"],
            t["burn_share"],
            DAY_S / seconds,
            t["network_capacity"] * world.payment,
            NOISE_OF_FLOW * t["price_volatility"] * np.sqrt(world.order_flow),
            t["trading_fee"],
            t["liquidity_ratio"],
            1.0 + 0.4 * (0.5 - t["risk_tolerance"]),
            10.0 * t["learning_rate"],
            np.minimum(1.0, 3.0 * t["learning_rate"]),
            0.04 * (1.5 - t["risk_tolerance"]),
            above ** (tail - 1),
            above**tail,
            t["num_participants"],
            t["min_stake"],
            t["difficulty_adjustment_blocks"],
            np.minimum(t["num_delegates"], t["num_participants"]),
            np.minimum(t["num_authorities"], t["num_participants"]),
            t["authority_bond"],
        )

    def rows(self, chosen: slice) -> Config:
        """Some of the configurations."""
        return Config(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(slots=True)
class State:
    """Where every path is.

    supply, liquid, staked, unbonding, pool_tokens: tokens.  pool_usd, product (tokens x USD, constant): the pool.
    price: USD.  adoption: share of the users.  issued, burned: tokens so far.  own: what a consensus keeps for itself.
    """

    supply: Floats
    liquid: Floats
    staked: Floats
    unbonding: Floats
    pool_tokens: Floats
    pool_usd: Floats
    product: Floats
    price: Floats
    log_price: Floats
    adoption: Floats
    issued: Floats
    burned: Floats
    own: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def start(cls, config: Config, world: World, paths: int) -> State:
        """Day 0. The pool has `market_depth` USD, or less where that would take more than its share of the supply."""
        shape = (len(config.supply0), paths)

        def full(values: Floats) -> Floats:
            return np.array(np.broadcast_to(values, shape))

        tokens = np.minimum(config.depth0 / config.price0, config.pool_share * config.supply0)
        usd = tokens * config.price0
        return cls(
            full(config.supply0),
            full(config.supply0 - tokens),
            np.zeros(shape),
            np.zeros(shape),
            full(tokens),
            full(usd),
            tokens * usd,
            full(usd / tokens),
            full(np.log(usd / tokens)),
            np.full(shape, world.adopted),
            np.zeros(shape),
            np.zeros(shape),
        )


@dataclass(slots=True)
class Day:
    """One day: what the formulas gave, before and after the market.

    wanted, served: USD of payments.  fundamental: USD per token.  issued, burned: tokens.  paid: tokens to producers.
    revenue: the same in USD.  sold: USD of it that producers sell.  attack: USD.  energy: kWh.  participation: 0 to 1
    (work: hash rate against day 0).  flow: USD into the pool.  volume: USD.  change: log return.
    electricity: factor on its price.  halved: factor on the block reward.
    """

    number: int
    demand: float = 1.0
    electricity: float = 1.0
    halved: Floats = field(default_factory=lambda: np.ones(()))
    wanted: Floats = field(default_factory=lambda: np.zeros(()))
    served: Floats = field(default_factory=lambda: np.zeros(()))
    fundamental: Floats = field(default_factory=lambda: np.zeros(()))
    issued: Floats = field(default_factory=lambda: np.zeros(()))
    burned: Floats = field(default_factory=lambda: np.zeros(()))
    paid: Floats = field(default_factory=lambda: np.zeros(()))
    revenue: Floats = field(default_factory=lambda: np.zeros(()))
    sold: Floats = field(default_factory=lambda: np.zeros(()))
    attack: Floats = field(default_factory=lambda: np.zeros(()))
    energy: Floats = field(default_factory=lambda: np.zeros(()))
    participation: Floats = field(default_factory=lambda: np.zeros(()))
    flow: Floats = field(default_factory=lambda: np.zeros(()))
    volume: Floats = field(default_factory=lambda: np.zeros(()))
    change: Floats = field(default_factory=lambda: np.zeros(()))


@dataclass(slots=True)
class Scene:
    """What kinds of consensus, watchers and controllers are given: everything there is."""

    state: State
    config: Config
    world: World
    day: Day
