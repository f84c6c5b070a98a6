"""Finds how many to run at once, and how many in a batch: concurrency and batch size of an async workload."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from ...core.errors import ObjectiveError
from ...core.parameter import Integer
from ...engine.optimize import aminimize
from ...engine.result import Result
from .benchmark import Benchmark

SPACE: dict[str, Any] = {"concurrency": Integer(1, 20), "batch_size": Integer(1, 1000, log=True)}
"""What is tuned unless a space is given: how many at once, how many together."""


class PerformanceOptimizer:
    """Tunes an async workload.

    workload: async f(params), which does the work once with these settings. Its duration is made small; or it gives
    what is to be made small: a number > 0, or a `Benchmark` (of which `metric` is taken, execution_time by default).
    space: parameters (timeouts and strategies, too).  initial: settings to try first.
    clock: of durations.  keywords: further ones of `aminimize` (strategy, store, name, eval_timeout, ...).

        optimizer = PerformanceOptimizer(workload)
        result = await optimizer.optimize_performance(max_evals=40)
        result.params, result.value
    """

    def __init__(
        self,
        workload: Callable[[dict[str, Any]], Awaitable[Any]],
        space: Mapping[str, Any] | None = None,
        *,
        metric: str = "execution_time",
        noisy: bool = True,
        initial: Any = None,
        clock: Callable[[], float] = perf_counter,
        **keywords: Any,
    ) -> None:
        if not callable(workload):
            raise ObjectiveError(f"workload: an async function of the settings is expected, got {workload!r:.60}")
        self.workload, self.space, self.metric = workload, dict(SPACE if space is None else space), metric
        self._clock = clock
        self._keywords = {"noisy": noisy, "initial": initial, "progress": False, "workers": 1, **keywords}

    async def optimize_performance(self, max_evals: int = 50, seed: int | None = None, **keywords: Any) -> Result:
        """Search; evaluations run one after the other, since they would slow each other down.

        Gives the study's result, whose values are logarithms of what was measured (times span decades, and models see
        ratios better than differences); `measured` turns them back.
        """
        chosen = {**self._keywords, "objectives": "log_" + self.metric, **keywords}
        return await aminimize(self._timed, self.space, max_evals=max_evals, seed=seed, **chosen)

    async def _timed(self, params: dict[str, Any]) -> float:
        began = self._clock()
        given = self.workload(params)
        if inspect.isawaitable(given):
            given = await given
        took = self._clock() - began
        if given is None:
            value = took
        elif isinstance(given, Benchmark):
            value = float(getattr(given, self.metric))
        else:
            value = float(given)
        if not value > 0:
            raise ValueError(
                f"the workload gave {self.metric} = {value}; a number > 0 is expected, whose logarithm is modelled; "
                "for other measures use aminimize()"
            )
        return math.log(value)


def measured(result: Result) -> float:
    """The best measurement itself, not its logarithm."""
    return math.exp(result.value)
