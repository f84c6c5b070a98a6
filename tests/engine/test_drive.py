"""Where a run may be called from, how it is cancelled, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import psutil
import pytest

import thalweg as tw

SPACE = {"x": tw.Float(0, 1), "n": tw.Integer(1, 100)}


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    earlier = set(threading.enumerate())  # of another test's store or study, until it is collected
    yield
    threads = [thread.name for thread in set(threading.enumerate()) - earlier if thread.name.startswith("thalweg")]
    for _ in range(200):
        left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
        if not left:
            break
        time.sleep(0.01)
    assert left == [] and threads == []


def plain(p):
    return p["x"]


async def waits(p):
    await asyncio.sleep(0.001)
    return p["x"]


HOW = [
    (plain, {}),
    (plain, {"evaluator": "thread", "workers": 3}),
    (plain, {"workers": 2}),
    (plain, {"workers": "auto"}),
    (waits, {"workers": 5}),
]


@pytest.mark.parametrize(("objective", "how"), HOW, ids=lambda item: str(item) if isinstance(item, dict) else "")
def test_inside_a_running_event_loop_as_in_notebooks(objective, how):
    async def cell():
        return tw.minimize(objective, SPACE, strategy="de", max_evals=30, seed=0, **how)

    result = asyncio.run(cell())
    assert result.evaluations == 30 and result.failures == 0


@pytest.mark.parametrize(("objective", "how"), HOW, ids=lambda item: str(item) if isinstance(item, dict) else "")
def test_from_another_thread(objective, how):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(tw.minimize(objective, SPACE, strategy="de", max_evals=30, seed=0, **how))
    )
    thread.start()
    thread.join()
    assert results[0].evaluations == 30 and results[0].failures == 0


@pytest.mark.parametrize(("objective", "how"), HOW, ids=lambda item: str(item) if isinstance(item, dict) else "")
def test_awaited(objective, how):
    async def main():
        return await tw.aminimize(objective, SPACE, strategy="de", max_evals=30, seed=0, **how)

    result = asyncio.run(main())
    assert result.evaluations == 30 and result.failures == 0


def test_two_studies_in_one_loop():
    now = most = 0

    async def counted(p):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return p["x"]

    async def main():
        return await asyncio.gather(
            *(tw.aminimize(counted, SPACE, strategy="random", max_evals=40, workers=8, seed=seed) for seed in range(2))
        )

    results = asyncio.run(main())
    assert [result.evaluations for result in results] == [40, 40] and most == 16


def takes_long(p, context):
    time.sleep(0.005 if context.number < 6 else 60)
    return p["x"]


async def waits_long(p, context):
    await asyncio.sleep(0.005 if context.number < 6 else 60)
    return p["x"]


@pytest.mark.filterwarnings("ignore:the objective")  # the later runs have another one on purpose
@pytest.mark.parametrize(
    ("objective", "how"), [(waits_long, {"workers": 10}), (takes_long, {"workers": 2})], ids=["async", "process"]
)
def test_cancelled_by_the_caller_nothing_is_lost(tmp_path, objective, how):
    finished = []

    def listen(event):
        if event.kind == "finished":
            finished.extend(event.data["numbers"].tolist())
            if len(finished) >= 2:  # a job may hold several rows, hanging ones too
                task.cancel()

    async def main(study):
        nonlocal task
        task = asyncio.ensure_future(study.arun(objective, max_evals=40, **how))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(study.trials) == len(finished) >= 2
        return study

    task = None
    with tw.Study(SPACE, store=tmp_path / "a.db", strategy="de", seed=2, listeners=[listen]) as study:
        asyncio.run(main(study))
        before = [(trial.number, trial.params) for trial in study.trials]
        result = study.run(plain, max_evals=40)
        assert result.evaluations == 40 and result.failures == 0
        assert set(before_key(before)) <= set(before_key((t.number, t.params) for t in result.trials))
    with tw.Study(SPACE, store=tmp_path / "a.db", strategy="de", seed=2) as study:
        assert study.run(plain, max_evals=45).evaluations == 45


def before_key(rows):
    return [(number, *sorted(params.items())) for number, params in rows]


def test_arun_has_the_keywords_of_run():
    async def main():
        study = tw.Study({"x": tw.Float(0, 1, default=0.5)}, strategy="random", seed=0)
        with pytest.raises(TypeError, match=r"arun\(\) has no keyword 'worker'; did you mean workers\?"):
            await study.arun(plain, max_evals=3, worker=3)
        return await study.arun(plain, max_evals=3, initial="defaults", retries=1, progress=False, stop=tw.Patience(50))

    assert asyncio.run(main()).trials[0].params == {"x": 0.5}


def exits(p):
    if p["n"] == 17:
        os._exit(3)
    return p["x"]


def faults(p):
    if p["n"] == 17:
        os.kill(os.getpid(), signal.SIGSEGV)
    return p["x"]


@pytest.mark.parametrize("objective", [exits, faults])
def test_a_crash_in_one_of_a_hundred_leaves_ninety_nine(objective):
    result = tw.minimize(objective, {"n": tw.Integer(1, 100), "x": 1.0}, strategy="grid", max_evals=100, workers=2)
    assert result.evaluations == 100
    assert [trial.params["n"] for trial in result.trials if not trial.ok] == [17]


def troubled(p, context):
    marker = os.path.join(p["folder"], f"{context.number}")
    tries = os.path.getsize(marker) if os.path.exists(marker) else 0
    with open(marker, "a") as file:
        file.write("x")
    if p["n"] == 3:
        time.sleep(60)
    if p["n"] == 4 and tries < 2:
        raise RuntimeError("flaky")
    return float(p["n"])


def test_retries_repeats_and_deadlines_together(tmp_path):
    space = {"n": tw.Integer(1, 5), "folder": str(tmp_path)}
    result = tw.minimize(
        troubled, space, strategy="grid", max_evals=15, workers=2, retries=2, repeats=3, eval_timeout=0.3, seed=0
    )
    assert result.evaluations == 15 and result.value == 1
    by_n = {n: [t for t in result.trials if t.params["n"] == n] for n in range(1, 6)}
    assert {len(trials) for trials in by_n.values()} == {3}
    assert {t.status for t in by_n[3]} == {tw.Status.TIMEOUT} and {t.attempt for t in by_n[3]} == {1}
    assert all(t.ok and t.attempt == 3 for t in by_n[4])
    assert result.failures == 3
