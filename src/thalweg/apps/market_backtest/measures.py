"""Figures of a backtest from its sums.

Returns r are simple, one for every bar of the window, those without a position included. Ratios are annual, without a
risk-free rate; a ratio whose denominator is 0 is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...core.batch import Floats
from .kernel import Tally


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """(p,) each. log_return: of the whole window (-inf: ruined).  sharpe: mean / std (n - 1) of r, annual.
    sortino: mean / root mean square of the losses (target 0, over all bars), annual.
    calmar: annual growth rate / max_drawdown.  max_drawdown: share of the peak, at closes.
    turnover: traded notional over equity, a year.  exposure: share of bars with a position at some moment.
    n_trades: round trips.
    """

    log_return: Floats
    sharpe: Floats
    sortino: Floats
    calmar: Floats
    max_drawdown: Floats
    turnover: Floats
    exposure: Floats
    n_trades: Floats

    @classmethod
    def of(cls, tally: Tally) -> Measures:
        """The figures of a tally."""
        n, year = tally.bars, tally.periods
        mean = tally.total / n
        spread = np.sqrt(np.maximum(tally.squares - n * mean**2, 0.0) / max(n - 1, 1))
        spread = np.where(spread <= 1e-12 * np.sqrt(tally.squares / n), 0.0, spread)  # cancellation, not variance
        with np.errstate(divide="ignore"):
            log_return = np.log(tally.growth)
        annual = np.expm1(np.clip(log_return * year / n, -700.0, 700.0))
        return cls(
            log_return,
            _ratio(mean, spread) * np.sqrt(year),
            _ratio(mean, np.sqrt(tally.downside / n)) * np.sqrt(year),
            _ratio(annual, tally.drawdown),
            tally.drawdown,
            tally.traded * year / n,
            tally.held / n,
            tally.trades,
        )

    def dict(self, index: int = 0) -> dict[str, float]:
        """The figures of one rule."""
        return {field.name: float(getattr(self, field.name)[index]) for field in fields(self)}


def sharpe_of(returns: Floats, periods: float) -> float:
    """The annual Sharpe ratio of simple returns (n,)."""
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / spread * float(np.sqrt(periods)) if spread > 0 else 0.0


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
