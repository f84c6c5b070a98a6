"""Box-constrained minimisation from many starts at once: projected BFGS, one call of the function for all starts.

Bertsekas, SIAM J. Control Optim. 20 (1982) 221-246, doi:10.1137/0320018: columns at a bound whose gradient points
outwards are frozen, the others take a quasi-Newton step (Nocedal & Wright 2006, eq. 6.17), which is clipped. Each start
has its own inverse Hessian and its own step length; for smooth models of a few hundred points the calls, not the
arithmetic, are what costs, and here ten starts cost what one would.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .quasi_random import Floats

Function = Callable[[Floats, NDArray[np.int64]], tuple[Floats, Floats]]
"""(m, d) points, (m,) which starts they belong to -> values (m,), gradients (m, d)."""


def projected_bfgs(
    function: Function,
    starts: Floats,
    low: Floats,
    high: Floats,
    *,
    calls: int = 25,
    first: float = 0.1,
    tolerance: float = 1e-9,
) -> tuple[Floats, Floats]:
    """(points (m, d), values (m,)) reached from `starts` (m, d) in the box low (d,), high (d,).

    calls: of the function, for all starts together.  first: the length of the first step, as a share of the box.
    tolerance: a start is done when a step gains less than tolerance (1 + |value|).
    """
    x = np.clip(starts, low, high)
    m, d = x.shape
    f, g = function(x, np.arange(m))
    unit = np.eye(d)
    h = np.repeat(unit[None], m, axis=0)
    fresh = np.ones(m, dtype=np.bool_)  # whether the inverse Hessian is still a guess
    step = np.ones(m)
    width = first * np.maximum(high - low, 1e-300)
    live = np.arange(m)
    for _ in range(calls - 1):
        free = ~(((x[live] <= low) & (g[live] > 0)) | ((x[live] >= high) & (g[live] < 0)))
        slope = np.where(free, g[live], 0.0)
        direction = -np.einsum("ijk,ik->ij", h[live], slope) * free
        uphill = np.einsum("ij,ij->i", direction, slope) >= 0
        if uphill.any():
            h[live[uphill]], fresh[live[uphill]] = unit, True
            direction[uphill] = -slope[uphill]
        longest = np.abs(direction / width).max(axis=1, initial=0.0)
        limit = np.where(fresh[live], 1.0, 5.0) / np.maximum(longest, 1e-300)
        # a guessed Hessian knows no length: take the whole first step; a learnt one is only kept from leaping
        length = np.where(fresh[live], limit, np.minimum(limit, 1.0)) * step[live]
        trial = np.clip(x[live] + length[:, None] * direction, low, high)
        moved = trial - x[live]
        going = np.abs(moved / width).max(axis=1, initial=0.0) > 1e-6
        if not going.any():
            break
        live, trial, moved = live[going], trial[going], moved[going]
        value, gradient = function(trial, live)
        expected = np.einsum("ij,ij->i", moved, g[live])
        good = value <= f[live] + 1e-4 * np.minimum(expected, 0.0)
        rows = live[good]
        _update(h, fresh, rows, moved[good], gradient[good] - g[rows])
        gain = f[rows] - value[good]
        x[rows], f[rows], g[rows] = trial[good], value[good], gradient[good]
        step[rows] = 1.0
        step[live[~good]] *= 0.25
        going = np.ones(len(live), dtype=np.bool_)
        going[good] = gain >= tolerance * (1.0 + np.abs(f[rows]))
        live = live[going]
        if not len(live):
            break
    return x, f


def _update(h: Floats, fresh: NDArray[np.bool_], rows: NDArray[np.int64], s: Floats, y: Floats) -> None:
    """The BFGS update of the inverse Hessians of `rows`, in place, where the curvature is positive."""
    product = np.einsum("ij,ij->i", s, y)
    size = np.einsum("ij,ij->i", y, y)
    # an underflown plain (an expected improvement of 1e-200) has no curvature that could be divided by
    good = (product > 1e-10 * np.sqrt(size * np.einsum("ij,ij->i", s, s))) & (size > 1e-200)
    rows, s, y, product, size = rows[good], s[good], y[good], product[good], size[good]
    if not len(rows):
        return
    guess = fresh[rows]
    h[rows[guess]] = (product[guess] / size[guess])[:, None, None] * np.eye(s.shape[1])
    fresh[rows] = False
    rho = 1.0 / product
    hy = np.einsum("ijk,ik->ij", h[rows], y)
    factor = rho * (1.0 + rho * np.einsum("ij,ij->i", y, hy))
    cross = s[:, :, None] * hy[:, None, :]
    h[rows] += factor[:, None, None] * (s[:, :, None] * s[:, None, :]) - rho[:, None, None] * (
        cross + cross.transpose(0, 2, 1)
    )
