"""Values of which only the sign is known: what a Gaussian process expects them to be (Tobin 1958, doi:10.2307/1907382).

A measured violation says how far a point is on the wrong side of a border; of a point on the right side it only says
that. A model that takes all of those for the same value sees a step at the border and learns little of where it runs.
Here each such value is what the others lead one to expect, given that it is negative: one by one, from the
leave-one-out mean and variance (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, eq. 5.12) and the
mean of a normal distribution cut off at zero.
"""

from __future__ import annotations

import math

import numpy as np

from .gaussian_process import Groups, Posterior
from .kernels import inverse_of
from .quasi_random import Floats, Ints

_FAR = 30.0  # standard deviations above zero, from which the chance to be below it is no number any more


def below_zero(mean: float, sd: float) -> float:
    """The mean of a normal distribution of which only what is below zero is left."""
    u = -mean / sd
    if u < -_FAR:
        return -sd / (-u + 2.0 / -u)  # sd (u + phi(u) / Phi(u)) by its series for u -> -inf
    return mean - sd * math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi) / (0.5 * math.erfc(-u / math.sqrt(2.0)))


def expected_negatives(
    x: Floats, y: Floats, rows: Ints, groups: Groups, theta: Floats, least: float, sweeps: int = 2
) -> Floats:
    """(len(rows),) what the values of `rows` are expected to be, at least `least`, given that they are negative.

    x: (n, F) features.  y: (n,); what is in `rows` (not all of them) does not matter.  groups, theta: of the process.
    First each by itself from the values that are known, which is near already; sweeps from guesses of any other kind
    take hundreds of rounds.
    """
    known = np.ones(len(y), dtype=np.bool_)
    known[rows] = False
    mean, variance = Posterior.of(x[known], y[known], groups, theta).predict(x[rows])
    filled = y.copy()
    filled[rows] = [below_zero(m, math.sqrt(v)) for m, v in zip(mean.tolist(), variance.tolist(), strict=True)]
    filled[rows] = np.maximum(filled[rows], least)
    posterior = Posterior.of(x, filled, groups, theta)
    precision = inverse_of(posterior.factor)
    away, centre = filled - posterior.mean, posterior.mean
    for _ in range(sweeps):
        for row in rows.tolist():
            own = float(precision[row, row])
            without = centre + float(away[row]) - float(precision[row] @ away) / own
            away[row] = max(below_zero(without, math.sqrt(posterior.scale / own)), least) - centre
    return np.asarray(centre + away[rows])
