"""Variation operators of evolutionary methods, vectorised over a whole brood, in the unit cube.

Sources: SBX: Deb & Agrawal, Complex Systems 9 (1995) 115-148, in the bounded form of Deb's NSGA-II code; polynomial
mutation: Deb & Goyal (1996), the same code; order crossover (OX): Davis, IJCAI 1985; random keys: Bean, ORSA J. Comp. 6
(1994), doi:10.1287/ijoc.6.2.154. A permutation of k items is a block of k columns; its order is the argsort of them.
Nothing here snaps: values land inside the cell that is meant, or on the way to it, and the space snaps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.batch import Floats, Ints, Mask
from ...core.choices import Permutation, Subset
from ...core.parameter import CONTINUOUS, ORDERED, UNORDERED, Parameter

if TYPE_CHECKING:
    from ...core.space import Space


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A space's columns by the kind of variation that suits them.

    metric: (a,) columns with a distance (continuous and ordered discrete);  ordered: (b,) the discrete ones of these.
    unordered: (c,) choice columns.  orders: the columns of each permutation.  masks: (e,) columns of subsets: an item
    is in where its column is above 1/2.  levels: (D,) cells per column (inf where continuous, and for keys).
    """

    metric: Ints
    ordered: Ints
    unordered: Ints
    orders: tuple[Ints, ...]
    masks: Ints
    levels: Floats

    @classmethod
    def of(cls, space: Space) -> Columns:
        """The columns of `space`."""
        kinds = np.asarray(space.kinds)
        keys = [(np.arange(block.start, block.stop), parameter) for parameter, block in _blocks(space)]
        orders = tuple(columns for columns, parameter in keys if isinstance(parameter, Permutation))
        masks = [columns for columns, parameter in keys if isinstance(parameter, Subset)]
        return cls(
            np.flatnonzero((kinds == CONTINUOUS) | (kinds == ORDERED)),
            np.flatnonzero(kinds == ORDERED),
            np.flatnonzero(kinds == UNORDERED),
            orders,
            np.concatenate(masks) if masks else np.empty(0, dtype=np.int64),
            np.asarray(space.levels, dtype=np.float64),
        )


def _blocks(space: Space) -> list[tuple[Parameter, slice]]:
    return [(space.parameters[name], block) for name, block in space.blocks]


def cell_centres(space: Space, most: int = 4096) -> list[Floats | None]:
    """Per column the (levels,) increasing unit positions of its cells' middles; None where the column is continuous, a
    random key, or has more than `most` cells. Log integers have cells of different widths: no formula fits them all.
    """
    tables: list[Floats | None] = [None] * space.dimension
    kinds, levels = np.asarray(space.kinds), np.asarray(space.levels)
    for parameter, block in _blocks(space):
        for column in range(block.start, block.stop):
            if kinds[column] in (ORDERED, UNORDERED) and levels[column] <= most:
                # index j below `levels` moves a vector's first entry alone, through all its values
                reals = parameter.cells(np.arange(int(levels[column])))
                tables[column] = np.sort(parameter.to_unit(reals)[:, 0])
    return tables


# --- crossover ----------------------------------------------------------------------------------------------------


def sbx(
    first: Floats, second: Floats, rng: np.random.Generator, eta: float = 15.0, rate: float = 0.5
) -> tuple[Floats, Floats]:
    """(n, d), (n, d) -> two children each: simulated binary crossover, bounded to [0, 1].

    eta: the distribution index, larger = closer to the parents.  rate: chance of a column to be crossed at all.
    """
    low, high = np.minimum(first, second), np.maximum(first, second)
    gap = high - low
    crossed = (rng.random(first.shape) < rate) & (gap > 1e-14)
    gap = np.where(crossed, gap, 1.0)
    draw = rng.random(first.shape)
    power = 1.0 / (eta + 1.0)

    def spread(room: Floats) -> Floats:
        # beta is bounded so that the child stays inside: alpha = 2 - beta^-(eta + 1)
        alpha = 2.0 - (1.0 + 2.0 * room / gap) ** -(eta + 1.0)
        inner = draw * alpha
        return np.asarray(np.where(inner <= 1.0, inner, 1.0 / np.maximum(2.0 - inner, 1e-300)) ** power)

    centre = low + high
    below = 0.5 * (centre - spread(low) * gap)
    above = 0.5 * (centre + spread(1.0 - high) * gap)
    swap = rng.random(first.shape) < 0.5
    one = np.where(crossed, np.where(swap, above, below), first)
    two = np.where(crossed, np.where(swap, below, above), second)
    return np.clip(one, 0.0, 1.0), np.clip(two, 0.0, 1.0)


def sbx_entries(first: Floats, second: Floats, rng: np.random.Generator, eta: float) -> tuple[Floats, Floats]:
    """(k,), (k,) -> (k,), (k,): `sbx` of single entries, every one of them crossed."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    gap = np.maximum(high - low, 1e-300)
    rooms = np.stack([low, 1.0 - high])  # (2, k): the children below and above
    inner = rng.random(len(first)) * (2.0 - (1.0 + 2.0 * rooms / gap) ** -(eta + 1.0))
    spread = np.where(inner <= 1.0, inner, 1.0 / np.maximum(2.0 - inner, 1e-300)) ** (1.0 / (eta + 1.0)) * gap
    below, above = np.minimum(np.maximum(0.5 * (low + high + [[-1.0], [1.0]] * spread), 0.0), 1.0)
    swap = rng.random(len(first)) < 0.5
    return np.where(swap, above, below), np.where(swap, below, above)


def sbx_all(first: Floats, second: Floats, rng: np.random.Generator, eta: float) -> tuple[Floats, Floats]:
    """(k,), (k,) -> (k,), (k,): `sbx` at rate 1, bit by bit and draw by draw, in half of its time."""
    k, power = len(first), 1.0 / (eta + 1.0)
    low, high = np.minimum(first, second), np.maximum(first, second)
    gap = high - low
    draws = rng.random((3, k))  # of the rate, of the spread, of the swap
    apart = gap > 1e-14
    some = not apart.all()
    if some:
        gap[~apart] = 1.0
    rooms = np.empty((2, k))  # of the children below and above; from here on in place, operation by operation
    rooms[0] = low
    np.subtract(1.0, high, out=rooms[1])
    rooms *= 2.0
    rooms /= gap
    rooms += 1.0
    inner = rooms ** -(eta + 1.0)
    np.subtract(2.0, inner, out=inner)
    inner *= draws[1]
    beyond = np.maximum(2.0 - inner, 1e-300)
    np.divide(1.0, beyond, out=beyond)
    spread = np.where(inner <= 1.0, inner, beyond) ** power
    spread *= gap
    centre, swap = low + high, draws[2] < 0.5
    np.subtract(centre, spread[0], out=spread[0])
    spread[1] += centre
    spread *= 0.5
    one, two = np.where(swap, spread[1], spread[0]), np.where(swap, spread[0], spread[1])
    if some:
        one, two = np.where(apart, one, first), np.where(apart, two, second)
    return np.minimum(np.maximum(one, 0.0), 1.0), np.minimum(np.maximum(two, 0.0), 1.0)


def uniform_crossover(
    first: Floats, second: Floats, rng: np.random.Generator, rate: float = 0.5
) -> tuple[Floats, Floats]:
    """(n, d), (n, d) -> two children each: every column is exchanged with chance `rate`."""
    swap = rng.random(first.shape) < rate
    return np.where(swap, second, first), np.where(swap, first, second)


def two_point_crossover(first: Floats, second: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(n, d), (n, d) -> two children each: the columns between two random cuts are exchanged."""
    n, d = first.shape
    start, stop = _cuts(n, d, rng)
    place = np.arange(d)
    swap = (place >= start[:, None]) & (place < stop[:, None])
    return np.where(swap, second, first), np.where(swap, first, second)


def order_crossover(first: Floats, second: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(n, k), (n, k) random keys -> two children each, as keys at rank centres (OX).

    A child keeps one parent's items between two cuts in place; the others follow in the other parent's order, beginning
    after the second cut.
    """
    n, k = first.shape
    start, stop = _cuts(n, k, rng)
    a, b = np.argsort(first, axis=1, kind="stable"), np.argsort(second, axis=1, kind="stable")
    return order_keys(_ox(a, b, start, stop)), order_keys(_ox(b, a, start, stop))


def _ox(keeper: Ints, other: Ints, start: Ints, stop: Ints) -> Ints:
    """(n, k) orders: `keeper` between the cuts, the rest in the order of `other`."""
    n, k = keeper.shape
    rows, place = np.arange(n)[:, None], np.arange(k)
    turned = (place + stop[:, None]) % k  # places, counted from the second cut on
    keeper, other = keeper[rows, turned], other[rows, turned]
    free = (k - (stop - start))[:, None]  # so many places follow the cut before the kept ones come
    kept = np.empty((n, k), dtype=np.bool_)
    kept[rows, keeper] = place >= free
    fill = other[rows, np.argsort(kept[rows, other], axis=1, kind="stable")]  # not kept first, order unchanged
    child = np.empty_like(keeper)
    child[rows, turned] = np.where(place >= free, keeper, fill)
    return child


def _cuts(n: int, d: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(n,), (n,) cuts 0 <= start < stop <= d, never the whole row where d > 1."""
    start = rng.integers(0, d, n)
    length = rng.integers(1, max(d, 2), n)
    return start, np.minimum(start + length, d)


# --- mutation -----------------------------------------------------------------------------------------------------


def polynomial_mutation(
    points: Floats, rng: np.random.Generator, eta: float = 20.0, rate: float | None = None
) -> Floats:
    """(n, d) -> (n, d): polynomial mutation, bounded to [0, 1]; `rate` per column (None: 1/d)."""
    hit = rng.random(points.shape) < (1.0 / max(points.shape[1], 1) if rate is None else rate)
    draw = rng.random(points.shape)
    power = eta + 1.0
    down = 2.0 * draw + (1.0 - 2.0 * draw) * (1.0 - points) ** power
    up = 2.0 * (1.0 - draw) + (2.0 * draw - 1.0) * points**power
    lower = draw < 0.5
    root = np.where(lower, down, up) ** (1.0 / power)
    moved = points + np.where(lower, root - 1.0, 1.0 - root)
    return np.clip(np.where(hit, moved, points), 0.0, 1.0)


def mutated_all(entries: Floats, rng: np.random.Generator, eta: float) -> Floats:
    """(k,) -> (k,): `polynomial_mutation` at rate 1, bit by bit and draw by draw, in half of its time."""
    draw = rng.random((2, len(entries)))[1]  # the others are those of the rate
    lower = draw < 0.5
    near = 2.0 * np.where(lower, draw, 1.0 - draw)
    root = near + (1.0 - near) * np.where(lower, 1.0 - entries, entries) ** (eta + 1.0)
    root **= 1.0 / (eta + 1.0)
    return np.asarray(np.minimum(np.maximum(entries + np.where(lower, root - 1.0, 1.0 - root), 0.0), 1.0))


def mutated_entries(entries: Floats, rng: np.random.Generator, eta: float) -> Floats:
    """(k,) -> (k,): `polynomial_mutation` of single entries, every one of them hit."""
    draw = rng.random(len(entries))
    lower = draw < 0.5
    share = 2.0 * np.minimum(draw, 1.0 - draw)  # of the way to the bound, in the mutation's own measure
    root = share + (1.0 - share) * np.where(lower, 1.0 - entries, entries) ** (eta + 1.0)
    root **= 1.0 / (eta + 1.0)
    return np.minimum(np.maximum(entries + np.where(lower, root - 1.0, 1.0 - root), 0.0), 1.0)


def redraw(points: Floats, levels: Floats, rng: np.random.Generator, hit: Mask) -> Floats:
    """(n, d) -> (n, d): where `hit` (n, d), another cell, all others equally likely. levels: (d,) finite."""
    cells = np.minimum((points * levels).astype(np.int64), levels.astype(np.int64) - 1)
    jump = 1 + (rng.random(points.shape) * np.maximum(levels - 1.0, 1.0)).astype(np.int64)
    moved = ((cells + jump) % levels.astype(np.int64) + 0.5) / levels
    return np.where(hit & (levels > 1), moved, points)


def step(points: Floats, levels: Floats, rng: np.random.Generator, hit: Mask, mean: Floats | float = 1.5) -> Floats:
    """(n, d) -> (n, d): where `hit`, a number of whole cells up or down, geometric with the given mean (>= 1), turned
    round at the ends. levels: (d,) finite.
    """
    size = rng.geometric(1.0 / np.maximum(np.broadcast_to(mean, points.shape), 1.0))
    moved = points + np.where(rng.random(points.shape) < 0.5, -size, size) / levels
    moved = np.where(moved < 0.0, points + size / levels, np.where(moved > 1.0, points - size / levels, moved))
    return np.where(hit & (levels > 1), np.clip(moved, 0.0, 1.0), points)


def order_keys(order: Ints) -> Floats:
    """(n, k) orders (items from first to last) -> (n, k) keys at rank centres."""
    n, k = order.shape
    keys = np.empty((n, k))
    keys[np.arange(n)[:, None], order] = (np.arange(k) + 0.5) / k
    return keys


def swap_keys(keys: Floats, rng: np.random.Generator) -> Floats:
    """(n, k) -> (n, k): two items of each row change places."""
    n, k = keys.shape
    moved = keys.copy()
    if k > 1:
        rows, one = np.arange(n), rng.integers(0, k, n)
        two = (one + rng.integers(1, k, n)) % k
        moved[rows, one], moved[rows, two] = keys[rows, two], keys[rows, one]
    return moved


def reverse_keys(keys: Floats, rng: np.random.Generator) -> Floats:
    """(n, k) -> (n, k): a stretch of each row's order is reversed (2-opt); at least two items, at rank centres."""
    n, k = keys.shape
    if k < 2:
        return keys.copy()
    order = np.argsort(keys, axis=1, kind="stable")
    start = rng.integers(0, k - 1, n)[:, None]
    stop = start + 2 + (rng.random((n, 1)) * (k - 1 - start)).astype(np.int64)
    place = np.arange(k)
    turned = order[np.arange(n)[:, None], (start + stop - 1 - place) % k]
    return order_keys(np.where((place >= start) & (place < stop), turned, order))


def flip(points: Floats, hit: Mask) -> Floats:
    """(n, d) -> (n, d): where `hit`, a subset's item goes in or out (its column is mirrored at 1/2)."""
    return np.where(hit, 1.0 - points, points)


def insert_keys(keys: Floats, rng: np.random.Generator) -> Floats:
    """(n, k) -> (n, k): one item of each row moves to another place, the others close up."""
    n, k = keys.shape
    if k < 2:
        return keys.copy()
    ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1).astype(np.float64)
    rows, item = np.arange(n), rng.integers(0, k, n)
    old = ranks[rows, item]
    goal = (old + rng.integers(1, k, n)) % k
    ranks[rows, item] = goal + np.where(goal > old, 0.5, -0.5)
    return order_keys(np.argsort(ranks, axis=1, kind="stable"))
