"""The documented calls around `multipliers`: one problem or many, exactly or by search, with a chain of fallbacks.

A call is solved exactly ("exact"). Where that fails, and for objectives that are mere functions, DIRECT searches
("direct"), and where that fails differential evolution ("de"); every step down is logged with its reason to the logger
"thalweg.market". MARKETSIM_USE_DIRECT_OPTIMIZER=0 asks for differential evolution at once, and
MARKETSIM_USE_TORCH_GRID=1 for grids that close in before anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.batch import Floats, Ints
from ...core.errors import ProblemError
from . import flags
from .closing_grid import search_grids
from .multipliers import BOUNDS, Box, Days, check_bounds, pairs, plain, profits

log = logging.getLogger("thalweg.market")
Triple = tuple[float, float, float]
Solver = Callable[[Days, Box, dict[str, Any]], list[Triple]]


def optimize_entry_exit_multipliers(
    close_actual: Any,
    positions: Any,
    high_actual: Any,
    high_pred: Any,
    low_actual: Any,
    low_pred: Any,
    *,
    close_at_eod: bool = False,
    trading_fee: float | None = None,
    bounds: Box = BOUNDS,
    maxiter: int = 50,
    popsize: int = 10,
    atol: float = 1e-5,
    seed: int | None = 42,
    workers: int = 1,
) -> Triple:
    """(high multiplier, low multiplier, profit): the best pair for one series of days (see `multipliers`).

    Arrays (n,), or tensors, of returns from the previous close; positions: > 0 long, < 0 short, up to 10.
    trading_fee: of an entry (None: 0.0005).  maxiter, popsize, atol, seed: of differential evolution.
    workers: accepted and not used; this takes less time than starting a process.

    Raises:
        ProblemError: shapes that do not fit, numbers that are not finite, bounds that are none.
    """
    arrays = _named(close_actual, high_actual, high_pred, low_actual, low_pred)
    long, short = split(positions)
    days = Days.of(arrays, long, short, trading_fee, close_at_eod, single=True)
    return _chain(days, bounds, _search(maxiter, popsize, atol, seed, workers))[0]


def optimize_always_on_multipliers(
    close_actual: Any,
    buy_indicator: Any,
    sell_indicator: Any,
    high_actual: Any,
    high_pred: Any,
    low_actual: Any,
    low_pred: Any,
    *,
    close_at_eod: bool = False,
    trading_fee: float | None = None,
    is_crypto: bool = False,
    bounds: Box = BOUNDS,
    maxiter: int = 30,
    popsize: int = 8,
    atol: float = 1e-5,
    seed: int | None = 42,
    workers: int = -1,
) -> Triple:
    """The same for a rule that is in the market every day: it buys by one indicator and, unless `is_crypto`, sells by
    the other one, with one pair of multipliers for both. Arguments and errors as above.
    """
    arrays = _named(close_actual, high_actual, high_pred, low_actual, low_pred)
    long, short = split(buy_indicator)
    if not is_crypto:
        more_long, more_short = split(sell_indicator)
        long, short = long + more_long, short + more_short
    days = Days.of(arrays, long, short, trading_fee, close_at_eod, single=True)
    return _chain(days, bounds, _search(maxiter, popsize, atol, seed, workers))[0]


def optimize_batch(
    close_actual: Any,
    positions: Any,
    high_actual: Any,
    high_pred: Any,
    low_actual: Any,
    low_pred: Any,
    *,
    close_at_eod: bool = False,
    trading_fee: float | None = None,
    bounds: Box = BOUNDS,
) -> list[Triple]:
    """Many problems at once, each with a pair of its own: arrays (b, n). Arguments and errors as above."""
    arrays = _named(close_actual, high_actual, high_pred, low_actual, low_pred)
    long, short = split(positions)
    days = Days.of(arrays, long, short, trading_fee, close_at_eod, single=False)
    return _chain(days, bounds, _search(50, 10, 1e-5, 42, 1))


def optimize_entry_exit_multipliers_with_callback(
    profit_calculator: Callable[[float, float], float],
    *,
    bounds: Box = BOUNDS,
    maxiter: int = 50,
    popsize: int = 10,
    atol: float = 1e-5,
    seed: int | None = 42,
    workers: int = 1,
) -> Triple:
    """The pair with the largest `profit_calculator(high multiplier, low multiplier)`: a search, it may be anything."""
    found, value = run_bounded_optimizer(
        lambda point: -float(profit_calculator(float(point[0]), float(point[1]))),
        bounds=bounds, maxiter=maxiter, popsize=popsize, atol=atol, seed=seed, workers=workers,
    )  # fmt: skip
    return found[0], found[1], -value


def optimize_single_parameter(
    profit_calculator: Callable[[float], float],
    *,
    bounds: tuple[float, float] = (-0.05, 0.05),
    maxiter: int = 30,
    popsize: int = 10,
    atol: float = 1e-5,
    seed: int | None = 42,
    workers: int = 1,
) -> tuple[float, float]:
    """(parameter, profit) with the largest `profit_calculator(parameter)`."""
    found, value = run_bounded_optimizer(
        lambda point: -float(profit_calculator(float(point[0]))),
        bounds=(bounds,), maxiter=maxiter, popsize=popsize, atol=atol, seed=seed, workers=workers,
    )  # fmt: skip
    return found[0], -value


def run_bounded_optimizer(
    objective: Callable[[Sequence[float]], float],
    *,
    bounds: Sequence[tuple[float, float]],
    maxiter: int = 50,
    popsize: int = 10,
    atol: float = 1e-5,
    seed: int | None = 42,
    workers: int = 1,
) -> tuple[tuple[float, ...], float]:
    """(point, value) of the smallest `objective(point)` within the bounds: DIRECT, or differential evolution by the
    flag and where DIRECT fails; both with (maxiter + 1) popsize d evaluations, a fifth of them with
    MARKETSIM_FAST_OPTIMIZE.

    Raises:
        ProblemError: no method gave a value.
    """
    from ...engine.optimize import minimize

    _search(maxiter, popsize, atol, seed, workers)
    budget = (maxiter + 1) * popsize * len(bounds)
    budget = max(20, budget // 5) if flags.fast_optimize() else budget
    box = [(float(low), float(high)) for low, high in bounds]
    reasons = []
    for strategy in ("direct", "de") if flags.use_direct() else ("de",):
        try:
            found = minimize(
                lambda x: float(objective(x)), box, strategy=strategy, seed=seed, max_evals=budget, progress=False
            )
            return tuple(found.x.tolist()), float(found.value)
        except Exception as error:  # whatever a method or the objective does: the next one may do
            log.warning("%s failed, falling back: %s", strategy, error)
            reasons.append(f"{strategy}: {error}")
    raise ProblemError("no method found a value; " + "; ".join(reasons))


def split(positions: Any) -> tuple[Any, Any]:
    """(long, short) sizes of signed positions, at most 10 each."""
    signed = positions if hasattr(positions, "clip") else np.asarray(positions, dtype=np.float64)
    return signed.clip(0, 10), (-signed).clip(0, 10)


def _named(close: Any, high: Any, high_pred: Any, low: Any, low_pred: Any) -> dict[str, Any]:
    return {"close": close, "high": high, "high_pred": high_pred, "low": low, "low_pred": low_pred}


def _search(maxiter: int, popsize: int, atol: float, seed: int | None, workers: int) -> dict[str, Any]:
    for name, item in (("maxiter", maxiter), ("popsize", popsize)):
        if isinstance(item, bool) or not isinstance(item, int) or item < 1:
            raise ProblemError(f"{name}: a whole number >= 1 is expected, got {item!r}")
    if not isinstance(workers, int) or workers == 0 or workers < -1:
        raise ProblemError(f"workers: a whole number >= 1, or -1, is expected, got {workers!r}")
    if not atol >= 0:
        raise ProblemError(f"atol: a number >= 0 is expected, got {atol!r}")
    return {"maxiter": maxiter, "popsize": popsize, "atol": atol, "seed": seed}


# --- the chain --------------------------------------------------------------------------------------------------------


def _exact(days: Days, bounds: Box, _: dict[str, Any]) -> list[Triple]:
    return pairs(days, bounds)


def _grid(days: Days, bounds: Box, _: dict[str, Any]) -> list[Triple]:
    return plain(days, search_grids(days, bounds, flags.grids()))


def _direct(days: Days, bounds: Box, how: dict[str, Any]) -> list[Triple]:
    """DIRECT on each problem, vectorised."""
    from ...engine.optimize import minimize

    made = []
    for i in range(len(days.close)):
        one = days.take(slice(i, i + 1))
        found = minimize(
            lambda x, one=one: -_values(one, x), list(bounds), strategy="direct", vectorised=True, seed=how["seed"],
            max_evals=100 if flags.fast_optimize() else 500, progress=False,
        )  # fmt: skip
        h, low_mult = found.x.tolist()
        made.append((h, low_mult, -float(found.value)))
    return made


def _values(days: Days, points: Floats) -> Floats:
    """(k,) profits of the points (k, 2) of one problem."""
    like = days.close[:, :1]
    pair = [like * 0 + days.tools.as_tensor(points[None, :, i]).to(like) for i in (0, 1)] if _is_torch(days) else None
    h, low_mult = pair if pair is not None else (points[None, :, 0], points[None, :, 1])
    return np.asarray(profits(days, h, low_mult)[0].tolist())


def _evolution(days: Days, bounds: Box, how: dict[str, Any]) -> list[Triple]:
    """Differential evolution on all problems in lock step; its evaluations as SciPy counts them."""
    from ...engine.many import minimize_many

    members = max(4, 2 * how["popsize"])
    plain = days if not _is_torch(days) else _as_numpy(days)

    def loss(points: Floats, which: Ints) -> Floats:
        few = plain.take(which)
        return -np.asarray(profits(few, points[:, :1], points[:, 1:])[:, 0])

    found = minimize_many(
        loss, list(bounds), problems=len(days.close), max_evals=(how["maxiter"] + 1) * members, population=members,
        tolerance=how["atol"], seed=how["seed"],
    )  # fmt: skip
    if not found.success.all():
        raise ProblemError("differential evolution found no finite profit; are all days finite?")
    return [(float(x[0]), float(x[1]), -float(v)) for x, v in zip(found.x, found.values, strict=True)]


def _is_torch(days: Days) -> bool:
    return bool(days.tools.__name__ == "torch")


def _as_numpy(days: Days) -> Days:
    names = ("close", "high", "low", "high_pred", "low_pred", "long", "short")
    arrays = {name: np.asarray(getattr(days, name).tolist(), dtype=np.float64) for name in names}
    return Days(**arrays, fee=days.fee, close_at_eod=days.close_at_eod, tools=np)


SOLVERS: dict[str, Solver] = {"exact": _exact, "direct": _direct, "de": _evolution}
"""name -> solver, in the order in which one stands in for the one before."""


def _chain(days: Days, bounds: Box, how: dict[str, Any]) -> list[Triple]:
    """The first solver that gives an answer; errors of the call itself are raised."""
    bounds = check_bounds(bounds)
    names = list(SOLVERS) if flags.use_direct() else list(SOLVERS)[2:]
    solvers = SOLVERS
    if flags.use_grid():
        names, solvers = ["grid", *names], SOLVERS | {"grid": _grid}
    for name in names[:-1]:
        try:
            return solvers[name](days, bounds, how)
        except ProblemError:
            raise
        except Exception as error:  # out of memory, a device that fails: the next solver needs less
            log.warning("%s failed, falling back: %s: %s", name, type(error).__name__, error)
    return SOLVERS[names[-1]](days, bounds, how)
