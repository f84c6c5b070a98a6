"""The normal distribution of a CMA-ES. N. Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772.

Equation numbers are the tutorial's. Candidates are x = m + sigma * s * y with y = A z, z ~ N(0, I), A = C^(1/2) the
symmetric root, s a scale per column that is 1 unless a margin widens it (arXiv:2205.13482, where it is the diagonal A).
With the symmetric root C^(-1/2) y is z itself, so no inverse is needed. One generation at four columns costs some
twenty array calls of half a microsecond: the two paths are rows of the sample arrays, to be updated with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats, Ints

WORST_CONDITION = 1e14
"""Of C, after which a run has nothing left to learn in float64."""


@dataclass(slots=True, eq=False)
class Normal:
    """m, sigma, C and the paths of one run with `population` candidates per generation in d columns."""

    mean: Floats
    """(d,)"""
    sigma: float
    scale: Floats
    """(d,) s"""
    C: Floats
    root: Floats
    """(d, d) A"""
    roots: Floats
    """(d,) square roots of C's eigenvalues, increasing."""
    samples: Floats
    """(2, population + 1, d): z and y of every candidate, then p_sigma and p_c."""
    weights: Floats
    """(2, population) by rank: w_i > 0 that sum to 1, then zeros; and c_mu w_i, negative ones too. eq. 49-53"""
    negative: int
    """The rank from which weights are negative."""
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    decay: float
    """1 - c_1 - c_mu sum(w)"""
    chi: float
    """E ||N(0, I)||"""
    lazy: int
    """Generations between two eigendecompositions."""
    generation: int = 0
    widened: bool = False
    """Whether any s differs from 1."""

    @classmethod
    def make(cls, mean: Floats, sigma: float, population: int) -> Normal:
        """A fresh run with the tutorial's default parameters (table 1)."""
        d = len(mean)
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # eq. 49
        mu = population // 2
        mu_eff = float(raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum())
        mu_minus = float(raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum())
        c_sigma = (mu_eff + 2) / (d + mu_eff + 5)  # eq. 55
        d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + c_sigma
        c_c = (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d)  # eq. 56
        c_1 = 2 / ((d + 1.3) ** 2 + mu_eff)  # eq. 57
        c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((d + 2) ** 2 + mu_eff))  # eq. 58
        least = min(1 + c_1 / c_mu, 1 + 2 * mu_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (d * c_mu))  # eq. 50-52
        weights = np.where(raw >= 0, raw / raw[raw > 0].sum(), raw * least / -raw[raw < 0].sum())  # eq. 53
        gains = np.where(np.arange(population) < mu, raw, 0.0)
        return cls(
            mean=mean.copy(),
            sigma=sigma,
            scale=np.ones(d),
            C=np.eye(d),
            root=np.eye(d),
            roots=np.ones(d),
            samples=np.zeros((2, population + 1, d)),
            weights=np.array([gains / gains.sum(), c_mu * weights]),
            negative=int((weights >= 0).sum()),
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=d_sigma,
            c_c=c_c,
            c_1=c_1,
            decay=1 - c_1 - c_mu * float(weights.sum()),
            chi=math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d)),
            lazy=max(1, int(1 / (c_1 + c_mu) / d / 10 + 0.5), 2 if d <= 12 else 1),
        )

    @property
    def population(self) -> int:
        """Candidates per generation."""
        return int(self.weights.shape[1])

    @property
    def width(self) -> Floats | float:
        """sigma * s, a float while no column is widened."""
        return self.sigma * self.scale if self.widened else self.sigma

    def sample(self, rng: np.random.Generator) -> Floats:
        """(population, d) candidates, not yet inside the cube."""
        z, y = self.samples[0, :-1], self.samples[1, :-1]
        rng.standard_normal(out=z)
        np.matmul(z, self.root, out=y)
        x = y * self.width  # eq. 38-40
        x += self.mean
        return x

    def place(self, rows: Ints, points: Floats) -> None:
        """Say that candidates `rows` are really `points` (k, d): repaired or moved."""
        self.samples[0, rows], self.samples[1, rows] = self.steps(points)

    def steps(self, points: Floats) -> tuple[Floats, Floats]:
        """(k, d) z and y of points that were not drawn here, shortened to the length of a likely step.

        N. Hansen, Injecting external solutions into CMA-ES, arXiv:1110.4181, eq. 3-4.
        """
        d = len(self.mean)
        y = (points - self.mean) / self.width
        z = np.linalg.solve(self.root, y.T).T
        length = np.sqrt((z * z).sum(axis=1, keepdims=True))
        share = np.minimum(1.0, (math.sqrt(d) + 2 * d / (d + 2)) / np.maximum(length, 1e-300))
        return z * share, y * share

    def update(self, order: Ints, count: int, samples: Floats | None = None) -> None:
        """Move m, sigma and C.

        order: (k,) candidates that have a value, best first.  count: how many there are.
        samples: (2, count + 1, d), the paths last, where they are not the own ones.
        """
        d, c_sigma = len(self.mean), self.c_sigma
        paths = self.samples[:, -1]
        if samples is None:
            samples = self.samples
        weights, worst, decay = self._placed(order, count)
        step = weights[0] @ samples  # (2, d): sum w_i z_i and sum w_i y_i
        self.mean += self.width * step[1]  # eq. 42
        p_sigma, p_c = paths
        p_sigma *= 1 - c_sigma
        p_sigma += math.sqrt(c_sigma * (2 - c_sigma) * self.mu_eff) * step[0]  # eq. 43
        self.generation = age = self.generation + 1
        length = math.sqrt(p_sigma @ p_sigma)
        p_c *= 1 - self.c_c
        if length < (1.4 + 2 / (d + 1)) * self.chi * math.sqrt(1 - (1 - c_sigma) ** (2 * age)):  # h_sigma
            p_c += math.sqrt(self.c_c * (2 - self.c_c) * self.mu_eff) * step[1]  # eq. 45
        else:
            decay += self.c_1 * self.c_c * (2 - self.c_c)  # delta(h_sigma)
        if samples is not self.samples:
            samples[:, -1] = paths
        z, y = samples
        covers = weights[1]
        if len(worst):
            steps = z[worst]
            covers[worst] *= d / (np.einsum("ij,ij->i", steps, steps) + 1e-300)  # eq. 46
        covers[-1] = self.c_1
        self.C *= decay
        self.C += (y.T * covers) @ y  # eq. 47, p_c is the last row
        self.sigma *= math.exp(min(1.0, c_sigma / self.d_sigma * (length / self.chi - 1)))  # eq. 44
        if age % self.lazy == 0:
            self.decompose()

    def gains(self, order: Ints, count: int) -> Floats:
        """(count,) the positive weights of candidates, which sum to 1."""
        return self._placed(order, count)[0][0, :-1]

    def _placed(self, order: Ints, count: int) -> tuple[Floats, Ints, float]:
        """(2, count + 1) weights in the candidates' order, who has negative ones, and what C keeps of itself."""
        weights = np.zeros((2, count + 1))
        population, known = self.population, len(order)
        if known == count == population:
            weights[:, order] = self.weights
            return weights, order[self.negative :], self.decay
        # some failed, or guests came: positive weights for the best, negative ones for the worst of those with a value
        best = min(self.negative, known)
        weights[:, order[:best]] = self.weights[:, :best]
        weights[0] /= weights[0].sum()
        few = min(population - self.negative, known - best)
        worst = order[known - few :]
        weights[1, worst] = self.weights[1, population - few :]
        return weights, worst, 1 - self.c_1 - float(weights[1].sum())

    def decompose(self) -> None:
        """A and the roots from C."""
        squares, basis = np.linalg.eigh(self.C)
        if squares[0] <= 0.0 or not squares[-1] < math.inf:
            squares = np.maximum(np.nan_to_num(squares, posinf=1.0), 1e-14 * max(float(squares[-1]), 1e-300))
            self.C = (basis * squares) @ basis.T
        self.roots = np.sqrt(squares)
        self.root = (basis * self.roots) @ basis.T

    def mirror(self) -> None:
        """Bring the mean back into the cube where candidates are folded at its faces: the folded objective is symmetric
        there, so mean, paths and covariance are mirrored and nothing else changes.
        """
        turns = np.floor(self.mean)
        if not turns.any():
            return
        odd = turns % 2 != 0
        self.mean = np.where(turns != 0, np.abs(np.remainder(self.mean + 1.0, 2.0) - 1.0), self.mean)
        sign = np.where(odd, -1.0, 1.0)
        self.samples *= sign
        self.C *= sign * sign[:, None]
        self.root *= sign * sign[:, None]
