"""Stop after a time."""

from __future__ import annotations

import math
import re

from ...core.errors import ProblemError
from ...core.stopping import Progress, StopRule

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|min|s|m|h|d)", re.IGNORECASE)


def seconds_of(given: float | str) -> float:
    """Seconds from a number of them, or from words such as "90s", "10m", "2h", "1h30m", "1.5 d".

    Raises:
        ProblemError: it is neither, or not above 0.
    """
    seconds = math.nan
    if isinstance(given, str):
        parts = list(_PART.finditer(given))
        if parts and _PART.sub("", given).strip() == "":
            seconds = sum(float(part[1]) * _UNITS[part[2].lower()] for part in parts)
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        seconds = float(given)
    if not 0.0 < seconds < math.inf:
        raise ProblemError(f'a time above 0 expected: seconds, or words such as "90s", "10m", "1h30m"; got {given!r}')
    return seconds


class Wall(StopRule):
    """Ends a study at the first look after `time` of this run: seconds, or words such as "2h".

    What is running then is finished; `timeout=` of the study ends that too.

    Raises:
        ProblemError: no time above 0.
    """

    def __init__(self, time: float | str) -> None:
        self.seconds = seconds_of(time)
        self._words = time.strip() if isinstance(time, str) else f"{self.seconds:g} s"

    def __repr__(self) -> str:
        return f"Wall({self._words!r})"

    def check(self, progress: Progress) -> str | None:
        """See `StopRule.check`."""
        if progress.elapsed_s < self.seconds:
            return None
        return f"the time of {self._words} is over ({progress.elapsed_s:.1f} s, {progress.evaluations} evaluations)"
