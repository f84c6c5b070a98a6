"""Global line searches along the axes, one for each column, from the best point known.

Where a function is a sum of functions of single columns, each of them can be searched by itself, however many valleys
it has: ten valleys in each of ten columns are 10^10 together, and a hundred one by one.

A line: S. Swarzberg, G. Seront, H. Bersini: S.T.E.P.: the easiest way to optimize a function, IEEE Conference on
Evolutionary Computation (1994) 519-524, doi:10.1109/ICEC.1994.349896. Divided is the interval between neighbours for
which the flattest parabola through its ends would do to get below the best value. Beside the best point the vertex of
the parabola through its neighbours is taken, and columns take turns: P. Baudis, P. Posik: Global line search algorithm
hybridized with quadratic interpolation and its extension to separable functions, GECCO 2015,
doi:10.1145/2739480.2754717. A line is left when only a valley much sharper than all that were seen could be better.

Beside the papers: samples of a line are kept as differences from the best point's value, so that they stay true, in a
sum, when the best point moves in other columns. Whether the function is a sum is measured by exchanging columns between
two low points a and b: then f(a with half of b's) + f(b with half of a's) = f(a) + f(b). A line begins with the ends of
the box and the vertex of the parabola through them, and is left at once where a parabola explains it: a bowl is known
after three evaluations for each column, one column after the other. What rows that were under way together have found
in different columns is joined in one row.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ._seen import Seen

_FIRST = 3  # samples of a line that do not depend on their values: itself, and the ends of the box
_END = 0.05  # of the box: a sample that near to its end stands for it
_LEAST = 5  # samples of a line before it may be left, unless a parabola explains it
_EXPLAINED = 0.1  # of the gain that is searched for: the largest error of a parabola that explains a line
_SHARPER = 4.0  # times the sharpest curvature seen: a valley that a line is not searched for
_HIGHEST = 1e6  # times what is typical of a line: values above it are all the same
_ROUNDING = 1e-12  # of what is typical of a line: gains below it are no gains
_FINER = 0.01  # what the tolerance is multiplied by when all lines have been left
_FINEST = 1e-9  # the last tolerance, and the narrowest interval
_SAME = 0.03  # of the box: a better foreign point has not left its place in a column
_APART = 0.1  # of the box, in the column where it is most: low points farther apart may be of different valleys
_LOW = 16  # low points that are remembered
_TESTS = 2  # exchanges that must hold
# instead of a line: a first point, an exchange's, one to exchange with, what several lines have found, a known sum
_CENTRE, _SWAP, _SCOUT, _JOINED, _CHECK = -1, -2, -3, -4, -5


@final
class Axes(Strategy):
    """Line searches along all columns in turn: many valleys, columns that hardly depend on each other.

    tolerance: the gain that is searched for first, in shares of a line's median height above its lowest sample.
    tested: exchange columns between two low points first, and end where that shows that columns are not independent.
    holds: the largest error of an exchange between columns that are independent, in shares of the differences in it.
    restarts: from a random point on when the finest search has found nothing more; False: it is done.

    `confidence` is one less the error of the exchanges, from when they have held until all lines have been left once.

    Raises:
        StrategyError: a tolerance, or holds, outside (0, 1).
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(
        self, *, tolerance: float = 0.01, tested: bool = False, restarts: bool = True, holds: float = 0.01
    ) -> None:
        if not 0 < tolerance < 1:
            raise StrategyError(f"axes: tolerance is a share in (0, 1), got {tolerance!r}")
        if not 0 < holds < 1:
            raise StrategyError(f"axes: holds is a share in (0, 1), got {holds!r}")
        self.tolerance, self.holds = float(tolerance), float(holds)
        self.tested, self.restarts = bool(tested), bool(restarts)

    def begin(self) -> None:
        """The first point is asked for at the first ask, when foreign ones may be known."""
        levels = np.asarray(self.problem.space.levels)
        self.columns = np.flatnonzero(levels > 1)
        self.cells = np.where(np.isinf(levels), 0.0, 1.0 / np.maximum(levels, 1.0))[self.columns]
        self.seen = Seen.of(self.problem)
        self.point, self.height = np.full(self.dimension, 0.5), math.inf
        self.share = self.tolerance
        self.out: list[tuple[int, int, float]] = []  # ticket, line (or what instead), the height that it starts from
        # exchanges
        self.low: Floats = np.empty((0, self.dimension))  # the lowest points known that are apart, in order
        self.lows: Floats = np.empty(0)
        self.pair: Floats = np.empty((0, self.dimension))  # rows that were not given yet
        self.swaps: list[float] = []  # values: of both points, and of what was made of them
        self.held = 0 if self.tested and len(self.columns) > 1 else _TESTS
        self.kept = float(self.tested and len(self.columns) == 1)  # one less the largest error
        self.ended = ""
        self._sweep()

    def _sweep(self) -> None:
        """Lines through the best point, of which nothing else is known; its own place comes first in each."""
        self.places = [[place] for place in self.point[self.columns].tolist()]
        self.heights = [[0.0] for _ in self.places]
        self.sharpest = [0.0] * len(self.places)  # the sharpest curvature seen, in shares of what is typical of a line
        self._again()

    def _again(self) -> None:
        """All lines are open, and wait for their turns."""
        self.left = [False] * len(self.columns)
        self.queue: list[int] = []
        self.gained = False
        self.joins = True  # what several lines have found has not yet been worse together
        self.sum: bool | None = None  # whether samples of several lines add up; None: nobody knows since the last gain
        self.expected = math.inf

    @property
    def confidence(self) -> float:
        """How far the function is a sum, by its exchanges, while all lines are searched for the first time."""
        return self.kept if self.held == _TESTS and self.share == self.tolerance else 0.0

    @property
    def done(self) -> bool:
        """Whether it has ended, or a finite space has no new point."""
        return bool(self.ended) or self.seen.exhausted

    @property
    def stride(self) -> int:
        """Samples that do not depend on each other's answers: both ends of a line, then one of each line."""
        if self.held < _TESTS or math.isinf(self.height) or not self.joins:
            return 1
        known = [len(places) for places, left in zip(self.places, self.left, strict=True) if not left]
        return 2 if any(count <= _FIRST for count in known) else max(len(known), 1)

    @property
    def all_out(self) -> bool:
        """Every open line, or what comes before lines, has a row out."""
        busy = {line for _, line, _ in self.out}
        return bool(busy) and not len(self.pair) and (min(busy) < 0 or len(busy) >= self.left.count(False))

    @property
    def speculates(self) -> bool:
        """Every row begins at the best point so far."""
        return True

    @property
    def why(self) -> str:
        """Why it is done, or how many lines are searched."""
        if self.seen.exhausted:
            return "every point of the space was proposed"
        return self.ended or f"{self.left.count(False)} columns to search, tolerance {self.share:.1g}"

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """A sample of each of the next lines."""
        rows, lines = self._rows(n)
        if not lines:
            return np.empty((0, self.dimension))
        points, kept = self.seen.fresh(np.array(rows), self.problem.space, self.rng)
        lines = np.array(lines)[kept].tolist()
        self.out += [(self.next_ticket + i, line, self.height) for i, line in enumerate(lines)]
        return points

    def _rows(self, n: int) -> tuple[list[Floats], list[int]]:
        """(Up to n rows (D,), the line of each)."""
        busy = {line for _, line, _ in self.out}
        if busy & {_CENTRE, _SCOUT}:
            return [], []
        if math.isinf(self.height):
            return [self.point], [_CENTRE]
        if self.held < _TESTS:
            return self._exchange(n, _SWAP in busy)
        rows: list[Floats] = []
        lines: list[int] = []
        if self.joins:
            better = [line for line in range(len(self.places)) if line not in busy and self._better(line)]
            if better and _JOINED not in busy:
                rows, lines = [self._join(better)], [_JOINED]
            busy.update(better)
        while len(rows) < n:
            line = self._turn(busy)
            if line < 0:
                if lines or busy:
                    break
                check = self._added()
                if check is not None:
                    return [check], [_CHECK]
                if not self._onwards():
                    break
                if math.isinf(self.height):
                    return [self.point], [_CENTRE]
                continue
            place = self._place(line)
            if place is None:
                self.left[line] = True
                continue
            ends = self._ends(line)[: n - len(rows)]  # one is worth knowing whatever the other says
            for at in ends if len(ends) > 1 else [place]:
                row = self.point.copy()
                row[self.columns[line]] = at
                rows.append(row)
                lines.append(line)
            busy.add(line)
        return rows, lines

    def _better(self, line: int) -> bool:
        """Whether the line has a sample that was better than the best point now is, from where it began."""
        heights = self.heights[line]
        return min(heights) < -_ROUNDING * max(abs(height) for height in heights if height < math.inf)

    def _join(self, better: list[int]) -> Floats:
        """The best point with the lowest samples of these lines."""
        row = self.point.copy()
        for line in better:
            heights = self.heights[line]
            row[self.columns[line]] = self.places[line][heights.index(min(heights))]
        return row

    def _exchange(self, n: int, waiting: bool) -> tuple[list[Floats], list[int]]:
        """The best point with some columns of another low one, and the other way round."""
        if not len(self.pair) and not waiting:
            if len(self.low) < 2:
                return [self.problem.space.sample(1, self.rng)[0]], [_SCOUT]
            other = min(1 + self.held, len(self.low) - 1)
            columns = self.rng.permutation(self.columns)[: len(self.columns) // 2]
            self.pair = self.low[[0, other]]
            self.pair[0, columns], self.pair[1, columns] = self.low[other, columns], self.low[0, columns]
            self.swaps = [float(self.lows[0]), float(self.lows[other])]
        rows, self.pair = list(self.pair[:n]), self.pair[n:]
        return rows, [_SWAP] * len(rows)

    def _turn(self, busy: set[int]) -> int:
        """The line whose turn it is, of those that have no row out; -1: none.

        One that has begun goes on until a parabola may have explained it: what is known of few columns is a gain,
        what is guessed of all is none.
        """
        for line, (places, left) in enumerate(zip(self.places, self.left, strict=True)):
            if 1 < len(places) <= _FIRST and not left and line not in busy:
                return line
        if all(line in busy for line in self.queue):
            waiting = [line for line, left in enumerate(self.left) if not left and line not in self.queue]
            self.queue += self.rng.permutation(np.array(waiting, dtype=np.int64)).tolist()
        line = next((line for line in self.queue if line not in busy), -1)
        if line >= 0:
            self.queue.remove(line)
        return line

    def _onwards(self) -> bool:
        """What to do when all lines have been left; False: nothing."""
        if self.gained and not (self.kept or self.sum):  # from another point lines may look otherwise
            self._sweep()
        elif self.share > _FINEST:
            self.share *= _FINER
            self._again()
        elif self.restarts:
            self.share = self.tolerance
            self.point, self.height = self.problem.space.sample(1, self.rng)[0], math.inf
            self._sweep()
        else:
            self.ended = "no column has a better value"
        return not self.ended

    def _added(self) -> Floats | None:
        """A row that moves half of the columns away from the best point, to samples of their lines; None: no need.

        In a sum their heights add up, and what is known of the lines stays true wherever the best point is.
        """
        if not self.gained or self.kept or self.sum is not None:
            return None
        self.sum = False
        row, known = self.point.copy(), 0.0
        movable = [line for line, heights in enumerate(self.heights) if len(heights) > 1]
        if len(movable) < 2:
            return None
        for line in self.rng.permutation(np.array(movable))[: (len(movable) + 1) // 2].tolist():
            height, at = min((height, i) for i, height in enumerate(self.heights[line]) if i)
            known += height
            row[self.columns[line]] = self.places[line][at]
        self.expected = self.height + known
        return row if 0 < known < math.inf else None

    # --- a line ---------------------------------------------------------------------------------------------------

    def _ends(self, line: int) -> list[float]:
        """The ends of the box that are far from every sample of the line, the farther one first."""
        ends = [(min(self.places[line]), 0.0), (1.0 - max(self.places[line]), 1.0)]
        return [end for far, end in sorted(ends, key=lambda item: -item[0]) if far > _END]

    def _place(self, line: int) -> float | None:
        """Where to sample a line next, None where it is not worth it."""
        places, heights = self.places[line], self.heights[line]
        if ends := self._ends(line):
            return ends[0]
        t, h = np.array(places), np.array(heights)
        typical = float(np.abs(h[np.isfinite(h)]).max())
        best = int(np.argmin(h))
        if h[best] < -_ROUNDING * typical:  # better, from where the line began
            heights.pop(best)
            return float(places.pop(best))
        order = np.argsort(t, kind="stable")
        t, h = t[order], np.clip(h[order], 0.0, typical)
        spread = float(np.median(h)) or typical
        width = np.diff(t)
        usable = width > max(1.01 * float(self.cells[line]), _FINEST)
        if not usable.any() or (not spread and len(t) >= _FIRST):
            return None
        if not spread:  # both ends may be alike, and what is between them not
            at = int(np.argmax(np.where(usable, width, 0.0)))
            return float(t[at] + width[at] * self.rng.uniform(0.4, 0.6))
        h = np.minimum(h / spread, _HIGHEST)
        valid = np.isfinite(heights)[order]
        if valid.sum() >= _FIRST:
            vertex, gain, error, far = _parabola(t[valid], h[valid])
            explained = far > _END and error <= _EXPLAINED * self.share
            if explained and not gain > max(error, _ROUNDING):
                return None
            apart = float(np.abs(t - vertex).min())
            if (explained or valid.sum() == _FIRST) and apart > max(1.01 * float(self.cells[line]), _FINEST):
                return vertex
        return self._easiest(line, t, h, np.where(usable, width, np.inf))

    def _easiest(self, line: int, t: Floats, h: Floats, width: Floats) -> float | None:
        """t: (k,) places in order; h: (k,) heights above the lowest, 1 is typical; width: (k - 1,) inf: too narrow.

        Few samples see no sharp valley: the median of what was seen in all lines counts as seen.
        """
        # k (x - m)^2 with its least value at the goal goes through both ends: k = ((sqrt(u) + sqrt(v)) / width)^2
        rises = np.sqrt(h + self.share)
        hard = np.where(np.isinf(width), np.inf, ((rises[:-1] + rises[1:]) / width) ** 2)
        slopes = np.diff(h) / np.maximum(np.diff(t), _FINEST)
        at, best = int(np.argmin(hard)), int(np.argmin(h))
        if len(t) >= _LEAST:
            self.sharpest[line] = float((np.diff(slopes) / np.maximum(t[2:] - t[:-2], _FINEST)).max())
            known = [sharp for sharp in self.sharpest if sharp > 0]
            if hard[at] > _SHARPER * max(self.sharpest[line], float(np.median(known)) if known else 0.0):
                return None
        if at in (best - 1, best) and 0 < best < len(t) - 1:
            bend = (slopes[best] - slopes[best - 1]) / max(t[best + 1] - t[best - 1], _FINEST)
            vertex = 0.5 * (t[best - 1] + t[best]) - slopes[best - 1] / (2.0 * bend) if bend > 0 else math.inf
            if t[at] + 0.1 * width[at] < vertex < t[at + 1] - 0.1 * width[at]:
                return float(vertex)
        return float(t[at] + width[at] * self.rng.uniform(0.4, 0.6))  # the middle itself could meet a grid of valleys

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Samples join their lines; where one is better, all lines go through it from now on."""
        for ticket, point, merit in zip(
            answers.tickets.tolist(), answers.points, answers.merit().tolist(), strict=True
        ):
            at = next(i for i, out in enumerate(self.out) if out[0] == ticket)
            _, line, base = self.out.pop(at)
            if line >= 0:
                self._sample(line, point, merit, base)
                continue
            if line == _JOINED:
                self._joined(point, merit, base)
                continue
            if line == _CHECK:
                self.sum = abs(merit - self.expected) <= self.holds * (self.expected - base)
            self._move(point, merit)
            if line == _SWAP:
                self.swaps.append(merit)
                if len(self.swaps) == 4:
                    self._judge()
            elif math.isinf(self.height):  # failed: another first point
                self.point = self.problem.space.sample(1, self.rng)[0]
            if self.held < _TESTS:
                self._remember(point, merit)

    def _sample(self, line: int, point: Floats, merit: float, base: float) -> None:
        if self.seen.on and np.delete(point != self.point, self.columns[line]).any():  # changed, to be a new one
            self._move(point, merit)
            return
        place, gain = float(point[self.columns[line]]), self.height - merit
        if gain > 0 and (base == self.height or not self.joins):  # else it is joined with what was found meanwhile
            self.gained, self.point, self.height = True, point.copy(), merit
            self._raise(line, gain)
            self.places[line].insert(0, place)
            self.heights[line].insert(0, 0.0)
        else:
            self.places[line].append(place)
            self.heights[line].append(merit - base if merit < INFEASIBLE else math.inf)

    def _raise(self, line: int, gain: float) -> None:
        """The best point has become so much better along the line: samples of it, also those under way, are so much
        higher above it."""
        self.heights[line] = [height + gain for height in self.heights[line]]
        self.out = [(ticket, other, base - gain if other == line else base) for ticket, other, base in self.out]

    def _joined(self, point: Floats, merit: float, base: float) -> None:
        """All those lines go through their better places, where they are better together; else one after the other."""
        self.joins = merit < base
        if not merit < self.height:  # what was found meanwhile is joined with it in another row
            return
        self.gained, self.point, self.height = True, point.copy(), merit
        for line, place in enumerate(point[self.columns].tolist()):
            places = self.places[line]
            if place != places[0] and place in places:
                at = places.index(place)
                self._raise(line, -self.heights[line][at])
                places.insert(0, places.pop(at))
                self.heights[line].insert(0, self.heights[line].pop(at))

    def _judge(self) -> None:
        """Whether the exchange shows a sum."""
        a, b, *mixed = self.swaps
        other, one, two = (value - a for value in (b, *mixed))
        scale = abs(other) + abs(one) + abs(two)
        error = abs(one + two - other) / scale if 0 < scale < INFEASIBLE else math.inf
        self.held += 1
        if not error <= self.holds:
            self.ended = "columns are not independent"
        self.kept = 1.0 - error if self.held == 1 else min(self.kept, 1.0 - error)

    def absorb(self, answers: Answers) -> None:
        """Low points are remembered until exchanges have been made; lines go through the best one."""
        self.seen.add(answers.points)
        merits = answers.merit()
        if self.held < _TESTS:
            for i in np.argsort(merits, kind="stable").tolist():
                if len(self.lows) == _LOW and merits[i] >= self.lows[-1]:
                    break
                self._remember(answers.points[i], float(merits[i]))
        best = int(np.argmin(merits))
        self._move(answers.points[best], float(merits[best]))

    def _remember(self, point: Floats, merit: float) -> None:
        """Keep a low point instead of the higher ones near it."""
        near = np.abs(self.low - point).max(axis=1, initial=0.0) < _APART
        if not merit < INFEASIBLE or (self.lows[near] <= merit).any():
            return
        lows, low = np.append(self.lows[~near], merit), np.concatenate([self.low[~near], point[None]])
        order = np.argsort(lows, kind="stable")[:_LOW]
        self.low, self.lows = low[order], lows[order]

    def _move(self, point: Floats, merit: float) -> None:
        """Lines go through a better point of others; what is known of them stays."""
        if not merit < self.height:
            return
        anew = math.isinf(self.height)
        self.point, self.height = point.copy(), merit
        if anew:
            self._sweep()
            return
        self.gained = True
        for places, heights, place in zip(self.places, self.heights, point[self.columns].tolist(), strict=True):
            if abs(place - places[0]) < _SAME:
                places[0] = place
            else:
                places.insert(0, place)
                heights.insert(0, 0.0)


def _parabola(t: Floats, h: Floats) -> tuple[float, float, float, float]:
    """(Where in the box a parabola is lowest, how far below the lowest sample, its largest error at the samples, how
    far another sample is from those that it goes through).

    t: (k,) places in order, k >= 3; h: (k,) heights. It goes through both ends and the sample farthest from them.
    """
    middle = 1 + int(np.argmax(np.minimum(t - t[0], t[-1] - t)[1:-1]))
    u, v, w = through = t[[0, middle, -1]]
    first, second = (h[middle] - h[0]) / (v - u), (h[-1] - h[middle]) / (w - v)
    bend = (second - first) / (w - u)

    def at(x: Floats) -> Floats:
        heights: Floats = h[0] + (x - u) * (first + bend * (x - v))
        return heights

    places = np.array([u, w] if bend <= 0 else [u, w, min(max(0.5 * (u + v) - first / (2.0 * bend), u), w)])
    best = int(np.argmin(at(places)))
    far = float(np.abs(t[:, None] - through).min(axis=1).max())
    return float(places[best]), float(h.min() - at(places)[best]), float(np.abs(at(t) - h).max()), far
