"""Gaussian processes of functions that are rough along every column by itself, as those with tens of local optima are.

k = k0 + (.7 k0 + .3) R, R = sum_j w_j b(|x_j - x'_j| / s), k0 as in `gaussian_process`: smooth functions, and bumps
along each column, some of the same height everywhere and some whose height changes smoothly from place to place
(kernels may be added and multiplied: D. Duvenaud, H. Nickisch, C. E. Rasmussen, NeurIPS 2011, arXiv:1112.4394). Bumps
are learnt from as many points as they have bends in all columns together, not in all combinations; k0 alone sees noise
there.

b(r) = (1 - r)^5 (8 r^2 + 5 r + 1) for r < 1 is positive definite on the line and as smooth as Matern 5/2, and needs no
exponential (H. Wendland, Adv. Comput. Math. 4 (1995) 389-396, doi:10.1007/BF02123482).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .gaussian_process import Groups, Prior, minimise, profiled
from .kernels import cholesky, distances, matern52, solve_lower
from .quasi_random import Floats

_SAME = 0.3  # of bumps: between sums (zdt4, wfg4 of the benchmarks) and products (dtlz1) nearly as likely as the better
_FAILED = 1e25  # stands for an infinite objective


def _bump(r: Floats) -> tuple[Floats, Floats]:
    """(b, -b'(r) / r) of the same shape as r >= 0."""
    rest = 1.0 - r
    np.maximum(rest, 0.0, out=rest)
    fourth = rest * rest
    fourth *= fourth
    value = 8.0 * r
    value += 5.0
    value *= r
    value += 1.0
    value *= fourth
    value *= rest
    slope = 56.0 * r
    slope += 14.0
    slope *= fourth
    return value, slope


@dataclass(frozen=True)
class RoughPrior:
    """Normal priors on the logarithms of the weights w (all alike) and of the short lengthscale s, and their boxes."""

    weight: tuple[float, float] = (math.log(1e-3), 2.5)
    length: tuple[float, float] = (math.log(0.09), 0.8)
    weights: tuple[float, float] = (math.log(1e-8), math.log(30.0))
    lengths: tuple[float, float] = (math.log(0.006), math.log(0.45))

    def joined(self, smooth: Prior, columns: int) -> Prior:
        """The prior of all (G + 1 + p + 1,) parameters: lengthscales, nugget, weights of p columns, short length."""

        def both(head: Floats, each: float, last: float) -> Floats:
            return np.concatenate([head, np.full(columns, each), [last]])

        return Prior(
            both(smooth.mean, self.weight[0], self.length[0]),
            both(smooth.sd, self.weight[1], self.length[1]),
            both(smooth.low, self.weights[0], self.lengths[0]),
            both(smooth.high, self.weights[1], self.lengths[1]),
        )


def fit_rough(
    x: Floats, y: Floats, groups: Groups, prior: Prior, starts: list[Floats], columns: int, *, iterations: int = 30
) -> tuple[Floats, float]:
    """(theta (G + 1 + p + 1,), its log posterior density up to a constant): the best that L-BFGS finds from `starts`.

    x: (n, F), of which the first p = `columns` features may be rough.  y: (n,).  groups: (F,), the lengthscale of each.
    prior: of all parameters (see `RoughPrior.joined`).
    """
    apart = [np.abs(x[:, j, None] - x[:, j]) for j in range(columns)]

    def objective(theta: Floats) -> tuple[float, Floats]:
        value, slope = _negative_log_likelihood(theta, x, y, groups, apart)
        penalty, more = prior.penalty(theta)
        return value + penalty, slope + more

    theta = minimise(objective, starts, prior.low, prior.high, iterations)
    return theta, -objective(theta)[0]


def _negative_log_likelihood(
    theta: Floats, x: Floats, y: Floats, groups: Groups, apart: list[Floats]
) -> tuple[float, Floats]:
    """As `gaussian_process.negative_log_likelihood`; apart: the distances (n, n) along each column."""
    p, n = len(apart), len(y)
    own = len(theta) - p - 2  # lengthscales
    z = x / np.exp(theta[:own])[groups]
    nugget, weights, length = math.exp(theta[own]), np.exp(theta[own + 1 : -1]).tolist(), math.exp(theta[-1])
    smooth, c = matern52(distances(z, z))
    bumps, rough, by_length = [], np.zeros_like(smooth), np.zeros_like(smooth)
    for weight, gap in zip(weights, apart, strict=True):
        r = gap / length
        value, slope = _bump(r)
        bumps.append(value)
        rough += weight * value
        slope *= r  # db/dlog s = -r b'(r)
        slope *= r
        slope *= weight
        by_length += slope
    height = (1.0 - _SAME) * smooth + _SAME  # dk / dR
    k = smooth + height * rough
    k.ravel()[:: n + 1] += nugget
    factor = cholesky(k)
    if factor is None:
        return _FAILED, np.zeros_like(theta)
    loss, inner = profiled(factor, y)
    gradient = np.empty_like(theta)
    gradient[own] = -0.5 * nugget * float(np.trace(inner))
    height *= inner
    gradient[own + 1 : -1] = [-0.5 * w * float(np.vdot(height, value)) for w, value in zip(weights, bumps, strict=True)]
    gradient[-1] = -0.5 * float(np.vdot(height, by_length))
    inner *= c
    rough *= 1.0 - _SAME
    rough += 1.0
    inner *= rough  # dk / dk0
    slopes = inner.sum(axis=1) @ (z * z) - np.einsum("ij,ij->j", z, inner @ z)
    gradient[:own] = -np.bincount(groups, slopes, own)
    return loss, gradient


@dataclass(eq=False)
class RoughPosterior:
    """What is believed after n values; the same methods as `gaussian_process.Posterior` where they have the same name.

    x: (n, F).  y: (n,).  factor: the lower Cholesky factor of C.  alpha: C^-1 (y - m).  inverse_lengths: (F,).
    weights: (p,) of the first p features.  length: the short one.
    """

    x: Floats
    y: Floats
    factor: Floats
    alpha: Floats
    inverse_lengths: Floats
    nugget: float
    weights: Floats
    length: float
    mean: float
    scale: float

    @classmethod
    def of(cls, x: Floats, y: Floats, groups: Groups, theta: Floats, columns: int) -> RoughPosterior:
        """From points (n, F), values (n,) and log parameters of `fit_rough`; the nugget grows where C is singular."""
        own = len(theta) - columns - 2
        nugget = math.exp(theta[own])
        made = cls(
            x, y, np.empty((0, 0)), np.empty(0), np.exp(-theta[:own])[groups], nugget,
            np.exp(theta[own + 1 : -1]), math.exp(theta[-1]), 0.0, 1.0,
        )  # fmt: skip
        kernel = made._kernel(x, x)
        while True:
            matrix = kernel.copy()
            matrix.ravel()[:: len(y) + 1] = made._prior + made.nugget
            factor = cholesky(matrix)
            if factor is not None:
                break
            made.nugget *= 10.0
        both = _solve(factor, np.column_stack([y, np.ones_like(y)]))
        made.factor = factor
        made.mean = float(both[:, 0].sum()) / float(both[:, 1].sum())
        made.alpha = both[:, 0] - made.mean * both[:, 1]
        made.scale = max(float(made.alpha @ (y - made.mean)) / len(y), 1e-12)
        return made

    @property
    def _prior(self) -> float:
        """The variance before any value, in units of the scale."""
        return 1.0 + float(self.weights.sum())

    def _between(self, a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
        """(k0 (m, n) between a (m, F) and b (n, F), c of it (see `kernels.matern52`), R)."""
        k, c = matern52(distances(a * self.inverse_lengths, b * self.inverse_lengths))
        rough = np.zeros_like(k)
        for j in self._rough:
            rough += self.weights[j] * _bump(np.abs(a[:, j, None] - b[:, j]) / self.length)[0]
        return k, c, rough

    def _kernel(self, a: Floats, b: Floats) -> Floats:
        smooth, _, rough = self._between(a, b)
        return _whole(smooth, rough)

    @property
    def _rough(self) -> list[int]:
        """The columns whose own kernel matters."""
        places: list[int] = np.flatnonzero(self.weights > 1e-4 * self.weights.max()).tolist()
        return places

    def append(self, x: Floats, y: float) -> RoughPosterior:
        """With one more value y at x (F,), in O(n^2); mean and scale stay as they are."""
        n = len(self.y)
        row = solve_lower(self.factor, self._kernel(self.x, x[None]))[:, 0]
        factor = np.zeros((n + 1, n + 1), order="F")
        factor[:n, :n] = self.factor
        factor[n, :n] = row
        factor[n, n] = math.sqrt(max(self._prior + self.nugget - float(row @ row), self.nugget, 1e-12))
        values = np.append(self.y, y)
        alpha = _solve(factor, (values - self.mean)[:, None])[:, 0]
        return RoughPosterior(
            np.concatenate([self.x, x[None]]), values, factor, alpha, self.inverse_lengths, self.nugget,
            self.weights, self.length, self.mean, self.scale,
        )  # fmt: skip

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """(mean (m,), variance (m,) of the noiseless function) at x (m, F)."""
        k = self._kernel(x, self.x)
        v = solve_lower(self.factor, k.T)
        variance = np.maximum(self._prior - np.einsum("ij,ij->j", v, v), 1e-12)
        return self.mean + k @ self.alpha, self.scale * variance

    def predict_with_gradients(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """(mean (m,), variance (m,), d mean / dx (m, F), d variance / dx (m, F)) at x (m, F)."""
        smooth, c, rough = self._between(x, self.x)
        k = _whole(smooth, rough)
        v = solve_lower(self.factor, k.T)
        variance = np.maximum(self._prior - np.einsum("ij,ij->j", v, v), 1e-12)
        beta = solve_lower(self.factor, v, transposed=True).T
        c *= 1.0 + (1.0 - _SAME) * rough
        height = (1.0 - _SAME) * smooth + _SAME
        slope_mean, slope_variance = self._pull(c * self.alpha, x), self._pull(c * beta, x)
        for j in self._rough:
            gap = (x[:, j, None] - self.x[:, j]) / self.length
            steep = _bump(np.abs(gap))[1]
            steep *= gap
            steep *= height
            steep *= -self.weights[j] / self.length
            slope_mean[:, j] += steep @ self.alpha
            slope_variance[:, j] += np.einsum("ij,ij->i", steep, beta)
        slope_variance *= -2.0 * self.scale
        return self.mean + k @ self.alpha, self.scale * variance, slope_mean, slope_variance

    def _pull(self, weights: Floats, x: Floats) -> Floats:
        """sum_i w_i dk0_i/dx with weights (m, n) that contain c."""
        pulled = weights @ self.x
        pulled -= weights.sum(axis=1)[:, None] * x
        pulled *= self.inverse_lengths**2
        return np.asarray(pulled)


def _whole(smooth: Floats, rough: Floats) -> Floats:
    """k from k0 and R."""
    return smooth + ((1.0 - _SAME) * smooth + _SAME) * rough


def _solve(factor: Floats, right: Floats) -> Floats:
    return solve_lower(factor, solve_lower(factor, right), transposed=True)
