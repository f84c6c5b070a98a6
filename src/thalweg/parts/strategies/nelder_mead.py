"""The simplex method of Nelder and Mead, with dimension-dependent steps, restarts and speculative batches.

J. A. Nelder, R. Mead, Computer J. 7 (1965) 308-313, doi:10.1093/comjnl/7.4.308. Coefficients for d > 2: F. Gao, L. Han,
Comput. Optim. Appl. 51 (2012) 259-277, doi:10.1007/s10589-010-9329-3, eq. 4.1: with the classical ones the simplex
degenerates in many dimensions. Oriented restart: C. T. Kelley, SIAM J. Optim. 10 (1999) 43-55,
doi:10.1137/S1052623497315203.

- Batches: the first simplex and a shrink are one batch; a step asked for several rows gives reflection, expansion and
  both contractions at once (four rows; which of them count is decided as if they had come one by one, so the path is
  the same for every batch size).
- Bounds: a trial point outside is reflected at the face once, then clipped.
- A collapsed simplex is built anew: first oriented at the best point, then, when that gains nothing, at a random point.
- Discrete columns: the simplex stays continuous, the space snaps; where a whole simplex falls into one cell of every
  discrete column and has collapsed in the others, it is restarted. Finite spaces: points seen are answered from memory.
"""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ._seen import Seen

_REFLECT, _EXPAND, _OUTSIDE, _INSIDE = range(4)
_TINY = 1e-10  # of the box: a smaller simplex has collapsed


class NelderMead(Strategy):
    """Nelder-Mead with restarts, for few continuous columns and cheap, slightly noisy or kinked objectives.

    size: the first simplex's edge, in shares of the box.
    restarts: begin again when the simplex has collapsed (otherwise it is done then).
    x0: (D,) the first point in the unit cube; None: the best foreign point known before the first ask, or the middle.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(self, *, size: float = 0.2, restarts: bool = True, x0: Floats | list[float] | None = None) -> None:
        if not 0 < size <= 0.5:
            raise StrategyError(f"size is the simplex's edge as a share of the box in (0, 0.5], got {size!r}")
        self.size, self.restarts, self.x0 = float(size), bool(restarts), x0
        self._known: dict[bytes, float] = {}

    def begin(self) -> None:
        """The first simplex is laid out at the first ask, when foreign points may be known."""
        space, dimension = self.problem.space, self.dimension
        if self.x0 is not None and np.shape(self.x0) != (dimension,):
            raise StrategyError(f"x0 must be a point (D,) = ({dimension},) of the cube, got shape {np.shape(self.x0)}")
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
        self.phase = "new"
        self.trial = np.empty((0, dimension))  # what the phase wants evaluated
        self.found = np.empty(0)  # its merits; NaN: not told yet
        self.given = np.empty(0, dtype=np.bool_)
        self.places: list[tuple[int, int, int]] = []  # ticket, phase's number, place in its trial
        self.number = 0  # of the phase
        self.best, self.best_point = math.inf, np.full(dimension, 0.5)
        self.guest, self.guest_point = math.inf, np.full(dimension, 0.5)
        self.before = math.inf  # the best merit when the simplex was built
        self.oriented = False
        self.idle = 0  # steps without a better vertex
        self.builds = 0
        self.seen = Seen.of(self.problem)
        self.points_seen: list[Floats] = []
        self.merits_seen: list[float] = []
        self._known = {}
        self.ended = ""

    @property
    def stride(self) -> int:
        """Rows of the current phase that were not given yet."""
        return max(int((~self.given).sum()), 1) if len(self.given) else len(self.columns) + 1

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
        self.given[wanted] = True
        self.places += [(self.next_ticket + i, self.number, place) for i, place in enumerate(wanted)]
        points = self.trial[wanted]
        if self.seen.on and len(wanted):
            points = self.problem.space.snap(points)
            self.seen.add(points)
        return points

    def _wanted(self) -> list[int]:
        """Places to evaluate, the needed one of a step first; in finite spaces none that repeats a place before it."""
        wanted: list[int] = np.flatnonzero(~self.given & np.isnan(self.found)).tolist()
        if self.phase == "step":
            need = self._need()
            wanted.sort(key=lambda place: place != need)
        if self.seen.on and wanted:
            keys = [row.tobytes() for row in self.problem.space.snap(self.trial)]
            taken = {keys[place] for place in np.flatnonzero(self.given).tolist()}
            first: list[int] = []
            for place in wanted:
                if keys[place] not in taken:
                    taken.add(keys[place])
                    first.append(place)
            return first
        return wanted

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Fill in the phase's merits and go on as far as they reach."""
        merits = answers.merit().tolist()
        where = {ticket: (number, place) for ticket, number, place in self.places}
        told = set(answers.tickets.tolist())
        self.places = [item for item in self.places if item[0] not in told]
        moved = answers.points
        for i, ticket in enumerate(answers.tickets.tolist()):
            number, place = where[ticket]
            self._note(answers.points[i], merits[i])
            if number != self.number:  # a speculative row of a step that is over
                self._invite(answers.points[i], merits[i])
                continue
            self.found[place] = merits[i]
            if self.problem.space.constrained:
                meant = self.problem.space.snap(self.trial[place : place + 1])[0]
                if np.abs(meant - moved[i]).max() > 1e-9:
                    self.trial[place] = moved[i]  # repaired
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
        for _ in range(500):
            if self.seen.on:
                self._recall()
            if self.phase == "step":
                if self._need() >= 0:
                    return
                self._accept()
            elif np.isnan(self.found).any():
                return
            else:
                self._settle()
            if self.ended:
                return
        self._restart(anew=True)  # everything it wants is known already

    def _recall(self) -> None:
        for place, row in enumerate(self.problem.space.snap(self.trial)):
            merit = self._known.get(row.tobytes())
            if merit is not None:
                self.found[place] = merit

    def _enter(self, phase: str, trial: Floats) -> None:
        self.phase, self.trial = phase, trial
        self.number += 1
        self.found = np.full(len(trial), np.nan)
        self.given = np.zeros(len(trial), dtype=np.bool_)

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
            self.simplex, self.merits = self.trial.copy(), self.found.copy()
            self.before = float(self.merits.min())
        else:
            self.simplex[1:], self.merits[1:] = self.trial, self.found
        self._step()

    def _step(self) -> None:
        """Sort the vertices and lay out the four trial points of a step."""
        if self.guest < self.merits.min():
            worst = int(np.argmax(self.merits))
            self.simplex[worst], self.merits[worst] = self.guest_point, self.guest
        self.guest = math.inf
        order = np.argsort(self.merits, kind="stable")
        self.simplex, self.merits = self.simplex[order], self.merits[order]
        if self._collapsed():
            self._restart()
            return
        reflection, expansion, contraction, _ = self.factors
        centre = self.simplex[:-1].mean(axis=0)
        away = centre - self.simplex[-1]
        shares = np.array([reflection, reflection * expansion, reflection * contraction, -contraction])
        trial = centre + shares[:, None] * away
        trial = np.abs(trial)
        trial = np.clip(np.where(trial > 1.0, 2.0 - trial, trial), 0.0, 1.0)
        self._enter("step", trial)

    def _need(self) -> int:
        """The place whose merit the step needs next; -1: it can be decided."""
        reflected = self.found[_REFLECT]
        if np.isnan(reflected):
            return _REFLECT
        if reflected < self.merits[0]:
            place = _EXPAND
        elif reflected < self.merits[-2]:
            return -1
        else:
            place = _OUTSIDE if reflected < self.merits[-1] else _INSIDE
        return place if np.isnan(self.found[place]) else -1

    def _accept(self) -> None:
        """Accept a trial point in place of the worst vertex, or shrink (the original's rules)."""
        reflected, expanded, outside, inside = self.found.tolist()
        best, second, worst = float(self.merits[0]), float(self.merits[-2]), float(self.merits[-1])
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
        self._step()

    def _collapsed(self) -> bool:
        spread = np.abs(self.simplex[1:] - self.simplex[0]).max(initial=0.0)
        if spread < _TINY or self.idle > 40 * (len(self.columns) + 1):
            return True
        rise = float(self.merits[-1]) - float(self.merits[0])
        if rise <= 1e-15 * abs(float(self.merits[0])) and spread < 1e-5:
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
        pairs = zip(self.points_seen, self.merits_seen, strict=True)
        self._known = {point.tobytes(): merit for point, merit in pairs}
