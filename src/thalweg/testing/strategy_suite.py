"""The conformance suite for strategies: every point of the contract in `thalweg.core.strategy`, on every kind of space.

For a strategy of your own:

    from thalweg.testing.strategy_suite import CASES, CHECKS, Suite, conformance

    def test_contract():
        conformance(MyStrategy)                     # everything; raises SuiteFailure that lists every point missed

    @pytest.mark.parametrize("case", CASES)         # or point by point
    @pytest.mark.parametrize("check", CHECKS)
    def test_point(check, case):
        CHECKS[check](Suite(MyStrategy), case)      # Refused: the strategy declined the space with a StrategyError

What the suite demands about repeats: with `finite=True` (methods meant for finite spaces) the first 100 evaluations of
a space of 200 points are all different, and then either all 200 come or the strategy is done and says why. Without it
only that it goes on or stops in an orderly way: the engine answers repeats from its cache, at no cost.

What it demands about memory: the encoded state grows by at most `memory` bytes per evaluation (default: four times an
answer's own size, which is room for a history but not for anything that grows faster than it; 0 for methods that keep
none).
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import plain
from ..core.batch import FOREIGN, Answers, Floats, Status
from ..core.choices import Choice, Fixed
from ..core.errors import OutOfOrder, StrategyError
from ..core.parameter import Integer
from ..core.problem import Problem
from ..core.space import Space
from ._drive import Drive, Factory, Faults, Refused, SuiteFailure, require
from .problems import make_test_problem

CASES: dict[str, tuple[str, int | None]] = {
    "real": ("sphere", 3),
    "integer": ("integer_bowl", 3),
    "mixed": ("mixed_bowl", None),
    "conditional": ("conditional_bowl", None),
    "constrained": ("corner", None),
    "permutation": ("tsp", 6),
    "subset": ("knapsack", 8),
    "finite": ("finite200", None),
}
"""The spaces: name -> test problem and dimension."""


@dataclass
class Suite:
    """A strategy under test.

    factory: makes a new one, always with the same options.  evals: rows of the ordinary checks.
    finite: whether it is meant for finite spaces (see the module's text).  memory: bytes per evaluation, or None.
    gain: the factor by which foreign answers must at least make its regret smaller (see `once_gain`).
    """

    factory: Factory
    evals: int = 60
    finite: bool = False
    memory: float | None = None
    gain: float = 1.0
    budget: int | None = 200

    def drive(self, case: str, *, seed: int = 1, faults: Faults | None = None, **more: bool) -> Drive:
        """A started run on a case.

        Raises:
            Refused: the strategy declines the problem.
        """
        name, dimension = CASES[case]
        problem = make_test_problem(name, dimension)
        return Drive(self.factory(), problem, seed, self.budget, faults or Faults(), **more)


Check = Callable[[Suite, str], None]


def check_rows(suite: Suite, case: str) -> None:
    """Rows in the cube, 0..n of them, read-only, tickets fresh; none only while it waits or is done (see Drive.ask)."""
    drive = suite.drive(case)
    require(len(drive.ask(0)) == 0, "ask(0) gave rows")
    first = drive.ask(1)
    require(len(first) == 1 or drive.strategy.done, "a fresh strategy gives nothing")
    require(drive.strategy.stride >= 1, f"stride is {drive.strategy.stride}, at least 1 is expected")
    require(isinstance(drive.strategy.why, str), "why is not a text")
    drive.tell_waiting()
    for batch in (1, 64, 3, 256):
        drive.run(len(drive.merits) + suite.evals // 3, batch)


def check_orders(suite: Suite, case: str) -> None:
    """Tickets told once, in any order and grouping, over several asks, some late; the docstring's tricky order."""
    drive = suite.drive(case)
    drive.tell(drive.foreign(drive.problem.space.sample(3, np.random.default_rng(2))))
    drive.ask(5)
    drive.ask(5)
    drive.tell_waiting(shuffled=True, groups=2, keep=0.5)
    drive.tell_waiting()
    drive.run(suite.evals, 9, shuffled=True, groups=4, keep=0.3)
    drive.tell_waiting(shuffled=True)
    require(drive.strategy.pending == 0, f"{drive.strategy.pending} rows are still pending, all have been told")
    drive.check_arrays()


def check_books(suite: Suite, case: str) -> None:
    """A ticket told twice, or never given, is refused, and nothing of that group is learnt."""
    drive, twin = suite.drive(case), suite.drive(case)
    for run in (drive, twin):
        run.run(12, 4)
        run.ask(4)
    if not drive.waiting:
        return
    tickets, points = drive.waiting[0]
    wrong = drive.evaluate(tickets, points)
    twin.evaluate(tickets, points)
    for bad in ([*tickets[:-1].tolist(), 10**9], [*tickets.tolist(), int(tickets[0])]):
        rows = np.minimum(np.arange(len(bad)), len(tickets) - 1)
        try:
            drive.strategy.tell(Answers(np.array(bad), wrong.points[rows], wrong.values[rows], wrong.statuses[rows]))
        except OutOfOrder:
            continue
        raise SuiteFailure(f"tickets {bad} were told without an OutOfOrder")
    drive.rng = np.random.default_rng(5)
    twin.rng = np.random.default_rng(5)
    drive.tell_waiting()
    twin.tell_waiting()
    same(drive.run(40, 5), twin.run(40, 5), "a refused group left traces")


def check_foreign(suite: Suite, case: str) -> None:
    """Foreign answers at any time: before the first ask, between, mixed with own ones, failed ones, after done."""
    drive = suite.drive(case)
    rng = np.random.default_rng(3)
    drive.tell(drive.spoiled(5))
    drive.tell(drive.foreign(drive.problem.space.sample(4, rng)))
    for _ in range(8):
        drive.run(len(drive.merits) + 5, 3)
        drive.ask(3)
        drive.tell(drive.spoiled(4))
        drive.tell(drive.foreign(drive.problem.space.sample(2, rng)))
        if drive.waiting:
            tickets, points = drive.waiting.pop(0)
            own, other = drive.evaluate(tickets, points), drive.foreign(drive.problem.space.sample(1, rng))
            drive.tell(mixed(other, own))
        drive.tell_waiting()
    drive.check_arrays()


def check_faults(suite: Suite, case: str) -> None:
    """30 % of the rows failed, timed out or abandoned; only failures at the start; only failures for ever."""
    suite.drive(case, faults=Faults(broken=0.3)).run(suite.evals, 5)
    suite.drive(case, faults=Faults(broken=1.0, until=25)).run(suite.evals, 5)
    suite.drive(case, faults=Faults(broken=1.0)).run(suite.evals, 5)


def check_violations(suite: Suite, case: str) -> None:
    """Rows that violate measured constraints: some, all at first, all for ever; with failures among them."""
    suite.drive(case, faults=Faults(violated=0.3, broken=0.1)).run(suite.evals, 5)
    suite.drive(case, faults=Faults(violated=1.0, until=25)).run(suite.evals, 5)
    suite.drive(case, faults=Faults(violated=1.0, broken=0.1)).run(suite.evals, 5)


def check_seed(suite: Suite, case: str) -> None:
    """Same problem, seed and calls: the same points, also when started again; with faults and late answers."""
    how = {"shuffled": True, "groups": 3, "keep": 0.2}
    first = suite.drive(case, faults=Faults(broken=0.2, violated=0.2)).run(suite.evals, 6, **how)
    second = suite.drive(case, faults=Faults(broken=0.2, violated=0.2)).run(suite.evals, 6, **how)
    same(first, second, "two runs with the same seed and calls differ")
    again = Drive(first.strategy, first.case, first.seed, first.budget, Faults(broken=0.2, violated=0.2))
    same(again.run(suite.evals, 6, **how), first, "started again with the same seed, it differs from the first time")


def check_state(suite: Suite, case: str) -> None:
    """state -> encode -> JSON -> decode -> restore at several moments, rows pending; the twin continues identically."""
    faults = Faults(broken=0.1, violated=0.1)
    plainly = suite.drive(case, faults=faults)
    drive = suite.drive(case, faults=faults)
    for moment in range(5):
        for run in (plainly, drive):
            run.tell(run.foreign(run.problem.space.sample(2, np.random.default_rng(moment))))
            run.ask(4)
            if moment:
                run.tell_waiting(shuffled=True, keep=0.5)
        text = json.dumps(plain.encode(drive.strategy.state()))
        twin = suite.drive(case, faults=faults)
        for _ in range(moment):  # whatever it did before must not shine through
            twin.run(len(twin.merits) + 3, 3)
        twin = Drive(twin.strategy, twin.case, drive.seed, drive.budget, faults)
        twin.strategy.restore(plain.decode(json.loads(text)))
        require(twin.strategy.pending == drive.strategy.pending, "the twin has other pending rows")
        again = json.dumps(plain.encode(twin.strategy.state()))
        require(again == text, f"the twin's state differs from what it was restored from{differing(text, again)}")
        original = fork(drive)
        fork_of(twin, drive)
        for run in (original, twin):
            run.run(len(run.merits) + 25, 5, shuffled=True, keep=0.2)
        same(original, twin, f"a twin restored at moment {moment} goes another way")
        require(original.strategy.done == twin.strategy.done, "the twin disagrees about being done")
        # the original goes on from its own state, so that the next moment is later
        drive = original
        plainly.run(len(plainly.merits) + 25, 5, shuffled=True, keep=0.2)
        same(plainly.whole(), drive.whole(), "taking a state changed what comes next")


def check_copies(suite: Suite, case: str) -> None:
    """Arrays: what went in is not changed or kept by reference, what came out never changes."""
    first = suite.drive(case).run(suite.evals, 5)
    first.check_arrays()
    second = suite.drive(case, scribble=True).run(suite.evals, 5)
    same(first, second, "it keeps arrays it was given by reference: they changed after the tell, and so did its points")


def check_done(suite: Suite, case: str) -> None:
    """Once done: no rows, a reason, and late or foreign answers are still survived."""
    drive = suite.drive(case)
    drive.run(3 * (suite.budget or 100), 8, keep=0.1)
    if drive.strategy.done:
        require(bool(drive.strategy.why), "it is done and does not say why")
    drive.tell_waiting()
    drive.tell(drive.foreign(drive.problem.space.sample(3, np.random.default_rng(4))))
    if drive.strategy.done:
        require(len(drive.ask(5)) == 0, "it is done and gives rows")


def check_budgets(suite: Suite, case: str) -> None:
    """Any budget: none (or a StrategyError that names max_evals), 1, a small one."""
    for budget in (1, 10, None):
        strategy = suite.factory()
        if budget is None and strategy.abilities.needs_budget:
            try:
                Drive(strategy, suite.drive(case).case, budget=None)
            except Refused:
                continue
            raise SuiteFailure("it needs a budget and starts without one")
        Drive(strategy, suite.drive(case).case, budget=budget).run(30, 4)


def check_memory(suite: Suite, case: str) -> None:
    """The encoded state does not grow faster than documented."""
    drive = suite.drive(case)
    drive.budget = 1500
    drive.strategy.start(drive.problem, drive.seed, drive.budget)
    sizes, counts = [], []
    for evals in (500, 1000, 1500):
        drive.run(evals, 16)
        drive.given.clear()
        sizes.append(len(json.dumps(plain.encode(drive.strategy.state()))))
        counts.append(len(drive.merits))
    if counts[2] <= counts[1] or counts[1] <= counts[0]:
        return  # it was done before
    # base64 makes 4 characters of 3 bytes
    growth = 0.75 * (sizes[2] - sizes[1]) / (counts[2] - counts[1])
    answer = 8.0 * (drive.problem.space.dimension + len(drive.problem.objectives) + 3)
    allowed = 4.0 * answer if suite.memory is None else suite.memory
    # states breathe (a generation half collected): one batch's worth is no growth
    slack = 16.0 * answer / 500
    require(growth <= allowed + slack, f"state grows by {growth:.1f} bytes per evaluation, {allowed:.1f} are allowed")


def check_threads(suite: Suite, case: str) -> None:
    """A strategy that is dropped leaves no thread behind."""
    gc.collect()
    before = threading.active_count()
    drive = suite.drive(case)
    drive.run(10, 3)
    drive.ask(2)
    del drive
    gc.collect()
    require(threading.active_count() <= before, f"{threading.active_count() - before} thread(s) are left behind")


CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check
    for name, check in dict(globals()).items()
    if name.startswith("check_") and callable(check)
}
"""Points of the contract that hold on every space."""


# --- points with a space of their own ---------------------------------------------------------------------------------


def once_gain(suite: Suite) -> None:
    """`learns_foreign` is true: good foreign answers make the curve of its own best regret better (geometric mean over
    the run, median over seeds) than in the same run without them.
    """
    if not suite.factory().abilities.learns_foreign:
        return
    without: list[float] = []
    given: list[float] = []
    for seed in range(7):
        for curves, helped in ((without, False), (given, True)):
            drive = suite.drive("real", seed=seed)
            optimum = drive.problem.space.encode(drive.problem.space.from_params([drive.case.solution]))
            rng = np.random.default_rng(seed)
            points = np.clip(optimum + rng.normal(0.0, 0.02, (20, drive.problem.space.dimension)), 0.0, 1.0)
            if helped:
                drive.tell(drive.foreign(points))
            drive.run(suite.evals, 5)
            regrets = np.minimum.accumulate(drive.merits[: suite.evals]) - (drive.case.optimum or 0.0)
            # below 1e-6 nothing is left to gain
            curves.append(float(np.exp(np.log(np.maximum(regrets, 1e-6)).mean())))
    ratio = float(np.median(without) / np.median(given))
    require(
        ratio > suite.gain,
        f"it says learns_foreign, but its mean regret is {np.median(given):.3g} with good foreign answers and "
        f"{np.median(without):.3g} without (a gain of more than {suite.gain} is expected)",
    )


def once_finite(suite: Suite) -> None:
    """A space of 200 points: no repeats in 100 evaluations, then all of them or a documented stop (`finite=True`)."""
    drive = suite.drive("finite")
    space = drive.problem.space
    drive.run(100, 5)
    keys = [key for points in drive.points for key in space.keys(space.decode(points))]
    if suite.finite:
        repeats = len(keys) - len(set(keys))
        require(repeats == 0, f"{repeats} of {len(keys)} evaluations of a space of 200 points are repeats")
    drive.run(1500, 20)
    keys = [key for points in drive.points for key in space.keys(space.decode(points))]
    if suite.finite:
        stopped = drive.strategy.done and bool(drive.strategy.why)
        require(len(set(keys)) == 200 or stopped, f"{len(set(keys))} of 200 points after {len(keys)}, and no stop")


def once_objectives(suite: Suite) -> None:
    """Two objectives: survived where the abilities say so (broken rows too), refused with a StrategyError elsewhere."""
    strategy = suite.factory()
    problem = make_test_problem("zdt1", 4)
    if strategy.abilities.objectives < 2:
        try:
            strategy.start(problem.problem(), 1, suite.budget)
        except StrategyError:
            return
        raise SuiteFailure("its abilities say one objective, and it starts on two")
    drive = Drive(strategy, problem, 1, suite.budget, Faults(broken=0.2, violated=0.2))
    drive.tell(drive.spoiled(4))
    drive.run(150, 7, shuffled=True, keep=0.2)
    text = json.dumps(plain.encode(drive.strategy.state()))
    twin = Drive(suite.factory(), problem, 1, suite.budget, Faults(broken=0.2, violated=0.2))
    twin.strategy.restore(plain.decode(json.loads(text)))
    original = fork(drive)
    fork_of(twin, drive)
    same(original.run(200, 5), twin.run(200, 5), "with two objectives, a restored twin goes another way")


def once_start(suite: Suite) -> None:
    """Calls before start are refused with an OutOfOrder."""
    strategy = suite.factory()
    for call in (lambda: strategy.ask(1), lambda: strategy.restore({})):
        try:
            call()
        except OutOfOrder:
            continue
        raise SuiteFailure("a call before start() was not refused")


def once_still(suite: Suite) -> None:
    """Where nothing varies (no columns, or of one level) it begins and gives the one point: once, with noise often."""
    for parameters in ({"kind": Fixed("a")}, {"n": Integer(4, 4), "kind": Choice(["a"])}):
        strategy, space = suite.factory(), Space(parameters)
        strategy.start(Problem(space), 1, suite.budget)
        rows = [len(strategy.ask(n)) for n in (8, 1)]
        require(rows == [1, 0] and strategy.done and bool(strategy.why), f"one point, asked twice: {rows} rows")
        strategy.start(Problem(space, noisy=True), 1, suite.budget)
        point = space.snap(np.full((1, space.dimension), 0.5))
        broken = Answers(np.array([FOREIGN]), point, np.full((1, 1), np.nan), np.array([Status.FAILED], dtype=np.int8))
        strategy.tell(broken)
        for n in (1, 8, 3):
            given = strategy.ask(n)
            require(len(given) == n, f"one point in the space, asked {n} times: {len(given)} rows")
            values, done = np.ones((n, 1)), np.full(n, Status.DONE, dtype=np.int8)
            strategy.tell(Answers(given.tickets, space.snap(given.points), values, done))
        twin = suite.factory()
        twin.start(Problem(space, noisy=True), 1, suite.budget)
        twin.restore(plain.decode(json.loads(json.dumps(plain.encode(strategy.state())))))
        same(strategy.ask(2).points, twin.ask(2).points, "where nothing varies, a restored twin goes another way")


ONCE: dict[str, Callable[[Suite], None]] = {
    "gain": once_gain, "finite": once_finite, "objectives": once_objectives, "start": once_start, "still": once_still,
}  # fmt: skip
"""Points that bring their own space."""


def conformance(factory: Factory, *, cases: tuple[str, ...] = tuple(CASES), **options: object) -> list[str]:
    """Run every check on every case; options as in `Suite`. Gives what the strategy refused, in words.

    Raises:
        SuiteFailure: what failed, one line for each point.
    """
    suite = Suite(factory, **options)  # type: ignore[arg-type]  # the dataclass itself names a wrong option
    jobs: list[tuple[str, Callable[[], None]]] = [
        (f"{name} on {case}", lambda check=check, case=case: check(suite, case))  # type: ignore[misc]
        for name, check in CHECKS.items()
        for case in cases
    ]
    jobs += [(name, lambda check=check: check(suite)) for name, check in ONCE.items()]  # type: ignore[misc]
    failures, refused = [], []
    for name, job in jobs:
        try:
            job()
        except Refused as reason:
            refused.append(f"{name}: {reason}")
        except Exception as error:  # an exception is one more way of not keeping the contract
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        raise SuiteFailure(f"{len(failures)} of {len(jobs)} points missed:\n" + "\n".join(failures))
    return refused


# --- help -------------------------------------------------------------------------------------------------------------


def same(first: Drive | Floats, second: Drive | Floats, message: str) -> None:
    """Both proposed the same points."""
    a, b = (item.history if isinstance(item, Drive) else item for item in (first, second))
    if a.shape == b.shape and a.tobytes() == b.tobytes():
        return
    count = min(len(a), len(b))
    differ = np.flatnonzero((a[:count] != b[:count]).any(axis=1))
    where = f"first at row {differ[0]}: {a[differ[0]]} and {b[differ[0]]}" if len(differ) else "one gave more rows"
    raise SuiteFailure(f"{message} ({len(a)} and {len(b)} rows, {where})")


def mixed(first: Answers, second: Answers) -> Answers:
    """Two groups as one."""
    violations = None
    if first.violations is not None or second.violations is not None:
        parts = [np.zeros(len(item)) if item.violations is None else item.violations for item in (first, second)]
        violations = np.concatenate(parts)

    def both(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    return Answers(both("tickets"), both("points"), both("values"), both("statuses"), violations)


def fork(drive: Drive) -> Drive:
    """The run itself, its `history` begun anew."""
    drive.mark = len(drive.asked)
    return drive


def fork_of(twin: Drive, drive: Drive) -> None:
    """Bring a twin's surroundings (what is out, the suite's random stream) to where the original's are."""
    twin.rng.bit_generator.state = drive.rng.bit_generator.state
    twin.waiting = list(drive.waiting)
    twin.tickets = set(drive.tickets)
    twin.merits = list(drive.merits)
    twin.mark = len(twin.asked)


def differing(first: str, second: str) -> str:
    """Where two encoded states differ, in words."""
    a, b = json.loads(first), json.loads(second)
    names = [key for key in {**a, **b} if a.get(key) != b.get(key)]
    inner = [key for key in {**a.get("own", {}), **b.get("own", {})} if a["own"].get(key) != b["own"].get(key)]
    return f" (in {names}{': ' + ', '.join(inner) if inner else ''})"


__all__ = ["CASES", "CHECKS", "ONCE", "Drive", "Faults", "Refused", "Suite", "SuiteFailure", "conformance"]
