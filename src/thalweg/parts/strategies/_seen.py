"""The points a strategy has already proposed, so that finite spaces are covered without repeating; free elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...core.batch import Floats, Ints, Mask
from ...core.parameter import ORDERED
from ...core.problem import Problem
from ...core.space import Space

Hashes = NDArray[np.uint64]

_TRIES = 8
_CHUNK = 128
_LARGEST = 4096
_SCANNED = 64 * _LARGEST


def _none() -> Hashes:
    return np.empty(0, dtype=np.uint64)


@dataclass(eq=False)
class Seen:
    """64-bit hashes of snapped rows (those are canonical), sorted in two runs so that adding stays cheap.

    on: False in spaces with a continuous parameter, where nothing is kept and `fresh` gives its input back.
    exhausted: no point is left that was not proposed.
    start, scanned: the cells (raw, or of `Branches`) from `start` on, so many, that are known to be seen or infeasible.
    """

    on: bool = False
    size: int | None = None
    exhausted: bool = False
    start: int = -1
    scanned: int = 0
    count: int = 0
    old: Hashes = field(default_factory=_none)
    new: Hashes = field(default_factory=_none)

    @classmethod
    def of(cls, problem: Problem) -> Seen:
        """For a problem: on where every parameter has finitely many values and equal points have equal values."""
        on = problem.space.raw_size is not None and not problem.noisy
        return cls(on, problem.space.size if on else None)

    def fresh(
        self,
        points: Floats,
        space: Space,
        rng: np.random.Generator,
        redraw: Callable[[int], Floats] | None = None,
    ) -> tuple[Floats, Ints | slice]:
        """Snapped, feasible, never proposed points made of `points` (n, D), and which of its rows they stand for.

        Rows that repeat are replaced: by `redraw(k)` -> (k, D) if given, else by changing more and more of their
        columns; at last by cells that are known to be unseen. Rows are dropped only when no unseen point is left.
        """
        if not self.on:
            return points, slice(None)
        points = space.snap(space.repair(points, rng))
        hashes = row_hashes(points)
        stale = self._stale(hashes)
        for attempt in range(_TRIES):
            rows = np.flatnonzero(stale)
            if not rows.size or (self.size is not None and self.count >= self.size):
                break
            drawn = redraw(len(rows)) if redraw is not None else self._change(points[rows], attempt, space, rng)
            points[rows] = space.snap(space.repair(drawn, rng))
            hashes[rows] = row_hashes(points[rows])
            stale = self._stale(hashes)
        kept: Ints | slice = slice(None)
        if stale.any():
            self._fill(points, hashes, stale, space, rng)
            kept = np.flatnonzero(~stale)
            points, hashes = points[kept], hashes[kept]
            hashes = np.unique(hashes[~self._known(hashes)])  # rows that repeat all the same are no further points
        self._insert(hashes)
        return points, kept

    def unseen(self, points: Floats) -> Floats:
        """The rows of snapped `points` (n, D) that are new, each once; they are remembered."""
        hashes = row_hashes(points)
        new = ~self._stale(hashes)
        self._insert(hashes[new])
        return points[new]

    def add(self, points: Floats) -> None:
        """Remember snapped points (n, D) that came from elsewhere."""
        if self.on and len(points):
            hashes = np.unique(row_hashes(points))
            self._insert(hashes[~self._known(hashes)])

    def contains(self, points: Floats) -> Mask:
        """(n,) which snapped points are remembered."""
        return self._known(row_hashes(points))

    def _known(self, hashes: Hashes) -> Mask:
        known = np.zeros(len(hashes), dtype=np.bool_)
        for run in (self.old, self.new):
            if run.size:
                place = np.searchsorted(run, hashes)
                known |= run[np.minimum(place, run.size - 1)] == hashes
        return known

    def _stale(self, hashes: Hashes) -> Mask:
        """Which rows were seen, or repeat an earlier row of the batch."""
        stale = self._known(hashes)
        first = np.unique(hashes, return_index=True)[1]
        if len(first) < len(hashes):
            repeated = np.ones(len(hashes), dtype=np.bool_)
            repeated[first] = False
            stale |= repeated
        return stale

    def _insert(self, hashes: Hashes) -> None:
        self.new = np.sort(np.concatenate([self.new, hashes]))
        self.count += len(hashes)
        if self.new.size > 64 + self.old.size // 16:  # two runs: adding one row never copies the whole history
            self.old = np.sort(np.concatenate([self.old, self.new]), kind="stable")
            self.new = _none()
        if self.size is not None and self.count >= self.size:
            self.exhausted = True

    @staticmethod
    def _change(rows: Floats, attempt: int, space: Space, rng: np.random.Generator) -> Floats:
        """Rows with some columns changed: first one column by a cell or two, later more and anywhere."""
        n, dimension = rows.shape
        if not dimension:
            return rows
        share = (attempt + 0.5) / _TRIES
        changed = rng.random((n, dimension)) < share
        changed[np.arange(n), rng.integers(dimension, size=n)] = True
        target = rng.random((n, dimension))
        if attempt < 2:
            near = (space.kinds == ORDERED) & (space.levels > 3)
            step = rng.integers(1, 3, size=(n, dimension)) * rng.choice([-1.0, 1.0], size=(n, dimension))
            width = 1.0 / np.where(near, space.levels, 1.0)
            moved = rows + step * width
            inside = near & (moved > 0) & (moved < 1)
            target = np.where(inside, moved, target)
        return np.where(changed, target, rows)

    def _fill(self, points: Floats, hashes: Hashes, stale: Mask, space: Space, rng: np.random.Generator) -> None:
        """Put unseen cells into stale rows, in place; rows that stay stale have none left.

        The scan goes on where the last one ended: what was seen once stays seen, so a run scans each cell once.
        """
        branches = space.branches
        total = (space.raw_size or 0) if branches is None else branches.size
        if self.start < 0:
            self.start = int(rng.integers(min(total, 2**62)))
        limit = min(total, self.scanned + _SCANNED)
        chunk = _CHUNK
        while self.scanned < limit and (rows := np.flatnonzero(stale)).size:
            steps = range(self.scanned, min(self.scanned + chunk, total))
            index: Ints = np.array([(self.start + i) % total for i in steps], dtype=_index_type(total))
            cells = space.cells_at(index) if branches is None else branches.points(index)
            _, reals, active = space.resolve(cells)
            found = row_hashes(cells)
            usable = np.flatnonzero(
                space.feasible(reals, active) & ~self._stale(found) & ~np.isin(found, hashes[~stale])
            )[: len(rows)]
            # the rest of the chunk is left for the next time
            self.scanned += int(usable[-1]) + 1 if len(usable) == len(rows) else len(steps)
            rows = rows[: len(usable)]
            points[rows], hashes[rows], stale[rows] = cells[usable], found[usable], False
            chunk = min(2 * chunk, _LARGEST)
        if stale.any():
            if self.scanned >= total:
                self.exhausted = True
            else:  # a vast space that hardly lets us move: repeating is better than stopping
                stale[:] = False


def _index_type(total: int) -> type:
    return object if total > 2**62 else np.int64


@cache
def _multipliers(dimension: int) -> Hashes:
    rng = np.random.Generator(np.random.PCG64(0x5EE4))
    return np.asarray(rng.integers(2**64 - 1, size=dimension, dtype=np.uint64)) | np.uint64(1)


def row_hashes(points: Floats) -> Hashes:
    """(n,) 64-bit hashes of the bits of rows (n, D)."""
    bits = np.ascontiguousarray(points).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(32))) * _multipliers(points.shape[1])
    bits ^= bits >> np.uint64(29)
    total = bits.sum(axis=1, dtype=np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray(total ^ (total >> np.uint64(32)), dtype=np.uint64)
