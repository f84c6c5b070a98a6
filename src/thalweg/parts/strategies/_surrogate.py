"""The models behind Bayesian proposals: values, and the risk that a point fails or violates a constraint.

The risk is one more Gaussian process: the chance that a point is fine is Phi(-mean / sd), and expected improvement is
weighted with it (Gardner et al., ICML 2014). It knows 1 where a point failed, and -1/2 where all was fine. Where a
constraint was violated by v it knows v / median v (beyond that its logarithm), and of fine points then only that they
are on the other side of the border: see `numerics.censored`. With -1/2 for all of them the model saw a step there: 9 to
11 of 45 points were feasible in a test where now more than 30 are, and the best was ten times further from the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.batch import Floats, Ints, Mask
from ...numerics.acquisition import Kind, log_chance, score
from ...numerics.censored import expected_negatives
from ...numerics.gaussian_process import Posterior, Prior, compress, fit

CAP = 250
"""Training points at most: the better half by value, the other half drawn anew each time from the rest."""
# refits when there are 5 % more points: oftener gained nothing, rarer (20 %) cost a tenth of the targets
_GROWTH = 1.05
_WARM, _MANY = 12, 120  # iterations of fits that go on from the last one, with so many points: some milliseconds each
_QUIET, _FEW = 1e-3, 5  # of the better half's range;  the best values that are looked at
_FINE, _FAILED = -0.5, 1.0
_SAFEST = -5.0  # of what is guessed of fine points


@dataclass(eq=False)
class Memory:
    """What was told: points (n, D), values (n,) (NaN: failed), violations (n,) >= 0, standard errors (n,) of the values
    (NaN: unknown).
    """

    points: Floats
    values: Floats
    violations: Floats
    errors: Floats

    @classmethod
    def empty(cls, dimension: int) -> Memory:
        """No points yet."""
        return cls(np.empty((0, dimension)), np.empty(0), np.empty(0), np.empty(0))

    def add(self, points: Floats, values: Floats, violations: Floats | None, errors: Floats | None = None) -> None:
        """Remember (k, D) points, (k,) values, (k,) violations, (k,) standard errors."""
        amounts = np.zeros(len(points)) if violations is None else np.nan_to_num(violations, nan=0.0, posinf=1e300)
        self.points = np.concatenate([self.points, points])
        self.values = np.concatenate([self.values, np.where(np.isfinite(values), values, np.nan)])
        self.violations = np.concatenate([self.violations, amounts])
        unknown = np.full(len(points), np.nan)
        self.errors = np.concatenate([self.errors, unknown if errors is None else errors])

    @property
    def ok(self) -> Mask:
        """(n,) which have a value."""
        return ~np.isnan(self.values)

    @property
    def fine(self) -> Mask:
        """(n,) which have a value and violate nothing."""
        return self.ok & (self.violations <= 0)

    @property
    def is_exact(self) -> bool:
        """Whether the errors of the best values, where known, are too small for local steps to follow the noise."""
        errors = self.errors[self.best(_FEW)]
        errors = errors[errors > 0]
        if not len(errors):
            return True
        values = self.values[self.ok]
        return bool(errors.max() <= _QUIET * float(np.median(values) - values.min()))

    def best(self, count: int) -> Ints:
        """The `count` best rows with a value, in no order: feasible ones by value, or else the least violating ones."""
        fine = self.fine
        rows, by = (np.flatnonzero(fine), self.values) if fine.any() else (np.flatnonzero(self.ok), self.violations)
        return rows[np.argpartition(by[rows], count)[:count]] if len(rows) > count else rows


@dataclass(eq=False)
class Fitted:
    """Log hyperparameters, and the number of points they were fitted to (0: never)."""

    theta: Floats
    count: int = 0

    def update(
        self, x: Floats, y: Floats, groups: Ints, total: int, noisy: bool, weights: Floats | None = None
    ) -> Posterior:
        """The posterior of x (n, F), y (n,), noise weights (n,); hyperparameters are fitted anew where `total` grew by
        a twentieth.
        """
        if total >= max(self.count * _GROWTH, self.count + 1):
            prior = Prior.usual(len(self.theta) - 1, noisy)
            starts = [self.theta] if self.count else []
            if total < 5 * len(self.theta):  # few points: the last optimum may be another valley
                starts.append(prior.mean)
            iterations = _WARM if self.count and len(y) > _MANY else 30
            self.theta = fit(x, y, groups, prior, starts or [prior.mean], iterations=iterations, weights=weights)
            self.count = total
        return Posterior.of(x, y, groups, self.theta, weights)


@dataclass(eq=False)
class Surrogate:
    """Posteriors of values and of risk (either may be missing), and what is to be improved upon."""

    value: Posterior | None
    risk: Posterior | None
    best: float
    kind: Kind

    def utility(self, x: Floats) -> Floats:
        """(m,) the acquisition at features (m, F), plus the log chance that they are fine."""
        total = np.zeros(len(x))
        if self.value is not None:
            mean, variance = self.value.predict(x)
            total = score(self.kind, mean, np.sqrt(variance), self.best)[0]
        if self.risk is not None:
            mean, variance = self.risk.predict(x)
            total = self._with_chance(total, log_chance(-mean / np.sqrt(variance))[0])
        return total

    def utility_with_gradients(self, x: Floats) -> tuple[Floats, Floats]:
        """(utility (m,), its gradient (m, F)) at features (m, F)."""
        total, slope = np.zeros(len(x)), np.zeros_like(x)
        if self.value is not None:
            mean, variance, d_mean, d_variance = self.value.predict_with_gradients(x)
            sd = np.sqrt(variance)
            total, to_mean, to_sd = score(self.kind, mean, sd, self.best)
            slope = to_mean[:, None] * d_mean + (0.5 * to_sd / sd)[:, None] * d_variance
        if self.risk is not None:
            chance, by_risk = self.chance(x)
            if self.kind == "ei" and self.value is not None:
                fine = np.exp(chance)
                slope = fine[:, None] * (slope + total[:, None] * by_risk)
            else:
                slope = slope + by_risk
            total = self._with_chance(total, chance)
        return total, slope

    def chance(self, x: Floats) -> tuple[Floats, Floats]:
        """(log chance (m,) that features (m, F) are fine, its gradient (m, F))."""
        if self.risk is None:
            return np.zeros(len(x)), np.zeros_like(x)
        mean, variance, d_mean, d_variance = self.risk.predict_with_gradients(x)
        sd = np.sqrt(variance)
        chance, to_ratio = log_chance(-mean / sd)
        return chance, -to_ratio[:, None] * (d_mean / sd[:, None] - (0.5 * mean / sd**3)[:, None] * d_variance)

    def _with_chance(self, total: Floats, chance: Floats) -> Floats:
        """Logarithms add up; an expected improvement itself is multiplied."""
        return total * np.exp(chance) if self.kind == "ei" and self.value is not None else total + chance

    def shun(self, x: Floats) -> Surrogate:
        """As if high values had been observed at features (k, F), where evaluations failed.

        The risk alone does not keep away: its chance of being fine is never quite zero, and where all else is known
        an improbable large improvement wins.
        """
        if self.value is None or not len(x):
            return self
        value = self.value
        high = float(np.quantile(value.y, 0.75))
        for row, mean in zip(x, value.predict(x)[0].tolist(), strict=True):
            value = value.append(row, max(mean, high))
        return replace(self, value=value)

    def believe(self, x: Floats) -> Surrogate:
        """As if the model's own mean had been observed at features (k, F): the Kriging believer (Ginsbourger 2010)."""
        if self.value is None:
            return self
        value, best = self.value, self.best
        for row, mean in zip(x, value.predict(x)[0].tolist(), strict=True):
            value = value.append(row, mean)
            best = min(best, mean)
        return replace(self, value=value, best=best)


def training_rows(memory: Memory, rng: np.random.Generator) -> Ints:
    """Rows with a value for the model of values, at most CAP."""
    rows = np.flatnonzero(memory.ok)
    if len(rows) <= CAP:
        return rows
    half = CAP // 2
    best = memory.best(half)
    chosen = np.zeros(len(memory.values), dtype=np.bool_)
    chosen[best] = True
    others = rows[~chosen[rows]]
    chosen[rng.choice(others, CAP - len(best), replace=False)] = True
    return np.flatnonzero(chosen)


def noise_weights(memory: Memory, rows: Ints) -> Floats | None:
    """(len(rows),) noise variances of the values, relative to the least certain one; None where no error is known.

    A value whose error is not known counts as one of the least certain.
    """
    errors = memory.errors[rows]
    known = np.isfinite(errors) & (errors > 0)
    if not known.any():
        return None
    shares = np.where(known, errors, np.inf) / float(errors[known].max())
    return np.asarray(np.clip(shares**2, 1e-4, 1.0))


def value_model(
    memory: Memory, rows: Ints, x: Floats, groups: Ints, fitted: Fitted, *, noisy: bool
) -> tuple[Posterior, float]:
    """(posterior of the compressed values of `rows`, the value to improve upon); x: (len(rows), F) their features."""
    y = compress(memory.values[rows])
    # where all values are noisy, one nugget for all recommends points a third better than the errors of few replicates
    weights = None if noisy else noise_weights(memory, rows)
    noisy = noisy or weights is not None
    posterior = fitted.update(x, y, groups, int(memory.ok.sum()), noisy, weights)
    # C a = y - m, so K a + m = y - g w a: the posterior mean at the training points
    own = posterior.nugget if weights is None else posterior.nugget * weights
    height = y - own * posterior.alpha if noisy else y
    fine = memory.violations[rows] <= 0
    return posterior, float(height[fine].min() if fine.any() else height.max())


def risk_rows(memory: Memory, rng: np.random.Generator) -> Ints:
    """Rows for the model of risk, at most CAP: half of them failed or violating; none where all is fine."""
    fine = memory.fine
    bad, good = np.flatnonzero(~fine), np.flatnonzero(fine)
    if not len(bad):
        return bad
    half = CAP // 2
    bad = rng.choice(bad, half, replace=False) if len(bad) > half else bad
    good = rng.choice(good, half, replace=False) if len(good) > half else good
    return np.sort(np.concatenate([bad, good]))


def risk_model(memory: Memory, rows: Ints, x: Floats, groups: Ints, fitted: Fitted) -> Posterior:
    """The posterior of risk (see the module's text) at `rows` with features x (len(rows), F)."""
    ok, amounts = memory.ok[rows], memory.violations[rows]
    violated = ok & (amounts > 0)
    y = np.where(ok, _FINE, _FAILED)
    fine = np.flatnonzero(ok & ~violated)
    guess = len(fine) > 0 and bool(violated.any())
    if violated.any():
        share = amounts[violated] / float(np.median(amounts[violated]))
        y[violated] = np.where(share > 1.0, 1.0 + np.log(np.maximum(share, 1.0)), share)
    if guess:
        y[fine] = expected_negatives(x, y, fine, groups, fitted.theta, _SAFEST)
    before = fitted.theta
    posterior = fitted.update(x, y, groups, len(memory.values), noisy=False)
    if guess and fitted.theta is not before:
        y[fine] = expected_negatives(x, y, fine, groups, fitted.theta, _SAFEST)
        posterior = Posterior.of(x, y, groups, fitted.theta)
    # where all were bad the scale is that of equal values: nothing, but how far the badness reaches is not known
    posterior.scale = max(posterior.scale, 0.1)
    return posterior
