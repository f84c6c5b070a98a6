"""Stationary kernels over scaled points, and the LAPACK calls that Gaussian processes need (SciPy, imported lazily).

Matern 5/2 (Rasmussen & Williams 2006, eq. 4.17): k(r) = (1 + r + r^2/3) e^-r with r^2 = 5 sum_k ((x_k - x'_k) / l_k)^2.
Everything takes points that are already divided by their lengthscales.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .blas import hold
from .quasi_random import Floats


@cache
def lapack() -> Any:
    """scipy.linalg.lapack, imported at the first call."""
    from scipy.linalg import lapack as module

    hold()
    return module


def distances(a: Floats, b: Floats) -> Floats:
    """(n, m) r = sqrt(5) |a_i - b_j| of scaled points a (n, F) and b (m, F)."""
    squared = a @ (-2.0 * b.T)
    squared += np.einsum("ij,ij->i", a, a)[:, None]
    squared += np.einsum("ij,ij->i", b, b)
    np.maximum(squared, 0.0, out=squared)
    squared *= 5.0
    return np.sqrt(squared, out=squared)


@dataclass(eq=False)
class Sites:
    """Scaled points z (n, F) that many others are compared with: what their distances need, and the pull of each.

    cross: (F, n) and squares: (n,), so that r^2 = 5 |x|^2 + x' cross + squares.  pull: (n, F + 1) the points and ones.
    """

    cross: Floats
    squares: Floats
    pull: Floats

    @classmethod
    def of(cls, z: Floats) -> Sites:
        """Of scaled points z (n, F)."""
        n, width = z.shape
        pull = np.ones((n, width + 1))
        pull[:, :width] = z
        return cls(np.ascontiguousarray(-10.0 * z.T), 5.0 * np.einsum("ij,ij->i", z, z), pull)

    def distances(self, x: Floats) -> Floats:
        """(m, n) as `distances(x, z)` of scaled x (m, F)."""
        squared = np.dot(x, self.cross)
        squared += (5.0 * np.einsum("ij,ij->i", x, x))[:, None]
        squared += self.squares
        np.maximum(squared, 0.0, out=squared)
        np.sqrt(squared, out=squared)
        return np.asarray(squared)


def matern52(r: Floats) -> tuple[Floats, Floats]:
    """(k, c) of the same shape as r: the kernel, and c = 5/3 (1 + r) e^-r, so that dk/dz_k = -c (z_k - z'_k)."""
    decay = np.negative(r)
    np.exp(decay, out=decay)
    c = r + 1.0
    c *= decay
    k = r * r
    k *= decay
    k *= 1.0 / 3.0
    k += c
    c *= 5.0 / 3.0
    return k, c


def matern52_alone(r: Floats) -> Floats:
    """The kernel only, of the same shape as r, which is overwritten."""
    decay = np.negative(r)
    np.exp(decay, out=decay)
    decay *= 1.0 / 3.0
    k = r * r
    r += 1.0
    r *= 3.0
    k += r
    k *= decay
    return np.asarray(k)


def cholesky(matrix: Floats) -> Floats | None:
    """The lower factor (n, n; Fortran order, the upper triangle is zero) of a symmetric matrix, which is overwritten;
    None where it is not positive definite.
    """
    factor, info = lapack().dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    return None if info else factor


def inverse_of(factor: Floats) -> Floats:
    """(n, n) the inverse of L L' from its lower factor."""
    inverse, _ = lapack().dpotri(factor, lower=1)
    # dpotri fills the lower triangle, and leaves what was above it: zeros
    result = inverse + inverse.T
    result.ravel()[:: len(result) + 1] *= 0.5
    return np.ascontiguousarray(result)


def solve_lower(factor: Floats, right: Floats, transposed: bool = False) -> Floats:
    """L^-1 B, or L'^-1 B, for a lower factor (n, n) and B (n,) or (n, m)."""
    solution, _ = lapack().dtrtrs(factor, right, lower=1, trans=1 if transposed else 0)
    return np.asarray(solution)
