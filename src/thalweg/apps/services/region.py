"""What a live tuner tries next: points in a trust region round the settings in use, judged by a small model.

The model is a Gaussian process (Matern 5/2, fixed lengthscale) of log metric against the settings in use; what was seen
before the service changed counts as much noisier, and the more so the longer ago (weights as in Rasmussen & Williams
2006, section 2.7, heteroscedastic). The region's radius grows with successes and shrinks with failures, as in trust
region methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.batch import Floats, Mask
from ...core.space import Space
from ...numerics.acquisition import log_h
from ...numerics.gaussian_process import Posterior

LENGTHSCALE, NOISE = 0.35, 0.02
AGED = 30.0
"""How much noisier a change of the service makes what was seen before it."""
KEPT = 120
SCALE = 0.15
"""The least standard deviation of the model's prior, of log metrics: two measurements that agree do not settle it."""
SMALLEST, USUAL, LARGEST = 0.05, 0.15, 0.25
_RANDOM = 48


@dataclass(frozen=True, slots=True)
class Seen:
    """A point (D,) that was measured: log metric and log p99 less those of the first settings; in which era."""

    point: Floats
    value: float
    tail: float
    era: int


class Region:
    """The trust region and its memory. reach: (D,) the farthest each coordinate should go at once.
    allowed: (centre (D,), points (k, D)) -> (k,) bool, which of them may be tried from there."""

    def __init__(self, space: Space, reach: Floats, allowed: Callable[[Floats, Floats], Mask], seed: int) -> None:
        self._space, self._reach, self._allowed = space, reach, allowed
        self._levels = np.asarray(space.levels)
        self._unordered = np.asarray(space.kinds) == 2
        self._rng = np.random.default_rng(seed)
        self._seen: list[Seen] = []
        self._refused: dict[bytes, int] = {}
        self.radius, self.era = USUAL, 0

    def widen(self) -> None:
        """After a success."""
        self.radius = min(LARGEST, 1.5 * self.radius)

    def drifted(self, far: bool) -> None:
        """After a change of the service, which makes all that is known old; after one that went `far`, worthless."""
        self.radius = LARGEST if far else max(USUAL, self.radius)
        self.forget(far)
        self._refused.clear()

    def shrink(self) -> None:
        """After a failure."""
        self.radius = max(SMALLEST, 0.7 * self.radius)

    def refuse(self, point: Floats, rounds: int) -> None:
        """Do not propose `point` for the next `rounds` proposals."""
        self._refused[self._key(point)] = rounds

    def learn(self, point: Floats, value: float, tail: float) -> None:
        """A measurement at `point` (D,)."""
        self._seen = [*self._seen[1 - KEPT :], Seen(np.array(point), value, tail, self.era)]

    def forget(self, wholly: bool = False) -> None:
        """What is known becomes old, or nothing is known any more."""
        self.era += 1
        if wholly:
            self._seen = []

    def rebase(self, trouble: float, value: float, tail: float) -> None:
        """After the way out of an overload, in which the log metric was `trouble`: what did not lead out of it is kept,
        as bad as `value` and `tail` at most; how good the rest is was hidden by the queue."""
        failed = [item for item in self._seen if item.era == self.era and item.value > trouble - 0.1]
        self._seen = [replace(item, value=min(item.value, value), tail=min(item.tail, tail)) for item in failed]

    def propose(
        self, centre: Floats, turnable: Sequence[int], tail_limit: float, caution: float = -1.0
    ) -> Floats | None:
        """A point near `centre` (D,) that moves some of the coordinates `turnable`; None: nothing is worth a try.

        tail_limit: log p99 above which a point is not safe, as values are.  caution: standard errors that are added to
        what the model thinks of it.
        """
        self._refused = {key: left - 1 for key, left in self._refused.items() if left > 1}
        points = self._candidates(centre, turnable)
        if not len(points):
            return None
        values, errors, tails, tail_errors = self._predict(points)
        bound = tails + caution * tail_errors
        safe = bound <= tail_limit
        if not safe.any():  # what comes nearest, of what may be safe at all
            safe = (bound <= np.quantile(bound, 0.1)) & (tails - tail_errors <= tail_limit)
        if not safe.any():
            return None
        points, values, errors = points[safe], values[safe], errors[safe]
        best = float(self._predict(centre[None])[0][0])
        merit = np.log(errors) + log_h((best - values) / errors)[0]  # of expected improvement
        # equal merits (nothing is known yet) are settled by chance
        return np.asarray(points[np.argmax(merit + 1e-6 * self._rng.random(len(merit)))])

    def _candidates(self, centre: Floats, turnable: Sequence[int]) -> Floats:
        """(k, D) snapped points within radius and reach, distinct, not refused; one coordinate at a time, and mixed."""
        dimension = len(centre)
        moves = [sign * part * np.eye(dimension)[j] for j in turnable for sign in (-1.0, 1.0) for part in (1.0, 0.5)]
        mixed = np.zeros((_RANDOM if len(turnable) > 1 else 0, dimension))
        mixed[:, turnable] = self._rng.uniform(-1.0, 1.0, (len(mixed), len(turnable)))
        one = 1.0 / self._levels  # an ordered knob can always go one value further (inf levels: 0)
        widths = np.maximum(np.minimum(self._reach, self.radius), np.where(np.isfinite(self._levels), one, 0.0))
        points = np.clip(centre + np.concatenate([np.reshape(moves, (-1, dimension)), mixed]) * widths, 0.0, 1.0)
        points = np.concatenate([points, self._switched(centre, turnable)])
        points = self._space.snap(points)
        points = points[self._allowed(centre, points)]
        fresh = {self._key(point): point for point in points}
        fresh.pop(self._key(centre), None)
        return np.array([point for key, point in fresh.items() if key not in self._refused]).reshape(-1, dimension)

    def _switched(self, centre: Floats, turnable: Sequence[int]) -> Floats:
        """Every other option of every choice, alone."""
        rows = []
        for j in turnable:
            if self._unordered[j]:
                for cell in range(int(self._levels[j])):
                    row = centre.copy()
                    row[j] = (cell + 0.5) / self._levels[j]
                    rows.append(row)
        return np.array(rows).reshape(-1, len(centre))

    def _predict(self, points: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """(value, its standard deviation, log p99, its standard deviation) at points (k, D)."""
        if len(self._seen) < 2:
            nothing = np.zeros(len(points))
            return nothing, nothing + 0.1, nothing - np.inf, nothing
        x = np.array([item.point for item in self._seen])
        weights = np.array([AGED ** (self.era - item.era) for item in self._seen])
        theta = np.log([LENGTHSCALE] * x.shape[1] + [NOISE])
        groups = np.arange(x.shape[1])
        value = Posterior.of(x, np.array([item.value for item in self._seen]), groups, theta, weights)
        tail = Posterior.of(x, np.array([item.tail for item in self._seen]), groups, theta, weights)
        value = replace(value, scale=max(value.scale, SCALE**2))
        tail = replace(tail, scale=max(tail.scale, SCALE**2))
        mean, variance = value.predict(points)
        tail_mean, tail_variance = tail.predict(points)
        return mean, np.sqrt(np.maximum(variance, 1e-8)), tail_mean, np.sqrt(tail_variance)

    def _key(self, point: Floats) -> bytes:
        return np.round(np.asarray(point), 9).tobytes()


def log_of(value: float) -> float:
    """The logarithm; what cannot be (no answers, nothing) is very bad, not nothing."""
    return math.log(value) if 0.0 < value < math.inf else math.log(1e6)
