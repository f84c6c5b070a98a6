"""A run as the engine would describe it, made by hand."""

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.watch.data import Column, RunData
from thalweg.watch.spans import Spans


def make_run(n=60, objectives=1, seed=0, goal="minimize"):
    """n trials of a bowl over a log float, an integer, a choice and a conditional float; every seventh failed."""
    rng = np.random.default_rng(seed)
    rate = 10 ** rng.uniform(-4, -1, n)
    depth = rng.integers(1, 13, n).astype(float)
    kind = rng.integers(0, 3, n).astype(float)
    slope = np.where(kind == 1, rng.uniform(0, 1, n), np.nan)
    first = (np.log10(rate) + 2.5) ** 2 + 0.1 * (depth - 5) ** 2 + kind
    values = np.column_stack([first, 10 - first + rng.random(n), rng.random(n)][:objectives])
    if goal == "maximize":
        values = -values
    statuses = np.full(n, Status.DONE, dtype=np.int8)
    errors = {}
    for row in range(3, n, 7):
        statuses[row] = Status.FAILED if row % 2 else Status.TIMEOUT
        values[row] = np.nan
        if row % 2:
            errors[row] = f"ValueError: no convergence after {row} steps"
    spans = Spans(wall_s=10.0)
    for stage, amount in {"objective": 8.0, "strategy": 1.5, "store": 0.2, "engine": 0.1}.items():
        spans.add(stage, amount)
    return RunData(
        values,
        statuses,
        rng.uniform(0.1, 0.2, n),
        [
            Column("rate", rate, "float", True, 1e-4, 1e-1),
            Column("depth", depth, "integer", False, 1, 12),
            Column("kind", kind, "choice", False, 0, 2, ("ridge", "lasso", "elastic net")),
            Column("slope", slope, "float", False, 0, 1),
        ],
        tuple(["loss", "latency", "size"][:objectives]),
        (goal,) * objectives,
        errors=errors,
        name="demo",
        strategy="tpe",
        reason="mixed space, budget below 1000",
        stop_reason="max_evals reached",
        budget=100,
        spans=spans,
    )


@pytest.fixture
def run():
    return make_run()


@pytest.fixture
def making():
    return make_run
