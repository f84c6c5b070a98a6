"""A batch costs what one point costs: DIRECT that asks for batches against SciPy's, which asks for points.

    python benchmarks/direct_vectorised.py [--repetitions 7] [--write]

The objective is the profit of a daily rule over n = 200 days of synthetic prices, with two multipliers per instrument
(entry and exit levels): piecewise linear, with jumps. One instrument makes 2 dimensions, three make 6. A call takes
0.2 ms of CPU time whatever the batch, as a kernel launch on an accelerator would: it computes, then burns what is left
(a batch that takes longer to compute here costs that). Both sides stop at the same number of evaluations.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import _timing  # first: pins BLAS threads
import numpy as np

import thalweg as tw

CALL_S = 2e-4
DAYS = 200
FEE = 0.0015
REACH = 0.03


class Instrument:
    """200 days of returns relative to the last close: high, low, close, their noisy predictions, a position per day."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        close = rng.normal(0.0005, 0.015, DAYS)
        high = np.maximum(close, 0.0) + np.abs(rng.normal(0.0, 0.008, DAYS))
        low = np.minimum(close, 0.0) - np.abs(rng.normal(0.0, 0.008, DAYS))
        high_said = np.clip(high + rng.normal(0.0, 0.006, DAYS), 0.0, 10.0)
        low_said = np.clip(low + rng.normal(0.0, 0.006, DAYS), -1.0, 0.0)
        position = np.where(close + rng.normal(0.0, 0.02, DAYS) > 0, 1.0, -1.0)
        long, short = position > 0, position < 0
        self.long = tuple(column[long] for column in (high, low, close, high_said, low_said))
        self.short = tuple(column[short] for column in (high, low, close, high_said, low_said))

    def profit(self, h: np.ndarray, l: np.ndarray) -> np.ndarray:  # noqa: E741 (the rule's own letters)
        """(k,) of exit multipliers h (k,) and entry multipliers l (k,)."""
        h, l = h[:, None], l[:, None]  # noqa: E741
        high, low, close, high_said, low_said = self.long
        enter = np.maximum(np.minimum(low_said + l, 0.0), -1.0)
        leave = np.minimum(np.maximum(high_said + h, 0.0), 10.0)
        gain = np.where(leave <= high, leave, close) - enter - FEE
        total = np.einsum("kd,kd->k", enter > low, gain)
        high, low, close, high_said, low_said = self.short
        enter = np.minimum(np.maximum(high_said + h, 0.0), 10.0)
        leave = np.maximum(np.minimum(low_said + l, 0.0), -1.0)
        gain = enter - np.where(leave >= low, leave, close) - FEE
        return total + np.einsum("kd,kd->k", enter < high, gain)


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
    cases: list[tuple[int, int, bool, float]] = [(2, 440, True, 8.0), (2, 440, False, 8.0), (6, 2000, True, 10.0), (6, 2000, False, 10.0)]  # fmt: skip
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
