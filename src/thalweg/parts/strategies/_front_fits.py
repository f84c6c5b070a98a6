"""What is kept of the models of several objectives from proposal to proposal: their hyperparameters, and which of the
objectives are rough along their columns (see `thalweg.numerics.rough_process`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.batch import Floats, Ints
from ...numerics.gaussian_process import Posterior, Prior, negative_log_likelihood
from ...numerics.hypervolume_improvement import thinned
from ...numerics.rough_process import RoughPosterior, RoughPrior, fit_rough
from ._surrogate import CAP, Fitted
from ._views import View

_ROUGH_CAP = 400  # training points where anything is rough: bumps are many
_EACH = 10  # points for each column before roughness is looked for
_AGAIN, _AGAIN_SMOOTH = 1.3, 1.6  # growth of the history after which it is looked for again
_LOOK = 200  # points that are looked at
_GROWN = 1.06  # growth after which the parameters of a rough objective are fitted anew
# In the logarithm of the posterior density: what roughness must bring. Squeezing rough values less, where that is more
# likely yet, was dropped: dtlz1 of the benchmarks stayed at g = 6.6, not 3.0, after 600 evaluations.
_CONVINCING = 10.0
_STARTS = (0.18, 0.05)  # lengths of bumps that the search starts from
_WEIGHT = 0.05  # and weights

Model = Posterior | RoughPosterior


@dataclass(eq=False)
class Models:
    """Log hyperparameters of m objectives, plain data.

    theta: (m, G + 1) of the smooth models; counts: (m,) points they were fitted to (0: never).
    rough: (m, G + 1 + p + 1) of the rough ones, NaN where an objective is smooth; rough_counts: (m,) likewise.
    tried: (m,) points known when roughness was last looked for.  columns: p, features that may be rough.
    """

    theta: Floats
    counts: Ints
    rough: Floats
    rough_counts: Ints
    tried: Ints
    columns: int

    @classmethod
    def fresh(cls, view: View, objectives: int) -> Models:
        """Nothing is fitted."""
        columns = len(view.plain) if view.is_smooth else 0  # columns that are no numbers have no bumps
        none = np.zeros(objectives, dtype=np.int64)
        rough = np.full((objectives, view.count + 1 + columns + 1), np.nan)
        return cls(np.zeros((objectives, view.count + 1)), none, rough, none.copy(), none.copy(), columns)

    @property
    def is_rough(self) -> bool:
        """Whether any objective is."""
        return bool(np.isfinite(self.rough[:, 0]).any())

    def rows(self, shares: Floats, members: Ints, rng: np.random.Generator) -> Ints:
        """Rows of shares (n, m) that the models are made of; members: those of the front."""
        return informative_rows(shares, members, rng, _ROUGH_CAP if self.is_rough else CAP)

    def update(self, x: Floats, shares: Floats, groups: Ints, total: int, rng: np.random.Generator) -> list[Model]:
        """A posterior for every objective: shares (n, m) at features x (n, F); total: points known.

        How much of the values is noise is learnt, of exact ones too: what is too rough for a model should not bend it.
        Of points that are equal in all objectives one is learnt from: a plateau's many would say that nothing is rough,
        and that little varies.
        """
        models: list[Model] = []
        alone = np.sort(np.unique(shares, axis=0, return_index=True)[1])
        alike = len(alone) < len(x)
        own = alone if alike else slice(None)
        look = np.arange(len(x)) if len(x) <= _LOOK else np.sort(rng.choice(len(x), _LOOK, replace=False))
        for j in range(len(self.theta)):
            y = np.ascontiguousarray(shares[:, j])
            fitted = Fitted(self.theta[j], int(self.counts[j]))
            smooth = fitted.update(x[own], y[own], groups, total, True)
            if alike:
                smooth = replace(Posterior.of(x, y, groups, fitted.theta), scale=smooth.scale)
            self.theta[j], self.counts[j] = fitted.theta, fitted.count
            found = np.isfinite(self.rough[j, 0])
            if self.columns and total >= max(
                self.tried[j] * (_AGAIN if found else _AGAIN_SMOOTH), _EACH * self.columns
            ):
                self._look(j, x[look], y[look], groups)
                self.tried[j], self.rough_counts[j] = total, 0
            if np.isfinite(self.rough[j, 0]):
                if total >= self.rough_counts[j] * _GROWN:
                    prior = RoughPrior().joined(Prior.usual(len(fitted.theta) - 1, True), self.columns)
                    self.rough[j] = fit_rough(x, y, groups, prior, [self.rough[j]], self.columns, iterations=8)[0]
                    self.rough_counts[j] = total
                models.append(RoughPosterior.of(x, y, groups, self.rough[j], self.columns))
            else:
                models.append(smooth)
        return models

    def _look(self, j: int, x: Floats, y: Floats, groups: Ints) -> None:
        """Whether objective j with values y (n,) at features x (n, F) is rough."""
        plain = self.theta[j]
        usual = Prior.usual(len(plain) - 1, True)
        prior = RoughPrior().joined(usual, self.columns)
        known = -negative_log_likelihood(plain, x, y, groups)[0] - usual.penalty(plain)[0]
        starts = [np.concatenate([plain, np.full(self.columns, np.log(_WEIGHT)), [np.log(s)]]) for s in _STARTS]
        starts += [self.rough[j]] if np.isfinite(self.rough[j, 0]) else []
        theta, found = fit_rough(x, y, groups, prior, starts, self.columns, iterations=20)
        self.rough[j] = theta if found > known + _CONVINCING else np.nan


def informative_rows(shares: Floats, members: Ints, rng: np.random.Generator, cap: int = CAP) -> Ints:
    """Rows, at most `cap`, that the models are made of: the front, what comes next to it, and a third of the rest.

    shares: (n, m).  members: rows of the front.
    """
    n = len(shares)
    if n <= cap:
        return np.arange(n)
    members = members[thinned(shares[members], cap // 2)]
    # by how much all objectives must improve to be on the front: the additive epsilon indicator
    lacks = (shares[:, None, :] - shares[members][None]).max(axis=2).min(axis=1)
    lacks[members] = -np.inf
    near = np.argpartition(lacks, 2 * cap // 3)[: 2 * cap // 3]
    others = np.setdiff1d(np.arange(n), near)
    return np.sort(np.concatenate([near, rng.choice(others, cap - len(near), replace=False)]))
