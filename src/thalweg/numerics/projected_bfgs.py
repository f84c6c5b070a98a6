"""Box-constrained minimisation from many starts at once: projected BFGS, one call of the function for all starts.

Bertsekas, SIAM J. Control Optim. 20 (1982) 221-246, doi:10.1137/0320018: columns at a bound whose gradient points
outwards are frozen, the others take a quasi-Newton step (Nocedal & Wright 2006, eq. 6.17), which is clipped. Each start
has its own inverse Hessian and its own step length; for smooth models of a few hundred points the calls, not the
arithmetic, are what costs, and here ten starts cost what one would.

For the same reason the starts that go on lie together in arrays of their own, so that a step needs no indexing, and a
step is written in few array operations: each costs a microsecond on ten rows, and a suggestion takes some fifty steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quasi_random import Floats

Function = Callable[[Floats, NDArray[np.int64]], tuple[Floats, Floats]]
"""(m, d) points, (m,) which starts they belong to -> values (m,), gradients (m, d)."""

_LEAP = 5.0  # first steps: the most that a learnt Hessian may ask for
_HOPE = 2.0  # next steps that a start may be behind
_STILL = 1e-6  # of the box: what moves less has arrived


@dataclass(eq=False)
class _Runs:
    """The starts that go on: which (m,), where x (m, d), values f (m,), gradients g (m, d), inverse Hessians h
    (m, d, d), step lengths (m,). cap, most: (m,) limits of a step's length, in first steps and in its own.
    """

    rows: NDArray[np.int64]
    x: Floats
    f: Floats
    g: Floats
    h: Floats
    step: Floats
    cap: Floats
    most: Floats

    def only(self, kept: NDArray[np.bool_]) -> None:
        """Forget all but the marked ones."""
        self.rows, self.x, self.f, self.g = self.rows[kept], self.x[kept], self.f[kept], self.g[kept]
        self.h, self.step, self.cap, self.most = self.h[kept], self.step[kept], self.cap[kept], self.most[kept]

    def forget(self, those: NDArray[np.bool_]) -> None:
        """The marked ones' Hessians are guesses again: those know no length, so the whole first step is taken."""
        self.h[those] = np.eye(self.x.shape[1])
        self.cap[those], self.most[those] = 1.0, np.inf

    def directions(self, low: Floats, high: Floats) -> Floats:
        """(m, d) quasi-Newton directions in the columns that are free to move."""
        # a step down the slope that the box takes back entirely: frozen
        free = np.maximum(np.minimum(self.x - self.g, high), low) != self.x
        slope = self.g * free
        direction = np.matmul(self.h, slope[:, :, None])[:, :, 0] * free
        uphill = np.add.reduce(direction * slope, axis=1) <= 0
        if np.count_nonzero(uphill):
            self.forget(uphill)
            direction[uphill] = slope[uphill]
        return np.asarray(-direction)

    def learn(self, s: Floats, y: Floats, good: NDArray[np.bool_] | None) -> None:
        """The BFGS update by steps s (k, d) and changes of the gradient y (k, d) of all or the marked runs, where the
        curvature is positive.
        """
        product, size = np.add.reduce(s * y, axis=1), np.add.reduce(y * y, axis=1)
        # an underflown plain (an expected improvement of 1e-200) has no curvature that could be divided by
        curved = (product > 1e-10 * np.sqrt(size * np.add.reduce(s * s, axis=1))) & (size > 1e-200)
        if np.count_nonzero(curved) < len(curved):
            s, y, product, size = s[curved], y[curved], product[curved], size[curved]
            if good is None:
                good = curved
            else:
                good = good.copy()
                good[good] = curved
            if not len(s):
                return
        h, cap = (self.h, self.cap) if good is None else (self.h[good], self.cap[good])
        guess = cap < _LEAP
        if np.count_nonzero(guess):
            h[guess] *= (product[guess] / size[guess])[:, None, None]
        rho = 1.0 / product
        hy = np.matmul(h, y[:, :, None])[:, :, 0]
        factor = 0.5 * rho * (1.0 + rho * np.add.reduce(y * hy, axis=1))
        # two outer products: what is symmetric stays so
        half = s[:, :, None] * (factor[:, None] * s - rho[:, None] * hy)[:, None, :]
        h += half
        h += half.transpose(0, 2, 1)
        if good is None:
            self.cap.fill(_LEAP)
            self.most.fill(1.0)
        else:
            self.h[good], self.cap[good], self.most[good] = h, _LEAP, 1.0


def projected_bfgs(
    function: Function,
    starts: Floats,
    low: Floats,
    high: Floats,
    *,
    calls: int = 25,
    first: float = 0.1,
    tolerance: float = 1e-9,
    contest: int | None = None,
) -> tuple[Floats, Floats]:
    """(points (m, d), values (m,)) reached from `starts` (m, d) in the box low (d,), high (d,).

    calls: of the function, for all starts together.  first: the length of the first step, as a share of the box.
    tolerance: a start is done when a step gains less than tolerance (1 + |value|).
    contest: where only the best end is wanted: after so many calls a start is given up that is worse than the best one
    by more than twice what its slope promises of its next step.
    """
    x = np.clip(starts, low, high)
    m, d = x.shape
    f, g = function(x, np.arange(m))
    per_width = 1.0 / (first * np.maximum(high - low, 1e-300))
    ends, values = x, f
    unit = np.repeat(np.eye(d)[None], m, axis=0)
    runs = _Runs(np.arange(m), x, f, g, unit, np.ones(m), np.ones(m), np.full(m, np.inf))
    for call in range(1, calls):
        direction = runs.directions(low, high)
        longest = np.maximum(np.maximum.reduce(np.abs(direction * per_width), axis=1, initial=0.0), 1e-300)
        length = np.minimum(runs.cap / longest, runs.most) * runs.step
        direction *= length[:, None]
        direction += runs.x
        trial = np.minimum(np.maximum(direction, low), high)
        moved = trial - runs.x
        going = np.maximum.reduce(np.abs(moved * per_width), axis=1, initial=0.0) > _STILL
        if contest is not None and call >= contest and len(values) > 1:
            best = min(float(np.fmin.reduce(values)), float(np.fmin.reduce(runs.f)))
            promised = np.add.reduce(moved * runs.g, axis=1)
            going &= (runs.f + _HOPE * promised < best) | (runs.f <= best)
        if np.count_nonzero(going) < len(going):
            ends, values = _kept(ends, values, runs)
            runs.only(going)
            trial, moved = trial[going], moved[going]
            if not len(trial):
                break
        value, gradient = function(trial, runs.rows)
        expected = np.add.reduce(moved * runs.g, axis=1)
        good = value <= runs.f + 1e-4 * np.minimum(expected, 0.0)
        bound = tolerance * (1.0 + np.abs(value))
        if np.count_nonzero(good) == len(good):
            runs.learn(moved, gradient - runs.g, None)
            going = runs.f - value >= bound
            runs.x, runs.f, runs.g = trial, value, gradient
            runs.step.fill(1.0)
        else:
            runs.learn(moved[good], gradient[good] - runs.g[good], good)
            going = ~good | (runs.f - value >= bound)
            runs.x = np.where(good[:, None], trial, runs.x)
            runs.f, runs.g = np.where(good, value, runs.f), np.where(good[:, None], gradient, runs.g)
            runs.step = np.where(good, 1.0, 0.25 * runs.step)
        if np.count_nonzero(going) < len(going):
            ends, values = _kept(ends, values, runs)
            runs.only(going)
            if not len(runs.x):
                break
    return _kept(ends, values, runs)


def _kept(ends: Floats, values: Floats, runs: _Runs) -> tuple[Floats, Floats]:
    """`ends` (m, d) and `values` (m,) with what the runs have reached."""
    if len(runs.x) == len(ends):
        return runs.x.copy(), runs.f.copy()
    ends[runs.rows], values[runs.rows] = runs.x, runs.f
    return ends, values
