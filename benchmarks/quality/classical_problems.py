"""The functions that come to mind first: Rosenbrock's, Rastrigin's, Ackley's and their like, in their usual boxes.

Definitions and boxes: S. Surjanovic, D. Bingham, Virtual Library of Simulation Experiments (2013),
https://www.sfu.ca/~ssurjano/optimization.html. Many of them have their optimum in the middle of the box, or at the same
number in every column, which methods meet by chance; so instance 0 is the function as it is, and further instances move
it: the optimum lies anywhere between a tenth and nine tenths of each column. Schwefel's function has lower values
outside of its box; there it is continued as in CEC 2014 (J. J. Liang et al., report 201311, function "modified
Schwefel").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .tasks import Watched

Array = np.ndarray
Function = Callable[[Array], float]


@dataclass(frozen=True)
class Classical:
    """One function. best: (d,) -> where its optimum is; its value there is the lowest in the box, moved or not."""

    evaluate: Function
    low: tuple[float, ...]
    high: tuple[float, ...]
    best: Callable[[int], Array]
    dimension: int | None = None
    """None: any."""
    multiple: int = 1
    """Of which the dimension is one."""

    def box(self, d: int) -> tuple[Array, Array]:
        """((d,) lower bounds, (d,) upper ones)."""
        low, high = (np.array(side if len(side) == d else side * d, dtype=float) for side in (self.low, self.high))
        return low, high


def _rosenbrock(x: Array) -> float:
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def _rastrigin(x: Array) -> float:
    return float(np.sum(x**2 - 10 * np.cos(2 * np.pi * x) + 10))


def _ackley(x: Array) -> float:
    length, waves = np.sqrt(np.mean(x**2)), np.mean(np.cos(2 * np.pi * x))
    return float(-20 * np.exp(-0.2 * length) - np.exp(waves) + 20 + np.e)


def _schwefel(x: Array) -> float:
    beyond = np.maximum(np.abs(x) - 500.0, 0.0)
    inside = np.where(beyond > 0, np.copysign(500.0 - np.mod(np.abs(x), 500.0), x), x)
    return float(
        418.9828872724338 * len(x) - np.sum(inside * np.sin(np.sqrt(np.abs(inside))) - beyond**2 / 1e4 / len(x))
    )


def _griewank(x: Array) -> float:
    return float(np.sum(x**2) / 4000 - np.prod(np.cos(x / np.sqrt(np.arange(1, len(x) + 1)))) + 1)


def _levy(x: Array) -> float:
    w = 1 + (x - 1) / 4
    between = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + np.sum(between) + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2))


def _styblinski_tang(x: Array) -> float:
    return float(np.sum(x**4 - 16 * x**2 + 5 * x) / 2)


def _michalewicz(x: Array) -> float:
    return float(-np.sum(np.sin(x) * np.sin(np.arange(1, len(x) + 1) * x**2 / np.pi) ** 20))


def _zakharov(x: Array) -> float:
    tilt = np.sum(0.5 * np.arange(1, len(x) + 1) * x)
    return float(np.sum(x**2) + tilt**2 + tilt**4)


def _dixon_price(x: Array) -> float:
    return float((x[0] - 1) ** 2 + np.sum(np.arange(2, len(x) + 1) * (2 * x[1:] ** 2 - x[:-1]) ** 2))


def _powell(x: Array) -> float:
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return float(np.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4))


def _different_powers(x: Array) -> float:
    return float(np.sum(np.abs(x) ** np.arange(2, len(x) + 2)))


def _branin(x: Array) -> float:
    bent = x[1] - 5.1 / (4 * np.pi**2) * x[0] ** 2 + 5 / np.pi * x[0] - 6
    return float(bent**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x[0]) + 10)


def _goldstein_price(x: Array) -> float:
    a, b = x
    one = 1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2)
    two = 30 + (2 * a - 3 * b) ** 2 * (18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2)
    return float(one * two)


def _six_hump_camel(x: Array) -> float:
    a, b = x
    return float((4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2)


def _easom(x: Array) -> float:
    return float(-np.cos(x[0]) * np.cos(x[1]) * np.exp(-((x[0] - np.pi) ** 2) - (x[1] - np.pi) ** 2))


_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS_3 = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
_PLACES_3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_WIDTHS_6 = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_PLACES_6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_FOXHOLES = np.array(
    [
        [4, 4, 4, 4], [1, 1, 1, 1], [8, 8, 8, 8], [6, 6, 6, 6], [3, 7, 3, 7],
        [2, 9, 2, 9], [5, 5, 3, 3], [8, 1, 8, 1], [6, 2, 6, 2], [7, 3.6, 7, 3.6],
    ]
)  # fmt: skip
_FLATNESS = np.array([1, 2, 2, 4, 4, 6, 3, 7, 5, 5]) / 10


def _hartmann_3(x: Array) -> float:
    return float(-_HEIGHTS @ np.exp(-np.sum(_WIDTHS_3 * (x - _PLACES_3) ** 2, axis=1)))


def _hartmann_6(x: Array) -> float:
    return float(-_HEIGHTS @ np.exp(-np.sum(_WIDTHS_6 * (x - _PLACES_6) ** 2, axis=1)))


def _shekel(x: Array) -> float:
    return float(-np.sum(1 / (np.sum((x - _FOXHOLES) ** 2, axis=1) + _FLATNESS)))


def _everywhere(value: float) -> Callable[[int], Array]:
    return lambda d: np.full(d, value)


def _at(*place: float) -> Callable[[int], Array]:
    return lambda d: np.array(place)


def _michalewicz_best(d: int) -> Array:
    """Column by column: a fine grid, and a finer one around its best."""
    best = []
    for i in range(1, d + 1):
        low, high = 0.0, np.pi
        for _ in range(5):
            grid = np.linspace(low, high, 4001)
            values = -np.sin(grid) * np.sin(i * grid**2 / np.pi) ** 20
            place = grid[int(np.argmin(values))]
            step = grid[1] - grid[0]
            low, high = place - step, place + step
        best.append(place)
    return np.array(best)


def _dixon_price_best(d: int) -> Array:
    i = np.arange(1, d + 1)
    return np.asarray(2.0 ** -((2.0**i - 2) / 2.0**i))


CLASSICAL = {
    "rosenbrock": Classical(_rosenbrock, (-5,), (10,), _everywhere(1.0)),
    "zakharov": Classical(_zakharov, (-5,), (10,), _everywhere(0.0)),
    "dixon_price": Classical(_dixon_price, (-10,), (10,), _dixon_price_best),
    "powell": Classical(_powell, (-4,), (5,), _everywhere(0.0), multiple=4),
    "different_powers": Classical(_different_powers, (-1,), (1,), _everywhere(0.0)),
    "rastrigin": Classical(_rastrigin, (-5.12,), (5.12,), _everywhere(0.0)),
    "ackley": Classical(_ackley, (-32.768,), (32.768,), _everywhere(0.0)),
    "schwefel": Classical(_schwefel, (-500,), (500,), _everywhere(420.968746)),
    "griewank": Classical(_griewank, (-600,), (600,), _everywhere(0.0)),
    "levy": Classical(_levy, (-10,), (10,), _everywhere(1.0)),
    "styblinski_tang": Classical(_styblinski_tang, (-5,), (5,), _everywhere(-2.9035340277711770)),
    "michalewicz": Classical(_michalewicz, (0,), (np.pi,), _michalewicz_best),
    "branin": Classical(_branin, (-5, 0), (10, 15), _at(np.pi, 2.275), 2),
    "goldstein_price": Classical(_goldstein_price, (-2,), (2,), _at(0.0, -1.0), 2),
    "six_hump_camel": Classical(_six_hump_camel, (-3, -2), (3, 2), _at(0.0898420131, -0.7126564030), 2),
    "easom": Classical(_easom, (-100,), (100,), _at(np.pi, np.pi), 2),
    "hartmann_3": Classical(_hartmann_3, (0,), (1,), _at(0.1146140, 0.5556490, 0.8525470), 3),
    "shekel": Classical(_shekel, (0,), (10,), _at(4.0007465, 4.0005926, 3.9996634, 3.9995098), 4),
    "hartmann_6": Classical(
        _hartmann_6, (0,), (1,), _at(0.20168951, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053), 6
    ),
}
"""Smooth ones, those with many valleys, and those of a fixed number of parameters."""


def names_of(dimension: int) -> list[str]:
    """The functions that there are with so many parameters."""
    return [
        name
        for name, item in CLASSICAL.items()
        if (item.dimension == dimension if item.dimension else dimension % item.multiple == 0)
    ]


def offset_of(name: str, d: int, instance: int) -> Array:
    """(d,) how far an instance is moved: instance 0 is the function as it is."""
    if not instance:
        return np.zeros(d)
    item = CLASSICAL[name]
    low, high = item.box(d)
    rng = np.random.default_rng([sum(map(ord, name)), d, instance])
    return np.asarray(low + rng.uniform(0.1, 0.9, d) * (high - low) - item.best(d))


def open_classical(name: str, d: int, instance: int, budget: int) -> Watched:
    """The problem, ready to be evaluated `budget` times."""
    item = CLASSICAL[name]
    low, high = item.box(d)
    offset, optimum = offset_of(name, d, instance), item.evaluate(item.best(d))
    return Watched(lambda x: item.evaluate(x - offset), low, high, np.zeros(d, dtype=bool), optimum, budget)
