"""What people add to a study or change in it: points to run next, results that were wrong, another space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real
from time import monotonic
from typing import Any

import numpy as np

from ..core.batch import FOREIGN, Ints, Status
from ..core.errors import ProblemError, SpaceError
from ..core.problem import Problem
from ..core.space import Space
from ..core.store import PRIORITY_S, StudyRecord
from ..core.trial import Trial
from .chunk import Chunk
from .history import History
from .identity import fingerprint
from .session import Session


def points_of(given: Any) -> list[Any]:
    """One point, or several, as a list."""
    several = isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim == 2)
    if several and len(given) and all(isinstance(item, Real) for item in given):
        several = False  # one point of an array space
    return list(given) if several else [given]


def rows_of(session: Session, params: Sequence[Any], source: str) -> Chunk:
    """Rows of points that people gave: they reach the objective exactly as typed. Where equal points have equal values,
    those that are trials already or wait for room are left out; elsewhere all stay, but of "initial" ones as many of a
    point as there are, so that a call may be repeated.
    """
    space = session.space
    reals = space.from_params(params)
    keys, tickets = space.keys(reals), np.full(len(reals), FOREIGN)
    chunk = Chunk(
        np.full(len(reals), -1), tickets, space.encode(reals), reals, space.active(reals), keys, source=source
    )
    if not session.deterministic:
        chunk = chunk.rows(_lacking(session, keys)) if source == "initial" else chunk
        return session.groups.expand(chunk, fresh=False)
    index, waiting = session.history.index, _waiting(session)
    first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in index and not waiting[key]}
    rows = np.array(sorted(first.values()), dtype=np.int64)
    return session.groups.expand(chunk.rows(rows), fresh=True)


def _waiting(session: Session) -> Counter[bytes]:
    """How many rows of each point (its key) wait for room in the budget."""
    width = 8 * session.space.dimension
    return Counter(key[:width] for chunk in session.backlog if chunk.numbers[0] < 0 for key in chunk.keys)


def _lacking(session: Session, keys: list[bytes]) -> Ints:
    """(k,) the rows of points that were evaluated less often than `keys` names them, and do not wait for it."""
    history, tried = session.history, _waiting(session)
    numbers = history.known()
    numbers = numbers[history.statuses[numbers] != Status.ABANDONED]
    tried.update(session.space.keys(history.reals[numbers]))
    rows = []
    for row, key in enumerate(keys):
        if tried[key] <= 0:
            rows.append(row)
        tried[key] -= session.groups.low
    return np.array(rows, dtype=np.int64)


def try_first(session: Session, initial: Sequence[Any] | str | None) -> None:
    """Put the points that a run should begin with into the backlog, but those that the study has tried already;
    "defaults": the one of the parameters' defaults.

    Raises:
        ProblemError: another word, or a parameter without a default.  SpaceError: a point is not in the space.
    """
    if initial is None:
        return
    if isinstance(initial, str):
        if initial != "defaults":
            raise ProblemError(f'initial: a list of points or "defaults" is expected, got {initial!r}')
        point = session.space.defaults
        if point is None:
            lacking = [name for name, item in session.space.parameters.items() if item.default is None]
            raise ProblemError(f'initial="defaults": {lacking} have no default; give default= to each parameter')
        initial = [point]
    points = [initial] if not isinstance(initial, (list, tuple, np.ndarray)) else list(initial)
    chunk = rows_of(session, points, "initial")
    if len(chunk):
        session.backlog.append(chunk)


def enqueue(session: Session, points: Sequence[Any], priority: float = 0.0) -> int:
    """Queue points: whoever works on the study evaluates each of them, once, before anything else. Points that are
    trials already are left out (unless equal points may differ). Gives how many were queued.
    priority: see `Study.enqueue`.

    Raises:
        SpaceError: a point is not in the space; nothing is queued then.  ProblemError: the priority is no number.
    """
    if isinstance(priority, bool) or not isinstance(priority, Real) or math.isnan(priority):
        raise ProblemError(f"priority: a number (minutes of waiting) is expected, got {priority!r}")
    priority = float(priority)
    session.crew.refresh()
    chunk = rows_of(session, points, "enqueued")
    if not len(chunk):
        return 0
    if not session.store.durable:
        chunk.due = monotonic() - priority * PRIORITY_S
        later = (i for i, item in enumerate(session.backlog) if item.source == "enqueued" and item.due > chunk.due)
        session.backlog.insert(next(later, len(session.backlog)), chunk)
        return len(chunk)
    opening = session.opening(chunk, priority)
    _, count, _ = session.store.open_trials(session.study, opening, None, unique=session.deterministic)
    session.crew.refresh()
    return count


def retract(session: Session, trials: Trial | int | Iterable[Trial | int], reason: str, again: bool) -> list[int]:
    """Exclude trials whose results were wrong; see `Study.retract`.

    Raises:
        ProblemError: not trials, or there are no such ones.
    """
    several = [trials] if isinstance(trials, (Trial, int, np.integer)) else list(trials)
    numbers = [item.number if isinstance(item, Trial) else item for item in several]
    session.crew.refresh()
    unknown = [item for item in numbers if not _is_number(item) or not session.history.has(int(item))]
    if unknown:
        raise ProblemError(f"retract: trials or their numbers are expected; there is no trial {unknown[0]!r:.60}")
    numbers = [int(item) for item in numbers]
    params = [item.params for item in session.history.trials(np.array(numbers, dtype=np.int64))]
    done = session.store.retract(session.study, numbers, reason)
    if session.store.durable:
        session.crew.refresh()
    else:
        session.excluded(done)
        session.crew.renewal = "a trial was retracted"
    if again:
        enqueue(session, [point for point, number in zip(params, numbers, strict=True) if number in done])
    return done


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool) and int(given) >= 0


def change_space(session: Session, name: str, space: Space) -> tuple[Problem, StudyRecord]:
    """Give the stored study `name` another space; see `Study.change_space`. Gives the new problem and the record."""
    store = session.store
    if not store.durable:
        raise ProblemError(
            "change_space: a study in memory has one space; give store='sqlite:///…', or add() its results"
        )
    _check_change(session.space, space)
    problem = replace(session.problem, space=space)
    record = store.open(name)
    added = {**record.spec.get("added", {}), **_added(session.space, space)}
    spec = {**record.spec, "space": space.spec(), "added": added}
    changed = store.respec(record.id, spec, fingerprint(problem), session.crew.revision)
    history = History(space, problem.signs, bool(problem.constraints))
    history.added = added
    trials, _ = store.since(record.id)
    history.load(trials)
    store.release(record.id, [item.number for item in trials if item.number in history.outside and item.status < 2])
    return problem, changed


def _added(old: Space, new: Space) -> dict[str, Any]:
    """Labels of the defaults of new parameters: what they were in earlier trials."""
    return {
        name: parameter.labels(np.array([parameter.code(parameter.default)], dtype=np.float64))[0]
        for name, parameter in new.parameters.items()
        if name not in old.names
    }


def _check_change(old: Space, new: Space) -> None:
    gone = [item for item in old.names if item not in new.names]
    if gone:
        raise SpaceError(f"change_space: {gone} would be gone; narrow them instead, or start another study")
    for item, parameter in new.parameters.items():
        if item not in old.names:
            if parameter.default is None:
                raise SpaceError(
                    f"change_space: {item!r} is new; give it default=, the value that it had in all trials so far"
                )
        elif type(parameter) is not type(old.parameters[item]):
            kinds = f"{type(old.parameters[item]).__name__}, given {type(parameter).__name__}"
            raise SpaceError(f"change_space: {item!r} was a {kinds}; its kind has to stay")
