"""Training never meets testing."""

from itertools import pairwise

import pytest

from thalweg.apps.market_backtest.folds import purged, walk_forward
from thalweg.core.errors import ProblemError


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (20, 5)])
def test_walk_forward(anchored, purge, embargo):
    folds = walk_forward(1001, 5, train=480, anchored=anchored, purge=purge, embargo=embargo)
    assert len(folds) == 5 and folds[-1].test == ((folds[-1].test[0][0], 1001),)
    for one, two in pairwise(folds):
        assert one.test[0][1] == two.test[0][0]  # one after the other, without a gap
    for fold in folds:
        (begin, end), (at, stop) = fold.train[0], fold.test[0]
        assert at - end == purge + embargo
        assert stop - at == (1000 - 480 - purge - embargo) // 5 == fold.test_bars
        assert begin == (1 if anchored else max(1, end - 480))
    assert folds[0].train_bars >= 480


def test_purged():
    folds = purged(601, 6, 2, purge=10, embargo=5)
    assert len(folds) == 15
    for fold in folds:
        tests = {t for a, b in fold.test for t in range(a, b)}
        trains = {t for a, b in fold.train for t in range(a, b)}
        assert len(tests) == 200 and not tests & trains and min(trains | tests) == 1
        closed = {t for a, b in fold.test for t in range(a - 10, b + 15)}
        assert trains == set(range(1, 601)) - closed  # nothing more is taken away than said
    counts = [sum(t in {x for a, b in fold.test for x in range(a, b)} for fold in folds) for t in (1, 300, 600)]
    assert counts == [5, 5, 5]


@pytest.mark.parametrize(
    "call",
    [
        lambda: walk_forward(100, 10),
        lambda: walk_forward(1000, 0),
        lambda: walk_forward(1000, 5, purge=-1),
        lambda: walk_forward(1000, 5, train=10),
        lambda: purged(1000, 3, 3),
        lambda: purged(100, 10),
    ],
)
def test_what_cannot_be(call):
    with pytest.raises(ProblemError):
        call()
