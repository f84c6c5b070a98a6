"""Racing: a point gets another evaluation only while it cannot be told from the best one.

O. Maron, A. Moore, "Hoeffding races", NIPS 6 (1994) 59-66; M. Birattari et al., "A racing algorithm for configuring
metaheuristics", GECCO 2002, 11-18. Their races eliminate many candidates side by side; here candidates come one after
another, so each races against the incumbent alone, with a normal test on the difference of two means. The noise of one
evaluation is shared by all points that were evaluated several times, and by the point's own values the more there are.

Confirmation is the same race for points that would be the new best, with a share of the budget it may cost: of many
noisy values the lowest is a lucky one ("winner's curse"), so it is evaluated again before it is believed. What is too
good to be true may draw on a small reserve where the share is used up: a fluke that is believed ends the search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from ..core.errors import ProblemError

RACE = (1, 8)
"""What repeats="race" means."""
CONFIRM = 0.1
"""Share of the evaluations that confirmations may cost (confirm=True)."""
CONFIRMED = 4
"""Evaluations of a point at most, the first one included, that is being confirmed."""
SUSPECT = 10.0
"""Standard deviations of one evaluation by which a new best must lead to be confirmed beyond the share."""
WORSE = 1.0
"""A point that lies so many standard errors above the incumbent has lost."""
BETTER = 2.0
"""... or below it, has won."""
_FLUKE = 3.09  # standard deviations: 99.9 %
_OWN = 4.0  # degrees of freedom that the noise of the others weighs against a point's own


def pooled_sd(squares: Sequence[float], freedom: Sequence[int]) -> float:
    """The standard deviation that groups of values share, whatever a few of them do.

    squares, freedom: of each group the sum of squares about its mean, and its number of values less one. No group
    counts for more than all but a thousandth of such groups would have, given the median of the groups' own variances:
    a fluke of a hundred standard deviations would make every difference doubtful. Quantiles of chi-square by E. B.
    Wilson, M. M. Hilferty, PNAS 17 (1931) 684-688, doi:10.1073/pnas.17.12.684.
    """
    sums, dof = np.array(squares), np.array(freedom, dtype=np.float64)
    cube = 1.0 - 2.0 / (9.0 * dof)
    middle = float(np.median(sums / (dof * cube**3)))
    if middle > 0:
        sums = np.minimum(sums, middle * dof * (cube + _FLUKE * np.sqrt(2.0 / (9.0 * dof))) ** 3)
    return math.sqrt(math.fsum(sums.tolist()) / float(dof.sum()))


def read_repeats(given: Any) -> tuple[int, int]:
    """(low, high) of a count, "race" or a pair.

    Raises:
        ProblemError: none of these.
    """
    if isinstance(given, str) and given == "race":
        return RACE
    pair = tuple(given) if isinstance(given, (list, tuple)) else (given, given)
    whole = all(isinstance(item, int) and not isinstance(item, bool) for item in pair)
    if len(pair) != 2 or not whole or not 1 <= pair[0] <= pair[1]:
        raise ProblemError(
            'repeats: a whole number >= 1, "race" or a pair (low, high) with 1 <= low <= high is expected, '
            f"got {given!r}"
        )
    return pair


def read_confirm(given: Any, noisy: bool, repeats: tuple[int, int], objectives: int) -> float:
    """The share of evaluations that confirmations may cost, 0 for none. None: a tenth where it makes sense.

    Raises:
        ProblemError: not such a share, or nothing that could be confirmed.
    """
    possible = noisy and repeats == (1, 1) and objectives == 1
    if given is None:
        return CONFIRM if possible else 0.0
    if given is True or given is False:
        given = CONFIRM if given else 0.0
    if not isinstance(given, Real) or not 0 <= float(given) < 1:
        raise ProblemError(f"confirm: True, False or a share of the evaluations in [0, 1) is expected, got {given!r}")
    if given and not possible:
        raise ProblemError(
            "confirm evaluates a new best point again before it is believed: it needs noisy=True, one objective and "
            f"repeats=1 (with repeats every point has its own); got noisy={noisy}, repeats={repeats}, "
            f"{objectives} objective(s)"
        )
    return float(given)


@dataclass(slots=True)
class Race:
    """Decides. low, high: evaluations of a point.  share: 0 - every point races; above - only what would be the new
    best, and at most this share of all evaluations goes there.
    """

    low: int
    high: int
    share: float = 0.0
    spent: int = 0
    """Evaluations beyond the first `low` of a point, those included that wait to be opened."""
    _squares: list[float] = field(default_factory=list)
    _freedom: list[int] = field(default_factory=list)
    _sd: float = math.nan
    _known: set[int] = field(default_factory=set)
    _learnt: set[int] = field(default_factory=set)

    @property
    def sd(self) -> float:
        """Of one evaluation, from all points that were told; NaN while no point was evaluated twice."""
        if math.isnan(self._sd) and self._freedom:
            # six digits: sums in another order (after a resume) must lead to the same decisions
            self._sd = float(f"{pooled_sd(self._squares, self._freedom):.6g}")
        return self._sd

    def knows(self, number: int) -> bool:
        """Whether the point of this number was told."""
        return number in self._known

    def close(self, numbers: Iterable[int]) -> None:
        """Points are told for good."""
        self._known.update(numbers)

    def learn(self, number: int, values: Sequence[float]) -> None:
        """A point is told for good; its values (k,)."""
        if number in self._learnt:
            return
        self._known.add(number)
        self._learnt.add(number)
        if len(values) > 1 and all(math.isfinite(item) for item in values):
            mean = math.fsum(values) / len(values)
            self._squares.append(math.fsum((item - mean) ** 2 for item in values))
            self._freedom.append(len(values) - 1)
            self._sd = math.nan

    def own_sd(self, values: Sequence[float], shared: float | None) -> float:
        """Of one evaluation at a point with these values; shared: that of all points, None if unknown."""
        count = len(values)
        mean = math.fsum(values) / count
        squares = math.fsum((item - mean) ** 2 for item in values)
        if shared is None:
            return math.sqrt(squares / (count - 1)) if count > 1 else math.nan
        return math.sqrt((_OWN * shared * shared + squares) / (_OWN + count - 1))

    def _suspect(self, mean: float, best: tuple[float, int] | None) -> bool:
        """Whether a value is too good to be true."""
        return best is not None and best[0] - mean > SUSPECT * self.sd  # NaN: nothing is known about the noise

    def further(self, values: Sequence[float], mean: float, best: tuple[float, int] | None, opened: int) -> int:
        """How many more evaluations a point deserves now: 0 or 1.

        values: (k,) its values so far.  mean: what they come to.  best: (value, evaluations) of the incumbent.
        opened: trials so far.
        """
        count = len(values)
        if count >= self.high or not math.isfinite(mean):
            return 0
        if self.share and count == self.low:  # what was begun is finished: half a confirmation says little
            reserve = CONFIRMED if self._suspect(mean, best) else 0
            if self.spent + 1 > 1 + self.share * opened + reserve:
                return 0
        if best is None:
            return int(count < 2)  # two values tell the noise
        sd = self.own_sd(values, None if math.isnan(self.sd) else self.sd)
        if math.isnan(sd):
            return int(mean <= best[0] if self.share else True)
        error = sd * math.sqrt(1 / count + 1 / best[1])
        ahead = (best[0] - mean) / error if error > 0 else math.copysign(math.inf, best[0] - mean)
        # the first value of a new best is the one that luck chose: it needs a second one, however far ahead it is
        return int(ahead > (0.0 if self.share else -WORSE) and (count == 1 or ahead < BETTER))
