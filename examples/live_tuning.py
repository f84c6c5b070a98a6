"""Live tuning of a batch server in virtual time: 3000 requests per second, then 6000, then 1500.

    python examples/live_tuning.py [picture.png]

Three servers get the same requests: one keeps the settings that are best at first, one lets an `AdaptiveLimit` turn its
concurrency, one has a `LiveTuner`. Prints how they do, and draws it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from thalweg.apps.services.adaptive_limit import AdaptiveLimit
from thalweg.apps.services.batch_server import SPACE, BatchServer, Settings
from thalweg.apps.services.knob import Knob
from thalweg.apps.services.live import LiveTuner
from thalweg.apps.services.window import Window

LOAD = [(0.0, 3000.0), (200.0, 6000.0), (400.0, 1500.0)]
END, WINDOW_S, SLO_S = 600.0, 4.0, 0.035
Seen = list[tuple[float, Window]]


def server(seed: int) -> BatchServer:
    """With the settings that are best at the first load; at most 1000 requests may wait."""
    return BatchServer(LOAD, Settings(4, 8, 2.0), seed=seed, queue_limit=1000)


def fixed(seed: int) -> Seen:
    """Nobody turns anything."""
    made = server(seed)
    return [(made.now, made.advance(1.0)) for _ in range(int(END))]


def limited(seed: int) -> Seen:
    """A limit turns the concurrency, by what it hears of latencies."""
    made, limit = server(seed), AdaptiveLimit(initial=4, high=10)
    seen = []
    while made.now < END:
        window = made.advance(0.25)
        for latency in window.latencies[:: max(1, window.answered // 20)]:
            limit.update(float(latency), limit.limit)
        made.configure(concurrency=limit.limit)
        seen.append((made.now, window))
    return seen


async def tuned(seed: int, **options: Any) -> tuple[Seen, LiveTuner]:
    """A live tuner turns concurrency, batch size and waiting time."""
    made = server(seed)
    seen: Seen = []

    def go_on(seconds: float) -> Window:
        window = made.advance(seconds)
        seen.append((made.now, window))
        return window

    async def measure() -> Window:
        return go_on(WINDOW_S / 4)

    knobs = [
        Knob(name, parameter, lambda value, name=name: made.configure(**{name: value}),
             lambda name=name: getattr(made.settings, name))
        for name, parameter in SPACE.items()
    ]  # fmt: skip
    tuner = LiveTuner(measure, knobs, settle=lambda: go_on(0.5), seed=seed, **options)
    while made.now < END:
        await tuner.step()
    return seen, tuner


def share_bad(seen: Seen) -> float:
    """Share of the time in which p95 was over the objective or 1 % of the requests were refused."""
    bad = sum(window.seconds for _, window in seen if not window.p95 <= SLO_S or window.error_rate > 0.01)
    return bad / sum(window.seconds for _, window in seen)


def draw(lines: dict[str, Seen], path: str) -> None:
    """p95 over time, on a logarithmic axis."""
    from thalweg.watch.plots import ACCENT, BAD, FAINT, MUTED, blank, save

    made = blank("drawing live tuning")
    made.set_size_inches(10, 4)
    axes = made.subplots()
    for (name, seen), color in zip(lines.items(), (FAINT, BAD, ACCENT), strict=True):
        axes.plot([at for at, _ in seen], [1000 * window.p95 for _, window in seen], color=color, lw=1.1, label=name)
    for begin, rate in LOAD:
        axes.axvline(begin, color=FAINT, lw=1)
        axes.text(begin + 4, 480, f"{rate:g} requests/s", fontsize=8, color=MUTED)
    axes.axhline(1000 * SLO_S, color=FAINT, ls="--", lw=1)
    axes.set_yscale("log")
    axes.set_ylim(5, 700)
    axes.set_yticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    axes.set_xlabel("virtual time (s)")
    axes.set_ylabel("p95 latency (ms)")
    axes.legend(fontsize=8, frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.9))
    print(f"picture: {save(made, path)}")


def main() -> None:
    """Compare, print, draw."""
    seen, tuner = asyncio.run(tuned(0))
    lines = {"adaptive limit alone": limited(0), "fixed settings": fixed(0), "live tuner": seen}
    for name, line in lines.items():
        print(f"{name:22} p95 over {1000 * SLO_S:g} ms or over 1 % refused: {share_bad(line):.1%} of the time")
    tally = tuner.tally
    print(
        f"{tally.windows} windows, {tally.tried} candidates, {tally.adopted} adopted, {tally.rolled_back} rolled back"
    )
    for line in tuner.audit():
        if line["event"] in {"started", "drift", "adopted"}:
            print({name: item for name, item in line.items() if name in {"event", "window", "settings", "gain"}})
    if len(sys.argv) > 1:
        draw(lines, sys.argv[1])


if __name__ == "__main__":
    main()
