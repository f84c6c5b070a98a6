"""Differential evolution of many independent problems at once: every array has the problems as its first dimension.

The method of one problem is success-history DE with an archive and linear population reduction: R. Tanabe,
A. Fukunaga, CEC 2014, doi:10.1109/CEC.2014.6900380 (L-SHADE), with jSO's average of the old and new cell (see
`success_history`). A generation costs some eighty array calls whatever the number of problems, so that a few hundred
problems of a dozen members cost a fraction of a microsecond per evaluation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .quasi_random import Floats

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

_CELLS = 5
_SPREAD = 0.1  # of F (Cauchy) and CR (normal) around a cell
_GREED = (0.3, 0.1)  # share of the population that counts as best, at the start and at the end
_LEAST = 4
_REDRAWN = 0.05  # share of label columns drawn anew, lest a label that died out is lost
_COLLAPSED = 1e-11
_ALIKE = 0.05  # equal values on a wider spread are a plateau, not the end


def default_size(dimension: int, budget: int) -> int:
    """Members at the start of a run of `budget` evaluations per problem (the rule of the strategy `de`)."""
    plenty = max(budget / (1000 * dimension), 1.0)
    wanted = 0.7 * math.sqrt(budget) * math.pow(dimension / 5, 0.25) * math.pow(plenty, 0.4)
    return max(min(round(wanted), 30 * dimension), 8)


def last_size(first: int, dimension: int, budget: int) -> int:
    """Members at the end: a tenth, in long runs up to four tenths."""
    plenty = max(budget / (1000 * dimension), 1.0)
    return max(round(first * min(0.1 * math.pow(plenty, 0.85), 0.4)), _LEAST)


class DifferentialEvolutions:
    """L problems with N members each in d columns of the unit cube.

    problems: L.  sizes: members at the start and at the end of the budget.
    steps: (d,) width of a cell of ordered discrete columns, 0 elsewhere: differences are dithered by it.
    labels: (d,) columns whose cells have no order: taken over from members, never added up.
    first: (L, k, d) members that the first generations begin with, or None.

    `ask` gives (L, n, d) points; `tell` wants the points as they were evaluated and (L, n) values, inf where there is
    none. `keep` drops problems that are done.
    """

    def __init__(
        self,
        problems: int,
        dimension: int,
        sizes: tuple[int, int],
        rng: np.random.Generator,
        *,
        steps: Floats | None = None,
        labels: Mask | None = None,
        first: Floats | None = None,
    ) -> None:
        self.rng, self.sizes = rng, sizes
        self.d, self.size = dimension, sizes[0]
        widths = np.zeros(dimension) if steps is None else steps
        self._stepped = np.flatnonzero(widths > 0)
        self._widths = widths[self._stepped]
        self._labels = np.flatnonzero(labels) if labels is not None else np.empty(0, dtype=np.intp)
        self._first = first
        self.pool: Floats = np.empty((problems, 2 * self.size, dimension))
        """(L, 2 N, d): members, then the archive of replaced ones."""
        self.merit: Floats = np.full((problems, self.size), np.inf)
        self.archived: Rows = np.zeros(problems, dtype=np.intp)
        self.F: Floats = np.full((problems, _CELLS), 0.5)
        self.CR: Floats = np.tile(np.linspace(0.2, 0.95, _CELLS), (problems, 1))
        """(L, cells) means of the success history; CR below 0: terminal, it gives 0 from then on."""
        self.turn: Rows = np.zeros(problems, dtype=np.intp)
        self.fresh: Mask = np.ones(problems, dtype=np.bool_)
        """Problems whose next generation is a first one."""
        self.progress = 0.0
        """Share of the budget that is used: the caller's to set."""
        self.generation = 0
        self._trial_F = self._trial_CR = self.merit
        self._order: Rows = np.empty(0, dtype=np.intp)

    def __len__(self) -> int:
        return len(self.merit)

    # --- a generation ---------------------------------------------------------------------------------------------

    def ask(self) -> Floats:
        """(L, N, d) points in the unit cube."""
        if self.fresh.all():
            return self._first_rows(len(self))
        trials = self._trials()
        if self.fresh.any():
            trials[self.fresh] = self._first_rows(int(self.fresh.sum()))
        return trials

    def _first_rows(self, problems: int) -> Floats:
        """(problems, N, d) a latin hypercube for each."""
        size, rng = self.size, self.rng
        cells = rng.random((problems, size, self.d)).argsort(axis=1)
        points = (cells + rng.random((problems, size, self.d))) / size
        if self._first is not None and problems == len(self):
            k = min(self._first.shape[1], size)
            points[:, :k] = self._first[:, :k]
            self._first = None
        return np.asarray(points)

    def _trials(self) -> Floats:
        """current-to-pbest/1/bin: v = x + F (x_pbest - x) + F (x_r1 - x_r2), r2 from members and archive."""
        count, size, d, rng = len(self), self.size, self.d, self.rng
        own = np.arange(size)
        u = rng.random((5, count, size))
        greed = _GREED[0] + (_GREED[1] - _GREED[0]) * self.progress
        if self._order.shape != self.merit.shape:
            self._order = self.merit.argsort(axis=1, kind="stable")
        rank = (u[0] * max(greed * size, 2.0)).astype(np.intp)
        best = np.take_along_axis(self._order, rank, axis=1)
        r1 = (u[1] * (size - 1)).astype(np.intp) + own + 1  # never the member itself
        r1[r1 >= size] -= size
        rows = (size + self.archived)[:, None]
        r2 = (u[2] * (rows - 1)).astype(np.intp) + own + 1
        r2 = np.where(r2 >= rows, r2 - rows, r2)
        F, CR = self._drawn(u[3], u[4])
        flat = self.pool.reshape(-1, d)
        base = (np.arange(count) * (2 * size))[:, None]
        x = self.pool[:, :size]
        donors = (best + base, r1 + base, r2 + base)
        v = flat.take(donors[0], axis=0)
        v -= x
        v += flat.take(donors[1], axis=0)
        v -= flat.take(donors[2], axis=0)
        v *= F[:, :, None]
        v += x
        self._vary(v, flat, donors)
        stays = rng.random((count, size, d)) >= CR[:, :, None]
        crossed = (rng.random((count, size)) * d).astype(np.intp)
        stays.reshape(-1)[(np.arange(count * size) * d).reshape(count, size) + crossed] = False
        np.copyto(v, x, where=stays)
        self._trial_F, self._trial_CR = F, CR
        return _inside(v, x)

    def _drawn(self, u: Floats, pick: Floats) -> tuple[Floats, Floats]:
        """(F, CR) (L, N): F ~ Cauchy(M_F, 0.1) given F > 0, cut at 1; CR ~ N(M_CR, 0.1) cut to [0, 1]."""
        cell = (pick * _CELLS).astype(np.intp)
        mean = np.take_along_axis(self.F, cell, axis=1)
        low = np.arctan(mean / -_SPREAD)
        F = np.minimum(np.tan(low + u * (0.5 * math.pi - low)) * _SPREAD + mean, 1.0)
        middle = np.take_along_axis(self.CR, cell, axis=1)
        CR = np.clip(middle + _SPREAD * self.rng.standard_normal(u.shape), 0.0, 1.0)
        CR[middle < 0] = 0.0
        return F, CR

    def _vary(self, v: Floats, flat: Floats, donors: tuple[Rows, Rows, Rows]) -> None:
        """Make mutants' discrete columns valid, in place: labels come from donors, steps are dithered."""
        rng = self.rng
        if len(self._stepped):
            # without this a difference below half a step would always be rounded away
            v[:, :, self._stepped] += (rng.random((*v.shape[:2], len(self._stepped))) - 0.5) * self._widths
        if len(self._labels):
            shape = (*v.shape[:2], len(self._labels))
            source = np.choose(rng.choice(3, size=shape, p=(0.5, 0.3, 0.2)), [item[:, :, None] for item in donors])
            v[:, :, self._labels] = np.where(
                rng.random(shape) < _REDRAWN, rng.random(shape), flat[source, self._labels]
            )

    def tell(self, points: Floats, values: Floats) -> None:
        """What `ask`'s points came to. points: (L, N, d) as evaluated.  values: (L, N), inf where there is none."""
        size = self.size
        old = self.merit
        if self.fresh.any():
            old = np.where(self.fresh[:, None], np.inf, old)
        else:
            won = values < old
            self._learn(old, values, won)
            self._archive(won)
        took = values <= old  # equal ones too: that is how plateaus are crossed
        members = self.pool[:, :size]
        if self.fresh.any():
            took[self.fresh] = True
            self.fresh[:] = False
        np.copyto(members, points, where=took[:, :, None])
        self.merit = np.where(took, values, old)
        self.generation += 1
        self._reduce()
        self._order = self.merit.argsort(axis=1, kind="stable")

    def _learn(self, old: Floats, values: Floats, won: Mask) -> None:
        """Change the next cell of every problem that improved something: weighted Lehmer means."""
        rows = np.flatnonzero(won.any(axis=1))
        if not len(rows):
            return
        good = won[rows]
        with np.errstate(invalid="ignore"):
            gain = np.where(good, old[rows] - values[rows], 0.0)
        top = gain.max(axis=1, keepdims=True)
        endless = np.isinf(top)  # the old one had no value
        weights = np.where(endless, np.isinf(gain), gain / np.where(endless | (top <= 0), 1.0, top))
        weighted = weights * self._trial_F[rows]
        k = self.turn[rows]
        # sum(w F^2) / sum(w F)
        lehmer = (weighted * self._trial_F[rows]).sum(axis=1) / np.maximum(weighted.sum(axis=1), 1e-300)
        self.F[rows, k] = 0.5 * (self.F[rows, k] + lehmer)
        weighted = weights * self._trial_CR[rows]
        total, before = weighted.sum(axis=1), self.CR[rows, k]
        lehmer = (weighted * self._trial_CR[rows]).sum(axis=1) / np.maximum(total, 1e-300)
        self.CR[rows, k] = np.where((before < 0) | (total <= 0), -1.0, 0.5 * (before + lehmer))
        self.turn[rows] = (k + 1) % _CELLS

    def _archive(self, won: Mask) -> None:
        """Keep replaced members; when an archive (as large as the population) is full they take random places."""
        problem, member = won.nonzero()
        if not len(problem):
            return
        size = self.size
        place = self.archived[problem] + (won.cumsum(axis=1) - 1)[problem, member]
        full = place >= size
        place[full] = (self.rng.random(int(full.sum())) * size).astype(np.intp)
        self.pool[problem, size + place] = self.pool[problem, member]
        self.archived = np.minimum(self.archived + won.sum(axis=1), size)

    def _reduce(self) -> None:
        """Linear population size reduction (L-SHADE eq. 10), the same for all: they advance in lock step."""
        first, last = self.sizes
        wanted = max(round(first + (last - first) * self.progress), _LEAST)
        if self.size - wanted <= self.size // 16:
            return
        keep = self.merit.argsort(axis=1, kind="stable")[:, :wanted]
        members = np.take_along_axis(self.pool, keep[:, :, None], axis=1)
        archive = self.pool[:, self.size : self.size + wanted]
        self.pool = np.concatenate([members, archive], axis=1)
        self.archived = np.minimum(self.archived, wanted)
        self.merit = np.take_along_axis(self.merit, keep, axis=1)
        self.size = wanted

    # --- problems -------------------------------------------------------------------------------------------------

    def spread(self) -> Floats:
        """(L,) the difference between the worst and the best value in the population."""
        worst, lowest = self.merit.max(axis=1), self.merit.min(axis=1)
        return np.asarray(np.where(np.isinf(worst), np.inf, worst - np.where(np.isinf(lowest), 0.0, lowest)))

    def collapsed(self) -> Mask:
        """(L,) whether the members have become one point, or one value within a small region."""
        members = self.pool[:, : self.size]
        width = (members.max(axis=1) - members.min(axis=1)).max(axis=1, initial=0.0)
        flat = self.spread() <= 1e-14 * np.abs(self.merit.min(axis=1, initial=np.inf))
        return np.asarray((width < _COLLAPSED) | (flat & (width < _ALIKE)))

    def restart(self, which: Mask) -> None:
        """Problems (L,) begin again with new points."""
        self.fresh |= which
        self.merit[which] = np.inf
        self.archived[which] = 0
        self.F[which] = 0.5
        self.CR[which] = np.linspace(0.2, 0.95, _CELLS)

    def keep(self, which: Mask) -> None:
        """Go on with problems (L,) alone."""
        for name in ("pool", "merit", "archived", "F", "CR", "turn", "fresh", "_order"):
            setattr(self, name, getattr(self, name)[which])


def _inside(trials: Floats, parents: Floats) -> Floats:
    """`trials`, changed in place: what left the cube goes halfway between the parent and the bound it passed."""
    flat = trials.reshape(-1)
    out = (np.abs(flat - 0.5) > 0.5).nonzero()[0]
    if out.size:
        flat[out] = 0.5 * (np.ascontiguousarray(parents).reshape(-1).take(out) + (flat.take(out) > 0.5))
    return trials
