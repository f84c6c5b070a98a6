"""How much of a good backtest is luck: the deflated Sharpe ratio and the probability of backtest overfitting.

D. H. Bailey, M. Lopez de Prado, "The Sharpe Ratio Efficient Frontier", J. Risk 15(2), 2012, doi:10.21314/JOR.2012.255.
D. H. Bailey, M. Lopez de Prado, "The Deflated Sharpe Ratio", J. Portfolio Management 40(5), 2014,
doi:10.3905/jpm.2014.40.5.094.
D. H. Bailey, J. M. Borwein, M. Lopez de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", J. Computational
Finance 20(4), 2017, doi:10.21314/JCF.2016.322.

All Sharpe ratios here are of one bar, not annual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError

EULER = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Deflated:
    """sharpe: as observed, of one bar.  expected: the largest that `trials` rules without skill are expected to show.
    probability: that the true one is above 0 given that (the deflated Sharpe ratio).
    """

    sharpe: float
    expected: float
    trials: int
    probability: float


def expected_maximum(trials: float, variance: float) -> float:
    """The expected largest Sharpe ratio of `trials` independent rules without skill whose ratios have this variance."""
    if trials < 1 or not variance >= 0:
        raise ProblemError(f"trials >= 1 and variance >= 0 are expected, got {trials} and {variance}")
    if trials <= 1 or variance == 0:
        return 0.0
    high, higher = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * high + EULER * higher)  # 2014, eq. 1


def probabilistic_sharpe(sharpe: float, bars: int, skew: float, kurtosis: float, benchmark: float = 0.0) -> float:
    """The probability that the true Sharpe ratio is above `benchmark`. kurtosis: 3 for a normal distribution."""
    if bars < 2:
        raise ProblemError(f"a Sharpe ratio needs at least 2 bars, got {bars}")
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2  # 2012, eq. 11
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(bars - 1) / math.sqrt(max(spread, 1e-12)))


def deflated_sharpe(sharpe: float, bars: int, skew: float, kurtosis: float, trials: int, variance: float) -> Deflated:
    """The deflated Sharpe ratio of the best of `trials` rules. variance: of the trials' Sharpe ratios."""
    expected = expected_maximum(trials, variance)
    return Deflated(sharpe, expected, trials, probabilistic_sharpe(sharpe, bars, skew, kurtosis, expected))


def moments(returns: Floats) -> tuple[float, float, float]:
    """(Sharpe ratio of one bar, skewness, kurtosis) of returns (n,); (0, 0, 3) where nothing varies."""
    centred = returns - returns.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread == 0 or len(returns) < 2:
        return 0.0, 0.0, 3.0
    z = centred / spread
    return float(returns.mean() / returns.std(ddof=1)), float((z**3).mean()), float((z**4).mean())


def probability_of_overfitting(returns: Floats, parts: int = 10) -> float:
    """How often the rule that is best on one half of the bars is below the median on the other half: combinatorially
    symmetric cross-validation over all ways to choose half of `parts` equal pieces.

    returns: (bars, rules). 0.5: choosing tells nothing; near 0: what is best stays good; near 1: choosing harms.

    Raises:
        ProblemError: fewer than 2 rules, an odd number of parts, or too few bars.
    """
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise ProblemError(f"returns (bars, rules) with at least 2 rules are expected, got shape {returns.shape}")
    if parts < 2 or parts % 2 or len(returns) < 2 * parts:
        raise ProblemError(f"parts must be even, >= 2, with 2 bars each; got {parts} parts of {len(returns)} bars")
    length = len(returns) // parts
    pieces = returns[: length * parts].reshape(parts, length, -1)
    sums, squares = pieces.sum(axis=1), (pieces**2).sum(axis=1)
    below, count = 0.0, 0
    for chosen in combinations(range(parts), parts // 2):
        inside = np.zeros(parts, dtype=np.bool_)
        inside[list(chosen)] = True
        half = length * parts // 2
        best = int(np.argmax(_sharpes(sums[inside].sum(axis=0), squares[inside].sum(axis=0), half)))
        other = _sharpes(sums[~inside].sum(axis=0), squares[~inside].sum(axis=0), half)
        mine = other[best]
        # its relative rank among the others, ties in the middle; logit <= 0 is a rank in the lower half
        rank = ((other < mine).sum() + 0.5 * ((other == mine).sum() + 1)) / (len(other) + 1)
        below += 1.0 if rank < 0.5 else 0.5 if rank == 0.5 else 0.0
        count += 1
    return below / count


def _sharpes(sums: Floats, squares: Floats, n: int) -> Floats:
    mean = sums / n
    spread = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    return np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 1e-15)


def efficiency(out_of_sample: float, in_sample: float) -> float:
    """Walk-forward efficiency: the annual return that was kept, as a share of what training showed; NaN where training
    showed none."""
    return out_of_sample / in_sample if in_sample > 0 else float("nan")
