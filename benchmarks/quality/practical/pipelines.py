"""Choices that bring their own parameters: which model, compressor, controller, policy or trainer."""

from __future__ import annotations

import bz2
import lzma
import warnings
import zlib
from typing import Any

import numpy as np

from .control import carts, swing
from .learning import classes, log_loss, split
from .machines import data_of
from .operations import demands, stock_cost
from .registry import Made, problem
from .variables import Pick, Real, Whole


@problem("any_model", 10, "conditional")
def any_model(instance: int) -> Made:
    """One of four classifiers, each with its own parameters, for few pictures of digits (held out: of other digits)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    x, y = classes("digits" if instance <= 3 else "other_digits")
    a, ya, b, yb = split(x, np.unique(y, return_inverse=True)[1], instance)
    kinds = len(np.unique(ya))
    a, ya = a[: 12 * kinds], ya[: 12 * kinds]  # few, so that no model tells all apart

    def chances(p: dict[str, Any]) -> np.ndarray:
        match p["model"]:
            case "svm":
                margins = SVC(C=p["C"], gamma=p["gamma"]).fit(a, ya).decision_function(b)
                powers = np.exp(np.clip(p["sharpness"] * margins, -50, 50))
                return np.asarray(powers / powers.sum(axis=1, keepdims=True))
            case "neighbours":
                model = KNeighborsClassifier(p["neighbours"], weights=p["weights"], algorithm="brute").fit(a, ya)
            case "tree":
                model = DecisionTreeClassifier(max_depth=p["depth"], min_samples_leaf=p["leaf"], random_state=0).fit(
                    a, ya
                )
            case _:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = LogisticRegression(C=p["penalty"], max_iter=60).fit(a, ya)
        return np.asarray(model.predict_proba(b))

    def evaluate(p: dict[str, Any]) -> float:
        return log_loss((1 - p["smoothing"]) * chances(p) + p["smoothing"] / kinds, yb)

    return Made(
        [
            Pick(name="model", options=("svm", "neighbours", "tree", "logistic")),
            Real(name="smoothing", low=1e-4, high=0.5, log=True),
            Real(name="C", low=1e-2, high=1e3, log=True, when=("model", ("svm",))),
            Real(name="gamma", low=1e-4, high=1.0, log=True, when=("model", ("svm",))),
            Real(name="sharpness", low=0.3, high=30.0, log=True, when=("model", ("svm",))),
            Whole(name="neighbours", low=1, high=30, log=True, when=("model", ("neighbours",))),
            Pick(name="weights", options=("uniform", "distance"), when=("model", ("neighbours",))),
            Whole(name="depth", low=1, high=12, when=("model", ("tree",))),
            Whole(name="leaf", low=1, high=40, log=True, when=("model", ("tree",))),
            Real(name="penalty", low=1e-4, high=1e3, log=True, when=("model", ("logistic",))),
        ],
        evaluate,
    )


@problem("any_compressor", 14, "conditional")
def any_compressor(instance: int) -> Made:
    """zlib, bz2 or LZMA, each with its knobs, after an optional delta filter or transposition; bytes out per 100 in."""
    data = np.frombuffer(data_of(instance, 8_000), dtype=np.uint8)

    def prepared(p: dict[str, Any]) -> bytes:
        match p["before"]:
            case "delta":
                out = data.copy()
                out[p["distance"] :] -= data[: -p["distance"]]
                return out.tobytes()
            case "columns":
                width = p["columns"]
                whole = len(data) // width * width
                return data[:whole].reshape(-1, width).T.tobytes() + data[whole:].tobytes()
        return data.tobytes()

    def evaluate(p: dict[str, Any]) -> float:
        raw = prepared(p)
        match p["method"]:
            case "zlib":
                coder = zlib.compressobj(p["level"], zlib.DEFLATED, -p["window"], p["memory"], p["strategy"])
                size = len(coder.compress(raw) + coder.flush())
            case "bz2":
                size = len(bz2.compress(raw, p["block"]))
            case _:
                own = {
                    "id": lzma.FILTER_LZMA2,
                    "dict_size": 1 << 15,
                    "lc": p["lc"],
                    "lp": min(p["lp"], 4 - p["lc"]),
                    "pb": p["pb"],
                    "nice_len": p["nice"],
                    "mf": p["finder"],
                }
                size = len(lzma.compress(raw, lzma.FORMAT_RAW, filters=[own]))
        return 100 * size / len(raw)

    strategies = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)
    by_lzma = ("method", ("lzma",))
    by_zlib = ("method", ("zlib",))
    return Made(
        [
            Pick(name="method", options=("zlib", "bz2", "lzma")),
            Pick(name="before", options=("nothing", "delta", "columns")),
            Whole(name="distance", low=1, high=16, when=("before", ("delta",))),
            Whole(name="columns", low=2, high=16, when=("before", ("columns",))),
            Whole(name="level", low=1, high=9, when=by_zlib),
            Whole(name="memory", low=1, high=9, when=by_zlib),
            Whole(name="window", low=9, high=15, when=by_zlib),
            Pick(name="strategy", options=strategies, when=by_zlib),
            Whole(name="block", low=1, high=9, when=("method", ("bz2",))),
            Whole(name="lc", low=0, high=4, when=by_lzma),
            Whole(name="lp", low=0, high=4, when=by_lzma),
            Whole(name="pb", low=0, high=4, when=by_lzma),
            Whole(name="nice", low=5, high=273, log=True, when=by_lzma),
            Pick(name="finder", options=(lzma.MF_HC4, lzma.MF_BT2, lzma.MF_BT4), when=by_lzma),
        ],
        evaluate,
    )


@problem("any_controller", 13, "conditional")
def any_controller(instance: int) -> Made:
    """Full state feedback, a PID on the angle, or sliding mode, for the pendulum on its cart."""
    cases = carts(instance)

    def command_of(p: dict[str, Any]) -> Any:
        memory = {"sum": 0.0}

        def state(angle: float, turn: float, place: float, speed: float, dt: float) -> float:
            return float(p["angle"] * angle + p["turn"] * turn + p["place"] * place + p["speed"] * speed)

        def pid(angle: float, turn: float, place: float, speed: float, dt: float) -> float:
            error = angle + p["centre"] * (place + speed)
            memory["sum"] += error * dt
            return float(p["kp"] * error + p["ki"] * memory["sum"] + p["kd"] * turn)

        def sliding(angle: float, turn: float, place: float, speed: float, dt: float) -> float:
            surface = turn + p["slope"] * angle + p["pull"] * (place + speed)
            return float(p["gain"] * max(min(surface / p["layer"], 1.0), -1.0))

        return {"state": state, "pid": pid, "sliding": sliding}[p["kind"]]

    def evaluate(p: dict[str, Any]) -> float:
        return sum(swing(command_of(p), *case) for case in cases) / len(cases)

    def only(kind: str) -> tuple[str, tuple[str, ...]]:
        return ("kind", (kind,))

    return Made(
        [
            Pick(name="kind", options=("state", "pid", "sliding")),
            Real(name="angle", low=1.0, high=300.0, log=True, when=only("state")),
            Real(name="turn", low=0.1, high=100.0, log=True, when=only("state")),
            Real(name="place", low=-1.0, high=20.0, when=only("state")),
            Real(name="speed", low=-1.0, high=30.0, when=only("state")),
            Real(name="kp", low=1.0, high=500.0, log=True, when=only("pid")),
            Real(name="ki", low=0.01, high=500.0, log=True, when=only("pid")),
            Real(name="kd", low=0.1, high=100.0, log=True, when=only("pid")),
            Real(name="centre", low=-0.1, high=0.4, when=only("pid")),
            Real(name="slope", low=0.5, high=30.0, log=True, when=only("sliding")),
            Real(name="pull", low=-0.1, high=2.0, when=only("sliding")),
            Real(name="gain", low=1.0, high=20.0, when=only("sliding")),
            Real(name="layer", low=0.01, high=5.0, log=True, when=only("sliding")),
        ],
        evaluate,
    )


@problem("any_policy", 7, "conditional")
def any_policy(instance: int) -> Made:
    """How to reorder a good: (s, S), a base stock, or a forecast by exponential smoothing with a safety factor."""
    wanted = demands(instance)[0]

    def forecast_cost(p: dict[str, Any]) -> float:
        level, spread, stock, coming, cost = 8.0, 4.0, 40, [0, 0, 0], 0.0
        for day, today in enumerate(wanted):
            stock += coming.pop(0)
            sold = min(stock, today)
            stock -= sold
            cost += 0.2 * stock + 6.0 * (today - sold)
            error = today - level
            level += p["smoothing"] * error
            spread += p["smoothing"] * (abs(error) - spread)
            order = 0
            if day % p["every"] == 0:
                cover = 3 + p["every"]
                order = max(round(cover * level + p["safety"] * spread * cover**0.5) - stock - sum(coming), 0)
            cost += (25.0 + 0.5 * order) if order else 0.0
            coming.append(order)
        return cost / len(wanted)

    def evaluate(p: dict[str, Any]) -> float:
        match p["policy"]:
            case "levels":
                return stock_cost(wanted, p["low"], p["low"] + p["lot"], 3)
            case "base":
                return stock_cost(wanted, p["base"] - 1, p["base"], 3)
        return forecast_cost(p)

    def only(kind: str) -> tuple[str, tuple[str, ...]]:
        return ("policy", (kind,))

    return Made(
        [
            Pick(name="policy", options=("levels", "base", "forecast")),
            Whole(name="low", low=1, high=300, when=only("levels")),
            Whole(name="lot", low=1, high=300, when=only("levels")),
            Whole(name="base", low=1, high=300, when=only("base")),
            Real(name="smoothing", low=0.01, high=1.0, log=True, when=only("forecast")),
            Real(name="safety", low=-1.0, high=8.0, when=only("forecast")),
            Whole(name="every", low=1, high=21, when=only("forecast")),
        ],
        evaluate,
    )


@problem("any_trainer", 11, "conditional")
def any_trainer(instance: int) -> Made:
    """A small network is trained for 60 passes by momentum, Adam or Rprop; its size and decay; test error."""
    x, y = classes("wine" if instance <= 3 else "breast_cancer")
    a, ya, b, yb = split(x, (y == 1).astype(float), instance)
    a, ya = a[:80], ya[:80]
    random = np.random.default_rng(100 + instance)
    first, second = random.normal(0, 1, (x.shape[1], 32)), random.normal(0, 1, 32)

    def steps(p: dict[str, Any], g: np.ndarray, memory: dict[str, np.ndarray], k: int) -> np.ndarray:
        match p["trainer"]:
            case "momentum":
                memory["v"] = p["momentum"] * memory["v"] + g
                return np.asarray(-p["rate"] * memory["v"])
            case "adam":
                memory["v"] = p["beta1"] * memory["v"] + (1 - p["beta1"]) * g
                memory["s"] = p["beta2"] * memory["s"] + (1 - p["beta2"]) * g * g
                ahead = memory["v"] / (1 - p["beta1"] ** (k + 1))
                return np.asarray(-p["step"] * ahead / (np.sqrt(memory["s"] / (1 - p["beta2"] ** (k + 1))) + 1e-8))
        agree = np.sign(g) * memory["v"]
        memory["s"] = np.clip(
            memory["s"] * np.where(agree > 0, p["grow"], np.where(agree < 0, p["shrink"], 1.0)), 1e-6, 1.0
        )
        memory["v"] = np.sign(g)
        return np.asarray(-memory["s"] * np.sign(g))

    def evaluate(p: dict[str, Any]) -> float:
        size = p["hidden"]
        shape = (x.shape[1], size)
        w = np.concatenate([(p["spread"] * first[:, :size] / np.sqrt(shape[0])).ravel(), second[:size] / np.sqrt(size)])
        memory = {"v": np.zeros_like(w), "s": np.full_like(w, 0.02 if p["trainer"] == "rprop" else 0.0)}
        cut = shape[0] * size
        for k in range(60):
            hidden = np.tanh(a @ w[:cut].reshape(shape))
            error = 1 / (1 + np.exp(-np.clip(hidden @ w[cut:], -40, 40))) - ya
            back = np.outer(error, w[cut:]) * (1 - hidden**2)
            g = np.concatenate([(a.T @ back).ravel(), hidden.T @ error]) / len(ya) + p["decay"] * w
            w = np.clip(w + steps(p, g, memory, k), -1e3, 1e3)
        margin = np.tanh(b @ w[:cut].reshape(shape)) @ w[cut:]
        return float(np.mean(np.minimum(np.logaddexp(0.0, -np.where(yb > 0.5, margin, -margin)), 10.0)))

    def only(kind: str) -> tuple[str, tuple[str, ...]]:
        return ("trainer", (kind,))

    return Made(
        [
            Pick(name="trainer", options=("momentum", "adam", "rprop")),
            Whole(name="hidden", low=1, high=32, log=True),
            Real(name="decay", low=1e-6, high=1.0, log=True),
            Real(name="spread", low=0.01, high=10.0, log=True),
            Real(name="rate", low=1e-4, high=10.0, log=True, when=only("momentum")),
            Real(name="momentum", low=0.0, high=0.99, when=only("momentum")),
            Real(name="step", low=1e-4, high=3.0, log=True, when=only("adam")),
            Real(name="beta1", low=0.0, high=0.99, when=only("adam")),
            Real(name="beta2", low=0.5, high=0.9999, when=only("adam")),
            Real(name="grow", low=1.0, high=2.0, when=only("rprop")),
            Real(name="shrink", low=0.1, high=1.0, when=only("rprop")),
        ],
        evaluate,
    )
