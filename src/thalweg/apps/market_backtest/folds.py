"""Which bars train and which test: walk-forward, and combinatorial purged cross-validation.

Between training and test there is a gap: `purge` bars, as many as a position from the training part may last, and
`embargo` bars for what fades slowly (volatility, smoothed forecasts). Every window is traded from flat to flat.

M. Lopez de Prado, "Advances in Financial Machine Learning", Wiley 2018, ch. 7 (purging, embargo) and ch. 12
(combinatorial purged cross-validation).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from ...core.errors import ProblemError

Window = tuple[int, int]
"""(first, last + 1) bar."""
SMALLEST_TEST = 20
"""Bars: a Sharpe ratio of fewer says nothing."""


@dataclass(frozen=True, slots=True)
class Fold:
    """train, test: windows without a bar in common."""

    train: tuple[Window, ...]
    test: tuple[Window, ...]

    @property
    def train_bars(self) -> int:
        """Bars that train."""
        return sum(last - first for first, last in self.train)

    @property
    def test_bars(self) -> int:
        """Bars that test."""
        return sum(last - first for first, last in self.test)


def walk_forward(
    bars: int,
    folds: int = 5,
    *,
    train: int | None = None,
    anchored: bool = True,
    purge: int = 0,
    embargo: int = 0,
    first: int = 1,
) -> list[Fold]:
    """`folds` tests one after the other, each after what trains it; together they are the last part of the bars.

    train: bars that train the first fold (half of them all by default).  anchored: later folds train on everything
    before; else on the `train` bars before (rolling).  first: the first bar that may be traded.

    Raises:
        ProblemError: too few bars for that.
    """
    _checked(folds, purge, embargo)
    usable = bars - first
    gap = purge + embargo
    train = usable // 2 if train is None else train
    test = max((usable - train - gap) // folds, 0)
    if train < SMALLEST_TEST or test < SMALLEST_TEST:
        raise ProblemError(
            f"walk-forward: {usable} bars make {folds} tests of {test} bars after {train} that train and a gap of "
            f"{gap}; at least {SMALLEST_TEST} of each are needed: fewer folds, or more bars"
        )
    made = []
    begin = bars - folds * test
    for k in range(folds):
        at = begin + k * test
        end = at - gap
        made.append(Fold(((first if anchored else max(first, end - train), end),), ((at, at + test),)))
    return made


def purged(
    bars: int, groups: int = 6, tests: int = 2, *, purge: int = 0, embargo: int = 0, first: int = 1
) -> list[Fold]:
    """Combinatorial purged cross-validation: every choice of `tests` of `groups` equal parts tests, the rest trains;
    `purge` bars before a test and `purge + embargo` after it do neither.

    Raises:
        ProblemError: too few bars for that.
    """
    _checked(groups, purge, embargo)
    if not 1 <= tests < groups:
        raise ProblemError(f"purged: 1 <= tests < groups is expected, got {tests} of {groups}")
    edges = [first + (bars - first) * i // groups for i in range(groups + 1)]
    if edges[1] - edges[0] < SMALLEST_TEST:
        raise ProblemError(f"purged: {groups} parts of {bars} bars are shorter than {SMALLEST_TEST}: fewer groups")
    made = []
    for chosen in combinations(range(groups), tests):
        test = tuple((edges[i], edges[i + 1]) for i in chosen)
        closed = [(at - purge, end + purge + embargo) for at, end in test]
        train = tuple(_outside(first, bars, closed))
        if not train:
            raise ProblemError("purged: purge and embargo leave nothing to train on")
        made.append(Fold(train, test))
    return made


def _outside(first: int, last: int, closed: list[Window]) -> list[Window]:
    found, at = [], first
    for begin, end in closed:
        if begin > at:
            found.append((at, begin))
        at = max(at, end)
    if last > at:
        found.append((at, last))
    return found


def _checked(folds: int, purge: int, embargo: int) -> None:
    if folds < 1 or purge < 0 or embargo < 0:
        raise ProblemError(
            f"folds: at least one fold, purge >= 0 and embargo >= 0 are expected, got {folds}, {purge}, {embargo}"
        )
