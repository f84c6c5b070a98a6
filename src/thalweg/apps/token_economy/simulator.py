"""The simulator: columns of parameters in, metrics out; thousands of paths side by side.

simulator = Simulator(paths=500, days=365, seed=0)
result = simulator.evaluate({"consensus": ["pow", "pos"], "block_reward": [1.0, 2.0]})
result.mean["price_stability"]         # (2,)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError
from .consensus import CONSENSUS, Consensus
from .metrics import METRICS, Run, measure
from .noise import standard_noise
from .parameters import table_of
from .state import Config, Day, Scene
from .step import advance, begin
from .summary import Summary
from .tally import Tally
from .world import World

ELEMENTS = 8192
"""Configurations x paths that are stepped together: few enough to stay in the processor's cache."""

Watcher = Callable[[Scene], None]
"""Called after every day (NumPy engine); must not change what it is given."""


class Controller(Protocol):
    """Adjusts parameters while a run goes on. `ADJUSTABLE` names what it may change."""

    def __call__(self, at: Scene, /) -> Mapping[str, Floats]:
        """New values {name: (C, 1) or (C, P)} from the next day on, from what today came to."""


ADJUSTABLE = {"block_reward": "reward", "transaction_fee": "fee", "burn_share": "burn_share", "staking_apy": "apy"}
"""Parameters that can change during a run -> their names in `Config`."""


@dataclass(frozen=True)
class Simulator:
    """A seeded simulator.

    paths: Monte-Carlo paths per configuration.  days: length of a run.  seed: of the noise, which is the same for every
    configuration.  world: constants.  engine: "numpy", or "numba" (extra "fast"; equal to 1e-9, better for few paths).
    kinds: kinds of consensus, yours beside the built-in ones (numpy only).

    paths and days are the fidelity: `at(paths=50, days=90)` gives a cheaper simulator on a part of the same noise.

    Raises:
        ProblemError: counts below 1, an unknown engine.  MissingExtra: numba is not installed.
    """

    paths: int = 500
    days: int = 365
    seed: int = 0
    world: World = field(default_factory=World)
    engine: Literal["numpy", "numba"] = "numpy"
    kinds: Mapping[str, Consensus] | None = None

    def __post_init__(self) -> None:
        for name in ("paths", "days"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ProblemError(f"simulator: {name} is a whole number of at least 1, got {value!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise ProblemError(f"simulator: seed is a whole number >= 0, got {self.seed!r}")
        if self.engine not in ("numpy", "numba"):
            raise ProblemError(f"simulator: engine is 'numpy' or 'numba', got {self.engine!r}")
        if self.engine == "numba":
            from . import kernel

            kernel.compiled()

    @cached_property
    def noise(self) -> Floats:
        """(days, 2, paths)."""
        return standard_noise(int(self.seed), self.paths, self.days)

    def at(self, **changes: Any) -> Simulator:
        """The same with other paths, days, seed, world or engine."""
        return replace(self, **changes)

    def __call__(self, columns: Mapping[str, Any]) -> dict[str, Floats]:
        """{metric: (n,) means over paths}: an objective for `vectorised=True`."""
        return self.evaluate(columns).mean

    def evaluate(
        self, columns: Mapping[str, Any], watch: Watcher | None = None, controller: Controller | None = None
    ) -> Summary:
        """Run n configurations. columns: {name: (n,)}, see `parameters`; what is missing has its default.

        watch: called after every day of every block of configurations.  controller: adjusts parameters on the way.

        Raises:
            ProblemError: columns that cannot be.
        """
        began, cpu = time.perf_counter(), time.process_time()
        labels, table = table_of(columns, self._kinds)
        paths = {name: np.empty((len(labels), self.paths)) for name in METRICS}
        for label in dict.fromkeys(labels.tolist()):
            rows = np.flatnonzero(labels == label)
            kind = self._kinds[label]
            config = Config.of({name: column[rows] for name, column in table.items()}, kind.own_block_time, self.world)
            step = max(1, ELEMENTS // self.paths)
            for first in range(0, len(rows), step):
                some = slice(first, first + step)
                run = self._run(kind, config.rows(some), watch, controller)
                for name, values in measure(run).items():
                    paths[name][rows[some]] = values
        cost = {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "memory_bytes": float(_memory()),
            "path_days": float(len(labels) * self.paths * self.days),
        }
        return Summary(paths, cost, len(labels))

    @property
    def _kinds(self) -> dict[str, Consensus]:
        return {**CONSENSUS, **(self.kinds or {})}

    def _run(self, kind: Consensus, config: Config, watch: Watcher | None, controller: Controller | None) -> Run:
        state = begin(kind, config, self.world, self.paths)
        if self.engine == "numba" and kind.code is not None and watch is None and controller is None:
            from . import kernel

            tally = kernel.run(kind.code, state, config, self.world, self.noise)
            return Run(state, tally, config, kind, self.world, self.days)
        tally = Tally.start(state)
        demand, electricity = (item.tolist() for item in self.world.factors(self.days))
        for number in range(self.days):
            day = Day(number, demand[number], electricity[number])
            advance(state, config, self.world, kind, day, self.noise[number])
            tally.add(state, config, day)
            if watch is not None:
                watch(Scene(state, config, self.world, day))
            if controller is not None:
                config = _adjusted(config, controller(Scene(state, config, self.world, day)))
        return Run(state, tally, config, kind, self.world, self.days)


def _adjusted(config: Config, changes: Mapping[str, Floats]) -> Config:
    unknown = sorted(set(changes) - set(ADJUSTABLE))
    if unknown:
        raise ProblemError(f"a controller may change {', '.join(ADJUSTABLE)}, not {', '.join(unknown)}")
    for name, values in changes.items():
        if not (np.isfinite(values).all() and (values >= 0).all() and (name != "burn_share" or (values <= 1).all())):
            raise ProblemError(f"a controller gave {name} a value that is not finite, below 0, or a share above 1")
    return replace(config, **{ADJUSTABLE[name]: values for name, values in changes.items()})


def _memory() -> int:
    """Bytes that this process occupies."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
