"""Grid search: every combination of values once, found by index, never listed; spread out when the budget is smaller.

Cells are visited by stepping a stride that shares no divisor with their number N, i_k = (i_0 + k s) mod N: every cell
comes exactly once without a memory of the others, and the first rows form a rank-1 lattice (N. M. Korobov, 1959); the
stride is the one of a few candidates whose first rows have the smallest discrepancy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ...core.batch import Answers, Floats
from ...core.branches import Branches
from ...core.errors import StrategyError
from ...core.parameter import Parameter
from ...core.strategy import MANY, Abilities, Strategy
from ...numerics.quasi_random import centred_discrepancy, coprime_stride
from ._seen import Seen

_BLOCK = 1024
_CANDIDATES = 64
_JUDGED = 48
_GOLDEN = (math.sqrt(5) - 1) / 2


@final
class Grid(Strategy):
    """Every cell of a grid once.

    points: values per continuous column (all of them, or {name: count}); integer and stepped parameters with more
    values than that are thinned evenly too if named. Default for continuous columns: as many as fit the budget.

    A budget below the number of cells gives that many cells, spread over the space. `done` at the end.

    Raises:
        StrategyError: a number of points below 1, or for a parameter the space does not have.
    """

    abilities = Abilities(objectives=MANY)

    def __init__(self, points: int | Mapping[str, int] | None = None) -> None:
        counts = [] if points is None else list(points.values()) if isinstance(points, Mapping) else [points]
        if any(isinstance(count, bool) or int(count) != count or count < 1 for count in counts):
            raise StrategyError(f"grid: points is a whole number >= 1 or {{name: number}}, got {points!r}")
        self.points: Any = dict(points) if isinstance(points, Mapping) else points

    def begin(self) -> None:
        """Lay out the axes and choose the walk."""
        space = self.problem.space
        named = self.points if isinstance(self.points, dict) else {}
        unknown = sorted(set(named) - set(space.names))
        if unknown:
            raise StrategyError(f"grid: points for {unknown}, but the space has {list(space.names)}")
        self.counts = self._axes(named)
        branches = self._branches
        self.cells = math.prod(self.counts) if branches is None else branches.size
        self._place = sum((count // 2) * math.prod(self.counts[:i]) for i, count in enumerate(self.counts))
        self._place = self._place if branches is None else self.cells // 2
        self._step = self._best_stride(min(self.limit, _JUDGED))
        self._walked = 0
        self._given = 0
        self.seen = Seen(on=space.conditional)
        self._buffer: Floats = np.empty((0, self.dimension))

    @property
    def _branches(self) -> Branches | None:
        """What is walked through instead of combinations that are mostly the same point."""
        parameters = self.problem.space.parameters.values()
        whole = all(count == item.count for count, item in zip(self.counts, parameters, strict=True))
        return self.problem.space.branches if whole else None

    @property
    def limit(self) -> int:
        """Cells to visit; a budget that is raised later visits more of the same grid."""
        return self.cells if self.budget is None else min(self.cells, self.budget)

    def _axes(self, named: dict[str, int]) -> list[int]:
        """Values per column group: one number per parameter (its count, or points ** width)."""
        space = self.problem.space
        counts: list[int] = []
        open_axes: list[int] = []
        for i, (name, parameter) in enumerate(space.parameters.items()):
            total = parameter.count
            if total is None:
                per_column = named.get(name, self.points if isinstance(self.points, int) else 0)
                if not per_column:
                    open_axes.append(i)
                counts.append(int(per_column or 1) ** parameter.width)
            else:
                counts.append(min(total, named[name]) if name in named and parameter.width == 1 else total)
        widths = [parameter.width for parameter in space.parameters.values()]
        fixed = math.prod(count for i, count in enumerate(counts) if i not in open_axes)
        for i, per_column in zip(open_axes, self._shares(fixed, [widths[i] for i in open_axes]), strict=True):
            counts[i] = per_column ** widths[i]
        return counts

    def _shares(self, fixed: int, widths: list[int]) -> list[int]:
        """Points per column of each open axis: 10 without a budget, else the most whose product fits."""
        if not widths:
            return []
        if self.budget is None:
            return [10] * len(widths)
        # with more finite combinations than the budget the walk cuts the grid anyway: then three values, not one
        floor = 1 if fixed == 1 else 3
        shares = [self._even_share(fixed, sum(widths), floor)] * len(widths)
        grown = True
        while grown:
            grown = False
            for i in range(len(shares)):
                shares[i] += 1
                if fixed * math.prod(s**w for s, w in zip(shares, widths, strict=True)) <= self.budget:
                    grown = True
                else:
                    shares[i] -= 1
        return shares

    def _even_share(self, fixed: int, columns: int, floor: int) -> int:
        """The most points, at least `floor`, that each of so many columns can have within the budget."""
        low, high = floor, max(floor, self.budget or floor) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fixed * middle**columns <= (self.budget or 0) else (low, middle)
        return low

    def _best_stride(self, rows: int) -> int:
        """The stride whose first `rows` cells are spread most evenly; ties go to the golden one."""
        # integer arithmetic: a grid may have more cells than a float64 can count
        fractions = [int((k * _GOLDEN % 1.0) * 2**53) for k in range(1, _CANDIDATES + 1)]
        strides = list(dict.fromkeys(coprime_stride(self.cells, self.cells * part >> 53) for part in fractions))
        axes = [i for i, count in enumerate(self.counts) if count > 1]
        if rows < 2 or len(strides) < 2 or not axes or self._branches is not None:
            return strides[0]

        def unevenness(stride: int) -> float:
            digits = self._digits(self._indices(0, rows, stride))
            return centred_discrepancy(np.stack([(digits[i] + 0.5) / self.counts[i] for i in axes], axis=1))

        return min(strides, key=unevenness)

    def _indices(self, first: int, rows: int, stride: int) -> NDArray[Any]:
        """Cells first .. first + rows - 1 of the walk; Python integers where int64 could overflow."""
        start = (self._place + first * stride) % self.cells
        if self.cells < 2**52:
            return (start + np.arange(rows, dtype=np.int64) * stride) % self.cells
        return np.array([(start + k * stride) % self.cells for k in range(rows)], dtype=object)

    def _digits(self, index: NDArray[Any]) -> list[Floats]:
        digits = []
        for count in self.counts:
            digits.append((index % count).astype(np.float64))
            index = index // count
        return digits

    def _points_at(self, index: NDArray[Any]) -> Floats:
        """Snapped points of cells."""
        space, branches = self.problem.space, self._branches
        if branches is not None:
            return branches.points(index)
        points = np.empty((len(index), self.dimension))
        for (name, block), count in zip(space.blocks, self.counts, strict=True):
            points[:, block] = _axis(space.parameters[name], count, index % count)
            index = index // count
        return space.snap(points)

    def _more(self) -> None:
        """Fill the buffer with the next cells that are feasible and new."""
        space = self.problem.space
        while not len(self._buffer) and self._walked < self.cells:
            rows = min(_BLOCK, self.cells - self._walked)
            points = self._points_at(self._indices(self._walked, rows, self._step))
            self._walked += rows
            if space.constrained:
                _, reals, active = space.resolve(points)
                points = points[space.feasible(reals, active)]
            if self.seen.on and len(points):
                points = self.seen.unseen(points)
            self._buffer = points

    # --- the seam -------------------------------------------------------------------------------------------------

    @property
    def stride(self) -> int:
        """Nothing needs to be heard."""
        return max(min(_BLOCK, self.limit - self._given), 1)

    @property
    def done(self) -> bool:
        """Whether the grid or the budget is used up."""
        return self._given >= self.limit or (self._walked >= self.cells and not len(self._buffer))

    @property
    def why(self) -> str:
        """Where the walk stands."""
        if not self.done:
            return f"{self._given} of {self.limit} cells"
        if self._given >= self.cells:
            return f"all {self.cells} cells of the grid were proposed"
        if self._given >= self.limit:
            return f"{self._given} of the grid's {self.cells} cells were proposed: the budget"
        return f"all {self._given} different cells of the grid that are feasible and new were proposed"

    def propose(self, n: int) -> Floats:
        """The next cells of the walk."""
        parts = []
        n = min(n, self.limit - self._given)
        while n > 0:
            self._more()
            if not len(self._buffer):
                break
            rows, self._buffer = self._buffer[:n], self._buffer[n:]
            parts.append(rows)
            self._given += len(rows)
            n -= len(rows)
        if not len(self._buffer) and self._given < self.limit:
            self._more()  # so that `done` is known at once
        return np.concatenate(parts) if parts else np.empty((0, self.dimension))

    def learn(self, answers: Answers) -> None:
        """Nothing: the cells are fixed beforehand."""

    def absorb(self, answers: Answers) -> None:
        """Cells that were evaluated elsewhere are left out."""
        self.seen.on = True
        self.seen.add(answers.points)
        if len(self._buffer):
            known = Seen(on=True)
            known.add(answers.points)
            self._buffer = self._buffer[~known.contains(self._buffer)]
        if not len(self._buffer):
            self._more()


def _axis(parameter: Parameter, count: int, index: NDArray[Any]) -> Floats:
    """(n, width) unit columns of the values with these indices (n,) of an axis with `count` values."""
    if parameter.count is None:
        per_column = round(count ** (1 / max(parameter.width, 1)))
        columns = np.empty((len(index), parameter.width))
        for j in range(parameter.width):
            digit = (index % per_column).astype(np.float64)
            columns[:, j] = digit / (per_column - 1) if per_column > 1 else 0.5
            index = index // per_column
        return columns
    if count < parameter.count:  # thinned: evenly spaced values, both ends included
        last = parameter.count - 1
        middle = np.full(len(index), last // 2)
        index = np.rint(index.astype(np.float64) * (last / (count - 1))).astype(np.int64) if count > 1 else middle
    return parameter.to_unit(parameter.cells(index))
