"""Turns a function that calls an objective (push) into something that is asked and told (pull).

The function runs on a thread of its own that is strictly alternated with the caller: it hands over a batch of points
and sleeps until the values are there, the caller sleeps until the next batch (or the end) is there. Exactly one of the
two runs at any time, so nothing is shared at once and the order of events is fixed.

Ending: `close`, or nobody holding the `Pull` any more, or the interpreter's exit, wakes the thread with `Dropped` (a
BaseException, so that `except Exception` inside libraries does not swallow it). The thread is a daemon: if a library
should swallow even that, the interpreter still exits. The thread holds no reference to the `Pull`.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

import numpy as np

from ...core.batch import Floats

Exchange = Callable[[Floats], Floats]
"""(k, D) points -> (k,) values; what the pushing function calls."""
Body = Callable[[Exchange], str]
"""The pushing function: it is given an `Exchange`, and gives the reason why it ended."""

_JOIN_S = 5.0


class Dropped(BaseException):
    """Raised inside the pushing function when nobody wants its points any more."""


class _Line:
    """The two ends' common ground: one slot for each direction."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[Floats | str | BaseException] = SimpleQueue()
        self.told: SimpleQueue[Floats | None] = SimpleQueue()
        self.closed = False

    def exchange(self, points: Floats) -> Floats:
        """Called on the thread: hand over `points` (k, D), sleep, give their values (k,)."""
        if self.closed:
            raise Dropped
        self.asked.put(np.array(points, dtype=np.float64))
        values = self.told.get()
        if values is None:
            raise Dropped
        return values


def _work(line: _Line, body: Body) -> None:
    try:
        # libraries divide by zero on flat or failing objectives; that is theirs to survive, not the user's to read
        with np.errstate(all="ignore"):
            reason = body(line.exchange)
    except Dropped:
        return
    except BaseException as error:  # whatever ended it must reach the caller, or the caller would wait for ever
        line.asked.put(error)
    else:
        line.asked.put(reason)


def _close(line: _Line, thread: threading.Thread) -> None:
    line.closed = True
    line.told.put(None)
    # a garbage collection may run on the very thread that is to end; a thread cannot join itself
    if thread is not threading.current_thread():
        thread.join(_JOIN_S)


class Pull:
    """One run of a pushing function. `batch` is what it waits for, None when it has ended."""

    def __init__(self, body: Body) -> None:
        line = _Line()
        self._line = line
        self._thread = threading.Thread(target=_work, args=(line, body), name="thalweg-pull", daemon=True)
        self._thread.start()
        self.close = weakref.finalize(self, _close, line, self._thread)
        self.reason = ""
        self.batch: Floats | None = None
        self._hear()

    def answer(self, values: Floats) -> None:
        """Give the (k,) values of `batch`; afterwards `batch` is the next one, or None.

        Raises:
            Exception: whatever the function raised.
        """
        self._line.told.put(np.array(values, dtype=np.float64))
        self._hear()

    def _hear(self) -> None:
        self.batch = None
        message = self._line.asked.get()
        if isinstance(message, np.ndarray):
            self.batch = message
            return
        self.close()
        if isinstance(message, BaseException):
            raise message
        self.reason = message


class Ahead:
    """An objective called with one point at a time, some of whose values were exchanged ahead as one batch."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._values: deque[float] = deque()

    def one(self, point: Floats) -> float:
        """The value of one point (D,)."""
        if self._values:
            return self._values.popleft()
        return float(self._exchange(np.asarray(point, dtype=np.float64)[None, :])[0])

    def map(self, function: Callable[[Floats], float], points: list[Floats]) -> list[float]:
        """A `map` for libraries that accept one: exchanges all points at once, then lets `function` pick them up."""
        batch = [np.asarray(point, dtype=np.float64) for point in points]
        if not batch:
            return []
        self._values.extend(self._exchange(np.array(batch)).tolist())
        return [function(point) for point in batch]
