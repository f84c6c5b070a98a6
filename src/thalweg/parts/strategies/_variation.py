"""Children of pairs on any space: the operators of `_operators`, each for the columns it is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.batch import Floats
from ...core.errors import StrategyError
from ._operators import (
    Columns,
    flip,
    insert_keys,
    order_crossover,
    polynomial_mutation,
    redraw,
    reverse_keys,
    sbx,
    step,
    swap_keys,
    uniform_crossover,
)

if TYPE_CHECKING:
    from ...core.space import Space


@dataclass(frozen=True, eq=False)
class Variation:
    """How pairs become children: made for a space with `Variation.of`.

    crossover: chance that a pair is crossed.  rate: chance of a gene to be mutated; a permutation is one gene.
    eta_crossover, eta_mutation: distribution indices of SBX and polynomial mutation.
    """

    space: Space
    columns: Columns
    crossover: float
    rate: float
    eta_crossover: float
    eta_mutation: float

    @classmethod
    def of(
        cls, space: Space, crossover: float, mutation: float | None, eta_crossover: float, eta_mutation: float
    ) -> Variation:
        """For `space`; mutation None: one over the number of genes."""
        columns = Columns.of(space)
        genes = len(columns.metric) + len(columns.unordered) + len(columns.masks) + len(columns.orders)
        rate = 1.0 / max(genes, 1) if mutation is None else mutation
        return cls(space, columns, crossover, rate, eta_crossover, eta_mutation)

    def children(self, first: Floats, second: Floats, rng: np.random.Generator) -> Floats:
        """(2 k, D) snapped, feasible points of parents (k, D) and (k, D); those of pair i are rows 2 i and 2 i + 1."""
        crossed = (rng.random(len(first)) < self.crossover)[:, None]
        left, right = self._crossed(first, second, rng)
        left, right = np.where(crossed, left, first), np.where(crossed, right, second)
        pairs = np.stack([left, right], axis=1).reshape(2 * len(first), first.shape[1])
        return self.space.snap(self.space.repair(self._mutated(pairs, rng), rng))

    def _crossed(self, first: Floats, second: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        metric = self.columns.metric
        one, two = uniform_crossover(first, second, rng)
        if len(metric):
            one[:, metric], two[:, metric] = sbx(first[:, metric], second[:, metric], rng, self.eta_crossover)
        for block in self.columns.orders:
            one[:, block], two[:, block] = order_crossover(first[:, block], second[:, block], rng)
        return one, two

    def _mutated(self, points: Floats, rng: np.random.Generator) -> Floats:
        columns, rate = self.columns, self.rate
        hit = rng.random(points.shape) < rate
        smooth = columns.metric[np.isinf(columns.levels[columns.metric])]
        ordered = columns.ordered[columns.levels[columns.ordered] > 1]
        if len(smooth):
            points[:, smooth] = polynomial_mutation(points[:, smooth], rng, self.eta_mutation, rate)
        if len(ordered):
            levels = columns.levels[ordered]
            points[:, ordered] = step(points[:, ordered], levels, rng, hit[:, ordered], 1.0 + 0.05 * levels)
        if len(columns.unordered):
            labels = columns.unordered
            points[:, labels] = redraw(points[:, labels], columns.levels[labels], rng, hit[:, labels])
        if len(columns.masks):
            points[:, columns.masks] = flip(points[:, columns.masks], hit[:, columns.masks])
        for block in columns.orders:
            chosen = np.flatnonzero(rng.random(len(points)) < rate)
            move = (swap_keys, reverse_keys, insert_keys)[rng.integers(3)]
            points[np.ix_(chosen, block)] = move(points[np.ix_(chosen, block)], rng)
        return points


def check_variation(
    crossover_prob: float, mutation_prob: float | None, eta_crossover: float, eta_mutation: float
) -> None:
    """The options that strategies share.

    Raises:
        StrategyError: a chance that is none, or an index below 0.
    """
    for name, value in (("crossover_prob", crossover_prob), ("mutation_prob", mutation_prob)):
        if value is not None and not 0 <= value <= 1:
            raise StrategyError(f"{name} is a chance in [0, 1], got {value!r}")
    if min(eta_crossover, eta_mutation) < 0:
        raise StrategyError(f"eta_crossover and eta_mutation are >= 0, got {eta_crossover!r} and {eta_mutation!r}")
