"""The table behind `boosting`: it is computed once per machine (about half a minute) and kept beside the traces.

Nothing is shipped: the data is scikit-learn's and the training is deterministic, so the table is the same for all who
have the same version of it.
"""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import numpy as np

LEVELS: dict[str, tuple[float, ...]] = {
    "learning_rate": (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6),
    "max_depth": (1, 2, 3, 4, 6),
    "subsample": (0.5, 1.0),
    "max_features": (0.2, 0.5, 1.0),
    "min_samples_leaf": (1, 10),
    "n_estimators": tuple(range(5, 105, 5)),
}


def boosting_table(instance: int) -> tuple[dict[str, tuple[float, ...]], np.ndarray]:
    """(levels of each parameter, losses with one axis per parameter)."""
    import sklearn

    home = Path(os.environ.get("THALWEG_TRACES", Path(__file__).resolve().parents[2] / "traces")) / "tables"
    path = home / f"boosting_{instance}_sklearn{sklearn.__version__}.npy"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.tmp.npy")
        np.save(part, _train(instance))
        part.replace(path)
    return LEVELS, np.load(path)


def _train(instance: int) -> np.ndarray:
    from sklearn.datasets import load_diabetes, load_wine
    from sklearn.ensemble import GradientBoostingRegressor

    if instance <= 3:
        x, y = load_diabetes(return_X_y=True)
    else:  # the colour of a wine from its other measurements
        x, y = load_wine(return_X_y=True)[0][:, np.arange(13) != 9], load_wine(return_X_y=True)[0][:, 9]
    test = np.random.default_rng(instance).permutation(len(y)) % 2 == 0
    outer = list(LEVELS.values())[:-1]
    out = np.empty([len(options) for options in LEVELS.values()])
    for place in product(*(range(len(options)) for options in outer)):
        values = {name: LEVELS[name][i] for name, i in zip(LEVELS, place, strict=False)}
        model = GradientBoostingRegressor(**values, n_estimators=100, random_state=0).fit(x[~test], y[~test])
        stages = [np.sqrt(np.mean((guess - y[test]) ** 2)) for guess in model.staged_predict(x[test])]
        out[place] = [stages[int(count) - 1] for count in LEVELS["n_estimators"]]
    return out
