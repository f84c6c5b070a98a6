import io
import json
import math
import os
import subprocess
import sys
import timeit

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.event import Event
from thalweg.watch.progress import JsonLines, Live, Plain, Tally, choose, silent


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """The same terminal wherever the tests run."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def finished(*statuses):
    k = len(statuses)
    data = {"numbers": np.arange(k), "values": np.ones((k, 1)), "statuses": np.array(statuses, dtype=np.int8)}
    return Event("finished", 5.0, {**data, "seconds": np.full(k, math.nan)})


def run_events(listener, clock, chunks=200, step=0.5):
    listener(Event("started", 1.0, {"total": chunks * 2, "name": "de\x1bmo"}))
    for i in range(chunks):
        clock.now += step
        listener(Event("asked", 1.0, {"count": 2}))
        if i % 10 == 0:
            listener(Event("improved", 1.0, {"number": i, "value": 100.0 - i, "params": {"a": i}}))
        listener(finished(Status.DONE, Status.FAILED if i % 50 == 0 else Status.DONE))
    listener(Event("stopped", 1.0, {"reason": "max_evals reached"}))


def test_tally_counts_every_kind():
    tally = Tally.of(Event("started", 0, {"total": 10, "name": "x", "done": 1}))
    for event in (
        finished(Status.DONE, Status.FAILED, Status.TIMEOUT, Status.PRUNED),
        Event("cached", 0, {"number": 3, "of": 1}),
        Event("retried", 0, {"number": 3}),
        Event("improved", 0, {"number": 2, "value": [1.5, 2.0], "params": {}}),
        Event("stopped", 0, {"reason": "why"}),
    ):
        tally.take(event)
    assert (tally.done, tally.failed, tally.timed_out, tally.pruned) == (5, 1, 1, 1)
    assert (tally.cached, tally.retried, tally.stopped) == (1, 1, "why")
    line = tally.line(2.0)
    assert line == "5/10  best 1.5, 2 (#2)  2/s  1 failed  1 timed out  1 pruned  1 cached  1 retried"


def test_time_left():
    tally = Tally(total=100, done=25)
    assert tally.left_s(10) == 30
    assert "30 s left" in tally.line(10)
    assert math.isnan(Tally(done=3).left_s(1))
    assert math.isnan(Tally(total=3).left_s(1))


def test_earlier_runs_count_as_done_but_not_as_fast():
    tally = Tally.of(Event("started", 0, {"total": 30, "name": "x", "done": 20}))
    tally.take(finished(*[Status.DONE] * 5))
    assert (tally.done, tally.rate(10), tally.left_s(10)) == (25, 0.5, 10)


def test_a_second_run_counts_anew():
    clock, stream = Clock(), io.StringIO()
    plain = Plain(stream, clock)
    run_events(plain, clock)
    plain(Event("started", 0, {"total": 500, "name": "again", "done": 400}))
    assert (plain.tally.done, plain.tally.failed, plain.tally.total) == (400, 0, 500)


def test_plain_lines_come_at_growing_intervals():
    clock, stream = Clock(), io.StringIO()
    run_events(Plain(stream, clock), clock)
    lines = stream.getvalue().splitlines()
    assert 4 <= len(lines) <= 10  # 100 s: after 2 s, then 3, 4.5, 6.75 ... more
    assert all(line.startswith("de\\x1bmo: ") for line in lines)
    assert lines[-1].endswith("400/400  best -90 (#190)  4/s  4 failed  stopped: max_evals reached")
    counts = [int(line.split()[1].split("/")[0]) for line in lines]
    gaps = np.diff(counts[:-1])
    assert np.all(np.diff(gaps) >= 0)


def test_warnings_are_shown_at_once():
    stream = io.StringIO()
    Plain(stream, Clock())(Event("warning", 0, {"text": "code changed\x07"}))
    Plain(stream, Clock())(Event("fallback", 0, {"reason": "singular matrix"}))
    Plain(stream, Clock())(Event("resumed", 0, {"trials": 12, "how": "replayed"}))
    assert stream.getvalue().splitlines() == [
        "warning: code changed\\x07",
        "fallback: singular matrix",
        "resumed with 12 trials: replayed",
    ]


def test_json_lines_parse_and_keep_the_data():
    stream = io.StringIO()
    run_events(JsonLines(stream), Clock(), chunks=3)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["kind"] for row in rows[:4]] == ["started", "asked", "improved", "finished"]
    assert rows[0]["name"] == "de\x1bmo" and rows[0]["time"] == 1.0
    assert rows[3]["values"] == [[1.0], [1.0]] and rows[3]["seconds"] == [None, None]
    assert rows[-1] == {"kind": "stopped", "time": 1.0, "reason": "max_evals reached"}


def test_json_lines_survive_odd_params():
    stream = io.StringIO()
    params = {"a": np.float64(1.5), "b": np.arange(2), "c": object, "d": "\n\ud800".encode("utf-8", "replace").decode()}
    JsonLines(stream)(Event("improved", 0, {"number": np.int64(3), "value": math.inf, "params": params}))
    (row,) = map(json.loads, stream.getvalue().splitlines())
    assert row["number"] == 3 and row["params"]["a"] == 1.5 and row["params"]["b"] == [0, 1]


def test_live_line_on_a_terminal():
    clock, stream = Clock(), Terminal()
    run_events(Live(stream, clock), clock, chunks=20)
    shown = stream.getvalue()
    assert "40/40" in shown and "best 90" in shown and "max_evals reached" in shown
    assert "de\\x1bmo" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back


def test_live_draws_rarely():
    clock, stream = Clock(), Terminal()
    live = Live(stream, clock)
    live(Event("started", 0, {"total": 1000, "name": ""}))
    sizes = []
    for _ in range(100):
        clock.now += 0.001
        live(finished(Status.DONE))
        sizes.append(len(stream.getvalue()))
    assert len(set(sizes)) == 1  # once, then not again within a fifth of a second
    live.close()


@pytest.mark.parametrize(
    ("progress", "stream", "kind"),
    [
        (None, io.StringIO(), None),
        (None, Terminal(), Live),
        (True, io.StringIO(), Plain),
        (True, Terminal(), Live),
        (False, Terminal(), None),
        ("plain", Terminal(), Plain),
        ("live", io.StringIO(), Live),
        ("json", io.StringIO(), JsonLines),
    ],
)
def test_choice(progress, stream, kind):
    chosen = choose(progress, stream)
    assert chosen is silent if kind is None else isinstance(chosen, kind)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert choose(None, Terminal()) is silent
    assert isinstance(choose(True, Terminal()), Plain)


def test_choice_refuses_the_rest():
    with pytest.raises(ValueError, match="expected None, True, False"):
        choose("loud")
    closed = io.StringIO()
    closed.close()
    assert choose(None, closed) is silent


@pytest.mark.parametrize("make", [lambda: Plain(io.StringIO()), lambda: JsonLines(io.StringIO())])
def test_an_event_is_cheap(make):
    listener = make()
    event = finished(*[Status.DONE] * 8)
    per_event = min(timeit.repeat(lambda: listener(event), number=2000, repeat=5)) / 2000
    assert per_event < 200e-6  # the aim is 20 µs; ten times that means something is wrong, however loaded the machine


def test_importing_it_is_light():
    code = "import sys, thalweg.watch.progress, thalweg.watch.table; print([m for m in sys.modules if m in %r])"
    heavy = ["rich", "msgspec", "matplotlib", "scipy", "asyncio"]
    done = subprocess.run(
        [sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
