"""A batch costs what one point costs: DIRECT that asks for batches against SciPy's, which asks for points.

    python benchmarks/direct_vectorised.py [--repetitions 7] [--write]

The objective is the profit of a daily rule over n = 200 days of synthetic prices, with two multipliers per instrument
(entry and exit levels): piecewise linear, with jumps. One instrument makes 2 dimensions, three make 6. A call takes
0.2 ms of CPU time whatever the batch, as a kernel launch on an accelerator would: it computes, then burns what is
left. Both sides stop at the same number of evaluations.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np

import thalweg as tw

CALL_S = 2e-4
DAYS = 200
FEE = 0.0015
REACH = 0.03


class Instrument:
    """200 days of returns relative to the last close: high, low, close, their noisy predictions, a position per day.

    The profit is linear between the levels at which some day's entry or exit changes, so its coefficients in every cell
    (entry levels) x (exit levels) are tabulated beforehand, by matrix products: a call then costs the same few
    microseconds for any batch.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        close = rng.normal(0.0005, 0.015, DAYS)
        high = np.maximum(close, 0.0) + np.abs(rng.normal(0.0, 0.008, DAYS))
        low = np.minimum(close, 0.0) - np.abs(rng.normal(0.0, 0.008, DAYS))
        high_said = np.clip(high + rng.normal(0.0, 0.006, DAYS), 0.0, 10.0)
        low_said = np.clip(low + rng.normal(0.0, 0.006, DAYS), -1.0, 0.0)
        self.days = high, low, close, high_said, low_said
        self.long = close + rng.normal(0.0, 0.02, DAYS) > 0
        self.h_breaks = np.sort(np.concatenate([high - high_said, -high_said]))
        self.l_breaks = np.sort(np.concatenate([low - low_said, -low_said]))
        self.constant, self.per_h, self.per_l = self._tables()

    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients (cells of l, cells of h): profit = constant + per_h * h + per_l * l."""
        high, low, close, high_said, low_said = self.days
        h, l = _middles(self.h_breaks), _middles(self.l_breaks)  # noqa: E741
        upper, lower = np.clip(high_said + h, 0.0, 10.0), np.clip(low_said + l, -1.0, 0.0)
        h_slope, l_slope = (high_said + h == upper).astype(float), (low_said + l == lower).astype(float)
        h_rest, l_rest = upper - h_slope * h, lower - l_slope * l
        enter = (lower > low) & self.long  # long: buys at the lower level, sells at the upper one or at the close
        hit = upper <= high
        constant = enter @ np.where(hit, h_rest, close).T - (enter * (l_rest + FEE)).sum(axis=1)[:, None]
        per_h = enter @ (hit * h_slope).T
        per_l = np.broadcast_to(-(enter * l_slope).sum(axis=1)[:, None], constant.shape).copy()
        enter = (upper < high) & ~self.long  # short: sells at the upper, buys back at the lower one or at the close
        hit = lower >= low
        constant += (enter * (h_rest - FEE)).sum(axis=1) - np.where(hit, l_rest, close) @ enter.T
        per_h += (enter * h_slope).sum(axis=1)
        per_l -= (hit * l_slope) @ enter.T
        return constant, per_h, per_l

    def profit(self, h: np.ndarray, l: np.ndarray) -> np.ndarray:  # noqa: E741 (the rule's own letters)
        """(k,) of exit multipliers h (k,) and entry multipliers l (k,)."""
        cell = self.l_breaks.searchsorted(l), self.h_breaks.searchsorted(h)
        return self.constant[cell] + self.per_h[cell] * h + self.per_l[cell] * l

    def by_day(self, h: float, l: float) -> float:  # noqa: E741
        """The rule itself, day by day: what the tables must give."""
        total = 0.0
        for high, low, close, high_said, low_said, long in zip(*self.days, self.long, strict=True):
            upper, lower = min(max(high_said + h, 0.0), 10.0), max(min(low_said + l, 0.0), -1.0)
            if long and lower > low:
                total += (upper if upper <= high else close) - lower - FEE
            elif not long and upper < high:
                total += upper - (lower if lower >= low else close) - FEE
        return total


def _middles(breaks: np.ndarray) -> np.ndarray:
    """(cells, 1) a number inside each cell; the outer cells reach to infinity."""
    return np.concatenate([[breaks[0] - 1e-3], (breaks[1:] + breaks[:-1]) / 2, [breaks[-1] + 1e-3]])[:, None]


def check_tables() -> None:
    """Raise where the tables give another profit than the rule."""
    rng = np.random.default_rng(0)
    for seed in range(3):
        item = Instrument(seed)
        points = rng.uniform(-REACH, REACH, (200, 2))
        exact = [item.by_day(*point) for point in points.tolist()]
        np.testing.assert_allclose(item.profit(points[:, 0], points[:, 1]), exact, rtol=0, atol=1e-12)


@dataclass
class Objective:
    """Minus the profit, minimised; counts calls and points."""

    instruments: list[Instrument]
    calls: int = 0
    points: int = 0

    def many(self, x: np.ndarray) -> np.ndarray:
        """(k, 2 m) -> (k,)."""
        began = time.thread_time()
        total = sum(item.profit(x[:, 2 * i], x[:, 2 * i + 1]) for i, item in enumerate(self.instruments))
        self.calls += 1
        self.points += len(x)
        while time.thread_time() - began < CALL_S:
            pass
        return -total

    def one(self, x: np.ndarray) -> float:
        """SciPy's way: one point."""
        return float(self.many(x[None])[0])


@dataclass
class Outcome:
    """milliseconds of CPU, evaluations, calls of the objective, the value found."""

    ms: float
    evaluations: int
    calls: int
    value: float


def scipy_run(objective: Objective, bounds: list, evaluations: int, local: bool) -> Outcome:
    from scipy.optimize import direct

    before = time.process_time()
    found = direct(
        objective.one, bounds, maxfun=evaluations, maxiter=evaluations, vol_tol=0.0, len_tol=0.0, locally_biased=local
    )
    return Outcome((time.process_time() - before) * 1e3, objective.points, objective.calls, float(found.fun))


def our_run(objective: Objective, bounds: list, evaluations: int, strategy: str) -> Outcome:
    before = time.process_time()
    found = tw.minimize(
        objective.many, bounds, strategy=strategy, max_evals=evaluations, vectorised=True, seed=0, progress=False
    )
    return Outcome((time.process_time() - before) * 1e3, objective.points, objective.calls, float(found.fun))


def compare(dimension: int, evaluations: int, local: bool, repetitions: int) -> tuple[Outcome, Outcome]:
    """(thalweg's, SciPy's): medians of interleaved runs. SciPy ends its last iteration, so it goes first and says how
    many evaluations both get."""
    instruments = [Instrument(seed) for seed in range(dimension // 2)]
    bounds = [(-REACH, REACH)] * dimension
    strategy = "direct_l" if local else "direct"
    reached = scipy_run(Objective(instruments), bounds, evaluations, local).evaluations
    our_run(Objective(instruments), bounds, reached, strategy)
    pairs = [
        (
            our_run(Objective(instruments), bounds, reached, strategy),
            scipy_run(Objective(instruments), bounds, evaluations, local),
        )
        for _ in range(repetitions)
    ]
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    return _middle(ours), _middle(theirs)


def _middle(outcomes: list[Outcome]) -> Outcome:
    first = outcomes[0]
    return Outcome(_timing.median([item.ms for item in outcomes]), first.evaluations, first.calls, first.value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/direct-vectorised.md")
    given = parser.parse_args()
    check_tables()
    cases = [(2, 440, True, 8.0), (2, 440, False, 8.0), (6, 2000, True, 10.0), (6, 2000, False, 10.0)]
    body = []
    for dimension, evaluations, local, bar in cases:
        ours, theirs = compare(dimension, evaluations, local, given.repetitions)
        gap = (ours.value - theirs.value) / abs(theirs.value)
        ratio = theirs.ms / ours.ms
        body.append(
            [
                f"{dimension}-d, {'direct_l (locally biased)' if local else 'direct'}",
                f"{ours.evaluations} / {theirs.evaluations}",
                f"{ours.calls} / {theirs.calls}",
                f"{ours.ms:.1f} / {theirs.ms:.1f}",
                f"{ratio:.1f} ({'reaches' if ratio >= bar else 'below'} {bar:g})",
                f"{theirs.value:.6f}",
                f"{gap:+.1e} ({'within' if gap <= 1e-4 else 'over'} 1e-4)",
            ]
        )
    header = ["", "evaluations", "calls", "CPU ms", "times sooner", "SciPy's minimum", "gap to it"]
    text = "\n".join(
        [
            "# Batched DIRECT on an objective that takes 0.2 ms per call, whatever the batch",
            "",
            f"Minus the profit of a daily rule over {DAYS} days, 2 multipliers per instrument. Pairs are thalweg / "
            f"SciPy; medians of {given.repetitions} interleaved runs; both make the same number of evaluations.",
            "",
            _timing.table(header, body),
            "",
            f"Measured on {_timing.where('numpy', 'scipy')}. Reproduce with:",
            "",
            "```",
            "pip install -e . -r benchmarks/requirements.txt",
            f"python benchmarks/direct_vectorised.py --repetitions {given.repetitions}",
            "```",
        ]
    )
    _timing.publish("direct-vectorised.md", text, given.write)


if __name__ == "__main__":
    main()
