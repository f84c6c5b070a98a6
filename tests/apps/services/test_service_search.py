"""Search: the strategy thinks beside the loop, evaluations run on it, and an end comes at once with the best so far."""

import asyncio
import threading
from time import process_time

import pytest

import thalweg as tw
from thalweg.apps.services.search import STOPPED, Search
from thalweg.core.errors import ObjectiveError, OutOfOrder, ProblemError
from thalweg.parts.strategies.random_search import Random

SPACE = {"x": (-5.0, 5.0), "n": tw.Integer(1, 9)}


async def loss(params):
    await asyncio.sleep(0)
    return params["x"] ** 2 + params["n"]


class Thinking(Random):
    """Gives its next point only when the loop goes on meanwhile."""

    ponders = True

    def propose(self, n):
        self.heartbeat.clear()
        assert self.heartbeat.wait(30), "the event loop stood still while the strategy was thinking"
        return super().propose(n)


def test_the_loop_goes_on_while_the_strategy_thinks():
    strategy = Thinking()
    strategy.heartbeat = threading.Event()
    where = set()

    async def objective(params):
        where.add(threading.current_thread())
        return await loss(params)

    async def main():
        async def beat():
            while True:
                strategy.heartbeat.set()
                await asyncio.sleep(0)

        beating = asyncio.ensure_future(beat())
        result = await Search(objective, SPACE, strategy=strategy, max_evals=5, workers=1, seed=0).run()
        beating.cancel()
        return result

    result = asyncio.run(main())
    assert result.evaluations == 5 and where == {threading.main_thread()}


def test_stopping_while_the_strategy_thinks():
    thinks, rest = threading.Event(), threading.Event()

    class Dozing(Random):
        ponders = True

        def propose(self, n):
            if self.next_ticket >= 6:
                thinks.set()
                rest.wait(10)
            return super().propose(1)

    async def main():
        search = Search(loss, SPACE, strategy=Dozing(), max_evals=1000, workers=1, seed=0)
        task = asyncio.ensure_future(search.run())
        while not thinks.is_set():
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(search.stop())
        await asyncio.sleep(0.01)
        rest.set()
        assert await stopping is await task
        return await stopping

    result = asyncio.run(main())
    assert result.stop_reason == STOPPED and result.evaluations == 6


def test_it_is_the_same_search():
    async def main():
        beside = await Search(loss, SPACE, max_evals=30, workers=1, seed=3, strategy="genetic").run()
        inside = await tw.aminimize(loss, SPACE, max_evals=30, workers=1, seed=3, strategy="genetic", progress=False)
        return beside, inside

    beside, inside = asyncio.run(main())
    assert [trial.params for trial in beside.trials] == [trial.params for trial in inside.trials]
    assert beside.value == inside.value


@pytest.mark.parametrize("store", [None, "sqlite"])
def test_stop_gives_the_best_so_far_and_cancels_what_runs(store, tmp_path):
    address = store and f"sqlite:///{tmp_path / 'a.db'}"
    running, cancelled = [], []

    async def objective(params):
        running.append(params)
        if len(running) > 12:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(params)
                raise
        return await loss(params)

    async def main():
        search = Search(objective, SPACE, max_evals=10_000, workers=4, seed=0, store=address, strategy="random")
        with pytest.raises(OutOfOrder, match="does not run"):
            await search.stop()
        task = asyncio.ensure_future(search.run())
        while len(running) < 16:
            await asyncio.sleep(0.001)
        stopped = await search.stop()
        assert (await task) is stopped
        with pytest.raises(OutOfOrder, match="was run before"):
            await search.run()
        search.close()
        return stopped

    result = asyncio.run(main())
    assert len(cancelled) == 4 and result.evaluations == 12 and result.stop_reason == STOPPED
    assert result.value == min(trial.value for trial in result.trials)


def test_a_cancelled_run_stops_the_search_and_the_study_has_what_was_done():
    async def main():
        search = Search(loss, SPACE, max_evals=10**9, workers=2, seed=0, strategy="random")
        task = asyncio.ensure_future(search.run())
        while len(search.study.trials) < 20:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("thalweg")]
        return search.study

    assert asyncio.run(main()).best.value < 20


def test_aminimize_itself_ends_at_once_too():
    """Cancelling costs no more than a few milliseconds of CPU, and the study has the best so far."""

    async def main():
        async def slow(params):
            await asyncio.sleep(0 if len(study.trials) < 30 else 3600)
            return await loss(params)

        study = tw.Study(SPACE, seed=0, strategy="random")
        task = asyncio.ensure_future(study.arun(slow, max_evals=1000, workers=8, progress=False))
        while len(study.trials) < 30:
            await asyncio.sleep(0.001)
        before = process_time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return process_time() - before, study

    spent, study = asyncio.run(main())
    assert spent < 0.1 and study.best.value == min(trial.value for trial in study.trials)


def test_an_orchestrated_trial_costs_little():
    async def nothing(params):
        return 0.5

    async def main(evaluations):
        best = float("inf")
        for seed in range(3):
            before = process_time()
            await tw.aminimize(nothing, SPACE, max_evals=evaluations, strategy="random", seed=seed, progress=False)
            best = min(best, process_time() - before)
        return best

    asyncio.run(main(50))
    assert asyncio.run(main(1000)) < 0.6  # 0.2 s on an idle machine; see docs/how-to/services.md


def test_failures_come_through():
    async def broken(params):
        return "text"

    async def run(**keywords):
        return await Search(broken, SPACE, seed=0, **keywords).run()

    with pytest.raises(ObjectiveError):
        asyncio.run(run(max_evals=3))
    with pytest.raises(ProblemError, match=r"limit|max_evals"):
        asyncio.run(run())
    with pytest.raises(ObjectiveError, match="async function"):
        Search(lambda params: 0.0, SPACE)


def test_objectives_may_want_their_context():
    seen = []

    async def objective(params, context):
        seen.append(context.number)
        return await loss(params)

    asyncio.run(Search(objective, SPACE, max_evals=4, seed=0, workers=1).run())
    assert seen == [0, 1, 2, 3]
