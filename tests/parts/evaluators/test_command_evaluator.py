"""The command evaluator with real, tiny and hostile programs: every trial ends, nothing is left running."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import CommandError, EvaluatorError
from thalweg.core.evaluator import Job, Outcomes
from thalweg.core.parameter import Integer
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.program import Finished, Plan, Program, Step
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators import _spawn
from thalweg.parts.evaluators._tree import MARKER
from thalweg.parts.evaluators.command import ALLOWED as INHERITED
from thalweg.parts.evaluators.command import CommandEvaluator

PYTHON = (sys.executable, "-S", "-I", "-c")


class Script(Program):
    """Runs given steps; measures what a function makes of them."""

    def __init__(self, *argvs: tuple[str, ...], measure: Any = None, **options: Any) -> None:
        self.argvs, self.read, self.options = argvs, measure, options
        self.folders: list[Path] = []
        self.checked: Any = "never"

    def check(self, names: Any = None) -> None:
        self.checked = list(names)

    def plan(self, params: Mapping[str, Any], folder: Path, number: int) -> Plan:
        self.folders.append(folder)
        steps = [
            argv if isinstance(argv, Step) else Step(tuple(part.format(x=params["x"], folder=folder) for part in argv))
            for argv in self.argvs
        ]
        return Plan(steps, folder, **self.options)

    def measure(self, plan: Plan, finished: list[Finished]) -> dict[str, Any]:
        assert plan.folder.is_dir()
        return self.read(finished) if self.read else {"value": finished[-1].seconds, "code": finished[-1].exit_code}

    def fingerprint(self) -> dict[str, Any]:
        return {}


def opened(program: Any, workers: int = 1, objectives: Any = None, **options: Any) -> CommandEvaluator:
    evaluator = CommandEvaluator(workers, **options)
    evaluator.open(Target(program, Problem(Space({"x": Integer(0, 9)}), objectives_of(objectives))))
    return evaluator


def job(*values: float, **options: Any) -> Job:
    return Job(np.arange(len(values)), np.array(values, dtype=np.float64)[:, None], **options)


def run(program: Any, *values: float, objectives: Any = None, **options: Any) -> Outcomes:
    async def go() -> Outcomes:
        evaluator = opened(program, objectives=objectives, **options)
        try:
            return await evaluator.evaluate(evaluator.prepare(job(*values or (1,))))
        finally:
            await evaluator.aclose()

    result = asyncio.run(go())
    assert not left_running()
    assert not any(folder.exists() for folder in getattr(program, "folders", []))
    return result


def left_running() -> list[str]:
    """Living processes that carry our marker, other than this one (a test runner under thalweg would carry it too)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
            state = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()[0]
            mine = f"THALWEG_TEST={os.getpid()}".encode() in environment
        except OSError:
            continue
        if mine and MARKER.encode() in environment and state not in (b"Z", b"X"):
            found.append(name)
    return found


@pytest.fixture(autouse=True)
def tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_TEST", str(os.getpid()))
    allowed = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "THALWEG_TEST")  # some interpreters do not start without
    monkeypatch.setattr("thalweg.parts.evaluators.command.ALLOWED", allowed)


async def something_runs(task: asyncio.Future[Outcomes]) -> None:
    """Wait until a program runs; the task's own result or failure where it ended before that."""
    while not left_running():
        assert not task.done(), task.result().errors
        await asyncio.sleep(0.01)


def test_runs_measures_and_reads() -> None:
    program = Script(
        ("sh", "-c", "echo out-{x}; echo err >&2"),
        measure=lambda done: {"value": float(done[0].stdout.strip()[-1]), "said": done[0].stdout + done[0].stderr},
    )
    result = run(program, 7, 3)
    assert result.values.tolist() == [[7.0], [3.0]]
    assert result.statuses.tolist() == [Status.DONE, Status.DONE]
    assert result.components is not None
    assert result.components[0] == {"value": 7.0, "said": "out-7\nerr\n"}
    assert program.checked == ["x"]
    assert (result.seconds > 0).all()


def test_cpu_time_and_memory_of_the_whole_tree_are_measured() -> None:
    burn = "import time,subprocess,sys\nb=bytearray(150_000_000)\nwhile time.process_time()<0.15: pass\ntime.sleep(0.6)"
    shell = ("sh", "-c", f"{sys.executable} -S -I -c '{burn}'; true")
    result = run(
        Script(shell, measure=lambda done: {"cpu": done[0].cpu_s, "rss": done[0].peak_rss, "user": done[0].user_s}),
        objectives=["cpu", "rss"],
    )
    cpu, rss = result.values[0]
    assert cpu >= 0.14
    assert 150e6 < rss < 400e6
    assert result.components is not None
    assert result.components[0] is not None
    assert 0 < result.components[0]["user"] <= cpu


def test_memory_of_a_grandchild_smaller_than_ourselves_is_seen() -> None:
    ballast = bytearray(300_000_000)
    hold = "import time; b = bytearray(80_000_000); time.sleep(0.4)"
    shell = ("sh", "-c", f"{sys.executable} -S -I -c '{hold}'; true")
    result = run(Script(shell, measure=lambda done: {"value": done[0].peak_rss}))
    assert 80e6 < result.values[0, 0] < 120e6
    assert len(ballast) == 300_000_000


def test_memory_of_a_small_program_is_not_ours() -> None:
    ballast = bytearray(120_000_000)
    result = run(Script(("sleep", "0.2"), measure=lambda done: {"value": done[0].peak_rss}))
    assert result.values[0, 0] < 20e6
    assert len(ballast) == 120_000_000


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((*PYTHON, "raise SystemExit(3)"), "ended with exit code 3"),
        ((*PYTHON, "import sys; sys.exit('no luck')"), "no luck"),
        ((*PYTHON, "import os; os.kill(os.getpid(), 11)"), "was killed by SIGSEGV"),
        (("/nonexistent/program",), "does not exist"),
        (("/etc/passwd",), "Permission denied"),
        (("true", "a\0b"), "null byte"),
        (("true", "x" * 3_000_000), "arguments are too long"),
    ],
)
def test_failures_become_failed_rows_with_a_message(argv: tuple[str, ...], said: str) -> None:
    result = run(Script(argv), 1, 2)
    assert result.statuses.tolist() == [Status.FAILED, Status.FAILED]
    assert np.isnan(result.values).all()
    assert said in result.errors[0]
    assert result.errors[0].startswith("CommandError: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "text", [1, 2]])
def test_a_result_that_is_no_number_fails_the_row(value: Any) -> None:
    result = run(Script(("true",), measure=lambda done: {"value": value}))
    assert result.statuses.tolist() == [Status.FAILED]
    assert "value" in result.errors[0]


def test_an_exception_of_the_program_class_fails_only_its_row() -> None:
    def read(done: list[Finished]) -> dict[str, Any]:
        if done[0].stdout.strip() == "2":
            raise ZeroDivisionError("odd")
        return {"value": 1.0}

    result = run(Script(("echo", "{x}"), measure=read), 1, 2, 3)
    assert result.statuses.tolist() == [Status.DONE, Status.FAILED, Status.DONE]
    assert list(result.errors) == [1]
    assert result.errors[1].startswith("ZeroDivisionError: odd\n")


def test_a_flood_of_output_is_drained_and_bounded() -> None:
    flood = "import sys\nw=sys.stdout.write\nw('first\\n')\nfor _ in range(100): w('x' * 1000000)\nprint('last')"
    seen: list[str] = []
    run(Script((*PYTHON, flood), measure=lambda done: {"value": seen.append(done[0].stdout) or 1}))
    assert seen[0].startswith("first\n")
    assert seen[0].endswith("last\n")
    assert "bytes dropped" in seen[0]
    assert len(seen[0]) < 2 * _spawn.KEPT + 100


def test_bounded_keeps_head_and_tail_exactly() -> None:
    kept = _spawn.Bounded(10)
    for i in range(1000):
        kept.add(b"%04d" % i)
    assert kept.text() == "0000000100\n[... 3980 bytes dropped ...]\n9709980999"
    small = _spawn.Bounded(10)
    small.add(b"0123456789abc")
    assert small.text() == "0123456789abc"


def test_a_grandchild_with_a_session_of_its_own_and_our_pipe_is_killed() -> None:
    daemon = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True); print('left it')"
    result = run(Script((*PYTHON, daemon)))
    assert result.statuses.tolist() == [Status.DONE]  # and `run` has looked for what is left


def test_a_silent_daemon_without_our_pipes_is_killed() -> None:
    daemon = (
        "import subprocess as s; s.Popen(['sleep', '1000'], start_new_session=True, "
        "stdin=s.DEVNULL, stdout=s.DEVNULL, stderr=s.DEVNULL)"
    )
    assert run(Script((*PYTHON, daemon))).statuses.tolist() == [Status.DONE]


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(1000)",
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nprint('up', flush=True)\n"
        "while True: time.sleep(1000)",
        "import subprocess, time\nfor _ in range(5): subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "time.sleep(1000)",
        "while True: print('x' * 1000)",
    ],
)
def test_cancelling_kills_the_whole_tree(code: str) -> None:
    program = Script((*PYTHON, code), ("true",))

    async def go() -> None:
        evaluator = opened(program)
        task = asyncio.ensure_future(evaluator.evaluate(job(1)))
        await something_runs(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not left_running()
        again = Script(("true",))
        evaluator._program = again  # the slot is free again
        assert (await evaluator.evaluate(job(1))).statuses.tolist() == [Status.DONE]
        await evaluator.aclose()

    asyncio.run(go())
    assert not left_running()


def test_closing_ends_what_runs() -> None:
    async def go() -> Outcomes:
        evaluator = opened(Script(("sleep", "1000")))
        task = asyncio.ensure_future(evaluator.evaluate(job(1, 2)))
        await something_runs(task)
        await evaluator.aclose()
        return await task

    result = asyncio.run(go())
    assert result.statuses.tolist() == [Status.ABANDONED]
    assert not left_running()


def test_slots_run_at_once() -> None:
    # each waits for the other's file: one after the other they would wait for ever
    shared = Path(os.environ.get("TMPDIR", "/tmp")) / f"thalweg-test-{os.getpid()}"
    shared.mkdir()
    code = (
        "import os, sys, time\nme, other = sys.argv[1], sys.argv[2]\nopen(me, 'w').close()\n"
        "while not os.path.exists(other): time.sleep(0.005)"
    )

    class Pair(Script):
        def plan(self, params: Mapping[str, Any], folder: Path, number: int) -> Plan:
            mine, other = shared / str(params["x"]), shared / str(1 - params["x"])
            return Plan([Step((*PYTHON, code, str(mine), str(other)))], folder)

    async def go() -> list[Outcomes]:
        evaluator = opened(Pair(), workers=2)
        assert evaluator.slots == 2
        results = await asyncio.gather(*(evaluator.evaluate(job(x)) for x in (0, 1)))
        await evaluator.aclose()
        return list(results)

    try:
        assert [item.statuses.tolist() for item in asyncio.run(go())] == [[Status.DONE]] * 2
    finally:
        for item in shared.iterdir():
            item.unlink()
        shared.rmdir()


def test_rows_stop_at_the_goal_and_at_the_moment() -> None:
    program = Script(("echo", "{x}"), measure=lambda done: {"value": float(done[0].stdout)})

    async def go(**options: Any) -> Outcomes:
        evaluator = opened(program)
        try:
            return await evaluator.evaluate(job(5, 3, 1, 4, **options))
        finally:
            await evaluator.aclose()

    assert asyncio.run(go(goal=3.0)).values.tolist() == [[5.0], [3.0]]
    stopped = asyncio.run(go(stop_at=time.perf_counter()))
    assert stopped.values.tolist() == [[5.0]]
    assert stopped.components is not None
    assert len(stopped.components) == len(stopped) == 1


def test_a_program_whose_libraries_cannot_be_loaded_fails_its_rows(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libx.so' >&2\nexit 127\n")
    broken.chmod(0o700)
    result = run(Script((str(broken),)), 1, 2)
    assert result.statuses.tolist() == [Status.FAILED, Status.FAILED]
    assert "exit code 127" in result.errors[0]
    assert "error while loading shared libraries" in result.errors[1]


def test_secrets_of_the_environment_stay_here_by_default() -> None:
    assert not [
        name
        for name in (
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "PGPASSWORD",
            "SSH_AUTH_SOCK",
            "LD_PRELOAD",
            "PYTHONSTARTUP",
        )
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in INHERITED)
    ]


def test_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_SECRET", "hidden")
    monkeypatch.setenv("WANTED_1", "one")
    program = Script(
        ("env",),
        measure=lambda done: {"value": 1, "env": done[0].stdout},
        environment={"EXTRA": "two"},
    )
    result = run(program, inherit=["WANTED_*"])
    assert result.components is not None
    seen = (result.components[0] or {})["env"]
    assert "THALWEG_SECRET" not in seen
    assert "WANTED_1=one" in seen
    assert "EXTRA=two" in seen


def test_standard_input_is_empty_or_a_file(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("hello")
    out = tmp_path / "out"
    steps = (Step(("cat",)), Step(("cat",), stdin=given, stdout=out))
    result = run(Script(*steps, measure=lambda done: {"value": len(done[0].stdout)}))
    assert result.values.tolist() == [[0.0]]
    assert out.read_text() == "hello"


def test_cleanup_runs_after_a_failure(tmp_path: Path) -> None:
    mark = tmp_path / "cleaned"
    result = run(Script(("false",), Step(("touch", str(mark)), measured=False, required=False, role="cleanup")))
    assert result.statuses.tolist() == [Status.FAILED]
    assert mark.exists()


def test_functions_are_refused() -> None:
    with pytest.raises(EvaluatorError, match="inline"):
        opened(lambda params: 1.0)
    with pytest.raises(EvaluatorError, match="workers"):
        CommandEvaluator(0)


def test_check_comes_before_any_work() -> None:
    class Missing(Script):
        def check(self, names: Any = None) -> None:
            raise CommandError("nothing there")

    with pytest.raises(CommandError, match="nothing there"):
        opened(Missing(("true",)))


def test_what_a_killed_study_left_is_ended_by_the_next_one() -> None:
    """A process kills itself with SIGKILL while its program runs; opening the next evaluator ends the program."""
    code = (
        "import asyncio, os, signal, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from tests_command import opened, job, Script\n"
        "async def go():\n"
        "    evaluator = opened(Script(('sh', '-c', 'echo $$ > started; exec sleep 1000')), inherit=['THALWEG_TEST'])\n"
        "    task = asyncio.ensure_future(evaluator.evaluate(job(1)))\n"
        "    while not (os.path.exists('started') and open('started').read()): await asyncio.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(go())\n"
    )
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tests_command.py").write_text(Path(__file__).read_text())
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": folder}, check=False
        )
        assert done.returncode == -9
        orphan = int(Path(folder, "started").read_text())
    assert str(orphan) in left_running()
    assert run(Script(("true",))).statuses.tolist() == [Status.DONE]
    assert str(orphan) not in left_running()


def test_overhead_per_trial_is_small() -> None:
    """CPU time above a plain subprocess.run of `true`: the bar is 5 ms, a fifth of it is what it takes."""
    import resource
    import subprocess

    def used(function: Any) -> float:
        def now() -> float:
            both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            return sum(item.ru_utime + item.ru_stime for item in both)

        best = float("inf")
        for _ in range(3):
            before = now()
            function()
            best = min(best, now() - before)
        return best

    async def trials() -> None:
        evaluator = opened(Script(("true",)))
        for _ in range(40):
            await evaluator.evaluate(job(1))
        await evaluator.aclose()

    plain = used(lambda: [subprocess.run(["true"], check=True) for _ in range(40)])
    ours = used(lambda: asyncio.run(trials()))
    assert (ours - plain) / 40 < 0.005
