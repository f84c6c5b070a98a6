"""Where an acquisition is highest: many candidates, then slopes in smooth columns, whole neighbourhoods in others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats, Ints
from ...core.space import Space
from ...numerics.projected_bfgs import projected_bfgs
from ._seen import Seen
from ._surrogate import Surrogate
from ._views import View

NET = 256
_AROUND, _MUTATED = 60, 192
_STARTS = 5  # of the global and of the local candidates each
_MIXED_STARTS = 4
_CONTEST = 5  # calls of a model after which starts that are behind are given up, where one point is wanted
_ROUNDS = 3  # of slopes and neighbourhoods in mixed spaces
_ROUGH_CALLS, _ROUGH = 5, 1e-2  # of a model in one round, and the gain (in the utility) that is worth another one
_POLISHED = 2
_SCALES = np.array([0.2, 0.06, 0.01, 0.003])
SWEEPS = 2
_GRID = 48  # values that a sweep tries in each column
_APART = 0.03  # of the box: rows of one step of a batch differ by more in some column


@dataclass(eq=False)
class Search:
    """One space's search. net: (NET, D) points that cover the cube; each search shifts them at random."""

    space: Space
    view: View
    net: Floats

    def best(
        self, surrogate: Surrogate, good: Floats, met: Seen, rng: np.random.Generator, count: int, sweeps: int = 0
    ) -> Floats:
        """(k <= count, D) new points of high utility, the best first.  good: (g, D) the best known points.

        sweeps: how often every column is searched by itself, for utilities with many optima along each (smooth views).
        """
        far = self.snapped((self.net + rng.random(self.space.dimension)) % 1.0, rng)
        near = self.snapped(self._around(good, rng), rng)
        of_far, of_near = self._utility(surrogate, far, met), self._utility(surrogate, near, met)
        if self.view.is_smooth:
            starts = np.concatenate([far[_top(of_far, _STARTS)], near[_top(of_near, _STARTS)]])
            if sweeps:
                swept = self._swept(surrogate, starts[[0, min(_STARTS, len(starts) - 1)]], rng, sweeps)
                starts = np.concatenate([starts, swept])
            ends = self._climb(surrogate, starts, calls=25, contest=_CONTEST if count == 1 else None)
        else:
            both, of_both = np.concatenate([far, near]), np.concatenate([of_far, of_near])
            ends = self._alternate(surrogate, both[_top(of_both, _MIXED_STARTS)], met, rng)
        ends = self.snapped(ends, rng)
        points = np.concatenate([ends, near, far])
        return apart(points, np.concatenate([self._utility(surrogate, ends, met), of_near, of_far]), count)

    def snapped(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Points (n, D) made feasible and snapped."""
        return self.space.snap(self.space.repair(points, rng)) if len(points) else points

    def _around(self, good: Floats, rng: np.random.Generator) -> Floats:
        if not len(good):
            return good
        if not self.view.is_smooth:
            return self.view.mutated(good, _MUTATED, rng)
        place = np.arange(_AROUND)
        points, columns = good[place // len(_SCALES) % len(good)], self.view.plain
        points[:, columns] += _SCALES[place % len(_SCALES), None] * rng.normal(size=(_AROUND, len(columns)))
        return np.clip(points, 0.0, 1.0)

    def _utility(self, surrogate: Surrogate, points: Floats, met: Seen) -> Floats:
        """(n,) the utility; -inf where a point is known already."""
        if not len(points):
            return np.empty(0)
        utility = surrogate.utility(self.view.features(points))
        return np.where(met.contains(points), -np.inf, utility) if met.on else utility

    def _swept(self, surrogate: Surrogate, starts: Floats, rng: np.random.Generator, sweeps: int) -> Floats:
        """Points (m, D), each column in turn moved to its best value of a fine grid, the others as they are."""
        points = starts.copy()
        value = surrogate.utility(self.view.features(points))
        at = np.arange(len(points))
        for _ in range(sweeps):
            for column in rng.permutation(self.view.plain):
                grid = (np.arange(_GRID) + rng.random(_GRID)) / _GRID
                tried = np.repeat(points[:, None], _GRID, axis=1)
                tried[:, :, column] = grid
                features = self.view.features(tried.reshape(-1, points.shape[1]))
                found = surrogate.utility(features).reshape(len(points), _GRID)
                best = found.argmax(axis=1)
                better = found[at, best] > value
                points[better, column] = grid[best[better]]
                value[better] = found[at, best][better]
        return points

    def _climb(
        self, surrogate: Surrogate, starts: Floats, calls: int, tolerance: float = 1e-5, contest: int | None = None
    ) -> Floats:
        """Points (m, D) moved along the slopes of their smooth columns, the others as they are."""
        smooth = self.view.smooth
        if not len(smooth) or not len(starts):
            return starts
        given = self.view.features(starts)

        def function(x: Floats, rows: Ints) -> tuple[Floats, Floats]:
            features = given[rows]
            features[:, smooth] = x
            value, slope = surrogate.utility_with_gradients(features)
            return -value, -slope[:, smooth]

        edge = np.full(len(smooth), 0.5)
        ends = starts.copy()
        moved = projected_bfgs(
            function, given[:, smooth], -edge, edge, calls=calls, tolerance=tolerance, contest=contest
        )[0]
        ends[:, self.view.plain[smooth]] = moved + 0.5
        return ends

    def _alternate(self, surrogate: Surrogate, starts: Floats, met: Seen, rng: np.random.Generator) -> Floats:
        """Slopes, then the best neighbour in the discrete columns, in turn while that gains anything.

        What the turns find is rough; the best of it follows its slopes to the end.
        """
        points = starts
        value = self._utility(surrogate, points, met)
        live = np.arange(len(points))
        for _ in range(_ROUNDS):
            if not len(live):
                break
            moved = self.snapped(self._climb(surrogate, points[live], _ROUGH_CALLS, _ROUGH), rng)
            around, owner = self.view.neighbours(moved, rng)
            around = np.concatenate([moved, self.snapped(around, rng)])
            owner = np.concatenate([np.arange(len(moved)), owner])
            found = self._utility(surrogate, around, met)
            order = np.lexsort((-found, owner))
            winners = order[np.searchsorted(owner[order], np.arange(len(moved)))]
            gained = found[winners] > value[live] + 1e-6
            points = points.copy()
            points[live[gained]], value[live[gained]] = around[winners[gained]], found[winners[gained]]
            live = live[gained]
        best = _top(value, _POLISHED)
        return np.concatenate([self._climb(surrogate, points[best], calls=15), points])


def _top(utility: Floats, count: int) -> Ints:
    """Places of the `count` largest entries, the largest first."""
    if len(utility) > count:
        largest = np.sort(np.argpartition(-utility, count)[:count])
    else:
        largest = np.arange(len(utility))
    return largest[np.argsort(-utility[largest], kind="stable")]


def apart(points: Floats, utility: Floats, count: int) -> Floats:
    """(k <= count, D) rows of high utility, the highest first, no two of them close to each other."""
    possible = np.flatnonzero(utility > -np.inf)
    order = possible[np.argsort(-utility[possible], kind="stable")]
    chosen = points[order[:1]]
    for row in points[order[1:]] if count > 1 else ():
        if len(chosen) == count:
            break
        if (np.abs(chosen - row).max(axis=1) > _APART).all():
            chosen = np.concatenate([chosen, row[None]])
    return chosen
