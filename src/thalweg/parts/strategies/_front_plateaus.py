"""Where values are all the same: what ties with a known point gains nothing, however much a model hopes for there.

A model of values that jump from plateau to plateau bends below what it knows between points that are all alike, and
promises gains there for ever: on `tree` of the benchmarks fifty proposals in a row lay on one plateau. Near x, in the
models' own lengthscales, the chance that values are new is thought to be (1 + sum_i k(x, x_i) new_i) / (1 + sum_i
k(x, x_i)), where new_i is 1 for known points whose values no other point has, and 0 for others. It falls as one over
the number of ties. Expected gains are multiplied with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats
from ...numerics.kernels import distances, matern52
from ._front_fits import Model

_PRIOR = 1.0  # points that are thought to have values of their own, wherever one looks


@dataclass(eq=False)
class Plateaus:
    """z: (n, F) known points in lengthscales.  new: (n,) 1 where no other has the same values, or else 0.
    inverse_lengths: (F,).
    """

    z: Floats
    new: Floats
    inverse_lengths: Floats

    @classmethod
    def of(cls, models: Sequence[Model], x: Floats, values: Floats) -> Plateaus | None:
        """From values (n, m) at features x (n, F), and the models of them; None where all are different."""
        _, place, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
        new = counts[place.reshape(-1)] == 1
        if not models or new.all():
            return None
        inverse_lengths = np.max([model.inverse_lengths for model in models], axis=0)
        return cls(x * inverse_lengths, new.astype(np.float64), inverse_lengths)

    def log_chance(self, x: Floats) -> Floats:
        """(q,) the logarithm of the chance that values at features x (q, F) are new."""
        weights = matern52(distances(x * self.inverse_lengths, self.z))[0]
        return np.asarray(np.log((_PRIOR + weights @ self.new) / (_PRIOR + weights.sum(axis=1))))

    def log_chance_with_gradients(self, x: Floats) -> tuple[Floats, Floats]:
        """(that (q,), its gradient (q, F))."""
        z = x * self.inverse_lengths
        weights, c = matern52(distances(z, self.z))
        new, known = _PRIOR + weights @ self.new, _PRIOR + weights.sum(axis=1)
        pull = c * (self.new / new[:, None] - 1.0 / known[:, None])
        slope = (pull @ self.z - pull.sum(axis=1)[:, None] * z) * self.inverse_lengths
        return np.asarray(np.log(new / known)), np.asarray(slope)
