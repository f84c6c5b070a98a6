"""Bayesian optimisation of several objectives: a Gaussian process each, and the expected gain in hypervolume.

- The models: as in `bayesian`, one for each objective, of values scaled by the front's range (see `_front_model`).
- A proposal maximises the logarithm of the exact expected hypervolume improvement (see
  `thalweg.numerics.hypervolume_improvement`) over the front found so far; long fronts are thinned.
- Reference point: in turn a tenth of the front's range beyond its worst values, and as far as the worse values of the
  first design. The near one alone stays on whatever part of the front was found first; the far one alone gives the
  ends of the front too much weight (H. Ishibuchi et al., Evol. Comp. 26 (2018) 411-440, doi:10.1162/evco_a_00226).
- Where several points have 0 as the least value of an objective that is minimised, it is a bound (of violations, errors
  or counts): every other proposal expects nothing below it, and none does where a dozen points have it.
- Evolution, by the operators of `nsga2`, takes turns with the models' proposals, the oftener the more it gained lately.
  Children of the front: three in ten are members with some columns as in points from anywhere (without them three of
  the four pieces of `dtlz7`'s front stayed unseen, on two of three seeds). And children of a wild herd, which descends
  from no proposal of a model: where models stay on a local front it has not followed them (`wfg9`: .89 of the volume
  after 100 evaluations a parameter, .71 without).
- What ties with a known point gains nothing: see `_front_plateaus`.
- Where an objective has tens of local optima along its columns its model has bumps (see `_front_fits`,
  `thalweg.numerics.rough_process`), and each column is searched by itself too: without them `zdt4` and `dtlz1` of the
  benchmarks stay on local fronts.
- What of exact values no model explains is drawn anew at every new point, so it counts as a chance: on a decision
  tree's plateaus and jumps .91 of the volume at 50 evaluations a parameter, .87 without (seeds 0-2 of the benchmark).
  Not before ten evaluations a parameter, when little is explained yet (dtlz2 has .36 of the volume after 8, or .15).
- Where a model finds bumps along columns, and the sum of the objectives is a sum over columns, line searches lead to
  the front first (`_front_lines`): without them no run had any volume on dtlz1, of which .8 are found.
- Search, discrete columns, batches by the Kriging believer, failures and measured constraints: as in `bayesian`.

A proposal of the models costs some 10 ms per objective at any length of the history, several times that where there are
bumps; a child next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ...core.batch import FOREIGN, Answers, Floats, Ints, Status
from ...core.errors import StrategyError
from ...core.strategy import MANY, Abilities
from ...numerics.dominance import dominates, front
from ...numerics.hypervolume_improvement import improvement
from ._acquire import SWEEPS
from ._front_breeding import ELSEWHERE, FRONT, LINES, MODELS, WILD, Herd, Turns, far_steps
from ._front_fits import Models
from ._front_lines import Lines, Spread, search_of
from ._front_model import MARGIN, TIES, FrontModel, Scale, boxes_of, floor_of
from ._front_plateaus import Plateaus
from ._gaussian import STEPS, Gaussian
from ._operators import sbx
from ._surrogate import Surrogate
from ._variation import Variation
from ._views import View

_CENTRES = 15  # points around which candidates are drawn
_TRIES = 6  # at children that are new
_PARENTS = 30  # at most breed, of either herd
_FOUNDERS = 20  # of the wild herd: while it has fewer, it is joined by points from anywhere
_FAR = 0.3  # of the front's children go far along few columns
_SPREADS = 0.7  # of them go anywhere along columns that stay on the front, once lines have led there
_BREEDS = 10  # evaluations per parameter before anything is bred, and what a model does not explain is believed
# Zeros that nothing passed, until they are a bound for every proposal: with doubts for ever half of the proposals went
# there, and dtlz2 had .77 of the volume after 17 evaluations a parameter, not .85.
_SURE = 12
_PAIRS = 1_000_000


class ParetoBayesian(Gaussian):
    """Gaussian-process search for the Pareto front of expensive objectives: tens to about a thousand evaluations, up to
    about 20 parameters and 4 objectives.

    initial: points before the first models; None: parameters + objectives + 1. What is known from elsewhere counts.
    reference: a value for each objective, in its own unit: what is worse in any of them is worth nothing. The front
        within is found sooner by it. None: from the front that is known, and the first values.
    """

    abilities = Abilities(objectives=MANY, learns_foreign=True)

    def __init__(self, *, initial: int | None = None, reference: Sequence[float] | None = None) -> None:
        super().__init__(initial)
        self.reference = None if reference is None else [float(value) for value in reference]
        if self.reference is not None and not np.isfinite(self.reference).all():
            raise StrategyError(f"reference has a finite value for each objective, got {self.reference}")
        self._varied: Variation | None = None  # from the space, so no part of the state

    def begin(self) -> None:
        """The first points are laid out; nothing is known."""
        m = len(self.problem.objectives)
        if self.reference is not None and len(self.reference) != m:
            raise StrategyError(f"reference has a value for each of the {m} objectives, got {self.reference}")
        super().begin()
        self._varied = Variation.of(self.problem.space, 0.9, None, 15.0, 5.0)
        self.values = np.empty((0, m))
        self.members = np.empty(0, dtype=np.int64)  # rows of the front: feasible, or else of what violates least
        self.fits = Models.fresh(self.search.view, m)
        self.herd, self.wild = Herd(_PARENTS), Herd(_PARENTS)  # of all rows; of those without models among ancestors
        self.turns = Turns()
        self.lines, self.along = Lines(), search_of(self.problem, self.seeds)
        self.spreads = Spread(*np.zeros((2, self.dimension)))

    def first_points(self, view: View) -> Floats:
        """(k, D) points of a scrambled Sobol sequence."""
        return self.spread(self.initial or view.count + len(self.problem.objectives) + 1)

    @property
    def stride(self) -> int:
        """What is left of the first design."""
        return max(len(self.design) - self.guests - self.laid, 1)

    @property
    def why(self) -> str:
        """Why it is done, or what is known."""
        return self.ended or f"{len(self.values)} points known, {len(self.members)} of them on the front"

    # --- ask ------------------------------------------------------------------------------------------------------

    def laid_out(self, n: int) -> Floats:
        """The next points of the design; foreign points stand for as many of them."""
        rows = self.design[self.laid : max(len(self.design) - self.guests, self.laid)][:n]
        self.laid += len(rows)
        return rows

    def exploit(self, parts: list[Floats], n: int) -> None:
        """Rows from the models, each step conditioned on the ones before, and children of the front."""
        model: FrontModel | None = None
        size, before = -(-n // STEPS), 0
        while n > 0 and not self.ended:
            take = min(size, n)
            if (sent := self._lined(parts, take)) > 0:
                n -= sent
                continue
            if (source := self._source()) != MODELS:
                n -= self._send(parts, self._children(take, source), take, source)
                continue
            features = self.search.view.features
            model = self._model() if model is None else model.believe(features(self.out_points[before:]))
            before = len(self.out_points)
            # the search needs a utility and its gradient, no more: a FrontModel has them
            sweeps = SWEEPS if self.fits.is_rough else 0
            points = self.search.best(cast(Surrogate, model), self._centres(), self.met, self.rng, take, sweeps)
            n -= self._send(parts, self.filled(points, take), take, MODELS)

    def _lined(self, parts: list[Floats], take: int) -> int:
        """Give at most `take` rows of line searches, where any objective is rough; how many it were."""
        exact = not self.problem.noisy and not self.seen.on and self.search.view.is_smooth
        if exact and not self.lines.begun and self.fits.is_rough and self.known.fine.any():
            self.lines.begin(self.along, self._all_known())
        if not self.lines.goes_on(self.along):
            return 0
        rows = self.along.ask(take)
        self.lines.sent(self.ticket_after(parts), rows.tickets)
        return self._send(parts, rows.points, take, LINES)

    def _all_known(self) -> Answers:
        """What was told so far, as of foreign points."""
        known, n = self.known, len(self.values)
        statuses = np.where(known.ok, Status.DONE, Status.FAILED).astype(np.int8)
        values = np.where(known.ok[:, None], self.values, np.nan)
        return Answers(np.full(n, FOREIGN, dtype=np.int64), known.points, values, statuses, known.violations)

    def _source(self) -> int:
        """Where the next row comes from."""
        if len(self.values) < _BREEDS * self.dimension or len(self.herd.rows) < 4:
            return MODELS
        return self.turns.next(self.rng)

    def _children(self, take: int, source: int) -> Floats:
        """(take, D) children of tournament winners of the front or the wild herd, new ones if any are found soon."""
        if self._varied is None:
            raise StrategyError("ParetoBayesian breeds nothing before start()")
        space, rng = self.problem.space, self.rng
        if source == WILD and len(self.wild.rows) < _FOUNDERS:
            return space.sample(take, rng)
        herd = self.herd if source == FRONT else self.wild
        points = np.empty((0, self.dimension))
        for _ in range(_TRIES):
            one, two = herd.pairs(take, rng)
            first, other = self.known.points[one], self.known.points[two]
            points = self._varied.children(first, other, rng)[::2]
            far = np.flatnonzero(rng.random(take) < _FAR) if source == FRONT else np.empty(0, dtype=np.int64)
            points[far] = self.search.snapped(far_steps(first[far], space, rng), rng)
            if source == FRONT and self.lines.won and not self.lines.goes_on(self.along):
                spread = np.flatnonzero(rng.random(take) < _SPREADS)
                starts = self.known.points[rng.choice(self.members, len(spread))]
                points[spread] = self.search.snapped(self.spreads.children(starts, space, rng), rng)
            if not self.met.contains(points).any():
                break
        return points

    def _send(self, parts: list[Floats], points: Floats, take: int, source: int) -> int:
        """Give at most `take` of the points (k, D); how many it were."""
        ticket = self.ticket_after(parts)
        given = self.give(parts, points, take)
        self.turns.sent(ticket, given, source)
        return given

    def _centres(self) -> Floats:
        """(k, D) points worth looking around: some of the front, and children of pairs of it."""
        rows, rng = self.members, self.rng
        chosen = self.known.points[rng.permutation(rows)[:_CENTRES]]
        if len(rows) < 2 or not self.search.view.is_smooth:
            return np.asarray(chosen)
        half = _CENTRES // 2
        pairs = rng.choice(rows, (2, half))
        children = sbx(self.known.points[pairs[0]], self.known.points[pairs[1]], rng, 2.0)[0]
        return np.concatenate([chosen[: _CENTRES - half], children])

    # --- the models -----------------------------------------------------------------------------------------------

    def _model(self) -> FrontModel:
        """The models of what is known, conditioned on what is out."""
        known, view = self.known, self.search.view
        risk, m = self.risk(), self.values.shape[1]
        if not known.fine.any():
            return FrontModel([], risk, np.empty((0, m)), np.empty(0))
        good = np.flatnonzero(known.ok)
        values = self.values[good]
        scale = Scale.of(values, self.values[self.members], len(self.design))
        shares = scale.shares(values)
        place = np.searchsorted(good, self.members)
        rows = self.fits.rows(shares, place, self.rng)
        features = view.features(known.points[good[rows]])
        models = self.fits.update(features, shares[rows], view.groups, len(good), self.rng)
        kept = shares[place]
        if self.problem.noisy:  # the posterior means of the front's members: luck is no gain
            at = view.features(known.points[self.members])
            kept = np.stack([model.predict(at)[0] for model in models], axis=1)
        floor = self._floor(scale, shares)
        rugged = len(good) >= _BREEDS * self.dimension and not self.problem.noisy
        own = np.array([item.nugget * item.scale for item in models]) if rugged else 0.0
        plateaus = None if self.problem.noisy else Plateaus.of(shares[rows])
        model = FrontModel(models, risk, kept, self._reference(scale, values), floor, own, plateaus)
        return model.shun(self.failed_features()).believe(view.features(self.out_points))

    def _floor(self, scale: Scale, shares: Floats) -> Floats | None:
        """(m,) what the objectives cannot fall below; the far reference point doubts it for a while."""
        if self.problem.noisy:
            return None
        ties = TIES if self.next_ticket % 2 else _SURE
        return np.where(self.problem.signs > 0, floor_of(shares, scale, ties), -np.inf)  # no gain ends at 0

    def _reference(self, scale: Scale, values: Floats) -> Floats:
        """(m,) what is to be gained ends here, in squeezed shares."""
        near = np.full(values.shape[1], 1.0 + MARGIN)
        if self.reference is not None:
            told = scale.shares(np.array(self.reference)[None] * self.problem.signs)
            near = np.asarray(told[0], dtype=np.float64)
            if (scale.shares(self.values[self.members]) < near).all(axis=1).any():
                return near
        if self.next_ticket % 2:
            return near
        far = np.quantile(values[: len(self.design)], 0.9, axis=0)
        return np.asarray(np.maximum(near, scale.shares(far[None])[0]), dtype=np.float64)

    # --- tell -----------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Remember what was told, and what each source gained by it."""
        self._judge(answers)
        self.returned(answers)
        self.remember(answers)
        self.turns.returned(answers.tickets)

    def _judge(self, answers: Answers) -> None:
        """What proposals gained, in shares of the front's volume."""
        if len(self.values) < _BREEDS * self.dimension or not self.known.fine.any():
            return
        best = self.values[self.members]
        scale = Scale.of(self.values[self.known.ok], best, len(self.design))
        boxes = boxes_of(scale.shares(best), np.full(best.shape[1], 1.0 + MARGIN))
        fine = answers.ok if answers.violations is None else answers.ok & (answers.violations <= 0)
        gained = np.zeros(len(answers))
        gained[fine] = improvement(scale.shares(answers.values[fine]), boxes)
        self.turns.judge(answers.tickets, gained)

    def remember(self, answers: Answers) -> None:
        """All objectives; then the front and the herds are those with the new rows."""
        super().remember(answers)
        if self.lines.begun:
            self.lines.tell(self.along, answers)
        told = answers.statuses != Status.ABANDONED
        count = len(self.values)
        self.values = np.concatenate([self.values, answers.values[told]])
        new = np.arange(count, len(self.values))
        before = self.members
        self._update(new)
        if self.lines.begun and len(before):
            self.spreads.learn(self.known.points[new], np.isin(new, self.members), self.known.points[before])
        fit = self.known.ok[new]
        self.herd.join(new[fit], self.values, self.known.violations)
        wild = np.isin(self.turns.sources_of(answers.tickets[told]), (ELSEWHERE, WILD))
        self.wild.join(new[fit & wild], self.values, self.known.violations)

    def _update(self, new: Ints) -> None:
        """The front, with the new rows: among feasible ones, or else those that violate least."""
        known = self.known
        fine = known.fine
        if fine.any():
            self.members = self._joined(self.members[fine[self.members]], new[fine[new]])
        elif known.ok.any():
            self.members = np.sort(known.best(5))

    def _joined(self, members: Ints, new: Ints) -> Ints:
        """The front (k,) of the rows of a front and new ones; of few new ones in time that is linear in the members."""
        if len(new) * len(members) > _PAIRS:  # all pairs at once would take too much memory
            pool = np.concatenate([members, new])
            return pool[front(self.values[pool])]
        new = new[front(self.values[new])]
        kept = ~dominates(self.values[new], self.values[members]).any(axis=0)
        added = ~dominates(self.values[members], self.values[new]).any(axis=0)
        return np.concatenate([members[kept], new[added]])
