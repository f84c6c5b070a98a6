"""What a backtest is told beside the prices: the rules that are tuned, what trading costs, how bars are filled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ...core.batch import Floats, Ints
from ...core.errors import ProblemError

Fills = Literal["pessimistic", "optimistic"]
NEVER = 1_000_000_000
"""A number of bars that no position lasts."""
SIDES = {"both": 0, "long": 1, "short": -1}
DEFAULTS: dict[str, float] = {
    "high_mult": 0.0,
    "low_mult": 0.0,
    "stop": np.inf,
    "hold": NEVER,
    "side": 0,
    "size": 1.0,
}


class OptimisticFills(UserWarning):
    """Results with optimistic fills: what happens first inside a bar is assumed to be what suits the rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """p trading rules, as columns (p,).

    high_mult, low_mult: log-moves added to the forecasts of the high and the low: where to sell and where to buy.
    stop: loss at which a position is left, as a log-distance from its entry price (inf: none).
    hold: bars a position lasts at most, the one of its entry included (1: out at the close of the same bar).
    side: 0 follows the forecaster's side, 1 only where it is long, -1 only where it is short.
    size: share of the equity in a position (1: all of it; nothing is borrowed for long ones up to 1).
    """

    high_mult: Floats
    low_mult: Floats
    stop: Floats
    hold: Ints
    side: Ints
    size: Floats

    def __len__(self) -> int:
        return len(self.high_mult)

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None = None, **more: Any) -> Rules:
        """Rules from columns or single values; what is not given stays at its default (`DEFAULTS`).

        Raises:
            ProblemError: an unknown name, columns of different lengths, or a value that cannot be.
        """
        given = {**(columns or {}), **more}
        unknown = sorted(set(given) - set(DEFAULTS))
        if unknown:
            raise ProblemError(f"a rule has no {', '.join(unknown)}; it has {', '.join(DEFAULTS)}")
        if "side" in given:
            given["side"] = _sides(given["side"])
        try:
            arrays = {name: np.atleast_1d(_numbers(given.get(name, DEFAULTS[name]), name)) for name in DEFAULTS}
            full = np.broadcast_arrays(*arrays.values())
        except (TypeError, ValueError) as error:
            raise ProblemError(f"rules: columns of numbers of one length are expected: {error}") from None
        if full[0].ndim != 1:
            raise ProblemError(f"rules: columns (p,) are expected, got shape {full[0].shape}")
        high, low, stop, hold, side, size = (np.array(item, dtype=np.float64) for item in full)
        for name, item, good, wanted in (
            ("high_mult", high, np.isfinite(high), "finite"),
            ("low_mult", low, np.isfinite(low), "finite"),
            ("stop", stop, stop > 0, "> 0 (inf: none)"),
            ("hold", hold, (hold >= 1) & (hold == np.floor(hold)), "a whole number of bars >= 1"),
            ("size", size, (size > 0) & np.isfinite(size), "> 0"),
        ):
            if not good.all():
                raise ProblemError(f"rules: {name} must be {wanted}, got {item[~good][0]}")
        return cls(high, low, stop, np.minimum(hold, NEVER).astype(np.int64), side.astype(np.int64), size)

    @classmethod
    def of_space(cls, columns: Mapping[str, Any], fixed: Mapping[str, Any]) -> Rules:
        """Rules from a space's columns, in which NaN is a parameter that is not active: it stays at its default."""
        made = dict(fixed)
        for name, column in columns.items():
            array = np.asarray(column)
            inactive = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=np.bool_)
            made[name] = np.where(inactive, DEFAULTS[name], array) if inactive.any() else array
        return cls.of(made)

    def take(self, index: Any) -> Rules:
        """Some of the rules."""
        return Rules(*(getattr(self, name)[index] for name in DEFAULTS))

    def dict(self, index: int = 0) -> dict[str, float]:
        """One rule as plain numbers."""
        return {name: getattr(self, name)[index].item() for name in DEFAULTS}


def _numbers(item: Any, name: str) -> Floats:
    array = np.asarray(item)
    if array.dtype.kind == "O":
        array = np.array([DEFAULTS[name] if one is None else one for one in array.ravel()], dtype=np.float64)
    if array.dtype.kind == "U":
        raise ProblemError(f"rules: {name} must be a number, got {array.ravel()[0].item()!r}")
    return array.astype(np.float64)


def _sides(item: Any) -> Any:
    array = np.asarray(item)
    if array.dtype.kind in "UO":
        unknown = sorted({str(one) for one in array.ravel().tolist() if one not in (*SIDES, 0, 1, -1)})
        if unknown:
            raise ProblemError(f"rules: side is one of {', '.join(SIDES)}, got {', '.join(unknown)}")
        return np.array([SIDES.get(one, one) for one in array.ravel().tolist()], dtype=np.float64).reshape(array.shape)
    if not np.isin(array, (-1, 0, 1)).all():
        raise ProblemError("rules: side is 1 (long), -1 (short) or 0 (both)")
    return array


@dataclass(frozen=True, slots=True)
class Costs:
    """Of each side of a trade, as shares of what is traded. fee: to the broker and the exchange.  slippage: what prices
    are worse than the bar says (half the spread, impact).
    """

    fee: float = 0.0005
    slippage: float = 0.0

    def __post_init__(self) -> None:
        for name in ("fee", "slippage"):
            if not 0 <= getattr(self, name) < 1:
                raise ProblemError(f"costs: {name} is a share of what is traded, 0 <= {name} < 1, got {self}")

    @property
    def side(self) -> float:
        """Both together."""
        return self.fee + self.slippage


def check_fills(fills: Fills) -> bool:
    """Whether fills are optimistic; that is warned of.

    Raises:
        ProblemError: neither of the two.
    """
    if fills not in get_args(Fills):
        raise ProblemError(f"fills: 'pessimistic' or 'optimistic' is expected, got {fills!r}")
    if fills == "optimistic":
        warnings.warn(
            "optimistic fills assume that inside a bar the low comes before the high whenever that pays: they make "
            "money out of pure noise, and no test on other data finds it. Use them to see how large that is, never to "
            "judge a rule",
            OptimisticFills,
            stacklevel=3,
        )
    return fills == "optimistic"
