"""Orders and subsets: a tour, a flow shop, features to keep, sensors to place."""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Order, Real, Some


@problem("tour", 14, "combinatorial")
def tour(instance: int) -> Made:
    """A round trip through 14 places in the plane (from 4 on: in clusters)."""
    rng = np.random.default_rng(instance)
    place = (
        rng.random((14, 2))
        if instance <= 3
        else rng.random((4, 2))[rng.integers(0, 4, 14)] + rng.normal(0, 0.06, (14, 2))
    )
    apart = np.hypot(*(place[:, None] - place[None, :]).transpose(2, 0, 1))

    def evaluate(p: dict[str, Any]) -> float:
        order = np.asarray(p["order"])
        return float(apart[order, np.roll(order, -1)].sum())

    return Made([Order(name="order", count=14)], evaluate)


@problem("flow_shop", 12, "combinatorial")
def flow_shop(instance: int) -> Made:
    """Twelve jobs through five machines in one order: the time when the last is done, and a little of the mean time."""
    times = np.random.default_rng(instance).integers(1, 100, (12, 5)).tolist()

    def evaluate(p: dict[str, Any]) -> float:
        done, total = [0] * 5, 0
        for job in p["order"]:
            before = 0
            for machine, time in enumerate(times[job]):
                before = max(done[machine], before) + time
                done[machine] = before
            total += before
        return done[-1] + 0.05 * total / 12

    return Made([Order(name="order", count=12)], evaluate)


@problem("features", 21, "combinatorial")
def features(instance: int) -> Made:
    """Which 20 products of the diabetes data help a ridge regression, and its penalty; error on a fixed split."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x = x / x.std(axis=0)
    rng = np.random.default_rng(instance)
    pairs = np.array(np.triu_indices(10)).T[rng.permutation(55)[:14]]
    kept = rng.permutation(10)[:6]
    x = np.hstack([x[:, kept], x[:, pairs[:, 0]] * x[:, pairs[:, 1]]])
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()
    fold = rng.permutation(len(y)) % 3
    sums = [
        (x[fold != k].T @ x[fold != k], x[fold != k].T @ y[fold != k], x[fold == k], y[fold == k]) for k in range(3)
    ]

    def evaluate(p: dict[str, Any]) -> float:
        keep = np.array(p["keep"], dtype=int)
        loss = 0.0
        for gram, cross, test, truth in sums:
            weights = np.linalg.solve(gram[np.ix_(keep, keep)] + p["penalty"] * np.eye(len(keep)), cross[keep])
            loss += float(np.mean((test[:, keep] @ weights - truth) ** 2))
        return loss / 3 + 0.001 * len(keep)

    return Made([Some(name="keep", count=20), Real(name="penalty", low=1e-3, high=1e3, log=True)], evaluate)


@problem("sensors", 24, "combinatorial")
def sensors(instance: int) -> Made:
    """Which of 24 sites get a sensor: the uncertainty left over a field of 60 places, and 0.02 for each sensor."""
    rng = np.random.default_rng(instance)
    sites, places = rng.random((24, 2)), rng.random((60, 2))

    def cover(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-((a[:, None] - b[None, :]) ** 2).sum(axis=2) / (2 * 0.2**2)))

    own, seen = cover(sites, sites) + 0.05 * np.eye(24), cover(sites, places)

    def evaluate(p: dict[str, Any]) -> float:
        keep = np.array(p["sites"], dtype=int)
        known = (
            np.einsum("ij,ij->j", seen[keep], np.linalg.solve(own[np.ix_(keep, keep)], seen[keep]))
            if len(keep)
            else 0.0
        )
        return float(np.mean(1 - known) + 0.02 * len(keep))

    return Made([Some(name="sites", count=24)], evaluate)
