"""`thalweg tune` and its relatives, through click and as real processes: messages, exit codes, resuming, kills."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from thalweg.cli.main import COMMANDS, group

PYTHON = [sys.executable, "-S", "-I", "-c"]
PARABOLA = "import sys; x, y = map(int, sys.argv[1:3]); print((x - 7) ** 2 + y)"
PARAMS = ["-p", "x:int[0,20]", "-p", "y:ordinal[1,2,3]"]
BASE = ["tune", *PARAMS, "--minimize", "loss=last_number(stdout)", "--strategy", "random"]
COMMAND = ["--", *PYTHON, PARABOLA, "{x}", "{y}"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*args: str) -> Result:
    return CliRunner().invoke(group, list(args), prog_name="thalweg")


def tune(*more: str) -> Result:
    return call(*BASE, *more, *COMMAND)


def test_help_lists_commands_without_importing_them() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in result.output
        assert text in result.output
        assert call(name, "--help").exit_code == 0
    assert call("--version").output.startswith("thalweg ")
    unknown = call("tuen")
    assert unknown.exit_code == 2
    assert "Did you mean tune" in unknown.output


def test_improvement_and_none_have_their_own_exit_codes() -> None:
    better = tune("-b", "30", "--default", "x=20 y=3")
    assert better.exit_code == 0, better.output
    assert "against preset default: loss " in better.output
    same = tune("-b", "30", "--default", "x=7 y=1", "--name", "other")
    assert same.exit_code == 3, same.output
    assert "against preset default: nothing better was found" in same.output
    assert Path("thalweg.db").is_file()


def test_the_winner_can_be_pasted_into_a_shell() -> None:
    result = tune("-b", "40", "--default", "x=20 y=3")
    lines = result.output.splitlines()
    pasted = lines[lines.index("# best") + 1]
    loss = float(next(line for line in lines if line.startswith("against preset")).split()[4])
    assert float(subprocess.run(["sh", "-c", pasted], capture_output=True, check=True, text=True).stdout) == loss


def test_the_same_command_goes_on_where_it_was() -> None:
    first = tune("-b", "10", "--json")
    again = tune("-b", "10", "--json")
    more = tune("-b", "25", "--json")
    outcomes = [json.loads(item.output.splitlines()[-1]) for item in (first, again, more)]
    assert [item["evaluations"] for item in outcomes] == [10, 10, 25]
    assert outcomes[0]["study"] == outcomes[1]["study"] == outcomes[2]["study"]
    rows = exported(outcomes[0]["study"])
    assert len({(row["x"], row["y"]) for row in rows}) == len(rows) == 25
    fresh = json.loads(tune("-b", "5", "--json", "--fresh").output.splitlines()[-1])
    assert fresh["evaluations"] == 5


def exported(name: str) -> list[dict[str, Any]]:
    result = call("export", name, "--format", "json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.output)
    return rows


def test_json_lines_are_json_and_tell_the_story() -> None:
    result = tune("-b", "8", "--json", "--default", "x=20 y=3")
    lines = [json.loads(line) for line in result.output.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds[-1] == "outcome"
    assert {"started", "finished", "stopped"} <= set(kinds)
    assert lines[-1]["presets"]["default"]["params"] == {"x": 20, "y": 3}
    assert lines[-1]["presets"]["default"]["number"] == 0


def test_dry_run_shows_exact_command_lines_and_runs_nothing() -> None:
    Path("never").mkdir()
    result = call(
        "tune", "-p", "x:int[0,20]", "--minimize", "bytes=size({out})", "--report", "cpu", "--default", "old: x=3",
        "--dry-run", "-b", "7,1m", "--", "touch", "never/{x}", "{out}.z",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "21 different points" in result.output
    assert "old: touch never/3 out.z" in result.output
    assert result.output.count("touch never/") == 4
    assert "minimize bytes = size({out})" in result.output
    assert "report cpu = cpu" in result.output
    assert "7 evaluations, 60 s" in result.output
    assert list(Path("never").iterdir()) == []
    assert not Path("thalweg.db").exists()


def test_a_file_is_a_job_and_options_overrule_it() -> None:
    Path("job.toml").write_text(
        f"command = {json.dumps([*PYTHON, PARABOLA, '{x}', '{y}'])}\n"
        'minimize = { loss = "last_number(stdout)" }\nbudget = 5\nstrategy = "random"\n'
        '[params]\nx = "int[0,20]"\ny = "ordinal[1,2,3]"\n[presets]\nold = "x=20 y=3"\n'
    )
    result = call("tune", "job.toml", "--json")
    assert json.loads(result.output.splitlines()[-1])["evaluations"] == 5
    result = call("tune", "job.toml", "--json", "-b", "9")
    assert json.loads(result.output.splitlines()[-1])["evaluations"] == 9


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([*BASE, "--", "no-such-program", "{x}"], "'no-such-program' cannot be run"),
        ([*BASE, "--", "true", "{z}"], "unknown placeholder {z}"),
        ([*BASE, "--", "true", "{x"], "has no partner"),
        ([*BASE, "-p", "z:itn[0,1]", *COMMAND], "did you mean 'int'"),
        ([*BASE, "-p", "x:int[0,1]", *COMMAND], "comes twice"),
        ([*BASE, "--store", "/proc/none/x.db", *COMMAND], "/proc/none"),
        ([*BASE, "--store", ".", *COMMAND], "is a folder"),
        ([*BASE, "--default", "x=99 y=1", *COMMAND], "outside"),
        ([*BASE, "--constraint", "rrs <= 5", *COMMAND], "neither a parameter nor measured"),
        ([*BASE, "-b", "soon", *COMMAND], "budget"),
        ([*BASE, "--timeout", "never", *COMMAND], "timeout"),
        ([*BASE, "--strategy", "cleverness", *COMMAND], "unknown strategy"),
        ([*BASE, "--minimize", "a=size(", *COMMAND], "metric 'a'"),
        (["tune", *PARAMS, *COMMAND], "what is to be minimised?"),
        (["tune", *PARAMS, "--minimize", "cpu"], "nothing to run"),
        (["tune", "--minimize", "cpu", *COMMAND], "nothing to tune"),
        ([*BASE, "--strategy", "cleverness", "--dry-run", *COMMAND], "unknown strategy"),
        (["tune", "none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["resume", "nothing"], "thalweg.db"),
        (["show"], "there is no store"),
    ],
)
def test_errors_are_one_message_and_exit_code_2(args: list[str], said: str) -> None:
    result = call(*args)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert "Traceback" not in result.output
    assert result.output.startswith("thalweg: ")


def test_a_failing_program_is_reported_with_its_words() -> None:
    result = call(*BASE, "-b", "4", "--", *PYTHON, "import sys; sys.exit('disk full')", "{x}", "{y}")
    assert result.exit_code == 3
    assert "4 x CommandError: run: " in result.output
    assert "disk full" in result.output


def test_constraints_between_parameters_and_of_measurements() -> None:
    result = tune("-b", "40", "--constraint", "x <= 9", "--constraint", "loss >= 5", "--json")
    outcome = json.loads(result.output.splitlines()[-1])
    rows = exported(outcome["study"])
    assert max(row["x"] for row in rows) <= 9
    assert min(row["loss"] for row in rows) < 5 <= outcome["best"]["values"]["loss"]


def test_show_resume_and_export() -> None:
    assert tune("-b", "6", "--default", "x=20 y=3").exit_code in (0, 3)
    listed = call("show")
    name = listed.output.split()[0]
    assert listed.output == f"{name}  6 evaluations\n"
    assert "preset default" in call("show", name).output
    assert json.loads(call("show", name, "--json").output)["evaluations"] == 6
    on = call("resume", name, "-b", "15", "--json")
    assert on.exit_code in (0, 3), on.output
    assert json.loads(on.output.splitlines()[-1])["evaluations"] == 15
    rows = list(csv.DictReader(io.StringIO(call("export", name).output)))
    assert [int(row["number"]) for row in rows] == list(range(15))
    assert all(float(row["loss"]) == (int(row["x"]) - 7) ** 2 + int(row["y"]) for row in rows)
    missing = call("show", name + "x")
    assert missing.exit_code == 2
    assert name in missing.output


def test_another_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune("-b", "3")
    name = call("show").output.split()[0]
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    result = call("resume", name, "--store", "../thalweg.db")
    assert result.exit_code == 2
    assert f"ran in {folder}" in result.output


def test_a_changed_input_is_a_new_study() -> None:
    Path("in.txt").write_text("1")
    args = [*BASE, "-b", "3", "--json", "--", *PYTHON, PARABOLA, "{x}", "{y}", "in.txt"]
    first = json.loads(call(*args).output.splitlines()[-1])
    Path("in.txt").write_text("2")
    second = json.loads(call(*args).output.splitlines()[-1])
    assert first["study"] != second["study"]
    result = call("resume", first["study"])
    assert result.exit_code == 2
    assert "has changed since" in result.output


def started(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "thalweg.cli.main", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


SLOW = (
    "import sys, time; time.sleep(0.05); open('ran.txt', 'a').write(' '.join(sys.argv[1:3]) + chr(10)); "
    "x, y = map(int, sys.argv[1:3]); print((x - 7) ** 2 + y)"
)


def slow(*more: str) -> list[str]:
    command = [*PYTHON, SLOW, "{x}", "{y}"]
    return [*BASE, "-b", "30", "--name", "slow", "--json", *more, "--", *command]


def wait_for(count: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if Path("ran.txt").is_file() and len(Path("ran.txt").read_text().splitlines()) >= count:
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"it did not get that far: {process.communicate()}")


@pytest.mark.chaos
def test_killed_and_run_again_nothing_finished_is_lost_or_repeated() -> None:
    Path("ran.txt").touch()
    for wanted in (4, 9, 15):
        process = started(*slow())
        wait_for(wanted, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rows = exported("slow")
    finished = [(row["x"], row["y"]) for row in rows]
    assert len(finished) >= 10
    result = call(*slow())
    assert result.exit_code == 0, result.output
    after = exported("slow")
    assert [(row["x"], row["y"]) for row in after][: len(finished)] == finished
    assert len(after) == len({(row["x"], row["y"]) for row in after}) == 30
    ran = Path("ran.txt").read_text().splitlines()
    assert len(ran) - len(set(ran)) <= 3  # only what ran at the moment of a kill runs again


@pytest.mark.chaos
def test_interrupting_keeps_what_is_done_and_says_how_to_go_on() -> None:
    process = started(*slow())
    wait_for(4, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert 3 <= len(exported("slow")) < 30


@pytest.mark.chaos
def test_terminating_ends_what_runs_at_once() -> None:
    code = "import os, sys, time; open('started', 'w').write(str(os.getpid())); time.sleep(1000)"
    process = started(*BASE, "-b", "5", "--", *PYTHON, code, "{x}", "{y}")
    until = time.monotonic() + 30
    while not (Path("started").is_file() and Path("started").read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert not Path(f"/proc/{Path('started').read_text()}").exists()
