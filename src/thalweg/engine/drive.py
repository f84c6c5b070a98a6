"""Running the loop's coroutine: on this thread without an event loop, or by asyncio; and Ctrl-C."""

from __future__ import annotations

import signal as signals
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .flights import Signal

T = TypeVar("T")


def drive(make: Callable[[], Coroutine[Any, Any, T]], suspends: bool) -> T:
    """The result of the coroutine that `make` makes.

    Coroutines that never suspend run on this thread, also inside a running event loop (notebooks). Others get an event
    loop of their own; where one is running already, in a helper thread.
    """
    if not suspends:
        coroutine = make()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        coroutine.close()
        raise RuntimeError("a coroutine that must not suspend did; is an evaluator's `suspends` wrong?")
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    return _in_thread(lambda: asyncio.run(make()))


async def sheltered(coroutine: Coroutine[Any, Any, T]) -> T:
    """Finish `coroutine`, also while the caller is cancelled (again); the cancellation comes afterwards."""
    import asyncio

    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # raised by task.result() below
            break
    if cancelled is not None and not task.cancelled():
        raise cancelled
    return task.result()


def _in_thread(call: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # handed to the caller's thread below
            failure.append(error)

    thread = threading.Thread(target=body, name="thalweg-loop")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@contextmanager
def interruptible(signal: Signal, suspends: bool) -> Iterator[None]:
    """Ctrl-C: the first one drains (what runs is finished), the second stops at once, a third raises.

    Only on the main thread, and only where Ctrl-C is Python's own (an application's handler is left alone).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signals.getsignal(signals.SIGINT)
    if before is not signals.default_int_handler:
        yield
        return
    count = 0

    def handler(_number: int, _frame: Any) -> None:
        nonlocal count
        count += 1
        signal.reason = "interrupted"
        signal.draining = True
        if count == 1:
            print("\ninterrupted: finishing what runs; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        else:
            signal.stopping = True
        if signal.wake is not None:
            signal.wake()
        if count > 2 or (count == 2 and not suspends):
            raise KeyboardInterrupt

    signals.signal(signals.SIGINT, handler)
    try:
        yield
    finally:
        signals.signal(signals.SIGINT, before)
