"""The local half of Bayesian search: a box around the best point, a quadratic-plus-Matern model, its lowest bound.

The box grows where steps end at its edge and succeed, and shrinks where they fail although the model had enough points
near by, or succeed with a fraction of the box. The steps follow mean - 0.3 sd, and mean - sd after a failure.

Areas under the curve of targets reached, bbob with five columns, 20 evaluations per column, two instances: a model
that also knows diagonal and round Hessians, and a first design of one step per column, .1285 -> .150; growing by two
instead of 1.6, up to the whole box, and a second start of the fit, -> .154. Tried without gain: two to four local
failures before a global turn, the model in the frame of its own Hessian's axes, warm starts rescaled with the box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...core.batch import Floats, Ints
from ...numerics.local_likelihood import EXTRA
from ...numerics.local_quadratic import fit_local
from ...numerics.projected_bfgs import projected_bfgs

_FIRST, _LARGEST, _SMALLEST = 0.2, 1.0, 1e-7
_GROW = 2.0
_REACH = 6.0  # points within so many half-widths of the box may be in the model
_BOLD, _WARY = 0.3, 1.0  # weights of the standard deviation
_MANY = 12  # columns above which one lengthscale is fitted for all of them, or a step costs tens of milliseconds
_AGREED = 2  # fits with one search after two searches have agreed
_CONTEST = 5  # calls after which starts that are behind are given up
_MOST = 150  # points in the model, for the same reason


Chance = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(eq=False)
class TrustRegion:
    """radius: the box's half-width.  turn: whether the next step is local.  successes: so far.  theta: a warm start.

    agreed: fits for which one search is enough, as two ended in the same place.
    """

    radius: float = _FIRST
    turn: bool = True
    lucky: bool = False
    wary: bool = False
    successes: int = 0
    theta: Floats = field(default_factory=lambda: np.empty(0))
    count: int = 0
    agreed: int = 0

    def step(
        self,
        points: Floats,
        values: Floats,
        centre: Floats,
        pending: Floats,
        rng: np.random.Generator,
        *,
        chance: Chance | None = None,
    ) -> Floats | None:
        """(d,) where the model promises most; None where there is too little to build one on.

        points, values: (n, d), (n,) all that is known.  centre: (d,) the best point.  pending: (p, d) not yet told.
        chance: the log chance that points are fine, with its gradient, where that is in doubt.
        """
        d = len(centre)
        wanted = min(int(1.2 * (d + 1) * (d + 2) / 2) + d + 4, _MOST)
        apart = points - centre
        squared = np.einsum("ij,ij->i", apart, apart)
        order = np.argpartition(squared, wanted)[:wanted] if len(points) > wanted else np.arange(len(points))
        order = order[np.argsort(squared[order], kind="stable")]
        inside = np.abs(apart[order]).max(axis=1) <= _REACH * self.radius
        near = order[inside | (np.arange(len(order)) < d + 2)]
        if len(near) < 3 or not values[near].min() < values[near].max():
            return None
        u, y = (points[near] - centre) / self.radius, values[near]
        lengths = d if d <= _MANY else 1
        # like the global model: between fits the last hyperparameters serve
        refit = len(points) >= self.count * 1.02 or len(self.theta) != lengths + EXTRA
        again = self.agreed <= 0
        model = fit_local(u, y, self.theta if len(self.theta) else None, lengths, 15 if refit else 0, again)
        if refit:
            self.theta, self.count = model.theta, len(points)
            self.agreed = (_AGREED if model.agreed else 0) if again else self.agreed - 1
        model = model.believing((pending - centre) / self.radius)
        weight = _WARY if self.wary or len(pending) else _BOLD
        low = np.maximum(-1.0, -centre / self.radius)
        high = np.minimum(1.0, (1.0 - centre) / self.radius)
        starts = np.concatenate([np.zeros((1, d)), rng.uniform(low, high, (5, d))])
        ends, bounds = projected_bfgs(
            lambda x, _: model.lower_bound(x, weight), starts, low, high, calls=25, contest=_CONTEST
        )
        if chance is not None:
            # the whole promised gain is what a chance of 1/e costs
            gain = float(model.lower_bound(np.zeros((1, d)), 0.0)[0][0] - bounds.min())

            def careful(x: Floats, _: Ints) -> tuple[Floats, Floats]:
                bound, slope = model.lower_bound(x, weight)
                log_chance, more = chance(centre + self.radius * x)
                return bound - gain * log_chance, slope - gain * self.radius * more

            ends, bounds = projected_bfgs(careful, starts, low, high, calls=25, contest=_CONTEST)
        best: Floats = centre + self.radius * ends[int(np.argmin(bounds))]
        return best.clip(0.0, 1.0)

    def hear(self, improved: bool, length: float, crowd: int, dimension: int) -> None:
        """What became of a local step of `length` (in half-widths); crowd: known points within two half-widths."""
        self.lucky, self.wary = improved, not improved
        if improved:
            self.successes += 1
            self.turn = self.successes % 4 != 0  # every fourth success the rest of the box gets its turn
            if length > 0.9:
                self.radius = min(_GROW * self.radius, _LARGEST)
            elif length < 0.1:
                self.radius *= 0.6
        else:
            self.turn = False
            if crowd >= dimension + 1:
                self.radius *= 0.5
        if self.radius < _SMALLEST:
            self.radius, self.theta = _FIRST, np.empty(0)

    def moved(self, distance: float) -> None:
        """The best point was found elsewhere, `distance` (of the box) away."""
        self.radius = min(max(self.radius, distance), max(self.radius, _FIRST))
