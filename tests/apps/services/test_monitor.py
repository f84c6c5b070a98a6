"""ResourceMonitor: what it reads is what the system says; history, thresholds, start and stop."""

import asyncio
import threading

import pytest
from virtual_time import run

from thalweg.apps.services.monitor import ResourceMonitor
from thalweg.apps.services.sampling import Sampler
from thalweg.core.errors import EvaluatorError, ProblemError


def machine(folder, busy=100, idle=300, threads=7, available=250, writes=5):
    """A /proc of our own."""
    (folder / "self").mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1\n")
    (folder / "meminfo").write_text(f"MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
    (folder / "self/status").write_text(f"Name:\tpython\nThreads:\t{threads}\n")
    (folder / "self/statm").write_text("900 100 50 1 0 200 0\n")
    (folder / "self/io").write_text(f"rchar: 11\nwchar: {writes}\nsyscr: 3\nsyscw: 4\n")
    return folder


def test_a_sample_is_what_the_files_say(tmp_path):
    sampler = Sampler(machine(tmp_path))
    first = sampler.sample()
    assert first.cpu.usage_percent == 25.0  # since the machine started: nothing has passed since the sampler was made
    machine(tmp_path, busy=130, idle=310)
    second = sampler.sample()
    assert second.cpu.usage_percent == 75.0
    assert second.cpu.thread_count == 7 and len(second.cpu.load_average) == 3
    assert (second.memory.total, second.memory.available, second.memory.used) == (1_024_000, 256_000, 768_000)
    assert second.memory.percent == 75.0
    assert (second.io.read_bytes, second.io.write_bytes, second.io.read_count, second.io.write_count) == (11, 5, 3, 4)
    assert second.timestamp >= first.timestamp
    machine(tmp_path, busy=131, idle=310)
    assert sampler.sample().cpu.usage_percent == 75.0  # one tick says nothing yet


def test_the_real_machine():
    async def main():
        return await ResourceMonitor().get_current_stats()

    stats = asyncio.run(main())
    assert 0.0 < stats.cpu.usage_percent <= 100.0  # the first sample already
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert stats.memory.total == total and 0 < stats.memory.used < total
    assert stats.memory.used + stats.memory.available == total
    assert stats.cpu.thread_count >= 1 and stats.memory.process > 2**20


def test_threads_are_counted():
    sampler, held = Sampler(), threading.Event()
    before = sampler.sample().cpu.thread_count
    threads = [threading.Thread(target=held.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert sampler.sample().cpu.thread_count == before + 3
    finally:
        held.set()
        for thread in threads:
            thread.join()


def test_history_has_an_end_and_can_be_cut():
    async def main():
        monitor = ResourceMonitor(interval=1.0, history_size=5)
        async with monitor:
            assert monitor.running
            await asyncio.sleep(20.5)
        assert not monitor.running
        history = monitor.get_history()
        assert len(history) == 5
        await asyncio.sleep(10)
        assert monitor.get_history() == history  # nothing after its end
        await monitor.stop()
        await monitor.start()
        await monitor.start()
        await monitor.stop()
        return history

    history = run(main())
    stamps = [item.timestamp for item in history]
    assert stamps == sorted(stamps)

    async def cut():
        monitor = ResourceMonitor()
        monitor._history.extend(history)
        return monitor.get_history(start=stamps[1], end=stamps[3])

    assert [item.timestamp for item in run(cut())] == [stamp for stamp in stamps if stamps[1] <= stamp <= stamps[3]]


def test_thresholds_call_when_they_are_crossed(tmp_path):
    heard, awaited = [], []

    async def main():
        monitor = ResourceMonitor(interval=1.0)
        monitor._sampler = Sampler(machine(tmp_path, threads=1))
        monitor.set_threshold("thread_count", 5)
        monitor.set_threshold("memory_usage", 70)

        @monitor.on_threshold_exceeded
        def broken(metric, value, threshold):
            raise LookupError("must not end the watch")

        monitor.on_threshold_exceeded(lambda *said: heard.append(said))

        async def slow(*said):
            await asyncio.sleep(0.01)
            awaited.append(said)

        monitor.on_threshold_exceeded(slow)
        async with monitor:
            assert heard == [("memory_usage", 75.0, 70.0)]
            await asyncio.sleep(0.5)  # between two samples
            for threads in (9, 8, 2, 6):
                machine(tmp_path, threads=threads)
                await asyncio.sleep(1.0)

    run(main())
    assert heard[1:] == [("thread_count", 9.0, 5.0), ("thread_count", 6.0, 5.0)]  # not while it stays above
    assert awaited == heard


def test_mistakes(tmp_path):
    monitor = ResourceMonitor()
    with pytest.raises(ProblemError, match="known: cpu_usage, memory_usage, load_average, thread_count"):
        monitor.set_threshold("cpu", 3)
    with pytest.raises(ProblemError, match="interval"):
        ResourceMonitor(interval=0)
    with pytest.raises(ProblemError, match="history_size"):
        ResourceMonitor(history_size=0)
    with pytest.raises(EvaluatorError, match="only Linux"):
        Sampler(tmp_path / "nowhere")
