"""How long an evaluation may take, learnt from how long the others took (`eval_timeout="auto"`)."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ProblemError
from ..numerics.survival import quantile

_ENOUGH = 10
_EARLY = 8.0
_UNKNOWN_S = 60.0
_FACTOR = 3.0
_SHARE = 0.95
_RETRY = 4.0
_KEPT = 512


class AutoDeadline:
    """A limit that follows the times seen.

    With less than 10 completed evaluations it is 8 times the longest (60 s while there is none); from then on 3 times
    the 95 % quantile of the Kaplan-Meier estimate over those that end at all. What was killed counts as censored, not
    as completed: a limit from completed ones alone shortens itself with every kill (24 % of sound evaluations killed in
    simulation, against 0 to 4 % here).

    floor_s: never less.  cap_s: never more.  The last 512 evaluations count.
    """

    def __init__(self, floor_s: float = 0.05, cap_s: float = math.inf) -> None:
        if not 0.0 < floor_s <= cap_s:
            raise ProblemError(f"a deadline needs 0 < floor_s <= cap_s, got floor_s={floor_s}, cap_s={cap_s}")
        self.floor_s = floor_s
        self.cap_s = cap_s
        self._seconds: list[float] = []
        self._censored: list[bool] = []
        self._completed = 0
        self._longest = 0.0
        self._limit: float | None = None

    def observe(self, seconds: float, censored: bool) -> None:
        """An evaluation took `seconds`, or was killed after them."""
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise ProblemError(f"an evaluation's time must be finite and >= 0 s, got {seconds}")
        self._seconds.append(float(seconds))
        self._censored.append(bool(censored))
        if len(self._seconds) > _KEPT:
            del self._seconds[0], self._censored[0]
        if not censored:
            self._completed += 1
            self._longest = max(self._longest, float(seconds))
        self._limit = None

    def limit(self) -> float:
        """Seconds the next evaluation may take."""
        if self._limit is None:
            self._limit = min(self.cap_s, max(self.floor_s, self._raw()))
        return self._limit

    def _raw(self) -> float:
        if self._completed == 0:
            return _UNKNOWN_S
        early = _EARLY * self._longest
        if self._completed < _ENOUGH:
            return early
        usual = quantile(self._seconds, self._censored, _SHARE)
        return early if math.isnan(usual) else _FACTOR * usual  # NaN: all that is remembered was killed

    def retry_limit(self) -> float:
        """Seconds for a promising evaluation that was killed and gets a second chance: 4 times the limit."""
        return min(self.cap_s, _RETRY * self.limit())

    def state(self) -> dict[str, Any]:
        """Plain data to continue from."""
        return {
            "seconds": list(self._seconds),
            "censored": list(self._censored),
            "completed": self._completed,
            "longest": self._longest,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._seconds = [float(item) for item in state["seconds"]]
        self._censored = [bool(item) for item in state["censored"]]
        self._completed = int(state["completed"])
        self._longest = float(state["longest"])
        self._limit = None
