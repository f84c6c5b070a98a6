"""Bayesian optimisation: a Gaussian process of all that is known, LogEI, and a local quadratic step in turn with it.

- The model: Matern 5/2 with a lengthscale for every parameter, found by MAP (see `thalweg.numerics.gaussian_process`);
  beyond 250 points the best half and a random share of the rest, so that a proposal costs the same at any history.
- Global proposals maximise LogEI (Ament et al. 2023, arXiv:2310.20708), or what `acquisition` says; under noise the
  knowledge gradient (see `_gain`).
- Local ones take the lowest bound of a Bayesian quadratic model in a box around the best point, as long as that gains
  (see `_trust_region`): where all parameters are smooth and the problem is not noisy.
- Discrete columns: the model is only asked about snapped points, whole neighbourhoods are searched (see `_acquire`).
- Batches: each further row as if the model's own mean had been told (Kriging believer, Ginsbourger et al. 2010,
  doi:10.1007/978-3-642-10701-6_6); rows that are out are treated likewise, so it never waits.
- Failures and measured constraints: a model of risk (see `_surrogate`).
- Noise (`noisy=True`, or standard errors that come with the values, by which the nugget is then shared out): a larger
  nugget, and improvement over the lowest posterior mean instead of the lowest value; no local steps.

A proposal costs a few milliseconds of one core: OpenBLAS is told to use one thread while it is made. Other BLAS
libraries want OMP_NUM_THREADS=1 or their own variable in the environment (see `thalweg.numerics.blas`).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ...core.batch import Answers, Floats, Status
from ...core.errors import StrategyError
from ...core.strategy import Abilities
from ...numerics.acquisition import Kind
from ._gain import most_gain
from ._gaussian import STEPS, Gaussian
from ._surrogate import Fitted, Surrogate, training_rows, value_model
from ._trust_region import TrustRegion
from ._views import View

_MARGIN = 0.01  # standard deviations of all values: any improvement, however small, is what "pi" would find otherwise
_TOO_NEAR = 0.02  # half-widths of the box: a local row nearer than that to one that is out says nothing new
_LOCAL_SHARE, _LUCKY_SHARE = 0.25, 0.5  # of a batch, the second after a local success
_GOOD = 50  # known points with the lowest values, among which those with the lowest means are looked for under noise

Acquisition = Kind | Literal["auto", "kg"]
_ACQUISITIONS = ("auto", *get_args(Kind), "kg")


class Bayesian(Gaussian):
    """Gaussian-process search for expensive objectives: tens to a few thousand evaluations, up to about 20 parameters.

    acquisition: "logei", "ei", "ucb" (confidence bound), "pi" (probability of improvement) or "kg" (knowledge gradient:
    what a value says about the lowest mean); "auto": "kg" where the problem is noisy, else "logei".
    exploration_rate: the chance of a proposal to be a random point.
    initial: spread points before the first model; None: where local steps are taken, one step along each parameter,
    otherwise parameters + 2 spread points. What is known from elsewhere counts.
    local: whether local quadratic steps take turns with the global ones.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(
        self,
        *,
        acquisition: Acquisition = "auto",
        exploration_rate: float = 0.0,
        initial: int | None = None,
        local: bool = True,
    ) -> None:
        if acquisition not in _ACQUISITIONS:
            raise StrategyError(f"acquisition: one of {_ACQUISITIONS} expected, got {acquisition!r}")
        if not 0 <= exploration_rate <= 1:
            raise StrategyError(f"exploration_rate is a probability in [0, 1], got {exploration_rate!r}")
        super().__init__(initial)
        self.acquisition: Acquisition = acquisition
        self.exploration_rate = float(exploration_rate)
        self.local = bool(local)

    def begin(self) -> None:
        """The first points are laid out; nothing is known."""
        super().begin()
        self.best, self.best_point = np.inf, np.full(self.dimension, 0.5)
        self.by_gain = self.acquisition == "kg" or (self.acquisition == "auto" and self.problem.noisy)
        self.value_fit = Fitted(np.zeros(self.search.view.count + 1))
        self.region = TrustRegion()
        self.out_local: list[tuple[int, float]] = []  # (ticket, its step in half-widths) of local proposals

    def first_points(self, view: View) -> Floats:
        """(k, D): the default or the middle, then a scrambled Sobol sequence."""
        self.steps_locally = self.local and view.is_smooth and view.count > 0 and not self.problem.noisy
        self.stepping = self.steps_locally and self.initial is None
        points = self.spread(view.count + 1 if self.stepping else self.initial or view.count + 2)
        space = self.problem.space
        defaults = space.defaults
        points[0] = 0.5 if defaults is None else space.encode(space.from_params([defaults]))[0]
        return points

    @property
    def stride(self) -> int:
        """What is left of the first design, where that waits for no answers."""
        if self.stepping:
            return 1
        start = max(self.laid, 1 if self.guests else 0)
        return max(len(self.design) - max(self.guests - 1, 0) - start, 1)

    @property
    def why(self) -> str:
        """Why it is done, or what is known."""
        return self.ended or f"{len(self.known.values)} points known, local box {2 * self.region.radius:.2g} wide"

    # --- ask ------------------------------------------------------------------------------------------------------

    def laid_out(self, n: int) -> Floats:
        """The next points of the design; foreign points stand for as many of them, the first one included.

        Where local steps follow, all but the first are steps from the best point so far, each along another column:
        every success is kept, and together they determine a slope.
        """
        if self.laid + self.guests >= len(self.design):
            return self.design[:0]
        start = max(self.laid, 1 if self.guests else 0)
        rows = self.design[start : len(self.design) - max(self.guests - 1, 0)][:n]
        self.laid = start + len(rows)
        if self.stepping and (np.isfinite(self.best) or not len(self.known.values)):
            space, width = self.problem.space, self.region.radius
            base = self.best_point if np.isfinite(self.best) else self.design[0]
            columns = self.search.view.plain[np.arange(max(start, 1), self.laid) - 1]
            steps = np.repeat(base[None], len(columns), axis=0)
            at = np.arange(len(columns))
            moved = steps[at, columns] + width
            steps[at, columns] = np.where(moved > 1.0, moved - 2.0 * width, moved)
            rows = np.concatenate([rows[: len(rows) - len(steps)], space.snap(space.repair(steps, self.rng))])
        return rows

    def exploit(self, parts: list[Floats], n: int) -> None:
        """Rows from the models, each step conditioned on the ones before."""
        # a local step alone asks no model of the whole space, unless points may fail; the first one is fitted at once
        alone = n == 1 and self.steps_locally and self.region.turn and self.value_fit.count > 0
        surrogate = None if alone and bool(self.known.fine.all()) else self._surrogate()
        share = _LUCKY_SHARE if self.region.lucky else _LOCAL_SHARE
        locals_left = int(self.region.turn) if n == 1 else max(round(share * n), 1)
        size = -(-n // STEPS)
        while n > 0 and not self.ended:
            take = min(size, n)
            points = None
            if self.rng.random() < self.exploration_rate:
                points = self.problem.space.sample(take, self.rng)
            elif self.steps_locally and locals_left > 0 and self.known.is_exact:
                points = self._local_step(surrogate, self.ticket_after(parts))
                locals_left -= 1
            if points is None:
                surrogate = surrogate or self._surrogate()
                points = self._global_step(surrogate, take)
            before = len(self.out_points)
            n -= self.give(parts, points, take)
            if n > 0 and surrogate is not None:
                surrogate = surrogate.believe(self.search.view.features(self.out_points[before:]))

    def _global_step(self, surrogate: Surrogate, take: int) -> Floats:
        """(take, D) rows of high utility; random ones where there are fewer optima than rows."""
        self.region.turn = True
        points = self.known.points[:0]
        if self.by_gain:
            good = self.known.points[self.known.best(_GOOD)]
            points = most_gain(self.search, surrogate, good, self.met, self.rng, take)
        if not len(points):
            good = self.known.points[self.known.best(3)]
            points = self.search.best(surrogate, good, self.met, self.rng, take)
        return self.filled(points, take)

    def _local_step(self, surrogate: Surrogate | None, ticket: int) -> Floats | None:
        """(1, D) a local proposal, or None where there is none worth its evaluation."""
        known, space, columns = self.known, self.problem.space, self.search.view.plain
        rows = np.flatnonzero(known.fine)
        if len(rows) < 3:
            return None
        centre, radius = self.best_point[columns], self.region.radius
        pending = self.out_points[:, columns]
        pending = pending[(np.abs(pending - centre) <= 2 * radius).all(axis=1)]
        known_points = known.points[np.ix_(rows, columns)]
        risky = None if surrogate is None or surrogate.risk is None else surrogate
        chance = None if risky is None else (lambda points: risky.chance(points - 0.5))
        found = self.region.step(known_points, known.values[rows], centre, pending, self.rng, chance=chance)
        if found is None:
            return None
        point = self.best_point[None].copy()
        point[0, columns] = found
        point = space.snap(space.repair(point, self.rng))
        if self.met.contains(point)[0]:
            self.region.hear(False, 0.0, len(rows), len(columns))
            return None
        if len(pending) and (np.abs(pending - point[0, columns]).max(axis=1) < _TOO_NEAR * radius).any():
            return None
        self.out_local.append((ticket, float(np.abs(point[0, columns] - centre).max() / radius)))
        return point

    def _surrogate(self) -> Surrogate:
        """The models of what is known, conditioned on what is out."""
        known, view = self.known, self.search.view
        rows = training_rows(known, self.rng)
        x = view.features(known.points[rows])
        value, best = value_model(known, rows, x, view.groups, self.value_fit, noisy=self.problem.noisy)
        if self.acquisition == "pi":
            best -= _MARGIN
        given = self.acquisition
        kind: Kind = "logei" if given == "auto" or given == "kg" else given  # noqa: PLR1714 (mypy narrows only this)
        surrogate = Surrogate(value if known.fine.any() else None, self.risk(), best, kind)
        surrogate = surrogate.shun(self.failed_features())
        return surrogate.believe(view.features(self.out_points))

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Remember what was told; judge local steps, in the order in which they were proposed."""
        tickets = answers.tickets.tolist()
        self.returned(answers)
        lengths = dict(self.out_local)
        self.out_local = [item for item in self.out_local if item[0] not in set(tickets)]
        self.remember(answers)
        merits = answers.merit().tolist()
        for row in np.argsort(answers.tickets, kind="stable").tolist():
            length = lengths.get(tickets[row])
            if length is not None and answers.statuses[row] != Status.ABANDONED:
                self.region.hear(merits[row] < self.best, length, self._crowd(), len(self.search.view.plain))
            self._improve(answers.points[row], merits[row], local=length is not None)

    def absorb(self, answers: Answers) -> None:
        """Foreign answers are data like any other."""
        super().absorb(answers)
        merits = answers.merit()
        row = int(np.argmin(merits))
        self._improve(answers.points[row], float(merits[row]), local=False)

    def _crowd(self) -> int:
        """How many known points lie within two half-widths of the best one."""
        columns = self.search.view.plain
        apart = np.abs(self.known.points[:, columns] - self.best_point[columns]).max(axis=1, initial=0.0)
        return int((apart <= 2 * self.region.radius).sum())

    def _improve(self, point: Floats, merit: float, local: bool) -> None:
        """The best point may be another one now."""
        if merit < self.best:
            if not local and np.isfinite(self.best):
                self.region.moved(float(np.abs(point - self.best_point).max(initial=0.0)))
            self.best, self.best_point = merit, point.copy()
