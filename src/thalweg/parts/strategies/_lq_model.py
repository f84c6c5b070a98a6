"""The surrogate of a surrogate-assisted CMA-ES: known points, and a quadratic model of those near the distribution.

N. Hansen: A global surrogate assisted CMA-ES, GECCO 2019, doi:10.1145/3321707.3321842.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.batch import INFEASIBLE, Floats
from ...numerics.quadratic_model import Model, ball_step, trust_step
from ...numerics.weighted_quadratic import WeightedQuadratic, kendall, rank_weights, terms
from ._cma import Normal

# tuned over 72 functions of bbob in 5 columns and 48 each in 2 and 10
_WINDOW = 1.5  # the nearest points that the model looks at, in shares of its terms
_BEST = 0.85  # of these, the share with the best values is fitted
_RIDGE = 3e-6
_REACH = 0.45  # how far the model's optimum may be, in lengths of a likely step
_HISTORY = 30  # points kept, in shares of the terms
_LEAST_HISTORY = 1500
_MOST_COLUMNS = 80  # beyond, a fit takes seconds and hundreds of MB: its time grows with the sixth power


@dataclass(slots=True, eq=False)
class Surrogate:
    """Known points and the model's place. Rows are in the order in which they came, the newest last.

    points: (n, d) of the columns that vary.  merits: (n,) as `Answers.merit()` gives them.
    model: of u = (x - origin) @ inverse, origin (d,), inverse (d, d).  fitted: whether there is one.
    """

    points: Floats
    merits: Floats
    model: WeightedQuadratic
    origin: Floats
    inverse: Floats
    fitted: bool = False

    @classmethod
    def empty(cls, d: int) -> Surrogate:
        """Nothing is known yet."""
        return cls(np.empty((0, d)), np.empty(0), WeightedQuadratic.flat(d), np.full(d, 0.5), np.eye(d))

    def __len__(self) -> int:
        return len(self.merits)

    # --- what is known --------------------------------------------------------------------------------------------

    def add(self, points: Floats, merits: Floats, newest: bool = True) -> None:
        """Remember points (k, d); with newest=False as if they had come before all others."""
        first, second = (self.points, points) if newest else (points, self.points)
        self.points = np.concatenate([first, second])
        first, second = (self.merits, merits) if newest else (merits, self.merits)
        self.merits = np.concatenate([first, second])
        most = max(_HISTORY * terms(self.points.shape[1]), _LEAST_HISTORY)
        if len(self) > 1.25 * most:
            self.points, self.merits = self.points[-most:].copy(), self.merits[-most:].copy()

    def turn_to(self, mean: Floats) -> None:
        """A new run begins at mean (d,): the points nearest to it count as the newest."""
        order = np.argsort(-((self.points - mean) ** 2).sum(axis=1), kind="stable")
        self.points, self.merits = self.points[order], self.merits[order]

    def best_apart(self, ends: Floats, distance: float) -> Floats | None:
        """(d,) the best known point farther than `distance`, in some column, from each of ends (k, d), if any is."""
        gaps = np.full(len(self), np.inf)
        for end in ends:
            np.minimum(gaps, np.abs(self.points - end).max(axis=1, initial=0.0), out=gaps)
        merits = np.where(gaps > distance, self.merits, np.inf)
        best = int(np.argmin(merits))
        return self.points[best].copy() if merits[best] < np.inf else None

    @property
    def violating(self) -> bool:
        """Whether values are known, but none of a point that satisfies the constraints."""
        return bool(len(self.merits)) and not bool((self.merits < INFEASIBLE).any())

    def heights(self, merits: Floats) -> Floats:
        """(k,) what is to be made small: values; as long as no point satisfies the constraints, violations (undoing
        `Answers.merit`); inf where there is neither.
        """
        if not self.violating:
            return np.where(merits < INFEASIBLE, merits, np.inf)
        with np.errstate(divide="ignore"):
            amounts = 1.0 / np.maximum(2.0 - merits / INFEASIBLE, 0.0) - 1.0
        return np.where(merits < np.inf, np.minimum(amounts, 1e100), np.inf)

    # --- the model ------------------------------------------------------------------------------------------------

    def fit(self, normal: Normal, inverse: Floats) -> None:
        """Fit the model in the coordinates of the distribution; inverse: (d, d) from steps to its coordinates. Where
        there are too many columns for that there is none."""
        d = self.points.shape[1]
        if d > _MOST_COLUMNS:
            return
        self.origin, self.inverse = normal.mean.copy(), inverse
        u = (self.points - self.origin) @ inverse
        heights = self.merits
        most = max(int(_WINDOW * terms(d)), normal.population)
        if len(u) > most:
            near = np.argpartition((u * u).sum(axis=1), most)[:most]
            u, heights = u[near], heights[near]
        heights = self._filled(heights)
        kept = min(len(u), max(d + 2, int(_BEST * (len(u) + 1))))
        best = np.argsort(heights, kind="stable")[:kept]
        self.model = WeightedQuadratic.fit(u[best], heights[best], rank_weights(heights[best]), _RIDGE)
        self.fitted = True

    def _filled(self, merits: Floats) -> Floats:
        """Heights (k,), where there is none as bad as the worst: the model turns away from what fails."""
        heights = self.heights(merits)
        known = np.isfinite(heights)
        if known.all():
            return heights
        return np.where(known, heights, heights[known].max() if known.any() else 0.0)

    def values(self, points: Floats) -> Floats:
        """(k,) the model at points (k, d)."""
        return self.model((points - self.origin) @ self.inverse)

    def agreement(self, count: int) -> float:
        """Kendall's tau between model and truth over the newest `count` points; 0 where there are fewer than 3, or no
        model."""
        merits = self.merits[-count:]
        if len(merits) < 3 or not self.fitted:
            return 0.0
        return kendall(self._filled(merits), self.values(self.points[-count:]))

    def optimum(self, normal: Normal) -> Floats:
        """(d,) the model's least point in the cube among likely steps of the distribution."""
        d = len(normal.mean)
        reach = _REACH * (math.sqrt(d) + 2 * d / (d + 2))
        turn = normal.root * normal.width
        shift = (normal.mean - self.origin) @ self.inverse
        model = self.model.seen_from(shift, turn @ self.inverse)
        point = normal.mean + ball_step(model.gradient, model.hessian, reach) @ turn
        if (point < 0.0).any() or (point > 1.0).any():
            # the box has faces in x: steps there, in units of each column's deviation
            size = normal.width * np.sqrt(normal.C.diagonal())
            mean = np.clip(normal.mean, 0.0, 1.0)
            model = self.model.seen_from((mean - self.origin) @ self.inverse, size[:, None] * self.inverse)
            step = trust_step(Model(model.gradient, model.hessian), -mean / size, (1.0 - mean) / size, reach)
            point = mean + step * size
        return np.clip(point, 0.0, 1.0)


def inverse_of(normal: Normal, root: Floats) -> Floats:
    """(d, d) from steps x - m to the distribution's coordinates; root: (d, d) the inverse of its root."""
    width = normal.width
    return root / (width[:, None] if isinstance(width, np.ndarray) else width)


def newest(told: int, population: int) -> int:
    """How many points the model is judged by, with `told` of `population` candidates evaluated (Hansen 2019)."""
    return int(max(15.0, min(1.2 * told, 0.75 * population)))
