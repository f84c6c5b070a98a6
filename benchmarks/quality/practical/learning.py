"""Tuning models of scikit-learn on the data sets that it ships, by a fixed split; what is minimised is the loss.

Instances 1 to 3 share a data set and differ in the split; from 4 on it is another data set.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from .registry import Made, problem
from .table import boosting_table
from .variables import Pick, Real, Whole


@cache
def classes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features and classes of a shipped data set.

    digits: 300 of the pictures of 3, 5 and 8; other_digits: 300 of those of 1, 4, 7 and 9.
    """
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name.removeprefix('other_')}")(return_X_y=True)
    if name.endswith("digits"):
        keep = np.flatnonzero(np.isin(y, (3, 5, 8) if name == "digits" else (1, 4, 7, 9)))[:300]
        x, y = x[keep], y[keep]
    x = x[:, x.std(axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def split(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(train x, train y, test x, test y), half and half."""
    order = np.random.default_rng(seed).permutation(len(y))
    half = len(y) // 2
    return x[order[:half]], y[order[:half]], x[order[half:]], y[order[half:]]


def log_loss(chances: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log-likelihood; chances (n, classes), truth (n,) the columns of the true classes."""
    rows = np.clip(chances[np.arange(len(truth)), truth], 1e-6, 1.0)
    return float(-np.mean(np.log(rows)))


def _by_margin(margins: np.ndarray, truth: np.ndarray) -> float:
    """Squared hinge loss, capped, of margins (n,) or (n, classes): finer than counting errors."""
    if margins.ndim == 1:
        right = np.where(truth == 1, margins, -margins)
    else:
        own = margins[np.arange(len(truth)), truth]
        rest = margins.copy()
        rest[np.arange(len(truth)), truth] = -np.inf
        right = own - rest.max(axis=1)
    return float(np.mean(np.clip(1.0 - right, 0.0, 3.0) ** 2))


def _columns(y: np.ndarray) -> np.ndarray:
    return np.unique(y, return_inverse=True)[1]


@problem("svm", 2)
def svm(instance: int) -> Made:
    """A support vector machine: C and the kernel's width."""
    from sklearn.svm import SVC

    data = "breast_cancer" if instance <= 3 else "digits"
    x, y = classes(data)
    a, ya, b, yb = split(x, _columns(y), instance)

    def evaluate(p: dict[str, Any]) -> float:
        return _by_margin(SVC(C=p["C"], gamma=p["gamma"], max_iter=20_000).fit(a, ya).decision_function(b), yb)

    return Made(
        [Real(name="C", low=1e-3, high=1e4, log=True), Real(name="gamma", low=1e-6, high=10.0, log=True)], evaluate
    )


@problem("elastic_net", 4)
def elastic_net(instance: int) -> Made:
    """Elastic net on the diabetes data: penalty, its mixture, features and their power transform."""
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import ElasticNet

    x, y = load_diabetes(return_X_y=True)
    x = x / x.std(axis=0)
    if instance > 3:  # another question to the same patients: the third blood value from everything else
        x, y = np.column_stack([np.delete(x, 8, axis=1), y / y.std()]), x[:, 8] * 77.0
    pairs = np.triu_indices(x.shape[1])
    a, ya, b, yb = split(x, y, instance)
    made: dict[str, Any] = {
        "plain": lambda z: z,
        "squares": lambda z: np.hstack([z, z**2]),
        "products": lambda z: np.hstack([z, z[:, pairs[0]] * z[:, pairs[1]]]),
    }

    def evaluate(p: dict[str, Any]) -> float:
        def view(z: np.ndarray) -> np.ndarray:
            return np.asarray(made[p["features"]](np.sign(z) * np.abs(z) ** p["power"]))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged: the user sees a worse loss
            model = ElasticNet(alpha=p["alpha"], l1_ratio=p["l1_ratio"], max_iter=300).fit(view(a), ya)
        return float(np.sqrt(np.mean((model.predict(view(b)) - yb) ** 2)))

    return Made(
        [
            Real(name="alpha", low=1e-4, high=100.0, log=True),
            Real(name="l1_ratio", low=0.0, high=1.0),
            Real(name="power", low=0.3, high=2.0),
            Pick(name="features", options=tuple(made)),
        ],
        evaluate,
    )


@problem("logistic", 5)
def logistic(instance: int) -> Made:
    """Logistic regression with a penalty to choose, class weight, intercept, outliers clipped."""
    from sklearn.linear_model import LogisticRegression

    x, y = classes("breast_cancer" if instance <= 3 else "wine")
    a, ya, b, yb = split(x, (_columns(y) == 1).astype(int), instance)

    def evaluate(p: dict[str, Any]) -> float:
        model = LogisticRegression(
            C=p["C"],
            l1_ratio=1 if p["penalty"] == "l1" else 0,
            solver="liblinear",
            intercept_scaling=p["intercept"],
            class_weight={0: 1.0, 1: p["weight"]},
            max_iter=60,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(np.clip(a, -p["clip"], p["clip"]), ya)
        return log_loss(model.predict_proba(np.clip(b, -p["clip"], p["clip"])), yb)

    return Made(
        [
            Real(name="C", low=1e-4, high=1e3, log=True),
            Pick(name="penalty", options=("l1", "l2")),
            Real(name="intercept", low=0.01, high=100.0, log=True),
            Real(name="weight", low=0.1, high=10.0, log=True),
            Real(name="clip", low=0.3, high=6.0, log=True),
        ],
        evaluate,
    )


@problem("neighbours", 6)
def neighbours(instance: int) -> Made:
    """K nearest neighbours: their number, weights, metric, principal components and how strongly these are whitened."""
    from sklearn.neighbors import KNeighborsClassifier

    x, y = classes("wine" if instance <= 3 else "digits")
    a, ya, b, yb = split(x, _columns(y), instance)
    axes = np.linalg.svd(a - a.mean(axis=0), full_matrices=False)
    scale = axes[1] / axes[1][0] + 1e-3
    a, b = (a - a.mean(axis=0)) @ axes[2].T, (b - a.mean(axis=0)) @ axes[2].T
    kinds = len(np.unique(ya))

    def evaluate(p: dict[str, Any]) -> float:
        kept = slice(p["components"])
        factor = scale[kept] ** -p["whitening"]
        model = KNeighborsClassifier(p["neighbours"], weights=p["weights"], metric=p["metric"], algorithm="brute")
        chances = model.fit(a[:, kept] * factor, ya).predict_proba(b[:, kept] * factor)
        return log_loss((1 - p["smoothing"]) * chances + p["smoothing"] / kinds, yb)

    return Made(
        [
            Whole(name="neighbours", low=1, high=60, log=True),
            Pick(name="weights", options=("uniform", "distance")),
            Pick(name="metric", options=("euclidean", "manhattan", "chebyshev", "cosine")),
            Whole(name="components", low=1, high=min(x.shape[1], 40)),
            Real(name="whitening", low=-0.5, high=1.5),
            Real(name="smoothing", low=1e-4, high=0.5, log=True),
        ],
        evaluate,
    )


@problem("tree", 7)
def tree(instance: int) -> Made:
    """A regression tree on the diabetes data (held out: the third blood value), mean of three folds."""
    from sklearn.datasets import load_diabetes
    from sklearn.tree import DecisionTreeRegressor

    x, y = load_diabetes(return_X_y=True)
    if instance > 3:
        x, y = np.column_stack([np.delete(x, 8, axis=1), y]), x[:, 8] * 1000 + 150
    fold = np.random.default_rng(instance).permutation(len(y)) % 3

    def evaluate(p: dict[str, Any]) -> float:
        loss = 0.0
        for k in range(3):
            model = DecisionTreeRegressor(**p, random_state=0)
            model.fit(x[fold != k], y[fold != k])
            loss += float(np.mean((model.predict(x[fold == k]) - y[fold == k]) ** 2))
        return float(np.sqrt(loss / 3))

    return Made(
        [
            Whole(name="max_depth", low=1, high=20),
            Whole(name="min_samples_leaf", low=1, high=80, log=True),
            Whole(name="min_samples_split", low=2, high=100, log=True),
            Real(name="max_features", low=0.1, high=1.0),
            Whole(name="max_leaf_nodes", low=2, high=200, log=True),
            Real(name="ccp_alpha", low=1e-2, high=1e3, log=True),
            Pick(name="criterion", options=("squared_error", "poisson")),
        ],
        evaluate,
    )


@problem("boosting", 6)
def boosting(instance: int) -> Made:
    """Gradient boosting by table: every combination was trained once (see `table`); 6 ordered parameters."""
    levels, losses = boosting_table(instance)

    def evaluate(p: dict[str, Any]) -> float:
        return float(losses[tuple(options.index(p[name]) for name, options in levels.items())])

    variables = [Pick(name=name, options=options, ordered=True) for name, options in levels.items()]
    return Made(variables, evaluate, optimum=float(losses.min()))
