"""What remembering costs: CPU and wall milliseconds per trial of a study in an SQLite file.

    python benchmarks/store_overhead.py [--repetitions 5] [--trials 200] [--write]

A study's full protocol (open a trial, record its result, log what was asked and told, each before it counts) on a
trivial 4-d objective with random search: as the loop does it (a chunk's rows in one transaction), and one trial at a
time by hand (`ask`, `tell`), against Optuna's SQLite storage. Every run has a fresh file in a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)

import thalweg as tw

SPACE = {name: tw.Float(-5.0, 5.0) for name in "abcd"}


def objective(p):
    a, b, c, d = p["a"] - 1.3, p["b"] + 0.7, p["c"] - 0.4, p["d"] + 2.1
    return a * a + b * b + c * c + d * d


def chunked(path: Path, n: int) -> None:
    with tw.Study(SPACE, store=f"sqlite:///{path}", strategy="random", seed=1) as study:
        assert study.run(objective, max_evals=n, progress=False).evaluations == n


def in_memory(_path: Path, n: int) -> None:
    with tw.Study(SPACE, strategy="random", seed=1) as study:
        assert study.run(objective, max_evals=n, progress=False).evaluations == n


def one_at_a_time(path: Path, n: int) -> None:
    with tw.Study(SPACE, store=f"sqlite:///{path}", strategy="random", seed=1) as study:
        for _ in range(n):
            (trial,) = study.ask(1)
            study.tell(trial, objective(trial.params))


def optuna_sqlite(path: Path, n: int) -> None:
    import optuna

    study = optuna.create_study(storage=f"sqlite:///{path}", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda t: objective({name: t.suggest_float(name, -5.0, 5.0) for name in "abcd"}), n_trials=n)


def measure(run: Callable[[Path, int], None], n: int) -> tuple[float, float, float]:
    """(CPU ms, wall ms, bytes) per trial."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        cpu, wall = time.process_time(), time.perf_counter()
        run(path, n)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        size = sum(item.stat().st_size for item in Path(folder).iterdir())
    return cpu / n * 1e3, wall / n * 1e3, size / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/store-overhead.md")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    n = given.trials
    runs = {
        "thalweg, in memory": (in_memory, 50 * n),
        "thalweg, SQLite, chunks of the loop": (chunked, 50 * n),
        f"thalweg, SQLite, {n} trials in one run": (chunked, n),
        "thalweg, SQLite, one trial at a time by hand": (one_at_a_time, n),
        "optuna, SQLite, optimize": (optuna_sqlite, n // 2),
    }
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in runs}
    for turn in range(given.repetitions + 1):
        for name, (run, count) in runs.items():
            figures = measure(run, count)
            if turn:
                seen[name].append(figures)
    middle = {name: [_timing.median(column) for column in zip(*rows, strict=True)] for name, rows in seen.items()}
    rival = middle["optuna, SQLite, optimize"]
    body = [
        [name, str(runs[name][1]), f"{cpu:.3f}", f"{wall:.3f}", f"{size:.0f}" if size else "", f"{rival[0] / cpu:.0f}"]
        for name, (cpu, wall, size) in middle.items()
    ]
    header = ["", "trials", "CPU ms per trial", "wall ms per trial", "bytes per trial", "Optuna's CPU / this"]
    text = "\n".join(
        [
            "# What a durable store costs",
            "",
            "Milliseconds per trial of a trivial 4-d objective with random search, the full protocol: open, record, "
            f"log. Medians of {given.repetitions} interleaved runs, each with a fresh file.",
            "",
            _timing.table(header, body),
            "",
            f"Measured on {_timing.where('apsw', 'optuna', 'sqlalchemy')}. Reproduce with:",
            "",
            "```",
            "pip install -e . -r benchmarks/requirements.txt",
            f"python benchmarks/store_overhead.py --repetitions {given.repetitions} --trials {n}",
            "```",
        ]
    )
    _timing.publish("store-overhead.md", text, given.write)


if __name__ == "__main__":
    main()
