"""Points that nobody has evaluated, for strategies that only repeat themselves: in finite spaces, and where a strategy
stays in a finite branch of an infinite one (all that is open where `kind == "none"` may be a single point).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.batch import FOREIGN, Floats
from .chunk import Chunk
from .session import Session

LISTED = 1 << 22
"""Spaces with more combinations are only sampled."""
_BLOCK = 4096


def unseen(session: Session, count: int) -> Chunk | None:
    """Up to `count` points that are not in the history, as foreign rows; None if none was found, or if the space is
    infinite and has no conditions: there the strategy has converged.
    """
    space = session.space
    raw = space.raw_size if space.branches is None else space.branches.size
    if raw is None and not space.conditional:
        return None
    index = session.history.index
    for points in _candidates(session, raw, count):
        keys = space.keys(space.decode(points))
        fresh = {key: row for row, key in enumerate(keys) if key not in index}
        if fresh:
            found = points[list(fresh.values())[:count]]
            return session.admit(np.full(len(found), FOREIGN), found)
    session.used_up = raw is not None and raw <= LISTED  # every cell was looked at
    return None


def _candidates(session: Session, raw: int | None, count: int) -> Iterator[Floats]:
    """Random points first, then every cell in random blocks."""
    space = session.space
    rng = np.random.default_rng([session.seed & (2**63 - 1), len(session.history.index)])
    for _ in range(4):
        yield space.sample(max(64, 4 * count), rng)
    if raw is None or raw > LISTED:
        return
    starts = list(range(0, raw, _BLOCK))
    rng.shuffle(starts)
    for start in starts:
        stop = min(start + _BLOCK, raw)
        branches = space.branches
        points = space.cells(start, stop) if branches is None else branches.points(np.arange(start, stop))
        good = space.feasible(space.decode(points))
        yield points[good][rng.permutation(int(good.sum()))]
