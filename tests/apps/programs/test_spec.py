"""Settings: files, texts, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg.apps.programs import spec
from thalweg.core.errors import ProblemError


def test_a_file_gives_settings(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        'command = "true {level}"\nminimize = { cpu = "cpu" }\nbudget = 20\n[params]\nlevel = "int[1,9]"\n'
        '[presets]\ndefault = "level=6"\nbest = { level = 9 }\n'
    )
    settings = spec.load(path)
    assert settings["command"] == "true {level}"
    assert spec.params_of(settings["params"]) == ["level:int[1,9]"]
    assert spec.presets_of(settings["presets"]) == {"default": "level=6", "best": {"level": 9}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("comand = 'x'", "did you mean command"),
        ("command = 3", "command must be str or list or tuple, got 3"),
        ("jobs = true", "jobs must be int"),
        ("command = ", "not TOML: Invalid value"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(ProblemError, match=said) as caught:
        spec.load(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"command = '\xff'")
    with pytest.raises(ProblemError, match=r"not TOML: .*codec"):
        spec.load(path)
    with pytest.raises(ProblemError, match="cannot be read"):
        spec.load(tmp_path / "none.toml")


def test_named_expressions() -> None:
    assert spec.named(["bytes=size({out})", "cpu = cpu"], "x") == {"bytes": "size({out})", "cpu": "cpu"}
    assert spec.named("exit==0", "x") == {"value": "exit==0"}
    assert spec.named({"a": "cpu"}, "x") == {"a": "cpu"}
    assert spec.named(["cpu", " wall "], "x") == {"cpu": "cpu", "wall": " wall "}
    assert spec.named(None, "x") == {}
    with pytest.raises(ProblemError, match="twice"):
        spec.named(["cpu*2", "wall*2"], "x")


def test_presets() -> None:
    assert spec.presets_of(["a=1 b=2", "fast: a=0 b=0", "a=5 b=5"]) == {
        **{"default": "a=1 b=2", "fast": "a=0 b=0", "default3": "a=5 b=5"},
    }
    with pytest.raises(ProblemError, match="twice"):
        spec.presets_of(["x: a=1", "x: a=2"])


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (200, (200, None)),
        ("200", (200, None)),
        ("10m", (None, 600.0)),
        ("1.5h", (None, 5400.0)),
        ("200,10m", (200, 600.0)),
        (("200", "90s"), (200, 90.0)),
    ],
)
def test_budgets(given: object, result: object) -> None:
    assert spec.budget_of(given) == result


@pytest.mark.parametrize("given", ["", "0", "-5", "1.5", "10 weeks", "ten", "5x"])
def test_wrong_budgets(given: str) -> None:
    with pytest.raises(ProblemError, match="budget"):
        spec.budget_of(given)


def test_timeouts_and_limits() -> None:
    assert spec.eval_timeout_of("auto") == "auto"
    assert spec.eval_timeout_of(None) is None
    assert spec.eval_timeout_of("2m") == 120.0
    assert spec.eval_timeout_of(3) == 3.0
    for wrong in ("0", "soon", "-1", "5 parsecs"):
        with pytest.raises(ProblemError, match="timeout"):
            spec.eval_timeout_of(wrong)
    assert spec.limits_table(["memory=2GB", "cpu_s = 60"]) == {"memory": "2GB", "cpu_s": "60"}
    assert spec.limits_table({"processes": 3}) == {"processes": 3}
    assert spec.limits_table(None) == {}
    for wrong in ("memory", ["memory=1G", "memory=2G"]):
        with pytest.raises(ProblemError, match="name=amount"):
            spec.limits_table(wrong)


def test_instances_are_files_sorted_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "c.bin", "odd[1].txt"):
        Path(name).write_text(name)
    assert spec.instances_of(["*.txt", "c.bin", "a.txt"]) == ["a.txt", "b.txt", "odd[1].txt", "c.bin"]
    assert spec.instances_of("odd[1].txt") == ["odd[1].txt"]
    with pytest.raises(ProblemError, match=r"no file matches '\*.dat'"):
        spec.instances_of("*.dat")
