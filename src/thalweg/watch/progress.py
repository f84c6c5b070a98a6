"""Listeners that show a run while it goes on: a live line on a terminal, plain lines elsewhere, or JSON lines.

Every listener counts each event in a `Tally` (a few microseconds) and draws only now and then, so a fast run is not
slowed by being watched.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from ..core.batch import Status
from ..core.errors import ProblemError
from ..core.event import Event, Listener
from .text import clean, clip, count, number, seconds

Progress = Literal["json", "plain", "live"]

LIVE_S = 0.2
"""Seconds between two drawings of the live line."""

FIRST_S, GROWTH, LONGEST_S = 2.0, 1.5, 600.0
"""Plain lines come 2 s after the start, then each time 1.5 times later, at least every 10 minutes."""

NOTES = ("warning", "fallback", "switched", "resumed")
"""Kinds of events that are said at once."""


@dataclass(slots=True)
class Tally:
    """What a run has come to, counted from its events since it started. before: evaluations of the study's earlier
    runs, part of `done`.  best: the last improvement's value(s), in the user's own sign.
    """

    name: str = ""
    total: int | None = None
    before: int = 0
    done: int = 0
    failed: int = 0
    timed_out: int = 0
    pruned: int = 0
    cached: int = 0
    retried: int = 0
    best: Any = None
    best_number: int | None = None
    stopped: str = ""

    @classmethod
    def of(cls, started: Event) -> Tally:
        """A fresh one, for the run that this event starts."""
        data = started.data
        before = int(data.get("done") or 0)
        return cls(str(data.get("name") or ""), data.get("total"), before, before)

    def take(self, event: Event) -> None:
        """Count one event."""
        kind, data = event.kind, event.data
        if kind == "finished":
            self._finished(data.get("statuses", ()))
        elif kind == "cached":
            self.cached += 1
        elif kind == "improved":
            self.best, self.best_number = data.get("value"), data.get("number")
        elif kind == "retried":
            self.retried += 1
        elif kind == "stopped":
            self.stopped = str(data.get("reason") or "")

    def _finished(self, statuses: Any) -> None:
        codes = statuses.tolist() if hasattr(statuses, "tolist") else list(statuses)
        self.done += len(codes)
        if Status.FAILED in codes or Status.TIMEOUT in codes or Status.PRUNED in codes:
            self.failed += codes.count(Status.FAILED)
            self.timed_out += codes.count(Status.TIMEOUT)
            self.pruned += codes.count(Status.PRUNED)

    def rate(self, elapsed_s: float) -> float:
        """Evaluations per second of this run."""
        return (self.done - self.before) / elapsed_s if elapsed_s > 0 else 0.0

    def left_s(self, elapsed_s: float) -> float:
        """Seconds that the rest of the budget takes at the present rate; NaN where unknown."""
        rate = self.rate(elapsed_s)
        if self.total is None or not rate:
            return math.nan
        return max(0, self.total - self.done) / rate

    def line(self, elapsed_s: float) -> str:
        """The state in one line: "120/500  best 3.21 (#87)  24/s  16 s left  3 failed  12 cached"."""
        total = f"/{count(self.total)}" if self.total is not None else ""
        parts = [f"{count(self.done)}{total}", self._best(), f"{number(self.rate(elapsed_s), 3)}/s"]
        left = self.left_s(elapsed_s)
        if not math.isnan(left) and not self.stopped:
            parts.append(f"{seconds(left)} left")
        for amount, word in (
            (self.failed, "failed"),
            (self.timed_out, "timed out"),
            (self.pruned, "pruned"),
            (self.cached, "cached"),
            (self.retried, "retried"),
        ):
            if amount:
                parts.append(f"{count(amount)} {word}")
        return "  ".join(part for part in parts if part)

    def _best(self) -> str:
        if self.best is None:
            return ""
        several = isinstance(self.best, Sequence) and not isinstance(self.best, str)
        shown = ", ".join(number(value) for value in self.best) if several else number(self.best)
        return f"best {shown}" + (f" (#{self.best_number})" if self.best_number is not None else "")


class Plain:
    """Plain lines at growing intervals: right for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.tally = Tally()
        self._clock = clock
        self._begun = clock()
        self._next = self._begun + FIRST_S
        self._wait = FIRST_S

    def __call__(self, event: Event) -> None:
        """Take one event."""
        kind = event.kind
        self.tally.take(event)
        if kind == "started":
            self.tally = Tally.of(event)
            self._begun = self._clock()
            self._next, self._wait = self._begun + FIRST_S, FIRST_S
        elif kind == "finished":
            if self._clock() >= self._next:
                self._wait = min(self._wait * GROWTH, LONGEST_S)
                self._next = self._clock() + self._wait
                self._print(self.tally.line(self._elapsed()))
        elif kind == "stopped":
            self._print(f"{self.tally.line(self._elapsed())}  stopped: {clean(self.tally.stopped)}")
        elif kind in NOTES:
            self._print(note(event))

    def _elapsed(self) -> float:
        return self._clock() - self._begun

    def _print(self, text: str) -> None:
        name = f"{clip(self.tally.name, 24)}: " if self.tally.name else ""
        stream = self.stream or sys.stderr
        stream.write(f"{name}{text}\n")
        stream.flush()


class Live:
    """One line on a terminal, redrawn at most five times a second, with a bar where the total is known."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.tally = Tally()
        self._clock = clock
        self._begun = clock()
        self._next = 0.0
        self._live: Any = None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        kind = event.kind
        self.tally.take(event)
        if kind == "started":
            self.tally = Tally.of(event)
            self._begun = self._clock()
            self._open()
        elif kind in NOTES:
            self._open().console.print(note(event), markup=False, highlight=False, style="yellow")
        elif kind == "stopped":
            self.close()
        elif (now := self._clock()) >= self._next:
            self._next = now + LIVE_S
            self._open().update(self._line(), refresh=True)

    def close(self) -> None:
        """Draw the line a last time and leave it on the terminal."""
        if self._live is not None:
            live, self._live = self._live, None
            live.update(self._line(), refresh=True)
            live.stop()
            atexit.unregister(self.close)

    def _open(self) -> Any:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live as RichLive

            console = Console(file=self.stream or sys.stderr)
            # no refresh thread: drawing happens in the run's own thread, when an event comes
            self._live = RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
            atexit.register(self.close)  # a run that dies on the way must not leave the cursor hidden
        return self._live

    def _line(self) -> Any:
        from rich.text import Text

        tally, elapsed = self.tally, self._clock() - self._begun
        text = Text(no_wrap=True, overflow="ellipsis")
        if tally.name:
            text.append(f"{clip(tally.name, 24)} ", style="bold")
        if tally.total and not tally.stopped:
            text.append_text(_bar(tally.done / tally.total))
            text.append(" ")
        text.append(tally.line(elapsed))
        if tally.stopped:
            text.append(f"  {clean(tally.stopped)}", style="dim")
        return text


def _bar(fraction: float, columns: int = 20) -> Any:
    from rich.text import Text

    full = round(min(max(fraction, 0.0), 1.0) * columns)
    text = Text("━" * full, style="cyan")
    text.append("━" * (columns - full), style="bright_black")
    return text


class JsonLines:
    """One JSON object per event and line: {"kind": ..., "time": unix seconds, ...the event's data}."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self._encode: Callable[[Any], bytes] | None = None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._encode is None:
            import msgspec

            self._encode = msgspec.json.Encoder(enc_hook=_plain).encode
        body = {"kind": event.kind, "time": round(event.time_unixtime, 6), **event.data}
        stream = self.stream or sys.stdout
        stream.write(self._encode(body).decode() + "\n")
        if event.kind != "finished":
            stream.flush()


def _plain(value: Any) -> Any:
    """Arrays and NumPy numbers as lists and numbers (msgspec writes NaN and infinities as null); the rest as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def silent(event: Event) -> None:
    """Show nothing."""


def note(event: Event) -> str:
    """An event of `NOTES` in words."""
    if event.kind == "resumed":
        return f"resumed with {event.data.get('trials')} trials: {clean(event.data.get('how'))}"
    text = event.data.get("text") or event.data.get("reason") or ""
    return f"{event.kind}: {clean(text)}"


def choose(progress: bool | str | None = None, stream: TextIO | None = None) -> Listener:
    """The listener for the keyword `progress`.

    None: the live line where stderr is a terminal, else nothing.  True: the live line, without a terminal plain lines.
    False: nothing.  "live", "plain", "json": that one (JSON goes to stdout).

    Raises:
        ValueError: none of these.
    """
    if progress is False:
        return silent
    if progress == "json":
        return JsonLines(stream)
    if progress == "plain":
        return Plain(stream)
    if progress == "live":
        return Live(stream)
    if progress is None or progress is True:
        if _is_terminal(stream or sys.stderr):
            return Live(stream)
        return Plain(stream) if progress else silent
    raise ProblemError(f"progress: expected None, True, False, 'live', 'plain' or 'json', got {progress!r}")


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # replaced or closed streams
        return False
