"""Proposals go out, answers come back: both are batches, the first dimension is always the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes8 = NDArray[np.int8]
Mask = NDArray[np.bool_]

FOREIGN = -1
"""The ticket of an answer to a point that the strategy did not propose."""


class Status(IntEnum):
    """Where a trial stands. From DONE on it is final."""

    WAITING = 0
    """Opened (it has a number and counts in the budget) but not started."""
    RUNNING = 1
    """An evaluator works on it."""
    DONE = 2
    """It has finite values."""
    FAILED = 3
    """It ran and gave no usable value: an exception, NaN, an infinity, a wrong shape, a crash."""
    TIMEOUT = 4
    """Its deadline passed and it was killed: censored, its true time is longer than `seconds`."""
    PRUNED = 5
    """A pruner ended it; its last reported value stands for it."""
    ABANDONED = 6
    """The study ended while it ran; it says nothing about the point."""

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self >= Status.DONE


@dataclass(slots=True, eq=False)
class Proposals:
    """Points a strategy wants evaluated. All arrays are read-only.

    tickets: (k,) int64, unique within the strategy; an answer is matched by ticket, never by coordinates.
    points: (k, D) float64 in [0, 1].
    fidelities: (k,) float64 in (0, 1], or None for full fidelity.
    parents: (k,) int64 tickets a proposal continues or was made from, or None.
    """

    tickets: Ints
    points: Floats
    fidelities: Floats | None = None
    parents: Ints | None = None

    def __len__(self) -> int:
        return len(self.tickets)


@dataclass(slots=True, eq=False)
class Answers:
    """What became of evaluated points.

    tickets: (k,) int64; FOREIGN (-1) for points the strategy did not propose.
    points: (k, D) float64 in [0, 1], as evaluated (repaired and snapped), so they may differ from what was proposed.
    values: (k, m) float64, always minimised; NaN where there is no value.
    statuses: (k,) int8, each a final `Status`.
    violations: (k,) float64 >= 0, 0 = feasible, or None where the problem measures no constraint.
    seconds: (k,) float64, how long each evaluation took.
    fidelities: (k,) float64 or None;  noise: (k, m) standard errors of the values, or None.
    """

    tickets: Ints
    points: Floats
    values: Floats
    statuses: Bytes8
    violations: Floats | None = None
    seconds: Floats | None = None
    fidelities: Floats | None = None
    noise: Floats | None = None

    def __len__(self) -> int:
        return len(self.tickets)

    @property
    def ok(self) -> Mask:
        """(k,) True where there is a finite value."""
        good = np.isfinite(self.values).all(axis=1)
        return np.asarray(good, dtype=np.bool_)

    def merit(self) -> Floats:
        """(k,) one number for ranking a single objective: the value where feasible, above every value where a
        constraint is violated (ordered by the violation: Deb's rules, doi:10.1016/S0045-7825(99)00389-8), +inf where
        there is no value. With several objectives the first one is used.
        """
        merit = self.values[:, 0].copy()
        merit[~np.isfinite(merit)] = np.inf
        if self.violations is not None:
            bad = (self.violations > 0) & np.isfinite(merit)
            amount = self.violations[bad]
            merit[bad] = INFEASIBLE * (2.0 - 1.0 / (1.0 + amount))  # an infinite violation is the worst
        return merit

    def bounded(self) -> Answers:
        """These answers, or a copy where finite values lie beyond `LINEAR` either way: from there on they grow like
        their logarithm, in the same order, so that no difference, square or slope of values is infinite.
        """
        size = np.abs(self.values)
        if not np.count_nonzero(size > LINEAR):
            return self
        beyond = (size > LINEAR) & np.isfinite(size)
        grown = LINEAR * (1.0 + np.log(size / LINEAR, where=beyond, out=np.zeros_like(size)))
        return replace(self, values=np.where(beyond, np.sign(self.values) * grown, self.values))

    def rows(self, index: Ints | Mask | slice) -> Answers:
        """The answers at `index`, as a new batch."""

        def take(array: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
            return None if array is None else array[index]

        return Answers(
            self.tickets[index],
            self.points[index],
            self.values[index],
            self.statuses[index],
            take(self.violations),
            take(self.seconds),
            take(self.fidelities),
            take(self.noise),
        )


INFEASIBLE = 1e290
"""Merits at or above this belong to points that violate a measured constraint."""
LINEAR = 1e100
"""Strategies hear of larger values by their logarithm; see `Answers.bounded`."""
