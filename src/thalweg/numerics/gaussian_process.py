"""Gaussian-process regression with a Matern 5/2 kernel: mean and scale analytic, lengthscales and nugget by MAP.

y ~ N(m 1, s2 (K(l) + g I)). For given lengthscales l and nugget g the mean m (generalised least squares) and scale s2
that maximise the likelihood are known (Rasmussen & Williams 2006, section 2.7), so only log l and log g are searched,
with normal priors on both. Lengthscales may be shared by groups of features (the one-hot columns of a choice).

The gradient needs no (n, n, F) tensor: with W = a a' / s2 - C^-1 and M = W * c(r) (see `kernels.matern52`),
d log L / d log l_k = z_k^2 . rowsum(M) - z_k' M z_k, one matrix product for all k.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .kernels import Sites, cholesky, distances, inverse_of, matern52, matern52_alone, solve_lower
from .quasi_random import Floats

Objective = Callable[[Floats], tuple[float, Floats]]
Groups = NDArray[np.int64]
# of 2e-16, relative: a run ends where a step gains less. A hundred times as much was no cheaper in whole suggestions,
# and of 20 searches for a batch server's settings 13 instead of 18 came within 5 % of the best ones.
_FLAT = 1e9
_FAILED = 1e25  # stands for an infinite objective: L-BFGS steps back from it


@dataclass(frozen=True)
class Prior:
    """Independent normal priors (G + 1,) on the logarithms of lengthscales and nugget, and the box they stay in."""

    mean: Floats
    sd: Floats
    low: Floats
    high: Floats

    @classmethod
    def usual(cls, groups: int, noisy: bool = False) -> Prior:
        """For features in a unit cube: log l ~ N(-0.5 + 0.5 ln(d / 5), 1), which beat longer (dimension-scaled) and
        flat priors; log g ~ N(ln 1e-6, 3), or N(ln 1e-2, 3) where values are noisy.
        """

        def both(lengthscale: float, nugget: float) -> Floats:
            return np.append(np.full(groups, lengthscale), nugget)

        centre = -0.5 + 0.5 * math.log(max(groups, 1) / 5.0)
        return cls(
            both(centre, math.log(1e-2 if noisy else 1e-6)),
            both(1.0, 3.0),
            both(math.log(0.005), math.log(1e-9)),
            both(math.log(50.0), math.log(3.0 if noisy else 0.1)),
        )

    def penalty(self, theta: Floats) -> tuple[float, Floats]:
        """(-log prior up to a constant, its gradient)."""
        z = (theta - self.mean) / self.sd
        return 0.5 * float(z @ z), z / self.sd


def negative_log_likelihood(
    theta: Floats, x: Floats, y: Floats, groups: Groups, weights: Floats | None = None
) -> tuple[float, Floats]:
    """(-log L with mean and scale profiled out, up to a constant; its gradient (G + 1,)).

    theta: (G + 1,) log lengthscales and log nugget.  x: (n, F).  y: (n,).  groups: (F,) each feature's lengthscale.
    weights: (n,) each value's own noise variance as a multiple of the nugget; None: all 1.
    """
    n = len(y)
    z = x / np.exp(theta[:-1])[groups]
    nugget = math.exp(theta[-1])
    k, c = matern52(distances(z, z))
    own = nugget if weights is None else nugget * weights
    k.ravel()[:: n + 1] = 1.0 + own
    factor = cholesky(k)
    if factor is None:
        return _FAILED, np.zeros_like(theta)
    loss, inner = profiled(factor, y)
    gradient = np.empty_like(theta)
    gradient[-1] = -0.5 * float((own * np.diagonal(inner)).sum())
    inner *= c
    slopes = inner.sum(axis=1) @ (z * z) - np.einsum("ij,ij->j", z, inner @ z)
    gradient[:-1] = -np.bincount(groups, slopes, len(theta) - 1)
    return loss, gradient


def profiled(factor: Floats, y: Floats) -> tuple[float, Floats]:
    """(-log L with mean and scale at their best, up to a constant; W (n, n)) of the factor of a kernel matrix K (n, n).

    y: (n,). Mean and scale have closed forms (generalised least squares); with alpha = K^-1 (y - mean) and W = alpha
    alpha' / scale - K^-1, the derivative of -log L by a parameter t is -tr(W dK/dt) / 2 (Rasmussen & Williams 2006,
    Gaussian Processes for Machine Learning, eq. 5.9).
    """
    n = len(y)
    log_det = 2.0 * float(np.log(np.diagonal(factor)).sum())
    inverse = inverse_of(factor)
    ones = inverse.sum(axis=1)
    residual = y - float(ones @ y) / float(ones.sum())
    alpha = inverse @ residual
    scale = max(float(alpha @ residual) / n, 1e-300)
    weights = np.multiply.outer(alpha / scale, alpha)
    weights -= inverse
    return 0.5 * (n * math.log(scale) + log_det), weights


def fit(
    x: Floats,
    y: Floats,
    groups: Groups,
    prior: Prior,
    starts: list[Floats],
    *,
    iterations: int = 30,
    weights: Floats | None = None,
) -> Floats:
    """The theta (G + 1,) with the highest posterior density that L-BFGS finds from `starts`; the rest as above."""

    def objective(theta: Floats) -> tuple[float, Floats]:
        value, slope = negative_log_likelihood(theta, x, y, groups, weights)
        penalty, more = prior.penalty(theta)
        return value + penalty, slope + more

    return minimise(objective, starts, prior.low, prior.high, iterations)


def minimise(objective: Objective, starts: list[Floats], low: Floats, high: Floats, iterations: int) -> Floats:
    """The best of bounded L-BFGS runs (a few, of `iterations` each) from `starts`."""
    return min(minima(objective, starts, low, high, iterations), key=lambda pair: pair[0])[1]


def minima(
    objective: Objective, starts: list[Floats], low: Floats, high: Floats, iterations: int
) -> list[tuple[float, Floats]]:
    """(value, where) each of the bounded L-BFGS runs from `starts` ends."""
    from scipy.optimize import fmin_l_bfgs_b

    bounds = list(zip(low.tolist(), high.tolist(), strict=True))
    found = []
    for start in starts:
        theta, value, _ = fmin_l_bfgs_b(
            objective, np.clip(start, low, high), bounds=bounds, maxiter=iterations, pgtol=1e-3, factr=_FLAT
        )
        found.append((float(value), np.asarray(theta, dtype=np.float64)))
    return found


@dataclass
class Posterior:
    """What is believed after n values; `append` gives another one.

    z: (n, F) points in lengthscales.  y: (n,).  factor: the lower Cholesky factor of C = K + g I.  alpha: C^-1 (y - m).
    inverse_lengths: (F,).  mean, scale: m and s2.  nugget: g; a value's own noise is a multiple of it.
    """

    z: Floats
    y: Floats
    factor: Floats
    alpha: Floats
    inverse_lengths: Floats
    nugget: float
    mean: float
    scale: float

    @cached_property
    def sites(self) -> Sites:
        """The known points, as what others are compared with."""
        return Sites.of(self.z)

    @classmethod
    def of(cls, x: Floats, y: Floats, groups: Groups, theta: Floats, weights: Floats | None = None) -> Posterior:
        """From points (n, F), values (n,), log hyperparameters and noise weights (n,) (None: all 1); the nugget grows
        where C is singular.
        """
        inverse_lengths = np.exp(-theta[:-1])[groups]
        z = x * inverse_lengths
        nugget = math.exp(theta[-1])
        k = matern52_alone(distances(z, z))
        while True:
            matrix = k.copy()
            matrix.ravel()[:: len(y) + 1] = 1.0 + (nugget if weights is None else nugget * weights)
            factor = cholesky(matrix)
            if factor is not None:
                break
            nugget *= 10.0
        both = _solve(factor, np.column_stack([y, np.ones_like(y)]))
        mean = float(both[:, 0].sum()) / float(both[:, 1].sum())
        alpha = both[:, 0] - mean * both[:, 1]
        scale = max(float(alpha @ (y - mean)) / len(y), 1e-12)  # of equal values: a little doubt
        return cls(z, y, factor, alpha, inverse_lengths, nugget, mean, scale)

    def append(self, x: Floats, y: float) -> Posterior:
        """With one more value y at x (F,), in O(n^2); mean and scale stay as they are."""
        n = len(self.y)
        z = x * self.inverse_lengths
        row = solve_lower(self.factor, matern52_alone(distances(self.z, z[None])))[:, 0]
        factor = np.zeros((n + 1, n + 1), order="F")
        factor[:n, :n] = self.factor
        factor[n, :n] = row
        # rounding may take the whole variance of a point that is already there: the nugget is what is left of it
        factor[n, n] = math.sqrt(max(1.0 + self.nugget - float(row @ row), self.nugget, 1e-12))
        values = np.append(self.y, y)
        alpha = _solve(factor, (values - self.mean)[:, None])[:, 0]
        points = np.concatenate([self.z, z[None]])
        return Posterior(points, values, factor, alpha, self.inverse_lengths, self.nugget, self.mean, self.scale)

    def with_own(self, rugged: float, of: Groups) -> Posterior:
        """As if a part of the nugget were no noise but what belongs to each point alone.

        rugged: its variance in units of the scale, less than the nugget.  of: (n,) equal numbers are the same point.
        Mean and scale stay.
        """
        k = matern52_alone(distances(self.z, self.z))
        k += rugged * (of[:, None] == of)
        noise = self.nugget - rugged
        k.ravel()[:: len(of) + 1] += noise
        factor = cholesky(k)
        if factor is None:
            return self
        alpha = _solve(factor, (self.y - self.mean)[:, None])[:, 0]
        return replace(self, factor=factor, alpha=alpha, nugget=noise)

    def predict(self, x: Floats, own: Floats | None = None, rugged: float = 0.0) -> tuple[Floats, Floats]:
        """(mean (m,), variance (m,) of the noiseless function) at x (m, F).

        own: (m, n) further covariances with the known points, rugged: the further variance, both in units of the scale
        (see `with_own`).
        """
        k = matern52_alone(self.sites.distances(x * self.inverse_lengths))
        if own is not None:
            k += own
        v = solve_lower(self.factor, k.T)
        variance = np.maximum(1.0 + rugged - np.einsum("ij,ij->j", v, v), 1e-12)
        return self.mean + k @ self.alpha, self.scale * variance

    def between(self, a: Floats, b: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """(means (m,), variances (m,) at features a (m, F), means (k,) at b (k, F), covariances (m, k) between them) of
        the noiseless function.
        """
        z = np.concatenate([a, b]) * self.inverse_lengths
        known = matern52_alone(self.sites.distances(z))
        both = solve_lower(self.factor, known.T)
        m = len(a)
        left, right = both[:, :m], both[:, m:]
        covariance = matern52_alone(distances(z[:m], z[m:]))
        covariance -= left.T @ right
        covariance *= self.scale
        variance = self.scale * np.maximum(1.0 - np.einsum("ij,ij->j", left, left), 1e-12)
        mean = self.mean + known @ self.alpha
        return mean[:m], variance, mean[m:], covariance

    def mean_with_gradients(self, x: Floats) -> tuple[Floats, Floats]:
        """(mean (m,), d mean / dx (m, F)) at x (m, F)."""
        z = x * self.inverse_lengths
        k, c = matern52(self.sites.distances(z))
        return self.mean + np.dot(k, self.alpha), self._pull(c * self.alpha, z)

    def predict_with_gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """(mean (m,), variance (m,), d mean / dx (m, F), d variance / dx (m, F)) at x (m, F)."""
        z = x * self.inverse_lengths
        k, c = matern52(self.sites.distances(z))
        v = solve_lower(self.factor, k.T)
        variance = np.maximum(1.0 - np.einsum("ij,ij->j", v, v), 1e-12)
        weights = np.empty((2, *c.shape))
        np.multiply(c, self.alpha, out=weights[0])
        np.multiply(c, solve_lower(self.factor, v, transposed=True).T, out=weights[1])
        slopes = self._pull(weights, z)
        slopes[1] *= -2.0 * self.scale
        return self.mean + np.dot(k, self.alpha), self.scale * variance, slopes[0], slopes[1]

    def _pull(self, weights: Floats, z: Floats) -> Floats:
        """(..., m, F) sum_i w_i dk_i/dx with weights (..., m, n) that contain c: -w_i (z - z_i) / l."""
        pull = self.sites.pull
        both = np.dot(weights.reshape(-1, len(pull)), pull).reshape(*weights.shape[:-1], pull.shape[1])
        pulled = both[..., :-1] - both[..., -1:] * z
        pulled *= self.inverse_lengths
        return np.asarray(pulled)


def _solve(factor: Floats, right: Floats) -> Floats:
    return solve_lower(factor, solve_lower(factor, right), transposed=True)


def compress(y: Floats) -> Floats:
    """(n,) values whose upper half is squeezed: med + s log1p((y - med) / s), s = med - min; order is kept.

    A few huge values otherwise decide scale and lengthscales, and the model is blind where it matters.
    """
    largest = float(np.abs(y).max())
    if not y.min() < y.max():
        return np.zeros_like(y)
    y = y / largest  # whatever follows neither overflows nor vanishes
    middle = float(np.median(y))
    spread = middle - float(y.min())
    if not spread > 0:
        spread = float(np.ptp(y))
    spread = max(spread, 1e-200)
    squeezed = np.where(y > middle, np.log1p(np.maximum(y - middle, 0.0) / spread), (y - middle) / spread)
    return np.asarray(squeezed / float(squeezed.std()))
