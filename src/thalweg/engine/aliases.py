"""Unit points that stand for known real values, though they would decode to others.

A strategy hears of a point that it did not propose (given by people, by another process, by an earlier strategy) as a
unit point. What that decodes to may differ from the real values in the last bit, on logarithmic scales most often. When
the strategy comes back to the point, as everyone does that begins at the best known one, the real values of the known
trial are meant: it would be evaluated twice else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.batch import Floats, Ints

if TYPE_CHECKING:
    from .session import Session


class Aliases:
    """A session's points that were told as foreign and decode to other bits: each with the number of its trial."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._numbers: dict[bytes, int] = {}

    def note(self, points: Floats, numbers: Ints) -> None:
        """The strategy hears of trials `numbers` (k,) as unit points (k, D) that it did not propose."""
        if not self.session.deterministic or self.session.space.raw_size is not None:
            return  # equal points may be evaluated again; or every value is the middle of a cell
        placed, reals, _ = self.session.space.resolve(points)
        known = self.session.history.reals[numbers]
        for row in np.flatnonzero(((reals != known) & ~(np.isnan(reals) & np.isnan(known))).any(axis=1)).tolist():
            self._numbers[placed[row].tobytes()] = int(numbers[row])

    def meant(self, points: Floats, reals: Floats) -> Floats:
        """The real values (k, D) that placed points (k, D) stand for; reals: what they decode to."""
        if not self._numbers:
            return reals
        found = [(row, self._numbers.get(point.tobytes())) for row, point in enumerate(points)]
        rows = [(row, number) for row, number in found if number is not None]
        if rows:
            reals = reals.copy()
            for row, number in rows:
                reals[row] = self.session.history.reals[number]
        return reals
