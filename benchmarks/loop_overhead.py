"""What one evaluation costs beside the objective: CPU microseconds, everything on (snap, key, cache, record, events).

    python benchmarks/loop_overhead.py [--repetitions 7] [--evaluations 4000] [--write]

The objective is a shifted 4-d sphere in plain Python (or NumPy over columns); its own cost is in every figure, and
stands in the first row. Rivals do the same number of evaluations of the same objective, except Optuna (a quarter: its
cost per trial grows with the number of trials).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np

import thalweg as tw

CENTRE = (1.3, -0.7, 0.4, -2.1)
BOUNDS = [(-5.0, 5.0)] * 4
SPACE = {name: tw.Float(-5.0, 5.0) for name in "abcd"}


def by_name(p):
    a, b, c, d = p["a"] - 1.3, p["b"] + 0.7, p["c"] - 0.4, p["d"] + 2.1
    return a * a + b * b + c * c + d * d


def by_position(x):
    a, b, c, d = x.tolist()
    a, b, c, d = a - 1.3, b + 0.7, c - 0.4, d + 2.1
    return a * a + b * b + c * c + d * d


def by_rows(x):
    """(4, n) -> (n,), SciPy's way round."""
    return ((x - np.array(CENTRE)[:, None]) ** 2).sum(axis=0)


@dataclass
class Row:
    """inline, vectorised: n evaluations.  bars: the most microseconds allowed.  family: rows to compare."""

    family: str
    name: str
    inline: Callable[[int], int] | None
    vectorised: Callable[[int], int] | None = None
    bars: tuple[float | None, float | None] = (None, None)


def ours(strategy: str, vectorised: bool) -> Callable[[int], int]:
    def run(n: int) -> int:
        result = tw.minimize(
            by_name, SPACE, strategy=strategy, max_evals=n, seed=1, vectorised=vectorised, progress=False
        )
        assert result.evaluations >= 0.8 * n, result.stop_reason  # a grid may have fewer cells
        return result.evaluations

    return run


def bare(n: int) -> int:
    point = dict.fromkeys("abcd", 0.5)
    for _ in range(n):
        by_name(point)
    return n


def bare_columns(n: int) -> int:
    columns = {name: np.full(1024, 0.5) for name in "abcd"}
    for _ in range(max(1, n // 1024)):
        by_name(columns)
    return max(1, n // 1024) * 1024


def optuna_ask_tell(n: int) -> int:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(n // 4):
        trial = study.ask()
        study.tell(trial, by_name({name: trial.suggest_float(name, -5.0, 5.0) for name in "abcd"}))
    return n // 4


def optuna_optimize(n: int) -> int:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda t: by_name({name: t.suggest_float(name, -5.0, 5.0) for name in "abcd"}), n_trials=n // 4)
    return n // 4


def scipy_de(n: int) -> int:
    from scipy.optimize import differential_evolution

    result = differential_evolution(by_position, BOUNDS, maxiter=n // 60 - 1, popsize=15, tol=0.0, polish=False, rng=1)
    assert abs(result.nfev - n) <= 60, result.nfev
    return int(result.nfev)


def scipy_de_vectorised(n: int) -> int:
    from scipy.optimize import differential_evolution

    counted = 0

    def objective(x):
        nonlocal counted
        counted += x.shape[1]
        return by_rows(x)

    differential_evolution(
        objective, BOUNDS, maxiter=n // 60 - 1, popsize=15, tol=0.0, polish=False, rng=1, vectorized=True,
        updating="deferred",
    )  # fmt: skip
    assert abs(counted - n) <= 60, counted
    return counted


def scipy_direct(n: int) -> int:
    from scipy.optimize import direct

    result = direct(by_position, BOUNDS, maxfun=n, maxiter=n, vol_tol=0.0, len_tol=0.0, locally_biased=False)
    return int(result.nfev)


def cmaes_package(n: int) -> int:
    from cmaes import CMA

    optimizer = CMA(mean=np.zeros(4), sigma=2.0, bounds=np.array(BOUNDS), seed=1)
    done = 0
    while done < n:
        solutions = []
        for _ in range(optimizer.population_size):
            x = optimizer.ask()
            solutions.append((x, by_position(x)))
        optimizer.tell(solutions)
        done += len(solutions)
    return done


def pycma(n: int) -> int:
    import cma

    options = {"bounds": [-5, 5], "seed": 1, "verbose": -9, "maxfevals": n, "tolfun": 0, "tolx": 0, "tolfunhist": 0}
    strategy = cma.CMAEvolutionStrategy([0.0] * 4, 2.0, options)
    while strategy.countevals < n:
        points = strategy.ask()
        strategy.tell(points, [by_position(x) for x in points])
    return int(strategy.countevals)


def rows() -> list[Row]:
    def own(family: str, strategy: str, *bars: float | None) -> Row:
        pair = (bars[0], bars[1]) if bars else (None, None)
        return Row(family, f"thalweg {strategy}", ours(strategy, False), ours(strategy, True), pair)

    return [
        Row("objective", "the objective alone", bare, bare_columns),
        own("random", "random", 6.0, 1.0),
        Row("random", "optuna RandomSampler, ask and tell", optuna_ask_tell),
        Row("random", "optuna RandomSampler, optimize", optuna_optimize),
        own("de", "de", 8.0, 3.0),
        Row("de", "scipy differential_evolution", scipy_de, scipy_de_vectorised),
        own("cmaes", "cmaes", 20.0, 12.0),
        Row("cmaes", "cmaes (package), ask and tell", cmaes_package),
        Row("cmaes", "pycma, ask and tell", pycma),
        own("direct", "direct", None, 5.0),
        Row("direct", "scipy direct", scipy_direct),
        own("genetic", "genetic"),
        own("pso", "pso"),
        own("grid", "grid"),
        own("sobol", "sobol"),
    ]


def _cell(value: float | None, bar: float | None) -> str:
    if value is None or bar is None:
        return _timing.figure(value)
    return f"{_timing.figure(value)} ({'within' if value <= bar else 'over'} {bar:g})"


def report(chosen: list[Row], seen: dict[str, list[float]]) -> str:
    medians = {name: _timing.median(values) for name, values in seen.items()}
    body = []
    for row in chosen:
        inline, vectorised = (medians.get(f"{row.name} / {kind}") for kind in ("inline", "vectorised"))
        own = next((item for item in chosen if item.family == row.family), row)
        ratios = [
            f"{value / medians[f'{own.name} / {kind}']:.1f}"
            for value, kind in ((inline, "inline"), (vectorised, "vectorised"))
            if value is not None and own is not row
        ]
        body.append([row.name, _cell(inline, row.bars[0]), _cell(vectorised, row.bars[1]), " / ".join(ratios)])
    header = ["", "inline, us per evaluation", "vectorised, us per evaluation", "times thalweg"]
    return _timing.table(header, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--evaluations", type=int, default=4000)
    parser.add_argument("--only", nargs="*", help="families: random de cmaes direct genetic pso grid sobol")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/loop-overhead.md")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    try:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
    except ImportError:
        pass
    n = given.evaluations
    chosen = [row for row in rows() if not given.only or row.family in given.only or row.name.split()[-1] in given.only]
    runs: dict[str, _timing.Run] = {}
    for row in chosen:
        if row.inline is not None:
            runs[f"{row.name} / inline"] = lambda make=row.inline: make(n)
        if row.vectorised is not None:
            runs[f"{row.name} / vectorised"] = lambda make=row.vectorised: make(n)
    seen = _timing.interleaved(runs, given.repetitions)
    text = "\n".join(
        [
            "# What one evaluation costs beside the objective",
            "",
            f"CPU microseconds per evaluation of a trivial 4-d objective, {n} evaluations in a run, median of "
            f"{given.repetitions} interleaved runs (each builds the study anew). Everything is on: snapping, keys, "
            "cache, record, events. In brackets: the bar. Inline, the objective is called per point, vectorised "
            "once per batch that the strategy gives (8 points for CMA-ES in 4-d, 1024 for random search).",
            "",
            report(chosen, seen),
            "",
            f"Measured on {_timing.where('numpy', 'scipy', 'optuna', 'cmaes', 'cma')}. Reproduce with:",
            "",
            "```",
            "pip install -e . -r benchmarks/requirements.txt",
            f"python benchmarks/loop_overhead.py --repetitions {given.repetitions} --evaluations {n}",
            "```",
        ]
    )
    _timing.publish("loop-overhead.md", text, given.write)


if __name__ == "__main__":
    main()
