"""Facts about a run, sent to listeners. A listener's exception never touches the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    kind: "started" (total, name), "asked" (count), "cached" (number, of), "opened" (first, count), "finished" (numbers,
    values, statuses, seconds: columns of a chunk), "reported" (number, step, values), "improved" (number, value, params),
    "timeout" / "retried" (number), "fallback" / "switched" (reason), "stopped" (reason), "warning" (text).
    time_unixtime: seconds.  data: by kind, as above.
    """

    kind: str
    time_unixtime: float
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
