"""The study: a space, a strategy and a store joined; the face people use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.errors import OutOfOrder, ProblemError
from ..core.evaluator import Evaluator
from ..core.event import Listener
from ..core.problem import Goal, Problem, constraints_of, objectives_of
from ..core.program import Program
from ..core.space import Space
from ..core.stopping import StopRule
from ..core.store import Store, StudyRecord
from ..core.strategy import Strategy
from ..core.target import Target
from ..core.trial import Trial
from ..parts import stopping
from ..parts.stores import open_store
from ..parts.strategies import make_strategy
from . import amend, resume
from .by_hand import ByHand
from .checks import check_listeners, check_storable, check_study
from .choose import choose_evaluator, count_workers
from .drive import drive, interruptible, sheltered
from .flights import Signal
from .identity import fingerprint, make_seed, note_code, reconcile, study_spec
from .keywords import check_keywords, hinted, taken_by
from .limits import Limits, is_count
from .listening import Listening
from .loop import Loop, Options
from .race import read_confirm, read_repeats
from .result import Result
from .session import Session
from .timing import Deadline
from .unmade import Unmade

if TYPE_CHECKING:
    from .recommend import Recommendation

Objective = Callable[..., Any] | Program


class Study:
    """A search that remembers.

    space: see `Space`.  store: "memory" (None), "sqlite:///file.db", or a Store; a study of that `name` goes on.
    strategy: a name, a `Strategy` or its class.  seed: every random number derives from it (None: drawn, and kept).
    objectives: a count, names, or {name: "minimize" | "maximize"}; goal: of those without one.
    constraints: comparisons over named results ("latency <= 100").
    noisy: equal points may give different values, so they may be evaluated again.
    repeats, aggregate: trials per proposal, and how their values become one ("mean", "median", "min"); (low, high) or
    "race": more than `low` only while a point cannot be told from the best one.
    confirm: where noisy, what would be the new best is evaluated again before it is believed (None: yes, for a tenth of
    the evaluations; another share; False: no).
    ordered: the history depends on the seed and a width alone, never on timing (True: the width is the first run's
    number of workers).  cache: False evaluates repeated proposals again.  version: your word for the objective's code;
    where given, results are shared between studies of one store.  listeners: called with every `Event`.

    Raises:
        SpaceError, ProblemError, StrategyError, StoreError: what cannot be, before any work is done.
        StoreMismatch: the stored study of this name is another one.  TypeError: an unknown keyword.
    """

    @hinted("Study")
    def __init__(
        self,
        space: Any,
        *,
        store: str | Store | None = None,
        name: str = "study",
        strategy: str | Strategy | type[Strategy] = "auto",
        seed: int | None = None,
        objectives: Any = None,
        goal: Goal = "minimize",
        constraints: Any = None,
        noisy: bool = False,
        fidelity: Any = None,
        repeats: int | tuple[int, int] | Literal["race"] = 1,
        aggregate: Literal["mean", "median", "min"] = "mean",
        confirm: bool | float | None = None,
        ordered: bool | int = False,
        cache: bool = True,
        version: str | None = None,
        listeners: Iterable[Listener] = (),
    ) -> None:
        if fidelity is not None:
            raise ProblemError("fidelity: evaluations at several fidelities are not available yet; leave it out")
        self.space = Space.of(space)
        self.problem = Problem(
            self.space, objectives_of(objectives, goal), constraints_of(constraints), bool(noisy), None, version
        )
        self.strategy = make_strategy(strategy)
        check_study(self.problem, self.strategy, name, repeats, aggregate, ordered, {"noisy": noisy, "cache": cache})
        heard = check_listeners(listeners)
        check_storable(self.space, store)
        self.name = name
        self._ordered: bool | int = ordered
        self._cache = cache
        pair = read_repeats(repeats)
        share = read_confirm(confirm, self.problem.noisy, pair, len(self.problem.objectives))
        made = study_spec(self.problem, self.strategy, make_seed(seed), pair, aggregate, ordered, share)
        self._strategy_name = str(made["strategy"])  # now, while the strategy has nothing but its options
        self.store = open_store(store)
        self._owns_store = not isinstance(store, Store)
        try:
            record = self.store.create(name, made, fingerprint(self.problem))
            reconcile(name, record.spec, made, seed, confirm)
        except BaseException:
            self.close()
            raise
        self.seed = int((record.spec if self.store.durable else made)["seed"])
        self._set_up(record, float(record.spec.get("confirm", 0.0) if self.store.durable else share), heard)
        self._stop_reason = ""
        self._budget: int | None = None
        self._running = self._closed = False

    def _set_up(self, record: StudyRecord, confirm: float, heard: Iterable[Listener]) -> None:
        """Make a session of the stored study, with what it has."""
        spec = record.spec
        self._stored_strategy, self._id = str(spec["strategy"]), record.id
        self.session = Session(
            self.problem,
            self.strategy,
            self.store,
            record.id,
            seed=self.seed,
            fingerprint=record.fingerprint,
            deterministic=self._cache and not self.problem.noisy,
            timeless=bool(self._ordered),
            repeats=spec["repeats"] if isinstance(spec["repeats"], int) else tuple(spec["repeats"]),
            aggregate=str(spec["aggregate"]),
            confirm=confirm,
            listeners=list(heard),
        )
        self._hand = ByHand(self.session)
        self.session.history.added = dict(spec.get("added", {}))
        if self.store.durable:
            resume.load(self.session, record.revision)
            self.session.crew.leave_with(self)

    # --- running --------------------------------------------------------------------------------------------------

    @hinted("run")
    def run(
        self,
        objective: Objective,
        *,
        max_evals: int | None = None,
        timeout: float | None = None,
        eval_timeout: float | Literal["auto"] | None = None,
        workers: int | Literal["auto"] | None = None,
        evaluator: str | Evaluator | None = None,
        vectorised: bool = False,
        initial: Sequence[Any] | str | None = None,
        stop: StopRule | Callable[..., Any] | None = None,
        retries: int = 0,
        progress: bool | str | None = None,
    ) -> Result:
        """Search until something ends it; what was done before counts.

        objective: f(params) or f(params, context) -> number | (number, ...) | {name: number}; `async def`; a Command.
        max_evals: lifetime number of trials of this study.  timeout: seconds of this run (gives the best so far).
        eval_timeout: seconds per evaluation, or "auto" (learnt).  workers: evaluations at once (-1: all CPUs; "auto":
        all CPUs if evaluations take long enough).  evaluator: inline | thread | process | async | vectorised | command.
        vectorised: the objective takes columns of points.
        initial: points to try first, or "defaults". Those that the study has tried are not tried again, so that a call
        may be repeated; where equal points may differ, a point that is given twice is tried twice.
        stop: a rule, or a function of `Progress`.  retries: further attempts of failed evaluations.
        progress: None (a line on terminals), True, False, "plain", "json".

        Raises:
            ProblemError, EvaluatorError: what cannot be, before anything is evaluated.
            ObjectiveError: the very first evaluation gave something that is not a value (it is kept in the study).
        """
        target, tools, limits, options, signal = self._prepare(
            objective, max_evals=max_evals, timeout=timeout, eval_timeout=eval_timeout, workers=workers,
            evaluator=evaluator, vectorised=vectorised, stop=stop, retries=retries,
        )  # fmt: skip
        suspends = tools.suspends or options.probe is not None
        try:
            options.beside = suspends and target.asynchronous
            with self._watched(progress), interruptible(signal, suspends):
                amend.try_first(self.session, initial)
                reason = drive(lambda: self._whole(target, tools, limits, signal, options), suspends)
        finally:
            self._depart()
        result = self._finished(reason)
        if signal.draining and not self._quiet:
            self._say_best(result)
        return result

    async def arun(self, objective: Objective, **keywords: Any) -> Result:
        """`run` inside the caller's event loop; same keywords. Cancelling it stops the run and keeps what was done."""
        check_keywords(keywords, taken_by("run"), "arun")
        initial, progress = keywords.pop("initial", None), keywords.pop("progress", None)
        target, tools, limits, options, signal = self._prepare(objective, **keywords)
        options.beside = True
        try:
            with self._watched(progress):
                amend.try_first(self.session, initial)
                reason = await self._whole(target, tools, limits, signal, options)
        finally:
            self._depart()
        return self._finished(reason)

    def _prepare(
        self,
        objective: Objective,
        *,
        max_evals: int | None = None,
        timeout: float | None = None,
        eval_timeout: float | Literal["auto"] | None = None,
        workers: int | Literal["auto"] | None = None,
        evaluator: str | Evaluator | None = None,
        vectorised: bool = False,
        stop: Any = None,
        retries: int = 0,
    ) -> tuple[Target, Evaluator, Limits, Options, Signal]:
        """What a run needs, of those keywords of `run` that say how and how long; defaults as there."""
        if self._running:
            raise OutOfOrder("run() while this study is running; start a second study, or use one objective at a time")
        target = Target(objective, self.problem, vectorised=vectorised)
        if target.program is not None:
            target.program.check(self.space.names)
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ProblemError(f"retries: a whole number >= 0 is expected, got {retries!r}")
        deadline = None if eval_timeout is None else Deadline(eval_timeout)
        rule = None if stop is None else stopping.as_rule(stop)
        if max_evals is None and timeout is None and rule is None and self.store.durable:
            max_evals = self.store.standing(self._id).budget
        limits = Limits(max_evals, timeout, rule, self.space.raw_size is not None and self.session.deterministic)
        tools, probe = choose_evaluator(target, evaluator, workers, deadline is not None)
        width = self._width(count_workers(workers), tools) if self._ordered else None
        self._begin(max_evals)
        self._budget = max_evals
        if self.store.durable and max_evals is not None:
            self.session.crew.set_budget(max_evals)
        if self.store.durable:
            note_code(self.session, self.name, target)
        return target, tools, limits, Options(retries, width, deadline, probe), Signal()

    def _width(self, workers: int | None, tools: Evaluator) -> int:
        """The width of ordered mode: given, or kept from the study's first run."""
        if isinstance(self._ordered, bool):
            known = self.store.entries(self._id, 0, ("width",))
            self._ordered = int(known[0].body["width"]) if known else workers or tools.width
            if not known:
                self.session.log("width", width=self._ordered)
        return self._ordered

    def rehearse(self, objective: Objective, initial: Any = None, progress: Any = None, **keywords: Any) -> None:
        """Raise what `run` would raise before it evaluates anything."""
        try:
            self._prepare(objective, **keywords)
            amend.try_first(self.session, initial)
            self._watched(progress).close()
        finally:
            self._depart()

    def _begin(self, budget: int | None, by_hand: bool = False) -> None:
        session = self.session
        if isinstance(self.strategy, Unmade):
            self.strategy.refuse()
        if budget is not None:  # what a strategy counts are points
            budget = -(-int(budget) // session.groups.low)
        member = session.crew.join(by_hand, alone=bool(self._ordered))
        if member is not None:
            how = resume.take_up(session, member, budget, self._strategy_name, self._stored_strategy)
            if how:
                session.emit("resumed", trials=len(session.history.final()), how=how)
        if session.crew.renewal and by_hand:
            self._hand.disown()
            resume.renew(session, budget, ())
        session.begin(budget)

    def _depart(self) -> None:
        """Take part in the study no longer, unless trials wait for people's answers."""
        if not self._hand.pending:
            self.session.crew.leave()

    async def _whole(self, target: Target, tools: Evaluator, limits: Limits, signal: Signal, options: Options) -> str:
        session = self.session
        self._running = True
        before = perf_counter()
        limits.started = before
        session.emit(
            "started", total=limits.max_evals, name=self.name, done=session.history.evaluated(), target=target.name,
            objectives=self.problem.names,
        )  # fmt: skip
        loop = Loop(session, target, tools, limits, signal, options)
        try:
            tools.open(target)
            self._stop_reason = await loop.run()
        finally:
            self._running = False
            for used in {id(item): item for item in (tools, loop.evaluator)}.values():
                await (sheltered(used.aclose()) if used.suspends else used.aclose())
            session.spans.wall_s += perf_counter() - before
            session.spans.workers = max(session.spans.workers, loop.evaluator.slots if loop.evaluator.suspends else 1)
        session.emit("stopped", reason=self._stop_reason)
        return self._stop_reason

    def _watched(self, progress: bool | str | None) -> Any:
        from ..watch.progress import choose, silent

        listener = choose(progress)
        self._quiet = progress is False or progress == "json"
        return Listening(self.session, None if listener is silent else listener)

    def _finished(self, reason: str) -> Result:
        self._stop_reason = reason
        return replace(self.result, numbers=self.session.history.final())

    def _say_best(self, result: Result) -> None:
        import sys

        best = f"best value {result.value!r} at {result.params!r}" if result.success else "no value yet"
        print(f"{result.stop_reason}: {result.evaluations} evaluations, {best}", file=sys.stderr, flush=True)

    # --- by hand --------------------------------------------------------------------------------------------------

    def ask(self, n: int = 1) -> list[Trial]:
        """Up to n trials to evaluate by hand (fewer, or none, when the strategy must hear answers first or the space is
        exhausted). They live as long as this process.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ProblemError(f"ask: a whole number of trials >= 0 is expected, got {n!r}")
        self._must_rest("ask")
        self._begin(self._budget, by_hand=True)
        return self._hand.ask(int(n))

    def tell(self, trials: Trial | Sequence[Trial], values: Any, seconds: Any = None) -> None:
        """What the trials of `ask` came to, as an objective would give it; NaN, None or an exception: it failed. Trials
        that are told together are recorded together, which takes a fraction of the time in a store on disk.

        Raises:
            StoreError: they could not be recorded; they may be told again.
            OutOfOrder: a trial that was not asked for here, or told already.
            ObjectiveError: something that is not a value; nothing is told then.
        """
        self._must_rest("tell")
        self._hand.tell(trials, values, seconds)

    def add(self, params: Any, values: Any) -> None:
        """Results from elsewhere: one point and its value, or as many of both. They count in no budget; the strategy
        hears them.

        Raises:
            SpaceError: a point that is not in the space.  ObjectiveError: something that is not a value.
        """
        self._must_rest("add")
        points, read = self._hand.results(params, values)
        self._begin(self._budget, by_hand=True)
        self._hand.insert(points, read)

    def enqueue(self, params: Any, priority: float = 0.0) -> int:
        """Queue one point, or a list of points: each is evaluated once, before anything else, by whichever process
        works on the study next. They count in the budget. Gives how many were queued: points that are trials already
        are left out. priority: a unit is worth a minute of waiting, so that what waits long enough comes first anyway.

        Raises:
            SpaceError: a point that is not in the space; nothing is queued then.
        """
        return amend.enqueue(self.session, amend.points_of(params), priority)

    def retract(self, trials: Trial | int | Iterable[Trial | int], reason: str = "", again: bool = False) -> list[int]:
        """Exclude trials (or their numbers) whose results were wrong. They stay in the store for the record, but count
        as nothing; every process that works on the study hears of it, and its strategy begins anew without them. Their
        budget is free again. again: queue their points. Gives the numbers that were retracted (ended ones only).

        Raises:
            ProblemError: there is no such trial.
        """
        return amend.retract(self.session, trials, reason, again)

    @property
    def budget(self) -> int | None:
        """The study's lifetime number of trials: of the last `run`, or as it was set here. Processes that are given no
        limit of their own go by it, and those that run take up a change of it."""
        return self.store.standing(self._id).budget if self.store.durable else self._budget

    @budget.setter
    def budget(self, trials: int | None) -> None:
        """Set it, for everybody. Raises ProblemError: no whole number >= 1."""
        if trials is not None and not is_count(trials):
            raise ProblemError(f"budget: a whole number of trials >= 1, or None, is expected, got {trials!r}")
        self._budget = None if trials is None else int(trials)
        if self.store.durable:
            self.store.set_budget(self._id, self._budget)

    def change_space(self, space: Any) -> None:
        """Go on in another space: wider or narrower ranges, more or fewer choices, new parameters (with a default: what
        every trial so far had). All trials stay; those that are not in the new space are no results any more. Other
        processes that work on the study load it again.

        Raises:
            SpaceError: a parameter is gone, became another kind, or is new and has no default.
            StoreMismatch: another process has changed the study in between.
        """
        self._must_rest("change_space")
        self.problem, record = amend.change_space(self.session, self.name, Space.of(space))
        self.session.crew.leave()
        self.space = self.problem.space
        self._set_up(record, self.session.groups.race.share, self.session.listeners)

    def refresh(self) -> None:
        """Hear what other processes have done since."""
        self.session.crew.refresh()

    def _must_rest(self, call: str) -> None:
        if self._running:
            raise OutOfOrder(f"{call}() while this study is running; wait until run() has come back")

    # --- reading --------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """Where the study stands."""
        session = self.session
        return Result(
            self.problem,
            session.history,
            session.groups,
            session.best,
            self._stop_reason,
            session.cache.hits,
            session.spans,
            self._strategy_name,
            self.strategy.why if session.started else "",
            self.name,
            self._budget,
        )

    @property
    def best(self) -> Trial:
        """The best trial."""
        return self.result.best

    @property
    def front(self) -> list[Trial]:
        """Trials that no other one beats in every objective."""
        return self.result.front

    @property
    def trials(self) -> list[Trial]:
        """Every finished trial."""
        return self.result.trials

    def recommend(self, *, evaluated: bool = False) -> Recommendation:
        """The point to use, what it is believed to be worth, and a 95 % interval; see `Result.recommend`."""
        return self.result.recommend(evaluated=evaluated)

    def rescore(self, metric: str, goal: Goal = "minimize") -> list[Trial]:
        """Every trial, best first by another metric over its named results; nothing is run."""
        return self.result.rescore(metric, goal)

    def frame(self) -> Any:
        """A pandas DataFrame, one row per trial."""
        return self.result.frame()

    def explain(self) -> str:
        """What happened, in words."""
        return self.result.explain()

    def plot(self, path: Any = None, kind: str = "overview") -> Any:
        """A picture of the study."""
        return self.result.plot(path, kind)

    def close(self) -> None:
        """Close the store, if this study opened it."""
        session = getattr(self, "session", None)
        if session is not None and session.started and not self._closed:
            session.save()  # what was told by hand since the last transaction
        if session is not None:
            session.crew.leave()
        self._closed = True
        if self._owns_store:
            self.store.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {self._strategy_name}, {len(self.session.history.final())} trials)"
