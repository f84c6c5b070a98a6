"""The evaluator actors of one study: started, lent to jobs, replaced when they are lost. No Ray in here: `Cluster` is
what is asked of it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from ...core.errors import EvaluatorError
from ._ray_host import DIED, READY
from ._ray_request import Node, Request

_STARTS = 5
LOOK_S = 5.0
"""Seconds between two looks at the cluster's nodes; every second while nothing can run."""
STEAL_S = 0.02
"""An actor that has been idle this long gets a job that waits behind another one."""


class Lost(Exception):
    """An actor is gone. node: with its node (or out of reach), through no fault of what it evaluated."""

    def __init__(self, node: bool, text: str) -> None:
        super().__init__(text)
        self.node = node


class Cluster(ABC):
    """What the fleet asks of Ray. A handle is whatever `start` gave."""

    @abstractmethod
    def nodes(self) -> list[Node]:
        """All machines, dead ones too; may block for milliseconds, is called in a thread."""

    @abstractmethod
    def start(self) -> Any:
        """A new actor, which waits for its place by itself."""

    @abstractmethod
    def call(self, handle: Any, method: str, *arguments: Any) -> asyncio.Future[Any]:
        """Call a method of an actor's `Host`; the future raises Lost, or EvaluatorError for a fault of ours."""

    @abstractmethod
    def kill(self, handle: Any) -> None:
        """End an actor at once; no error when it has ended."""


class Passenger(Protocol):
    """A job that has an actor, or waits for one. serial: names it there once it is sent, -1 before."""

    serial: int

    def lead(self) -> None:
        """It is the first one of its actor now: it runs."""

    def recall(self) -> None:
        """Come back if it has not begun: there is an idle actor."""


@dataclass(slots=True, eq=False)
class Slot:
    """An actor. facts: what its `Host.load` told; empty until it is placed and loaded.  cold: its worker has ended.
    jobs: the one it runs, and the one that waits there.  running: the first of them has been sent.
    """

    handle: Any
    facts: dict[str, Any] = field(default_factory=dict)
    loading: asyncio.Task[None] | None = None
    cold: bool = False
    jobs: list[Passenger] = field(default_factory=list)
    running: bool = False

    @property
    def node(self) -> str:
        """The id of its node, or "" while it has none."""
        return str(self.facts.get("node", ""))


class Fleet:
    """Up to `most` actors (None: as many as the cluster can hold).

    depth: jobs that one actor may have: 1, or 2, of which the second waits there until the first is done. It gets that
    only while no actor is idle, and gives it back when one is.  grown: called when more actors are wanted than before.
    grace_s: how long the cluster may be without a node that can hold one.  start_s: how long all of them may wait for
    a place.  nodes: the cluster as it was when the first was started.
    """

    def __init__(
        self,
        cluster: Cluster,
        request: Request,
        most: int | None,
        nodes: Sequence[Node],
        grace_s: float = 60.0,
        start_s: float = 120.0,
    ) -> None:
        self._cluster, self._request, self._most = cluster, request, most
        self._grace_s, self._start_s = grace_s, start_s
        self._slots: dict[Slot, None] = {}
        self._by: tuple[dict[Slot, None], ...] = ({}, {}, {})  # loaded ones, by how many jobs they have
        self._waiting: list[tuple[Any, int, asyncio.Future[Slot], Passenger]] = []
        self._stealing: asyncio.TimerHandle | None = None
        self.depth = 1
        self.grown: Callable[[], None] | None = None
        self._order = itertools.count()
        self._tending: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._since = monotonic()
        self._fault: EvaluatorError | None = None
        self._unborn = 0
        self.nodes: list[Node] = []
        self.wanted = 0
        """How many there should be now; 0 while no node can hold one."""
        self.see(nodes)

    def see(self, nodes: Sequence[Node]) -> None:
        """Take note of how the cluster is.

        Raises:
            EvaluatorError: it can hold any number of them, and nobody said how many.
        """
        self.nodes = list(nodes)
        least = min(self._request.capacity(nodes), math.inf if self._most is None else self._most)
        if math.isinf(least):
            raise EvaluatorError("an evaluation that asks for nothing fits any number of times: give workers=")
        before, self.wanted = self.wanted, int(least)
        if self.wanted > before and self.grown is not None:
            self.grown()

    def add(self, slot: Slot) -> None:
        """Take over an actor that was started and loaded already."""
        self._slots[slot] = self._by[0][slot] = None

    def fill(self) -> None:
        """Start what is missing, let go of actors without a place that nobody can give them."""
        wanted = self.wanted
        pending = [slot for slot in self._slots if not slot.facts]
        while len(self._slots) > max(wanted, 1) and pending:
            self._remove(pending.pop())
        while len(self._slots) < wanted:
            self._slots[Slot(self._cluster.start())] = None
        for slot in self._slots:
            if not slot.facts and slot.loading is None:
                slot.loading = asyncio.ensure_future(self._load(slot))

    async def _load(self, slot: Slot) -> None:
        """Wait until an actor has its place and the objective, then lend it."""
        try:
            kind, told = await self._cluster.call(slot.handle, "load")
        except Lost as lost:
            self._remove(slot)
            self._unborn += 1
            if self._unborn >= _STARTS:
                self._refuse(EvaluatorError(f"evaluator actors are lost before they begin, {_STARTS} in a row: {lost}"))
            self._look.set()
        except EvaluatorError as error:
            self._refuse(error)
        else:
            if kind == READY:
                slot.facts, self._unborn = told, 0
                self._settle(slot)
            elif kind == DIED:
                self._refuse(
                    EvaluatorError(f"a worker process on the cluster ends while it loads the objective: {told}")
                )
            else:
                self._refuse(EvaluatorError(f"a node of the cluster cannot load the objective: {told[1]}"))

    async def take(self, job: Passenger, order: Any = 0) -> Slot:
        """Lend an actor, or a place behind the job of one; the lowest `order` is served first.

        Raises:
            EvaluatorError: the cluster has no place for one any more.
        """
        if self._fault is not None:
            raise self._fault
        self._tend()
        slot = self._roomy()
        if slot is not None:
            return self._seat(slot, job)
        self._since = monotonic() if not self._waiting else self._since
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._order), future, job))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.give_back(future.result(), job)
            raise

    def _roomy(self) -> Slot | None:
        """An idle actor; else the one whose only job is the oldest, if it may have another one."""
        idle, single, _ = self._by
        if idle:
            return next(reversed(idle))
        return next(iter(single)) if single and self.depth > 1 else None

    def _seat(self, slot: Slot, job: Passenger) -> Slot:
        slot.jobs.append(job)
        self._file(slot)
        if len(slot.jobs) == 1:
            job.lead()
        return slot

    def _file(self, slot: Slot) -> None:
        slot.running = slot.running and bool(slot.jobs)
        for group in self._by:
            group.pop(slot, None)
        if slot.running or not slot.jobs:
            self._by[len(slot.jobs)][slot] = None

    def sent(self, slot: Slot) -> None:
        """Its first job is on its way, so that another one may follow."""
        if not slot.running and slot in self._slots:
            slot.running = True
            self._settle(slot)

    def give_back(self, slot: Slot, job: Passenger) -> None:
        """The job is done with it: somebody else may have its place."""
        first = bool(slot.jobs) and slot.jobs[0] is job
        if job in slot.jobs:
            slot.jobs.remove(job)
        if slot not in self._slots:
            return
        if first and slot.jobs:
            slot.jobs[0].lead()
        self._settle(slot)

    def _settle(self, slot: Slot) -> None:
        """Serve those who wait, and put it where it belongs."""
        self._file(slot)
        while self._waiting and (not slot.jobs or (slot.running and len(slot.jobs) < self.depth)):
            _, _, future, job = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(self._seat(slot, job))
        self._file(slot)
        if self._by[0] and self._by[2] and self._stealing is None:
            self._stealing = asyncio.get_running_loop().call_later(STEAL_S, self._steal)

    def _steal(self) -> None:
        """Call jobs back that wait behind others, one for each idle actor: the longest waiting first."""
        self._stealing = None
        idle, _, double = self._by
        for slot in list(double)[: len(idle)]:
            del double[slot]  # until it has given that one back, or begun it
            slot.jobs[-1].recall()

    def lose(self, slot: Slot) -> None:
        """It is gone, or has to go; another one takes its place where the cluster has one."""
        self._remove(slot)
        self._look.set()
        self._tend()

    def discard(self, slot: Slot) -> None:
        """The same, where no event loop runs any more."""
        self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        self._cluster.kill(slot.handle)
        self._slots.pop(slot, None)
        for group in self._by:
            group.pop(slot, None)

    # --- looking after them ---------------------------------------------------------------------------------------

    def _tend(self) -> None:
        if self._tending is None or self._tending.done():
            self.fill()
            self._tending = asyncio.ensure_future(self._tend_on())

    async def _tend_on(self) -> None:
        while True:
            self._look.clear()
            alive = any(slot.facts for slot in self._slots)
            try:
                async with asyncio.timeout(LOOK_S if alive else LOOK_S / 5):
                    await self._look.wait()
            except TimeoutError:
                pass
            try:
                self.see(await asyncio.to_thread(self._cluster.nodes))
            except EvaluatorError as error:
                self._fail(error)
                continue
            self.look_after()

    def look_after(self) -> None:
        """Idle actors whose node is gone go; missing ones are started; nothing at all for too long is an error."""
        dead = {node.ident for node in self.nodes if not node.alive}
        for slot in [slot for slot in self._by[0] if slot.node in dead]:
            self._remove(slot)
        self.fill()
        if any(slot.facts for slot in self._slots):
            self._since = monotonic()
            return
        waited = monotonic() - self._since
        if self.wanted == 0 and waited >= self._grace_s:
            lost = f"for {waited:.0f} s no node of the cluster could run an evaluation"
            self._fail(EvaluatorError(self._request.explain(self.nodes, lost) + _RESUME))
        elif waited >= self._start_s:
            busy = f"for {waited:.0f} s the cluster had no free place for an evaluation"
            self._fail(EvaluatorError(self._request.explain(self.nodes, busy) + _RESUME))

    def _refuse(self, error: EvaluatorError) -> None:
        """A fault that another actor would have as well: now and from now on."""
        self._fault = error
        self._fail(error)

    def _fail(self, error: EvaluatorError) -> None:
        """Everybody who waits gets the error."""
        waiting, self._waiting = self._waiting, []
        for _, _, future, _ in waiting:
            if not future.done():
                future.set_exception(error)

    async def aclose(self) -> None:
        """End all actors."""
        tasks = [slot.loading for slot in self._slots if slot.loading is not None]
        tasks += [self._tending] if self._tending is not None else []
        for task in tasks:
            task.cancel()
        if self._stealing is not None:
            self._stealing.cancel()
        for slot in list(self._slots):
            self._remove(slot)
        self._fail(EvaluatorError("the evaluator was closed"))
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tending = None


_RESUME = "\nWhat was finished is in the study; run it again when the cluster has such a node, and it goes on."
