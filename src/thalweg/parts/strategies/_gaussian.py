"""The shared base of Gaussian-process searches: the first design, what is out, what is known, and the risk of failure.

A row is out from its proposal until it is told, and counts as known with the model's own mean meanwhile (the Kriging
believer, Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6): so these methods never wait.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ...core.batch import Answers, Floats, Status
from ...core.errors import StrategyError
from ...core.strategy import Strategy
from ...numerics.blas import one_thread
from ...numerics.gaussian_process import Posterior
from ...numerics.quasi_random import scrambled, sobol_directions, sobol_points
from ._acquire import NET, Search
from ._seen import Seen
from ._surrogate import Fitted, Memory, risk_model, risk_rows
from ._views import View

STEPS = 8
"""In which a large batch is made: rows of one step are different optima of one model."""
_SHUNNED = 60  # failed points that the models of values hear of


class Gaussian(Strategy):
    """Abstract: write `first_points`, `laid_out`, `exploit` and `learn`; `begin` and `absorb` call `super()` first.

    design: (k, D) the first points; laid: how many of them were given; guests: foreign points told.
    known: what was told (of the first objective).  seen: proposals in a finite space.  met: points that are known or
    out.  out, out_points: tickets (k,) not told yet, and their points (k, D).  ended: why it is done.
    """

    def __init__(self, initial: int | None) -> None:
        if initial is not None and initial < 2:
            raise StrategyError(f"initial is at least 2, got {initial!r}: a model needs two points")
        self.initial = initial
        self._made: Search | None = None  # from the space and the seed, so no part of the state

    # --- what a method writes ---------------------------------------------------------------------------------------

    @abstractmethod
    def first_points(self, view: View) -> Floats:
        """(k, D) the first design, before anything is known; the first thing that is asked of a method."""

    @abstractmethod
    def laid_out(self, n: int) -> Floats:
        """At most n next rows of the design; none when it is over."""

    @abstractmethod
    def exploit(self, parts: list[Floats], n: int) -> None:
        """Give n rows by the models (with `give`)."""

    # --- the books --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first points are laid out; what a model sees of the space is found."""
        space, d = self.problem.space, self.dimension
        view = View.of(space)
        self._made = Search(space, view, self.spread(NET))
        self.design = space.snap(space.repair(self.first_points(view), self.rng))
        self.laid = 0
        self.guests = 0
        self.known = Memory.empty(d)
        self.seen = Seen.of(self.problem)
        self.met = Seen(on=not self.problem.noisy)
        self.risk_fit = Fitted(np.zeros(view.count + 1))
        self.out = np.empty(0, dtype=np.int64)
        self.out_points = np.empty((0, d))
        self.ended = ""

    def spread(self, count: int) -> Floats:
        """(count, D) points of a scrambled Sobol sequence of their own."""
        return sobol_points(*scrambled(sobol_directions(self.dimension), self.rng), 0, count)

    @property
    def search(self) -> Search:
        """The search of this problem's space.

        Raises:
            StrategyError: before `start`.
        """
        if self._made is None:
            raise StrategyError(f"{type(self).__name__} has no search before start()")
        return self._made

    @property
    def speculates(self) -> bool:
        """Rows beyond the stride are guesses at what comes next."""
        return True

    @property
    def ponders(self) -> bool:
        """Its models cost milliseconds."""
        return True

    @property
    def done(self) -> bool:
        """Whether a finite space has no new point."""
        return bool(self.ended)

    # --- ask --------------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """The rest of the first design, then rows from the models."""
        parts: list[Floats] = []
        count = self.give(parts, self.laid_out(n), n)
        if count < n and not self.ended:
            if self.known.ok.sum() < 2:
                self._explore(parts, n - count)
            else:
                with one_thread():
                    self.exploit(parts, n - count)
        return np.concatenate(parts) if parts else np.empty((0, self.dimension))

    def give(self, parts: list[Floats], points: Floats, most: int) -> int:
        """Give at most `most` of the points (k, D), made new where a finite space demands it; how many it were."""
        points = points[:most]
        if self.seen.on and len(points):
            points = self.seen.fresh(points, self.problem.space, self.rng)[0]
            if not len(points):
                self._exhausted()
        if not len(points):
            return 0
        first = self.ticket_after(parts)
        self.out = np.append(self.out, np.arange(first, first + len(points)))
        self.out_points = np.concatenate([self.out_points, points])
        self.met.add(points)
        parts.append(points)
        return len(points)

    def ticket_after(self, parts: list[Floats]) -> int:
        """The ticket of the next row, when these rows were given in this ask."""
        return self.next_ticket + sum(map(len, parts))

    def _exhausted(self) -> None:
        if self.seen.exhausted:
            self.ended = "every point of the space was proposed"

    def _explore(self, parts: list[Floats], n: int) -> None:
        """Rows while nothing is known but failures: random ones, away from what failed."""
        space = self.problem.space
        while n > 0 and not self.ended:
            risk = self.risk()
            points = space.sample(n if risk is None else 64 + n, self.rng)
            if risk is not None:
                mean, _ = risk.predict(self.search.view.features(points))
                points = points[np.argsort(mean, kind="stable")]
            n -= self.give(parts, points, n)

    def filled(self, points: Floats, count: int) -> Floats:
        """(count, D) the points (k <= count, D), then random ones."""
        missing = count - len(points)
        return np.concatenate([points, self.problem.space.sample(missing, self.rng)]) if missing else points

    # --- the models -------------------------------------------------------------------------------------------------

    def risk(self) -> Posterior | None:
        """The model of failures and violations; None while there are none."""
        rows, view = risk_rows(self.known, self.rng), self.search.view
        if not len(rows):
            return None
        return risk_model(self.known, rows, view.features(self.known.points[rows]), view.groups, self.risk_fit)

    def failed_features(self) -> Floats:
        """(k, F) features of what failed, or of a random share of it."""
        failed = np.flatnonzero(~self.known.ok)
        if len(failed) > _SHUNNED:
            failed = self.rng.choice(failed, _SHUNNED, replace=False)
        return self.search.view.features(self.known.points[failed])

    # --- tell -------------------------------------------------------------------------------------------------------

    def returned(self, answers: Answers) -> None:
        """These rows are out no more."""
        kept = ~np.isin(self.out, answers.tickets)
        self.out, self.out_points = self.out[kept], self.out_points[kept]

    def remember(self, answers: Answers) -> None:
        """Add what was told to what is known."""
        told = answers.statuses != Status.ABANDONED  # those say nothing about the point
        violations = None if answers.violations is None else answers.violations[told]
        errors = None if answers.noise is None else answers.noise[told, 0]
        values = np.where(answers.ok[told], answers.values[told, 0], np.nan)
        self.known.add(answers.points[told], values, violations, errors)
        self.met.add(answers.points)

    def absorb(self, answers: Answers) -> None:
        """Foreign answers are data like any other, and stand for points of the design."""
        self.guests += len(answers)
        self.remember(answers)
        self.seen.add(answers.points)
        self._exhausted()
