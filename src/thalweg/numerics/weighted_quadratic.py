"""Quadratic models fitted by least squares in which better points weigh more.

N. Hansen: A global surrogate assisted CMA-ES, GECCO 2019, doi:10.1145/3321707.3321842 (hal-02143961), section 2:
weights by rank, and a model that is linear, then diagonal, then full as points become enough. Here all terms are there
from the beginning, and the second-order ones are held back by a small penalty on how far the Hessian is from a multiple
of the identity: few points give the slope and one curvature, more of them bend it where they say so. (Over 24 functions
of 5 columns that was better than three stages.) The coordinates should be ones in which the function may be expected
to be round: those of a CMA-ES' distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LINEAR = 1e-9
"""The penalty on the gradient and the mean curvature: enough to make them unique where points are too few."""

_MANY = 400
"""Terms from which on fewer rows are solved for instead: a full quadratic of 60 columns took 150 ms, for 40 points."""


def terms(d: int) -> int:
    """How many coefficients a full quadratic of d columns has: (d + 1) (d + 2) / 2."""
    return (d + 1) * (d + 2) // 2


def rank_weights(values: Floats, steepness: float = 20.0) -> Floats:
    """(n,) factors of the residuals: `steepness` for the best of values (n,), evenly down to 1 for the worst."""
    weights = np.empty(len(values))
    weights[np.argsort(values, kind="stable")] = np.linspace(steepness, 1.0, len(values))
    return weights


def kendall(first: Floats, second: Floats) -> float:
    """Kendall's rank correlation tau-b of two (n,) arrays, in [-1, 1]; 0 where one of them is constant."""
    rows, cols = _pairs(len(first))
    a, b = np.sign(first[rows] - first[cols]), np.sign(second[rows] - second[cols])
    size = float(np.count_nonzero(a)) * float(np.count_nonzero(b))
    return float(a @ b) / size**0.5 if size else 0.0


@dataclass(slots=True, eq=False)
class WeightedQuadratic:
    """q(u) = constant + g.u + u.H.u / 2 of coordinates u (d,).

    gradient: (d,) g.  hessian: (d, d) H, symmetric.
    """

    constant: float
    gradient: Floats
    hessian: Floats

    @classmethod
    def flat(cls, d: int) -> WeightedQuadratic:
        """Zero everywhere."""
        return cls(0.0, np.zeros(d), np.zeros((d, d)))

    @classmethod
    def fit(cls, u: Floats, values: Floats, weights: Floats, ridge: float) -> WeightedQuadratic:
        """The quadratic with the least sum of (w_i (q(u_i) - y_i))^2 + ridge ||H - h I||^2 over q and h.

        u: (n, d), n >= 1.  values: (n,) y, finite.  weights: (n,) w > 0.
        ridge: > 0, where values and coordinates are scaled to mean squares of 1, and squared weights to the sum 1.
        """
        d = u.shape[1]
        reach = float((u * u).mean()) ** 0.5 or 1.0
        shares = weights / float(weights @ weights) ** 0.5
        centre = float((shares * shares) @ values)
        y = shares * (values - centre)
        size = float(y @ y) ** 0.5
        if not size or values.min() == values.max():
            return cls(float(values[0]), np.zeros(d), np.zeros((d, d)))
        z = _features(u / reach) * shares[:, None]
        solve = _by_rows if z.shape[1] > _MANY and 2 * len(z) < z.shape[1] else _by_terms
        c = size * solve(z, y / size, _penalties(d, ridge))
        hessian = np.zeros((d, d))
        hessian[_pairs(d)] = c[2 * d + 1 : -1]
        hessian += hessian.T
        hessian.flat[:: d + 1] = 2.0 * (c[d + 1 : 2 * d + 1] + c[-1])
        return cls(float(c[0]) + centre, c[1 : d + 1] / reach, hessian / reach**2)

    def __call__(self, u: Floats) -> Floats:
        """(n,) values at u (n, d)."""
        return np.asarray(u @ self.gradient + 0.5 * ((u @ self.hessian) * u).sum(axis=1) + self.constant)

    def seen_from(self, origin: Floats, turn: Floats) -> WeightedQuadratic:
        """The same function of v (e,), where u = origin (d,) + v @ turn (e, d)."""
        slope = self.gradient + self.hessian @ origin
        constant = self.constant + float((self.gradient + 0.5 * self.hessian @ origin) @ origin)
        hessian = turn @ self.hessian @ turn.T
        return WeightedQuadratic(constant, turn @ slope, 0.5 * (hessian + hessian.T))


def _by_terms(z: Floats, y: Floats, penalties: Floats) -> Floats:
    """(p,) c with the least |z c - y|^2 + sum_j penalties_j c_j^2, for z (n, p): p equations."""
    gram = z.T @ z
    gram.flat[:: len(gram) + 1] += penalties
    return np.asarray(np.linalg.solve(gram, y @ z))


def _by_rows(z: Floats, y: Floats, penalties: Floats) -> Floats:
    """The same from n equations: terms with a penalty worth the name make a kernel K = I + R P^-1 R' of the rows
    (Woodbury); the others, few, are fitted to what is left by generalised least squares.
    """
    held = penalties > _LINEAR
    free, kernel = z[:, ~held], z[:, held]
    shrunk = kernel / penalties[held]
    covariance = shrunk @ kernel.T
    covariance.flat[:: len(z) + 1] += 1.0
    both = np.linalg.solve(covariance, np.column_stack([free, y]))
    gram = free.T @ both[:, :-1]
    gram.flat[:: len(gram) + 1] += penalties[~held]
    c = np.empty(z.shape[1])
    c[~held] = np.linalg.solve(gram, free.T @ both[:, -1])
    c[held] = (both[:, -1] - both[:, :-1] @ c[~held]) @ shrunk
    return c


def _features(u: Floats) -> Floats:
    """(n, terms + 1): 1, u_i, u_i^2, u_i u_j (i < j), |u|^2: the last one is the unpenalised part of the squares."""
    n, d = u.shape
    rows, cols = _pairs(d)
    z = np.empty((n, terms(d) + 1))
    z[:, 0] = 1.0
    z[:, 1 : d + 1] = u
    squares = z[:, d + 1 : 2 * d + 1]
    np.multiply(u, u, out=squares)
    np.multiply(u[:, rows], u[:, cols], out=z[:, 2 * d + 1 : -1])
    z[:, -1] = squares.sum(axis=1)
    return z


@cache
def _pairs(d: int) -> tuple[Ints, Ints]:
    """The indices i < j."""
    rows, cols = np.triu_indices(d, 1)
    return rows.astype(np.int64), cols.astype(np.int64)


@cache
def _penalties(d: int, ridge: float) -> Floats:
    """(terms + 1,) In ||H||_F^2 a square's coefficient counts four times (H_ii = 2 c_ii), a product's twice."""
    penalties = np.full(terms(d) + 1, 2.0 * ridge)
    penalties[0] = 1e-12
    penalties[1 : d + 1] = penalties[-1] = _LINEAR
    penalties[d + 1 : 2 * d + 1] = 4.0 * ridge
    return penalties
