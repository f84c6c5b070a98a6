"""The trades of one rule, one by one."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import ProblemError
from .bars import Bars
from .forecast import Forecast
from .kernel import trace
from .rules import Costs, Fills, Rules


@dataclass(frozen=True, slots=True)
class Trade:
    """A round trip. entry_bar, exit_bar: indices.  side: 1 or -1.  reason: "target", "stop", "time" or "ruin".
    pnl: after costs, in units of the equity at the window's start.  result: pnl as a share of what was paid.
    """

    entry_bar: int
    exit_bar: int
    entry_time: str
    exit_time: str
    side: int
    entry_price: float
    exit_price: float
    units: float
    reason: str
    pnl: float
    result: float


def trades(
    bars: Bars,
    forecast: Forecast,
    rule: Rules,
    costs: Costs | None = None,
    *,
    fills: Fills = "pessimistic",
    window: tuple[int, int] | None = None,
) -> list[Trade]:
    """What one rule did, as `kernel.backtest` counts it.

    Raises:
        ProblemError: more than one rule.
    """
    if len(rule) != 1:
        raise ProblemError(f"trades() shows one rule, got {len(rule)}; take one: rules.take([i])")
    costs = costs or Costs()
    events = trace(bars, forecast, rule, costs, fills, window)
    made = []
    for entry, exit_ in zip(events[::2], events[1::2], strict=True):  # they alternate
        size = abs(entry.units)
        fees = costs.side * size * (entry.price + exit_.price)
        pnl = entry.units * (exit_.price - entry.price) - fees
        made.append(
            Trade(
                entry.bar,
                exit_.bar,
                bars.label(entry.bar),
                bars.label(exit_.bar),
                1 if entry.units > 0 else -1,
                entry.price,
                exit_.price,
                size,
                exit_.what,
                pnl,
                pnl / (size * entry.price),
            )
        )
    return made
