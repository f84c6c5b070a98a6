"""The models behind Bayesian proposals for several objectives: one Gaussian process each, and what the front gains.

Values are seen in shares of the front's range (ideal point 0, nadir point 1). What lies above the reference point is
squeezed by a logarithm: it adds no volume, and a few huge values must not decide the model where the front is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...core.batch import Floats
from ...numerics.acquisition import log_chance
from ...numerics.dominance import front
from ...numerics.gaussian_process import Posterior
from ...numerics.hypervolume_improvement import (
    Boxes,
    log_expected_improvement,
    log_expected_improvement_with_gradients,
    thinned,
)
from ._front_fits import Model
from ._front_plateaus import Plateaus

MARGIN = 0.1  # of the front's range, from the nadir to the reference point
_KNEE = 1.0  # the range's share in which values above the reference grow by a factor e, or nearly
_SMALLEST = 1.0  # of the way from the ideal point to the middle of the first values: the front's least range, at first
_MOST = {1: 1, 2: 128, 3: 150, 4: 40}
"""Members of the front, per number of objectives, that the boxes are made of."""
_FEW = 14  # for more objectives
TIES, _TIED = 3, 1e-9  # so many zeros, to so much of the front's range, are a bound, not chance


@dataclass(eq=False)
class Scale:
    """From values to what the models see. low, width: (m,) the ideal point, and the nadir point less that."""

    low: Floats
    width: Floats

    @classmethod
    def of(cls, values: Floats, best: Floats, first: int) -> Scale:
        """From all values (n, m) and those of the front (f, m); first: how many values are no fruit of a search."""
        low = best.min(axis=0)
        middle = np.quantile(values[:first], 0.5, axis=0) - low
        # what is known of the front may be one end of it; if that were its range, it would only grow step by step, and
        # a front of one point, a plateau's, would be all there is
        trust = max(first / len(values), 2.0 / (1 + len(np.unique(best, axis=0))))
        width = np.maximum(np.ptp(best, axis=0), _SMALLEST * min(trust, 1.0) * middle)
        size = np.maximum(np.abs(low), 1e-300)
        return cls(low, np.where(width > 1e-12 * size, width, np.where(middle > 0, middle, size)))

    def shares(self, values: Floats) -> Floats:
        """(n, m) scaled and squeezed values."""
        with np.errstate(over="ignore"):
            share = np.minimum((values - self.low) / self.width, 1e150)
        over = np.maximum(share - (1.0 + MARGIN), 0.0)
        return np.asarray(np.where(over > 0, 1.0 + MARGIN + _KNEE * np.log1p(over / _KNEE), share))


@dataclass(eq=False)
class FrontModel:
    """Posteriors of the objectives and of risk, and the boxes that are free; either may be missing (None).

    kept: (f, m) the front that the boxes were made of; reference: (m,) where they end; floor: (m,) below which there is
    nothing, -inf where that is not known; squeezed shares.  own: (m,) variances of what belongs to each point alone:
    exact values that are rougher than any model are drawn anew at every new point, and some of the draws are gains.
    plateaus: outcomes that are known, and known to repeat themselves.
    """

    values: list[Model]
    risk: Posterior | None
    kept: Floats
    reference: Floats
    floor: Floats | None = None
    own: Floats | float = 0.0
    plateaus: Plateaus | None = None
    boxes: Boxes | None = field(default=None)

    def __post_init__(self) -> None:
        if self.boxes is None and self.values:
            self.boxes = boxes_of(self.kept, self.reference, self.floor)

    def utility(self, x: Floats) -> Floats:
        """(q,) log EHVI at features x (q, F), plus the log chance that they are fine."""
        total = np.zeros(len(x))
        if self.boxes is not None:
            found = [model.predict(x) for model in self.values]
            mean, variance = (np.stack([item[k] for item in found], axis=1) for k in (0, 1))
            variance = variance + self.own
            total = log_expected_improvement(mean, np.sqrt(variance), self.boxes)
            if self.plateaus is not None:
                total = total + self.plateaus.log_chance(mean, variance)[0]
        if self.risk is not None:
            risk, doubt = self.risk.predict(x)
            total = total + log_chance(-risk / np.sqrt(doubt))[0]
        return total

    def utility_with_gradients(self, x: Floats) -> tuple[Floats, Floats]:
        """(utility (q,), its gradient (q, F)) at features x (q, F)."""
        total, slope = np.zeros(len(x)), np.zeros_like(x)
        if self.boxes is not None:
            found = [model.predict_with_gradients(x) for model in self.values]
            mean, variance = (np.stack([item[k] for item in found], axis=1) for k in (0, 1))
            variance = variance + self.own
            sd = np.sqrt(variance)
            total, to_mean, to_sd = log_expected_improvement_with_gradients(mean, sd, self.boxes)
            to_variance = 0.5 * to_sd / sd
            if self.plateaus is not None:
                chance, by_mean, by_variance = self.plateaus.log_chance(mean, variance)
                total, to_mean, to_variance = total + chance, to_mean + by_mean, to_variance + by_variance
            for j, (_, _, d_mean, d_variance) in enumerate(found):
                slope += to_mean[:, j, None] * d_mean + to_variance[:, j, None] * d_variance
        if self.risk is not None:
            risk, doubt, d_mean, d_variance = self.risk.predict_with_gradients(x)
            width = np.sqrt(doubt)
            chance, to_ratio = log_chance(-risk / width)
            total = total + chance
            slope = slope - to_ratio[:, None] * (
                d_mean / width[:, None] - (0.5 * risk / width**3)[:, None] * d_variance
            )
        return total, slope

    def believe(self, x: Floats) -> FrontModel:
        """As if every model's own mean had been observed at features x (k, F), and so joined the front."""
        if not self.values or not len(x):
            return self
        means = np.stack([model.predict(x)[0] for model in self.values], axis=1)
        kept = np.concatenate([self.kept, means if self.floor is None else np.maximum(means, self.floor)])
        kept = kept[front(kept)]
        return replace(self, values=self._with(x, means), kept=kept, boxes=None)

    def shun(self, x: Floats) -> FrontModel:
        """As if middling values had been observed at features x (k, F), where evaluations failed."""
        if not self.values or not len(x):
            return self
        high = np.array([float(np.quantile(model.y, 0.75)) for model in self.values])
        means = np.maximum(np.stack([model.predict(x)[0] for model in self.values], axis=1), high)
        return replace(self, values=self._with(x, means))

    def _with(self, x: Floats, means: Floats) -> list[Model]:
        models = list(self.values)
        for row, mean in zip(x, means, strict=True):
            models = [model.append(row, float(value)) for model, value in zip(models, mean, strict=True)]
        return models


def floor_of(shares: Floats, scale: Scale, ties: int = TIES) -> Floats:
    """(m,) 0 for objectives whose least value is 0 itself, met by `ties` or more of the shares (n, m); -inf for others.

    Violations, errors and counts end so. A model does not know, and expects the most below the bound where it knows
    least. Other values that are met often may be plateaus.
    """
    tied = (np.abs(shares) <= _TIED).sum(axis=0) >= ties
    ends = (np.abs(scale.low) <= _TIED * scale.width) & (shares.min(axis=0) >= -_TIED)
    return np.where(tied & ends, 0.0, -np.inf)


def boxes_of(kept: Floats, reference: Floats, floor: Floats | None = None) -> Boxes:
    """The boxes of a front of squeezed shares (f, m), thinned to what can be had in a few milliseconds."""
    m = kept.shape[1]
    inside = kept[(kept < reference).all(axis=1)]
    return Boxes.of(inside[thinned(inside, _MOST.get(m, _FEW))], reference, floor)
