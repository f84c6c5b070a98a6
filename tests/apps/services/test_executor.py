"""TaskExecutor: limits, order, second evaluations, failures, time-outs, threads, and a clean end."""

import asyncio
import threading
from functools import partial

import pytest
from virtual_time import clock, run

from thalweg.apps.services.executor import TaskExecutor
from thalweg.core.errors import OutOfOrder, ProblemError


class Counter:
    """Work that counts how much of it runs at once."""

    def __init__(self):
        self.now = self.most = self.done = 0

    async def work(self, item, seconds=1.0):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.now -= 1
        self.done += 1
        return item


@pytest.mark.parametrize(("limit", "most", "seconds"), [(1, 1, 10.0), (3, 3, 4.0), (10, 10, 1.0), (None, 10, 1.0)])
def test_gather_keeps_to_its_limit_and_to_the_order(limit, most, seconds):
    counter = Counter()

    async def main():
        async with TaskExecutor() as executor:
            works = [partial(counter.work, index, 1.0) for index in range(10)]
            return await executor.gather(*works, limit=limit), clock()

    results, took = run(main())
    assert results == list(range(10)) and counter.most == most and took == pytest.approx(seconds)


def test_the_same_functions_run_in_a_second_evaluation_and_the_executor_is_entered_again():
    counter = Counter()

    async def main():
        executor = TaskExecutor()
        works = [partial(counter.work, index) for index in range(4)]
        results = []
        for _ in range(3):
            async with executor:
                results.append(await executor.gather(*works, limit=2))
                results.append([await executor.run_in_thread(max, 1, 2)])
        return results

    assert run(main()) == [[0, 1, 2, 3], [2]] * 3
    assert counter.done == 12


def test_a_spent_coroutine_is_named_and_nothing_starts():
    counter = Counter()

    async def main():
        async with TaskExecutor() as executor:
            coroutines = [counter.work(0), counter.work(1)]
            assert await executor.gather(*coroutines) == [0, 1]
            fresh = counter.work(2)
            with pytest.raises(ProblemError, match=r"work 1: the coroutine work\(\) was awaited already.*partial"):
                await executor.gather(fresh, coroutines[1])
            fresh.close()
            with pytest.raises(ProblemError, match="awaited already"):
                await executor.run(coroutines[0])

    run(main())
    assert counter.done == 2


def test_the_first_failure_cancels_the_rest_and_closes_what_never_started():
    counter = Counter()

    async def fail():
        await asyncio.sleep(0.5)
        raise LookupError("gone")

    async def main():
        async with TaskExecutor() as executor:
            with pytest.raises(LookupError, match="gone"):
                await executor.gather(fail(), counter.work(1), counter.work(2), limit=2)
            assert counter.now == 0 and executor.running == 0
            return clock()

    assert run(main()) == pytest.approx(0.5)
    assert counter.done == 0  # the third was closed: a warning would be an error here


def test_failures_may_be_results():
    async def fail():
        raise LookupError("gone")

    async def main():
        async with TaskExecutor() as executor:
            return await executor.gather(fail, Counter().work(1), return_exceptions=True)

    first, second = run(main())
    assert isinstance(first, LookupError) and second == 1


def test_a_timeout_cancels():
    counter = Counter()

    async def main():
        async with TaskExecutor() as executor:
            with pytest.raises(TimeoutError):
                await executor.run(counter.work(1, 10.0), timeout=2.0)
            assert await executor.run(counter.work(2, 1.0), timeout=2.0) == 2
            return clock()

    assert run(main()) == pytest.approx(3.0)
    assert counter.now == 0


def test_cancelling_a_gather_cancels_its_work():
    counter = Counter()

    async def main():
        async with TaskExecutor() as executor:
            gathering = asyncio.ensure_future(executor.gather(*[partial(counter.work, i, 9.0) for i in range(5)]))
            await asyncio.sleep(1.0)
            assert counter.now == 5
            gathering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gathering
            assert executor.running == 0 and counter.now == 0

    run(main())


def test_tasks_end_with_the_context():
    counter = Counter()

    async def main():
        executor = TaskExecutor()
        with pytest.raises(OutOfOrder, match="create_task"):
            executor.create_task(partial(counter.work, 0))
        async with executor:
            task = executor.create_task(counter.work(1, 5.0), name="mine")
            assert task.get_name() == "mine" and executor.running == 1
        assert task.result() == 1
        with pytest.raises(LookupError):
            async with executor:
                task = executor.create_task(counter.work(2, 5.0))
                raise LookupError
        assert task.cancelled()
        async with executor:
            executor.create_task(counter.work(3, 5.0))
            executor.create_task(counter.work(4, 5.0))
            await asyncio.sleep(0)
            assert await executor.cancel_all() == 2

    run(main())
    assert counter.done == 1


def test_plain_functions_are_mapped_in_threads():
    threads = set()

    def add(one, other):
        threads.add(threading.current_thread())
        return one + other

    async def main():
        async with TaskExecutor(max_workers=2) as executor:
            plain = await executor.map(add, [1, 2, 3], [10, 20, 30], limit=2)
            awaited = await executor.map(Counter().work, "abc", [0.0] * 3)
        return plain, awaited

    assert asyncio.run(main()) == ([11, 22, 33], ["a", "b", "c"])
    assert threading.main_thread() not in threads and not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("given", [3, "text", None])
def test_what_cannot_be_awaited_is_refused(given):
    async def main():
        async with TaskExecutor() as executor:
            with pytest.raises(ProblemError, match="a coroutine, or a function without arguments, is expected"):
                await executor.gather(given)

    run(main())


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_limit_is_a_count(limit):
    with pytest.raises(ProblemError, match="a whole number >= 1"):
        TaskExecutor(limit=limit)
