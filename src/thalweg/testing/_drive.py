"""A small engine for the conformance suite: asks, repairs, snaps, evaluates, breaks rows, tells, watches arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Answers, Floats, Ints, Proposals, Status
from ..core.errors import StrategyError
from ..core.problem import Problem
from ..core.strategy import Strategy
from .problems import TestProblem

Factory = Callable[[], Strategy]
BROKEN = (Status.FAILED, Status.TIMEOUT, Status.FAILED, Status.ABANDONED)
"""How rows break; failed ones come twice as often."""


class SuiteFailure(AssertionError):
    """A strategy does not keep its contract; the message names the point and what was seen."""


class Refused(Exception):
    """The strategy says with a StrategyError that this problem is not for it."""


def require(holds: bool, message: str) -> None:
    """Raise SuiteFailure unless `holds`."""
    if not holds:
        raise SuiteFailure(message)


@dataclass
class Faults:
    """What goes wrong, as shares of the rows. `until`: rows evaluated so far from which nothing goes wrong any more."""

    broken: float = 0.0
    violated: float = 0.0
    until: float = float("inf")


@dataclass
class Drive:
    """One run of a strategy on a test problem. `rng` decides faults and orders; it is not the strategy's."""

    strategy: Strategy
    case: TestProblem
    seed: int = 1
    budget: int | None = 200
    faults: Faults = field(default_factory=Faults)
    scribble: bool = False
    """Overwrite given arrays once they have been told, as an engine that reuses its buffers would."""
    start: bool = True

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed + 1000)
        self.problem: Problem = self.case.problem()
        self.asked: list[Floats] = []
        self.mark = 0  # asks from which `history` counts
        self.points: list[Floats] = []  # as evaluated
        self.merits: list[float] = []
        self.given: list[tuple[str, Any, bytes]] = []
        self.tickets: set[int] = set()
        self.waiting: list[tuple[Ints, Floats]] = []
        if self.start:
            try:
                self.strategy.start(self.problem, self.seed, self.budget)
            except StrategyError as error:
                raise Refused(str(error)) from error

    # --- ask ------------------------------------------------------------------------------------------------------

    def ask(self, n: int) -> Proposals:
        """Ask, and check everything the contract says about what comes."""
        name, space = type(self.strategy).__name__, self.problem.space
        was_done, was_pending = self.strategy.done, self.strategy.pending
        proposals = self.strategy.ask(n)
        count = len(proposals)
        require(0 <= count <= n, f"{name}.ask({n}) gave {count} rows")
        require(not (was_done and count), f"{name} is done and gives {count} rows all the same")
        require(proposals.points.shape == (count, space.dimension), f"points have shape {proposals.points.shape}")
        inside = bool(np.isfinite(proposals.points).all() and (proposals.points >= 0).all())
        require(inside and bool((proposals.points <= 1).all()), f"{name}: points outside the unit cube, or not finite")
        if count == 0 and n > 0 and was_pending == 0 and not was_done:
            require(self.strategy.done, f"{name} gives no rows, waits for nothing and is not done: it is stuck")
        tickets = proposals.tickets.tolist()
        fresh = len(set(tickets)) == count and not self.tickets & set(tickets) and min(tickets, default=0) >= 0
        require(fresh, f"{name}: tickets {tickets[:5]} come twice or are negative")
        require(self.strategy.pending == was_pending + count, f"{name}.pending does not count what was given")
        for field_name in ("tickets", "points"):
            array = getattr(proposals, field_name)
            require(not array.flags.writeable, f"{name}: proposals.{field_name} can be written to")
        for field_name in ("tickets", "points", "fidelities", "parents"):
            array = getattr(proposals, field_name)
            if array is not None:
                require(len(array) == count, f"{name}: proposals.{field_name} has {len(array)} rows, points {count}")
                self._keep(f"proposals.{field_name}", array)
        self.tickets |= set(tickets)
        self.asked.append(proposals.points)
        if count:
            self.waiting.append((proposals.tickets, proposals.points))
        return proposals

    # --- evaluate -------------------------------------------------------------------------------------------------

    def evaluate(self, tickets: Ints, proposed: Floats) -> Answers:
        """What an engine would tell about rows: repaired, snapped, evaluated, some of them broken."""
        space = self.problem.space
        points = space.snap(space.repair(np.array(proposed), np.random.default_rng(7)))
        values, violations = self.case.evaluate(points, self.rng)
        statuses = np.full(len(points), Status.DONE, dtype=np.int8)
        # two draws for every row whatever happens, so that runs with the same calls have the same faults
        draws = self.rng.random((2, len(points)))
        if len(self.merits) < self.faults.until:
            broken = np.flatnonzero(draws[0] < self.faults.broken)
            for row in broken.tolist():
                statuses[row] = BROKEN[row % len(BROKEN)]
            values[broken] = np.nan
            if self.faults.violated:
                amounts = np.where(draws[1] < self.faults.violated, 10.0 ** (6 * draws[1] - 3), 0.0)
                violations = np.asarray(amounts if violations is None else violations + amounts, dtype=np.float64)
        seconds = np.linspace(0.01, 0.02, len(points))
        answers = Answers(np.array(tickets), points.copy(), values, statuses, violations, seconds)
        self.points.append(points)
        self.merits += answers.merit().tolist()
        return answers

    def foreign(self, points: Floats) -> Answers:
        """Answers to points that the strategy did not propose; they do not count as its own."""
        points = self.problem.space.snap(self.problem.space.repair(points, np.random.default_rng(8)))
        values, violations = self.case.evaluate(points)
        statuses = np.full(len(points), Status.DONE, dtype=np.int8)
        return Answers(np.full(len(points), FOREIGN), points.copy(), values, statuses, violations)

    def spoiled(self, count: int) -> Answers:
        """Foreign answers of every sad kind: failed, timed out, pruned, violated."""
        answers = self.foreign(self.problem.space.sample(count, np.random.default_rng(9)))
        for row in range(count):
            answers.statuses[row] = (Status.FAILED, Status.TIMEOUT, Status.ABANDONED, Status.DONE)[row % 4]
            if row % 4 < 3:
                answers.values[row] = np.nan
        answers.violations = np.asarray(np.where(np.arange(count) % 3 == 0, 0.5, 0.0), dtype=np.float64)
        return answers

    # --- tell -----------------------------------------------------------------------------------------------------

    def tell(self, answers: Answers) -> None:
        """Tell, and remember what was given."""
        names = ("tickets", "points", "values", "statuses", "violations", "seconds")
        arrays = {name: getattr(answers, name) for name in names if getattr(answers, name) is not None}
        before = {name: array.tobytes() for name, array in arrays.items()}
        self.strategy.tell(answers)
        for name, array in arrays.items():
            require(array.tobytes() == before[name], f"{type(self.strategy).__name__}.tell changed answers.{name}")
            if self.scribble:
                array[...] = 77
            else:
                self._keep(f"answers.{name}", array)

    def tell_waiting(self, shuffled: bool = False, groups: int = 1, keep: float = 0.0) -> None:
        """Tell what is out, in `groups` groups over all asks; a share `keep` of the rows stays out."""
        if not self.waiting:
            return
        tickets = np.concatenate([item[0] for item in self.waiting])
        points = np.concatenate([item[1] for item in self.waiting])
        order = self.rng.permutation(len(tickets)) if shuffled else np.arange(len(tickets))
        staying = order[len(order) - int(keep * len(order)) :] if keep else order[:0]
        order = order[: len(order) - len(staying)]
        self.waiting = [(tickets[staying], points[staying])] if len(staying) else []
        for part in np.array_split(order, min(groups, max(len(order), 1))):
            if len(part):
                self.tell(self.evaluate(tickets[part], points[part]))

    def run(self, evals: int, batch: int = 7, **how: Any) -> Drive:
        """Ask and tell until `evals` rows are told or the strategy is done.

        Raises:
            SuiteFailure: 50 asks in a row bring nothing.
        """
        idle = 0
        while len(self.merits) < evals and not (self.strategy.done and not self.waiting):
            before = len(self.merits)
            idle = 0 if len(self.ask(min(batch, evals))) else idle + 1
            self.tell_waiting(**how)
            idle = 0 if len(self.merits) > before else idle
            if idle > 3:  # only held-back rows can be what it waits for
                self.tell_waiting()
            require(
                idle < 50, f"{type(self.strategy).__name__} gave nothing in 50 asks; it says: {self.strategy.why!r}"
            )
        return self

    # --- afterwards -----------------------------------------------------------------------------------------------

    def _keep(self, name: str, array: Any) -> None:
        self.given.append((name, array, array.tobytes()))

    def check_arrays(self) -> None:
        """Nothing that went in or out has changed since."""
        for name, array, before in self.given:
            require(
                array.tobytes() == before, f"{type(self.strategy).__name__}: {name} changed after it was handed over"
            )

    @property
    def history(self) -> Floats:
        """(k, D) the points proposed since `mark`, in order."""
        return np.concatenate([*self.asked[self.mark :], np.empty((0, self.problem.space.dimension))])

    def whole(self) -> Floats:
        """(k, D) every point proposed, in order."""
        return np.concatenate([*self.asked, np.empty((0, self.problem.space.dimension))])
