"""What may vary: every parameter with its default, its range and its unit, and ready-made spaces."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.batch import Floats
from ...core.choices import Choice, Fixed
from ...core.errors import ProblemError, SpaceError
from ...core.parameter import Float, Integer, Parameter
from ...core.space import Space
from .consensus import CONSENSUS

ANY = "any"
"""In place of a kind of consensus: the kind is searched as well."""


@dataclass(frozen=True, slots=True)
class Known:
    """A parameter: default, the range that is searched, whether by its logarithm, whether whole numbers, unit."""

    default: float
    low: float
    high: float
    unit: str
    log: bool = True
    whole: bool = False
    zero: bool = False

    def parameter(self, when: str | None = None) -> Parameter:
        """As a dimension of a space."""
        if self.whole:
            return Integer(int(self.low), int(self.high), when=when, default=int(self.default))
        return Float(self.low, self.high, log=self.log, when=when, default=self.default)

    def fault(self, values: Floats) -> str | None:
        """What is wrong with `values`, if anything: outside the searched range is fine while it means something."""
        floor = 0.0 if self.zero else np.nextafter(0.0, 1.0)
        bad = ~(np.isfinite(values) & (values >= floor))
        if not bad.any():
            return None
        return f"finite and {'not below' if self.zero else 'above'} 0 is needed, got {float(values[bad][0])!r}"


PARAMETERS: dict[str, Known] = {
    "block_reward": Known(1.0, 0.1, 10.0, "tokens per block", zero=True),
    "initial_supply": Known(1e7, 1e6, 1e8, "tokens"),
    "market_depth": Known(1e6, 1e5, 1e7, "USD in the pool"),
    "initial_price": Known(1.0, 0.1, 10.0, "USD per token"),
    "num_participants": Known(100, 10, 1000, "producers", whole=True),
    "network_capacity": Known(1e4, 1e3, 1e5, "payments per day"),
    "block_time": Known(600.0, 60.0, 600.0, "seconds"),
    "transaction_fee": Known(1e-3, 1e-4, 1e-2, "share of a payment", zero=True),
    "price_volatility": Known(0.1, 0.01, 0.5, "size of the noise in order flow", zero=True),
    "trading_fee": Known(1e-3, 1e-4, 1e-2, "share of a trade", zero=True),
    "liquidity_ratio": Known(0.5, 0.1, 0.9, "largest share of the supply in the pool", log=False),
    "staking_apy": Known(0.05, 0.01, 0.2, "new tokens per staked token and year", log=False, zero=True),
    "initial_balance": Known(1e3, 1e2, 1e4, "tokens per holder, on average"),
    "risk_tolerance": Known(0.5, 0.1, 0.9, "0 asks for high yields, 1 for low ones", log=False, zero=True),
    "learning_rate": Known(0.01, 1e-3, 0.1, "speed at which producers and stakers adapt"),
    "burn_share": Known(0.5, 0.0, 1.0, "share of payment fees that is burned", log=False, zero=True),
    "difficulty_adjustment_blocks": Known(2016, 1000, 3000, "blocks", whole=True),
    "target_block_time": Known(600.0, 300.0, 900.0, "seconds (in place of block_time)"),
    "min_stake": Known(100.0, 50.0, 500.0, "tokens"),
    "num_delegates": Known(21, 11, 101, "delegates", whole=True),
    "num_authorities": Known(10, 4, 50, "authorities", whole=True),
    "authority_bond": Known(1e4, 1e3, 1e5, "USD per authority"),
}
"""Every parameter of the simulator beside `consensus`; those that are not given have their defaults."""

SHARES = {"burn_share": 1.0, "liquidity_ratio": 0.99, "trading_fee": 0.5, "transaction_fee": 1.0}
"""The most that still means something."""

CORE = ("block_reward", "initial_supply", "market_depth", "initial_price")
FULL = (
    "block_reward", "initial_supply", "market_depth", "num_participants", "network_capacity", "block_time",
    "transaction_fee", "price_volatility", "trading_fee", "liquidity_ratio", "staking_apy", "initial_balance",
    "risk_tolerance", "learning_rate",
)  # fmt: skip
PRESETS: dict[str, tuple[str, ...]] = {"core": CORE, "consensus": CORE, "full": FULL}
"""core: 4 parameters.  consensus: those and what only some kinds of consensus have.  full: 14, and the consensus."""


def space_of(preset: str = "core", consensus: str = "pow") -> Space:
    """The space to search. consensus: one kind, or "any" to search the kind as well (4 kinds, children conditional).

    Raises:
        ProblemError: an unknown preset or kind.
    """
    if preset not in PRESETS:
        raise ProblemError(f"preset: one of {', '.join(PRESETS)} is expected, got {preset!r}")
    if consensus not in (*CONSENSUS, ANY):
        raise ProblemError(f"consensus: one of {', '.join(CONSENSUS)} or {ANY} is expected, got {consensus!r}")
    kinds = list(CONSENSUS) if consensus == ANY else [consensus]
    space: dict[str, Any] = {"consensus": Choice(kinds, default=kinds[0]) if len(kinds) > 1 else Fixed(consensus)}
    wanted = list(PRESETS[preset])
    if preset == "consensus":
        wanted += [name for name in PARAMETERS if any(name in CONSENSUS[kind].children for kind in kinds)]
    for name in wanted:
        having = [kind for kind in CONSENSUS if name in CONSENSUS[kind].children]
        if having and not set(kinds) & set(having):
            continue
        when = f"consensus in {having!r}" if having and not set(kinds) <= set(having) else None
        space[name] = PARAMETERS[name].parameter(when)
    return Space(space)


def table_of(
    columns: Mapping[str, Any], known: Collection[str] = tuple(CONSENSUS)
) -> tuple[NDArray[Any], dict[str, Floats]]:
    """(consensus (n,), {every parameter: (n,)}) of columns; what is missing or NaN (inactive) has its default.

    columns: {name: (n,) or one value for all rows}, as a vectorised objective gets them.  known: kinds of consensus.

    Raises:
        ProblemError: an unknown name, columns of different lengths, or values without a meaning.
    """
    given = {name: np.atleast_1d(np.asarray(column)) for name, column in columns.items()}
    for name in given:
        if name != "consensus" and name not in PARAMETERS:
            near = difflib.get_close_matches(name, PARAMETERS, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: consensus, {', '.join(PARAMETERS)}"
            raise ProblemError(f"unknown parameter {name!r}; {hint}")
    lengths = {name: column.shape for name, column in given.items()}
    count = max((len(column) for column in given.values()), default=1)
    if any(len(shape) != 1 or shape[0] not in (1, count) for shape in lengths.values()):
        raise ProblemError(f"columns must be of one length, got {lengths}")
    table = {name: np.full(count, known.default) for name, known in PARAMETERS.items()}
    for name, column in given.items():
        if name != "consensus":
            table[name] = _filled(name, column, count)
    kinds = np.broadcast_to(given.get("consensus", np.array(["pow"])), (count,))
    for kind in sorted({str(item) for item in kinds.tolist()} - set(known)):
        raise ProblemError(f"consensus: one of {', '.join(known)} is expected, got {kind!r}")
    return kinds, table


def _filled(name: str, column: NDArray[Any], count: int) -> Floats:
    try:
        values = np.broadcast_to(column, (count,)).astype(np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"{name}: numbers are expected, got {column[:3].tolist()}") from None
    known = PARAMETERS[name]
    values = np.where(np.isnan(values), known.default, values)
    if fault := known.fault(values):
        raise ProblemError(f"{name} ({known.unit}): {fault}")
    most = SHARES.get(name)
    if most is not None and (values > most).any():
        raise ProblemError(f"{name} is a share of at most {most:g}, got {values.max():g}")
    return values


def columns_of(params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of dicts as `Trial.params` has them; what a row does not have is NaN.

    Raises:
        SpaceError: no rows.
    """
    if not params:
        raise SpaceError("at least one configuration is expected, got none")
    names = dict.fromkeys(name for row in params for name in row)
    columns: dict[str, Any] = {}
    for name in names:
        if name == "consensus":
            columns[name] = np.array([row.get(name, "pow") for row in params])
        else:
            columns[name] = np.array([row.get(name, np.nan) for row in params], dtype=np.float64)
    return columns
