"""An event loop whose clock jumps: sleeping takes no time, and `loop.time()` says how long it would have taken."""

import asyncio


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        self.now = 0.0

    def time(self):
        return self.now

    async def shutdown_default_executor(self, timeout=None):
        await super().shutdown_default_executor()  # real threads end in real time: no limit in virtual time

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


def run(coroutine):
    """The coroutine's result, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def clock():
    """Seconds of virtual time."""
    return asyncio.get_running_loop().time()
