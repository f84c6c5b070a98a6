"""Problems with several objectives, all minimised, with the reference point that volumes are measured from.

ZDT: Zitzler, Deb, Thiele, Evol. Comp. 8 (2000) 173-195, doi:10.1162/106365600568202.  DTLZ: Deb, Thiele, Laumanns,
Zitzler, CEC 2002, doi:10.1109/CEC.2002.1007032.  WFG: Huband, Hingston, Barone, While, IEEE TEVC 10 (2006) 477-506,
doi:10.1109/TEVC.2005.861417.  RE: Tanabe, Ishibuchi, Appl. Soft Comp. 89 (2020) 106078,
doi:10.1016/j.asoc.2020.106078.  `tree`: a decision tree's error in cross-validation and its size, a user's tuning.

Values are scaled so that the front's ideal point is at 0 and its nadir point at 1; the reference is 1.1 everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from .tasks import Spent

Values = Callable[[Any], Any]
MARGIN = 1.1


@dataclass
class Several:
    """A problem over the box [lower, upper], integer columns marked, with its books.

    function: (n, d) -> (n, m).  ideal, nadir: (m,) of the true front (or of the best known one).
    best: the volume of the whole front below MARGIN, scaled; None where it is not known in closed form.
    values: scaled, in the order of evaluation.  until: the process's CPU seconds after which there are no more.
    """

    name: str
    function: Values
    lower: np.ndarray
    upper: np.ndarray
    ideal: np.ndarray
    nadir: np.ndarray
    best: float | None = None
    integers: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    budget: int = 0
    inside: float = 0.0
    values: list[np.ndarray] = field(default_factory=list)
    until: float = np.inf

    def __post_init__(self) -> None:
        if not len(self.integers):
            self.integers = np.zeros(len(self.lower), dtype=bool)

    @property
    def objectives(self) -> int:
        """How many."""
        return len(self.ideal)

    def __call__(self, x: Any) -> np.ndarray:
        """(m,) scaled values at x (d,) in the box's own units."""
        if len(self.values) >= self.budget or time.process_time() > self.until:
            raise Spent
        x = np.minimum(np.maximum(np.asarray(x, dtype=float), self.lower), self.upper)
        x = np.where(self.integers, np.round(x), x)
        before = time.process_time()
        value = (self.function(x[None])[0] - self.ideal) / (self.nadir - self.ideal)
        self.inside += time.process_time() - before
        self.values.append(value)
        return np.asarray(value)


# --- ZDT ----------------------------------------------------------------------------------------------------------


def _zdt(number: int) -> Values:
    def function(x: Any) -> Any:
        f1, rest = x[:, 0], x[:, 1:]
        g = 1.0 + 9.0 * rest.mean(axis=1)
        if number == 4:
            g = 1.0 + 10.0 * rest.shape[1] + (rest**2 - 10.0 * np.cos(4.0 * np.pi * rest)).sum(axis=1)
        if number == 6:
            f1 = 1.0 - np.exp(-4.0 * f1) * np.sin(6.0 * np.pi * f1) ** 6
            g = 1.0 + 9.0 * rest.mean(axis=1) ** 0.25
        ratio = f1 / g
        h = 1.0 - ratio**2 if number in (2, 6) else 1.0 - np.sqrt(ratio)
        if number == 3:
            h = h - ratio * np.sin(10.0 * np.pi * f1)
        return np.column_stack([f1, g * h])

    return function


def _make_zdt(number: int, d: int) -> Several:
    low, high = np.zeros(d), np.ones(d)
    if number == 4:
        low[1:], high[1:] = -5.0, 5.0
    ideal, nadir = np.zeros(2), np.ones(2)
    # (1.1^2 less the area under the front and what lies left of, or beyond, its ends)
    best = {1: 1.21 - 1.0 / 3.0, 2: 1.21 - 2.0 / 3.0, 3: 0.727450, 4: 1.21 - 1.0 / 3.0, 6: 0.616387}[number]
    if number == 3:
        ideal, nadir = np.array([0.0, -0.7733690]), np.array([0.8518328, 1.0])
    if number == 6:
        ideal, nadir = np.array([0.2807753, 0.0]), np.array([1.0, 0.9211652])
    return Several(f"zdt{number}", _zdt(number), low, high, ideal, nadir, best)


# --- DTLZ ---------------------------------------------------------------------------------------------------------


def _simplex(position: Any, g: Any) -> Any:
    """(n, m) points of the plane sum f = (1 + g) / 2."""
    n = len(position)
    tail = np.cumprod(np.column_stack([np.ones(n), position]), axis=1)[:, ::-1]
    head = np.column_stack([np.ones(n), 1.0 - position[:, ::-1]])
    return 0.5 * (1.0 + g)[:, None] * tail * head


def _sphere(position: Any, g: Any) -> Any:
    """(n, m) points of the sphere of radius 1 + g."""
    angle = position * np.pi / 2.0
    n = len(position)
    tail = np.cumprod(np.column_stack([np.ones(n), np.cos(angle)]), axis=1)[:, ::-1]
    head = np.column_stack([np.ones(n), np.sin(angle[:, ::-1])])
    return (1.0 + g)[:, None] * tail * head


def _make_dtlz(number: int, d: int, m: int) -> Several:
    def function(x: Any) -> Any:
        position, rest = x[:, : m - 1], x[:, m - 1 :]
        if number == 1:
            wave = (rest - 0.5) ** 2 - np.cos(20.0 * np.pi * (rest - 0.5))
            return _simplex(position, 100.0 * (rest.shape[1] + wave.sum(axis=1)))
        if number == 2:
            return _sphere(position, ((rest - 0.5) ** 2).sum(axis=1))
        g = 1.0 + 9.0 * rest.mean(axis=1)
        h = m - (position / (1.0 + g)[:, None] * (1.0 + np.sin(3.0 * np.pi * position))).sum(axis=1)
        return np.column_stack([position, (1.0 + g) * h])

    ideal, nadir, best = np.zeros(m), np.full(m, 0.5 if number == 1 else 1.0), None
    if number == 1:
        best = MARGIN**m - 1.0 / float(np.prod(np.arange(1, m + 1)))
    if number == 2 and m in (2, 3):
        best = MARGIN**m - (np.pi / 4.0 if m == 2 else np.pi / 6.0)
    if number == 7:
        ideal, nadir = np.append(np.zeros(m - 1), 2.6140081), np.append(np.full(m - 1, 0.8594009), 2.0 * m)
    return Several(f"dtlz{number}", function, np.zeros(d), np.ones(d), ideal, nadir, best)


# --- WFG (two objectives, k = 2 position parameters) ----------------------------------------------------------------


def _multi(y: Any, a: float, b: float, c: float) -> Any:
    far = np.abs(y - c) / (2.0 * (np.floor(c - y) + c))
    return (1.0 + np.cos((4.0 * a + 2.0) * np.pi * (0.5 - far)) + 4.0 * b * far**2) / (b + 2.0)


def _deceptive(y: Any, a: float, b: float, c: float) -> Any:
    left = np.floor(y - a + b) * (1.0 - c + (a - b) / b) / (a - b)
    right = np.floor(a + b - y) * (1.0 - c + (1.0 - a - b) / b) / (1.0 - a - b)
    return 1.0 + (np.abs(y - a) - b) * (left + right + 1.0 / b)


def _nonseparable(y: Any) -> Any:
    """The reduction r_nonsep with degree equal to the number of columns."""
    size = y.shape[1]
    total = y.sum(axis=1)
    for j in range(size):
        for k in range(size - 1):
            total = total + np.abs(y[:, j] - y[:, (1 + j + k) % size])
    half = int(np.ceil(size / 2.0))
    return total / (half * (1.0 + 2.0 * size - 2.0 * half))


def _make_wfg(number: int, d: int) -> Several:
    def function(x: Any) -> Any:
        y = x / (2.0 * np.arange(1, d + 1))
        if number == 4:
            y = np.clip(_multi(y, 30.0, 10.0, 0.35), 0.0, 1.0)
            first, last = y[:, :2].mean(axis=1), y[:, 2:].mean(axis=1)
        else:
            y = y.copy()
            a, b, c = 0.98 / 49.98, 0.02, 50.0
            tails = [y[:, i + 1 :].mean(axis=1) for i in range(d - 1)]
            for i, u in enumerate(tails):
                v = a - (1.0 - 2.0 * u) * np.abs(np.floor(0.5 - u) + a)
                y[:, i] = np.clip(y[:, i] ** (b + (c - b) * v), 0.0, 1.0)
            front = np.clip(_deceptive(y[:, :2], 0.35, 0.001, 0.05), 0.0, 1.0)
            rest = np.clip(_multi(y[:, 2:], 30.0, 95.0, 0.35), 0.0, 1.0)
            first, last = _nonseparable(front), _nonseparable(rest)
        angle = first * np.pi / 2.0
        return last[:, None] + np.column_stack([2.0 * np.sin(angle), 4.0 * np.cos(angle)])

    best = MARGIN**2 - np.pi / 4.0
    return Several(
        f"wfg{number}", function, np.zeros(d), 2.0 * np.arange(1.0, d + 1), np.zeros(2), np.array([2.0, 4.0]), best
    )


# --- RE -----------------------------------------------------------------------------------------------------------


def _below(*terms: Any) -> Any:
    """The sum of what each g >= 0 lacks."""
    return sum(np.maximum(-g, 0.0) for g in terms)


def _re21(x: Any) -> Any:
    """Four bar truss: volume and displacement."""
    x1, x2, x3, x4 = x.T
    root = np.sqrt(2.0)
    volume = 200.0 * (2.0 * x1 + root * x2 + np.sqrt(x3) + x4)
    return np.column_stack([volume, 0.01 * (2.0 / x1 + 2.0 * root / x2 - 2.0 * root / x3 + 2.0 / x4)])


def _re24(x: Any) -> Any:
    """Hatch cover: weight and violation."""
    x1, x2 = x.T
    bend, buckle = 4500.0 / (x1 * x2), 7000.0 * x1**2
    lacks = _below(
        1.0 - bend / 700.0, 1.0 - 4.0 / x2, 1.0 - 562000.0 / (700000.0 * x1 * x2**2) / 1.5, 1.0 - bend / buckle
    )
    return np.column_stack([x1 + 120.0 * x2, lacks])


def _re31(x: Any) -> Any:
    """Two bar truss: volume, stress and violation."""
    x1, x2, x3 = x.T
    long, short = np.sqrt(16.0 + x3**2), np.sqrt(1.0 + x3**2)
    volume, stress = x1 * long + x2 * short, 20.0 * long / (x1 * x3)
    return np.column_stack([volume, stress, _below(0.1 - volume, 1e5 - stress, 1e5 - 80.0 * short / (x3 * x2))])


def _re41(x: Any) -> Any:
    """Car side impact: weight, force, speed, violation."""
    a, b, c, d, e, f, g = x.T
    weight = 1.98 + 4.9 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.78 * e + 1e-5 * f + 2.73 * g
    force = 4.72 - 0.5 * d - 0.19 * b * c
    pillar = 10.58 - 0.674 * a * b - 0.67275 * b
    door = 16.45 - 0.489 * c * g - 0.843 * e * f
    lacks = _below(
        1.0 - (1.16 - 0.3717 * b * d - 0.0092928 * c),
        0.32 - (0.261 - 0.0159 * a * b - 0.06486 * a - 0.019 * b * g + 0.0144 * c * e + 0.0154464 * f),
        0.32 - (0.214 + 0.00817 * e - 0.0587118 * a + 0.03099 * b * f - 0.018 * b * g + 0.030408 * c
                - 0.00364 * e * f - 0.018 * b**2),
        0.32 - (0.74 - 0.61 * b - 0.031296 * c - 0.031872 * g + 0.227 * b**2),
        32.0 - (28.98 + 3.818 * c - 4.2 * a * b + 1.27296 * f - 2.68065 * g),
        32.0 - (35.31728 + 2.95 * c - 5.057 * a * b - 3.795 * b - 3.4431 * g),
        32.0 - (46.36 - 9.9 * b - 4.4505 * a),
        4.0 - force,
        9.9 - pillar,
        15.7 - door,
    )  # fmt: skip
    return np.column_stack([weight, force, 0.5 * (pillar + door), lacks])


def _make_re(number: int) -> Several:
    a = np.array
    root = np.sqrt(2.0)
    function, lower, upper, ideal, nadir = {
        21: (_re21, a([1.0, root, root, 1.0]), np.full(4, 3.0), a([1237.841423, 0.002761424]), a([2886.36956, 0.04])),
        24: (_re24, np.full(2, 0.5), a([4.0, 50.0]), a([60.5, 0.0]), a([481.6080885, 44.2819048])),
        31: (_re31, a([1e-5, 1e-5, 1.0]), a([100.0, 100.0, 3.0]), a([5.5373e-5, 1.0 / 3.0, 0.0]),
             a([500.002668, 8246211.25, 19359919.75])),
        41: (_re41, a([0.5, 0.45, 0.5, 0.5, 0.875, 0.4, 0.4]), a([1.5, 1.35, 1.5, 1.5, 2.625, 1.2, 1.2]),
             a([15.576004, 3.58525, 10.61064375, 0.0]), a([39.2905122, 4.42725, 13.0913813, 9.4940193])),
    }[number]  # fmt: skip
    return Several(f"re{number}", function, lower, upper, ideal, nadir)


# --- a user's tuning ------------------------------------------------------------------------------------------------


@cache
def _table() -> tuple[Any, Any, list[Any]]:
    """scikit-learn's breast-cancer table: columns, kinds, and three folds."""
    from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped]
    from sklearn.model_selection import StratifiedKFold  # type: ignore[import-untyped]

    table, kind = load_breast_cancer(return_X_y=True)
    return table, kind, list(StratifiedKFold(3, shuffle=True, random_state=0).split(table, kind))


def _tree(x: Any) -> list[float]:
    """Error in cross-validation and log2(nodes) of a decision tree with parameters x (6,)."""
    from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]

    table, kind, folds = _table()
    wrong, nodes = 0, 0
    for train, test in folds:
        tree = DecisionTreeClassifier(
            max_depth=int(x[0]),
            min_samples_leaf=int(x[1]),
            min_samples_split=int(x[2]),
            ccp_alpha=10.0 ** x[3],
            max_features=float(x[4]),
            class_weight={0: 1.0, 1: 2.0 ** x[5]},
            random_state=0,
        ).fit(table[train], kind[train])
        wrong += int((tree.predict(table[test]) != kind[test]).sum())
        nodes += tree.tree_.node_count
    return [wrong / len(kind), float(np.log2(nodes / 3.0))]


def _make_tree() -> Several:
    low, high = np.array([1, 1, 2, -5.0, 0.1, -2.0]), np.array([16, 40, 60, -1.0, 1.0, 2.0])
    whole = np.array([True, True, True, False, False, False])
    ideal, nadir = np.array([0.03, 0.0]), np.array([0.12, 5.0])
    return Several("tree", lambda x: np.array([_tree(row) for row in x]), low, high, ideal, nadir, None, whole)


PROBLEMS: dict[str, Callable[[], Several]] = {
    "zdt1": lambda: _make_zdt(1, 10),
    "zdt2": lambda: _make_zdt(2, 10),
    "zdt3": lambda: _make_zdt(3, 8),
    "zdt4": lambda: _make_zdt(4, 5),
    "zdt6": lambda: _make_zdt(6, 6),
    "dtlz1": lambda: _make_dtlz(1, 6, 3),
    "dtlz2": lambda: _make_dtlz(2, 7, 3),
    "dtlz7": lambda: _make_dtlz(7, 6, 3),
    "wfg4": lambda: _make_wfg(4, 6),
    "wfg9": lambda: _make_wfg(9, 6),
    "re21": lambda: _make_re(21),
    "re24": lambda: _make_re(24),
    "re31": lambda: _make_re(31),
    "re41": lambda: _make_re(41),
    "tree": _make_tree,
}


def open_several(name: str, multiplier: int) -> Several:
    """The problem, ready for `multiplier` evaluations per dimension."""
    if name not in PROBLEMS:
        raise SystemExit(f"unknown problem {name!r}; known: {', '.join(PROBLEMS)}")
    problem = PROBLEMS[name]()
    problem.budget = multiplier * len(problem.lower)
    return problem
