"""The seam every search method fits into: ask for points, tell what became of them.

The contract (the conformance suite in `thalweg.testing.strategy_suite` checks the same list):

1. `ask(n)` gives 0..n rows in the unit cube. No rows means "tell me something first", unless `done`.
2. Every ticket is told exactly once, in any order and any grouping.
3. Foreign answers (ticket -1) are survived at any time, also before the first ask; a strategy whose abilities say
   `learns_foreign` gets better by them.
4. Failed, timed-out and infeasible rows are survived and learnt from.
5. Same problem, seed and calls: the same points, bit for bit on one machine.
6. `state()` is plain data (see `thalweg.core.plain`); a twin started alike and restored from it continues identically.
7. Nothing that was given is changed, and nothing that was given away changes later (arrays are read-only).
8. Answers hold the points *as evaluated* (repaired, snapped), which is what a strategy learns from.
9. Where nothing varies there is nothing to search: `ask` gives the one point, once, or as often as asked where
   values are noisy; `propose`, `learn` and `absorb` are not called (`begin` is, with D = 0 or columns of one level).

A tricky order that every strategy survives:

    strategy.start(problem, seed=1, budget=100)
    strategy.tell(foreign)                  # before the first ask
    a = strategy.ask(5)                     # five rows
    b = strategy.ask(5)                     # five more, or none: nothing has been told yet
    strategy.tell(second half of a)         # out of order, some of them failed
    strategy.tell(b and the rest of a)      # one group over two asks
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, ClassVar, final

import numpy as np

from .batch import FOREIGN, Answers, Floats, Ints, Proposals
from .errors import OutOfOrder, StrategyError
from .problem import Problem


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a strategy can do; checked when a study is built."""

    objectives: int = 1
    """The most objectives it handles (MANY for any number)."""
    learns_foreign: bool = False
    """It gets better from points that it did not propose."""
    fidelities: bool = False
    """It proposes fidelities below 1."""
    needs_budget: bool = False
    """It cannot be started without a number of evaluations."""


MANY = 1_000_000
_ONE_BITS = np.ones(()).view(np.uint64)
_ONLY = "nothing varies: the only point was proposed"
_NO_TICKETS = np.empty(0, dtype=np.int64)
_NO_TICKETS.setflags(write=False)


@dataclass(slots=True, eq=False)
class Draft:
    """What `propose` gives when there is more to say than points: see `Proposals` for the shapes."""

    points: Floats
    fidelities: Floats | None = None
    parents: Ints | None = None


class Strategy(ABC):
    """A search method. Subclasses are final: write `begin`, `propose`, `learn`, and `absorb` if it learns from foreign
    points. Options are set in `__init__`; everything set in `begin` or later is state and must be plain data (or a
    dataclass of plain data, or a child strategy), because `state()` saves it.
    """

    abilities: ClassVar[Abilities] = Abilities()

    problem: Problem
    rng: np.random.Generator
    budget: int | None
    _one_given = False
    """Nothing varies, and the only point was given."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in vars(cls):
            cls.__init__ = _noting(cls.__init__)  # type: ignore[method-assign]
        for name, over in (("done", True), ("why", _ONLY)):
            given = vars(cls).get(name)
            if isinstance(given, property) and given.fget is not None:
                setattr(cls, name, property(_unless_one_given(given.fget, over), doc=given.__doc__))

    # --- what a method writes -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set up the state. `self.problem`, `self.dimension`, `self.rng`, `self.seeds` and `self.budget` are set."""

    @abstractmethod
    def propose(self, n: int) -> Floats | Draft:
        """0..n points (k, D) in [0, 1]; row i gets ticket `self.next_ticket + i`."""

    @abstractmethod
    def learn(self, answers: Answers) -> None:
        """Learn from answers to own proposals (every ticket is one that is pending)."""

    def absorb(self, answers: Answers) -> None:
        """Learn from foreign answers (every ticket is -1)."""

    @property
    def stride(self) -> int:
        """Rows it can give without hearing anything."""
        return 1

    @property
    def speculates(self) -> bool:
        """Asked for more rows than its stride it gives some that it would choose better after hearing answers: it is
        asked for no more than can be evaluated at once.
        """
        return False

    @property
    def all_out(self) -> bool:
        """A generation was given and not all of it is told: what it gives now it would choose better after hearing the
        rest. Composites pass it over while others of theirs have rows.
        """
        return False

    @property
    def ponders(self) -> bool:
        """A proposal takes it milliseconds, or will as soon as it has a model: it thinks in a thread of its own where
        an event loop is shared. Others do from the first time on that one did take so long.
        """
        return False

    @property
    def confidence(self) -> float:
        """How much of what its model of the objective promised came true lately, in [0, 1]; 0 without such a model."""
        return 0.0

    @property
    def done(self) -> bool:
        """It will give no more rows; `why` says the reason."""
        return self._one_given

    @property
    def why(self) -> str:
        """The reason it is done, or what it is doing now, in words."""
        return _ONLY if self._one_given else ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened inside that people should hear of: {"kind": "switched" | "fallback", "reason": words}."""
        return []

    # --- the books, final -----------------------------------------------------------------------------------------

    @final
    def start(self, problem: Problem, seed: int | np.random.SeedSequence, budget: int | None = None) -> None:
        """Bind to a problem and begin (again: any earlier state is dropped).

        Raises:
            StrategyError: the abilities do not cover the problem.
        """
        self._check(problem, budget)
        options = self.__dict__.get("_option_names")
        if options is not None:
            for name in [key for key in vars(self) if key not in options]:
                delattr(self, name)
        self._option_names = frozenset(vars(self)) | {"_option_names"}
        self.problem = problem
        self.budget = budget
        self.dimension = problem.space.dimension
        if isinstance(seed, np.random.SeedSequence):  # a copy: spawning from it must not change the caller's
            seed = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key, pool_size=seed.pool_size)
        self.seeds = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.rng = np.random.default_rng(self.seeds)
        self.next_ticket = 0
        self._pending: set[int] = set()
        self._one_point = problem.space.raw_size == 1  # one point: nothing varies
        self._books = frozenset(vars(self)) | {"_books"}
        self.begin()

    def check(self, problem: Problem) -> None:
        """Raise StrategyError where the abilities do not cover the problem."""
        kind = type(self).__name__
        if len(problem.objectives) > self.abilities.objectives:
            raise StrategyError(
                f"{kind} minimises {self.abilities.objectives} objective(s), the problem has "
                f"{len(problem.objectives)}; use strategy='auto', 'bayesian_pareto' or 'nsga2'"
            )

    def _check(self, problem: Problem, budget: int | None) -> None:
        self.check(problem)
        kind = type(self).__name__
        if self.abilities.needs_budget and budget is None:
            raise StrategyError(f"{kind} needs a number of evaluations; give max_evals")

    @final
    def ask(self, n: int) -> Proposals:
        """0..n proposals; none means "tell me something first", unless `done`."""
        self._must_be_started("ask")
        n = max(n, 0)
        propose = self._give_one if self._one_point else self.propose
        drafted = propose(n) if n > 0 and not self.done else np.empty((0, self.dimension))
        if isinstance(drafted, np.ndarray) and drafted.shape == (0, self.dimension):
            return Proposals(_NO_TICKETS, _frozen_rows(self.dimension))
        draft = drafted if isinstance(drafted, Draft) else Draft(drafted)
        # a copy: what a strategy gives away must not change with its own arrays
        points = np.array(draft.points, dtype=np.float64, order="C")
        if points.ndim != 2 or points.shape[1] != self.dimension or len(points) > n:
            raise StrategyError(
                f"{type(self).__name__}.propose({n}) must give (k <= {n}, {self.dimension}) points, got {points.shape}"
            )
        # the bits of a float in [0, 1], read as an integer, lie below those of 1.0; negative ones and NaN lie above
        if np.count_nonzero(points.view(np.uint64) > _ONE_BITS):
            np.minimum(np.maximum(points, 0.0, out=points), 1.0, out=points)
            if np.isnan(points).any():
                raise StrategyError(f"{type(self).__name__}.propose({n}) gave points that are not numbers (NaN)")
        points.setflags(write=False)
        first = self.next_ticket
        self.next_ticket = last = first + len(points)
        tickets = np.arange(first, last)
        tickets.setflags(write=False)
        self._pending.update(range(first, last))
        return Proposals(
            tickets,
            points,
            _extra(draft.fidelities, len(points), np.float64, "fidelities"),
            _extra(draft.parents, len(points), np.int64, "parents"),
        )

    def _give_one(self, n: int) -> Floats:
        """The only point there is."""
        self._one_given = not self.problem.noisy
        return self.problem.space.snap(np.full((1 if self._one_given else n, self.dimension), 0.5))

    @final
    def tell(self, answers: Answers) -> None:
        """Hear what became of points: own ones exactly once each, foreign ones (ticket -1) at any time. Values whose
        squares would be infinite are heard by their logarithm (`Answers.bounded`).

        Raises:
            OutOfOrder: a ticket that is not pending, or twice the same; nothing of the batch is learnt then.
        """
        self._must_be_started("tell")
        tickets = answers.tickets.tolist()
        if not tickets:
            return
        answers = answers.bounded()
        own = set(tickets)
        if FOREIGN in own:
            foreign = answers.tickets == FOREIGN
            self._settle_tickets(own - {FOREIGN}, int(len(tickets) - foreign.sum()))
            if not foreign.all() and not self._one_point:
                self.learn(answers.rows(~foreign))
            if not self._one_point:
                self.absorb(answers.rows(foreign))
        else:
            self._settle_tickets(own, len(tickets))
            if not self._one_point:
                self.learn(answers)

    def _settle_tickets(self, own: set[int], count: int) -> None:
        if len(own) != count or not own <= self._pending:
            wrong = sorted(own - self._pending)[:5]
            raise OutOfOrder(
                f"tell: every ticket is told once; not pending: {wrong or 'none, but some came twice'}; "
                "results that the strategy did not propose have ticket -1"
            )
        if count == len(self._pending):
            self._pending.clear()
        else:
            self._pending -= own

    def _must_be_started(self, call: str) -> None:
        if "problem" not in self.__dict__:
            raise OutOfOrder(f"{call}() before start(): {type(self).__name__} has no problem yet")

    @property
    @final
    def pending(self) -> int:
        """How many proposals were given and not yet told."""
        return len(self._pending)

    @property
    @final
    def pending_tickets(self) -> frozenset[int]:
        """The tickets that were given and not yet told."""
        return frozenset(self._pending)

    # --- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything a twin needs to continue identically, as plain data."""
        own = {name: _frozen(value) for name, value in vars(self).items() if name not in self._books}
        return {"next": self.next_ticket, "pending": sorted(self._pending), "rng": _copy(self.rng), "own": own}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`; `start` must have been called with the same problem, options and budget."""
        self._must_be_started("restore")
        self.next_ticket = int(state["next"])
        self._pending = set(state["pending"])
        self.rng = _copy(state["rng"])
        for name, value in state["own"].items():
            setattr(self, name, _thawed(getattr(self, name, None), value))


def _noting(init: Callable[..., None]) -> Callable[..., None]:
    """`init`, which also notes what the strategy was made with: the call itself can then be stored with a study."""

    @wraps(init)
    def noted(self: Strategy, *arguments: Any, **options: Any) -> None:
        vars(self).setdefault("_call", (arguments, options))  # the first to come is the outermost class
        init(self, *arguments, **options)

    return noted


def _unless_one_given(told: Callable[[Any], Any], over: Any) -> Callable[[Any], Any]:
    """What `told` says of a strategy; `over` once it has given the only point of its space."""

    @wraps(told)
    def told_first(self: Strategy) -> Any:
        return over if self._one_given else told(self)

    return told_first


def _frozen_rows(dimension: int) -> Floats:
    """No points (0, D), read-only."""
    points = np.empty((0, dimension))
    points.setflags(write=False)
    return points


def _extra(column: Any, count: int, kind: type, what: str) -> Any:
    """A read-only copy (count,) of what a draft says beside its points."""
    if column is None:
        return None
    column = np.array(column, dtype=kind)
    if column.shape != (count,):
        raise StrategyError(f"propose: {what} must be ({count},), got {column.shape}")
    column.flags.writeable = False
    return column


def _copy(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, np.random.Generator):
        twin = np.random.Generator(type(value.bit_generator)())
        twin.bit_generator.state = value.bit_generator.state
        return twin
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_copy(item) for item in value)
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, Strategy):
        return {"child": value.state() if "problem" in vars(value) else None}
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, Strategy) for item in value):
        return {"children": [_frozen(item) for item in value]}
    if is_dataclass(value) and not isinstance(value, type):
        return {"fields": {field.name: _frozen(getattr(value, field.name)) for field in fields(value)}}
    return _copy(value)


def _thawed(current: Any, data: Any) -> Any:
    if isinstance(current, Strategy):
        if data["child"] is not None:
            current.restore(data["child"])
        return current
    if isinstance(current, (list, tuple)) and current and all(isinstance(item, Strategy) for item in current):
        for child, item in zip(current, data["children"], strict=True):
            _thawed(child, item)
        return current
    if isinstance(data, dict) and set(data) == {"fields"} and not is_dataclass(current):
        raise StrategyError("a dataclass in the state has no place to go: `begin` must set the attribute to one")
    if is_dataclass(current) and not isinstance(current, type) and isinstance(data, dict):
        for name, value in data["fields"].items():
            setattr(current, name, _thawed(getattr(current, name), value))
        return current
    return _copy(data)
