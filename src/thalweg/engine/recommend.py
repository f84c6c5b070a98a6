"""The point to use, and how sure that is: an estimate from all answers of a study, whatever its strategy was.

Without noise it is the best trial. With noise the lowest value is a lucky one, so values are smoothed by a Gaussian
process with noise (see `numerics.gaussian_process`): neighbours and replicates say together what a point is worth. The
point with the lowest posterior mean + standard deviation is recommended, evaluated or between those that were; the
standard deviation keeps it away from where little is known. (W. Scott, P. Frazier, W. Powell, SIAM J. Optim. 21 (2011)
996-1026, doi:10.1137/100801275, recommend by the posterior mean.) On bbob functions with noise, 100 evaluations in five
columns, its true gap was a half to a third of that of the lowest observed value.
An evaluated point must be supported: by replicates of its own, or by neighbours that weigh as much; one lucky value in
an empty region is not enough where other points were evaluated several times.
What a smooth model does not follow it calls noise, and of a rugged function that is nearly everything: all points then
look alike. Replicates tell the two apart. Where they differ by less than the model's noise, the rest belongs to the
points themselves, and is kept for those that were evaluated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.batch import Floats, Ints, Status
from ..core.parameter import CONTINUOUS, ORDERED, UNORDERED
from ..core.problem import Problem
from ..core.space import Space
from ..numerics import gaussian_process as gp
from ..numerics.blas import one_thread
from ..numerics.projected_bfgs import projected_bfgs
from .history import History

MODELLED = 300
"""Evaluations that the model may have; of longer studies those nearest to where values are low."""
_POOL = 5000
_STARTS = 8
_FINE = 64  # levels from which an ordered column is moved like a continuous one, then snapped
_NEIGHBOURS = 10
_TWO_SIDED = 1.96  # of a normal distribution, 95 %
_DOUBT = 2.0
"""The posterior takes its own lengthscales and noise for true, and the point was chosen for looking good: on noisy bbob
functions its standard deviation had to be doubled: about nine in ten intervals then held the true value."""
_LEAP = 1.0  # the most by which a point between evaluated ones may be better, in units of the values' lower half
_WORTH = 0.25  # ... and the least, in standard deviations of what is believed of the best evaluated point
_QUIET = 1e-3  # noise below this share of the values' spread does not matter
_SURE = -1.2816  # of a normal distribution, 10 %: the noise that replicates show is hardly ever larger than is assumed
_RUGGED = 0.5  # of the model's noise: a smaller share that seems to belong to the points is chance
_FREE = 4  # replicates beyond the first of each point: fewer say too little about the noise


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The point to use.

    params: as the objective gets them.  value: what it is believed to be worth, in the user's own sign.
    interval: (low, high), 95 % for that value's mean over the noise; infinite where nothing can be said.
    evaluations: of this very point (0: it lies between evaluated ones).  number: its first trial, if it has one.
    reason: why this one, in words.
    """

    params: Any
    value: float
    interval: tuple[float, float]
    evaluations: int
    number: int | None
    reason: str

    def text(self) -> str:
        """In words."""
        low, high = self.interval
        return f"recommended: {self.params}, worth {self.value:.6g} (95 %: {low:.6g} to {high:.6g}): {self.reason}"


@dataclass(slots=True)
class _Points:
    """Distinct points: first trial's number, unit points (u, D), count, mean value and sum of squares around it (u,).

    rows: (n,) trials; of: (n,) which point each belongs to.
    """

    first: Ints
    units: Floats
    count: Ints
    mean: Floats
    squares: Floats
    rows: Ints
    of: Ints


def recommend_exact(problem: Problem, history: History, best: int) -> Recommendation:
    """Without noise: the best trial."""
    value = float(history.values[best, 0] * problem.signs[0])
    params = history.trial(best).params
    return Recommendation(params, value, (value, value), 1, best, "the lowest value: values carry no noise")


def recommend_noisy(
    problem: Problem, history: History, numbers: Ints, best: int, values: Floats | None = None, evaluated: bool = False
) -> Recommendation:
    """With noise: the point with the lowest posterior mean + standard deviation, see the head of this file.

    numbers: (n,) finished trials.  best: the study's best trial, used where there is too little to go by.
    values: (n,) minimised values that stand for the trials' own ones (aggregates of replicates), or None.
    evaluated: only points that were evaluated.
    """
    space = problem.space
    points = _points(space, history, numbers, values)
    if len(points.rows) < 2:  # one value says nothing about noise
        return _alone(problem, history, best)
    x, groups = features(space, points.units)
    y = (history.values[numbers, 0] if values is None else values)[points.rows]
    if not len(groups) or len(points.first) <= max(3, int(groups[-1]) // 2) or not 0 < np.ptp(y) < np.inf:
        return _by_means(problem, history, points)
    with one_thread():
        return _by_model(problem, history, points, _Model.made(x, groups, y, points), x, evaluated)


def _by_model(
    problem: Problem, history: History, points: _Points, model: _Model, x: Floats, evaluated: bool
) -> Recommendation:
    means, sds, cost = model.beliefs(x)
    weight = np.maximum(points.count, (model.noise / np.maximum(sds, 1e-300)) ** 2)
    most, enough = int(points.count.max()), np.isfinite(cost)
    if most > 1 and model.noise > _QUIET * float(np.ptp(points.mean)):
        enough &= weight >= min(most, 4) / 2
    if not enough.any():
        enough = np.isfinite(cost)
    row = int(np.flatnonzero(enough)[np.argmin(cost[enough])])
    if not evaluated and not history.constrained:
        order = np.flatnonzero(enough)[np.argsort(cost[enough], kind="stable")[:_STARTS]]
        found = model.lowest(problem.space, points.units[order], x[order])
        # much better than anything seen is what a model says beside a cliff; hardly better is not worth its assumption
        # that values change smoothly
        worth = _WORTH * float(sds[row]) / model.squeeze.unit
        if found is not None and cost[row] - _LEAP < found[1] < cost[row] - worth:
            return _between(problem, found[0], model, float(means[row]), int(points.first[row]))
    why = f"the lowest posterior mean + sd of a Gaussian process over {len(model.rows)} evaluations"
    if model.rugged:
        why += " (replicates differ less than neighbours do: values jump from point to point)"
    return _said(problem, history, points, row, float(means[row]), _DOUBT * float(sds[row]), why)


def _alone(problem: Problem, history: History, best: int) -> Recommendation:
    value = float(history.values[best, 0] * problem.signs[0])
    reason = "the only value there is; how far noise moves it is not known"
    return Recommendation(history.trial(best).params, value, (-math.inf, math.inf), 1, best, reason)


def _by_means(problem: Problem, history: History, points: _Points) -> Recommendation:
    """Too few points for a model: the lowest mean of those evaluated at least half as often as any."""
    free = float((points.count - 1).sum())
    noise = math.sqrt(float(points.squares.sum()) / free) if free else math.inf
    enough = np.flatnonzero(2 * points.count >= points.count.max())
    row = int(enough[np.argmin(points.mean[enough])])
    sd = noise / math.sqrt(points.count[row])
    why = "the lowest mean" if free else "the lowest value; too few points for a model of the noise"
    return _said(problem, history, points, row, float(points.mean[row]), sd, why)


def _said(
    problem: Problem, history: History, points: _Points, row: int, mean: float, sd: float, why: str
) -> Recommendation:
    sign, count = float(problem.signs[0]), int(points.count[row])
    number = int(points.first[row])
    seen = "once" if count == 1 else f"{count} times"
    lowest = int(np.argmin(points.mean))
    reason = f"{why}; the point was evaluated {seen}, with mean {sign * points.mean[row]:.6g}"
    if lowest != row:
        other = f"{sign * points.mean[lowest]:.6g} at trial {points.first[lowest]}"
        reason += f". The best observed mean, {other}, is less sure"
    params = history.trial(number).params
    return Recommendation(params, sign * mean, _interval(sign, mean, sd), count, number, reason)


def _between(problem: Problem, unit: Floats, model: _Model, mean: float, number: int) -> Recommendation:
    """A point that was not evaluated. mean, number: of the best evaluated one."""
    space, sign = problem.space, float(problem.signs[0])
    _, reals, active = space.resolve(unit[None])
    found, sd, _ = model.at(features(space, unit[None])[0])
    reason = (
        f"the lowest posterior mean + sd of a Gaussian process over {len(model.rows)} evaluations, at a point between "
        f"them that was not evaluated itself; of those that were, trial {number} is the best, believed to be worth "
        f"{sign * mean:.6g} (recommend(evaluated=True) gives it)"
    )
    params = space.to_params(reals, active)[0]
    return Recommendation(
        params, sign * float(found[0]), _interval(sign, float(found[0]), _DOUBT * float(sd[0])), 0, None, reason
    )


def _interval(sign: float, mean: float, sd: float) -> tuple[float, float]:
    low, high = sorted((sign * (mean - _TWO_SIDED * sd), sign * (mean + _TWO_SIDED * sd)))
    return float(low), float(high)


# --- what was seen ----------------------------------------------------------------------------------------------------


def _points(space: Space, history: History, numbers: Ints, values: Floats | None) -> _Points:
    """Distinct points whose every evaluation gave a value and violated nothing."""
    keys = space.keys(history.reals[numbers])
    index: dict[bytes, int] = {}
    of = np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.int64)
    bad = (history.statuses[numbers] != Status.DONE) | (history.violations[numbers] > 0)
    spoilt = np.bincount(of, bad, len(index)) > 0
    rows = np.flatnonzero(~spoilt[of])
    kept, of = np.unique(of[rows], return_inverse=True)
    y = (history.values[numbers, 0] if values is None else values)[rows]
    count = np.bincount(of, minlength=len(kept)).astype(np.int64)
    mean: Floats = np.bincount(of, y, len(kept)) / np.maximum(count, 1)
    squares = np.bincount(of, (y - mean[of]) ** 2, len(kept)).astype(np.float64)
    first = np.full(len(kept), np.iinfo(np.int64).max)
    np.minimum.at(first, of, numbers[rows])
    units = space.encode(history.reals[first]) if len(first) else np.empty((0, space.dimension))
    return _Points(first, units, count, mean, squares, rows, of)


@dataclass(slots=True)
class _Model:
    """A Gaussian process of values on a squeezed scale. rows: (k,) the evaluations in it; of: (k,) their points.

    noise: sd of one evaluation where values are low.  rugged: the variance of what belongs to each point alone, in
    units of the smooth part's.
    """

    posterior: gp.Posterior
    squeeze: _Squeeze
    rows: Ints
    of: Ints
    noise: float
    rugged: float

    @classmethod
    def made(cls, x: Floats, groups: Ints, y: Floats, points: _Points) -> _Model:
        """From distinct points' features (u, F) and the values (n,) of all evaluations."""
        rows = _near(x, y, points)
        squeeze = _Squeeze.of(y[rows])
        of = points.of[rows]
        seen, z = x[of], squeeze.to(y[rows])
        prior = gp.Prior.usual(int(groups[-1]) + 1, noisy=True)
        posterior = gp.Posterior.of(seen, z, groups, gp.fit(seen, z, groups, prior, [prior.mean]))
        rugged = posterior.nugget * own_share(z, of, posterior.scale * posterior.nugget)
        if rugged:
            posterior = posterior.with_own(rugged, of)
        noise = squeeze.unit * math.sqrt(posterior.scale * posterior.nugget)
        return cls(posterior, squeeze, rows, of, noise, rugged)

    def at(self, x: Floats, of: Ints | None = None) -> tuple[Floats, Floats, Floats]:
        """(means (m,), sds (m,), mean + sd on the squeezed scale (m,)) at features x (m, F).

        of: (m,) which evaluated points these are; None: none of them.
        """
        same = None if of is None or not self.rugged else self.rugged * (of[:, None] == self.of)
        mean, variance = self.posterior.predict(x, same, self.rugged)
        sd, back = np.sqrt(variance), self.squeeze.back
        return back(mean), 0.5 * (back(mean + sd) - back(mean - sd)), mean + sd

    def beliefs(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """`at` the distinct points (u,); NaN, inf and inf where the model does not reach."""
        shown = np.unique(self.of)
        means, sds, cost = np.full(len(x), np.nan), np.full(len(x), np.inf), np.full(len(x), np.inf)
        means[shown], sds[shown], cost[shown] = self.at(x[shown], shown)
        return means, sds, cost

    def lowest(self, space: Space, units: Floats, x: Floats) -> tuple[Floats, float] | None:
        """(unit point (D,), mean + sd) of the lowest place that slopes lead to from `units` (m, D), discrete columns
        kept; x: their features.  None: nothing is continuous, or nothing feasible was found.
        """
        columns, place = smooth(space)
        if not len(columns):
            return None
        low, high = np.full(len(columns), -0.5), np.full(len(columns), 0.5)

        def cost(moved: Floats, which: Ints) -> tuple[Floats, Floats]:
            full = x[which].copy()
            full[:, place] = moved
            mean, variance, slope, slope_variance = self.posterior.predict_with_gradients(full)
            sd = np.sqrt(variance + self.posterior.scale * self.rugged)
            return mean + sd, (slope + slope_variance / (2.0 * sd[:, None]))[:, place]

        moved, _ = projected_bfgs(cost, x[:, place], low, high, calls=40)
        units = units.copy()
        units[:, columns] = np.clip(moved + 0.5, 0.0, 1.0)
        units, reals, active = space.resolve(units)
        good = space.feasible(reals, active)
        if not good.any():
            return None
        costs = self.at(features(space, units[good])[0])[2]
        return units[good][int(np.argmin(costs))], float(costs.min())


def own_share(z: Floats, of: Ints, white: float) -> float:
    """The share of a model's white variance that is no noise, by the replicates among values z (k,) of points (k,).

    0 where there are too few or it is not clear. Noise counts as the most that it may be: a 90 % bound of its variance,
    by the cubic approximation of the chi-squared distribution (Wilson, Hilferty, PNAS 17 (1931) 684-688).
    """
    count = np.bincount(of)
    free = int(np.maximum(count - 1, 0).sum())
    if free < _FREE:
        return 0.0
    means = np.bincount(of, z) / np.maximum(count, 1)
    squares = float(((z - means[of]) ** 2).sum())
    low = free * max(1.0 - 2.0 / (9.0 * free) + _SURE * math.sqrt(2.0 / (9.0 * free)), 0.0) ** 3
    share = 1.0 - squares / (low * white) if low > 0 and white > 0 else 0.0
    return share if share > _RUGGED else 0.0


def _near(x: Floats, y: Floats, points: _Points) -> Ints:
    """(n,) evaluations to model: all, or the nearest to where neighbours together are low."""
    n = len(y)
    if n <= MODELLED:
        return np.arange(n)
    pool = np.arange(n)
    if n > _POOL:
        pool = np.union1d(np.argsort(y)[: _POOL // 10], np.arange(n - _POOL * 9 // 10, n))
    candidates = pool[np.argsort(y[pool], kind="stable")[: max(len(pool) // 10, _NEIGHBOURS)]]
    where, smoothed = x[points.of[pool]], np.empty(len(candidates))
    size = (where * where).sum(axis=1)
    for row, number in enumerate(candidates.tolist()):
        apart = size - 2 * where @ x[points.of[number]]
        smoothed[row] = y[pool][np.argpartition(apart, _NEIGHBOURS)[:_NEIGHBOURS]].mean()
    centre = x[points.of[candidates[int(np.argmin(smoothed))]]]
    apart = ((x[points.of] - centre) ** 2).sum(axis=1)
    return np.sort(np.argsort(apart, kind="stable")[:MODELLED])


@dataclass(frozen=True, slots=True)
class _Squeeze:
    """Values with their upper half on a logarithmic scale (a few huge ones must not decide the model), and back."""

    middle: float
    unit: float

    @classmethod
    def of(cls, y: Floats) -> _Squeeze:
        middle = float(np.median(y))
        unit = middle - float(y.min())
        return cls(middle, unit if unit > 0 else float(np.ptp(y)))

    def to(self, y: Floats) -> Floats:
        z = (y - self.middle) / self.unit
        return np.where(z > 0, np.log1p(np.maximum(z, 0.0)), z)

    def back(self, z: Floats) -> Floats:
        return self.middle + self.unit * np.where(z > 0, np.expm1(np.clip(z, 0.0, 700.0)), z)


def features(space: Space, points: Floats) -> tuple[Floats, Ints]:
    """(x (n, F), the lengthscale (F,) of each feature) of unit points (n, D): columns as they are, unordered choices as
    one column per option, at distance 1, with one lengthscale.
    """
    parts = [np.zeros((len(points), 0))]
    groups: list[int] = []
    for j in range(space.dimension):
        levels = space.levels[j]
        if levels <= 1:
            continue
        if space.kinds[j] == UNORDERED:
            option = np.minimum((points[:, j] * levels).astype(np.int64), int(levels) - 1)
            parts.append(np.sqrt(0.5) * (option[:, None] == np.arange(int(levels))))
        else:
            parts.append(points[:, j : j + 1] - 0.5)
        groups += [groups[-1] + 1 if groups else 0] * parts[-1].shape[1]
    return np.concatenate(parts, axis=1), np.array(groups, dtype=np.int64)


def smooth(space: Space) -> tuple[Ints, Ints]:
    """((s,) columns that slopes can move, (s,) their places among the features)."""
    columns, places, place = [], [], 0
    for j in range(space.dimension):
        levels, kind = space.levels[j], space.kinds[j]
        if levels <= 1:
            continue
        if kind == CONTINUOUS or (kind == ORDERED and levels > _FINE):
            columns.append(j)
            places.append(place)
        place += int(levels) if kind == UNORDERED else 1
    return np.array(columns, dtype=np.int64), np.array(places, dtype=np.int64)
