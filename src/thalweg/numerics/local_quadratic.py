"""A Bayesian quadratic model of a neighbourhood: a Gaussian process whose kernel holds every quadratic function.

k(u, u') = matern(u, u') + a <u, u'> + b <u, u'>^2 + c <u^2, u'^2> + e |u|^2 |u'|^2 around a centre, with a mean: a
random quadratic plus what departs from it. Fewer points than coefficients are no obstacle (with b alone the flat limit
is the least-norm Hessian of Powell's methods); c says how far the Hessian is diagonal, e how far it is the same in all
directions: a few points more than d show a sphere, and more than 2 d a separable function. What holds, and how far a
quadratic is to be trusted at all, is learnt from the data. The noise is heteroscedastic, g + h w with w growing as the
square of the height above the best point: where values are high, the model need not follow them (lq-CMA-ES weighs by
rank to the same end: Hansen 2019, doi:10.1145/3321707.3321842).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .gaussian_process import Prior, _solve, minima
from .kernels import Sites, cholesky, distances, matern52, matern52_alone, solve_lower
from .local_likelihood import EXTRA, LocalLikelihood
from .quasi_random import Floats

_SAME = 0.1  # log likelihoods
_QUADRATIC = np.append(np.full(4, 8.0), np.log([1e-6, 1e-8]))


def local_prior(lengths: int) -> Prior:
    """Priors on the log lengthscales (in units of the region's half-width) and log a, b, c, e, h, g."""
    return Prior(
        np.array([math.log(2.0)] * lengths + [0.0] * 4 + [math.log(1e-3), math.log(1e-8)]),
        np.array([1.0] * lengths + [3.0] * 4 + [2.0, 3.0]),
        np.log([0.05] * lengths + [1e-6] * 4 + [1e-8, 1e-12]),
        np.log([100.0] * lengths + [1e8] * 4 + [10.0, 1e-1]),
    )


def negative_log_likelihood(theta: Floats, u: Floats, y: Floats, height: Floats) -> tuple[float, Floats]:
    """(-log L with mean and scale profiled out, up to a constant; its gradient) as in `gaussian_process`.

    theta: (L + 6,), L = 1 (one lengthscale for all columns) or d.  u: (n, d).  y: (n,).  height: (n,) w above.
    """
    return LocalLikelihood(u, y, height, len(theta) - EXTRA)(theta)


@dataclass
class LocalModel:
    """The posterior; build it with `fit_local`. u: (n, d) points.  theta: what was found, for the next warm start.

    shares: a, b, c, e of the kernel.  agreed: whether both searches for theta ended at the same likelihood.
    """

    u: Floats
    z: Floats
    factor: Floats
    alpha: Floats
    inverse_lengths: Floats
    shares: tuple[float, float, float, float]
    mean: float
    scale: float
    theta: Floats
    agreed: bool = False

    @classmethod
    def of(cls, u: Floats, y: Floats, height: Floats, theta: Floats) -> LocalModel:
        """From points (n, d), values (n,), heights (n,) and log hyperparameters."""
        lengths = len(theta) - EXTRA
        a, b, c, e, h, g = np.exp(theta[lengths:]).tolist()
        shares = (a, b, c, e)
        inverse_lengths = np.broadcast_to(np.exp(-theta[:lengths]), (u.shape[1],)).copy()
        z = u * inverse_lengths
        k = matern52_alone(distances(z, z)) + _quadratic(shares, u, u)
        while True:
            matrix = k.copy()
            matrix.ravel()[:: len(y) + 1] += g + h * height
            factor = cholesky(matrix)
            if factor is not None:
                break
            g = max(10.0 * g, 1e-14 * float(np.trace(k)))
        both = _solve(factor, np.column_stack([y, np.ones_like(y)]))
        mean = float(both[:, 0].sum()) / float(both[:, 1].sum())
        alpha = both[:, 0] - mean * both[:, 1]
        scale = max(float(alpha @ (y - mean)) / len(y), 1e-12)  # of equal values: a little doubt
        return cls(u, z, factor, alpha, inverse_lengths, shares, mean, scale, theta)

    def believing(self, u: Floats) -> LocalModel:
        """As if the model's own mean had been observed at u (p, d); mean and scale stay."""
        if not len(u):
            return self
        z = u * self.inverse_lengths
        rows = matern52_alone(distances(z, self.z)) + _quadratic(self.shares, u, self.u)
        block = matern52_alone(distances(z, z)) + _quadratic(self.shares, u, u)
        left = solve_lower(self.factor, rows.T).T  # L21 of the longer factor
        rest = block - left @ left.T
        rest.ravel()[:: len(u) + 1] += 1e-6 * np.maximum(np.diagonal(block), 1.0)
        corner = cholesky(rest)
        if corner is None:  # rounding: the points are there already
            return self
        n = len(self.u)
        factor = np.zeros((n + len(u), n + len(u)), order="F")
        factor[:n, :n], factor[n:, :n], factor[n:, n:] = self.factor, left, corner
        # an observation that is what was expected adds nothing to the mean: its weight is zero
        alpha = np.append(self.alpha, np.zeros(len(u)))
        more = {"u": np.concatenate([self.u, u]), "z": np.concatenate([self.z, z]), "factor": factor, "alpha": alpha}
        return replace(self, **more)  # type: ignore[arg-type]  # arrays, all of them

    @cached_property
    def terms(self) -> _Terms:
        """What every prediction needs of the known points."""
        _, _, c, e = self.shares
        known = self.u * self.u
        even = c * known.T
        even += e * known.sum(axis=1)
        d, n = even.shape
        pull = np.zeros((2 * n, d + 1))
        pull[:n, :d], pull[:n, d], pull[n:, :d] = self.z * self.inverse_lengths, 1.0, self.u
        return _Terms(Sites.of(self.z), np.ascontiguousarray(self.u.T), even, pull, 2.0 * (even @ self.alpha))

    def lower_bound(self, u: Floats, weight: float) -> tuple[Floats, Floats]:
        """(mean - weight sd (m,), its gradient (m, d)) at u (m, d)."""
        a, b, c, e = self.shares
        terms, (m, d), n = self.terms, u.shape, len(self.u)
        z = u * self.inverse_lengths
        squares = u * u
        size = np.add.reduce(squares, axis=1)
        k, decay = matern52(terms.sites.distances(z))
        # a p + b p^2, with the slope a + 2 b p; the terms of even order have the slope 2 u (c u'^2 + e |u'|^2)
        products = np.dot(u, terms.across)
        bent = b * products
        inner = bent + a
        products *= inner
        k += products
        k += np.dot(squares, terms.even)
        inner += bent
        v = solve_lower(self.factor, k.T)
        prior = 1.0 + size * (a + (b + e) * size) + c * np.einsum("ij,ij->i", squares, squares)
        variance = np.maximum(prior - np.einsum("ij,ij->j", v, v), 1e-12 * prior)
        beta = solve_lower(self.factor, v, transposed=True).T
        weights = np.empty((2, m, 2, n))
        np.multiply(decay, self.alpha, out=weights[0, :, 0])
        np.multiply(inner, self.alpha, out=weights[0, :, 1])
        np.multiply(decay, beta, out=weights[1, :, 0])
        np.multiply(inner, beta, out=weights[1, :, 1])
        both = np.dot(weights.reshape(2 * m, 2 * n), terms.pull).reshape(2, m, d + 1)
        z *= self.inverse_lengths
        slopes = both[:, :, :d] - both[:, :, d:] * z
        twice = 2.0 * u
        slopes[0] += u * terms.even_mean
        slopes[1] += twice * np.dot(beta, terms.even.T)
        to_variance = twice * ((a + (2.0 * (b + e)) * size)[:, None] + (2.0 * c) * squares)
        to_variance -= 2.0 * slopes[1]
        sd = np.sqrt(self.scale * variance)
        slope = slopes[0] - ((0.5 * weight * self.scale) / sd)[:, None] * to_variance
        return self.mean + np.dot(k, self.alpha) - weight * sd, slope


@dataclass(eq=False)
class _Terms:
    """across: (d, n) the points.  even: (d, n) what |u_k|^2 is multiplied with.  pull: (2 n, d + 1) of the slopes of
    both parts of the kernel.  even_mean: (d,) the slope of the mean's even part per u.
    """

    sites: Sites
    across: Floats
    even: Floats
    pull: Floats
    even_mean: Floats


def _quadratic(shares: tuple[float, float, float, float], u: Floats, v: Floats) -> Floats:
    """(n, m) the quadratic part of the kernel between u (n, d) and v (m, d)."""
    a, b, c, e = shares
    products, squares, others = u @ v.T, u * u, v * v
    total = a * products + b * products * products + c * (squares @ others.T)
    total += np.multiply.outer(e * squares.sum(axis=1), others.sum(axis=1))
    return np.asarray(total)


def fit_local(
    u: Floats, y: Floats, theta: Floats | None, lengths: int, iterations: int = 15, again: bool = True
) -> LocalModel:
    """The model of points u (n, d), in units of the region's half-width around its centre, and values y (n,).

    theta: where the search for hyperparameters begins (an earlier model's), None: at the prior's mean. With d
    lengthscales it begins again where a quadratic explains nearly all: the way there may lead uphill.
    lengths: 1 or d lengthscales.  iterations: of L-BFGS; 0 keeps theta.  again: False spares the second search.
    """
    y = y / max(float(np.abs(y).max()), 1e-300)  # whatever follows does not overflow
    low = float(y.min())
    spread = float(np.median(y)) - low
    values = (y - low) / max(spread if spread > 0 else float(np.ptp(y)), 1e-200)
    values = np.minimum(values, 1e6)  # so far up nothing is to be learnt of the bottom
    height = values * values
    prior = local_prior(lengths)
    start = prior.mean if theta is None or len(theta) != len(prior.mean) else theta

    agreed = False
    if iterations:
        likelihood = LocalLikelihood(u, values, height, lengths)

        def objective(theta: Floats) -> tuple[float, Floats]:
            value, slope = likelihood(theta)
            penalty, more = prior.penalty(theta)
            return value + penalty, slope + more

        starts = [start]
        if again and lengths > 1 and len(u) > u.shape[1] + 2:
            starts.append(np.concatenate([prior.mean[:lengths], _QUADRATIC]))
        found = minima(objective, starts, prior.low, prior.high, iterations)
        start = min(found, key=lambda pair: pair[0])[1]
        agreed = len(found) > 1 and abs(found[0][0] - found[1][0]) < _SAME
    return replace(LocalModel.of(u, values, height, np.asarray(start, dtype=np.float64)), agreed=agreed)
