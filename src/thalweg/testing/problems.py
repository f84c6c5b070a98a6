"""Named test problems: a space, a vectorised objective and what is known about its optimum.

    problem = make_test_problem("rastrigin", dimension=5)
    result = tw.minimize(problem.function, problem.space, vectorised=True, max_evals=500)
    regret = result.value - problem.optimum

Optima are moved off the centre of the box, where a method that begins there would find them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.batch import Floats
from ..core.choices import Boolean, Choice, Permutation, Subset
from ..core.errors import ProblemError
from ..core.parameter import Float, Integer
from ..core.problem import Objective, Problem, constraints_of
from ..core.space import Space
from . import _functions as functions

Values = Callable[[Any], Floats]


@dataclass(frozen=True)
class TestProblem:
    """One named problem.

    values: columns (as `Space.to_columns` gives them) of n points -> (n,) or (n, m) values, minimised.
    optimum: the least value (of feasible points), None where it is not one number (several objectives).
    solution: parameters (a dict or an array) where it is reached, or None.
    limits: columns -> (n, c) measured constraints, each kept where <= 0, or None.
    noise: standard deviation of what `evaluate` adds when it is given a generator.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    name: str
    space: Space
    values: Values
    optimum: float | None
    solution: Any = None
    limits: Values | None = None
    noise: float = 0.0
    objectives: int = 1
    tags: frozenset[str] = field(default_factory=frozenset)

    def problem(self) -> Problem:
        """What a strategy is started with."""
        names = ("value",) if self.objectives == 1 else tuple(f"value{i}" for i in range(self.objectives))
        constraints: tuple[Any, ...] = ()
        if self.limits is not None:
            rows = self.space.to_columns(self.space.decode(np.full((1, self.space.dimension), 0.5)))
            constraints = constraints_of([f"g{i} <= 0" for i in range(self.limits(rows).shape[1])])
        return Problem(self.space, tuple(map(Objective, names)), constraints, noisy=self.noise > 0)

    def evaluate(self, points: Floats, rng: np.random.Generator | None = None) -> tuple[Floats, Floats | None]:
        """(values (n, m), violations (n,) or None) of unit points (n, D); rng adds the problem's noise."""
        _, reals, active = self.space.resolve(points)
        columns = self.space.to_columns(reals, active)
        values = np.asarray(self.values(columns), dtype=np.float64).reshape(len(points), self.objectives)
        if rng is not None and self.noise:
            values = values + self.noise * rng.standard_normal(values.shape)
        if self.limits is None:
            return values, None
        over: Floats = np.maximum(self.limits(columns), 0.0).sum(axis=1)
        return values, over

    def function(self, columns: Any) -> Any:
        """What `minimize(..., vectorised=True)` takes: values, or named values with the constraints g0, g1, ..."""
        values = self.values(columns)
        if self.limits is None:
            return values
        limits = self.limits(columns)
        return {"value": values, **{f"g{i}": limits[:, i] for i in range(limits.shape[1])}}


def make_test_problem(name: str, dimension: int | None = None) -> TestProblem:
    """A problem by name; `dimension` for those that have one (see PROBLEMS).

    Raises:
        ProblemError: an unknown name, or a dimension where it is fixed.
    """
    if name not in PROBLEMS:
        raise ProblemError(f"unknown test problem {name!r}; known: {', '.join(sorted(PROBLEMS))}")
    make, standard = PROBLEMS[name]
    if standard is None:
        if dimension is not None:
            raise ProblemError(f"test problem {name!r} has a fixed dimension")
        return make()
    return make(standard if dimension is None else dimension)


def _where(dimension: int) -> Floats:
    """(d,) in (-1, 1): where the optimum lies in a box of half-width 1, the same for every run."""
    golden = np.mod(np.arange(1, dimension + 1) * 0.6180339887498949, 1.0)
    return np.asarray(0.8 * (2.0 * golden - 1.0), dtype=np.float64)


def _real(name: str, function: Values, half: float, *tags: str, noise: float = 0.0) -> Callable[[int], TestProblem]:
    def make(dimension: int) -> TestProblem:
        # a quarter of the box, so that no part of the function that matters is cut off
        moved = _where(dimension) * half * 0.5
        space = Space([(-half, half)] * dimension)
        return TestProblem(
            name, space, lambda x: function(x - moved), 0.0, moved, noise=noise, tags=frozenset({"real", *tags})
        )

    return make


def _schwefel(dimension: int) -> TestProblem:
    at = np.full(dimension, 420.968746)
    low = float(functions.schwefel(at[None])[0])
    space = Space([(-500.0, 500.0)] * dimension)
    return TestProblem("schwefel", space, functions.schwefel, low, at, tags=frozenset({"real", "multimodal"}))


def _step(dimension: int) -> TestProblem:
    moved = np.round(_where(dimension) * 10.0)
    space = Space([(-20.0, 20.0)] * dimension)
    return TestProblem(
        "step", space, lambda x: functions.step(x - moved), 0.0, moved, tags=frozenset({"real", "plateau"})
    )


def _zdt(name: str, function: Values) -> Callable[[int], TestProblem]:
    def make(dimension: int) -> TestProblem:
        space = Space([(0.0, 1.0)] * dimension)
        return TestProblem(name, space, function, None, objectives=2, tags=frozenset({"real", "multiobjective"}))

    return make


def _integers(dimension: int) -> TestProblem:
    at = np.round(_where(dimension) * 12.0)
    space = Space({f"n{i}": Integer(-15, 15) for i in range(dimension)})
    weights = 1.0 + np.arange(dimension)

    def values(columns: Any) -> Floats:
        x = np.column_stack([columns[f"n{i}"] for i in range(dimension)]).astype(np.float64)
        return np.asarray((weights * (x - at) ** 2).sum(axis=1) + np.abs(np.diff(x - at, axis=1)).sum(axis=1))

    solution = {f"n{i}": int(at[i]) for i in range(dimension)}
    return TestProblem("integer_bowl", space, values, 0.0, solution, tags=frozenset({"integer"}))


_COST = {"a": 1.0, "b": 0.0, "c": 2.0, "d": 0.5}


def _mixed() -> TestProblem:
    space = Space(
        {
            "rate": Float(1e-4, 1.0, log=True),
            "shift": Float(-5.0, 5.0),
            "depth": Integer(1, 12),
            "width": Float(0.0, 2.0, step=0.25),
            "kind": Choice(["a", "b", "c", "d"]),
            "flag": Boolean(),
        }
    )

    def values(columns: Any) -> Floats:
        kind = np.array([_COST[item] for item in columns["kind"].tolist()])
        rate = np.log10(columns["rate"]) + 2.0
        depth = 0.05 * (columns["depth"] - 7.0) ** 2 * (1.0 + 0.5 * (kind == 0))
        flag = 0.3 * (columns["flag"] != (columns["depth"] > 4)).astype(np.float64)
        bowl = rate**2 + (columns["shift"] - 1.5) ** 2 / 4.0 + (columns["width"] - 1.25) ** 2
        return np.asarray(bowl + depth + kind + flag)

    solution = {"rate": 0.01, "shift": 1.5, "depth": 7, "width": 1.25, "kind": "b", "flag": True}
    return TestProblem("mixed_bowl", space, values, 0.0, solution, tags=frozenset({"mixed"}))


def _mixed_rastrigin(dimension: int) -> TestProblem:
    whole = dimension // 2
    at = np.concatenate([np.round(_where(whole) * 4.0), _where(dimension - whole) * 2.5])
    space = Space(
        {f"n{i}": Integer(-5, 5) for i in range(whole)} | {f"x{i}": Float(-5.0, 5.0) for i in range(dimension - whole)}
    )

    def values(columns: Any) -> Floats:
        x = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in space.names]) - at
        bowl = 10.0 * (x[:, :whole] ** 2).sum(axis=1)
        return np.asarray(bowl + functions.rastrigin(x[:, whole:]))

    solution = {name: int(at[i]) if i < whole else float(at[i]) for i, name in enumerate(space.names)}
    return TestProblem("mixed_rastrigin", space, values, 0.0, solution, tags=frozenset({"mixed", "multimodal"}))


def _conditional() -> TestProblem:
    space = Space(
        {
            "method": Choice(["plain", "tree", "net"]),
            "x": Float(-5.0, 5.0),
            "leaves": Integer(2, 64, log=True, when="method == 'tree'"),
            "gain": Float(0.0, 1.0, when="method == 'tree'"),
            "layers": Integer(1, 6, when="method == 'net'"),
            "rate": Float(1e-5, 1e-1, log=True, when="method == 'net'"),
            "drop": Float(0.0, 0.9, when="layers > 2"),
        }
    )

    def values(columns: Any) -> Floats:
        method = np.asarray(columns["method"])
        base = (np.asarray(columns["x"], dtype=np.float64) - 1.0) ** 2 / 5.0
        column = {
            name: np.asarray(columns[name], dtype=np.float64) for name in ("leaves", "gain", "layers", "rate", "drop")
        }
        with np.errstate(invalid="ignore"):
            tree = 0.5 + (np.log2(column["leaves"]) - 4.0) ** 2 / 4.0 + (column["gain"] - 0.3) ** 2 * 4.0
            net = (column["layers"] - 4.0) ** 2 / 4.0 + (np.log10(column["rate"]) + 3.0) ** 2
        drop = np.where(np.isnan(column["drop"]), 0.0, (column["drop"] - 0.2) ** 2)
        return np.asarray(
            base + np.select([method == "plain", method == "tree"], [np.full(len(base), 1.0), tree], net + drop)
        )

    solution = {"method": "net", "x": 1.0, "layers": 4, "rate": 1e-3, "drop": 0.2}
    return TestProblem("conditional_bowl", space, values, 0.0, solution, tags=frozenset({"conditional", "mixed"}))


def _corner() -> TestProblem:
    # Minimum of (a-3)^2 + (b-3)^2 + (k-2)^2 where a + b <= 4 and a <= k: at a = b = 2, k = 2 -> 2
    space = Space({"a": Float(0.0, 4.0), "b": Float(0.0, 4.0), "k": Integer(0, 6)}, require=["a + b <= 4", "a <= k"])

    def values(columns: Any) -> Floats:
        return np.asarray((columns["a"] - 3.0) ** 2 + (columns["b"] - 3.0) ** 2 + (columns["k"] - 2.0) ** 2)

    return TestProblem(
        "corner", space, values, 2.0, {"a": 2.0, "b": 2.0, "k": 2}, tags=frozenset({"required", "mixed"})
    )


def _vessel() -> TestProblem:
    space = Space(
        {
            "shell": Float(0.0625, 6.1875, step=0.0625),
            "head": Float(0.0625, 6.1875, step=0.0625),
            "radius": Float(10.0, 200.0),
            "length": Float(10.0, 240.0),
        }
    )

    def both(columns: Any) -> tuple[Floats, Floats]:
        return functions.pressure_vessel(*(np.asarray(columns[name], dtype=np.float64) for name in space.names))

    solution = {"shell": 0.8125, "head": 0.4375, "radius": 42.0984455, "length": 176.636596}
    return TestProblem(
        "pressure_vessel", space, lambda c: both(c)[0], 6059.714335, solution, lambda c: both(c)[1],
        tags=frozenset({"constrained", "mixed"}),
    )  # fmt: skip


def _beam() -> TestProblem:
    space = Space({"h": (0.1, 2.0), "l": (0.1, 10.0), "t": (0.1, 10.0), "b": (0.1, 2.0)})

    def both(columns: Any) -> tuple[Floats, Floats]:
        return functions.welded_beam(*(np.asarray(columns[name], dtype=np.float64) for name in space.names))

    solution = {"h": 0.2443689758, "l": 6.2175197152, "t": 8.2914713905, "b": 0.2443689758}
    return TestProblem(
        "welded_beam", space, lambda c: both(c)[0], 2.3809565827, solution, lambda c: both(c)[1],
        tags=frozenset({"constrained", "real"}),
    )  # fmt: skip


def _tour(cities: int) -> TestProblem:
    """Cities on a circle, numbered in a scattered order: the best tour goes round."""
    stride = next(k for k in range(cities // 3 + 1, cities) if np.gcd(k, cities) == 1) if cities > 3 else 1
    angles = 2.0 * np.pi * (np.arange(cities) * stride % cities) / cities
    spots = np.column_stack([np.cos(angles), np.sin(angles)])
    far = np.sqrt(((spots[:, None] - spots[None]) ** 2).sum(axis=2))

    def values(columns: Any) -> Floats:
        order = np.asarray(columns["tour"], dtype=np.int64)
        return np.asarray(far[order, np.roll(order, -1, axis=1)].sum(axis=1))

    best = [int(i) for i in np.argsort(angles, kind="stable")]
    optimum = float(2.0 * cities * np.sin(np.pi / cities))
    space = Space({"tour": Permutation(list(range(cities)))})
    return TestProblem("tsp", space, values, optimum, {"tour": best}, tags=frozenset({"permutation"}))


def _assignment() -> TestProblem:
    """A quadratic assignment of 6 places on a line to 6 machines; the optimum is from all 720 orders."""
    size = 6
    rng = np.random.default_rng(20)
    flow = rng.integers(0, 10, (size, size)).astype(np.float64)
    gap = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    space = Space({"order": Permutation(list(range(size)))})

    def values(columns: Any) -> Floats:
        order = np.asarray(columns["order"], dtype=np.int64)
        return np.asarray((flow[order[:, :, None], order[:, None, :]] * gap).sum(axis=(1, 2)))

    every = space.parameters["order"].cells(np.arange(720))
    costs = values({"order": every})
    best = every[int(np.argmin(costs))]
    solution = {"order": [int(i) for i in best]}
    return TestProblem("qap", space, values, float(costs.min()), solution, tags=frozenset({"permutation"}))


def _knapsack(items: int) -> TestProblem:
    """Values lost by leaving things out; what is too heavy costs more than it can bring. Optimum by enumeration."""
    if not 2 <= items <= 18:
        raise ProblemError(f"knapsack: 2 to 18 items (its optimum is enumerated), got {items}")
    rng = np.random.default_rng(30)
    weight = rng.integers(5, 30, items).astype(np.float64)
    worth = rng.integers(5, 40, items).astype(np.float64)
    room = 0.5 * weight.sum()
    space = Space({"load": Subset([f"item{i}" for i in range(items)])})

    def cost(chosen: Floats) -> Floats:
        over = np.maximum(chosen @ weight - room, 0.0)
        return np.asarray((1.0 - chosen) @ worth + over * 10.0)

    every = ((np.arange(2**items)[:, None] >> np.arange(items)) & 1).astype(np.float64)
    costs = cost(every)
    best = every[int(np.argmin(costs))]
    solution = {"load": [f"item{i}" for i in range(items) if best[i]]}
    return TestProblem(
        "knapsack", space, lambda c: cost(np.asarray(c["load"], dtype=np.float64)), float(costs.min()), solution,
        tags=frozenset({"subset"}),
    )  # fmt: skip


def _finite() -> TestProblem:
    """200 points: 10 x 5 x 4."""
    space = Space({"n": Integer(0, 9), "step": Float(0.0, 1.0, step=0.25), "kind": Choice(["a", "b", "c", "d"])})

    def values(columns: Any) -> Floats:
        kind = np.array([_COST[item] for item in columns["kind"].tolist()])
        return np.asarray((columns["n"] - 6.0) ** 2 / 9.0 + (columns["step"] - 0.75) ** 2 + kind)

    return TestProblem("finite200", space, values, 0.0, {"n": 6, "step": 0.75, "kind": "b"}, tags=frozenset({"finite"}))


PROBLEMS: dict[str, tuple[Callable[..., TestProblem], int | None]] = {
    "sphere": (_real("sphere", functions.sphere, 5.0, "smooth"), 5),
    "ellipsoid": (_real("ellipsoid", functions.ellipsoid, 5.0, "smooth"), 5),
    "rosenbrock": (_real("rosenbrock", functions.rosenbrock, 3.0, "smooth"), 5),
    "rastrigin": (_real("rastrigin", functions.rastrigin, 5.12, "multimodal"), 5),
    "ackley": (_real("ackley", functions.ackley, 30.0, "multimodal"), 5),
    "schwefel": (_schwefel, 5),
    "levy": (_real("levy", functions.levy, 10.0, "multimodal"), 5),
    "griewank": (_real("griewank", functions.griewank, 600.0, "multimodal"), 5),
    "step": (_step, 5),
    "noisy_sphere": (_real("noisy_sphere", functions.sphere, 5.0, "noisy", noise=1.0), 5),
    "zdt1": (_zdt("zdt1", functions.zdt1), 10),
    "zdt2": (_zdt("zdt2", functions.zdt2), 10),
    "integer_bowl": (_integers, 4),
    "mixed_bowl": (_mixed, None),
    "mixed_rastrigin": (_mixed_rastrigin, 6),
    "conditional_bowl": (_conditional, None),
    "corner": (_corner, None),
    "pressure_vessel": (_vessel, None),
    "welded_beam": (_beam, None),
    "tsp": (_tour, 10),
    "qap": (_assignment, None),
    "knapsack": (_knapsack, 12),
    "finite200": (_finite, None),
}
"""Name -> (maker, standard dimension; None where it is fixed)."""
