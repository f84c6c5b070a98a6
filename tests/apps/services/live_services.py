"""Services for live tuners: one whose latencies are a formula, and the batch server."""

import numpy as np

from thalweg.apps.services.batch_server import SPACE, BatchServer, Settings
from thalweg.apps.services.knob import Knob
from thalweg.apps.services.live import LiveTuner
from thalweg.apps.services.window import Window
from thalweg.core.parameter import Float, Integer


class Formula:
    """Latencies (lognormal) around `level(settings)` seconds; remembers everything that was set, and every window."""

    def __init__(self, level, seed=0, requests=400, **settings):
        self.level, self.rng, self.requests = level, np.random.default_rng(seed), requests
        self.settings, self.set, self.measured = dict(settings), [], []
        self.errors, self.app_limited, self.memory = 0, False, 10.0

    def knob(self, name, parameter, **options):
        def apply(value):
            self.set.append((name, value))
            self.settings[name] = value

        return Knob(name, parameter, apply, lambda: self.settings[name], **options)

    async def measure(self):
        level = self.level(self.settings)
        self.measured.append(dict(self.settings))
        latencies = level * self.rng.lognormal(0.0, 0.2, self.requests)
        return Window(latencies, 1.0, self.errors, self.app_limited, self.memory)


def valley(settings):
    """Best at a = 50 (of 1 .. 100, log) and b = 4 (of 0 .. 10): 10 ms; 30 ms at (8, 8)."""
    return 0.01 * (1 + abs(np.log(settings["a"] / 50)) * 0.5 + abs(settings["b"] - 4) * 0.3)


def tuned(service, **options):
    knobs = [service.knob("a", Integer(1, 100, log=True)), service.knob("b", Float(0, 10))]
    return LiveTuner(service.measure, knobs, **options)


class Live:
    """A tuned batch server: windows of 4 s in four slices, and half a second to settle after each change. Everything
    that its users see is in `seen`: (when, Window), settling included."""

    WINDOW_S = 4.0

    def __init__(self, schedule, settings=None, seed=0, **options):
        self.server = BatchServer(schedule, settings or Settings(4, 8, 2.0), seed=seed, queue_limit=1000)
        self.seen = []
        knobs = [
            Knob(name, parameter, lambda value, name=name: self.server.configure(**{name: value}),
                 lambda name=name: getattr(self.server.settings, name))
            for name, parameter in SPACE.items()
        ]  # fmt: skip
        self.tuner = LiveTuner(self.measure, knobs, settle=lambda: self.go_on(0.5), seed=seed, **options)

    def go_on(self, seconds):
        window = self.server.advance(seconds)
        self.seen.append((self.server.now, window))
        return window

    async def measure(self):
        return self.go_on(self.WINDOW_S / 4)

    def share_over(self, limit_s, since=0.0, until=float("inf")):
        """The share of virtual time in which p95 exceeded `limit_s` or 1 % of the requests were refused."""
        parts = [window for moment, window in self.seen if since < moment <= until]
        bad = sum(part.seconds for part in parts if not part.p95 <= limit_s or part.error_rate > 0.01)
        return bad / sum(part.seconds for part in parts)
