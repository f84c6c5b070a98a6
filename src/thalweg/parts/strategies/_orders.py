"""What a model sees of an order, and the orders one step away.

Three descriptions, a group each with a lengthscale of its own, so that the data say which of them matters: where every
item stands (assignments), which of two items comes first (schedules; the Mallows kernel's distance: Y. Jiao, J.-P.
Vert, ICML 2015), and which items are neighbours, the last and the first one too (round trips).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ...core.batch import Floats, Ints
from ._operators import insert_keys, order_keys, reverse_keys, swap_keys

_MOVES = 64  # of each kind that are looked at around a point


def widths(size: int) -> list[int]:
    """How many features each of the groups has, for orders of `size` items."""
    return [size, size * (size - 1) // 2, size * (size - 1) // 2] if size > 3 else [size]


def features(keys: Floats) -> Floats:
    """(n, F) of snapped keys (n, k): scaled so that two random orders are in each group about as far apart as two
    random points of a cube of three columns.
    """
    n, size = keys.shape
    parts = widths(size)
    result = np.zeros((n, sum(parts)))
    np.multiply(keys - 0.5, np.sqrt(3.0 / size), out=result[:, :size])
    if len(parts) == 1:
        return result
    i, j = _pairs(size)
    result[:, size : size + len(i)] = keys[:, i] < keys[:, j]
    result[:, size : size + len(i)] *= 1.0 / np.sqrt(len(i))
    order = np.argsort(keys, axis=1)
    after = np.roll(order, -1, axis=1)
    low, high = np.minimum(order, after), np.maximum(order, after)
    pair = low * size - low * (low + 1) // 2 + high - low - 1  # its number among the pairs, row by row of the triangle
    result[np.arange(n)[:, None], size + len(i) + pair] = 0.5 / np.sqrt(size)
    return result


@cache
def _pairs(size: int) -> tuple[Ints, Ints]:
    """All pairs of items, each once."""
    i, j = np.triu_indices(size, 1)
    return i, j


def neighbours(keys: Floats, rng: np.random.Generator) -> Floats:
    """(m, k) orders one step away from keys (k,): two items exchanged, one put elsewhere, or a stretch reversed."""
    size = len(keys)
    order = np.argsort(keys, kind="stable")
    i, j = _pairs(size)
    if len(i) > _MOVES:
        kept = rng.choice(len(i), (3, _MOVES))
    else:
        kept = np.broadcast_to(np.arange(len(i)), (3, len(i)))
    place = np.arange(size)
    a, b = i[kept[0]], j[kept[0]]
    swaps = np.repeat(order[None], len(a), axis=0)
    at = np.arange(len(a))
    swaps[at, a], swaps[at, b] = order[b], order[a]
    a, b = i[kept[1]][:, None], j[kept[1]][:, None]
    inside = (place >= a) & (place <= b)
    turned = order[np.where(inside, a + b - place, place)]
    a, b = i[kept[2]][:, None], j[kept[2]][:, None]
    inside = (place >= a) & (place <= b)
    back = rng.random((len(a), 1)) < 0.5
    shifted = np.where(back, np.where(place == b, a, place + 1), np.where(place == a, b, place - 1))
    shifts = order[np.where(inside, shifted, place)]
    return order_keys(np.concatenate([swaps, turned, shifts]))


MOVES = (swap_keys, reverse_keys, insert_keys)
"""Of orders (n, k), each to one that is a step away."""
_FORGET = 0.98  # of what is known of a kind of moves, each time it is tried
_LEAST = 0.05  # the chance of a kind that never leads anywhere


@dataclass(eq=False)
class Credit:
    """Which kind of `MOVES` led to better points.  tries, wins: (kinds,), fading."""

    tries: Floats
    wins: Floats

    @classmethod
    def fresh(cls) -> Credit:
        """Nothing is known."""
        return cls(np.zeros(len(MOVES)), np.zeros(len(MOVES)))

    def choose(self, rng: np.random.Generator) -> int:
        """A kind, the more probable the oftener it led to a better point."""
        rate = (self.wins + 1.0) / (self.tries + 4.0)
        chance = np.maximum(rate / rate.sum(), _LEAST)
        return int(np.searchsorted(np.cumsum(chance / chance.sum())[:-1], rng.random()))

    def hear(self, kind: int, better: bool) -> None:
        """How a move of that kind ended."""
        self.tries[kind] = _FORGET * self.tries[kind] + 1.0
        self.wins[kind] = _FORGET * self.wins[kind] + better
