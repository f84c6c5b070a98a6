"""The conformance suite for evaluators: every point of the contract in `thalweg.core.evaluator`.

For an evaluator of your own:

    from thalweg.testing.evaluator_suite import CHECKS, Suite, conformance

    def test_contract():
        conformance(Suite(MyEvaluator))             # everything; raises SuiteFailure that lists every point missed

    @pytest.mark.parametrize("check", CHECKS)       # or point by point
    def test_point(check):
        CHECKS[check](Suite(MyEvaluator, form="async"))      # Inapplicable: the point says nothing about this evaluator

`form` says which kind of objective the evaluator takes: "plain" functions, "async" ones, "vectorised" ones; for
anything else give `make`, which makes a target (or None) of the name of an objective in `thalweg.testing._behaviours`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.batch import Status
from ..core.errors import EvaluatorError, OutOfOrder
from ..core.evaluator import Evaluator, Job, Outcomes
from ..core.problem import Problem
from ..core.target import Target
from . import _behaviours as behaviours
from ._drive import SuiteFailure, require


class Inapplicable(Exception):
    """A check says nothing about this evaluator, for the reason given."""


@dataclass
class Suite:
    """An evaluator under test.

    factory: makes a new one.  form: "plain" | "async" | "vectorised".  make: replaces `form` by (objective, problem) ->
    Target | None.  bad: the failures it can be given.  crashes: whether it survives the end of an evaluation's process.
    hangs: what it can be made to hang in.  rowwise: it honours `stop_at` and `goal`.
    """

    factory: Callable[[], Evaluator]
    form: str = "plain"
    make: Callable[[str, Problem], Target | None] | None = None
    bad: tuple[str, ...] = tuple(behaviours.BAD)
    good: tuple[str, ...] = behaviours.GOOD
    crashes: bool = False
    hangs: tuple[str, ...] = ()
    rowwise: bool = True

    def target(self, objective: str = "behave", over: Problem | None = None) -> Target:
        """A target of this suite.

        Raises:
            Inapplicable: there is no such objective in its form.
        """
        over = behaviours.problem() if over is None else over
        made = behaviours.make_target(self.form, objective, over) if self.make is None else self.make(objective, over)
        if made is None:
            raise Inapplicable(f"no objective {objective!r} in this form")
        return made


def job_of(what: list[str], first: int = 0, **options: Any) -> Job:
    """Rows that do `what`, with x = 0.001, 0.002, ..."""
    rows = [{"x": (first + i + 1) / 1000.0, "what": item} for i, item in enumerate(what)]
    numbers = np.arange(first, first + len(what), dtype=np.int64)
    return Job(numbers, behaviours.space().from_params(rows), seeds=numbers * 7, **options)


def drive(evaluator: Evaluator, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run as the engine does: `send(None)` for what never suspends, asyncio for the rest."""
    if evaluator.suspends:
        return asyncio.run(body())
    coroutine = body()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise SuiteFailure("an evaluator with suspends = False suspended")


def part(job: Job, rows: slice) -> Job:
    """Some rows of a job."""
    seeds = None if job.seeds is None else job.seeds[rows]
    fidelities = None if job.fidelities is None else job.fidelities[rows]
    return Job(job.numbers[rows], job.reals[rows], None, fidelities, seeds, job.stop_at, job.goal, job.report)


async def run_all(evaluator: Evaluator, job: Job) -> list[tuple[int, Outcomes, int]]:
    """Every row: (trial number, outcomes, its row in them). Jobs of at most 16; what did not come is sent again."""
    found: list[tuple[int, Outcomes, int]] = []
    todo = [part(job, slice(i, i + 16)) for i in range(0, len(job), 16)]
    while todo:
        now, todo = todo[: evaluator.slots], todo[evaluator.slots :]
        for sent, outcomes in zip(now, await _together(evaluator, now), strict=True):
            require(1 <= len(outcomes) <= len(sent), f"{len(sent)} rows gave {len(outcomes)} outcomes")
            _well_formed(outcomes)
            found += [(int(sent.numbers[i]), outcomes, i) for i in range(len(outcomes))]
            if len(outcomes) < len(sent):
                todo.insert(0, part(sent, slice(len(outcomes), None)))
    return sorted(found, key=lambda item: item[0])


async def _together(evaluator: Evaluator, jobs: list[Job]) -> list[Outcomes]:
    if len(jobs) == 1 or not evaluator.suspends:
        return [await evaluator.evaluate(evaluator.prepare(job)) for job in jobs]
    return list(await asyncio.gather(*(evaluator.evaluate(evaluator.prepare(job)) for job in jobs)))


def _well_formed(outcomes: Outcomes) -> None:
    count = len(outcomes)
    require(outcomes.values.shape[0] == count and outcomes.values.ndim == 2, f"values {outcomes.values.shape}")
    require(outcomes.statuses.dtype == np.int8, f"statuses are {outcomes.statuses.dtype}, int8 is expected")
    require(outcomes.seconds.shape == (count,), f"seconds {outcomes.seconds.shape}, ({count},) is expected")
    require(bool((outcomes.seconds >= 0).all()), "negative seconds")
    require(outcomes.components is None or len(outcomes.components) == count, "components of another length")
    require(set(outcomes.errors) <= set(range(count)), f"errors for rows that are not there: {set(outcomes.errors)}")
    finite = np.isfinite(outcomes.values).all(axis=1)
    require(bool((finite == (outcomes.statuses == Status.DONE)).all()), "DONE must mean finite, FAILED must mean NaN")


def _ran(suite: Suite, target: Target, job: Job, more: Callable[[Evaluator], Any] | None = None) -> Any:
    """Open, run all rows, close."""
    evaluator = suite.factory()

    async def body() -> Any:
        evaluator.open(target)
        try:
            found = await run_all(evaluator, job)
            return found if more is None else await more(evaluator)
        finally:
            await evaluator.aclose()

    return drive(evaluator, body)


def check_order(suite: Suite) -> None:
    """Values belong to their rows, whatever ran first."""
    what = [suite.good[i % len(suite.good)] for i in range(50)]
    found = _ran(suite, suite.target(), job_of(what))
    require([number for number, _, _ in found] == list(range(50)), "every row is answered exactly once")
    for number, outcomes, row in found:
        x = (number + 1) / 1000.0
        wanted = round(x) if what[number] == "integer" else x
        require(outcomes.values[row, 0] == wanted, f"row {number}: {outcomes.values[row, 0]} instead of {wanted}")
        require(outcomes.statuses[row] == Status.DONE, f"row {number} is {Status(outcomes.statuses[row])!r}")


def check_failures(suite: Suite) -> None:
    """Failing rows fail with a reason, the others are kept."""
    what = [item for bad in suite.bad for item in ("good", bad)] + ["good"]
    for number, outcomes, row in _ran(suite, suite.target(), job_of(what)):
        good = what[number] == "good"
        status, message = outcomes.statuses[row], outcomes.errors.get(row, "")
        require(
            status == (Status.DONE if good else Status.FAILED), f"{what[number]!r} gave {Status(status)!r}: {message}"
        )
        if not good:
            require(message.startswith(behaviours.BAD[what[number]]), f"{what[number]!r} has the message {message!r}")


def check_maximise(suite: Suite) -> None:
    """Values are minimised inside."""
    found = _ran(suite, suite.target(over=behaviours.problem({"value": "maximize"})), job_of(["good", "good"]))
    require([outcomes.values[row, 0] for _, outcomes, row in found] == [-0.001, -0.002], "the sign must flip once")


def check_objectives(suite: Suite) -> None:
    """Several objectives, each with its own sign."""
    over = behaviours.problem({"a": "minimize", "b": "maximize"})
    for number, outcomes, row in _ran(suite, suite.target("two", over), job_of(["good"] * 5)):
        x = (number + 1) / 1000.0
        require(outcomes.values[row].tolist() == [x, -(1.0 - x)], f"row {number}: {outcomes.values[row]}")


def check_count(suite: Suite) -> None:
    """An undeclared second value is an error that says what to declare."""
    for _, outcomes, row in _ran(suite, suite.target("two"), job_of(["good"] * 2)):
        require(outcomes.statuses[row] == Status.FAILED, "two values for one objective must fail")
        require("2" in outcomes.errors[row], f"the message must tell the counts: {outcomes.errors[row]!r}")


def check_named(suite: Suite) -> None:
    """Named results: declared ones are values, all are components; constraints are measured."""
    over = behaviours.problem(["loss"], "latency <= 0.2")
    for number, outcomes, row in _ran(suite, suite.target("named", over), job_of(["good"] * 4)):
        x = (number + 1) / 1000.0
        require(outcomes.values[row, 0] == x, f"row {number}: {outcomes.values[row]}")
        components = (outcomes.components or [])[row]
        require(components == {"loss": x, "latency": 100.0 * x, "note": "good"}, f"components {components}")
        require(outcomes.violations is not None, "violations are missing")
        violated = bool(outcomes.violations is not None and outcomes.violations[row] > 0)
        require(violated == (100.0 * x > 0.2), f"row {number}: violation {outcomes.violations}")


def check_context(suite: Suite) -> None:
    """The context has number, seed and fidelity; reports arrive here; a row told to stop is PRUNED; folders go."""
    heard: list[tuple[int, int, Any]] = []
    thread = threading.get_ident()

    def report(number: int, step: int, values: Any) -> bool:
        require(threading.get_ident() == thread, "reports come on the thread of the loop")
        heard.append((number, step, values))
        return number == 3 and step == 2

    job = job_of(["good"] * 5, report=report, fidelities=np.linspace(1.0, 5.0, 5))
    evaluator = suite.factory()

    async def body() -> None:
        evaluator.open(suite.target("contextual"))
        try:
            for row in range(5):
                outcomes = await evaluator.evaluate(evaluator.prepare(part(job, slice(row, row + 1))))
                pruned = row == 3
                status = Status(outcomes.statuses[0])
                require(status == (Status.PRUNED if pruned else Status.DONE), f"row {row} is {status!r}")
                wanted = -1.0 if pruned else row + row * 7 / 1000 + (row + 1.0)
                require(outcomes.values[0, 0] == wanted, f"row {row}: {outcomes.values[0, 0]} instead of {wanted}")
        finally:
            await evaluator.aclose()

    with _own_tmp() as tmp:
        drive(evaluator, body)
        left = os.listdir(tmp)
    require(heard == [(n, step, float(n)) for n in range(5) for step in (1, 2)], f"reports: {heard}")
    require(not left, f"folders left: {left}")


@contextlib.contextmanager
def _own_tmp() -> Iterator[str]:
    """A folder for temporary files of this process and those it starts."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"], tempfile.tempdir = folder, None
        try:
            yield folder
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before
            tempfile.tempdir = None


def check_stop_at(suite: Suite) -> None:
    """After `stop_at` the rows so far come back; the rest can be sent again."""
    if not suite.rowwise:
        raise Inapplicable("it works on whole blocks")
    evaluator = suite.factory()

    async def body() -> None:
        evaluator.open(suite.target())
        try:
            job = job_of(["good"] * 10, stop_at=time.perf_counter() - 1.0)
            outcomes = await evaluator.evaluate(evaluator.prepare(job))
            require(len(outcomes) == 1, f"{len(outcomes)} rows after stop_at; one row, so that something moves on")
            require(len(await run_all(evaluator, job)) == 10, "sending the rest again must end")
        finally:
            await evaluator.aclose()

    drive(evaluator, body)


def check_goal(suite: Suite) -> None:
    """After a value <= `goal` the rows so far come back."""
    if not suite.rowwise:
        raise Inapplicable("it works on whole blocks")
    evaluator = suite.factory()

    async def body() -> int:
        evaluator.open(suite.target(over=behaviours.problem({"value": "maximize"})))
        try:
            job = job_of(["good"] * 10, goal=-0.003)
            return len(await evaluator.evaluate(evaluator.prepare(job)))
        finally:
            await evaluator.aclose()

    require(drive(evaluator, body) == 3, "x grows by 0.001: the third row reaches the goal")


def check_cancel(suite: Suite) -> None:
    """A cancelled evaluation ends what ran, with all its processes, and lets the cancellation through."""
    if not suite.hangs:
        raise Inapplicable("it is not killable")
    require(suite.factory().killable, "something that ends hangs is killable")

    async def again(evaluator: Evaluator) -> None:
        for hang in suite.hangs:
            prepared = evaluator.prepare(job_of([hang]))
            await evaluator.ready(prepared)  # who replaces the worker that was ended before is no leftover
            before = _children()
            task = asyncio.ensure_future(evaluator.evaluate(prepared))
            await asyncio.sleep(0.15)
            require(not task.done(), f"{hang!r} came back")
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            else:
                raise SuiteFailure(f"{hang!r}: the cancellation was swallowed")
            left = _children(zombies=False) - before
            require(not left, f"{hang!r} left processes {left}")
        found = await run_all(evaluator, job_of(["good"] * 3))
        require(all(outcomes.statuses[row] == Status.DONE for _, outcomes, row in found), "it must go on afterwards")

    _ran(suite, suite.target(), job_of(["good"]), again)


def check_crashes(suite: Suite) -> None:
    """The end of a worker costs the row it was in and no other."""
    if not suite.crashes:
        raise Inapplicable("a crash of an evaluation is a crash of this process")
    what = ["good"] * 24
    for row, crash in zip((5, 11, 23), behaviours.CRASHES, strict=True):
        what[row] = crash
    for number, outcomes, row in _ran(suite, suite.target(), job_of(what)):
        good = what[number] == "good"
        message = outcomes.errors.get(row, "")
        status = Status(outcomes.statuses[row])
        require(status == (Status.DONE if good else Status.FAILED), f"row {number} ({what[number]}) is {status!r}")
        require(good or behaviours.CRASHES[what[number]] in message, f"{what[number]!r} has the message {message!r}")


def check_closes(suite: Suite) -> None:
    """No thread, process or descriptor is left; closing twice is fine; it can be opened again, with another target."""
    _ran(suite, suite.target(), job_of(["good"]))  # imports that open descriptors of their own
    before = (_children(), set(threading.enumerate()), _descriptors())
    evaluator = suite.factory()

    async def body(sign: float, goal: str) -> None:
        evaluator.open(suite.target(over=behaviours.problem({"value": goal})))
        found = await run_all(evaluator, job_of(["good"] * 20))
        require(found[0][1].values[0, 0] == sign * 0.001, "an old target answered")
        await evaluator.aclose()
        await evaluator.aclose()

    drive(evaluator, lambda: body(1.0, "minimize"))
    drive(evaluator, lambda: body(-1.0, "maximize"))
    require(_children() <= before[0], f"processes left: {_children() - before[0]}")
    require(set(threading.enumerate()) <= before[1], f"threads left: {set(threading.enumerate()) - before[1]}")
    require(_descriptors() <= before[2], f"descriptors left: {before[2]} before, {_descriptors()} after")


def _children(zombies: bool = True) -> set[int]:
    import psutil

    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if zombies or (child.is_running() and child.status() != psutil.STATUS_ZOMBIE)}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def check_out_of_order(suite: Suite) -> None:
    """A job before `open` raises OutOfOrder."""
    evaluator = suite.factory()
    try:
        evaluator.prepare(job_of(["good"]))
    except OutOfOrder:
        return
    raise SuiteFailure("prepare() before open() must raise OutOfOrder")


def check_refusals(suite: Suite) -> None:
    """Targets of another form are refused when opened, with a reason that names an evaluator which can."""
    for form, objectives in behaviours.FORMS.items():
        target = Target(objectives["behave"], behaviours.problem(), vectorised=form == "vectorised")
        evaluator = suite.factory()

        async def body(evaluator: Evaluator = evaluator, target: Target = target) -> str:
            try:
                evaluator.open(target)
            except EvaluatorError as error:
                return str(error)
            finally:
                await evaluator.aclose()
            return ""

        message = drive(evaluator, body)
        require(bool(message) or form in (suite.form, "async"), f"a {form} objective was accepted")
        require(not message or form != suite.form or suite.make is not None, f"its own form was refused: {message}")
        names = ("'async'", "'thread'", "'process'", "'inline'", "'vectorised'", "vectorised=")
        require(not message or any(name in message for name in names), f"the refusal names no way out: {message}")


CHECKS: dict[str, Callable[[Suite], None]] = {
    name.removeprefix("check_"): check for name, check in sorted(globals().items()) if name.startswith("check_")
}
"""name -> check; each raises SuiteFailure, or Inapplicable."""


def conformance(suite: Suite) -> None:
    """Run every check.

    Raises:
        SuiteFailure: lists every point missed.
    """
    missed = []
    for name, check in CHECKS.items():
        try:
            check(suite)
        except SuiteFailure as failure:
            missed.append(f"{name}: {failure}")
        except Inapplicable:
            continue
    if missed:
        raise SuiteFailure("\n".join(missed))
