"""Kaplan-Meier: how long things take, when some were stopped before they ended.

E. L. Kaplan, P. Meier: Nonparametric Estimation from Incomplete Observations. Journal of the American Statistical
Association 53 (1958) 457-481, doi:10.1080/01621459.1958.10501452.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def kaplan_meier(durations: ArrayLike, censored: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """The survival function as steps: (times (k,) ascending and distinct, S(t) (k,) just after each of them).

    durations: (n,) >= 0 seconds (any unit).  censored: (n,) bool, True where the end was not seen (it took longer);
    None when all ends were seen. Only times at which something ended are steps. At equal times, what ended comes before
    what was censored: the censored one was still at risk.

    Raises:
        ValueError: shapes differ, or a duration is negative, infinite or NaN.
    """
    times = np.asarray(durations, dtype=np.float64)
    lost = np.zeros(times.shape, dtype=np.bool_) if censored is None else np.asarray(censored, dtype=np.bool_)
    if times.ndim != 1 or lost.shape != times.shape:
        raise ValueError(f"durations and censored must be (n,) alike, got {times.shape} and {lost.shape}")
    if times.size and not (np.isfinite(times).all() and times.min() >= 0):
        raise ValueError("durations must be finite and >= 0")
    steps, ends = np.unique(times[~lost], return_counts=True)
    at_risk = times.size - np.searchsorted(
        np.sort(times), steps, side="left"
    )  # n_i: not ended, not censored before t_i
    survival: Floats = np.cumprod(1.0 - ends / at_risk, dtype=np.float64)
    return steps, survival  # S(t) = prod_{t_i <= t} (1 - d_i / n_i)


def quantile(durations: ArrayLike, censored: ArrayLike | None, q: float, *, plateau: bool = True) -> float:
    """The time by which the share `q` has ended; NaN when nothing has.

    When the longest observations are censored, the survival function stays on a plateau above 0 (things that hang
    never end) and may not reach 1 - q. With `plateau`, the share is one of those that end at all: the first time with
    S(t) <= S_end + (1 - q) (1 - S_end), where S_end is the height of the plateau. Without it, inf is given there.

    Raises:
        ValueError: q is not in 0..1, or see `kaplan_meier`.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q must be in 0..1, got {q}")
    steps, survival = kaplan_meier(durations, censored)
    if not steps.size:
        return float("nan")
    floor = float(survival[-1]) if plateau else 0.0
    wanted = floor + (1.0 - q) * (1.0 - floor)
    reached = np.flatnonzero(survival <= wanted + 1e-12)
    return float(steps[reached[0]]) if reached.size else float("inf")
