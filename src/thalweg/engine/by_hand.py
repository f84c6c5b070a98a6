"""Evaluating by hand: ask for trials, tell what they came to, add results from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Floats, Status
from ..core.errors import ObjectiveError, OutOfOrder, ProblemError
from ..core.evaluator import Outcomes
from ..core.target import Target
from ..core.trial import Trial
from .chunk import Chunk
from .session import Session

_ROUNDS = 64
"""Asks in a row that may bring nothing new before `ask` gives up."""


class ByHand:
    """A session driven by a person instead of a loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asked: dict[int, Chunk] = {}
        self._reader = Target(_nothing, session.problem)

    def ask(self, n: int) -> list[Trial]:
        """See `Study.ask`."""
        trials: list[Trial] = []
        self._session.crew.look()
        for _ in range(_ROUNDS):
            if len(trials) >= n:
                break
            chunk = self._next(n - len(trials))
            if chunk is None:
                break
            if len(chunk) > n - len(trials):  # replicates of one point may be asked for in several calls
                self._session.backlog.insert(0, chunk.rows(slice(n - len(trials), None)))
                chunk = chunk.rows(slice(0, n - len(trials)))
            opened = self._opened(chunk) if len(chunk) else None
            if opened is None:
                continue
            for row, trial in enumerate(self._session.history.trials(opened.numbers)):
                self._asked[trial.number] = opened.rows(slice(row, row + 1))
                trials.append(trial)
        return trials

    @property
    def pending(self) -> bool:
        """Whether trials wait for an answer."""
        return bool(self._asked)

    def disown(self) -> None:
        """Nobody waits for the answers any more: the strategy begins anew."""
        for chunk in self._asked.values():
            chunk.tickets = np.full(len(chunk), FOREIGN)

    def _opened(self, chunk: Chunk) -> Chunk | None:
        if chunk.lost:  # opened by an earlier process
            return self._retaken(chunk)
        return chunk if chunk.numbers[0] >= 0 else self._session.open(chunk, None)[0]

    def _retaken(self, chunk: Chunk) -> Chunk | None:
        session = self._session
        got: list[Chunk] = []
        for row in range(len(chunk)):
            one = chunk.rows(slice(row, row + 1))
            taken = session.crew.retake(one)
            if taken is not None:
                got.append(taken)
            elif session.history.final_already(int(one.numbers[0])):
                session.conclude(one)
            else:
                session.cache.wait_for(int(one.numbers[0]), int(one.tickets[0]), one.points[0])
        if len(got) < 2:
            return got[0] if got else None
        session.backlog[:0] = got[1:]  # attempts may differ
        return got[0]

    def _next(self, n: int) -> Chunk | None:
        session = self._session
        while session.untold:  # recorded by an earlier process, which ended before it told them
            session.conclude(session.untold.pop(min(session.untold)))
        lost = any(chunk.lost for chunk in session.backlog)  # its own come first, each under its own ticket
        claimed = [] if lost else session.crew.claim(n)
        if claimed:
            session.backlog[:0] = claimed[1:]
            return claimed[0]
        if session.backlog:
            return session.backlog.pop(0)
        if session.exhausted:
            return None
        return session.draw(max(1, n // session.groups.low))

    def tell(self, trials: Trial | Sequence[Trial], values: Any, seconds: Any) -> None:
        """See `Study.tell`."""
        if isinstance(trials, Trial):
            trials, values = [trials], [values]
            seconds = None if seconds is None else [seconds]
        trials, values = list(trials), _listed(values, "tell", "values")
        if len(trials) != len(values):
            raise ProblemError(f"tell: {len(trials)} trials need as many values, got {len(values)}")
        if seconds is not None:
            seconds = [_seconds(item) for item in _listed(seconds, "tell", "seconds")]
            if len(seconds) != len(trials):
                raise ProblemError(f"tell: {len(trials)} trials need as many seconds, got {len(seconds)}")
        numbers = [trial.number for trial in trials]
        for number in numbers:
            if number not in self._asked or numbers.count(number) > 1:
                raise OutOfOrder(
                    f"trial {number} is not waiting for an answer: it was not asked for here, or told already"
                )
        read = [self._read(raw) for raw in values]
        for row, (number, outcomes) in enumerate(zip(numbers, read, strict=True)):
            chunk = self._asked.pop(number)
            if seconds is not None:
                outcomes.seconds[:] = seconds[row]
            self._session.record(chunk, outcomes)
            self._session.conclude(chunk)

    def results(self, params: Any, values: Any) -> tuple[Floats, list[Outcomes]]:
        """(reals (k, D), what they came to) of points from elsewhere, checked."""
        several = isinstance(params, (list, tuple)) or (isinstance(params, np.ndarray) and params.ndim == 2)
        if several and len(params) and all(isinstance(item, Real) for item in params):
            several = False  # one point of an array space
        points = list(params) if several else [params]
        raws = _listed(values, "add", "values") if several else [values]
        if len(points) != len(raws):
            raise ProblemError(f"add: {len(points)} points need as many values, got {len(raws)}")
        return self._session.space.from_params(points), [self._read(raw) for raw in raws]

    def insert(self, reals: Floats, read: list[Outcomes]) -> None:
        """Record and tell results from elsewhere."""
        space = self._session.space
        for row, outcomes in enumerate(read):
            one = reals[row : row + 1]
            chunk = Chunk(
                np.array([-1]), np.array([FOREIGN]), space.encode(one), one, space.active(one), space.keys(one),
                source="added",
            )  # fmt: skip
            self._session.insert(chunk, outcomes)

    def _read(self, raw: Any) -> Outcomes:
        problem = self._session.problem
        width = len(problem.objectives)
        if isinstance(raw, BaseException):
            return Outcomes.failed(1, width, f"{type(raw).__name__}: {raw}")
        if raw is None:
            return Outcomes.failed(1, width, "told as failed")
        try:
            reading = self._reader.read(raw)
        except ObjectiveError as error:
            if "finite number" in str(error):
                return Outcomes.failed(1, width, str(error))
            raise
        return Outcomes(
            np.array([reading.values]),
            np.array([Status.DONE], dtype=np.int8),
            np.array([np.nan]),
            np.array([reading.violation]) if problem.constraints else None,
            [reading.components] if reading.components is not None else None,
        )


def _listed(given: Any, call: str, what: str) -> list[Any]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise ProblemError(f"{call}: a list of {what} is expected, one for each trial, got {given!r:.80}")
    return list(given)


def _seconds(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 <= float(given) < float("inf"):
        raise ProblemError(f"tell: seconds must be finite numbers >= 0, got {given!r}")
    return float(given)


def _nothing(_params: Any) -> None:
    """Stands for the objective where only its results are read."""
