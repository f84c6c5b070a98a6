"""The likelihood of a Bayesian quadratic model (see `local_quadratic`), as often as a search for hyperparameters asks.

What does not depend on them is laid out once. The kernel matrix is symmetric: only pairs i > j, then the diagonal, are
computed, in one row of P = n (n + 1) / 2 numbers, on which lengthscales and shares act by one product each. On a few
dozen points the calls, not the arithmetic, are what costs.
"""

from __future__ import annotations

import math

import numpy as np

from .kernels import lapack
from .quasi_random import Floats

EXTRA = 6
"""Hyperparameters after the lengthscales: log a, log b, log c, log e, log h, log g."""

_FAILED = 1e25  # stands for an infinite loss: L-BFGS steps back from it


class LocalLikelihood:
    """-log L with mean and scale profiled out, up to a constant, of values y (n,) at points u (n, d).

    height: (n,) the w that the noise g + h w grows with.  lengths: 1 (one lengthscale for all columns) or d.
    Its arrays are used again by the next call, so one object is for one thread.
    """

    def __init__(self, u: Floats, y: Floats, height: Floats, lengths: int) -> None:
        n = len(y)
        rows, columns = np.tril_indices(n, -1)
        own = np.arange(n)
        rows, columns = np.concatenate([rows, own]), np.concatenate([columns, own])
        squares = u * u
        size = squares.sum(axis=1)
        products = (u @ u.T)[rows, columns]
        alike = (squares @ squares.T)[rows, columns]
        self.quadratic = np.stack([products, products * products, alike, size[rows] * size[columns]])
        apart = u[rows] - u[columns]
        apart *= apart
        apart *= 5.0
        self.apart = np.ascontiguousarray(apart.T if lengths > 1 else apart.sum(axis=1)[None])  # (L, P)
        self.rows, self.columns, self.place = rows, columns, columns * n + rows
        self.twice = np.full(len(rows), 2.0)  # what stands for two entries of the matrix
        self.twice[-n:] = 1.0
        self.y, self.height, self.lengths = y, height, lengths
        self.right = np.asfortranarray(np.column_stack([y, np.ones(n)]))
        self.flat = np.zeros(n * n)

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """(the loss, its gradient) at theta (L + 6,), the logarithms of lengthscales and of a, b, c, e, h, g."""
        n, lengths = len(self.y), self.lengths
        scales = np.exp(theta)
        inverse = scales[:lengths] ** -2
        shares, h, g = scales[lengths:-2], float(scales[-2]), float(scales[-1])
        k = np.dot(inverse, self.apart)
        r = np.sqrt(k)
        decay = np.negative(r)
        np.exp(decay, out=decay)
        r += 1.0
        r *= decay
        k *= decay
        k *= 1.0 / 3.0
        k += r  # Matern 5/2, as in `kernels`
        k += np.dot(shares, self.quadratic)
        k[-n:] += g + h * self.height
        flat = self.flat
        flat[self.place] = k
        factor, info = lapack().dpotrf(flat.reshape(n, n).T, lower=1, clean=0, overwrite_a=1)
        if info:
            return _FAILED, np.zeros_like(theta)
        log_det = 2.0 * float(np.log(flat[:: n + 1]).sum())
        both, _ = lapack().dpotrs(factor, self.right, lower=1)
        total = both.sum(axis=0).tolist()
        mean = total[0] / total[1]
        alpha = both[:, 0] - mean * both[:, 1]
        scale = max(float(alpha @ (self.y - mean)) / n, 1e-300)
        lapack().dpotri(factor, lower=1, overwrite_c=1)
        weights = (alpha / scale)[self.rows]
        weights *= alpha[self.columns]
        weights -= flat[self.place]
        weights *= self.twice
        diagonal = weights[-n:]
        gradient = np.empty_like(theta)
        gradient[lengths:-2] = np.dot(self.quadratic, weights) * shares
        gradient[-2:] = h * float(diagonal @ self.height), g * float(diagonal.sum())
        weights *= r
        # 5/3 is the factor of the kernel's slope, and distances here hold a 5 already
        gradient[:lengths] = np.dot(self.apart, weights) * inverse
        gradient[:lengths] *= 1.0 / 3.0
        gradient *= -0.5
        return 0.5 * (n * math.log(scale) + log_det), gradient
