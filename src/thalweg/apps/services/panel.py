"""All knobs of a service together: what is set, turned one after the other by one hand at a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ...core.batch import Floats, Mask
from ...core.space import Space
from .knob import COSTS, Knob, checked, same

Settings = dict[str, Any]


class Panel:
    """knobs: by name.  space: what they span.  settle: called, and awaited, after something was turned.
    locked: nothing is turned any more (but `force`).  stuck: the knob that refused last, or ''.
    """

    def __init__(self, knobs: Iterable[Knob], deny: Iterable[str], settle: Callable[[], Any] | None) -> None:
        self.knobs = checked(knobs, deny)
        self.space = Space({knob.name: knob.parameter for knob in self.knobs.values()})
        self.locked, self.stuck = False, ""
        self._settle, self._turning = settle, asyncio.Lock()

    @property
    def reach(self) -> Floats:
        """(D,) how far each knob may go at once."""
        return np.array([knob.max_step for knob in self.knobs.values()])

    async def read(self) -> Settings:
        """What is set."""
        return {name: await knob.get() for name, knob in self.knobs.items()}

    def differing(self, one: Settings, other: Settings) -> list[str]:
        """Names of the knobs whose values differ."""
        return [name for name in self.knobs if not same(one[name], other[name])]

    def cost(self, names: Iterable[str]) -> str:
        """The class of the dearest of these knobs."""
        return max((self.knobs[name].cost for name in names), key=COSTS.index)

    async def apply(self, wanted: Settings, present: Settings) -> None:
        """Turn what differs. Raises what a knob raises, which `stuck` names then; those before it stay turned."""
        self.stuck = ""
        moved = self.differing(wanted, present)
        async with self._turning:
            for name in moved:
                if self.locked:
                    return
                try:
                    await self.knobs[name].set(wanted[name])
                except Exception:
                    self.stuck = name
                    raise
        if moved:
            await self._settled()

    async def restore(self, wanted: Settings, present: Settings) -> list[Exception]:
        """Turn back what differs: every knob, also if one of them cannot; gives the failures."""
        failures: list[Exception] = []
        async with self._turning:
            for name in self.differing(wanted, present) if not self.locked else ():
                try:
                    await self.knobs[name].set(wanted[name])
                except Exception as error:
                    failures.append(error)
        await self._settled()
        return failures

    async def force(self, wanted: Settings) -> None:
        """Lock the panel, wait for a change that is under way, and set these values, whatever is there."""
        self.locked = True
        async with self._turning:
            for name, value in wanted.items():
                if not same(value, await self.knobs[name].get()):
                    await self.knobs[name].set(value)

    def reachable(self, centre: Floats, points: Floats) -> Mask:
        """(k,) which of the points (k, D) are no farther from `centre` (D,) than knobs may go at once."""
        here = self.params(centre)
        there = [self.params(point) for point in points]
        within = [
            all(knob.share(here[name], to[name]) <= knob.max_step for name, knob in self.knobs.items()) for to in there
        ]
        return np.array(within, dtype=bool)

    def point(self, params: Mapping[str, Any]) -> Floats:
        """Settings as a point (D,)."""
        return np.asarray(self.space.encode(self.space.from_params([params]))[0])

    def params(self, point: Floats) -> Settings:
        """A point (D,) as settings."""
        _, reals, active = self.space.resolve(point[None])
        return dict(self.space.to_params(reals, active)[0])

    def labels(self, params: Mapping[str, Any]) -> Settings:
        """Settings as JSON has them."""
        return dict(self.space.to_labels(self.space.from_params([params]))[0])

    async def _settled(self) -> None:
        if self._settle is not None:
            given = self._settle()
            if inspect.isawaitable(given):
                await given
