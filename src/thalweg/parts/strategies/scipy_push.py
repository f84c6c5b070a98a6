"""SciPy's global optimisers, asked and told: `scipy:direct`, `scipy:de`, `scipy:dual_annealing`, `scipy:shgo`.

SciPy calls an objective; `_pull.Pull` turns that round. What SciPy wants at once is one batch: a whole generation for
`differential_evolution` (vectorized=True), the vertices of one refinement for `shgo`, one point otherwise.

State: the log of the values handed to SciPy (8 bytes per evaluation; the points follow from the seed and the values),
so a restore runs SciPy again over the log. All four work in the unit cube, whose cells are snapped before evaluation;
only `differential_evolution` knows whole numbers, and is told which columns are.

Values SciPy can bear: rows that failed or violate a constraint are handed over as finite values above the worst value
so far, ordered by violation; rows abandoned are asked again.

Sources: scipy.optimize (direct: Jones et al. 1993, doi:10.1007/BF00941892, Gablonsky & Kelley 2001,
doi:10.1023/A:1017930332101; differential evolution: Storn & Price 1997, doi:10.1023/A:1008202821328; dual annealing:
Xiang et al. 1997, doi:10.1016/S0375-9601(97)00474-X; shgo: Endres et al. 2018, doi:10.1007/s10898-018-0645-y).
"""

from __future__ import annotations

import inspect
import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ...core.batch import INFEASIBLE, Answers, Floats, Status
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ._pull import Ahead, Body, Exchange, Pull

T = TypeVar("T")


class _Pushed(Strategy):
    """Abstract: what the four have in common; a subclass gives the `body` that calls SciPy.

    A thread exists only between the first ask and SciPy's end; it ends with the strategy (see `_pull`).
    """

    def __init__(self, **options: Any) -> None:
        """options: SciPy's own keywords, passed on as they are."""
        self.options = dict(options)
        # made before start(), so that it is no part of the state
        self._pull: Pull | None = None

    @abstractmethod
    def body(self) -> Body:
        """SciPy's call, closed over plain values only (a reference to the strategy would keep its thread for ever)."""

    def begin(self) -> None:
        """Forget everything, end an earlier run; SciPy itself is started by the first ask."""
        if self._pull is not None:
            self._pull.close()
        self._pull = None
        self.log = np.empty(0)  # values handed to SciPy, in its order; `told` of them are in use
        self.told = 0
        self.values = np.empty(0)  # (b,) of the batch under way, NaN while unknown
        self.queue: list[int] = []  # rows of the batch still to be given out
        self.rows: list[list[int]] = []  # [ticket, row] of what is out
        self.start_point: Floats | None = None
        self.start_value = np.inf
        self.low, self.high = np.inf, -np.inf  # of the finite values so far
        self.reason = ""

    # --- asked and told -------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """Rows of the batch SciPy waits for; none while all of them are out."""
        batch = self._running().batch
        if batch is None:
            return np.empty((0, self.dimension))
        take, self.queue = self.queue[:n], self.queue[n:]
        self.rows += [[self.next_ticket + i, row] for i, row in enumerate(take)]
        return batch[take]

    def learn(self, answers: Answers) -> None:
        """Fill in the batch; a full one goes to SciPy."""
        out: dict[int, int] = dict(self.rows)  # type: ignore[arg-type]  # pairs, as lists: JSON has no tuples
        merits = answers.merit()
        usable = merits[merits < INFEASIBLE]
        if len(usable):
            self.low, self.high = min(self.low, float(usable.min())), max(self.high, float(usable.max()))
        statuses = answers.statuses.tolist()
        for ticket, status, merit in zip(answers.tickets.tolist(), statuses, merits.tolist(), strict=True):
            row = out.pop(ticket)
            if status == Status.ABANDONED:  # it says nothing about the point, and SciPy cannot go on without it
                self.queue.append(row)
            else:
                self.values[row] = self._bearable(merit)
        self.rows = [[ticket, row] for ticket, row in out.items()]
        if len(self.values) and not np.isnan(self.values).any():
            self._hand_over()

    def _bearable(self, merit: float) -> float:
        """`merit`, or a finite number above the worst value so far where SciPy could not go on with it."""
        if merit < INFEASIBLE:
            return merit
        low, high = (self.low, self.high) if self.low <= self.high else (0.0, 1.0)
        amount = 2.0 if merit == np.inf else min(merit / INFEASIBLE - 1.0, 1.0)  # by violation; failures are worst
        return high + max(high - low, 1.0) * (1.0 + amount)

    def absorb(self, answers: Answers) -> None:
        """Remember the best foreign point for the start; a running SciPy cannot hear of it."""
        merits = answers.merit()
        best = int(np.argmin(merits))
        if self.abilities.learns_foreign and merits[best] < self.start_value and not self.told and self._pull is None:
            self.start_value = float(merits[best])
            self.start_point = answers.points[best].copy()

    @property
    def stride(self) -> int:
        """Rows of the batch not given out yet, at least 1."""
        return max(1, len(self.queue))

    @property
    def done(self) -> bool:
        """SciPy has ended."""
        return bool(self.reason)

    @property
    def why(self) -> str:
        """SciPy's own message once it has ended."""
        return self.reason or f"{type(self).__name__}: {self.told} values handed to SciPy"

    # --- SciPy's side ---------------------------------------------------------------------------------------------

    def _running(self) -> Pull:
        if self._pull is None:
            self._pull = self._guard(self._replayed)
            self._next_batch(fresh=not len(self.values))
        return self._pull

    def _replayed(self) -> Pull:
        """SciPy, started and led through the log."""
        pull = Pull(self.body())
        at = 0
        while at < self.told:
            size = 0 if pull.batch is None else len(pull.batch)
            if not size or at + size > self.told:
                raise StrategyError(
                    f"{type(self).__name__}: the log holds {self.told} values, SciPy ended or left it after {at}; "
                    "was the state saved with another version of SciPy, or another problem, seed or option?"
                )
            pull.answer(self.log[at : at + size])
            at += size
        return pull

    def _hand_over(self) -> None:
        pull, values = self._running(), self.values
        while self.told + len(values) > len(self.log):
            self.log = np.concatenate([self.log, np.zeros(max(64, len(self.log), len(values)))])
        self.log[self.told : self.told + len(values)] = values
        self.told += len(values)
        self.values, self.queue = np.empty(0), []
        try:
            self._guard(lambda: pull.answer(values))
        except StrategyError:
            self._pull = None  # the next call runs into the same error again, instead of waiting for ever
            raise
        self._next_batch(fresh=True)

    def _next_batch(self, fresh: bool) -> None:
        pull = self._pull
        if pull is None:
            return
        if pull.batch is None:
            self.reason = pull.reason or "SciPy ended without a message"
        elif fresh:
            self.values = np.full(len(pull.batch), np.nan)
            self.queue = list(range(len(pull.batch)))

    def _guard(self, call: Callable[[], T]) -> T:
        """Run SciPy's leg; its warnings are not the user's, its errors become ours."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return call()
        except StrategyError:
            raise
        except Exception as error:
            raise StrategyError(
                f"{type(self).__name__}: SciPy raised {type(error).__name__}: {error}; "
                "options are passed on to SciPy as they are; Chain can put another strategy in its place"
            ) from error

    def state(self) -> dict[str, Any]:
        """The books and the log of values."""
        state = super().state()
        state["own"]["log"] = self.log[: self.told].copy()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`: SciPy is run again over the log by the next ask."""
        super().restore(state)
        if self._pull is not None:
            self._pull.close()
        self._pull = None

    def _rng(self, function: Callable[..., Any]) -> dict[str, Any]:
        """SciPy's keyword for a generator (its name changed with 1.15); always in the same state for the same seed."""
        word = "rng" if "rng" in inspect.signature(function).parameters else "seed"
        own = np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, 0))
        return {word: np.random.default_rng(own)}


class SciPyDirect(_Pushed):
    """`scipy.optimize.direct`: dividing rectangles; deterministic, one point at a time."""

    def body(self) -> Body:
        """The call, with room for the budget (1000 D evaluations where there is none)."""
        from scipy.optimize import direct

        # SciPy allocates for maxfun points at the start, so it is not simply "very many"
        room = max(1000 * self.dimension, 2 * (self.budget or 0))
        options = {"maxfun": room, "maxiter": room, **self.options}
        bounds = [(0.0, 1.0)] * self.dimension

        def run(exchange: Exchange) -> str:
            return str(direct(Ahead(exchange).one, bounds, **options).message)

        return run


class SciPyDualAnnealing(_Pushed):
    """`scipy.optimize.dual_annealing`: generalised simulated annealing with L-BFGS-B as its local search.

    The best foreign answer told before the first ask is where it starts.
    """

    abilities = Abilities(learns_foreign=True)

    def body(self) -> Body:
        """The call; 10 million evaluations at most, as in SciPy."""
        from scipy.optimize import dual_annealing

        options = {"maxiter": 1_000_000, **self._rng(dual_annealing), **self.options}
        if self.start_point is not None:
            options.setdefault("x0", self.start_point)
        bounds = [(0.0, 1.0)] * self.dimension

        def run(exchange: Exchange) -> str:
            return str(dual_annealing(Ahead(exchange).one, bounds, **options).message)

        return run


class SciPySHGO(_Pushed):
    """`scipy.optimize.shgo`: simplicial homology sampling, then a local search from every minimiser found.

    Sampling refines simplices vertex by vertex; SciPy's other way, sampling_method="sobol", triangulates, which fails
    on few points and takes for ever beyond six dimensions.
    """

    def body(self) -> Body:
        """The call; by default a third of the budget (at most 128 points) is sampled before the local searches."""
        from scipy.optimize import shgo

        sampled = int(np.clip((self.budget or 384) // 3, 4, 128))
        options = {"n": sampled, "sampling_method": "simplicial", **self.options}
        bounds = [(0.0, 1.0)] * self.dimension
        batched = "workers" in inspect.signature(shgo).parameters

        def run(exchange: Exchange) -> str:
            ahead = Ahead(exchange)
            if batched:
                options.setdefault("workers", ahead.map)
            return str(shgo(ahead.one, bounds, **options).message)

        return run


class SciPyDE(_Pushed):
    """`scipy.optimize.differential_evolution`, whole generations at once; integers and choices as whole numbers.

    The best foreign answer told before the first ask joins the first generation.
    """

    abilities = Abilities(learns_foreign=True)

    def body(self) -> Body:
        """The call; the population is SciPy's 15 D members, or fewer so that about 15 generations fit the budget."""
        from scipy.optimize import differential_evolution

        width = self.dimension
        popsize = 15 if self.budget is None else int(np.clip(self.budget // (15 * width), 1, 15))
        options = {"popsize": popsize, "maxiter": 1_000_000, **self._rng(differential_evolution), **self.options}
        options |= {"vectorized": True, "updating": "deferred"}
        kinds, levels = np.asarray(self.problem.space.kinds), np.asarray(self.problem.space.levels)
        whole = np.isin(kinds, (1, 2)) & np.isfinite(levels)
        scale = np.where(whole, levels, 1.0)
        offset = np.where(whole, 0.5, 0.0)
        bounds = [(0.0, float(levels[i]) - 1.0 if whole[i] else 1.0) for i in range(width)]
        if whole.any():
            options["integrality"] = whole
            options.setdefault("polish", not whole.all())  # a local search needs something to slide along
        if self.start_point is not None:
            inside = self.start_point * scale - offset
            top = np.array([high for _, high in bounds])
            options.setdefault("x0", np.clip(np.where(whole, np.round(inside), inside), 0.0, top))

        def run(exchange: Exchange) -> str:
            def objective(columns: Floats) -> Any:
                """(D,) -> a number; (D, S) -> (S,)."""
                points = (np.atleast_2d(np.asarray(columns, dtype=np.float64).T) + offset) / scale
                values = exchange(points)
                return values if np.ndim(columns) > 1 else float(values[0])

            return str(differential_evolution(objective, bounds, **options).message)

        return run
