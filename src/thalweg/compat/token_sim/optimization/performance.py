"""`PerformanceOptimizer`: functions in parallel, vectorised, cached or in batches, and what they cost.

optimizer = PerformanceOptimizer(max_workers=4)

@optimizer.optimize_function(strategy=OptimizationStrategy.PARALLEL)
def my_function(data): ...

faster = optimizer.optimize_function(function, OptimizationStrategy.CACHED)
"""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ....apps.functions.batches import batches, in_batches, vectorised
from ....apps.functions.cache import NoKey, ResultCache, call_key
from ....apps.functions.meter import Meter, Monitor, PerformanceMetrics
from ....apps.functions.parallel import Backend, Parallel, Pool, locate
from ....apps.functions.pieces import Combine, divisible
from ....core.errors import ProblemError
from ....engine.choose import cores
from .strategy import OptimizationStrategy, strategies_of

__all__ = ["OptimizedFunction", "PerformanceMetrics", "PerformanceOptimizer"]

log = logging.getLogger("thalweg.functions")
_numbers = itertools.count()  # of functions: unlike an id, never given twice
Strategies = Any
"""An `OptimizationStrategy`, its value, or several of them."""


class PerformanceOptimizer:
    """Runs functions better, and measures them.

    max_workers: threads, and processes, of PARALLEL (None: as many as there are CPUs).  max_entries, max_bytes, ttl,
    memory_limit: of what CACHED keeps, see `thalweg.apps.functions.cache.ResultCache`.

    Use it as a context, or `close` it, to end its threads and processes; they also end with the object.

    Raises:
        ProblemError: fewer than one worker, limits that cannot be.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        max_entries: int | None = 10_000,
        max_bytes: int | None = None,
        ttl: float | None = None,
        memory_limit: int | None = None,
    ) -> None:
        if max_workers is not None and (
            isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1
        ):
            raise ProblemError(f"max_workers: a whole number >= 1, or None, is expected, got {max_workers!r}")
        self.max_workers = max_workers or cores()
        self.cache = ResultCache(max_entries, max_bytes, ttl, memory_limit)
        self._pool = Pool(self.max_workers)
        crew = self._pool.crew
        self._meter = Meter(self.cache, lambda: crew.cpu_seconds)
        self._monitor: Monitor | None = None

    # --- functions ------------------------------------------------------------------------------------------------

    def optimize_function(
        self,
        func: Any = None,
        strategy: Strategies = OptimizationStrategy.PARALLEL,
        *,
        batch_size: int = 1000,
        backend: Backend | None = None,
        combine: Combine | None = None,
        digits: int | None = None,
    ) -> Any:
        """`func` that runs as the strategy says; without `func` a decorator.

        PARALLEL: the first argument is cut into pieces, which are called at once; see `apps.functions.parallel` for
        when in threads and when in processes, and `backend` to say it.  BATCHED: pieces of `batch_size` items one
        after the other; of an iterator only one is held at a time.  VECTORIZED: lists of numbers come as arrays.
        CACHED: a call with equal arguments is answered from memory.  Together: the cache is asked first, batches are
        cut into the workers' pieces, and pieces are vectorised.

        combine: joins the results of pieces, in order (None: one result per item is expected, or None).
        digits: significant digits of floats that make a difference to CACHED (None: all).

        Raises:
            ProblemError: what cannot be; async functions, too.
        """
        if func is not None and not callable(func):
            if not isinstance(func, (OptimizationStrategy, str, frozenset, list, tuple, set)):
                raise ProblemError(f"optimize_function: a function or strategy= is expected, got {func!r}")
            func, strategy = None, func  # optimize_function(OptimizationStrategy.PARALLEL)
        options = _Options(strategies_of(strategy), batch_size, backend, combine, digits)

        def optimized(function: Callable[..., Any]) -> OptimizedFunction:
            return OptimizedFunction(function, self, options)

        return optimized if func is None else optimized(func)

    # --- measurements ---------------------------------------------------------------------------------------------

    def monitor_performance(self, interval: float = 60.0) -> Monitor:
        """Log memory, CPU, throughput, latency and cache hit ratio every `interval` seconds, from now on.

        Gives what can stop it; a second call replaces the first one's interval. Lines go to the logger
        "thalweg.functions", level INFO.
        """
        made = Monitor(self._meter, interval)
        self.stop_monitoring()
        self._monitor = made
        return made

    def stop_monitoring(self) -> None:
        """End the monitor, if there is one."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.stop()

    @property
    def metrics_history(self) -> list[PerformanceMetrics]:
        """The latest calls, oldest first, 10,000 at most."""
        return list(self._meter.history)

    def get_performance_report(self) -> dict[str, Any]:
        """Sums and means over `metrics_history`: timestamp, total_execution_time, average_memory_usage,
        average_cpu_usage, total_throughput, average_latency, cache_hits, cache_misses, cache_hit_ratio, and more."""
        return self._meter.report()

    def clear_cache(self) -> None:
        """Forget all results."""
        self.cache.clear()

    def reset_metrics(self) -> None:
        """Forget all calls and count anew; results stay."""
        self._meter.reset()

    def close(self) -> None:
        """End monitor, threads and processes; the functions can still be called."""
        self.stop_monitoring()
        self._pool.close()

    def __enter__(self) -> PerformanceOptimizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def optimize_performance(
        self, parameters: list[Any], objective: Callable[..., Any], iterations: int = 100, timeout: float | None = None
    ) -> Any:
        """The smallest `objective` over parameters of `compat.mtaio.optimization`, which it is a shorthand for."""
        from ...mtaio.optimization import Optimizer

        return await Optimizer().optimize(parameters, objective, iterations, timeout)


@dataclass(frozen=True, slots=True)
class _Options:
    strategies: frozenset[OptimizationStrategy]
    batch_size: int
    backend: Backend | None
    combine: Combine | None
    digits: int | None

    def __post_init__(self) -> None:
        for name, item in (("batch_size", self.batch_size), ("digits", self.digits)):
            if item is not None and (isinstance(item, bool) or not isinstance(item, int) or item < 1):
                raise ProblemError(f"{name}: a whole number >= 1 is expected, got {item!r}")
        if self.combine is not None and not callable(self.combine):
            raise ProblemError(f"combine: a function of a list of results is expected, got {self.combine!r}")


class OptimizedFunction:
    """What `optimize_function` makes; it is called like the function. In a class it is a method.

    function: the original one.
    """

    def __init__(self, function: Callable[..., Any], optimizer: PerformanceOptimizer, options: Any) -> None:
        if not callable(function):
            raise ProblemError(f"optimize_function: a function is expected, got {function!r}")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", function)
            raise ProblemError(f"{name} is async: await several at once with TaskExecutor.gather of apps.services")
        functools.update_wrapper(self, function)
        self.function, self.options = function, options
        self._optimizer = optimizer
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None
        self._number = next(_numbers)
        self._warned = False
        ways = options.strategies
        self._inner: Callable[..., Any] = _Vectorised(function) if OptimizationStrategy.VECTORIZED in ways else function
        self.parallel: Parallel | None = None
        if OptimizationStrategy.PARALLEL in ways:
            self.parallel = Parallel(self._inner, optimizer._pool, backend=options.backend, combine=options.combine)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._measured(args, kwargs, 0)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound = functools.partial(self._bound, instance)
        return functools.update_wrapper(bound, self.function)

    def __reduce__(self) -> Any:
        """By name where there is one; by parts, with an optimizer of its own, otherwise."""
        found: Any = sys.modules.get(self.function.__module__)
        for part in self.function.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is self and self.function.__module__ != "__main__":
            return self.function.__qualname__
        return _rebuilt, (self.function, self._optimizer.max_workers, self.options)

    def stream(self, data: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The result of every batch, made when it is asked for: nothing but one batch is ever held."""
        for batch in batches(data, self.options.batch_size):
            yield self._measured((batch, *args), kwargs, 0)

    def _bound(self, instance: Any, *args: Any, **kwargs: Any) -> Any:
        return self._measured((instance, *args), kwargs, 1)

    def _measured(self, args: tuple[Any, ...], kwargs: dict[str, Any], where: int) -> Any:
        found = locate(self.function, args, kwargs, where)
        items = len(found[0]) if found is not None and divisible(found[0]) else 1
        with self._optimizer._meter.measured(items) as told:
            if OptimizationStrategy.CACHED not in self.options.strategies:
                return self._run(args, kwargs, where)
            cache = self._optimizer.cache
            try:
                key = (self._number, call_key(self._signature, args, kwargs, self.options.digits))
            except NoKey as reason:
                cache.skipped += 1
                self._tell_once(reason)
                return self._run(args, kwargs, where)
            result, hit = cache.call(key, lambda: self._run(args, kwargs, where))
            told["hits" if hit else "misses"] = 1
            return result

    def _tell_once(self, reason: NoKey) -> None:
        if not self._warned:
            self._warned = True
            name = getattr(self.function, "__qualname__", self.function)
            log.warning("calls of %s are not cached: %s among their arguments cannot be compared", name, reason)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], where: int) -> Any:
        found = locate(self.function, args, kwargs, where)
        if OptimizationStrategy.BATCHED not in self.options.strategies or found is None:
            return self._piece(args, kwargs, where)
        data, task = found

        def call(batch: Any) -> Any:
            more, named = task(batch)
            return self._piece(more, named, where)

        return in_batches(call, data, self.options.batch_size, self.options.combine)

    def _piece(self, args: tuple[Any, ...], kwargs: dict[str, Any], where: int) -> Any:
        if self.parallel is not None:
            return self.parallel(args, kwargs, where)
        return self._inner(*args, **kwargs)


class _Vectorised:
    """A function whose lists of numbers come as arrays."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return vectorised(self.function, args, kwargs)[0]


def _rebuilt(function: Callable[..., Any], workers: int, options: Any) -> OptimizedFunction:
    return OptimizedFunction(function, PerformanceOptimizer(workers), options)
