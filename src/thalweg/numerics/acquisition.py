"""Acquisition functions of a normal prediction, with derivatives, all to be maximised; stable far into the tail.

LogEI: Ament et al. 2023 (arXiv:2310.20708, eq. 9): log EI = log sd + log h(u), u = (best - mean) / sd,
h(u) = phi(u) + u Phi(u). The logarithm keeps slopes where the improvement itself is zero in floating point.

The knowledge gradient asks what will be known afterwards: by how much the lowest mean of a set of points falls when one
noisy value more is known (Frazier, Powell, Dayanik, INFORMS J. Comput. 21 (2009) 599-613, doi:10.1287/ijoc.1080.0314).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .quasi_random import Floats

Kind = Literal["logei", "ei", "ucb", "pi"]
Scored = tuple[Floats, Floats, Floats]
"""(value (m,), d value / d mean (m,), d value / d sd (m,))."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_FAR = -1e6
_NODES = 15  # of the Gauss-Hermite rule for what an observation will say


def log_h(u: Floats) -> tuple[Floats, Floats]:
    """(log(phi(u) + u Phi(u)), its derivative Phi(u) / h(u)) of u (m,)."""
    from scipy.special import erfcx, log_ndtr, ndtr

    u = np.asarray(u, dtype=np.float64)
    value = np.empty_like(u)
    near = u > -1.0
    if near.any():
        a = u[near]
        value[near] = np.log(np.exp(-0.5 * a * a - _HALF_LOG_2PI) + a * ndtr(a))
    far = u <= _FAR
    middle = ~near & ~far
    if middle.any():  # h = phi(u) (1 - |u| sqrt(pi/2) erfcx(|u| / sqrt 2)), the bracket ~ u^-2
        a = -u[middle]
        ratio = a * math.sqrt(0.5 * math.pi) * erfcx(a / math.sqrt(2.0))
        # beyond 50 the difference has lost its digits: its series is 1/u^2 - 3/u^4 + 15/u^6
        squared = 1.0 / (a * a)
        bracket = np.where(a > 50.0, squared * (1.0 - 3.0 * squared + 15.0 * squared**2), 1.0 - ratio)
        value[middle] = -0.5 * a * a - _HALF_LOG_2PI + np.log(bracket)
    if far.any():
        a = -u[far]
        value[far] = -0.5 * a * a - _HALF_LOG_2PI - 2.0 * np.log(a)
    # of two huge logarithms only the difference counts: beyond 1e3 its series has more digits
    slope = np.exp(np.minimum(log_ndtr(u) - value, 700.0))
    tail = u < -1e3
    slope[tail] = -u[tail] - 2.0 / u[tail]
    return value, slope


def score(kind: Kind, mean: Floats, sd: Floats, best: float, weight: float = 2.0) -> Scored:
    """Value and derivatives of an acquisition at predictions mean (m,), sd (m,).

    best: the value to improve upon.  weight: of the standard deviation in the confidence bound ("ucb", which is
    `weight * sd - mean` as values are minimised).  "pi" is the logarithm of the chance to improve.
    """
    if kind == "ucb":
        return weight * sd - mean, np.full_like(mean, -1.0), np.full_like(mean, weight)
    u = (best - mean) / sd
    if kind == "pi":
        value, slope = log_chance(u)
        return value, -slope / sd, -slope * u / sd
    log_value, slope = log_h(u)
    value = np.log(sd) + log_value
    to_mean, to_sd = -slope / sd, (1.0 - slope * u) / sd
    if kind == "ei":
        improvement = np.exp(value)
        return improvement, improvement * to_mean, improvement * to_sd
    return value, to_mean, to_sd


def log_chance(u: Floats) -> tuple[Floats, Floats]:
    """(log Phi(u), its derivative) of u (m,)."""
    from scipy.special import log_ndtr

    value = log_ndtr(u)
    slope = np.exp(np.minimum(-0.5 * u * u - _HALF_LOG_2PI - value, 700.0))
    return value, slope


def knowledge_gradient(mean: Floats, variance: Floats, noise: float, between: Floats, others: Floats) -> Floats:
    """(m,) by how much one observation at each candidate is expected to lower the lowest mean, its own included.

    mean, variance: (m,) of the candidates.  noise: the variance of one observation.  between: (m, k) posterior
    covariances of candidates and reference points.  others: (k,) means of the reference points.
    An observation moves all means together, each by its covariance over the observation's standard deviation times one
    standard normal number (eq. 2.3 of the paper), over which the minimum is integrated by quadrature.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    sd = np.sqrt(variance + noise)
    change, own = between / sd[:, None], variance / sd
    expected, moved = np.zeros_like(mean), np.empty_like(change)
    for node, weight in zip(nodes.tolist(), (weights / weights.sum()).tolist(), strict=True):
        np.multiply(change, node, out=moved)
        moved += others
        expected += weight * np.minimum(moved.min(axis=1), mean + node * own)
    now = np.minimum(mean, others.min())
    return np.asarray(np.maximum(now - expected, 0.0))
