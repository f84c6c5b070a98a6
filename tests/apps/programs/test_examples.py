"""The example jobs can be made, their presets are points of their spaces, and they run where their programs are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.apps.programs import spec
from thalweg.apps.programs.demo import text
from thalweg.apps.programs.job import TuningJob

EXAMPLES = sorted(Path(__file__).parents[3].joinpath("examples").glob("*.toml"))


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_bytes(text(40_000))
    return tmp_path


def made(name: str, **changes: object) -> TuningJob:
    path = next(item for item in EXAMPLES if item.stem == name)
    settings = spec.load(path)
    program = settings["command"].split()[0] if isinstance(settings["command"], str) else settings["command"][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return TuningJob.of({**settings, "store": "memory", "name": name, **changes})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_can_be_described(corpus: Path, path: Path) -> None:
    described = made(path.stem).describe(samples=20)
    assert described.count("corpus.txt") >= 20
    assert "{" not in described.partition("presets:")[2].partition("metrics:")[0]


@pytest.mark.slow
def test_the_zpaq_preset_is_what_m5_builds(corpus: Path) -> None:
    Path("corpus.txt").write_bytes(text(100_000))  # zpaq takes much shorter text for something else
    outcome = made("zpaq", budget=4).run()
    preset = outcome.presets["m5"]
    assert preset is not None
    subprocess.run(["zpaq", "a", "vendor.zpaq", "corpus.txt", "-m5"], check=True, capture_output=True)
    # the archive holds a date and the method's text, which differ by a few bytes
    assert preset.components["bytes"] == pytest.approx(Path("vendor.zpaq").stat().st_size, abs=16)
    assert [trial.error for trial in outcome.trials] == [""] * 4  # verified round trips


@pytest.mark.slow
def test_seven_zip_runs_every_method(corpus: Path) -> None:
    outcome = made("7zz", budget=10).run()
    assert {trial.params["method"] for trial in outcome.trials} == {"PPMd", "LZMA2", "BZip2", "Deflate"}
    assert [trial.error for trial in outcome.trials if trial.error] == []


def test_ppmd_finds_the_best_of_a_small_space(corpus: Path) -> None:
    pytest.importorskip("pyppmd")
    from thalweg.apps.programs import compressor

    call = [sys.executable, "-I", str(compressor.__file__), "ppmd"]
    job = made(
        "ppmd",
        command=[*call, "pack", "corpus.txt", "{out}", "--order={order}", "--mem={mem}"],
        verify=[*call, "unpack", "{out}", "{back}"],
        budget=12,
    )
    outcome = job.run()
    points = [(trial.params["order"], trial.params["mem"]) for trial in outcome.trials]
    assert len(points) == len(set(points)) == 12
    assert outcome.improved
    # pyppmd 1.3.1 does not unpack all of what it packs: only that may fail a trial, and only by its verification
    assert all(trial.error.startswith("CommandError: verify: ") for trial in outcome.trials if trial.error)
