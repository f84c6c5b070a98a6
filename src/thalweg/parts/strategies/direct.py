"""DIRECT (DIviding RECTangles): deterministic global search; all boxes of an iteration are divided in one batch.

Direct: D. R. Jones, C. D. Perttunen, B. E. Stuckman, JOTA 79 (1993) 157-181, doi:10.1007/BF00941892.
DirectL: J. M. Gablonsky, C. T. Kelley, J. Global Optim. 21 (2001) 27-37, doi:10.1023/A:1017930332101: a box's size is
its longest side, and one box per size is divided; stronger where there are few local minima.

The unit cube is cut into boxes with one evaluated point each, the centre. An iteration divides the potentially optimal
boxes (those on the lower right convex hull of the cloud (size, value)) into thirds along their longest sides. An
iteration has some ten boxes, so the books are heaps, bytes and floats: array calls on so few numbers took longer. Only
points are arrays.

- Discrete columns: a side is a range of cells, divided into about thirds; one cell is not divided. No point comes
  twice, and a finite space ends with `done`. Unordered choices have no thirds that mean anything: their listed order
  is used.
- Conditions and random keys: a child that is the same point as an earlier one takes that one's value.
- Requirements: a centre that misses one is not evaluated but counts as failed: the search closes in from outside.
- Failed points get the smallest value among their parent and siblings, a little raised (Gablonsky's thesis, NC State
  2001, does so with a larger neighbourhood); points that violate a measured constraint lie above all that do not.
- Rows wanted while an iteration is out: boxes are begun and finished one by one. With 8 workers the area under the
  curve over time is 5 to 10 % larger than when all wait (DIRECT-L: from 3 % smaller to 6 % larger); the next iteration
  as a whole did worse than waiting. Where conditions or random keys give points twice, workers wait.
"""

from __future__ import annotations

import heapq
import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.parameter import KEY, ORDERED, UNORDERED
from ...core.strategy import Strategy
from ._boxes import Division, lower_hull, thirds
from ._operators import cell_centres

DEEPEST = 33
"""Sides of 3^-33 are as small as float64 can tell apart; they are not divided."""
_WHOLE = 99  # the depth of a side that cannot be divided
_BARREN = 10_000  # children in a row that are all known points, after which it only repeats itself
_PATIENCE = 20  # such iterations after which infeasible centres are evaluated all the same (the engine repairs them)
_TWINS = 4  # further boxes of one size and value that are divided while nothing new comes
_SIDES = [3.0**-depth if depth < DEEPEST else 0.0 for depth in range(128)]
_SQUARES = [side * side for side in _SIDES]
_OWN, _NONE, _INFEASIBLE = -1, -2, -3


class _Dividing(Strategy):
    """What Direct and DirectL share; they differ in what a size is and in how many boxes of one size are divided."""

    ties = False
    """Whether all boxes of a size that share the smallest value are divided, not only the oldest."""

    def __init__(self, *, epsilon: float = 1e-4) -> None:
        if not 0 <= epsilon < math.inf:
            raise StrategyError(f"epsilon is the relative gain >= 0 that a division must promise, got {epsilon!r}")
        self.epsilon = float(epsilon)
        # made anew by begin and restore, therefore no part of the state
        self._heaps: dict[float, list[tuple[float, int]]] = {}
        self._known: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._tables: list[Floats | None] = []
        self._remembers = False
        self._depths: list[bytes] = []
        self._ranges: list[tuple[int, ...]] = []

    @abstractmethod
    def measure(self, row: bytes | bytearray) -> float:
        """The size of a box with these depths of its sides; 0: it cannot be divided."""

    # --- begin ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """One box: the whole cube."""
        space, d = self.problem.space, self.dimension
        self._heaps, self._known, self._depths, self._ranges, self._keys = {}, {}, [], [], []
        tables = cell_centres(space)
        self._tables = tables if any(table is not None for table in tables) else []
        without = np.array([table is None for table in tables], dtype=np.bool_)
        unlisted = ((space.kinds == ORDERED) | (space.kinds == UNORDERED)) & without
        self._remembers = space.conditional or bool((space.kinds == KEY).any() or unlisted.any())
        self.count = 0
        self.centres = np.empty((64, d))
        self.values: list[float] = []
        self.merits: list[float] = []
        self.least, self.worst, self.floor = math.inf, -math.inf, math.inf
        self.violated = False
        self.ended = ""
        self.turn = -1  # of the boxes beside an iteration
        root = np.array([[0.5 if table is None else table[(len(table) - 1) // 2] for table in tables]])
        self.divisions = [self._screened(Division(points=root, merits=np.empty(1)), barren=_PATIENCE)]

    @property
    def stride(self) -> int:
        """Children that are left in this iteration."""
        return max(sum(work.size - work.given for work in self.divisions), 1)

    @property
    def all_out(self) -> bool:
        """All children were given, and not all of them are told."""
        return self._given and not all(work.complete for work in self.divisions)

    @property
    def _given(self) -> bool:
        return all(work.given == work.size for work in self.divisions)

    @property
    def speculates(self) -> bool:
        """The iteration is out, and the next boxes are begun for who asks for more."""
        return self.all_out and not self._remembers

    @property
    def done(self) -> bool:
        """Whether nothing is left to divide."""
        return bool(self.ended)

    @property
    def why(self) -> str:
        """Why it is done."""
        return self.ended

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Children of the iteration's boxes; while some of them are not told, of the next best boxes one by one."""
        if self._given and not (self._remembers and self.all_out):
            self._advance()
        work = next((work for work in self.divisions if work.given < work.size), None)
        if work is None:
            return np.empty((0, self.dimension))
        start = work.given
        if start == 0:
            work.first = self.next_ticket
        work.given = min(start + n, work.size)
        return work.points[start : work.given] if work.asked is None else work.points[work.asked[start : work.given]]

    def _advance(self) -> None:
        """Finish what is known and begin new divisions until there is something to evaluate."""
        barren = known = 0
        while known < _BARREN and barren < _BARREN // 10:
            for work in [work for work in self.divisions if work.complete]:
                self._finish(work)
                self.divisions.remove(work)
            boxes = self._choose(barren > 1)
            if not boxes:
                if not self.divisions:
                    self.ended = "every box is a single cell: nothing is left to evaluate"
                return
            if self.divisions:  # some of it is not told
                boxes = [self._next(boxes)]
            work = self._divide(boxes, barren)
            self.divisions.append(work)
            if work.size:
                return
            barren, known = barren + 1, known + len(work.points)
        self.ended = f"{known} boxes in a row gave no new point"

    def _next(self, boxes: list[int]) -> int:
        """One of the potentially optimal boxes, beside an iteration that is out; the others go back on their heaps.

        By turns the smallest, near the best value known, and each of them, which go round.
        """
        self.turn += 1
        box = boxes[-1 - (self.turn // 2 % len(boxes) if self.turn % 2 else 0)]
        self._push(other for other in boxes if other != box)
        return box

    def _choose(self, barren: bool = False) -> list[int]:
        """The potentially optimal boxes, taken off their heaps (Jones 1993, definition 3.1); more when `barren`."""
        heaps = self._heaps
        hull = lower_hull(heaps)
        boxes: list[int] = []
        goal = self.floor - self.epsilon * abs(self.floor)
        for i, (size, value) in enumerate(hull):
            if i:
                larger, above = hull[i - 1]
                if value - (above - value) / (larger - size) * size > goal:
                    break  # even with the largest K for which it is optimal; smaller boxes promise still less
            heap = heaps[size]
            boxes.append(heapq.heappop(heap)[1])
            ties = len(heap) if self.ties and not self._remembers else _TWINS if barren else 0
            while ties and heap and heap[0][0] == value:
                ties -= 1
                boxes.append(heapq.heappop(heap)[1])
            if not heap:
                del heaps[size]
        return boxes

    def _divide(self, boxes: list[int], barren: int) -> Division:
        """The children of `boxes` along their longest sides."""
        d = self.dimension
        parents: list[int] = []
        shifts: list[float] = []
        own: list[int] = []  # where a child's own column is, in the flat points
        sides: list[list[int]] = []
        start = 0
        for box in boxes:
            row = self._depths[box]
            shallow = min(row)
            shift = _SIDES[shallow + 1]
            dims = [j for j, depth in enumerate(row) if depth == shallow]
            sides.append(dims)
            for j in dims:
                parents += (box, box)
                own += (start + j, start + j + d)
                shifts += (-shift, shift)
                start += 2 * d
        points = self.centres[parents]
        points.reshape(-1)[own] += shifts
        work = Division(boxes, sides, points, np.empty(len(points)), size=len(points))
        if self._tables:
            self._divide_cells(work)
        if self._remembers or self.problem.space.constrained or work.twins is not None:
            return self._screened(work, barren)
        return work

    def _divide_cells(self, work: Division) -> None:
        """Discrete sides: cells first..last become about three ranges, the middle one keeps the centre's cell."""
        place = 0
        missing: list[int] = []
        for box, dims in zip(work.boxes, work.sides, strict=True):
            for j in dims:
                table = self._tables[j]
                if table is None:
                    work.thirds += (None, None)
                else:
                    first, last = self._ranges[box][2 * j : 2 * j + 2]
                    ends = thirds(first, last, int(table.searchsorted(self.centres[box, j])))
                    work.thirds += ends
                    for i, (start, stop) in enumerate(ends, place):
                        if start > stop:
                            missing.append(i)
                        else:
                            work.points[i, j] = table[(start + stop) // 2]
                place += 2
        if missing:
            work.twins = np.full(len(work.points), _OWN)
            work.twins[missing] = _NONE

    def _screened(self, work: Division, barren: int) -> Division:
        """Decide which places are evaluated: not missing ones, not infeasible ones, not points that are known."""
        space = self.problem.space
        if self._remembers or space.constrained:
            twins = work.twins = np.full(len(work.points), _OWN) if work.twins is None else work.twins
            snapped, reals, active = space.resolve(work.points)
            if space.constrained and barren < _PATIENCE:
                twins[~space.feasible(reals, active) & (twins == _OWN)] = _INFEASIBLE
            if self._remembers:
                self._recall(work, snapped, twins)
        if work.twins is not None:
            work.asked = np.flatnonzero(work.twins == _OWN)
            if self._remembers:
                work.asked = work.asked[np.isnan(work.merits[work.asked])]
        work.size = len(work.points) if work.asked is None else len(work.asked)
        return work

    def _recall(self, work: Division, snapped: Floats, twins: Ints) -> None:
        """Known points keep their merit (NaN marks the others); the same point twice in a batch is evaluated once."""
        work.merits[:] = np.nan
        batch: dict[bytes, int] = {}
        self._keys = keys = [row.tobytes() for row in snapped]
        for place in np.flatnonzero(twins == _OWN).tolist():
            key = keys[place]
            box = self._known.get(key)
            if box is not None:
                work.merits[place] = self.merits[box]
            elif key in batch:
                twins[place] = batch[key]
            else:
                batch[key] = place

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Note merits by place; the next ask does the rest."""
        if len(self.divisions) == 1:
            work = self.divisions[0]
            places = answers.tickets - work.first
            work.merits[places if work.asked is None else work.asked[places]] = answers.merit()
            work.heard += len(answers)
            return
        for ticket, merit in zip(answers.tickets.tolist(), answers.merit().tolist(), strict=True):
            work = next(work for work in self.divisions if work.first <= ticket < work.first + work.given)
            place = ticket - work.first
            work.merits[place if work.asked is None else work.asked[place]] = merit
            work.heard += 1

    def _finish(self, work: Division) -> None:
        """Divide the boxes whose children are known: the best child's side first, so that it gets the largest box."""
        if work.twins is not None:
            same = np.flatnonzero(work.twins >= 0)
            work.merits[same] = work.merits[work.twins[same]]
            work.merits[work.twins < _OWN] = np.inf
        values = self._values(work)
        if not work.boxes:  # the first point
            tables = self._tables or [None] * self.dimension
            ends = [(0, 0 if table is None else len(table) - 1) for table in tables]
            row = bytes(0 if level > 1 else _WHOLE for level in self.problem.space.levels)
            self._add(work, values, [row], [sum(ends, ())] if self._tables else [], [0])
            return
        rows: list[bytes] = [b""] * len(values)
        ranges: list[tuple[int, ...]] = [()] * len(values) if self._tables else []
        place = 0
        for box, dims in zip(work.boxes, work.sides, strict=True):
            left = bytearray(self._depths[box])
            cells = list(self._ranges[box]) if self._tables else []
            pairs = [(min(values[i], values[i + 1]), i) for i in range(place, place + 2 * len(dims), 2)]
            for _, i in sorted(pairs) if len(pairs) > 1 else pairs:
                j = dims[(i - place) // 2]
                left[j] += 1
                if cells:
                    rows[i], rows[i + 1], ranges[i], ranges[i + 1] = self._cut(work, left, cells, j, i)
                else:
                    rows[i] = rows[i + 1] = bytes(left)
            self._depths[box] = bytes(left)
            if cells:
                self._ranges[box] = tuple(cells)
            place += 2 * len(dims)
        self._push(work.boxes)
        kept = range(len(values)) if work.twins is None else np.flatnonzero(work.twins != _NONE).tolist()
        self._add(work, values, rows, ranges, kept)

    def _cut(
        self, work: Division, left: bytearray, cells: list[int], j: int, place: int
    ) -> tuple[bytes, bytes, tuple[int, ...], tuple[int, ...]]:
        """Cut what is left of a box along column j: depths and cells of both children; `left` and `cells` shrink."""
        below, above = work.thirds[place], work.thirds[place + 1]
        if below is None or above is None:  # a continuous column
            row, same = bytes(left), tuple(cells)
            return row, row, same, same
        depth = left[j]
        made: list[tuple[bytes, tuple[int, ...]]] = []
        for first, last in (below, above, (below[1] + 1, above[0] - 1)):
            cells[2 * j : 2 * j + 2] = first, last
            left[j] = depth if last > first else _WHOLE
            made.append((bytes(left), tuple(cells)))
        return made[0][0], made[1][0], made[0][1], made[1][1]

    def _add(
        self,
        work: Division,
        values: list[float],
        rows: list[bytes],
        ranges: list[tuple[int, ...]],
        kept: Iterable[int],
    ) -> None:
        """Keep new boxes; the array of centres grows by doubling."""
        kept = list(kept)
        start, stop = self.count, self.count + len(kept)
        if stop > len(self.centres):
            grown = np.empty((2 * stop, self.dimension))
            grown[:start] = self.centres[:start]
            self.centres = grown
        self.count = stop
        if len(kept) == len(values):
            self.centres[start:stop] = work.points
            self.values += values
            self.merits += work.merits.tolist()
            self._depths += rows
            self._ranges += ranges
        else:
            self.centres[start:stop] = work.points[kept]
            self.values += [values[i] for i in kept]
            self.merits += work.merits[kept].tolist()
            self._depths += [rows[i] for i in kept]
            self._ranges += [ranges[i] for i in kept]
        self._push(range(start, stop))
        if self._remembers:
            self._remember(start, [self._keys[i] for i in kept] if len(self._keys) == len(values) else None)

    def _push(self, boxes: Iterable[int]) -> None:
        """Put boxes that can be divided on the heap of their size."""
        heaps, depths, values, last, size = self._heaps, self._depths, self.values, None, 0.0
        for box in boxes:
            row = depths[box]
            if row is not last:  # a pair of children shares its row
                size, last = self.measure(row), row
            if size > 0.0:
                heap = heaps.get(size)
                if heap is None:
                    heaps[size] = [(values[box], box)]
                else:
                    heapq.heappush(heap, (values[box], box))

    def _remember(self, start: int, keys: list[bytes] | None = None) -> None:
        keys = keys or [row.tobytes() for row in self.problem.space.snap(self.centres[start : self.count])]
        for box, key in enumerate(keys, start):
            self._known.setdefault(key, box)

    # --- values ---------------------------------------------------------------------------------------------------

    def _values(self, work: Division) -> list[float]:
        """What the search compares: merits, with finite stand-ins for points without one and for violating ones."""
        merits: list[float] = work.merits.tolist()
        good = [merit for merit in merits if merit < INFEASIBLE]
        if good:
            self.least = self.floor = min(self.least, *good)
            top = max(good)
            if top > self.worst:
                self.worst = top
                if self.violated:
                    self._lift()
        if len(good) == len(merits):
            return merits
        values: list[float] = []
        place = 0
        for box, dims in zip(work.boxes or [-1], work.sides or [[0]], strict=True):
            family = merits[place : place + 2 * len(dims)]
            parent = self.merits[box] if box >= 0 else math.inf
            nearest = min(parent, *family)
            for merit in family:
                values.append(merit if merit < INFEASIBLE else self._stand_in(merit, nearest))
            place += len(family)
        values = values[: len(merits)]
        if work.twins is not None:
            for place in np.flatnonzero(work.twins == _NONE).tolist():
                values[place] = math.inf
        if self.least == math.inf:
            self.floor = min(self.floor, *values)
        return values

    def _stand_in(self, merit: float, nearest: float) -> float:
        """A finite value for a failed or violating point; nearest: the smallest merit of its family."""
        worst, spread = (self.worst, self.worst - self.least) if self.least < math.inf else (0.0, 1.0)
        spread = max(spread, 1e-3 * abs(worst), 1e-9)
        if merit < math.inf:
            self.violated = True
            return worst + spread * (1e-3 + merit / INFEASIBLE - 1.0)
        if nearest < INFEASIBLE:
            return nearest + 1e-6 * max(abs(nearest), spread)
        return worst + 1.1 * spread

    def _lift(self) -> None:
        """A new worst value: violating points must stay above it."""
        for box, merit in enumerate(self.merits):
            if INFEASIBLE <= merit < math.inf:
                self.values[box] = self._stand_in(merit, merit)
        self._rebuild()

    def _rebuild(self) -> None:
        """The heaps from the boxes, without those that are being divided."""
        self._heaps = {}
        divided = {box for work in self.divisions for box in work.boxes}
        self._push(sorted(set(range(self.count)) - divided))

    # --- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The boxes as arrays; heaps and the memory of points are made from them again."""
        state = super().state()
        state["own"]["values"] = np.array(self.values)
        state["own"]["merits"] = np.array(self.merits)
        state["own"]["divisions"] = [work.columns() for work in self.divisions]
        state["own"]["centres"] = self.centres[: self.count].copy()
        state["depths"] = np.frombuffer(b"".join(self._depths), dtype=np.int8).copy()
        state["ranges"] = np.array(self._ranges, dtype=np.int64)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        super().restore(state)
        self.divisions = [Division(**columns) for columns in self.divisions]  # type: ignore[arg-type]
        self.values, self.merits = self.values.tolist(), self.merits.tolist()  # type: ignore[attr-defined]
        raw, d = state["depths"].tobytes(), self.dimension
        self._depths = [raw[i * d : (i + 1) * d] for i in range(self.count)]
        self._ranges = [tuple(row) for row in state["ranges"].tolist()]
        self._rebuild()
        self._known, self._keys = {}, []
        if self._remembers:
            self._remember(0)


class Direct(_Dividing):
    """DIRECT as published: a box's size is its half diagonal, all boxes that share a size's best value are divided.

    epsilon: a division must promise to beat the best value by this relative amount; larger = more global.
    """

    ties = True

    def measure(self, row: bytes | bytearray) -> float:
        """Half the diagonal; `fsum` gives equal sets of sides equal sizes in any order."""
        return 0.5 * math.sqrt(math.fsum([_SQUARES[depth] for depth in row]))


class DirectL(_Dividing):
    """DIRECT-L, locally biased: a box's size is half its longest side, one box per size is divided.

    epsilon: a division must promise to beat the best value by this relative amount; larger = more global.
    """

    def measure(self, row: bytes | bytearray) -> float:
        """Half the longest side."""
        return 0.5 * _SIDES[min(row)] if row else 0.0
