"""Golden runs: a fixed seed gives the same points as when the run was written down (tests/golden/<name>.json).

To write them again after a wanted change: THALWEG_WRITE_GOLDEN=1 pytest <the test>, then read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from driving import bowl, mixed, run

from thalweg.core.problem import Problem

FOLDER = Path(__file__).parents[2] / "golden"


def check_golden(name: str, strategy, budget: int = 60, kept: int = 40, atol: float = 1e-9, rtol: float = 1e-6) -> None:
    """Every third of the first `kept` points (within `atol`) and the best value after `budget` evaluations (within
    `rtol`), asked for by sevens.
    """
    points, values = run(strategy, Problem(mixed()), bowl, budget, seed=2024, batch=7)
    path = FOLDER / f"{name}.json"
    if os.environ.get("THALWEG_WRITE_GOLDEN"):
        rows = [[round(x, 15) for x in row] for row in points[:kept:3].tolist()]
        path.write_text(json.dumps({"points": rows, "best": float(values.min())}))
    golden = json.loads(path.read_text())
    np.testing.assert_allclose(points[:kept:3], golden["points"][: -(-kept // 3)], rtol=0, atol=atol)
    np.testing.assert_allclose(values.min(), golden["best"], rtol=rtol)
