"""Many small problems at once: B independent searches advance in lock step, one call of the objective per generation.

For problems whose evaluations are cheap and can be made for many points in one array operation - two multipliers of a
trading rule for each of several hundred symbols, a curve fitted to each of a thousand series - one study per problem
spends most of its time outside the objective. Here every array has the problems as its first dimension; problems that
are done leave the arrays and cost nothing. There is no store, no deadline and no model of the objective: for expensive
evaluations use a `Study` for each problem.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..core.batch import Floats, Ints
from ..core.errors import ObjectiveError, ProblemError
from ..core.parameter import ORDERED, UNORDERED
from ..core.problem import Goal
from ..core.space import Space
from ..numerics import batched_cma, batched_de
from ..numerics.projected_bfgs import projected_bfgs
from .identity import make_seed
from .keywords import hinted
from .limits import is_count

Function = Callable[[Any, Ints], Any]
Method = Literal["de", "cmaes", "quasi_newton"]
_DIFFERENCE = 1e-7
"""Of forward differences, in shares of the box."""
_RUNS = ("unfinished", "max_evals", "target", "converged")


@dataclass(frozen=True, slots=True)
class One:
    """What one of the problems came to. params: as in columns, but of one point.  reason: why its search ended."""

    params: Any
    value: float
    evaluations: int
    reason: str


@dataclass(slots=True, eq=False)
class ManyResult:
    """What B problems came to; `result[i]` is one of them.

    x: (B, D) real values of the best points, NaN where a problem has no value.
    values: (B,) in the user's own sign, NaN where no evaluation gave a finite value.  evaluations: (B,).
    reasons: B words: "max_evals", "target" or "converged".  calls: of the objective.
    """

    space: Space
    x: Floats
    values: Floats
    evaluations: Ints
    reasons: list[str]
    calls: int

    def __len__(self) -> int:
        return len(self.values)

    @property
    def success(self) -> NDArray[np.bool_]:
        """(B,) whether a problem has a value."""
        return np.isfinite(self.values)

    @property
    def params(self) -> Any:
        """The best points as columns: {name: (B,)}, or (B, D) for array spaces. Problems without a value have NaN
        there, None where values are no numbers.
        """
        good = self.success
        if good.all() or self.space.kind == "array":
            return self.space.to_columns(self.x)
        return {name: _spread(values, good) for name, values in self.space.to_columns(self.x[good]).items()}

    def __getitem__(self, i: int) -> One:
        if not -len(self) <= i < len(self):
            raise IndexError(f"problem {i}: there are {len(self)}, numbered from 0")
        params = self.space.to_params(self.x[i][None])[0] if self.success[i] else None
        return One(params, float(self.values[i]), int(self.evaluations[i]), self.reasons[i])

    def __iter__(self) -> Iterator[One]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"ManyResult({len(self)} problems, {int(self.evaluations.sum())} evaluations in {self.calls} calls)"


def _spread(values: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[Any]:
    """(B, ...) the values (k, ...) in the k places that are good (B,); elsewhere NaN, None if they are no numbers."""
    number = values.dtype.kind in "iuf"
    whole = np.full((len(good), *values.shape[1:]), np.nan if number else None, float if number else object)
    whole[good] = values
    return whole


@hinted("minimize_many")
def minimize_many(
    objective: Function,
    space: Any,
    *,
    problems: int,
    max_evals: int,
    strategy: Method = "de",
    population: int | None = None,
    target: float | Sequence[float] | Floats | None = None,
    tolerance: float | None = None,
    initial: Sequence[Any] | None = None,
    goal: Goal = "minimize",
    seed: int | None = None,
) -> ManyResult:
    """The best point of each of `problems` independent problems over one space.

    objective: f(points, problem) -> (n,) values. points: columns {name: (n,)}, or an array (n, D) for array spaces, as
        with `vectorised=True`; problem: (n,) int64, which problem each row belongs to (0 .. problems - 1): data of a
        problem are picked by it. NaN and infinities count as failed evaluations.
    space: as in `minimize`.  max_evals: evaluations of each problem.
    strategy: "de" (success-history differential evolution: any parameters, several optima), "cmaes" (numbers;
        correlated, ill-scaled or noisy ones), "quasi_newton" (smooth functions of floats: projected BFGS with forward
        differences, from the middle, then from random points).
    population: rows per problem and generation (default: by dimension and budget; quasi_newton has none).
    target: a problem is done when it has reached this value; one, or one for each.
    tolerance: a problem is done when the values of its population differ by tolerance (1 + |best|) at most; None:
        what has converged begins again elsewhere until max_evals.
    initial: one point for each problem, tried first (yesterday's, for example).
    goal: "minimize" or "maximize".

    Raises:
        ProblemError, SpaceError: what cannot be, before anything is evaluated.
        ObjectiveError: the objective did not give (n,) numbers.
    """
    books = _Books(objective, Space.of(space), problems, max_evals, target, tolerance, goal, seed)
    if strategy not in get_args(Method):
        raise ProblemError(f"strategy: one of {', '.join(get_args(Method))} is expected, got {strategy!r}")
    least = 4 if strategy == "de" else 3
    if population is not None and (not is_count(population) or population < least):
        raise ProblemError(f"population: a whole number >= {least} is expected with {strategy!r}, got {population!r}")
    first = books.encoded(initial)
    if strategy == "quasi_newton":
        _quasi_newton(books, first)
    else:
        _in_generations(books, _population(books, strategy, population, first))
    return books.result()


def _check_call(objective: Any) -> None:
    """Raise ObjectiveError where the objective cannot be called with points and problems."""
    if not callable(objective):
        raise ObjectiveError(f"objective: a function is expected, got {type(objective).__name__} {objective!r:.60}")
    try:
        inspect.signature(objective).bind(None, None)
    except ValueError:  # some builtins have no signature
        return
    except TypeError as error:
        raise ObjectiveError(
            f"the objective is called with two arguments, columns of points and which problem each row belongs to: "
            f"f(points, problem) -> (n,); but {error}"
        ) from None


class _Books:
    """Evaluates batches and keeps, for every problem, its best point, its count and why it ended.

    live: (L,) the problems that go on.
    """

    def __init__(
        self,
        objective: Function,
        space: Space,
        problems: int,
        max_evals: int,
        target: Any,
        tolerance: float | None,
        goal: Goal,
        seed: int | None,
    ) -> None:
        _check_call(objective)
        if not is_count(problems):
            raise ProblemError(f"problems: how many there are, a whole number >= 1, is expected, got {problems!r}")
        if not is_count(max_evals):
            raise ProblemError(f"max_evals: evaluations of each problem, a whole number >= 1, got {max_evals!r}")
        if goal not in get_args(Goal):
            raise ProblemError(f"goal: 'minimize' or 'maximize' is expected, got {goal!r}")
        if tolerance is not None and (
            isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 <= float(tolerance) < np.inf
        ):
            raise ProblemError(f"tolerance: a number >= 0 or None is expected, got {tolerance!r}")
        if not space.dimension:
            raise ProblemError("space: nothing varies in it; give at least one parameter with more than one value")
        self.objective, self.space, self.max_evals = objective, space, int(max_evals)
        self.sign = 1.0 if goal == "minimize" else -1.0
        self.tolerance = None if tolerance is None else float(tolerance)
        self.target = _targets(target, int(problems), self.sign)
        self.rng = np.random.default_rng(make_seed(seed))
        self.live = np.arange(int(problems))
        self.best: Floats = np.full(int(problems), np.inf)
        self.reals: Floats = np.full((int(problems), space.dimension), np.nan)
        self.evaluations: Ints = np.zeros(int(problems), dtype=np.int64)
        self.ended = np.zeros(int(problems), dtype=np.int8)
        self.calls = 0

    def encoded(self, initial: Sequence[Any] | None) -> Floats | None:
        """(B, D) unit points of `initial`, or None."""
        if initial is None:
            return None
        points = list(initial) if isinstance(initial, (list, tuple, np.ndarray)) else None
        if points is None or len(points) != len(self.best):
            count = type(initial).__name__ if points is None else len(points)
            raise ProblemError(f"initial: a list with one point for each of {len(self.best)} problems, got {count}")
        return self.space.encode(self.space.from_params(points))

    def evaluate(self, points: Floats, which: Ints) -> tuple[Floats, Floats]:
        """(points (L, n, D) as evaluated, values (L, n), minimised, inf where there is none) of problems which (L,)."""
        count, n, d = points.shape
        rows = points.reshape(-1, d)
        if self.space.constrained:
            rows = self.space.repair(rows, self.rng)
        rows, reals, active = self.space.resolve(rows)
        values = self._called(self.space.to_columns(reals, active), np.repeat(which, n)).reshape(count, n)
        self.evaluations[which] += n
        slot = values.argmin(axis=1)
        low = values[np.arange(count), slot]
        better = low < self.best[which]
        self.best[which[better]] = low[better]
        self.reals[which[better]] = reals.reshape(count, n, d)[better, slot[better]]
        return rows.reshape(count, n, d), values

    def _called(self, columns: Any, index: Ints) -> Floats:
        self.calls += 1
        given = self.objective(columns, index)
        n = len(index)
        try:
            values = np.asarray(np.nan if given is None else given, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.empty(0)
        if given is None or not values.size:
            raise ObjectiveError(f"the objective must give ({n},) numbers, one for each row, got {given!r:.80}")
        if values.shape != (n,):
            hint = "one value for each row of the batch, not for each problem"
            if values.shape == (n, 1):
                hint = "drop the second dimension"
            elif not values.shape:
                hint = "it must work on whole columns: f(points, problem) -> (n,)"
            raise ObjectiveError(f"the objective must give ({n},) values, got shape {values.shape}; {hint}")
        return np.where(np.isfinite(values), self.sign * values, np.inf)

    def left(self) -> int:
        """Evaluations that every live problem may still make (they advance in lock step)."""
        return self.max_evals - int(self.evaluations[self.live[0]]) if len(self.live) else 0

    def arrived(self) -> NDArray[np.bool_]:
        """(L,) live problems that have reached their target."""
        return np.asarray(self.best[self.live] <= self.target[self.live])

    def end(self, which: NDArray[np.bool_], reason: str) -> None:
        """Live problems (L,) are done."""
        self.ended[self.live[which]] = _RUNS.index(reason)
        self.live = self.live[~which]

    def result(self) -> ManyResult:
        """What the problems came to."""
        values = np.where(np.isfinite(self.best), self.sign * self.best, np.nan)
        reasons = [_RUNS[code] for code in self.ended.tolist()]
        return ManyResult(self.space, self.reals, values, self.evaluations, reasons, self.calls)


def _targets(target: Any, problems: int, sign: float) -> Floats:
    """(B,) minimised targets, -inf where there is none."""
    if target is None:
        return np.full(problems, -np.inf)
    try:
        given = np.asarray(target, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.full((), np.nan)
    if given.shape not in ((), (problems,)) or np.isnan(given).any():
        raise ProblemError(f"target: a number, or one for each of {problems} problems, is expected, got {target!r:.80}")
    return np.asarray(np.broadcast_to(sign * given, (problems,)).copy())


def _population(books: _Books, strategy: str, population: int | None, first: Floats | None) -> Any:
    """The batched search over all problems."""
    space, count = books.space, len(books.live)
    d = space.dimension
    ordered = space.kinds == ORDERED
    steps = np.where(ordered, 1.0 / np.where(ordered, space.levels, 1.0), 0.0)
    labels = space.kinds == UNORDERED
    if strategy == "cmaes":
        if labels.any():
            raise ProblemError("strategy 'cmaes' needs numbers, the space has choices without order; use 'de'")
        size = population or batched_cma.default_size(d)
        return batched_cma.CovarianceAdaptations(count, d, size, books.rng, steps=steps, first=first)
    size = min(population or batched_de.default_size(d, books.max_evals), max(books.max_evals, 4))
    sizes = size, (batched_de.last_size(size, d, books.max_evals) if population is None else size)
    return batched_de.DifferentialEvolutions(
        count, d, sizes, books.rng, steps=steps, labels=labels, first=None if first is None else first[:, None]
    )


def _in_generations(books: _Books, search: Any) -> None:
    """Ask, evaluate, tell, until every problem is done."""
    while len(books.live):
        left = books.left()
        if left <= 0:
            books.end(np.ones(len(books.live), dtype=np.bool_), "max_evals")
            return
        points = search.ask()
        seen, values = books.evaluate(points[:, :left], books.live)
        if seen.shape[1] < points.shape[1]:  # the last rows of the budget
            break_off = points.shape[1] - seen.shape[1]
            values = np.pad(values, ((0, 0), (0, break_off)), constant_values=np.inf)
            seen = np.concatenate([seen, points[:, seen.shape[1] :]], axis=1)
        search.progress = 1.0 - (left - values.shape[1]) / books.max_evals
        search.tell(seen, values)
        _retire(books, search)


def _retire(books: _Books, search: Any) -> None:
    """Problems at their target or converged leave; where there is no tolerance converged ones begin again."""
    done = books.arrived()
    reasons = [("target", done)]
    if books.tolerance is not None:
        within = search.spread() <= books.tolerance * (1.0 + np.abs(books.best[books.live]))
        reasons.append(("converged", (within | search.collapsed()) & ~done))
        done = done | reasons[1][1]
    else:
        stuck = search.collapsed() & ~done
        if stuck.any():
            search.restart(stuck)
    if not done.any():
        return
    search.keep(~done)
    if books.tolerance is not None:
        books.ended[books.live[reasons[1][1]]] = _RUNS.index("converged")
    books.ended[books.live[reasons[0][1]]] = _RUNS.index("target")
    books.live = books.live[~done]


def _quasi_newton(books: _Books, first: Floats | None) -> None:
    """Projected BFGS from one start per problem at a time; a problem whose budget is spent is no longer evaluated."""
    space = books.space
    d = space.dimension
    if not (np.isinf(space.levels) & (space.kinds == 0)).all():
        raise ProblemError(
            "strategy 'quasi_newton' needs floats without steps: differences must mean something; use 'de'"
        )
    per_call = d + 1

    def slopes(points: Floats, rows: Ints) -> tuple[Floats, Floats]:
        values, gradients = np.full(len(points), np.inf), np.zeros_like(points)
        which = books.live[rows]
        open_ = np.flatnonzero(
            (books.evaluations[which] + per_call <= books.max_evals) & ~(books.best[which] <= books.target[which])
        )
        if not len(open_):
            return values, gradients
        x = points[open_]
        step = np.where(x + _DIFFERENCE <= 1.0, _DIFFERENCE, -_DIFFERENCE)
        batch = np.repeat(x[:, None], per_call, axis=1)
        batch[:, np.arange(1, per_call), np.arange(d)] += step
        _, found = books.evaluate(batch, which[open_])
        values[open_] = found[:, 0]
        with np.errstate(invalid="ignore"):
            rise = (found[:, 1:] - found[:, :1]) / step
        gradients[open_] = np.where(np.isfinite(rise), rise, 0.0)
        return values, gradients

    starts = np.full((len(books.live), d), 0.5) if first is None else first
    low, high = np.zeros(d), np.ones(d)
    if books.max_evals < per_call:  # not even one gradient
        books.evaluate(starts[:, None], books.live)
    while len(books.live):
        calls = max(int(books.max_evals - books.evaluations[books.live].min()) // per_call, 1)
        tolerance = 1e-13 if books.tolerance is None else books.tolerance
        with np.errstate(invalid="ignore"):
            projected_bfgs(slopes, starts, low, high, calls=calls, tolerance=tolerance)
        books.end(books.arrived(), "target")
        books.end(books.evaluations[books.live] + per_call > books.max_evals, "max_evals")
        if books.tolerance is not None:
            books.end(np.ones(len(books.live), dtype=np.bool_), "converged")
        starts = books.rng.random((len(books.live), d))
