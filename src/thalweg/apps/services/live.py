"""Keeps the settings of a service best while it serves: one small, watched, reversible change at a time.

Windows of traffic are measured with the settings in use and, in between, with a candidate near them (A, B, A, B, ...),
so that what the world does to both is not taken for the candidate's doing. A candidate is adopted when pairs of windows
say that it is better, beyond noise; it is taken back within its window when a guard rail is breached. When the metric
of the settings in use drifts, what is known is made old and the search is widened.

Related: DBtune and OtterTune's guard rails and approvals; SafeOpt-like exclusion of what the model thinks unsafe.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.errors import OutOfOrder, ProblemError
from ...core.store import Store
from .audit import Audit
from .drift import LARGE, Drift
from .guard import Guard
from .knob import Knob
from .panel import Panel
from .region import SMALLEST, Region, log_of
from .trial import Trial, Verdict
from .window import Metric, Window, metric_of

RESTS = (1, 1, 2, 4, 8, 16)
"""Windows of rest after the first, second, ... failure in a row."""
PAUSES = {"instant": 0, "reload": 10, "restart": 50}
"""Windows between two changes of knobs of a cost class."""
CLIFF = 0.4
"""What is worse than the settings in use by more than this (of a log metric) is learnt as so much worse: how deep a
cliff is says nothing about the ground before it."""
CAUTION, SPENT, CALM = -0.5, 0.5, 1.5
"""Standard errors added to what the model thinks of p99: usually; where the guard's budget of roll-backs is spent; and
where, besides, there is no haste."""
FIRST = 20
"""Windows after which the budget counts: one roll-back among fewer is no share."""
STUCK = 50
"""Windows for which a knob that could not be turned is left alone."""
_TABOO, _AGES = 20, 10**9


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to be tried. before, after: all settings.  cost: the class of the dearest knob that moves."""

    before: dict[str, Any]
    after: dict[str, Any]
    cost: str


@dataclass(slots=True)
class Tally:
    """What happened so far: windows, candidates tried, changes adopted, roll-backs by a guard rail, drifts."""

    windows: int = 0
    tried: int = 0
    adopted: int = 0
    rolled_back: int = 0
    drifts: int = 0


class LiveTuner:
    """See the module. measure: takes traffic for a while with what is set, and gives a `Window`; it is called `slices`
    times per window, and guard rails are looked at after each.

    knobs: what may be turned.  metric: what is made small ("p95", "p50", "p99", "seconds_per_request", "value", or a
    function of a Window).  guard: rails.  settle: awaited after each change, before anything is measured.
    min_gain: relative improvement below which nothing is changed.  approve: asked before each candidate is applied
    (plain or async; without it knobs that need a restart stay as they are).  deny: further names never to be turned.
    store, name: where the audit goes.  seed: of the candidates.

        tuner = LiveTuner(measure, [Knob("batch", Integer(1, 100, log=True), server.set_batch, server.get_batch)])
        await tuner.run()
    """

    def __init__(
        self,
        measure: Callable[[], Awaitable[Window]],
        knobs: Iterable[Knob],
        *,
        metric: str | Metric = "p95",
        guard: Guard | None = None,
        slices: int = 4,
        settle: Callable[[], Any] | None = None,
        min_gain: float = 0.03,
        approve: Callable[[Change], Any] | None = None,
        deny: Iterable[str] = (),
        store: str | Store | None = None,
        name: str = "live",
        seed: int = 0,
    ) -> None:
        if isinstance(slices, bool) or not isinstance(slices, int) or slices < 1:
            raise ProblemError(f"slices: a whole number >= 1 is expected, got {slices!r}")
        if not 0 < min_gain < 1:
            raise ProblemError(f"min_gain: a share between 0 and 1 is expected, got {min_gain!r}")
        self._panel = Panel(knobs, deny, settle)
        self.knobs, self.space = self._panel.knobs, self._panel.space
        self.guard = guard or Guard()
        self.tally = Tally()
        self._measure, self._approve = measure, approve
        self._metric, self._slices, self._min_gain = metric_of(metric), slices, min_gain
        self._region = Region(self.space, self._panel.reach, self._panel.reachable, seed)
        self._drift = Drift()
        self._audit = Audit(self.space, metric if isinstance(metric, str) else "metric", store, name)
        self._first: dict[str, Any] = {}
        self._current: dict[str, Any] = {}
        self._centre: Floats = np.empty(0)
        self._usual: Window | None = None
        self._latest: Window | None = None
        self._trouble = 0.0
        self._level = self._offset = self._tail_offset = 0.0
        self._held = self._recovering = self._wary = self._escaping = False
        self._trial: Trial | None = None
        self._rest, self._failures, self._urgent, self._patience = 2, 0, False, 0
        self._turned = dict.fromkeys(PAUSES, -_AGES)
        self._stuck = dict.fromkeys(self.knobs, -_AGES)
        self._killed: asyncio.Event | None = None
        self._dead = ""

    # --- people's side --------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in use (a candidate that is being tried is not)."""
        return dict(self._current)

    @property
    def urgent(self) -> bool:
        """Whether so much has changed that candidates are tried one after the other, without A windows."""
        return self._urgent

    def audit(self) -> list[dict[str, Any]]:
        """What was done and why, oldest first."""
        return self._audit.lines()

    async def run(self, windows: int | None = None) -> Tally:
        """Tune for so many windows (None: until `kill`, or until it is cancelled). Whatever ends it, no candidate stays
        applied."""
        try:
            while not self._dead and (windows is None or windows > 0):
                await self.step()
                windows = None if windows is None else windows - 1
        finally:
            if self._trial is not None and not self._dead:
                await self._end("given up", "the run ended")
        return self.tally

    async def kill(self, reason: str = "killed") -> None:
        """Stop at once and for good: the settings that were there at the beginning are restored, whatever is measured
        is dropped."""
        self._dead = self._dead or reason
        if self._killed is not None:
            self._killed.set()
        self._trial = None
        self._current = dict(self._first)
        await self._panel.force(self._first)
        self._audit.note("killed", reason=reason, settings=self._current)

    def close(self) -> None:
        """Close the audit's store, if it was opened here."""
        self._audit.close()

    # --- one window -----------------------------------------------------------------------------------------------

    async def step(self) -> Window | None:
        """One window, and what follows from it; None: the tuner was killed meanwhile.

        Raises:
            OutOfOrder: it was killed before.  What a knob's `apply` raises while settings in use are restored.
        """
        if self._dead:
            raise OutOfOrder(f"step() after the tuner was stopped ({self._dead}); make a new one")
        if self._killed is None:
            await self._begin()
        await self._notice_others()
        if self._trial is None and self._rest <= 0:
            await self._propose()
        candidate = self._trial is not None and self._trial.turn == "B"
        window, breach = await self._window(candidate)
        if window is None:
            return None
        self.tally.windows += 1
        if candidate:
            await self._judge(window, breach)
        else:
            await self._watch(window, breach)
        return window

    def _end_of_life(self) -> asyncio.Event:
        if self._killed is None:
            self._killed = asyncio.Event()
        return self._killed

    async def _begin(self) -> None:
        self._end_of_life()
        self._first = await self._panel.read()
        self._current = dict(self._first)
        self._centre = self._panel.point(self._first)
        self._audit.note("started", settings=self._panel.labels(self._first))

    async def _notice_others(self) -> None:
        """Somebody else may have changed a knob: that is in use now, and what was being tried is over."""
        wanted = self._trial.settings if self._trial is not None and self._trial.applied else self._current
        found = await self._panel.read()
        changed = self._panel.differing(found, wanted)
        if not changed:
            return
        self._trial = None
        self._current = self._current | {name: found[name] for name in changed}
        await self._panel.apply(self._current, found)
        self._centre = self._panel.point(self._current)
        self._audit.note("changed by somebody else", knobs=changed, settings=self._panel.labels(self._current))
        self._renew(urgent=False)

    async def _window(self, candidate: bool) -> tuple[Window | None, str]:
        """(the window, what it breaches). Of a candidate it ends with the first slice that breaches something."""
        trial = self._trial
        if trial is not None and candidate != trial.applied:
            if candidate and not await self._try(trial):
                trial = self._trial = None
                candidate = False
            elif not candidate:
                await self._restore(trial)
        parts: list[Window] = []
        for _ in range(self._slices):
            part = await self._slice()
            if part is None:
                return None, ""
            parts.append(part)
            if candidate and (breach := self.guard.breach(part, self._usual)):
                return Window.joined(parts), breach
        whole = Window.joined(parts)
        self._latest = parts[-1]
        return whole, self.guard.breach(whole, self._usual)

    async def _slice(self) -> Window | None:
        """What `measure` gives; None where the tuner is killed meanwhile, which does not wait for it."""
        measuring = asyncio.ensure_future(self._measure())
        ending = asyncio.ensure_future(self._end_of_life().wait())
        try:
            await asyncio.wait({measuring, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._dead:
                return None
            found = measuring.result()
            if not isinstance(found, Window):
                raise ProblemError(f"measure: a Window (latencies, seconds, errors) is expected, got {found!r:.60}")
            return found
        finally:
            for task in (measuring, ending):
                if not task.done():
                    task.cancel()
            await asyncio.gather(measuring, ending, return_exceptions=True)

    # --- what follows from a window -------------------------------------------------------------------------------

    async def _watch(self, window: Window, breach: str) -> None:
        """A window of the settings in use."""
        if not self.guard.enough(window):
            self._hold("too little traffic" if not window.app_limited else "the service has too little to do")
            return
        if window.memory_percent > self.guard.memory_percent:
            self._hold(breach)
            return
        value = log_of(self._metric(window))
        wary, self._wary = self._wary, False
        if wary and value - self._drift.level > 3.0 * self._drift.spread:
            return  # what was rolled back left a queue behind; if that is not it, the next window says so
        if self._recovering:
            if self._latest is not None and self.guard.enough(self._latest):
                window = self._latest  # the queue may have been worked off inside the window
                value = log_of(self._metric(window))
            self._recovered(value, window)
        change = self._drift.hear(value)
        if change:
            await self._drifted(change, value)
            if self._latest is not None and self.guard.enough(self._latest):
                window = self._latest  # the change may lie inside the window: its end shows what it is like now
        elif self._trial is not None:
            self._trial.after(value)
            self._trial.turn = "B"
        else:
            self._rest -= 1
        self._usual, self._level = window, value

    def _recovered(self, value: float, window: Window) -> None:
        """What was adopted in haste worked off a queue at first: only now it shows what it can do. Of what was measured
        while the queue was there only the failures say something."""
        usual, self._recovering = self._usual, False
        self._offset += value - self._level
        self._tail_offset += 0.0 if usual is None else log_of(window.p99) - log_of(usual.p99)
        if window.error_rate <= self.guard.error_rate:
            self._escaping = False
            tail = self._tail_offset + CLIFF + math.log(self.guard.tail)
            self._region.rebase(self._trouble, self._offset + CLIFF, tail)
        self._region.learn(self._centre, self._offset, self._tail_offset)

    def _hold(self, reason: str) -> None:
        """Change nothing now."""
        if self._trial is not None:
            self._trial = None
        if self._rest <= 0 or not self._held:
            self._audit.note("held", reason=reason, window=self.tally.windows)
        self._held, self._rest = True, 1

    async def _drifted(self, change: float, value: float) -> None:
        self.tally.drifts += 1
        if self._trial is not None:
            self._learn(self._trial)
            self._trial = None
        urgent = abs(change) > LARGE
        self._audit.note("drift", change=change, urgent=urgent, window=self.tally.windows)
        self._renew(urgent)
        self._patience, self._escaping = 2 * len(self.knobs) + 2, urgent and change > 0
        self._drift.hear(value)

    def _renew(self, urgent: bool) -> None:
        """What is known is old."""
        self._region.drifted(urgent)
        if urgent:
            self._trouble = self._offset
            self._region.learn(self._centre, self._offset, self._tail_offset)
        self._drift.reset(anew=urgent)
        self._recovering = False
        self._urgent, self._failures, self._rest = urgent, 0, 0 if urgent else 1

    async def _judge(self, window: Window, breach: str) -> None:
        """A window of the candidate."""
        trial = self._trial
        if trial is None:
            return
        if breach:
            self.tally.rolled_back += 1
            self._wary = True
            self._count(trial, window)
            await self._end("rolled back", breach, window)
            return
        if not self.guard.enough(window):
            await self._end("given up", "too little traffic", window)
            return
        self._count(trial, window)
        # in haste the first window that is better by far is taken
        verdict = trial.verdict(self._drift.spread, 0.1 if self._urgent else self._min_gain, self._urgent)
        if verdict is Verdict.ADOPTED:
            self._adopt(trial, window)
        elif verdict is Verdict.REJECTED or self._urgent:
            await self._end("rejected", f"gain {100 * math.expm1(trial.gain):.1f} %", window)
        elif trial.interleaved:
            trial.turn = "A"

    def _count(self, trial: Trial, window: Window) -> None:
        usual = self._usual
        trial.gains.append(trial.before - log_of(self._metric(window)))
        trial.tails.append(0.0 if usual is None else log_of(usual.p99) - log_of(window.p99))

    def _learn(self, trial: Trial) -> None:
        if trial.gains:
            worse, tail = min(-trial.gain, CLIFF), min(-trial.tail, CLIFF + math.log(self.guard.tail))
            self._region.learn(trial.point, self._offset + worse, self._tail_offset + tail)

    def _adopt(self, trial: Trial, window: Window) -> None:
        self._learn(trial)
        self._offset -= trial.gain
        self._tail_offset -= trial.tail
        value = log_of(self._metric(window))
        self._trial, self._current, self._centre = None, trial.settings, trial.point
        self._usual, self._level = window, value
        # in haste: some failures after a success say that the worst is over
        self._failures, self._rest, self._patience = 0, 1, 2 * len(self.knobs)
        self._recovering = self._escaping and not self._overloaded()
        self._region.widen()
        self._drift.reset()
        if not self._recovering:
            self._drift.hear(value)
            self._rest = 0 if self._urgent else 1
        self.tally.adopted += 1
        self._report("adopted", trial, window, "")

    def _overloaded(self) -> bool:
        """Whether the last slice still refuses requests."""
        return self._latest is not None and self._latest.error_rate > self.guard.error_rate

    async def _end(self, event: str, why: str, window: Window | None = None) -> None:
        """The candidate is taken back, at once."""
        trial, self._trial = self._trial, None
        if trial is None:
            return
        await self._restore(trial)
        self._learn(trial)
        self._region.refuse(trial.point, _TABOO)
        self._failures += 1
        if self._urgent and self._failures >= self._patience:
            self._urgent, self._failures, self._escaping = False, 1, False
            self._audit.note("no longer urgent", settings=self._panel.labels(self._current))
        if not self._escaping and (event == "rolled back" or not self._urgent):
            self._region.shrink()
        if not self._urgent:
            self._rest = RESTS[min(self._failures, len(RESTS)) - 1]
        elif event == "rolled back" and not self._escaping:
            self._rest = 1  # it left a queue behind, which the next candidate must not be blamed for
        self._report(event, trial, window, why)

    def _report(self, event: str, trial: Trial, window: Window | None, why: str) -> None:
        gain = trial.gain if trial.gains else 0.0
        self._audit.note(event, settings=self._panel.labels(trial.settings), gain=gain, pairs=len(trial.gains), why=why,
                         window=self.tally.windows)  # fmt: skip
        value = self._metric(window) if window is not None else math.nan
        if window is not None and math.isfinite(value):
            tail = window.p99 if window.answered else math.inf
            more = {"p99": tail} if math.isfinite(tail) else {}
            self._audit.measured(trial.point, value, {"gain": gain, "error_rate": window.error_rate, **more})

    # --- candidates -----------------------------------------------------------------------------------------------

    async def _propose(self) -> None:
        if self._usual is None:
            return
        self._held = False
        limit = self._tail_offset + math.log(self.guard.tail)
        allowed = self.guard.budget * max(self.tally.windows + 1, FIRST)
        spent = not self._escaping and self.tally.rolled_back + 1 > allowed
        caution = CAUTION if not spent else SPENT if self._urgent else CALM
        point = self._region.propose(self._centre, self._turnable(), limit, caution)
        if point is None:
            self._rest = RESTS[-1]
            self._region.radius = SMALLEST
            return
        settings = self._panel.params(point)
        cost = self._panel.cost(self._panel.differing(settings, self._current))
        change = Change(dict(self._current), settings, cost)
        if not await self._allowed(change):
            self._audit.note("denied", settings=self._panel.labels(settings), cost=cost)
            self._region.refuse(point, 10**6)
            self._rest = 1
            return
        self._trial = Trial(settings, point, cost, self._level)
        self.tally.tried += 1

    async def _allowed(self, change: Change) -> bool:
        if self._approve is None:
            return True
        said = self._approve(change)
        return bool(await said if inspect.isawaitable(said) else said)

    def _turnable(self) -> list[int]:
        """Indices of the knobs that may move now."""
        return [
            index
            for index, knob in enumerate(self.knobs.values())
            if self.tally.windows - self._turned[knob.cost] >= PAUSES[knob.cost]
            and self.tally.windows - self._stuck[knob.name] >= STUCK
            and (knob.cost != "restart" or self._approve is not None)
        ]

    # --- turning --------------------------------------------------------------------------------------------------

    async def _try(self, trial: Trial) -> bool:
        """Apply the candidate; where a knob refuses, everything is as before."""
        try:
            trial.applied = True
            await self._panel.apply(trial.settings, self._current)
        except Exception as error:
            self._audit.note(
                "not applied", settings=self._panel.labels(trial.settings), why=f"{type(error).__name__}: {error}"
            )
            if self._panel.stuck:
                self._stuck[self._panel.stuck] = self.tally.windows
            await self._restore(trial)
            self._region.refuse(trial.point, _TABOO)
            self._rest = 1
            return False
        self._turned[trial.cost] = self.tally.windows
        return True

    async def _restore(self, trial: Trial) -> None:
        """Back to the settings in use."""
        trial.applied = False
        failures = await self._panel.restore(self._current, trial.settings)
        if failures:
            self._audit.note("not restored", why="; ".join(map(str, failures)))
            raise failures[0]
