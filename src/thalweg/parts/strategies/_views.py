"""What a surrogate model sees of a space, and the neighbours of a point in its discrete columns.

Features (n, F), centred at 0, each in a group that shares a lengthscale: columns with a distance as they are;
unordered choices as one column per option (two options are always equally far apart); the keys of a permutation as
three groups (see `_orders`); the keys of a subset (in or out) each by itself. Columns with one value are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.batch import Floats, Ints
from ...core.parameter import CONTINUOUS, ORDERED
from . import _orders
from ._operators import Columns, cell_centres

if TYPE_CHECKING:
    from ...core.space import Space

_FINE = 64  # an ordered column with more levels than this is moved along slopes as if it were continuous, then snapped
_WIDE = 24  # an ordered column with more levels than this shows only some of them to the neighbourhood search


@dataclass(eq=False)
class View:
    """Made once for a space, with `View.of`.

    plain: (p,) columns that are features as they are, the first p features.  smooth: (s,) positions within `plain` of
    those that are moved along slopes.  onehot: (column, levels) of the unordered choices.  orders, masks: as in
    `Columns`.  columns, values: (k,) every level of the coarse ordered columns and the choices, one after the other.
    wide: (column, unit values) of those with too many levels to look at each.  groups: (F,).
    """

    plain: Ints
    smooth: Ints
    onehot: list[tuple[int, int]]
    orders: tuple[Ints, ...]
    masks: Ints
    columns: Ints
    values: Floats
    wide: list[tuple[int, Floats]]
    groups: Ints

    @classmethod
    def of(cls, space: Space) -> View:
        """The view of `space`."""
        columns, levels, kinds = Columns.of(space), np.asarray(space.levels), np.asarray(space.kinds)
        plain = columns.metric[levels[columns.metric] > 1]
        smooth = np.flatnonzero((kinds[plain] == CONTINUOUS) | (levels[plain] > _FINE))
        onehot = [(int(j), int(levels[j])) for j in columns.unordered.tolist() if levels[j] > 1]
        orders = tuple(item for item in columns.orders if len(item) > 1)
        coarse = {int(j) for j in plain.tolist() if kinds[j] == ORDERED and levels[j] <= _FINE}
        wanted = coarse | {j for j, _ in onehot}
        centres = cell_centres(space) if wanted else []
        tables = [(j, table) for j in sorted(wanted) if (table := centres[j]) is not None]
        few = [(j, table) for j, table in tables if len(table) <= _WIDE + 1]
        flat = np.repeat(np.array([j for j, _ in few], dtype=np.int64), [len(table) for _, table in few])
        values = np.concatenate([table for _, table in few]) if few else np.empty(0)
        wide = [(j, table) for j, table in tables if len(table) > _WIDE + 1]
        groups: list[int] = list(range(len(plain) + len(columns.masks)))
        for _, count in onehot:
            groups += [groups[-1] + 1 if groups else 0] * count
        for block in orders:
            for width in _orders.widths(len(block)):
                groups += [groups[-1] + 1 if groups else 0] * width
        return cls(plain, smooth, onehot, orders, columns.masks, flat, values, wide, np.array(groups, dtype=np.int64))

    @property
    def count(self) -> int:
        """How many lengthscales there are."""
        return int(self.groups[-1]) + 1 if len(self.groups) else 0

    @property
    def is_smooth(self) -> bool:
        """Whether every feature is a column that is moved along slopes."""
        return len(self.smooth) == len(self.groups)

    def features(self, points: Floats) -> Floats:
        """(n, F) of snapped points (n, D)."""
        plain = points[:, self.plain] - 0.5
        if len(self.plain) == len(self.groups):
            return np.asarray(plain)
        parts = [plain, points[:, self.masks] - 0.5]
        for column, levels in self.onehot:
            option = np.minimum((points[:, column] * levels).astype(np.int64), levels - 1)
            # two different options are at distance 1
            parts.append(np.sqrt(0.5) * (option[:, None] == np.arange(levels)))
        parts += [_orders.features(points[:, block]) for block in self.orders]
        return np.concatenate(parts, axis=1)

    def neighbours(self, points: Floats, rng: np.random.Generator, most: int = 96) -> tuple[Floats, Ints]:
        """(k, D) points that differ from one of `points` (m, D) in one discrete column, one flip, or one move within an
        order, and (k,) from which one, in increasing order.

        Every level of choices and of coarse ordered columns comes, up to `most` rows for each point (a random share
        then).
        """
        columns, values = self._flat(points, rng)
        changed = np.repeat(points[:, None], len(columns), axis=1)
        at = np.arange(len(columns))
        new = np.abs(changed[:, at, columns] - values) > 1e-9
        changed[:, at, columns] = values
        if len(columns) > most:
            new &= rng.permuted(np.broadcast_to(at < most, new.shape), axis=1)
        owner, row = np.nonzero(new)
        found = changed[owner, row]
        if not self.orders and not len(self.masks):
            return found, owner
        parts, owners = [found], [owner]
        for i, point in enumerate(points):
            moves = [_changed(point, self.masks, 1.0 - point[self.masks])]
            moves += [_moves(point, block, rng) for block in self.orders]
            rows = np.concatenate(moves)
            room = max(most - int((owner == i).sum()), most // 2)
            parts.append(rows if len(rows) <= room else rows[rng.choice(len(rows), room, replace=False)])
            owners.append(np.full(len(parts[-1]), i))
        owner = np.concatenate(owners)
        order = np.argsort(owner, kind="stable")
        return np.concatenate(parts)[order], owner[order]

    def _flat(self, points: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """(k,) columns and (k,) or (m, k) values in them that are looked at around points (m, D)."""
        if not self.wide:
            return self.columns, self.values
        columns, values = [self.columns], [np.broadcast_to(self.values, (len(points), len(self.values)))]
        for column, table in self.wide:  # the nearest ones, and some from everywhere
            near = np.searchsorted(table, points[:, column])[:, None] + np.arange(-_WIDE // 6, _WIDE // 6 + 1)
            some = np.concatenate([near % len(table), rng.integers(len(table), size=(len(points), _WIDE // 2))], axis=1)
            columns.append(np.full(some.shape[1], column))
            values.append(table[some])
        return np.concatenate(columns), np.concatenate(values, axis=1)

    def mutated(self, points: Floats, count: int, rng: np.random.Generator) -> Floats:
        """(count, D) copies of points (k, D), in turn, each with some columns changed: by little or to anything."""
        d = points.shape[1]
        copies = points[np.arange(count) % len(points)]
        changed = rng.random((count, d)) < max(1.5 / max(d, 1), 0.08)
        changed[np.arange(count), rng.integers(d, size=count)] = True
        near = np.zeros((count, d), dtype=np.bool_)
        near[:, self.plain] = rng.random((count, len(self.plain))) < 0.5
        scale = np.array([0.2, 0.05, 0.01])[rng.integers(3, size=(count, 1))]
        target = np.where(near, copies + scale * rng.normal(size=(count, d)), rng.random((count, d)))
        result = np.where(changed, target, copies)
        for block in self.orders:  # a random key in an order moves one item; two items change places as often
            swapped = np.flatnonzero(rng.random(count) < 0.5)
            i, j = block[rng.integers(len(block), size=(2, len(swapped)))]
            result[swapped[:, None], block] = copies[swapped[:, None], block]
            result[swapped, i], result[swapped, j] = copies[swapped, j], copies[swapped, i]
        return np.clip(result, 0.0, 1.0)


def _changed(point: Floats, columns: Ints, values: Floats) -> Floats:
    rows = np.repeat(point[None], len(columns), axis=0)
    rows[np.arange(len(columns)), columns] = values
    return rows


def _moves(point: Floats, block: Ints, rng: np.random.Generator) -> Floats:
    """(k, D) orders of one block one step away."""
    keys = _orders.neighbours(point[block], rng)
    rows = np.repeat(point[None], len(keys), axis=0)
    rows[:, block] = keys
    return rows
