"""Parzen estimators of a density on the unit cube: mixtures of products of truncated Gaussians and label probabilities.

J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl: Algorithms for Hyper-Parameter Optimization, NIPS 2011, section 4.
S. Watanabe: Tree-Structured Parzen Estimator, arXiv:2304.11127: the bandwidth rules (section 3.3) and their constants.
S. Falkner, A. Klein, F. Hutter: BOHB, ICML 2018, arXiv:1807.01774: one multivariate kernel per point, not per column.

A log-density is a product of matrices: each column of a point gives the features x^2, x and 1 (labels: one of each),
each kernel gives their coefficients. Columns that a point does not use have no features: it is judged by the marginal
density of those it uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

LEAST_WIDTH = 0.03
"""Least bandwidth of a continuous column as a share of the cube (arXiv:2304.11127, section 3.3.4)."""


@dataclass(frozen=True)
class Layout:
    """What the columns are.

    smooth: (C,) the columns with Gaussian kernels.  floors: (C,) the least bandwidth of each.
    labels: (J,) the columns with unordered labels.  counts: (J,) how many labels each has; label j of one is in the
    column's cell [j, j + 1) / count.
    """

    smooth: Ints
    floors: Floats
    labels: Ints
    counts: Ints

    @property
    def offsets(self) -> Ints:
        """(J,) where the features of each label column begin, among those of all."""
        return np.cumsum(self.counts) - self.counts

    def label_of(self, points: Floats) -> Ints:
        """(n, J) which label each point (n, D) has."""
        cells = (points[:, self.labels] * self.counts).astype(np.int64)
        return np.minimum(cells, self.counts - 1)

    def features(self, points: Floats, active: Mask | None = None) -> Floats:
        """(n, 3 C + sum(counts)) of points (n, D); `active` (n, D): which columns each point uses (None: all)."""
        n, width = len(points), len(self.smooth)
        made = np.zeros((n, 3 * width + int(self.counts.sum())))
        x = points[:, self.smooth]
        np.multiply(x, x, out=made[:, :width])
        made[:, width : 2 * width] = x
        made[:, 2 * width : 3 * width] = 1.0
        if active is not None:
            used = active[:, self.smooth].astype(np.float64)
            made[:, : 3 * width] *= np.tile(used, 3)
        if len(self.labels):
            hit = np.ones(1) if active is None else active[:, self.labels].astype(np.float64)
            made[np.arange(n)[:, None], 3 * width + self.offsets + self.label_of(points)] = hit
        return made


@dataclass(frozen=True)
class Parzen:
    """A mixture of n kernels.

    means, widths: (n, C) of the Gaussians.  below, mass: (n, C) the probability left of the cube, and inside it.
    tables: (n, sum(counts)) logarithms of the labels' probabilities.  weights: (n,) with sum 1.
    coefficients: (F, n) what features are multiplied with.
    """

    layout: Layout
    means: Floats
    widths: Floats
    below: Floats
    mass: Floats
    tables: Floats
    weights: Floats
    coefficients: Floats

    @classmethod
    def fit(
        cls, layout: Layout, points: Floats, weights: Floats, active: Mask | None = None, *, spread: float = 0.0
    ) -> Parzen:
        """A kernel at each point (n, D) with relative `weights` (n,), and one prior kernel (weight 1) over everything.

        active: (n, D) columns that a point uses; in others its kernel is the prior's.
        spread: the bandwidth before n^(-1/(d+4)); 0: the points' own standard deviation (Scott's rule).
        """
        from scipy.special import ndtr

        n, width = len(points), len(layout.smooth)
        means, widths = np.full((n + 1, width), 0.5), np.ones((n + 1, width))
        if n:
            x = points[:, layout.smooth]
            means[:n] = x
            widths[:n] = np.maximum(_bandwidth(x, weights, spread), layout.floors)
            if active is not None:
                idle = ~active[:, layout.smooth]
                means[:n][idle], widths[:n][idle] = 0.5, 1.0
        edges = ndtr(np.concatenate([-means / widths, (1.0 - means) / widths]))
        below, mass = edges[: n + 1], edges[n + 1 :] - edges[: n + 1]
        tables = _label_tables(layout, points, active)
        shares = np.append(weights, 1.0)
        shares /= shares.sum()
        inverse = 1.0 / (widths * widths)
        scale = -np.log(widths * mass) - 0.5 * math.log(2 * math.pi)
        coefficients = np.concatenate(
            [-0.5 * inverse, means * inverse, scale - 0.5 * means * means * inverse, tables], axis=1
        )
        return cls(layout, means, widths, below, mass, tables, shares, coefficients.T)

    def log_density(self, features: Floats) -> Floats:
        """(m,) of points whose `Layout.features` are (m, F)."""
        logs = features @ self.coefficients
        top = logs.max(axis=1)
        logs -= top[:, None]
        np.exp(logs, out=logs)
        return np.asarray(top + np.log(logs @ self.weights), dtype=np.float64)

    def sample(self, count: int, dimension: int, rng: np.random.Generator) -> Floats:
        """(count, dimension) points drawn from the mixture; columns that are not in the layout are 0.5."""
        from scipy.special import ndtri

        layout = self.layout
        width = len(layout.smooth)
        points = np.full((count, dimension), 0.5)
        which = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(count), side="right")
        u = rng.random((count, width + len(layout.labels)))
        x = self.means[which] + self.widths[which] * ndtri(self.below[which] + u[:, :width] * self.mass[which])
        points[:, layout.smooth] = np.clip(x, 0.0, 1.0)
        for j, (column, offset, labels) in enumerate(zip(layout.labels, layout.offsets, layout.counts, strict=True)):
            chances = np.exp(self.tables[:, offset : offset + labels]).cumsum(axis=1)[which]
            drawn = (chances < u[:, width + j, None] * chances[:, -1:]).sum(axis=1)
            points[:, column] = (drawn + 0.5) / labels
        return points


def _bandwidth(x: Floats, weights: Floats, spread: float) -> Floats:
    """(C,) of points (n, C). Scott's rule: sigma n^(-1/(d+4)) (arXiv:2304.11127, section 3.3.4), at most the cube's."""
    n, width = x.shape
    shrink = n ** (-1.0 / (width + 4))
    if spread:
        return np.full(width, min(spread * shrink, 1.0))
    shares = weights / weights.sum()
    centre = shares @ x
    # one more point of the prior's deviation keeps few points from looking like certainty
    variance = (n * (shares @ (x - centre) ** 2) + 1.0 / 12.0) / (n + 1)
    return np.asarray(np.sqrt(variance) * shrink, dtype=np.float64)


def _label_tables(layout: Layout, points: Floats, active: Mask | None) -> Floats:
    """(n + 1, sum(counts)) logarithms: a point's own label has 1 more count than the prior's 1 / (n + 1) for each."""
    n = len(points)
    if not len(layout.labels):
        return np.empty((n + 1, 0))
    counts = layout.counts
    prior = 1.0 / (n + 1)
    own = np.zeros((n + 1, int(counts.sum())))
    hit = np.ones(1) if active is None else active[:, layout.labels].astype(np.float64)
    own[np.arange(n)[:, None], layout.offsets + layout.label_of(points)] = hit
    totals = np.repeat(np.add.reduceat(own, layout.offsets, axis=1), counts, axis=1) + np.repeat(counts, counts) * prior
    return np.asarray(np.log((own + prior) / totals), dtype=np.float64)
