"""Evaluating by hand: ask for trials, tell what they came to, add results from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from numbers import Real
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Floats, Status
from ..core.errors import ObjectiveError, OutOfOrder, ProblemError
from ..core.evaluator import Outcomes
from ..core.target import Reading, Target
from ..core.trial import Trial
from .chunk import Chunk
from .rows import alike, joined
from .session import Session

_ROUNDS = 64
"""Asks in a row that may bring nothing new before `ask` gives up."""


class ByHand:
    """A session driven by a person instead of a loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asked: dict[int, tuple[Chunk, int]] = {}
        """Number -> the rows it was asked for with, and which one of them it is."""
        self._given: dict[int, Trial] = {}
        """Number -> what was given for it."""
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
            for row, number in enumerate(opened.numbers.tolist()):
                self._asked[number] = opened, row
            given = self._session.history.trials(opened.numbers)
            self._given.update((trial.number, trial) for trial in given)
            trials += given
        return trials

    @property
    def pending(self) -> bool:
        """Whether trials wait for an answer."""
        return bool(self._asked)

    def disown(self) -> None:
        """Nobody waits for the answers any more: the strategy begins anew."""
        for chunk, _ in self._asked.values():
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
        seen: set[int] = set()
        for number in numbers:
            if number not in self._asked or number in seen:
                raise OutOfOrder(
                    f"trial {number} is not waiting for an answer: it was not asked for here, or told already"
                )
            seen.add(number)
        self._refuse_others(trials)
        read = [self._read(raw) for raw in values]
        done = 0
        for chunk in self._told(numbers):
            rows = slice(done, done + len(chunk))
            spent = None if seconds is None else np.array(seconds[rows], dtype=np.float64)
            self._session.record(chunk, self._outcomes(read[rows], spent), beside=True)
            for number in numbers[rows]:  # those that could not be recorded may be told again
                del self._asked[number], self._given[number]
            self._session.conclude(chunk)
            done = rows.stop

    def _refuse_others(self, trials: Sequence[Trial]) -> None:
        """Trials of other studies have the same numbers as ours, and their values would stand beside our parameters.

        The very object that was given is ours, whatever has become of its parameters; a copy has the same ones.
        """
        for trial in trials:
            if trial is self._given[trial.number]:
                continue
            chunk, row = self._asked[trial.number]
            ours = self._session.history.trials(chunk.numbers[row : row + 1])[0]
            if not _same(trial.params, ours.params):
                raise OutOfOrder(
                    f"trial {trial.number} was asked for here with {ours.params!r:.200}, but the one that is told has "
                    f"{trial.params!r:.200}: is it of another study?"
                )

    def _told(self, numbers: list[int]) -> list[Chunk]:
        """The rows of these trials, in this order; those that are alike together, for one transaction."""
        parts: list[list[Chunk]] = []
        for chunk, rows in self._runs(numbers):
            part = chunk if rows == list(range(len(chunk))) else chunk.rows(np.array(rows))
            if parts and alike(parts[-1][0], part):
                parts[-1].append(part)
            else:
                parts.append([part])
        return [joined(part) for part in parts]

    def _runs(self, numbers: list[int]) -> list[tuple[Chunk, list[int]]]:
        """(chunk, rows) of trials that follow each other and were asked for together."""
        runs: list[tuple[Chunk, list[int]]] = []
        for number in numbers:
            chunk, row = self._asked[number]
            if runs and runs[-1][0] is chunk:
                runs[-1][1].append(row)
            else:
                runs.append((chunk, [row]))
        return runs

    def results(self, params: Any, values: Any) -> tuple[Floats, list[Reading | str]]:
        """(reals (k, D), what they came to, see `_read`) of points from elsewhere, checked."""
        several = isinstance(params, (list, tuple)) or (isinstance(params, np.ndarray) and params.ndim == 2)
        if several and len(params) and all(isinstance(item, Real) for item in params):
            several = False  # one point of an array space
        points = list(params) if several else [params]
        raws = _listed(values, "add", "values") if several else [values]
        if len(points) != len(raws):
            raise ProblemError(f"add: {len(points)} points need as many values, got {len(raws)}")
        return self._session.space.from_params(points), [self._read(raw) for raw in raws]

    def insert(self, reals: Floats, read: list[Reading | str]) -> None:
        """Record and tell results from elsewhere."""
        space, foreign = self._session.space, np.full(len(read), FOREIGN)
        chunk = Chunk(
            foreign, foreign, space.encode(reals), reals, space.active(reals), space.keys(reals), source="added"
        )
        if read:
            self._session.insert(chunk, self._outcomes(read, None))

    def _read(self, raw: Any) -> Reading | str:
        """What was told, or why it is a failure."""
        if isinstance(raw, BaseException):
            return f"{type(raw).__name__}: {raw}"
        if raw is None:
            return "told as failed"
        try:
            return self._reader.read(raw)
        except ObjectiveError as error:
            if "finite number" in str(error):
                return str(error)
            raise

    def _outcomes(self, read: list[Reading | str], seconds: Floats | None) -> Outcomes:
        """What `_read` gave, as rows. seconds: (k,), None: not known (of failures: 0)."""
        problem = self._session.problem
        lost = Reading((math.nan,) * len(problem.objectives))
        errors: dict[int, str] = {}
        items: list[Reading] = []
        for row, item in enumerate(read):
            if isinstance(item, str):
                errors[row] = item
            items.append(lost if isinstance(item, str) else item)
        components = [item.components for item in items]
        statuses = np.array([_DONE] * len(items), dtype=np.int8)
        spent = np.array([math.nan] * len(items)) if seconds is None else seconds
        if errors:
            failed = list(errors)
            statuses[failed] = _FAILED
            spent[failed] = 0.0 if seconds is None else seconds[failed]
        return Outcomes(
            np.array([item.values for item in items]),
            statuses,
            spent,
            np.array([item.violation for item in items]) if problem.constraints else None,
            components if any(components) else None,
            errors,
        )


_DONE, _FAILED = int(Status.DONE), int(Status.FAILED)  # an enum's members take NumPy ten times as long


def _same(told: Any, ours: Any) -> bool:
    """Whether the parameters are the same; objects that only equal themselves count as the same as their copies."""
    if is_dataclass(ours) and is_dataclass(told):
        told, ours = vars(told), vars(ours)
    if isinstance(ours, Mapping):
        return isinstance(told, Mapping) and all(key in told and _same(told[key], ours[key]) for key in ours)
    if getattr(type(ours), "__eq__", None) is object.__eq__:
        return True
    try:
        return bool(np.all(np.asarray(told == ours)))
    except Exception:  # whatever a foreign class does when it is compared
        return True


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
