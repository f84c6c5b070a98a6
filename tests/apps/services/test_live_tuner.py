"""The live tuner: it improves, it never breaks its rules, and it can be stopped. (How fast: test_live_figures.py.)"""

import asyncio
import math
from itertools import pairwise

import numpy as np
import pytest
from live_services import Formula, tuned, valley
from virtual_time import clock, run

import thalweg as tw
from thalweg.apps.services.audit import read_audit
from thalweg.apps.services.guard import Guard
from thalweg.apps.services.knob import Knob
from thalweg.apps.services.live import LiveTuner
from thalweg.apps.services.window import Window
from thalweg.core.choices import Choice
from thalweg.core.errors import EvaluatorError, OutOfOrder, ProblemError
from thalweg.core.parameter import Float, Integer

START = {"a": 8, "b": 8.0}


def events(tuner, kind):
    return [line for line in tuner.audit() if line["event"] == kind]


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_better_settings_in_small_steps(seed):
    service = Formula(valley, seed, **START)
    tuner = tuned(service, seed=seed)
    asyncio.run(tuner.run(120))
    assert valley(tuner.settings) < 0.6 * valley(START)
    assert service.settings == tuner.settings  # no candidate stays applied
    known = {"a": START["a"], "b": START["b"]}
    for name, value in service.set:  # every change is at most a quarter of the range
        far = math.log(value / known[name]) / math.log(100) if name == "a" else (value - known[name]) / 10
        assert abs(far) <= 0.25 + 1e-9
        known[name] = value


def test_windows_of_the_settings_in_use_lie_in_between():
    counts = []
    for seed in range(5):
        service = Formula(lambda settings: 0.01 * (1.0 if settings["a"] == 50 else 1.005), seed, a=50, b=4.0)
        tuner = tuned(service, slices=1, seed=seed)
        asyncio.run(tuner.run(60))
        trying = [settings != {"a": 50, "b": 4.0} for settings in service.measured]
        counts.append(sum(trying))
        if not tuner.tally.adopted:
            assert not any(one and next_one for one, next_one in pairwise(trying))
    assert 3 <= np.median(counts) <= 20


@pytest.mark.parametrize("seed", range(5))
def test_nothing_changes_where_nothing_matters(seed):
    service = Formula(lambda settings: 0.01, seed, requests=150, **START)
    tuner = tuned(service, seed=seed, guard=Guard(n_min=50))
    tally = asyncio.run(tuner.run(200))
    assert tally.windows == 200 and tally.tried >= 10
    assert tally.adopted <= 4  # one per 50 windows


def cliff(settings):
    """The nearer to the edge the better."""
    return 0.01 * (8 / settings["a"]) ** 0.5 if settings["a"] < 16 else 0.2


def test_a_breach_is_rolled_back_within_the_window_and_learnt():
    service = Formula(cliff, **START)
    tuner = tuned(service, slices=4)
    tally = asyncio.run(tuner.run(150))
    over = [settings["a"] >= 16 for settings in service.measured]
    runs = "".join("x" if each else "." for each in over).split(".")
    assert tally.rolled_back >= 1 and max(map(len, runs)) == 1  # one slice of four
    assert sum(over) == tally.rolled_back <= 0.05 * tally.windows + 1
    told = events(tuner, "rolled back")
    assert len(told) == tally.rolled_back and "over 1.5 x" in told[0]["why"]
    assert 8 < tuner.settings["a"] < 16


def test_failures_and_memory_breach_too():
    service = Formula(valley, **START)
    tuner = tuned(service)

    async def main():
        await tuner.run(2)
        service.level = failing
        await tuner.run(10)

    def failing(settings):
        service.errors = 0 if settings == START else 100
        return valley(settings)

    asyncio.run(main())
    assert tuner.settings == START
    assert "of the requests failed" in events(tuner, "rolled back")[0]["why"]

    service = Formula(valley, **START)
    tuner = tuned(service)
    service.memory = 95.0
    asyncio.run(tuner.run(20))
    assert service.set == [] and "memory at 95 %" in events(tuner, "held")[0]["reason"]


@pytest.mark.parametrize("poor", [{"app_limited": True}, {"requests": 5}])
def test_without_traffic_nothing_changes(poor):
    service = Formula(valley, **START)
    tuner = tuned(service)
    for name, value in poor.items():
        setattr(service, name, value)
    asyncio.run(tuner.run(50))
    assert service.set == [] and len(events(tuner, "held")) == 1


def test_a_drift_is_noticed_and_the_search_is_widened():
    service = Formula(lambda settings: 0.01, **START)
    tuner = tuned(service)

    async def main():
        await tuner.run(60)
        assert not events(tuner, "drift")
        service.level = lambda settings: 2.0 * valley(settings)
        await tuner.run(3)
        assert len(events(tuner, "drift")) == 1 and tuner.urgent
        await tuner.run(25)

    asyncio.run(main())
    assert valley(tuner.settings) < 0.7 * valley(START) and not tuner.urgent


def test_somebody_must_approve():
    service = Formula(valley, **START)
    asked = []

    async def never(change):
        asked.append(change)
        return False

    tuner = tuned(service, approve=never)
    asyncio.run(tuner.run(30))
    assert service.set == [] and len(asked) > 5
    assert all(change.before == START and change.after != START for change in asked)
    assert len({tuple(change.after.items()) for change in asked}) == len(asked)  # what is denied is not asked again
    assert len(events(tuner, "denied")) == len(asked)
    tuner = tuned(service, approve=lambda change: True)
    asyncio.run(tuner.run(60))
    assert valley(tuner.settings) < valley(START)


def test_knobs_that_are_dear_are_turned_rarely_and_restarts_only_with_approval():
    def make(**options):
        service = Formula(valley, **START)
        knobs = [
            service.knob("a", Integer(1, 100, log=True), cost="restart"),
            service.knob("b", Float(0, 10), cost="reload"),
        ]
        return service, LiveTuner(service.measure, knobs, slices=1, **options)

    service, tuner = make()
    asyncio.run(tuner.run(100))
    assert {name for name, _ in service.set} == {"b"}
    trials = [index for index, (one, two) in enumerate(pairwise(service.measured)) if one != two]
    assert 2 <= len(trials) <= 22
    service, tuner = make(approve=lambda change: True)
    asyncio.run(tuner.run(150))
    assert "a" in {name for name, _ in service.set}


def test_the_kill_switch_restores_the_beginning_while_a_window_is_measured():
    service = Formula(valley, **START)
    quick = service.measure

    async def slow():
        await asyncio.sleep(60.0)
        return await quick()

    service.measure = slow
    tuner = tuned(service, slices=1)

    async def main():
        running = asyncio.ensure_future(tuner.run())
        while service.settings == START:
            await asyncio.sleep(1.0)
        at = clock()
        await tuner.kill("an incident")
        assert service.settings == START
        tally = await running
        assert clock() == at  # it did not wait for the window
        with pytest.raises(OutOfOrder, match="an incident"):
            await tuner.step()
        return tally

    run(main())
    assert events(tuner, "killed")[0]["reason"] == "an incident"


def test_a_cancelled_run_leaves_no_candidate():
    service = Formula(valley, **START)
    tuner = tuned(service)
    candidate = []

    async def main():
        running = asyncio.ensure_future(tuner.run())
        original = service.measure

        async def watched():
            if service.settings != tuner.settings:
                candidate.append(dict(service.settings))
                running.cancel()
                await asyncio.sleep(10)
            return await original()

        tuner._measure = watched
        with pytest.raises(asyncio.CancelledError):
            await running

    run(main())
    assert candidate and service.settings == tuner.settings == START


def test_a_knob_that_does_not_turn_is_reported_and_everything_restored():
    service = Formula(valley, **START)
    stuck = Knob("b", Float(0, 10), lambda value: None, lambda: service.settings["b"])
    tuner = LiveTuner(service.measure, [service.knob("a", Integer(1, 100, log=True)), stuck])
    asyncio.run(tuner.run(60))
    told = events(tuner, "not applied")
    assert told and "is read back" in told[0]["why"]
    assert service.settings["b"] == 8.0 and service.settings["a"] == tuner.settings["a"] != 8  # the other one is tuned


def test_what_somebody_else_changes_is_in_use_from_then_on():
    service = Formula(valley, **START)
    tuner = tuned(service)

    async def main():
        await tuner.run(3)
        service.settings["a"] = 30
        await tuner.step()
        assert tuner.settings["a"] == 30
        await tuner.run(5)

    asyncio.run(main())
    assert events(tuner, "changed by somebody else")[0]["knobs"] == ["a"]


def test_choices_are_tried():
    best = {"fast": 3.0, "balanced": 1.0, "thorough": 2.0}
    service = Formula(lambda settings: 0.01 * best[settings["strategy"]], strategy="fast")
    knob = service.knob("strategy", Choice(["fast", "balanced", "thorough"]))
    tuner = LiveTuner(service.measure, [knob])
    asyncio.run(tuner.run(30))
    assert tuner.settings == {"strategy": "balanced"}


def test_the_audit_is_read_back_from_its_store(tmp_path):
    address = f"sqlite:///{tmp_path / 'live.db'}"
    service = Formula(valley, **START)
    tuner = tuned(service, store=address, name="shop", metric="p99")
    tally = asyncio.run(tuner.run(40))
    tuner.close()
    lines = read_audit(address, "shop")
    assert lines[0]["event"] == "started" and lines[0]["settings"] == START
    assert sum(line["event"] == "adopted" for line in lines) == tally.adopted >= 1
    assert all(lines[i]["time_unixtime"] <= lines[i + 1]["time_unixtime"] for i in range(len(lines) - 1))
    with tw.load(address, "shop") as study:
        assert len(study.trials) == sum(line["event"] in {"adopted", "rejected", "rolled back"} for line in lines)
        assert study.best.params["a"] > 8 and "gain" in study.best.components
    again = tuned(Formula(valley, **START), store=address, name="shop", metric="p99")
    asyncio.run(again.run(3))
    again.close()
    assert [line["event"] for line in read_audit(address, "shop")].count("started") == 2


@pytest.mark.parametrize("name", ["synchronous_commit", "fsync", "pg.synchronous_commit", "Journal_Mode", "mine"])
def test_denied_knobs_are_refused(name):
    knob = Knob(name, Integer(0, 1), print, int)
    with pytest.raises(ProblemError, match="deny-list"):
        LiveTuner(None, [knob], deny=["mine"])


def test_mistakes():
    service = Formula(valley, **START)
    a = service.knob("a", Integer(1, 100))
    for wrong, message in [
        (lambda: LiveTuner(service.measure, []), "at least one"),
        (lambda: LiveTuner(service.measure, [a, a]), "twice"),
        (lambda: LiveTuner(service.measure, [a], metric="p42"), "p50, p95"),
        (lambda: LiveTuner(service.measure, [a], slices=0), "slices"),
        (lambda: LiveTuner(service.measure, [a], min_gain=0), "min_gain"),
        (lambda: service.knob("a", Integer(1, 100), max_step=0.5), "max_step"),
        (lambda: service.knob("a", Integer(1, 100), cost="cheap"), "instant, reload, restart"),
        (lambda: service.knob("a", Integer(1, 100, size=3)), "one value"),
        (lambda: Guard(tail=1.0), "tail > 1"),
    ]:
        with pytest.raises(ProblemError, match=message):
            wrong()

    async def number():
        return 3.0

    with pytest.raises(ProblemError, match=r"measure: a Window .* is expected, got 3\.0"):
        asyncio.run(LiveTuner(number, [a]).run(windows=1))
    with pytest.raises(EvaluatorError, match="read back"):
        asyncio.run(Knob("a", Integer(1, 9), lambda value: None, lambda: 3).set(4))


def test_windows_are_joined():
    one = Window(np.array([1.0, 2.0]), 1.0, 2, True, 10.0, 3.0)
    both = Window.joined([one, Window(np.array([3.0, 4.0]), 3.0, 0, False, 20.0, 5.0)])
    assert (both.answered, both.requests, both.error_rate) == (4, 6, pytest.approx(1 / 3))
    assert (both.seconds, both.throughput, both.p50) == (4.0, 1.0, 2.5)
    assert (both.app_limited, both.memory_percent, both.value) == (False, 20.0, 4.0)
    assert math.isnan(Window(np.empty(0), 1.0).p99)
