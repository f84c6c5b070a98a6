"""Engineering designs with measured constraints. Violations are dimensionless: g / allowed - 1 <= 0 or alike.

Sources: pressure vessel, spring, welded beam and speed reducer as in Coello (2000), doi 10.1016/S0166-3615(99)00046-9,
and Mezura-Montes & Coello (2005), doi 10.1007/11579427_66; ten-bar truss as in Haftka & Gurdal (1992). The published
designs are instance 1; the others have loads (and prices) changed by up to 30 %, so that nobody can look them up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Real, Whole


def factors(instance: int, count: int) -> list[float]:
    """1 for instance 1, else factors within 30 %."""
    if instance == 1:
        return [1.0] * count
    return [float(value) for value in np.random.default_rng(instance).uniform(0.7, 1.3, count)]


@problem("vessel", 4, "constrained")
def vessel(instance: int) -> Made:
    """A pressure vessel: shell and head in sixteenths of an inch, radius and length; cost in dollars / 1000."""
    volume, pressure, price = factors(instance, 3)

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        ts, th, r, length = p["shell"] / 16, p["head"] / 16, p["radius"], p["length"]
        cost = 0.6224 * ts * r * length + 1.7781 * price * th * r**2 + 3.1661 * ts**2 * length + 19.84 * ts**2 * r
        held = math.pi * r**2 * length + 4 / 3 * math.pi * r**3
        return cost / 1000, [
            0.0193 * pressure * r / ts - 1,
            0.00954 * pressure * r / th - 1,
            1 - held / (1_296_000 * volume),
            length / 240 - 1,
        ]

    variables = [
        Whole(name="shell", low=1, high=99),
        Whole(name="head", low=1, high=99),
        Real(name="radius", low=10.0, high=200.0),
        Real(name="length", low=10.0, high=240.0),
    ]
    return Made(variables, evaluate, limits=4, penalty=20.0)


@problem("welded_beam", 4, "constrained")
def welded_beam(instance: int) -> Made:
    """A welded beam under a load at its end: weld's thickness and length, the bar's height and thickness; cost."""
    load, price = factors(instance, 2)
    load *= 6000
    arm, modulus, shear_modulus = 14.0, 30e6, 12e6

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        h, length, t, b = p["weld"], p["length"], p["height"], p["thickness"]
        moment = load * (arm + length / 2)
        radius = math.sqrt(length**2 / 4 + ((h + t) / 2) ** 2)
        inertia = 2 * math.sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
        first, second = load / (math.sqrt(2) * h * length), moment * radius / inertia
        shear = math.sqrt(first**2 + first * second * length / radius + second**2)
        bending = 6 * load * arm / (b * t**2)
        sag = 4 * load * arm**3 / (modulus * t**3 * b)
        buckling = 4.013 * modulus * math.sqrt(t**2 * b**6 / 36) / arm**2
        buckling *= 1 - t / (2 * arm) * math.sqrt(modulus / (4 * shear_modulus))
        cost = 1.10471 * price * h**2 * length + 0.04811 * t * b * (14 + length)
        return cost, [shear / 13600 - 1, bending / 30000 - 1, h / b - 1, sag / 0.25 - 1, load / max(buckling, 1.0) - 1]

    spans = {"weld": (0.1, 2.0), "length": (0.1, 10.0), "height": (0.1, 10.0), "thickness": (0.1, 2.0)}
    return Made([Real(name=n, low=a, high=b) for n, (a, b) in spans.items()], evaluate, limits=5, penalty=10.0)


@problem("speed_reducer", 7, "constrained")
def speed_reducer(instance: int) -> Made:
    """A gear box: face width, module, teeth, two shafts' lengths and diameters; weight / 1000."""
    torque, strength = factors(instance, 2)

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        b, m, z, l1, l2, d1, d2 = (
            p[name] for name in ("face", "module", "teeth", "length1", "length2", "shaft1", "shaft2")
        )
        weight = 0.7854 * b * m**2 * (3.3333 * z**2 + 14.9334 * z - 43.0934) - 1.508 * b * (d1**2 + d2**2)
        weight += 7.4777 * (d1**3 + d2**3) + 0.7854 * (l1 * d1**2 + l2 * d2**2)
        return weight / 1000, [
            27 * torque / (b * m**2 * z) - 1,
            397.5 * torque / (b * m**2 * z**2) - 1,
            1.93 * l1**3 / (m * z * d1**4) - 1,
            1.93 * l2**3 / (m * z * d2**4) - 1,
            math.sqrt((745 * torque * l1 / (m * z)) ** 2 + 16.9e6) / (110 * strength * d1**3) - 1,
            math.sqrt((745 * torque * l2 / (m * z)) ** 2 + 157.5e6) / (85 * strength * d2**3) - 1,
            m * z / 40 - 1,
            5 * m / b - 1,
            b / (12 * m) - 1,
            (1.5 * d1 + 1.9) / l1 - 1,
            (1.1 * d2 + 1.9) / l2 - 1,
        ]

    variables = [
        Real(name="face", low=2.6, high=3.6 * max(1.0, torque)),
        Real(name="module", low=0.7, high=0.8 * max(1.0, torque)),
        Whole(name="teeth", low=17, high=28),
        Real(name="length1", low=7.3, high=8.3),
        Real(name="length2", low=7.3, high=8.3),
        Real(name="shaft1", low=2.9, high=4.4),
        Real(name="shaft2", low=5.0, high=6.2),
    ]
    return Made(variables, evaluate, limits=11, penalty=20.0)


@problem("spring", 3, "constrained")
def spring(instance: int) -> Made:
    """A spring: wire, coil, whole number of active coils; weight * 100."""
    load, room = factors(instance, 2)

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        d, big, n = p["wire"], p["coil"], p["coils"]
        stress = (4 * big**2 - big * d) / (12566 * (big * d**3 - d**4)) + 1 / (5108 * d**2)
        return 100 * (n + 2) * big * d**2, [
            1 - big**3 * n / (71785 * d**4) / load,
            stress * load - 1,
            1 - 140.45 * d / (big**2 * n),
            (big + d) / (1.5 * room) - 1,
        ]

    variables = [
        Real(name="wire", low=0.05, high=0.2),
        Real(name="coil", low=0.25, high=1.3),
        Whole(name="coils", low=2, high=15),
    ]
    return Made(variables, evaluate, limits=4, penalty=20.0)


def _solve_truss(areas: np.ndarray, load: float) -> tuple[np.ndarray, np.ndarray]:
    """(stresses (10,), displacements (8,)) of the ten-bar truss; areas in square inches, load in pounds."""
    nodes = np.array([[720, 360], [720, 0], [360, 360], [360, 0], [0, 360], [0, 0]], dtype=float)
    bars = [(4, 2), (2, 0), (5, 3), (3, 1), (2, 3), (0, 1), (4, 3), (5, 2), (2, 1), (3, 0)]
    stiffness = np.zeros((12, 12))
    ways = []
    for area, (i, j) in zip(areas, bars, strict=True):
        span = nodes[j] - nodes[i]
        length = float(np.hypot(*span))
        way = np.zeros(12)
        way[2 * i : 2 * i + 2], way[2 * j : 2 * j + 2] = -span / length, span / length
        stiffness += 1e7 * area / length * np.outer(way, way)
        ways.append(1e7 / length * way)
    force = np.zeros(8)
    force[[3, 7]] = -load  # at nodes 2 and 4, downwards
    moved = np.zeros(12)
    moved[:8] = np.linalg.solve(stiffness[:8, :8], force)
    return np.array(ways) @ moved, moved[:8]


@problem("truss", 10, "constrained")
def truss(instance: int) -> Made:
    """The ten-bar truss: ten areas; weight in 1000 pounds, stresses within 25 ksi, displacements within 2 inches."""
    load, allowed = factors(instance, 2)
    lengths = np.array([360.0] * 6 + [360 * math.sqrt(2)] * 4)

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        areas = np.array([p[f"area{i}"] for i in range(10)])
        stress, moved = _solve_truss(areas, 1e5 * load)
        bends = np.abs(moved).max() / (2.0 * allowed) - 1
        return float(0.1 * areas @ lengths / 1000), [float(np.abs(stress).max() / 25e3 - 1), float(bends)]

    return Made([Real(name=f"area{i}", low=0.1, high=40.0) for i in range(10)], evaluate, limits=2, penalty=20.0)


@problem("small_model", 5, "constrained")
def small_model(instance: int) -> Made:
    """The best forest that is small: log loss on the wine (held out: cancer) data, at most 60 nodes in all."""
    from sklearn.ensemble import ExtraTreesClassifier

    from .learning import classes, log_loss, split

    x, y = classes("wine" if instance <= 3 else "breast_cancer")
    a, ya, b, yb = split(x, np.unique(y, return_inverse=True)[1], instance)
    a, ya = a[:140], ya[:140]
    kinds = len(np.unique(ya))

    def evaluate(p: dict[str, Any]) -> tuple[float, list[float]]:
        model = ExtraTreesClassifier(
            p["trees"],
            max_depth=p["depth"],
            min_samples_leaf=p["leaf"],
            max_features=p["features"],
            random_state=0,
        ).fit(a, ya)
        nodes = sum(one.tree_.node_count for one in model.estimators_)
        chances = (1 - p["smoothing"]) * model.predict_proba(b) + p["smoothing"] / kinds
        return log_loss(chances, yb), [nodes / 60 - 1]

    variables = [
        Whole(name="trees", low=1, high=8),
        Whole(name="depth", low=1, high=8),
        Whole(name="leaf", low=1, high=30, log=True),
        Real(name="features", low=0.1, high=1.0),
        Real(name="smoothing", low=1e-4, high=0.5, log=True),
    ]
    return Made(variables, evaluate, limits=1, penalty=5.0)
