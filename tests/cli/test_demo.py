"""`thalweg demo`, shortened: presets first, round trips verified, a table, a gain, a command, a picture."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from thalweg.apps.programs import demo as demo_module
from thalweg.cli.main import group

pytest.importorskip("pyppmd")
pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_the_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_module, "TEXT_BYTES", 40_000)
    monkeypatch.setattr(demo_module.text, "__defaults__", (40_000,))
    result = CliRunner().invoke(group, ["demo", "--budget", "24", "--no-progress"], prog_name="thalweg")
    assert result.exit_code == 0, result.output
    for name in demo_module.presets():
        assert f"preset {name}" in result.output
    assert "against preset " in result.output
    assert (tmp_path / "demo-out" / "demo.png").stat().st_size > 10_000
    pasted = [line for line in result.output.splitlines() if " pack " in line and line.endswith(tuple("0123456789HI"))]
    assert pasted
    subprocess.run(shlex.split(pasted[0]), check=True)
    assert 0 < Path("packed").stat().st_size < 40_000
    shown = CliRunner().invoke(group, ["show", "demo", "--store", "demo-out/demo.db", "--json"])
    outcome = json.loads(shown.output)
    assert outcome["evaluations"] == 24
    assert [row["number"] for row in outcome["presets"].values()] == list(range(14))


def test_the_text_is_real_and_always_the_same() -> None:
    text = demo_module.text()
    assert len(text) == demo_module.TEXT_BYTES
    assert text == demo_module.text()
    assert b"\ndef " in text
