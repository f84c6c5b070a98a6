"""Command: plans, measurements, verification, checks before any work; with real small programs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.apps.programs.command import Command
from thalweg.apps.programs.job import TuningJob
from thalweg.core.batch import Status
from thalweg.core.choices import Choice
from thalweg.core.errors import CommandError, ExpressionError, ThalwegError
from thalweg.core.evaluator import Job, Outcomes
from thalweg.core.parameter import Integer
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.space import Space
from thalweg.core.target import Target
from thalweg.parts.evaluators.command import CommandEvaluator

PYTHON = [sys.executable, "-S", "-I", "-c"]
PACK = (
    "import sys, zlib; open(sys.argv[2], 'wb').write(zlib.compress(open(sys.argv[1], 'rb').read(), int(sys.argv[3])))"
)
UNPACK = "import sys, zlib; open(sys.argv[2], 'wb').write(zlib.decompress(open(sys.argv[1], 'rb').read()))"
SPACE = {"level": Integer(0, 9)}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_bytes(b"".join(b"%d bottles of beer on the wall\n" % i for i in range(2000)))
    (tmp_path / "other.txt").write_bytes(b"aaaa" * 1000)
    return path


def evaluate(command: Command, *points: dict[str, Any], space: Any = None) -> Outcomes:
    real = Space.of(space or SPACE)

    async def go() -> Outcomes:
        evaluator = CommandEvaluator()
        evaluator.open(Target(command, Problem(real, objectives_of(command.objectives or None))))
        try:
            reals = real.from_params(list(points))
            return await evaluator.evaluate(Job(np.arange(len(points)), reals, real.active(reals)))
        finally:
            await evaluator.aclose()

    return asyncio.run(go())


def test_a_compressor_is_measured_and_verified(text: Path) -> None:
    command = Command(
        [*PYTHON, PACK, "text.txt", "{out}", "{level}"],
        minimize={"bytes": "size({out})", "cpu": "cpu"},
        report={"ratio": "size({out}) / size('text.txt')"},
        verify=[*PYTHON, UNPACK, "{out}", "{back}"],
    )
    assert command.objectives == {"bytes": "minimize", "cpu": "minimize"}
    result = evaluate(command, {"level": 0}, {"level": 9})
    assert result.errors == {}
    assert result.values[0, 0] > text.stat().st_size > 3 * result.values[1, 0]
    assert (result.values[:, 1] > 0).all()
    assert result.components is not None
    named = result.components[1] or {}
    assert named["ratio"] == named["bytes"] / text.stat().st_size
    assert named["size"] == named["bytes"] == result.values[1, 0]
    assert {"cpu", "user", "system", "wall", "rss", "exit"} <= named.keys()


def test_a_value_alone_is_one_objective(text: Path) -> None:
    command = Command([*PYTHON, PACK, "text.txt", "{out}", "{level}"], value="size({out})")
    assert command.objectives == {}
    assert Command(["true"], maximize="exit").objectives == {"value": "maximize"}
    assert evaluate(command, {"level": 9}).values.shape == (1, 1)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("open(out, 'wb').write(data[:-1])", "lost data"),
        ("open(out, 'wb').write(b'#' + data[1:])", "changed the data, first at byte 0"),
        ("open(out, 'wb').write(data[:500] + b'#' + data[501:])", "first at byte 500"),
        ("pass", r"wrote no \{back\}"),
        ("sys.exit('cannot unpack')", "exit code 1; it said: cannot unpack"),
        ("os.mkdir(out)", "one file is expected"),
    ],
)
def test_broken_round_trips_fail_the_trial(text: Path, code: str, said: str) -> None:
    bad = f"import os, sys; out = sys.argv[1]; data = open('text.txt', 'rb').read(); {code}"
    command = Command(
        [*PYTHON, PACK, "text.txt", "{out}", "{level}"], value="size({out})", verify=[*PYTHON, bad, "{back}"]
    )
    result = evaluate(command, {"level": 5})
    assert result.statuses.tolist() == [Status.FAILED]
    with pytest.raises(CommandError, match=said):
        raise CommandError(result.errors[0])


def test_a_round_trip_into_a_folder_is_compared_too(text: Path) -> None:
    into = "import os, sys, zlib; os.makedirs(sys.argv[2] + '/a'); " + UNPACK.replace(
        "sys.argv[2]", "sys.argv[2] + '/a/x'"
    )
    command = Command(
        [*PYTHON, PACK, "text.txt", "{out}", "{level}"], value="size({out})", verify=[*PYTHON, into, "{out}", "{back}"]
    )
    assert evaluate(command, {"level": 5}).errors == {}


def test_a_missing_or_empty_output_fails_the_trial(text: Path) -> None:
    for code, said in (("pass", "wrote no {out}"), ("open(sys.argv[1], 'w')", "is empty")):
        argv = [*PYTHON, f"import sys; {code}", "{out}", "{level}"]
        result = evaluate(Command(argv, value="cpu"), {"level": 1})
        assert said in result.errors[0]
        assert evaluate(Command(argv, value="cpu", empty=True), {"level": 1}).errors == {}


def test_instances_are_combined_and_kept_apart(text: Path) -> None:
    def command(over: Any) -> Command:
        return Command(
            [*PYTHON, PACK, "{instance}", "{out}", "{level}"],
            minimize={"bytes": "size({out})"},
            instances=["text.txt", "other.txt"],
            over=over,
            verify=[*PYTHON, UNPACK, "{out}", "{back}"],
        )

    result = evaluate(command("sum"), {"level": 9})
    assert result.errors == {}
    assert result.components is not None
    named = result.components[0] or {}
    a, b = named["bytes[text.txt]"], named["bytes[other.txt]"]
    assert a > b > 0
    assert result.values[0, 0] == a + b
    assert evaluate(command("mean"), {"level": 9}).values[0, 0] == (a + b) / 2
    assert evaluate(command("max"), {"level": 9}).values[0, 0] == a
    assert evaluate(command("geomean"), {"level": 9}).values[0, 0] == pytest.approx((a * b) ** 0.5)


def test_repeats_take_the_least_time_and_the_median_of_the_rest(text: Path) -> None:
    counter = (
        "import sys, time\np = sys.argv[1] + '/n'\ntry: n = int(open(p).read())\nexcept OSError: n = 0\n"
        "open(p, 'w').write(str(n + 1))\nt = time.process_time()\n"
        "while time.process_time() - t < (0.2, 0.0, 0.1)[n]: pass\nprint((1, 5, 30)[n])"
    )
    command = Command(
        [*PYTHON, counter, "{folder}", "{level}"],
        minimize={"score": "last_number(stdout)", "time": "cpu"},
        repeats=3,
    )
    result = evaluate(command, {"level": 1})
    assert result.values[0, 0] == 5
    assert result.values[0, 1] < 0.1


def test_prepare_and_cleanup_run_unmeasured(text: Path) -> None:
    command = Command(
        [*PYTHON, "import sys; print(len(open(sys.argv[1]).read()))", "{folder}/made", "{level}"],
        value="last_number(stdout)",
        prepare=[*PYTHON, "import sys, time; open(sys.argv[1], 'w').write('abc')", "{folder}/made"],
        cleanup=["touch", "cleaned-{level}"],
    )
    assert evaluate(command, {"level": 1}).values.tolist() == [[3.0]]
    assert Path("cleaned-1").exists()
    failing = Command(["false", "{level}"], value="cpu", cleanup=["touch", "cleaned-{level}"])
    assert evaluate(failing, {"level": 2}).statuses.tolist() == [Status.FAILED]
    assert Path("cleaned-2").exists()


def test_an_exit_code_can_be_measured(text: Path) -> None:
    command = Command(["sh", "-c", "exit {level}"], value="exit")
    assert evaluate(command, {"level": 3}, {"level": 0}).values.tolist() == [[3.0], [0.0]]


def test_redirections_work_and_conditional_arguments_vanish(text: Path) -> None:
    space = {"kind": Choice(["upper", "plain"]), "times": Integer(1, 3, when="kind == 'upper'")}
    code = "import sys; t = sys.stdin.read(); print(t.upper() * int(sys.argv[1]) if len(sys.argv) > 1 else t, end='')"
    command = Command([*PYTHON, code, "{times}", "<", "text.txt", ">", "{out}"], value="size({out})")
    result = evaluate(command, {"kind": "upper", "times": 2}, {"kind": "plain"}, space=space)
    size = text.stat().st_size
    assert result.values.tolist() == [[2.0 * size], [float(size)]]
    assert command.line({"kind": "upper", "times": 2}).endswith(" 2 < text.txt > out")


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        (["no-such-program", "{level}"], {}, "'no-such-program' cannot be run: is it installed"),
        (["./text.txt", "{level}"], {}, "not executable"),
        (["./nothing", "{level}"], {}, "no such file"),
        (["true", "{levle}"], {}, r"did you mean \{level\}"),
        (["true", "{level}"], {"verify": "no-such-verifier {out}"}, "verify: the program"),
        (["true", "{level}"], {"verify": "true {bakc}"}, r"did you mean \{back\}"),
        (["true", "{back}"], {}, "unknown placeholder"),
        (["true", "{instance}"], {}, "no instances were given"),
        (["true", "{level}"], {"instances": ["text.txt"]}, "does not mention {instance}"),
        (["true", "{instance}"], {"instances": ["gone.txt"]}, "'gone.txt' does not exist"),
        (["true", "{out}"], {"verify": "true {back}"}, "no files; say which one it is with original="),
        (["true", "text.txt", "other.txt"], {"verify": "true {back}"}, "2 files"),
        (["true", "{level}"], {"value": "size({out})"}, "does not mention {out}"),
        (["true", "{level}"], {"value": "size({uot})"}, "{uot} is not known"),
        (["true", "{level}"], {"value": "cpuu"}, "did you mean cpu"),
    ],
)
def test_what_cannot_run_is_said_before_any_work(text: Path, argv: list[str], options: Any, said: str) -> None:
    command = Command(argv, **{"value": "cpu", **options})
    with pytest.raises(CommandError) as caught:
        command.check(["level"])
    assert said.replace("\\", "") in str(caught.value)


def test_names_of_placeholders_are_taken() -> None:
    with pytest.raises(CommandError, match="name of a placeholder"):
        Command("true {out}", value="cpu").check(["out"])
    with pytest.raises(CommandError, match="name of a placeholder or a measurement"):
        Command("true", value="cpu").check(["cpu"])


def test_what_is_no_description() -> None:
    for options, said in (
        ({}, "what is to be measured"),
        ({"value": "cpu", "minimize": {"a": "cpu"}}, "not both"),
        ({"minimize": {"a": "cpu"}, "maximize": {"a": "cpu"}}, "twice"),
        ({"minimize": {"a": "cpu"}, "report": {"a": "cpu"}}, "distinct"),
        ({"value": "cpu", "over": "median"}, "over"),
        ({"value": "cpu", "repeats": 0}, "repeats"),
    ):
        with pytest.raises(CommandError, match=said):
            Command("true", **options)  # type: ignore[arg-type]
    with pytest.raises(ExpressionError, match="open"):
        Command("true", value="open('x')")


def test_the_fingerprint_knows_programs_and_inputs(text: Path) -> None:
    def made(**options: Any) -> dict[str, Any]:
        return Command(["cat", "text.txt", "{level}"], **{"value": "cpu", **options}).fingerprint()

    first = made()
    assert first == made()
    assert first != made(value="wall")
    assert first != made(environment={"A": "1"})
    assert "secret" not in repr(made(environment={"A": "secret"}))
    text.write_bytes(b"changed")
    assert made() != first
    assert list(made()["files"]) == ["text.txt"]


def test_instances_that_look_like_options_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-n").write_text("hello")
    command = Command(["cat", "{instance}", "{level:d}"][:2], value="lines(stdout)", instances=["-n"])
    assert evaluate(command, {"level": 1}).values.tolist() == [[1.0]]


def test_lines_are_ready_to_paste(text: Path) -> None:
    command = Command(["echo", "a b", "{level}", "{out}.7z", "it's"], value="cpu")
    assert command.line({"level": 3}, "best") == "echo 'a b' 3 best.7z 'it'\"'\"'s'"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["echo", "5"], "parameter 'a' changes nothing: neither the command nor a metric mentions"),
        (["echo {a} | cat"], "taken as the name of a program; give its words one by one"),
        (["echo 5 | cat"], "taken as the name of a program; give its words one by one"),
    ],
)
def test_a_job_that_cannot_be_meant(command, told):
    settings = {"command": command, "params": {"a": "int[1,3]"}, "minimize": {"x": "last_number(stdout)"}}
    with pytest.raises(ThalwegError, match=told):
        TuningJob.of(settings)


def test_a_parameter_may_matter_in_a_metric_or_a_condition_only():
    settings = {"params": {"a": "int[1,3]", "b": "int[0,4] if a > 1"}, "minimize": {"x": "last_number(stdout)"}}
    assert TuningJob.of({**settings, "command": ["echo", "{b}"]}).space.names == ("a", "b")
    settings = {"params": {"a": "int[1,3]"}, "minimize": {"x": "last_number(stdout) * a"}}
    assert TuningJob.of({**settings, "command": ["echo", "5"]}).space.names == ("a",)
