"""Limits are kept by processes and programs: the row that reaches one fails and says which, the others live."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from thalweg.apps.programs.command import Command
from thalweg.core.batch import Status
from thalweg.core.choices import Boolean
from thalweg.core.errors import CommandError, ProblemError
from thalweg.core.evaluator import Evaluator, Job, Outcomes
from thalweg.core.limits import Limits
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators import _spawn
from thalweg.parts.evaluators.command import CommandEvaluator
from thalweg.parts.evaluators.process import Process

SPACE = Space({"bad": Boolean()})
GREEDY = {
    "memory": ("held = []\nwhile True: held.append(bytearray(b'x') * 4_000_000)", Limits(memory="200MB")),
    "memory of all": (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        held = bytearray(b'x') * 70_000_000\n"
        "        time.sleep(600)\ntime.sleep(600)",
        Limits(memory="250MB"),
    ),
    "cpu_s": ("while True: pass", Limits(cpu_s=0.3)),
    "cpu_s in C": ("import itertools\nsum(itertools.repeat(0, 1 << 62))", Limits(cpu_s=0.3)),
    "cpu_s of all": (
        "import os\nfor _ in range(2):\n    if os.fork() == 0: os.setsid()\nwhile True: pass",
        Limits(cpu_s=0.4),
    ),
    "processes": (
        "import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)",
        Limits(processes=12),
    ),
    "file_size": (
        "import tempfile\nwith tempfile.TemporaryFile(buffering=0) as file:\n"
        "    for _ in range(100): file.write(bytes(1_000_000))",
        Limits(file_size="10MB"),
    ),
    "open_files": ("import os\nfor _ in range(100): os.open('/', 0)", Limits(open_files=60)),
    "address_space": ("bytearray(6_000_000_000)", Limits(address_space="5GB")),
}
PROGRAM = "import sys\nif sys.argv[1] == 'true': exec(sys.argv[2])\nprint(1)"


def greedy(code: str) -> Any:
    def objective(params: dict[str, Any]) -> float:
        if params["bad"]:
            exec(code, {})
        return 1.0

    return objective


def command(code: str, limits: Any) -> Command:
    braces = code.replace("{", "{{").replace("}", "}}")
    return Command([sys.executable, "-S", "-I", "-c", PROGRAM, "{bad}", braces], "last_number(stdout)", limits=limits)


def evaluated(evaluator: Evaluator, function: Any, bad: list[bool]) -> list[Outcomes]:
    """One job per row, under a deadline that is never reached where limits hold."""

    async def main() -> list[Outcomes]:
        evaluator.open(Target(function, Problem(SPACE)))
        try:
            found = []
            for number, flag in enumerate(bad):
                job = Job(np.array([number]), SPACE.from_params([{"bad": flag}]))
                found.append(await asyncio.wait_for(evaluator.evaluate(evaluator.prepare(job)), 120))
            return found
        finally:
            await evaluator.aclose()

    before = set(psutil.Process().children(recursive=True))  # of other tests: Python's own tracker of resources
    try:
        return asyncio.run(main())
    finally:
        assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize("kind", GREEDY)
@pytest.mark.parametrize("by", ["process", "command"])
def test_the_row_that_reaches_a_limit_fails_by_its_name(by: str, kind: str) -> None:
    code, limits = GREEDY[kind]
    if by == "process":
        found = evaluated(Process(1, limits=limits), greedy(code), [False, True, False])
    else:
        found = evaluated(CommandEvaluator(), command(code, limits), [False, True, False])
    statuses = [outcomes.statuses.tolist() for outcomes in found]
    assert statuses == [[Status.DONE], [Status.FAILED], [Status.DONE]], [outcomes.errors for outcomes in found]
    assert found[1].errors[0].startswith(f"LimitReached: {limits.shown(kind.split(maxsplit=1)[0])}")


def test_who_stays_within_limits_is_left_alone() -> None:
    limits = {
        "memory": "2GB",
        "cpu_s": 60,
        "file_size": "1GB",
        "processes": 64,
        "open_files": 200,
        "address_space": "16GB",
    }
    assert evaluated(Process(1, limits=limits), greedy("1"), [True])[0].statuses.tolist() == [Status.DONE]
    assert evaluated(CommandEvaluator(), command("1", limits), [True])[0].statuses.tolist() == [Status.DONE]


def test_cpu_time_counts_per_evaluation_not_per_worker() -> None:
    burn = "import time\nuntil = time.process_time() + 0.15\nwhile time.process_time() < until: pass"
    found = evaluated(Process(1, limits=Limits(cpu_s=0.6)), greedy(burn), [True] * 6)
    assert [outcomes.statuses.tolist() for outcomes in found] == [[Status.DONE]] * 6


def test_cpu_time_counts_also_when_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spawn.Watch, "excess", lambda *_: None)
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    found = evaluated(CommandEvaluator(), command(burn, Limits(cpu_s=0.2)), [True])
    assert found[0].errors[0].startswith("LimitReached: cpu_s 0.2 s")


def test_limits_need_a_program_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(_spawn.resource, "prlimit", refused)
    found = evaluated(CommandEvaluator(), command("1", Limits(file_size=100)), [True])
    assert "runs as another user" in found[0].errors[0]


def test_bad_limits_are_refused_before_any_work() -> None:
    for wrong in ({"ram": 1}, {"memory": -1}, "2GB", 5):
        with pytest.raises(ProblemError):
            Process(limits=wrong)  # type: ignore[arg-type]
        with pytest.raises(ProblemError):
            Command("true", value="cpu", limits=wrong)  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="NUL"):
        Command("true", value="cpu", environment={"A": "\0"})


def test_limits_are_part_of_what_results_depend_on() -> None:
    one, other = (Command("true", value="cpu", limits=limits).fingerprint() for limits in (None, {"memory": "1G"}))
    assert one != other
    assert other["limits"] == {"memory": 1 << 30}


def test_a_worker_that_holds_too_much_between_rows_is_replaced(tmp_path: Path) -> None:
    """What an objective keeps counts for the row in which it is seen; the next one has a fresh worker."""
    code = (
        f"import builtins, os, time\nopen({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "builtins.held = getattr(builtins, 'held', []) + [bytearray(b'x') * 60_000_000]\ntime.sleep(0.2)"
    )
    found = evaluated(Process(1, limits=Limits(memory="200MB")), greedy(code), [True] * 6)
    statuses = [outcomes.statuses.tolist()[0] for outcomes in found]
    assert statuses[0] == Status.DONE
    assert Status.FAILED in statuses
    assert len(set((tmp_path / "pids").read_text().split())) >= 2
