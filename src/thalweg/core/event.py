"""Facts about a run, sent to listeners. A listener's exception never touches the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    kind, and what its data hold:
    "started" (total, name, done, target, objectives), "resumed" (trials, how), "stopped" (reason);
    "asked" (count), "cached" (of: the trial that answered), "opened" (first, count);
    "finished" (numbers, values, statuses, seconds: columns of a chunk; errors: {row: message});
    "reported" (number, step, values), "improved" (number, value, params), "retried" (number, attempt);
    "fallback" / "switched" (reason), "warning" (text).
    time_unixtime: seconds.  data: by kind.
    """

    kind: str
    time_unixtime: float
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
