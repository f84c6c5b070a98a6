"""The simplex method of Nelder and Mead, with dimension-dependent steps, restarts and speculative batches.

J. A. Nelder, R. Mead, Computer J. 7 (1965) 308-313, doi:10.1093/comjnl/7.4.308. Coefficients for d > 2: F. Gao, L. Han,
Comput. Optim. Appl. 51 (2012) 259-277, doi:10.1007/s10589-010-9329-3, eq. 4.1: with the classical ones the simplex
degenerates in many dimensions. Oriented restart: C. T. Kelley, SIAM J. Optim. 10 (1999) 43-55,
doi:10.1137/S1052623497315203.

- Batches: the first simplex and a shrink are one batch; a step asked for several rows gives reflection, expansion and
  both contractions at once (four rows; which of them count is decided as if they had come one by one, so the path is
  the same for every batch size).
- Answers to rows of a step that is over: a better one takes the place of what that step accepted.
- Rows wanted while all of a phase is out: random points, beside a first simplex anywhere, later on a sphere around the
  best vertex. One that beats every vertex takes a bad one's place before the next step. COCO's functions, 2, 5 and 10
  columns, 8 workers, areas over time: .104, .073 and .053; with idle workers and worse use of late rows .082, .061 and
  .045. Reflections of the next worst vertices (D. Lee, M. Wiswall, Comput. Econ. 30 (2007) 171-187,
  doi:10.1007/s10614-007-9094-2) and the steps that may come next brought less.
- Bounds: a trial point outside is reflected at the face once, then clipped.
- A collapsed simplex is built anew: first oriented at the best point, then, when that gains nothing, at a random point.
- Discrete columns: the simplex stays continuous, the space snaps; where a whole simplex falls into one cell of every
  discrete column and has collapsed in the others, it is restarted. Finite spaces: points seen are answered from memory.
"""

from __future__ import annotations

import math
from copy import copy
from math import isnan
from typing import Any

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ._phases import check_start
from ._seen import Seen

_REFLECT, _EXPAND, _OUTSIDE, _INSIDE = range(4)
_TINY = 1e-10  # of the box: a smaller simplex has collapsed
_AROUND = 0.5  # of the simplex's width: how far from the best vertex rows beside a step are (0.25 and 1 did worse)
_WIDE = 0.3  # of the greatest volume that a row from beside may leave; always in the worst vertex's place: as good


class NelderMead(Strategy):
    """Nelder-Mead with restarts, for few continuous columns and cheap, slightly noisy or kinked objectives.

    size: the first simplex's edge, in shares of the box.
    restarts: begin again when the simplex has collapsed (otherwise it is done then).
    x0: (D,) the first point in the unit cube; None: the best foreign point known before the first ask, or the middle.

    A step needs one evaluation, or two one after the other, and up to four rows are tried for it; more workers search
    around the best vertex at random. So 8 workers reach the bottom of a bowl 2 to 4 times as soon as one, that of a
    bent valley hardly sooner, and in many columns later.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(self, *, size: float = 0.2, restarts: bool = True, x0: Floats | list[float] | None = None) -> None:
        if not 0 < size <= 0.5:
            raise StrategyError(f"size is the simplex's edge as a share of the box in (0, 0.5], got {size!r}")
        self.size, self.restarts, self.x0 = float(size), bool(restarts), x0
        # made anew by begin and restore, therefore no part of the state
        self._known: dict[bytes, float] = {}
        self._keys: list[bytes] = []

    def begin(self) -> None:
        """The first simplex is laid out at the first ask, when foreign points may be known."""
        space, dimension = self.problem.space, self.dimension
        check_start(self.x0, dimension)
        levels = np.asarray(space.levels)
        self.columns = np.flatnonzero(levels > 1)
        levels = levels[self.columns]
        d = max(len(self.columns), 1)
        # reflection, expansion, contraction, shrink; Gao & Han, eq. 4.1
        self.factors = (1.0, 1 + 2 / d, 0.75 - 1 / (2 * d), 1 - 1 / d) if d > 2 else (1.0, 2.0, 0.5, 0.5)
        # an edge must leave its cell, or every vertex is the same point
        self.edges = np.maximum(self.size, np.minimum(np.where(np.isinf(levels), 0.0, 1.0 / levels), 0.5))
        self.discrete = bool(np.isfinite(levels).any()) or space.conditional
        self.simplex = np.empty((0, dimension))
        self.merits = np.empty(0)
        self.ranked: list[float] = []  # the merits, sorted, as plain numbers
        self.phase = "new"
        self.trial = np.empty((0, dimension))  # what the phase wants evaluated
        self.found: list[float] = []  # its merits; NaN: not told yet
        self.given: list[bool] = []
        self.places: list[tuple[int, int, int]] = []  # ticket, phase's number, place in its trial
        self.out: list[tuple[int, Floats]] = []  # in a finite space: tickets that are out, and their points
        self.number = 0  # of the phase
        self.best, self.best_point = math.inf, np.full(dimension, 0.5)
        self.guest, self.guest_point = math.inf, np.full(dimension, 0.5)
        self.accepted: list[tuple[int, Floats]] = []  # steps that are over and have rows out, and what they accepted
        self.late: list[tuple[float, Floats, Floats | None]] = []  # merit, point, what its step accepted
        self.before = math.inf  # the best merit when the simplex was built
        self.oriented = False
        self.idle = 0  # steps without a better vertex
        self.builds = 0
        self.seen = Seen.of(self.problem)
        self.points_seen: list[Floats] = []
        self.merits_seen: list[float] = []
        self._known, self._keys = {}, []
        self.ended = ""

    @property
    def speculates(self) -> bool:
        """Rows beyond the stride are guesses at what comes next."""
        return True

    @property
    def all_out(self) -> bool:
        """All rows of the phase were given, and one that it needs is not told."""
        return self.phase != "new" and not self.ended and not self._wanted()

    @property
    def stride(self) -> int:
        """Rows of the current phase that were not given yet."""
        return max(self.given.count(False), 1) if self.given else len(self.columns) + 1

    @property
    def done(self) -> bool:
        """Whether the simplex has collapsed and is not restarted, or a finite space has no new point."""
        return bool(self.ended)

    @property
    def why(self) -> str:
        """Why it is done, or which simplex it is."""
        return self.ended or f"simplex {self.builds}, {self.phase}"

    # --- ask ------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Rows that the phase needs, the next needed one first, then speculative ones."""
        if self.phase == "new":
            if self.x0 is not None:
                self.best_point = np.asarray(self.x0, dtype=np.float64)
            self._build(self.best_point, self.edges, np.ones(len(self.columns)))
            self._advance()
        wanted = self._wanted()[:n]
        if not wanted:
            return self._beside(n)
        for place in wanted:
            self.given[place] = True
        self.places += [(self.next_ticket + i, self.number, place) for i, place in enumerate(wanted)]
        points = self.trial[wanted]
        if self.seen.on:
            points = self.problem.space.snap(points)
            self.seen.add(points)
            self.out += [(self.next_ticket + i, point.copy()) for i, point in enumerate(points)]
        return points

    def _wanted(self) -> list[int]:
        """Places to evaluate, the needed one of a step first; in finite spaces none that repeats a place before it."""
        given, found = self.given, self.found
        wanted = [place for place, merit in enumerate(found) if isnan(merit) and not given[place]]
        if self.phase == "step":
            need = self._need()
            if need in wanted:
                wanted.remove(need)
                wanted.insert(0, need)
        if self.seen.on and wanted:
            keys = self._trial_keys()
            taken = {keys[place] for place, gone in enumerate(given) if gone}
            taken.update(point.tobytes() for _, point in self.out)
            first: list[int] = []
            for place in wanted:
                if keys[place] not in taken:
                    taken.add(keys[place])
                    first.append(place)
            return first
        return wanted

    def _beside(self, n: int) -> Floats:
        """(n, D) points beside a phase that is out: they are heard when they come, it waits for none."""
        if self.phase == "build":
            points = self.problem.space.sample(n, self.rng)
        else:
            width = np.abs(self.simplex[1:] - self.simplex[0]).max(initial=0.0)
            away = self.rng.standard_normal((n, len(self.columns)))
            away *= _AROUND * width / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-300)
            points = np.repeat(self.simplex[:1], n, axis=0)
            points[:, self.columns] = np.clip(points[:, self.columns] + away, 0.0, 1.0)
        points, _ = self.seen.fresh(points, self.problem.space, self.rng)
        self.places += [(self.next_ticket + i, -1, 0) for i in range(len(points))]
        if self.seen.on:
            self.out += [(self.next_ticket + i, point.copy()) for i, point in enumerate(points)]
        return points

    def _trial_keys(self) -> list[bytes]:
        """What the trial's rows are known by in a finite space."""
        if not self._keys:
            self._keys = [row.tobytes() for row in self.problem.space.snap(self.trial)]
        return self._keys

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Fill in the phase's merits and go on as far as they reach."""
        merits = answers.merit().tolist()
        tickets = answers.tickets.tolist()
        if len(tickets) == len(self.places) == 1:
            where, self.places = {tickets[0]: self.places[0][1:]}, []
        else:
            where = {ticket: (number, place) for ticket, number, place in self.places}
            told = set(tickets)
            self.places = [item for item in self.places if item[0] not in told]
        if self.out:
            told = set(tickets)
            self.out = [item for item in self.out if item[0] not in told]
        constrained = self.problem.space.constrained
        for ticket, merit, point in zip(tickets, merits, answers.points, strict=True):
            number, place = where[ticket]
            self._note(point, merit)
            if number != self.number:  # a row beside the phase, or of one that is over
                self.late.append((merit, point.copy(), dict(self.accepted).get(number)))
                continue
            self.found[place] = merit
            if constrained:
                meant = self.problem.space.snap(self.trial[place : place + 1])[0]
                if np.abs(meant - point).max() > 1e-9:
                    self.trial[place], self._keys = point, []  # repaired
        self._advance()

    def absorb(self, answers: Answers) -> None:
        """The best foreign point is where the first simplex begins; later it replaces the worst vertex if it is better
        than all.
        """
        for point, merit in zip(answers.points, answers.merit().tolist(), strict=True):
            self._note(point, merit)
            self._invite(point, merit)
        if self.seen.on:
            self.seen.add(answers.points)

    def _note(self, point: Floats, merit: float) -> None:
        if merit < self.best:
            self.best, self.best_point = merit, point.copy()
        if self.seen.on:
            key = point.tobytes()
            if key not in self._known:
                self._known[key] = merit
                self.points_seen.append(point.copy())
                self.merits_seen.append(merit)

    def _invite(self, point: Floats, merit: float) -> None:
        if self.phase != "new" and merit < self.guest:
            self.guest, self.guest_point = merit, point.copy()

    # --- the method -----------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Go on until something must be evaluated."""
        # steps over known points alone soon go round in a circle: then it begins elsewhere
        patience = 20 + 2 * len(self.columns) if self.seen.on else 500
        while not self.ended:
            for _ in range(patience):
                if self.seen.on:
                    self._recall()
                if self.phase == "step":
                    if self._need() >= 0:
                        return
                    self._accept()
                elif any(map(isnan, self.found)):
                    return
                else:
                    self._settle()
                if self.ended:
                    return
            self._restart(anew=True)

    def _recall(self) -> None:
        known = self._known
        for place, key in enumerate(self._trial_keys()):
            merit = known.get(key)
            if merit is not None:
                self.found[place] = merit

    def _enter(self, phase: str, trial: Floats) -> None:
        self.phase, self.trial, self._keys = phase, trial, []
        self.number += 1
        self.found = [math.nan] * len(trial)
        self.given = [False] * len(trial)

    def _build(self, start: Floats, edges: Floats, signs: Floats) -> None:
        """A right-angled simplex at `start`; edges that would leave the cube point the other way."""
        trial = np.repeat(start[None], len(self.columns) + 1, axis=0)
        for i, column in enumerate(self.columns.tolist()):
            moved = start[column] + signs[i] * edges[i]
            trial[i + 1, column] = moved if 0 <= moved <= 1 else start[column] - signs[i] * edges[i]
        np.clip(trial, 0.0, 1.0, out=trial)
        self.builds += 1
        self.idle = 0
        self._enter("build", trial)

    def _settle(self) -> None:
        """A built or shrunk simplex is known."""
        if self.phase == "build":
            self.simplex, self.merits = self.trial.copy(), np.array(self.found)
            self.before = float(self.merits.min())
        else:
            self.simplex[1:], self.merits[1:] = self.trial, self.found
        self._step()

    def _step(self) -> None:
        """Sort the vertices and lay out the four trial points of a step."""
        if self.guest < math.inf:
            if self.guest < self.merits.min():
                worst = int(self.merits.argmax())
                self.simplex[worst], self.merits[worst] = self.guest_point, self.guest
            self.guest = math.inf
        if self.late:
            self._replace()
        order = self.merits.argsort(kind="stable")
        self.simplex, self.merits = self.simplex.take(order, axis=0), self.merits.take(order)
        self.ranked = self.merits.tolist()
        if self._collapsed():
            self._restart()
            return
        reflection, expansion, contraction, _ = self.factors
        simplex = self.simplex
        centre = np.add.reduce(simplex[:-1]) / (len(simplex) - 1)
        shares = np.array([[reflection], [reflection * expansion], [reflection * contraction], [-contraction]])
        trial = shares * (centre - simplex[-1])
        trial += centre
        np.abs(trial, out=trial)
        np.maximum(np.minimum(trial, 2.0 - trial, out=trial), 0.0, out=trial)
        self._enter("step", trial)

    def _replace(self) -> None:
        """Late rows that are better take a vertex's place: of a step that is over, that of what it accepted (they lie
        on one line); any other that beats all, that of a bad one whose loss leaves the simplex wide.
        """
        for merit, point, vertex in self.late:
            if vertex is not None:
                same = np.flatnonzero((self.simplex == vertex).all(axis=1))
                place = int(same[0]) if len(same) else -1
            else:
                place = self._spare(point) if merit < self.merits.min() else -1
            if place >= 0 and merit < self.merits[place]:
                self.simplex[place], self.merits[place] = point, merit
        self.late = []

    def _spare(self, point: Floats) -> int:
        """The worst vertex of those that `point` may stand for: its weights of the vertices are by how much the volume
        changes.
        """
        system = np.vstack([self.simplex[:, self.columns].T, np.ones(len(self.simplex))])
        weights = np.abs(np.linalg.lstsq(system, np.append(point[self.columns], 1.0), rcond=None)[0])
        weights[self.merits.argmin()] = 0.0
        return int(np.where(weights >= _WIDE * weights.max(), self.merits, -np.inf).argmax())

    def _need(self) -> int:
        """The place whose merit the step needs next; -1: it can be decided."""
        found, ranked = self.found, self.ranked
        reflected = found[_REFLECT]
        if isnan(reflected):
            return _REFLECT
        if reflected < ranked[0]:
            place = _EXPAND
        elif reflected < ranked[-2]:
            return -1
        else:
            place = _OUTSIDE if reflected < ranked[-1] else _INSIDE
        return place if isnan(found[place]) else -1

    def _accept(self) -> None:
        """Accept a trial point in place of the worst vertex, or shrink (the original's rules)."""
        reflected, expanded, outside, inside = self.found
        best, second, worst = self.ranked[0], self.ranked[-2], self.ranked[-1]
        if reflected < best:
            place = _EXPAND if expanded < reflected else _REFLECT
        elif reflected < second:
            place = _REFLECT
        elif reflected < worst:
            place = _OUTSIDE if outside <= reflected else -1
        else:
            place = _INSIDE if inside < worst else -1
        if place < 0:
            shrink = self.factors[3]
            self.idle += 1
            self._enter("shrink", self.simplex[0] + shrink * (self.simplex[1:] - self.simplex[0]))
            return
        self.idle = 0 if self.found[place] < best else self.idle + 1
        self.simplex[-1], self.merits[-1] = self.trial[place], self.found[place]
        if self.places or self.accepted:
            out = {number for _, number, _ in self.places}
            self.accepted = [item for item in self.accepted if item[0] in out]
            if self.number in out:
                self.accepted.append((self.number, self.trial[place].copy()))
        self._step()

    def _collapsed(self) -> bool:
        if self.idle > 40 * (len(self.columns) + 1):
            return True
        best, rise = self.ranked[0], self.ranked[-1] - self.ranked[0]
        if best == math.inf:
            return True  # all failed: no direction is better than another
        # the costly look at its size can wait some steps; shrinks, which halve it, may have none but odd numbers
        if self.number % 4 == 0 or self.phase == "shrink" or rise <= 1e-15 * abs(best):
            spread = np.abs(self.simplex[1:] - self.simplex[0]).max(initial=0.0)
            if spread < _TINY or (rise <= 1e-15 * abs(best) and spread < 1e-5):
                return True
        if self.discrete and (rise == 0.0 or not math.isfinite(rise)):
            snapped = self.problem.space.snap(self.simplex)
            return bool(np.abs(snapped[1:] - snapped[0]).max(initial=0.0) < _TINY)
        return False

    def _restart(self, anew: bool = False) -> None:
        """A new simplex: oriented at the best vertex, or at a random point where that gained nothing."""
        if not self.restarts:
            self.ended = "the simplex has collapsed"
            return
        gained = float(self.merits[0]) < self.before
        if not anew and gained and not self.oriented and math.isfinite(self.merits[-1]):
            # Kelley 1999, section 3: edges against the simplex gradient
            steps = (self.simplex[1:] - self.simplex[0])[:, self.columns]
            slope = np.linalg.lstsq(steps, self.merits[1:] - self.merits[0], rcond=None)[0]
            self.oriented = True
            start = self.simplex[0].copy()
            self._build(start, np.maximum(self.edges * 0.25, np.where(self.edges > self.size, self.edges, 0.0)),
                        np.where(slope > 0, -1.0, 1.0))  # fmt: skip
            return
        self.oriented = False
        space = self.problem.space
        start = space.sample(1, self.rng)
        if self.seen.on:
            start = self._unseen(start)
            if not len(start):
                self.ended = "every point of the space was proposed"
                return
        self._build(start[0], self.edges, np.where(self.rng.random(len(self.columns)) < 0.5, -1.0, 1.0))

    def _unseen(self, start: Floats) -> Floats:
        """A point that was not proposed yet, which stays free to be proposed."""
        return copy(self.seen).fresh(start, self.problem.space, self.rng)[0]

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`; the memory is made from what was seen."""
        super().restore(state)
        self._keys = []
        pairs = zip(self.points_seen, self.merits_seen, strict=True)
        self._known = {point.tobytes(): merit for point, merit in pairs}
