"""CMA-ES of many independent problems at once. N. Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772.

Equation numbers are the tutorial's. Every array has the problems as its first dimension; covariances are (L, d, d) and
decomposed by one batched call. Candidates are x = m + sigma s y with y = A z and A = C^(1/2) the symmetric root, so
that C^(-1/2) y is z itself; s is 1 but for discrete columns, which keep a spread of a quarter of a cell. Candidates
are folded back at the faces of the cube and learnt from unfolded.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .quasi_random import Floats

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

_SIGMA = 0.3
_LEAST_SPREAD = 0.25  # of a cell, in discrete columns
_WIDEST = 2.0  # the largest standard deviation that means anything in a folded unit cube
_SMALLEST = 1e-12
_WORST_RATIO = 1e7  # of the covariance's axes


def default_size(dimension: int) -> int:
    """Candidates per generation."""
    return 4 + int(3 * math.log(max(dimension, 1)))


class CovarianceAdaptations:
    """L problems with `population` candidates per generation in d columns.

    steps: (d,) width of a cell of discrete columns, 0 elsewhere.  first: (L, d) first means, or None (the middle).
    `ask` gives (L, population, d) points, `tell` wants their (L, population) values, inf where there is none.
    A problem that has converged and is restarted begins at a random mean with the same population.
    """

    def __init__(
        self,
        problems: int,
        dimension: int,
        population: int,
        rng: np.random.Generator,
        *,
        steps: Floats | None = None,
        first: Floats | None = None,
    ) -> None:
        d = self.d = dimension
        self.rng, self.population = rng, population
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # eq. 49
        mu = population // 2
        self.mu_eff = float(raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum())
        mu_minus = float(raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum())
        self.c_sigma = (self.mu_eff + 2) / (d + self.mu_eff + 5)  # eq. 55
        self.d_sigma = 1 + 2 * max(0.0, math.sqrt((self.mu_eff - 1) / (d + 1)) - 1) + self.c_sigma
        self.c_c = (4 + self.mu_eff / d) / (d + 4 + 2 * self.mu_eff / d)  # eq. 56
        self.c_1 = 2 / ((d + 1.3) ** 2 + self.mu_eff)  # eq. 57
        c_mu = min(1 - self.c_1, 2 * (0.25 + self.mu_eff + 1 / self.mu_eff - 2) / ((d + 2) ** 2 + self.mu_eff))
        least = min(1 + self.c_1 / c_mu, 1 + 2 * mu_minus / (self.mu_eff + 2), (1 - self.c_1 - c_mu) / (d * c_mu))
        weights = np.where(raw >= 0, raw / raw[raw > 0].sum(), raw * least / -raw[raw < 0].sum())  # eq. 50-53
        self._gains = np.where(np.arange(population) < mu, np.maximum(raw, 0.0), 0.0)
        self._gains /= self._gains.sum()
        self._weights = c_mu * weights
        self._decay = 1 - self.c_1 - c_mu * float(weights.sum())
        self.chi = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d))
        self.lazy = max(1, int(1 / (self.c_1 + c_mu) / d / 10 + 0.5), 2 if d <= 8 else 1)
        self._floor = _LEAST_SPREAD * (np.zeros(d) if steps is None else steps)
        self.progress = 0.0
        self.steps = 0
        self._make(problems, np.full((problems, d), 0.5) if first is None else first.copy())

    def _make(self, problems: int, mean: Floats) -> None:
        d = self.d
        self.mean: Floats = mean
        self.sigma: Floats = np.full(problems, _SIGMA)
        self.C: Floats = np.tile(np.eye(d), (problems, 1, 1))
        self.root: Floats = self.C.copy()
        self.axes: Floats = np.ones((problems, d))
        """(L, d) square roots of C's eigenvalues, increasing."""
        self.p_sigma: Floats = np.zeros((problems, d))
        self.p_c: Floats = np.zeros((problems, d))
        self.generation: Counts = np.zeros(problems, dtype=np.int64)
        self.best: Floats = np.full(problems, np.inf)
        """(L,) of the present run."""
        self.best_at: Counts = np.zeros(problems, dtype=np.int64)
        self.values: Floats = np.full((problems, 2), np.inf)
        """(L, 2) lowest and highest value of the last generation."""
        self.z = self.y = np.empty((problems, 0, d))

    def __len__(self) -> int:
        return len(self.mean)

    def _scale(self) -> Floats | float:
        """(L, 1, d) s, or 1 where there are no discrete columns."""
        if not self._floor.any():
            return 1.0
        spread = self.sigma[:, None] * np.sqrt(np.einsum("ijj->ij", self.C))
        return np.asarray(np.maximum(1.0, self._floor / np.maximum(spread, 1e-300))[:, None, :])

    def ask(self) -> Floats:
        """(L, population, d) points in the unit cube."""
        self.z = self.rng.standard_normal((len(self), self.population, self.d))
        self.y = self.z @ self.root
        x = self.mean[:, None] + self.sigma[:, None, None] * self._scale() * self.y  # eq. 38-40
        x = np.abs(x)
        return np.clip(np.minimum(x, 2.0 - x), 0.0, 1.0)

    def tell(self, points: Floats, values: Floats) -> None:  # noqa: ARG002 (learns from the steps as drawn)
        """What `ask`'s points came to. values: (L, population), inf where there is none."""
        d, c_sigma = self.d, self.c_sigma
        order = values.argsort(axis=1, kind="stable")[:, :, None]
        z, y = np.take_along_axis(self.z, order, axis=1), np.take_along_axis(self.y, order, axis=1)
        step_z, step_y = np.einsum("j,ijk->ik", self._gains, z), np.einsum("j,ijk->ik", self._gains, y)
        scale = self._scale()
        moved = self.sigma[:, None] * step_y
        self.mean = self.mean + (moved if isinstance(scale, float) else moved * scale[:, 0])  # eq. 42
        self.p_sigma = (1 - c_sigma) * self.p_sigma + math.sqrt(
            c_sigma * (2 - c_sigma) * self.mu_eff
        ) * step_z  # eq. 43
        self.generation += 1
        length = np.sqrt(np.einsum("ij,ij->i", self.p_sigma, self.p_sigma))
        likely = (1.4 + 2 / (d + 1)) * self.chi * np.sqrt(1 - (1 - c_sigma) ** (2.0 * self.generation))
        calm = (length < likely).astype(np.float64)  # h_sigma
        pull = math.sqrt(self.c_c * (2 - self.c_c) * self.mu_eff)
        self.p_c = (1 - self.c_c) * self.p_c + pull * calm[:, None] * step_y  # eq. 45
        weights = np.tile(self._weights, (len(self), 1))
        worse = self._weights < 0
        size = np.einsum("ijk,ijk->ij", z[:, worse], z[:, worse])
        weights[:, worse] *= d / np.maximum(size, 1e-12)  # eq. 46
        decay = self._decay + (1 - calm) * self.c_1 * self.c_c * (2 - self.c_c)
        self.C *= decay[:, None, None]
        self.C += self.c_1 * self.p_c[:, :, None] * self.p_c[:, None, :]  # eq. 47
        self.C += (y * weights[:, :, None]).transpose(0, 2, 1) @ y
        self.sigma = self.sigma * np.exp(np.minimum(1.0, c_sigma / self.d_sigma * (length / self.chi - 1)))  # eq. 44
        self.steps += 1
        if self.steps % self.lazy == 0:
            self._decompose()
        self._watch(values)

    def _decompose(self) -> None:
        self.C = 0.5 * (self.C + self.C.transpose(0, 2, 1))
        squares, basis = np.linalg.eigh(self.C)
        self.axes = np.sqrt(np.maximum(squares, 1e-40))
        self.root = (basis * self.axes[:, None, :]) @ basis.transpose(0, 2, 1)

    def _watch(self, values: Floats) -> None:
        low = values.min(axis=1)
        better = low < self.best
        self.best = np.where(better, low, self.best)
        self.best_at[better] = self.generation[better]
        self.values = np.stack([low, values.max(axis=1)], axis=1)
        wide = self.sigma * self.axes[:, -1]
        self.sigma = np.where(wide > _WIDEST, self.sigma * _WIDEST / np.maximum(wide, 1e-300), self.sigma)

    def spread(self) -> Floats:
        """(L,) the difference between the worst and the best value of the last generation."""
        low, high = self.values.T
        return np.asarray(np.where(np.isinf(high), np.inf, high - np.where(np.isinf(low), 0.0, low)))

    def collapsed(self) -> Mask:
        """(L,) whether a run has nothing left to gain: tiny steps, equal values, a degenerate shape, no progress."""
        tiny = self.sigma * self.axes[:, -1] < _SMALLEST * _SIGMA
        flat = self.spread() <= 1e-14 * np.abs(self.values[:, 0])
        shape = self.axes[:, -1] > _WORST_RATIO * self.axes[:, 0]
        idle = self.generation - self.best_at > 40 + 0.2 * self.generation + 30 * self.d / self.population
        return np.asarray(tiny | flat | shape | idle)

    def restart(self, which: Mask) -> None:
        """Problems (L,) begin again at random means."""
        count = int(which.sum())
        self.mean[which] = self.rng.random((count, self.d))
        self.sigma[which] = _SIGMA
        self.C[which] = self.root[which] = np.eye(self.d)
        self.axes[which] = 1.0
        self.p_sigma[which] = self.p_c[which] = 0.0
        self.generation[which] = self.best_at[which] = 0
        self.best[which] = np.inf
        self.values[which] = np.inf

    def keep(self, which: Mask) -> None:
        """Go on with problems (L,) alone."""
        for name in ("mean", "sigma", "C", "root", "axes", "p_sigma", "p_c", "generation", "best", "best_at", "values"):
            setattr(self, name, getattr(self, name)[which])
