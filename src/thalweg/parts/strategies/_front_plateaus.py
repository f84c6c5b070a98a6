"""Where values jump from plateau to plateau: what will tie with known points gains nothing, whatever a model hopes for.

A model of such values bends below what it knows between points that are all alike, or takes a jump for short lengths
and so knows nothing a step away: it promises gains beside a plateau for ever. On `tree` of the benchmarks 49 of the
first 51 proposals lay on the lowest plateau of one objective, with a utility only .2 to .5 above that of everywhere
else.

So outcomes are counted where a point is expected to fall, as unseen species are (I. J. Good, Biometrika 40 (1953)
237-264, doi:10.1093/biomet/40.3-4.237). With mean mu and variance v at x, the chance that values are new is thought to
be (1 + sum_i w_i new_i) / (1 + sum_i w_i), w_i = exp(-sum_j (mu_j - y_ij)^2 / (2 (v_j + h^2))), new_i 1 for known
points whose values no other point has, and 0 for others. Expected gains are multiplied with it. Weights by how near
points are in the models' lengthscales, as there were once, or both, found less: lengths are the first thing that
plateaus make a model get wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats

_PRIOR = 1.0  # points that are thought to have values of their own, wherever one looks
_WIDTH = 0.03  # h, of the front's range: values that differ by less are about the same


@dataclass(eq=False)
class Plateaus:
    """values: (u, m) those that are known, each once.  counts: (u,) how many points have them.  new: (u,) 1 where it is
    one, or else 0.
    """

    values: Floats
    counts: Floats
    new: Floats

    @classmethod
    def of(cls, values: Floats) -> Plateaus | None:
        """From values (n, m), in shares of the front's range; None where all are different."""
        alone, counts = np.unique(values, axis=0, return_counts=True)
        if len(alone) == len(values):
            return None
        return cls(alone, counts.astype(np.float64), (counts == 1).astype(np.float64))

    def log_chance(self, mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
        """(the logarithm of the chance that values with mean (q, m) and variance (q, m) are new (q,), its derivatives
        by mean (q, m), and by variance (q, m)).
        """
        spread = (variance + _WIDTH**2)[:, None]
        pull = (mean[:, None] - self.values) / spread  # (q, u, m)
        squares = pull * pull
        weights = np.exp(-0.5 * (squares * spread).sum(axis=2))
        new, known = _PRIOR + weights @ self.new, _PRIOR + weights @ self.counts
        share = weights * (self.new / new[:, None] - self.counts / known[:, None])
        by_mean = -np.einsum("qu,qum->qm", share, pull)
        by_variance = 0.5 * np.einsum("qu,qum->qm", share, squares)
        return np.log(new / known), by_mean, by_variance
