"""Local searches in runs: what a phase wants evaluated and what came of it, and where the next run begins."""

from __future__ import annotations

import math

import numpy as np

from ...core.batch import Answers, Floats, Ints
from ...core.errors import StrategyError
from ...core.strategy import Strategy
from ...numerics.quadratic_model import farthest
from ._seen import Seen

_NEAR = (0.03, 0.2)  # how far from the best point runs near it start: standard deviations, in shares of the box
_STARTS = 64  # candidates for the start of a run far from all others


def check_start(x0: Floats | list[float] | None, dimension: int) -> None:
    """Raises StrategyError: a first point that is not (D,) numbers in [0, 1]."""
    if x0 is None:
        return
    point = np.asarray(x0, dtype=np.float64)
    if point.shape != (dimension,):
        raise StrategyError(f"x0 must be a point (D,) = ({dimension},) of the unit cube, got shape {point.shape}")
    if not ((point >= 0.0) & (point <= 1.0)).all():
        raise StrategyError(
            f"x0 is a point of the unit cube, numbers in [0, 1], got {point.tolist()}: a start in the parameters' own "
            "units is given as initial=[{...}] (minimize) or study.enqueue({...})"
        )


class Phased(Strategy):
    """Abstract: points are wanted in phases; small runs near the best point and ones far from all earlier runs take
    turns, so that each kind gets the same share of the evaluations. `begin` calls `_prepare`.

    columns: (d,) those that vary.  cells: (d,) the width of their cells, 0 where continuous.
    phase, number: its name, and how many there were.  trial, found, given: (n, D) its points, (n,) their merits (NaN:
    not known yet) and whether they are out.
    runs, kind, spent: how many, whether the present one is near the best point, and evaluations of runs far and near.
    best, best_point: of all that is known.  guest, guest_point: a better foreign one, to be seen to.
    """

    restarts: bool
    x0: Floats | list[float] | None

    def _prepare(self) -> None:
        """No phase, no run."""
        space, dimension = self.problem.space, self.dimension
        check_start(self.x0, dimension)
        levels = np.asarray(space.levels)
        self.columns: Ints = np.flatnonzero(levels > 1)
        self.cells: Floats = np.where(np.isinf(levels), 0.0, 1.0 / np.maximum(levels, 1.0))[self.columns]
        self.phase, self.number = "new", 0
        self.trial, self.found = np.empty((0, dimension)), np.empty(0)
        self.given = np.empty(0, dtype=np.bool_)
        self.places: list[tuple[int, int, int]] = []  # ticket, phase's number, place in its trial
        self.runs, self.kind, self.spent = 0, 0, [0, 0]
        self.agreement = 1.0
        self.best, self.guest = math.inf, math.inf
        self.best_point, self.guest_point = np.full((2, dimension), 0.5)
        self.starts: Floats = np.empty((0, dimension))
        self.seen = Seen.of(self.problem)
        self.ended = ""

    @property
    def confidence(self) -> float:
        """A running share of first steps that brought at least half of what the model had promised."""
        return self.agreement

    @property
    def done(self) -> bool:
        """Whether nothing more is gained and it is not restarted, or a finite space has no new point."""
        return bool(self.ended) or self.seen.exhausted

    @property
    def why(self) -> str:
        """Why it is done, or which run it is."""
        return "every point of the space was proposed" if self.seen.exhausted else self.ended or self._where

    @property
    def _where(self) -> str:
        """Which run it is, in words."""
        raise NotImplementedError

    def _enter(self, phase: str, trial: Floats) -> None:
        self.phase, self.trial = phase, trial.copy()
        self.number += 1
        self.found, self.given = np.full(len(trial), np.nan), np.zeros(len(trial), dtype=np.bool_)

    def _give(self, wanted: Ints) -> Floats:
        """(n, D) those of the wanted rows that are new, which are out from now on."""
        points, kept = self.seen.fresh(self.trial[wanted], self.problem.space, self.rng)
        wanted = wanted[kept]
        self.given[wanted] = True
        self.places += [(self.next_ticket + i, self.number, place) for i, place in enumerate(wanted.tolist())]
        return points

    def _placed(self, answers: Answers) -> list[tuple[int, Floats, float]]:
        """(its place in the present phase (-1: of an earlier one), point, merit) of each answer."""
        where = {ticket: (number, place) for ticket, number, place in self.places}
        tickets = answers.tickets.tolist()
        told = set(tickets)
        self.places = [item for item in self.places if item[0] not in told]
        self.spent[self.kind] += len(answers)
        placed = []
        for ticket, point, merit in zip(tickets, answers.points, answers.merit().tolist(), strict=True):
            number, place = where[ticket]
            self._note(point, merit)
            placed.append((place if number == self.number else -1, point, merit))
        return placed

    def _note(self, point: Floats, merit: float) -> None:
        if merit < self.best:
            self.best, self.best_point = merit, point.copy()

    def _started(self, start: Floats) -> None:
        """A run begins there."""
        self.runs += 1
        self.starts = np.concatenate([self.starts[-_STARTS:], start[None]])

    def _near(self) -> tuple[Floats, float]:
        """((D,) a start near the best point, how far from it in shares of the box)."""
        start, far = self.best_point.copy(), math.exp(self.rng.uniform(*np.log(_NEAR)))
        start[self.columns] += self.rng.normal(0.0, far, len(self.columns))
        start = np.abs(start)
        start = np.where(start > 1.0, 2.0 - start, start)
        return self.problem.space.snap(np.clip(start, 0.0, 1.0)[None])[0], far

    def _far(self) -> Floats:
        """(D,) a start far from all earlier ones and from the best point."""
        known = np.concatenate([self.starts, self.best_point[None]])
        return farthest(self.problem.space.sample(_STARTS, self.rng), known)
