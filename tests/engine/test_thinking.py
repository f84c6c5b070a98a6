"""A search in an event loop that others use: who thinks where, and that nothing else depends on it."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from time import thread_time

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.strategy import Strategy
from thalweg.engine import thinking
from thalweg.engine.thinking import CALM, SLOW_S, Thinking

SPACE = {"x": tw.Float(-5, 5), "y": tw.Float(-5, 5)}
WORD = contextvars.ContextVar("word", default="none")
PATIENCE_S = 0.3


async def bowl(p):
    await asyncio.sleep(0)
    return (p["x"] - 1) ** 2 + (p["y"] + 2) ** 2


class Slow(Strategy):
    """Random points. asking, telling: called inside; they may take their time."""

    def __init__(self, asking=None, telling=None, ponders=False):
        self._asking, self._telling, self._ponders = asking, telling, ponders
        self.asked_in, self.told_in, self.heard = [], [], []

    @property
    def ponders(self):
        return self._ponders

    def begin(self):
        self.asked_in, self.told_in, self.heard = [], [], []

    def propose(self, n):
        self.asked_in.append(threading.current_thread().name)
        if self._asking is not None:
            self._asking(len(self.asked_in))
        return self.rng.random((1, self.dimension))

    def learn(self, answers):
        self.told_in.append(threading.current_thread().name)
        self.heard += answers.tickets.tolist()
        if self._telling is not None:
            self._telling(len(self.told_in))

    def state(self):
        return {"next": self.next_ticket, "pending": sorted(self._pending), "rng": self.rng.bit_generator.state}


def busy(seconds):
    """Takes so much CPU time."""
    until = thread_time() + seconds
    while thread_time() < until:
        pass


@pytest.fixture
def on_the_loop(monkeypatch):
    monkeypatch.setattr(Thinking, "away", property(lambda self: False))


async def _beats_while_it_thinks(which):
    """How many of three asks (or tells) saw the loop's heart beat before their patience was at an end."""
    beat, seen = threading.Event(), []

    def waits(count):
        if count <= 3:
            beat.clear()
            seen.append(beat.wait(PATIENCE_S))

    async def heart():
        while True:
            beat.set()
            await asyncio.sleep(0.001)

    strategy = Slow(waits, None, ponders=True) if which == "ask" else Slow(None, waits, ponders=True)
    beating = asyncio.ensure_future(heart())
    await asyncio.sleep(0)
    result = await tw.aminimize(bowl, SPACE, strategy=strategy, max_evals=6, seed=1, workers=1, progress=False)
    beating.cancel()
    assert result.evaluations == 6
    return sum(seen)


@pytest.mark.parametrize("which", ["ask", "tell"])
def test_the_loop_goes_on_while_a_strategy_thinks(which):
    assert asyncio.run(_beats_while_it_thinks(which)) == 3


@pytest.mark.parametrize("which", ["ask", "tell"])
def test_on_the_loop_itself_it_would_not(which, on_the_loop):
    assert asyncio.run(_beats_while_it_thinks(which)) == 0


def run(strategy, evals=40, **keywords):
    return asyncio.run(
        tw.aminimize(bowl, SPACE, strategy=strategy, max_evals=evals, seed=3, workers=1, progress=False, **keywords)
    )


def test_quick_strategies_never_leave_the_loop(monkeypatch):
    monkeypatch.setattr(thinking, "SLOW_S", 30.0)  # whatever else the machine does
    strategy = Slow()
    run(strategy)
    assert set(strategy.asked_in + strategy.told_in) == {"MainThread"}


def test_a_slow_one_leaves_it_and_comes_back_when_it_is_quick_again(monkeypatch):
    monkeypatch.setattr(thinking, "QUICK_S", 30.0)
    strategy = Slow(lambda count: busy(4 * SLOW_S) if count <= 4 else None)
    monkeypatch.setattr(thinking, "SLOW_S", 2 * SLOW_S)
    run(strategy, evals=60)
    where = ["loop" if name == "MainThread" else "thread" for name in strategy.asked_in]
    assert where[:4] == ["loop", "loop", "thread", "thread"]  # the second time is measured in CPU time
    assert where.count("thread") >= CALM // 2
    assert where[-1] == "loop"
    assert {name for name in strategy.asked_in if name != "MainThread"} == {"thalweg-strategy_0"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("thalweg-strategy")]


@pytest.mark.parametrize("name", ["bayesian", "cmaes", "de"])
@pytest.mark.parametrize("how", [{}, {"ordered": 2}], ids=["plain", "ordered"])
def test_results_are_the_same_wherever_it_thinks(name, how, monkeypatch):
    def points():
        keywords = how or {"workers": 1}
        result = asyncio.run(tw.aminimize(bowl, SPACE, strategy=name, max_evals=12, seed=3, progress=False, **keywords))
        return [tuple(trial.params.values()) for trial in result.trials]

    monkeypatch.setattr(Thinking, "away", property(lambda self: False))
    here = points()
    monkeypatch.setattr(Thinking, "away", property(lambda self: self.beside))
    assert points() == here
    if not how:
        plain = tw.minimize(lambda p: asyncio.run(bowl(p)), SPACE, strategy=name, max_evals=12, seed=3, progress=False)
        assert [tuple(trial.params.values()) for trial in plain.trials] == here


def test_what_lands_meanwhile_is_heard_in_the_order_in_which_it_landed():
    strategy = Slow(lambda count: busy(0.003), ponders=True)
    asyncio.run(tw.aminimize(bowl, SPACE, strategy=strategy, max_evals=30, seed=3, workers=4, progress=False))
    assert sorted(strategy.heard) == list(range(30))


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, StopIteration, SystemExit])
@pytest.mark.parametrize("which", ["ask", "tell"])
def test_errors_come_out(which, error):
    def breaks(count):
        if count == 3:
            raise error("broken")

    strategy = Slow(breaks, None, ponders=True) if which == "ask" else Slow(None, breaks, ponders=True)
    with pytest.raises(RuntimeError if error is StopIteration else error):
        run(strategy)


def test_context_variables_are_seen():
    words = []
    WORD.set("given")
    run(Slow(lambda count: words.append(WORD.get()), ponders=True), evals=3)
    assert words[:3] == ["given"] * 3


async def _cut_off(study, thinks, resting):
    """Cancel a run while its strategy thinks."""
    task = asyncio.ensure_future(study.arun(bowl, max_evals=20, workers=1, progress=False))
    while not thinks.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()  # the thought comes to its end first
    resting.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("which", ["ask", "tell"])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_cancelled_run_goes_on_as_if_nothing_had_been(which, store, tmp_path):
    thinks, resting = threading.Event(), threading.Event()

    def waits(count):
        if count == 5:
            thinks.set()
            resting.wait(10)

    strategy = Slow(waits, None, ponders=True) if which == "ask" else Slow(None, waits, ponders=True)
    given = {} if store == "memory" else {"store": f"sqlite:///{tmp_path}/s.db", "name": "s"}
    study = tw.Study(SPACE, strategy=strategy, seed=3, **given)
    asyncio.run(_cut_off(study, thinks, resting))
    assert 3 <= len(study.trials) < 20
    result = asyncio.run(study.arun(bowl, max_evals=20, workers=1, progress=False))
    assert result.evaluations == 20
    assert sorted(strategy.heard) == list(range(20))
    whole = run(Slow(), evals=20)
    found, expected = (np.array([list(t.params.values()) for t in one.trials]) for one in (result, whole))
    np.testing.assert_array_equal(found, expected)


def test_a_time_limit_of_the_caller_is_a_time_limit():
    async def limited():
        async with asyncio.timeout(0.05):
            await tw.aminimize(
                bowl, SPACE, strategy=Slow(lambda count: busy(0.02), ponders=True), max_evals=10_000, progress=False
            )

    with pytest.raises(TimeoutError):
        asyncio.run(limited())


def test_a_plain_objective_leaves_the_loop_its_turns():
    async def both():
        beats = 0

        async def heart():
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0)

        beating = asyncio.ensure_future(heart())
        await tw.aminimize(
            lambda p: busy(0.002) or p["x"] ** 2, SPACE, strategy="random", max_evals=60, seed=1, progress=False
        )
        beating.cancel()
        return beats

    assert asyncio.run(both()) >= 3


def test_thinking_threads_are_polite_and_leave_the_setting_as_it_was():
    before, inside = sys.getswitchinterval(), []
    run(Slow(lambda count: inside.append(sys.getswitchinterval()), ponders=True), evals=3)
    assert max(inside) <= thinking.POLITE_S < before + 1e-9
    assert sys.getswitchinterval() == before
    with thinking.polite(), thinking.polite():
        pass
    assert sys.getswitchinterval() == before
