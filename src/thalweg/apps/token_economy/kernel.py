"""The daily formulas path by path: machine code with numba (extra "fast"), plain Python without: the slow reference.

The only file that imports numba; imported when a simulator with engine="numba" is made.
The formulas are those of `step`,
`consensus` and `tally`, written a second time for single numbers; a test holds both to each other (1e-9).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from ...core.batch import Floats
from ...core.errors import MissingExtra
from .consensus import _bonding, authority, delegates, stake, work
from .published import ethereum_issuance
from .state import BURN_CAP, FEES_CAP, Config, State
from .step import FARTHEST, LARGEST_FLOW, LEAST_ADOPTION, OFFERED
from .tally import LEAST_REVENUE, LEAST_VOLUME, Tally
from .world import YEAR, World

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import numba  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    COMPILED = False

    def _jit(function: Function) -> Function:
        return function
else:
    COMPILED = True

    def _jit(function: Function) -> Function:
        made: Function = numba.njit(cache=True, error_model="numpy")(function)
        return made


# where `Config` has what (a test compares)
(SUPPLY0, DEPTH0, PRICE0, REWARD, APY, FEE, BURN, BLOCKS, CAPACITY, NOISE, TRADING_FEE, POOL_SHARE, HURDLE, ETA,
 STAKE_RATE, WANTED_YIELD, ELIGIBLE, ELIGIBLE_HOLDERS, PARTICIPANTS, MIN_STAKE, ADJUST, DELEGATES, AUTHORITIES,
 BOND) = range(24)  # fmt: skip
(W_DEMAND, W_INNOVATION, W_IMITATION, W_NOISE, W_HOLDING, W_TRACKING, W_KWH, W_POWER, W_HARDWARE, W_HARDWARE_DAYS,
 W_NODE_KWH, W_NODE_COST, W_UNBONDING, W_CURVE, W_HALVING) = range(15)  # fmt: skip

MOST, SPREAD, CHURN = _bonding.MOST, _bonding.SPREAD, _bonding.CHURN
MAJORITY, ATTACK_BLOCKS, LEAST = work.MAJORITY, work.ATTACK_BLOCKS, work.LEAST
SOLD_STAKE, SOLD_DELEGATES, SOLD_AUTHORITY = stake.SOLD, delegates.SOLD, authority.SOLD
COMMISSION, OWN_BOND, BRIBE_DAYS = delegates.COMMISSION, delegates.OWN_BOND, delegates.BRIBE_DAYS
PAY_DAYS = authority.PAY_DAYS
WORK, STAKE, DELEGATED = 0, 1, 2
CURVE = ethereum_issuance(1.0) / 365.0


def compiled() -> None:
    """Raise `MissingExtra` where numba is not installed."""
    if not COMPILED:
        raise MissingExtra("numba", "fast", "the engine 'numba' of the token simulator")


def run(code: int, state: State, config: Config, world: World, noise: Floats) -> Tally:
    """All days of all paths; `state` becomes that of the last day."""
    count, paths = state.price.shape
    table = np.column_stack([getattr(config, name)[:, 0] for name in Config.__slots__])
    demand, electricity = world.factors(len(noise))
    names = [item.name for item in fields(State) if item.name != "own"]
    own = {"first": state.own.get("first", np.zeros((count, paths)))}
    own |= {name: np.array(state.own.get(name, own["first"])) for name in ("hash_rate", "difficulty")}
    own["active"] = np.zeros((count, paths))
    whole = np.stack(
        [np.broadcast_to(getattr(state, name), (count, paths)) for name in names] + list(own.values()), axis=-1
    )
    tally = Tally.start(state)
    sums = np.stack([getattr(tally, item.name) for item in fields(Tally)], axis=-1)
    _all(code, table, _constants(world), noise, demand, electricity, whole, sums)
    for i, name in enumerate(names):
        if name != "product":
            setattr(state, name, whole[:, :, i])
    state.own = {name: whole[:, :, len(names) + i] for i, name in enumerate(own)}
    return Tally(*(sums[:, :, i] for i in range(sums.shape[2])))


def _constants(world: World) -> Floats:
    return np.array([
        world.users * world.spending, world.innovation / YEAR, world.imitation / YEAR, world.adoption_noise,
        world.holding_days, world.tracking, world.kwh_per_th, world.electricity, world.hardware, world.hardware_days,
        24.0 * world.node_kw, world.node_cost, world.unbonding_days, float(world.ethereum_curve), world.halving_blocks,
    ])  # fmt: skip


@_jit
def _all(
    code: int, table: Floats, w: Floats, noise: Floats, demand: Floats, electricity: Floats, whole: Floats, sums: Floats
) -> None:
    for i in range(whole.shape[0]):
        for j in range(whole.shape[1]):
            for day in range(noise.shape[0]):
                _day(code, table[i], w, day, noise[day, 0, j], noise[day, 1, j], demand[day], electricity[day],
                     whole[i, j], sums[i, j])  # fmt: skip


@_jit
def _day(
    code: int, c: Floats, w: Floats, day: int, shock: float, news: float, demand: float, electricity: float,
    s: Floats, sums: Floats,
) -> None:  # fmt: skip
    """s: supply, liquid, staked, unbonding, pool tokens, pool USD, product, price, log price, adoption, issued, burned,
    first hash rate, hash rate, difficulty, active."""
    price, u = s[7], s[9]
    u = u + (1.0 - u) * (w[W_INNOVATION] + u * (w[W_IMITATION] + w[W_NOISE] * news))
    s[9] = u = min(max(u, LEAST_ADOPTION), 1.0)
    wanted = u * (w[W_DEMAND] * demand)
    served = min(wanted, c[CAPACITY])
    fundamental = served * w[W_HOLDING] / (s[1] + s[4])

    fees = min(c[FEE] * wanted / price, FEES_CAP * s[1])
    burned = min(c[BURN] * fees, BURN_CAP * s[0])
    halved = 0.5 ** math.floor(day * c[BLOCKS] / w[W_HALVING]) if w[W_HALVING] > 0 else 1.0
    blocks = c[BLOCKS]
    if code == WORK:
        blocks *= min(max(s[13] / s[14], 0.25), 4.0)
    issued = c[REWARD] * halved * blocks
    if code in (STAKE, DELEGATED):
        issued += CURVE * math.sqrt(s[2]) if w[W_CURVE] > 0 else c[APY] / 365.0 * s[2]
    paid = issued + (fees - burned)
    revenue = paid * price
    s[0] += issued - burned
    s[1] += issued - burned
    s[10] += issued
    s[11] += burned
    if code == WORK:
        sold, attack, energy, part = _work(c, w, s, revenue, blocks, electricity)
    elif code == STAKE:
        sold, attack, energy, part = _stake(c, w, s, paid, revenue)
    elif code == DELEGATED:
        sold, attack, energy, part = _delegates(c, w, s, paid, revenue)
    else:
        sold, attack, energy, part = _authority(c, w, s, revenue)
    volume, change = _trade(c, w, s, fundamental, sold, shock)

    worth = s[7] * s[0]
    sums[0] += change * change
    sums[1] += volume
    sums[2] += abs(change) / max(volume, LEAST_VOLUME)
    sums[3] += s[5]
    sums[4] += wanted
    sums[5] += served
    sums[6] += worth
    sums[7] += revenue / worth
    sums[8] += attack
    sums[9] += energy
    sums[10] += part
    sums[11] += c[TRADING_FEE] * volume
    sums[12] += (1.0 - sold / max(revenue, LEAST_REVENUE)) * paid
    sums[13] = max(sums[13], s[8])
    sums[14] = max(sums[14], sums[13] - s[8])
    sums[15] = min(sums[15], attack)


@_jit
def _trade(c: Floats, w: Floats, s: Floats, fundamental: float, sold: float, shock: float) -> tuple[float, float]:
    """(volume, log return)."""
    usd, fee = s[5], c[TRADING_FEE]
    gap = min(max(math.log(fundamental) - s[8], -FARTHEST), FARTHEST)
    gap -= min(max(gap, -fee), fee)
    flow = w[W_TRACKING] * gap * usd + c[NOISE] * shock * math.sqrt(usd) - sold
    least = -usd * (OFFERED * s[1] / (s[4] + OFFERED * s[1]))
    flow = max(min(flow, LARGEST_FLOW * usd), least, -LARGEST_FLOW * usd)
    volume = abs(flow)
    s[5] = usd + flow - fee * max(flow, 0.0)
    tokens = s[6] / s[5]
    s[1] += s[4] - tokens
    s[4] = tokens
    s[7] = s[5] / tokens
    before, s[8] = s[8], math.log(s[7])
    return volume, s[8] - before


@_jit
def _work(
    c: Floats, w: Floats, s: Floats, revenue: float, blocks: float, electricity: float
) -> tuple[float, float, float, float]:
    """(sold USD, attack USD, kWh, participation)."""
    rate = s[13]
    cost = rate * (w[W_KWH] * w[W_POWER] * electricity + w[W_HARDWARE] / w[W_HARDWARE_DAYS])
    entry = math.exp(c[ETA] * min(max(revenue / (cost * c[HURDLE]) - 1.0, -1.0), 1.0))
    s[14] += (rate - s[14]) * min(blocks / c[ADJUST], 1.0)
    s[13] = max(rate * entry, LEAST)
    power = w[W_KWH] * w[W_POWER] * electricity * ATTACK_BLOCKS
    attack = s[13] * (MAJORITY * (w[W_HARDWARE] + power / c[BLOCKS]))
    return min(cost, revenue), attack, s[13] * w[W_KWH], s[13] / s[12]


@_jit
def _bond(c: Floats, w: Floats, s: Floats, income: float) -> None:
    wanted = MOST * c[ELIGIBLE] * s[0] / (1.0 + math.exp((c[WANTED_YIELD] - 365.0 * income / s[2]) / SPREAD))
    moved = max(min(c[STAKE_RATE] * (wanted - s[2]), CHURN * s[1]), -CHURN * s[2])
    leaving = max(-moved, 0.0)
    freed = s[3] / w[W_UNBONDING]
    s[2] += moved
    s[3] += leaving - freed
    s[1] += freed - (moved + leaving)


@_jit
def _stake(c: Floats, w: Floats, s: Floats, paid: float, revenue: float) -> tuple[float, float, float, float]:
    _bond(c, w, s, paid)
    nodes = math.floor(max(min(s[2] / c[MIN_STAKE], c[PARTICIPANTS]), 1.0))
    return SOLD_STAKE * revenue, s[2] * s[7] * (1 / 3), nodes * w[W_NODE_KWH], s[2] / s[0]


@_jit
def _delegates(c: Floats, w: Floats, s: Floats, paid: float, revenue: float) -> tuple[float, float, float, float]:
    _bond(c, w, s, (1.0 - COMMISSION) * paid)
    pay, value = COMMISSION * revenue, s[2] * s[7]
    s[15] = active = max(math.floor(min(pay / w[W_NODE_COST], c[DELEGATES])), 1.0)
    bribe = (2 / 3) * (active / c[DELEGATES] * OWN_BOND * value + BRIBE_DAYS * pay)
    return SOLD_DELEGATES * revenue, min(0.5 * value, bribe), active * w[W_NODE_KWH], s[2] / s[0]


@_jit
def _authority(c: Floats, w: Floats, s: Floats, revenue: float) -> tuple[float, float, float, float]:
    s[15] = active = max(math.floor(min(revenue / w[W_NODE_COST], c[AUTHORITIES])), 1.0)
    attack = 0.5 * (active * c[BOND] + PAY_DAYS * revenue)
    return SOLD_AUTHORITY * revenue, attack, active * w[W_NODE_KWH], active / c[AUTHORITIES]
